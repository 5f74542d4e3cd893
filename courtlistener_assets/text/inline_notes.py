"""Footnotes of converted word processor files: a note between the paragraphs, where its number stood in the text.

    <p>He filed a voluntary, "skeleton"</p><p>3:</p><p>A "skeleton" petition has no lists.</p><p>petition.</p>

Belongs here: telling such numbers from those of items, and joining the sentence around a note. Does not belong here:
notes at the end of a text (`endnotes.py`), at the foot of a printed page (`notes.py`).
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Final

from courtlistener_assets.text.marks import Marks
from courtlistener_assets.text.page_joins import runs_on

_LONGEST: Final = 4
_MIN_NOTES: Final = 2
#: A note may have lost its number.
_MAX_STEP: Final = 3
#: These converters also end a paragraph behind each note, wherever the sentence is.
_ARTICLE: Final = re.compile(r"\b(?:[Aa]n?|[Tt]he)\Z")


def with_inline_notes(blocks: list[str], marks: Marks) -> list[str]:
    """Enclose each block behind a number as a footnote, and join the text before and behind it if it goes on."""
    numbers = [index for index, block in enumerate(blocks[:-1]) if _is_number(block)]
    if not _count_up([int(blocks[index][:-1]) for index in numbers]):
        return blocks
    result: list[str] = []
    text = -1
    for index, block in enumerate(blocks):
        if index in numbers:
            continue
        if index and index - 1 in numbers:
            label = blocks[index - 1]
            result.append(marks.footnote(label[:-1], f"{marks.mark('footnote_label', label)} {block}"))
        elif text >= 0 and (text < len(result) - 1 or _ARTICLE.search(result[text])) and runs_on(result[text], block):
            result[text] += f" {block}"
        else:
            text = len(result)
            result.append(block)
    return result


def _is_number(block: str) -> bool:
    return block[-1] == ":" and len(block) <= _LONGEST and block[:-1].isdecimal()


def _count_up(numbers: list[int]) -> bool:
    """Whether numbers are those of all notes of a text, in their order."""
    if len(numbers) < _MIN_NOTES or numbers[0] > _MAX_STEP:
        return False
    return all(0 < after - before <= _MAX_STEP for before, after in pairwise(numbers))
