"""Continued footnotes: where a note goes on at the foot of the next page, which has no label there.

Belongs here: the spacing and the type of the lines, and the sentences that go on across them. Does not belong here:
notes with a label (`notes.py`).
"""

from __future__ import annotations

import sys
from itertools import accumulate, pairwise
from typing import Final

from courtlistener_assets.text.page_feet import MOST_LINES, PAGE_GAP, SPACED_LINES, PageFeet, is_end
from courtlistener_assets.text.wording import abbreviation

_FEW_GAPS: Final = 0.25
#: More characters in a line of a footnote than in one of the text.
_SMALLER: Final = 3
#: No type is so small that a line has so many times the characters: words at its end were joined.
_SMALLEST: Final = 1.3
_MIN_SPACED: Final = 0.7


def rest_of_note(feet: PageFeet, start: int, end: int) -> int:
    """Where an unfinished footnote goes on: single-spaced lines at the foot of a page, below a gap."""
    seen = feet.seen(max(start, end - MOST_LINES), end)
    gaps = [(below - above - 1, below) for above, below in pairwise(seen)]
    begin = next((place for gap, place in reversed(gaps) if gap >= PAGE_GAP and place not in feet.labels), end)
    body = [gap for gap, place in gaps if place < begin]
    label = next((place for _, place in gaps if place > begin and place in feet.labels), end)
    foot = [gap and feet.has_empty(place) for gap, place in gaps if begin < place < label]
    spaced = len(body) >= SPACED_LINES and sum(map(bool, body)) >= _MIN_SPACED * len(body)
    if spaced:
        return end if sum(map(bool, foot)) > _FEW_GAPS * len(foot) else begin
    return _rest_in_sentence(feet, seen, end)


def _rest_in_sentence(feet: PageFeet, seen: list[int], end: int) -> int:
    """Where an unfinished footnote goes on below the gap of a single-spaced page, in the middle of a sentence."""
    gaps = [(above, place) for above, place in pairwise(seen) if place - above > 1]
    if len(gaps) > _FEW_GAPS * len(seen):
        return end
    for above, place in reversed(gaps):
        opens = feet.bare[place][:1].islower() or not is_end(feet.lines[above])
        if opens and place not in feet.labels and feet.indent(place) <= feet.margin + 1:
            return place
    return end


def inside_sentence(feet: PageFeet, start: int, end: int, *, unfinished: bool) -> int:
    """Where a footnote goes on in the middle of a sentence of the text, which ends on the next page.

    The foot of the page ends with a full stop, and yet the next page begins with a small letter. `unfinished` says
    whether the last note is.
    """
    if not feet.below(end)[:1].islower():
        return end
    seen = feet.seen(max(start, end - MOST_LINES), end)
    last = feet.bare[seen[-1]] if len(seen) >= SPACED_LINES else ""
    if not is_end(last) or abbreviation(last):
        return end
    rank = _below_gap(feet, seen, unfinished=unfinished) or _in_smaller_type(feet, seen)
    return seen[rank] if rank else end


def _below_gap(feet: PageFeet, seen: list[int], *, unfinished: bool) -> int:
    """The rank of the line below the last gap of a page, 0 if that parts paragraphs or lines of the text."""
    gaps = [rank for rank in range(1, len(seen)) if seen[rank] - seen[rank - 1] > 1]
    if not gaps:
        return 0
    rank = gaps[-1]
    if 2 * rank < len(seen):
        return 0
    above, place = seen[rank - 1 : rank + 1]
    many = len(gaps) > _FEW_GAPS * len(seen)
    sure = (place - above > PAGE_GAP and rank < len(seen) - 1) if many else unfinished
    return rank if sure and (feet.bare[place][0].islower() or not is_end(feet.lines[above])) else 0


def _in_smaller_type(feet: PageFeet, seen: list[int]) -> int:
    """The rank of the first line from which on all, but for the last, have more characters than any above; or 0."""
    widths = [len(feet.bare[index]) for index in seen]
    widest = [*accumulate(widths, max)]
    least = sys.maxsize
    for rank in range(len(seen) - 2, len(seen) // 4, -1):
        least = min(least, widths[rank])
        if least >= widest[rank - 1] + _SMALLER and not is_end(feet.lines[seen[rank - 1]]):
            return rank if widest[-1] <= _SMALLEST * widest[rank - 1] else 0
    return 0
