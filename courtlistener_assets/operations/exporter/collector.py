"""All parts of the metrics, read when Prometheus asks.

Belongs here: which parts there are, and saying which of them could be read. Does not belong here: reading them
(`*_part.py`), waiting (`parts.py`), serving (`http_server.py`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import psycopg
import redis
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from courtlistener_assets.operations.exporter.backlog_part import read_backlog
from courtlistener_assets.operations.exporter.counters_part import read_counters
from courtlistener_assets.operations.exporter.dagster_part import DagsterPart
from courtlistener_assets.operations.exporter.downloads_part import read_downloads
from courtlistener_assets.operations.exporter.gauges import Sample, gauges
from courtlistener_assets.operations.exporter.parts import Part, patience_seconds
from courtlistener_assets.operations.exporter.quota_part import read_quota
from courtlistener_assets.operations.exporter.redis_part import read_redis
from courtlistener_assets.settings import Settings
from resources.connections.postgres import Database
from resources.errors import NothingYet, SchemaMismatch


class PipelineCollector(Collector):
    """Reads everything for each scrape."""

    def __init__(
        self, settings: Settings, database: Database, client: redis.Redis, dagster: DagsterPart | None = None
    ) -> None:
        assets = [stream.name for stream in settings.chosen_streams]
        self._parts = [
            Part("redis", partial(read_redis, client), up="courtlistener_redis_up"),
            Part("postgres", partial(_ping, database), up="courtlistener_postgres_up"),
            Part("quota", partial(_migrated, partial(read_quota, database))),
            Part("downloads", partial(_migrated, partial(read_downloads, settings, database))),
            Part("backlog", partial(_migrated, partial(read_backlog, database, assets))),
            Part("counters", partial(_migrated, partial(read_counters, database))),
        ]
        if dagster:
            self._parts.append(Part("dagster", dagster.read, up="courtlistener_dagster_up"))

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics that can be read in the time of the scrape, and say what could not."""
        started, patience = time.monotonic(), patience_seconds()
        readings = [(part, part.begin()) for part in self._parts]
        said: list[Sample] = []
        for part, reading in readings:
            found = part.result(reading, patience - (time.monotonic() - started))
            yield from found or ()
            up = float(found is not None)
            said.append(("courtlistener_scrape_part_up", (part.name,), up))
            said += [(part.up, (), up)] if part.up else []
        yield from gauges([*said, ("courtlistener_scrape_seconds", (), time.monotonic() - started)])


def _ping(database: Database) -> Sequence[Metric]:
    database.rows("SELECT 1")
    return ()


def _migrated(read: Callable[[], Sequence[Metric]]) -> Sequence[Metric]:
    """Read from our tables; raises NothingYet if they are not there."""
    try:
        return read()
    except SchemaMismatch as mismatch:
        if isinstance(mismatch.__cause__, psycopg.errors.UndefinedTable):
            raise NothingYet from None
        raise


def registry_of(
    settings: Settings, database: Database, client: redis.Redis, dagster: DagsterPart | None = None
) -> CollectorRegistry:
    """Return a registry that reads everything when it is collected."""
    registry = CollectorRegistry()
    registry.register(PipelineCollector(settings, database, client, dagster))
    return registry
