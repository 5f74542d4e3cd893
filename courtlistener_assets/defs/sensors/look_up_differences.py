"""The sensor that goes on with lookups of what dumps have shown to be gone: once a day, some of them.

Belongs here: when. Does not belong here: how many, and asking (`assets/bulk_audit.py`).
"""

from datetime import UTC, datetime

import dagster as dg

from courtlistener_assets.defs.assets.bulk import dumps
from courtlistener_assets.defs.jobs import LOOK_UP_DIFFERENCES, Jobs
from courtlistener_assets.defs.names import Names
from resources.dagster_resources import RecordStoreResource

_TICK_SECONDS = 3600


def look_up_differences_sensor(names: Names, jobs: Jobs) -> dg.SensorDefinition:
    """Make the sensor, which is on: without a dump that was compared it does nothing."""
    partitions = dumps(names)

    @dg.sensor(
        name=names.name("look_up_differences"),
        job=jobs[LOOK_UP_DIFFERENCES],
        minimum_interval_seconds=_TICK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Goes on with the lookups that comparisons with bulk files have left over: a run a day.",
    )
    def look_up_differences(
        context: dg.SensorEvaluationContext, courtlistener_records: RecordStoreResource
    ) -> dg.SensorResult | dg.SkipReason:
        waiting = courtlistener_records.open().differences.waiting(limit=1)
        if not waiting:
            return dg.SkipReason("Nothing that a dump has shown waits to be looked up.")
        dump = waiting[0].dump.isoformat()
        # As a tag: Dagster would look for the key among the partitions before it has made this one.
        run = dg.RunRequest(run_key=f"{dump}:{datetime.now(UTC):%Y-%m-%d}", tags={"dagster/partition": dump})
        return dg.SensorResult(run_requests=[run], dynamic_partitions_requests=[partitions.build_add_request([dump])])

    return look_up_differences
