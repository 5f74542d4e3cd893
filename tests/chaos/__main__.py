"""`python -m tests.chaos --rounds 20 --seed 1`: rounds of chaos, one line each, and a last line that sums them up.

With `--dagster` the workers are processes of Dagster; a round then takes minutes.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter

from courtlistener_assets.devkit.servers.postgres_server import PostgresServer
from courtlistener_assets.devkit.servers.redis_server import RedisServer
from tests.chaos.dagster_runs import DagsterRuns
from tests.chaos.rounds import SIZE_WITH_DAGSTER, RoundResult, Size, run_round
from tests.chaos.sweepers import Sweepers


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1, help="of the first round; the others follow")
    parser.add_argument("--dagster", action="store_true", help="with processes of Dagster as workers, and its sensors")
    asked = parser.parse_args()
    kind, size = (DagsterRuns, SIZE_WITH_DAGSTER) if asked.dagster else (Sweepers, Size())
    results = []
    with PostgresServer() as postgres, RedisServer() as redis:
        for seed in range(asked.seed, asked.seed + asked.rounds):
            results.append(run_round(seed, size, postgres, redis, kind))
            print(f"{'good' if results[-1].verdict.good else 'BAD'}  {results[-1]}", flush=True)
    print(summary(results))
    return 0 if all(result.verdict.good for result in results) else 1


def summary(results: list[RoundResult]) -> str:
    """What was injected into all rounds, and what came out."""
    injected = sum((result.injected for result in results), Counter[str]())
    faults = sum(count for what, count in injected.items() if what.startswith("fault "))
    redis = sum(count for what, count in injected.items() if what.startswith("redis "))
    verdicts = [result.verdict for result in results]
    return (
        f"{len(results)} rounds: injected {injected['worker']} kills of workers, {redis} failures of Redis, "
        f"{injected['postgres crashes']} crashes of Postgres, {faults} faults of the server; came out: "
        f"{sum(one.rows for one in verdicts)} rows, {sum(one.missing for one in verdicts)} lost, "
        f"{sum(one.doubled for one in verdicts)} doubled, {sum(one.refused for one in verdicts)} refused, "
        f"{sum(one.asked_again for one in verdicts)} pages fetched twice (in flight: at most "
        f"{sum(one.allowed_again for one in verdicts)}), {sum(one.failures for one in verdicts)} failures recorded, "
        f"{sum(one.unresolved for one in verdicts)} unresolved"
    )


if __name__ == "__main__":
    sys.exit(main())
