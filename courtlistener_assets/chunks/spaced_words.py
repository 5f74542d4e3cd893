"""Words between spaces: the count of a text as the sum over what stands between its spaces.

Belongs here: what `spaced_words.pyx` has in a compiled form, which a compiled build imports instead of this module;
this one says what it does. Does not belong here: how a word is counted, and what is one (`token_counts.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Protocol

from courtlistener_assets.chunks.remembered import Remembered


class Words(Protocol):
    """Counts words, and texts by their words."""

    def __getitem__(self, word: str, /) -> int: ...

    def of(self, text: str) -> int:
        """The count of all words of a text."""
        ...


class SpacedWords:
    """Counts texts, each as `words` does.

    What stands between two spaces is remembered as well, since text is split at spaces several times faster than into
    words.
    """

    def __init__(self, words: Words) -> None:
        self._of = words.of
        self._spaced, self._edge = _SpacedCounts(words).__getitem__, _EdgeCounts(words).__getitem__

    def count(self, text: str) -> int:
        """The count of a text."""
        parts = text.split(" ")
        if len(parts) == 1:
            return self._edge(text)
        first, last = parts.pop(0), parts.pop()
        if first[-1:].isspace() or last[:1].isspace():
            return self._of(text)
        try:
            return self._edge(first) + sum(map(self._spaced, parts)) + self._edge(" " + last)
        except _NotAWord:
            return self._of(text)

    def counts(self, text: str, places: Sequence[int]) -> list[int]:
        """The count of each part of a text, from place to place."""
        return [self.count(text[start:end]) for start, end in pairwise(places)]


class _NotAWord(Exception):
    """White space beside a space, which the encoding does not split there."""


class _SpacedCounts(Remembered):
    """Counts by what stands between two spaces, the one before it included."""

    def __init__(self, words: Words) -> None:
        super().__init__()
        self._words = words

    def _found(self, part: str) -> int:
        if not part or part[0].isspace() or part[-1].isspace():
            raise _NotAWord
        return self._words.of(" " + part)


class _EdgeCounts(Remembered):
    """Counts by what a text begins with up to a space, or ends with from a space on; it may be a text of one word."""

    def __init__(self, words: Words) -> None:
        super().__init__()
        self._words = words

    def _found(self, part: str) -> int:
        return self._words.of(part)
