"""How long requests take under the account's windows.

Belongs here: pure arithmetic. Does not belong here: how many requests are left (`deferrals.py`), or permits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from resources.quota.permits import Window, WindowUsage


def eta_seconds(requests_left: int, usage: Sequence[WindowUsage]) -> float:
    """Seconds until the quota has admitted `requests_left` more requests, if no other program uses the account.

    The slowest window decides. What is used already is taken to come free only a whole window from now, so the result
    is at most one window too long; the time of the requests themselves is left out. Infinite if a window admits none.
    """
    return max((_window_seconds(requests_left - use.remaining, use.window) for use in usage), default=0.0)


def _window_seconds(beyond: int, window: Window) -> float:
    if beyond <= 0:
        return 0.0
    return math.ceil(beyond / window.limit) * float(window.seconds) if window.limit else math.inf


def in_words(seconds: float) -> str:
    """A duration for people, `3 d 4 h`, `12 min`, `45 s`."""
    if math.isinf(seconds):
        return "never"
    minutes, hours, days = round(seconds / 60), round(seconds / 3600), int(seconds // 86_400)
    if seconds < 90:
        return f"{seconds:.0f} s"
    if minutes < 90:
        return f"{minutes} min"
    return f"{hours} h" if hours < 48 else f"{days} d {round((seconds - days * 86_400) / 3600)} h"
