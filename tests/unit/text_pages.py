"""Printed pages for the tests of plain text, and cleaning them so that nothing may be lost.

Belongs here: lines of invented prose, and what several tests ask of a clean text.
"""

from __future__ import annotations

from collections.abc import Iterator

from courtlistener_assets.text.cleaning import CleanText, clean
from tests.unit.text_reference import bare, rebuilt, source_text

TEXT = (
    "the lessee of the mill had paid for the water of the brook and the owner of the meadow above it dug a channel so "
    "that none came down in the dry months whereupon the wheel stood still and the grain was carried to the next valley"
)


def prose(lines: int, width: int = 9) -> list[str]:
    """Lines of one endless sentence, none of which begins or ends it."""
    words = TEXT.split() * (lines * width // 40 + 2)
    return [" ".join(words[line * (width - 1) : line * (width - 1) + width]) for line in range(lines)]


def pages(*, lines: int, count: int) -> Iterator[list[str]]:
    text = prose(lines * count)
    return (text[page * lines : (page + 1) * lines] for page in range(count))


def plain(text: str) -> CleanText:
    """Clean a plain text; nothing may be lost."""
    cleaned = clean(text, "plain_text")
    assert sorted(bare(rebuilt(cleaned))) == sorted(bare(source_text(text, markup=False)))
    return cleaned


def texts_of(cleaned: CleanText, kind: str) -> list[str]:
    return [mark.text for mark in cleaned.marks if mark.kind == kind]


def notes_of(cleaned: CleanText) -> list[str]:
    """The footnotes of a clean text."""
    return [cleaned.text[note.start : note.end] for note in cleaned.footnotes]


def numbered(lines: list[str], form: str) -> list[str]:
    """The lines of a page with their numbers."""
    return [form.format(number, line) for number, line in enumerate(lines, 1)]
