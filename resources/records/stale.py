"""Partitions whose documents change: those of which something enters, leaves, or is another than before.

Belongs here: finding them, and writing them down. Does not belong here: reading their documents (`store.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from resources.connections.postgres import Connection, Database
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
        note_stale(self.rows.connection, sorted(partition_of(court, month) for court, month in self._months))

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


class StalePartitions:
    """Reads and closes what was written down."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def partitions(self, *, quiet_seconds: float = 0.0) -> list[tuple[str, datetime]]:
        """The partitions whose documents have changed since they were taken, and when last.

        Left out are those that have changed within `quiet_seconds`, unless they have been waiting for ten times that.
        """
        return [(str(partition), last_at) for partition, last_at in self._database.rows(
            "SELECT partition, last_at FROM courtlistener.stale_partitions "
            "WHERE last_at <= now() - make_interval(secs => %(quiet)s) "
            "OR first_at <= now() - make_interval(secs => %(quiet)s * 10) ORDER BY first_at, partition",
            {"quiet": quiet_seconds},
        )]  # fmt: skip

    def at(self, partition: str) -> datetime | None:
        """When the documents of a partition last changed, if they have since they were taken."""
        rows = self._database.rows(
            "SELECT last_at FROM courtlistener.stale_partitions WHERE partition = %(partition)s",
            {"partition": partition},
        )
        return rows[0][0] if rows else None

    def keep(self, partition: str, last_at: datetime | None) -> datetime | None:
        """Let a partition be stale until it is taken, whoever takes it meanwhile; returns what to take it with.

        `last_at` is when its documents had last changed before they were read. If they have changed since, it stays
        stale anyway.
        """
        with self._database.transaction() as connection:
            params = {"partition": partition, "last_at": last_at}
            kept = connection.execute(_KEEP, params).fetchone()
        return kept[0] if kept else last_at

    def take(self, partition: str, last_at: datetime | None) -> None:
        """Note that a partition's documents are taken as they were at `last_at`, which was asked before reading them.

        If they have changed since, the partition stays stale.
        """
        with self._database.transaction() as connection:
            connection.execute(
                "DELETE FROM courtlistener.stale_partitions WHERE partition = %(partition)s AND last_at = %(last_at)s",
                {"partition": partition, "last_at": last_at},
            )


def note_stale(connection: Connection, partitions: Sequence[str]) -> None:
    """Let partitions be stale when the transaction ends; give them in their order, in which they are locked."""
    if partitions:
        connection.execute(_NOTE, {"partitions": list(partitions)})


def partition_of(court_id: str, day: date | None) -> str:
    """Return the key of the partition to which a court and a date belong."""
    return f"{court_id}|{day.replace(day=1).isoformat() if day else UNDATED}"


_NOTE = """
INSERT INTO courtlistener.stale_partitions AS known (partition)
SELECT unnest(%(partitions)s::text[])
ON CONFLICT (partition) DO UPDATE SET last_at = now()
"""

_KEEP = """
INSERT INTO courtlistener.stale_partitions AS known (partition) VALUES (%(partition)s)
ON CONFLICT (partition) DO UPDATE SET last_at = clock_timestamp() WHERE known.last_at = %(last_at)s
RETURNING last_at
"""
