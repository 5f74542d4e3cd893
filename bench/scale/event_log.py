"""What runs leave in Dagster's storage: `python -m bench.scale.event_log --partitions 240`.

Real runs of `court_month` against the simulator, one a partition, with an instance in Postgres and the events that the
queue and the launcher of `make dev` add. What a partition takes is the growth of Dagster's tables, indexes included.

Belongs here: those runs, and adding up what they left, by kind of event and by table. Does not belong here: how long
anything takes (`dagster_load.py`).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
from dagster._core.definitions.job_base import RepoBackedJob
from dagster._core.events import DagsterEvent, EngineEventData
from dagster._core.execution.api import execute_run
from dagster._core.remote_origin import (
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

from courtlistener_assets.defs.run_history import RunHistory
from courtlistener_assets.devkit.servers.postgres_server import PostgresServer
from courtlistener_assets.devkit.servers.redis_server import RedisServer
from courtlistener_assets.devkit.session.instance import open_instance, write_instance
from courtlistener_assets.devkit.simulator.expected import months_between
from courtlistener_assets.devkit.simulator.generator import generate
from courtlistener_assets.devkit.simulator.server import Simulator
from courtlistener_assets.location import location
from courtlistener_assets.operations.dagster_schema import SEARCH_PATH

JOB = "court_month"
ASSETS = ("dockets", "clusters", "opinions", "docket_entries", "vector_inputs")
MODULE, LOCATION = "courtlistener_assets.definitions", "courtlistener_assets"
COURTS = ("scotus", "ca9")
#: What Dagster's tables of runs and events are called; others do not grow with the partitions.
TABLES = (
    "event_logs",
    "asset_event_tags",
    "asset_check_executions",
    "runs",
    "run_tags",
    "snapshots",
    "asset_keys",
)

# Bytes of a row as it lies in the table, compressed where Postgres compresses it, by kind of event.
_BY_KIND = """
    SELECT coalesce(dagster_event_type, 'LINE OF THE LOG') AS kind, count(*), sum(pg_column_size(event_logs.*))
    FROM event_logs GROUP BY 1 ORDER BY 3 DESC
"""
_BY_TABLE = "SELECT pg_table_size(%(table)s::regclass), pg_indexes_size(%(table)s::regclass)"


@dataclass(frozen=True)
class Footprint:
    """What is stored: rows and bytes of rows by kind of event, and bytes by table, without and with its indexes."""

    kinds: Mapping[str, tuple[int, int]]
    tables: Mapping[str, tuple[int, int]]

    @property
    def bytes(self) -> int:
        """All of it."""
        return sum(map(sum, self.tables.values()))

    @property
    def events(self) -> int:
        """How many rows the event log has."""
        return sum(count for count, _ in self.kinds.values())


def footprint(url: str) -> Footprint:
    """Return what the storage at `url` has; dead rows do not count."""
    with psycopg.connect(url, autocommit=True, options=SEARCH_PATH) as connection:
        connection.execute(f"VACUUM FULL {', '.join(TABLES)}")
        kinds = {kind: (count, int(size)) for kind, count, size in connection.execute(_BY_KIND)}
        tables = {}
        for table in TABLES:
            row = connection.execute(_BY_TABLE, {"table": table}).fetchone()
            assert row
            tables[table] = (row[0], row[1])
    return Footprint(kinds, tables)


def run_as_queued(defs: dg.Definitions, instance: dg.DagsterInstance, partition: str, job: str = JOB) -> dg.DagsterRun:
    """Carry out a run of a partition here, with all events that it has when a backfill's run is queued and launched."""
    definition = defs.resolve_job_def(job)
    tags = {
        "dagster/backfill": "abcdefgh",
        **definition.get_tags_for_partition_key(partition, definition.asset_layer.selected_asset_keys),
    }
    run = instance.create_run_for_job(
        definition, tags=tags, status=dg.DagsterRunStatus.NOT_STARTED, remote_job_origin=_origin(job)
    )
    instance.report_dagster_event(DagsterEvent.job_enqueue(run), run_id=run.run_id)
    starting = DagsterEvent(event_type_value=dg.DagsterEventType.PIPELINE_STARTING.value, job_name=run.job_name)
    instance.report_dagster_event(starting, run_id=run.run_id)
    begun = _found(instance, run)
    said = f"Started process for run (pid: {os.getpid()})."
    instance.report_engine_event(said, begun, EngineEventData.in_process(os.getpid()))
    execute_run(RepoBackedJob(job, defs.get_repository_def()), begun, instance, raise_on_error=True)
    return _found(instance, run)


def _origin(job: str) -> RemoteJobOrigin:
    """Where `make dev` has its jobs from, which stands in each run."""
    target = LoadableTargetOrigin(executable_path=sys.executable, module_name=MODULE, working_directory=os.getcwd())
    place = ManagedGrpcPythonEnvCodeLocationOrigin(loadable_target_origin=target, location_name=LOCATION)
    return RemoteJobOrigin(RemoteRepositoryOrigin(place, "__repository__"), job)


def _found(instance: dg.DagsterInstance, run: dg.DagsterRun) -> dg.DagsterRun:
    found = instance.get_run_by_id(run.run_id)
    assert found
    return found


def measure(count: int, home: Path) -> dict[str, Any]:
    """Run `count` partitions and return the figures, a partition."""
    last = 2024 * 12 + 2
    first = last - (count + len(COURTS) - 1) // len(COURTS) + 1
    months = months_between(f"{first // 12:04d}-{first % 12 + 1:02d}", "2024-03")
    corpus = generate(size=0.2, first_month=months[0])
    with PostgresServer() as postgres, RedisServer() as redis, Simulator(corpus) as simulator:
        environ = {
            "COURTLISTENER_API_TOKEN": "wide-token",
            "COURTLISTENER_BASE_URL": simulator.url,
            "COURTLISTENER_COURTS": ",".join(COURTS),
            "COURTLISTENER_FIRST_MONTH": months[0],
            "COURTLISTENER_RATE_LIMITS": "100000/min",
            "COURTLISTENER_DATA_DIR": str(home / "data"),
            "COURTLISTENER_PROCESSES": "1",
            "POSTGRES_URL": postgres.url,
            "REDIS_URL": redis.url,
        }
        with psycopg.connect(postgres.url, autocommit=True) as connection:
            connection.execute("CREATE DATABASE dagster")
        url = postgres.url.rsplit("/", 1)[0] + "/dagster"
        os.environ.update(environ)
        write_instance(home, workers=4)
        with open_instance(home, url) as instance:
            defs = location(environ)
            keys = [f"{court}|{month}-01" for court in COURTS for month in months][: count + 1]
            history = RunHistory(instance, {JOB}, [dg.AssetKey(asset) for asset in ASSETS])
            run_as_queued(defs, instance, keys[0])
            history.tidy(datetime.now(UTC))
            before = footprint(url)
            for key in keys[1:]:
                run_as_queued(defs, instance, key)
            after = footprint(url)
            _tell_examples(url)
            history.tidy(datetime.now(UTC))
            tidied = footprint(url)
    count = len(keys) - 1
    return {
        "partitions": count,
        "after the runs": _a_partition(before, after, count),
        "after tidy": _a_partition(before, tidied, count),
    }


def _tell_examples(url: str) -> None:
    if path := os.environ.get("EVENT_LOG_EXAMPLES"):
        with psycopg.connect(url, options=SEARCH_PATH) as connection:
            rows = connection.execute(
                "SELECT id, coalesce(dagster_event_type, ''), step_key, pg_column_size(event_logs.*), event "
                "FROM event_logs WHERE run_id = (SELECT run_id FROM event_logs ORDER BY id DESC LIMIT 1) ORDER BY id"
            )
            Path(path).write_text("\n".join(json.dumps(row) for row in rows))


def _a_partition(before: Footprint, after: Footprint, count: int) -> dict[str, Any]:
    kinds = {
        kind: {
            "events": round((rows - before.kinds.get(kind, (0, 0))[0]) / count, 2),
            "kb": round((size - before.kinds.get(kind, (0, 0))[1]) / count / 1000, 2),
        }
        for kind, (rows, size) in after.kinds.items()
    }
    tables = {
        table: {
            "table_kb": round((after.tables[table][0] - before.tables[table][0]) / count / 1000, 2),
            "index_kb": round((after.tables[table][1] - before.tables[table][1]) / count / 1000, 2),
        }
        for table in TABLES
    }
    size = (after.bytes - before.bytes) / count
    return {
        "events_a_partition": round((after.events - before.events) / count, 1),
        "kb_a_partition": round(size / 1000, 1),
        "gb_for_20000_partitions": round(size * 20_000 / 1e9, 2),
        "kinds": kinds,
        "tables": tables,
    }


def main() -> None:
    """Measure and say it."""
    parser = argparse.ArgumentParser(description="Measure what a partition leaves in Dagster's storage.")
    parser.add_argument("--partitions", type=int, default=240)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    with tempfile.TemporaryDirectory() as directory:
        print(json.dumps(measure(options.partitions, Path(directory)), indent=2))


if __name__ == "__main__":
    main()
