"""What workers count, and the totals of all workers in Postgres.

A run's process lives for seconds or minutes, so nothing could scrape it, and a push gateway would keep the last word of
every dead process for ever. Workers therefore add what they have counted to one row a counter in Postgres; the exporter
(`courtlistener metrics`) serves the totals. A killed worker loses the counts of its last seconds, nothing else.

Belongs here: the counters and the way to Postgres. Does not belong here: what can be read from tables at any time, such
as quota, partitions and failures (`courtlistener_assets/operations/exporter.py`).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import redis
from prometheus_client import CollectorRegistry, Counter

from resources.connections.postgres import Database
from resources.errors import StoreUnavailable

_log = logging.getLogger(__name__)

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


@dataclass(frozen=True)
class Total:
    """One counter of all workers together: `metric` without the ending `_total`, `label` empty if it has none."""

    metric: str
    label: str
    total: float


class Publisher:
    """Adds what this process has counted to the totals in Postgres, at most every `every_seconds`."""

    def __init__(
        self,
        database: Database,
        *,
        every_seconds: float = 10.0,
        registry: CollectorRegistry = WORKER_REGISTRY,
        published: dict[tuple[str, str], float] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._every_seconds = every_seconds
        self._registry = registry
        # Shared by all publishers of the process, as the counters are.
        self._published = _PUBLISHED if published is None else published
        self._clock = clock
        self._last = clock()

    def publish_if_due(self) -> None:
        """As `publish`, unless it was done a moment ago."""
        if self._clock() - self._last >= self._every_seconds:
            self.publish()

    def publish(self) -> None:
        """Add the increase since the last time; what cannot be written now is written with the next."""
        with _PUBLISHING:
            self._last = self._clock()
            now = {(total.metric, total.label): total.total for total in counted(self._registry)}
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
_PUBLISHED: dict[tuple[str, str], float] = {}


def counted(registry: CollectorRegistry = WORKER_REGISTRY) -> Iterator[Total]:
    """What this process has counted so far."""
    for family in registry.collect():
        for sample in family.samples:
            if sample.name.endswith("_total"):
                yield Total(family.name, next(iter(sample.labels.values()), ""), sample.value)


def totals(database: Database) -> list[Total]:
    """What all workers have counted since the beginning; raises StoreUnavailable."""
    rows = database.rows("SELECT metric, label, total FROM courtlistener.worker_totals ORDER BY metric, label")
    return [Total(*row) for row in rows]


def count_operations(client: redis.Redis) -> redis.Redis:
    """Count every command of this client, and whether Redis answered it; returns the same client."""
    send: Callable[..., Any] = client.execute_command

    def execute_command(*args: Any, **options: Any) -> Any:
        try:
            answer = send(*args, **options)
        except redis.exceptions.NoScriptError:  # The script is loaded and called again: Redis is well.
            REDIS_OPERATIONS.labels("ok").inc()
            raise
        except (redis.RedisError, OSError):
            REDIS_OPERATIONS.labels("failed").inc()
            raise
        REDIS_OPERATIONS.labels("ok").inc()
        return answer

    client.execute_command = execute_command  # type: ignore[method-assign]
    return client
