"""Sensors: they retry what failed, resume what was deferred and rebuild what went stale.

Each sensor has its own file, which ends in a function that makes it. A new one goes into a new file and the list below.

Belongs here: turning rows of the backlog, and events, into runs. Does not belong here: when a failure or deferral is
due (`resources/backlog/failures.py`, `resources/backlog/deferrals.py`), what the runs do (`assets/`).

A tick removes nothing from the backlog. One that fails between claim and launch leaves a claim without a run, which a
later tick finds and releases.
"""

from collections.abc import Mapping, Sequence

import dagster as dg

from courtlistener_assets.defs.checks.complete_and_current import Checked
from courtlistener_assets.defs.jobs import BOOTSTRAP, CORPUS, LOOK_UP_DIFFERENCES, REBUILD_VECTOR_INPUTS, Jobs
from courtlistener_assets.defs.names import Names
from courtlistener_assets.defs.sensors.look_up_differences import look_up_differences_sensor
from courtlistener_assets.defs.sensors.new_dumps import new_dumps_sensor
from courtlistener_assets.defs.sensors.rebuild_touched_months import rebuild_touched_months_sensor
from courtlistener_assets.defs.sensors.resume_deferred import resume_deferred_sensor
from courtlistener_assets.defs.sensors.retry_failed_dockets import retry_failed_dockets_sensor
from courtlistener_assets.download.partitions import Everything
from courtlistener_assets.settings import Settings


def sensors(
    names: Names,
    jobs: Jobs,
    partitions: Mapping[str, dg.PartitionsDefinition | None],
    checked: Sequence[Checked],
    settings: Settings,
) -> list[dg.SensorDefinition]:
    """Make the sensors for the assets that `partitions` names (None: it has none), and the jobs of the location.

    `checked` are those whose checks follow the failures. `settings` say where bulk files are.
    """

    def is_partition(asset: str, key: str) -> bool:
        if asset not in partitions:
            return False
        those = partitions[asset]
        return key == Everything.KEY if those is None else those.has_partition_key(key)

    made = [
        retry_failed_dockets_sensor(names, jobs, is_partition, checked),
        resume_deferred_sensor(names, jobs, is_partition),
    ]
    if REBUILD_VECTOR_INPUTS in jobs:
        made.append(rebuild_touched_months_sensor(names, jobs, is_partition))
    if BOOTSTRAP in jobs or CORPUS in jobs:
        made.append(new_dumps_sensor(settings, names, jobs))
    if LOOK_UP_DIFFERENCES in jobs:
        made.append(look_up_differences_sensor(names, jobs))
    return made
