"""The tables of the store, and which of their rows belong to a court's month, as SQL.

Belongs here: what every query about a partition has in common. Does not belong here: which tables there are
(`courtlistener_assets/download/streams.py`), or running a query (`store.py`, `audit.py`).

In all of it `member` is the row that belongs to the month, and `dated` the one whose court and date say so.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """Records of one kind. Those of a `dated` table belong to the month of their own date, others to their parent's.

    `key` is the column that holds the parent's id, `listed` the field of the parent's body that lists all of its
    children, if there is one. Records that come nested in those of `nested_in` have that one's id in `nested_key`.
    Records with neither date nor parent belong to no court or month. `endpoint` has single objects, if it is not the
    stream's.
    """

    name: str
    dated: bool = False
    parent: Table | None = None
    key: str = ""
    listed: str = ""
    nested_in: Table | None = None
    nested_key: str = ""
    endpoint: str = ""

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

    def undated(self) -> str:
        """The same for those that belong to no month, since what says so has no date, and the value court."""
        return f"{self.rows()} AND {self.dated}.court_id = %(court)s AND {self.dated}.date_filed IS NULL"

    def with_docket(self) -> str:
        """A condition that leaves out those whose docket is gone, although they are not, or not yet."""
        return (
            f"NOT EXISTS (SELECT FROM courtlistener.records gone WHERE gone.stream = 'dockets' "
            f"AND gone.id = {self.dated}.docket_id AND gone.gone_at IS NOT NULL)"
        )

    def of(self, values: Collection[str]) -> str:
        """The same for the values that a partition has: court, and those of a month if it is one."""
        return self.of_month() if "first_day" in values or not self.table.by_month else self.undated()


def count_each(groups: Iterable[tuple[str, Sequence[Members]]], values: Collection[str]) -> str:
    """A query for (name, how many different rows) of each group; a group's members are of one table.

    `values` are the names of those that the partition has (`Members.of`).
    """
    return " UNION ALL ".join(
        f"SELECT '{name}', count(*) FROM ("
        + " UNION ".join(f"SELECT member.id {each.of(values)}" for each in members)
        + f") AS {name}"
        for name, members in groups
    )


def documents(kinds: Iterable[tuple[str, Table]], values: Collection[str]) -> str:
    """A query for the documents of a partition; `kinds` are their name and the table that holds their bodies.

    They come kind after kind, of one kind cluster after cluster, then by id.

    `values` are the names of those that the partition has (`Members.of`).

    Only keys are sorted; each body is looked up when its row is read, so a large partition is neither sorted on disk
    nor held in memory.
    """
    kinds = list(kinds)
    members = [(kind, Members(table)) for kind, table in kinds]
    keys = " UNION ALL ".join(
        f"SELECT '{kind}' AS kind, member.id, {each.dated}.docket_id, {each.dated}.cluster_id, "
        f"member.date_filed, {each.dated}.date_filed AS dated "
        f"{each.of(values)} AND {each.with_docket()}"
        for kind, each in members
    )
    body = " ".join(f"WHEN '{kind}' THEN ({_body(table.name, 'id')})" for kind, table in kinds)
    return (
        f"SELECT kind, id, docket_id, cluster_id, date_filed, dated, CASE kind {body} END AS body, "
        f"({_body('clusters', 'cluster_id')}) AS cluster, ({_body('dockets', 'docket_id')}) AS docket "
        f"FROM ({keys} ORDER BY 1, 4, 2) AS wanted ORDER BY kind, cluster_id, id"
    )


def places(table: Table, *, bodies: bool) -> str:
    """A query for where records are, by the value `ids`: id, court and date, and the body or null.

    Those that are gone, or whose parent is, are nowhere.
    """
    members = Members(table)
    body = "member.body" if bodies else "NULL"
    return (
        f"SELECT member.id, {members.dated}.court_id, {members.dated}.date_filed, {body} {members.rows()} "
        f"AND member.id = ANY(%(ids)s) AND {members.with_docket()} ORDER BY member.id"
    )


def _body(table: str, key: str) -> str:
    return f"SELECT body FROM courtlistener.records WHERE stream = '{table}' AND id = wanted.{key}"


@dataclass(frozen=True)
class Relations:
    """Which tables there are, parents before their children, and how they hang together."""

    tables: tuple[Table, ...] = ()

    def __getitem__(self, name: str) -> Table:
        """Return the table of this name; one that nobody described stands alone."""
        return next((table for table in self.tables if table.name == name), Table(name))

    def rank(self, name: str) -> int:
        """Return the table's place in the order in which rows are locked, parents first."""
        return next((rank for rank, table in enumerate(self.tables) if table.name == name), len(self.tables))

    def children(self, table: Table) -> list[Table]:
        """Return the tables whose records hang on those of `table`."""
        return [each for each in self.tables if each.parent == table]

    def listed_children(self, table: Table) -> list[Table]:
        """Return those whose records are listed in the bodies of `table`."""
        return [each for each in self.children(table) if each.listed]

    def unlisted_children(self, table: Table) -> list[Table]:
        """Return those of which no body says how many there are, and that do not come nested in another object."""
        return [each for each in self.children(table) if not each.listed and each.nested_in is None]

    def nested(self, table: Table) -> list[Table]:
        """Return the tables whose records come nested in those of `table`."""
        return [each for each in self.tables if each.nested_in == table]
