"""Partition keys: a court and a month, or all of a stream that has no partitions.

Belongs here: the typed keys, and which courts exist. Does not belong here: Dagster's partitions definition
(`assets/partitioning.py`).
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from datetime import date
from typing import ClassVar, Protocol

from resources.errors import InvalidPartitionKey, SettingError


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


def check_courts(courts: tuple[str, ...]) -> tuple[str, ...]:
    """Return the court ids as they are if all exist; raises SettingError with the nearest known ids otherwise."""
    import courts_db  # Reads half a megabyte of JSON; only who checks courts pays for it.

    known = {court["id"] for court in courts_db.courts}
    for court in courts:
        if court not in known:
            nearest = difflib.get_close_matches(court, known, n=3)
            hint = f"; did you mean {' or '.join(nearest)}?" if nearest else ""
            raise SettingError(f"there is no court {court!r}{hint}")
    return courts
