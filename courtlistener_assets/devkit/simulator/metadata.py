"""What an endpoint says about itself when it is asked with OPTIONS, in short.

Belongs here: that answer. Does not belong here: the rules that it lists (`endpoints.py`).
"""

from __future__ import annotations

from typing import Any

from courtlistener_assets.devkit.simulator.corpus import Corpus
from courtlistener_assets.devkit.simulator.endpoints import ENDPOINTS, Endpoint, Filter, Kind

_MEDIA = ["application/json", "text/html", "application/xml"]
_FORMS = ["application/json", "application/x-www-form-urlencoded", "multipart/form-data", "application/xml"]
_FILTER_NAMES = {
    Kind.NUMBER: "NumberFilter", Kind.TEXT: "CharFilter", Kind.DATE: "DateFilter", Kind.MOMENT: "IsoDateTimeFilter",
    Kind.BOOLEAN: "BooleanFilter", Kind.CHOICE: "ChoiceFilter", Kind.MULTIPLE_CHOICE: "MultipleChoiceFilter",
}  # fmt: skip


def options_body(endpoint: Endpoint, corpus: Corpus, *, detail: bool) -> dict[str, Any]:
    """Name, media types, the keys of an object with few words on each, filters, orderings."""
    title = endpoint.title.removesuffix("List") + "Instance" if detail else endpoint.title
    return {
        "name": title,
        "description": "",
        "renders": _MEDIA,
        "parses": _FORMS,
        "actions": {"PUT" if detail else "POST": _fields(endpoint, corpus)},
        "filters": _filters(endpoint),
        "ordering": list(endpoint.orderings),
    }


def _fields(endpoint: Endpoint, corpus: Corpus) -> dict[str, Any]:
    example = next(iter(corpus.table(endpoint.name)), {})
    return {
        key: {"type": "field", "required": False, "read_only": True, "label": key.replace("_", " ").capitalize()}
        for key in example
    }


def _filters(endpoint: Endpoint) -> dict[str, Any]:
    plain = {name: _described(spec) for name, spec in endpoint.filters.items()}
    return plain | {
        name: {
            "type": "RelatedFilter",
            "lookup_types": f"See available filters for '{_plural(ENDPOINTS[relation.target])}'",
        }
        for name, relation in endpoint.relations.items()
    }


def _described(spec: Filter) -> dict[str, Any]:
    choices = [{"value": value, "display_name": value} for value in spec.choices]
    shown = {"type": _FILTER_NAMES[spec.kind], "lookup_types": list(spec.lookups)}
    return shown | ({"choices": choices} if choices else {})


def _plural(endpoint: Endpoint) -> str:
    singular = endpoint.title.removesuffix(" List")
    return f"{singular[:-1]}ies" if singular.endswith("y") else f"{singular}s"
