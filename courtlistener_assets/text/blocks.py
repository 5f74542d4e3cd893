"""Blocks of markup: a stream of blocks -> paragraphs, with the page numbers and notes that only the text shows.

Belongs here: how lines and cells make a paragraph, drawn rules. Does not belong here: elements and tags (`markup.py`,
`tags.py`), page numbers (`page_joins.py`), notes (`endnotes.py`), hard-wrapped lines (`plain.py`).
"""

from __future__ import annotations

import re
from typing import Final

from courtlistener_assets.text import plain
from courtlistener_assets.text.chrome import without_chrome
from courtlistener_assets.text.endnotes import with_footnotes
from courtlistener_assets.text.inline_notes import with_inline_notes
from courtlistener_assets.text.marks import BLOCK, CELL, JOIN, LINE, PRE_LINE, Marks
from courtlistener_assets.text.markup_scans import blocks_of, has_lines, one_line, tidied
from courtlistener_assets.text.page_joins import joined_at_pages, mended_words, take_pages, take_stars
from courtlistener_assets.text.sentence_joins import joined_sentences

_JOINED: Final = re.compile(rf"{JOIN}[\s{BLOCK}{LINE}]*(?=[a-z(])")
_CELLS: Final = re.compile(rf"\s*{CELL}\s*")
_BLANK_LINES: Final = re.compile(r"\n{3,}")
#: Between the parties of a caption.
_VERSUS: Final = re.compile(r"\n+(-? ?(?:vs?\.|versus|against) ?-?)(?:\n+|(?= [A-Z]))", re.IGNORECASE)
_FIRST_OF_VERSUS: Final = frozenset("-vVaA")
#: A `<br>` after each of this many lines is how a converter kept the lines of a page, not how an author wrote them.
_WRAPPED_LINES: Final = 6
_RULE: Final = re.compile(r"[-_=\u2013—]{5,}")
_RULES: Final = frozenset("-_=\u2013—")
_LONG_LINE, _ROW_WIDTH, _PAGE_WIDTH = 40, 60, 150
#: In a table every gap parts two cells; three spaces are the sign of a table.
_GAP, _GAPS = re.compile(r"(?<=\S) {3,}(?=\S)"), re.compile(r"(?<=\S) {2,}(?=\S)")


def text_of_blocks(stream: str, marks: Marks, *, page: bool = False) -> str:
    """Paragraphs parted by blank lines, of a stream of blocks with the control sequences of marks.

    Of a whole web `page`, the stream has the signs of links too, and the site's own parts become marks.
    """
    stream = _JOINED.sub(" ", stream).replace(JOIN, BLOCK) if JOIN in stream else stream
    blocks: list[str] = []
    lined = has_lines(stream)
    for block in blocks_of(stream):
        if lined and has_lines(block):
            blocks += [part for part in _lines(block, marks).split("\n\n") if part]
        elif block[0] in _RULES and _RULE.fullmatch(block):
            blocks.append(marks.mark("rule", block))
        else:
            blocks.append(block)
    if page:
        blocks = without_chrome(blocks, marks)
    if "[" in stream:
        take_pages(blocks, marks)
    if "*" in stream:
        take_stars(blocks, marks)
    paged = any(kind == "page" for kind, _ in marks.found)
    blocks = joined_sentences(joined_at_pages(blocks, marks) if paged else blocks, marks)
    blocks = with_inline_notes(blocks, marks)
    blocks = with_footnotes(blocks, marks)
    text = "\n\n".join(blocks)
    return mended_words(text, marks) if paged else text


def _lines(block: str, marks: Marks) -> str:
    """The text of a block of lines or cells."""
    if PRE_LINE in block:
        lines = block.replace(CELL, "     ").replace(LINE, PRE_LINE).split(PRE_LINE)
        if not _are_rows(lines):
            return plain.unwrap("\n".join(lines), marks)
        block = LINE.join(_GAPS.sub(CELL, line) for line in lines)
    if LINE not in block and CELL not in block:
        line = tidied(one_line(block))
        return marks.mark("rule", line) if _RULE.fullmatch(line) else line
    lines = block.split(LINE)
    if CELL not in block and _are_wrapped(lines):
        return plain.unwrap("\n".join(lines), marks)
    lines = [tidied(_in_cells(one_line(line))) for line in lines]
    text = "\n".join(lines).strip("\n")
    if "\n\n\n" in text:
        text = _BLANK_LINES.sub("\n\n", text)
    if any(line[:1] in _FIRST_OF_VERSUS for line in lines):
        text = _VERSUS.sub(r" \1 ", text)
    return text.strip()


def _in_cells(line: str) -> str:
    return (_CELLS.sub("\t", line) if CELL in line else line).strip("\t ")


def _are_rows(lines: list[str]) -> bool:
    """Whether lines of a `<pre>` are the rows of a table: mostly short, with wide gaps."""
    full = [line.strip() for line in lines if line.strip()]
    gaps = sum(bool(_GAP.search(line)) for line in full)
    return gaps * 2 >= len(full) and sum(len(line) > _ROW_WIDTH for line in full) * 2 < len(full)


def _are_wrapped(lines: list[str]) -> bool:
    """Whether lines are those of a printed page: many, mostly long, few with an end, none too wide for a page."""
    long = sum(len(line) > _LONG_LINE for line in lines)
    ended = sum(line.rstrip().endswith((",", ".", ";", ":")) for line in lines)
    many = len(lines) > _WRAPPED_LINES
    return many and long * 2 > len(lines) > ended * 2 and max(map(len, lines)) <= _PAGE_WIDTH
