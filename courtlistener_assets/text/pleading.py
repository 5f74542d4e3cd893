"""Pleading paper: the numbers that a court's paper or a transcript prints beside its lines -> marks.

Belongs here: telling these numbers from those of lists, tables, notes and pages. Does not belong here: the numbers and
heads of pages (`furniture.py`).

A column of numbers that count up says little: tables, forms and notes have it, too. What they do not have are sentences
that go on from one numbered line to the next, and numbers beside empty lines.
"""

from __future__ import annotations

import re
from collections import deque
from typing import Final

from courtlistener_assets.text.condensed import in_single_pages
from courtlistener_assets.text.marks import Marks
from courtlistener_assets.text.page_lines import PageLines
from courtlistener_assets.text.page_scans import Signs, line_number

_DIGIT: Final = Signs(re.compile(r"\d"))
_SIGN: Final = re.compile(r" *+(\d\d?)(?!\S)")
_LONGEST_SIGN: Final = 2
#: Shorter columns of numbers are only believed beside longer ones.
_MIN_COLUMN: Final = 8
#: A page of paper has at least so many lines; a column of numbers without any text has to have them all.
_MIN_BARE: Final = 20
#: A column begins with one of the numbers of a page, and may count on from page to page.
_MAX_NUMBER: Final = 60
#: A scan loses numbers, and its columns are not quite straight.
_MAX_STEP: Final = 3
_TOLERANCE: Final = 3
#: Lines without a number between two that have one.
_MAX_BETWEEN: Final = 6
#: The text of a list begins in a few columns. That of a page has lines in the middle, which begin anywhere.
_CENTRED: Final = 6
#: Blank lines and numbers below which the text of a number may stand.
_LINES_BELOW: Final = 60
_MAX_OPEN: Final = 4
#: Of so many numbers, so many at least are the next one, if notes and cited volumes are among them.
_WINDOW: Final = 10
_MIN_STEPS: Final = 6
#: Characters from the number of a page to the next one, but not from a line to the next one.
_FAR: Final = 800
_ENDS: Final = (".", "?", "!", ":", ";", '"', "”", ")")


#: A number, where it begins and ends in its line, and where the sign behind it ends.
_Number = tuple[int, int, int, int]


class _Column:
    """Lines whose numbers count up. `bare` of them have nothing else, and across `runs` a sentence goes on.

    `texts` are the columns in which the texts beside the numbers begin.
    """

    def __init__(self, number: int, rank: int) -> None:
        self.lines: list[int] = []
        self.first = self.last = number
        self.start = self.end = -1
        self.texts: set[int] = set()
        self.rank = rank
        self.bare = self.runs = self.between = 0

    def add(self, index: int, number: _Number, rank: int) -> None:
        self.between += rank - self.rank
        self.lines.append(index)
        self.last, self.start, self.end, _ = number
        self.rank = rank

    def goes_on(self, number: _Number, rank: int) -> bool:
        value, start, end, _ = number
        step = value - self.last
        near = 0 < step <= _MAX_STEP and rank - self.rank <= _MAX_BETWEEN * step
        return near and self.is_beside(start, end)

    def is_above(self, number: _Number) -> bool:
        """Whether a number can go on with the numbers of a page that is not the one before."""
        _, start, end, _ = number
        return len(self.lines) >= _MIN_COLUMN and self.is_beside(start, end)

    def is_beside(self, start: int, end: int) -> bool:
        return abs(self.start - start) <= _TOLERANCE or abs(self.end - end) <= _TOLERANCE

    def has_own_lines(self) -> bool:
        """Whether the numbers stand between the lines of the text and not beside them."""
        return 2 * self.bare > len(self.lines) and self.between > 0

    def is_doubtful(self) -> bool:
        """Whether the numbers are many, and sentences go on across some of them, as across those of lines."""
        return len(self.lines) >= _MIN_COLUMN and self.runs > 1

    def is_margin(self) -> bool:
        """Whether the numbers are surely those of lines."""
        count = len(self.lines)
        if count < _MIN_COLUMN or self.last - self.first >= 2 * count:
            return False
        if len(self.texts) >= _CENTRED and self.last - self.first < count:
            return True
        if self.first > _MAX_STEP:
            return 4 * self.runs >= count
        if self.bare == count and not self.between:
            return count >= _MIN_BARE
        return 8 * self.runs >= count or (self.runs > 0 and 4 * (self.bare + self.runs) >= count)


def without_line_numbers(page: PageLines, marks: Marks) -> PageLines:
    """Move the numbers beside the lines to marks.

    A number that stands alone between two lines goes to the beginning of the second one, so that it leaves no gap.
    """
    lines = page.lines
    if not _may_count(page):
        return page
    lines = in_single_pages(lines)
    columns = _columns(lines)
    margins = list({(column.start, column.end): column for column in columns if column.is_margin()}.values())
    if not margins:
        return page if lines is page.lines else PageLines(lines)
    result = list(lines)
    gone: set[int] = set()
    for column in columns:
        if _is_alike(column, margins, lines):
            _move_numbers(column, result, gone, marks)
        elif column.is_doubtful():
            marks.doubts.add("doubtful_line_numbers")
    return PageLines([line for index, line in enumerate(result) if index not in gone])


def _may_count(page: PageLines) -> bool:
    """Whether the numbers at the beginning of lines count up somewhere as often as those of a column do."""
    likely = page.beginning_with(_DIGIT)
    if len(likely) <= _MIN_STEPS:
        return False
    steps: deque[bool] = deque(maxlen=_WINDOW)
    above, before = -1, 0
    for place in likely:
        line = page.bare[place]
        if len(line) > _LONGEST_SIGN and not (line[1].isspace() or line[2].isspace()):
            continue
        match = _SIGN.match(page.lines[place])
        if not match:
            continue
        value = int(match[1])
        if above >= 0:
            counts = 0 < value - before <= _MAX_STEP
            steps.append(counts and sum(map(len, page.lines[above:place])) + place - above <= _FAR)
            if steps[-1] and sum(steps) >= _MIN_STEPS:
                return True
        above, before = place, value
    return False


def _columns(lines: list[str]) -> list[_Column]:
    """All columns of numbers at the beginning of lines; `rank` counts the lines that have text and no number."""
    found: list[_Column] = []
    waiting: _Column | None = None
    above, rank = "", 0
    for index, text in enumerate(map(str.strip, lines)):
        if not text:
            continue
        line = lines[index]
        number = line_number(line) if text[0].isdigit() else None
        if number and (column := _column_of(number, rank, found)):
            column.add(index, number, rank)
            text = line[number[-1] :].strip()
            column.bare += not text
            if text:
                column.texts.add(len(line.rstrip()) - len(text))
            waiting = column
        else:
            rank += 1
        if text:
            if waiting:
                waiting.runs += text[0].islower() and not above.endswith(_ENDS)
            above, waiting = text, None
    return found


def _column_of(number: _Number, rank: int, found: list[_Column]) -> _Column | None:
    for column in reversed(found[-_MAX_OPEN:]):
        if column.goes_on(number, rank):
            return column
    value = number[0]
    if value > _MAX_NUMBER and not any(column.last < value and column.is_above(number) for column in found):
        return None
    found.append(_Column(value, rank))
    return found[-1]


def _is_alike(column: _Column, margins: list[_Column], lines: list[str]) -> bool:
    """Whether a column is a margin or, being too short to tell, stands where a margin is on other pages.

    One or two numbers on lines of their own may be labels of footnotes, unless all numbers stand on such lines.
    """
    if column.is_margin():
        return True
    beside = [margin for margin in margins if margin.is_beside(column.start, column.end)]
    if not beside:
        return False
    apart = all("  " in lines[index].strip() for index in column.lines)
    if column.bare == len(column.lines) < _MAX_STEP:
        return any(margin.has_own_lines() for margin in beside)
    return apart or (len(column.lines) >= _MAX_STEP and (column.first <= _MAX_STEP or column.bare > 0))


def _move_numbers(column: _Column, lines: list[str], gone: set[int], marks: Marks) -> None:
    own_lines = column.has_own_lines()
    for index in reversed(column.lines):
        line = lines[index]
        number = line_number(line)
        if number is None:
            continue
        end = number[-1]
        mark = marks.mark("line_number", line[:end].strip())
        rest = line[end:]
        below = _line_below(lines, index, gone) if own_lines and not rest.strip() else None
        if below is None:
            lines[index] = mark + " " * end + rest
        else:
            gone.update(range(index, below))
            lines[below] = mark + lines[below]


def _line_below(lines: list[str], index: int, gone: set[int]) -> int | None:
    """The next line with text on the same page."""
    for below in range(index + 1, min(len(lines), index + _LINES_BELOW)):
        if below not in gone and lines[below].strip(" \t"):
            return None if lines[below].startswith("\f") else below
    return None
