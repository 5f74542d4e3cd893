"""Days of quota in seconds: the real script in a real Redis, on a simulated clock.

Belongs here: a discrete-event simulation of workers. Does not belong here: real time or real processes.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import redis

from bench.limiter.judge import Limit, SlidingLog, ideal
from bench.limiter.workers import Latency
from resources.connections.redis_keys import RedisKeys
from resources.quota.permits import Lane, LedgerState, Outcome, Permit, QuotaWindow, Wait, Window
from resources.quota.redis_ledger import RedisLedger

_START_US = 1_700_000_000_000_000


@dataclass(frozen=True)
class Simulated:
    """What happened in `seconds` of simulated time."""

    requests: int
    refused: int
    ideal: int
    redis_calls_per_grant: float

    @property
    def used_share(self) -> float:
        return round(self.requests / self.ideal, 4)


def simulate(
    client: redis.Redis, limits: Sequence[Limit], *, workers: int, seconds: float, latency: Latency, seed: int = 1
) -> Simulated:
    """Let `workers` greedy workers use an account for `seconds`."""
    return _Simulation(client, limits, workers, latency, seed).run(seconds)


class _Simulation:
    def __init__(self, client: redis.Redis, limits: Sequence[Limit], workers: int, latency: Latency, seed: int) -> None:
        self._limits = limits
        self._now_us = _START_US
        self._rng = random.Random(seed)
        self._latency = latency
        self._ledger = RedisLedger(
            client,
            f"simulated{seed}",
            permit_ttl_seconds=600,
            keys=RedisKeys("simulation"),
            clock_us=lambda: self._now_us,
        )
        windows = tuple(QuotaWindow(Window(limit, int(per))) for limit, per in limits)
        self._ledger.load(LedgerState(1, windows))
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._number = 0
        self._arrivals: list[float] = []
        self._calls = 0
        self._requests = 0
        for _ in range(workers):
            self._at(self._now_us + self._rng.randrange(1_000_000), self._begin)

    def _at(self, when_us: int, what: Callable[[], None]) -> None:
        self._number += 1
        heapq.heappush(self._events, (when_us, self._number, what))

    def _begin(self) -> None:
        self._requests += 1
        self._ask(f"r{self._requests}")

    def _ask(self, name: str) -> None:
        self._calls += 1
        answer = self._ledger.acquire([name], Lane.BACKFILL)
        if isinstance(answer, Wait):
            self._at(self._now_us + answer.wait_ms * 1000 + self._rng.randrange(200, 1500), lambda: self._ask(name))
            return
        assert isinstance(answer, tuple), answer
        (permit,) = answer
        latency_us = round(self._latency(self._rng) * 1_000_000)
        self._arrivals.append((self._now_us + self._rng.randrange(latency_us + 1) - _START_US) / 1e6)
        self._at(self._now_us + latency_us, lambda: self._answered(permit))

    def _answered(self, permit: Permit) -> None:
        self._calls += 1
        self._ledger.settle(permit, Outcome.COUNTED)
        self._begin()

    def run(self, seconds: float) -> Simulated:
        end_us = _START_US + round(seconds * 1_000_000)
        while self._events and self._events[0][0] < end_us:
            self._now_us, _, what = heapq.heappop(self._events)
            what()
        server = SlidingLog(self._limits)
        refused = sum(not server.admit(at) for at in sorted(self._arrivals))
        return Simulated(
            requests=len(self._arrivals),
            refused=refused,
            ideal=ideal(self._limits, seconds),
            redis_calls_per_grant=round(self._calls / max(1, len(self._arrivals)), 2),
        )
