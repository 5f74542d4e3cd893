"""Marks: what a cleaner takes out of the running text, and where it stood.

Belongs here: the value types `Mark` and `Footnote`, the control characters that represent them while a text is being
cleaned, and `settle`. Does not belong here: any decision about what is a mark (`markup.py`, `furniture.py`).

A cleaner never deletes a character that a reader can see. It moves it into a mark, so that putting every mark back at
its position gives the source again, white space aside.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal[
    "page",  # star pagination, *617
    "footnote_mark",  # the number in the sentence
    "footnote_label",  # the number before the footnote's own text
    "paragraph_number",  # numbers that a publisher put beside the paragraphs
    "page_number",
    "running_head",  # heads, feet and watermarks repeated from page to page
    "line_number",  # pleading paper
    "rule",  # drawn lines and column borders
    "hyphen",  # at the end of a line, inside a word
    "boilerplate",  # back links, a transcriber's licence note
]

# Unicode noncharacters: never valid in a text that is exchanged, so `repair` removes them from every input.
BLOCK, LINE, CELL = "\ufdd0", "\ufdd1", "\ufdd2"
_MARK, _END, _NOTE, _NOTE_END = "\ufdd3", "\ufdd4", "\ufdd5", "\ufdd6"
JOIN = "\ufdd7"
CONTROLS = "".join(map(chr, range(0xFDD0, 0xFDF0)))

# The first character is one of few, which is what the search for a token is fast by.
_TOKEN = rf"[{_MARK}{_NOTE}{_NOTE_END}](?:(?<={_NOTE_END})|\d+{_END})"
_RUN = re.compile(rf"{_TOKEN}(?:\s*{_TOKEN})*\s*")
_ONE = re.compile(rf"([{_MARK}{_NOTE}])(\d+){_END}|({_NOTE_END})")
MARK_TOKEN = re.compile(rf"{_MARK}\d+{_END}")


@dataclass(frozen=True)
class Mark:
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


@dataclass
class Marks:
    """The marks of one document while it is cleaned. Each is a control sequence in the stream until `settle`."""

    found: list[tuple[Kind, str]] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)

    def mark(self, kind: Kind, text: str) -> str:
        """Remember a piece of text; return the control sequence that holds its place in the stream."""
        self.found.append((kind, text))
        return f"{_MARK}{len(self.found) - 1:06}{_END}"  # one width, so that columns of lines stay aligned

    def footnote(self, label: str, body: str) -> str:
        """Return `body` enclosed in the control sequences of a footnote."""
        self.labels.append(label)
        return f"{_NOTE}{len(self.labels) - 1}{_END}{body}{_NOTE_END}"


@dataclass(frozen=True)
class Settled:
    """A clean text with the positions of its marks and footnotes."""

    text: str
    marks: tuple[Mark, ...]
    footnotes: tuple[Footnote, ...]


def visible(line: str) -> str:
    """The line without the control sequences of marks."""
    return MARK_TOKEN.sub("", line) if _MARK in line else line


def settle(stream: str, marks: Marks) -> Settled:
    """Take the control sequences out of a stream. White space on both sides of one becomes one separator."""
    pieces: list[str] = []
    placed: list[Mark] = []
    notes: list[Footnote] = []
    open_notes: list[tuple[str, int]] = []
    length = position = 0
    for run in _RUN.finditer(stream):
        before = stream[position : run.start()]
        piece = before.rstrip()
        pieces.append(piece)
        length += len(piece)
        position = run.end()
        space = before[len(piece) :] + run.group()
        separator = _separator(space) if length and position < len(stream) else ""
        pieces.append(separator)
        for token in _ONE.finditer(run.group()):
            if token[1] == _MARK:
                kind, text = marks.found[int(token[2])]
                placed.append(Mark(kind, text, length + len(separator)))
            elif token[1] == _NOTE:
                open_notes.append((marks.labels[int(token[2])], length + len(separator)))
            elif open_notes:
                label, start = open_notes.pop()
                notes.append(Footnote(label, min(start, length), length))
        length += len(separator)
    pieces.append(stream[position:])
    return Settled("".join(pieces), tuple(placed), tuple(notes))


def _separator(run: str) -> str:
    """The strongest white space around marks: a paragraph break, a line break, a space or nothing."""
    for separator in ("\n\n", "\n", "\t"):
        if separator in run:
            return separator
    return " " if any(map(str.isspace, run)) else ""
