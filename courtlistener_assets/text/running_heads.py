"""Running heads, feet and watermarks: lines that come again on the pages of a document.

Belongs here: telling them from text that is repeated on purpose. Does not belong here: lines with nothing but a number
(`page_numbers.py`), the stamps of courts (`stamps.py`).

A repeated line is a head if it counts the pages, if it stands at their edges, or if sentences go on across it.
"""

from __future__ import annotations

import bisect
import math
import re
from collections.abc import Collection
from itertools import pairwise
from typing import Final

from courtlistener_assets.text.line_scans import repeated
from courtlistener_assets.text.page_lines import PageLines
from courtlistener_assets.text.page_scans import alike, is_in_capitals

#: A running head that counts the pages: the number first, or last after a wide space or the word "page".
_COUNTING: Final = re.compile(
    r"(\d{1,5})\s+[^\d\s.)].*|.*\S\s{3,}(\d{1,5})(?:/\d{1,5})?|(?:Cite as|Page)\b.*[\s)](\d{1,5})"
    r"|.*\S\s+(?:[-\u2013—|]\s*)?[Pp]age\s(\d{1,4})(?:\sof\s\d{1,4})?"
)

_LINES_A_PAGE: Final = 50
_MIN_GAP: Final = 8
_MIN_GAP_LINES: Final = 13
_MIN_REPEATS: Final = 3
_MIN_LETTERS: Final = 2
_LONGEST: Final = 190
_LONGEST_TITLE: Final = 60
_MAX_CLOSE_SHARE: Final = 0.2
_MIN_SHARE_OF_PAGES: Final = 0.3
_MIN_SHARE_AT_EDGES: Final = 0.6
_MIN_SHARE_INSIDE: Final = 0.25
#: Each opinion of several in a document may begin with page 1.
_MIN_SHARE_GROWING: Final = 0.75
_EDGE_LINES: Final = 3
_ROUNDS: Final = 10
_MANY_PAGES: Final = 6
#: Pages that have more lines in common are copies of a form.
_MOST_HEADS: Final = 12
_SHORT_WORD: Final = 3
_MIN_CAPITALS: Final = 0.3
_MIN_CAPITAL_LETTERS: Final = 8
#: A head that comes on two pages only must not end like text.
_TEXT_ENDS: Final = (".", ",", ";", ":")


def repeated_lines(page: PageLines) -> list[list[int]]:
    """The places of lines that come again, seldom close together. Numbers may differ if one is at an end."""
    keys = list(page.texts)
    for place, key in zip(page.numbered, alike([keys[place] for place in page.numbered]), strict=True):
        keys[place] = key
    places = [[page.seen[rank] for rank in group] for group in repeated(keys) if _can_be_head(keys[group[0]])]
    return [indices for indices in places if _is_once_a_page(page, indices)]


def _can_be_head(key: str) -> bool:
    return len(key) <= _LONGEST and _is_title(key) and sum(map(str.isalpha, key)) >= _MIN_LETTERS


def _is_title(line: str) -> bool:
    """Whether a good part of the longer words begin with a capital, as few lines of a sentence do."""
    words = [word.lstrip('("\u201c') for word in line.split() if len(word) > _SHORT_WORD]
    return sum(not word[:1].islower() for word in words) >= _MIN_CAPITALS * len(words)


def _is_once_a_page(page: PageLines, indices: list[int]) -> bool:
    """Whether lines are seldom close together, and on a good share of the pages that they span."""
    ranks = [page.ranks[index] for index in indices]
    gaps = list(pairwise(ranks))
    close = sum(
        after - before < _MIN_GAP and page.seen[after] - page.seen[before] < _MIN_GAP_LINES for before, after in gaps
    )
    seldom_close = close <= _MAX_CLOSE_SHARE * len(gaps) or (close == 1 and len(gaps) >= _MIN_REPEATS)
    on_pages = {bisect.bisect(page.breaks, index) for index in indices}
    twice = len(indices) - len(on_pages)
    if page.breaks and twice > _MAX_CLOSE_SHARE * len(indices) and (twice > 1 or len(indices) <= _MIN_REPEATS):
        return False
    breaks = bisect.bisect(page.breaks, indices[-1]) - bisect.bisect(page.breaks, indices[0])
    pages = min((ranks[-1] - ranks[0]) / _LINES_A_PAGE, max(breaks, 1) if page.breaks else math.inf)
    return seldom_close and len(gaps) >= _MIN_SHARE_OF_PAGES * pages


def heads_inside(page: PageLines, groups: list[list[int]], others: Collection[int]) -> set[int]:
    """Of repeated lines, those that are on every page, count the pages or stand inside sentences.

    `others` may be furniture, too.
    """
    found: set[int] = set()
    everywhere = [indices for indices in groups if _is_on_every_page(page, indices)]
    if len(everywhere) <= _MOST_HEADS:
        found.update(*everywhere)
    for indices in groups:
        if len(indices) >= _MIN_REPEATS and _count_pages(page, indices):
            found.update(indices)
            continue
        if len({page.bare[index] for index in indices}) > 1:
            continue
        inside = [page.interrupts(index, others) for index in indices]
        if sum(inside) > 1 and sum(inside) >= _MIN_SHARE_INSIDE * len(indices):
            first = page.ranks[indices[0]] == 0 or inside[0]
            found.update(indices if first else indices[1:])
    return found


def _is_on_every_page(page: PageLines, indices: list[int]) -> bool:
    pages = {bisect.bisect(page.breaks, index) for index in indices}
    return len(indices) >= max(_MANY_PAGES, 0.8 * len(page.breaks)) and len(pages) == len(indices)


def _count_pages(page: PageLines, indices: list[int]) -> bool:
    """Whether lines that differ in numbers only begin or end with a number that grows; none leads to a quotation."""
    if page.bare[indices[0]].endswith(":"):
        return False
    numbers: list[int] = []
    for index in indices:
        line = page.bare[index]
        match = _COUNTING.fullmatch(line) if line[0].isdigit() or line[-1].isdigit() else None
        if not match:
            return False
        numbers.append(int(match[match.lastindex or 0]))
    growing = sum(before < after for before, after in pairwise(numbers))
    return growing >= _MIN_SHARE_GROWING * (len(numbers) - 1)


def heads_at_edges(page: PageLines, groups: list[list[int]], furniture: set[int]) -> set[int]:
    """Of repeated lines, those that mostly stand beside a page break or beside other furniture."""
    found: set[int] = set()
    for _ in range(_ROUNDS):
        edges = _Edges(page, furniture | found)
        new = {
            index
            for indices in groups
            if edges.hold(indices)
            for index in edges.of_pages(indices)
            if index not in found
        }
        if not new:
            break
        found |= new
    return found


def heads_between(page: PageLines, furniture: Collection[int], others: Collection[int]) -> set[int]:
    """One or two titles that stand between other furniture and the text, in the middle of a sentence.

    Such a head names what only a few pages are part of: `Roe, J., concurring`. `others` may be furniture, too.
    """
    found: set[int] = set()
    ranks = {page.ranks[index] for index in furniture}
    known = {*furniture, *others}
    counting = {page.ranks[index] for index in _counting_lines(page)} - ranks
    for first in ({rank + 1 for rank in ranks} - ranks) | counting:
        for last in (first, first + 1):
            if not (_is_above_text(page, last) or first in counting):
                continue
            lines = page.seen[first : last + 1]
            if not all(_is_head_line(page.bare[index]) for index in lines):
                break
            if _interrupt(page, lines, known):
                found.update(lines)
    return found


def _counting_lines(page: PageLines) -> list[int]:
    """Lines with a number at an end and the rest in capitals, as the name of a case on one of its pages."""
    return [
        page.seen[rank]
        for rank in page.numbered
        if is_in_capitals(line := page.texts[rank], _MIN_CAPITAL_LETTERS) and _COUNTING.fullmatch(line)
    ]


def _is_head_line(line: str) -> bool:
    return len(line) <= _LONGEST_TITLE and not line[0].islower() and _is_title(line)


def _interrupt(page: PageLines, lines: list[int], known: set[int]) -> bool:
    """Whether a sentence goes on across lines and those beside them that may be furniture."""
    more = set(lines) - known
    known |= more
    interrupts = page.interrupts(lines[-1], known)
    known -= more
    return interrupts


def _is_above_text(page: PageLines, rank: int) -> bool:
    """Whether a blank line stands below a line, and none in the text below that."""
    below = page.seen[rank : rank + 3]
    return len(below) > 2 and below[1] - below[0] > 1 == below[2] - below[1]


class _Edges:
    """Where pages begin and end, in ranks."""

    def __init__(self, page: PageLines, furniture: Collection[int]) -> None:
        self.page = page
        # All of one type: that is sorted faster.
        ranks = {float(page.ranks[index]) for index in furniture if page.bare[index]}
        #: A page break stands between two ranks.
        ends = [bisect.bisect_left(page.seen, index) - 0.5 for index in page.breaks]
        self.edges = sorted([*ranks, *ends])
        if self.edges:
            self.edges = [-0.5, *self.edges, len(page.seen) - 0.5]

    def hold(self, indices: list[int]) -> bool:
        """Whether most of the lines stand at edges. Two alike can be text, unless nothing parts them from the edges."""
        if not self.edges:
            return False
        if len(indices) < _MIN_REPEATS:
            text = self.page.bare[indices[0]].endswith(_TEXT_ENDS)
            return not text and all(self._distance(index) <= 1 for index in indices)
        return sum(map(self._is_near, indices)) >= _MIN_SHARE_AT_EDGES * len(indices)

    def of_pages(self, indices: list[int]) -> list[int]:
        """The lines of a head without the title that it repeats, which stands in the middle of the first page."""
        first = self.page.ranks[indices[0]]
        titled = 0 < first <= _EDGE_LINES and not any(0 <= edge <= first + _EDGE_LINES for edge in self.edges)
        return indices[1:] if titled or not self._is_near(indices[0]) else indices

    def _is_near(self, index: int) -> bool:
        """Whether at most two lines with text stand between the line and an edge."""
        return self._distance(index) <= _EDGE_LINES

    def _distance(self, index: int) -> float:
        rank = self.page.ranks[index]
        after = bisect.bisect_left(self.edges, rank)
        if after == len(self.edges):
            return rank - self.edges[-1]
        below = self.edges[after] - rank
        return min(below, rank - self.edges[after - 1]) if after else below
