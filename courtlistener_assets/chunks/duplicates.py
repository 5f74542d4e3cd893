"""Duplicates: which document of a partition repeats an earlier one, and how.

Belongs here: versions, copies of a file, copies of a text, and nearly equal texts. Does not belong here: leaving
anything out; duplicates are marked, and who reads the chunks decides.
"""

from __future__ import annotations

import hashlib
import heapq
import json
import re
import sqlite3
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from courtlistener_assets.chunks.document import Document
from courtlistener_assets.chunks.scratch import scratch_tables

Kind = Literal["version", "same_file", "same_text", "near_text"]

_WORD = re.compile(r"\w+")
_SHINGLE_WORDS = 6
#: The smallest hashes of a text's shingles that are kept: 64 of 8 bytes tell 80 % from 65 % alike.
_SKETCH = 64
#: Texts that are alike share one of so few of them, but for one pair in a hundred thousand.
_LOOKED_UP = 8
_ALIKE = 0.8
#: A text shorter than this has too few shingles to be called nearly equal.
_MIN_SHINGLES = 64


@dataclass(frozen=True)
class Original:
    """The document that another one repeats, by its key (`opinion:123`), and in what way it does."""

    key: str
    kind: Kind


# Documents by what they have, and sketches by the few hashes that they are looked up by.
_SCHEMA = """
CREATE TABLE originals (content BLOB PRIMARY KEY, document TEXT) WITHOUT ROWID;
CREATE TABLE sketches (place INTEGER PRIMARY KEY, document TEXT, sketch BLOB);
CREATE TABLE lookups (hash INTEGER, place INTEGER, PRIMARY KEY (hash, place)) WITHOUT ROWID;
"""
_SKETCHES = (
    "SELECT document, sketch FROM sketches WHERE place IN "
    f"(SELECT place FROM lookups WHERE hash IN ({', '.join('?' * _LOOKED_UP)})) ORDER BY place"
)


class Duplicates:
    """Remembers the documents of a partition, to say of a later one which earlier one it repeats.

    Give the documents in the order of their ids, and every run names the same original. With `near`, texts of which
    four fifths are alike count too. All that is remembered is on disk: 100 bytes a document, 1.5 kB more with `near`.
    """

    def __init__(self, tables: sqlite3.Connection, *, near: bool) -> None:
        self._tables = tables
        self._near = NearTexts(tables) if near else None

    @classmethod
    @contextmanager
    def none_yet(cls, *, near: bool = False) -> Iterator[Duplicates]:
        """Without any documents yet."""
        with scratch_tables(_SCHEMA) as tables:
            yield cls(tables, near=near)

    def original_of(self, document: Document, text: str) -> Original | None:
        """The document that this one is a version or a copy of, None if it is the first of its kind."""
        contents: list[tuple[Kind, bytes]] = [("same_text", digest("text", document.doc_type, " ".join(text.split())))]
        if sha1 := document.body.get("sha1"):
            contents.append(("same_file", digest("sha1", document.doc_type, str(sha1))))
        earlier = [Original(key, kind) for kind, content in contents if (key := self._first_with(content))]
        first = earlier[0].key if earlier else document.key
        self._tables.executemany(
            "INSERT OR IGNORE INTO originals VALUES (?, ?)", [(content, first) for _, content in contents]
        )
        main = document.kind.version_of(document.body)
        if main and main != document.id:
            return Original(f"{document.doc_type}:{main}", "version")
        if earlier:
            return earlier[0] if earlier[0].key != document.key else None
        near = self._near.like(document.key, text) if self._near else None
        return Original(near, "near_text") if near else None

    def _first_with(self, content: bytes) -> str | None:
        row = self._tables.execute("SELECT document FROM originals WHERE content = ?", (content,)).fetchone()
        return row[0] if row else None


class NearTexts:
    """Finds texts most of whose runs of six words are the same, by the smallest hashes of those runs."""

    def __init__(self, tables: sqlite3.Connection) -> None:
        self._tables = tables

    def like(self, key: str, text: str) -> str | None:
        """The key of the first text that is nearly the same; without any, this one is remembered for later ones."""
        sketch = _sketch(text)
        if len(sketch) < _SKETCH:
            return None
        looked_up = sketch[:_LOOKED_UP]
        for document, other in self._tables.execute(_SKETCHES, looked_up):
            if _alike(sketch, array("q", other)) >= _ALIKE:
                return str(document)
        place = self._tables.execute(
            "INSERT INTO sketches (document, sketch) VALUES (?, ?)", (key, sketch.tobytes())
        ).lastrowid
        self._tables.executemany("INSERT INTO lookups VALUES (?, ?)", [(hashed, place) for hashed in looked_up])
        return None


def _sketch(text: str) -> array[int]:
    """The smallest hashes of the text's shingles, in order; the same on every machine."""
    words = _WORD.findall(text.lower())
    runs = {" ".join(words[start : start + _SHINGLE_WORDS]) for start in range(len(words) - _SHINGLE_WORDS + 1)}
    if len(runs) < _MIN_SHINGLES:
        return array("q")
    return array("q", heapq.nsmallest(_SKETCH, map(_hash, runs)))


def _hash(run: str) -> int:
    # One bit less than the digest has: SQLite's integers are signed.
    return int.from_bytes(hashlib.blake2b(run.encode(errors="replace"), digest_size=8).digest(), "big") >> 1


def _alike(one: array[int], other: array[int]) -> float:
    """An estimate of the share of shingles that two texts have in common (Jaccard)."""
    smallest = set(heapq.nsmallest(_SKETCH, set(one) | set(other)))
    return len(smallest & set(one) & set(other)) / len(smallest)


def digest(*parts: object) -> bytes:
    """16 bytes that stand for these parts in this order."""
    return hashlib.sha256(json.dumps(parts).encode()).digest()[:16]
