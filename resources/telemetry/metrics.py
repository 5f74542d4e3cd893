"""What workers count, and the totals of all workers in Postgres.

A run's process lives for seconds or minutes, so nothing could scrape it, and a push gateway would keep the last word of
every dead process forever. Workers therefore add what they have counted to one row a counter in Postgres; the exporter
(`courtlistener metrics`) serves the totals. A killed worker loses the counts of its last seconds, nothing else.

Belongs here: the counters and the way to Postgres. Does not belong here: what can be read from tables at any time, such
as quota, partitions and failures (`courtlistener_assets/operations/exporter.py`).
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable

import psycopg
from prometheus_client import CollectorRegistry, Counter

from resources.connections.postgres import Database
from resources.errors import StoreUnavailable

_log = logging.getLogger(__name__)
_EVERY_SECONDS = 10.0
#: A run that ends does not wait longer for Postgres.
_PATIENCE_SECONDS = 3.0

WORKER_REGISTRY = CollectorRegistry()

#: The labels of each counter, one or none.
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

_ADD = """
    INSERT INTO courtlistener.worker_totals AS kept (metric, label, total)
    VALUES (%(metric)s, %(label)s, %(increase)s)
    ON CONFLICT (metric, label) DO UPDATE SET total = kept.total + excluded.total
"""


#: Counters by name, without the ending `_total`, and label, empty if it has none.
Totals = dict[tuple[str, str], float]


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
                {"metric": metric, "label": label, "increase": value - self._published.get((metric, label), 0.0)}
                # Always in the same order, so that two workers cannot deadlock.
                for (metric, label), value in sorted(now.items())
            ]
            rows = [row for row in rows if row["increase"]]
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
        (family.name, next(iter(sample.labels.values()), "")): sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name.endswith("_total")
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
    rows = database.rows("SELECT metric, label, total FROM courtlistener.worker_totals")
    return {(metric, label): total for metric, label, total in rows}
