"""The record store: pages of records and the checkpoints of the sweeps that bring them, in Postgres.

Belongs here: all SQL about records, sweeps and failures. Does not belong here: what an API object looks like
(`courtlistener_assets/download/streams.py`), connections (`postgres.py`), permits (`postgres_ledger.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import date, datetime, timedelta
from typing import Any

import dagster as dg
import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from resources.connections.postgres import Connection, Database
from resources.errors import PageRejected
from resources.records.model import Failure, PageOfRecords, Record, SweepKey, SweepPass

_PASS_COLUMNS = "pass, after_id, since, watermark, finished_at IS NOT NULL, pages, records"

_UPSERT = """
INSERT INTO courtlistener.records AS stored
    (stream, id, docket_id, cluster_id, docket_entry_id, court_id, date_filed, date_modified, body)
VALUES (%(stream)s, %(id)s, %(docket_id)s, %(cluster_id)s, %(docket_entry_id)s, %(court_id)s, %(date_filed)s,
        %(date_modified)s, %(body)s)
ON CONFLICT (stream, id) DO UPDATE SET
    docket_id = excluded.docket_id, cluster_id = excluded.cluster_id, docket_entry_id = excluded.docket_entry_id,
    court_id = excluded.court_id, date_filed = excluded.date_filed, date_modified = excluded.date_modified,
    body = excluded.body, fetched_at = now(), gone_at = NULL, gone_reason = NULL
WHERE stored.date_modified IS NULL OR excluded.date_modified >= stored.date_modified
"""

_RECORD_FAILURE = """
INSERT INTO courtlistener.failures AS open
    (asset, partition, sweep, docket_id, object_id, after_id, up_to_id, error, message, requests)
VALUES (%(asset)s, %(partition)s, %(sweep)s, %(docket_id)s, %(object_id)s, %(after_id)s, %(up_to_id)s, %(error)s,
        %(message)s, %(requests)s)
ON CONFLICT (asset, partition, target) WHERE resolved_at IS NULL
DO UPDATE SET tries = open.tries + 1, requests = open.requests + excluded.requests, last_at = now(),
    error = excluded.error, message = excluded.message, up_to_id = excluded.up_to_id
"""


class RecordStore:
    """Everything that was downloaded, and how far each sweep has come."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def prepare(self, streams: Sequence[str]) -> None:
        """Bring the schema up to date and make a table for each stream, `courtlistener.<stream>`."""
        self._database.migrate()
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
        """Go on with the sweep's unfinished pass, or begin a new one.

        A new pass asks only for what was modified since the last finished pass began, less `overlap`; the first one
        asks for all, and so does one with `everything`; a new pass begins behind `after_id`. A pass that the same run
        began or finished is taken as it is, so that a run that is retried or resumed does not start again.
        """
        with self._database.transaction() as connection:
            row = connection.execute(
                f"SELECT {_PASS_COLUMNS}, run_id FROM courtlistener.sweeps "
                "WHERE asset = %(asset)s AND partition = %(partition)s AND sweep = %(sweep)s FOR UPDATE",
                asdict(key),
            ).fetchone()
            last = _pass_of(key, row) if row else None
            if last and row and self._is_to_be_gone_on_with(last, own=row[-1] == run_id, full_refresh=full_refresh):
                return last
            since = None
            if last and last.finished and last.watermark and not full_refresh:
                since = last.watermark - overlap
            new = SweepPass(key, number=(last.number + 1 if last else 1), after_id=after_id, since=since)
            params = {**asdict(key), "pass": new.number, "after_id": after_id, "since": since, "run_id": run_id}
            connection.execute(_BEGIN_PASS, params)
            return new

    @staticmethod
    def _is_to_be_gone_on_with(last: SweepPass, *, own: bool, full_refresh: bool) -> bool:
        if full_refresh:
            return own and last.since is None
        return own or not last.finished

    def store_page(
        self, sweep_pass: SweepPass, page: PageOfRecords, *, after_id: int, watermark: datetime | None, finished: bool
    ) -> SweepPass:
        """Store a page and move the checkpoint, in one transaction; returns the pass as it stands now.

        If another worker has moved this sweep in the meantime, the records are stored all the same (they are upserts)
        and the other worker's position stands. Raises StoreUnavailable, or PageRejected if Postgres refuses the rows;
        then nothing is stored.
        """
        try:
            with self._database.transaction() as connection:
                self._upsert(connection, page.records)
                self._record_failures(connection, sweep_pass.key, page.failures)
                moved = connection.execute(
                    _MOVE_CHECKPOINT,
                    {
                        **asdict(sweep_pass.key),
                        "pass": sweep_pass.number,
                        "from_id": sweep_pass.after_id,
                        "after_id": after_id,
                        "watermark": watermark,
                        "finished": finished,
                        "records": len(page.records),
                    },
                ).fetchone()
        except (psycopg.DataError, psycopg.IntegrityError, UnicodeEncodeError) as error:
            raise PageRejected(f"Postgres refused a page of {sweep_pass.key.asset}: {error}") from error
        return _pass_of(sweep_pass.key, moved) if moved else self._current_pass(sweep_pass.key)

    def _current_pass(self, key: SweepKey) -> SweepPass:
        rows = self._database.rows(
            f"SELECT {_PASS_COLUMNS} FROM courtlistener.sweeps "
            "WHERE asset = %(asset)s AND partition = %(partition)s AND sweep = %(sweep)s",
            asdict(key),
        )
        return _pass_of(key, rows[0])

    def _upsert(self, connection: Connection, records: Sequence[Record]) -> None:
        newest: dict[tuple[str, int], Record] = {}
        for record in records:  # A filter from parent to children repeats rows within a page.
            newest[record.stream, record.id] = record
        # Always in the same order, so that two workers that store the same rows cannot deadlock.
        rows = [
            {**{name: getattr(record, name) for name in _KEY_COLUMNS}, "body": Jsonb(storable(record.body))}
            for _, record in sorted(newest.items(), key=lambda item: item[0])
        ]
        if rows:
            connection.cursor().executemany(_UPSERT, rows)
        for record in newest.values():
            if record.replaces:
                self._mark_gone(connection, record.stream, record.replaces, f"merged into {record.id}")

    # --- tombstones -----------------------------------------------------------------------------------------------

    def mark_gone(self, stream: str, ids: Sequence[int], reason: str) -> int:
        """Mark objects as gone, with the opinions of gone clusters; returns how many are newly marked."""
        with self._database.transaction() as connection:
            return self._mark_gone(connection, stream, ids, reason)

    def _mark_gone(self, connection: Connection, stream: str, ids: Sequence[int], reason: str) -> int:
        return connection.execute(
            "UPDATE courtlistener.records SET gone_at = now(), gone_reason = %(reason)s WHERE gone_at IS NULL "
            "AND ((stream = %(stream)s AND id = ANY(%(ids)s)) "
            "OR (%(stream)s = 'clusters' AND stream = 'opinions' AND cluster_id = ANY(%(ids)s)))",
            {"stream": stream, "ids": list(ids), "reason": reason},
        ).rowcount

    # --- failures -------------------------------------------------------------------------------------------------

    def record_failure(self, key: SweepKey, failure: Failure) -> None:
        """Remember something that failed, in a transaction of its own."""
        with self._database.transaction() as connection:
            self._record_failures(connection, key, [failure])

    def _record_failures(self, connection: Connection, key: SweepKey, failures: Sequence[Failure]) -> None:
        for failure in failures:
            connection.execute(_RECORD_FAILURE, {**asdict(key), **storable(asdict(failure))})

    def open_failures(self, asset: str, partition: str) -> int:
        """How many failures of an asset's partition are not resolved."""
        [(count,)] = self._database.rows(
            "SELECT count(*) FROM courtlistener.failures "
            "WHERE asset = %(asset)s AND partition = %(partition)s AND resolved_at IS NULL",
            {"asset": asset, "partition": partition},
        )
        return int(count)

    def is_complete(self, asset: str, partition: str, sweeps: Sequence[str]) -> bool:
        """Whether every one of the sweeps has been walked to its end at least once."""
        [(count,)] = self._database.rows(
            "SELECT count(*) FROM courtlistener.sweeps WHERE asset = %(asset)s AND partition = %(partition)s "
            "AND sweep = ANY(%(sweeps)s) AND (finished_at IS NOT NULL OR since IS NOT NULL)",
            {"asset": asset, "partition": partition, "sweeps": list(sweeps)},
        )
        return int(count) == len(set(sweeps))

    # --- reading --------------------------------------------------------------------------------------------------

    @contextmanager
    def documents(self, court: str, first_day: date, next_month: date) -> Iterator[Iterator[dict[str, Any]]]:
        """The opinions and RECAP documents of a partition in a stable order, one at a time.

        Each is a dict `{kind, id, docket_id, cluster_id, date_filed, body, cluster, docket}`; `cluster` is None for a
        RECAP document, `docket` may be None for an opinion whose docket is not stored. Opinions come before RECAP
        documents, each by id. The rows are read through a server-side cursor, so memory stays flat however many there
        are.
        """
        with self._database.transaction() as connection, connection.cursor(name="documents") as cursor:
            cursor.itersize = 100
            cursor.execute(_DOCUMENTS, {"court": court, "first_day": first_day, "next_month": next_month})
            names = [column.name for column in cursor.description or ()]
            yield (dict(zip(names, row, strict=True)) for row in cursor)

    def counts(self, court: str, first_day: date, next_month: date) -> dict[str, int]:
        """How many records of each stream belong to a partition."""
        rows = self._database.rows(_COUNTS, {"court": court, "first_day": first_day, "next_month": next_month})
        return {stream: int(count) for stream, count in rows}


_KEY_COLUMNS = ("stream", "id", "docket_id", "cluster_id", "docket_entry_id", "court_id", "date_filed", "date_modified")

_BEGIN_PASS = """
INSERT INTO courtlistener.sweeps (asset, partition, sweep, pass, after_id, since, run_id)
VALUES (%(asset)s, %(partition)s, %(sweep)s, %(pass)s, %(after_id)s, %(since)s, %(run_id)s)
ON CONFLICT (asset, partition, sweep) DO UPDATE SET
    pass = excluded.pass, after_id = excluded.after_id, since = excluded.since, run_id = excluded.run_id,
    watermark = NULL, pages = 0, records = 0, started_at = now(), finished_at = NULL
"""

_MOVE_CHECKPOINT = f"""
UPDATE courtlistener.sweeps SET
    after_id = %(after_id)s, watermark = coalesce(watermark, least(%(watermark)s, now())), pages = pages + 1,
    records = records + %(records)s, finished_at = CASE WHEN %(finished)s THEN now() END
WHERE asset = %(asset)s AND partition = %(partition)s AND sweep = %(sweep)s
    AND pass = %(pass)s AND after_id = %(from_id)s AND finished_at IS NULL
RETURNING {_PASS_COLUMNS}
"""

# A partition's decisions are those dated in the month, its filings those of dockets filed in it. Only keys are sorted;
# each body is looked up when its row is read, so a large partition is neither sorted on disk nor held in memory.
_DOCUMENTS = """
SELECT kind, id, docket_id, cluster_id, date_filed,
    CASE kind WHEN 'opinion' THEN (SELECT body FROM courtlistener.records WHERE stream = 'opinions' AND id = wanted.id)
        ELSE (SELECT body FROM courtlistener.records WHERE stream = 'recap_documents' AND id = wanted.id) END AS body,
    (SELECT body FROM courtlistener.records WHERE stream = 'clusters' AND id = wanted.cluster_id) AS cluster,
    (SELECT body FROM courtlistener.records WHERE stream = 'dockets' AND id = wanted.docket_id) AS docket
FROM (
    SELECT 'opinion' AS kind, opinion.id, cluster.docket_id, cluster.id AS cluster_id, cluster.date_filed
    FROM courtlistener.clusters cluster
    JOIN courtlistener.opinions opinion ON opinion.cluster_id = cluster.id AND opinion.gone_at IS NULL
    WHERE cluster.court_id = %(court)s AND cluster.gone_at IS NULL
        AND cluster.date_filed >= %(first_day)s AND cluster.date_filed < %(next_month)s
    UNION ALL
    SELECT 'recap_document', document.id, docket.id, NULL, document.date_filed
    FROM courtlistener.dockets docket
    JOIN courtlistener.recap_documents document ON document.docket_id = docket.id AND document.gone_at IS NULL
    WHERE docket.court_id = %(court)s AND docket.gone_at IS NULL
        AND docket.date_filed >= %(first_day)s AND docket.date_filed < %(next_month)s
    ORDER BY 1, 2
) AS wanted
ORDER BY kind, id
"""

_COUNTS = """
WITH months_clusters AS (
    SELECT id, docket_id FROM courtlistener.clusters WHERE court_id = %(court)s AND gone_at IS NULL
        AND date_filed >= %(first_day)s AND date_filed < %(next_month)s
), months_dockets AS (
    SELECT id FROM courtlistener.dockets WHERE court_id = %(court)s AND gone_at IS NULL
        AND date_filed >= %(first_day)s AND date_filed < %(next_month)s
)
SELECT 'dockets', count(*) FROM (SELECT id FROM months_dockets UNION SELECT docket_id FROM months_clusters) AS dockets
UNION ALL SELECT 'clusters', count(*) FROM months_clusters
UNION ALL SELECT 'opinions', count(*) FROM courtlistener.opinions
    WHERE gone_at IS NULL AND cluster_id IN (SELECT id FROM months_clusters)
UNION ALL SELECT 'docket_entries', count(*) FROM courtlistener.docket_entries
    WHERE gone_at IS NULL AND docket_id IN (SELECT id FROM months_dockets)
UNION ALL SELECT 'recap_documents', count(*) FROM courtlistener.recap_documents
    WHERE gone_at IS NULL AND docket_id IN (SELECT id FROM months_dockets)
"""

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def storable(value: Any) -> Any:
    """The same value with U+FFFD in place of what Postgres cannot hold: NUL, and halves of surrogate pairs."""
    if isinstance(value, str):
        return _UNSTORABLE.sub("�", value) if _UNSTORABLE.search(value) else value
    if isinstance(value, dict):
        return {storable(name): storable(item) for name, item in value.items()}
    if isinstance(value, list):
        return [storable(item) for item in value]
    return value


def _pass_of(key: SweepKey, row: Sequence[Any]) -> SweepPass:
    return SweepPass(key, *row[:7])


class RecordStoreResource(dg.ConfigurableResource["RecordStoreResource"]):
    """The record store as a Dagster resource.

    `postgres_url` is a libpq URL. The schema `courtlistener` is made in that database.
    """

    postgres_url: str

    @contextmanager
    def open(self) -> Iterator[RecordStore]:
        """A RecordStore with connections of its own, closed at the end."""
        database = Database(self.postgres_url)
        try:
            yield RecordStore(database)
        finally:
            database.close()
