"""What differs between a stored object and the same one in bulk files, in the fields that both have.

Belongs here: when two values are the same, and one body made of two. Does not belong here: which of them is to be
believed (`resources/records/judging.py`), objects that only one side has (`absent.py`).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from courtlistener_assets.download.bulk.tables import CITATIONS, CLUSTERS, DOCKETS, OPINIONS, ORIGINS

Body = Mapping[str, Any]

_TABLES = {table.endpoint: table for table in (DOCKETS, CLUSTERS, OPINIONS)}
#: Nested objects show what their own table has, and more.
_NESTED = {"original_court_info": ORIGINS}
#: The lists of an object's children, which follow from the children themselves.
CHILDREN = frozenset({"clusters", "sub_opinions"})
#: An object's address has a part that is made of these.
_ADDRESSED_BY = {"slug", "cluster_id"}
_API = re.compile(r"https?://[^/]+/api/rest/v\d+/")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d")
#: Longer texts are shown by their length and a hash, and those of opinions always.
_SHOWN_CHARACTERS = 100
_SHOWN_ITEMS = 20
_TEXTS = ("plain_text", "html", "xml")


def different(stream: str, stored: Body, dumped: Body) -> list[str]:
    """The names of the fields that both have and that differ, but for the date of modification."""
    table = _TABLES[stream]
    names = [*table.fields, *table.joined]
    return [
        name
        for name in names
        if name != "date_modified"
        and name in stored
        and name in dumped
        and not _is_same(name, stored[name], dumped[name])
    ]


def merged(stored: Body, dumped: Body, names: list[str]) -> dict[str, Any]:
    """The stored object with these fields as the files have them; what they cannot have stays."""
    body = dict(stored)
    for name in names:
        old, new = stored[name], dumped[name]
        if name in _NESTED and isinstance(old, dict) and isinstance(new, dict) and old.get("id") == new.get("id"):
            new = {**old, **new}
        body[name] = new
    if _ADDRESSED_BY & set(names) and "absolute_url" in stored:
        body["absolute_url"] = dumped["absolute_url"]
    return body


def shown(name: str, stored: Any, dumped: Any) -> list[Any]:
    """Both values of a field as a report has them; of lists, what only one of them has."""
    if isinstance(stored, list) and isinstance(dumped, list):
        old, new = Counter(map(_text, stored)), Counter(map(_text, dumped))
        return [_items(old - new), _items(new - old)]
    return [_short(name, stored), _short(name, dumped)]


def _is_same(name: str, stored: Any, dumped: Any) -> bool:
    if stored == dumped:
        return True
    if isinstance(stored, list) and isinstance(dumped, list):
        if name == "citations":
            stored, dumped = _common(stored), _common(dumped)
        return Counter(map(_text, stored)) == Counter(map(_text, dumped))
    if name in _NESTED and isinstance(stored, dict) and isinstance(dumped, dict):
        known = [field for field in _NESTED[name].fields if field in stored and field in dumped]
        return all(_bare(stored[field]) == _bare(dumped[field]) for field in known)
    return bool(_bare(stored) == _bare(dumped))


def _common(citations: list[Any]) -> list[Any]:
    return [
        {field: _bare(value) for field, value in each.items() if field in CITATIONS.fields}
        for each in citations
        if isinstance(each, dict)
    ]


def _bare(value: Any) -> Any:
    """A value without what says the same in another way: the host of an address, the zone of a time."""
    if not isinstance(value, str):
        return value
    if _TIME.match(value):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return value
        return moment.timestamp() if moment.tzinfo else value
    return _API.sub("", value, count=1) if value.startswith("http") else value


def _text(value: Any) -> str:
    return value if isinstance(value := _bare(value), str) else json.dumps(value, sort_keys=True)


def _items(items: Counter[str]) -> list[str]:
    some = sorted(items.elements())
    left = [f"and {len(some) - _SHOWN_ITEMS:,} more"] if len(some) > _SHOWN_ITEMS else []
    return [_cut(item) for item in some[:_SHOWN_ITEMS]] + left


def _short(name: str, value: Any) -> Any:
    if isinstance(value, str):
        if value and name.startswith(_TEXTS):
            return _digest(value)
        return _digest(value) if len(value) > _SHOWN_CHARACTERS else value
    if isinstance(value, (dict, list)):
        return _cut(json.dumps(value, sort_keys=True))
    return value


def _cut(text: str) -> str:
    return text if len(text) <= 2 * _SHOWN_CHARACTERS else text[: 2 * _SHOWN_CHARACTERS - 1] + "…"


def _digest(text: str) -> str:
    return f"{len(text):,} characters, SHA-256 {hashlib.sha256(text.encode(errors='surrogatepass')).hexdigest()[:12]}"
