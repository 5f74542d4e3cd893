"""Many waiters for little quota, with all of the limiter: what waiting costs Redis, and what waiters that died cost.

Belongs here: experiments in real time, whose windows are seconds. Does not belong here: days (`simulation.py`).
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

from bench.limiter.judge import Limit
from bench.limiter.peers import ours
from bench.limiter.workers import Acquire, WorkerLog, run, uniform
from resources.errors import CourtListenerAssetsError

WAITERS = 16
LIMITS: tuple[Limit, ...] = ((5, 6),)
_LATENCY = uniform(0.010, 0.110)
#: When the waiters are killed, and when the one that they leave behind asks.
_KILLED_AT_SECONDS, _ASKS_AT_SECONDS = 1.5, 2.0
_PATIENCE_SECONDS = 90.0


def dead(redis_url: str, postgres_url: str) -> dict[str, Any]:
    """Kill all waiters in line, and let another one ask: how much later it gets a permit than the server has room."""

    def connect(number: int) -> Acquire:
        acquire = ours(redis_url, postgres_url, "dead", LIMITS)
        return acquire if number < WAITERS else _after(_ASKS_AT_SECONDS, acquire)

    def during(pids: Sequence[int]) -> None:
        time.sleep(_KILLED_AT_SECONDS)
        for pid in pids[:WAITERS]:
            os.kill(pid, signal.SIGKILL)

    # The survivor asks in the time of the run, even if its process takes long to begin, and waits after it.
    logs = run(connect, workers=WAITERS + 1, seconds=_ASKS_AT_SECONDS + 3, latency=_LATENCY, during=during,
               patience_seconds=_PATIENCE_SECONDS)  # fmt: skip
    return {"waiters": WAITERS, "late_seconds": late_seconds(logs[:WAITERS], logs[WAITERS], LIMITS)}


def late_seconds(killed: Sequence[WorkerLog], survivor: WorkerLog, limits: Sequence[Limit]) -> float:
    """Return how long after the server had room again the survivor was granted, or had waited when it was killed."""
    arrivals = sorted(at for log in killed for at in log.arrivals)
    room_at = max(arrivals[-limit] + seconds for limit, seconds in limits)
    return round(survivor.grants[0] - room_at, 2) if survivor.grants else _PATIENCE_SECONDS


def _after(seconds: float, acquire: Acquire) -> Callable[[], AbstractContextManager[str]]:
    """The same, but it asks later, and again if it gets an error instead of a permit."""

    @contextmanager
    def late() -> Iterator[str]:
        time.sleep(seconds)
        with ExitStack() as stack:
            holder = ""
            while not holder:
                try:
                    holder = stack.enter_context(acquire())
                except CourtListenerAssetsError as error:
                    print(f"the survivor: {error}", flush=True)
            yield holder

    return late
