"""A round of chaos: a backfill in a storm, then calm and the retries, then the verdict.

Belongs here: the order of a round. Does not belong here: what goes wrong (`storm.py`), what is judged (`verdict.py`).
"""

from __future__ import annotations

import random
import time
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psycopg

from courtlistener_assets.assets.download_config import DownloadConfig
from courtlistener_assets.partitions import CourtMonth
from courtlistener_assets.sensors import retry_request
from courtlistener_assets.simulator import Account, Simulator, expected, generate
from courtlistener_assets.simulator.expected import months_between
from courtlistener_assets.streams import STREAMS
from courtlistener_assets.sweep import Sweeper
from resources.permits import Lane
from resources.postgres import Database
from resources.records import RecordStore
from resources.services import PostgresServer, RedisServer
from tests.chaos.storm import WORKERS, Storm, faults
from tests.chaos.verdict import Verdict, judge
from tests.chaos.worker import Addresses, tools

COURTS = ("scotus", "ca9", "nysd")
FIRST_MONTH = "2024-01"
RATES = "60/1s,900/20s"


@dataclass(frozen=True)
class Size:
    """How large a round is: months of each court, and workers killed."""

    last_month: str = "2024-06"
    corpus: float = 2.0
    kills: int = 30
    pause_seconds: float = 0.15


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


def run_round(seed: int, size: Size, postgres: PostgresServer, redis: RedisServer) -> RoundResult:
    """One round on servers that the caller started; they are running again when it ends. Raises StormTooLong."""
    started = time.monotonic()
    rng = random.Random(seed)
    corpus = generate(seed, size.corpus, last_month=size.last_month)
    wanted = expected(corpus, COURTS, FIRST_MONTH, size.last_month)["ids"]
    partitions = [f"{court}|{month}-01" for court in COURTS for month in months_between(FIRST_MONTH, size.last_month)]
    account = Account("chaos", "chaos-token", RATES)
    redis.restart(empty=True)
    with Simulator(corpus, [account], latency="uniform:0.005,0.05", seed=seed) as simulator:
        addresses = Addresses(simulator.url, _new_database(postgres, seed), redis.url, RATES, "chaos-token")
        database = Database(addresses.postgres_url, max_connections=2)
        try:
            database.migrate()
            RecordStore(database).prepare([table for stream in STREAMS for table in stream.stores])
            for fault in faults(wanted, rng):
                simulator.faults.add(fault)
            storm = Storm(addresses, partitions, redis, postgres, rng)
            storm.rage(size.kills, pause_seconds=size.pause_seconds)
            injected = storm.counts + Counter({f"fault {kind}": n for kind, n in simulator.summary()["faults"].items()})
            simulator.faults.clear()
            retry_failures(addresses)
            allowed = storm.counts["worker"] + WORKERS * storm.counts["postgres crashes"]
            verdict = judge(simulator, database, wanted, allowed)
        finally:
            database.close()
    return RoundResult(seed, injected, verdict, time.monotonic() - started)


def retry_failures(addresses: Addresses) -> None:
    """What the retry sensor and its runs do, as if every delay had passed."""
    with tools(addresses, Lane.PRIORITY) as (client, store, books):
        while claims := books.failed.claim_due(now=datetime.now(UTC) + timedelta(days=30)):
            for claim in claims:
                ops = retry_request(claim).run_config["ops"]
                for stream in (stream for stream in STREAMS if stream.name in ops):
                    config = DownloadConfig(**ops[stream.name]["config"])
                    sweeper = Sweeper(client, store, f"retry-{claim.id}", everything=True)
                    for sweep in config.sweeps(stream):
                        sweeper.walk(stream, sweep, CourtMonth.parse(claim.partition))
                    books.failed.acknowledge(claim.id, stream.name)


def _new_database(postgres: PostgresServer, seed: int) -> str:
    name = f"chaos_{seed}_{time.time_ns()}"
    root = postgres.url.rsplit("/", 1)[0]
    with psycopg.connect(f"{root}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    return f"{root}/{name}"
