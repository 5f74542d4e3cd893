"""What a whole permit costs, acquire and settle, beside an older version of the project in the same run.

Belongs here: two workers that take turns on equal servers, at no and at some distance to Postgres, and what they send.
Does not belong here: what the worker does (`permit_worker.py`), or the parts of a permit (`cost.py`).

Times are taken without anything between worker and servers; round trips are counted where they pass.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from bench.limiter.durability import durability
from bench.limiter.forwarder import Forwarder
from bench.limiter.monitor import ClientCommands
from courtlistener_assets.devkit.servers.postgres_server import PostgresServer
from courtlistener_assets.devkit.servers.redis_server import RedisServer

_SCRIPT = Path(__file__).with_name("permit_worker.py")
#: The checkout that this file belongs to.
_NOW = Path(__file__).parents[2]
#: The round trip to Postgres in the second measurement.
DISTANCE_MS = 20
#: Without TLS the messages can be counted.
_PLAIN = "?sslmode=disable&gssencmode=disable"
#: Permits that are not measured: connections are made, scripts loaded, plans cached.
_WARM_UP = 12
#: What a version may still have to do after the last permit: a settle need not be waited for.
_SETTLED_AFTER_SECONDS = 1.0


@dataclass
class _Version:
    """One version of the project with its own Redis and its own database on the common Postgres."""

    name: str
    tree: Path
    redis_url: str
    postgres_port: int
    #: Milliseconds of acquire and settle of each permit.
    times: list[tuple[float, float]] = field(default_factory=list)

    def postgres_url(self, port: int | None = None) -> str:
        return f"postgresql://courtlistener@127.0.0.1:{port or self.postgres_port}/{self.name}{_PLAIN}"

    @contextlib.contextmanager
    def working(self, postgres_url: str) -> Iterator[_Worker]:
        """A process with this version's code, warm."""
        self.times = []
        environment = {**os.environ, "PYTHONPATH": str(self.tree)}
        command = [sys.executable, "-P", str(_SCRIPT), self.redis_url, postgres_url]
        with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            worker = _Worker(self.name, process)
            code = Path(str(worker.answer()))
            if not code.is_relative_to(self.tree):
                raise RuntimeError(f"the worker of {self.tree} runs {code}")
            worker.take(_WARM_UP)
            yield worker


@dataclass
class _Worker:
    name: str
    process: subprocess.Popen[bytes]

    def answer(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the worker has ended: {self.name}")
        return json.loads(line)

    def take(self, permits: int) -> list[tuple[float, float]]:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{permits}\n".encode())
        self.process.stdin.flush()
        return [(acquire, settle) for acquire, settle in self.answer()]


def measure(before: Path, *, rounds: int = 60, far_rounds: int = 12) -> dict[str, Any]:
    """Compare this version with the checkout `before`."""
    with PostgresServer(durable=True) as postgres, RedisServer() as one, RedisServer() as other:
        versions = []
        for name, tree, server in (("before", before.resolve(), one), ("now", _NOW, other)):
            with psycopg.connect(postgres.url, autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE {name}".encode())
            versions.append(_Version(name, tree, server.url, postgres.port))
        return {
            "before": before.name,
            "postgres": durability(postgres),
            "distances": [_near(versions, rounds), _far(versions, far_rounds)],
            "sent": [{"version": version.name, **_sent_by(version, 10 * rounds)} for version in versions],
            "unsettled": sum(map(_unsettled, versions)),
        }


def _near(versions: Sequence[_Version], rounds: int) -> dict[str, Any]:
    with contextlib.ExitStack() as stack:
        workers = [stack.enter_context(version.working(version.postgres_url())) for version in versions]
        _take_turns(versions, workers, rounds, permits=25)
        time.sleep(_SETTLED_AFTER_SECONDS)
    return {"distance_ms": 0, **compared(versions[0].times, versions[1].times)}


def _far(versions: Sequence[_Version], rounds: int) -> dict[str, Any]:
    with contextlib.ExitStack() as stack:
        workers = []
        for version in versions:
            door = Forwarder(version.postgres_port, delay_seconds=DISTANCE_MS / 2000)
            stack.callback(door.close)
            workers.append(stack.enter_context(version.working(version.postgres_url(door.port))))
        _take_turns(versions, workers, rounds, permits=5)
        time.sleep(_SETTLED_AFTER_SECONDS)
    return {"distance_ms": DISTANCE_MS, **compared(versions[0].times, versions[1].times)}


def _sent_by(version: _Version, permits: int) -> dict[str, float]:
    """What a version sends for a permit, when it takes them so fast that what it does now and then hardly counts."""
    with contextlib.ExitStack() as stack:
        door = Forwarder(version.postgres_port, postgres=True)
        stack.callback(door.close)
        monitor = stack.enter_context(ClientCommands(version.redis_url))
        worker = stack.enter_context(version.working(version.postgres_url(door.port)))

        def counts() -> tuple[int, int, int]:
            time.sleep(_SETTLED_AFTER_SECONDS)
            return door.round_trips, door.statements, monitor.count()

        began = counts()
        worker.take(permits)
        ended = counts()
    names = ("postgres_round_trips", "postgres_statements", "redis_calls")
    return {name: round((b - a) / permits, 2) for name, a, b in zip(names, began, ended, strict=True)}


def _take_turns(versions: Sequence[_Version], workers: Sequence[_Worker], rounds: int, permits: int) -> None:
    """Each round one after the other, and the other way round in the next, so that a drift hits both alike."""
    pairs = list(zip(versions, workers, strict=True))
    for number in range(rounds):
        for version, worker in pairs if number % 2 else reversed(pairs):
            version.times += worker.take(permits)


def compared(before: Sequence[tuple[float, float]], now: Sequence[tuple[float, float]]) -> dict[str, Any]:
    """Return the figures of two versions: milliseconds of acquire and settle together, and their ratios."""
    figures: dict[str, Any] = {"permits": len(now)}
    for name, times in (("before", before), ("now", now)):
        whole = [acquire + settle for acquire, settle in times]
        figures[f"{name}_p50_ms"] = round(statistics.median(whole), 3)
        figures[f"{name}_p95_ms"] = round(statistics.quantiles(whole, n=20)[18], 3)
        figures[f"{name}_acquire_p50_ms"] = round(statistics.median(acquire for acquire, _ in times), 3)
    for part in ("p50", "p95"):
        figures[f"{part}_vs_before"] = round(figures[f"now_{part}_ms"] / figures[f"before_{part}_ms"], 3)
    return figures


def _unsettled(version: _Version) -> int:
    """How many permits the journal still takes for requests under way, though all have been settled."""
    with psycopg.connect(version.postgres_url()) as connection:
        found = connection.execute("SELECT count(*) FROM courtlistener.permits WHERE settled_at IS NULL").fetchone()
    return int(found[0]) if found else 0
