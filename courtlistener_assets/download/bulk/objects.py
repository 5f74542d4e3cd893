"""The objects of a bootstrap, in the order in which they are stored: dockets, their decisions, and the opinions.

Belongs here: joining, and going on in the middle. Does not belong here: values (`bodies.py`), storing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from courtlistener_assets.download.bulk.bodies import Bodies, Body, Joined, Row
from courtlistener_assets.download.bulk.passes import Chosen, Wanted
from courtlistener_assets.download.bulk.tables import CLUSTERS, DOCKETS, OPINIONS
from courtlistener_assets.download.bulk.work import Progress, Workshop

#: At most so many objects are stored together, and about so many bytes of them.
BATCH_ROWS, BATCH_BYTES = 500, 4 << 20


@dataclass(frozen=True)
class Batch:
    """Objects of one of the API's streams, and the progress once they are stored."""

    stream: str
    bodies: list[Body]
    progress: Progress


@dataclass(frozen=True)
class Objects:
    """Makes the objects of all rows that were kept."""

    work: Workshop
    wanted: Wanted
    chosen: Chosen
    bodies: Bodies

    def batches(self) -> Iterator[Batch]:
        """All objects that were not stored yet; `done` after each is for the caller to call."""
        steps: list[tuple[str, str, Callable[[Sequence[Row]], list[Body]], Callable[[pa.Table], pa.Table]]] = [
            ("dockets", DOCKETS.name, self._dockets, self._of_months),
            ("clusters", CLUSTERS.name, self._clusters, lambda rows: rows),
            ("opinions", OPINIONS.name, self._opinions, lambda rows: rows),
        ]
        for stream, table, make, choose in steps:
            yield from self._batches(stream, table, make, choose)

    def done(self, batch: Batch) -> None:
        """Note that a batch is stored."""
        self.work.keep(_step(batch.stream), batch.progress)

    def _batches(
        self,
        stream: str,
        table: str,
        make: Callable[[Sequence[Row]], list[Body]],
        choose: Callable[[pa.Table], pa.Table],
    ) -> Iterator[Batch]:
        # What counts is how many files were read whole, and how many rows of the next one.
        before, parts = self.work.progress(_step(stream)), self.work.progress(table).parts
        seen, kept, skip = before.seen, before.kept, before.seen
        for number in range(before.parts, parts):
            for rows in _batches(self.work.part(table, number)):
                if skip >= rows.num_rows:
                    skip -= rows.num_rows
                    continue
                chosen = choose(pa.Table.from_batches([rows.slice(skip)]))
                seen, kept, skip = seen + rows.num_rows - skip, kept + chosen.num_rows, 0
                yield Batch(stream, make(chosen.to_pylist()), Progress(None, number, seen, kept))
            seen = 0
        self.work.keep(_step(stream), Progress(None, parts, 0, kept, done=True))

    def _of_months(self, rows: pa.Table) -> pa.Table:
        """Of the dockets of all months, those that were filed in the wanted ones, or decided there, or are known."""
        of_months = self.wanted.filed_or_decided(rows, self.chosen.decided)
        return rows.filter(self.chosen.or_known(DOCKETS.name, of_months, rows))

    def _dockets(self, rows: Sequence[Row]) -> list[Body]:
        clusters = self.work.joined("clusters", _ids(rows))
        origins = self.work.joined("original_court_info", _ids(rows, "originating_court_information_id"))
        return [
            self.bodies.docket(
                row,
                Joined(
                    {"clusters": _of(clusters, row["id"])},
                    {"original_court_info": _rows(origins, row["originating_court_information_id"])},
                ),
            )
            for row in rows
        ]

    def _clusters(self, rows: Sequence[Row]) -> list[Body]:
        names = ("panel", "non_participating_judges", "sub_opinions")
        found = {name: self.work.joined(name, _ids(rows)) for name in names}
        citations = self.work.joined("citations", _ids(rows))
        return [
            self.bodies.cluster(
                row,
                Joined(
                    {name: _of(found[name], row["id"]) for name in names}, {"citations": _rows(citations, row["id"])}
                ),
            )
            for row in rows
        ]

    def _opinions(self, rows: Sequence[Row]) -> list[Body]:
        found = {name: self.work.joined(name, _ids(rows)) for name in ("joined_by", "opinions_cited")}
        slugs = self.work.joined("slug", _ids(rows, "cluster_id"))
        return [
            self.bodies.opinion(
                row,
                Joined(
                    {name: _of(ids, row["id"]) for name, ids in found.items()},
                    cluster_slug=next(iter(_of(slugs, row["cluster_id"])), ""),
                ),
            )
            for row in rows
        ]


def _batches(part: pq.ParquetFile) -> Iterator[pa.RecordBatch]:
    """The rows of a file, as many at once as are stored together."""
    for rows in part.iter_batches(BATCH_ROWS):
        number = max(1, min(rows.num_rows, BATCH_BYTES * rows.num_rows // max(1, rows.nbytes)))
        for start in range(0, rows.num_rows, number):
            yield rows.slice(start, number)


def _step(stream: str) -> str:
    return f"store {stream}"


def _ids(rows: Sequence[Row], column: str = "id") -> list[int]:
    return [int(id) for row in rows if (id := row[column]) is not None]


def _of(found: Mapping[int, list[Any]], id: str | None) -> list[Any]:
    return found.get(int(id), []) if id else []


def _rows(found: Mapping[int, list[Any]], id: str | None) -> list[Row]:
    return [json.loads(text) for text in _of(found, id)]
