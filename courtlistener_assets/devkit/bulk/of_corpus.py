"""The bulk files that the simulated server would publish: rows of the objects that it holds at this moment.

Belongs here: the way back from an object to rows. Does not belong here: the form of files (`writing.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from courtlistener_assets.devkit.bulk.invented import COLUMNS
from courtlistener_assets.devkit.bulk.writing import Value, write_table
from courtlistener_assets.devkit.simulator.objects import Objects
from courtlistener_assets.devkit.simulator.shapes import Record, key_of
from courtlistener_assets.download.bulk.tables import CITATIONS, CLUSTERS, DOCKETS, OPINIONS, ORIGINS, ObjectTable

Row = Mapping[str, Value]


def write_corpus(
    objects: Objects, folder: Path, day: date, *, before: Callable[[str], object] = lambda table: None
) -> None:
    """Write all files of a dump of a day, of the objects as they are now.

    The server reads its tables one by one, hours apart: what happens to the objects before a table is read may be done
    by `before`, which is called with the name of each.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows: dict[str, list[Row]] = {}
    for name, made in _MAKERS.items():
        before(name)
        with objects.lock:
            rows[name] = list(made(objects))
    for name, columns in COLUMNS.items():
        write_table(folder, name, day, columns, ([row.get(column) for column in columns] for row in rows.get(name, ())))


def _row(table: ObjectTable, record: Record, **more: Value) -> Row:
    row: dict[str, Value] = dict(more)
    for name, shown in table.fields.items():
        value = record[name]
        if value is None and shown.empty is None:
            value = ""
        elif value == shown.null:
            value = None
        elif shown.kind == "time":
            value = f"{datetime.fromisoformat(value).astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}+00"
        elif shown.kind not in ("text", "number", "flag"):
            value = value.rstrip("/").rpartition("/")[2]
        row[shown.column or name] = value
    return row


def _dockets(objects: Objects) -> Iterator[Row]:
    for record in objects.dockets:
        origin = record["original_court_info"]
        yield _row(DOCKETS, record, originating_court_information_id=origin and origin["id"], view_count=0)


def _origins(objects: Objects) -> Iterator[Row]:
    for record in objects.dockets:
        if record["original_court_info"]:
            yield _row(ORIGINS, record["original_court_info"])


def _citations(objects: Objects) -> Iterator[Row]:
    number = 0
    for record in objects.clusters:
        for citation in record["citations"]:
            number += 1
            yield _row(CITATIONS, citation, id=number, cluster_id=record["id"])


def _links(endpoint: str, field: str, owner: str, value: str) -> Callable[[Objects], Iterator[Row]]:
    def rows(objects: Objects) -> Iterator[Row]:
        number = 0
        for record in objects.table(endpoint):
            for url in record[field]:
                number += 1
                yield {"id": number, owner: record["id"], value: key_of(url), "depth": 1}

    return rows


_MAKERS: dict[str, Callable[[Objects], Iterator[Any]]] = {
    DOCKETS.name: _dockets,
    CLUSTERS.name: lambda objects: (_row(CLUSTERS, record) for record in objects.clusters),
    OPINIONS.name: lambda objects: (_row(OPINIONS, record) for record in objects.opinions),
    CITATIONS.name: _citations,
    ORIGINS.name: _origins,
    "search_opinioncluster_panel": _links("clusters", "panel", "opinioncluster_id", "person_id"),
    "search_opinioncluster_non_participating_judges": _links(
        "clusters", "non_participating_judges", "opinioncluster_id", "person_id"
    ),
    "search_opinion_joined_by": _links("opinions", "joined_by", "opinion_id", "person_id"),
    "citation-map": _links("opinions", "opinions_cited", "citing_opinion_id", "cited_opinion_id"),
}
