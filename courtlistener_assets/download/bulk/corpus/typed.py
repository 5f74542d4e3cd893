"""Rows of a bulk file as text, and what is joined to them -> columns with their types.

Belongs here: values. Does not belong here: which columns there are (`columns.py`), where rows go (`places.py`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as compute

from courtlistener_assets.download.bulk.corpus.columns import ADDED, schema_of
from courtlistener_assets.download.bulk.ids import ids_of
from courtlistener_assets.download.bulk.tables import CLUSTERS, DOCKETS, OPINIONS
from courtlistener_assets.download.bulk.work import Workshop
from resources.errors import DumpChanged

#: Ids whose links are looked up together.
_AT_ONCE = 20_000


@dataclass(frozen=True)
class Typed:
    """Makes the columns of tables; `work` has what is joined."""

    work: Workshop

    def table(self, file: str, rows: pa.Table) -> pa.Table:
        """The rows of a bulk file with all columns of their table. Raises DumpChanged for a value of another kind."""
        parts = [self._some(file, rows.slice(at, _AT_ONCE)) for at in range(0, max(1, rows.num_rows), _AT_ONCE)]
        return pa.concat_tables(parts)

    def _some(self, file: str, rows: pa.Table) -> pa.Table:
        schema = schema_of(file, rows.schema.names)
        columns = {name: _typed(file, schema.field(name), rows.column(name)) for name in rows.schema.names}
        for name, values in self._added(file, rows).items():
            columns[name] = pa.chunked_array([_array(values, ADDED[file][name])])
        return pa.table([columns[name] for name in schema.names], schema=schema)

    def _added(self, file: str, rows: pa.Table) -> dict[str, list[Any]]:
        makers: dict[str, Callable[[pa.Table], dict[str, list[Any]]]] = {
            DOCKETS.name: self._of_dockets,
            CLUSTERS.name: self._of_clusters,
            OPINIONS.name: self._of_opinions,
        }
        return makers[file](rows)

    def _of_dockets(self, rows: pa.Table) -> dict[str, list[Any]]:
        ids = ids_of(rows.column("id")).tolist()
        origins = self._rows("original_court_info", ids_of(rows.column("originating_court_information_id")).tolist())
        return {
            "absolute_url": _addresses("docket", ids, rows.column("slug").to_pylist()),
            "clusters": self._ids("clusters", ids),
            "original_court_info": [found[0] if found else None for found in origins],
        }

    def _of_clusters(self, rows: pa.Table) -> dict[str, list[Any]]:
        ids = ids_of(rows.column("id")).tolist()
        return {
            "absolute_url": _addresses("opinion", ids, rows.column("slug").to_pylist()),
            "citations": self._rows("citations", ids),
            **{name: self._ids(name, ids) for name in ("panel", "non_participating_judges", "sub_opinions")},
        }

    def _of_opinions(self, rows: pa.Table) -> dict[str, list[Any]]:
        ids, clusters = (ids_of(rows.column(name)).tolist() for name in ("id", "cluster_id"))
        slugs = self.work.joined("slug", clusters)
        return {
            "absolute_url": _addresses("opinion", clusters, [slugs[id][0] if id in slugs else "" for id in clusters]),
            **{name: self._ids(name, ids) for name in ("joined_by", "opinions_cited")},
        }

    def _ids(self, kind: str, owners: Sequence[int]) -> list[list[int]]:
        found = self.work.joined(kind, owners)
        return [found.get(owner, []) for owner in owners]

    def _rows(self, kind: str, owners: Sequence[int]) -> list[list[Any]]:
        found = self.work.joined(kind, (owner for owner in owners if owner))
        return [[json.loads(text) for text in found.get(owner, ())] for owner in owners]


def _addresses(kind: str, ids: Sequence[int], slugs: Sequence[str | None]) -> list[str]:
    return [f"/{kind}/{id}/{slug or ''}/" for id, slug in zip(ids, slugs, strict=True)]


def _typed(file: str, field: Any, column: Any) -> Any:
    try:
        return _cast(column, field.type)
    except (pa.ArrowInvalid, ValueError) as error:
        raise DumpChanged(f"{file}: {field.name} is no {field.type}: {str(error)[:200]}") from None


def _cast(values: Any, kind: pa.DataType) -> Any:
    """Text as another type; raises ArrowInvalid, or ValueError for what is neither t nor f."""
    if pa.types.is_boolean(kind):
        known = pa.array(["t", "f"])
        if not compute.all(compute.is_in(values.drop_null(), known)).as_py() and values.null_count < len(values):
            raise ValueError("neither t nor f")
        return compute.equal(values, pa.scalar("t"))
    return values if pa.types.is_string(kind) else values.cast(kind)


def _array(values: list[Any], kind: pa.DataType) -> pa.Array[Any]:
    """Python's values as an array; of structs, the values are text as in the file."""
    if pa.types.is_struct(kind):
        return _structs(values, kind)
    if pa.types.is_list(kind) and pa.types.is_struct(kind.value_type):
        ends = [0]
        for each in values:
            ends.append(ends[-1] + len(each))
        flat = _structs([row for each in values for row in each], kind.value_type)
        return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), flat)
    return pa.array(values, kind)


def _structs(rows: list[dict[str, str | None] | None], kind: pa.DataType) -> pa.Array[Any]:
    fields = [kind.field(number) for number in range(kind.num_fields)]
    columns = []
    for field in fields:
        texts = pa.array([row and row.get(field.name) for row in rows], pa.string())
        try:
            columns.append(_cast(texts, field.type))
        except (pa.ArrowInvalid, ValueError) as error:
            raise DumpChanged(f"{field.name} is no {field.type}: {str(error)[:200]}") from None
    missing = pa.array([row is None for row in rows], pa.bool_())
    return pa.StructArray.from_arrays(columns, fields=fields, mask=missing)
