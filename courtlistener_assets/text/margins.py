"""Margins: where the lines of each block of a document begin and end, and so which of them are short.

Belongs here: columns of characters. Does not belong here: blank lines (`gaps.py`), words (`wording.py`).
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from itertools import compress, pairwise

from courtlistener_assets.text.lines import Lines

_MIN_WIDTH = 40
_MIN_LINES = 3
_PROSE_LINES = 8
_MIN_RUNNING_SHARE = 0.2
#: Of the width of a page: what is narrower must be prose to have a margin of its own.
_NARROW = 0.75
#: Of the width of a line: where no line in a sentence ends.
_BRIEF = 0.66
#: And what stands further to the right, as a signature does, has a left margin of its own.
_FAR_SHARE = 0.4
_LINES_A_PIECE = 30
_LONGEST = 1.25
_MIN_SLACK = 2
#: What a drawn line begins with, which is no word.
_RULES = "_=~*"
_MAX_SAMPLE = 400
_CENTRE_INDENT = 8
_CENTRE_ROOM = 4
_CENTRE_SPACE = 0.3
_CENTRE_SHIFT = 0.4


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
        self.brief = self.left + _BRIEF * (self.right - self.left)
        self.rights = self._of_blocks(runs_on)
        slack = sorted(self._slack(self._running[:_MAX_SAMPLE]))
        enough = len(slack) > _MIN_LINES
        most_slack = max(_MIN_SLACK, slack[len(slack) * 9 // 10]) if enough else self.right // 4
        self.short = self._short_lines(most_slack + 1)

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
            left = Counter(compress(lines.indents, runs_on)).most_common(1)[0][0]
            return left, _margin_of([self.ends[index] for index in self._running], 1)
        long = [index for index, text in enumerate(lines.texts) if len(text) >= _MIN_WIDTH]
        left = Counter(lines.indents[index] for index in long or range(len(lines))).most_common(1)[0][0]
        return left, _margin_of([self.ends[index] for index in long], 2) if long else max(self.ends)

    def _of_blocks(self, runs_on: list[bool]) -> list[int]:
        blocks = self._blocks()
        own = [self._of_block(start, end, runs_on) if end - start >= _MIN_LINES else 0 for start, end in blocks]
        rights: list[int] = []
        for place, (start, end) in enumerate(blocks):
            right = own[place] or (place + 1 < len(own) and own[place + 1]) or (place and own[place - 1])
            rights += [right or self.right] * (end - start)
        return rights

    def _blocks(self) -> list[tuple[int, int]]:
        """The runs of lines that begin in the same column, or nearly; a long one in pieces of about a page."""
        starts = [index for index, step in enumerate(self._lines.steps) if not -2 < step < 2]
        blocks: list[tuple[int, int]] = []
        for start, end in pairwise([0, *starts, len(self._lines)]):
            while end - start >= 2 * _LINES_A_PIECE:  # the margins of one page need not be those of the next
                blocks.append((start, start + _LINES_A_PIECE))
                start += _LINES_A_PIECE
            blocks.append((start, end))
        return blocks

    def _of_block(self, start: int, end: int, runs_on: list[bool]) -> int:
        """The right margin of a block of lines, 0 if they are too short for a column of prose."""
        ends = self.ends[start:end]
        running = list(compress(ends, runs_on[start + 1 : end + 1]))
        enough = len(running) >= _MIN_LINES
        right = _margin_of(running, 1) if enough else _margin_of(ends, 2)
        prose = enough and len(ends) >= _PROSE_LINES and len(running) >= _MIN_RUNNING_SHARE * len(ends)
        return right if right >= _NARROW * self.right or prose else 0

    def _slack(self, places: list[int]) -> list[int]:
        """How much room is left in lines after the next line's first word, which would have fitted if positive."""
        rights, ends, texts = self.rights, self.ends, self._lines.texts
        return [
            rights[index]
            - ends[index]
            - (2 if (text := texts[index + 1])[0] in _RULES else text.find(" ") + 1 or len(text) + 1)
            for index in places
        ]

    def _short_lines(self, slack: int) -> list[bool]:
        short = [right - end > slack + 1 for right, end in zip(self.rights, self.ends, strict=True)]
        short[-1] = False
        places = list(compress(range(len(short)), short))
        for index, room in zip(places, self._slack(places), strict=True):
            short[index] = room > slack
        return short

    def is_brief(self, index: int) -> bool:
        """Whether a line ends well before the right margin, as no line in a sentence does."""
        indent, right = self._lines.indents[index], self.rights[index]
        left = indent if indent - self.left >= _FAR_SHARE * (right - self.left) else min(self.left, indent)
        return self.ends[index] < left + _BRIEF * (right - left)

    def is_centred(self, index: int) -> bool:
        """Whether a line stands in the middle between the margins and is shorter than a line of text."""
        width = self.right - self.left
        left, right = self._lines.indents[index] - self.left, self.right - self.ends[index]
        if left < _CENTRE_INDENT or right < _CENTRE_ROOM or left + right < _CENTRE_SPACE * width:
            return False
        return abs(left - right) <= _CENTRE_SHIFT * width and (index + 1 == len(self.ends) or self.short[index])


def _spread(values: list[int]) -> int:
    """How far apart the middle half of the values are."""
    values.sort()
    return values[len(values) * 3 // 4] - values[len(values) // 4] if values else 0


def _margin_of(ends: list[int], quarters: int) -> int:
    """Where the longest lines end, but those that a converter made of two when it removed a hyphen.

    One half (two quarters) or one quarter of the lines is taken for those that may be short.
    """
    ends.sort()
    return ends[bisect_right(ends, _LONGEST * ends[len(ends) * quarters // 4]) - 1]
