"""Condensed transcripts: numbered pages that are printed side by side -> one below the other.

     Page 1                            Page 3
     1   THE MILL COMPANY,             1   is what I said.
     2       Plaintiff,                2       Q.   When was that?

Belongs here: finding such pages by their two columns of numbers that count up, and parting them. Does not belong here:
taking the numbers out (`pleading.py`), columns without numbers (`columns.py`).

An extractor that sets proportional type in columns moves the second numbers to and fro, so that they count for more
than where they stand.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from courtlistener_assets.text.marks import cut, visible
from courtlistener_assets.text.page_lines import PAGE_BREAK

_INNER: Final = re.compile(r" {2,}+(?:(\d{1,2})(?= |$))?")
_LEFT: Final = re.compile(r" {0,18}\d{1,2}(?: |$)")
_HEADS: Final = re.compile(r"\s*Page (\d+)\s+Page (\d+)\s*")
_GAP: Final = re.compile(r" {3,}(?=\S)")
_MIN_LEFT: Final = 20
_JITTER: Final = 14
#: A scan loses numbers, and the other page has lines of its own between.
_MAX_STEP: Final = 6
_MAX_FIRST: Final = 3
_MAX_OPEN: Final = 30
_MIN_NUMBERS: Final = 10
_MIN_NUMBERED: Final = 0.5
_MIN_TEXTS: Final = 0.1
#: Lines of a page on the left below the last number on the right.
_BELOW: Final = 3
#: Lines from one pair of pages to the next on a sheet.
_MAX_BETWEEN: Final = 6


class _Number(NamedTuple):
    line: int
    column: int
    value: int


class _Pair(NamedTuple):
    """Two pages side by side in the lines from `start` up to `end`, with their head, and the second one's numbers."""

    start: int
    end: int
    numbers: list[_Number]


def in_single_pages(lines: list[str]) -> list[str]:
    """Return the lines with each page on the left before that on its right, parted by page breaks."""
    seen = list(map(visible, lines))
    result: list[str] = []
    place = 0
    for sheet in _sheets(list(_pairs(seen))):
        result += lines[place : sheet[0].start]
        halves = [_parted(lines, seen, pair) for pair in sheet]
        heads = _HEADS.fullmatch(seen[sheet[0].start])
        down = heads and int(heads[2]) - int(heads[1]) > 1
        pages = (
            [pair[side] for side in (0, 1) for pair in halves] if down else [page for pair in halves for page in pair]
        )
        for page in pages:
            result += [PAGE_BREAK, *page]
        result.append(PAGE_BREAK)
        place = sheet[-1].end
    return [*result, *lines[place:]] if place else lines


def _pairs(seen: list[str]) -> Iterator[_Pair]:
    place = 0
    for numbers in _columns(seen):
        start, end = numbers[0].line, numbers[-1].line + 1
        if start < place or not _are_pages(seen, numbers):
            continue
        for above in range(start - 1, max(place, start - _MAX_BETWEEN) - 1, -1):
            if _HEADS.fullmatch(seen[above]):
                start = above
                break
        while end < min(len(seen), numbers[-1].line + 1 + _BELOW) and _LEFT.match(seen[end]):
            end += 1
        yield _Pair(start, end, numbers)
        place = end


def _are_pages(seen: list[str], numbers: list[_Number]) -> bool:
    """Whether lines have a number on the left, too, and some text beside the second one, as no row of sums has."""
    numbered = sum(bool(_LEFT.match(seen[index])) for index in range(numbers[0].line, numbers[-1].line + 1))
    texts = sum(any(map(str.isalpha, seen[number.line][number.column :])) for number in numbers)
    return numbered >= _MIN_NUMBERED * len(numbers) and texts >= _MIN_TEXTS * len(numbers)


def _columns(seen: list[str]) -> list[list[_Number]]:
    """The runs of numbers inside lines that count up from line to line, in about the same place."""
    found: list[list[_Number]] = []
    for index, line in enumerate(seen):
        gap = line.find("  ", _MIN_LEFT - len("  "))
        while gap >= 0:
            match = _INNER.match(line, gap)
            if match and match[1]:
                number = _Number(index, match.start(1), int(match[1]))
                run = next((run for run in reversed(found[-_MAX_OPEN:]) if _goes_on(run[-1], number)), None)
                if run is None:
                    run = []
                    found.append(run)
                run.append(number)
            gap = line.find("  ", match.end() if match else gap + 1)
    return [run for run in found if len(run) >= _MIN_NUMBERS and run[0].value <= _MAX_FIRST]


def _goes_on(before: _Number, after: _Number) -> bool:
    return (
        0 < (step := after.value - before.value) <= _MAX_STEP
        and 0 < after.line - before.line <= 2 * step + 2
        and abs(after.column - before.column) <= _JITTER
    )


def _sheets(pairs: list[_Pair]) -> Iterator[list[_Pair]]:
    """The pairs that are printed one below the other on one sheet; the lines between two of them go to the first."""
    sheet: list[_Pair] = []
    for pair in pairs:
        if sheet and pair.start - sheet[-1].end > _MAX_BETWEEN:
            yield sheet
            sheet = []
        elif sheet:
            sheet[-1] = sheet[-1]._replace(end=pair.start)
        sheet.append(pair)
    if sheet:
        yield sheet


def _parted(lines: list[str], seen: list[str], pair: _Pair) -> tuple[list[str], list[str]]:
    columns = {number.line: number.column for number in pair.numbers}
    left: list[str] = []
    right: list[str] = []
    column = pair.numbers[0].column
    for index in range(pair.start, pair.end):
        column = columns.get(index, column)
        place = column if index in columns else _place(seen[index], column)
        one, other = cut(lines[index], place)
        left.append(one.rstrip())
        right.append(other)
    return left, right


def _place(line: str, column: int) -> int:
    """Where the second page begins in a line without its number."""
    gaps = [gap.end() for gap in _GAP.finditer(line) if abs(gap.end() - column) <= _JITTER or not gap.start()]
    near = [place for place in gaps if place >= column - _JITTER]
    return min(near, key=lambda place: abs(place - column)) if near else len(line)
