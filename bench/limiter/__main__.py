"""`python -m bench.limiter`: measures the quota limiter and writes `bench/results.json` and `docs/benchmarks.md`.

Belongs here: which experiments are made. Does not belong here: how one is made, or written down.

Needs the packages of `peers.txt` beside the project's own, and a checkout of an older version; `make bench` provides
both. `--only long` measures a thousand seconds of three windows.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench import report
from bench.limiter import cost as limiter_cost
from bench.limiter import faults as limiter_faults
from bench.limiter import permit as limiter_permit
from bench.limiter import waiters
from bench.limiter.durability import durability
from bench.limiter.judge import Limit, merged, refused, used_share, whole_cycles
from bench.limiter.monitor import ClientCommands
from bench.limiter.peers import PEERS, Peer
from bench.limiter.simulation import simulate
from bench.limiter.workers import Latency, WorkerLog, heavy_tailed, run, shares, uniform
from courtlistener_assets.devkit.servers.postgres_server import PostgresServer
from courtlistener_assets.devkit.servers.redis_server import RedisServer
from resources.connections.postgres import Database
from resources.connections.redis_address import connect

PARTS = ("cost", "permit", "peers", "waiters", "simulation", "faults", "long")
LATENCY = uniform(0.010, 0.110)
OURS = "courtlistener-assets"
WORKERS = 16
#: A worker's last request may have been sent so long before the end of a run.
_LAST_SECONDS = 1.0
#: After the end nobody gets a permit that would count.
_PATIENCE_SECONDS = 0.3


@dataclass(frozen=True)
class Scenario:
    """Windows, and how long real processes use them; no run is a multiple of a window.

    Ours runs for longer, so that each worker sends some two hundred requests, of which shares can be told.
    """

    name: str
    limits: tuple[Limit, ...]
    seconds: float
    our_seconds: float


SCENARIOS = (
    Scenario("200 in 4 s", ((200, 4),), 17.3, 17.3),
    Scenario("40 in 1 s and 200 in 8 s", ((40, 1), (200, 8)), 33.3, 147.3),
)
STARVED = Scenario("5 in 6 s", waiters.LIMITS, 61.3, 61.3)
#: Three windows that 16 workers with this latency can just fill.
LONG = Scenario("150 in 1 s, 1200 in 10 s, 6000 in 60 s", ((150, 1), (1200, 10), (6000, 60)), 1000.3, 1000.3)


@dataclass(frozen=True)
class Account:
    """An account of the simulations. With more workers than permits it is starved: most of them wait for their turn."""

    name: str
    limits: tuple[Limit, ...]
    seconds: float
    latency: Latency
    starved: bool


_FREE: tuple[Limit, ...] = ((5, 60), (50, 3600), (125, 86400))
ACCOUNTS = (
    Account("free: 5/min, 50/hour, 125/day", _FREE, 4 * 86400 + 3000, heavy_tailed(0.5, 30), starved=True),
    Account("5/min", _FREE[:1], 1830, heavy_tailed(0.5, 30), starved=True),
    Account("5,000/hour", ((5000, 3600),), 3 * 3600 + 1, heavy_tailed(0.5, 30), starved=False),
    Account(
        "100/s, 500 in 8 s, 1500 in 30 s, answers in 10 to 110 ms",
        ((100, 1), (500, 8), (1500, 30)), 130, LATENCY, starved=False,
    ),
)  # fmt: skip


def one_run(peer: Peer, urls: tuple[str, str], account: str, scenario: Scenario, seconds: float) -> dict[str, Any]:
    """Let real processes use an account, and return the figures.

    Redis calls are counted after the first cycle, and not before each worker has had its turn: the first takes a second
    connection, and announces itself on it.
    """
    counted: list[tuple[float, int]] = []
    turns = max(-(-WORKERS // limit) * seconds for limit, seconds in scenario.limits)

    def during(_: Sequence[int]) -> None:
        for pause in (turns, seconds - turns):
            time.sleep(pause)
            counted.append((time.monotonic(), commands.count()))

    with ClientCommands(urls[0]) as commands:
        logs = run(lambda number: peer(*urls, account, scenario.limits), workers=WORKERS, seconds=seconds,
                   latency=LATENCY, during=during, patience_seconds=_PATIENCE_SECONDS)  # fmt: skip
    (began, calls_before), (ended, calls) = counted
    grants = sum(began <= at < ended for log in logs for at in log.grants)
    per_grant = round((calls - calls_before) / max(1, grants), 2)
    return {**summary(logs, scenario.limits, seconds), "redis_calls_per_grant": per_grant}


def summary(logs: Sequence[WorkerLog], limits: Sequence[Limit], seconds: float) -> dict[str, Any]:
    """Return the figures of one run that only the requests tell."""
    arrivals = merged(log.arrivals for log in logs)
    refusals, sent = refused(arrivals, limits), shares(logs)
    return {
        "seconds": seconds,
        "cycles": whole_cycles(limits, seconds - _LAST_SECONDS),
        "requests": len(arrivals),
        "fewest_a_worker": min(sent),
        "refused": refusals,
        "refused_share": round(refusals / max(1, len(arrivals)), 4),
        "used_share": round(used_share(arrivals, limits, seconds - _LAST_SECONDS), 4),
        "fairness_max_over_min": round(max(sent) / max(1, min(sent)), 3),
        "errors": sum(len(log.errors) for log in logs),
    }


def side_by_side(urls: tuple[str, str], peers: dict[str, Peer]) -> list[dict[str, Any]]:
    """Measure every limiter in every scenario, one after the other on the same servers."""
    rows = []
    for scenario in SCENARIOS:
        for name, peer in peers.items():
            seconds = scenario.our_seconds if name == OURS else scenario.seconds
            account = f"{name}-{scenario.name}".replace(" ", "")
            found = one_run(peer, urls, account, scenario, seconds)
            rows.append({"scenario": scenario.name, "limiter": name, **found})
            print(rows[-1], flush=True)
    return rows


def starved(urls: tuple[str, str]) -> dict[str, Any]:
    """Measure 16 workers that wait for most of the time, and what is left of a line whose waiters died."""
    found = {
        "starved": {"windows": STARVED.name, **one_run(PEERS[OURS], urls, "starved", STARVED, STARVED.seconds)},
        "dead": waiters.dead(*urls),
    }
    print(found, flush=True)
    return found


def simulated(redis_url: str) -> list[dict[str, Any]]:
    """Simulate the accounts, on a clock of their own."""
    rows = []
    with connect(redis_url, timeout_seconds=30.0) as client:
        for number, account in enumerate(ACCOUNTS):
            result = simulate(client, account.limits, workers=WORKERS, seconds=account.seconds,
                              latency=account.latency, seed=number)  # fmt: skip
            rows.append({"account": account.name, "workers": WORKERS, "starved": account.starved, **result})
            print(rows[-1], flush=True)
    return rows


def faults(rest_seconds: float) -> list[dict[str, Any]]:
    """Measure every fault; a recovery that was not awaited is None."""
    rows = []
    for fault in limiter_faults.FAULTS:
        figures = asdict(limiter_faults.measure(fault, rest_seconds=rest_seconds, durable=True))
        if math.isinf(figures["recovery_seconds"]):
            figures["recovery_seconds"] = None
        rows.append({**figures, "fault": figures["fault"].replace("_", " ")})
        print(figures, flush=True)
    return rows


@contextlib.contextmanager
def servers(quota: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """A Redis and a migrated, durable Postgres for one experiment: their URLs; says in `quota` how durable."""
    with RedisServer() as redis_server, PostgresServer(durable=True) as postgres_server:
        quota["postgres"] = durability(postgres_server)
        database = Database(postgres_server.url)
        database.migrate()
        database.close()
        yield redis_server.url, postgres_server.url


def headline(quota: dict[str, Any]) -> dict[str, Any]:
    """Pick the few figures that say whether all is well, from those that were measured, now or before.

    Each is the worst of all places where it was measured.
    """
    flat: dict[str, Any] = {}
    mine = [row for row in quota.get("peers", []) if row["limiter"] == OURS]
    alone = [quota["waiters"]["starved"]] if "waiters" in quota else []
    simulations = quota.get("simulated", [])
    runs = [*mine, *alone, *simulations]
    if runs:
        flat["refused"] = sum(row["refused"] for row in runs)
        flat["used_share"] = min(row["used_share"] for row in runs)
    if mine:
        flat["redis_calls_per_grant_busy"] = max(row["redis_calls_per_grant"] for row in mine)
        # Shares of a short run say little.
        flat["fairness_max_over_min"] = max(mine, key=lambda row: row["requests"])["fairness_max_over_min"]
    if waiting := [*alone, *(row for row in simulations if row["starved"])]:
        flat["redis_calls_per_grant_starved"] = max(row["redis_calls_per_grant"] for row in waiting)
    if "permit" in quota:
        near, now = quota["permit"]["distances"][0], quota["permit"]["sent"][1]
        flat["postgres_statements_per_permit"] = now["postgres_round_trips"]
        flat["redis_calls_per_permit"] = now["redis_calls"]
        flat["permit_ms_p50"] = near["now_p50_ms"]
        flat["permit_vs_before"] = near["p50_vs_before"]
        flat["permit_ms_p50_at_20_ms"] = quota["permit"]["distances"][1]["now_p50_ms"]
    if "cost" in quota:
        flat["acquire_vs_noop"] = quota["cost"]["acquire_vs_noop"]
    if "faults" in quota:
        flat["over_issue"] = sum(row["over_issue"] for row in quota["faults"])
        # While Postgres is down nothing may be granted, so those gaps are as long as the fault.
        flat["worst_gap_seconds"] = max(
            row["gap_seconds"] for row in quota["faults"] if row["fault"] not in ("postgres killed", "postgres hangs")
        )
    if "waiters" in quota:
        flat["dead_waiters_cost_seconds"] = quota["waiters"]["dead"]["late_seconds"]
    return flat


def main() -> None:
    """Measure what was asked for and write it down."""
    options = _options()
    parts = [part for part in PARTS if part in options.only] if options.only else list(PARTS[:-1])
    if "permit" in parts and not (options.before and options.before.is_dir()):
        raise SystemExit("--before names no checkout of an older version; `make bench-limiter` makes one")
    quota: dict[str, Any] = {"measured": report.measured_now()}
    measure: dict[str, Callable[[], Any]] = {
        "cost": lambda: _with_servers(quota, _cost),
        "permit": lambda: limiter_permit.measure(options.before),
        "peers": lambda: _with_servers(quota, lambda urls: side_by_side(urls, PEERS)),
        "waiters": lambda: _with_servers(quota, starved),
        "simulation": lambda: _with_servers(quota, lambda urls: simulated(urls[0])),
        # With the time before the fault five whole seconds, so that the end cuts no burst in two.
        "faults": lambda: faults(rest_seconds=5.0 - limiter_faults.FAULT_AT_SECONDS),
        "long": lambda: _with_servers(quota, _long),
    }
    for part in parts:
        began = time.monotonic()
        quota["simulated" if part == "simulation" else part] = measure[part]()
        print(f"{part}: {time.monotonic() - began:.0f} s", flush=True)
        # Part by part, so that one that fails does not take the others with it.
        report.write("quota", quota, headline)


def _with_servers(quota: dict[str, Any], experiment: Callable[[tuple[str, str]], Any]) -> Any:
    with servers(quota) as urls:
        return experiment(urls)


def _cost(urls: tuple[str, str]) -> dict[str, Any]:
    database = Database(urls[1])
    try:
        return limiter_cost.measure(urls[0], database)
    finally:
        database.close()


def _long(urls: tuple[str, str]) -> dict[str, Any]:
    return {"windows": LONG.name, **one_run(PEERS[OURS], urls, "long", LONG, LONG.seconds)}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure the quota limiter.")
    parser.add_argument("--only", nargs="+", choices=PARTS, help="these parts; otherwise all but the long run")
    parser.add_argument("--before", type=Path, help="a checkout of the version to compare with")
    return parser.parse_args()


if __name__ == "__main__":
    main()
