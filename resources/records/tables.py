"""The tables of the store, and which of their rows belong to a court's month, as SQL.

Belongs here: what every query about a partition has in common. Does not belong here: which tables there are
(`courtlistener_assets/download/streams.py`), or running a query (`store.py`, `audit.py`).

In all of it `member` is the row that belongs to the month, and `dated` the one whose court and date say so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """Records of one kind. Those of a `dated` table belong to the month of their own date, others to their parent's.

    `key` is the column that holds the parent's id. Records with neither date nor parent belong to no court or month.
    """

    name: str
    dated: bool = False
    parent: Table | None = None
    key: str = ""

    @property
    def by_month(self) -> bool:
        """Whether a record belongs to a court's month."""
        return self.dated or self.parent is not None


@dataclass(frozen=True)
class Members:
    """Rows of `table` by their own date or their parent's; with `by`, one for each dated child in that table.

    The latter is what the API returns when a filter leads from a parent to its children: the parent, repeated.
    """

    table: Table
    by: Table | None = None

    @property
    def tables(self) -> frozenset[str]:
        """The names of the tables that are read."""
        return frozenset({self.table.name, self._dated.name if self._dated else self.table.name})

    @property
    def dated(self) -> str:
        """The alias of the row that has the date."""
        return "dated" if self._dated else "member"

    @property
    def _dated(self) -> Table | None:
        return self.by or (None if self.table.dated else self.table.parent)

    def rows(self) -> str:
        """FROM and WHERE of all rows that are not gone, whatever their court and month."""
        member = f"courtlistener.{self.table.name} member"
        alive = f"member.stream = '{self.table.name}' AND member.gone_at IS NULL"
        if self._dated is None:
            return f"FROM {member} WHERE {alive}"
        on = f"dated.{self.by.key} = member.id" if self.by else f"dated.id = member.{self.table.key}"
        return (
            f"FROM courtlistener.{self._dated.name} dated JOIN {member} ON {on} "
            f"WHERE {alive} AND dated.stream = '{self._dated.name}' AND dated.gone_at IS NULL"
        )

    def of_month(self) -> str:
        """The same for the values court, first_day and next_month."""
        if not self.table.by_month:
            return self.rows()
        month = f"{self.dated}.date_filed >= %(first_day)s AND {self.dated}.date_filed < %(next_month)s"
        court = " AND member.court_id = %(court)s" if self.by else ""
        return f"{self.rows()} AND {self.dated}.court_id = %(court)s AND {month}{court}"


def count_each(groups: Iterable[tuple[str, Sequence[Members]]]) -> str:
    """A query for (name, how many different rows) of each group; a group's members are of one table."""
    return " UNION ALL ".join(
        f"SELECT '{name}', count(*) FROM ("
        + " UNION ".join(f"SELECT member.id {each.of_month()}" for each in members)
        + f") AS {name}"
        for name, members in groups
    )


def documents(kinds: Iterable[tuple[str, Table]]) -> str:
    """A query for the documents of a month; `kinds` are their name and the table that holds their bodies.

    Only keys are sorted; each body is looked up when its row is read, so a large partition is neither sorted on disk
    nor held in memory.
    """
    kinds = list(kinds)
    members = [(kind, Members(table)) for kind, table in kinds]
    keys = " UNION ALL ".join(
        f"SELECT '{kind}' AS kind, member.id, {each.dated}.docket_id, {each.dated}.cluster_id, "
        f"member.date_filed, {each.dated}.date_filed AS dated "
        f"{each.of_month()}"
        for kind, each in members
    )
    body = " ".join(f"WHEN '{kind}' THEN ({_body(table.name, 'id')})" for kind, table in kinds)
    return (
        f"SELECT kind, id, docket_id, cluster_id, date_filed, dated, CASE kind {body} END AS body, "
        f"({_body('clusters', 'cluster_id')}) AS cluster, ({_body('dockets', 'docket_id')}) AS docket "
        f"FROM ({keys} ORDER BY 1, 2) AS wanted ORDER BY kind, id"
    )


def _body(table: str, key: str) -> str:
    return f"SELECT body FROM courtlistener.records WHERE stream = '{table}' AND id = wanted.{key}"


def months_modified(members: Iterable[Members]) -> str:
    """A query for the months (first days) of which rows of a court were modified or have gone since `day`.

    Modified: until `next_day`, in UTC.
    """
    members = list(members)
    since, until = "%(day)s::date AT TIME ZONE 'UTC'", "%(next_day)s::date AT TIME ZONE 'UTC'"
    modified = [
        f"SELECT {each.dated}.date_filed {each.rows()} AND member.court_id = %(court)s "
        f"AND member.date_modified >= {since} AND member.date_modified < {until}"
        for each in members
    ]
    gone = [
        f"SELECT date_filed FROM courtlistener.{table.name} WHERE court_id = %(court)s AND gone_at >= {since}"
        for table in dict.fromkeys(each.table for each in members)
        if table.dated
    ]
    return (
        f"SELECT DISTINCT date_trunc('month', date_filed)::date FROM ({' UNION ALL '.join([*modified, *gone])}) "
        "AS touched WHERE date_filed IS NOT NULL ORDER BY 1"
    )
