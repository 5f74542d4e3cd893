"""Cuts: where a clean text may be cut into chunks, and how good each place is.

Belongs here: the ends of sections, paragraphs, sentences and clauses, and of the body before its footnotes. Does not
belong here: at which of them a chunk ends (`chunking.py`), how long a text is in tokens (`token_ruler.py`), what a
heading looks like (`text/titles.py`), which words are abbreviations (`abbreviations.py`).

A place is the position of the character with which the next chunk would begin; white space belongs to what it follows.
Paragraphs are found at once, sentences only in the part of the text that is asked about, since that is what takes time.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from courtlistener_assets.chunks.abbreviations import breaks_off, goes_on
from courtlistener_assets.chunks.sentence_starts import sentence_starts
from courtlistener_assets.text.scans import gap_ends
from courtlistener_assets.text.titles import LONGEST, is_capitalized, is_heading

#: How good it is to cut at a place: inside a sentence or between a heading and its text, between a sentence and the
#: citation that supports it, after a sentence, after a paragraph, before a heading.
INSIDE, CITED, SENTENCE, PARAGRAPH, SECTION = range(5)

_MARKS = r"(?:\s?['\"\u2019”)\]»])*"
_SENTENCE_END = re.compile(rf"[.?!。\uff01\uff1f]{_MARKS}(?:\s?\[?(?:\d{{1,3}}|[*†‡]{{1,3}})\]?)?{_MARKS}\s*$")
#: What may stand between the mark that ends a paragraph and its end, and these marks.
_CLOSING = " \n\t'\"\u2019”)]»"
_STOPS = (".", "?", "!", "。", "\uff01", "\uff1f")
_CLOSED = (*_STOPS, ":", ";")
#: A sentence that only supports the one before it, which a cut between them would leave without its authority.
_CITATION = re.compile(
    r"(?:Id|Ibid|See|Cf|Accord|But see|Compare|E\.g|\d+ [A-Z]|§|Pp?\. \d)|[\"'”\u2019)(\[]"
    r"|(?!(?:After|And|As|Before|Both|But|In|Like|Since|Under|Unlike) )(?:[A-Z][\w.&'\u2019-]* ){1,6}v\. "
)
#: Where a sentence that is over the budget may be cut, best first.
_CLAUSE_ENDS = tuple(map(re.compile, (r"\n", r"[;:]\s+", r",\s+", r"\s+")))
_SPACE = re.compile(r"\s")
#: Dots with spaces between, which are decided by the word after them.
_ELLIPSIS = re.compile(r"\s?(?:\.\s)+")
#: A text may be dots for a megabyte, which each place would read to their end.
_LONGEST_ELLIPSIS = 2_000
#: Paragraphs up to this length whose words have capitals, without a mark at their end, may be headings.
_SHORT = 120
#: A shorter paragraph may be a line of a caption or an address, which ends with any abbreviation.
_LINE = 80
#: Characters at the end of a paragraph, blank lines included, that tell how it ends.
_TAIL = 60
#: A heading of the footnotes, or a line drawn above them, that ends where they begin.
_BEFORE_NOTES = re.compile(r"(?:\n|\A)((?:[^\w\n]+|[^\w\n]*(?i:notes?|footnotes?|endnotes?)[^\w\n]*)\n+)\Z")
#: Characters in which sentences are looked for at once: enough for one or two.
_WINDOW = 200
#: Characters around them that decide whether a sentence ends: the word before a place and the word after it.
_WORD = 40


class Cuts:
    """The places at which one text may be cut."""

    def __init__(self, text: str) -> None:
        self._text = text
        #: Where the paragraphs end, with the blank lines after them. They cover the text.
        self.paragraph_ends = _paragraph_ends(text)
        #: Those with a paragraph after them that is short enough to be a heading.
        self._before_short = [end for end, after in pairwise(self.paragraph_ends) if after - end <= LONGEST]
        self._qualities: dict[int, int] = {}

    def paragraphs(self, low: int, high: int, least: int = INSIDE) -> Iterator[tuple[int, int]]:
        """The ends of paragraphs in `low < place <= high`, the last first, each with how good it is to cut there.

        Some that are worse than `least` are left out.
        """
        ends = self._before_short if least == SECTION else self.paragraph_ends
        for number in range(bisect_right(ends, high) - 1, bisect_right(ends, low) - 1, -1):
            yield ends[number], self._quality(ends[number])

    def _quality(self, end: int) -> int:
        """How good it is to cut at the end of a paragraph."""
        quality = self._qualities.get(end)
        if quality is None:
            quality = self._qualities[end] = self._judge(bisect_left(self.paragraph_ends, end))
        return quality

    def _judge(self, index: int) -> int:
        ends, text = self.paragraph_ends, self._text
        start, end = ends[index - 1] if index else 0, ends[index]
        bare = text[max(start, end - _TAIL) : end].rstrip()
        if not bare.rstrip(_CLOSING).endswith(_CLOSED):
            return INSIDE
        if not _ends_like_sentence(bare):
            return INSIDE
        short = index + 1 < len(ends) and ends[index + 1] - end <= LONGEST
        head = text[end : ends[index + 1] if short else end + _TAIL].strip()
        if end - start < LONGEST and is_heading(text[start:end].strip(), head):
            return INSIDE
        if "\n" in bare and is_heading(bare[bare.rfind("\n") + 1 :].strip()):
            return INSIDE
        if short and is_heading(head):
            return SECTION
        if end - start > _LINE and goes_on(bare, head):
            return INSIDE
        if short and len(head) <= _SHORT and not head.rstrip(_CLOSING).endswith(_CLOSED) and is_capitalized(head):
            return SECTION
        return SENTENCE if head[:1].islower() else PARAGRAPH

    def sentences(self, low: int, high: int, least: int = INSIDE) -> Iterator[tuple[int, int]]:
        """The ends of sentences and paragraphs in `low < place <= high`, the last first, in the same way."""
        may_be = self._ends_uncited if least >= SENTENCE else self._ends
        while high > low:
            index = bisect_left(self.paragraph_ends, high)
            begin, end = self.paragraph_ends[index - 1] if index else 0, self.paragraph_ends[index]
            if high == end:
                yield end, self._quality(end)
            floor = max(low, begin, high - _WINDOW)
            for place in _sentence_ends(self._text, (begin, end), floor, high, may_be):
                yield place, CITED if least < SENTENCE and _CITATION.match(self._text, place) else SENTENCE
            high = floor

    def _ends(self, place: int) -> bool:
        return ends_sentence(self._text, place)

    def _ends_uncited(self, place: int) -> bool:
        return not _CITATION.match(self._text, place) and ends_sentence(self._text, place)

    def clause(self, low: int, high: int) -> int:
        """The end of the last line, clause or word in the upper half of `low < place <= high`; without any, `high`.

        Not after a heading: then before it.
        """
        for pattern in _CLAUSE_ENDS:
            ends = [match.end() for match in pattern.finditer(self._text, (low + high) // 2, high)]
            if ends:
                return self._before_heading(low, ends[-1])
        return high

    def _before_heading(self, low: int, place: int) -> int:
        """A place, or where the headings begin that end there and are not the first after `low`."""
        while heading := _last_heading(self._text[max(low, place - LONGEST - 1) : place]):
            if place - heading <= low:
                break
            place -= heading
        return place


def ends_at_sentence(text: str) -> bool:
    """Whether a chunk's text ends like a sentence: a full stop, question or exclamation mark, closing marks aside.

    A heading is none, whatever it ends with, and neither is an abbreviation that always stands before something.
    """
    return _ends_like_sentence(text[-_TAIL:]) and not _last_heading(text)


def _ends_like_sentence(tail: str) -> bool:
    return (tail.endswith(_STOPS) or bool(_SENTENCE_END.search(tail))) and not breaks_off(tail)


def notes_begin(text: str, footnotes: Sequence[tuple[int, int]]) -> int:
    """Where the footnotes begin with which a text ends, the headings and drawn lines before them included.

    `footnotes` are the spans of all of them. Without any at its end, the text's end.
    """
    begin = len(text)
    for start, end in sorted(footnotes, reverse=True):
        if text[end:begin].strip():
            break
        begin = min(begin, start)
    if begin < len(text):
        while match := _BEFORE_NOTES.search(text, max(0, begin - LONGEST), begin):
            begin = match.start(1)
    return begin


def _last_heading(text: str) -> int:
    """The characters of the line that a text ends with, with the white space around it, if it is a heading; else 0."""
    tail = text[-LONGEST:]
    bare = tail.rstrip()
    start = bare.rfind("\n") + 1
    whole = start or len(text) <= LONGEST
    return len(tail) - start if whole and is_heading(bare[start:].strip()) else 0


def _paragraph_ends(text: str) -> list[int]:
    ends = gap_ends(text)
    while ends and not text[: ends[0]].strip():
        del ends[0]
    return ends if ends and ends[-1] == len(text) else [*ends, len(text)]


def _sentence_ends(
    text: str, paragraph: tuple[int, int], low: int, high: int, may_be: Callable[[int], bool]
) -> Iterator[int]:
    """The ends of a paragraph's sentences in `low < place <= high`, the last first, of which `may_be` is true.

    The words on both sides of a place decide.
    """
    begin = max(paragraph[0], low - _WORD)
    if begin > paragraph[0]:
        begin = max(begin, text.find(" ", begin, low))
    ellipsis = _ELLIPSIS.match(text, high, high + _LONGEST_ELLIPSIS)
    after = ellipsis.end() if ellipsis else high
    space = _SPACE.search(text, after + 1, after + _WORD)
    end = min(paragraph[1], space.start() if space else after + _WORD)
    return sentence_starts(text, begin, end, low, high, may_be)


def ends_sentence(text: str, place: int) -> bool:
    """Whether what looks like the end of a sentence is one, and not an abbreviation or the number of a heading."""
    before = text[max(0, place - _WORD) : place].rstrip()
    if goes_on(before, text[place : place + _WORD]):
        return False
    line = before[before.rfind("\n") + 1 :]
    return len(line) > 8 or not is_heading(line.strip())
