"""The sensor that rebuilds vector inputs after fresh data.

Belongs here: which months the changes since the last tick make stale. Does not belong here: finding the changes
(`assets/court_changes.py`), or building the text (`assets/vector_inputs.py`).

It is no `asset_sensor`, which sees only the newest materialization: the days of several courts, or missed days, end
within one interval.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster import DagsterInstance

from courtlistener_assets.defs.assets.court_changes import COURT_CHANGES, TOUCHED_MONTHS
from courtlistener_assets.defs.jobs import REBUILD_VECTOR_INPUTS, Jobs
from courtlistener_assets.defs.names import VECTOR_INPUTS, Names
from courtlistener_assets.defs.schedules import MOST_MISSED_DAYS
from courtlistener_assets.defs.sensors.requested_runs import TICK_SECONDS, IsPartition

#: Materializations read by one tick; the next tick reads the rest.
MOST_MATERIALIZATIONS = 100
#: A sensor without a cursor reads what is younger than this: the first materializations of a new installation, and all
#: that the schedule makes up for, but not years of history, for which an operator rebuilds all months.
LOOK_BACK = timedelta(days=MOST_MISSED_DAYS)


def unread_changes(
    instance: DagsterInstance, changes: dg.AssetKey, cursor: str | None, *, now: datetime | None = None
) -> Sequence[dg.EventLogRecord]:
    """Return the next materializations of court_changes (`changes`) after the cursor, a storage id, oldest first."""
    since = None if cursor else ((now or datetime.now(UTC)) - LOOK_BACK).timestamp()
    wanted = dg.AssetRecordsFilter(changes, after_storage_id=int(cursor) if cursor else None, after_timestamp=since)
    return instance.fetch_materializations(wanted, limit=MOST_MATERIALIZATIONS, ascending=True).records


def touched_months(event: dg.EventLogEntry) -> list[str]:
    """Return the partitions of vector_inputs that a materialization of court_changes made stale."""
    materialization = event.asset_materialization
    value = materialization.metadata.get(TOUCHED_MONTHS) if materialization else None
    return [str(month) for month in value.value] if isinstance(value, dg.JsonMetadataValue) and value.value else []


def rebuild_touched_months_sensor(names: Names, jobs: Jobs, is_partition: IsPartition) -> dg.SensorDefinition:
    """Make the sensor; `is_partition` says which partitions still exist."""

    @dg.sensor(
        name=names.name("rebuild_touched_months"),
        job=jobs[REBUILD_VECTOR_INPUTS],
        minimum_interval_seconds=TICK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Rebuilds the vector inputs of the months that a day's changes touch.",
    )
    def rebuild_touched_months(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        records = unread_changes(context.instance, names.key(COURT_CHANGES), context.cursor)
        built = context.instance.get_materialized_partitions(names.key(VECTOR_INPUTS)) if records else set()
        # The last change of a month names its run: a repeated tick requests the same runs.
        last = {month: each.event_log_entry for each in records for month in touched_months(each.event_log_entry)}
        requests = [
            dg.RunRequest(run_key=f"{month}:{event.run_id}:{event.timestamp}", partition_key=month)
            for month, event in last.items()
            if month in built and is_partition(VECTOR_INPUTS, month)
        ]
        return dg.SensorResult(
            run_requests=requests,
            skip_reason=None if requests else "No new changes touch a month that has vector inputs.",
            cursor=str(records[-1].storage_id) if records else None,
        )

    return rebuild_touched_months
