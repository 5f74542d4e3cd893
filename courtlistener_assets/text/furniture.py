"""Page furniture of plain text: running heads, feet, watermarks, page numbers, the line numbers of pleading paper.

Belongs here: recognising lines that the page needs and the text does not. Does not belong here: how the remaining
lines make paragraphs (`plain.py`).

A furniture line is replaced by a page break line (a form feed and the marks that it holds), so that the sentence that
the page interrupted can be joined again.
"""

from __future__ import annotations

import bisect
import re
from collections import defaultdict
from itertools import pairwise

from courtlistener_assets.text.marks import MARK_TOKEN, Kind, Marks, visible

PAGE_BREAK = "\f"
#: Follows PAGE_BREAK for a line that stands in the middle of a page, so that its text goes on beneath.
WATERMARK = "\x1c"

_DIGITS = re.compile(r"\d\d*")  # searched for twice as fast as one or more
_NUMBER_LINE = re.compile(
    r"[-\u2013—\[(|~]*\s*(?:page|p\.|pg\.?)?\s*(\d{1,4})\s*(?:of\s*\d{1,4})?\s*[-\u2013—\])|~]*", re.IGNORECASE
)
_NAMED_PAGE = re.compile(r"(?:-\s*)?page\s+\d{1,4}(?:\s+of\s+\d{1,4})?(?:\s*-)?", re.IGNORECASE)
_CM_ECF = re.compile(
    r"(?:Case|USCA\d* Case|USCA\d*|Appellate Case:?)\s*#?:?\s*[\w:.\-()]+\s"
    r".*(?:Document|Doc\.?|ECF|DktEntry|Filed|Page).*",
    re.IGNORECASE,
)
#: A running head that counts the pages: the number first, or last after a wide space.
_COUNTING = re.compile(r"(\d{1,5})\s+[^\d\s.)].*|.*\S\s{3,}(\d{1,5})")
_PLEADING = re.compile(r"(\s{0,6}(\d{1,2}))(?=\s{2}|\s?$)")

_LINES_A_PAGE = 55
_MIN_REPEATS = 3
_MIN_LETTERS = 4
_MIN_GAP_LINES = 12
_MAX_CLOSE_SHARE = 0.2
_MIN_SHARE_OF_PAGES = 0.3
_MAX_LENGTH = 130
_MAX_NUMBER_LENGTH = 24
_MIN_SHARE_AT_EDGES = 0.6
_EDGE_LINES = 3
_PLEADING_RUN = 20
_MIN_SERIES_GAPS = 4


def without_line_numbers(lines: list[str], marks: Marks) -> list[str]:
    """Move the numbers 1, 2, 3 ... 28 in the margin of pleading paper to marks, where they run for most of a page."""
    numbers = [(match, int(match[2])) if (match := _PLEADING.match(line)) else None for line in lines]
    result = list(lines)
    run: list[int] = []
    for index, found in enumerate([*numbers, None]):
        if found is None and index < len(lines) and not lines[index].strip():
            continue
        previous = numbers[run[-1]] if run else None
        if found and (previous is None or found[1] == previous[1] + 1):
            run.append(index)
            continue
        if len(run) >= _PLEADING_RUN:
            _move_numbers(run, result, marks)
        run = [index] if found else []
    return result


def _move_numbers(run: list[int], lines: list[str], marks: Marks) -> None:
    for index in run:
        match = _PLEADING.match(lines[index])
        if match:
            mark = marks.mark("line_number", match[2])
            lines[index] = mark + " " * len(match[1]) + lines[index][match.end() :]


def without_furniture(lines: list[str], marks: Marks) -> list[str]:
    """Replace running heads, feet, watermarks and page numbers by page break lines that hold them as marks."""
    heads = _running_heads(lines)
    numbers = _page_numbers(lines, heads)
    if not heads and not numbers:
        return lines
    result = []
    for index, line in enumerate(lines):
        if index in heads or index in numbers:
            kept = "".join(MARK_TOKEN.findall(line))
            kind: Kind = "running_head" if index in heads else "page_number"
            middle = index in heads and not any(map(str.isdigit, line)) and not _at_edge(lines, index, heads | numbers)
            line = PAGE_BREAK + WATERMARK * middle + kept + marks.mark(kind, visible(line).strip())
        result.append(line)
    return result


def _running_heads(lines: list[str]) -> set[int]:
    alike: dict[str, list[int]] = defaultdict(list)
    heads: set[int] = set()
    for index, line in enumerate(lines):
        bare = visible(line).strip()
        if not bare or len(bare) > _MAX_LENGTH or line.startswith(PAGE_BREAK):
            continue
        if bare[-1].isdigit() and _CM_ECF.fullmatch(bare):
            heads.add(index)
        else:
            alike[" ".join(_DIGITS.sub("#", bare).split())].append(index)
    repeated = [
        indices for line, indices in alike.items() if len(indices) > 1 and sum(map(str.isalpha, line)) >= _MIN_LETTERS
    ]
    for indices in repeated:
        if len(indices) >= _MIN_REPEATS and (_count_pages(lines, indices) or _are_watermarks(lines, indices)):
            heads.update(indices)
    edges = _Edges(lines, heads | _series(_number_lines(lines)))
    for indices in repeated:
        if _is_once_a_page(indices) and sum(map(edges.near, indices)) >= _MIN_SHARE_AT_EDGES * len(indices):
            heads.update(indices)
    return heads


class _Edges:
    """Where pages begin and end: form feeds, heads that count the pages, page numbers."""

    def __init__(self, lines: list[str], furniture: set[int]) -> None:
        seen = [index for index, line in enumerate(lines) if visible(line).strip(" \t")]
        self.places = {index: place for place, index in enumerate(seen)}
        marked = [index for index in seen if index in furniture or lines[index].startswith(PAGE_BREAK)]
        self.edges = [-1, *(self.places[index] for index in marked), len(seen)] if marked else []

    def near(self, index: int) -> bool:
        """Whether at most two lines with text stand between the line and an edge. A single page has none."""
        if not self.edges:
            return False
        place = self.places[index]
        after = bisect.bisect_left(self.edges, place)
        return min(abs(edge - place) for edge in self.edges[max(0, after - 1) : after + 1]) <= _EDGE_LINES


def _count_pages(lines: list[str], indices: list[int]) -> bool:
    """Whether lines that differ in numbers only, about a page apart, begin or end with a number that grows."""
    numbers = [
        match[1] or match[2] for index in indices if (match := _COUNTING.fullmatch(visible(lines[index]).strip()))
    ]
    growing = all(int(before) < int(after) for before, after in pairwise(numbers))
    return len(numbers) == len(indices) and growing and _is_once_a_page(indices)


def _are_watermarks(lines: list[str], indices: list[int]) -> bool:
    """Whether lines come once a page and mostly in the middle of a sentence that continues below."""
    inside = 0
    for index in indices:
        above = next((line for line in reversed(lines[max(0, index - 3) : index]) if line.strip()), "")
        below = next((line for line in lines[index + 1 : index + 4] if line.strip()), "")
        inside += below.strip()[:1].islower() and above.rstrip()[-1:] not in ".?!:;"
    capital = lines[indices[0]].strip()[:1].isupper()
    return capital and inside * 2 >= len(indices) and _is_once_a_page(indices)


def _is_once_a_page(indices: list[int]) -> bool:
    """Whether lines are seldom close together, and on a good share of the pages that they span."""
    gaps = [after - before for before, after in pairwise(indices)]
    pages = (indices[-1] - indices[0]) / _LINES_A_PAGE
    seldom_close = sum(gap < _MIN_GAP_LINES for gap in gaps) <= _MAX_CLOSE_SHARE * len(gaps)
    return seldom_close and len(gaps) >= _MIN_SHARE_OF_PAGES * pages


def _page_numbers(lines: list[str], heads: set[int]) -> set[int]:
    """Lines with nothing but a page number: next to a page's edge, or in a long series that counts the pages."""
    found = _number_lines(lines)
    numbers = _series(found)
    for index, _ in found:
        bare = visible(lines[index]).strip()
        if _NAMED_PAGE.fullmatch(bare) or bare[0] in "-\u2013—~" or _at_edge(lines, index, heads):
            numbers.add(index)
    return numbers


def _number_lines(lines: list[str]) -> list[tuple[int, int]]:
    """The lines with nothing but a number, which may be a page's, and the number."""
    bare = ((index, visible(line).strip()) for index, line in enumerate(lines))
    matches = ((index, _NUMBER_LINE.fullmatch(line)) for index, line in bare if 0 < len(line) < _MAX_NUMBER_LENGTH)
    return [(index, int(match[1])) for index, match in matches if match]


def _at_edge(lines: list[str], index: int, heads: set[int]) -> bool:
    """Whether the nearest line with text above or below is furniture too, or there is none."""
    for step in (-1, 1):
        other = index + step
        while 0 <= other < len(lines) and not visible(lines[other]).strip(" \t"):
            other += step
        if not 0 <= other < len(lines) or other in heads or lines[other].startswith(PAGE_BREAK):
            return True
    return False


def _series(found: list[tuple[int, int]]) -> set[int]:
    """The members of series n, n + 1, n + 2 ... whose lines are a page apart, as numbered notes or sections are not."""
    result: set[int] = set()
    run: list[tuple[int, int]] = []
    for index, number in [*found, (-1, -1)]:
        if run and number == run[-1][1] + 1 and _MIN_GAP_LINES < index - run[-1][0] < 2.5 * _LINES_A_PAGE:
            run.append((index, number))
            continue
        gaps = [after - before for (before, _), (after, _) in pairwise(run)]
        if len(gaps) >= _MIN_SERIES_GAPS and max(gaps) < 1.7 * min(gaps):
            result.update(place for place, _ in run)
        run = [(index, number)]
    return result
