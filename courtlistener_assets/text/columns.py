"""Columns of plain text: captions and pages set in two columns -> one column, the left before the right.

Belongs here: finding the gutter between two columns of consecutive lines. Does not belong here: tables with short
cells, whose rows must stay together (`plain.py` keeps them line by line).
"""

from __future__ import annotations

import re

from courtlistener_assets.text.furniture import PAGE_BREAK
from courtlistener_assets.text.marks import Marks, visible

# What is rare comes first, since that is what a search is fast by; then what must stand before it.
_GAP = re.compile(r"   (?<=\S   ) *(?=\S)")
_BORDERED = re.compile(r"[):|§*](?<!\S.)[):|§*]*(?=\s|$)")
_BORDER = ")(:|§*"
_MIN_CAPTION_LINES = 4
_MIN_COLUMN_LINES = 8
_MIN_WORDS = 3.0


def in_reading_order(lines: list[str], marks: Marks) -> list[str]:
    """Return the lines with every two-column region replaced by its left column, a blank line, its right column."""
    result: list[str] = []
    start = 0
    while start < len(lines):
        if "  " not in lines[start] and lines[start][:1] not in _BORDER:
            result.append(lines[start])
            start += 1
            continue
        end = start
        while end < len(lines) and _may_be_columns(lines[end], started=end > start):
            end += 1
        region = lines[start:end]
        result += _split(region, marks) if len(region) >= _MIN_CAPTION_LINES else region
        if end == start:
            result.append(lines[start])
            end += 1
        start = end
    return result


def _may_be_columns(line: str, *, started: bool) -> bool:
    if not visible(line).strip() or line.startswith(PAGE_BREAK):
        return False
    if "  " not in line and line[0] not in _BORDER:
        return started
    return started or bool(_GAP.search(line) or _BORDERED.search(line))


def _split(region: list[str], marks: Marks) -> list[str]:
    border = _border_column(region)
    if border is not None:
        rows = [_at_border(line, border, marks) for line in region]
    else:
        gutter = _gutter(region) if len(region) >= _MIN_COLUMN_LINES else None
        if gutter is None:
            return region
        rows = [(line[:gutter].rstrip(), line[gutter:].strip()) for line in region]
    return ["", *(left for left, _ in rows), "", *(right for _, right in rows), ""]


def _border_column(region: list[str]) -> int | None:
    """The column in which nearly all lines have a border character with space around it, as captions of courts do."""
    counts: dict[int, int] = {}
    for line in region:
        for match in _BORDERED.finditer(line):
            if match.start() >= len(line) - len(line.lstrip()) or not line.strip():
                counts[match.start()] = counts.get(match.start(), 0) + 1
    column, count = max(counts.items(), key=lambda item: item[1], default=(0, 0))
    return column if count >= _MIN_CAPTION_LINES and count >= 0.8 * len(region) else None


def _at_border(line: str, column: int, marks: Marks) -> tuple[str, str]:
    right = line[column:].lstrip()
    border = right[: len(right) - len(right.lstrip(_BORDER))] if line[column : column + 1] in tuple(_BORDER) else ""
    mark = marks.mark("rule", border) if border else ""
    return line[:column].rstrip() + mark, right[len(border) :].strip()


def _gutter(region: list[str]) -> int | None:
    """The column before which all lines have white space, if there are words enough on both sides for prose."""
    width = max(map(len, region))
    blank = [all(line[column : column + 1] in ("", " ") for line in region) for column in range(width)]
    for column in sorted(range(width // 4, width * 3 // 4), key=lambda column: abs(column - width // 2)):
        if blank[column - 1] and blank[column] and not blank[column + 1]:
            left = [line[:column].split() for line in region]
            right = [line[column:].split() for line in region]
            if _prose(left) and _prose(right):
                return column
    return None


def _prose(cells: list[list[str]]) -> bool:
    filled = [len(words) for words in cells if words]
    return len(filled) >= 0.7 * len(cells) and sum(filled) >= _MIN_WORDS * len(filled)
