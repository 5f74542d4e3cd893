"""Page numbers: lines with nothing but the number of a page.

Belongs here: telling these numbers from those of sections, notes, lists and tables. Does not belong here: heads with
other words (`running_heads.py`), the numbers beside lines (`pleading.py`).

Where nothing else says where a page ends, two signs do: the numbers count up by one at the distance of a page, and
sentences go on below them, which never happens below the number of a section or a note.
"""

from __future__ import annotations

import re
import sys
from bisect import bisect_left
from collections.abc import Collection, Iterable
from itertools import pairwise
from typing import Final

from courtlistener_assets.text.note_labels import is_cited
from courtlistener_assets.text.page_lines import PageLines
from courtlistener_assets.text.page_scans import Signs

_LINE: Final = re.compile(
    r"[-\u2013—\[(|~]*\s*(?:page|p\.|pg\.?)?\s*(\d{1,4}|[ivxl]{1,7})\s*(?:(?:of|/)\s*\d{1,4})?\s*[-\u2013—\])|~]*",
    re.IGNORECASE,
)
_NAMED: Final = re.compile(
    r"(?:[-\u2013—\[(|~]\s*)?(?:p\s?a\s?g\s?e|pg\.?)[\s|:]*(\d{1,4})(?:\s*(?:of|/)\s*\d{1,4})?(?:\s*[-\u2013—\])|~])?"
    r"|(\d{1,4})(?:\s*\|\s*p\s?a\s?g\s?e| of \d{1,3})",
    re.IGNORECASE,
)
_DASHED: Final = re.compile(r"[-\u2013—~]\s*\d{1,4}\s*[-\u2013—~]")
_LONGEST: Final = 24
#: What all of these begin with.
_FIRST: Final = Signs(re.compile(r"[-\[(|~pPgG0-9ivxlIVXL\x80-\U0010ffff]"))
#: What they end with, or a character that is none of ASCII's.
_LAST: Final = frozenset("-])|~0123456789ivxlIVXLeE")
_MOST_DIGITS: Final = 4
_ROMAN: Final = {"i": 1, "v": 5, "x": 10, "l": 50}

#: Lines with text from one page to the next.
PAGE_LINES: Final = (6, 120)
_MIN_SERIES: Final = 3
#: From the edge of a page to its number, heads may have a line or two.
_EDGE_LINES: Final = 3
#: Of the pages of a document, so many at least begin in the middle of a sentence.
_MIN_RUNS_ON: Final = 0.15
_MIN_EVEN: Final = 5
_UNEVEN: Final = 1.7
#: A misprinted or lost number does not end a series.
_MAX_STEP: Final = 3
_SAME_COLUMN: Final = 8
_CENTRED: Final = 12


class Number:
    """A line with a number, which may be a page's."""

    def __init__(self, place: int, value: int, *, roman: bool) -> None:
        self.place = place
        self.value = value
        self.roman = roman


def numbers_in(page: PageLines) -> list[Number]:
    """All lines with nothing but a number."""
    bare = page.bare
    found: list[Number] = []
    for index in page.beginning_with(_FIRST):
        line = bare[index]
        if len(line) < _LONGEST and (line[-1] in _LAST or line[-1] >= "\x80"):
            text = _number(line)
            if text.isdigit():
                found.append(Number(index, int(text), roman=False))
            elif text.islower():
                found.append(Number(index, _roman(text), roman=True))
    return found


def _number(line: str) -> str:
    """The number that is all of a line; "" if there is more, or none."""
    if line.isdecimal():
        return line if len(line) <= _MOST_DIGITS else ""
    match = _LINE.fullmatch(line) or _NAMED.fullmatch(line)
    return (match[1] or match[2]) if match else ""


def _roman(text: str) -> int:
    values = [_ROMAN[letter] for letter in text]
    return sum(
        -value if value < following else value for value, following in zip(values, [*values[1:], 0], strict=True)
    )


def page_numbers(page: PageLines, numbers: list[Number], others: Collection[int]) -> set[int]:
    """The numbers that are surely of pages; `others` are lines that are or may be furniture, too."""
    found = {number.place for number in numbers if _is_marked(page.bare[number.place])}
    numbers = _without_labels(page, numbers, found)
    places = {number.place for number in numbers} | set(others)
    for roman in (False, True):
        for series in _all_series(page, [number for number in numbers if number.roman == roman]):
            if _counts_pages(page, series, places):
                found.update(number.place for number in series)
    found.update(number.place for number in numbers if _is_single(page, number, places))
    return found


def _is_marked(bare: str) -> bool:
    return not bare.isdecimal() and bool(_DASHED.fullmatch(bare) or _NAMED.fullmatch(bare))


def _without_labels(page: PageLines, numbers: list[Number], marked: set[int]) -> list[Number]:
    """The numbers without those that label the note right below, which stands inside a page or is cited above."""
    edges = sorted({*page.breaks, *marked})
    if known := len(edges) >= _MIN_SERIES:
        marked = set(edges)
    else:
        edges = [number.place for number in numbers if not _has_text_right_below(page, number.place)]
        if len(edges) < _MIN_SERIES:
            return numbers
    ranks = [bisect_left(page.seen, edge) for edge in edges]

    def is_label(number: Number) -> bool:
        place, rank = number.place, page.ranks[number.place]
        end = bisect_left(edges, place)
        if place in marked or not 0 < end < len(edges) or not _has_text_right_below(page, place):
            return False
        above, below = rank - ranks[end - 1], ranks[end] - rank
        if above <= 1 or above + below > PAGE_LINES[1]:
            return False
        inside = known and min(above, below) > _EDGE_LINES
        return inside or is_cited(str(number.value), page.bare[edges[end - 1] : place])

    return [number for number in numbers if not is_label(number)]


def _has_text_right_below(page: PageLines, place: int) -> bool:
    return bool("".join(page.bare[place + 1 : place + 2]))


def _all_series(page: PageLines, numbers: list[Number]) -> list[list[Number]]:
    """The runs of numbers that count up in one column, and those of the rest, on the left and the right by turns."""
    straight = [series for series in _series(page, numbers, _SAME_COLUMN) if len(series) >= _MIN_SERIES]
    if len(straight) == 1 and len(straight[0]) == len(numbers):
        return straight
    taken = {number.place for series in straight for number in series}
    others = [number for number in numbers if number.place not in taken]
    for series in straight:
        _extend(page, series, others)
    return straight + _series(page, others, sys.maxsize)


def _extend(page: PageLines, series: list[Number], others: list[Number]) -> None:
    """Move the numbers right before and behind a series to it; a page of another width has its number elsewhere."""
    first, last = series[0], series[-1]
    before = [
        number
        for number in others
        if number.value == first.value - 1 and _is_pages_apart(page, number, first, sys.maxsize)
    ]
    behind = [
        number
        for number in others
        if number.value == last.value + 1 and _is_pages_apart(page, last, number, sys.maxsize)
    ]
    for end, nearest, found in ((len(series), last, behind), (0, first, before)):
        if found:
            shifts = [_shift(page, number, nearest) for number in found]
            series.insert(end, found[shifts.index(min(shifts))])
            others.remove(series[end])


def _series(page: PageLines, numbers: Iterable[Number], widest: int) -> list[list[Number]]:
    """The longest runs of numbers that count up at the distance of pages. Each number is in one of them."""
    series: list[list[Number]] = []
    latest: dict[int, list[list[Number]]] = {}
    for number in numbers:
        run = None
        for step in range(1, _MAX_STEP + 1):
            open_runs = [
                run for run in latest.get(number.value - step, ()) if _is_pages_apart(page, run[-1], number, widest)
            ]
            if open_runs:
                run = min(open_runs, key=lambda run: _shift(page, run[-1], number))
                latest[number.value - step].remove(run)
                break
        if run is None:
            run = []
            series.append(run)
        run.append(number)
        latest[number.value] = [*latest.get(number.value, ())[-_MAX_STEP:], run]
    return series


def _is_pages_apart(page: PageLines, before: Number, after: Number, widest: int) -> bool:
    gap = page.ranks[after.place] - page.ranks[before.place]
    step = after.value - before.value
    if _shift(page, before, after) > (_SAME_COLUMN if step > 1 else widest):
        return False
    return PAGE_LINES[0] * step <= gap <= PAGE_LINES[1] * step


def _shift(page: PageLines, before: Number, after: Number) -> int:
    """How far apart two numbers stand in their lines: centred, or on the left and right side by turns."""
    first, second = page.lines[before.place], page.lines[after.place]
    return abs(len(first) - len(first.lstrip()) - len(second) + len(second.lstrip()))


def _counts_pages(page: PageLines, series: list[Number], others: Collection[int]) -> bool:
    if len(series) < _MIN_SERIES:
        return False
    if series[0].roman:
        return True
    runs_on = sum(page.goes_on_below(number.place, others) for number in series)
    if runs_on and runs_on >= _MIN_RUNS_ON * len(series):
        return True
    gaps = [after.place - before.place for before, after in pairwise(series)]
    return len(gaps) >= _MIN_EVEN - 1 and max(gaps) < _UNEVEN * min(gaps)


def _is_single(page: PageLines, number: Number, others: Collection[int]) -> bool:
    """Whether a number stands in a sentence, about as many pages from the beginning as it says."""
    rank = page.ranks[number.place]
    before = number.value - 1
    likely = not number.roman and PAGE_LINES[0] * max(1, before) <= rank <= PAGE_LINES[1] * max(1, number.value)
    return likely and page.interrupts(number.place, others) and _has_space(page, number.place)


def _has_space(page: PageLines, index: int) -> bool:
    """Whether a line is set apart: by a blank line or by being centred, as no number in a sentence is."""
    lines = page.lines
    above, below = lines[index - 1 : index], lines[index + 1 : index + 2]
    blank = not "".join(above).strip() or not "".join(below).strip()
    return blank or is_centred(page, index)


def is_centred(page: PageLines, index: int) -> bool:
    """Whether a line stands well inside the margin."""
    line = page.lines[index]
    return len(line) - len(line.lstrip()) >= _CENTRED


def middle(page: PageLines, index: int) -> int:
    """The column of the middle of a line."""
    line = page.lines[index].rstrip()
    return (2 * len(line) - len(line.lstrip())) // 2
