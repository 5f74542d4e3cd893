"""Dockets that belong to no month: without a date, but with filings.

Belongs here: the selection of a court's, and how a stream is walked for them. Does not belong here: Dagster
(`defs/assets/undated_dockets.py`), dockets without a date that have a decision, which belong to its month.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from courtlistener_assets.download.partitions import CourtMonth
from courtlistener_assets.download.stream import Stream
from resources.errors import InvalidPartitionKey
from resources.records.misfits import UNDATED


@dataclass(frozen=True, order=True)
class Undated:
    """All filings in dockets of a court that have no date; keys are `ca9|undated`."""

    court: str

    @classmethod
    def parse(cls, key: str) -> Undated:
        """Read a key; raises InvalidPartitionKey."""
        court, _, month = key.partition("|")
        if not court or month != UNDATED:
            raise InvalidPartitionKey(f"partition key {key!r} is not of the form court|{UNDATED}")
        return cls(court)

    def __str__(self) -> str:
        return f"{self.court}|{UNDATED}"

    @property
    def filter_values(self) -> dict[str, str]:
        """The value of {court}."""
        return {"court": self.court}


def partition_of(key: str) -> CourtMonth | Undated:
    """Read the key of a month or of what belongs to none; raises InvalidPartitionKey."""
    return Undated.parse(key) if key.endswith(f"|{UNDATED}") else CourtMonth.parse(key)


def undated_stream(streams: Sequence[Stream]) -> Stream | None:
    """Return the stream that finds dockets without a date, as it is walked for them; None if it is not chosen."""
    for stream in streams:
        if stream.undated:
            relations = [sweep.name.partition("+")[2] for sweep in stream.increments]
            increments = tuple(stream.undated.by_modified(relation) for relation in relations)
            return replace(stream, sweeps=(stream.undated,), increments=increments)
    return None
