"""Lists and single objects of the API, once a request is admitted.

Belongs here: query to body. Does not belong here: who may ask (`application.py`), faults, sockets.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs

from courtlistener_assets.devkit.simulator.corpus import Corpus, Key, as_served
from courtlistener_assets.devkit.simulator.cursors import cursor_page
from courtlistener_assets.devkit.simulator.endpoints import Endpoint
from courtlistener_assets.devkit.simulator.fields import select_fields
from courtlistener_assets.devkit.simulator.filters import InvalidParameters, UnknownParameters, matching, parse_filters
from courtlistener_assets.devkit.simulator.pagination import InvalidPage, numbered_page, sort_rows
from courtlistener_assets.devkit.simulator.responses import (
    DETAIL_METHODS,
    LIST_METHODS,
    Request,
    Response,
    compact_json,
    detail,
    json_answer,
    moved,
)  # fmt: skip
from courtlistener_assets.devkit.simulator.shapes import Record, address

_FIRST_PAGE_SECONDS = 600
_CACHED_LISTS = 512

Parameters = dict[str, list[str]]


class Views:
    """Answers for lists and objects. `clock` (seconds) ages the cache of unfiltered first pages."""

    def __init__(self, corpus: Corpus, clock: Callable[[], float]) -> None:
        self._corpus, self._clock = corpus, clock
        self._first_pages: dict[tuple[str, str, str], tuple[float, Response, list[Record]]] = {}
        self._lists: OrderedDict[Any, list[Record]] = OrderedDict()

    def listing(self, endpoint: Endpoint, request: Request) -> tuple[Response, list[Record]]:
        """A page, and the objects that it shows."""
        parameters = parse_qs(request.query, keep_blank_values=True)
        key = _first_page_key(endpoint, parameters, request.host)
        cached = self._first_pages.get(key) if key else None
        if cached and self._clock() < cached[0]:
            return cached[1], cached[2]
        try:
            body, rows = self._list_body(endpoint, request, parameters)
        except UnknownParameters as error:
            return _unknown(error, LIST_METHODS), []
        except InvalidParameters as error:
            return json_answer(400, error.errors, LIST_METHODS), []
        except InvalidPage as error:
            return detail(404, str(error), LIST_METHODS), []
        answer = json_answer(200, as_served(compact_json(body), request.base_url), LIST_METHODS)
        if key:
            self._first_pages[key] = (self._clock() + _FIRST_PAGE_SECONDS, answer, rows)
        return answer, rows

    def single(self, endpoint: Endpoint, text: str, request: Request) -> tuple[Response, list[Record]]:
        """One object by its id, and that object; or the reasons why there is none."""
        parameters = parse_qs(request.query, keep_blank_values=True)
        key: Key | None = text if endpoint.text_key else int(text) if text.isdigit() else None
        if key is None:
            return detail(404, "Not found.", DETAIL_METHODS), []
        if endpoint.name == "clusters" and key in self._corpus.redirections:
            location = address("clusters", self._corpus.redirections[int(key)])
            return moved(as_served(location, request.base_url), _object_headers()), []
        if endpoint.name == "clusters" and key in self._corpus.sealed:
            return detail(410, "Cluster removed by court order", DETAIL_METHODS), []
        try:
            parse_filters(self._corpus, endpoint, parameters)
        except UnknownParameters as error:
            return _unknown(error, DETAIL_METHODS), []
        except InvalidParameters as error:
            return json_answer(400, error.errors, DETAIL_METHODS), []
        record = self._corpus.get(endpoint.name, key)
        if record is None:
            return detail(404, f"No {endpoint.model} matches the given query.", DETAIL_METHODS), []
        body = compact_json(select_fields(record, parameters))
        return json_answer(200, as_served(body, request.base_url), DETAIL_METHODS), [record]

    def _list_body(self, endpoint: Endpoint, request: Request, parameters: Parameters) -> tuple[Any, list[Record]]:
        with self._corpus.lock:
            asked = parameters.get("order_by", [endpoint.default_ordering])[-1]
            rows = self._rows(endpoint, parameters, asked)
            if parameters.get("count", [""])[-1] == "on":
                return {"count": len(rows)}, []
            if asked.lstrip("-") in endpoint.cursor_orderings:
                page = cursor_page(rows, request.url, asked, parameters.get("cursor", [None])[-1])
            else:
                page = numbered_page(rows, request.url, parameters.get("page", [None])[-1])
            results = [select_fields(row, parameters) for row in page.rows]
        return {"count": page.count, "next": page.next, "previous": page.previous, "results": results}, page.rows

    def _rows(self, endpoint: Endpoint, parameters: Parameters, asked: str) -> list[Record]:
        """All rows in order. A walk changes only its id filter from page to page, so the rest is remembered."""
        node = parse_filters(self._corpus, endpoint, parameters)
        rest = {name: values for name, values in parameters.items() if name not in _PAGING and not _about_id(name)}
        key = (self._corpus.version, endpoint.name, asked, compact_json(rest))
        rows = self._lists.get(key)
        if rows is None:
            known = [one for one in asked.split(",") if one.lstrip("-") in endpoint.orderings]
            found = matching(self._corpus, replace(node, id_predicates=[]))
            rows = sort_rows(found, known or [endpoint.default_ordering])
            self._remember(key, rows)
        return [row for row in rows if all(test(row) for test in node.id_predicates)]

    def _remember(self, key: Any, rows: list[Record]) -> None:
        self._lists[key] = rows
        while len(self._lists) > _CACHED_LISTS:
            self._lists.popitem(last=False)


def _about_id(name: str) -> bool:
    return name.removesuffix("!") == "id" or name.startswith("id__")


_PAGING = {"cursor", "page", "page_size", "count", "fields", "omit", "order_by"}


def _first_page_key(endpoint: Endpoint, parameters: Parameters, host: str) -> tuple[str, str, str] | None:
    """What an unfiltered first page is cached under, for all accounts; None for any other query."""
    given = {name: values[-1] for name, values in parameters.items() if values[-1]}
    ordering = parameters.get("order_by", [endpoint.default_ordering])[-1]
    plain = given.keys() <= {"page_size", "count", "order_by"} and given.get("count") != "on"
    if not plain or ordering.lstrip("-") not in endpoint.cursor_orderings:
        return None
    return endpoint.name, ordering, host


def _unknown(error: UnknownParameters, allow: str) -> Response:
    body = {"detail": "Unknown filter parameters are not allowed.", "unknown_params": error.names}
    return json_answer(400, body, allow)


def _object_headers() -> dict[str, str]:
    return {"Vary": "Accept, origin, Cookie", "Allow": DETAIL_METHODS}
