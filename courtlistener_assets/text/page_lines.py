"""Page lines: the lines of a document as the judges of furniture see them.

Belongs here: which lines have text, what stands above and below one, whether a sentence goes on across it. Does not
belong here: any judgement on what is furniture (`furniture.py`, `page_numbers.py`, `running_heads.py`, `stamps.py`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Final

from courtlistener_assets.text.line_scans import stripped
from courtlistener_assets.text.marks import all_visible
from courtlistener_assets.text.page_scans import Signs, page_breaks, ranks_of

PAGE_BREAK: Final = "\f"
#: Follows PAGE_BREAK for a line that stands in the middle of a page, so that its text goes on beneath.
WATERMARK: Final = "\x1c"

_DIGITS: Final = Signs(re.compile(r"[0-9]"))
_ENDS: Final = (".", "?", "!", ":", ";")
_AFTER_END: Final = "\"'”\u2019)]*"
_TAIL: Final = 40
_MIN_LINE: Final = 30
#: Furniture that stands together has at most so many lines.
_REACH: Final = 8

#: What `stripped` finds.
_Found = tuple[list[str], list[int], list[str], str, str]


class PageLines:
    """`bare` has the lines without marks and without space around, `seen` the places of those with text.

    `first_characters` and `last_characters` are the ends of those, by rank, which is a line's place among them: blank
    lines make no page longer. `breaks` are the lines that are page breaks. What is known is not found again.
    """

    def __init__(self, lines: list[str], found: _Found | None = None, breaks: list[int] | None = None) -> None:
        self.lines = lines
        known: _Found = stripped(all_visible(lines)) if found is None else found
        self.bare, self.seen, self.texts, self.first_characters, self.last_characters = known
        self.breaks = page_breaks(lines) if breaks is None else breaks
        # Properties that remember by themselves: that of `functools` does not when it is compiled.
        self._numbered: list[int] | None = None
        self._ranks: list[int] | None = None

    @property
    def numbered(self) -> list[int]:
        """The ranks of the lines that begin or end with a digit."""
        if self._numbered is None:
            ends = _DIGITS.places(self.last_characters)
            self._numbered = sorted({*_DIGITS.places(self.first_characters), *ends})
        return self._numbered

    def beginning_with(self, signs: Signs) -> list[int]:
        """The lines with text that begin with one of these."""
        seen = self.seen
        return [seen[rank] for rank in signs.places(self.first_characters)]

    @property
    def ranks(self) -> list[int]:
        """The rank of each line; -1 without text."""
        if self._ranks is None:
            self._ranks = ranks_of(self.seen, len(self.lines))
        return self._ranks

    def with_breaks(self, breaks: Mapping[int, str]) -> PageLines:
        """The same lines, but for those that are page breaks now."""
        if not breaks:
            return self
        lines, bare = list(self.lines), list(self.bare)
        gone: list[int] = []
        for index, line in breaks.items():
            lines[index], bare[index] = line, ""
            if self.ranks[index] >= 0:
                gone.append(self.ranks[index])
        seen: list[int] = []
        texts: list[str] = []
        first: list[str] = []
        last: list[str] = []
        start = 0
        for rank in [*sorted(gone), len(self.seen)]:
            seen += self.seen[start:rank]
            texts += self.texts[start:rank]
            first.append(self.first_characters[start:rank])
            last.append(self.last_characters[start:rank])
            start = rank + 1
        found = (bare, seen, texts, "".join(first), "".join(last))
        return PageLines(lines, found, sorted({*self.breaks, *breaks}))

    def beside(self, index: int, step: int, others: Collection[int] = ()) -> str:
        """The next line with text above (`step` -1) or below (1) that is not one of `others`; "" if there is none."""
        rank = self.ranks[index]
        for _ in range(_REACH):
            rank += step
            if not 0 <= rank < len(self.seen):
                break
            if self.seen[rank] not in others:
                return self.bare[self.seen[rank]]
        return ""

    def goes_on_below(self, index: int, others: Collection[int] = ()) -> bool:
        """Whether the text below begins in the middle of a sentence."""
        return self.beside(index, 1, others)[:1].islower()

    def interrupts(self, index: int, others: Collection[int] = ()) -> bool:
        """Whether a sentence goes on across a line. Short lines, as those of a caption, are no sentence."""
        above = self.beside(index, -1, others)
        if len(above) < _MIN_LINE or not self.goes_on_below(index, others):
            return False
        return not above[-_TAIL:].rstrip(_AFTER_END).endswith(_ENDS)
