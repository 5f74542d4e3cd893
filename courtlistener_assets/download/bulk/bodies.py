"""From a row of a bulk file, and what is joined to it, to the object that the API would have served.

Belongs here: values and addresses. Does not belong here: which columns there are (`tables.py`), finding what is joined
(`joins.py`). What cannot be had is absent, not null.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from courtlistener_assets.download.bulk.tables import (
    CITATIONS,
    CLUSTERS,
    DOCKETS,
    OPINIONS,
    ORIGINS,
    Field,
    ObjectTable,
)
from resources.errors import DumpChanged

Row = Mapping[str, str | None]
Body = dict[str, Any]

_API_TIME = ZoneInfo("America/Los_Angeles")
#: Python's own reading of times wants minutes in an offset, and before 3.11 six digits.
_OFFSET = re.compile(r"[+-]\d\d$")


@dataclass(frozen=True)
class Joined:
    """Ids, or rows, of other tables that belong to an object, by the field that shows them."""

    ids: Mapping[str, Iterable[int]] = field(default_factory=dict)
    rows: Mapping[str, Iterable[Row]] = field(default_factory=dict)
    cluster_slug: str = ""


class Bodies:
    """Makes objects with the addresses of a server, such as https://www.courtlistener.com/api/rest/v4."""

    def __init__(self, base_url: str) -> None:
        self._base = base_url.rstrip("/")

    def docket(self, row: Row, joined: Joined) -> Body:
        """A docket; `joined` has `clusters`, and its `original_court_info` if there is any."""
        body = self._object(DOCKETS, row)
        body["absolute_url"] = f"/docket/{body['id']}/{row['slug'] or ''}/"
        body["clusters"] = self._all("clusters", joined.ids.get("clusters", ()))
        body["original_court_info"] = None
        for origin in joined.rows.get("original_court_info", ()):
            body["original_court_info"] = self._object(ORIGINS, origin)
        if not row.get("idb_data_id"):
            body["idb_data"] = None
        return body

    def cluster(self, row: Row, joined: Joined) -> Body:
        """A cluster; `joined` has its `citations`, `panel`, `non_participating_judges` and `sub_opinions`."""
        body = self._object(CLUSTERS, row)
        body["absolute_url"] = f"/opinion/{body['id']}/{row['slug'] or ''}/"
        for name in ("panel", "non_participating_judges"):
            body[name] = self._all("people", joined.ids.get(name, ()))
        body["sub_opinions"] = self._all("opinions", joined.ids.get("sub_opinions", ()))
        body["citations"] = [self._values(CITATIONS, each) for each in joined.rows.get("citations", ())]
        return body

    def opinion(self, row: Row, joined: Joined) -> Body:
        """An opinion; `joined` has `joined_by`, `opinions_cited` and the slug of its cluster."""
        body = self._object(OPINIONS, row)
        body["absolute_url"] = f"/opinion/{body['cluster_id']}/{joined.cluster_slug}/"
        body["joined_by"] = self._all("people", joined.ids.get("joined_by", ()))
        body["opinions_cited"] = self._all("opinions", joined.ids.get("opinions_cited", ()))
        return body

    def _object(self, table: ObjectTable, row: Row) -> Body:
        values = self._values(table, row)
        return {"resource_uri": self._address(table.endpoint, row["id"] or ""), **values}

    def _values(self, table: ObjectTable, row: Row) -> Body:
        known = {each.column or name for name, each in table.fields.items()} | set(table.hidden)
        body = {name: self._value(table, name, each, row[each.column or name]) for name, each in table.fields.items()}
        return body | {name: value for name, value in row.items() if name not in known and name not in body}

    def _value(self, table: ObjectTable, name: str, shown: Field, text: str | None) -> Any:
        if text is None:
            return shown.null
        if text == "" and shown.empty is None:
            return None
        try:
            read = _READERS.get(shown.kind)
            return read(text) if read else self._address(shown.kind, text)
        except (ValueError, KeyError):
            raise DumpChanged(f"{table.name}: {name} is no {shown.kind}: {text[:100]!r}") from None

    def _address(self, endpoint: str, id: str | int) -> str:
        return f"{self._base}/{endpoint}/{id}/"

    def _all(self, endpoint: str, ids: Iterable[int]) -> list[str]:
        return [self._address(endpoint, id) for id in ids]


def api_time(text: str) -> str:
    """A time of a bulk file as the API writes it: Pacific time, with its offset."""
    return moment(text).astimezone(_API_TIME).isoformat()


def moment(text: str) -> datetime:
    """Read a time of a bulk file; raises ValueError if it is none, or has no offset."""
    read = datetime.fromisoformat(f"{text}:00" if _OFFSET.search(text) else text)
    if read.tzinfo is None:
        raise ValueError(text)
    return read


_READERS: dict[str, Callable[[str], Any]] = {
    "text": str,
    "number": int,
    "flag": {"t": True, "f": False}.__getitem__,
    "time": api_time,
}
