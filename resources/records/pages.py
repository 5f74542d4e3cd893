"""Storing records so that they fit together: children under their parents, and a note of whatever does not fit.

Belongs here: what one transaction does to the tables for a page. Does not belong here: checkpoints (`store.py`), which
months a row belongs to (`tables.py`), what does not fit afterwards (`misfits.py`). The rules are in docs/truth.md.

Rows are locked parents first, and by id within a table, so that two workers cannot deadlock.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from resources.connections.postgres import Connection
from resources.records.differences import forget_values
from resources.records.misfits import Misfits
from resources.records.model import Origin, Record
from resources.records.rows import Row, Rows, key_of
from resources.records.stale import StaleMonths
from resources.records.strays import Leaving
from resources.records.tables import Relations, Table

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


@dataclass
class PageWriter:
    """Stores the records of one transaction."""

    connection: Connection
    relations: Relations
    origin: Origin

    def __post_init__(self) -> None:
        self._rows = Rows(self.connection, self.relations)
        self._misfits = Misfits(self._rows, self.origin)
        self._stale = StaleMonths(self._rows)
        self._leaving = Leaving(self._rows)

    def store(self, records: Sequence[Record]) -> int:
        """Store records; returns how many are in scope."""
        newest: dict[str, dict[int, Record]] = defaultdict(dict)
        for record in records:  # A filter from parent to children repeats rows within a page.
            newest[record.stream][record.id] = record
        stored = 0
        for name in sorted(newest, key=lambda name: (self.relations.rank(name), name)):
            stored += self._store_table(self.relations[name], newest[name])
        return stored

    def mark_gone(self, table: Table, ids: Collection[int], reason: str) -> int:
        """Mark rows as gone, with what hangs on them; returns how many are newly marked. Their text is deleted."""
        self._misfits.seen(table, ids)
        return self._bury(table, ids, reason)

    def _bury(self, table: Table, ids: Collection[int], reason: str) -> int:
        with self.connection.cursor(row_factory=class_row(Row)) as cursor:
            params = {"stream": table.name, "ids": sorted(ids), "reason": reason}
            rows = cursor.execute(_MARK_GONE, params).fetchall() if ids else []
        if not rows:
            return 0
        gone, marked = [row.id for row in rows], len(rows)
        forget_values(self.connection, table.name, gone)
        self._stale.note(table, rows)
        for child in self.relations.tables:
            if child.nested_in == table:
                marked += self._bury(child, self._rows.ids_under(child, child.nested_key, gone), reason)
            elif child.parent == table and child.dated:  # It may have moved before its parent was deleted.
                for row in self._rows.read(child, self._rows.ids_under(child, child.key, gone)).values():
                    self._misfits.note("unlisted", child, row.id, row.court_id, row.docket_id)
            elif child.parent == table:
                self.connection.execute(_NO_CHILDREN, {"stream": child.name, "ids": gone})
                marked += self._bury(child, self._rows.ids_under(child, child.key, gone), reason)
        self._misfits.note_listing_parents(table, rows)
        return marked

    def detach(self, table: Table, id: int) -> None:
        """Take a nested record that exists out of the object that no longer has it, and out of every month.

        Not if it came with its present one: both were stored in the same transaction then.
        """
        assert table.nested_in is not None
        rows = self._rows.read(table, [id], "FOR NO KEY UPDATE")
        detached = self.connection.execute(
            "UPDATE courtlistener.records nested SET docket_id = NULL, docket_entry_id = NULL, court_id = NULL, "
            "fetched_at = now(), changed_at = now() WHERE stream = %(stream)s AND id = %(id)s AND NOT EXISTS ("
            "SELECT FROM courtlistener.records holder WHERE holder.stream = %(holders)s AND holder.gone_at IS NULL "
            f"AND holder.id = nested.{table.nested_key} AND holder.fetched_at = nested.fetched_at)".encode(),
            {"stream": table.name, "id": id, "holders": table.nested_in.name},
        )
        if detached.rowcount:
            self._stale.note(table, rows.values())
        self._misfits.seen(table, [id])

    def write_notes(self) -> None:
        """Write down what was noted; the last thing that the transaction does to the records."""
        self._misfits.write()
        self._stale.write()
        self._leaving.write()

    # --- one table --------------------------------------------------------------------------------------------------

    def _store_table(self, table: Table, records: Mapping[int, Record]) -> int:
        parents = self._locked_parents(table, records)
        before = self._rows.read(table, records, "FOR NO KEY UPDATE")
        wanted = {}
        for id, record in records.items():
            fits = id in before or self._in_scope(table, record, parents.get(id))
            if fits or self._is_needed(table, record):
                wanted[id] = _with_place_of(parents.get(id), record)
                if not fits or (id not in before and self._is_of_another_month(table, record)):
                    self._leaving.note_needed(wanted[id], self.origin)
        changed = self._upsert(list(wanted.values()))
        stored = {id: record for id, record in wanted.items() if id in changed}
        self._misfits.seen(table, stored)
        moved = [id for id, record in stored.items() if _has_moved(before.get(id), record)]
        new = [id for id in stored if changed[id]]
        # The months that moved descendants leave are found before they move.
        self._stale.note(table, [before[id] for id in new if id in before])
        self._leaving.note(table, before, stored)
        self._push_down(table, moved)
        self._stale.note(table, [stored[id] for id in new])
        for id, record in stored.items():
            self.mark_gone(table, record.replaces, f"merged into {id}")
        self._misfits.note_children(table, stored, before)
        self._misfits.note_parents(table, stored, parents, before)
        return len(wanted)

    def _locked_parents(self, table: Table, records: Mapping[int, Record]) -> dict[int, Row]:
        """Return the stored parents, by the ids of their children."""
        if table.parent is None:
            return {}
        keys = {id: key_of(table, record) for id, record in records.items()}
        rows = self._rows.read(table.parent, keys.values(), "FOR SHARE")
        return {id: rows[key] for id, key in keys.items() if key in rows}

    def _is_needed(self, table: Table, record: Record) -> bool:
        """Whether an object out of scope is stored all the same: what is stored and has moved to it must follow it."""
        if self.origin.looked_up:
            return any(self._rows.ids_under(child, child.key, [record.id]) for child in self.relations.children(table))
        known = [self._rows.read(child, record.lists.get(child.name, ())) for child in self.relations.children(table)]
        return bool(self.origin.court) and table.parent is not None and any(known)

    def _in_scope(self, table: Table, record: Record, parent: Row | None) -> bool:
        scope = self.origin.scope
        if scope is None:
            return True
        if table.parent and (parent is None or parent.gone):
            return False
        if (parent.court_id if parent else record.court_id) not in scope.courts:
            return False
        dated = record.date_filed if table.dated else parent.date_filed if parent else None
        return dated is None or scope.has(dated) or (self.origin.any_month and table.dated)

    def _is_of_another_month(self, table: Table, record: Record) -> bool:
        """Whether a decision is of no month of the scope; a docket of none may have a decision that is."""
        scope, day = self.origin.scope, record.date_filed
        return bool(scope and table.dated and table.parent and day and not scope.has(day))

    def _upsert(self, records: Sequence[Record]) -> dict[int, bool]:
        """Return the ids that were stored, and whether anything about them is new."""
        if not records:
            return {}
        common = {"tolerance": self.origin.tolerance, "asked_at": self.origin.asked_at}
        rows = [
            {**{name: getattr(record, name) for name in COLUMNS}, **common, "body": Jsonb(storable(record.body))}
            for record in sorted(records, key=lambda record: record.id)
        ]
        stored: dict[int, bool] = {}
        with self.connection.cursor() as cursor:
            cursor.executemany(_UPSERT, rows, returning=True)
            while True:
                stored |= {int(id): bool(new) for id, new in cursor.fetchall()}
                if not cursor.nextset():
                    return stored

    def _push_down(self, table: Table, ids: Sequence[int]) -> None:
        """Give descendants the court and docket of their parents."""
        for child in self.relations.children(table) if ids else ():
            moved = self.connection.execute(
                f"UPDATE courtlistener.{child.name} child SET court_id = parent.court_id, "
                f"docket_id = parent.docket_id, changed_at = now() FROM courtlistener.{table.name} parent "
                f"WHERE parent.id = ANY(%(ids)s) AND child.{child.key} = parent.id "
                "AND (child.court_id, child.docket_id) IS DISTINCT FROM (parent.court_id, parent.docket_id) "
                "RETURNING child.id".encode(),
                {"ids": list(ids)},
            ).fetchall()
            self._push_down(child, [id for (id,) in moved])


def _with_place_of(parent: Row | None, record: Record) -> Record:
    """The record with the court and docket of its parent, if that is stored."""
    if parent is None or parent.gone:
        return record
    return replace(record, court_id=parent.court_id, docket_id=parent.docket_id)


def _has_moved(before: Row | None, record: Record) -> bool:
    """Whether what hangs on it may have to follow."""
    return before is None or before.gone or (before.court_id, before.docket_id) != (record.court_id, record.docket_id)


def storable(value: Any) -> Any:
    """The same value with U+FFFD in place of what Postgres cannot hold: NUL, and halves of surrogate pairs."""
    if isinstance(value, str):
        return _UNSTORABLE.sub("�", value) if _UNSTORABLE.search(value) else value
    if isinstance(value, dict):
        return {storable(name): storable(item) for name, item in value.items()}
    if isinstance(value, list):
        return [storable(item) for item in value]
    return value


#: The columns of a row that are fields of a record.
COLUMNS = ("stream", "id", "docket_id", "cluster_id", "docket_entry_id", "court_id", "date_filed", "date_modified")

_UPSERT = """
INSERT INTO courtlistener.records AS stored
    (stream, id, docket_id, cluster_id, docket_entry_id, court_id, date_filed, date_modified, body)
VALUES (%(stream)s, %(id)s, %(docket_id)s, %(cluster_id)s, %(docket_entry_id)s, %(court_id)s, %(date_filed)s,
        %(date_modified)s, %(body)s)
ON CONFLICT (stream, id) DO UPDATE SET
    docket_id = excluded.docket_id, cluster_id = excluded.cluster_id, docket_entry_id = excluded.docket_entry_id,
    court_id = excluded.court_id, date_filed = excluded.date_filed, date_modified = excluded.date_modified,
    body = excluded.body, source = excluded.source, fetched_at = now(), gone_at = NULL, gone_reason = NULL,
    changed_at = CASE WHEN stored.gone_at IS NULL AND stored.body = excluded.body
        AND (stored.docket_id, stored.cluster_id, stored.docket_entry_id, stored.court_id, stored.date_filed)
            IS NOT DISTINCT FROM (excluded.docket_id, excluded.cluster_id, excluded.docket_entry_id,
                excluded.court_id, excluded.date_filed)
        THEN stored.changed_at ELSE now() END
WHERE stored.date_modified IS NULL OR excluded.date_modified IS NULL
    OR excluded.date_modified >= stored.date_modified - %(tolerance)s::interval
    OR stored.fetched_at < %(asked_at)s::timestamptz
RETURNING id, changed_at = now()
"""

_MARK_GONE = """
UPDATE courtlistener.records
SET gone_at = now(), changed_at = now(), gone_reason = %(reason)s, body = jsonb_build_object('id', id)
WHERE stream = %(stream)s AND id = ANY(%(ids)s) AND gone_at IS NULL
RETURNING id, court_id, docket_id, cluster_id, docket_entry_id, date_filed, true AS gone, '{}'::jsonb AS lists
"""

_NO_CHILDREN = """
DELETE FROM courtlistener.lookups WHERE kind = 'children' AND stream = %(stream)s AND id = ANY(%(ids)s)
"""
