"""Plain text: hard-wrapped lines of a printed page -> a stream of paragraphs.

Belongs here: the order of the steps. Does not belong here: what each decides: page furniture (`furniture.py`),
footnotes (`notes.py`), columns (`columns.py`), rows (`tables.py`), paragraphs (`layout.py`), cut words (`hyphens.py`),
markup (`markup.py`).
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Final

from courtlistener_assets.text.columns import in_reading_order
from courtlistener_assets.text.dotted_spaces import without_dotted_spaces
from courtlistener_assets.text.furniture import without_furniture
from courtlistener_assets.text.hyphens import Vocabulary, mend
from courtlistener_assets.text.layout import Layout
from courtlistener_assets.text.line_scans import ending_with
from courtlistener_assets.text.lines import Lines
from courtlistener_assets.text.marks import Marks
from courtlistener_assets.text.notes import without_footnotes
from courtlistener_assets.text.overprints import without_overprints, without_underlines
from courtlistener_assets.text.page_lines import PageLines
from courtlistener_assets.text.page_scans import lines_of
from courtlistener_assets.text.pleading import without_line_numbers
from courtlistener_assets.text.star_pages import with_star_pages

#: Pages without text, which a document may have by the million.
_EMPTY_PAGES: Final = re.compile(r"\f\s*\f")
#: Characters after which lines are not joined by a space alone.
_DASHES: Final = "-\u2010\u2013—"


def unwrap(text: str, marks: Marks) -> str:
    """Turn text (repaired by `repair`) into a stream for `settle`: paragraphs parted by blank lines, notes at the end.

    White space aside, every character of `text` is in the stream or in a mark. Columns are read left before right, and
    footnotes at the foot of a page follow the text that they interrupted; otherwise the order stays.
    """
    if "\f" in text:
        text = _EMPTY_PAGES.sub("\f", text)
    if "\t" in text:
        text = text.expandtabs(8)
    text = without_dotted_spaces(text, marks) if "\xb7" in text else text
    page = PageLines(lines_of(text))
    page = without_furniture(without_line_numbers(without_overprints(page, marks), marks), marks)
    words = Vocabulary(page.lines)
    lines, notes = without_footnotes(page, marks)
    body = in_reading_order(without_underlines(lines), marks)
    streams = _paragraphs([body], words, marks)
    for (label, _), note in zip(notes, _paragraphs([note for _, note in notes], words, marks), strict=True):
        streams.append(marks.footnote(label, note))
    return with_star_pages("\n\n".join(filter(None, streams)), marks)


def _paragraphs(parts: list[list[str]], words: Vocabulary, marks: Marks) -> list[str]:
    """The stream of each part. The layout is judged over all of them: a footnote alone has too few lines."""
    lines = Lines(parts)
    if not len(lines):
        return ["".join(trailing) for trailing in lines.trailing]
    separators = Layout(lines, marks).separators()
    for start in lines.starts[:-1]:
        separators[start : start + 1] = [""] if start < len(separators) else []
    texts = lines.texts
    for index in ending_with(texts, _DASHES):
        if index + 1 < len(texts) and separators[index + 1] == " ":
            texts[index], separators[index + 1] = mend(texts[index], texts[index + 1], words, marks)
    for index, before in lines.marks.items():
        separators[index] += before
    pieces = [""] * (2 * len(texts))
    pieces[::2], pieces[1::2] = separators, texts
    bounds = pairwise(2 * start for start in lines.starts)
    return ["".join(pieces[start:end]) + tail for (start, end), tail in zip(bounds, lines.trailing, strict=True)]
