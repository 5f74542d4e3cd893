"""Scans of what is measured of the lines of a page: their columns, and the blank lines between them.

Belongs here: the scans that `layout_scans.pyx` has in a compiled form, which a compiled build imports instead of this
module; this one says what they do. Does not belong here: which lines are short or parted (`margins.py`, `gaps.py`).
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from itertools import compress, pairwise

#: What a drawn line begins with, which is no word.
_RULES = "_=~*"
_LONGEST = 1.25
_LINES_A_PIECE = 30
_MIN_LINES = 3
_PROSE_LINES = 8
_MIN_RUNNING_SHARE = 0.2
#: Of the width of a page: what is narrower must be prose to have a margin of its own.
_NARROW = 0.75
_WIDE_SPACE = re.compile(r"   (?<=\S   ) *(?=\S)")
_SPACES = re.compile(r" +")


def in_order(numbers: list[int]) -> list[int]:
    """The numbers, the least first."""
    return sorted(numbers)


def commonest(numbers: list[int]) -> int:
    """The number that comes most often, or the first of those; there is one at least."""
    return Counter(numbers).most_common(1)[0][0]


def margin_of(ends: list[int], quarters: int) -> int:
    """Where the longest lines end, but those that a converter made of two when it removed a hyphen.

    One half (two quarters) or one quarter of the lines is taken for those that may be short.
    """
    ends = sorted(ends)
    return ends[bisect_right(ends, _LONGEST * ends[len(ends) * quarters // 4]) - 1]


def right_margins(ends: list[int], steps: list[int], runs_on: list[bool], right: int) -> list[int]:
    """For each line the right margin of its block, or of the one below or above, or of the page, which is `right`."""
    blocks = _blocks(steps)
    own = [_of_block(ends[start:end], runs_on[start + 1 : end + 1], right) for start, end in blocks]
    rights: list[int] = []
    for place, (start, end) in enumerate(blocks):
        margin = own[place] or (place + 1 < len(own) and own[place + 1]) or (place and own[place - 1])
        rights += [margin or right] * (end - start)
    return rights


def _blocks(steps: list[int]) -> list[tuple[int, int]]:
    """The runs of lines that begin in the same column, or nearly; a long one in pieces of about a page."""
    starts = [index for index, step in enumerate(steps) if not -2 < step < 2]
    blocks: list[tuple[int, int]] = []
    for start, end in pairwise([0, *starts, len(steps)]):
        while end - start >= 2 * _LINES_A_PIECE:  # the margins of one page need not be those of the next
            blocks.append((start, start + _LINES_A_PIECE))
            start += _LINES_A_PIECE
        blocks.append((start, end))
    return blocks


def _of_block(ends: list[int], runs_on: list[bool], right: int) -> int:
    """The right margin of a block of lines, 0 if they are too few or too short for a column of prose."""
    if len(ends) < _MIN_LINES:
        return 0
    running = list(compress(ends, runs_on))
    enough = len(running) >= _MIN_LINES
    margin = margin_of(running, 1) if enough else margin_of(ends, 2)
    prose = enough and len(ends) >= _PROSE_LINES and len(running) >= _MIN_RUNNING_SHARE * len(ends)
    return margin if margin >= _NARROW * right or prose else 0


def room_left(places: list[int], rights: list[int], ends: list[int], texts: list[str]) -> list[int]:
    """How much room is left in lines after the next line's first word, which would have fitted if positive."""
    return [
        rights[index]
        - ends[index]
        - (2 if (text := texts[index + 1])[0] in _RULES else text.find(" ") + 1 or len(text) + 1)
        for index in places
    ]


def short_lines(rights: list[int], ends: list[int], texts: list[str], slack: int) -> list[bool]:
    """Whether each line has more room left than this. Of the last line that cannot be said."""
    short = [right - end > slack + 1 for right, end in zip(rights, ends, strict=True)]
    short[-1] = False
    places = list(compress(range(len(short)), short))
    for index, room in zip(places, room_left(places, rights, ends, texts), strict=True):
        short[index] = room > slack
    return short


def gaps_above(blanks: list[int], edges: list[bool], most: int) -> list[int]:
    """The gap above each line, nothing if there are none; a page's edge says nothing.

    It is the blank lines above the line, times `most` and one, and the fewest at the lines around it, up to `most`.
    """
    if not any(blanks):
        return []
    if max(blanks) > most:
        blanks = [most if blank > most else blank for blank in blanks]
    around = zip(blanks, [blanks[0], *blanks], [*blanks[1:], blanks[-1]], strict=False)
    gaps = [here * (most + 1) + (above if above < below else below) for here, above, below in around]
    for index in compress(range(len(blanks)), edges):
        gaps[index] = 0
        if index:
            gaps[index - 1] = blanks[index - 1] * (most + 1) + blanks[max(0, index - 2)]
        if index + 1 < len(blanks):
            gaps[index + 1] = blanks[index + 1] * (most + 1) + blanks[min(index + 2, len(blanks) - 1)]
    return gaps


def counted(
    gaps: list[int], kinds: int, runs_on: list[bool], unfinished: list[bool]
) -> tuple[list[int], list[int], list[int]]:
    """How often each kind of gap comes, stands above a line that runs on, and below one that is unfinished."""
    counts = Counter(gaps), Counter(compress(gaps, runs_on)), Counter(compress(gaps[1:], unfinished))
    seen, running, open_above = ([count.get(gap, 0) for gap in range(kinds)] for count in counts)
    return seen, running, open_above


def with_dots(texts: list[str]) -> list[int]:
    """The places of the texts that have five dots in a row, or with a space between each."""
    text = "\n".join(texts)
    if ". . . . ." not in text and "....." not in text:
        return []
    return [index for index, text in enumerate(texts) if ". . . . ." in text or "....." in text]


def spaces_inside(line: str) -> tuple[list[int], list[tuple[int, int]]]:
    """The sizes of all runs of spaces inside a line; start and end of those of three and more between other signs."""
    wide = [space.span() for space in _WIDE_SPACE.finditer(line, len(line) - len(line.lstrip()))]
    return [len(space) for space in _SPACES.findall(line.strip())] if wide else [], wide
