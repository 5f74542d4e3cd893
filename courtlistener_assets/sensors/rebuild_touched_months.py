"""The sensor that rebuilds vector inputs after fresh data.

Belongs here: which months a day's changes make stale. Does not belong here: finding the changes
(`assets/court_changes.py`), or building the text (`assets/vector_inputs.py`).
"""

from collections.abc import Iterator

import dagster as dg

from courtlistener_assets.assets.court_changes import COURT_CHANGES, TOUCHED_MONTHS
from courtlistener_assets.jobs import REBUILD_VECTOR_INPUTS
from courtlistener_assets.sensors.requested_runs import TICK_SECONDS


def touched_months(event: dg.EventLogEntry) -> list[str]:
    """The partitions of vector_inputs that a materialisation of court_changes made stale."""
    materialization = event.asset_materialization
    value = materialization.metadata.get(TOUCHED_MONTHS) if materialization else None
    return [str(month) for month in value.value] if isinstance(value, dg.JsonMetadataValue) and value.value else []


def rebuild_request(month: str, event: dg.EventLogEntry) -> dg.RunRequest:
    """The run that rebuilds a month's vector inputs after the changes of an event."""
    return dg.RunRequest(run_key=f"{month}:{event.run_id}:{event.timestamp}", partition_key=month)


def rebuild_touched_months_sensor() -> dg.SensorDefinition:
    """The sensor."""

    @dg.asset_sensor(
        asset_key=dg.AssetKey(COURT_CHANGES),
        job=REBUILD_VECTOR_INPUTS,
        minimum_interval_seconds=TICK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Rebuilds the vector inputs of the months that a day's changes touch.",
    )
    def rebuild_touched_months(
        context: dg.SensorEvaluationContext, asset_event: dg.EventLogEntry
    ) -> Iterator[dg.RunRequest | dg.SkipReason]:
        built = context.instance.get_materialized_partitions(dg.AssetKey("vector_inputs"))
        touched = [month for month in touched_months(asset_event) if month in built]
        yield from (rebuild_request(month, asset_event) for month in touched)
        if not touched:
            yield dg.SkipReason("The changes touch no month that has vector inputs.")

    return rebuild_touched_months
