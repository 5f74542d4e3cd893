"""Sensors: who goes on with what failed, was deferred or went stale, without anybody pressing a button.

Each sensor has a file of its own, with its name, and each file ends in a function that makes the sensor. The next one
goes into a new file and into the list below.

Belongs here: turning rows of the backlog, and events, into runs. Does not belong here: when a failure or deferral is
due (`resources/backlog/failures.py`, `resources/backlog/deferrals.py`), what the runs do (`assets/`).

A tick takes nothing out of the backlog. One that breaks between claiming and launching leaves a claim without a run,
which a later tick finds and releases.
"""

import dagster as dg

from courtlistener_assets.defs.assets.court_changes import COURT_CHANGES
from courtlistener_assets.defs.sensors.rebuild_touched_months import rebuild_touched_months_sensor
from courtlistener_assets.defs.sensors.resume_deferred import resume_deferred_sensor
from courtlistener_assets.defs.sensors.retry_failed_dockets import retry_failed_dockets_sensor


def sensors(months: dg.PartitionsDefinition, days: dg.PartitionsDefinition) -> list[dg.SensorDefinition]:
    """The sensors of the code location, for partitions by court and month, and by court and day."""

    def is_partition(asset: str, key: str) -> bool:
        return (days if asset == COURT_CHANGES else months).has_partition_key(key)

    return [
        retry_failed_dockets_sensor(is_partition),
        resume_deferred_sensor(is_partition),
        rebuild_touched_months_sensor(is_partition),
    ]
