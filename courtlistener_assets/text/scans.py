"""Scans: what looks at each character of a whole text, and needs no more than what it is given.

Belongs here: the scans that `scans.pyx` has in a compiled form, which a compiled build imports instead of this module;
this one says what they do. Does not belong here: what is made of what they find.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from courtlistener_assets.text.patterns import by_first_letter

#: What control sequences are made of (`marks.py`).
_MARK, _MARK_END, _NOTE, _NOTE_END = "\ufdd3", "\ufdd4", "\ufdd5", "\ufdd6"
_TOKEN = re.compile(f"{_MARK}([0-9]+){_MARK_END}")
#: The longest number of a mark, with its signs.
_TOKEN_SIZE = 20
#: White space, the strongest first.
_SEPARATORS = ("\n\n", "\n", "\t")

_USUAL = bytes(range(0x20, 0x7F)) + b"\n\t\f"
#: Blank lines up to the last one, so that no paragraph begins with a line break.
_GAP = re.compile(r"\n\n+(?:\s*[\r\n])?")


def unusual_characters(text: str) -> str:
    """All characters of a text, in order, that are neither printable ASCII nor tabs or ends of lines and pages.

    They are few, so that what is looked for among them is found at once.
    """
    return text.encode("utf-8", "surrogatepass").translate(None, _USUAL).decode("utf-8", "surrogatepass")


def has_any(text: str, parts: Sequence[bytes]) -> bool:
    """Whether a text has any of these, each of which has five ASCII characters or more."""
    return any(part.decode() in text for part in parts)


class EndsWithF:
    """Finds certain ends of words in small letters: an f with or without a letter before it, and letters but no f."""

    def __init__(self, ends: Iterable[str]) -> None:
        rests = [f"{end.rpartition('f')[2]}(?<={end})" for end in ends]
        self._pattern = re.compile(f"f(?:{by_first_letter(rests)})(?![a-z])")

    def places(self, text: str) -> list[int]:
        """Where words of a text end so, in their order."""
        return [match.end() for match in self._pattern.finditer(text)]


def gap_ends(text: str) -> list[int]:
    """Where the blank lines of a text end."""
    return [gap.end() for gap in _GAP.finditer(text)]


def in_small_letters(text: str) -> str:
    """The same as `text.lower()`, several times as fast where all capitals are ASCII."""
    if text.isascii() or (unusual := unusual_characters(text)) != unusual.lower():
        return text.lower()
    return text.encode("utf-8", "surrogatepass").lower().decode("utf-8", "surrogatepass")


def without_marks(text: str) -> str:
    """The text without the control sequences of marks. Those of footnotes stay."""
    before, _, rest = text.partition(_MARK)
    token, end, behind = rest.partition(_MARK_END)
    return before + behind if end and _MARK not in behind and token.isdigit() else _TOKEN.sub("", text)


def marks_in(text: str) -> list[int]:
    """The numbers of the marks whose control sequences are in a text, in their order."""
    return [int(number) for number in _TOKEN.findall(text)]


def mark_at(text: str, place: int) -> int:
    """The number of the mark whose control sequence stands at a place in a text, -1 if none does."""
    if text[place : place + 1] != _MARK:
        return -1
    end = text.find(_MARK_END, place, place + _TOKEN_SIZE)
    number = text[place + 1 : end] if end > 0 else ""
    return int(number) if number.isdigit() else -1


def settled(stream: str) -> tuple[str, list[tuple[str, int, int, int, bool]]]:
    """A stream without control sequences, with one separator for all white space on both sides of each; and these.

    Of each control sequence: its sign ("" of a mark) and number, the place in the text before the separator and that
    behind it, and whether white space before it ends a paragraph.
    """
    pieces: list[str] = []
    sequences: list[tuple[str, int, int, int, bool]] = []
    waiting: list[tuple[str, bool]] = []
    space, length = "", 0
    for index, part in enumerate(stream.split(_MARK)):
        text = part
        if index:
            token, _, text = part.partition(_MARK_END) if part[:1] != _NOTE_END else (_NOTE_END, "", part[1:])
            waiting.append((token, "\n\n" in space))
        bare = text.lstrip()
        space += text[: len(text) - len(bare)]
        if bare:
            visible = bare.rstrip()
            separator = _separator(space) if space and length else ""
            if waiting:
                _place(waiting, length, length + len(separator), sequences)
            pieces += (separator, visible)
            length += len(separator) + len(visible)
            space = bare[len(visible) :]
    _place(waiting, length, length, sequences)
    return "".join(pieces), sequences


def _place(
    waiting: list[tuple[str, bool]], before: int, behind: int, sequences: list[tuple[str, int, int, int, bool]]
) -> None:
    for token, in_next in waiting:
        if token.isdigit() and token.isascii():
            sequences.append(("", int(token), before, behind, in_next))
        elif token[:1] == _NOTE:
            sequences.append((_NOTE, int(token[1:]), before, behind, in_next))
        else:
            sequences.append((_NOTE_END, 0, before, behind, in_next))
    waiting.clear()


def _separator(space: str) -> str:
    """The strongest white space around marks: a paragraph break, a line break, a space or nothing."""
    for separator in _SEPARATORS if space != " " else ():
        if separator in space:
            return separator
    return " " if space else ""
