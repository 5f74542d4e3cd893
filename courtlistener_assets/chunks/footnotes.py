"""Footnotes: which of a document's footnotes a chunk has, and where they are cited.

Belongs here: from the spans of a clean text's footnotes and the marks in its sentences to both. Does not belong here:
finding footnotes in the source (`text/`), the ids of chunks (`rows.py`).

Plain text has no raised numbers: there, what cites a footnote is its number, stuck to the end of a word or a sentence.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Sequence

from courtlistener_assets.text.cleaning import CleanText
from courtlistener_assets.text.marks import Footnote

#: What labels are dressed in, here or where they are cited: `[3]`, `3.`, `FN3` and `n.3` are all 3.
_DRESS = re.compile(r"^(?:fn|n|note)\.?\s*(?=\d)|[\s\[\](){}<>.,:;]+", re.IGNORECASE)
#: A number stuck to a word or to what ends a sentence, but for `1.2` and `n.3`. Its first digit is what the search is
#: fast by.
_STUCK = re.compile(
    r"\d(?<=[a-z.,;:?!)\]\u201d\u2019\"'\u2014]\d)(?<!\D\d\.\d)(?<![\s\d]n\.\d)(?<!\snn\.\d)\d{0,2}(?!\S)"
)


class Footnotes:
    """The footnotes of one clean text, in its order; they are named by their number in `all`."""

    def __init__(self, cleaned: CleanText) -> None:
        self._text = cleaned.text
        self.all: Sequence[Footnote] = sorted(cleaned.footnotes, key=lambda note: (note.start, -note.end))
        self._starts = [note.start for note in self.all]
        self._around = _around(self.all)
        self._span_starts, self._span_ends = _joined(self._text, self.all)
        #: For each, the place of the last character before the mark that cites it; None if no mark does.
        self.cited_at = _cited_at(cleaned, self.all) if self.all else []
        if any(place is None and note.label for place, note in zip(self.cited_at, self.all, strict=True)):
            self._find_stuck_numbers()

    def beginning_in(self, start: int, end: int) -> range:
        """The numbers of those that begin in `text[start:end]`."""
        return range(bisect_left(self._starts, start), bisect_left(self._starts, end))

    def at(self, place: int) -> int | None:
        """The number of the innermost one that has the character at `place`; None if none has."""
        number: int | None = bisect_right(self._starts, place) - 1
        if number == -1:
            return None
        while number is not None and self.all[number].end <= place:
            number = self._around[number]
        return number

    def citing(self, place: int) -> int:
        """The place where the footnote at `place` is cited; `place` itself if it is in none, or none cites it."""
        number = self.at(place)
        cited = None if number is None else self.cited_at[number]
        return place if cited is None else cited

    def at_end(self, place: int) -> bool:
        """Whether nothing but footnotes is behind `place`."""
        return bool(self._span_ends) and self._span_ends[-1] == len(self._text) and place >= self._span_starts[-1]

    def outside(self, first: int, last: int) -> tuple[int, int] | None:
        """The first and the last character that no footnote has, of those from `first` to `last`; None: there are none.

        Neither `first` nor `last` may be white space.
        """
        index = bisect_right(self._span_starts, first) - 1
        if index >= 0 and first < self._span_ends[index]:
            first = self._span_ends[index]
            while first <= last and self._text[first].isspace():
                first += 1
        index = bisect_right(self._span_starts, last) - 1
        if index >= 0 and last < self._span_ends[index]:
            last = _last_visible(self._text, self._span_starts[index])
        return (first, last) if first <= last else None

    def _find_stuck_numbers(self) -> None:
        """Cite what nothing cites yet by numbers in the text that come in the order of the footnotes."""
        stuck = defaultdict(list)
        for match in _STUCK.finditer(self._text):
            if self.at(match.start()) is None:
                stuck[match.group()].append(match.start() - 1)
        done = -1
        labels = [_bare(note.label) for note in self.all]
        for number, label in enumerate(labels):
            known = self.cited_at[number]
            if known is None and (places := stuck.get(label)):
                following = stuck.get(labels[number + 1]) if number + 1 < len(labels) else None
                known = _first_between(places, done, self._starts[number])
                # A number without any of the next one's behind it is another number that looks the same.
                if known is not None and following and following[-1] < known:
                    known = None
                self.cited_at[number] = known
            done = max(done, known if known is not None else -1)


def _first_between(places: Sequence[int], after: int, before: int) -> int | None:
    index = bisect_right(places, after)
    return places[index] if index < len(places) and places[index] < before else None


def _around(notes: Sequence[Footnote]) -> list[int | None]:
    """For each footnote, the number of the one that it is in."""
    found: list[int | None] = []
    open_notes: list[int] = []
    for number, note in enumerate(notes):
        while open_notes and notes[open_notes[-1]].end <= note.start:
            open_notes.pop()
        found.append(open_notes[-1] if open_notes else None)
        open_notes.append(number)
    return found


def _joined(text: str, notes: Sequence[Footnote]) -> tuple[list[int], list[int]]:
    """Where the parts of the text begin and end that are footnotes and white space only."""
    starts: list[int] = []
    ends: list[int] = []
    for note in notes:
        if ends and (note.start <= ends[-1] or not text[ends[-1] : note.start].strip()):
            ends[-1] = max(ends[-1], note.end)
        else:
            starts.append(note.start)
            ends.append(note.end)
    return starts, ends


def _cited_at(cleaned: CleanText, notes: Sequence[Footnote]) -> list[int | None]:
    marks = defaultdict(list)
    for mark in cleaned.marks:
        if mark.kind == "footnote_mark":
            marks[_bare(mark.text)].append(mark.position)
    numbers = defaultdict(list)
    for number, note in enumerate(notes):
        numbers[_bare(note.label)].append(number)
    found: list[int | None] = [None] * len(notes)
    for label, of_label in numbers.items():
        if label and (places := marks.get(label)):
            for nth, number in enumerate(of_label):
                # Where numbers begin again, as in a dissent, each has its own mark; else the nearest one cites it.
                place = places[nth] if len(places) == len(of_label) else _before(places, notes[number].start)
                found[number] = _last_visible(cleaned.text, place)
    return found


def _before(places: Sequence[int], start: int) -> int:
    """The last mark before a footnote that begins at `start`; the first one if all are behind it."""
    return places[max(0, bisect_right(places, start) - 1)]


def _last_visible(text: str, end: int) -> int:
    """The place of the last character of `text[:end]` that is not white space; -1 if there is none."""
    place = end - 1
    while place >= 0 and text[place].isspace():
        place -= 1
    return place


def _bare(label: str) -> str:
    return _DRESS.sub("", label).casefold()
