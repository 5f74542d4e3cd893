"""`courtlistener metrics`: everything that Prometheus may want to know, from one process for all workers.

What workers count comes from their totals in Postgres (`resources/telemetry/metrics.py` says why),
everything else is read from Postgres and Redis when Prometheus asks. The
exporter keeps nothing: it may be stopped, moved and started at will.

Belongs here: names, help and labels of the gauges, and serving. Does not belong here: how things are read.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import redis
from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from courtlistener_assets.operations.status import NothingYet, Status, read_status
from courtlistener_assets.settings import Settings
from resources.connections.postgres import Database
from resources.connections.redis_address import RedisAddress, connect
from resources.errors import StoreUnavailable
from resources.quota.report import AccountReport
from resources.telemetry import metrics

#: name, help, labels
GAUGES: dict[str, tuple[str, tuple[str, ...]]] = {
    "courtlistener_postgres_up": ("Whether Postgres answers; without it no request is sent.", ()),
    "courtlistener_redis_up": ("Whether Redis answers; without it Postgres grants the permits.", ()),
    "courtlistener_redis_memory_used_bytes": ("Memory that Redis uses.", ()),
    "courtlistener_redis_memory_limit_bytes": ("maxmemory of Redis, or all memory of its machine if it has none.", ()),
    "courtlistener_redis_connected_clients": ("Connections that Redis has.", ()),
    "courtlistener_redis_evicted_keys": ("Keys that Redis has evicted since its start; must stay 0.", ()),
    "courtlistener_quota_limit_requests": ("Requests that a window admits.", ("account", "window_seconds")),
    "courtlistener_quota_used_requests": ("Requests that a window counts now.", ("account", "window_seconds")),
    "courtlistener_quota_foreign_requests": (
        "Requests among the used ones that others sent with the same account.",
        ("account", "window_seconds"),
    ),
    "courtlistener_quota_utilisation_ratio": ("Used share of a window, 0 to 1.", ("account", "window_seconds")),
    "courtlistener_quota_room_in_seconds": ("When the next request has room; 0 if now.", ("account",)),
    "courtlistener_quota_held_seconds": ("How long nobody gets a permit, after a 429.", ("account",)),
    "courtlistener_account_blocked": ("1 if CourtListener has blocked the account.", ("account",)),
    "courtlistener_permits_in_flight": ("Permits whose answer has not come yet.", ("account",)),
    "courtlistener_ledger_epoch": ("Epoch of the ledger; each change of holder raises it.", ("account",)),
    "courtlistener_ledger_holder": ("1 for the store that grants permits now.", ("account", "holder")),
    "courtlistener_partitions": ("Partitions, by state: complete, in_progress, not_begun.", ("asset", "state")),
    "courtlistener_requests_left": ("Estimate of the requests that the rest of an asset takes.", ("asset",)),
    "courtlistener_seconds_left": ("Estimate until everything is downloaded, from the account's windows.", ()),
    "courtlistener_requests_per_docket_ratio": ("Requests of all assets for each docket, so far.", ()),
    "courtlistener_failures": ("Failures not resolved, by state: open, claimed, dead.", ("state",)),
    "courtlistener_deferred_partitions": ("Partitions that wait for room in the quota.", ("asset",)),
    "courtlistener_scrape_seconds": ("How long reading all this took.", ()),
}
Sample = tuple[str, tuple[str, ...], float]


class PipelineCollector(Collector):
    """Reads everything anew for each scrape."""

    def __init__(self, settings: Settings, database: Database, client: redis.Redis) -> None:
        self._settings = settings
        self._database = database
        self._client = client

    def describe(self) -> Iterable[Metric]:
        """Nothing, so that registering asks no server."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All metrics that can be read now; one of a server that does not answer is left out."""
        started = time.monotonic()
        samples = [*self._from_redis(), *self._from_postgres()]
        samples.append(("courtlistener_scrape_seconds", (), time.monotonic() - started))
        yield from _gauges(samples)
        yield from self._counters()

    def _from_redis(self) -> Iterator[Sample]:
        try:
            info: dict[str, Any] = self._client.info()
        except (redis.RedisError, OSError):
            yield "courtlistener_redis_up", (), 0.0
            return
        limit = info.get("maxmemory") or info.get("total_system_memory", 0)
        yield "courtlistener_redis_up", (), 1.0
        yield "courtlistener_redis_memory_used_bytes", (), float(info.get("used_memory", 0))
        yield "courtlistener_redis_memory_limit_bytes", (), float(limit)
        yield "courtlistener_redis_connected_clients", (), float(info.get("connected_clients", 0))
        yield "courtlistener_redis_evicted_keys", (), float(info.get("evicted_keys", 0))

    def _from_postgres(self) -> Iterator[Sample]:
        try:
            status = read_status(self._settings, self._database)
        except StoreUnavailable:
            yield "courtlistener_postgres_up", (), 0.0
            return
        except NothingYet:
            yield "courtlistener_postgres_up", (), 1.0
            return
        yield "courtlistener_postgres_up", (), 1.0
        for account in status.accounts:
            yield from _of_account(account)
        yield from _of_pipeline(status)

    def _counters(self) -> Iterator[Metric]:
        found: dict[str, dict[str, float]] = {}
        try:
            for total in metrics.totals(self._database):
                found.setdefault(total.metric, {})[total.label] = total.total
        except Exception:  # Not migrated yet, or away: postgres_up says which.
            return
        for known in metrics.WORKER_REGISTRY.collect():
            labels = metrics.LABELS.get(known.name, [])
            family = CounterMetricFamily(known.name, known.documentation, labels=labels)
            # A counter without a label begins at 0, so that its first increase is seen.
            for label, value in sorted(found.get(known.name, {} if labels else {"": 0.0}).items()):
                family.add_metric([label] if labels else [], value)
            yield family


def _of_account(account: AccountReport) -> Iterator[Sample]:
    for window in account.windows:
        labels = (account.account, str(window.seconds))
        yield "courtlistener_quota_limit_requests", labels, window.limit
        yield "courtlistener_quota_used_requests", labels, window.used
        yield "courtlistener_quota_foreign_requests", labels, window.foreign
        yield "courtlistener_quota_utilisation_ratio", labels, window.utilisation
    mine = (account.account,)
    yield "courtlistener_quota_room_in_seconds", mine, account.room_in_seconds
    yield "courtlistener_quota_held_seconds", mine, account.held_seconds
    yield "courtlistener_account_blocked", mine, float(bool(account.blocked))
    yield "courtlistener_permits_in_flight", mine, account.in_flight
    yield "courtlistener_ledger_epoch", mine, account.epoch
    for holder in ("redis", "postgres"):
        yield "courtlistener_ledger_holder", (account.account, holder), float(account.holder == holder)


def _of_pipeline(status: Status) -> Iterator[Sample]:
    for asset in status.pipeline.assets:
        states = {"complete": asset.complete, "in_progress": asset.in_progress, "not_begun": asset.not_begun}
        for state, count in states.items():
            yield "courtlistener_partitions", (asset.asset, state), count
        yield "courtlistener_requests_left", (asset.asset,), asset.requests_left
        deferred = sum(deferral.asset == asset.asset for deferral in status.pipeline.deferrals)
        yield "courtlistener_deferred_partitions", (asset.asset,), deferred
    failures = status.pipeline.failures
    for state, count in {"open": failures.open, "claimed": failures.claimed, "dead": failures.dead}.items():
        yield "courtlistener_failures", (state,), count
    if status.seconds_left is not None:
        yield "courtlistener_seconds_left", (), status.seconds_left
    if status.pipeline.requests_a_docket is not None:
        yield "courtlistener_requests_per_docket_ratio", (), status.pipeline.requests_a_docket


def _gauges(samples: Iterable[Sample]) -> Iterator[Metric]:
    families: dict[str, GaugeMetricFamily] = {}
    for name, labels, value in samples:
        if name not in families:
            text, label_names = GAUGES[name]
            families[name] = GaugeMetricFamily(name, text, labels=label_names)
        families[name].add_metric(labels, value)
    yield from families.values()


def registry_of(settings: Settings, database: Database, client: redis.Redis) -> CollectorRegistry:
    """A registry that reads everything when it is collected."""
    registry = CollectorRegistry()
    registry.register(PipelineCollector(settings, database, client))
    return registry


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Prometheus asks every few seconds; that is no news."""


def serve(
    settings: Settings,
    host: str,
    port: int,
    say: Callable[[str], None],
    stop: threading.Event | None = None,
) -> None:
    """Serve `/metrics` until KeyboardInterrupt, or until `stop` is set; `port` 0 takes a free one."""
    database = Database(settings.postgres_url, max_connections=2, timeout_seconds=5.0)
    client = connect(RedisAddress(settings.redis_url), timeout_seconds=2.0, connect_timeout_seconds=2.0)
    server = make_server(host, port, make_wsgi_app(registry_of(settings, database, client)), handler_class=_Quiet)
    server.timeout = 0.5
    say(f"Metrics: http://{host}:{server.server_port}/metrics (since {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC)")
    try:
        while stop is None or not stop.is_set():
            server.handle_request()
    finally:
        server.server_close()
        database.close()
        client.close()
