"""`python -m bench.limiter`: measures the quota limiter and writes `bench/results.json` and `docs/benchmarks.md`.

Belongs here: which experiments are made. Does not belong here: how one is made, or written down.

Needs the packages of `peers.txt` beside the project's own. `--only ours --seconds 1000` is the long version.
"""

from __future__ import annotations

import argparse
import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import redis

from bench import report
from bench.limiter import cost as limiter_cost
from bench.limiter import faults as limiter_faults
from bench.limiter.judge import Limit, ideal, merged, refused
from bench.limiter.peers import PEERS, Peer
from bench.limiter.simulation import simulate
from bench.limiter.workers import Acquire, Latency, WorkerLog, heavy_tailed, run, shares, uniform
from courtlistener_assets.devkit.servers.postgres_server import PostgresServer
from courtlistener_assets.devkit.servers.redis_server import RedisServer
from resources.connections.postgres import Database

LATENCY = uniform(0.010, 0.110)
SCENARIOS: dict[str, tuple[Limit, ...]] = {
    "200 in 4 s": ((200, 4),),
    "40 in 1 s and 200 in 8 s": ((40, 1), (200, 8)),
}
#: Three windows that 16 workers with this latency can just fill.
LONG: tuple[Limit, ...] = ((150, 1), (1200, 10), (6000, 60))


@dataclass(frozen=True)
class Account:
    """An account of the simulations."""

    name: str
    limits: tuple[Limit, ...]
    workers: int
    seconds: float
    latency: Latency


ACCOUNTS = (
    Account("free: 5/min, 50/hour, 125/day", ((5, 60), (50, 3600), (125, 86400)), 4, 5 * 86400, heavy_tailed(0.5, 30)),
    Account("5,000/hour", ((5000, 3600),), 16, 3 * 3600, heavy_tailed(0.5, 30)),
    Account(
        "100/s, 500 in 8 s, 3000/min, answers in 10 to 110 ms",
        ((100, 1), (500, 8), (3000, 60)), 16, 2000, LATENCY,
    ),
)  # fmt: skip


def side_by_side(
    redis_url: str, postgres_url: str, peers: dict[str, Peer], *, workers: int, seconds: float, rounds: int
) -> list[dict[str, Any]]:
    """Measure every limiter in every scenario, interleaved, so that a busy moment of the machine hits all."""
    figures: dict[tuple[str, str], list[dict[str, float]]] = {}
    for number in range(rounds):
        for scenario, limits in SCENARIOS.items():
            for name, peer in peers.items():
                account = f"{name}-{scenario}-{number}".replace(" ", "")
                logs = run(_connect(peer, redis_url, postgres_url, account, limits), workers=workers, seconds=seconds,
                           latency=LATENCY, seed=number)  # fmt: skip
                figures.setdefault((scenario, name), []).append(summary(logs, limits, seconds))
                print(f"{scenario}, {name}: {figures[scenario, name][-1]}", flush=True)
    return [
        {"scenario": scenario, "limiter": name, **{key: _mean(found, key) for key in found[0]}}
        for (scenario, name), found in figures.items()
    ]


def _connect(
    peer: Peer, redis_url: str, postgres_url: str, account: str, limits: Sequence[Limit]
) -> Callable[[int], Acquire]:
    return lambda number: peer(redis_url, postgres_url, account, limits)


def _mean(found: Sequence[dict[str, float]], key: str) -> float:
    return round(sum(row[key] for row in found) / len(found), 4)


def summary(logs: Sequence[WorkerLog], limits: Sequence[Limit], seconds: float) -> dict[str, float]:
    """Return the figures of one run."""
    arrivals = merged(log.arrivals for log in logs)
    in_time = [at for at in arrivals if at < arrivals[0] + seconds]
    refusals = refused(arrivals, limits)
    sent = shares(logs)
    return {
        "requests": len(arrivals),
        "refused": refusals,
        "refused_share": round(refusals / len(arrivals), 4),
        "used_share": round((len(in_time) - refused(in_time, limits)) / ideal(limits, seconds), 4),
        "redis_calls_per_grant": round(sum(log.redis_calls for log in logs) / len(arrivals), 2),
        "fairness_max_over_min": round(max(sent) / max(1, min(sent)), 2),
    }


def simulated(redis_url: str) -> list[dict[str, Any]]:
    """Simulate the accounts, on a clock of their own."""
    rows = []
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        for number, account in enumerate(ACCOUNTS):
            result = simulate(client, account.limits, workers=account.workers, seconds=account.seconds,
                              latency=account.latency, seed=number)  # fmt: skip
            rows.append({"account": account.name, "workers": account.workers, **result})
            print(rows[-1], flush=True)
    return rows


def faults(seconds: float) -> list[dict[str, Any]]:
    """Measure every fault; a recovery that was not awaited is None."""
    rows = []
    for fault in limiter_faults.FAULTS:
        figures = asdict(limiter_faults.measure(fault, seconds=seconds))
        if math.isinf(figures["recovery_seconds"]):
            figures["recovery_seconds"] = None
        rows.append({**figures, "fault": figures["fault"].replace("_", " ")})
        print(figures, flush=True)
    return rows


@contextlib.contextmanager
def servers() -> Iterator[tuple[str, str]]:
    """A Redis and a migrated Postgres for one experiment: their URLs."""
    with RedisServer() as redis_server, PostgresServer() as postgres_server:
        database = Database(postgres_server.url)
        database.migrate()
        database.close()
        yield redis_server.url, postgres_server.url


def headline(quota: dict[str, Any]) -> dict[str, Any]:
    """Pick the few figures that say whether all is well, from those that were measured, now or before."""
    flat: dict[str, Any] = {}
    mine = [row for row in quota.get("peers", []) if row["limiter"] == "courtlistener-assets"]
    # The long run belongs to the whole; alone it shows fairness, for which a short one has too few requests a worker.
    runs = [*mine, quota["long"]] if "long" in quota else mine
    if runs:
        flat["refused"] = sum(row["refused"] for row in runs)
        flat["used_share"] = min(row["used_share"] for row in runs)
        flat["redis_calls_per_grant"] = max(row["redis_calls_per_grant"] for row in runs)
        flat["fairness_max_over_min"] = runs[-1]["fairness_max_over_min"]
    if "cost" in quota:
        flat["acquire_vs_noop"] = quota["cost"]["acquire_vs_noop"]
    if "faults" in quota:
        flat["over_issue"] = sum(row["over_issue"] for row in quota["faults"])
        # While Postgres is down nothing may be granted, so those gaps are as long as the fault.
        flat["worst_gap_seconds"] = max(
            row["gap_seconds"] for row in quota["faults"] if not row["fault"].startswith("postgres")
        )
    return flat


def main() -> None:
    """Measure what was asked for and write it down."""
    options = _options()
    quota: dict[str, Any] = {"measured": report.measured_now()}
    if options.only in ("all", "cost"):
        with servers() as (redis_url, postgres_url):
            database = Database(postgres_url)
            quota["cost"] = limiter_cost.measure(redis_url, database)
            database.close()
    if options.only in ("all", "peers"):
        with servers() as urls:
            quota["peers"] = side_by_side(*urls, PEERS, workers=options.workers, seconds=options.seconds,
                                          rounds=options.rounds)  # fmt: skip
    if options.only in ("all", "simulation"):
        with servers() as (redis_url, _):
            quota["simulated"] = simulated(redis_url)
    if options.only in ("all", "faults"):
        quota["faults"] = faults(seconds=7.0)
    if options.only == "ours":
        with servers() as urls:
            logs = run(_connect(PEERS["courtlistener-assets"], *urls, "long", LONG), workers=options.workers,
                       seconds=options.seconds, latency=LATENCY)  # fmt: skip
            windows = ", ".join(f"{limit} in {seconds:g} s" for limit, seconds in LONG)
            quota["long"] = {"windows": windows, **summary(logs, LONG, options.seconds)}
            print(quota["long"])
    report.write("quota", quota, headline)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure the quota limiter.")
    parser.add_argument("--only", choices=("all", "cost", "peers", "simulation", "faults", "ours"), default="all")
    parser.add_argument("--seconds", type=float, default=16.0, help="length of one run of real processes")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--workers", type=int, default=16)
    return parser.parse_args()


if __name__ == "__main__":
    main()
