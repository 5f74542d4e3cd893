"""Partition keys: a court and a month, or all of a stream that has no partitions.

Belongs here: the typed keys. Does not belong here: Dagster's partitions definition (`assets/partitioning.py`), which
courts there are (`courts.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import ClassVar, Protocol

from resources.errors import InvalidPartitionKey

#: What to do about more partitions than that.
FEWER_PARTITIONS = "Set COURTLISTENER_FIRST_MONTH to a later month, or divide the courts among several code locations."
#: Of one asset; with more of them Dagster's UI becomes slow.
MOST_PARTITIONS = 100_000


class Selection(Protocol):
    """What a partition selects: objects of one court, by the values that the filters of a sweep may use."""

    @property
    def court(self) -> str: ...

    @property
    def filter_values(self) -> dict[str, str]: ...


@dataclass(frozen=True, order=True)
class CourtMonth:
    """All dockets filed in a court in a month, and all its decisions dated in that month.

    `court` is CourtListener's id of the court (`ca9`), `month` the first day of the month.
    """

    court: str
    month: date

    @classmethod
    def parse(cls, key: str) -> CourtMonth:
        """Read a key such as `scotus|2024-01-01`; raises InvalidPartitionKey."""
        court, separator, month = key.partition("|")
        try:
            first_day = date.fromisoformat(month)
        except ValueError:
            first_day = None
        if not separator or not court or first_day is None or first_day.day != 1:
            raise InvalidPartitionKey(f"partition key {key!r} is not of the form court|YYYY-MM-01")
        return cls(court, first_day)

    def __str__(self) -> str:
        return f"{self.court}|{self.month.isoformat()}"

    @property
    def filter_values(self) -> dict[str, str]:
        """The values of {court}, {first_day} and {next_month}."""
        return {
            "court": self.court,
            "first_day": self.month.isoformat(),
            "next_month": self.next_month.isoformat(),
        }

    @property
    def next_month(self) -> date:
        """The first day that no longer belongs to the month."""
        years, month = divmod(self.month.month, 12)
        return date(self.month.year + years, month + 1, 1)


def number_of_months(first_month: date, today: date) -> int:
    """Return how many months there are from the first one up to that of `today`."""
    return max(0, (today.year - first_month.year) * 12 + today.month - first_month.month + 1)


def too_many_partitions(courts: Sequence[str], first_month: date, today: date) -> str:
    """Return a warning with the number of partitions of an asset, "" if there are not too many for the UI."""
    number = len(courts) * number_of_months(first_month, today)
    if number <= MOST_PARTITIONS:
        return ""
    return (
        f"{len(courts)} courts from {first_month:%Y-%m} make {number:,} partitions of each asset, more than "
        f"{MOST_PARTITIONS:,}: pages of the UI and backfills become slow."
    )


@dataclass(frozen=True, order=True)
class Everything:
    """All objects of a stream that has no partitions. It takes the place of a partition key, except in Dagster."""

    KEY: ClassVar[str] = "all"
    court: ClassVar[str] = ""

    def __str__(self) -> str:
        return self.KEY

    @property
    def filter_values(self) -> dict[str, str]:
        """None: no filter of such a stream uses any."""
        return {}


def dagster_key(partition: str) -> str | None:
    """Dagster's partition key; None for what has no partitions."""
    return None if partition == Everything.KEY else partition
