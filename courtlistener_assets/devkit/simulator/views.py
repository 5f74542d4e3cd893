"""Lists, single objects and descriptions of endpoints, once a request is admitted.

Belongs here: query to body. Does not belong here: who may ask (`application.py`), faults, sockets.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs

from courtlistener_assets.devkit.simulator import responses
from courtlistener_assets.devkit.simulator.corpus import Corpus, as_served
from courtlistener_assets.devkit.simulator.endpoints import CITATIONS, ENDPOINTS, Endpoint, Filter, Relation
from courtlistener_assets.devkit.simulator.filters import InvalidParameters, matching, parse_filters
from courtlistener_assets.devkit.simulator.objects import Key, Objects
from courtlistener_assets.devkit.simulator.pagination import InvalidPage, cursor_page, numbered_page, sort_rows
from courtlistener_assets.devkit.simulator.responses import DETAIL_METHODS, LIST_METHODS, Request, Response
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
        """Return a page, and the objects that it shows."""
        parameters = parse_qs(request.query, keep_blank_values=True)
        key = _first_page_key(endpoint, parameters, request.host)
        cached = self._first_pages.get(key) if key else None
        if cached and self._clock() < cached[0]:
            return cached[1], cached[2]
        try:
            body, rows = self._list_body(endpoint, request, parameters)
        except InvalidParameters as error:
            return responses.json_response(400, error.body, LIST_METHODS), []
        except InvalidPage as error:
            return responses.detail(404, str(error), LIST_METHODS), []
        response = responses.json_response(200, as_served(responses.compact_json(body), request.base_url), LIST_METHODS)
        if key:
            self._first_pages[key] = (self._clock() + _FIRST_PAGE_SECONDS, response, rows)
        return response, rows

    def single(self, endpoint: Endpoint, text: str, request: Request) -> tuple[Response, list[Record]]:
        """Return one object by its id, and that object; or the reasons why there is none."""
        corpus = self._corpus.served
        parameters = parse_qs(request.query, keep_blank_values=True)
        key: Key | None = text if endpoint.text_key else int(text) if re.fullmatch(r"-?\d+", text) else None
        if key is None:
            return responses.detail(404, "Not found.", DETAIL_METHODS), []
        if endpoint.name == "clusters" and key in corpus.redirections:
            location = address("clusters", corpus.redirections[int(key)])
            headers = {"Vary": "Accept, origin, Cookie", "Allow": DETAIL_METHODS}
            return responses.moved(as_served(location, request.base_url), headers), []
        if endpoint.name == "clusters" and key in corpus.sealed:
            return responses.detail(410, "Cluster removed by court order", DETAIL_METHODS), []
        try:
            parse_filters(corpus, endpoint, parameters)
        except InvalidParameters as error:
            return responses.json_response(400, error.body, DETAIL_METHODS), []
        record = corpus.get(endpoint.name, key)
        if record is None:
            return responses.detail(404, f"No {endpoint.model} matches the given query.", DETAIL_METHODS), []
        body = responses.compact_json(_selected(record, parameters))
        return responses.json_response(200, as_served(body, request.base_url), DETAIL_METHODS), [record]

    def _list_body(self, endpoint: Endpoint, request: Request, parameters: Parameters) -> tuple[Any, list[Record]]:
        corpus = self._corpus.served
        with corpus.lock:
            asked = parameters.get("order_by", [endpoint.default_ordering])[-1]
            rows = self._rows(corpus, endpoint, parameters, asked)
            if parameters.get("count", [""])[-1] == "on":
                return {"count": len(rows)}, []
            if asked.lstrip("-") in endpoint.cursor_orderings:
                page = cursor_page(rows, request.url, asked, parameters.get("cursor", [None])[-1])
            else:
                page = numbered_page(rows, request.url, parameters.get("page", [None])[-1])
            results = [_selected(row, parameters) for row in page.rows]
        return {"count": page.count, "next": page.next, "previous": page.previous, "results": results}, page.rows

    def _rows(self, corpus: Objects, endpoint: Endpoint, parameters: Parameters, asked: str) -> list[Record]:
        """Return all rows in order. A walk changes only its id filter from page to page, so the rest is remembered."""
        node = parse_filters(corpus, endpoint, parameters)
        rest = {name: values for name, values in parameters.items() if name not in _PAGING and not _about_id(name)}
        key = (corpus.version, endpoint.name, asked, responses.compact_json(rest))
        rows = self._lists.get(key)
        if rows is None:
            known = [one for one in asked.split(",") if one.lstrip("-") in endpoint.orderings]
            found = matching(corpus, replace(node, id_predicates=[]))
            rows = sort_rows(found, known or [endpoint.default_ordering])
            self._lists[key] = rows
            if len(self._lists) > _CACHED_LISTS:
                self._lists.popitem(last=False)
        return [row for row in rows if all(test(row) for test in node.id_predicates)]


def _about_id(name: str) -> bool:
    return name.removesuffix("!") == "id" or name.startswith("id__")


_PAGING = {"cursor", "page", "page_size", "count", "fields", "omit", "order_by"}


def _first_page_key(endpoint: Endpoint, parameters: Parameters, host: str) -> tuple[str, str, str] | None:
    """Return what an unfiltered first page is cached under, for all accounts; None for any other query."""
    # That an empty value counts as none is how an empty cursor, elsewhere refused, is answered here.
    given = {name: values[-1] for name, values in parameters.items() if values[-1]}
    ordering = parameters.get("order_by", [endpoint.default_ordering])[-1]
    plain = given.keys() <= {"page_size", "count", "order_by"} and given.get("count") != "on"
    if not plain or ordering.lstrip("-") not in endpoint.cursor_orderings:
        return None
    return endpoint.name, ordering, host


# --- the parameters `fields` and `omit`


def _selected(record: Record, parameters: Parameters) -> Record:
    """Return the object with the keys asked for, in its own order; `recap_documents__id` reaches into nested ones."""
    wanted, unwanted = (parameters.get(name, [""])[-1].split(",") for name in ("fields", "omit"))
    return _select(record, list(filter(None, wanted)), list(filter(None, unwanted)))


def _select(record: Record, wanted: list[str], unwanted: list[str]) -> Record:
    shown = {}
    for key, value in record.items():
        inner_wanted, inner_unwanted = _below(key, wanted), _below(key, unwanted)
        if key in unwanted or (wanted and key not in wanted and not inner_wanted):
            continue
        if (inner_wanted or inner_unwanted) and isinstance(value, list):
            value = [_select(one, inner_wanted, inner_unwanted) if isinstance(one, dict) else one for one in value]
        shown[key] = value
    return shown


def _below(key: str, names: list[str]) -> list[str]:
    return [name.removeprefix(f"{key}__") for name in names if name.startswith(f"{key}__")]


# --- OPTIONS

_MEDIA = ["application/json", "text/html", "application/xml"]
_FORMS = ["application/json", "application/x-www-form-urlencoded", "multipart/form-data", "application/xml"]


def options_body(endpoint: Endpoint, corpus: Corpus, *, detail: bool) -> dict[str, Any]:
    """Describe an endpoint in short: name, media types, keys of an object, filters, orderings."""
    example = next(iter(corpus.table(endpoint.name)), {})
    keys = {
        key: {"type": "field", "required": False, "read_only": True, "label": key.replace("_", " ").capitalize()}
        for key in example
    }
    related = {
        name: {"type": "RelatedFilter", "lookup_types": f"See available filters for '{_plural(relation)}'"}
        for name, relation in endpoint.relations.items()
    }
    return {
        "name": endpoint.title.removesuffix("List") + "Instance" if detail else endpoint.title,
        "description": "",
        "renders": _MEDIA,
        "parses": _FORMS,
        "actions": {"PUT" if detail else "POST": keys},
        "filters": {name: _described(spec) for name, spec in endpoint.filters.items()} | related,
        "ordering": list(endpoint.orderings),
    }


def _described(spec: Filter) -> dict[str, Any]:
    choices = [{"value": int(value) if value.isdigit() else value, "display_name": value} for value in spec.choices]
    shown = {"type": spec.kind.value, "lookup_types": list(spec.lookups)}
    return shown | ({"choices": choices} if choices else {})


def _plural(relation: Relation) -> str:
    singular = ENDPOINTS.get(relation.target, CITATIONS).title.removesuffix(" List")
    regular = f"{singular[:-1]}ies" if singular.endswith("y") else f"{singular}s"
    return _PLURALS.get(singular, regular)


_PLURALS = {"Person": "People", "Audio": "Audio Files"}
