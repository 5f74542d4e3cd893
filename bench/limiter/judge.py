"""The truth that limiters are measured against: the server's own sliding log, replayed over what was really sent.

Belongs here: pure functions over arrival times. Does not belong here: sending anything.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence

from courtlistener_assets.devkit.simulator.throttle import MICROSECONDS, SlidingLog
from resources.quota.permits import Window

#: At most so many requests in so many seconds.
Limit = tuple[int, int]


def windows_of(limits: Sequence[Limit]) -> tuple[Window, ...]:
    """Return the limits as the project's own windows."""
    return tuple(Window(limit, seconds) for limit, seconds in limits)


def refused(arrivals: Iterable[float], limits: Sequence[Limit]) -> int:
    """Count the arrivals that the server would have refused."""
    server = SlidingLog(windows_of(limits))
    return sum(server.admit(round(at * MICROSECONDS)) is not None for at in sorted(arrivals))


def ideal(limits: Sequence[Limit], seconds: float) -> int:
    """Count the requests that a sender who knows the server's log could get admitted in the first `seconds`."""
    server, at_seconds, count = SlidingLog(windows_of(limits)), 0, 0
    while at_seconds < seconds:
        refusal = server.admit(at_seconds * MICROSECONDS)
        # Whole seconds are exact: all that was admitted before was admitted at one.
        at_seconds += (refusal.retry_after_seconds or 0) if refusal else 0
        count += refusal is None
    return count


def merged(lists: Iterable[Sequence[float]]) -> list[float]:
    """Return several sorted lists as one."""
    return list(heapq.merge(*lists))
