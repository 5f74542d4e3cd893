"""Text: an object of the API -> its clean text.

Belongs here: which field is read, and which cleaner reads it. Does not belong here: how a cleaner works
(`markup.py` for markup, `plain.py` for the lines of a page).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from courtlistener_assets.text import markup, plain
from courtlistener_assets.text.characters import (
    decode_entities,
    lost_hyphens,
    lost_ligatures,
    repair,
)
from courtlistener_assets.text.marks import Footnote, Mark, Marks, settle
from courtlistener_assets.text.mojibake import has_mojibake, may_be_mojibake
from courtlistener_assets.text.scans import unusual_characters

#: Changes whenever the same field can give another clean text.
CLEANER_VERSION: Final = "5"

#: The fields of an opinion that can hold its text, best first: CourtListener's own order, and a scan after
#: the edited text of the same books.
OPINION_FIELDS: Final = (
    "html_with_citations",
    "xml_harvard",
    "xml_scan",
    "html_columbia",
    "html_lawbox",
    "html_anon_2020",
    "html",
    "plain_text",
)
_ELEMENT: Final = re.compile(r"<(?:/?[a-zA-Z][\w:-]{0,60}(?:[\s/][^<>]{0,4000})?>|!--|!DOCTYPE|\?xml)", re.IGNORECASE)
#: Replacement characters, and the private ones by which a PDF names glyphs of its own font.
_LOST: Final = re.compile(r"[\ufffd\ue000-\uf8ff]")

LOST_LIGATURES: Final = "lost_ligatures"
LOST_CHARACTERS: Final = "lost_characters"
LOST_HYPHENS: Final = "lost_hyphens"
MOJIBAKE: Final = "mojibake"


@dataclass(frozen=True)
class CleanText:
    """The text of one document, in paragraphs parted by a blank line.

    `source` is the name of the API's field. `marks` are the characters that were moved out of the text, `footnotes` the
    spans of the text that are footnotes. `flags` may hold `lost_ligatures` (the PDF's font lost fi, fl, ff),
    `lost_characters` (it has replacement characters or glyphs of a private font), `lost_hyphens` (words that lines had
    cut are in two parts), `mojibake` (characters were read in a wrong encoding, and it is not certain which), and what
    the layout does not show for certain (`marks.Doubt`). `text` is "" when the field holds only markup.
    """

    text: str
    source: str
    marks: tuple[Mark, ...] = ()
    footnotes: tuple[Footnote, ...] = ()
    flags: frozenset[str] = frozenset()

    def __reduce__(self) -> tuple[Any, ...]:
        # To be pickled and copied where it is compiled and has no `__dict__`.
        return CleanText, (self.text, self.source, self.marks, self.footnotes, self.flags)

    @property
    def footnote_spans(self) -> list[tuple[int, int]]:
        """Where the footnotes begin and end, as the chunker is told."""
        return [(note.start, note.end) for note in self.footnotes]


def opinion_text(body: Mapping[str, Any]) -> CleanText | None:
    """Clean the text of an opinion from the best field that has any; None if no field has.

    Fields with only white space are skipped. A field with markup but no text is used only if no other has text.
    """
    empty: CleanText | None = None
    for field in OPINION_FIELDS:
        value = body.get(field)
        if isinstance(value, str) and value.strip():
            cleaned = clean(value, field)
            if cleaned.text:
                return cleaned
            empty = empty or cleaned
    return empty


def recap_document_text(body: Mapping[str, Any]) -> CleanText | None:
    """Clean the text of a RECAP document (`plain_text`); None if it has none."""
    value = body.get("plain_text")
    return clean(value, "plain_text") if isinstance(value, str) and value.strip() else None


def clean(value: str, source: str) -> CleanText:
    """Clean one field. Fields other than `plain_text` are read as markup if they have any."""
    marks = Marks()
    repaired = repair("".join((value,)))  # of a class derived from str, too, of which compiled scans know nothing
    if source != "plain_text" and _ELEMENT.search(repaired):
        stream = markup.stream_of(repaired, marks)
    else:
        stream = plain.unwrap(decode_entities(repaired), marks)
    settled = settle(stream, marks)
    return CleanText(settled.text, source, settled.marks, settled.footnotes, _flags(settled.text) | marks.doubts)


def _flags(text: str) -> frozenset[str]:
    unusual = "" if text.isascii() else unusual_characters(text)
    signs = {
        LOST_LIGATURES: lost_ligatures(text),
        LOST_CHARACTERS: bool(_LOST.search(unusual)),
        LOST_HYPHENS: lost_hyphens(text),
        MOJIBAKE: may_be_mojibake(unusual) and has_mojibake(text),
    }
    return frozenset(flag for flag, is_found in signs.items() if is_found)
