"""A bootstrap: courts and months from bulk files into the store, without a request.

What is stored already is compared with the files, row by row in the transaction that stores them. What the files lack
comes last: by then no stored parent lists it any more, and what was hung elsewhere hangs there.

Belongs here: its steps in their order, what it needs, and what it has done. Does not belong here: how a step works
(`passes.py`, `objects.py`, `absent.py`, `resources/records/bulk.py`), Dagster, the command line.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from courtlistener_assets.download.bulk import comparison
from courtlistener_assets.download.bulk.absent import known_ids, note_absent
from courtlistener_assets.download.bulk.bodies import Bodies, Body
from courtlistener_assets.download.bulk.citations import CITATION_MAP, store_citations
from courtlistener_assets.download.bulk.objects import Batch, Objects
from courtlistener_assets.download.bulk.passes import Chosen, Passes, Wanted
from courtlistener_assets.download.bulk.source import BulkSource, Dump
from courtlistener_assets.download.bulk.tables import CITATIONS, CLUSTERS, DOCKETS, OBJECTS, OPINIONS, ORIGINS
from courtlistener_assets.download.bulk.work import Progress, Workshop
from courtlistener_assets.download.partitions import CourtMonth, Everything
from courtlistener_assets.download.stream import Stream
from courtlistener_assets.download.sweep import OVERLAP
from courtlistener_assets.logs import run_log
from resources.errors import DumpChanged, PageRejected, SettingError, UnusableRecord
from resources.records.bulk import Walked
from resources.records.judging import Comparing
from resources.records.model import Record, Scope
from resources.records.store import RecordStore
from resources.records.tables import Members

#: The tables that are read.
TABLES = (
    *(table.name for table in (*OBJECTS, CITATIONS, ORIGINS)),
    *("search_opinioncluster_panel", "search_opinioncluster_non_participating_judges"),
    *("search_opinion_joined_by", CITATION_MAP),
)
#: Objects on a page of the API.
_PAGE_ROWS = 20
#: The streams whose months they fill.
STREAMS = ("dockets", "clusters", "opinions")
_TABLE_OF = {"dockets": DOCKETS, "clusters": CLUSTERS, "opinions": OPINIONS}


@dataclass(frozen=True)
class Reached:
    """How far a bootstrap is, as a share of `bytes_all`, the files' size; storing is not counted in bytes.

    `step` is the table that is read, or the stream that is stored, of which `rows` are kept or stored so far, and
    `bytes_left_here` what is left of the table's file.
    """

    step: str
    rows: int
    bytes_done: int
    bytes_all: int
    bytes_left_here: int = 0


@dataclass
class Outcome:
    """What a bootstrap has stored, by stream, what it had to leave out, and the months that are complete now.

    `citations` are those of the citation map, `differences` how many objects were not what the dump says, by kind.
    """

    stored: dict[str, int] = field(default_factory=dict)
    citations: int = 0
    unusable: int = 0
    months: list[CourtMonth] = field(default_factory=list)
    differences: dict[str, int] = field(default_factory=dict)


@dataclass
class Bootstrap:
    """One bootstrap; `run_id` stands for it in the sweeps. `told` hears how far it is. It can be run again."""

    source: BulkSource
    dump: Dump
    wanted: Wanted
    work: Workshop
    store: RecordStore
    streams: Sequence[Stream]
    base_url: str
    run_id: str
    threads: int = 2
    told: Callable[[Reached], None] = lambda reached: None
    outcome: Outcome = field(default_factory=Outcome)

    def __post_init__(self) -> None:
        self._by_name = {stream.name: stream for stream in self.streams}
        if not fills_from_bulk(self.streams):
            raise SettingError(f"a bootstrap fills {', '.join(STREAMS)}: COURTLISTENER_STREAMS lacks one of them")
        self._scope = Scope(self.wanted.courts, self.wanted.first_day, self.wanted.end)
        self._comparing = Comparing(
            self.dump.day,
            comparison.different,
            comparison.merged,
            comparison.shown,
            comparison.CHILDREN,
            {name: [sweep.name for sweep in self._by_name[name].sweeps] for name in STREAMS},
            OVERLAP,
        )

    def run(self) -> Outcome:
        """Read what was not read yet, compare and store what was not stored yet, and finish the sweeps.

        Raises DumpError and what the store raises; what was done until then is kept.
        """
        chosen = Chosen(known_ids(self.store, sorted(self.wanted.courts)))
        passes = Passes(self.source, self.dump, self.wanted, self.work, self.threads, self._tell_read, chosen)
        objects = Objects(self.work, self.wanted, passes.run(), Bodies(self.base_url))
        for batch in objects.batches():
            self._store(batch)
            objects.done(batch)
        size = self.dump.size(TABLES)
        for progress in store_citations(self.work, self.store.citation_map, as_of=self.dump.watermark):
            self.outcome.citations = progress.kept
            self.told(Reached(CITATION_MAP, progress.kept, size, size))
        self._compare_ids(chosen)
        self._finish()
        return self.outcome

    def _compare_ids(self, chosen: Chosen) -> None:
        """Note what the dump lacks, and that all is compared."""
        note_absent(self.store, self.dump, chosen.present)
        differences = self.store.differences
        newer = differences.count_newer(STREAMS, self.dump.watermark)
        differences.compared(self.dump.day, newer, sorted(self.wanted.courts))
        for count in differences.counts(self.dump.day):
            self.outcome.differences[count.kind] = self.outcome.differences.get(count.kind, 0) + count.found

    def _tell_read(self, table: str, packed: int, progress: Progress) -> None:
        # In the order of the passes, each file is either read or not, but for the present one.
        read = [name for name in TABLES if name != table and self.work.progress(name).done]
        done = self.dump.size(read) + packed
        left = self.dump.size([table]) - packed
        self.told(Reached(table, progress.kept, done, self.dump.size(TABLES), left))

    def _store(self, batch: Batch) -> None:
        records = list(self._records(self._by_name[batch.stream], batch.bodies))
        stored = self._store_or_halve(records)
        self.outcome.stored[batch.stream] = self.outcome.stored.get(batch.stream, 0) + stored
        size = self.dump.size(TABLES)
        self.told(Reached(batch.stream, batch.progress.kept, size, size))

    def _records(self, stream: Stream, bodies: Sequence[Body]) -> Iterator[Record]:
        """The records of objects as the stream reads them from the API, without what the settings omit."""
        for body in bodies:
            kept = {name: value for name, value in body.items() if name not in stream.omit}
            try:
                yield from stream.read(kept, Everything())
            except UnusableRecord as error:
                self._leave_out(stream.name, body.get("id"), error)

    def _store_or_halve(self, records: Sequence[Record]) -> int:
        """Store records; of those that Postgres refuses together, all that it takes."""
        try:
            return self.store.store_bulk(
                records, scope=self._scope, as_of=self.dump.watermark, comparing=self._comparing
            )
        except PageRejected as error:
            if len(records) <= 1:
                self._leave_out(records[0].stream, records[0].id, error)
                return 0
        half = len(records) // 2
        return self._store_or_halve(records[:half]) + self._store_or_halve(records[half:])

    def _leave_out(self, stream: str, id: Any, error: Exception) -> None:
        self.outcome.unusable += 1
        extra = {"event": "bulk_row_left_out", "stream": stream, "object_id": id, "error": type(error).__name__}
        run_log.warning(f"{stream} {id} of the bulk files is left out: {error}", extra=extra)
        if self.outcome.unusable > 100 and self.outcome.unusable > sum(self.outcome.stored.values()):
            raise DumpChanged(f"most rows of {stream} cannot be used; the last one: {error}")

    def _finish(self) -> None:
        """Note that the months are complete as of the dump, in the sweeps that its files can answer."""
        tables = {each.table for name, each in self._by_name.items() if name in STREAMS}
        self.outcome.months = months_of(self.wanted)
        sweeps = [
            Walked(name, str(month), sweep.name, self._pages(Members(self._by_name[name].table, sweep.by), month))
            for name in STREAMS
            for sweep in self._by_name[name].sweeps
            if sweep.by is None or sweep.by in tables
            for month in self.outcome.months
        ]
        self.store.bulk_walks.finish(sweeps, as_of=self.dump.watermark, run_id=self.run_id)

    def _pages(self, members: Members, month: CourtMonth) -> int:
        """How many pages of the API have what is stored of a month: what a full refresh of it costs."""
        [count] = self.store.counts({"rows": [members]}, month.filter_values).values()
        return max(1, math.ceil(count / _PAGE_ROWS))


def job_of(dump: Dump, wanted: Wanted) -> dict[str, Any]:
    """What stands for a bootstrap in its folder: another one, or a file that was replaced, begins anew."""
    return {
        "dump": dump.day,
        "files": {name: (dump.files[name].size, dump.files[name].version) for name in TABLES},
        "courts": sorted(wanted.courts),
        "first": wanted.first_day,
        "status": wanted.status,
    }


def fills_from_bulk(streams: Sequence[Stream]) -> bool:
    """Whether a location has the streams whose months bulk files fill."""
    return {*STREAMS} <= {stream.name for stream in streams}


def wanted_of(
    courts: Sequence[str], first_month: date, dump: Dump, streams: Sequence[Stream], last_month: date | None = None
) -> Wanted:
    """What a dump can give of some courts from a month on: up to the end of the last one, or of that of the dump."""
    last = min(dump.day, last_month or dump.day)
    [limits] = [stream.limits for stream in streams if stream.name == "clusters"] or [{}]
    status = next(iter(limits.values()), "")
    return Wanted(frozenset(courts), first_month.replace(day=1), CourtMonth("", last).next_month, status)


def months_of(wanted: Wanted) -> list[CourtMonth]:
    """The months of all courts that are wanted."""
    months, month = [], wanted.first_day.replace(day=1)
    while month < wanted.end:
        months += [CourtMonth(court, month) for court in sorted(wanted.courts)]
        month = replace(months[-1], court="").next_month
    return months
