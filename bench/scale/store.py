"""What the pipeline asks of Postgres and Redis, timed on a store that `scale_fill.py` has filled.

Belongs here: calling the project's own code, and its times. Does not belong here: anything that Dagster
does (`dagster_load.py`), and writing figures down (`bench/report.py`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import Any
from uuid import uuid4

import redis
from prometheus_client import generate_latest

from bench.scale.fill import FIRST_ID, ROWS, Size, body_of
from courtlistener_assets.download.choice import chosen
from courtlistener_assets.download.partitions import CourtMonth
from courtlistener_assets.download.stream import all_kinds, all_members
from courtlistener_assets.download.streams import DOCKET_ENTRIES
from courtlistener_assets.operations.doctor.examination import examine
from courtlistener_assets.operations.exporter.collector import registry_of
from courtlistener_assets.operations.status import read_status
from courtlistener_assets.settings import Settings
from resources.backlog.backlog import Backlog
from resources.connections.postgres import Database
from resources.courtlistener.token import account_of
from resources.dagster_resources import RedisRateLimitResource
from resources.quota.lease import LeaseStore
from resources.quota.limiter import RateLimiter
from resources.quota.permits import Window
from resources.records.audit import RecordAudit
from resources.records.model import PageOfRecords, Record, SweepKey
from resources.records.store import RecordStore

#: One page of the API.
_PAGE = 20
_NO_REDIS = "redis://127.0.0.1:1/0"


def milliseconds(call: Callable[[], object], *, times: int = 9) -> float:
    """Return the shortest of a call's times after the first: what else the machine does only adds to them."""
    call()
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        call()
        taken.append(1000 * (time.perf_counter() - began))
    return round(min(taken), 3)


@dataclass
class FullStore:
    """A filled store and what uses it; every call takes another partition, as a backfill does."""

    database: Database
    client: redis.Redis
    backlog: Backlog
    size: Size
    settings: Settings
    environ: Mapping[str, str]

    def __post_init__(self) -> None:
        self.windows = Window.parse_all(self.settings.rate_limits)
        self.store, self.audit = RecordStore(self.database), RecordAudit(self.database)
        self.today = datetime.now(UTC).date()
        # A stride that has no factor in common with the number of partitions visits all of them.
        self._numbers = (1 + 7919 * step % self.size.partitions for step in count())
        self._new_ids = count(2 * 10**9)

    def number(self) -> int:
        """Return the number of the next partition, never the last."""
        return min(next(self._numbers), self.size.partitions - 2)

    def month(self) -> CourtMonth:
        """Return the next partition."""
        return self.size.partition(self.number(), self.today)

    # --- a partition run ----------------------------------------------------------------------------------------------

    def walk(self) -> None:
        """Do the store's side of a partition run: all sweeps of all streams, page by page, to the end."""
        number = self.number()
        month = str(self.size.partition(number, self.today))
        for stream in chosen():
            for sweep in stream.sweeps:
                key = SweepKey(stream.name, month, sweep.name)
                at = self.store.begin_pass(key, run_id=uuid4().hex, full_refresh=True, overlap=timedelta(hours=1))
                pages = list(_pages(self._records(stream.name, number)))
                for place, page in enumerate(pages):
                    at = self.store.store_page(
                        at, page, after_id=page.records[-1].id, watermark=None, finished=place == len(pages) - 1
                    )
            assert self.store.freshness.is_complete(stream.name, month, [sweep.name for sweep in stream.sweeps])
        self.counts()

    def _records(self, stream: str, number: int) -> list[Record]:
        """Return a partition's objects again, modified now."""
        rows, month = ROWS[stream], self.size.partition(number, self.today)
        first, clusters = FIRST_ID + number * ROWS["dockets"] + 1, FIRST_ID + number * ROWS["clusters"] + 1
        keys: Callable[[int], dict[str, Any]] = {
            "dockets": lambda i: {"docket_id": first + i, "date_filed": month.month + timedelta(i % 28)},
            "clusters": lambda i: {"docket_id": first + i, "cluster_id": clusters + i,
                                   "date_filed": month.month + timedelta(i % 28)},
            "opinions": lambda i: {"cluster_id": clusters + i % ROWS["clusters"]},
            "docket_entries": lambda i: {"docket_id": first + i, "docket_entry_id": first + i,
                                         "date_filed": month.month + timedelta(28)},
        }[stream]  # fmt: skip
        return [
            Record(stream, FIRST_ID + number * rows + i + 1, body_of(stream, i), court_id=month.court,
                   date_modified=datetime.now(UTC), **keys(i))
            for i in range(rows)
        ]  # fmt: skip

    def new_page(self) -> None:
        """Store a page of new dockets with its checkpoint."""
        key = SweepKey("dockets", f"{self.size.court_ids[0]}|1900-01-01", uuid4().hex)
        at = self.store.begin_pass(key, run_id="bench", full_refresh=True, overlap=timedelta(hours=1))
        records = [
            Record("dockets", id, body_of("dockets", id), docket_id=id, court_id="none", date_filed=date(1900, 1, 1),
                   date_modified=datetime.now(UTC))
            for id in (next(self._new_ids) for _ in range(_PAGE))
        ]  # fmt: skip
        self.store.store_page(at, PageOfRecords(records), after_id=1, watermark=None, finished=True)

    def counts(self) -> None:
        month = self.month()
        assert self.store.counts(all_members(chosen()), month.filter_values)["opinions"]

    def documents(self) -> None:
        month = self.month()
        kinds = [(kind.name, kind.table) for kind in all_kinds(chosen())]
        with self.store.documents(kinds, month.filter_values) as rows:
            assert sum(1 for _ in rows) == ROWS["opinions"] + ROWS["recap_documents"]

    def stale(self) -> None:
        self.store.stale.partitions(quiet_seconds=60)

    def full_walks(self) -> None:
        assert self.audit.last_full_walks("dockets", ["filed", "decided"])

    def undated(self) -> None:
        self.audit.undated(DOCKET_ENTRIES.tables, self.month().court)

    # --- completeness -------------------------------------------------------------------------------------------------

    def stored(self) -> None:
        month = self.month()
        for stream in chosen():
            for members in stream.members()[stream.name]:
                self.audit.stored(members, month.filter_values)

    def orphans(self) -> None:
        assert self.audit.orphans(DOCKET_ENTRIES.table, self.month().court) == (0, [])

    def sample(self) -> None:
        assert self.audit.complete_partitions("dockets", ["filed", "decided"])

    # --- permits ------------------------------------------------------------------------------------------------------

    def limiter(self, redis_url: str = "") -> RateLimiter:
        """Return the account's limiter; without Redis, Postgres decides."""
        resource = RedisRateLimitResource(
            redis_url=redis_url or self.settings.redis_url,
            postgres_url=self.settings.postgres_url,
            rate_limits=self.settings.rate_limits,
        )
        return resource.limiter(account_of(self.settings.token))

    def prune(self) -> None:
        row = LeaseStore(self.database, account_of(self.settings.token), fallback_windows=self.windows)
        with self.database.transaction() as connection:
            row.prune(connection)


def _pages(records: list[Record]) -> Iterator[PageOfRecords]:
    for start in range(0, len(records), _PAGE):
        yield PageOfRecords(records[start : start + _PAGE])


def measure(full: FullStore) -> dict[str, float]:
    """Return the milliseconds of everything, by what it is."""
    failed, deferrals = full.backlog.failures, full.backlog.deferrals
    some = [str(full.month()) for _ in range(20)]
    figures = {
        "partition run: all pages of all streams stored": milliseconds(full.walk, times=10),
        "one page of 20 new dockets stored": milliseconds(full.new_page),
        "a partition counted": milliseconds(full.counts),
        "a partition's documents read": milliseconds(full.documents),
        "stale partitions": milliseconds(full.stale),
        "last full walks of an asset": milliseconds(full.full_walks),
        "dockets without a date counted": milliseconds(full.undated),
        "completeness: rows of a partition": milliseconds(full.stored),
        "completeness: parents of a court's entries": milliseconds(full.orphans, times=3),
        "completeness: complete partitions of an asset": milliseconds(full.sample),
        "failures: claim what is due": milliseconds(failed.claim_due, times=5),
        "failures: look for exhausted ones": milliseconds(failed.dead_letter_exhausted),
        "failures: compare the Redis lists": milliseconds(failed.refill),
        "failures: counted": milliseconds(failed.counts),
        "failures: 200 shown": milliseconds(lambda: failed.open(limit=200)),
        "deferrals: what is due": milliseconds(deferrals.due),
        "deferrals: runs requested": milliseconds(deferrals.requested),
        "deferrals: requests left estimated": milliseconds(
            lambda: deferrals.estimated_requests("dockets", some, ["filed", "decided"])
        ),
    }
    return {**figures, **_permits(full), **_looks(full)}


def _permits(full: FullStore) -> dict[str, float]:
    def one(limiter: RateLimiter) -> None:
        with limiter.permit():
            pass

    with_redis, without = full.limiter(), full.limiter(_NO_REDIS)
    return {
        "permit from Redis, journaled and settled": milliseconds(lambda: one(with_redis), times=50),
        "quota read from the journal": milliseconds(with_redis.usage),
        "journal pruned": milliseconds(full.prune, times=3),
        "permit from Postgres": milliseconds(lambda: one(without), times=50),
    }


def _looks(full: FullStore) -> dict[str, float]:
    return {
        "status": milliseconds(lambda: read_status(full.settings, full.database)),
        "scrape of the exporter": milliseconds(
            lambda: generate_latest(registry_of(full.settings, full.database, full.client))
        ),
        "doctor": milliseconds(lambda: examine(full.environ), times=2),
    }


def table_sizes(database: Database) -> list[dict[str, Any]]:
    """Rows, and megabytes of rows and of indexes, of every table that grows."""
    rows = database.rows(
        "SELECT relname, reltuples::bigint, pg_table_size(oid), pg_indexes_size(oid) FROM pg_class "
        "WHERE relnamespace = 'courtlistener'::regnamespace AND relkind = 'r' AND reltuples > 100 ORDER BY 3 DESC"
    )
    return [
        {"table": name, "rows": int(count), "table_mb": round(table / 1e6, 1), "index_mb": round(index / 1e6, 1),
         "index_bytes": round(index / max(1, int(count)))}
        for name, count, table, index in rows
    ]  # fmt: skip
