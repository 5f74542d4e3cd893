"""HTML and XML: markup -> a stream of blocks, with page numbers, footnote marks and labels moved to marks.

Belongs here: what becomes of an element when it ends. Does not belong here: what an element is (`tags.py`), where it
ends (`elements.py`), what only the text shows (`blocks.py`, `endnotes.py`, `chrome.py`), hard-wrapped text inside
`<pre>` (`plain.py`), characters (`characters.py`).

The markup is split into texts and tags once, and each tag is replaced by what it means. There is no tree, so that
neither depth nor size of the markup matters.
"""

from __future__ import annotations

import re
from typing import Final

from courtlistener_assets.text import plain
from courtlistener_assets.text.blocks import text_of_blocks
from courtlistener_assets.text.characters import decode_references
from courtlistener_assets.text.chrome import is_page, without_links
from courtlistener_assets.text.elements import IN_TEXT, MARK_PIECES, Elements, Frame
from courtlistener_assets.text.endnotes import note_number
from courtlistener_assets.text.marks import (
    BLOCK,
    CELL,
    JOIN,
    LINE,
    LINK,
    LINK_END,
    MARK,
    MARK_TOKEN,
    PRE_LINE,
    Kind,
    Marks,
)
from courtlistener_assets.text.mojibake import repair_mojibake
from courtlistener_assets.text.star_pages import with_star_pages
from courtlistener_assets.text.tags import pieces_of, without_broken_tags

_PAGE_TEXT: Final = re.compile(r"(?:\*|page\s+|pg\.?\s+)?[*\[(]{0,2}[0-9ivxlc]{1,6}[\])]?", re.IGNORECASE)
_BREAKS: Final = re.compile(f"[{BLOCK}{LINE}{CELL}{JOIN}{PRE_LINE}]+")
_SIGNS: Final = f"{BLOCK}{LINE}{CELL}{JOIN}{PRE_LINE}{LINK}{LINK_END}"
_CONTROLS: Final = re.compile(f"[{_SIGNS}]+")
#: What is between texts: the signs, and what `repair` leaves of white space.
_EMPTY: Final = f"{_SIGNS} \n\t\f\xa0"
_LINES: Final = re.compile(f"{LINE}+")
_LABEL_REST: Final = re.compile(r"\s*[.):\]]\s+(?=\S)")
_BACK_LINK: Final = re.compile(
    r"[\[(]?(?:\u21a9\ufe0e?|[\u2191^]|(?:jump |go |return )?back(?: to (?:text|top))?)[\])]?", re.IGNORECASE
)
#: Before a number these say that it is no note's.
_NAMES_A_NUMBER: Final = re.compile(
    r"(?:[¶§]|\b(?:notes?|nn?\.|at|pages?|pp?\.|paras?\.?|paragraphs?|parts?|sections?))\s*\Z", re.I
)
_COLUMN_RULE: Final = re.compile(r"\s*(?:[)(:|}\]§][\s\xa0]*)+")
#: What parts the cells of a row in plain text.
_CELL_SPACE: Final = "     "
_ONE_CELL: Final = 2
_ROW_PIECES: Final = 400
_CELL_LENGTH: Final = 300
_ITEM_LENGTH: Final = 8
_NESTED_NOTES: Final = 3
_UNCLOSED_NOTE: Final = 5_000
#: So many long paragraphs are the opinion, whatever the element says that they are in.
_PROSE_PARTS, _PROSE_LENGTH = 3, 200


class _Reader(Elements):
    """Makes marks, footnotes, rows and lines of the elements of a document that has ended."""

    def __init__(self, pieces: list[str], marks: Marks, *, links: bool) -> None:
        super().__init__(pieces, links=links)
        self.marks = marks
        self.notes: list[tuple[str, str]] = []
        self.pre_characters = self.note_end = 0

    def closed(self, frame: Frame, end: int, *, ended: bool) -> None:
        role = frame.tag.role
        if role == "row" and self.rows == frame.rows:
            self._end_row(frame.first, end)
        elif role == "pre" and not self.roles["pre"]:
            self._end_pre(frame.first, end)
        elif role == "footnote":
            self._end_footnote(frame, end, ended=ended)
        elif role in IN_TEXT or (role == "boilerplate" and ended):
            self._end_mark(role, frame.first, end)

    def _replace(self, first: int, end: int, text: str) -> None:
        """Replace what stands between the tags at `first` and `end` by one text."""
        self.pieces[first + 1 : end] = [text, *[""] * (end - first - 2)]

    def _end_pre(self, first: int, end: int) -> None:
        text = "".join(self.pieces[first + 1 : end])
        self.pre_characters += len(text)
        self._replace(first, end, text.replace("\n", PRE_LINE))

    def _end_row(self, first: int, end: int) -> None:
        """Make one line of a row of a table, unless its cells are those of a page's layout."""
        if end - first > _ROW_PIECES:
            return
        cells = "".join(self.pieces[first + 1 : end]).split(CELL)
        long = max(map(len, cells)) > _CELL_LENGTH
        row = cells[0]
        for before, cell in zip(["", *cells[1:]], cells[1:], strict=False):
            if _COLUMN_RULE.fullmatch(bare := _CONTROLS.sub(" ", cell)):
                cell = self.marks.mark("rule", " ".join(bare.split()))
            elif not long:
                cell = (_BREAKS if len(cells) > _ONE_CELL else _LINES).sub(" ", cell)
            row += (CELL if not long else " " if len(before.strip()) <= _ITEM_LENGTH else BLOCK) + cell
        self._replace(first, end, row)

    def _end_mark(self, role: str, first: int, end: int) -> None:
        if end - first > MARK_PIECES and role != "boilerplate":
            return
        text = without_links("".join(self.pieces[first + 1 : end]))
        if MARK in text:
            return
        if role == "boilerplate" and sum(len(part) >= _PROSE_LENGTH for part in _BREAKS.split(text)) >= _PROSE_PARTS:
            return
        shown = decode_references(text)
        bare = " ".join((shown if shown.isascii() else _BREAKS.sub(" ", shown)).split())
        kind = self._kind(role, bare, first) if bare else None
        if kind:
            around = BLOCK if BLOCK in text else " "
            before, after = around if text[:1] != text.lstrip()[:1] else "", around if text[-1:].isspace() else ""
            self._replace(first, end, before + self.marks.mark(kind, bare) + after)

    def _kind(self, role: str, bare: str, first: int) -> Kind | None:
        if role == "page":
            return "page" if _PAGE_TEXT.fullmatch(bare) else None
        if role == "boilerplate":
            return "boilerplate"
        if role == "paragraph_number":
            return "paragraph_number"
        if note_number(bare) is None:
            back = role == "link" and self.roles.get("footnote") and _BACK_LINK.fullmatch(bare)
            return "boilerplate" if back else None
        if self._opens_footnote(first):
            return "footnote_label"
        before = self._text_before(first)
        if role == "sup" and (before[-1:].isdigit() or bare.isalpha()):
            return None  # a power, or old spelling (N<sup>o</sup>)
        return None if role == "link" and _NAMES_A_NUMBER.search(before) else "footnote_mark"

    def _text_before(self, first: int) -> str:
        """The end of the text before a tag, as far as a few pieces tell."""
        return without_links("".join(self.pieces[max(0, first - 6) : first]))[-20:]

    def _opens_footnote(self, first: int) -> bool:
        if not self.roles.get("footnote"):
            return False
        frame = next((frame for frame in self.frames[:-MARK_PIECES:-1] if frame.tag.role == "footnote"), None)
        if frame is None or first - frame.first > MARK_PIECES:
            return False
        return not "".join(self.pieces[frame.first + 1 : first]).strip(_EMPTY)

    def _end_footnote(self, frame: Frame, end: int, *, ended: bool) -> None:
        if self.roles["footnote"] > _NESTED_NOTES:
            return
        body = "".join(self.pieces[frame.first + 1 : end])
        if not ended and len(body) > _UNCLOSED_NOTE:
            return
        bare = body.lstrip(_EMPTY)
        if not bare:
            return
        label = frame.tag.label
        own = MARK_TOKEN.match(bare)
        if own:
            index = int(own.group()[1:-1])
            head, _, rest = body.partition(own.group())
            dot = _LABEL_REST.match(rest.replace(BLOCK, " "))
            kind, text = self.marks.found[index]
            if dot and kind == "footnote_label":
                self.marks.found[index] = (kind, text + dot.group().strip())
                rest = BLOCK + rest[dot.end() :]
            body = head + own.group() + rest
            label = label or note_number(text) or text
        self._replace(frame.first, end, "")
        between, self.note_end = "".join(self.pieces[self.note_end + 1 : frame.first]), end
        if not own and not label and self.notes and not between.lstrip(_EMPTY):
            self.notes[-1] = (self.notes[-1][0], self.notes[-1][1] + BLOCK + body)  # the note's next paragraph
        else:
            self.notes.append((label, body))


def stream_of(markup: str, marks: Marks) -> str:
    """Turn markup (repaired by `repair`) into a stream for `settle`: blocks parted by blank lines, notes at the end."""
    page = is_page(markup)
    reader = _Reader(pieces_of(markup), marks, links=page)
    reader.read()
    main = _text("".join(reader.pieces))
    if reader.pre_characters * 2 > len(main):
        main = without_links(main)
        for control, space in ((CELL, _CELL_SPACE), (LINE, "\n"), (PRE_LINE, "\n"), (JOIN, "\n\n"), (BLOCK, "\n\n")):
            main = main.replace(control, space)
        main = with_star_pages(plain.unwrap(main, marks), marks)
    else:
        main = text_of_blocks(main, marks, page=page)
    notes = (marks.footnote(label, text_of_blocks(_text(without_links(body)), marks)) for label, body in reader.notes)
    return "\n\n".join([main, *notes])


def _text(stream: str) -> str:
    return repair_mojibake(decode_references(without_broken_tags(stream)))
