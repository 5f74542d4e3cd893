"""What Dagster takes when there are many partitions: loading, ticks, asset checks, the queries of its UI.

Run in a process of its own (`python -m bench.scale.dagster_load`), in the environment of a code location on a
filled store, so that the time of a start is that of a start. Writes milliseconds as JSON to the instance's directory.

Belongs here: an instance in Postgres whose partitions are materialized, and timing what is asked of it. Does not belong
here: the store's own queries (`store.py`).
"""

from __future__ import annotations

import json
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import psycopg

STARTED = psutil.Process().create_time()

import dagster as dg  # noqa: E402

IMPORTED_DAGSTER = time.time()

from dagster._core.workspace.context import WorkspaceProcessContext  # noqa: E402
from dagster._core.workspace.load_target import ModuleTarget  # noqa: E402
from dagster_graphql.cli import execute_query  # noqa: E402

from bench.scale.fill import SIMULATED_COURTS  # noqa: E402
from bench.scale.store import milliseconds  # noqa: E402
from courtlistener_assets.devkit.session.instance import open_instance, write_instance  # noqa: E402
from courtlistener_assets.download.membership import COURT_CHANGES  # noqa: E402

FIGURES = "figures.json"
_MODULE = "courtlistener_assets.definitions"
_MATERIALIZED = ("dockets", "clusters", "opinions", "docket_entries", "vector_inputs")

#: Partitions of which the simulator has all kinds of objects.
_SIMULATED = [f"{court}|2024-{month:02d}-01" for month in (1, 2, 3) for court in SIMULATED_COURTS]

# What the UI asks for the page of an asset, and for the graph of all assets.
_STATUS_OF_PARTITIONS = """
query Status($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) { ... on AssetNode {
    partitionKeysByDimension { name partitionKeys }
    assetPartitionStatuses { ... on MultiPartitionStatuses { primaryDimensionName ranges {
        primaryDimStartKey primaryDimEndKey
        secondaryDim {
            ... on TimePartitionStatuses { ranges { startKey endKey status } }
            ... on DefaultPartitionStatuses { materializedPartitions failedPartitions materializingPartitions }
        } } } } } } }
"""
_GRAPH = """
query Graph { assetNodes(loadMaterializations: false) {
    assetKey { path } groupName dependencyKeys { path } dependedByKeys { path } jobNames
    partitionDefinition { name description } partitionStats { numMaterialized numPartitions numFailed } } }
"""


def main() -> None:
    """Time everything in the environment of the process; the first argument is a directory for the instance."""
    home, url = Path(sys.argv[1]), os.environ["DAGSTER_POSTGRES_URL"]
    figures: dict[str, float] = {"Dagster imported": 1000 * (IMPORTED_DAGSTER - STARTED)}
    from courtlistener_assets.definitions import defs

    repository = defs.get_repository_def()
    figures["code location loaded, from the start of its process"] = 1000 * (time.time() - STARTED)
    warnings.filterwarnings("ignore")
    write_instance(home, workers=4)
    with open_instance(home, url) as instance:
        months = _partitions_of(defs, "dockets")
        figures["all partition keys listed"] = milliseconds(lambda: _partitions_of(defs, "dockets"), times=3)
        _materialize(instance, url, months, _partitions_of(defs, COURT_CHANGES))
        figures |= _ticks(repository, instance)
        figures |= _runs(defs, instance, months)
        figures |= _ui(instance)
    (home / FIGURES).write_text(json.dumps({name: round(value, 1) for name, value in figures.items()}))


def _partitions_of(defs: dg.Definitions, asset: str) -> Sequence[str]:
    definition = defs.get_repository_def().asset_graph.get(dg.AssetKey(asset)).partitions_def
    assert definition is not None
    return definition.get_partition_keys()


# --- an instance with a history ---------------------------------------------------------------------------------------


def _materialize(instance: dg.DagsterInstance, url: str, months: Sequence[str], courts: Sequence[str]) -> None:
    """As if every partition had been materialized: one event of each asset is real, the others are its copies."""
    for asset in (*_MATERIALIZED, COURT_CHANGES):
        keys, metadata = courts if asset == COURT_CHANGES else months, {"records": 50}
        instance.report_runless_asset_event(
            dg.AssetMaterialization(dg.AssetKey(asset), partition=keys[0], metadata=metadata)
        )
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(_COPIES, {"asset": json.dumps([asset]), "first": keys[0], "keys": list(keys[1:])})
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE dagster.event_logs")


_COPIES = """
    INSERT INTO dagster.event_logs (run_id, event, dagster_event_type, timestamp, step_key, asset_key, partition)
    SELECT run_id, replace(event, %(first)s, key), dagster_event_type, timestamp, step_key, asset_key, key
    FROM dagster.event_logs, unnest(%(keys)s::text[]) AS key
    WHERE asset_key = %(asset)s AND partition = %(first)s
        AND dagster_event_type = 'ASSET_MATERIALIZATION'
"""


# --- ticks and runs ---------------------------------------------------------------------------------------------------


def _ticks(repository: dg.RepositoryDefinition, instance: dg.DagsterInstance) -> dict[str, float]:
    resources = dict(repository.get_top_level_resources())

    def sensor(definition: dg.SensorDefinition) -> None:
        with dg.build_sensor_context(
            instance=instance, repository_def=repository, sensor_name=definition.name, resources=resources
        ) as context:
            definition.evaluate_tick(context)

    def schedule(definition: dg.ScheduleDefinition) -> None:
        with dg.build_schedule_context(
            instance=instance,
            repository_def=repository,
            scheduled_execution_time=datetime.now(UTC),
            resources=resources,
        ) as context:
            definition.evaluate_tick(context)

    sensors = {f"tick of {each.name}": partial(sensor, each) for each in repository.sensor_defs}
    schedules = {f"tick of {each.name}": partial(schedule, each) for each in repository.schedule_defs}
    return {name: milliseconds(tick, times=3) for name, tick in {**sensors, **schedules}.items()}


def _runs(defs: dg.Definitions, instance: dg.DagsterInstance, months: Sequence[str]) -> dict[str, float]:
    """Whole runs, each of another partition."""
    stored = iter(months[1 : len(months) // 2])
    _forget_sweeps(_SIMULATED)
    simulated = iter(_SIMULATED)

    def run(job: str, keys: Iterator[str] | None = None) -> Callable[[], object]:
        def execute() -> object:
            key = next(keys) if keys else None
            result = defs.resolve_job_def(job).execute_in_process(instance=instance, partition_key=key)
            assert result.success
            return result

        return execute

    with _quiet():
        return {
            "run that downloads a partition, with its text and checks": milliseconds(
                run("court_month", simulated), times=len(_SIMULATED) - 1
            ),
            "run of vector_inputs for a partition, with its checks": milliseconds(
                run("rebuild_vector_inputs", stored), times=5
            ),
            "run that shows failed dockets, with its check": milliseconds(run("show_failed_dockets"), times=3),
        }


def _forget_sweeps(partitions: Sequence[str]) -> None:
    """As if these had never been downloaded: the simulated server has objects of them."""
    with psycopg.connect(os.environ["POSTGRES_URL"]) as connection:
        connection.execute("DELETE FROM courtlistener.sweeps WHERE partition = ANY(%s)", (list(partitions),))


@contextmanager
def _quiet() -> Iterator[None]:
    """Dagster tells every event of a run on standard error."""
    saved, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(null)
        os.close(saved)


# --- the UI -----------------------------------------------------------------------------------------------------------


def _ui(instance: dg.DagsterInstance) -> dict[str, float]:
    """The webserver's own work, on the code server that it starts."""
    began = time.perf_counter()
    target = ModuleTarget(_MODULE, attribute="defs", working_directory=os.getcwd(), location_name="courtlistener")
    with WorkspaceProcessContext(instance, target, code_server_log_level="WARNING") as workspace:
        loaded = 1000 * (time.perf_counter() - began)

        def ask(query: str, **variables: object) -> Callable[[], object]:
            def asked() -> Any:
                response = execute_query(workspace, query, variables)
                assert "errors" not in response, response["errors"]
                return response

            return asked

        status = ask(_STATUS_OF_PARTITIONS, key={"path": ["dockets"]})
        began = time.perf_counter()
        status()
        first = 1000 * (time.perf_counter() - began)
        return {
            "code server started and loaded for the webserver": loaded,
            "UI: status of an asset's partitions, the first time": first,
            "UI: status of an asset's partitions": milliseconds(status, times=3),
            "UI: graph of all assets": milliseconds(ask(_GRAPH), times=3),
        }


if __name__ == "__main__":
    main()
