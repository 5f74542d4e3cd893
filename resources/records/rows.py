"""Rows of the record store as far as they hang together: courts, dates, parents and lists of children, no objects.

Belongs here: reading and locking them within a transaction. Does not belong here: changing them (`pages.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from psycopg.rows import class_row

from resources.connections.postgres import Connection
from resources.records.model import Record
from resources.records.tables import Relations, Table

_TRAILING_ID = re.compile(r"/(\d+)/?$")


@dataclass
class Row:
    """A row as it is stored, without the object; `lists` are the addresses in its lists of children, by table."""

    id: int
    court_id: str | None
    docket_id: int | None
    cluster_id: int | None
    docket_entry_id: int | None
    date_filed: date | None
    gone: bool
    lists: dict[str, list[str] | None]

    def listed(self, table: Table) -> frozenset[int] | None:
        """The ids of the children in the body's list; None if it has no such list."""
        found = self.lists.get(table.name)
        if not isinstance(found, list):
            return None
        return frozenset(int(match[1]) for each in found if (match := _TRAILING_ID.search(str(each))))


def key_of(table: Table, row: Row | Record) -> int | None:
    """The id of a row's parent, if it has one."""
    key: int | None = getattr(row, table.key) if table.key else None
    return key


@dataclass(frozen=True)
class Rows:
    """The rows of tables that hang together, in one transaction."""

    connection: Connection
    relations: Relations

    def read(self, table: Table, ids: Iterable[int | None], lock: str = "") -> dict[int, Row]:
        """Return the rows with these ids, locked as the clause `lock` says, in the order of their ids."""
        wanted = sorted({id for id in ids if id is not None})
        if not wanted:
            return {}
        lists = ", ".join(f"'{each.name}', body -> '{each.listed}'" for each in self.relations.listed_children(table))
        query = (
            "SELECT id, court_id, docket_id, cluster_id, docket_entry_id, date_filed, gone_at IS NOT NULL AS gone, "
            f"jsonb_build_object({lists}) AS lists FROM courtlistener.records "
            f"WHERE stream = %(stream)s AND id = ANY(%(ids)s) ORDER BY id {lock}"
        )
        with self.connection.cursor(row_factory=class_row(Row)) as cursor:
            rows = cursor.execute(query.encode(), {"stream": table.name, "ids": wanted}).fetchall()
        return {row.id: row for row in rows}

    def children_of(self, child: Table, key: str, ids: Iterable[int]) -> dict[int, frozenset[int]]:
        """Return the ids of the stored children of each of these, gone ones left out."""
        wanted = sorted(ids)
        found: dict[int, set[int]] = {id: set() for id in wanted}
        if wanted:
            rows = self.connection.execute(
                f"SELECT {key}, id FROM courtlistener.{child.name} WHERE {key} = ANY(%(ids)s) "
                "AND gone_at IS NULL".encode(),
                {"ids": wanted},
            )
            for parent, id in rows.fetchall():
                found[parent].add(id)
        return {id: frozenset(children) for id, children in found.items()}

    def ids_under(self, child: Table, key: str, ids: Sequence[int]) -> list[int]:
        """Return the ids of the stored children of any of these."""
        return [id for children in self.children_of(child, key, ids).values() for id in children]
