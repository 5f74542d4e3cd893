"""Pages: which page of the printed original a place of a clean text is on.

Belongs here: reading the labels of pages from what the cleaner took out of the text, and deciding whether they stand
at the head or at the foot. Does not belong here: taking them out (`text/`), footnotes' own places (`footnotes.py`).

A star page names the page that begins at it. A printed number or a court's stamp names the page that it stands on, and
whether that is the text before it or after it shows in where the text begins and ends.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise, zip_longest
from statistics import median
from typing import NamedTuple

from courtlistener_assets.chunks.footnotes import Footnotes
from courtlistener_assets.text.cleaning import CleanText
from courtlistener_assets.text.marks import Mark

_NUMBER = r"(?:\d{1,3}(?:,\d{3})+|\d{1,7}|[ivxlc]{1,8})"
_STAR = re.compile(rf"({_NUMBER})\W*$", re.IGNORECASE)
_PRINTED = re.compile(rf"(?:page|pg?\.?)?\W*({_NUMBER})(?:\s*of\s*\d{{1,5}})?\W*$", re.IGNORECASE)
#: A head with a number at the outer edge: `12   MORSE v. FREDERICK`, `Cite as: 551 U. S. ____ (2007)     7`.
_HEAD = re.compile(r"\s*(\d{1,4})\s{2,}\S|.*\S\s{2,}(\d{1,4})\s*$")
_STAMPED = re.compile(r"\bP(?:age|g)[.:#]?\s*(\d{1,5})\b|\b(\d{1,5})\s+of\s+\d{1,5}\s*$", re.IGNORECASE)
_ROMAN = {"i": 1, "v": 5, "x": 10, "l": 50, "c": 100}
#: Pages so much longer than most are several, of which one is named.
_ONE_PAGE = 1.6
#: Characters of a page if only one is named, and of one with little on it.
_PAGE, _SHORT_PAGE = 2500, 400
#: Numbers up to which pages may be missing between two that are named.
_MISSED = 5


class _Label(NamedTuple):
    """A page's label and its number, and the place of the mark that has it."""

    text: str
    number: int
    place: int


class Pages:
    """The pages of one clean text: star pages if there are any, else printed numbers, else those of stamps."""

    def __init__(self, cleaned: CleanText, notes: Footnotes) -> None:
        self._notes = notes
        self._in_notes: dict[int, list[_Label]] = {}
        end = len(cleaned.text)
        if stars := _stars(cleaned.marks):
            self._begins, self._labels = _from_each(self._outside_notes(stars))
        elif printed := _sequence(_printed(cleaned.marks)) or _sequence(_stamped(cleaned.marks)):
            self._begins, self._labels = (_up_to_each if _are_feet(printed, end) else _from_each)(printed)
        else:
            self._begins, self._labels = [], []

    def at(self, place: int) -> str | None:
        """The label of the page that has the character at `place`; None if it is not known.

        A footnote is on the page that cites it, up to where it goes on behind the label of another page. Of one at the
        document's end that nothing cites, the page is not known.
        """
        if not self._begins:
            return None
        number = self._notes.at(place)
        if number is None:
            return self._of_text(place)
        begun = [label.text for label in self._in_notes.get(number, ()) if label.place <= place]
        if begun:
            return begun[-1]
        cited = self._notes.citing(place)
        return None if cited == place and self._notes.at_end(place) else self._of_text(cited)

    def _of_text(self, place: int) -> str | None:
        index = bisect_right(self._begins, place) - 1
        return self._labels[index] if index >= 0 else None

    def _outside_notes(self, labels: Iterable[_Label]) -> list[_Label]:
        """Star pages in the text; those in footnotes are kept for these."""
        outside = []
        for label in labels:
            number = self._notes.at(label.place)
            if number is None:
                outside.append(label)
            else:
                self._in_notes.setdefault(number, []).append(label)
        return outside


def _stars(marks: Sequence[Mark]) -> list[_Label]:
    """The star pages of one paging: that of most of them, where a text has those of several reporters."""
    by_paging: dict[str, list[_Label]] = {}
    for mark in marks:
        if mark.kind == "page" and (match := _STAR.search(mark.text)):
            paging = mark.text[: match.start()].strip()
            by_paging.setdefault(paging, []).append(_label(match[1], mark))
    return max(by_paging.values(), key=len, default=[])


def _printed(marks: Sequence[Mark]) -> Iterator[_Label]:
    for mark in marks:
        pattern = _PRINTED if mark.kind == "page_number" else _HEAD if mark.kind == "running_head" else None
        if pattern and (match := pattern.match(mark.text)):
            yield _label(match[match.lastindex or 0], mark)


def _stamped(marks: Sequence[Mark]) -> Iterator[_Label]:
    for mark in marks:
        if mark.kind in ("stamp", "running_head") and (match := _STAMPED.search(mark.text)):
            yield _label(match[match.lastindex or 0], mark)


def _label(text: str, mark: Mark) -> _Label:
    digits = text.replace(",", "")
    return _Label(text, int(digits) if digits.isdigit() else _roman(text.lower()), mark.position)


def _roman(text: str) -> int:
    values = [_ROMAN[letter] for letter in text]
    return sum(-one if one < next else one for one, next in pairwise([*values, 0]))


def _sequence(labels: Iterable[_Label]) -> list[_Label]:
    """The labels that go on from each other; a number that stands alone between them is no page's."""
    candidates = list(labels)
    if len(candidates) == 1:
        return [label for label in candidates if (label.number - 1) * _SHORT_PAGE <= label.place + _PAGE]
    found: list[_Label] = []
    for label, following in zip_longest(candidates, candidates[1:]):
        step = label.number - found[-1].number if found else 0
        begins = following is not None and following.number == label.number + 1
        if 1 <= step <= _MISSED or (begins and (step or not found)) or (not found and label.number == 1):
            found.append(label)
    return found


def _are_feet(labels: Sequence[_Label], end: int) -> bool:
    """Whether numbers stand below the text of their page: then as many pages are before the first as it says."""
    page = _length_of_page(labels)
    first = labels[0]
    ends_with_last = first.place > 0 and end - labels[-1].place < page / 10
    if first.number == 1:
        return first.place > page / 2 or ends_with_last
    return (ends_with_last and (first.number > 2 or first.place > 1.1 * page)) or first.place > _ONE_PAGE * page


def _length_of_page(labels: Sequence[_Label]) -> float:
    lengths = [after.place - before.place for before, after in pairwise(labels) if after.place > before.place]
    return median(lengths) if lengths else _PAGE


def _from_each(labels: Sequence[_Label]) -> tuple[list[int], list[str | None]]:
    """Pages that begin at their labels; the one before the first label is known if they go on by one."""
    first, second = [*labels, None, None][:2]
    if not first:
        return [], []
    goes_on = first.number == 2 or (second is not None and second.number == first.number + 1)
    begins: list[int] = [0]
    named: list[str | None] = [_page_before(first) if goes_on else None]
    page = _length_of_page(labels)
    for label, after in zip_longest(labels, labels[1:]):
        begins.append(label.place)
        named.append(label.text)
        if after and after.number != label.number + 1 and after.place - label.place > _ONE_PAGE * page:
            begins.append(int(label.place + page))
            named.append(None)
    return begins, named


def _up_to_each(labels: Sequence[_Label]) -> tuple[list[int], list[str | None]]:
    """Pages that end at their labels. What is behind the last label is taken for the last page's notes."""
    page = _length_of_page(labels)
    begins: list[int] = []
    named: list[str | None] = []
    start, number = 0, 0
    for label in labels:
        if label.place - start > _ONE_PAGE * page or (label.number > number + 1 and label.place - start > 1.1 * page):
            begins.append(start)
            named.append("1" if label.number == 2 else None)
            start = int(label.place - page)
        begins.append(start)
        named.append(label.text)
        start, number = label.place, label.number
    return begins, named


def _page_before(label: _Label) -> str | None:
    """The label of the page before; None before the first one, and where letters count."""
    return str(label.number - 1) if label.text.isdigit() and label.number > 1 else None
