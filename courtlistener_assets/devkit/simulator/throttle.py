"""CourtListener's throttle: several exact sliding windows over one log of accepted requests.

Belongs here: the arithmetic of admission. Does not belong here: accounts, HTTP, and the permits of this project, which
are the client's half of the same bargain (`resources/quota/permits.py`).

Times are whole microseconds, so that a request that arrives exactly one window after another finds its slot free.
"""

from __future__ import annotations

import bisect
import math
from dataclasses import dataclass

from resources.quota.permits import Window

MICROSECONDS = 1_000_000
_DAY_US = 86_400 * MICROSECONDS
_UNITS = {1: "sec", 60: "min", 3600: "hour", 86400: "day"}


def rate_text(window: Window) -> str:
    """Return a window as the server prints it: `5/min`, `125/day`; `40/20s` where the server has no unit."""
    return f"{window.limit}/{_UNITS.get(window.seconds, f'{window.seconds}s')}"


@dataclass(frozen=True)
class Refusal:
    """Why a request was refused: the window that was full, and the whole seconds until it has a free slot.

    `retry_after_seconds` is None for a blocked account: no waiting helps.
    """

    window: Window
    retry_after_seconds: int | None


@dataclass(frozen=True)
class WindowState:
    """How full a window is; `oldest_us` is its oldest accepted request, None when it is empty."""

    window: Window
    used: int
    oldest_us: int | None


class SlidingLog:
    """The accepted requests of one account. Not thread-safe: the caller holds the account's lock."""

    def __init__(self, windows: tuple[Window, ...]) -> None:
        self.set_windows(windows)
        self._accepted_us: list[int] = []

    def set_windows(self, windows: tuple[Window, ...]) -> None:
        """Decide by these from now on; they are checked tightest (shortest) first."""
        self._windows = sorted(windows, key=lambda window: (window.seconds, window.limit))

    def refusal(self, now_us: int) -> Refusal | None:
        """Return the first window that has no room at `now_us`, or None."""
        for window in self._windows:
            if window.limit == 0:
                return Refusal(window, None)
            start = self._start(window, now_us)
            excess = len(self._accepted_us) - start - window.limit
            if excess >= 0:
                # More than `limit` are inside after a rate was lowered: so many must leave before one slot is free.
                frees_us = self._accepted_us[start + excess] + window.seconds * MICROSECONDS
                return Refusal(window, math.ceil((frees_us - now_us) / MICROSECONDS))
        return None

    def admit(self, now_us: int) -> Refusal | None:
        """Accept and log a request, or say why not; a refused request is not logged."""
        refusal = self.refusal(now_us)
        if refusal is None:
            # A clock that steps back must not unsort the log.
            self._accepted_us.append(max(now_us, self._accepted_us[-1] if self._accepted_us else now_us))
            self._forget(now_us)
        return refusal

    def states(self, now_us: int) -> list[WindowState]:
        """Return how full each window is at `now_us`."""
        states = []
        for window in self._windows:
            start = self._start(window, now_us)
            used = len(self._accepted_us) - start
            states.append(WindowState(window, used, self._accepted_us[start] if used else None))
        return states

    def _start(self, window: Window, now_us: int) -> int:
        return bisect.bisect_right(self._accepted_us, now_us - window.seconds * MICROSECONDS)

    def _forget(self, now_us: int) -> None:
        # A day at least, so that a longer window which is set later finds its past.
        longest_us = max([_DAY_US, *(window.seconds * MICROSECONDS for window in self._windows)])
        gone = bisect.bisect_right(self._accepted_us, now_us - longest_us)
        if gone > 1000:
            del self._accepted_us[:gone]
