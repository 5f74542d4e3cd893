"""Duplicates: which document of a partition repeats an earlier one, and how.

Belongs here: versions, copies of a file, copies of a text, and nearly equal texts. Does not belong here: leaving
anything out; duplicates are marked, and who reads the chunks decides.
"""

from __future__ import annotations

import hashlib
import heapq
import json
import re
from array import array
from dataclasses import dataclass
from typing import Literal

from courtlistener_assets.chunk_document import Document, id_of

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


class Duplicates:
    """Remembers the documents of a partition, to say of a later one which earlier one it repeats.

    Give the documents in the order of their ids, and every run names the same original. With `near`, texts of which
    four fifths are alike count too; that holds about 1.5 kB a document in memory.
    """

    def __init__(self, *, near: bool = False) -> None:
        self._by_content: dict[bytes, str] = {}
        self._near = NearTexts() if near else None

    def original_of(self, document: Document, text: str) -> Original | None:
        """The document that this one is a version or a copy of, None if it is the first of its kind."""
        contents: list[tuple[Kind, bytes]] = [("same_text", _digest("text", document.doc_type, " ".join(text.split())))]
        if sha1 := document.body.get("sha1"):
            contents.append(("same_file", _digest("sha1", document.doc_type, str(sha1))))
        earlier = [Original(key, kind) for kind, content in contents if (key := self._by_content.get(content))]
        for _, content in contents:
            self._by_content.setdefault(content, earlier[0].key if earlier else document.key)
        main = id_of(document.body.get("main_version")) if document.doc_type == "opinion" else None
        if main and main != document.id:
            return Original(f"opinion:{main}", "version")
        if earlier:
            return earlier[0] if earlier[0].key != document.key else None
        near = self._near.like(document.key, text) if self._near else None
        return Original(near, "near_text") if near else None


class NearTexts:
    """Finds texts most of whose runs of six words are the same, by the smallest hashes of those runs."""

    def __init__(self) -> None:
        self._sketches: list[tuple[str, array[int]]] = []
        self._places: dict[int, list[int]] = {}

    def like(self, key: str, text: str) -> str | None:
        """The key of the first text that is nearly the same; without any, this one is remembered for later ones."""
        sketch = _sketch(text)
        if len(sketch) < _SKETCH:
            return None
        candidates = {place for hashed in sketch[:_LOOKED_UP] for place in self._places.get(hashed, ())}
        for place in sorted(candidates):
            if _alike(sketch, self._sketches[place][1]) >= _ALIKE:
                return self._sketches[place][0]
        for hashed in sketch[:_LOOKED_UP]:
            self._places.setdefault(hashed, []).append(len(self._sketches))
        self._sketches.append((key, sketch))
        return None


def _sketch(text: str) -> array[int]:
    """The smallest hashes of the text's shingles, in order; the same on every machine."""
    words = _WORD.findall(text.lower())
    runs = {" ".join(words[start : start + _SHINGLE_WORDS]) for start in range(len(words) - _SHINGLE_WORDS + 1)}
    if len(runs) < _MIN_SHINGLES:
        return array("Q")
    return array("Q", heapq.nsmallest(_SKETCH, map(_hash, runs)))


def _hash(run: str) -> int:
    return int.from_bytes(hashlib.blake2b(run.encode(errors="replace"), digest_size=8).digest(), "big")


def _alike(one: array[int], other: array[int]) -> float:
    """An estimate of the share of shingles that two texts have in common (Jaccard)."""
    smallest = set(heapq.nsmallest(_SKETCH, set(one) | set(other)))
    return len(smallest & set(one) & set(other)) / len(smallest)


def _digest(*parts: object) -> bytes:
    return hashlib.sha256(json.dumps(parts).encode()).digest()[:16]
