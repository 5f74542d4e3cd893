"""Words between spaces: the count of a text as the sum over what stands between its spaces.

Belongs here: what `spaced_words.pyx` has in a compiled form, which a compiled build imports instead of this module;
this one says what it does. Does not belong here: how such a part is counted (`token_counts.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise


class NotAWord(Exception):
    """White space beside a space, which the encoding does not split there."""


class SpacedWords:
    """Counts texts. `edge` counts what a text begins or ends with, `of` a text as a whole.

    `spaced` counts what stands between two spaces, the one before it included; it raises NotAWord for what is none.
    """

    def __init__(self, spaced: Callable[[str], int], edge: Callable[[str], int], of: Callable[[str], int]) -> None:
        self._spaced, self._edge, self._of = spaced, edge, of

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
        except NotAWord:
            return self._of(text)

    def counts(self, text: str, places: Sequence[int]) -> list[int]:
        """The count of each part of a text, from place to place."""
        return [self.count(text[start:end]) for start, end in pairwise(places)]
