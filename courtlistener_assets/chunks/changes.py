"""Changes: what a partition's rows have that the rows of its file had not.

Belongs here: comparing two versions of a partition row by row, and the file that names the difference. Does not belong
here: the rows' columns, and reading and writing them (`table.py`).
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from courtlistener_assets.chunks.files import Location
from courtlistener_assets.chunks.scratch import scratch_tables

CHANGES_SCHEMA: pa.Schema = pa.schema(
    [pa.field("chunk_id", pa.string(), nullable=False), pa.field("change", pa.string(), nullable=False)]
)


@dataclass(frozen=True)
class Diff:
    """How many chunks a partition's file has that the one before had not, by chunk id.

    `updated` chunks have the same text and other metadata: a vector store keeps their vectors. `added_tokens` are those
    of the added chunks. `written` is False if nothing changed and the file was not touched.
    """

    added: int
    removed: int
    unchanged: int
    updated: int = 0
    added_tokens: int = 0
    written: bool = True

    @property
    def rows(self) -> int:
        """Rows of the partition now."""
        return self.added + self.updated + self.unchanged

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.updated)


def changes_path(path: Location) -> Location:
    """Where the change that made the file at `path` is written: `chunks.parquet` -> `_chunks.changes.parquet`.

    Readers of whole directories pass over names that begin with an underscore.
    """
    return path.with_name(f"_{path.stem}.changes.parquet")


# A digest of every row before and after, by chunk id; NULL where there is no such row.
_SCHEMA = "CREATE TABLE chunks (id BLOB PRIMARY KEY, before BLOB, after BLOB, tokens INTEGER) WITHOUT ROWID"
_AFTER = (
    "INSERT INTO chunks (id, after, tokens) VALUES (?, ?, ?) "
    "ON CONFLICT (id) DO UPDATE SET after = excluded.after, tokens = excluded.tokens WHERE after IS NULL"
)
_BEFORE = (
    "INSERT INTO chunks (id, before, tokens) VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET before = excluded.before"
)
_COUNTS = (
    "SELECT count(*) FILTER (WHERE before IS NULL), count(*) FILTER (WHERE after IS NULL), "
    "count(*) FILTER (WHERE before = after), count(*) FILTER (WHERE before <> after), "
    "coalesce(sum(tokens) FILTER (WHERE before IS NULL), 0) FROM chunks"
)
_CHANGES = (
    "SELECT id, CASE WHEN before IS NULL THEN 'added' WHEN after IS NULL THEN 'removed' ELSE 'updated' END "
    "FROM chunks WHERE before IS NOT after ORDER BY id"
)


class RowVersions:
    """The ids and digests of a partition's rows before and after, on disk: their number does not matter to memory."""

    def __init__(self, table: sqlite3.Connection) -> None:
        self._table = table

    @classmethod
    @contextmanager
    def empty(cls) -> Iterator[RowVersions]:
        """Without any rows yet."""
        with scratch_tables(_SCHEMA) as table:
            yield cls(table)

    def add_after(self, batch: pa.RecordBatch) -> bool:
        """Add rows as they are now; returns False if a chunk id among them was added before."""
        return self._table.executemany(_AFTER, _keys(batch)).rowcount == len(batch)

    def add_before(self, batch: pa.RecordBatch) -> None:
        """Add rows as they were."""
        self._table.executemany(_BEFORE, _keys(batch))

    def forget_before(self) -> None:
        """As if there had been no rows before."""
        self._table.execute("DELETE FROM chunks WHERE after IS NULL")
        self._table.execute("UPDATE chunks SET before = NULL")

    def diff(self) -> Diff:
        """The counts of what changed."""
        added, removed, unchanged, updated, added_tokens = self._table.execute(_COUNTS).fetchone()
        return Diff(added, removed, unchanged, updated, added_tokens)

    def write_changes(self, file: Path, rows_a_group: int) -> None:
        """Write the ids of what changed as Parquet with the columns of CHANGES_SCHEMA, in the order of the ids."""
        changes = self._table.execute(_CHANGES)
        with pq.ParquetWriter(file, CHANGES_SCHEMA, compression="zstd") as writer:
            while group := changes.fetchmany(rows_a_group):
                ids, kinds = zip(*group, strict=True)
                writer.write_table(pa.table([[id.hex() for id in ids], kinds], schema=CHANGES_SCHEMA))


def _keys(batch: pa.RecordBatch) -> Iterator[tuple[bytes, bytes, int]]:
    # All columns but the text, which content_hash represents.
    columns = [name for name in batch.schema.names if name != "text"]
    for row in batch.select(columns).to_pylist():
        yield bytes.fromhex(row["chunk_id"]), _digest(row), row["token_count"]


def _digest(row: dict[str, Any]) -> bytes:
    return hashlib.blake2b(json.dumps(row, default=str).encode(), digest_size=8).digest()
