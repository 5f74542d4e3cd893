"""The real definitions, resources and servers for tests: sensors are evaluated here, and most runs executed here.

Belongs here: starting runs and reading what became of them. Does not belong here: any expectation.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver
from dagster._core.loader import LoadingContextForTest

from courtlistener_assets.devkit.simulator.server import Simulator
from courtlistener_assets.location import location
from resources.backlog.backlog import Backlog
from resources.connections.postgres import Database
from resources.dagster_resources import (
    BacklogResource,
    CourtListenerResource,
    PostgresResource,
    RecordStoreResource,
    RedisRateLimitResource,
    RedisResource,
)

MONTH = "scotus|2024-01-01"


@dataclass
class CodeLocation:
    """The definitions for some variables, with an instance and what their runs have stored."""

    defs: dg.Definitions
    instance: dg.DagsterInstance
    database: Database
    environ: dict[str, str]
    #: What a sensor said when it last requested nothing.
    skipped: str = field(default="", init=False)
    #: What each sensor left for its next tick.
    cursors: dict[str, str | None] = field(default_factory=dict, init=False)

    def tick(self, sensor: str, **context: Any) -> list[dg.RunRequest]:
        """What a sensor requests now."""
        definition = self.defs.get_repository_def().get_sensor_def(sensor)
        given = {"cursor": self.cursors.get(sensor), **context}
        with dg.build_sensor_context(
            instance=self.instance, resources=self.resources(), definitions=self.defs, sensor_name=sensor, **given
        ) as built:
            tick = definition.evaluate_tick(built)
            self.cursors[sensor] = tick.cursor
            self.skipped = tick.skip_message or ""
            return list(tick.run_requests or [])

    @property
    def backlog(self) -> Backlog:
        """The backlog, as the runs see it."""
        opened: Backlog = self.resources()["courtlistener_backlog"].open()
        return opened

    def resources(self) -> dict[str, Any]:
        """What a sensor is given."""
        postgres = PostgresResource(url=self.environ["POSTGRES_URL"])
        redis = RedisResource(url=self.environ["REDIS_URL"])
        rate_limit = RedisRateLimitResource(
            redis=redis, postgres=postgres, rate_limits=self.environ["COURTLISTENER_RATE_LIMITS"]
        )
        return {
            "courtlistener_backlog": BacklogResource(postgres=postgres, redis=redis),
            "courtlistener_records": RecordStoreResource(postgres=postgres),
            "courtlistener": CourtListenerResource(
                base_url=self.environ["COURTLISTENER_BASE_URL"],
                api_token=self.environ["COURTLISTENER_API_TOKEN"],
                rate_limit=rate_limit,
            ),
        }

    def rows(self, query: str) -> list[Any]:
        return self.database.rows(query)

    def make_due(self) -> None:
        """Let the delay of every failure that nobody is trying again, and of every deferral, pass."""
        with self.database.transaction() as connection:
            connection.execute(
                "UPDATE courtlistener.failures SET last_at = last_at - interval '30 days', retry_after = NULL "
                "WHERE claimed_by IS NULL"
            )
            connection.execute("UPDATE courtlistener.deferrals SET deferred_until = now() - interval '1 second'")

    def materialized(self, asset: str) -> set[str]:
        return set(self.instance.get_materialized_partitions(dg.AssetKey(asset)))


@dataclass
class Pipeline(CodeLocation):
    """The code location with a simulator; its runs are executed in this process."""

    simulator: Simulator

    def run(self, job: str, partition: str | None = None, *, raise_on_error: bool = False, **options: Any) -> Any:
        """Execute a job here; returns Dagster's result."""
        return self.defs.resolve_job_def(job).execute_in_process(
            instance=self.instance, partition_key=partition, raise_on_error=raise_on_error, **options
        )

    def launch(self, request: dg.RunRequest, job: str | None = None) -> Any:
        """Execute the run that a sensor or schedule requested."""
        assert request.asset_selection is None or request.asset_selection
        return self.run(
            request.job_name or job or "",
            request.partition_key,
            run_config=request.run_config,
            tags=dict(request.tags),
            asset_selection=request.asset_selection and list(request.asset_selection),
        )


def stale_status(pipeline: Pipeline) -> str:
    """What Dagster says of the month's vector inputs."""
    graph = pipeline.defs.resolve_asset_graph()
    loading = LoadingContextForTest(pipeline.instance)
    resolver = CachingStaleStatusResolver(pipeline.instance, graph, loading)
    return str(resolver.get_status(dg.AssetKey("vector_inputs"), MONTH).value)


def environment(simulator: Simulator, postgres_url: str, redis_url: str, data_dir: str, **more: str) -> dict[str, str]:
    return {
        "COURTLISTENER_API_TOKEN": "wide-token",
        "COURTLISTENER_BASE_URL": simulator.url,
        "COURTLISTENER_COURTS": "scotus,ca9",
        "COURTLISTENER_FIRST_MONTH": "2024-01",
        "COURTLISTENER_RATE_LIMITS": "100000/min",
        "COURTLISTENER_DATA_DIR": data_dir,
        "COURTLISTENER_PROCESSES": "1",  # Others take a second each to begin.
        "POSTGRES_URL": postgres_url,
        "REDIS_URL": redis_url,
        **more,
    }


@contextmanager
def pipeline_for(
    simulator: Simulator, database: Database, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Pipeline]:
    """A pipeline whose variables are set in this process, since the runs resolve their secrets from it.

    Its instance is in memory: on disk, each event costs a connection and a commit, which was half of what tests cost.
    """
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    warnings.filterwarnings("ignore", category=dg.BetaWarning)
    warnings.filterwarnings("ignore", category=dg.PreviewWarning)
    with dg.DagsterInstance.ephemeral() as instance:
        yield Pipeline(location(environ), instance, database, environ, simulator)
