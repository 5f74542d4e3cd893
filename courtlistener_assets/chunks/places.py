"""Places: the columns that say where in its document a chunk stands.

Belongs here: putting together pages, headings, footnotes and quality for each chunk. Does not belong here: how any of
them is found (`pages.py`, `outline.py`, `footnotes.py`, `quality.py`).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import Any

from courtlistener_assets.chunks.chunking import Chunk
from courtlistener_assets.chunks.footnotes import Footnotes
from courtlistener_assets.chunks.outline import Outline
from courtlistener_assets.chunks.pages import Pages
from courtlistener_assets.chunks.quality import quality_of
from courtlistener_assets.text.cleaning import CleanText


def place_columns(cleaned: CleanText, chunks: Sequence[Chunk], ids: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The columns of each of a document's chunks, which have these ids."""
    notes = Footnotes(cleaned)
    pages, outline = Pages(cleaned, notes), Outline(cleaned.text)
    ends = [part.char_end for part in chunks]

    def cited_in(number: int) -> str | None:
        place = notes.cited_at[number]
        return None if place is None else ids[bisect_right(ends, place)]

    for part in chunks:
        first = part.char_start + len(part.text) - len(part.text.lstrip())
        last = max(first, part.char_start + len(part.text.rstrip()) - 1)
        outside = notes.outside(first, last)
        begin, end = outside or (first, last)
        yield {
            "page_start": pages.at(begin),
            "page_end": pages.at(end),
            "headings": outline.at(notes.citing(begin)),
            "is_footnote": outside is None,
            "footnotes": [
                {"label": notes.all[number].label, "cited_in": cited_in(number)}
                for number in notes.beginning_in(part.char_start, part.char_end)
            ],
            "quality": quality_of(part.text),
        }
