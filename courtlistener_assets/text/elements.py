"""Elements: which elements of a document are open, in markup that need not be well-formed.

Belongs here: start tags, end tags and those that HTML implies, and what nobody reads. Does not belong here: what a tag
is (`tags.py`) and what becomes of an element (`markup.py`).

There is no tree. Only elements that become something other than the text between them are kept on a stack.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Final

from courtlistener_assets.text.marks import BLOCK
from courtlistener_assets.text.tags import TAG_SIZE, Tag, known_tag, read_tag

#: The roles of what can be a mark within a sentence.
IN_TEXT: Final = frozenset(["page", "note", "link", "sup", "paragraph_number"])
#: An element with more pieces is no mark within a sentence.
MARK_PIECES: Final = 40
_SEARCH_DEPTH: Final = 50


class Frame:
    """An open element: its tag, the piece that is its start tag, how many rows had begun before it."""

    def __init__(self, tag: Tag, first: int, rows: int) -> None:
        self.tag = tag
        self.first = first
        self.rows = rows


class Elements(ABC):
    """Replaces the tags among the pieces of a document by what they mean, in place; those of links only if asked to.

    A subclass says in `closed` what becomes of an element that has ended.
    """

    def __init__(self, pieces: list[str], *, links: bool) -> None:
        self.pieces = pieces
        self.links = links
        self.frames: list[Frame] = []
        self.open: dict[str, int] = {}
        self.roles: dict[str, int] = {}
        self.last_ends: dict[str, int] = {}
        self.rows = 0

    def read(self) -> None:
        pieces, opened = self.pieces, self.open
        meant: dict[str, Tag] = {}
        index, size = 1, len(pieces)
        while index < size:
            source = pieces[index]
            tag = meant.get(source)
            if tag is None:
                tag = meant[source] = self._meant(source)
            if tag.plain and not opened:
                pieces[index] = tag.text
            elif tag.ends:
                self._end(tag, index)
            elif tag.role == "hidden":
                index = self._hide(tag, index)
            else:
                self._start(tag, index)
            index += 2
        while self.frames:
            self._close(self.frames[-1], size, ended=False)

    def _meant(self, source: str) -> Tag:
        return known_tag[self.links](source) if len(source) < TAG_SIZE else read_tag(source, links=self.links)

    # --- start and end tags ---

    def _start(self, tag: Tag, index: int) -> None:
        if self.frames:
            self._close_implied(tag, index)
        self.pieces[index] = tag.text
        if tag.role == "row":
            self.rows += 1
        if tag.role == "boilerplate" and self._last_end(tag.name) < index:
            return  # never closed: it would take the opinion with it
        if not tag.single and (not tag.plain or tag.name in self.open):
            self.frames.append(Frame(tag, index, self.rows))
            self.open[tag.name] = self.open.get(tag.name, 0) + 1
            self.roles[tag.role] = self.roles.get(tag.role, 0) + 1

    def _end(self, tag: Tag, index: int) -> None:
        self.pieces[index] = tag.text
        if tag.name not in self.open:
            return
        if tag.name == "table":
            self._close_cells(("td", "th", "tr"), index)
        while self.frames:
            frame = self.frames[-1]
            own = frame.tag.name == tag.name
            self._close(frame, index, ended=own)
            if own:
                if not frame.tag.text:
                    self.pieces[index] = ""
                return

    def _close_implied(self, tag: Tag, index: int) -> None:
        """Close what HTML closes without an end tag before this start tag."""
        if tag.role in ("cell", "row"):
            self._close_cells(("td", "th") if tag.role == "cell" else ("td", "th", "tr"), index)
        while tag.text == BLOCK and self.frames:
            frame = self.frames[-1]
            again = frame.tag.name == "p" or (frame.tag.name == "li" and tag.name == "li")
            if not again and not self._is_left_open(frame, index):
                return
            self._close(frame, index, ended=True)

    def _is_left_open(self, frame: Frame, index: int) -> bool:
        """Whether a mark in the text has its content, but a block begins, so that its end tag is missing."""
        if frame.tag.role not in IN_TEXT or frame.tag.text == BLOCK:
            return False
        return index - frame.first > MARK_PIECES or bool("".join(self.pieces[frame.first : index]).strip())

    def _close_cells(self, names: tuple[str, ...], index: int) -> None:
        """Close the cells (and the row) that are open in the innermost table."""
        for depth in range(len(self.frames) - 1, max(-1, len(self.frames) - _SEARCH_DEPTH), -1):
            name = self.frames[depth].tag.name
            if name in names:
                while len(self.frames) > depth:
                    self._close(self.frames[-1], index, ended=True)
            elif name in ("table", "tr"):
                return

    def _hide(self, tag: Tag, index: int) -> int:
        """Empty the pieces up to the end tag of an element that nobody reads; its end tag's index, or its own."""
        pieces, end = self.pieces, f"</{tag.name}"
        pieces[index] = ""
        if tag.single or self._last_end(tag.name) < index:
            return index
        place = index + 2
        while pieces[place][: len(end)].lower() != end:
            place += 2
        pieces[index + 1 : place + 1] = [""] * (place - index)
        return place

    def _last_end(self, name: str) -> int:
        """The index of the last end tag of this name, 0 if there is none."""
        if name not in self.last_ends:
            pieces, end = self.pieces, f"</{name}"
            ends = (place for place in range(len(pieces) - 2, 0, -2) if pieces[place][: len(end)].lower() == end)
            self.last_ends[name] = next(ends, 0)
        return self.last_ends[name]

    def _close(self, frame: Frame, end: int, *, ended: bool) -> None:
        self.frames.pop()
        name, role = frame.tag.name, frame.tag.role
        self.roles[role] -= 1
        self.open[name] -= 1
        if not self.open[name]:
            del self.open[name]
        if not frame.tag.plain and not self.roles.get("boilerplate"):
            self.closed(frame, end, ended=ended)

    @abstractmethod
    def closed(self, frame: Frame, end: int, *, ended: bool) -> None:
        """Change the pieces between `frame.first` and `end`. `ended`: by an end tag, written or implied."""
