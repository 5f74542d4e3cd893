"""What workers count, and the totals of all workers in Postgres.

A run's process lives for seconds or minutes, so nothing could scrape it, and a push gateway would keep the last word of
every dead process forever. Workers therefore add what they have counted to one row a counter in Postgres; the exporter
(`courtlistener metrics`) serves the totals. A killed worker loses the counts of its last seconds, nothing else.

Belongs here: the counters and histograms, and the way to Postgres. Does not belong here: what can be read from tables
at any time, such as quota, partitions and failures (`courtlistener_assets/operations/exporter`).
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable

import psycopg
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.utils import floatToGoString
from psycopg.types.json import Jsonb

from resources.connections.postgres import Database
from resources.errors import StoreUnavailable

_log = logging.getLogger(__name__)
_EVERY_SECONDS = 10.0
#: A run that ends does not wait longer for Postgres.
_PATIENCE_SECONDS = 3.0

WORKER_REGISTRY = CollectorRegistry()

#: The names of the labels of each counter and histogram, without a bucket's `le`.
LABELS: dict[str, list[str]] = {}


def _counter(name: str, text: str, *labels: str) -> Counter:
    LABELS[name] = list(labels)
    return Counter(name, text, labels, registry=WORKER_REGISTRY)


REQUESTS = _counter("courtlistener_requests", "Requests sent, by whether CourtListener counted them.", "outcome")
REFUSED = _counter("courtlistener_requests_refused", "Requests that CourtListener refused with 429.")
GRANTED = _counter("courtlistener_permits_granted", "Permits granted, by the ledger that decided.", "holder")
WAITED = _counter("courtlistener_permit_wait_seconds", "Seconds that workers waited for permits.")
REDIS_OPERATIONS = _counter(
    "courtlistener_redis_operations", "Commands that the quota ledger sent to Redis, by result: ok, failed.", "result"
)
STATE_UPDATES = _counter(
    "courtlistener_state_updates", "Permits settled in the ledger, by result: ok, failed.", "result"
)
PAGES = _counter("courtlistener_pages_stored", "Pages stored with their checkpoint, by asset.", "asset")
RECORDS = _counter("courtlistener_records_stored", "Records received in stored pages, by asset.", "asset")

#: What counts as an answer in time: CourtListener itself gives up after 60 s.
_BOUNDS_SECONDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, float("inf"))
#: The same as the values of the label `le`.
BUCKETS = tuple(floatToGoString(bound) for bound in _BOUNDS_SECONDS)  # type: ignore[no-untyped-call]
LABELS["courtlistener_request_duration_seconds"] = ["endpoint"]
REQUEST_DURATION = Histogram(
    "courtlistener_request_duration_seconds",
    "Seconds from sending a request until the whole response was there, by endpoint.",
    LABELS["courtlistener_request_duration_seconds"],
    buckets=_BOUNDS_SECONDS,
    registry=WORKER_REGISTRY,
)
REQUEST_ERRORS = _counter(
    "courtlistener_request_errors", "Requests that brought nothing that can be used, by the type of error.", "error"
)

_ADD = """
    INSERT INTO courtlistener.worker_totals AS kept (sample, labels, total)
    VALUES (%(sample)s, %(labels)s, %(increase)s)
    ON CONFLICT (sample, labels) DO UPDATE SET total = kept.total + excluded.total
"""


#: Names and values of labels, by name.
Labels = tuple[tuple[str, str], ...]
#: By the name of the sample, as `..._total` or `..._bucket`, and its labels.
Totals = dict[tuple[str, Labels], float]


class Publisher:
    """Adds what this process has counted to the totals in Postgres, at most every 10 seconds."""

    def __init__(
        self,
        database: Database,
        *,
        registry: CollectorRegistry = WORKER_REGISTRY,
        published: Totals | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._registry = registry
        # Shared by all publishers of the process, as the counters are.
        self._published = _PUBLISHED if published is None else published
        self._clock = clock
        self._last = clock()

    def publish_if_due(self) -> None:
        """As `publish`, unless it was done a moment ago."""
        if self._clock() - self._last >= _EVERY_SECONDS:
            self.publish()

    def publish_last(self) -> None:
        """As `publish`, before the process ends: it does not wait long for a Postgres that hangs."""
        publishing = threading.Thread(target=self.publish, name="publish-metrics", daemon=True)
        publishing.start()
        publishing.join(_PATIENCE_SECONDS)

    def publish(self) -> None:
        """Add the increase since the last time; what cannot be written now is written with the next."""
        with _PUBLISHING:
            self._last = self._clock()
            now = counted(self._registry)
            rows = [
                {"sample": sample, "labels": Jsonb(dict(labels)), "increase": increase}
                # Always in the same order, so that two workers cannot deadlock.
                for (sample, labels), value in sorted(now.items())
                if (increase := value - self._published.get((sample, labels), 0.0))
            ]
            try:
                if rows:
                    with self._database.transaction() as connection:
                        connection.cursor().executemany(_ADD, rows)
            except (StoreUnavailable, psycopg.Error) as error:
                _log.debug("metrics are published later: %s", error)
                return
            self._published.update(now)


_PUBLISHING = threading.Lock()
_PUBLISHED: Totals = {}


def counted(registry: CollectorRegistry = WORKER_REGISTRY) -> Totals:
    """Return what this process has counted so far."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in registry.collect()
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def _before_fork() -> None:
    global _before
    _before = counted()


def _in_the_child() -> None:
    """Leave to the parent what it has counted, and the lock, which one of its threads may have held."""
    global _PUBLISHING
    _PUBLISHING = threading.Lock()
    _PUBLISHED.update(_before)


_before: Totals = {}
os.register_at_fork(before=_before_fork, after_in_child=_in_the_child)


def totals(database: Database) -> Totals:
    """What all workers have counted since the beginning; raises StoreUnavailable."""
    rows = database.rows("SELECT sample, labels, total FROM courtlistener.worker_totals")
    return {(sample, tuple(sorted(labels.items()))): total for sample, labels, total in rows}
