"""`courtlistener corpus` and the asset `bulk_corpus`: what a corpus takes, said before it starts, and making it.

Belongs here: the plan, its words, and progress. Does not belong here: the steps (`download/bulk/corpus`), or Dagster.
"""

from __future__ import annotations

import difflib
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from courtlistener_assets.download.bulk.bootstrap import TABLES, Reached
from courtlistener_assets.download.bulk.corpus.columns import TABLES as TABLE_NAMES
from courtlistener_assets.download.bulk.corpus.columns import omitted_columns
from courtlistener_assets.download.bulk.corpus.dataset import Building, Corpus
from courtlistener_assets.download.bulk.corpus.making import Making
from courtlistener_assets.download.bulk.corpus.sought import Sought
from courtlistener_assets.download.bulk.dialect import BulkTable
from courtlistener_assets.download.bulk.source import BulkSource, Dump
from courtlistener_assets.download.bulk.work import Workshop
from courtlistener_assets.download.courts import offline
from courtlistener_assets.operations.bootstrap import MOST_OF_DISK
from courtlistener_assets.operations.pace import Pace, expected_pace, size
from courtlistener_assets.settings import ALL_COURTS, Settings
from resources.errors import SettingError
from resources.quota.eta import in_words

#: The file of courts, which a dump need not have.
_COURTS = "courts"
#: Below the directory of the datasets: what one keeps while it is made.
_WORK = ".work"


@dataclass(frozen=True)
class Plan:
    """A corpus that could be made: from which dump, of what, and what it takes. `court_names` are those of the dump.

    `omit` are columns that are left out, by the file that has them.
    """

    source: BulkSource
    dump: Dump
    sought: Sought
    folder: Path
    threads: int
    free_bytes: int
    court_names: Mapping[str, str]
    bytes_a_second: float
    omit: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def bytes_all(self) -> int:
        """The size of all files that are read, packed."""
        return self.dump.size(TABLES)

    @property
    def most_disk(self) -> int:
        """What it takes on the disk while it is made, if all rows are wanted: kept rows, and the files."""
        return int(2 * self.bytes_all * MOST_OF_DISK)

    @property
    def building(self) -> Building:
        """The dataset that it would be."""
        description = {
            "files": {name: (self.dump.files[name].size, self.dump.files[name].version) for name in TABLES},
            "courts": sorted(self.sought.courts),
            "first": self.sought.first_day,
            "status": self.sought.status,
            **({"omit": self.omit} if self.omit else {}),
        }
        return Building(self.folder, self.dump.day, description)


def plan(
    settings: Settings,
    *,
    courts: Sequence[str] = (),
    first_year: int | None = None,
    folder: Path | None = None,
    day: date | None = None,
) -> Plan:
    """Find the newest dump, or that of a day; what is not given is as configured. Needs no database, and no token.

    Raises SettingError for courts that there are not, or if none are named, and DumpError.
    """
    wished = tuple(courts) or settings.corpus_courts
    if not wished:
        raise SettingError(
            "no courts are named: give --courts ca9,scotus or --courts all, or COURTLISTENER_CORPUS_COURTS"
        )
    source, folder = BulkSource(settings.bulk_url), folder or settings.corpus_dir
    dump = source.newest(TABLES, day)
    names, those = _court_names(source, dump), () if wished == ALL_COURTS else wished
    _check(those, names, known_for_certain=_COURTS in dump.files)
    folder.mkdir(parents=True, exist_ok=True)
    threads = os.cpu_count() or 1
    return Plan(
        source,
        dump,
        Sought.of(those, first_year or settings.corpus_first_year, settings.precedential_status),
        folder,
        threads,
        shutil.disk_usage(folder).free,
        names,
        expected_pace(source, dump, threads),
        omitted_columns(settings.omit_fields),
    )


def _court_names(source: BulkSource, dump: Dump) -> dict[str, str]:
    """The names of courts by id: as courts-db has them, and the dump where that has none."""
    names = {id: court.name for id, court in offline().items()}
    if _COURTS not in dump.files:
        return names
    table = BulkTable(source, dump.files[_COURTS], ["id", "full_name"], threads=1)
    found = {
        row["id"]: row["full_name"]
        for rows in table.rows(columns=["id", "full_name"])
        for row in rows.table.to_pylist()
    }
    return {id: names.get(id) or name or "" for id, name in found.items()}


def _check(courts: Sequence[str], names: Mapping[str, str], *, known_for_certain: bool) -> None:
    for court in courts:
        if known_for_certain and court not in names:
            near = difflib.get_close_matches(court.lower(), names, n=3)
            raise SettingError(
                f"the bulk files have no court {court!r}" + (f"; did you mean {' or '.join(near)}?" if near else "")
            )


def described(plan: Plan) -> list[str]:
    """What would be done, in sentences."""
    courts = ", ".join(sorted(plan.sought.courts)) or "all courts"
    since = f"from {plan.sought.first_year} on" if plan.sought.first_year else "of all years"
    if done := plan.building.done:
        return [f"{courts} {since}, as of {plan.dump.watermark:%Y-%m-%d}, are in {done.root}: there is nothing to do."]
    lines = [
        f"{courts} {since}, as of {plan.dump.watermark:%Y-%m-%d}: the bulk files of {plan.dump.day} at "
        f"{plan.source.url}. No request is sent to the API, and no database is used.",
        f"{size(plan.bytes_all)} are read and unpacked by {plan.threads} threads: about "
        f"{in_words(plan.bytes_all / plan.bytes_a_second)}. Sorting and writing come on top.",
        f"It becomes {plan.folder / plan.building.name}, and takes, while it is made, for a few courts a small part of "
        f"that on the disk, for all {size(plan.most_disk)} at most. {size(plan.free_bytes)} are free.",
    ]
    if plan.free_bytes < plan.most_disk:
        lines.append("If the disk becomes full, it stops, and goes on where it was when there is room.")
    return lines


def carry_out(plan: Plan, told: Callable[[Reached], None] = lambda reached: None) -> Corpus:
    """Make what is planned, unless it is there, or go on where it was stopped; raises DumpError."""
    building = plan.building
    if done := building.done:
        building.point_at(done)
        return done
    work = Workshop(plan.folder / _WORK, {"name": building.name})
    corpus = None
    try:
        making = Making(plan.source, plan.dump, plan.sought, work, building, plan.threads, told, plan.omit)
        corpus = building.complete(_manifest(plan, making.run(), making.seen()))
    finally:
        with suppress(OSError):
            if corpus:
                work.remove()
            else:
                work.close()
    return corpus


def _manifest(plan: Plan, rows: Mapping[str, int], seen: Mapping[str, int]) -> dict[str, object]:
    return {
        "dump": plan.dump.day,
        "as_of": plan.dump.watermark.isoformat(),
        "source": plan.source.url,
        "courts": sorted(plan.sought.courts) or ALL_COURTS[0],
        "first_year": plan.sought.first_year,
        "status": plan.sought.status,
        "omitted_columns": {TABLE_NAMES[file]: list(names) for file, names in plan.omit.items()},
        "rows": dict(rows),
        "rows_in_files": dict(seen),
        "court_names": dict(plan.court_names),
    }


@dataclass
class Paces:
    """How fast a corpus is made: reading, sorting and writing each have a pace of their own."""

    reading: Pace
    begun: dict[str, tuple[float, int]] = field(default_factory=dict)

    def line(self, reached: Reached) -> str:
        """How far it is, and how long the rest of the step takes, as one line."""
        if reached.step in TABLES:
            return self.reading.line(reached)
        begun, first = self.begun.setdefault(reached.step, (time.monotonic(), reached.bytes_done))
        seconds, done = time.monotonic() - begun, reached.bytes_done - first
        share = reached.bytes_done / max(1, reached.bytes_all)
        left = in_words((reached.bytes_all - reached.bytes_done) * seconds / done) if done else ""
        return f"{share:4.0%} {reached.step}" + (f", {left} left" if left else "")
