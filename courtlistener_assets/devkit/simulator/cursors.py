"""Pages by cursor, with the server's weaknesses.

Belongs here: what a cursor is made of and leads to. Does not belong here: filters and page numbers.
What to expect: rows that share a position get lost or refused (a page of nothing but ties leads to a cursor that the
server itself does not accept), and an offset beyond 1000 leads to the same page for ever.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, urlencode

from courtlistener_assets.devkit.simulator.pacific import parse_moment
from courtlistener_assets.devkit.simulator.pagination import PAGE_SIZE, InvalidPage, Page, with_parameter
from courtlistener_assets.devkit.simulator.shapes import Record

_LARGEST_OFFSET = 1000


@dataclass(frozen=True)
class Cursor:
    """A place in an ordering: rows beyond `position`, the first `offset` of them skipped; backwards if `reverse`."""

    position: str | None = None
    offset: int = 0
    reverse: bool = False

    def encode(self) -> str:
        tokens = {"o": str(self.offset)} if self.offset else {}
        tokens |= {"r": "1"} if self.reverse else {}
        tokens |= {"p": self.position} if self.position is not None else {}
        return base64.b64encode(urlencode(tokens).encode()).decode()

    @classmethod
    def decode(cls, text: str) -> Cursor:
        try:
            tokens = parse_qs(base64.b64decode(text.encode("ascii")).decode("ascii"), keep_blank_values=True)
            offset = int(tokens.get("o", ["0"])[0])
            reverse = bool(int(tokens.get("r", ["0"])[0]))
        except ValueError:
            raise InvalidPage("Invalid cursor") from None
        if offset < 0:
            raise InvalidPage("Invalid cursor")
        # The server caps the offset, so that a cursor beyond it leads to the same page for ever.
        return cls(tokens.get("p", [None])[0], min(offset, _LARGEST_OFFSET), reverse)


def cursor_page(rows: list[Record], url: str, ordering: str, text: str | None) -> Page:
    """A page by cursor. `rows` are all rows in the order `ordering`, which is by one field."""
    cursor = Cursor.decode(text) if text else None
    if cursor and not _fits(cursor.position, ordering):
        raise InvalidPage("Invalid cursor")
    return _CursorPage(rows, ordering, cursor).page(url)


def _fits(position: str | None, ordering: str) -> bool:
    by_id = ordering.lstrip("-") == "id"
    if position is not None and position.isdigit():
        return by_id
    try:
        datetime.fromisoformat(position or "")
    except ValueError:
        return False
    return not by_id


class _CursorPage:
    """One page and what the next and the previous cursor are made of."""

    def __init__(self, rows: list[Record], ordering: str, cursor: Cursor | None) -> None:
        self.name, self.backwards = ordering.lstrip("-"), ordering.startswith("-")
        self.cursor = cursor or Cursor()
        given = cursor is not None and (self.cursor.position is not None or self.cursor.offset > 0)
        if self.cursor.reverse:
            rows = rows[::-1]
        beyond = self._beyond(rows)[self.cursor.offset :]
        self.rows = beyond[:PAGE_SIZE]
        follows = len(beyond) > PAGE_SIZE
        following = self._position(beyond[PAGE_SIZE]) if follows else None
        if self.cursor.reverse:
            self.rows = self.rows[::-1]
            self.has_next, self.next_position = given, self.cursor.position
            self.has_previous, self.previous_position = follows, following
        else:
            self.has_next, self.next_position = follows, following
            self.has_previous, self.previous_position = given, self.cursor.position

    def page(self, url: str) -> Page:
        next_cursor, previous_cursor = self._next(), self._previous()
        return Page(
            self.rows,
            with_parameter(url, "count", "on"),
            with_parameter(url, "cursor", next_cursor.encode()) if next_cursor else None,
            with_parameter(url, "cursor", previous_cursor.encode()) if previous_cursor else None,
        )

    def _beyond(self, rows: list[Record]) -> list[Record]:
        if self.cursor.position is None:
            return rows
        read = int if self.name == "id" else parse_moment
        edge: Any = read(self.cursor.position)
        if self.cursor.reverse != self.backwards:
            return [row for row in rows if self._value(row) < edge]
        return [row for row in rows if self._value(row) > edge]

    def _value(self, row: Record) -> Any:
        return row["id"] if self.name == "id" else parse_moment(row[self.name])

    def _position(self, row: Record) -> str:
        return str(self._value(row))

    def _next(self) -> Cursor | None:
        if not self.has_next:
            return None
        compare = self.next_position
        if self.rows and self.cursor.reverse and self.cursor.offset:
            compare = self._position(self.rows[-1])
        marker = self._marker(self.rows[::-1], compare)
        if marker:
            return marker
        if not self.has_previous:
            return Cursor(None, PAGE_SIZE)
        if self.cursor.reverse:
            return Cursor(self.previous_position, 0)
        return Cursor(self.previous_position, self.cursor.offset + PAGE_SIZE)

    def _previous(self) -> Cursor | None:
        if not self.has_previous:
            return None
        compare = self.previous_position
        if self.rows and not self.cursor.reverse and self.cursor.offset:
            compare = self._position(self.rows[0])
        marker = self._marker(self.rows, compare)
        if marker:
            return Cursor(marker.position, marker.offset, reverse=True)
        if not self.has_next:
            return Cursor(None, PAGE_SIZE, reverse=True)
        if self.cursor.reverse:
            return Cursor(self.next_position, self.cursor.offset + PAGE_SIZE, reverse=True)
        return Cursor(self.next_position, 0, reverse=True)

    def _marker(self, rows: list[Record], compare: str | None) -> Cursor | None:
        """The first row whose position differs from its neighbour's, and how many rows share the neighbour's."""
        if not rows:
            return Cursor(compare, 0)
        for offset, row in enumerate(rows):
            position = self._position(row)
            if position != compare:
                return Cursor(position, offset)
            compare = position
        return None
