"""Cuts: where a clean text may be cut into chunks, and how good each place is.

Belongs here: the ends of sections, paragraphs, sentences and clauses. Does not belong here: at which of them a chunk
ends (`chunking.py`), how long a text is in tokens (`token_ruler.py`).

A place is the position of the character with which the next chunk would begin; white space belongs to what it follows.
Paragraphs are found at once, sentences only in the part of the text that is asked about, since that is what takes time.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from itertools import pairwise

import nupunkt

#: How good it is to cut at a place: inside a sentence or between a heading and its text, between a sentence and the
#: citation that supports it, after a sentence, after a paragraph, before a heading.
INSIDE, CITED, SENTENCE, PARAGRAPH, SECTION = range(5)

_MARKS = r"(?:\s?['\"\u2019”)\]»])*"
_SENTENCE_END = re.compile(rf"[.?!]{_MARKS}(?:\s?\[?(?:\d{{1,3}}|[*†‡]{{1,3}})\]?)?{_MARKS}\s*$")
#: What may stand between the mark that ends a paragraph and its end, and these marks.
_CLOSING = " \n\t'\"\u2019”)]»"
_CLOSED = (".", "?", "!", ":", ";")
#: Blank lines up to the last one, so that no paragraph begins with a line break.
_PARAGRAPH_GAP = re.compile(r"\n{2,}(?:\s*[\r\n])?")
#: A sentence that only supports the one before it, which a cut between them would leave without its authority.
_CITATION = re.compile(
    r"(?:Id|Ibid|See|Cf|Accord|But see|Compare|E\.g|\d+ [A-Z]|§|Pp?\. \d|[A-Z]\w+ v\. )|[\"'”\u2019)(\[]"
)
#: Where a sentence that is over the budget may be cut, best first.
_CLAUSE_ENDS = tuple(map(re.compile, (r"\n", r"[;:]\s+", r",\s+", r"\s+")))
_SPACE = re.compile(r"\s")
_HEADING_CHARACTERS = 120
#: Characters at the end of a paragraph, blank lines included, that tell how it ends.
_TAIL = 60
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
        self._qualities = [
            _quality(text[max(start, end - _TAIL) : end], text[end : min(following, end + 2 * _HEADING_CHARACTERS)])
            for (start, end), following in zip(
                pairwise((0, *self.paragraph_ends)), (*self.paragraph_ends[1:], len(text)), strict=True
            )
        ]

    def paragraphs(self, low: int, high: int) -> Iterator[tuple[int, int]]:
        """The ends of paragraphs in `low < place <= high`, the last first, each with how good it is to cut there."""
        index = bisect_right(self.paragraph_ends, high) - 1
        while index >= 0 and self.paragraph_ends[index] > low:
            yield self.paragraph_ends[index], self._qualities[index]
            index -= 1

    def sentences(self, low: int, high: int) -> Iterator[tuple[int, int]]:
        """The ends of sentences and paragraphs in `low < place <= high`, the last first, in the same way."""
        while high > low:
            index = bisect_left(self.paragraph_ends, high)
            begin, end = self.paragraph_ends[index - 1] if index else 0, self.paragraph_ends[index]
            if high == end:
                yield end, self._qualities[index]
            floor = max(low, begin, high - _WINDOW)
            for place in reversed(_sentence_ends(self._text, (begin, end), floor, high)):
                yield place, CITED if _CITATION.match(self._text, place) else SENTENCE
            high = floor

    def clause(self, low: int, high: int) -> int:
        """The end of the last line, clause or word in the upper half of `low < place <= high`; without any, `high`."""
        for pattern in _CLAUSE_ENDS:
            ends = [match.end() for match in pattern.finditer(self._text, (low + high) // 2, high)]
            if ends:
                return ends[-1]
        return high


def ends_at_sentence(text: str) -> bool:
    """Whether a chunk's text ends like a sentence: a full stop, question or exclamation mark, closing marks aside."""
    return bool(_SENTENCE_END.search(text[-40:]))


def _paragraph_ends(text: str) -> list[int]:
    ends: list[int] = []
    start = 0
    while (gap := text.find("\n\n", start)) >= 0 and (match := _PARAGRAPH_GAP.match(text, gap)):
        start = match.end()
        if ends or text[:gap].strip():
            ends.append(start)
    return ends if start == len(text) and ends else [*ends, len(text)]


def _quality(paragraph: str, following: str) -> int:
    bare = paragraph.rstrip()
    if not bare.rstrip(_CLOSING).endswith(_CLOSED):
        return INSIDE
    head = following.strip()
    if head and len(head) <= _HEADING_CHARACTERS and not head.rstrip(_CLOSING).endswith(_CLOSED):
        return SECTION
    if head[:1].islower() or bare[-1] in ":;":
        return SENTENCE if ends_at_sentence(bare) else INSIDE
    return PARAGRAPH


def _sentence_ends(text: str, paragraph: tuple[int, int], low: int, high: int) -> list[int]:
    """The ends of a paragraph's sentences in `low < place <= high`. The words on both sides of a place decide."""
    begin = max(paragraph[0], low - _WORD)
    if begin > paragraph[0]:
        begin = max(begin, text.find(" ", begin, low))
    space = _SPACE.search(text, high + 1, high + _WORD)
    end = min(paragraph[1], space.start() if space else high + _WORD)
    starts = (begin + start for start, _ in nupunkt.load("default").span_tokenize(text[begin:end]))
    return [place for place in starts if low < place <= high]
