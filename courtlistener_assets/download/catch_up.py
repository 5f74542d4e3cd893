"""Partition keys of fresh data: a court and a day, and the sweeps over what was modified on it.

Belongs here: the typed key, and which filters select a day's changes. Does not belong here: Dagster
(`assets/court_changes.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from courtlistener_assets.download.stream import Stream, Sweep
from resources.errors import InvalidPartitionKey


@dataclass(frozen=True, order=True)
class CourtDay:
    """All objects of a court that were last modified on a day (UTC)."""

    court: str
    day: date

    @classmethod
    def parse(cls, key: str) -> CourtDay:
        """Read a key such as `ca9|2024-05-17`; raises InvalidPartitionKey."""
        court, separator, day = key.partition("|")
        try:
            if separator and court:
                return cls(court, date.fromisoformat(day))
        except ValueError:
            pass
        raise InvalidPartitionKey(f"partition key {key!r} is not of the form court|YYYY-MM-DD")

    def __str__(self) -> str:
        return f"{self.court}|{self.day.isoformat()}"

    @property
    def filter_values(self) -> dict[str, str]:
        """The values of {court}, {first_moment} and {last_moment}, which is no longer in the day.

        With Z: the server takes a time without zone for Pacific time.
        """
        return {
            "court": self.court,
            "first_moment": f"{self.day.isoformat()}T00:00:00Z",
            "last_moment": f"{(self.day + timedelta(days=1)).isoformat()}T00:00:00Z",
        }


def changes_sweep(stream: Stream) -> Sweep:
    """The sweep over a stream's objects that were modified on a day, named like the stream."""
    filters = {
        stream.court_filter: "{court}",
        "date_modified__gte": "{first_moment}",
        "date_modified__lt": "{last_moment}",
    }
    return Sweep(stream.name, filters)
