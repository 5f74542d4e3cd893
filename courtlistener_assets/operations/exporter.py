"""`courtlistener metrics`: everything that Prometheus may want to know, from one process for all workers.

What workers count comes from their totals in Postgres (`resources/telemetry/metrics.py` says why), everything else is
read from Postgres and Redis at each scrape. The exporter keeps nothing: it may be stopped, moved and started at will.

Belongs here: names, help and labels of the gauges, and serving. Does not belong here: how things are read.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import redis
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from courtlistener_assets.operations.status import Status, read_status
from courtlistener_assets.settings import Settings
from resources.connections.postgres import Database
from resources.connections.redis_address import connect
from resources.courtlistener.outage import Outage
from resources.errors import NothingYet, StoreUnavailable
from resources.quota.report import AccountReport
from resources.telemetry import metrics

_OF_WINDOW = ("account", "window_seconds")
#: name, help, labels
GAUGES: dict[str, tuple[str, tuple[str, ...]]] = {
    "courtlistener_postgres_up": ("Whether Postgres responds; without it no request is sent.", ()),
    "courtlistener_redis_up": ("Whether Redis responds; without it Postgres grants the permits.", ()),
    "courtlistener_redis_memory_used_bytes": ("Memory that Redis uses.", ()),
    "courtlistener_redis_memory_limit_bytes": ("maxmemory of Redis, or all memory of its machine if it has none.", ()),
    "courtlistener_redis_connected_clients": ("Connections that Redis has.", ()),
    "courtlistener_redis_evicted_keys": ("Keys that Redis has evicted since its start; must stay 0.", ()),
    "courtlistener_quota_limit_requests": ("Requests that a window admits.", _OF_WINDOW),
    "courtlistener_quota_used_requests": ("Requests that a window counts now.", _OF_WINDOW),
    "courtlistener_quota_foreign_requests": ("Used requests that others sent with the same account.", _OF_WINDOW),
    "courtlistener_quota_utilization_ratio": ("Used share of a window, 0 to 1.", _OF_WINDOW),
    "courtlistener_quota_room_in_seconds": ("When the next request has room; 0 if now.", ("account",)),
    "courtlistener_quota_held_seconds": ("How long no permit is granted, after a 429.", ("account",)),
    "courtlistener_account_unusable": ("1 if what is stored of its windows makes no sense.", ("account",)),
    "courtlistener_account_blocked": ("1 if CourtListener has blocked the account.", ("account",)),
    "courtlistener_server_down": ("1 while CourtListener gives nothing, whatever is asked for.", ("account",)),
    "courtlistener_server_down_seconds": ("For how long that has been so; 0 if it is up.", ("account",)),
    "courtlistener_server_probe_in_seconds": ("When it is asked again; 0 if it is up, or now.", ("account",)),
    "courtlistener_endpoint_down": ("1 for an endpoint that gives nothing while others do.", ("account", "endpoint")),
    "courtlistener_endpoint_refused": ("1 for an endpoint that the account may not use.", ("account", "endpoint")),
    "courtlistener_permits_in_flight": ("Permits whose response has not come yet.", ("account",)),
    "courtlistener_ledger_epoch": ("Epoch of the ledger; each change of holder raises it.", ("account",)),
    "courtlistener_ledger_holder": ("1 for the store that grants permits now.", ("account", "holder")),
    "courtlistener_partitions": ("Partitions, by state: complete, in_progress, not_begun.", ("asset", "state")),
    "courtlistener_requests_left": ("Estimate of the requests that the rest of an asset takes.", ("asset",)),
    "courtlistener_seconds_left": ("Estimate until everything is downloaded, from the account's windows.", ()),
    "courtlistener_requests_per_docket_ratio": ("Requests of all assets for each docket, so far.", ()),
    "courtlistener_failures": ("Failures not resolved, by state: waiting, claimed, dead.", ("state",)),
    "courtlistener_deferred_partitions": ("Partitions that wait for room in the quota.", ("asset",)),
    "courtlistener_scrape_seconds": ("How long reading all this took.", ()),
}
Sample = tuple[str, tuple[str, ...], float]


class PipelineCollector(Collector):
    """Reads everything for each scrape."""

    def __init__(self, settings: Settings, database: Database, client: redis.Redis) -> None:
        self._settings = settings
        self._database = database
        self._client = client

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics that can be read now; those of a server that does not respond are left out."""
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
        except (StoreUnavailable, NothingYet) as error:
            yield "courtlistener_postgres_up", (), float(isinstance(error, NothingYet))
            return
        yield "courtlistener_postgres_up", (), 1.0
        for account in status.accounts:
            yield from _of_account(account)
            yield from _of_server(account.account, status.outages)
        yield from _of_pipeline(status)

    def _counters(self) -> Iterator[Metric]:
        try:
            totals = metrics.totals(self._database)
        except Exception:  # Not migrated yet, or down: postgres_up says which.
            return
        for known in metrics.WORKER_REGISTRY.collect():
            labels = metrics.LABELS.get(known.name, [])
            family = CounterMetricFamily(known.name, known.documentation, labels=labels)
            found = {label: total for (metric, label), total in totals.items() if metric == known.name}
            # A counter without a label begins at 0, so that its first increase is seen.
            for label, value in sorted((found or ({} if labels else {"": 0.0})).items()):
                family.add_metric([label] if labels else [], value)
            yield family


def _of_account(account: AccountReport) -> Iterator[Sample]:
    yield "courtlistener_account_unusable", (account.account,), float(bool(account.problem))
    if account.problem:
        return
    for window in account.windows:
        labels = (account.account, str(window.seconds))
        yield "courtlistener_quota_limit_requests", labels, window.limit
        yield "courtlistener_quota_used_requests", labels, window.used
        yield "courtlistener_quota_foreign_requests", labels, window.foreign
        yield "courtlistener_quota_utilization_ratio", labels, window.utilization
    mine = (account.account,)
    yield "courtlistener_quota_room_in_seconds", mine, account.room_in_seconds
    yield "courtlistener_quota_held_seconds", mine, account.held_seconds
    yield "courtlistener_account_blocked", mine, float(bool(account.blocked))
    yield "courtlistener_permits_in_flight", mine, account.in_flight
    yield "courtlistener_ledger_epoch", mine, account.epoch
    for holder in ("redis", "postgres"):
        yield "courtlistener_ledger_holder", (account.account, holder), float(account.holder == holder)


def _of_server(account: str, outages: Iterable[Outage]) -> Iterator[Sample]:
    known = next((each for each in outages if each.account == account), None)
    since = known.down_since if known else None
    yield "courtlistener_server_down", (account,), float(since is not None)
    yield "courtlistener_server_down_seconds", (account,), (known.now - since).total_seconds() if known and since else 0
    yield "courtlistener_server_probe_in_seconds", (account,), known.probe_in_seconds if known and since else 0
    for trouble in known.troubles if known else ():
        name = "courtlistener_endpoint_refused" if trouble.refused else "courtlistener_endpoint_down"
        yield name, (account, trouble.endpoint), 1.0


def _of_pipeline(status: Status) -> Iterator[Sample]:
    for asset in status.pipeline.assets:
        states = {"complete": asset.complete, "in_progress": asset.in_progress, "not_begun": asset.not_begun}
        for state, count in states.items():
            yield "courtlistener_partitions", (asset.asset, state), count
        yield "courtlistener_requests_left", (asset.asset,), asset.requests_left
        deferred = sum(deferral.asset == asset.asset for deferral in status.pipeline.deferrals)
        yield "courtlistener_deferred_partitions", (asset.asset,), deferred
    for state, count in status.pipeline.failures.items():
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
    """Return a registry that reads everything when it is collected."""
    registry = CollectorRegistry()
    registry.register(PipelineCollector(settings, database, client))
    return registry


def serve(
    settings: Settings, host: str, port: int, say: Callable[[str], None], stop: threading.Event | None = None
) -> None:
    """Serve `/metrics` until KeyboardInterrupt, or until `stop` is set; `port` 0 takes a free one."""
    with (
        closing(Database(settings.postgres_url, max_connections=2, timeout_seconds=5.0)) as database,
        connect(settings.redis_url, prefix=settings.redis_prefix) as client,
    ):
        server, thread = start_http_server(port, host, registry_of(settings, database, client))
        say(f"Metrics: http://{host}:{server.server_port}/metrics (since {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC)")
        try:
            (stop or threading.Event()).wait()
        finally:
            server.shutdown()
            server.server_close()
            thread.join()
