"""Page furniture of plain text: running heads, feet, watermarks, stamps and page numbers -> page breaks.

Belongs here: what becomes of lines that the page needs and the text does not, and which kind of line helps to find the
next. Does not belong here: how each kind is told (`stamps.py`, `page_numbers.py`, `running_heads.py`), how the
remaining lines make paragraphs (`plain.py`).

A furniture line is replaced by a page break line (a form feed and the marks that it holds), so that the sentence that
the page interrupted can be joined again.
"""

from __future__ import annotations

from bisect import bisect

from courtlistener_assets.text.last_foot import last_feet
from courtlistener_assets.text.marks import MARK_TOKEN, Kind, Marks
from courtlistener_assets.text.page_lines import PAGE_BREAK, WATERMARK, PageLines
from courtlistener_assets.text.page_numbers import numbers_in, page_numbers
from courtlistener_assets.text.running_heads import heads_at_edges, heads_between, heads_inside, repeated_lines
from courtlistener_assets.text.stamps import is_piece, stamps


def without_furniture(page: PageLines, marks: Marks) -> PageLines:
    """Replace running heads, feet, watermarks, stamps and page numbers by page break lines that hold them as marks."""
    found = _furniture(page, marks)
    breaks: dict[int, str] = {}
    for index, kind in found.items():
        middle = kind == "running_head" and _is_watermark(page, index, found)
        kept = "".join(MARK_TOKEN.findall(page.lines[index]))
        breaks[index] = PAGE_BREAK + WATERMARK * middle + kept + marks.mark(kind, page.bare[index])
    return page.with_breaks(breaks)


def _furniture(page: PageLines, marks: Marks) -> dict[int, Kind]:
    stamped = stamps(page)
    groups = [group for group in repeated_lines(page) if not stamped.issuperset(group)]
    numbers = numbers_in(page)
    maybe = stamped.union(*groups, (number.place for number in numbers))
    heads = heads_inside(page, groups, maybe)
    counted = page_numbers(page, numbers, maybe)
    feet = last_feet(page, numbers, stamped, counted)
    counted |= feet.intersection(number.place for number in numbers)
    heads |= feet - counted
    heads |= heads_at_edges(page, groups, stamped | heads | counted)
    heads |= heads_between(page, stamped | heads | counted, {number.place for number in numbers})
    sure = stamped | heads | counted
    if sure or page.breaks:
        counted |= {number.place for number in numbers if not number.roman and _is_at_edge(page, number.place, sure)}
    taken = counted | stamped | heads
    if any(number.place not in taken and page.interrupts(number.place, sure) for number in numbers):
        marks.doubts.add("doubtful_page_numbers")
    kinds: dict[int, Kind] = {index: "stamp" if is_piece(page.bare[index]) else "running_head" for index in heads}
    kinds |= dict.fromkeys(counted, "page_number")
    return kinds | dict.fromkeys(stamped, "stamp")


def _is_watermark(page: PageLines, index: int, found: dict[int, Kind]) -> bool:
    """Whether a head has no number and stands between two lines of text."""
    return not _is_at_edge(page, index, found) and not any(map(str.isdigit, page.bare[index]))


def _is_at_edge(page: PageLines, index: int, furniture: set[int] | dict[int, Kind]) -> bool:
    """Whether the nearest line with text above or below is furniture too, or there is none."""
    rank = page.ranks[index]
    for step in (-1, 1):
        other = rank + step
        if not 0 <= other < len(page.seen) or page.seen[other] in furniture:
            return True
        place = page.seen[other]
        if bisect(page.breaks, max(index, place)) > bisect(page.breaks, min(index, place)):
            return True
    return False
