"""`python -m tests.truth --rounds 20 --seed 1`: rounds of changes at the server, one line each, and one that sums up.

Of a round in which something is not as it should be, the first differences are shown, each with the history of its
object. `--changes` makes rounds shorter or longer.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter

from courtlistener_assets.devkit.servers.postgres_server import PostgresServer
from courtlistener_assets.devkit.servers.redis_server import RedisServer
from tests.truth.operator import quiet
from tests.truth.rounds import DEAD_TEXTS, GHOSTS, RUNS, RoundResult, run_round


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.truth")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1, help="of the first round; the others follow")
    parser.add_argument("--changes", type=int, default=300, help="a round")
    parser.add_argument("--differences", type=int, default=12, help="to show of a round")
    asked = parser.parse_args()
    quiet()
    results = []
    with PostgresServer() as postgres, RedisServer() as redis:
        for seed in range(asked.seed, asked.seed + asked.rounds):
            results.append(run_round(seed, asked.changes, postgres, redis))
            print(f"{'good' if results[-1].good else 'BAD'}  {results[-1]}", flush=True)
            for line in results[-1].explained(asked.differences):
                print(line, flush=True)
    print(summary(results))
    return 0 if all(result.good for result in results) else 1


def summary(results: list[RoundResult]) -> str:
    """What happened in all rounds, and what came out."""
    kinds = sum((result.kinds for result in results), Counter[str]())
    seeds = f"{results[0].seed} to {results[-1].seed}" if len(results) > 1 else str(results[0].seed)
    refused, spent = sum(result.refused for result in results), sum(result.spent for result in results)
    print(f"changes by kind: {', '.join(f'{count} {kind}' for kind, count in sorted(kinds.items()))}")
    return (
        f"{len(results)} rounds (seeds {seeds}), {sum(result.changes for result in results)} changes, "
        f"{sum(result.killed for result in results)} runs killed; {sum(result.rows for result in results)} rows "
        f"compared, {sum(result.unequal for result in results)} unequal, "
        f"{sum(result.count(*GHOSTS) for result in results)} ghosts, "
        f"{sum(result.count(*DEAD_TEXTS) for result in results)} dead texts, "
        f"{sum(result.count(*RUNS) for result in results)} failed runs; {spent} requests spent, fewest about "
        f"{sum(result.fewest for result in results)}; {refused} refused"
    )


if __name__ == "__main__":
    sys.exit(main())
