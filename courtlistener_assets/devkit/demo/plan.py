"""Which Dagster processes the demo starts, in which order.

Belongs here: partitions and asset selections as data. Does not belong here: starting processes (`runs.py`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from courtlistener_assets.download.partitions import CourtMonth
from courtlistener_assets.download.streams import STREAMS

DOWNLOADS = tuple(stream.name for stream in STREAMS)
VECTOR_INPUTS = "vector_inputs"
#: What the demo takes of the generated corpus.
GENERATED = tuple(CourtMonth(court, date(2024, month, 1)) for court in ("ca9", "scotus") for month in (1, 2, 3))


@dataclass(frozen=True)
class Range:
    """Consecutive months of a court, both ends included."""

    first: CourtMonth
    last: CourtMonth

    @property
    def key(self) -> str:
        """The range as `dagster asset materialize --partition-range` takes it."""
        return f"{self.first}...{self.last}"


@dataclass(frozen=True)
class Job:
    """One `dagster asset materialize` process."""

    assets: tuple[str, ...]
    months: Range

    @property
    def title(self) -> str:
        what = "everything" if VECTOR_INPUTS in self.assets[1:] else " and ".join(self.assets)
        first, last = (f"{key.month:%Y-%m}" for key in (self.months.first, self.months.last))
        return f"{what} of {self.months.first.court} {first}" + (f" to {last}" if first != last else "")


def partitions_in_file(path: Path) -> tuple[CourtMonth, ...]:
    """The partitions that a file of opinions fills, in order; the simulator has checked its lines."""
    lines = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    found = {CourtMonth(line["court_id"], date.fromisoformat(line["date_filed"]).replace(day=1)) for line in lines}
    return tuple(sorted(found))


def ranges_of(partitions: Iterable[CourtMonth]) -> list[Range]:
    """Join the partitions of a court whose months follow each other."""
    ranges: list[Range] = []
    for key in sorted(set(partitions)):
        if ranges and ranges[-1].last.court == key.court and ranges[-1].last.next_month == key.month:
            ranges[-1] = Range(ranges[-1].first, key)
        else:
            ranges.append(Range(key, key))
    return ranges


def stages(partitions: Sequence[CourtMonth], materialized: Mapping[str, set[str]], *, spread: bool) -> list[list[Job]]:
    """The jobs still to do: all of a stage may run at once, a stage begins when the one before has ended.

    `materialized` holds, by asset, the partition keys that are done. `spread` divides a court's streams over several
    processes, so that more ask at once; each costs about three seconds of one core to start.
    """
    missing = {asset: _missing(asset, partitions, materialized) for asset in (*DOWNLOADS, VECTOR_INPUTS)}
    # What is downloaded now has to be chunked again.
    anything = _ranges_missing(missing, missing)
    if spread:
        pairs = [DOWNLOADS[start : start + 2] for start in range(0, len(DOWNLOADS), 2)]
        downloads = [Job(pair, months) for pair in pairs for months in _ranges_missing(missing, pair)]
        planned = [downloads, [Job((VECTOR_INPUTS,), months) for months in anything]]
    else:
        planned = [[Job((*DOWNLOADS, VECTOR_INPUTS), months) for months in anything]]
    return [stage for stage in planned if stage]


def _ranges_missing(missing: Mapping[str, Sequence[CourtMonth]], assets: Iterable[str]) -> list[Range]:
    return ranges_of(key for asset in assets for key in missing[asset])


def _missing(asset: str, partitions: Sequence[CourtMonth], materialized: Mapping[str, set[str]]) -> list[CourtMonth]:
    return [key for key in partitions if str(key) not in materialized.get(asset, set())]
