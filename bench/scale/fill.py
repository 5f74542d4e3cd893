"""A store of any size for measurements and for the test of query plans: rows made by Postgres itself.

Belongs here: what a full store looks like. Does not belong here: measuring it (`store.py`), or the events of Dagster
(`dagster_load.py`).

Every partition holds the same numbers of rows, so that a store of a hundred times as many partitions is a hundred times
as large, and whatever takes longer on it grows with the store. Bodies have every key of the API; texts are short.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache
from itertools import islice
from typing import Any

import courts_db
from psycopg.types.json import Jsonb

from bench.vector_inputs.corpus import opinions
from courtlistener_assets.devkit.simulator import shapes
from courtlistener_assets.download.choice import chosen
from courtlistener_assets.download.partitions import CourtMonth
from resources.connections.postgres import Database
from resources.quota.lease import window_row
from resources.quota.permits import Window
from resources.records.store import RecordStore

#: Ids are above this, so that a simulated server can bring objects of its own.
FIRST_ID = 10_000_000
#: Rows of each table in one partition.
ROWS = {"dockets": 50, "clusters": 15, "opinions": 18, "docket_entries": 50, "recap_documents": 25}
#: A token that the simulator knows, of an account with wide windows.
TOKEN = "wide-token"
#: Courts that the simulator has objects of; all stores have them.
SIMULATED_COURTS = ("ca9", "scotus")
_MODIFIED = datetime(2024, 5, 17, tzinfo=UTC)
_CASE = "Alvarez v. Northfield Savings Bank"
_TEXTS = 16


@dataclass(frozen=True)
class Size:
    """How much there is: `courts` x `months` partitions, the last of which is the present month.

    `permits` are spread evenly over the hours before now, `permits_an_hour` of them in each. There are at most five
    `deferrals` a partition.
    """

    courts: int
    months: int
    permits: int
    permits_an_hour: int
    failures: int
    deferrals: int

    @property
    def partitions(self) -> int:
        return self.courts * self.months

    @property
    def dockets(self) -> int:
        return self.partitions * ROWS["dockets"]

    @property
    def court_ids(self) -> list[str]:
        """Courts that CourtListener has."""
        others = sorted({court["id"] for court in courts_db.courts} - {*SIMULATED_COURTS})
        return [*SIMULATED_COURTS, *others][: self.courts]

    def first_month(self, today: date) -> date:
        """Return the month of the first partition."""
        last = today.year * 12 + today.month - 1
        years, month = divmod(last - self.months + 1, 12)
        return date(years, month + 1, 1)

    def partition(self, number: int, today: date) -> CourtMonth:
        """Return a partition by its number: all courts of a month come before the next month."""
        first = self.first_month(today)
        years, month = divmod(first.year * 12 + first.month - 1 + number // self.courts, 12)
        return CourtMonth(self.court_ids[number % self.courts], date(years, month + 1, 1))


def fill(database: Database, size: Size, *, account: str, windows: str, threads: int = 1) -> None:
    """Fill a migrated, empty database, and let Postgres look at what it holds now."""
    RecordStore(database).prepare([table for stream in chosen() for table in stream.stores])
    today = datetime.now(UTC).date()
    with _without_indexes(database), ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda table: _fill_records(database, size, table, today), ROWS))
    _fill_backlog(database, size, account, windows, today)
    for table in (*ROWS, "sweeps", "failures", "deferrals", "permits"):
        _vacuum(database, table)


def body_of(table: str, number: int = 1) -> dict[str, Any]:
    """Return an object as the API gives it; the store's rows differ from it in ids, dates and a word of their texts."""
    text = _texts()[number % _TEXTS]
    made = {
        "dockets": lambda: shapes.docket(number, "ca9", _CASE, _MODIFIED, docket_number="3:23-cv-01234"),
        "clusters": lambda: shapes.cluster(number, number, _CASE, _MODIFIED, judges="Quigley", syllabus=text[:200]),
        "opinions": lambda: shapes.opinion(number, number, _MODIFIED, plain_text=text, sha1="5a" * 20),
        "docket_entries": lambda: shapes.docket_entry(number, number, _MODIFIED, description=text[:120]),
        "recap_documents": lambda: shapes.recap_document(number, _MODIFIED, plain_text=text[:600], is_available=True),
    }
    return made[table]()


@cache
def _texts() -> list[str]:
    corpus = (opinion.value for opinion in opinions(4 * _TEXTS, 1200) if opinion.field == "plain_text")
    return list(islice(corpus, _TEXTS))


# --- records ----------------------------------------------------------------------------------------------------------

#: For each table: docket_id, cluster_id, docket_entry_id of the row `i` (from 0) of partition `p`, and its date.
_KEYS = {
    "dockets": ("%(first_id)s + p * 50 + i + 1", "NULL", "NULL", "first_day + (i %% 28)"),
    "clusters": ("%(first_id)s + p * 50 + i + 1", "%(first_id)s + p * 15 + i + 1", "NULL", "first_day + (i %% 28)"),
    "opinions": ("NULL", "%(first_id)s + p * 15 + i %% 15 + 1", "NULL", "NULL::date"),
    "docket_entries": ("%(first_id)s + p * 50 + i + 1", "NULL", "%(first_id)s + p * 50 + i + 1", "first_day + 28"),
    "recap_documents": ("%(first_id)s + p * 50 + i * 2 + 1", "NULL", "%(first_id)s + p * 50 + i + 1", "first_day + 28"),
}
_RECORDS = """
    INSERT INTO courtlistener.{table}
        (stream, id, docket_id, cluster_id, docket_entry_id, court_id, date_filed, date_modified, body)
    SELECT '{table}', %(first_id)s + p * {rows} + i + 1, {docket_id}, {cluster_id}, {docket_entry_id},
        (%(courts)s::text[])[1 + p %% %(court_count)s], {date_filed},
        now() - make_interval(mins => (p * {rows} + i) %% 525600),
        %(body)s::jsonb || {text}
            || jsonb_build_object('id', %(first_id)s + p * {rows} + i + 1, 'case_name', 'Alvarez v. ' || p || '-' || i)
    FROM generate_series(0, %(partitions)s - 1) AS p,
        LATERAL (SELECT (%(first_month)s::date + make_interval(months => p / %(court_count)s))::date) AS m (first_day),
        generate_series(0, {rows} - 1) AS i
"""
_TEXT = "jsonb_build_object('plain_text', (%(texts)s::text[])[1 + (p + i) %% 16] || ' No. ' || p || '-' || i || '.')"


def _fill_records(database: Database, size: Size, table: str, today: date) -> None:
    keys = dict(zip(("docket_id", "cluster_id", "docket_entry_id", "date_filed"), _KEYS[table], strict=True))
    text = _TEXT if table in ("opinions", "recap_documents") else "'{}'::jsonb"
    query = _RECORDS.format(table=table, rows=ROWS[table], text=text, **keys)
    length = 1200 if table == "opinions" else 600
    params = {
        "courts": size.court_ids,
        "court_count": size.courts,
        "partitions": size.partitions,
        "first_month": size.first_month(today),
        "first_id": FIRST_ID,
        "body": Jsonb(body_of(table)),
        "texts": [text[:length] for text in _texts()],
    }
    with database.transaction() as connection:
        connection.execute("SET LOCAL synchronous_commit = off")
        connection.execute(query.encode(), params)


@contextmanager
def _without_indexes(database: Database) -> Iterator[None]:
    """Rows go in many times faster when the indexes are made afterwards, from the definitions they had."""
    with database.transaction() as connection:
        found = connection.execute(
            "SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index "
            "WHERE indrelid = 'courtlistener.records'::regclass AND NOT indisprimary"
        ).fetchall()
        for name, _ in found:
            connection.execute(f"DROP INDEX {name}".encode())
    yield
    with database.transaction() as connection:
        connection.execute("SET LOCAL maintenance_work_mem = '512MB'")
        for _, definition in found:
            connection.execute(definition.replace(" ON ONLY ", " ON ").encode())


def _vacuum(database: Database, table: str) -> None:
    """As autovacuum does in the long run; it cannot be done inside a transaction."""
    with database.transaction() as connection:
        connection.commit()
        connection.autocommit = True
        try:
            connection.execute(f"VACUUM (ANALYZE) courtlistener.{table}".encode())
        finally:
            connection.autocommit = False


# --- backlog ----------------------------------------------------------------------------------------------------------

# All partitions but the last hundredth are downloaded; of those, every other one has begun.
_SWEEPS = """
    INSERT INTO courtlistener.sweeps
        (asset, partition, sweep, pass, after_id, watermark, run_id, pages, records, started_at, finished_at)
    SELECT asset, (%(courts)s::text[])[1 + p %% %(court_count)s] || '|'
            || (%(first_month)s::date + make_interval(months => p / %(court_count)s))::date,
        sweep, 1, p * 50, now(), md5((p / 10)::text)::uuid::text, 1 + p %% 3, 20 + p %% 40, now(),
        CASE WHEN p < %(partitions)s * 0.99 THEN now() END
    FROM generate_series(0, %(partitions)s - 1) AS p,
        unnest(%(assets)s::text[], %(sweeps)s::text[]) AS stream (asset, sweep)
    WHERE p < %(partitions)s * 0.99 OR p %% 2 = 0
"""
# Of a hundred failures 96 are resolved, two wait (one of them is due), one is being retried or waits, one is dead.
_FAILURES = """
    INSERT INTO courtlistener.failures
        (asset, partition, sweep, docket_id, error, message, tries, requests, first_at, last_at, resolved_at, dead_at,
         claimed_by, claimed_at, shown)
    SELECT (%(assets)s::text[])[1 + f %% 5],
        (%(courts)s::text[])[1 + f %% %(court_count)s] || '|'
            || (%(first_month)s::date + make_interval(months => f %% %(months)s))::date,
        'filed', f, 'TransientApiError', repeat('The server answered with 502. ', 5), 1 + f %% 3, 5, seen, seen,
        CASE WHEN f %% 100 < 96 THEN seen + interval '1 hour' END, CASE WHEN f %% 100 = 99 THEN seen END,
        CASE WHEN f %% 1000 = 98 THEN md5(f::text) END, CASE WHEN f %% 1000 = 98 THEN now() END,
        CASE WHEN f %% 100 < 96 THEN 'resolved' WHEN f %% 100 = 99 THEN 'dead' ELSE 'open' END
    FROM generate_series(1, %(failures)s) AS f,
        LATERAL (SELECT CASE WHEN f %% 100 = 97 THEN now()
            ELSE now() - interval '1 day' - make_interval(mins => (f * 7) %% 259200) END AS seen) AS moment
"""
# A tenth is due.
_DEFERRALS = """
    INSERT INTO courtlistener.deferrals (asset, partition, deferred_until, reason, run_id, config, downstream)
    SELECT (%(targets)s::text[])[1 + d / %(partitions)s], (%(courts)s::text[])[1 + d %% %(court_count)s] || '|'
            || (%(first_month)s::date + make_interval(months => d / %(court_count)s %% %(months)s))::date,
        now() + make_interval(mins => d - %(deferrals)s / 10), 'QuotaDeferred: no room within 60 s', md5(d::text),
        '{"full_refresh": false}', '{vector_inputs}'
    FROM generate_series(0, %(deferrals)s - 1) AS d
"""
# A tenth of the permits were given back, so the hour has room for a few more.
_LEDGER = "INSERT INTO courtlistener.ledgers (account, windows, observed_at) VALUES (%(account)s, %(windows)s, now())"
_PERMITS = """
    INSERT INTO courtlistener.permits (account, request_id, epoch, holder, granted_at, settled_at, ages_from, outcome)
    SELECT %(account)s, md5(p::text)::uuid::text, 0, 'redis', moment, moment + interval '0.6 s',
        CASE WHEN p %% 10 > 0 THEN moment + interval '0.6 s' END,
        CASE WHEN p %% 10 > 0 THEN 'counted' ELSE 'not_counted' END
    FROM generate_series(1, %(permits)s) AS p,
        LATERAL (SELECT now() - (%(permits)s - p + 10) * interval '1 hour' / %(permits_an_hour)s AS moment) AS granted
"""


def _fill_backlog(database: Database, size: Size, account: str, windows: str, today: date) -> None:
    sweeps = [(stream.name, sweep.name) for stream in chosen() for sweep in stream.sweeps]
    params = {
        **{name: getattr(size, name) for name in ("months", "partitions", "failures", "deferrals", "permits")},
        "courts": size.court_ids,
        "court_count": size.courts,
        "permits_an_hour": size.permits_an_hour,
        "first_month": size.first_month(today),
        "assets": [asset for asset, _ in sweeps],
        "targets": [*(stream.name for stream in chosen()), "vector_inputs"],
        "sweeps": [sweep for _, sweep in sweeps],
        "account": account,
        "windows": Jsonb([window_row(window) for window in Window.parse_all(windows)]),
    }
    with database.transaction() as connection:
        for query in (_SWEEPS, _FAILURES, _DEFERRALS, _LEDGER, _PERMITS):
            connection.execute(query.encode(), params)
