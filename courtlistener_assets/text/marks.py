"""Marks: what a cleaner takes out of the running text, and where it stood.

Belongs here: the value types `Mark` and `Footnote`, the control characters that represent them while a text is being
cleaned, and `settle`. Does not belong here: any decision about what is a mark (`markup.py`, `furniture.py`).

A cleaner never deletes a character that a reader can see. It moves it into a mark, so that putting every mark back at
its position gives the source again, white space aside.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple

from courtlistener_assets.text.page_scans import are_marked
from courtlistener_assets.text.scans import settled, without_marks

Kind = Literal[
    "page",  # star pagination, *617
    "stamp",  # a court's filing stamp on a page
    "footnote_mark",  # the number in the sentence
    "footnote_label",  # the number before the footnote's own text
    "paragraph_number",  # numbers that a publisher put beside the paragraphs
    "page_number",
    "running_head",  # heads, feet and watermarks repeated from page to page
    "line_number",  # pleading paper
    "rule",  # drawn lines and column borders
    "hyphen",  # at the end of a line, inside a word
    "boilerplate",  # navigation of a web site, back links, headings of notes, a transcriber's licence note
]

#: What a page does not show for certain. Then the text is kept as it stands, and the document has the flag.
Doubt = Literal[
    "doubtful_columns",  # lines with a wide space in one place: side by side, or rows
    "doubtful_line_numbers",  # numbers that count up beside lines: of the lines, or of items
    "doubtful_page_numbers",  # a number on a line of its own, in a sentence
    "doubtful_paragraphs",  # blank lines that part paragraphs, and lines of sentences nearly as often
    "lines_out_of_order",  # sentences that end and go on below, as of pages that were read in another order
]

# Unicode noncharacters: never valid in a text that is exchanged, so `repair` removes them from every input.
BLOCK: Final = "\ufdd0"
LINE: Final = "\ufdd1"
CELL: Final = "\ufdd2"
MARK: Final = "\ufdd3"
MARK_END: Final = "\ufdd4"
_NOTE: Final = "\ufdd5"
_NOTE_END: Final = "\ufdd6"
JOIN: Final = "\ufdd7"
PRE_LINE: Final = "\ufdd8"
LINK: Final = "\ufdd9"
LINK_END: Final = "\ufdda"
CONTROLS = "".join(map(chr, range(0xFDD0, 0xFDF0)))

MARK_TOKEN = re.compile(rf"{MARK}\d+{MARK_END}")


#: So many control sequences are made in advance.
_FEW = 4_096


def _token(number: int) -> str:
    return f"{MARK}{number:06}{MARK_END}"  # one width, so that columns of lines stay aligned


_FIRST_TOKENS = list(map(_token, range(_FEW)))


class Mark(NamedTuple):
    """A piece of the source that is not part of the running text. `position` counts characters of the clean text."""

    kind: Kind
    text: str
    position: int


@dataclass(frozen=True)
class Footnote:
    """The span `text[start:end]` of the clean text is the footnote with this label ("" when the source has none)."""

    label: str
    start: int
    end: int

    def __reduce__(self) -> tuple[Any, ...]:
        # To be pickled and copied where it is compiled and has no `__dict__`.
        return Footnote, (self.label, self.start, self.end)


@dataclass
class Marks:
    """The marks of one document while it is cleaned. Each is a control sequence in the stream until `settle`."""

    found: list[tuple[Kind, str]] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    doubts: set[Doubt] = field(default_factory=set)

    def mark(self, kind: Kind, text: str) -> str:
        """Remember a piece of text; return the control sequence that holds its place in the stream."""
        number = len(self.found)
        self.found.append((kind, text))
        return _FIRST_TOKENS[number] if number < _FEW else _token(number)

    def footnote(self, label: str, body: str) -> str:
        """Return `body` enclosed in the control sequences of a footnote."""
        self.labels.append(label)
        return f"{MARK}{_NOTE}{len(self.labels) - 1}{MARK_END}{body}{MARK}{_NOTE_END}"


@dataclass(frozen=True)
class Settled:
    """A clean text with the positions of its marks and footnotes."""

    text: str
    marks: tuple[Mark, ...]
    footnotes: tuple[Footnote, ...]


def visible(line: str) -> str:
    """The line without the control sequences of marks."""
    return without_marks(line) if MARK in line else line


def all_visible(lines: list[str]) -> list[str]:
    """The lines without the control sequences of marks."""
    if not are_marked(lines):
        return lines
    return [without_marks(line) if MARK in line else line for line in lines]


def cut(line: str, column: int) -> tuple[str, str]:
    """Cut a line before a column, counted without the control sequences of marks."""
    for token in MARK_TOKEN.finditer(line) if MARK in line else ():
        if len(visible(line[: token.start()])) > column:
            break
        column += len(token.group())
    return line[:column], line[column:]


def settle(stream: str, marks: Marks) -> Settled:
    """Take the control sequences out of a stream. White space on both sides of one becomes one separator.

    A mark stands behind the separator, where the next page or paragraph begins; the mark of a footnote stands before
    it, in the sentence that it belongs to.
    """
    text: str
    sequences: list[tuple[str, int, int, int, bool]]
    text, sequences = settled(stream)
    found: list[Mark] = []
    notes: list[Footnote] = []
    open_notes: list[tuple[str, int]] = []
    gap = place = -1
    for sign, number, before, behind, in_next_paragraph in sequences:
        if before != gap:
            gap = place = before
        if not sign:
            kind, piece = marks.found[number]
            if kind != "footnote_mark" or in_next_paragraph:
                place = behind
            found.append(tuple.__new__(Mark, (kind, piece, place)))  # three times as fast as `Mark(...)`
        elif sign == _NOTE:
            place = behind
            open_notes.append((marks.labels[number], behind))
        elif open_notes:
            label, start = open_notes.pop()
            notes.append(Footnote(label, min(start, before), before))
    return Settled(text, tuple(found), tuple(notes))
