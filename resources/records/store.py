"""The record store: pages of records and the checkpoints of the sweeps that bring them, in Postgres.

Belongs here: SQL about records, sweeps and failures. Does not belong here: which rows belong to a month (`tables.py`),
what an API object looks like (`courtlistener_assets/download/streams.py`), connections (`postgres.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import date, datetime, timedelta
from typing import Any

import psycopg
from psycopg import sql

from resources.connections.postgres import Connection, Database
from resources.errors import PageRejected
from resources.records import tables
from resources.records.arrivals import Arrivals
from resources.records.bulk import BulkWalks, BulkWriter
from resources.records.citation_map import CitationMap
from resources.records.cited import CitedClusters
from resources.records.differences import Differences
from resources.records.endless import EndlessLists
from resources.records.freshness import Freshness
from resources.records.judging import BULK, Comparing
from resources.records.known_courts import KnownCourts
from resources.records.lookups import Lookups
from resources.records.model import Failure, Origin, PageOfRecords, Record, Scope, SweepKey, SweepPass
from resources.records.pages import PageWriter, storable
from resources.records.parents import fit_under_parents
from resources.records.stale import StalePartitions
from resources.records.strays import Strays
from resources.records.tables import Members, Relations, Table

Body = Mapping[str, Any]

_PASS_COLUMNS = "pass, after_id, since, watermark, finished_at IS NOT NULL, pages, records"
_KEY = "asset = %(asset)s AND partition = %(partition)s AND sweep = %(sweep)s"

_RECORD_FAILURE = """
INSERT INTO courtlistener.failures AS open
    (asset, partition, sweep, docket_id, object_id, after_id, up_to_id, error, message, requests)
VALUES (%(asset)s, %(partition)s, %(sweep)s, %(docket_id)s, %(object_id)s, %(after_id)s, %(up_to_id)s, %(error)s,
        %(message)s, %(requests)s)
ON CONFLICT (asset, partition, target) WHERE resolved_at IS NULL
DO UPDATE SET
    -- What one retry meets twice, by itself and in its docket, has failed once more.
    tries = open.tries + CASE WHEN open.last_at > open.claimed_at THEN 0 ELSE 1 END,
    requests = open.requests + excluded.requests, last_at = now(),
    error = excluded.error, message = excluded.message,
    -- Only a retry has asked for the whole range: another pass may have met less of it.
    up_to_id = CASE WHEN open.claimed_by IS NULL AND (open.up_to_id IS NULL OR open.up_to_id > excluded.up_to_id)
        THEN open.up_to_id ELSE excluded.up_to_id END
"""


class RecordStore:
    """Everything that was downloaded, and how far each sweep has come; `tables` hang together as they say."""

    def __init__(self, database: Database, tables: Sequence[Table] = ()) -> None:
        self._database = database
        self._relations = Relations(tuple(tables))
        self.arrivals = Arrivals(database)
        self.strays = Strays(database)
        self.lookups = Lookups(database)
        self.freshness = Freshness(database)
        self.endless = EndlessLists(database)
        self.stale = StalePartitions(database)
        self.courts = KnownCourts(database)
        self.cited = CitedClusters(database)
        self.bulk_walks = BulkWalks(database)
        self.citation_map = CitationMap(database)
        self.differences = Differences(database)

    def prepare(self, streams: Sequence[str]) -> None:
        """Make a table for each stream, `courtlistener.<stream>`; raises as `Database.ensure_schema` does."""
        self._database.ensure_schema()
        with self._database.transaction() as connection:
            present = {name for (name,) in connection.execute(
                "SELECT relname FROM pg_class WHERE relnamespace = 'courtlistener'::regnamespace AND relispartition"
            )}  # fmt: skip
            for stream in set(streams) - present:
                connection.execute("SELECT pg_advisory_xact_lock(hashtext('courtlistener.records'))")
                connection.execute(
                    sql.SQL(
                        "CREATE TABLE IF NOT EXISTS {} PARTITION OF courtlistener.records FOR VALUES IN ({})"
                    ).format(sql.Identifier("courtlistener", stream), sql.Literal(stream))
                )

    # --- sweeps ---------------------------------------------------------------------------------------------------

    def begin_pass(
        self, key: SweepKey, *, run_id: str, full_refresh: bool, overlap: timedelta, after_id: int = 0
    ) -> SweepPass:
        """Resume the sweep's unfinished pass, or begin a new one behind `after_id`.

        A new pass asks only for what was modified since the last finished pass began, less `overlap`; the first one
        asks for all, and so does a `full_refresh`. A pass that the same run began or finished is taken as it is, so
        that a run that is retried or resumed does not start again.
        """
        with self._database.transaction() as connection:
            last, own = self._last_pass(connection, key, run_id)
            since = None
            if last:
                if own and last.since is None if full_refresh else own or not last.finished:
                    return last
                if last.watermark and not full_refresh:
                    since = last.watermark - overlap
            return self._begin(connection, key, last, run_id=run_id, since=since, after_id=after_id)

    def begin_pass_since(self, key: SweepKey, since: datetime, *, run_id: str, overlap: timedelta) -> SweepPass:
        """Resume the sweep's unfinished pass, or begin one that asks only for what was modified since a moment.

        It begins earlier if the sweep's last pass did: others went on while the account might not use its endpoint.
        A pass that the same run began or finished is taken as it is.
        """
        with self._database.transaction() as connection:
            last, own = self._last_pass(connection, key, run_id)
            if last and last.since is not None and (own or not last.finished):
                return last
            known = [since, last.watermark] if last and last.watermark else [since]
            return self._begin(connection, key, last, run_id=run_id, since=min(known) - overlap)

    def begin_increment(self, key: SweepKey, main: str, *, run_id: str, overlap: timedelta) -> SweepPass | None:
        """The same for a sweep that exists beside increments of the sweep `main` only, and has to be walked before it.

        It asks from where its own last pass began, or the last pass of `main` over everything if that was later. None
        while `main` was never walked to its end, or is being walked over everything.
        """
        with self._database.transaction() as connection:
            walked = connection.execute(
                f"SELECT walked_at, watermark, since, finished_at IS NOT NULL FROM courtlistener.sweeps WHERE {_KEY}",
                {**asdict(key), "sweep": main},
            ).fetchone()
            if not walked or walked[0] is None or not (walked[2] or walked[3]):
                return None
            last, own = self._last_pass(connection, key, run_id)
            if last and (own or not last.finished):
                return last
            walked_at, watermark, main_since, finished = walked
            if last is None:  # Until now `main` had no increment, or one from before there was this sweep.
                since = watermark - overlap if finished else main_since
            else:
                since = max(last.watermark or walked_at, walked_at) - overlap
            return self._begin(connection, key, last, run_id=run_id, since=since)

    def _last_pass(self, connection: Connection, key: SweepKey, run_id: str) -> tuple[SweepPass | None, bool]:
        """The sweep's last pass, and whether this run began it."""
        row = connection.execute(
            f"SELECT {_PASS_COLUMNS}, run_id FROM courtlistener.sweeps WHERE {_KEY} FOR UPDATE", asdict(key)
        ).fetchone()
        return (_pass_of(key, row), row[-1] == run_id) if row else (None, False)

    def _begin(
        self,
        connection: Connection,
        key: SweepKey,
        last: SweepPass | None,
        *,
        run_id: str,
        since: datetime | None,
        after_id: int = 0,
    ) -> SweepPass:
        new = SweepPass(key, last.number + 1 if last else 1, after_id, since)
        params = {**asdict(key), "pass": new.number, "after_id": after_id, "since": since, "run_id": run_id}
        connection.execute(_BEGIN_PASS, params)
        return new

    def store_page(
        self,
        sweep_pass: SweepPass,
        page: PageOfRecords,
        *,
        after_id: int,
        watermark: datetime | None,
        finished: bool,
        **origin: Any,
    ) -> SweepPass:
        """Store a page and move the checkpoint, in one transaction; returns the pass as it is now.

        `origin` are further fields of an `Origin`. If another worker has moved this sweep in the meantime, the records
        are stored (they are upserts) and the other worker's position is kept. Raises StoreUnavailable, or PageRejected
        if Postgres refuses the rows; then nothing is stored.
        """
        key = asdict(sweep_pass.key)
        with self._storing(sweep_pass.key.asset) as connection:
            started = connection.execute(
                f"SELECT started_at FROM courtlistener.sweeps WHERE {_KEY} AND since IS NULL", key
            ).fetchone()
            come_from = Origin(
                sweep_pass.key.partition,
                since=sweep_pass.since,
                asked_at=started[0] if started else None,
                **origin,
            )
            with self._writer(connection, come_from) as writer:
                stored = writer.store(page.records)
            for failure in page.failures:
                connection.execute(_RECORD_FAILURE, {**key, **storable(asdict(failure))})
            place = {
                "pass": sweep_pass.number,
                "from_id": sweep_pass.after_id,
                "after_id": after_id,
                "watermark": watermark,
                "finished": finished,
                "records": stored,
            }
            moved = connection.execute(_MOVE_CHECKPOINT, {**key, **place}).fetchone()
        return _pass_of(sweep_pass.key, moved) if moved else self._current_pass(sweep_pass.key)

    @contextmanager
    def _storing(self, what: str) -> Iterator[Connection]:
        try:
            with self._database.transaction() as connection:
                yield connection
        except (psycopg.DataError, psycopg.IntegrityError, UnicodeEncodeError) as error:
            raise PageRejected(f"Postgres refused a page of {what}: {error}") from error

    @contextmanager
    def _writer(self, connection: Connection, origin: Origin) -> Iterator[PageWriter]:
        writer = PageWriter(connection, self._relations, origin)
        yield writer
        writer.write_notes()

    def _current_pass(self, key: SweepKey) -> SweepPass:
        rows = self._database.rows(f"SELECT {_PASS_COLUMNS} FROM courtlistener.sweeps WHERE {_KEY}", asdict(key))
        return _pass_of(key, rows[0])

    def forget_walked(self, key: SweepKey) -> None:
        """Remove the checkpoint of a sweep that came to its end, so that the next pass over it brings everything."""
        with self._database.transaction() as connection:
            connection.execute(
                f"DELETE FROM courtlistener.sweeps WHERE {_KEY} AND finished_at IS NOT NULL", asdict(key)
            )

    # --- single objects -------------------------------------------------------------------------------------------

    def store_found(self, partition: str, records: Sequence[Record], *, scope: Scope | None = None) -> int:
        """Store what was just asked for by its id, whatever its dates; returns how many are in scope.

        Raises as `store_page` does.
        """
        with self._storing(partition) as connection:
            [(now,)] = connection.execute("SELECT now()").fetchall()
            origin = Origin(partition, asked_at=now, scope=scope, any_month=True, looked_up=True)
            with self._writer(connection, origin) as writer:
                return writer.store(records)

    def store_bulk(self, records: Sequence[Record], *, scope: Scope, as_of: datetime, comparing: Comparing) -> int:
        """Store what bulk files hold as of a moment; returns how many are in scope, stored now or better known.

        What they show to have changed without a date is set right in what is stored, and noted.

        Raises as `store_page` does.
        """
        with self._storing("bulk files") as connection:
            origin = Origin(BULK, scope=scope, any_month=True)
            writer = BulkWriter(connection, self._relations, origin, as_of, comparing)
            stored = writer.store(records)
            writer.write_notes()
            return stored

    def mark_gone(self, stream: str, ids: Sequence[int], reason: str, *, partition: str = "") -> int:
        """Mark objects as gone, with what hangs on them; returns how many are newly marked. Their text is deleted."""
        with (
            self._database.transaction() as connection,
            self._writer(connection, Origin(partition)) as writer,
        ):
            return writer.mark_gone(self._relations[stream], ids, reason)

    def detach(self, stream: str, id: int) -> None:
        """Take a nested object that exists out of the object that no longer has it, and out of every month."""
        with self._database.transaction() as connection, self._writer(connection, Origin("")) as writer:
            writer.detach(self._relations[stream], id)

    def record_failure(self, key: SweepKey, failure: Failure) -> None:
        """Record a failure that belongs to no page."""
        with self._database.transaction() as connection:
            connection.execute(_RECORD_FAILURE, {**asdict(key), **storable(asdict(failure))})

    def fit(self, records: Sequence[Record], scope: Scope) -> bool:
        """Whether records of one table, before they are stored, have parents that are stored and list them."""
        with self._database.transaction() as connection:
            return fit_under_parents(connection, self._relations, records, scope)

    def last_id(self, stream: str) -> int:
        """The largest id that is stored of a table, 0 if there is none."""
        [(id,)] = self._database.rows(
            "SELECT coalesce(max(id), 0) FROM courtlistener.records WHERE stream = %(stream)s", {"stream": stream}
        )
        return int(id)

    # --- reading --------------------------------------------------------------------------------------------------

    @contextmanager
    def documents(
        self, kinds: Iterable[tuple[str, Table]], month: Mapping[str, str]
    ) -> Iterator[Iterator[dict[str, Any]]]:
        """The documents of a partition in a stable order, one at a time, of each of `kinds` (name and table).

        `month` are the values court, first_day and next_month, or court alone: the documents of dockets without a date.

        Each is a dict `{kind, id, docket_id, cluster_id, date_filed, dated, body, cluster, docket}`. `dated` is the
        date by which it belongs to the month, `cluster` is None for one that belongs to a docket only, `docket` may be
        None if it is not stored. They come kind after kind, those of a cluster together, then by id, through a
        server-side cursor, so memory stays flat however many there are.
        """
        with (
            self._database.transaction(patient=True) as connection,  # The reader cleans the text in between.
            connection.cursor(name="documents") as cursor,
        ):
            cursor.itersize = 100
            cursor.execute(tables.documents(kinds, month).encode(), month)
            names = [column.name for column in cursor.description or ()]
            yield (dict(zip(names, row, strict=True)) for row in cursor)

    def places(self, table: Table, ids: Sequence[int]) -> dict[int, tuple[str | None, date | None]]:
        """The court and the date by which each of these records belongs to a partition; one that is gone has none."""
        rows = self._database.rows(tables.places(table, bodies=False), {"ids": list(ids)})
        return {id: (court, day) for id, court, day, _ in rows}

    def bodies_in_place(self, table: Table, ids: Sequence[int]) -> Iterator[tuple[int, str | None, date | None, Body]]:
        """The id, court, date and object of each of these records that is not gone, one object in memory at a time."""
        for id in ids:
            yield from self._database.rows(tables.places(table, bodies=True), {"ids": [id]})

    def counts(self, groups: Mapping[str, Sequence[Members]], month: Mapping[str, str]) -> dict[str, int]:
        """Count the different rows of each group that belong to a partition."""
        rows = self._database.rows(tables.count_each(groups.items(), month), dict(month))
        return {name: int(count) for name, count in rows}


_BEGIN_PASS = """
INSERT INTO courtlistener.sweeps (asset, partition, sweep, pass, after_id, since, run_id)
VALUES (%(asset)s, %(partition)s, %(sweep)s, %(pass)s, %(after_id)s, %(since)s, %(run_id)s)
ON CONFLICT (asset, partition, sweep) DO UPDATE SET
    pass = excluded.pass, after_id = excluded.after_id, since = excluded.since, run_id = excluded.run_id,
    watermark = NULL, pages = 0, records = 0, started_at = now(), stored_at = now(), finished_at = NULL
"""

_MOVE_CHECKPOINT = f"""
UPDATE courtlistener.sweeps SET
    after_id = %(after_id)s, watermark = coalesce(watermark, least(%(watermark)s, now())), pages = pages + 1,
    records = records + %(records)s, stored_at = now(), finished_at = CASE WHEN %(finished)s THEN now() END,
    walked_at = CASE WHEN %(finished)s AND since IS NULL
        THEN coalesce(watermark, least(%(watermark)s, now()), now()) ELSE walked_at END,
    walked_pages = CASE WHEN %(finished)s AND since IS NULL THEN pages + 1 ELSE walked_pages END
WHERE asset = %(asset)s AND partition = %(partition)s AND sweep = %(sweep)s
    AND pass = %(pass)s AND after_id = %(from_id)s AND finished_at IS NULL
RETURNING {_PASS_COLUMNS}
"""


def _pass_of(key: SweepKey, row: Sequence[Any]) -> SweepPass:
    return SweepPass(key, *row[:7])
