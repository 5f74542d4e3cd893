"""Scans: what looks at each character of a whole text, and needs no more than what it is given.

Belongs here: the scans that `scans.pyx` has in a compiled form, which a compiled build imports instead of this module;
this one says what they do. Does not belong here: what is made of what they find.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

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


def gap_ends(text: str) -> list[int]:
    """Where the blank lines of a text end."""
    return [gap.end() for gap in _GAP.finditer(text)]


def one_line(text: str) -> str:
    """The text with each run of white space as one space. `repair` has left no other than these."""
    for space in "\n\xa0\t\f":
        if space in text:
            text = text.replace(space, " ")
    while (closed := text.replace("  ", " ")) is not text:
        text = closed
    return text.strip(" ")
