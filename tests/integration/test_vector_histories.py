"""Random histories of documents that change, move and go while files are made: consumers end with what is in the files.

The stories of `test_vector_moves.py` are those that somebody thought of.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from courtlistener_assets.building.partition import Builder, chunks_path
from courtlistener_assets.chunks import table as chunk_table
from courtlistener_assets.chunks.change_log import ChangeLog
from courtlistener_assets.chunks.files import publish
from courtlistener_assets.chunks.options import ChunkOptions
from courtlistener_assets.download.choice import chosen
from courtlistener_assets.download.streams import STREAMS
from courtlistener_assets.download.undated import partition_of
from resources.connections.postgres import Database
from resources.records.model import Record
from resources.records.store import RecordStore
from tests.integration.test_vector_moves import Change, simple, told, with_partitions

PARTITIONS = [f"{court}|{month}" for court in ("scotus", "ca9") for month in ("2024-01-01", "2024-02-01", "undated")]
SEEDS = range(4)


class Killed(Exception):
    pass


@dataclass
class History:
    """A store in which things happen at random, and the changes of every file that was made of it, in order."""

    store: RecordStore
    database: Database
    data: Path
    chance: random.Random
    changes: list[Change] = field(default_factory=list)
    at: datetime = datetime(2024, 6, 1, tzinfo=UTC)

    def happen(self) -> None:
        """Let things happen and files be made, in the end those of all that is stale."""
        for partition in PARTITIONS:
            self.build(partition)
        for id in (1, 2, 3):
            for put in (self.docket, self.filing, self.cluster, self.opinion):
                put(id)
        for _ in range(40):
            self.step()
            for partition in self.chance.sample(PARTITIONS, self.chance.choice([0, 0, 1, 2])):
                self.build_or_be_killed(partition)
        while stale := {partition for partition, _ in self.store.stale.partitions()} & set(PARTITIONS):
            self.build(self.chance.choice(sorted(stale)))

    def step(self) -> None:
        put = [self.docket, self.cluster, self.cluster, self.opinion, self.filing]
        id, what = self.chance.choice([1, 2, 3]), self.chance.randrange(8)
        if what < len(put):
            put[what](id)
        elif self.chance.random() < 0.4:
            stream, first = self.chance.choice(
                [("dockets", 0), ("clusters", 0), ("opinions", 10), ("recap_documents", 20)]
            )
            self.store.mark_gone(stream, [first + id], "404")

    def docket(self, id: int) -> None:
        court, day = self.chance.choice(["scotus", "ca9"]), self.chance.choice([None, "2024-01-05", "2024-02-05"])
        self._put("dockets", id, docket_id=id, court_id=court, date_filed=day and date.fromisoformat(day))

    def cluster(self, id: int) -> None:
        day = date.fromisoformat(self.chance.choice(["2024-01-10", "2024-02-10"]))
        self._put("clusters", id, docket_id=self.chance.choice([1, 2, 3]), cluster_id=id, date_filed=day)

    def opinion(self, id: int) -> None:
        self._put("opinions", 10 + id, self._text(), cluster_id=id)

    def filing(self, id: int) -> None:
        keys: dict[str, Any] = {"docket_id": self.chance.choice([1, 2, 3]), "docket_entry_id": 20 + id}
        self._put("docket_entries", 20 + id, **keys)
        self._put("recap_documents", 20 + id, self._text(), **keys)

    def _text(self) -> str:
        return f"Text number {self.chance.randrange(3)}."

    def _put(self, stream: str, id: int, text: str = "", **columns: Any) -> None:
        self.at += timedelta(seconds=1)
        body = {"id": id, "plain_text": text}
        columns = {"court_id": "scotus", "date_modified": self.at, **columns}
        self.store.store_found("", [Record(stream, id, body, **columns)])

    # --- files ---

    def builder(self, log: ChangeLog) -> Builder:
        return Builder(store=self.store, streams=chosen(), data_dir=self.data, options=ChunkOptions(), log=log)

    def build(self, partition: str) -> None:
        said = self.builder(ChangeLog.at(self.data, self.database)).build(partition_of(partition)).diff
        kinds = ("added", "removed", "relabelled", "reembed", "moved")
        new = told(self.data, self.changes, partition)
        [ids] = [each.ids for each in new] or [{}]
        assert {kind: getattr(said, kind) for kind in kinds} == {kind: list(ids.values()).count(kind) for kind in kinds}
        self.changes += new

    def build_or_be_killed(self, partition: str) -> None:
        if self.chance.random() < 0.7:
            self.build(partition)
            return
        with pytest.MonkeyPatch.context() as patch, suppress(Killed):
            patch.setattr(chunk_table, "publish", failing(self.chance.choice([True, False])))
            self.build(partition)

    def ids(self) -> set[str]:
        """The chunks that are in any file."""
        files = self.data.rglob("chunks.parquet")
        return {str(row["chunk_id"]) for file in files for row in pq.ParquetFile(file).read(["chunk_id"]).to_pylist()}


def failing(first: bool) -> Callable[..., None]:
    """Return `publish` that fails before the file is in its place, or behind."""

    def fail(*args: Any) -> None:
        if not first:
            publish(*args)
        raise Killed

    return fail


def in_another_order(changes: Sequence[Change], chance: random.Random) -> list[Change]:
    """The same changes; only those of one partition stay in their order."""
    waiting = {partition: [each for each in changes if each.partition == partition] for partition in PARTITIONS}
    order = [each.partition for each in changes]
    chance.shuffle(order)
    return [waiting[partition].pop(0) for partition in order]


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_happens_consumers_end_with_what_is_in_the_files(
    database: Database, tmp_path: Path, seed: int
) -> None:
    tables = [table for stream in STREAMS for table in stream.tables]
    store = RecordStore(database, tables)
    store.prepare([table.name for table in tables])
    chance = random.Random(seed)
    history = History(store, database, tmp_path, chance)
    history.happen()
    assert simple(history.changes) == history.ids()
    for _ in range(20):
        assert with_partitions(in_another_order(history.changes, chance)) == history.ids()
    # Nothing is in two files, and what is noted as on its way to one has come there.
    assert len(history.ids()) == sum(
        pq.ParquetFile(file).metadata.num_rows for file in tmp_path.rglob("chunks.parquet")
    )
    for partition, chunk_id in database.rows("SELECT partition, chunk_id FROM courtlistener.chunk_arrivals"):
        path = str(chunks_path(tmp_path, partition_of(partition)))
        assert chunk_id in pq.ParquetFile(path).read(["chunk_id"])["chunk_id"].to_pylist()
