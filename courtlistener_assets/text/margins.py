"""Margins: where the lines of each block of a document begin and end, and so which of them are short.

Belongs here: columns of characters. Does not belong here: blank lines (`gaps.py`), words (`wording.py`).
"""

from __future__ import annotations

from itertools import compress
from typing import Final

from courtlistener_assets.text.layout_scans import (
    commonest,
    in_order,
    margin_of,
    right_margins,
    room_left,
    short_lines,
)
from courtlistener_assets.text.lines import Lines

_MIN_WIDTH: Final = 40
_MIN_SLACKS: Final = 4
_PROSE_LINES: Final = 8
#: In hundredths of the width of a line: where no line in a sentence ends.
_BRIEF: Final = 66
#: And what stands further to the right, as a signature does, has a left margin of its own.
_FAR_SHARE: Final = 40
_MIN_SLACK: Final = 2
_MAX_SAMPLE: Final = 400
_CENTRE_INDENT: Final = 8
_CENTRE_ROOM: Final = 4
_CENTRE_SPACE: Final = 0.3
_CENTRE_SHIFT: Final = 0.4


class Margins:
    """The margins of a document with at least one line.

    `left` and `right` are those of most of its lines, `rights[i]` that of the block in which line i stands. `ends` are
    the columns in which lines end, and lines that end before `brief` are short in any block.

    `short[i]` says whether a line ends before the right margin of its block although the next word would have fitted.
    """

    def __init__(self, lines: Lines, runs_on: list[bool]) -> None:
        self._lines = lines
        self._running = list(compress(range(-1, len(lines) - 1), runs_on))  # hardly ever short: the next goes on
        self.ends = self._even_ends()
        self.left, self.right = self._of_page(runs_on)
        self.brief = self.left + -(-_BRIEF * (self.right - self.left) // 100)  # rounded up
        self.rights: list[int] = right_margins(self.ends, lines.steps, runs_on, self.right)
        slack: list[int] = in_order(room_left(self._running[:_MAX_SAMPLE], self.rights, self.ends, lines.texts))
        enough = len(slack) >= _MIN_SLACKS
        most_slack = max(_MIN_SLACK, slack[len(slack) * 9 // 10]) if enough else self.right // 4
        self.short: list[bool] = short_lines(self.rights, self.ends, lines.texts, most_slack + 1)

    def _even_ends(self) -> list[int]:
        """Where the lines end: in the source, or without its wide spaces if that is more even.

        A converter that sets proportional type in columns stretches some lines beyond the margin.
        """
        lines = self._lines
        seen = self._running[:_MAX_SAMPLE]
        narrow = [lines.indents[index] + len(lines.texts[index]) for index in seen]
        if _spread([lines.ends[index] for index in seen]) <= _spread(narrow):
            return lines.ends
        return [indent + len(text) for indent, text in zip(lines.indents, lines.texts, strict=True)]

    def _of_page(self, runs_on: list[bool]) -> tuple[int, int]:
        lines = self._lines
        if len(self._running) >= _PROSE_LINES:
            left = commonest(list(compress(lines.indents, runs_on)))
            return left, margin_of([self.ends[index] for index in self._running], 1)
        long = [index for index, text in enumerate(lines.texts) if len(text) >= _MIN_WIDTH]
        left = commonest([lines.indents[index] for index in long] or lines.indents)
        return left, margin_of([self.ends[index] for index in long], 2) if long else max(self.ends)

    def is_brief(self, index: int) -> bool:
        """Whether a line ends well before the right margin, as no line in a sentence does."""
        indent, right, margin = self._lines.indents[index], self.rights[index], self.left
        left = indent if 100 * (indent - margin) >= _FAR_SHARE * (right - margin) else min(margin, indent)
        return 100 * (self.ends[index] - left) < _BRIEF * (right - left)

    def is_centred(self, index: int) -> bool:
        """Whether a line stands in the middle between the margins and is shorter than a line of text."""
        width = self.right - self.left
        left, right = self._lines.indents[index] - self.left, self.right - self.ends[index]
        if left < _CENTRE_INDENT or right < _CENTRE_ROOM or left + right < _CENTRE_SPACE * width:
            return False
        return abs(left - right) <= _CENTRE_SHIFT * width and (index + 1 == len(self.ends) or self.short[index])


def _spread(values: list[int]) -> int:
    """How far apart the middle half of the values are."""
    values = in_order(values)
    return values[len(values) * 3 // 4] - values[len(values) // 4] if values else 0
