"""What a row of a dump says about the stored object: nothing, that it is new, or that it has changed without a date.

Belongs here: which of two bodies is to be believed, and noting what differs. Does not belong here: comparing values
(`courtlistener_assets/download/bulk/comparison.py`), storing (`bulk.py`). The rules are in docs/bulk.md.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any

from psycopg.rows import class_row

from resources.connections.postgres import Connection
from resources.records.audit import AS_OF
from resources.records.differences import CHANGED, CHILDREN, MISSING, REVIVED, Difference
from resources.records.model import Record
from resources.records.rows import Rows, key_of
from resources.records.stale import partition_of
from resources.records.tables import Table

Body = Mapping[str, Any]
#: Where a body comes from: the API, bulk files, or the API with fields that bulk files have set right since.
API, BULK, MERGED = "api", "bulk", "merged"
_TAKEN = "taken from the dump"


@dataclass(frozen=True)
class Comparing:
    """How the store is compared with a dump of a day.

    `different` names the fields of a stored body that differ from the dump's, `merged` makes one body of both, `shown`
    is what a report has of a field. `children` are the fields that list an object's children. By stream, `sweeps` are
    those that make a month complete; of what was modified more than `overlap` before a month was, none may be missing.
    """

    dump: date
    different: Callable[[str, Body, Body], list[str]]
    merged: Callable[[Body, Body, list[str]], Body]
    shown: Callable[[str, Any, Any], list[Any]]
    children: Collection[str]
    sweeps: Mapping[str, Sequence[str]]
    overlap: timedelta
    _complete: dict[tuple[str, str], datetime | None] = field(default_factory=dict)

    def complete_as_of(self, connection: Connection, stream: str, court: str, day: date) -> datetime | None:
        """As of when a month was complete before this dump; None if it was not."""
        place = (stream, partition_of(court, day))
        if place not in self._complete:
            sweeps = list(self.sweeps[stream])
            params = {"asset": stream, "partition": place[1], "sweeps": sweeps, "count": len(set(sweeps))}
            row = connection.execute(AS_OF.encode(), {**params, "court": court}).fetchone()
            self._complete[place] = row[0] if row else None
        return self._complete[place]


@dataclass
class _Stored:
    id: int
    court_id: str | None
    source: str
    date_modified: datetime | None
    fetched_at: datetime
    gone_at: datetime | None
    body: Body


@dataclass
class Judge:
    """Judges the rows of one transaction; `found` are the differences."""

    connection: Connection
    rows: Rows
    comparing: Comparing
    as_of: datetime
    found: list[Difference] = field(default_factory=list)

    def judge(self, table: Table, records: Sequence[Record]) -> list[tuple[Record, str]]:
        """The records as they are to be stored, with their source; their stored rows are locked."""
        stored = self._stored(table, records)
        self._note_missing(table, [record for record in records if record.id not in stored])
        return [self._judged(_placed(record, stored.get(record.id)), stored.get(record.id)) for record in records]

    def _stored(self, table: Table, records: Sequence[Record]) -> dict[int, _Stored]:
        with self.connection.cursor(row_factory=class_row(_Stored)) as cursor:
            rows = cursor.execute(
                "SELECT id, court_id, source, date_modified, fetched_at, gone_at, body FROM courtlistener.records "
                "WHERE stream = %(stream)s AND id = ANY(%(ids)s)",
                {"stream": table.name, "ids": [record.id for record in records]},
            ).fetchall()
        return {row.id: row for row in rows}

    def _judged(self, record: Record, stored: _Stored | None) -> tuple[Record, str]:
        if stored is None:
            return record, BULK
        if stored.gone_at is not None:
            if stored.gone_at < self.as_of:
                self._note(record, REVIVED, None)
            return record, BULK
        if stored.fetched_at >= self.as_of or stored.date_modified != record.date_modified:
            return record, BULK
        names = self.comparing.different(record.stream, stored.body, record.body)
        if not names:
            return record, BULK
        fields = {name: self.comparing.shown(name, stored.body[name], record.body[name]) for name in names}
        self._note(record, CHANGED if set(names) - set(self.comparing.children) else CHILDREN, _TAKEN, fields)
        if stored.source == BULK:
            return record, BULK
        return replace(record, body=self.comparing.merged(stored.body, record.body, names)), MERGED

    def _note_missing(self, table: Table, records: Sequence[Record]) -> None:
        """Note those that the months were complete without, long after they were modified."""
        days: dict[int, date | None] = {record.id: record.date_filed for record in records}
        if not table.dated and table.parent and records:
            parents = self.rows.read(table.parent, (key_of(table, record) for record in records))
            days = {
                record.id: parents[key].date_filed if (key := key_of(table, record)) in parents else None
                for record in records
            }
        for record in records:
            day, modified = days[record.id], record.date_modified
            if day is None or modified is None or record.court_id is None:
                continue
            complete = self.comparing.complete_as_of(self.connection, table.name, record.court_id, day)
            if complete and modified + self.comparing.overlap < complete:
                self._note(record, MISSING, "stored from the dump")

    def _note(
        self, record: Record, kind: str, outcome: str | None, fields: Mapping[str, Sequence[Any]] | None = None
    ) -> None:
        self.found.append(
            Difference(
                self.comparing.dump,
                record.stream,
                record.id,
                kind,
                record.court_id,
                record.docket_id,
                fields or {},
                outcome,
            )
        )


def _placed(record: Record, stored: _Stored | None) -> Record:
    """A record whose parent is not stored stays in its court until the parent was looked up."""
    return replace(record, court_id=stored.court_id) if stored and record.court_id is None else record
