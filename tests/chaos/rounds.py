"""A round of chaos: a backfill in a storm, then calm and the retries, then the verdict.

Belongs here: the order of a round. Does not belong here: what goes wrong (`storm.py`), what is judged (`verdict.py`).
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import psycopg

from courtlistener_assets.devkit.servers.postgres_server import PostgresServer
from courtlistener_assets.devkit.servers.redis_server import RedisServer
from courtlistener_assets.devkit.simulator.accounts import Account
from courtlistener_assets.devkit.simulator.expected import expected, months_between
from courtlistener_assets.devkit.simulator.generator import generate
from courtlistener_assets.devkit.simulator.server import Simulator
from courtlistener_assets.download.choice import chosen
from resources.connections.postgres import Database
from resources.records.store import RecordStore
from tests.chaos.backfill import Addresses, Backfill
from tests.chaos.storm import Storm, faults
from tests.chaos.sweepers import Sweepers
from tests.chaos.verdict import Verdict, judge

COURTS = ("scotus", "ca9", "nysd")
FIRST_MONTH = "2024-01"


@dataclass(frozen=True)
class Size:
    """How large a round is: months of each court, workers killed, and endpoints with an object that breaks pages."""

    last_month: str = "2024-06"
    corpus: float = 2.0
    kills: int = 30
    pause_seconds: float = 0.15
    poisoned: Sequence[str] = ("dockets", "opinions")


#: With Dagster a worker takes seconds to start, and a bad object minutes: all pauses between attempts are real.
SIZE_WITH_DAGSTER = Size(last_month="2024-03", kills=10, pause_seconds=1.5, poisoned=["opinions"])


@dataclass(frozen=True)
class RoundResult:
    """What was injected into a round, and what came out."""

    seed: int
    injected: Counter[str]
    verdict: Verdict
    seconds: float

    def __str__(self) -> str:
        struck = ", ".join(f"{count} x {what}" for what, count in sorted(self.injected.items()))
        return f"seed {self.seed}: injected {struck}; came out: {self.verdict}; {self.seconds:.0f} s"


def run_round(
    seed: int, size: Size, postgres: PostgresServer, redis: RedisServer, kind: type[Backfill] = Sweepers
) -> RoundResult:
    """One round on servers that the caller started; they are running again when it ends. Raises StormTooLong."""
    started = time.monotonic()
    rng = random.Random(seed)
    corpus = generate(seed, size.corpus, last_month=size.last_month)
    wanted = expected(corpus, COURTS, FIRST_MONTH, size.last_month)["ids"]
    partitions = [f"{court}|{month}-01" for court in COURTS for month in months_between(FIRST_MONTH, size.last_month)]
    account = Account("chaos", "chaos-token", kind.rates)
    redis.restart(empty=True)
    with Simulator(corpus, [account], latency=kind.latency, seed=seed) as simulator:
        addresses = Addresses(simulator.url, _new_database(postgres, seed), redis.url, kind.rates, "chaos-token")
        database = Database(addresses.postgres_url, max_connections=2)
        try:
            database.migrate()
            RecordStore(database).prepare([table for stream in chosen() for table in stream.stores])
            for fault in faults(wanted, size.poisoned, rng):
                simulator.faults.add(fault)
            with kind(addresses, partitions) as backfill:
                storm = Storm(backfill, redis, postgres, rng)
                storm.rage(size.kills, pause_seconds=size.pause_seconds)
                struck = {f"fault {kind}": count for kind, count in simulator.summary()["faults"].items()}
                simulator.faults.clear()
                backfill.finish()
            deaths = storm.counts["worker"] + kind.workers * storm.counts["postgres crashes"]
            verdict = judge(simulator, database, wanted, deaths * kind.pages_in_flight)
        finally:
            database.close()
    injected = storm.counts + backfill.counts + Counter(struck)
    return RoundResult(seed, injected, verdict, time.monotonic() - started)


def _new_database(postgres: PostgresServer, seed: int) -> str:
    name = f"chaos_{seed}_{time.time_ns()}"
    root = postgres.url.rsplit("/", 1)[0]
    with psycopg.connect(f"{root}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    return f"{root}/{name}"
