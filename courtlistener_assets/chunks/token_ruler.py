"""The ruler: how many tokens there are between two places of a text, each part of which is counted about once.

Belongs here: what is known of one text's token counts. Does not belong here: how tokens are counted
(`token_counts.py`), where a text is cut (`cuts.py`).

The ruler counts a text from border to border and adds up. A border is a place where a word of the encoding begins,
whatever the text around it is: at a single space, or after a line break. What is asked about later is counted from the
nearest border, and remembered as another.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate, pairwise

from courtlistener_assets.chunks.token_counts import Tokenizer

_BORDER = re.compile(r"(?<=\S)(?= \S)|(?<=\n)(?=\S)")
#: Characters from border to border in a long paragraph, about.
_STRETCH = 500
#: A border is looked for in so many characters.
_WORD = 60
#: Characters beyond the place at which a number of tokens should be reached, so that it has been.
_MARGIN = 40


class Ruler:
    """Token counts of one text.

    `paragraph_ends` are the places after a line break that no other line break follows but after text; the last is the
    text's end.
    """

    def __init__(self, text: str, paragraph_ends: Sequence[int], tokenizer: Tokenizer) -> None:
        self._text = text
        self._tokenizer_count = tokenizer.count
        #: The tokens that the tokenizer puts around every text, which no count of the ruler has.
        self.framing = tokenizer.count("")
        self._borders, regular = _borders(text, paragraph_ends)
        #: Whether counts are the tokenizer's own, and not only close to them.
        self.exact = regular and hasattr(tokenizer, "counts")
        counts = getattr(tokenizer, "counts", self._counts)
        self._tokens: list[int] = [0, *accumulate(counts(text, self._borders))]
        self._last_origin = 0, (0, 0)

    def _count(self, text: str) -> int:
        return self._tokenizer_count(text) - self.framing

    def _counts(self, text: str, places: Sequence[int]) -> list[int]:
        return [self._count(text[start:end]) for start, end in pairwise(places)]

    def count(self, start: int, end: int) -> int:
        """The tokens of `text[start:end]`, as the sum of its parts: what the tokenizer counts, if `exact`."""
        first, origin = self._origin(start)
        index = bisect_left(self._borders, end)
        if self._borders[index] == end > first:
            return self._tokens[index] - origin
        last = self._border_until(end)
        if first >= last:
            return self._count(self._text[start:end])
        return self._until(last) - origin + self._count(self._text[last:end])

    def beyond(self, start: int, tokens: int, *, closely: bool = False) -> int:
        """A place up to which `text[start:]` has more than so many tokens, `closely` not many more; else its end."""
        goal = max(0, self._origin(start)[1] + tokens)
        while True:
            index = bisect_right(self._tokens, goal)
            if index == len(self._borders) or not closely:
                return self._borders[min(index, len(self._borders) - 1)]
            (low, high), (below, above) = self._borders[index - 1 : index + 1], self._tokens[index - 1 : index + 1]
            guess = low + (high - low) * (goal - below) // (above - below) + _MARGIN
            between = self._text.find(" ", guess, max(guess, high - _MARGIN))
            if between < 0 or not self._is_border(between):
                return high
            self._until(between)

    def below(self, start: int, tokens: int) -> int:
        """A place up to which `text[start:]` has less than so many tokens, or its start."""
        return self._borders[max(0, bisect_left(self._tokens, self._origin(start)[1] + tokens) - 1)]

    def before(self, end: int, tokens: int) -> int:
        """A place from which up to `end` there are more than so many tokens, and from any earlier one; else 0."""
        goal = self._until(self._border_until(end)) - tokens
        return self._borders[max(0, bisect_left(self._tokens, goal) - 1)]

    def _origin(self, start: int) -> tuple[int, int]:
        """What counts are relative to: the first border from a start on, the tokens before it less those between."""
        if self._last_origin[0] != start:
            first = self._border_from(start)
            tokens = self._until(first) - (self._count(self._text[start:first]) if first > start else 0)
            self._last_origin = start, (first, tokens)
        return self._last_origin[1]

    def _until(self, border: int) -> int:
        """The tokens before a border, which is remembered."""
        index = bisect_left(self._borders, border)
        if self._borders[index] != border:
            below, above = self._borders[index - 1], self._borders[index]
            if border - below < above - border:
                tokens = self._tokens[index - 1] + self._count(self._text[below:border])
            else:
                tokens = self._tokens[index] - self._count(self._text[border:above])
            self._borders.insert(index, border)
            self._tokens.insert(index, tokens)
        return self._tokens[index]

    def _border_from(self, place: int) -> int:
        """The first border at or after a place that is easily found."""
        known = self._borders[bisect_left(self._borders, place)]
        space = self._text.find(" ", place, min(known, place + _WORD))
        return space if space >= 0 and self._is_border(space) else known

    def _border_until(self, place: int) -> int:
        """The last border at or before a place that is easily found."""
        known = self._borders[bisect_right(self._borders, place) - 1]
        before = place - 1
        if before > known and self._text[before] == " ":
            return before if self._is_border(before) else known
        return place if before > known and self._text[before] == "\n" and not self._text[place].isspace() else known

    def _is_border(self, space: int) -> bool:
        """Whether a space stands alone between words."""
        return not (self._text[space - 1].isspace() or self._text[space + 1 : space + 2].isspace())


def _borders(text: str, paragraph_ends: Sequence[int]) -> tuple[list[int], bool]:
    """Borders all over the text; and whether all are, for in text without spaces some places are just taken as such."""
    borders, regular = [0], True
    for end in paragraph_ends:
        while end - borders[-1] > 2 * _STRETCH:
            low, high = borders[-1] + _STRETCH, borders[-1] + 2 * _STRETCH
            found = _BORDER.search(text, low, high)
            regular = regular and found is not None
            borders.append(found.start() if found else high)
        borders.append(end)
    return borders, regular
