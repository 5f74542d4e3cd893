"""Questions about what is stored: what is missing, what has gone, what changed.

Belongs here: reading for checks, tombstones and fresh data. Does not belong here: storing, or reading documents
(`store.py`), which rows belong to a month (`tables.py`). `month` are always the values court, first_day and next_month.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from resources.connections.postgres import Database
from resources.records.tables import Members, Table, months_modified


class RecordAudit:
    """Reads the tables of the record store for checks."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def stored(self, members: Members, month: Mapping[str, str]) -> int:
        """Count the stored rows that a sweep of a court's month should return."""
        [(count,)] = self._database.rows(f"SELECT count(*) {members.of_month()}", dict(month))
        return int(count)

    def complete_partitions(self, asset: str, sweeps: list[str]) -> list[str]:
        """The partitions of an asset of which every sweep has come to its end, in order."""
        rows = self._database.rows(
            "SELECT partition FROM courtlistener.sweeps WHERE asset = %(asset)s AND sweep = ANY(%(sweeps)s) "
            "AND finished_at IS NOT NULL GROUP BY partition HAVING count(*) = %(count)s ORDER BY partition",
            {"asset": asset, "sweeps": sweeps, "count": len(sweeps)},
        )
        return [str(partition) for (partition,) in rows]

    def orphans(self, table: Table, court: str, *, limit: int = 20) -> tuple[int, list[int]]:
        """How many of a court's objects have a parent that is not stored, and the ids of some of them.

        Reads all objects of the court in the table, and looks for the parent of each. Raises ValueError if they have
        no parents.
        """
        if table.parent is None:
            raise ValueError(f"{table.name} have no parents")
        query = (
            "SELECT count(*), coalesce((array_agg(id ORDER BY id))[1:%(limit)s], '{}') "
            f"FROM courtlistener.{table.name} child WHERE court_id = %(court)s AND gone_at IS NULL AND (SELECT id "
            f"FROM courtlistener.records WHERE stream = '{table.parent.name}' AND id = child.{table.key}) IS NULL"
        )
        [(count, ids)] = self._database.rows(query, {"court": court, "limit": limit})
        return int(count), [int(id) for id in ids]

    def months_modified(self, members: Iterable[Members], court: str, day: date) -> list[date]:
        """The months (first days) of a court of which something was modified on a day (UTC), or has gone since."""
        rows = self._database.rows(
            months_modified(members), {"court": court, "day": day, "next_day": day + timedelta(days=1)}
        )
        return [month for (month,) in rows]

    def ids(self, table: Table, month: Mapping[str, str]) -> list[int]:
        """The ids of a table's rows of a court's month, gone ones left out, in order."""
        rows = self._database.rows(f"SELECT member.id {Members(table).of_month()} ORDER BY member.id", dict(month))
        return [int(id) for (id,) in rows]

    def bodies(self, stream: str, ids: Sequence[int], *, at_once: int = 20) -> Iterator[tuple[int, Mapping[str, Any]]]:
        """The objects with these ids as the API gave them, `at_once` of them in memory."""
        for start in range(0, len(ids), at_once):
            yield from self._database.rows(
                "SELECT id, body FROM courtlistener.records "
                "WHERE stream = %(stream)s AND id = ANY(%(ids)s) ORDER BY id",
                {"stream": stream, "ids": list(ids[start : start + at_once])},
            )

    def not_seen_since(self, table: Table, partition: str, month: Mapping[str, str], run_id: str) -> list[int]:
        """The ids of a partition's rows that a pass over everything, begun by `run_id`, did not bring."""
        rows = self._database.rows(
            f"SELECT member.id {Members(table).of_month()} AND member.fetched_at < ("
            "SELECT min(started_at) FROM courtlistener.sweeps WHERE asset = %(asset)s AND partition = %(partition)s "
            "AND run_id = %(run_id)s AND since IS NULL AND finished_at IS NOT NULL) ORDER BY member.id",
            {**month, "asset": table.name, "partition": partition, "run_id": run_id},
        )
        return [int(id) for (id,) in rows]
