"""HTML and XML: markup -> a stream of blocks, with page numbers, footnote marks and labels moved to marks.

Belongs here: what an element means (a block, a line, a cell, a footnote, a page number, nothing). Does not belong
here: hard-wrapped text inside `<pre>`, which goes to `plain.py`, and characters (`characters.py`).

The parser calls `_Stream` for every event, so there is no tree: neither depth nor size of the markup matters.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from lxml import etree

from courtlistener_assets.text import plain
from courtlistener_assets.text.characters import decode_entities, repair
from courtlistener_assets.text.marks import BLOCK, CELL, JOIN, LINE, MARK_TOKEN, Kind, Marks

_IGNORED = frozenset(["head", "title", "script", "style", "template", "noscript", "iframe", "object", "svg"])
# fmt: off
_BLOCKS = frozenset({
    "address", "article", "aside", "attorneys", "author", "blockquote", "block_quote", "body", "caption", "center",
    "citation_line", "concurrence", "correction", "court", "date", "dd", "decisiondate", "disposition", "dissent",
    "div", "dl", "docketnumber", "dt", "fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4",
    "h5", "h6", "header", "headnotes", "history", "hr", "html", "judges", "li", "main", "nav", "ol", "opinion",
    "opinion_text", "otherdate", "p", "page", "parties", "posture", "pre", "section", "summary", "syllabus", "table",
    "ul",
})
# fmt: on
_FOOTNOTES = frozenset(("footnote", "footnote_body"))
_PAGE_TAGS = frozenset(("page-number", "page_number", "pagenumber", "page-label"))
_PAGE_CLASSES = frozenset(("page-label", "page-number", "star-pagination", "starpage", "pagenum", "page_number"))
_NOTE_TAGS = frozenset(("footnotemark", "footnote_reference", "footnote_number"))
_NOTE_CLASSES = frozenset(("footnote", "footnotemark", "footnote-ref", "footnote-reference", "fnref", "fn-ref"))
_NOTE_BLOCK_CLASSES = frozenset(("footnote", "footnote-body", "footnotebody"))
_NOTE_TEXT = re.compile(r"[\[(]?(?:fn|n\.?)?\s*(\d{1,3}|[a-z]|[*†‡§¶]{1,3})[\])]?\.?", re.IGNORECASE)
_PAGE_TEXT = re.compile(r"(?:\*|page\s+|pg\.?\s+)?[*\[(]{0,2}[0-9ivxlc]{1,6}[\])]?", re.IGNORECASE)
_BREAKS = re.compile(f"[{BLOCK}{LINE}{CELL}{JOIN}]")
_LABEL_REST = re.compile(r"\s*[.)\]]\s+(?=\S)")
#: A `<br>` after each of this many lines is how a converter kept the lines of a page, not how an author wrote them.
_WRAPPED_LINES = 6
#: What parts the cells of a row in plain text.
_CELL_SPACE = "     "


class _Stream:
    """Receives the parser's events and writes the stream. A frame of the stack is (tag, role, first part)."""

    def __init__(self, marks: Marks) -> None:
        self.marks = marks
        self.parts: list[str] = []
        self.notes: list[str] = []
        self.stack: list[tuple[str, str, int, str]] = []
        self.ignored = self.pre = self.cells = self.pre_characters = self.characters = 0

    # --- the parser's target interface ---

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        tag = tag.lower()
        role = _role(tag, attributes)
        label = attributes.get("label", "") if tag in _FOOTNOTES else attributes.get("href", "")
        self.ignored += role == "ignored"
        self.pre += tag == "pre"
        self.cells += role == "cell"
        if role == "block":
            self.parts.append(BLOCK)
        elif role in ("line", "cell"):
            self.parts.append(CELL if role == "cell" else " " if tag == "br" and self.cells else LINE)
        self.stack.append((tag, role, len(self.parts), label))

    def end(self, tag: str) -> None:
        tag = tag.lower()
        while self.stack:
            open_tag, role, first, label = self.stack.pop()
            self._close(open_tag, role, first, label)
            if open_tag == tag:
                break

    def data(self, text: str) -> None:
        if self.ignored:
            return
        if not text.isascii():
            text = repair(text)  # what references such as &shy; and &#146; stood for
        self.characters += len(text)
        if self.pre:
            self.pre_characters += len(text)
            text = text.replace("\n", LINE)
        self.parts.append(text)

    def comment(self, text: str) -> None:
        """Comments carry no text of the opinion."""

    def pi(self, target: str, text: str | None = None) -> None:
        """Processing instructions carry no text of the opinion."""

    def close(self) -> _Stream:
        while self.stack:
            self._close(*self.stack.pop())
        return self

    # --- what an element becomes when it ends ---

    def _close(self, tag: str, role: str, first: int, label: str) -> None:
        self.pre -= tag == "pre"
        self.cells -= role == "cell"
        if role == "ignored":
            self.ignored -= 1
        elif role == "block":
            self.parts.append(JOIN if tag == "author" else BLOCK)
        elif role == "footnote":
            self._end_footnote(first, label)
        elif role in ("page", "note", "link", "sup", "paragraph_number", "boilerplate"):
            self._end_mark(role, first)

    def _end_mark(self, role: str, first: int) -> None:
        text = "".join(self.parts[first:])
        bare = " ".join(_BREAKS.sub(" ", text).split())
        if not bare or MARK_TOKEN.search(text):
            return
        kind: Kind | None = None
        if role == "page":
            kind = "page" if _PAGE_TEXT.fullmatch(bare) else None
        elif role == "boilerplate" or role == "paragraph_number":
            kind = "boilerplate" if role == "boilerplate" else "paragraph_number"
        elif _NOTE_TEXT.fullmatch(bare) and (role != "sup" or self._is_raised_note(bare, first)):
            kind = "footnote_label" if self._opens_footnote(first) else "footnote_mark"
        if kind:
            around = BLOCK if BLOCK in text else " "
            before, after = around if text[:1] != text.lstrip()[:1] else "", around if text[-1:].isspace() else ""
            self.parts[first:] = [before, self.marks.mark(kind, bare), after]

    def _is_raised_note(self, bare: str, first: int) -> bool:
        """A raised number after a digit is a power, raised letters are old spelling (N<sup>o</sup>)."""
        before = self.parts[first - 1][-1:] if first else ""
        return not before.isdigit() and not bare.isalpha()

    def _opens_footnote(self, first: int) -> bool:
        opened = [frame[2] for frame in self.stack if frame[1] == "footnote"]
        return bool(opened) and not "".join(self.parts[opened[-1] : first]).strip(f" \n\t{BLOCK}{LINE}")

    def _end_footnote(self, first: int, label: str) -> None:
        body = "".join(self.parts[first:])
        own = MARK_TOKEN.match(body.lstrip(f" \n\t{BLOCK}{LINE}"))
        if own:
            index = int(own.group()[1:-1])
            head, _, rest = body.partition(own.group())
            dot = _LABEL_REST.match(rest.replace(BLOCK, " "))
            kind, text = self.marks.found[index]
            if dot and kind == "footnote_label":
                self.marks.found[index] = (kind, text + dot.group().strip())
                rest = BLOCK + rest[dot.end() :]
            body = head + own.group() + rest
            match = _NOTE_TEXT.fullmatch(text)
            label = label if label and not label.startswith("#") else (match[1] if match else text)
        del self.parts[first:]
        self.parts.append(BLOCK)
        self.notes.append(self.marks.footnote(label, body))


def _role(tag: str, attributes: Mapping[str, str]) -> str:
    classes = frozenset(attributes["class"].lower().split()) if "class" in attributes else frozenset()
    if tag in _IGNORED:
        return "ignored"
    if tag in _PAGE_TAGS or classes & _PAGE_CLASSES:
        return "page"
    if tag in _FOOTNOTES or (tag in ("div", "li", "p", "aside") and classes & _NOTE_BLOCK_CLASSES):
        return "footnote"
    if "jumpback" in classes or (tag == "div" and attributes.get("id") == "footer"):
        return "boilerplate"
    if tag in _NOTE_TAGS or (tag in ("a", "sup", "span") and classes & _NOTE_CLASSES):
        return "note"
    if tag == "span" and "num" in classes:
        return "paragraph_number"
    if tag == "a" and attributes.get("href", "").startswith("#"):
        return "link"
    if tag in ("br", "tr", "td", "th", "sup"):
        return {"br": "line", "tr": "line", "td": "cell", "th": "cell", "sup": "sup"}[tag]
    return "block" if tag in _BLOCKS and "inline" not in classes else "inline"


def stream_of(markup: str, marks: Marks) -> str:
    """Turn markup (repaired by `repair`) into a stream for `settle`: blocks parted by blank lines, notes at the end."""
    if not markup.strip():
        return ""
    parser = etree.HTMLParser(target=_Stream(marks), encoding="utf-8", huge_tree=True)
    parsed: _Stream = etree.HTML(markup.encode(), parser=parser)
    main, notes = decode_entities("".join(parsed.parts)), [decode_entities(note) for note in parsed.notes]
    if parsed.pre_characters * 2 > parsed.characters:
        for control, space in ((CELL, _CELL_SPACE), (LINE, "\n"), (JOIN, "\n\n"), (BLOCK, "\n\n")):
            main = main.replace(control, space)
        main = plain.unwrap(main, marks)
    else:
        main = _blocks(main, marks)
    return "\n\n".join([main, *(_blocks(note, marks) for note in notes)])


_GAP = re.compile(r"(?<=\S) {3,}(?=\S)")
_JOINED = re.compile(rf"{JOIN}[\s{BLOCK}{LINE}]*(?=[a-z(])")


def _blocks(stream: str, marks: Marks) -> str:
    stream = _JOINED.sub(" ", stream).replace(JOIN, BLOCK)
    cleaned = (_block(block, marks) for block in stream.split(BLOCK) if block and not block.isspace())
    return "\n\n".join(block for block in cleaned if block)


def _block(block: str, marks: Marks) -> str:
    if LINE not in block and CELL not in block:
        return _tidy(" ".join(block.split()))
    lines = block.split(LINE)
    if CELL not in block and len(lines) > _WRAPPED_LINES and sum(len(line) > 40 for line in lines) * 2 > len(lines):
        return plain.unwrap("\n".join(lines), marks)
    tidied = [
        _tidy(re.sub(rf"\s*{CELL}\s*", "\t", " ".join(_GAP.sub(CELL, line).split())).strip("\t ")) for line in lines
    ]
    return re.sub(r"\n{2,}", "\n\n", "\n".join(tidied).strip("\n"))


def _tidy(line: str) -> str:
    """Close the gap that an annotated citation leaves before a comma or semicolon."""
    return re.sub(r"(?<=[\w.)\]]) (?=[;,](?: |$))", "", line) if " ;" in line or " ," in line else line
