"""Questions about what is stored: what is missing, what has gone, what changed.

Belongs here: reading for checks, tombstones and fresh data. Does not belong here: storing, or reading documents
(`store.py`), which rows belong to a month (`tables.py`). `month` are always the values court, first_day and next_month.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from resources.connections.postgres import Database
from resources.records.tables import Members, Table


@dataclass(frozen=True)
class ServerCount:
    """How many objects of a sweep the server counted, and when.

    It `stands` until a later pass over everything has come to its end, which knows better.
    """

    sweep: str
    objects: int
    counted_at: datetime
    stands: bool


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
            "AND walked_at IS NOT NULL GROUP BY partition HAVING count(*) = %(count)s ORDER BY partition",
            {"asset": asset, "sweeps": sweeps, "count": len(sweeps)},
        )
        return [str(partition) for (partition,) in rows]

    def open_lookups(self, tables: Sequence[str], partition: str) -> int:
        """Count the objects that pages of a partition gave reason to look up, and that were not seen since.

        Of a partition that several assets share only those of these tables count.
        """
        [(count,)] = self._database.rows(
            "SELECT count(*) FROM courtlistener.lookups WHERE partition = %(partition)s "
            "AND (stream = ANY(%(tables)s) OR position('|' IN partition) = 0)",
            {"tables": list(tables), "partition": partition},
        )
        return int(count)

    def open_differences(self, members: Sequence[Members], month: Mapping[str, str]) -> int:
        """Count the rows of a partition that a dump shows to be gone or changed, and that were not looked up yet."""
        waiting = (
            "EXISTS (SELECT FROM courtlistener.dump_differences found "
            "WHERE (found.stream, found.id) = (member.stream, member.id) AND found.repaired_at IS NULL)"
        )
        rows = " UNION ".join(f"SELECT member.id {each.of_month()} AND {waiting}" for each in members)
        [(count,)] = self._database.rows(f"SELECT count(*) FROM ({rows}) AS rows", dict(month))
        return int(count)

    def server_counts(self, asset: str, partition: str) -> list[ServerCount]:
        """What the server last counted of a partition, by sweep; empty if it never was asked."""
        rows = self._database.rows(
            "SELECT sweep, objects, counted_at, counted_at >= coalesce((SELECT started_at FROM courtlistener.sweeps "
            "WHERE (asset, partition, sweep) = (counts.asset, counts.partition, counts.sweep) "
            "AND since IS NULL AND finished_at IS NOT NULL), '-infinity') FROM courtlistener.server_counts AS counts "
            "WHERE asset = %(asset)s AND partition = %(partition)s ORDER BY sweep",
            {"asset": asset, "partition": partition},
        )
        return [ServerCount(*row) for row in rows]

    def note_server_count(self, asset: str, partition: str, sweep: str, objects: int) -> None:
        """Keep what the server has counted just now, for the checks that must not ask."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO courtlistener.server_counts AS counts (asset, partition, sweep, objects) "
                "VALUES (%(asset)s, %(partition)s, %(sweep)s, %(objects)s) ON CONFLICT (asset, partition, sweep) "
                "DO UPDATE SET objects = excluded.objects, counted_at = now()",
                {"asset": asset, "partition": partition, "sweep": sweep, "objects": objects},
            )

    def data_version(
        self, groups: Mapping[str, Sequence[Members]], month: Mapping[str, str], *, undated: bool = False
    ) -> str:
        """A name for what the groups hold of a month, or undated of a court: another one when rows come, go or change.

        Bodies are not read: the store notes when one of them became another.
        """
        changed = "extract(epoch FROM member.changed_at) AS changed"
        keys = " UNION ".join(
            f"SELECT member.stream, member.id, {changed} {each.undated() if undated else each.of_month()}"
            for members in groups.values()
            for each in members
        )
        [(version,)] = self._database.rows(
            "SELECT md5(coalesce(string_agg(concat_ws(' ', stream, id, changed), ',' ORDER BY stream, id), '')) "
            f"FROM ({keys}) AS stored",
            dict(month),
        )
        return str(version)

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

    def ids(self, table: Table, month: Mapping[str, str]) -> list[int]:
        """The ids of a table's rows of a partition, without those that are gone or whose docket is, in order."""
        members = Members(table)
        query = f"SELECT member.id {members.of(month)} AND {members.with_docket()} ORDER BY member.id"
        rows = self._database.rows(query, dict(month))
        return [int(id) for (id,) in rows]

    def bodies(self, stream: str, ids: Sequence[int], *, at_once: int = 20) -> Iterator[tuple[int, Mapping[str, Any]]]:
        """The objects with these ids as the API gave them, `at_once` of them in memory."""
        for start in range(0, len(ids), at_once):
            yield from self._database.rows(
                "SELECT id, body FROM courtlistener.records "
                "WHERE stream = %(stream)s AND id = ANY(%(ids)s) ORDER BY id",
                {"stream": stream, "ids": list(ids[start : start + at_once])},
            )

    def not_seen_since(
        self,
        members: Iterable[Members],
        asset: str,
        partition: str,
        month: Mapping[str, str],
        run_id: str,
        *,
        without: Table | None = None,
    ) -> list[int]:
        """The ids of a partition's rows that a pass of an asset over everything, begun by `run_id`, did not bring.

        Left out are those of which it is known that they cannot be had at present, and those that have a row in
        `without` hanging on them.
        """
        hanging = (
            f" AND NOT EXISTS (SELECT FROM courtlistener.{without.name} child WHERE child.{without.key} = member.id "
            "AND child.gone_at IS NULL)"
            if without
            else ""
        )
        unseen = " UNION ".join(
            f"SELECT member.id {each.of(month)}{hanging} AND member.fetched_at < ("
            "SELECT min(started_at) FROM courtlistener.sweeps WHERE asset = %(asset)s AND partition = %(partition)s "
            "AND run_id = %(run_id)s AND since IS NULL AND finished_at IS NOT NULL) AND NOT EXISTS ("
            "SELECT FROM courtlistener.failures WHERE asset = %(asset)s AND partition = %(partition)s "
            "AND object_id = member.id AND resolved_at IS NULL)"
            for each in members
        )
        params = {**month, "asset": asset, "partition": partition, "run_id": run_id}
        return [int(id) for (id,) in self._database.rows(f"{unseen} ORDER BY 1", params)]

    def undated(self, tables: Sequence[Table], court: str) -> dict[str, int]:
        """Count a court's dockets that have no date but records in `tables`, and these records by their table."""
        counts: dict[str, int] = {}
        for table in tables:
            query = f"SELECT count(DISTINCT dated.id), count(*) {Members(table).undated()}"
            [(dockets, rows)] = self._database.rows(query, {"court": court})
            counts = {"undated_dockets": int(dockets), **counts, table.name: int(rows)}
        return counts

    def as_of(self, asset: str, partition: str, sweeps: Sequence[str], court: str) -> datetime | None:
        """The time until which all changes that a date shows are stored of a partition; None if it is not complete.

        That is the oldest watermark of its sweeps, or the last catch-up of its court if that was later and brought it.
        """
        as_of: datetime | None
        [(as_of,)] = self._database.rows(AS_OF, {
            "asset": asset, "partition": partition, "sweeps": list(sweeps), "count": len(set(sweeps)), "court": court,
        })  # fmt: skip
        return as_of

    def last_full_walks(self, asset: str, sweeps: Sequence[str]) -> dict[str, datetime]:
        """When the oldest pass over everything began, of each complete partition of an asset."""
        params = {"asset": asset, "sweeps": list(sweeps), "count": len(set(sweeps))}
        rows = self._database.rows(LAST_FULL_WALKS, params)
        return {str(partition): walked_at for partition, walked_at in rows}


# Looks at all partitions of the asset.
LAST_FULL_WALKS = """
SELECT partition, min(walked_at) FROM courtlistener.sweeps
WHERE asset = %(asset)s AND sweep = ANY(%(sweeps)s) AND walked_at IS NOT NULL
GROUP BY partition HAVING count(*) = %(count)s
"""

# Of a sweep that is being walked counts from where its last finished pass began: the present one asks from there on. So
# does a catch-up's own pass over the asset's stream, which stays unfinished while the account may not use its endpoint.
AS_OF = """
SELECT CASE WHEN count(*) = %(count)s THEN greatest(
    min(CASE WHEN finished_at IS NOT NULL THEN watermark ELSE coalesce(since, walked_at) END),
    (SELECT least(current_as_of, (
        SELECT min(since) FROM courtlistener.sweeps WHERE asset = 'court_changes' AND finished_at IS NULL
            AND split_part(sweep, '+', 1) = %(asset)s AND partition IN (
                court_id, (SELECT jurisdiction FROM courtlistener.jurisdictions known WHERE known.court_id = %(court)s))
    )) FROM courtlistener.courts WHERE court_id = %(court)s)) END
FROM courtlistener.sweeps
WHERE asset = %(asset)s AND partition = %(partition)s AND sweep = ANY(%(sweeps)s)
    AND (walked_at IS NOT NULL OR since IS NOT NULL)
"""
