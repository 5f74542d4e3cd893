"""Tears: a clean text -> how much of its prose is torn, littered or run together.

Belongs here: what a reader would object to, told from the words alone; breaks between lines. Does not belong here: what
stands inside a line (`litter.py`). Must not be imported: how the cleaner decides. A judge that shares the cleaner's
rules shares its blind spots, so nothing here knows of pages, margins or columns, nor of what the text was before.

Each count can be good while a text is bad (a text without any break has no torn one), so they belong together.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, fields
from enum import IntEnum, auto
from typing import Any, Literal, NamedTuple

from courtlistener_assets.text.litter import (
    LOOK,
    OPEN,
    REPEATED,
    ends_with_party,
    furniture_inside,
    is_furniture,
    is_prose,
    joined,
    tabs_inside,
)

Kind = Literal["break", "torn", "tab", "furniture", "joined"]

# fmt: off
#: Words that begin sentences far more often than they go on with one, after a line that lacks its full stop.
_OPENERS = frozenset({
    "A", "According", "After", "All", "Although", "An", "And", "Any", "As", "At", "Because", "But", "By", "For", "He",
    "Here", "However", "I", "If", "In", "It", "Moreover", "No", "Notes:", "On", "Our", "See", "She", "Since", "That",
    "The", "There", "These", "They", "This", "Thus", "To", "Under", "We", "When", "Where", "While", "With",
})
#: What leads to a quotation that is set off from the lines around it.
_LEADS = frozenset({"that", "held", "states", "stated", "provides", "provided", "said", "read", "reads", "wrote", "to"})
#: Abbreviations that something always follows.
_LEADING = frozenset({
    "v", "vs", "No", "Nos", "Mr", "Mrs", "Ms", "Dr", "Hon", "Fed", "Civ", "Crim", "Evid", "Cf", "cf", "e.g", "i.e",
    "pp", "Art", "art", "Sec", "Supp", "Rev", "Stat", "St", "Ct", "cert",
})
#: Abbreviations that can end a sentence, but not before a number.
_BEFORE_NUMBERS = frozenset({"App", "Br", "Cert", "Cir", "Doc", "Id", "Rec", "Reg", "Tr", "U.S", "U.S.C", "C.F.R"})
# fmt: on
#: What no sentence begins with.
_FOLLOWING = re.compile(
    r"(?:Corp|Inc|Co|Cir|Ltd|L\.?L\.?C|Assn|Ass['\u2019]n|App|Supp|Stat|Ct|Ed|R|P)[.,]"
    r"|(?:U\.\s?S\.\s?(?:C\.|\d|at)|S\.\s?Ct|[FAP]\.\s?[234]d|[FAP]\.\s?Supp|[NS]\.\s?[EW]\.|So\.\s?[23]d)\b|\d{4}\)|[),;]"
)
_QUOTES = "\"'“\u2018"
#: Behind an abbreviation that leads on there is none: “No.” is an answer.
_QUOTED_END = '"”'
_CLOSING = "\"'”\u2019)]*†‡ "
_NOTE_NUMBER = re.compile(r"(?<=[.?!”\"\u2019])\s?\[?\d{1,3}\]?$")
#: The beginning of an item of a list (bullets are read as `o` and `e`), of a quotation that is set off, a signature or
#: what a court orders.
_ITEM = re.compile(
    r"[(\[](?:[a-zA-Z]{1,2}|[ivx]{1,5}|\d{1,2})[)\]]|\(?(?:[a-z]|[ivx]{1,5}|\d{1,3})[.)]\s|[-•*\u2013—·oe]\s|\.\s?\."
    r"|/?s/|(?:IT\sIS\s)?(?:[Oo]rdered|ORDERED|ADJUDGED|DECREED"
    r"|(?:Affirmed|Dismissed|Reversed|Vacated|AFFIRMED|DISMISSED|REVERSED|VACATED)(?=[.,]))"
)
#: A word that a quotation has changed: what is quoted begins where its author's sentence did not.
_CHANGED = re.compile(r"[^\n]{0,24}?[a-z]*\[(?:[a-z]*|\.\.\.)\][a-z ]")
#: Who said what is set off below: "As we observed in Carver,".
_QUOTED = re.compile(
    r"\b[Aa]s\s(?:\w+\s){1,4}?(?:explained|found|held|noted|observed|put\sit|recognized|said|stated|wrote)\b[^.;]{0,60},$"
)
#: And of what is said by a witness or in a case: "the prosecutor said,".
_SPOKEN = re.compile(r"\b(?:added|asked|continued|explained|held|replied|said|stated|testified|wrote),$")
#: The record or the law, cited by itself behind a quotation: "App. I, Tab 1, at 40."
_RECORD = re.compile(r"App\. (?:[IVX]+|\d+[A-Z]?)[,. ]|P\.\s?R\.\s?Laws|Supp\. R\.")
#: The label of a footnote and its first words, after one that ends with `Id.`
_NOTE = re.compile(r"\d{1,3} [A-Z][a-z]* [a-z]")
_ENUMERATED = re.compile(r"(?:[IVX]{1,5}|[A-Z]|\d{1,2})[.)]\s|\([A-Za-z0-9]{1,3}\)\s")
_SENTENCE_INSIDE = re.compile(r"[a-z]{2}[.?!] [A-Z]")
#: Numbered paragraphs are longer than numbered headings.
_HEADING = 60
#: Characters from a bracket to a break that it may cross.
_BRACKET = 80
#: One certain tear in so many breaks.
_TORN_THROUGHOUT = 20


class _Verdict(IntEnum):
    SOUND = auto()
    #: No stop, but what follows can only begin a sentence.
    UNCLOSED = auto()
    #: No stop, and what could be a name goes over the break.
    NAME = auto()
    #: No stop, but words that can lead to a quotation set off from the lines around it, or a small letter before a
    #: capital one.
    DOUBTFUL = auto()
    TORN = auto()


class Fault(NamedTuple):
    """What was seen, and the position in the text. A `break` is no fault; it is what torn ones are a share of."""

    kind: Kind
    position: int


@dataclass(frozen=True)
class Tears:
    """Counts for one text, or with `+` for several.

    `breaks` are ends of lines and paragraphs with prose on a side, `torn` those of them inside a sentence.
    `tabs_in_prose` are tabs that a sentence crosses, `furniture_inside` numbers of pages and lines, stamps and running
    heads that one crosses. `joined` are headings inside paragraphs, and paragraphs of extreme length.
    """

    breaks: int = 0
    torn: int = 0
    tabs_in_prose: int = 0
    furniture_inside: int = 0
    joined: int = 0

    def __reduce__(self) -> tuple[Any, ...]:
        # To be pickled and copied where it is compiled and has no `__dict__`.
        return Tears, (self.breaks, self.torn, self.tabs_in_prose, self.furniture_inside, self.joined)

    def __add__(self, other: Tears) -> Tears:
        return Tears(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))

    @property
    def torn_share(self) -> float:
        """The share of breaks in prose that are inside a sentence; 0.0 without any break."""
        return self.torn / self.breaks if self.breaks else 0.0


def tears_of(text: str) -> Tears:
    """Count what is wrong with a clean text: paragraphs parted by blank lines, rows by line ends, cells by tabs."""
    found = Counter(fault.kind for fault in faults(text))
    return Tears(found["break"], found["torn"], found["tab"], found["furniture"], found["joined"])


def breaks_sentence(before: str, after: str) -> bool:
    """Whether a sentence certainly begins in the one text and goes on in the other."""
    before, after = before.strip(), after.strip()
    if not before or not after:
        return False
    return _verdict(before[before.rfind("\n") + 1 :], after.partition("\n")[0]) is _Verdict.TORN


def faults(text: str) -> Iterator[Fault]:
    """Yield each break in prose, torn or not, and everything else that `Tears` counts, by kind."""
    lines = list(_lines(text))
    yield from _breaks(lines)
    for line in lines if "\t" in text else ():
        yield from (Fault("tab", line.start + place) for place in tabs_inside(line.text))
    yield from (Fault("furniture", place) for place in furniture_inside(text))
    yield from (Fault("joined", place) for place in joined(text))


class _Line(NamedTuple):
    start: int
    text: str
    #: Counts the paragraphs.
    paragraph: int


def _lines(text: str) -> Iterator[_Line]:
    start = paragraph = 0
    for line in text.split("\n"):
        if bare := line.strip():
            yield _Line(start, bare, paragraph)
        else:
            paragraph += 1
        start += len(line) + 1


def _breaks(lines: list[_Line]) -> Iterator[Fault]:
    """Judge each break between two lines that are not furniture; furniture between the halves of a sentence counts.

    Doubtful ones are judged by the others: a document that is torn is so throughout, and one whose publisher left out
    final stops has as many paragraphs without one before what clearly begins a sentence.
    """
    captions = {line.paragraph for line in lines if ends_with_party(line.text)}
    seen: Counter[_Verdict] = Counter()
    doubtful: list[tuple[_Verdict, list[Fault]]] = []
    for before, line, between in _neighbours(lines):
        verdict = _verdict(before.text, line.text)
        if before.paragraph == line.paragraph in captions:
            verdict = _Verdict.SOUND
        seen[verdict] += 1
        yield Fault("break", line.start)
        if verdict in (_Verdict.SOUND, _Verdict.UNCLOSED):
            continue
        found = [Fault("torn", line.start), *(Fault("furniture", each.start) for each in between)]
        if verdict is _Verdict.TORN:
            yield from found
        else:
            doubtful.append((verdict, found))
    throughout = _TORN_THROUGHOUT * seen[_Verdict.TORN] > seen.total()
    names = seen[_Verdict.NAME] > 2 * seen[_Verdict.UNCLOSED]
    for verdict, found in doubtful:
        if throughout or (names and verdict is _Verdict.NAME):
            yield from found


def _neighbours(lines: list[_Line]) -> Iterator[tuple[_Line, _Line, list[_Line]]]:
    """Yield each two lines with prose on a side, and the furniture between them."""
    in_paragraph = Counter(line.paragraph for line in lines)
    alone = Counter(line.text for line in lines if in_paragraph[line.paragraph] == 1)
    often = {line for line, times in alone.items() if times >= REPEATED}
    before: _Line | None = None
    between: list[_Line] = []
    for line in lines:
        if is_furniture(line.text, often):
            between.append(line)
            continue
        if before and (is_prose(before.text[-LOOK:]) or is_prose(line.text[:LOOK])):
            yield before, line, between
        before, between = line, []


def _verdict(before: str, after: str) -> _Verdict:
    """Tell whether a sentence begins in `before` and goes on in `after`."""
    tail, head = before[-LOOK:].rpartition("\t")[2], after[:LOOK].partition("\t")[0]
    if _crosses_bracket(tail, head):
        return _Verdict.TORN
    bare = tail.rstrip(_CLOSING) if tail[-1] in ".,?!;:" else _NOTE_NUMBER.sub("", tail[-_HEADING:]).rstrip(_CLOSING)
    word = bare.rstrip(".")
    word = word[word.rfind(" ") + 1 :].lstrip("([\"'“")
    if not bare or word == before.rstrip(".") or _ITEM.match(f"{head.lstrip(_QUOTES)} ") or head.isupper():
        return _Verdict.SOUND
    last = bare[-1]
    if last == ".":
        goes_on = (word in _LEADING and tail[-1] not in _QUOTED_END) or (
            word in _BEFORE_NUMBERS and head[0].isdigit() and not _NOTE.match(head)
        )
        goes_on = goes_on or (head[0].islower() and not _is_heading(before))
        goes_on = goes_on or bool(_FOLLOWING.match(head) and not _RECORD.match(head))
        return _Verdict.TORN if goes_on else _Verdict.SOUND
    if last in "?!:;_|":
        return _Verdict.SOUND
    if _is_set_off(tail, head):
        return _Verdict.DOUBTFUL
    if word in OPEN or _FOLLOWING.match(head):
        return _Verdict.TORN
    if head[0].islower():
        return _Verdict.DOUBTFUL if word in _LEADS or last in "—\u2013" else _Verdict.TORN
    return _before_capital(before, head, word)


def _is_set_off(tail: str, head: str) -> bool:
    """Whether what follows reads like a quotation that its author has parted from the sentence."""
    spoken = _SPOKEN.search(tail) and not head[0].islower()
    return bool(_CHANGED.match(head) or _QUOTED.search(tail) or spoken)


def _before_capital(before: str, head: str, word: str) -> _Verdict:
    """Judge a break without a stop before a capital letter, a digit or a sign."""
    if _is_heading(before) or _ENUMERATED.match(head) or (len(head) < _HEADING and ends_with_party(head)):
        return _Verdict.SOUND
    if head.split(None, 1)[0] in _OPENERS or head[0] in _QUOTES or before[-1] in ")]":
        return _Verdict.UNCLOSED
    return _Verdict.DOUBTFUL if word[:1].islower() and word[-1] != "," else _Verdict.NAME


def _crosses_bracket(tail: str, head: str) -> bool:
    opened, closes = tail.rfind("("), head.find(")")
    if opened < 0 or closes < 0 or tail.find(")", opened) >= 0:
        return False
    return head.find("(", 0, closes) < 0 and closes < _BRACKET and len(tail) - opened < _BRACKET


def _is_heading(line: str) -> bool:
    """Whether a line without an end reads like a heading: short, numbered or mostly in capitals."""
    if _SENTENCE_INSIDE.search(line):
        return False
    words = [word for word in line.split() if word[:1].isalpha()]
    capitals = sum(word[0].isupper() for word in words)
    numbered = _ENUMERATED.match(line) and not (line[0].isdigit() and len(line) > _HEADING)
    return bool(numbered) or len(line) < 40 or 10 * capitals >= 6 * len(words)
