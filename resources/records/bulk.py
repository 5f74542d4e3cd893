"""Storing what comes from bulk files: many records at once, by COPY, and never over what the API knows better.

Belongs here: which of two bodies stays, and what a bootstrap has walked. Does not belong here: what is the same as for
pages of the API (`pages.py`), finding what differs (`judging.py`), reading files
(`courtlistener_assets/download/bulk`). The rules are in docs/bulk.md.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from psycopg.types.json import Jsonb

from resources.connections.postgres import Database
from resources.records import differences
from resources.records.judging import BULK, Comparing, Judge
from resources.records.misfits import Misfits
from resources.records.model import Record
from resources.records.pages import COLUMNS, PageWriter, storable
from resources.records.rows import Row, key_of
from resources.records.tables import Members, Table


@dataclass
class BulkWriter(PageWriter):
    """Stores the records of one transaction; `as_of` is the moment up to which every change is in the files.

    What differs from what was stored before is noted.
    """

    as_of: datetime
    comparing: Comparing

    def __post_init__(self) -> None:
        super().__post_init__()
        self._judge = Judge(self.connection, self._rows, self.comparing, self.as_of)
        self._misfits = _BulkMisfits(self._rows, self.origin, as_of=self.as_of)

    def write_notes(self) -> None:
        super().write_notes()
        differences.note(self.connection, self._judge.found)

    def _upsert(self, records: Sequence[Record]) -> dict[int, bool]:
        if not records:
            return {}
        table = self.relations[records[0].stream]
        clean = [replace(record, body=storable(record.body)) for record in sorted(records, key=lambda each: each.id)]
        judged = self._judge.judge(table, clean)  # Before the COPY, during which nothing can be asked.
        self.connection.execute(_COMING)
        names = ", ".join((*COLUMNS, "body", "source"))
        with self.connection.cursor().copy(f"COPY coming ({names}) FROM STDIN".encode()) as copy:
            for record, source in judged:
                copy.write_row([*(getattr(record, name) for name in COLUMNS), Jsonb(record.body), source])
        stored = self.connection.execute(_UPSERT.encode(), {"as_of": self.as_of}).fetchall()
        self.connection.execute("DROP TABLE coming")
        return {int(id): bool(new) for id, new in stored}


@dataclass
class _BulkMisfits(Misfits):
    """What does not fit among rows of bulk files, all of whose children are in the files that are stored next.

    What of it was not fetched since `as_of` the files say themselves: that a child hangs on another parent, or, by not
    having it, that it was deleted.
    """

    as_of: datetime | None = None

    def write(self) -> None:
        unlisted: dict[str, list[int]] = {}
        for kind, stream, id in self._lookups:
            if kind == "unlisted":
                unlisted.setdefault(stream, []).append(id)
        for stream, ids in unlisted.items():
            for id in self._told_by_the_files(stream, ids):
                del self._lookups["unlisted", stream, id]
        super().write()

    def note_listed(
        self,
        table: Table,
        child: Table,
        records: Mapping[int, Record],
        before: Mapping[int, Row],
        missing: Mapping[int, Collection[int]],
    ) -> None:
        """Note the objects themselves that list what is gone by now, or elsewhere: then they are others by now."""
        stored = self.rows.read(child, (id for ids in missing.values() for id in ids))
        for id in self._told_by_the_files(child.name, list(stored)):
            del stored[id]
        for parent, ids in missing.items() if stored else ():
            rows = [stored[id] for id in ids if id in stored]
            if any(row.gone or key_of(child, row) not in (None, parent) for row in rows):
                self.note("parent", table, parent, records[parent].court_id, records[parent].docket_id)

    def note_parents(
        self, table: Table, records: Mapping[int, Record], parents: Mapping[int, Row], before: Mapping[int, Row]
    ) -> None:
        """Note as well what stored objects were hung on that is not stored, since it is of no court of ours."""
        super().note_parents(table, records, parents, before)
        for id, row in before.items() if table.parent else ():
            key = key_of(table, records[id]) if id in records else None
            if table.parent and key and id not in parents and key != key_of(table, row):
                self.note("parent", table.parent, key, row.court_id, None if table.parent.parent else key)

    def _was_missed(self, table: Table, record: Record) -> bool:
        # What a later dump brings is new for the greater part, and so is what hangs on it: increments see that.
        return False

    def _may_be_missed(self, table: Table, child: Table, record: Record, before: Row | None) -> bool:
        if before is None or before.gone or record.court_id is None or record.date_filed is None:
            return super()._may_be_missed(table, child, record, before)
        # It has moved. What hangs on it comes along if it was downloaded where it was; else no increment here has seen
        # it.
        left = before.date_filed.replace(day=1) if before.date_filed else None
        if left and self._begun(child, before.court_id, left):
            return False
        return self._begun(child, record.court_id, record.date_filed.replace(day=1)) is not None

    def _told_by_the_files(self, stream: str, ids: Sequence[int]) -> list[int]:
        if not ids:
            return []
        rows = self.rows.connection.execute(
            "SELECT id FROM courtlistener.records WHERE stream = %(stream)s AND id = ANY(%(ids)s) "
            "AND gone_at IS NULL AND fetched_at <= %(as_of)s",
            {"stream": stream, "ids": list(ids), "as_of": self.as_of},
        )
        return [id for (id,) in rows.fetchall()]


@dataclass(frozen=True)
class Walked:
    """A sweep of a partition all of whose objects were in the files, and how many pages it would take."""

    asset: str
    partition: str
    sweep: str
    pages: int


class BulkWalks:
    """Keeps what bootstraps have brought, as if their sweeps had been walked."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def finish(self, sweeps: Sequence[Walked], *, as_of: datetime, run_id: str) -> None:
        """Note that these sweeps are walked as of a moment.

        Of a sweep that was walked before only its next increment is shortened. A pass that is under way for what was
        modified since its last one stays as it is.
        """
        columns = {f"{name}s": [getattr(each, name) for each in sweeps] for name in ("asset", "partition", "sweep")}
        pages = [each.pages for each in sweeps]
        with self._database.transaction() as connection:
            connection.execute(_FINISH.encode(), {**columns, "pages": pages, "as_of": as_of, "run_id": run_id})

    def lacking(
        self, asset: str, members: Sequence[Members], sweeps: Sequence[str], partitions: Sequence[str]
    ) -> dict[str, int]:
        """The pages that a full refresh takes of those partitions of an asset that have objects of bulk files."""
        months = " UNION ".join(
            f"SELECT {each.dated}.court_id || '|' || to_char({each.dated}.date_filed, 'YYYY-MM-01') "
            f"{each.rows()} AND member.source = '{BULK}' AND {each.dated}.date_filed IS NOT NULL"
            for each in members
        )
        rows = self._database.rows(
            "SELECT partition, sum(walked_pages)::bigint FROM courtlistener.sweeps WHERE asset = %(asset)s "
            f"AND sweep = ANY(%(sweeps)s) AND partition = ANY(%(partitions)s) AND partition IN ({months}) GROUP BY 1",
            {"asset": asset, "sweeps": list(sweeps), "partitions": list(partitions)},
        )
        return {str(partition): int(pages) for partition, pages in rows}


_COMING = """
CREATE TEMPORARY TABLE coming (
    stream text, id bigint, docket_id bigint, cluster_id bigint, docket_entry_id bigint, court_id text,
    date_filed date, date_modified timestamptz, body jsonb, source text
) ON COMMIT DROP
"""

# A body of the API stays if it was modified at the same moment, or later: it has more fields; unless the files have
# shown that some of these have changed since, and these were put into it. A tombstone stays, since the files are older
# than what the API has said of the object. Only the files of a later day replace others.
_UPSERT = """
INSERT INTO courtlistener.records AS stored
    (stream, id, docket_id, cluster_id, docket_entry_id, court_id, date_filed, date_modified, body, source, fetched_at)
SELECT stream, id, docket_id, cluster_id, docket_entry_id, court_id, date_filed, date_modified, body, source, %(as_of)s
FROM coming ORDER BY stream, id
ON CONFLICT (stream, id) DO UPDATE SET
    docket_id = excluded.docket_id, cluster_id = excluded.cluster_id, docket_entry_id = excluded.docket_entry_id,
    court_id = excluded.court_id, date_filed = excluded.date_filed, date_modified = excluded.date_modified,
    body = excluded.body, source = excluded.source, fetched_at = excluded.fetched_at,
    changed_at = CASE WHEN stored.body = excluded.body
        AND (stored.docket_id, stored.cluster_id, stored.docket_entry_id, stored.court_id, stored.date_filed)
            IS NOT DISTINCT FROM (excluded.docket_id, excluded.cluster_id, excluded.docket_entry_id,
                excluded.court_id, excluded.date_filed)
        THEN stored.changed_at ELSE now() END
WHERE stored.gone_at IS NULL AND CASE
    WHEN stored.source = 'bulk' OR excluded.source = 'merged' THEN stored.fetched_at < excluded.fetched_at
    ELSE stored.date_modified < excluded.date_modified END
RETURNING id, changed_at = now()
"""

_FINISH = """
INSERT INTO courtlistener.sweeps AS walked
    (asset, partition, sweep, watermark, run_id, finished_at, walked_at, walked_pages)
SELECT asset, partition, sweep, %(as_of)s, %(run_id)s, now(), %(as_of)s, pages
FROM unnest(%(assets)s::text[], %(partitions)s::text[], %(sweeps)s::text[], %(pages)s::bigint[])
    AS each (asset, partition, sweep, pages)
ORDER BY asset, partition, sweep
ON CONFLICT (asset, partition, sweep) DO UPDATE SET
    pass = walked.pass + 1, since = NULL, watermark = excluded.watermark, run_id = excluded.run_id,
    pages = 0, records = 0, started_at = now(), finished_at = now(),
    walked_pages = CASE WHEN walked.walked_at IS NULL THEN excluded.walked_pages ELSE walked.walked_pages END,
    walked_at = coalesce(walked.walked_at, excluded.walked_at)
WHERE (walked.walked_at IS NULL AND walked.since IS NULL)
    OR (walked.finished_at IS NOT NULL AND walked.watermark < excluded.watermark)
"""
