"""What does not fit together after a page: children without their parents, and parents that do not know their children.

Belongs here: finding it, and noting what must be seen. Does not belong here: looking it up
(`courtlistener_assets/download/membership.py`). The rules are in docs/truth.md.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

from resources.records.model import Lookup, Origin, Record
from resources.records.rows import Row, Rows, key_of
from resources.records.tables import Table

#: Stands for the month of what hangs on a docket without a date.
UNDATED = "undated"


@dataclass
class Misfits:
    """What the pages of one transaction show."""

    rows: Rows
    origin: Origin
    _lookups: dict[tuple[str, str, int], Lookup] = field(default_factory=dict)
    _begun_at: dict[tuple[str, str, date | None], datetime | None] = field(default_factory=dict)
    _walked: dict[tuple[str, str | None, date], bool] = field(default_factory=dict)

    def write(self) -> None:
        """Write down what was noted."""
        if lookups := [self._lookups[key] for key in sorted(self._lookups)]:
            self.rows.connection.cursor().executemany(_NOTE_LOOKUP, [vars(each) for each in lookups])

    def note_children(self, table: Table, records: Mapping[int, Record], before: Mapping[int, Row]) -> None:
        """Note the children that these objects list and that are not stored under them, and the other way round."""
        for child in self.rows.relations.listed_children(table):
            listing = {id: record for id, record in records.items() if child.name in record.lists}
            missing = {}
            for id, under in self.rows.children_of(child, child.key, listing).items():
                record, listed = listing[id], listing[id].lists[child.name]
                for unlisted in under - listed:
                    self.note("unlisted", child, unlisted, record.court_id, record.docket_id)
                missing[id] = listed - under
            self.note_listed(table, child, listing, before, missing)
        for child in self.rows.relations.nested(table):
            nesting = {id: record for id, record in records.items() if child.name in record.lists}
            for id, under in self.rows.children_of(child, child.nested_key, nesting).items():
                for unlisted in under - nesting[id].lists[child.name]:
                    self.note("unlisted", child, unlisted, nesting[id].court_id, nesting[id].docket_id)
        for child in self.rows.relations.unlisted_children(table):
            for id, record in records.items():
                if _has_entered(before.get(id), record) and self._may_be_missed(table, child, record, before.get(id)):
                    self.note("children", child, id, record.court_id, record.docket_id)

    def note_listed(
        self,
        table: Table,
        child: Table,
        records: Mapping[int, Record],
        before: Mapping[int, Row],
        missing: Mapping[int, Collection[int]],
    ) -> None:
        """Note those children that may be missing of the ones that objects list and that are not stored under them."""
        for parent, ids in missing.items():
            for id in ids:
                if self._is_wanted(table, child, id, records[parent], before.get(parent)):
                    self.note("listed", child, id, records[parent].court_id, records[parent].docket_id)

    def _is_wanted(self, table: Table, child: Table, id: int, record: Record, before: Row | None) -> bool:
        """Whether a listed child that is not stored under its parent may be missing.

        Most often it is of a month that was not downloaded yet, whose own pass will bring it.
        """
        begun = self._begun(child, record.court_id)
        if begun is None:
            return False
        if stored := self.rows.read(child, [id]).get(id):
            # It was elsewhere, or gone; unless another worker has stored it since its parent's children were read.
            return stored.gone or key_of(child, stored) != record.id
        if _has_come(before, record) or (not child.dated and _has_entered(before, record)):
            # What was looked up was missed by the passes over months, and so may be what hangs on it.
            missed = self.origin.looked_up and table.parent is not None
            if missed or self._was_missed(table, record):
                return True
            return self._is_younger(record, begun) and not self._has_its_month_to_come(table, child, record)
        assert before is not None
        return id not in (before.listed(child) or ())

    def _was_missed(self, table: Table, record: Record) -> bool:
        """Whether the pass over its own month did not bring a new object: it came later, whatever its date says.

        Of one without a date no pass over months knows more than the decisions that led to it.
        """
        month = record.date_filed.replace(day=1) if record.date_filed else None
        if self.origin.since or self.origin.looked_up:
            return self._begun(table, record.court_id, month) is not None
        return month is not None and self._was_walked(table, record.court_id, month)

    def _was_walked(self, table: Table, court_id: str | None, month: date) -> bool:
        """Whether a pass over everything in a month came to its end before; what comes next may be stopped."""
        place = (table.name, court_id, month)
        if place not in self._walked:
            params = {"asset": table.name, "partition": f"{court_id}|{month.isoformat()}"}
            [(self._walked[place],)] = self.rows.connection.execute(_WALKED, params).fetchall()
        return self._walked[place]

    def _has_its_month_to_come(self, table: Table, child: Table, record: Record) -> bool:
        """Whether it belongs to a month of which nothing was downloaded, which will bring what hangs on it."""
        month = record.date_filed.replace(day=1) if record.date_filed else None
        if month is None or not table.dated:
            return False
        return not any(self._begun(each, record.court_id, month) for each in (table, child))

    def _may_be_missed(self, table: Table, child: Table, record: Record, before: Row | None) -> bool:
        """Whether an object came into its month when the pass over its children there had begun."""
        if record.court_id is None:
            return False
        if record.date_filed is None:
            return self._may_be_missed_undated(child, record, before)
        if self.origin.since and record.date_created and record.date_created >= self.origin.since:
            return False  # As young as that are its children, and the pass over them sees them by their own dates.
        month = record.date_filed.replace(day=1)
        if self._was_missed(table, record):
            return self._begun(child, record.court_id, month) is not None
        return self._is_younger(record, self._begun(child, record.court_id)) and self._is_younger(
            record, self._begun(child, record.court_id, month)
        )

    def _may_be_missed_undated(self, child: Table, record: Record, before: Row | None) -> bool:
        """The same for one that belongs to no month: unless its children came with the month that it has left."""
        month = before.date_filed.replace(day=1) if before and before.date_filed else None
        if month and before and before.court_id == record.court_id and self._begun(child, record.court_id, month):
            return False
        begun = self.rows.connection.execute(_BEGUN_UNDATED, {"partition": f"{record.court_id}|{UNDATED}"}).fetchone()
        return begun is not None and self._is_younger(record, begun[0])

    def note_parents(
        self, table: Table, records: Mapping[int, Record], parents: Mapping[int, Row], before: Mapping[int, Row]
    ) -> None:
        """Note the parents that are not stored, or whose stored body does not know of these children as they are."""
        if table.parent is None:
            return
        for record in records.values():
            key, parent = key_of(table, record), parents.get(record.id)
            if key and (parent is None or parent.gone):
                self._note_missing(table.parent, key)
            elif parent and not self._knows(parent, table, record):
                # Of the court whose page it was: a run over that one looks it up.
                self.note("parent", table.parent, parent.id, self.origin.court or parent.court_id, parent.docket_id)
        left = [row for id, row in before.items() if id in records and key_of(table, row) != key_of(table, records[id])]
        self.note_listing_parents(table, left)

    def _knows(self, parent: Row, table: Table, record: Record) -> bool:
        """Whether the stored parent is as the page of its child shows it: it lists it, in this court and month."""
        listed, court_id, month = parent.listed(table), self.origin.court, self.origin.month
        if (listed is not None and record.id not in listed) or (court_id and parent.court_id != court_id):
            return False
        if month is None or table.dated:
            return True
        return parent.date_filed is not None and parent.date_filed.replace(day=1) == month

    def _note_missing(self, table: Table, id: int) -> None:
        """Note a parent that is not stored, unless its own pass is still to come."""
        court_id, _, month = self.origin.partition.partition("|")
        court_id = self.origin.court or court_id
        if court_id and (month == UNDATED or self._begun(table, court_id, self.origin.month)):
            self.note("parent", table, id, court_id, None if table.parent else id)

    def note_listing_parents(self, table: Table, rows: Iterable[Row]) -> None:
        """Note the parents whose stored bodies list rows that have left them: these bodies are out of date."""
        keys = {row.id: key_of(table, row) for row in rows}
        if table.parent and table.listed and keys:
            for parent in self.rows.read(table.parent, keys.values()).values():
                listed = parent.listed(table) or frozenset()
                if not parent.gone and any(key == parent.id and id in listed for id, key in keys.items()):
                    self.note("parent", table.parent, parent.id, parent.court_id, parent.docket_id)

    def note(self, kind: str, table: Table, id: int, court_id: str | None, docket_id: int | None) -> None:
        """Note that an object must be seen."""
        noted = Lookup(kind, table.name, id, court_id, docket_id, self.origin.partition)
        self._lookups[kind, table.name, id] = noted

    def seen(self, table: Table, ids: Collection[int]) -> None:
        """These objects are known as of now."""
        if ids:
            self.rows.connection.execute(
                "DELETE FROM courtlistener.lookups WHERE stream = %(stream)s AND id = ANY(%(ids)s) "
                "AND kind <> 'children'",
                {"stream": table.name, "ids": sorted(ids)},
            )
        for id in ids:
            for kind in ("listed", "unlisted", "parent"):
                self._lookups.pop((kind, table.name, id), None)

    def _is_younger(self, record: Record, moment: datetime | None) -> bool:
        """Whether an object was modified since a moment, at which a pass began (None: it has not begun)."""
        if moment is None:
            return False
        return record.date_modified is None or record.date_modified + self.origin.tolerance >= moment

    def _begun(self, table: Table, court_id: str | None, month: date | None = None) -> datetime | None:
        """Return when the first pass over all of a table's rows began, in a court or in one of its months."""
        if court_id is None:
            return None
        place = (table.name, court_id, month)
        if place not in self._begun_at:
            # In LIKE an underscore stands for any letter.
            partitions = court_id.replace("_", r"\_") + "|" + (month.isoformat() if month else "%")
            params = {"asset": table.name, "partitions": partitions}
            [(self._begun_at[place],)] = self.rows.connection.execute(_BEGUN, params).fetchall()
        return self._begun_at[place]


def _has_come(before: Row | None, record: Record) -> bool:
    """Whether an object was not stored before, or in another court."""
    return before is None or before.gone or before.court_id != record.court_id


def _has_entered(before: Row | None, record: Record) -> bool:
    """Whether an object that belongs to the month of its own date was not in it before."""
    months = [row.date_filed.replace(day=1) if row and row.date_filed else None for row in (before, record)]
    return _has_come(before, record) or months[0] != months[1]


# A pass over everything that is under way counts from its beginning, since what it has passed by it does not see again.
_BEGUN = """
SELECT min(coalesce(walked_at, CASE WHEN since IS NULL THEN watermark END))
FROM courtlistener.sweeps WHERE asset = %(asset)s AND partition LIKE %(partitions)s AND position(':' IN sweep) = 0
"""

_WALKED = """
SELECT count(walked_at) > 0 FROM courtlistener.sweeps
WHERE asset = %(asset)s AND partition = %(partition)s AND position(':' IN sweep) = 0
"""

_BEGUN_UNDATED = """
SELECT min(coalesce(walked_at, CASE WHEN since IS NULL THEN watermark END))
FROM courtlistener.sweeps WHERE partition = %(partition)s AND position(':' IN sweep) = 0
"""

_NOTE_LOOKUP = """
INSERT INTO courtlistener.lookups (kind, stream, id, court_id, docket_id, partition)
VALUES (%(kind)s, %(stream)s, %(id)s, %(court_id)s, %(docket_id)s, %(partition)s)
ON CONFLICT (kind, stream, id) DO UPDATE SET court_id = excluded.court_id, docket_id = excluded.docket_id
"""
