"""The net effect of entries of the change log: what is to be done about each chunk after all of them.

Belongs here: what follows from one change after another. Does not belong here: which entries are read (`news.py`,
`change_log.py`), or their files (`log_files.py`).
"""

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa

from courtlistener_assets.chunks.changes import logged
from courtlistener_assets.chunks.scratch import scratch_tables

#: A vector is to be made, gets other metadata, is to go, or stays as it is, since its chunk is on its way.
EMBED, RELABEL, DELETE, KEEP = "embed", "relabel", "delete", "keep"

_SCHEMA = """
CREATE TABLE chunks (
    id BLOB PRIMARY KEY, todo TEXT NOT NULL, place TEXT, kind TEXT, document INTEGER, content BLOB, header BLOB
) WITHOUT ROWID
"""
_PUT = "INSERT OR REPLACE INTO chunks VALUES (?, ?, ?, ?, ?, ?, ?)"
_GET = "SELECT todo, place, header FROM chunks WHERE id = ?"
_ROWS = (
    "SELECT lower(hex(id)), place, kind, document, nullif(lower(hex(content)), ''), nullif(lower(hex(header)), '') "
    "FROM chunks WHERE todo IN ('embed', 'relabel') ORDER BY place, id"
)


class Net:
    """What is to be done about each chunk, on disk."""

    def __init__(self, table: sqlite3.Connection) -> None:
        self._table = table

    @classmethod
    @contextmanager
    def empty(cls) -> Iterator[Net]:
        """Of no entry."""
        with scratch_tables(_SCHEMA) as table:
            yield cls(table)

    def add_state(self, batch: pa.RecordBatch) -> None:
        """Begin with rows of STATE_SCHEMA, all of which are to be embedded."""
        rows = zip(logged(batch), batch["partition"].to_pylist(), strict=True)
        self._table.executemany(_PUT, ((id, EMBED, place, *rest) for (id, *rest), place in rows))

    def add_entry(self, batch: pa.RecordBatch) -> None:
        """Add rows of ENTRY_SCHEMA, which come after all others."""
        told: Iterable[Any] = zip(
            logged(batch), *(batch[name].to_pylist() for name in ("change", "partition")), strict=True
        )
        for (id, *rest), change, place in told:
            known = self._table.execute(_GET, [id]).fetchone()
            self._table.execute(_PUT, (id, *_after(known, change, place, rest[-1]), *rest))

    def count(self, todo: str) -> int:
        """How many chunks something is to be done about."""
        [(count,)] = self._table.execute("SELECT count(*) FROM chunks WHERE todo = ?", [todo])
        return int(count)

    def ids(self, todo: str, at_once: int) -> Iterator[list[str]]:
        """The ids of these chunks."""
        found = self._table.execute("SELECT lower(hex(id)) FROM chunks WHERE todo = ? ORDER BY id", [todo])
        while group := found.fetchmany(at_once):
            yield [id for (id,) in group]

    def places(self, todo: str) -> list[str]:
        """The partitions that have these chunks."""
        found = self._table.execute("SELECT DISTINCT place FROM chunks WHERE todo = ? ORDER BY place", [todo])
        return [place for (place,) in found]

    def ids_in(self, place: str, todo: str) -> list[str]:
        """The ids of these chunks that a partition has."""
        found = self._table.execute("SELECT lower(hex(id)) FROM chunks WHERE place = ? AND todo = ?", [place, todo])
        return [id for (id,) in found]

    def todo(self, chunk_id: str) -> str | None:
        """What is to be done about a chunk, None if no row was about it."""
        known = self._table.execute(_GET, [bytes.fromhex(chunk_id)]).fetchone()
        return known[0] if known else None

    def state(self) -> Iterator[tuple[Any, ...]]:
        """The chunks that are there, as rows of STATE_SCHEMA in the order of partitions."""
        yield from self._table.execute(_ROWS)


def _after(known: tuple[Any, ...] | None, change: str, place: str, header: bytes) -> tuple[str, str]:
    """What is to be done about a chunk after one more change, and which partition has it."""
    todo, there, old_header = known or (None, place, None)
    if change == "removed":
        return DELETE, place
    if change == "moved":  # To where another entry says, or has said already.
        return todo or KEEP, there
    if change == "relabelled":
        return (EMBED if todo == EMBED else RELABEL), place
    if change == "added" and todo in (KEEP, RELABEL) and old_header == header:
        return RELABEL, place
    return EMBED, place


def merged(state: Iterable[pa.RecordBatch], net: Net) -> Iterator[tuple[Any, ...]]:
    """A state and the net effect of all entries since, as the state after them."""

    def unchanged() -> Iterator[tuple[Any, ...]]:
        for batch in state:
            for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                if net.todo(row[0]) in (None, KEEP):
                    yield row

    yield from heapq.merge(unchanged(), net.state(), key=lambda row: (row[1], row[0]))
