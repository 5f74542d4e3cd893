"""The record store: pages of records and the checkpoints of the sweeps that bring them, in Postgres.

Belongs here: SQL about records, sweeps and failures. Does not belong here: which rows belong to a month (`tables.py`),
what an API object looks like (`courtlistener_assets/download/streams.py`), connections (`postgres.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from resources.connections.postgres import Connection, Database
from resources.errors import PageRejected
from resources.records import tables
from resources.records.model import PageOfRecords, Record, SweepKey, SweepPass
from resources.records.tables import Members, Table

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
        """Resume the sweep's unfinished pass, or begin a new one behind `after_id`.

        A new pass asks only for what was modified since the last finished pass began, less `overlap`; the first one
        asks for all, and so does a `full_refresh`. A pass that the same run began or finished is taken as it is, so
        that a run that is retried or resumed does not start again.
        """
        with self._database.transaction() as connection:
            row = connection.execute(
                f"SELECT {_PASS_COLUMNS}, run_id FROM courtlistener.sweeps "
                "WHERE asset = %(asset)s AND partition = %(partition)s AND sweep = %(sweep)s FOR UPDATE",
                asdict(key),
            ).fetchone()
            number, since = 1, None
            if row:
                last, own = _pass_of(key, row), row[-1] == run_id
                if own and last.since is None if full_refresh else own or not last.finished:
                    return last
                number = last.number + 1
                if last.watermark and not full_refresh:
                    since = last.watermark - overlap
            new = SweepPass(key, number, after_id, since)
            params = {**asdict(key), "pass": new.number, "after_id": after_id, "since": since, "run_id": run_id}
            connection.execute(_BEGIN_PASS, params)
            return new

    def store_page(
        self, sweep_pass: SweepPass, page: PageOfRecords, *, after_id: int, watermark: datetime | None, finished: bool
    ) -> SweepPass:
        """Store a page and move the checkpoint, in one transaction; returns the pass as it is now.

        If another worker has moved this sweep in the meantime, the records are stored (they are upserts) and the other
        worker's position is kept. Raises StoreUnavailable, or PageRejected if Postgres refuses the rows; then nothing
        is stored.
        """
        try:
            with self._database.transaction() as connection:
                self._upsert(connection, page.records)
                for failure in page.failures:
                    connection.execute(_RECORD_FAILURE, {**asdict(sweep_pass.key), **storable(asdict(failure))})
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
    def documents(
        self, kinds: Iterable[tuple[str, Table]], month: Mapping[str, str]
    ) -> Iterator[Iterator[dict[str, Any]]]:
        """The documents of a court's month in a stable order, one at a time, of each of `kinds` (name and table).

        Each is a dict `{kind, id, docket_id, cluster_id, date_filed, dated, body, cluster, docket}`. `dated` is the
        date by which it belongs to the month, `cluster` is None for one that belongs to a docket only, `docket` may be
        None if it is not stored. They come kind after kind, each by id, through a server-side cursor, so memory stays
        flat however many there are.
        """
        with (
            self._database.transaction(patient=True) as connection,  # The reader cleans the text in between.
            connection.cursor(name="documents") as cursor,
        ):
            cursor.itersize = 100
            cursor.execute(tables.documents(kinds).encode(), month)
            names = [column.name for column in cursor.description or ()]
            yield (dict(zip(names, row, strict=True)) for row in cursor)

    def counts(self, groups: Mapping[str, Sequence[Members]], month: Mapping[str, str]) -> dict[str, int]:
        """Count the different rows of each group that belong to a court's month."""
        rows = self._database.rows(tables.count_each(groups.items()), dict(month))
        return {name: int(count) for name, count in rows}


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
