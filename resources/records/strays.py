"""Dockets of which something has left the partitions that are downloaded: no pass over a partition meets them any more.

Belongs here: noting them when they leave, and finding those that have not come back. Does not belong here: asking for
them (`courtlistener_assets/download/strays.py`). The rules are in docs/truth.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, timedelta

from resources.connections.postgres import Database
from resources.records.model import Origin, Record, Scope, SweepKey
from resources.records.rows import Row, Rows, key_of
from resources.records.stale import partition_of
from resources.records.tables import Members, Table


@dataclass
class Leaving:
    """The dockets of which the pages of one transaction take something out of a partition, and which one."""

    rows: Rows
    _left: set[tuple[int, str]] = field(default_factory=set)
    _needed: dict[int, str] = field(default_factory=dict)

    def note(self, table: Table, before: Mapping[int, Row], stored: Mapping[int, Record]) -> None:
        """Note what is stored elsewhere now; what hangs on it still is where it was."""
        if table.dated:
            elsewhere = [id for id, row in before.items() if id in stored and _has_left(row, stored[id])]
            for id in elsewhere:
                self._note(stored[id].docket_id, before[id].court_id, before[id].date_filed)
            for child in self.rows.relations.children(table) if elsewhere else ():
                if child.dated:
                    for row in self.rows.read(child, self.rows.ids_under(child, child.key, elsewhere)).values():
                        self._note(row.docket_id, row.court_id, row.date_filed)
        elif table.parent:
            for id, row in before.items():
                if id in stored and not row.gone and row.docket_id != stored[id].docket_id:
                    for parent in self.rows.read(table.parent, [key_of(table, row)]).values():
                        self._note(stored[id].docket_id, parent.court_id, parent.date_filed)

    def note_needed(self, record: Record, origin: Origin) -> None:
        """Note what is stored although it is in no partition of ours: what fits together with it is."""
        court_id = origin.court or origin.partition.partition("|")[0]
        if record.docket_id:
            self._needed[record.docket_id] = court_id

    def _note(self, docket_id: int | None, court_id: str | None, day: date | None) -> None:
        if docket_id and court_id:
            self._left.add((docket_id, partition_of(court_id, day)))

    def write(self) -> None:
        """Write down what was noted."""
        for docket_id, court_id in sorted(self._needed.items()):
            self.rows.connection.execute(
                _NOTE_NEEDED, {"docket": docket_id, "first": f"{court_id}|", "end": f"{court_id}}}"}
            )
        if left := sorted(self._left):
            dockets, partitions = zip(*left, strict=True)
            self.rows.connection.execute(_NOTE, {"dockets": list(dockets), "partitions": list(partitions)})


def _has_left(row: Row, record: Record) -> bool:
    if row.gone or row.court_id is None:
        return False
    places = [partition_of(each.court_id or "", each.date_filed) for each in (row, record)]
    return places[0] != places[1] or row.docket_id != record.docket_id


@dataclass(frozen=True)
class Stray:
    """A docket with something that no pass over a partition meets, and the court that it is in now."""

    docket_id: int
    court: str


class Strays:
    """Reads what was noted."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, partition: str, scope: Scope, members: Mapping[str, Sequence[Members]]) -> list[Stray]:
        """List the strays that have left a partition; those of which all has come back are forgotten.

        `members` are, by table, the rows that belong to a partition.
        """
        rows = self._database.rows(_LEFT, {"partition": partition})
        strays = [Stray(int(docket_id), str(court or "")) for docket_id, court in rows]
        left = [stray for stray in strays if not self._is_back(stray, scope, members)]
        if back := sorted({stray.docket_id for stray in strays} - {stray.docket_id for stray in left}):
            with self._database.transaction() as connection:
                connection.execute("DELETE FROM courtlistener.strays WHERE docket_id = ANY(%(ids)s)", {"ids": back})
        return left

    def _is_back(self, stray: Stray, scope: Scope, members: Mapping[str, Sequence[Members]]) -> bool:
        tomorrow = datetime.now(UTC).date() + timedelta(days=1)
        values = {
            "court": stray.court,
            "first_day": scope.first_month,
            "next_month": min(tomorrow, scope.end or tomorrow),
            "docket": stray.docket_id,
        }
        of_docket = "docket_id = %(docket)s"
        for table, groups in members.items():
            outside = f"SELECT id FROM courtlistener.{table} WHERE {of_docket} AND gone_at IS NULL"
            if stray.court in scope.courts:
                met = [way for each in groups for way in (each.of_month(), each.undated())]
                outside += "".join(f" EXCEPT SELECT member.id {each} AND member.{of_docket}" for each in met)
            if self._database.rows(f"{outside} LIMIT 1", values):
                return False
        return True

    def unseen(self, table: str, docket_id: int, key: SweepKey) -> list[int]:
        """The ids of a docket's rows that the pass over all that it has did not bring; `key` is the sweep's."""
        rows = self._database.rows(
            f"SELECT id FROM courtlistener.{table} WHERE docket_id = %(docket)s AND gone_at IS NULL AND fetched_at < ("
            "SELECT started_at FROM courtlistener.sweeps "
            "WHERE asset = %(asset)s AND partition = %(partition)s AND sweep = %(sweep)s) ORDER BY id",
            {**asdict(key), "docket": docket_id},
        )
        return [int(id) for (id,) in rows]


# A partition that was never downloaded has no full refresh.
_NOTE = """
INSERT INTO courtlistener.strays (docket_id, partition)
SELECT DISTINCT ON (docket_id) docket_id, partition
FROM unnest(%(dockets)s::bigint[], %(partitions)s::text[]) AS noted (docket_id, partition)
WHERE EXISTS (SELECT FROM courtlistener.sweeps WHERE sweeps.partition = noted.partition)
ORDER BY docket_id, partition
ON CONFLICT (docket_id) DO UPDATE SET partition = excluded.partition
"""

# It has left none; any partition of the court may look after it.
_NOTE_NEEDED = """
INSERT INTO courtlistener.strays (docket_id, partition)
SELECT %(docket)s, partition FROM courtlistener.sweeps WHERE partition ~>=~ %(first)s AND partition ~<~ %(end)s
ORDER BY partition LIMIT 1
ON CONFLICT (docket_id) DO NOTHING
"""

_LEFT = """
SELECT docket_id, (
    SELECT court_id FROM courtlistener.records WHERE records.docket_id = strays.docket_id AND gone_at IS NULL
        AND court_id IS NOT NULL ORDER BY stream = 'dockets' DESC LIMIT 1)
FROM courtlistener.strays WHERE partition = %(partition)s ORDER BY docket_id
"""
