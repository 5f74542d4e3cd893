"""Questions: what is asked, which passage answers it, and how much of that passage was found.

Belongs here: the value types and the score. Does not belong here: where questions are from (`invented.py`,
`sentences.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

_WORD = re.compile(r"\w+")
_SHINGLE = 4


@dataclass(frozen=True)
class Text:
    """A text as the API gives it, and the line that says what it is."""

    field: str
    value: str
    header: str


@dataclass(frozen=True)
class Question:
    """`asked` is answered by `passage`, which is in the text with that number."""

    asked: str
    passage: str
    text: int


@lru_cache(maxsize=20_000)
def shingles(text: str) -> frozenset[tuple[str, ...]]:
    """Return all runs of four words. Case, punctuation and line breaks do not count: nobody looks for them."""
    words = _WORD.findall(text.lower())
    return frozenset(zip(*(words[start:] for start in range(_SHINGLE)), strict=False))


def covered(passage: str, found: Iterable[str]) -> float:
    """Return the share of a passage that is in the texts that were found, each by itself."""
    wanted = shingles(passage)
    seen = frozenset().union(*(wanted & shingles(text) for text in found))
    return len(seen) / max(1, len(wanted))
