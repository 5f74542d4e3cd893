"""Changes: what a partition's rows have that the rows of its file had not.

Belongs here: comparing two versions of a partition row by row. Does not belong here: the rows' columns, and reading and
writing them (`table.py`), the log that names the difference (`change_log.py`, `log_files.py`).
"""

from __future__ import annotations

import hashlib
import itertools
import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from courtlistener_assets.chunks.scratch import scratch_tables
from resources.records.arrivals import Arrival


@dataclass(frozen=True)
class Diff:
    """How many chunks a partition's file has that the one before had not, by chunk id.

    `moved` chunks are no longer in the file, but in that of another partition, or in it as soon as it is made again;
    `removed` ones are in no other. `reembed` chunks have the same text below another context_header, `relabelled` ones
    only other metadata: a vector store keeps their vectors. `added_tokens` are those of the chunks to embed, `added`
    and `reembed`. `written` is False if nothing changed and the file was not touched. `content` stands for all rows as
    they are now: equal rows have the same.
    """

    added: int
    removed: int
    unchanged: int
    relabelled: int = 0
    reembed: int = 0
    added_tokens: int = 0
    written: bool = True
    moved: int = 0
    content: str = field(default="", compare=False)

    @property
    def rows(self) -> int:
        """Rows of the partition now."""
        return self.added + self.relabelled + self.reembed + self.unchanged

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.relabelled or self.reembed or self.moved)


# A digest of every row before and after, by chunk id; NULL where there is no such row. Of a row that is known from the
# log only the digest is empty. Besides what the log says of a chunk: its document, the digests of its text and of its
# header, and of the header before.
_SCHEMA = """
CREATE TABLE chunks (
    id BLOB PRIMARY KEY, before BLOB, after BLOB, tokens INTEGER, kind TEXT, document INTEGER, content BLOB,
    header BLOB, header_before BLOB, moved INTEGER
) WITHOUT ROWID
"""
_AFTER = (
    "INSERT INTO chunks (id, after, tokens, kind, document, content, header) VALUES (?, ?, ?, ?, ?, ?, ?) "
    "ON CONFLICT DO NOTHING"
)
_BEFORE = (
    "INSERT INTO chunks (id, before, tokens, kind, document, content, header, header_before) "
    "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7) "
    "ON CONFLICT (id) DO UPDATE SET before = excluded.before, header_before = excluded.header_before"
)
_ARRIVAL = "INSERT INTO chunks (id, kind, document) VALUES (?, ?, ?) ON CONFLICT (id) DO NOTHING"
_LOST = "CREATE INDEX lost ON chunks (kind, document) WHERE after IS NULL"
_LEFT = (
    "CREATE TABLE documents AS SELECT DISTINCT kind, document FROM chunks "
    "WHERE after IS NULL AND kind IS NOT NULL AND document IS NOT NULL"
)
_CHANGED = "before IS NOT NULL AND after IS NOT NULL AND before <> after"
_COUNTS = (
    "SELECT count(*) FILTER (WHERE before IS NULL AND after IS NOT NULL), "
    "count(*) FILTER (WHERE after IS NULL AND moved IS NULL), count(*) FILTER (WHERE before = after), "
    f"count(*) FILTER (WHERE {_CHANGED} AND header_before IS header), "
    f"count(*) FILTER (WHERE {_CHANGED} AND header_before IS NOT header), "
    "coalesce(sum(tokens) FILTER (WHERE after IS NOT NULL AND (before IS NULL OR "
    "before <> after AND header_before IS NOT header)), 0), count(moved) FROM chunks"
)
_CHANGES = (
    "SELECT lower(hex(id)), CASE WHEN moved THEN 'moved' WHEN after IS NULL THEN 'removed' "
    "WHEN before IS NULL THEN 'added' WHEN header_before IS NOT header THEN 'reembed' ELSE 'relabelled' END, "
    "kind, document, nullif(lower(hex(content)), ''), nullif(lower(hex(header)), '') "
    "FROM chunks WHERE after IS NULL OR before IS NOT after ORDER BY id"
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

    def add_logged(self, batch: pa.RecordBatch) -> None:
        """Add rows as the log has them (`STATE_SCHEMA`), which does not know what they said."""
        self._table.executemany(_BEFORE, ((id, b"", None, *rest) for id, *rest in logged(batch)))

    def forget_before(self, *, damaged: bool) -> None:
        """As if the log had never heard of the rows before; `damaged`: as if there had been none."""
        if damaged:
            self._table.execute("DELETE FROM chunks WHERE after IS NULL")
        self._table.execute("UPDATE chunks SET before = NULL, header_before = NULL")

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

    def diff(self) -> Diff:
        """The counts of what changed."""
        added, removed, unchanged, relabelled, reembed, tokens, moved = self._table.execute(_COUNTS).fetchone()
        return Diff(added, removed, unchanged, relabelled, reembed, tokens, moved=moved, content=self._content())

    def _content(self) -> str:
        content = hashlib.sha256()
        for id, digest in self._table.execute("SELECT id, after FROM chunks WHERE after IS NOT NULL ORDER BY id"):
            content.update(id + digest)
        return content.hexdigest()

    def changes(self, at_once: int) -> Iterator[list[tuple[Any, ...]]]:
        """What changed: chunk_id, change, doc_type, document_id, content_hash, header_hash, in the order of the ids."""
        changes = self._table.execute(_CHANGES)
        while group := changes.fetchmany(at_once):
            yield group


def logged(batch: pa.RecordBatch) -> Iterator[tuple[bytes, str | None, int | None, bytes, bytes]]:
    """Id, kind and id of the document, digests of the text and of the header, as rows of the log have them."""
    columns = ("chunk_id", "doc_type", "document_id", "content_hash", "header_hash")
    for id, kind, document, *hashes in zip(*(batch[name].to_pylist() for name in columns), strict=True):
        content, header = (bytes.fromhex(each or "") for each in hashes)
        yield bytes.fromhex(id), kind, document, content, header


def header_digest(context_header: str) -> bytes:
    """What `header_hash` says in hex: whether a chunk must be embedded again though its text has not changed."""
    return hashlib.sha256(context_header.encode()).digest()


def _keys(batch: pa.RecordBatch) -> Iterator[tuple[Any, ...]]:
    # All columns but the text, which content_hash represents.
    columns = [name for name in batch.schema.names if name != "text"]
    for row in batch.select(columns).to_pylist():
        id, content = (bytes.fromhex(row[name]) for name in ("chunk_id", "content_hash"))
        yield (
            *(id, _digest(row), row["token_count"], row.get("doc_type"), row.get("document_id")),
            *(content, header_digest(row["context_header"])),
        )


def _digest(row: dict[str, Any]) -> bytes:
    return hashlib.blake2b(json.dumps(row, default=str).encode(), digest_size=8).digest()
