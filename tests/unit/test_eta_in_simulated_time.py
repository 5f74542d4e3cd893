"""The estimate of how long a backfill takes, against the truth, in simulated time.

The windows are those of the simulator, which decide as CourtListener does; the estimate is the one that people see.
From a tenth of the way on it has to be right within a quarter of what is left. Where nobody has counted the objects of
the months, a few requests more than expected can take another day on a free account: there the moment of the end has to
be right within a quarter of the whole.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import pytest

from courtlistener_assets.devkit.simulator.throttle import MICROSECONDS, SlidingLog
from resources.backlog.workload import OBJECTS_A_PAGE, Month, Series, cost_of_a_page, forecast
from resources.quota.eta import Outlook, Sent, pace_of
from resources.quota.permits import QuotaWindow, Window

FREE = "5/min,50/hour,125/day"
PAID = "20/min,1000/hour"
COMMERCIAL = "5000/hour"
RESERVE = 0.05
#: A run gives up when it would wait longer; a sensor resumes it, and a process has to start.
LONGEST_WAIT, RESUMED_AFTER = 90.0, 40.0


@dataclass
class Backfill:
    """Months of one asset of two sweeps, `sizes` their objects in each, walked one after the other by some workers."""

    sizes: Sequence[int]
    rates: str
    failing: float = 0.0
    counted: bool = False
    workers: int = 4
    seed: int = 1
    now: float = 0.0
    requests: int = 0
    pages: dict[int, int] = field(default_factory=dict)
    done: set[int] = field(default_factory=set)
    sent: list[tuple[float, float]] = field(default_factory=list)
    #: When somebody looked, and what was said.
    said: list[tuple[float, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.windows = Window.parse_all(self.rates)
        self.server = SlidingLog(self.windows)
        self.draws = random.Random(self.seed)

    def run(self) -> None:
        """Let one request after the other be sent, while people look some dozen times."""
        waiting, walking = list(range(len(self.sizes))), list[tuple[int, int]]()
        while waiting or walking:
            while waiting and len(walking) < self.workers:
                walking.append((waiting[0], 2 * max(1, -(-self.sizes[waiting.pop(0)] // OBJECTS_A_PAGE))))
            month, left = walking.pop(0)
            self._send()
            if self.draws.random() >= self.failing:
                self.pages[month] = self.pages.get(month, 0) + 1
                left -= 1
            if left:
                walking.append((month, left))
            else:
                self.done.add(month)

    def _send(self) -> None:
        ready = self.now + self.draws.uniform(0.2, 1.0)
        # The permits of a backfill leave a reserve; so does what the server is seen to allow.
        room = max((self._room_at(window) for window in self.windows), default=0.0)
        late = RESUMED_AFTER if room - ready > LONGEST_WAIT else 0.0
        at = max(ready, room + late)
        while (next_look := self.said[-1][0] * 1.12 + 20.0 if self.said else 60.0) < at:
            self.now = next_look
            self.said.append((self.now, self.seconds_left()))
        assert self.server.admit(int(at * MICROSECONDS)) is None
        self.now, self.requests = at, self.requests + 1
        self.sent.append((at, at + self.draws.uniform(0.2, 1.0)))

    def _room_at(self, window: Window) -> float:
        room = max(1, window.limit - int(window.limit * RESERVE))
        return self.sent[-room][1] + window.seconds if len(self.sent) >= room else 0.0

    def seconds_left(self) -> float:
        """What people are shown now."""
        walked = {
            month: Month(pages if month in self.done else 0, pages, month in self.done, 2 * self.sizes[month])
            for month, pages in self.pages.items()
        }
        objects = [sum(self.sizes)] * 2 if self.counted else []
        series = Series("clusters", "ca9", [f"{x:04d}" for x in range(len(self.sizes))], 2, walked, objects)
        windows = [QuotaWindow(window) for window in self.windows]
        sent = [Sent(self.now - granted, self.now - aged) for granted, aged in self.sent[-5000:]]
        pace = pace_of(sent[-400:], windows, RESERVE)
        left = forecast([series], cost_of_a_page(self.requests, sum(self.pages.values())))
        outlook = Outlook(windows, [max(0.0, each.ages_from) for each in sent], RESERVE, pace or Outlook(windows).pace)
        return outlook.seconds_for(left.total, left.doubt)


def uniform(months: int, objects: int) -> list[int]:
    draws = random.Random(2)
    return [round(objects * draws.uniform(0.7, 1.3)) for _ in range(months)]


def growing(months: int, first: int, last: int) -> list[int]:
    draws = random.Random(3)
    return [round((first + (last - first) * x / months) * draws.uniform(0.8, 1.2)) for x in range(months)]


def with_a_giant(months: int, objects: int, giant: int) -> list[int]:
    sizes = uniform(months, objects)
    sizes[months // 2] = giant
    return sizes


#: So many months that it takes a few times the longest window.
MONTHS = {FREE: 60, PAID: 240, COMMERCIAL: 760}


def uncounted(rates: str) -> dict[str, Backfill]:
    months = MONTHS[rates]
    return {
        "uniform": Backfill(uniform(months, 70), rates),
        "small": Backfill(uniform(2 * months, 5), rates),
        "growing": Backfill(growing(months, 20, 160), rates),
        "failing": Backfill(uniform(months, 70), rates, failing=1 / 6),
    }


def counted(rates: str) -> dict[str, Backfill]:
    months = MONTHS[rates]
    return {
        "growing": Backfill(growing(months, 20, 160), rates, counted=True),
        "shrinking": Backfill(growing(months, 160, 20), rates, counted=True),
        "a giant": Backfill(with_a_giant(months, 40, 40 * months // 3), rates, counted=True),
        "a giant, failing": Backfill(with_a_giant(months, 40, 40 * months // 3), rates, failing=1 / 12, counted=True),
    }


def looks(backfill: Backfill) -> Iterator[tuple[float, float, float]]:
    """When people looked, from a tenth of the way on: the share of the time, what was said, and the truth."""
    backfill.run()
    whole = backfill.sent[-1][1]
    found = [(at / whole, left, whole - at) for at, left in backfill.said if at >= 0.1 * whole]
    assert len(found) > 10
    yield from found


def assert_near(at: float, said: float, truth: float, error: float) -> None:
    assert error <= 0.25, f"at {at:.0%} of the way {said / 3600:.2f} h were said, and it took {truth / 3600:.2f} h"


CASES = [(rates, make, name) for rates in MONTHS for make in (uncounted, counted) for name in make(rates)]


@pytest.mark.parametrize(
    ("rates", "make", "name"), CASES, ids=[f"{rates} {make.__name__} {name}" for rates, make, name in CASES]
)
def test_the_estimate_is_right_within_a_quarter(
    rates: str, make: Callable[[str], dict[str, Backfill]], name: str
) -> None:
    for at, said, truth in looks(make(rates)[name]):
        whole = truth / (1 - at) if at < 1 else truth
        if rates == FREE and make is uncounted:
            assert_near(at, said, truth, abs(said - truth) / whole)
        else:
            # The last hundredth of the time is a few requests.
            assert_near(at, said, truth, max(0.0, abs(said - truth) - whole / 100) / max(truth, 1e-9))
