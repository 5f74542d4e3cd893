"""Pages of 20 by number, the order of rows, and the addresses of the pages before and after.

Belongs here: what all pages share, and page numbers. Does not belong here: cursors (`cursors.py`), filters.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
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
    """An address with a query parameter replaced (None: removed), its parameters sorted as the server sorts them."""
    scheme, host, path, query, fragment = urlsplit(url)
    parameters = parse_qs(query, keep_blank_values=True)
    parameters.pop(name, None)
    if value is not None:
        parameters[name] = [value]
    return urlunsplit((scheme, host, path, urlencode(sorted(parameters.items()), doseq=True), fragment))


def sort_rows(rows: list[Record], orderings: list[str]) -> list[Record]:
    """Rows (given by id) in the order asked for; nulls last, ties by id."""
    for ordering in reversed(orderings):
        name, backwards = ordering.lstrip("-"), ordering.startswith("-")
        known = [row for row in rows if row[name] is not None]
        known.sort(key=_sort_key(name), reverse=backwards)
        rows = known + [row for row in rows if row[name] is None]
    return rows


def _sort_key(name: str) -> Callable[[Record], Any]:
    if name in ("date_created", "date_modified", "date_upload"):
        return lambda row: parse_moment(row[name])
    return lambda row: row[name]


def numbered_page(rows: list[Record], url: str, page: str | None) -> Page:
    """A page by its number, `last` included. `rows` are all rows in order; beyond page 100 nothing is served."""
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
