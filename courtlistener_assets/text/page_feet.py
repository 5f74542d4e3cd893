"""Page feet: the lines of pages as the judges of footnotes see them.

Belongs here: what stands where, and what a line has around it. Does not belong here: any judgement on what is a note
(`notes.py`, `continued_notes.py`).
"""

from __future__ import annotations

import re
import sys
from bisect import bisect_left
from typing import Final

from courtlistener_assets.text.marks import visible
from courtlistener_assets.text.note_labels import without_label
from courtlistener_assets.text.page_lines import PAGE_BREAK, PageLines

#: White space that can part columns; a lost § leaves some, too.
_WIDE: Final = re.compile(r"[^\s.] {4}")
_MIN_WIDTH: Final = 40
_UNKNOWN: Final = sys.maxsize
_TAIL: Final = 60
_MAX_WIDE: Final = 0.3
#: Of one page, in which a footnote and the sentence that it interrupts are looked for.
MOST_LINES: Final = 120
#: Blank lines that part the text of a page from its foot.
PAGE_GAP: Final = 2
#: A page with a blank line between most of its lines has at least so many.
SPACED_LINES: Final = 5
_ENDS: Final = (".", "?", "!", ":", ";")
_AFTER_END: Final = "\"'”\u2019)]*0123456789"


def is_end(line: str) -> bool:
    """Whether a line ends like a sentence, also with the number of a note behind it."""
    return line[-_TAIL:].rstrip().rstrip(_AFTER_END).endswith(_ENDS)


class PageFeet:
    """`labels` has the lines that begin with what can be a label, and the drawn lines."""

    def __init__(self, page: PageLines, labels: dict[int, str]) -> None:
        self.page = page
        self.lines = page.lines
        self.bare = page.bare
        self.labels = labels
        self._margin: int | None = None

    @property
    def margin(self) -> int:
        """How far the long lines stand in, at least."""
        if self._margin is None:
            self._margin = self._least_indent()
        return self._margin

    def _least_indent(self) -> int:
        margin = _UNKNOWN
        for index in self.page.seen:
            if len(self.bare[index]) >= _MIN_WIDTH and not self.lines[index][:margin].isspace():
                margin = self.indent(index)
                if not margin:
                    break
        return margin if margin < _UNKNOWN else 0

    def has_text(self, start: int, end: int) -> bool:
        """Whether any line from `start` up to `end` has text."""
        seen = self.page.seen
        rank = bisect_left(seen, start)
        return rank < len(seen) and seen[rank] < end

    def seen(self, start: int, end: int) -> list[int]:
        """The lines with text from `start` up to `end`."""
        seen = self.page.seen
        return seen[bisect_left(seen, start) : bisect_left(seen, end)]

    def indent(self, place: int) -> int:
        """How far a line stands in."""
        line = visible(self.lines[place])
        return len(line) - len(line.lstrip())

    def has_empty(self, place: int) -> bool:
        """Whether an empty line is above a line; where words are underlined, a line of spaces can stand below them."""
        return not self.lines[place - 1]

    def below(self, end: int) -> str:
        """The first line of text behind the end of a page."""
        for index in range(end, min(end + MOST_LINES, len(self.lines))):
            line = self.lines[index]
            if line[:1] != PAGE_BREAK and (bare := line.strip()):
                return bare
        return ""

    def above(self, index: int, start: int) -> int:
        """The line with text above another one, before `start` if there is none."""
        index -= 1
        while index >= start and not self.bare[index]:
            index -= 1
        return index

    def is_in_columns(self, index: int, end: int) -> bool:
        """Whether other columns stand beside the footnotes, whose lines would be taken with them."""
        places = self.seen(index, min(end, index + MOST_LINES))
        wide = [self.bare[place] for place in places if "    " in self.lines[place].strip()]
        parted = sum(bool(_WIDE.search(without_label(line))) for line in wide)
        return parted > max(1, _MAX_WIDE * len(places))
