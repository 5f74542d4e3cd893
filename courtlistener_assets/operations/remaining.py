"""When some partitions will be complete, as it is said to people.

Belongs here: putting the forecast of requests and the outlook of the quota together, and the words. Does not belong
here: the two (`resources/backlog/workload.py`, `resources/quota/eta.py`), or where it is said.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from courtlistener_assets.download.partitions import CourtMonth
from courtlistener_assets.download.stream import Stream
from courtlistener_assets.operations.expected import plan_for
from resources.backlog.progress import what_is_left
from resources.backlog.workload import Forecast
from resources.connections.postgres import Database
from resources.errors import InvalidPartitionKey
from resources.quota.eta import Outlook, in_words
from resources.records.court_counts import CourtCounts

#: What takes longer is said to take for ever.
_LONGEST_SECONDS = 100 * 366 * 86_400.0


@dataclass(frozen=True)
class Remaining:
    """Requests that are left, how long they take about in seconds, and when that was found out."""

    requests: int
    seconds: float
    now: datetime

    @classmethod
    def of(cls, forecast: Forecast, outlook: Outlook, now: datetime) -> Remaining:
        return cls(math.ceil(forecast.total), outlook.seconds_for(forecast.total, forecast.doubt), now)

    @property
    def done_at(self) -> datetime | None:
        """When it will be complete; None if never, or not in this age."""
        return self.now + timedelta(seconds=self.seconds) if self.seconds < _LONGEST_SECONDS else None

    @property
    def done_in_words(self) -> str:
        return f"{self.done_at:%Y-%m-%d %H:%M} UTC" if self.done_at else "never"

    def __str__(self) -> str:
        """In words, for people."""
        return (
            f"about {self.requests:,} more requests, {in_words(self.seconds)} under the account's windows: "
            f"done about {self.done_in_words}"
        )


def remaining_of(
    targets: Mapping[str, frozenset[str]],
    streams: Sequence[Stream],
    database: Database,
    account: str | None,
    outlook: Outlook,
    now: datetime,
    last_month: date | None,
) -> Remaining | None:
    """What is left of some partitions by the name of their asset; None if none of them is downloaded by month.

    `last_month` is the last one that there is to download, as when the server counted (`Settings.last_month`). What
    else the server has counted of their courts is taken into account. Raises StoreUnavailable.
    """
    chosen = [each for each in streams if each.by_month and targets.get(each.name)]
    months = {month for each in chosen for key in targets[each.name] if (month := _month_of(key))}
    if not months:
        return None
    courts, first = sorted({each.court for each in months}), min(each.month for each in months)
    counted = CourtCounts(database).first_month(courts, first, last_month)
    plan = plan_for(chosen, courts, counted or first, last_month, now.date())
    return Remaining.of(what_is_left(database, plan, account).within(targets), outlook, now)


def _month_of(key: str) -> CourtMonth | None:
    try:
        return CourtMonth.parse(key)
    except InvalidPartitionKey:
        return None
