"""Whether a server's clock can be believed: compared with the clock of this process, which nobody sets.

Belongs here: comparing. Does not belong here: what follows from a clock that jumped (`lease.py`, `failover.py`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

#: What a clock that is kept by NTP may gain on another in the long run: the most that a kernel slews. Windows are
#: longer by this share, and by the tolerance (`lua/acquire.lua`), so what is not noticed here grants nothing too early.
DRIFT = 0.0005
_LONGEST_TOLERANCE_US = 250_000


def suspend_aware_clock() -> float:
    """Seconds that also count while the machine is suspended, unlike `time.monotonic` on Linux."""
    return time.clock_gettime(_CLOCK) if _CLOCK is not None else time.monotonic()


_CLOCK: int | None = getattr(time, "CLOCK_BOOTTIME", None) or getattr(time, "CLOCK_MONOTONIC", None)

Steady = Callable[[], float]


@cache
def boot_id() -> str:
    """What all processes of this machine call its `suspend_aware_clock`, until it is started anew; empty if unknown."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return ""


def tolerance_us(shortest_window_seconds: float) -> int:
    """How far a clock may seem to have jumped: a hundredth of the shortest window, at most a quarter of a second."""
    return min(_LONGEST_TOLERANCE_US, round(shortest_window_seconds * 10_000))


class ClockWatch:
    """Sees that a server's clock has jumped since this process first read it. May be shared by threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        #: The least that the server's clock was ahead of ours, as an interval of microseconds, and when that was.
        self._least: tuple[float, float, float] | None = None

    def jump_us(self, server_us: int, asked: float, answered: float, tolerance: int) -> int:
        """By how much the clock has jumped, in microseconds: ahead at most, back (negative) at least.

        It is 0 if the clock need not have jumped. `asked` and `answered` are the moments, in seconds of our own clock,
        between which it showed `server_us`.
        """
        lowest, highest = server_us - answered * 1e6, server_us - asked * 1e6
        with self._lock:
            if self._least is not None:
                least_low, least_high, at = self._least
                drifted = max(0.0, answered - at) * 1e6 * DRIFT
                if lowest > least_high + drifted + tolerance:
                    return round(highest - least_low)
                if highest < least_low - drifted - tolerance:
                    return round(highest - least_low)
                if highest >= least_high + drifted:
                    return 0
            self._least = lowest, highest, answered
        return 0
