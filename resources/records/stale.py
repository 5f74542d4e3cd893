"""Partitions whose documents change: those of which something enters, leaves, or is another than before.

Belongs here: finding them, and writing them down. Does not belong here: reading their documents (`store.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date

from resources.records.misfits import UNDATED
from resources.records.model import Record
from resources.records.rows import Row, Rows, key_of
from resources.records.tables import Table


@dataclass
class StaleMonths:
    """The months of courts that the pages of one transaction change; None is the month of dockets without a date."""

    rows: Rows
    _months: set[tuple[str, date | None]] = field(default_factory=set)

    def write(self) -> None:
        """Write down what was noted."""
        partitions = sorted(partition_of(court, month) for court, month in self._months)
        if partitions:
            self.rows.connection.execute(_NOTE, {"partitions": partitions})

    def note(self, table: Table, rows: Iterable[Row | Record]) -> None:
        """Note the months that rows belong to, and those of the children that belong to months of their own."""
        rows = list(rows)
        if table.dated:
            for row in rows:
                self._note_month(row.court_id, row.date_filed)
            for child in self.rows.relations.children(table) if rows else ():
                if child.dated:
                    self._note_children(child, [row.id for row in rows])
        elif table.parent:
            for parent in self.rows.read(table.parent, {key_of(table, row) for row in rows}).values():
                self._note_month(parent.court_id, parent.date_filed)

    def _note_children(self, child: Table, ids: Sequence[int]) -> None:
        months = self.rows.connection.execute(
            f"SELECT DISTINCT court_id, date_trunc('month', date_filed)::date FROM courtlistener.{child.name} "
            f"WHERE {child.key} = ANY(%(ids)s) AND gone_at IS NULL".encode(),
            {"ids": list(ids)},
        )
        for court_id, month in months.fetchall():
            self._note_month(court_id, month)

    def _note_month(self, court_id: str | None, day: date | None) -> None:
        if court_id:
            self._months.add((court_id, day.replace(day=1) if day else None))


def partition_of(court_id: str, day: date | None) -> str:
    """Return the key of the partition to which a court and a date belong."""
    return f"{court_id}|{day.replace(day=1).isoformat() if day else UNDATED}"


_NOTE = """
INSERT INTO courtlistener.stale_partitions AS known (partition)
SELECT unnest(%(partitions)s::text[])
ON CONFLICT (partition) DO UPDATE SET last_at = now()
"""
