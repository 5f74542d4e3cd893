"""What the sensors have in common: the runs that they request, and what became of them.

Belongs here: what is true of any run that a sensor requests. Does not belong here: why one is requested.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster import DagsterInstance

#: Between two ticks of a sensor lies at least this.
TICK_SECONDS = 30
#: Runs requested by one tick.
MOST_RUNS = 10
#: A run that was requested and is not there after this long was never launched.
LAUNCH_GRACE = timedelta(minutes=10)
#: What belongs to a court or month that the settings no longer have is looked at again after this.
UNKNOWN_PARTITION_SECONDS = 86_400.0

#: Whether an asset still has a partition of this key: courts and months may have left the settings.
IsPartition = Callable[[str, str], bool]


def is_over(
    instance: DagsterInstance, tags: dict[str, str], requested_at: datetime, *, now: datetime | None = None
) -> bool:
    """Whether the runs with these tags have ended, or were requested so long ago that none will begin."""
    runs = instance.get_runs(dg.RunsFilter(tags=tags))
    if not runs:
        return (now or datetime.now(UTC)) - requested_at > LAUNCH_GRACE
    return all(run.is_finished for run in runs)
