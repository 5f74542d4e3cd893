"""How long requests take under an account's windows, which all hold at once.

Belongs here: arithmetic. Does not belong here: how many requests are left (`resources/backlog/workload.py`), reading
the journal of permits (`outlook.py`), or granting.
"""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from resources.quota.permits import QuotaWindow, Window

#: What is counted one by one; the rest goes on at the speed of the slowest window.
_MOST_COUNTED = 50_000
#: How a doubt about the number of requests is spread, in shares of it.
_SHARES = (-1.0, -0.5, 0.0, 0.5, 1.0)
#: Whoever sent nothing for so long was not working; it says nothing about how fast work is.
_IDLE_SECONDS = 65.0


@dataclass(frozen=True)
class Pace:
    """How fast downloads are while every window has room, in seconds: between two requests, and until a response."""

    between: float = 0.0
    response: float = 0.0


@dataclass(frozen=True)
class Sent:
    """A request that was sent: seconds since its permit was granted, and since it began to age."""

    granted: float
    ages_from: float


@dataclass(frozen=True)
class Outlook:
    """What an account may send from now on.

    `ages` are the seconds since each recent permit began to age; one in flight has 0. `reserve_share` of each limit is
    not for us. Nothing is granted for `held_seconds`.
    """

    windows: Sequence[QuotaWindow]
    ages: Sequence[float] = ()
    reserve_share: float = 0.0
    pace: Pace = field(default_factory=Pace)
    held_seconds: float = 0.0

    @classmethod
    def unused(cls, rates: str, reserve_share: float = 0.0) -> Outlook:
        """Of an account that has sent nothing, with rates such as `5/min,125/day`."""
        return cls([QuotaWindow(window) for window in Window.parse_all(rates)], reserve_share=reserve_share)

    def seconds_for(self, requests: float, doubt: float = 0.0) -> float:
        """Seconds until so many more requests are answered, if no one else asks; infinite if a window admits none.

        With a `doubt` of 0.1 it may be a tenth more or fewer, and the result is the mean: a few requests more can take
        another day.
        """
        if requests <= 0:
            return 0.0
        if any(each.window.limit <= 0 for each in self.windows):
            return math.inf
        counts = [math.ceil(requests * (1 + doubt * share)) for share in (_SHARES if doubt else (0.0,))]
        times = self._times(min(max(counts), _MOST_COUNTED))
        beyond = [max(0, count - _MOST_COUNTED) * self._slowest() for count in counts]
        seconds = [times[min(count, _MOST_COUNTED) - 1] + more for count, more in zip(counts, beyond, strict=True)]
        return sum(seconds) / len(seconds)

    def _times(self, count: int) -> Sequence[float]:
        """Seconds from now at which each of the next requests is answered."""
        # Seconds from now at which each request of the past and of the future began to age.
        aging = sorted(-age for age in self.ages)
        past, granted = len(aging), self.held_seconds
        for number in range(count):
            granted = max([granted, *(self._room_at(each, aging, past + number) for each in self.windows)])
            aging.append(granted + self.pace.response)
            granted += self.pace.between
        return aging[past:]

    def _room(self, quota: QuotaWindow, foreign: int = 0) -> int:
        """How many requests a window has for us, one at least: a reserve takes no more, as `lua/acquire.lua` has it."""
        limit = quota.window.limit
        return max(1, limit - foreign - math.floor(limit * self.reserve_share))

    def _room_at(self, quota: QuotaWindow, aging: Sequence[float], number: int) -> float:
        """Seconds from now until a window has room for a request, of which there were so many before."""
        if not quota.foreign:
            return self._frees_at(quota, aging, number, self._room(quota))
        beside = self._frees_at(quota, aging, number, self._room(quota, quota.foreign))
        return min(beside, max(quota.foreign_seconds, self._frees_at(quota, aging, number, self._room(quota))))

    def _frees_at(self, quota: QuotaWindow, aging: Sequence[float], number: int, room: int) -> float:
        return aging[number - room] + quota.window.seconds if number >= room else -math.inf

    def _slowest(self) -> float:
        """Seconds a request in the long run."""
        cycles = [(each.window.seconds + self.pace.response) / self._room(each) for each in self.windows]
        return max([self.pace.between, *cycles])


def pace_of(sent: Iterable[Sent], windows: Sequence[QuotaWindow], reserve_share: float) -> Pace | None:
    """How fast requests followed each other beyond what the windows made them wait; None if too few were sent."""
    requests = sorted(sent, key=lambda each: -each.granted)
    outlook, aging, gaps = Outlook(windows, reserve_share=reserve_share), list[float](), list[float]()
    for before, each in zip([None, *requests], requests, strict=False):
        frees = max((outlook._room_at(quota, aging, len(aging)) for quota in windows), default=-math.inf)
        if before:
            gaps.append(-each.granted - max(-before.granted, frees if aging else -math.inf))
        insort(aging, -each.ages_from)
    working = [max(0.0, gap) for gap in gaps if gap < _IDLE_SECONDS]
    if not working:
        return None
    responses = [each.granted - each.ages_from for each in requests]
    return Pace(sum(working) / len(working), max(0.0, sum(responses) / len(responses)))


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
