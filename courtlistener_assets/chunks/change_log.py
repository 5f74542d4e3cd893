"""The change log: every change of a partition's file, told in an order that all consumers see.

Belongs here: what a worker does who replaces a file, and compaction. Does not belong here: who reads the log
(`news.py`), its files (`log_files.py`), its numbers (`resources/records/chunk_log.py`).

A file is replaced first and its change is told then, both while no other worker may replace it. A worker that is killed
in between has left a file whose version is not the one that the log describes; so is a file that a worker put in its
place who had been stopped for too long, or that was damaged or deleted. The next worker compares such a partition with
what the log says, not with the file. Postgres decides what was told; the files of the log are copies of it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from courtlistener_assets.chunks import log_files
from courtlistener_assets.chunks.changes import header_digest
from courtlistener_assets.chunks.files import Location, opened, shown, unreadable
from courtlistener_assets.chunks.net import Net, merged
from courtlistener_assets.chunks.news import add_entries, chain
from resources.connections.postgres import Connection, Database
from resources.errors import Overtaken, TooLate
from resources.records.chunk_log import ChunkLog, Turn
from resources.records.chunk_texts import ChunkTexts

#: How many rows an entry has at most; a change of more is told in several.
ROWS_AN_ENTRY = 50_000
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PartitionTurn:
    """The right to replace a partition's file, and what the log says of it."""

    _turn: Turn
    _partition: str
    _log: ChangeLog

    def describes(self, version: str | None) -> bool:
        """Whether the log describes the file of this version."""
        return version is not None and self._turn.version == version

    def state(self) -> Iterator[pa.RecordBatch]:
        """What the log says of the partition, as rows of STATE_SCHEMA."""
        return self._log.state_of(self._partition)

    @property
    def connection(self) -> Connection:
        """What is written by it counts when the turn ends."""
        return self._turn.connection

    def tell(self, version: str, changes: Iterable[list[tuple[Any, ...]]]) -> None:
        """The file was replaced by this version: groups of rows as `RowVersions.changes` gives them."""
        rows = ([(id, change, self._partition, *rest) for id, change, *rest in group] for group in changes)
        self._turn.commit(version, map(log_files.entry_of, rows))


@dataclass(frozen=True)
class Telling:
    """One change of a partition's file that is about to be told, made of what was read since `version` was there."""

    log: ChangeLog
    partition: str
    version: str | None

    @contextmanager
    def turn(self) -> Iterator[PartitionTurn]:
        """Wait for the turn to replace the file; what was told counts at the end.

        Raises Overtaken if another worker has replaced it since: what was read may be older than what that one has
        read. Raises StoreUnavailable.
        """
        with self.log.numbers.turn(self.partition) as turn:
            if turn.version != self.version:
                raise Overtaken
            yield PartitionTurn(turn, self.partition, self.log)


class ChangeLog:
    """The log of the files below `data_dir`."""

    def __init__(self, numbers: ChunkLog, texts: ChunkTexts, data_dir: Location) -> None:
        self.numbers, self.texts = numbers, texts
        self._data_dir = data_dir

    @classmethod
    def at(cls, data_dir: Location, database: Database) -> ChangeLog:
        """The log of the files there, whose numbers a database gives. All workers have to name the place alike."""
        return cls(ChunkLog(database, shown(data_dir)), ChunkTexts(database, shown(data_dir)), data_dir)

    def open(self) -> ChangeLog:
        """Make sure that Postgres knows as much as the files do, and that these tell all that it knows."""
        last = self.numbers.last()
        if chain(self._data_dir).last > last:
            self.renew("it has files that Postgres does not know")
        self.write_files()
        found = chain(self._data_dir)
        if not found.last:  # The dataset may have come without it.
            self.renew("there was none")
        elif not found.complete or found.last < last:
            self.renew("some of its files are missing")
        return self

    def telling(self, path: Location) -> Telling:
        """A change of the file at `path`; to be made before what goes into the file is read."""
        partition = partition_of(path)
        return Telling(self, partition, self.numbers.version(partition))

    def write_files(self) -> None:
        """Write what was told and has no file yet, in its order; several workers may do so at once."""
        for sequence, entry in self.numbers.unwritten():
            log_files.put(entry, log_files.numbered(log_files.log_dir(self._data_dir), sequence))
            self.numbers.written(sequence)

    def state_of(self, partition: str) -> Iterator[pa.RecordBatch]:
        """What the log says of a partition; begins a new log if it cannot be read."""
        compacted = self._compacted()
        try:
            yield from _fold(self._about(partition, compacted))
        except TooLate as error:
            # Entries that were compacted and deleted while they were read are in the newer state.
            if self._compacted() <= compacted:
                self.renew(str(error))
            yield from _fold(self._about(partition, self._compacted()))

    def _compacted(self) -> int:
        return next(reversed(log_files.numbers(log_files.compacted_dir(self._data_dir))), 0)

    def _about(self, partition: str, compacted: int) -> Iterator[pa.RecordBatch]:
        self.write_files()
        if compacted:
            place = log_files.numbered(log_files.compacted_dir(self._data_dir), compacted)
            yield from log_files.read_partition(place, partition)
        for sequence in self.numbers.of_partition(partition):
            if sequence > compacted:
                yield from log_files.read(log_files.numbered(log_files.log_dir(self._data_dir), sequence))

    def compact(self, keep_days: float) -> bool:
        """Put the entries that are older into the compacted state, and delete them; returns whether there were any."""
        with self.numbers.alone("compaction") as alone:
            sequence = self.numbers.older_than(keep_days) if alone else 0
            if not sequence:
                return False
            try:
                self._compact(sequence)
            except TooLate as error:
                self.renew(str(error))
            else:
                self._clear(sequence)
                self.numbers.forget(sequence)
        return True

    def _compact(self, sequence: int) -> None:
        directory = log_files.compacted_dir(self._data_dir)
        old = log_files.numbers(directory)[-1:]
        if old and old[0] >= sequence:  # A worker was killed before it could delete the entries.
            return
        with Net.empty() as net:
            add_entries(net, self._data_dir, old[0] if old else 0, sequence)
            state = (batch for each in old for batch in log_files.read(log_files.numbered(directory, each)))
            log_files.put_state(merged(state, net), self._data_dir, sequence)

    def renew(self, reason: str) -> None:
        """Begin a new log with what the files have: nobody who has followed the old one can go on with it."""
        _log.warning("A new change log begins: %s", reason)
        # Whoever dies before the state is there leaves a gap, for which another worker begins a new log.
        sequence = self.numbers.skip(chain(self._data_dir).last)
        log_files.put_state(_rows_of_dataset(self._data_dir), self._data_dir, sequence)
        self._clear(sequence)
        self.numbers.forget(sequence)

    def _clear(self, sequence: int) -> None:
        """Delete the entries that the state of this number has, and older states."""
        for number in log_files.numbers(log_files.log_dir(self._data_dir)):
            if number <= sequence:
                log_files.delete(log_files.numbered(log_files.log_dir(self._data_dir), number))
        for number in log_files.numbers(log_files.compacted_dir(self._data_dir)):
            if number < sequence:
                log_files.delete(log_files.numbered(log_files.compacted_dir(self._data_dir), number))


def partition_of(path: Location) -> str:
    """What the log calls the partition whose file this is: its directories, `court=ca9/month=2024-02`."""
    return f"{path.parent.parent.name}/{path.parent.name}"


def _fold(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The state after rows of states and entries about one partition; moved chunks are no longer in it."""
    with Net.empty() as net:
        for batch in batches:
            if "change" not in batch.schema.names:
                net.add_state(batch)
                continue
            gone = pc.equal(batch["change"], pa.scalar("moved"))
            changes = pc.if_else(gone, pa.scalar("removed"), batch["change"])
            net.add_entry(batch.set_column(1, "change", changes))
        yield from log_files.batches(net.state())


def _rows_of_dataset(data_dir: Location) -> Iterator[tuple[Any, ...]]:
    """All chunks of the dataset as rows of STATE_SCHEMA; a damaged file has none, and is told anew when it is made."""
    columns = ["chunk_id", "doc_type", "document_id", "content_hash", "context_header"]
    for path in sorted((data_dir / "vector_inputs").glob("*/*/chunks.parquet"), key=partition_of):
        try:
            with opened(path) as file:
                for batch in file.iter_batches(columns=columns):
                    for id, kind, document, content, header in zip(
                        *(batch[c].to_pylist() for c in columns), strict=True
                    ):
                        yield id, partition_of(path), kind, document, content, header_digest(header).hex()
        except unreadable(path):
            _log.warning("%s cannot be read", shown(path))
