"""Sentences that the number of a paragraph parts: one paragraph again.

Some publishers number what they print in its own lines, so that a quotation, and what follows it, has a number in the
middle of the sentence. What is set off without a number, as by an element of its own, stays so.

Belongs here: the judgement on two blocks of markup with such a number between. Does not belong here: page numbers
(`page_joins.py`), lines (`layout.py`).
"""

from __future__ import annotations

import re
from typing import Final

from courtlistener_assets.text.marks import MARK, Marks, visible
from courtlistener_assets.text.scans import mark_at

_ENDS: Final = (".", "?", "!", ":", ";")
_AFTER_END: Final = "\"'”\u2019)]*0123456789 "
_LINKS: Final = ("; and", "; or")
#: What begins an item of a list or names a quantity: `b. `, `iv) `, `x = `.
_ITEM: Final = re.compile(r"[a-z]{1,4}[.)]\s|[a-z] ?=")
_LOOK: Final = 400
#: A heading or the line of a caption has fewer small words.
_MIN_SMALL_WORDS: Final = 2


def joined_sentences(blocks: list[str], marks: Marks) -> list[str]:
    """Join each block that begins with a number and a small letter to the one above, if no sentence ends there."""
    result: list[str] = []
    numbers: list[str] = []
    for block in blocks:
        text = visible(block).lstrip() if block[0] == MARK else block
        if text is block and not numbers:
            result.append(block)
            continue
        begins = text is not block and _is_number(block, marks)
        if begins and not text:
            numbers.append(block)
            continue
        if (numbers or begins) and text[:1].islower() and result and not _ITEM.match(text) and _is_open(result[-1]):
            result[-1] = " ".join([result[-1], *numbers, block])
        else:
            result += numbers
            result.append(block)
        numbers = []
    return result + numbers


def _is_number(block: str, marks: Marks) -> bool:
    """Whether a block begins with the number of a paragraph."""
    number = mark_at(block, 0)
    return number >= 0 and marks.found[number][0] == "paragraph_number"


def _is_open(block: str) -> bool:
    """Whether a block ends in the middle of a sentence."""
    end = visible(block[-_LOOK:]).rstrip()
    line = end[end.rfind("\n") + 1 :]
    if "\t" in line or line.endswith(_LINKS) or line.rstrip(_AFTER_END).endswith(_ENDS):
        return False
    return sum(word[0].islower() for word in line.split()) >= _MIN_SMALL_WORDS
