"""Spaces that a court reporter's program prints as dots in the middle of the line -> spaces, the dots as marks.

    ·4· · · · · Plaintiff,· · · ·:

Belongs here: telling a text with such spaces from one with bullets or leaders.
"""

from __future__ import annotations

from typing import Final

from courtlistener_assets.text.marks import Marks

_DOT: Final = "\xb7"
_MIN_SHARE: Final = 0.05


def without_dotted_spaces(text: str, marks: Marks) -> str:
    """Replace the dots by spaces, so that columns stay, where they are too many for bullets.

    The dots of a line are one mark at its end, since what stands at its beginning is judged.
    """
    if text.count(_DOT) < _MIN_SHARE * len(text):
        return text
    lines = text.split("\n")
    for index, line in enumerate(lines):
        if _DOT in line:
            lines[index] = line.replace(_DOT, " ") + marks.mark("rule", _DOT * line.count(_DOT))
    return "\n".join(lines)
