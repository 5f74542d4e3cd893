"""Days of quota in seconds: the real script in a real Redis, on a simulated clock.

Belongs here: a discrete-event simulation of workers. Does not belong here: real time or real processes.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Sequence
from typing import Any

import redis

from bench.limiter.judge import Limit, ideal, refused, windows_of
from bench.limiter.workers import Latency
from resources.connections.redis_keys import RedisKeys
from resources.quota.permits import Lane, LedgerState, Outcome, Permit, QuotaWindow, Wait
from resources.quota.redis_ledger import RedisLedger

_START_US = 1_700_000_000_000_000


def simulate(
    client: redis.Redis, limits: Sequence[Limit], *, workers: int, seconds: float, latency: Latency, seed: int
) -> dict[str, Any]:
    """Let `workers` greedy workers use an account for `seconds` of simulated time, and return the figures."""
    simulation = _Simulation(client, limits, workers, latency, seed)
    simulation.run(seconds)
    arrivals = simulation.arrivals
    return {
        "requests": len(arrivals),
        "refused": refused(arrivals, limits),
        "used_share": round(len(arrivals) / ideal(limits, seconds), 4),
        "redis_calls_per_grant": round(simulation.calls / max(1, len(arrivals)), 2),
    }


class _Simulation:
    def __init__(self, client: redis.Redis, limits: Sequence[Limit], workers: int, latency: Latency, seed: int) -> None:
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
        self._ledger.load(LedgerState(1, tuple(map(QuotaWindow, windows_of(limits)))))
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._number = 0
        self.arrivals: list[float] = []
        self.calls = 0
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
        self.calls += 1
        answer = self._ledger.acquire([name], Lane.BACKFILL)
        if isinstance(answer, Wait):
            self._at(self._now_us + answer.wait_ms * 1000 + self._rng.randrange(200, 1500), lambda: self._ask(name))
            return
        assert isinstance(answer, tuple), answer
        (permit,) = answer
        latency_us = round(self._latency(self._rng) * 1_000_000)
        self.arrivals.append((self._now_us + self._rng.randrange(latency_us + 1) - _START_US) / 1e6)
        self._at(self._now_us + latency_us, lambda: self._answered(permit))

    def _answered(self, permit: Permit) -> None:
        self.calls += 1
        self._ledger.settle(permit, Outcome.COUNTED)
        self._begin()

    def run(self, seconds: float) -> None:
        end_us = _START_US + round(seconds * 1_000_000)
        while self._events and self._events[0][0] < end_us:
            self._now_us, _, what = heapq.heappop(self._events)
            what()
