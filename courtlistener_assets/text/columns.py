"""Columns of plain text: captions and pages set in columns -> one column, the left before the right.

Belongs here: finding the border or the gutter between columns of consecutive lines. Does not belong here: tables with
short cells, whose rows must stay together (`tables.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from courtlistener_assets.text.line_scans import bordered, gutters
from courtlistener_assets.text.marks import Marks, all_visible, cut, visible
from courtlistener_assets.text.page_lines import PAGE_BREAK

_BORDER: Final = ")]:|§*}"
_BESIDE: Final = ("", " ")
_BESIDE_BORDER: Final = ("", " ", *_BORDER)
#: How far apart the lines of a caption, and the places of its border, may be.
_MAX_BLANKS: Final = 2
_JITTER: Final = 1
_MIN_CAPTION_LINES: Final = 4
_MIN_BORDERED_SHARE: Final = 0.7
_MIN_COLUMN_LINES: Final = 4
#: Lines at most a few apart that have a wide space before the same column are looked at as a page of columns.
_MIN_HITS: Final = 3
_MAX_DISTANCE: Final = 5
#: Lines above and below them that can belong to the columns.
_MAX_MORE: Final = 60
_MIN_GUTTER: Final = 2
_MAX_COLUMNS: Final = 3
#: How often, and in what share of the lines, reading by rows would put other text into a sentence.
_MIN_TORN: Final = 2
_MIN_TORN_SHARE: Final = 0.15
_MIN_WORDS: Final = 3.0


def in_reading_order(lines: list[str], marks: Marks) -> list[str]:
    """Return the lines with every region of columns replaced by its left column, a blank line, its right column."""
    return _split_pages(_split_captions(lines, marks), marks)


# --- captions --------------------------------------------------------------------------------------------------------


def _split_captions(lines: list[str], marks: Marks) -> list[str]:
    result: list[str] = []
    place = 0
    for start, end, border in _captions(lines):
        rows = [_at_border(line, border, marks) for line in lines[start:end]]
        result += [*lines[place:start], "", *(left for left, _ in rows), "", *(right for _, right in rows), ""]
        place = end
    return [*result, *lines[place:]] if place else lines


def _captions(lines: list[str]) -> Iterator[tuple[int, int, int]]:
    """First line, line after the last, and column of the border of each caption."""
    borders = _borders(lines)
    place = 0
    seen: set[tuple[int, int]] = set()
    for index in sorted(borders):
        for column in borders[index] if index >= place else ():
            if (index, column) in seen:
                continue
            found = _along(lines, borders, index, column)
            seen.update((line, column) for line in found)
            filled = sum(bool(line) and not line.isspace() for line in lines[index : found[-1] + 1])
            is_table = 2 * sum(len(borders[line]) > 1 for line in found) > len(found)
            if len(found) >= max(_MIN_CAPTION_LINES, _MIN_BORDERED_SHARE * filled) and not is_table:
                place = found[-1] + 1
                yield index, place, column
                break


def _along(lines: list[str], borders: dict[int, list[int]], index: int, column: int) -> list[int]:
    """The lines from `index` on that have a border in this column, or next to it, and are not far apart."""
    found = [index]
    for other in range(index + 1, len(lines)):
        if any(abs(column - here) <= _JITTER for here in borders.get(other, ())):
            found.append(other)
        elif lines[other].startswith(PAGE_BREAK) or other - found[-1] > _MAX_BLANKS:
            break
    return found


def _borders(lines: list[str]) -> dict[int, list[int]]:
    """By line, the columns in which a border character stands by itself."""
    places = bordered(lines)
    if len(places) < _MIN_CAPTION_LINES:
        return {}
    borders: dict[int, list[int]] = {}
    for index, place in places:
        borders.setdefault(index, []).append(len(visible(lines[index][:place])))
    return borders


def _at_border(line: str, column: int, marks: Marks) -> tuple[str, str]:
    """The parts of a line to the left and to the right of the border, which becomes a mark."""
    for place in range(column - _JITTER, column + _JITTER + 1):
        left, right = cut(line, max(0, place))
        border = right[: len(right) - len(right.lstrip(_BORDER))]
        if border and right[len(border) : len(border) + 1] in _BESIDE and left[-1:] in _BESIDE_BORDER:
            return left.rstrip() + marks.mark("rule", border), right[len(border) :].strip()
    left, right = cut(line, column)
    return (line, "") if left[-1:].strip() and right[:1].strip() else (left.rstrip(), right.strip())


# --- pages of columns ------------------------------------------------------------------------------------------------


def _split_pages(lines: list[str], marks: Marks, depth: int = 0) -> list[str]:
    """Part the regions in which white space runs down between columns of prose, which all begin in the same place."""
    result: list[str] = []
    place = 0
    runs = _runs(lines) if depth < _MAX_COLUMNS else []
    seen = all_visible(lines) if runs else []
    for start, end, column in _regions(lines, seen, runs) if runs else ():
        if start < place:
            continue
        bare = [line[:column].strip() for line in seen[start:end]]
        if any(bare) and _are_columns(bare, [line[column:].strip() for line in seen[start:end]], marks):
            halves = [cut(line, column) for line in lines[start:end]]
            left, right = [half.rstrip() for half, _ in halves], [half.rstrip() for _, half in halves]
            result += [
                *lines[place:start],
                "",
                *_split_pages(left, marks, depth + 1),
                "",
                *_split_pages(right, marks, depth + 1),
                "",
            ]
            place = end
    return [*result, *lines[place:]] if place else lines


def _runs(lines: list[str]) -> list[tuple[int, int, int]]:
    """First line, line after the last, and column of the lines in which text goes on there after a wide space."""
    found: dict[int, list[int]] = {}  # by the column in which text goes on after the first wide space
    for index, column in gutters(lines):
        found.setdefault(column, []).append(index)
    runs: list[tuple[int, int, int]] = []
    for column, hits in found.items():
        start = 0
        for end in range(1, len(hits) + 1):
            if end == len(hits) or hits[end] - hits[end - 1] > _MAX_DISTANCE:
                if end - start >= _MIN_HITS:
                    runs.append((hits[start], hits[end - 1] + 1, column))
                start = end
    return runs


def _regions(lines: list[str], seen: list[str], runs: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """First line, line after the last, and beginning of the right column of all that may be columns.

    `seen` are the lines without marks.
    """
    regions = [region for start, end, column in runs for region in _clear(lines, seen, start, end, column)]
    return sorted(regions, key=lambda region: (region[0], region[0] - region[1]))


def _clear(lines: list[str], seen: list[str], first: int, last: int, column: int) -> list[tuple[int, int, int]]:
    """The parts of a region in which no line has text across the gutter to the left of `column`."""
    highest, lowest = max(0, first - _MAX_MORE), min(len(lines), last + _MAX_MORE)
    while first > highest and _has_text(lines[first - 1]) and not _crosses(seen[first - 1], column):
        first -= 1
    while last < lowest and _has_text(lines[last]) and not _crosses(seen[last], column):
        last += 1
    parts = []
    start, filled = first, 0
    for index in range(first, last + 1):
        if index == last or _crosses(seen[index], column):
            if filled >= _MIN_COLUMN_LINES:
                parts.append((start, index, column))
            start, filled = index + 1, 0
        elif _has_text(lines[index]):
            filled += 1
    return parts


def _has_text(line: str) -> bool:
    return bool(line) and not line.isspace()


def _crosses(line: str, column: int) -> bool:
    gutter = line[column - _MIN_GUTTER : column]
    return line[:1] == PAGE_BREAK or not (not gutter or gutter.isspace())


def _are_columns(left: list[str], right: list[str], marks: Marks) -> bool:
    """Whether sentences go on down a column and would be torn if the lines were read across, as rows of a table are."""
    rows = [(one, other) for one, other in zip(left, right, strict=True) if one or other]
    torn = 0
    if _has_sentences(right):
        torn += sum(bool(below[0]) and _goes_on(above[1], below[1]) for above, below in pairwise(rows))
        if _has_sentences(left):  # long names and short sums belong together
            torn += sum(bool(above[1]) and _goes_on(above[0], below[0]) for above, below in pairwise(rows))
    if torn >= _MIN_TORN and torn >= _MIN_TORN_SHARE * len(rows):
        return True
    if torn and min(sum(map(bool, left)), sum(map(bool, right))) >= _MIN_COLUMN_LINES:
        marks.doubts.add("doubtful_columns")
    return False


def _has_sentences(cells: list[str]) -> bool:
    filled = [len(cell.split()) for cell in cells if cell]
    return sum(filled) >= _MIN_WORDS * len(filled)


def _goes_on(above: str, below: str) -> bool:
    return bool(above and below) and below[0].islower() and above[-1] not in ".:;"
