"""The foot of the last page: its number and the title of the filing beside it, below which the document ends.

Belongs here: telling such a foot by its place and its words, and the feet of earlier pages by this one. Does not belong
here: numbers and heads that a document has on so many pages that they tell themselves (`page_numbers.py`,
`running_heads.py`).

A filing of one page has each foot once, so that nothing repeats and nothing counts up.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Final

from courtlistener_assets.text.marks import MARK
from courtlistener_assets.text.page_lines import PageLines
from courtlistener_assets.text.page_numbers import PAGE_LINES, Number, is_centred, middle

#: A title, and the number of the page in the same line.
_NAMED: Final = re.compile(
    r".*\S(?:\s{3,}|\s*[-\u2013—|]\s*)(?:[Pp]age|PAGE|[Pp]g\.?)\s*(\d{1,3})(?:\s*(?:of|/)\s*\d{1,3})?"
)
#: The foot of a page of the web that a browser has printed.
_ADDRESS: Final = re.compile(r"https?://\S+\s+(\d{1,3})/\d{1,3}")
_BESIDE: Final = re.compile(r"(.*\S)(?:\s{3,}|\s[-\u2013—]\s)(\d{1,3})")
#: What filings are called. Names and places, as under a signature, are no titles.
_TITLE: Final = re.compile(
    r"\b(?:affidavit|answer|appeal|application|brief|certification|complaint|declaration|injunction|judgment"
    r"|memorandum|minutes|motion|notice|objections?|opposition|order|petition|plan|reply|request|response|statement"
    r"|stipulation|summons|counterclaims?)\b",
    re.IGNORECASE,
)
_CASE: Final = re.compile(
    r"(?:(?:Civil |Criminal )?(?:Case|Action|Docket) )?(?:No\.:? )?(?:\d{1,2}:)?\d\d-(?:[a-z]{2}-)?\d{3,5}\b.*",
    re.IGNORECASE,
)
_TEXT_ENDS: Final = (".", ",", ";", ":", "?", "-")
_LONGEST: Final = 120
_MOST_TITLES: Final = 3
_MOST_PAGES: Final = 999
_SHIFT: Final = 4
_MAX_SMALL: Final = 0.4
_SHORT_WORD: Final = 3
_DIGITS: Final = re.compile(r"\d+")


def last_feet(page: PageLines, numbers: list[Number], stamped: Collection[int], counted: Collection[int]) -> set[int]:
    """The lines of the last page's foot, and of those of earlier pages that are like it but for their numbers.

    `counted` are known to be numbers of pages.
    """
    foot = _foot(page, numbers, stamped)
    if not foot or (len(foot) == 1 and foot[0] in counted):
        return set()
    found = set(foot)
    found.update(*_copies(page, foot))
    return found


def _foot(page: PageLines, numbers: list[Number], stamped: Collection[int]) -> list[int]:
    """The lines of the last foot, that with the number first."""
    counted = {number.place for number in numbers[-_MOST_TITLES:] if not number.roman and number.value <= _MOST_PAGES}
    below: list[int] = []
    tail = [index for index in page.seen[-2 * _MOST_TITLES :] if index not in stamped]
    while tail:
        index = tail.pop()
        alone = index in counted
        above = _titles_above(page, index, tail)
        named = not below and _has_number(page, index, above)
        if named or (
            alone and not counted.intersection(tail[-1:]) and (is_centred(page, index) or _is_set_apart(page, index))
        ):
            return [index, *below, *above]
        if alone or len(below) == _MOST_TITLES or not _is_title(page.bare[index]):
            return []
        below.append(index)
    return []


def _titles_above(page: PageLines, index: int, tail: list[int]) -> list[int]:
    """The titles right above a line, if an empty line parts them from the text."""
    above: list[int] = []
    for place in reversed(tail[-_MOST_TITLES:]):
        if not _is_title(page.bare[place]):
            break
        above.append(place)
    return above if above and _is_set_apart(page, above[-1]) else []


def _has_number(page: PageLines, index: int, above: list[int]) -> bool:
    """Whether a line ends with the number of its page, behind a title or as such."""
    line = page.bare[index]
    if len(line) > _LONGEST or not (above or _is_set_apart(page, index)):
        return False
    beside = _BESIDE.fullmatch(line)
    return bool(_NAMED.fullmatch(line) or _ADDRESS.fullmatch(line) or (beside and _is_title(beside[1])))


def _is_title(line: str) -> bool:
    """Whether a line is the title of a filing or the number of a case, and no sentence about them."""
    if len(line) > _LONGEST or line.endswith(_TEXT_ENDS):
        return False
    if _CASE.fullmatch(line):
        return True
    words = [word for word in line.split() if len(word) > _SHORT_WORD]
    small = sum([word[0].islower() for word in words])
    return small <= _MAX_SMALL * len(words) and bool(_TITLE.search(line))


def _is_set_apart(page: PageLines, index: int) -> bool:
    """Whether the line above is empty, or is one of numbered paper while this one is not."""
    return index > 0 and (not page.bare[index - 1] or (MARK in page.lines[index - 1] and MARK not in page.lines[index]))


def _copies(page: PageLines, foot: list[int]) -> Iterator[list[int]]:
    """The feet of earlier pages, from the last to the first."""
    ranks = [page.ranks[index] for index in foot]
    shapes = [_shape(page, rank) for rank in ranks]
    value, place = _value(page, ranks[0]), ranks[0]
    for rank in reversed(page.numbered):
        if place - rank < PAGE_LINES[0] or _shape(page, rank) != shapes[0] or _value(page, rank) != value - 1:
            continue
        if place - rank > PAGE_LINES[1] or abs(middle(page, page.seen[rank]) - middle(page, foot[0])) > _SHIFT:
            return
        others = [rank + other - ranks[0] for other in ranks]
        if min(others) < 0 or [_shape(page, other) for other in others] != shapes:
            return
        value, place = value - 1, rank
        yield [page.seen[other] for other in others]


def _shape(page: PageLines, rank: int) -> str:
    return " ".join(_DIGITS.sub("#", page.texts[rank]).split())


def _value(page: PageLines, rank: int) -> int:
    """The number of the page in the line that has it: the only one, or that behind the title."""
    line = page.texts[rank]
    match = _NAMED.fullmatch(line) or _ADDRESS.fullmatch(line)
    numbers = [match[1]] if match else _DIGITS.findall(line)
    return int(numbers[-1]) if numbers else 0
