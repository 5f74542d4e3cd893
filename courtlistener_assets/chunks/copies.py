"""Copies: documents of a partition whose text is in another partition's file, too.

Belongs here: looking for them one by one, and telling the others at the end. Does not belong here: what a copy is
(`identity.py`), duplicates within the file (`duplicates.py`), SQL (`resources/records/chunk_texts.py`).

The original is the one with the smallest id, wherever it is and whoever was there first. What is found here may have
changed when the file is put in its place: then some partition is stale, and is made again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from courtlistener_assets.chunks.document import Document
from courtlistener_assets.chunks.identity import Across, contents_elsewhere
from courtlistener_assets.chunks.scratch import scratch_tables
from resources.connections.postgres import Connection
from resources.records.chunk_texts import ChunkTexts, Text

# What the file has now, and had before, of `chunk_texts`; on disk, since it grows with the partition.
_COLUMNS = "content BLOB, kind TEXT, document INTEGER, copy_of INTEGER, PRIMARY KEY (content, document)"
_SCHEMA = f"CREATE TABLE now ({_COLUMNS}) WITHOUT ROWID; CREATE TABLE before ({_COLUMNS}) WITHOUT ROWID;"
_GONE = "SELECT * FROM before EXCEPT SELECT before.* FROM before JOIN now USING (content, document)"
_NEW = "SELECT * FROM now EXCEPT SELECT now.* FROM now JOIN before USING (content, document)"
_RELABELLED = "SELECT now.* FROM now JOIN before USING (content, document) WHERE now.copy_of IS NOT before.copy_of"


class Copies:
    """The documents of a partition that are no duplicates within its file, as far as their copies are told `across`."""

    def __init__(self, texts: ChunkTexts, partition: str, across: Across, tables: sqlite3.Connection) -> None:
        self._texts, self._partition, self._across, self._tables = texts, partition, across, tables

    @classmethod
    @contextmanager
    def of(cls, texts: ChunkTexts, partition: str, across: Across) -> Iterator[Copies]:
        """Without any documents yet."""
        with scratch_tables(_SCHEMA) as tables:
            yield cls(texts, partition, across, tables)

    def original_of(self, document: Document, text: str) -> tuple[str, bool] | None:
        """The document in another file that this one is a copy of, by its key, and whether they are the same file."""
        contents = list(contents_elsewhere(document, text, self._across))
        found = self._texts.smallest([content for _, content in contents], elsewhere_than=self._partition)
        id = found[0] if found and found[0] < document.id else None
        self._tables.executemany(
            "INSERT OR IGNORE INTO now VALUES (?, ?, ?, ?)",
            ((content, document.doc_type, document.id, id) for _, content in contents),
        )
        return (f"{document.doc_type}:{id}", contents[found[1]][0]) if found and id is not None else None

    def tell(self, connection: Connection) -> None:
        """Tell the others what the file has, in the transaction in which it counts; their files may become stale."""
        if not self._across and not self._texts.has(self._partition):
            return
        with self._texts.turn(connection, self._partition) as turn:
            self._tables.executemany("INSERT INTO before VALUES (?, ?, ?, ?)", turn.before())
            turn.remove(self._rows(_GONE))
            turn.add(self._rows(_NEW))
            turn.relabel(self._rows(_RELABELLED))
            turn.close()

    def _rows(self, query: str) -> Iterator[Text]:
        yield from self._tables.execute(query)
