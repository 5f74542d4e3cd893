"""Whether children fit under the parents that are stored, so that these need not be asked for.

Belongs here: looking, before the children are stored. Does not belong here: storing them (`pages.py`), or what does not
fit afterwards (`misfits.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

from resources.connections.postgres import Connection
from resources.records.model import Record, Scope
from resources.records.rows import Row, Rows, key_of
from resources.records.tables import Relations, Table


def fit_under_parents(connection: Connection, relations: Relations, records: Sequence[Record], scope: Scope) -> bool:
    """Whether each of these records of one table has a parent that is stored in a court of the scope and lists it.

    What is of no month of the scope needs none. Records without any parent fit.
    """
    table = relations[records[0].stream] if records else Table("")
    if table.parent is None:
        return True
    stored = Rows(connection, relations).read(table.parent, (key_of(table, record) for record in records))
    return all(_fits(table, record, stored.get(key_of(table, record) or 0), scope) for record in records)


def _fits(table: Table, record: Record, parent: Row | None, scope: Scope) -> bool:
    if table.dated and record.date_filed and not scope.has(record.date_filed):
        return True
    if parent is None or parent.gone or parent.court_id not in scope.courts:
        return False
    return record.id in (parent.listed(table) or ())
