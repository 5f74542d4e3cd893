"""Choosing rows: the dockets of wanted courts, their decisions of wanted months, their opinions, and what is joined.

Each pass reads one file from its beginning to its end, or goes on where the last run was killed, and keeps what the
sets of ids of the passes before say. The sets are read again from what was kept. What the store has is kept wherever
it is by now, and which objects the files have at all is remembered, for the comparison with the store.

Belongs here: which rows. Does not belong here: where they are kept (`work.py`), making objects (`objects.py`).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.compute as compute

from courtlistener_assets.download.bulk.citations import CITATION_MAP, CITED, CITING, DEPTH
from courtlistener_assets.download.bulk.dialect import BulkTable, Rows
from courtlistener_assets.download.bulk.ids import IdSet, ids_of
from courtlistener_assets.download.bulk.source import BulkSource, Dump
from courtlistener_assets.download.bulk.tables import CITATIONS, CLUSTERS, DOCKETS, OBJECTS, OPINIONS, ORIGINS
from courtlistener_assets.download.bulk.work import Link, Progress, Workshop
from resources.errors import DumpChanged

#: A file of rows has at least this many bytes, or is what came within so many seconds.
PART_BYTES, PART_SECONDS = 32 << 20, 20.0
#: What a link takes in memory, about.
_LINK_BYTES = 200


@dataclass(frozen=True)
class Wanted:
    """Decisions of courts made from one day to before another, and the dockets filed then.

    `status`: only those of this precedential status.
    """

    courts: frozenset[str]
    first_day: date
    end: date
    status: str = ""

    def of_courts(self, courts: pa.ChunkedArray[Any]) -> Any:
        """Which of some courts are wanted."""
        return compute.is_in(courts, pa.array(sorted(self.courts)))

    def filed_or_decided(self, dockets: pa.Table, decided: IdSet) -> pa.BooleanArray:
        """Which dockets were filed in the wanted months, or decided there."""
        filed = self.of_months(dockets.column("date_filed")).to_pylist()
        there = decided.mask(dockets.column("id")).to_pylist()
        return pa.array([bool(one or other) for one, other in zip(filed, there, strict=True)])

    def of_months(self, days: pa.ChunkedArray[Any]) -> Any:
        """Which of some dates, as text, are wanted; NULL for NULL, which a filter leaves out."""
        first, end = pa.scalar(self.first_day.isoformat()), pa.scalar(self.end.isoformat())
        return compute.and_(compute.greater_equal(days, first), compute.less(days, end))


@dataclass(frozen=True)
class Step:
    """One file: which rows are read whole, what of them is kept as rows, and what as links.

    `columns` are the only ones that are read, if not all.
    """

    table: str
    needed: Sequence[str]
    keys: Sequence[str]
    wanted: Callable[[pa.Table], Any]
    rows: Callable[[pa.Table], pa.Table | None] = lambda found: None
    links: Callable[[pa.Table], Iterator[Link]] = lambda found: iter(())
    columns: Sequence[str] | None = None


@dataclass
class Chosen:
    """The ids that the passes have found.

    By table, `known` are those that are wanted wherever they are, and `present` all that the files have.
    """

    known: Mapping[str, IdSet] = field(default_factory=dict)
    present: dict[str, IdSet] = field(default_factory=lambda: {table.name: IdSet() for table in OBJECTS})
    dockets: IdSet = field(default_factory=IdSet)
    origins: IdSet = field(default_factory=IdSet)
    decided: IdSet = field(default_factory=IdSet)
    clusters: IdSet = field(default_factory=IdSet)
    opinions: IdSet = field(default_factory=IdSet)

    def add(self, table: str, rows: pa.Table) -> None:
        """Take in the rows that were kept of a table."""
        if table == DOCKETS.name:
            self.dockets.add(rows.column("id"))
            self.origins.add(rows.column("originating_court_information_id"))
        elif table == CLUSTERS.name:
            self.clusters.add(rows.column("id"))
            self.decided.add(rows.column("docket_id"))
        elif table == OPINIONS.name:
            self.opinions.add(rows.column("id"))

    def or_known(self, table: str, chosen: Any, rows: pa.Table) -> Any:
        """Which rows of a table are chosen or known; what is chosen may be NULL, which is not."""
        known = self.known.get(table)
        return chosen if known is None else compute.or_kleene(chosen, known.mask(rows.column("id")))


_REMEMBERED = {
    DOCKETS.name: ("id", "originating_court_information_id"),
    CLUSTERS.name: ("id", "docket_id"),
    OPINIONS.name: ("id",),
}


@dataclass
class Passes:
    """All passes over one dump. `told` is called with every checkpoint: the table, bytes done, and the progress."""

    source: BulkSource
    dump: Dump
    wanted: Wanted
    work: Workshop
    threads: int = 2
    told: Callable[[str, int, Progress], None] = lambda table, packed, progress: None
    chosen: Chosen = field(default_factory=Chosen)

    def run(self) -> Chosen:
        """Read what was not read yet; returns the ids. Raises DumpError."""
        for step in self.steps():
            self._remember(step.table)
            progress = self.work.progress(step.table)
            if not progress.done:
                self._read(step, progress)
        return self.chosen

    def steps(self) -> list[Step]:
        """The passes in their order."""
        chosen = self.chosen
        return [
            Step(
                DOCKETS.name,
                [*DOCKETS.needed, *DOCKETS.hidden],
                ["court_id", "id"],
                lambda rows: chosen.or_known(DOCKETS.name, self.wanted.of_courts(rows.column("court_id")), rows),
                rows=lambda found: found,
            ),
            Step(
                CLUSTERS.name,
                CLUSTERS.needed,
                ["docket_id", "id"],
                lambda rows: chosen.or_known(CLUSTERS.name, chosen.dockets.mask(rows.column("docket_id")), rows),
                rows=self._of_months,
                links=_both(_ids("clusters", "docket_id", "id", "id"), _slugs),
            ),
            Step(
                OPINIONS.name,
                OPINIONS.needed,
                ["cluster_id", "id"],
                lambda rows: chosen.or_known(OPINIONS.name, chosen.clusters.mask(rows.column("cluster_id")), rows),
                rows=lambda found: found,
                links=_ids("sub_opinions", "cluster_id", "id", "id"),
            ),
            *self._joins(),
        ]

    def _joins(self) -> Iterator[Step]:
        clusters, opinions = self.chosen.clusters, self.chosen.opinions
        for table, kind, owner, value, ids in (
            ("search_opinioncluster_panel", "panel", "opinioncluster_id", "person_id", clusters),
            (
                "search_opinioncluster_non_participating_judges",
                "non_participating_judges",
                "opinioncluster_id",
                "person_id",
                clusters,
            ),
            ("search_opinion_joined_by", "joined_by", "opinion_id", "person_id", opinions),
        ):
            columns = ["id", owner, value]
            yield Step(table, columns, [owner], _in(ids, owner), links=_ids(kind, owner, "id", value), columns=columns)
        yield self._citation_map()
        needed = [*CITATIONS.needed, *CITATIONS.hidden]
        yield Step(
            CITATIONS.name,
            needed,
            ["cluster_id"],
            _in(clusters, "cluster_id"),
            links=_rows("citations", "cluster_id"),
        )
        yield Step(
            ORIGINS.name,
            ORIGINS.needed,
            ["id"],
            _in(self.chosen.origins, "id"),
            links=_rows("original_court_info", "id"),
        )

    def _citation_map(self) -> Step:
        """What the opinions cite, which shows in them as well, and what cites them."""
        opinions, columns = self.chosen.opinions, ["id", CITING, CITED, DEPTH]
        links = _ids("opinions_cited", CITING, "id", CITED)
        citing, cited = _in(opinions, CITING), _in(opinions, CITED)
        return Step(
            CITATION_MAP,
            columns,
            [CITING, CITED],
            lambda rows: compute.or_(citing(rows), cited(rows)),
            rows=lambda found: found,
            links=lambda found: links(found.filter(citing(found))),
            columns=columns,
        )

    def _of_months(self, found: pa.Table) -> pa.Table:
        chosen = self.wanted.of_months(found.column("date_filed"))
        if self.wanted.status:
            has_status = compute.equal(found.column("precedential_status"), pa.scalar(self.wanted.status))
            chosen = compute.and_(chosen, has_status)
        return found.filter(self.chosen.or_known(CLUSTERS.name, chosen, found))

    def _remember(self, table: str) -> None:
        if columns := _REMEMBERED.get(table):
            for rows in self.work.columns(table, columns):
                self.chosen.add(table, rows)
            for page, bits in self.work.present(table):
                self.chosen.present[table].restore(page, bits)

    def _read(self, step: Step, progress: Progress) -> None:
        file = self.dump.files[step.table]
        table = BulkTable(self.source, file, step.needed, threads=self.threads)
        held = _Held(self, step, progress)
        try:
            for rows in table.rows(progress.mark, columns=step.columns, keys=step.keys, wanted=step.wanted):
                held.take(rows)
        except ValueError as error:
            raise DumpChanged(f"{file.path}: {error}") from error
        self.told(step.table, file.size, held.write(done=True))


@dataclass
class _Held:
    """What one pass has found since its last checkpoint."""

    passes: Passes
    step: Step
    progress: Progress
    rows: list[pa.Table] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    size: int = 0
    since: float = field(default_factory=time.monotonic)

    @property
    def present(self) -> IdSet | None:
        """The ids of all rows of the file, if each is an object."""
        return self.passes.chosen.present.get(self.step.table)

    def take(self, found: Rows) -> None:
        """Take rows in, and write a checkpoint if it is time."""
        kept = self.step.rows(found.table)
        self.links.extend(self.step.links(found.table))
        if self.present is not None and found.keys is not None:
            self.present.add(found.keys.column("id"))
        number = found.table.num_rows if kept is None else kept.num_rows
        if kept is not None and kept.num_rows:
            self.passes.chosen.add(self.step.table, kept)
            self.rows.append(kept)
            self.size += kept.nbytes
        seen, kept_now = self.progress.seen + found.seen, self.progress.kept + number
        self.progress = replace(self.progress, mark=found.end, seen=seen, kept=kept_now)
        if self.size + _LINK_BYTES * len(self.links) >= PART_BYTES or time.monotonic() - self.since >= PART_SECONDS:
            self.passes.told(self.step.table, found.packed, self.write())

    def write(self, *, done: bool = False) -> Progress:
        """Write a file of rows, if there are any, and the checkpoint."""
        progress = replace(self.progress, done=done)
        if self.rows:
            self.passes.work.write_part(self.step.table, progress.parts, pa.concat_tables(self.rows))
            progress = replace(progress, parts=progress.parts + 1)
        present = () if self.present is None else self.present.changes()
        self.passes.work.keep(self.step.table, progress, self.links, present)
        self.progress, self.rows, self.links, self.size = progress, [], [], 0
        self.since = time.monotonic()
        return progress


def _in(ids: IdSet, column: str) -> Callable[[pa.Table], Any]:
    return lambda rows: ids.mask(rows.column(column))


def _ids(kind: str, owner: str, place: str, value: str) -> Callable[[pa.Table], Iterator[Link]]:
    """Links to the ids in the column `value`."""

    def links(found: pa.Table) -> Iterator[Link]:
        columns = [ids_of(found.column(name)).tolist() for name in (owner, place, value)]
        for owner_id, place_id, value_id in zip(*columns, strict=True):
            yield Link(kind, owner_id, place_id, value_id)

    return links


def _slugs(found: pa.Table) -> Iterator[Link]:
    """The names of clusters in the addresses of their opinions."""
    for id, slug in zip(ids_of(found.column("id")).tolist(), found.column("slug").to_pylist(), strict=True):
        yield Link("slug", id, 0, slug or "")


def _both(*each: Callable[[pa.Table], Iterator[Link]]) -> Callable[[pa.Table], Iterator[Link]]:
    return lambda found: (link for links in each for link in links(found))


def _rows(kind: str, owner: str) -> Callable[[pa.Table], Iterator[Link]]:
    """Links to whole rows."""

    def links(found: pa.Table) -> Iterator[Link]:
        for row in found.to_pylist():
            yield Link(kind, int(row[owner]), int(row["id"]), json.dumps(row))

    return links
