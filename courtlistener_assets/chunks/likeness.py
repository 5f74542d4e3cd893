"""Likeness: how much of one text is in another.

Belongs here: runs of words, and sketches of them that find nearly equal texts among many. Does not belong here: what
follows from it (`duplicates.py`).
"""

from __future__ import annotations

import hashlib
import heapq
import re
import sqlite3
from array import array
from collections.abc import Collection, Iterator
from itertools import accumulate

_WORD = re.compile(r"\w+")
_SHINGLE_WORDS = 6
#: The smallest hashes of a text's shingles that are kept: 64 of 8 bytes tell 80 % from 65 % alike.
_SKETCH = 64
#: Texts that are alike share one of so few of them, but for one pair in a hundred thousand.
_LOOKED_UP = 8
_ALIKE = 0.8
#: A text shorter than this has too few shingles to be called nearly equal.
_MIN_SHINGLES = 64
_KEY_BYTES = 16

#: Sketches by the few hashes that they are looked up by.
NEAR_SCHEMA = """
CREATE TABLE sketches (place INTEGER PRIMARY KEY, document TEXT, sketch BLOB, cases BLOB);
CREATE TABLE lookups (hash INTEGER, place INTEGER, PRIMARY KEY (hash, place)) WITHOUT ROWID;
"""
_SKETCHES = (
    "SELECT document, sketch, cases FROM sketches WHERE place IN "
    f"(SELECT place FROM lookups WHERE hash IN ({', '.join('?' * _LOOKED_UP)})) ORDER BY place"
)


class NearTexts:
    """Finds texts most of whose runs of six words are the same, by the smallest hashes of those runs."""

    def __init__(self, tables: sqlite3.Connection) -> None:
        self._tables = tables

    def like(self, key: str, text: str, cases: Collection[bytes]) -> str | None:
        """The key of the first text of one of these cases that is nearly the same.

        Without any, this one is remembered for later ones.
        """
        sketch = _sketch(text)
        if len(sketch) < _SKETCH:
            return None
        looked_up = sketch[:_LOOKED_UP]
        for document, other, its_cases in self._tables.execute(_SKETCHES, looked_up):
            if not _keys(its_cases).isdisjoint(cases) and _alike(sketch, array("q", other)) >= _ALIKE:
                return str(document)
        place = self._tables.execute(
            "INSERT INTO sketches (document, sketch, cases) VALUES (?, ?, ?)",
            (key, sketch.tobytes(), b"".join(cases)),
        ).lastrowid
        self._tables.executemany("INSERT INTO lookups VALUES (?, ?)", [(hashed, place) for hashed in looked_up])
        return None


def _sketch(text: str) -> array[int]:
    """The smallest hashes of the text's shingles, in order; the same on every machine."""
    hashed = {hashlib.blake2b(run, digest_size=8).digest() for run in _runs(text)}
    if len(hashed) < _MIN_SHINGLES:
        return array("q")
    # One bit less than a digest has: SQLite's integers are signed.
    return array("q", (int.from_bytes(digest, "big") >> 1 for digest in heapq.nsmallest(_SKETCH, hashed)))


def _alike(one: array[int], other: array[int]) -> float:
    """An estimate of the share of shingles that two texts have in common (Jaccard)."""
    smallest = set(heapq.nsmallest(_SKETCH, set(one) | set(other)))
    return len(smallest & set(one) & set(other)) / len(smallest)


def _keys(joined: bytes) -> set[bytes]:
    return {joined[start : start + _KEY_BYTES] for start in range(0, len(joined), _KEY_BYTES)}


def share_contained(part: str, whole: str) -> float:
    """The share of a text's runs of six words that are in another text, too; 1.0 if all of its words are, in order."""
    if " ".join(_WORD.findall(part.lower())) in " ".join(_WORD.findall(whole.lower())):
        return 1.0
    runs = set(_runs(part))
    return len(runs.intersection(_runs(whole))) / len(runs) if runs else 0.0


def _runs(text: str) -> Iterator[bytes]:
    words = " ".join(_WORD.findall(text.lower())).encode()
    starts = [0, *accumulate(len(word) + 1 for word in words.split(b" "))]
    return (words[start : after - 1] for start, after in zip(starts, starts[_SHINGLE_WORDS:], strict=False))
