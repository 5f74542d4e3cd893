"""Pages of 20, by number and by cursor, and the order of rows.

Belongs here: how a list is cut, with the server's weaknesses. Does not belong here: filters.
What to expect of cursors: rows that share a position get lost or refused (a page of nothing but ties leads to a cursor
that the server itself does not accept), and an offset beyond 1000 always leads to the same page.
"""

from __future__ import annotations

import base64
import operator
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

from courtlistener_assets.devkit.simulator.pacific import parse_moment
from courtlistener_assets.devkit.simulator.shapes import Record

PAGE_SIZE = 20
_DEEPEST_PAGE = 100


class InvalidPage(Exception):
    """A page or cursor that does not exist (404); the message is the server's."""


@dataclass(frozen=True)
class Page:
    """The rows of one page and the addresses beside it. `count` is a number, or an address that gives it."""

    rows: list[Record]
    count: int | str
    next: str | None
    previous: str | None


def with_parameter(url: str, name: str, value: str | None) -> str:
    """Replace a query parameter of an address (None: remove it); all are sorted as the server sorts them."""
    scheme, host, path, query, fragment = urlsplit(url)
    parameters = parse_qs(query, keep_blank_values=True)
    parameters.pop(name, None)
    if value is not None:
        parameters[name] = [value]
    return urlunsplit((scheme, host, path, urlencode(sorted(parameters.items()), doseq=True), fragment))


def value_of(row: Record, name: str) -> Any:
    """Return what rows are ordered by: a moment as such, anything else as it is stored."""
    return parse_moment(row[name]) if name in ("date_created", "date_modified", "date_upload") else row[name]


def sort_rows(rows: list[Record], orderings: list[str]) -> list[Record]:
    """Return rows (given by id) in the order asked for; nulls last, ties by id."""
    for ordering in reversed(orderings):
        name, descending = ordering.lstrip("-"), ordering.startswith("-")
        known = [row for row in rows if row[name] is not None]
        known.sort(key=lambda row: value_of(row, name), reverse=descending)
        rows = known + [row for row in rows if row[name] is None]
    return rows


def numbered_page(rows: list[Record], url: str, page: str | None) -> Page:
    """Return a page by its number, `last` included. `rows` are all rows in order; beyond page 100 nothing is served."""
    pages = max(1, -(-len(rows) // PAGE_SIZE))
    if page == "last":
        page = str(pages)
    if page is not None and not re.fullmatch(r"\s*[+-]?\d+\s*", page):
        raise InvalidPage("Invalid page: That page number is not an integer")
    number = int(page or 1)
    if number > _DEEPEST_PAGE:
        raise InvalidPage("Invalid page: Deep API pagination is not allowed. Please review API documentation.")
    if not 1 <= number <= pages:
        raise InvalidPage("Invalid page.")
    following = with_parameter(url, "page", str(number + 1)) if number < pages else None
    before = with_parameter(url, "page", str(number - 1) if number > 2 else None) if number > 1 else None
    return Page(rows[(number - 1) * PAGE_SIZE : number * PAGE_SIZE], len(rows), following, before)


# --- cursors

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
        # The server caps the offset, so a cursor beyond it always leads to the same page.
        return cls(tokens.get("p", [None])[0], min(offset, _LARGEST_OFFSET), reverse)


def cursor_page(rows: list[Record], url: str, ordering: str, text: str | None) -> Page:
    """Return a page by cursor. `rows` are all rows in the order `ordering`, which is by one field."""
    name, descending = ordering.lstrip("-"), ordering.startswith("-")
    cursor = Cursor() if text is None else Cursor.decode(text)
    if text is not None and not _fits(cursor.position, name):
        raise InvalidPage("Invalid cursor")
    rows = _beyond(rows[::-1] if cursor.reverse else rows, cursor, name, descending)
    shown = rows[:PAGE_SIZE]
    onward = str(value_of(rows[PAGE_SIZE], name)) if len(rows) > PAGE_SIZE else None
    if cursor.reverse:
        shown = shown[::-1]
    positions = [str(value_of(row, name)) for row in shown]

    def neighbor(*, back: bool) -> str | None:
        found = _neighbor(cursor, onward, positions if back else positions[::-1], back=back)
        return with_parameter(url, "cursor", found.encode()) if found else None

    return Page(shown, with_parameter(url, "count", "on"), neighbor(back=False), neighbor(back=True))


def _fits(position: str | None, name: str) -> bool:
    if position is not None and position.isdigit():
        return name == "id"
    try:
        datetime.fromisoformat(position or "")
    except ValueError:
        return False
    return name != "id"


def _beyond(rows: list[Record], cursor: Cursor, name: str, descending: bool) -> list[Record]:
    if cursor.position is not None:
        edge = int(cursor.position) if name == "id" else parse_moment(cursor.position)
        passes = operator.lt if cursor.reverse != descending else operator.gt
        rows = [row for row in rows if passes(value_of(row, name), edge)]
    return rows[cursor.offset :]


def _neighbor(cursor: Cursor, onward: str | None, positions: list[str], *, back: bool) -> Cursor | None:
    """Return the cursor of the page before or after, whose nearest row of this page comes first in `positions`.

    `onward` is the position of the first row beyond the page, in the direction in which the cursor walks.
    """
    straight = cursor.reverse == back
    here, there = (onward, cursor.position) if straight else (cursor.position, onward)
    if here is None:
        return None
    if not positions:
        return Cursor(here, 0, back)
    # The first row whose position differs, and how many rows share the one before it.
    edge = positions[0] if cursor.offset and not straight else here
    for offset, position in enumerate(positions):
        if position != edge:
            return Cursor(position, offset, back)
    if there is None:
        return Cursor(None, PAGE_SIZE, back)
    return Cursor(there, cursor.offset + PAGE_SIZE if straight else 0, back)
