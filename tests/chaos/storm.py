"""The storm: workers are killed, Redis dies, loses its data or is paused, Postgres crashes, the server misbehaves.

Belongs here: what goes wrong, in an order that a seed decides. Does not belong here: judging (`verdict.py`).
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Sequence

import redis

from courtlistener_assets.devkit.servers.postgres_server import PostgresServer
from courtlistener_assets.devkit.servers.redis_server import RedisServer
from courtlistener_assets.devkit.simulator.faults import Fault
from tests.chaos.backfill import Backfill

#: Chance of each kind of fault, a request.
FAULTS = {"500": 0.01, "502": 0.005, "503": 0.005, "html": 0.005, "empty": 0.005, "cut": 0.01, "reset_after": 0.01,
          "reset_before": 0.01}  # fmt: skip


class StormTooLong(AssertionError):
    """The workers did not finish: something hangs."""


def faults(wanted: dict[str, list[int]], poisoned: Sequence[str], rng: random.Random) -> list[Fault]:
    """The server's faults, and for each of the endpoints `poisoned` one object that breaks every page that shows it."""
    return [
        *(Fault(kind, probability=chance) for kind, chance in FAULTS.items()),
        *(Fault("poison", endpoint=name, object_id=rng.choice(wanted[name])) for name in poisoned),
    ]


class Storm:
    """Lets things go wrong while a backfill is at work; `counts` says what did."""

    def __init__(self, backfill: Backfill, redis: RedisServer, postgres: PostgresServer, rng: random.Random) -> None:
        self.counts: Counter[str] = Counter()
        self._backfill, self._redis, self._postgres, self._rng = backfill, redis, postgres, rng

    def rage(self, kills: int, *, pause_seconds: float) -> None:
        """Let everything happen, about one thing every `pause_seconds`, until the backfill is done.

        Raises StormTooLong.
        """
        events = ["worker"] * kills + ["redis dies", "redis dies empty", "redis flushed", "redis paused"] * 2
        events.append("postgres crashes")
        self._rng.shuffle(events)
        deadline = time.monotonic() + self._backfill.deadline_seconds
        while self._backfill.look_after():
            if time.monotonic() > deadline:
                raise StormTooLong("workers are still at work")
            time.sleep(pause_seconds * self._rng.uniform(0.5, 1.5))
            if events and self._strike(events[-1]):
                self.counts[events.pop()] += 1

    def _strike(self, event: str) -> bool:
        if event == "worker":
            return self._backfill.kill_one(self._rng)
        if event == "redis flushed":
            with redis.Redis.from_url(self._redis.url) as client:
                client.flushall()
        elif event == "redis paused":
            self._redis.pause()
            time.sleep(0.6)
            self._redis.resume()
        elif event == "postgres crashes":
            self._postgres.kill()
            self._postgres.restart()
        else:
            self._redis.kill()
            time.sleep(self._rng.uniform(0.0, 0.5))
            self._redis.restart(empty=event == "redis dies empty")
        return True
