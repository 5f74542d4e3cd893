"""Changes: what a partition's rows have that the rows of its file had not.

Belongs here: comparing two versions of a partition row by row, and the file that names the difference. Does not belong
here: the rows' columns, and reading and writing them (`table.py`).
"""

from __future__ import annotations

import datetime as dt
import hashlib
import itertools
import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from courtlistener_assets.chunks.files import Location
from courtlistener_assets.chunks.scratch import scratch_tables
from resources.records.arrivals import Arrival

CHANGES_SCHEMA: pa.Schema = pa.schema(
    [pa.field("chunk_id", pa.string(), nullable=False), pa.field("change", pa.string(), nullable=False)]
)

#: In the metadata of a changes file: when it was written, in UTC.
WRITTEN_AT = "written_at"


@dataclass(frozen=True)
class Diff:
    """How many chunks a partition's file has that the one before had not, by chunk id.

    `moved` chunks are no longer in the file, but in that of another partition, or in it as soon as it is made again;
    `removed` ones are in no other. `updated` chunks have the same text and other metadata: a vector store keeps their
    vectors. `added_tokens` are those of the added chunks. `written` is False if nothing changed and the file was not
    touched.
    """

    added: int
    removed: int
    unchanged: int
    updated: int = 0
    added_tokens: int = 0
    written: bool = True
    moved: int = 0

    @property
    def rows(self) -> int:
        """Rows of the partition now."""
        return self.added + self.updated + self.unchanged

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.updated or self.moved)


def changes_path(path: Location) -> Location:
    """Where the change that made the file at `path` is written: `chunks.parquet` -> `_chunks.changes.parquet`.

    Readers of whole directories pass over names that begin with an underscore.
    """
    return path.with_name(f"_{path.stem}.changes.parquet")


# A digest of every row before and after, by chunk id; NULL where there is no such row. The document is known of those
# only that are not there any more, or were never, although another partition said that they would come.
_SCHEMA = """
CREATE TABLE chunks (
    id BLOB PRIMARY KEY, before BLOB, after BLOB, tokens INTEGER, kind TEXT, document INTEGER, moved INTEGER
) WITHOUT ROWID
"""
_AFTER = (
    "INSERT INTO chunks (id, after, tokens) VALUES (?, ?, ?) "
    "ON CONFLICT (id) DO UPDATE SET after = excluded.after, tokens = excluded.tokens WHERE after IS NULL"
)
_BEFORE = (
    "INSERT INTO chunks (id, before, tokens, kind, document) VALUES (?, ?, ?, ?, ?) "
    "ON CONFLICT (id) DO UPDATE SET before = excluded.before"
)
_ARRIVAL = "INSERT INTO chunks (id, kind, document) VALUES (?, ?, ?) ON CONFLICT (id) DO NOTHING"
_LOST = "CREATE INDEX lost ON chunks (kind, document) WHERE after IS NULL"
_LEFT = (
    "CREATE TABLE documents AS SELECT DISTINCT kind, document FROM chunks "
    "WHERE after IS NULL AND kind IS NOT NULL AND document IS NOT NULL"
)
_COUNTS = (
    "SELECT count(*) FILTER (WHERE before IS NULL AND after IS NOT NULL), "
    "count(*) FILTER (WHERE after IS NULL AND moved IS NULL), "
    "count(*) FILTER (WHERE before = after), count(*) FILTER (WHERE before <> after), "
    "coalesce(sum(tokens) FILTER (WHERE before IS NULL), 0), count(moved) FROM chunks"
)
_CHANGES = (
    "SELECT id, CASE WHEN moved THEN 'moved' WHEN after IS NULL THEN 'removed' WHEN before IS NULL THEN 'added' "
    "ELSE 'updated' END FROM chunks WHERE after IS NULL OR before IS NOT after ORDER BY id"
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
        documents = zip(*(_column(batch, name) for name in ("doc_type", "document_id")), strict=True)
        self._table.executemany(
            _BEFORE, ((*key, *document) for key, document in zip(_keys(batch), documents, strict=True))
        )

    def add_arrivals(self, arrivals: Iterable[Arrival]) -> None:
        """Add the chunks that were to come, after all others: those that are not there now are gone."""
        self._table.executemany(
            _ARRIVAL, ((bytes.fromhex(each.chunk_id), each.kind, each.document_id) for each in arrivals)
        )

    def documents_that_lost_chunks(self, at_once: int) -> Iterator[tuple[str, list[int]]]:
        """Kinds and ids of the documents with chunks that are not there any more, `at_once` of them; asked once."""
        self._table.execute(_LOST)
        self._table.execute(_LEFT)
        documents = self._table.execute("SELECT kind, document FROM documents ORDER BY kind, document")
        while group := documents.fetchmany(at_once):
            for kind, of_kind in itertools.groupby(group, lambda each: each[0]):
                yield kind, [document for _, document in of_kind]

    def lost_chunks(self, kind: str, documents: Sequence[int]) -> dict[int, list[str]]:
        """The ids of the chunks of documents that are not there any more, by document."""
        found: dict[int, list[str]] = {document: [] for document in documents}
        for id, document in self._table.execute(
            "SELECT id, document FROM chunks WHERE after IS NULL AND kind = ? "
            "AND document IN (SELECT value FROM json_each(?))",
            (kind, json.dumps(list(documents))),
        ):
            found[document].append(id.hex())
        return found

    def mark_moved(self, chunk_ids: Iterable[str]) -> None:
        """Note that chunks which are not there any more are in another partition."""
        self._table.executemany(
            "UPDATE chunks SET moved = 1 WHERE id = ? AND after IS NULL", ([bytes.fromhex(id)] for id in chunk_ids)
        )

    def forget_before(self) -> None:
        """As if there had been no rows before."""
        self._table.execute("DELETE FROM chunks WHERE after IS NULL")
        self._table.execute("UPDATE chunks SET before = NULL")

    def diff(self) -> Diff:
        """The counts of what changed."""
        added, removed, unchanged, updated, added_tokens, moved = self._table.execute(_COUNTS).fetchone()
        return Diff(added, removed, unchanged, updated, added_tokens, moved=moved)

    def write_changes(self, file: Path, rows_a_group: int) -> None:
        """Write the ids of what changed as Parquet with the columns of CHANGES_SCHEMA, in the order of the ids."""
        changes = self._table.execute(_CHANGES)
        with pq.ParquetWriter(file, CHANGES_SCHEMA, compression="zstd") as writer:
            writer.add_key_value_metadata({WRITTEN_AT: dt.datetime.now(dt.UTC).isoformat()})
            while group := changes.fetchmany(rows_a_group):
                ids, kinds = zip(*group, strict=True)
                writer.write_table(pa.table([[id.hex() for id in ids], kinds], schema=CHANGES_SCHEMA))


def _column(batch: pa.RecordBatch, name: str) -> list[Any]:
    return batch[name].to_pylist() if name in batch.schema.names else [None] * len(batch)


def _keys(batch: pa.RecordBatch) -> Iterator[tuple[bytes, bytes, int]]:
    # All columns but the text, which content_hash represents.
    columns = [name for name in batch.schema.names if name != "text"]
    for row in batch.select(columns).to_pylist():
        yield bytes.fromhex(row["chunk_id"]), _digest(row), row["token_count"]


def _digest(row: dict[str, Any]) -> bytes:
    return hashlib.blake2b(json.dumps(row, default=str).encode(), digest_size=8).digest()
