"""CourtListener's calendar: dates and times as its API reads and prints them.

Belongs here: Pacific time and its text. Does not belong here: months as partitions.
"""

from __future__ import annotations

import functools
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

PACIFIC = ZoneInfo("America/Los_Angeles")


def pacific_text(moment: datetime) -> str:
    """Return a moment as the API prints it, `2024-01-12T08:55:46.766514-08:00`."""
    return moment.astimezone(PACIFIC).isoformat()


@functools.lru_cache(maxsize=200_000)
def parse_moment(text: str) -> datetime:
    """Return a date-time in UTC; one without an offset is Pacific time. ValueError if it is none."""
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=PACIFIC)).astimezone(UTC)


@functools.lru_cache(maxsize=50_000)
def parse_date(text: str) -> date:
    """Return a date, `2024-01-31` or the American `01/31/2024`. ValueError if it is none."""
    for form in ("%Y-%m-%d", "%m/%d/%Y", "%m/%d/%y"):
        try:
            return datetime.strptime(text, form).date()
        except ValueError:
            continue
    raise ValueError(f"{text!r} is not a date")
