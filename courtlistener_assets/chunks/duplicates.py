"""Duplicates: which document of a partition repeats an earlier one, and how.

Belongs here: versions, copies of a file, copies of a text, parts of a combined opinion, nearly equal texts. Does not
belong here: whether two documents are of one case (`identity.py`), how alike two texts are (`likeness.py`), leaving
anything out; duplicates are marked, and who reads the chunks decides.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from courtlistener_assets.chunks.copies import Copies
from courtlistener_assets.chunks.document import Document
from courtlistener_assets.chunks.identity import case_keys, digest, text_digest
from courtlistener_assets.chunks.likeness import NEAR_SCHEMA, NearTexts, share_contained
from courtlistener_assets.chunks.scratch import scratch_tables

Kind = Literal["version", "same_file", "same_text", "part", "near_text"]

#: The share of a text that must be in a combined opinion: its heading and its signature may be its own.
_PART = 0.9


@dataclass(frozen=True)
class Original:
    """The document that another one repeats, by its key (`opinion:123`), and in what way it does."""

    key: str
    kind: Kind


@dataclass(frozen=True)
class _Combined:
    """A text that may have those of the other opinions of its cluster in it."""

    cluster_id: int
    key: str
    text: str


# Documents by what they have, and what each of them repeats; one that repeats none is its own original.
_SCHEMA = f"""
CREATE TABLE contents (content BLOB PRIMARY KEY, original TEXT) WITHOUT ROWID;
CREATE TABLE documents (document BLOB PRIMARY KEY, original TEXT) WITHOUT ROWID;
{NEAR_SCHEMA}
"""


def originals_first(documents: Iterable[Document]) -> Iterator[Document]:
    """The same documents; of those that follow each other in one cluster, what others may repeat comes first.

    Give them cluster by cluster. One cluster's documents are in memory at a time.
    """
    for (_, cluster_id), group in groupby(documents, lambda document: (document.doc_type, document.cluster_id)):
        if cluster_id is None:
            yield from group
        else:
            yield from sorted(group, key=_rank)


def _rank(document: Document) -> tuple[bool, bool, int]:
    return _is_version(document), not document.kind.combined(document.body), document.id


def _is_version(document: Document) -> bool:
    return document.kind.version_of(document.body) not in (None, document.id)


class Duplicates:
    """Remembers the documents of a partition, to say of a later one which earlier one it repeats.

    Give the documents in the same order, and every run names the same originals. A document repeats only one that was
    given before it and that repeats none itself, so what is left without all duplicates has every text. With `near`,
    texts of which four fifths are alike count too. All that is remembered is on disk: 400 bytes a document, 1 kB more
    with `near`; besides, the text of one combined opinion is in memory.
    """

    def __init__(self, tables: sqlite3.Connection, *, near: bool, copies: Copies | None) -> None:
        self._tables = tables
        self._copies = copies
        self._near = NearTexts(tables) if near else None
        self._combined: _Combined | None = None

    @classmethod
    @contextmanager
    def none_yet(cls, *, near: bool = False, copies: Copies | None = None) -> Iterator[Duplicates]:
        """Without any documents yet. `copies` knows the documents of other partitions."""
        with scratch_tables(_SCHEMA) as tables:
            yield cls(tables, near=near, copies=copies)

    def original_of(self, document: Document, text: str) -> Original | None:
        """The document that this one is a version, a copy or a part of; None if it has a text of its own."""
        cases = case_keys(document, text)
        contents = _contents(document, text, cases)
        here = self._main_of(document) or self._copied_by(document, contents) or self._combined_with(document, text)
        here = here or self._nearly(document, text, cases)
        found = here or self._elsewhere(document, text)
        original = found.key if found else document.key
        self._remember(document, contents, original)
        if not here and document.cluster_id and document.kind.combined(document.body):
            self._combined = _Combined(document.cluster_id, original, text)
        return found

    def _main_of(self, document: Document) -> Original | None:
        """What the document is a version of, if that is among those before it."""
        main = document.kind.version_of(document.body)
        original = self._one("documents", digest(f"{document.doc_type}:{main}")) if main else None
        return Original(original, "version") if original and original != document.key else None

    def _copied_by(self, document: Document, contents: Sequence[tuple[Kind, bytes]]) -> Original | None:
        for kind, content in contents:
            original = self._one("contents", content)
            if original and original != document.key:
                return Original(original, kind)
        return None

    def _combined_with(self, document: Document, text: str) -> Original | None:
        combined = self._combined
        if not combined or combined.cluster_id != document.cluster_id or combined.key == document.key:
            return None
        return Original(combined.key, "part") if share_contained(text, combined.text) >= _PART else None

    def _nearly(self, document: Document, text: str, cases: Sequence[bytes]) -> Original | None:
        alike = self._near.like(document.key, text, cases) if self._near else None
        # That may be a copy of a document in another partition.
        original = self._one("documents", digest(alike)) if alike else None
        return Original(original, "near_text") if original and original != document.key else None

    def _elsewhere(self, document: Document, text: str) -> Original | None:
        """What a document of another partition is the original of; asked of those only that none here is."""
        found = self._copies.original_of(document, text) if self._copies else None
        return Original(found[0], "same_file" if found[1] else "same_text") if found else None

    def _remember(self, document: Document, contents: Sequence[tuple[Kind, bytes]], original: str) -> None:
        self._tables.executemany(
            "INSERT OR IGNORE INTO contents VALUES (?, ?)", [(content, original) for _, content in contents]
        )
        self._tables.execute("INSERT OR IGNORE INTO documents VALUES (?, ?)", (digest(document.key), original))

    def _one(self, table: Literal["contents", "documents"], key: bytes) -> str | None:
        column = "content" if table == "contents" else "document"
        row = self._tables.execute(f"SELECT original FROM {table} WHERE {column} = ?", (key,)).fetchone()
        return row[0] if row else None


def _contents(document: Document, text: str, cases: Sequence[bytes]) -> list[tuple[Kind, bytes]]:
    """What a copy of a document has, too: its text, in the same case, or its file."""
    hashed = text_digest(text)
    contents: list[tuple[Kind, bytes]] = [("same_text", digest("text", hashed, case.hex())) for case in cases]
    if sha1 := document.body.get("sha1"):
        contents.append(("same_file", digest("sha1", document.doc_type, str(sha1))))
    return contents
