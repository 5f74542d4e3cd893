"""Headings: which paragraphs of a clean text name what follows them, and how they nest.

Belongs here: finding them by their place in the document. Does not belong here: what a heading looks like by itself
(`titles.py`), where a text is cut because of that (`chunks/cuts.py`), which are in force at a chunk
(`chunks/outline.py`).

Courts number their headings or write them in capitals, and nothing in a clean text marks them. So the looks of a
paragraph decide together with its place: numbers go on from the heading before (I, II, III; A, B), and what has no
number stands between the end of a paragraph and the beginning of another.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from courtlistener_assets.text.titles import (
    BARE,
    LABEL,
    LONGEST,
    is_known_title,
    is_title,
    letter,
    lists,
    roman,
    stands_out,
    titled,
)

#: In a text that is all in capitals, the longest title.
_LONGEST_SHOUT = 40
#: Characters of a text, about, that tell whether it is.
_SAMPLE = 200
#: A title that is there so often, with the same words, is a page's.
_REPEATED = 3
#: How a paragraph begins that is not prose at once: a label, or what may be a title's first word.
_MAYBE = re.compile(r"(?:\(?[^\W_]{1,6}[.):]{0,2}\s)|[A-Z\"'“\u2018(¶]|\(?\w{1,6}[.):]{0,2}\Z")
#: Titles of what follows the last of the numbered parts.
_AT_THE_END = frozenset(("notes", "footnotes", "endnotes", "appendix"))


@dataclass(frozen=True)
class Heading:
    """`text[start:end]` of a clean text is a heading; `level` is 1 for the outermost, one more for each inside it."""

    level: int
    start: int
    end: int


def headings_of(text: str) -> tuple[Heading, ...]:
    """The headings of a clean text, in its order. A number in a line of its own is one with the title after it."""
    nesting = _Nesting(text)
    found: list[Heading] = []
    last = _NOTHING
    for part in _parts(text):
        follows = part.before is last.text
        if follows and BARE.fullmatch(last.text) and is_title(part.text):
            found[-1], last = replace(found[-1], end=part.end), part
        elif level := nesting.level(part, follows_heading=follows):
            found.append(Heading(level, part.start, part.end))
            last = part
    return tuple(found)


class _Part(NamedTuple):
    """A paragraph or a line of one, short enough for a heading, and the paragraphs or lines beside it."""

    text: str
    start: int
    before: str
    following: str

    @property
    def end(self) -> int:
        return self.start + len(self.text)


_NOTHING = _Part("", 0, "", "")


def _parts(text: str) -> Iterator[_Part]:
    paragraphs = text.split("\n\n")
    start = 0
    previous = ""
    for paragraph, following in zip(paragraphs, [*paragraphs[1:], ""], strict=True):
        if _MAYBE.match(paragraph):
            if paragraph.find("\n", 0, LONGEST) > 0:
                yield from _lines(paragraph, start, previous, following)
            elif len(paragraph) <= LONGEST:
                yield _Part(paragraph, start, previous, following)
        previous = paragraph or previous
        start += len(paragraph) + 2


def _lines(paragraph: str, start: int, previous: str, following: str) -> Iterator[_Part]:
    """The lines of a paragraph of headings, the whole of another short one, or the first line of a long one."""
    lines = paragraph.split("\n") if len(paragraph) <= LONGEST else []
    if lines and not all(map(_may_be_heading, lines)):
        yield _Part(paragraph, start, previous, following)
        return
    lines = lines or paragraph.split("\n", 1)
    for line, after in zip(lines, [*lines[1:], following], strict=True):
        if len(line) <= LONGEST and _may_be_heading(line):
            yield _Part(line, start, previous, after)
        previous = line
        start += len(line) + 1


def _may_be_heading(line: str) -> bool:
    return bool(line) and (bool(LABEL.match(line)) or is_known_title(line))


class _Nesting:
    """The numbers of the headings so far, outermost first."""

    #: Kinds of numbers, from the outermost to the innermost, as the courts use them; 0 are titles without any.
    _TITLE, _PART, _ROMAN, _LETTER, _NUMBER, _SMALL_LETTER, _SMALL_ROMAN, _INNER_TITLE = range(8)

    def __init__(self, text: str) -> None:
        #: Whether `A.` is an answer, and whether capitals say nothing.
        self._talks = "\nQ" in text and any(f"\nQ{sign}" in text for sign in ".: \t")
        sample = text[:: len(text) // _SAMPLE + 1]
        self._shouts = sum(map(str.isupper, sample)) > 0.4 * sum(map(str.islower, sample))
        self._open: list[tuple[int, int]] = []
        self._text = text
        self._titles: set[str] = set()

    def level(self, part: _Part, *, follows_heading: bool) -> int:
        """The level of a part if it is a heading, which is then open; else 0."""
        match = LABEL.match(part.text)
        if match:
            title = part.text[match.end() :]
            for kind, value in self._readings(match):
                if self._goes_on(kind, value) and self._fits(match, kind, value, title, part, follows_heading):
                    return self._enter(kind, value)
        title = part.text
        known = is_known_title(title) or (not self._shouts and stands_out(title, part.before, part.following))
        if not known or self._is_page_head(title):
            return 0
        return self._enter(self._INNER_TITLE if self._is_inside(title) else self._TITLE, 0)

    def _is_page_head(self, title: str) -> bool:
        """Whether a title that was there before is repeated from page to page; then the first is one."""
        if title not in self._titles:
            self._titles.add(title)
            return False
        return self._text.count(f"\n\n{title}\n\n") >= _REPEATED

    def _is_inside(self, title: str) -> bool:
        """Whether a title without a number belongs to the numbered heading before it."""
        numbered = bool(self._open) and self._open[0][0] != self._TITLE
        return numbered and not title.isupper() and title.rstrip(":").lower() not in _AT_THE_END

    def _readings(self, match: re.Match[str]) -> Iterator[tuple[int, int]]:
        """What kind of number a label can be, and which; the likelier first."""
        label = match["label"]
        if match["named"]:
            yield self._PART, int(label) if label.isdigit() else roman(label) or letter(label)
        elif label.isdigit():
            yield self._NUMBER, int(label)
        else:
            upper = label.isupper()
            as_letter = (self._LETTER if upper else self._SMALL_LETTER, letter(label))
            as_roman = (self._ROMAN if upper else self._SMALL_ROMAN, roman(label))
            both = [each for each in (as_roman, as_letter) if each[1]]
            yield from sorted(both, key=lambda each: not self._is_next(*each))

    def _is_next(self, kind: int, value: int) -> bool:
        return (kind, value - 1) in self._open

    def _goes_on(self, kind: int, value: int) -> bool:
        """Whether a number is the first of its kind, or the next one (one may have been lost)."""
        last = next((number for each, number in self._open if each == kind), None)
        return value == 1 or (last is not None and last < value <= last + 2) or (last is None and value == 2)

    def _fits(
        self, match: re.Match[str], kind: int, value: int, title: str, part: _Part, follows_heading: bool
    ) -> bool:
        """Whether this number, with this title in this place, is a heading's and not that of a page or of a list."""
        if lists(match, part.following) or (part.before and lists(LABEL.match(part.before), part.text)):
            return False
        if not title:
            if kind in (self._ROMAN, self._LETTER, self._PART):
                return bool(part.following)
            return follows_heading if value == 1 else self._is_next(kind, value)
        if not (match["close"] or match["named"]):
            return len(match["label"]) > 1 and title.isupper() and kind == self._ROMAN
        if self._talks and match["label"] in "AQ" and title[-1] in ".?!":
            return False
        if self._shouts and len(title) > _LONGEST_SHOUT:
            return False
        sentence = kind in (self._PART, self._ROMAN, self._LETTER)
        goes_on = part.following[:1].islower() and not BARE.match(part.following)
        return not goes_on and titled(match, title, sentence=sentence)

    def _enter(self, kind: int, value: int) -> int:
        while self._open and self._open[-1][0] >= kind:
            self._open.pop()
        self._open.append((kind, value))
        return len(self._open)
