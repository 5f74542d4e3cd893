"""The truth that limiters are measured against: the server's own sliding log, replayed over what was really sent.

Belongs here: pure functions over arrival times. Does not belong here: sending anything.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

#: At most so many requests in so many seconds.
Limit = tuple[int, float]


@dataclass
class SlidingLog:
    """A server with several windows: it admits a request iff every window holds fewer admitted ones than its limit."""

    limits: Sequence[Limit]
    _logs: list[deque[float]] = field(init=False)

    def __post_init__(self) -> None:
        self._logs = [deque() for _ in self.limits]

    def admit(self, at: float) -> bool:
        """Decide about a request that arrives at `at` seconds, not before any earlier one; log it if admitted."""
        for (_, seconds), log in zip(self.limits, self._logs, strict=True):
            while log and log[0] <= at - seconds:
                log.popleft()
        if any(len(log) >= limit for (limit, _), log in zip(self.limits, self._logs, strict=True)):
            return False
        for log in self._logs:
            log.append(at)
        return True

    def free_at(self, at: float) -> float:
        """The first moment from `at` on at which a request would be admitted."""
        for (limit, seconds), log in zip(self.limits, self._logs, strict=True):
            if len(log) >= limit:
                at = max(at, log[-limit] + seconds)
        return at


def refused(arrivals: Iterable[float], limits: Sequence[Limit]) -> int:
    """How many of the arrivals the server would have refused."""
    server = SlidingLog(limits)
    return sum(not server.admit(at) for at in sorted(arrivals))


def ideal(limits: Sequence[Limit], seconds: float) -> int:
    """How many requests a sender that knows the server's log could have got admitted in the first `seconds`."""
    server, at, count = SlidingLog(limits), 0.0, 0
    while (at := server.free_at(at)) < seconds:
        # Rounding may leave the oldest entry a hair too young at the very moment at which it ages out.
        while not server.admit(at):
            at += 1e-6
        count += 1
    return count


def merged(lists: Iterable[Sequence[float]]) -> list[float]:
    """Several sorted lists as one."""
    return list(heapq.merge(*lists))
