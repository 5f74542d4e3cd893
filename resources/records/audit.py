"""Questions about what is stored: what is missing, what has gone, what changed.

Belongs here: reading for checks, tombstones and fresh data. Does not belong here: storing, or reading documents
(`store.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from resources.connections.postgres import Database


class RecordAudit:
    """Answers from the tables of the record store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def stored(self, asset: str, sweep: str, court: str, first_day: date, next_month: date) -> int:
        """How many rows a sweep of a court's month would bring if it were answered from what is stored.

        Raises KeyError for a sweep that is not known here.
        """
        query = _STORED[asset, sweep]
        [(count,)] = self._database.rows(query, {"court": court, "first_day": first_day, "next_month": next_month})
        return int(count)

    def complete_partitions(self, asset: str, sweeps: list[str]) -> list[str]:
        """The partitions of an asset of which every sweep has come to its end, in order."""
        rows = self._database.rows(
            "SELECT partition FROM courtlistener.sweeps WHERE asset = %(asset)s AND sweep = ANY(%(sweeps)s) "
            "AND finished_at IS NOT NULL GROUP BY partition HAVING count(*) = %(count)s ORDER BY partition",
            {"asset": asset, "sweeps": sweeps, "count": len(sweeps)},
        )
        return [str(partition) for (partition,) in rows]

    def orphans(self, asset: str, court: str, *, limit: int = 20) -> tuple[int, list[int]]:
        """How many of a court's objects have a parent that is not stored, and the ids of some of them.

        Reads all objects that the asset has of the court, and looks for the parent of each.
        """
        [(count, ids)] = self._database.rows(_ORPHANS[asset], {"court": court, "limit": limit})
        return int(count), [int(id) for id in ids]

    def months_modified(self, court: str, day: date) -> list[date]:
        """The months (first days) of a court's filings and decisions of which something was modified on a day (UTC)."""
        rows = self._database.rows(_MONTHS_MODIFIED, {"court": court, "day": day, "next_day": day + timedelta(days=1)})
        return [month for (month,) in rows]

    def opinion_ids(self, court: str, first_day: date, next_month: date) -> list[int]:
        """The ids of the opinions of a court's month, gone ones left out, in order."""
        rows = self._database.rows(
            f"SELECT id FROM courtlistener.opinions WHERE gone_at IS NULL AND cluster_id IN ({_DECISIONS}) ORDER BY id",
            {"court": court, "first_day": first_day, "next_month": next_month},
        )
        return [int(id) for (id,) in rows]

    def bodies(self, stream: str, ids: Sequence[int], *, at_once: int = 20) -> Iterator[tuple[int, Mapping[str, Any]]]:
        """The objects with these ids as the API gave them, `at_once` of them in memory."""
        for start in range(0, len(ids), at_once):
            yield from self._database.rows(
                "SELECT id, body FROM courtlistener.records "
                "WHERE stream = %(stream)s AND id = ANY(%(ids)s) ORDER BY id",
                {"stream": stream, "ids": list(ids[start : start + at_once])},
            )

    def not_seen_since(self, stream: str, court: str, first_day: date, next_month: date, run_id: str) -> list[int]:
        """The ids of a court's month that a pass over everything, begun by `run_id`, did not bring."""
        rows = self._database.rows(
            "SELECT id FROM courtlistener.records WHERE stream = %(stream)s AND court_id = %(court)s "
            "AND date_filed >= %(first_day)s AND date_filed < %(next_month)s AND gone_at IS NULL AND fetched_at < ("
            "SELECT min(started_at) FROM courtlistener.sweeps WHERE asset = %(stream)s AND partition = %(partition)s "
            "AND run_id = %(run_id)s AND since IS NULL AND finished_at IS NOT NULL) ORDER BY id",
            {
                "stream": stream,
                "court": court,
                "first_day": first_day,
                "next_month": next_month,
                "partition": f"{court}|{first_day.isoformat()}",
                "run_id": run_id,
            },
        )
        return [int(id) for (id,) in rows]


_MONTH = "date_filed >= %(first_day)s AND date_filed < %(next_month)s"
_OF_MONTH = f"court_id = %(court)s AND gone_at IS NULL AND {_MONTH}"
_DECISIONS = f"SELECT id FROM courtlistener.clusters WHERE {_OF_MONTH}"
_FILED = f"SELECT id FROM courtlistener.dockets WHERE {_OF_MONTH}"

_STORED: dict[tuple[str, str], str] = {
    ("dockets", "filed"): f"SELECT count(*) FROM courtlistener.dockets WHERE {_OF_MONTH}",
    # A filter from parent to children repeats the docket for each of its decisions, and so does the count.
    ("dockets", "decided"): "SELECT count(*) FROM courtlistener.clusters cluster JOIN courtlistener.dockets docket "
    "ON docket.stream = 'dockets' AND docket.id = cluster.docket_id "
    "WHERE cluster.court_id = %(court)s AND cluster.gone_at IS NULL "
    "AND cluster.date_filed >= %(first_day)s AND cluster.date_filed < %(next_month)s "
    "AND docket.court_id = %(court)s AND docket.gone_at IS NULL",
    ("clusters", "dated"): f"SELECT count(*) FROM courtlistener.clusters WHERE {_OF_MONTH}",
    ("opinions", "dated"): "SELECT count(*) FROM courtlistener.opinions "
    f"WHERE gone_at IS NULL AND cluster_id IN ({_DECISIONS})",
    ("docket_entries", "filed"): "SELECT count(*) FROM courtlistener.docket_entries "
    f"WHERE gone_at IS NULL AND docket_id IN ({_FILED})",
}


def _orphans(table: str, key: str, parent: str) -> str:
    return (
        "SELECT count(*), coalesce((array_agg(id ORDER BY id))[1:%(limit)s], '{}') "
        f"FROM courtlistener.{table} child WHERE court_id = %(court)s AND gone_at IS NULL "
        f"AND (SELECT id FROM courtlistener.records WHERE stream = '{parent}' AND id = child.{key}) IS NULL"
    )


_ORPHANS = {
    "clusters": _orphans("clusters", "docket_id", "dockets"),
    "opinions": _orphans("opinions", "cluster_id", "clusters"),
    "docket_entries": _orphans("docket_entries", "docket_id", "dockets"),
}

# A docket belongs to the month of its filing and to those of its decisions, an opinion to that of its decision.
_MONTHS_MODIFIED = """
WITH modified AS (
    SELECT stream, id, docket_id, cluster_id, date_filed FROM courtlistener.records
    WHERE court_id = %(court)s AND date_modified >= %(day)s::date AT TIME ZONE 'UTC'
        AND date_modified < %(next_day)s::date AT TIME ZONE 'UTC'
), touched AS (
    SELECT date_filed FROM modified WHERE stream IN ('clusters', 'dockets')
    UNION ALL SELECT date_filed FROM courtlistener.clusters
        WHERE court_id = %(court)s AND gone_at >= %(day)s::date AT TIME ZONE 'UTC'
    UNION ALL SELECT cluster.date_filed FROM modified
        JOIN courtlistener.clusters cluster ON cluster.stream = 'clusters' AND cluster.id = modified.cluster_id
        WHERE modified.stream = 'opinions'
    UNION ALL SELECT cluster.date_filed FROM modified
        JOIN courtlistener.clusters cluster ON cluster.docket_id = modified.id
        WHERE modified.stream = 'dockets'
    UNION ALL SELECT docket.date_filed FROM modified
        JOIN courtlistener.dockets docket ON docket.stream = 'dockets' AND docket.id = modified.docket_id
        WHERE modified.stream IN ('docket_entries', 'recap_documents')
)
SELECT DISTINCT date_trunc('month', date_filed)::date FROM touched WHERE date_filed IS NOT NULL ORDER BY 1
"""
