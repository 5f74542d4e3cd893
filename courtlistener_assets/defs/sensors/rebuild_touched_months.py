"""The sensor that rebuilds vector inputs whose documents have changed.

Belongs here: when a partition is rebuilt. Does not belong here: finding out which partitions a change touches
(`resources/records/store.py`), or building the text (`assets/vector_inputs.py`).

A partition is stale until its documents are read again, so neither a lost event nor a run that fails leaves it behind.
"""

from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg

from courtlistener_assets.defs.active_runs import is_active
from courtlistener_assets.defs.assets.chunk_config import AS_MADE
from courtlistener_assets.defs.jobs import REBUILD_UNDATED, REBUILD_VECTOR_INPUTS, Jobs
from courtlistener_assets.defs.names import UNDATED_VECTOR_INPUTS, VECTOR_INPUTS, Names
from courtlistener_assets.defs.sensors.requested_runs import MOST_RUNS, TICK_SECONDS, IsPartition
from resources.dagster_resources import RecordStoreResource
from resources.records.misfits import UNDATED

#: A download stores page after page: its months are rebuilt when this long nothing more has come.
QUIET_SECONDS = 300.0
STALE_TAG = "courtlistener/stale"


def rebuild_touched_months_sensor(names: Names, jobs: Jobs, is_partition: IsPartition) -> dg.SensorDefinition:
    """Make the sensor; `is_partition` says which partitions still exist."""

    @dg.sensor(
        name=names.name("rebuild_touched_months"),
        jobs=[jobs[name] for name in (REBUILD_VECTOR_INPUTS, REBUILD_UNDATED) if name in jobs],
        minimum_interval_seconds=TICK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Rebuilds the vector inputs whose documents have changed, some minutes after the last change.",
    )
    def rebuild_touched_months(
        context: dg.SensorEvaluationContext, courtlistener_records: RecordStoreResource
    ) -> Iterator[dg.RunRequest | dg.SkipReason]:
        stale = courtlistener_records.open().stale.partitions(quiet_seconds=QUIET_SECONDS)
        built = {
            asset: context.instance.get_materialized_partitions(names.key(asset)) if stale else set()
            for asset in (VECTOR_INPUTS, UNDATED_VECTOR_INPUTS)
        }
        requested = 0
        for partition, last_at in stale:
            asset = UNDATED_VECTOR_INPUTS if partition.endswith(f"|{UNDATED}") else VECTOR_INPUTS
            if partition not in built[asset] or not is_partition(asset, partition):
                continue
            # A run that failed is requested again on the next day.
            key = f"{partition}:{last_at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}:{datetime.now(UTC):%Y-%m-%d}"
            if is_active(context.instance, partition) or _was_requested(context.instance, key):
                continue
            yield dg.RunRequest(
                job_name=names.name(REBUILD_UNDATED if asset == UNDATED_VECTOR_INPUTS else REBUILD_VECTOR_INPUTS),
                run_key=key,
                partition_key=partition,
                run_config={"ops": {names.name(asset): {"config": AS_MADE}}},
                tags={STALE_TAG: key},
            )
            requested += 1
            if requested == MOST_RUNS:
                return
        if not requested:
            yield dg.SkipReason("No partition with vector inputs has changed documents that are quiet.")

    return rebuild_touched_months


def _was_requested(instance: dg.DagsterInstance, run_key: str) -> bool:
    """Whether a run was requested under this key, which is honored once only."""
    return bool(instance.get_runs(dg.RunsFilter(tags={STALE_TAG: run_key}), limit=1))
