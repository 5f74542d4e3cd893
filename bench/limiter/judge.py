"""The truth that limiters are measured against: the server's own sliding log, replayed over what was really sent.

Belongs here: pure functions over arrival times. Does not belong here: sending anything.
"""

from __future__ import annotations

import bisect
import heapq
from collections.abc import Iterable, Sequence

from courtlistener_assets.devkit.simulator.throttle import MICROSECONDS, SlidingLog
from resources.quota.permits import Window

#: At most so many requests in so many seconds.
Limit = tuple[int, int]
#: At how many moments of the second cycle the spans of `used_share` begin.
_PHASES = 64


def windows_of(limits: Sequence[Limit]) -> tuple[Window, ...]:
    """Return the limits as the project's own windows."""
    return tuple(Window(limit, seconds) for limit, seconds in limits)


def admitted(arrivals: Iterable[float], limits: Sequence[Limit]) -> list[float]:
    """Return the arrivals that the server would have admitted, in order."""
    server = SlidingLog(windows_of(limits))
    return [at for at in sorted(arrivals) if server.admit(round(at * MICROSECONDS)) is None]


def refused(arrivals: Sequence[float], limits: Sequence[Limit]) -> int:
    """Count the arrivals that the server would have refused."""
    return len(arrivals) - len(admitted(arrivals, limits))


def ideal_arrivals(limits: Sequence[Limit], seconds: float) -> list[int]:
    """Return when, in the first `seconds`, a sender who knows the server's log would send; all are whole seconds."""
    server, at_seconds, arrivals = SlidingLog(windows_of(limits)), 0, []
    while at_seconds < seconds:
        refusal = server.admit(at_seconds * MICROSECONDS)
        # Whole seconds are exact: all that was admitted before was admitted at one.
        if refusal:
            at_seconds += refusal.retry_after_seconds or 0
        else:
            arrivals.append(at_seconds)
    return arrivals


def ideal(limits: Sequence[Limit], seconds: float) -> int:
    """Count the requests that a sender who knows the server's log could get admitted in the first `seconds`."""
    return len(ideal_arrivals(limits, seconds))


def whole_cycles(limits: Sequence[Limit], seconds: float) -> int:
    """How many cycles of the longest window `used_share` can measure in a run: the first two only choose where."""
    return int(seconds // longest(limits)) - 2


def longest(limits: Sequence[Limit]) -> int:
    """Return the seconds of the longest window."""
    return max(seconds for _, seconds in limits)


def used_share(arrivals: Sequence[float], limits: Sequence[Limit], seconds: float) -> float:
    """Return the share of the quota that was used: what the server admitted, of what it would have admitted.

    `seconds` is how long the workers were greedy, from the first arrival. Every limiter can use the whole quota once,
    from an empty log, and one whose cycle is too long looks perfect in a run that ends with a full burst. So the first
    cycle does not count, and a span of whole cycles is laid at many moments of the second one; the mean is the rate at
    which quota is used, whatever the phase of either. Raises ValueError for a run of less than three cycles.
    """
    cycle, cycles = longest(limits), whole_cycles(limits, seconds)
    if cycles < 1:
        raise ValueError(f"{seconds:g} s are less than three cycles of {cycle} s")
    good = admitted(arrivals, limits)
    begins = [cycle * (1 + (phase + 0.5) / _PHASES) for phase in range(_PHASES)]

    def total(times: Sequence[float], start: float) -> int:
        return sum(
            bisect.bisect_left(times, start + begin + cycles * cycle) - bisect.bisect_left(times, start + begin)
            for begin in begins
        )

    return total(good, good[0]) / total(ideal_arrivals(limits, seconds), 0.0) if good else 0.0


def merged(lists: Iterable[Sequence[float]]) -> list[float]:
    """Return several sorted lists as one."""
    return list(heapq.merge(*lists))
