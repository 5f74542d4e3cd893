"""What the sensors have in common: the runs that they request, and what became of them.

Belongs here: what is true of any run that a sensor requests. Does not belong here: why one is requested.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
from dagster import DagsterInstance

from courtlistener_assets.defs.jobs import CATCH_UP, UNDATED, WHOLE_STREAMS
from courtlistener_assets.defs.names import Names
from courtlistener_assets.defs.steps import SIGNAL_TAG
from courtlistener_assets.download.partitions import dagster_key
from resources.records.misfits import UNDATED as UNDATED_MONTH

#: The least time between two ticks of a sensor.
TICK_SECONDS = 30
#: Runs requested by one tick.
MOST_RUNS = 10
#: A requested run that does not exist after this long was never launched.
LAUNCH_GRACE = timedelta(minutes=10)
#: What belongs to a court or month that the settings no longer have is checked again after this.
UNKNOWN_PARTITION_SECONDS = 86_400.0

#: Whether an asset still has a partition of this key: streams, courts and months may have left the settings.
IsPartition = Callable[[str, str], bool]


def is_over(
    instance: DagsterInstance, tags: dict[str, str], requested_at: datetime, *, now: datetime | None = None
) -> bool:
    """Whether the runs with these tags have ended, or were requested so long ago that none will begin."""
    runs = instance.get_runs(dg.RunsFilter(tags=tags))
    if not runs:
        return (now or datetime.now(UTC)) - requested_at > LAUNCH_GRACE
    return all(run.is_finished for run in runs)


def was_canceled(instance: DagsterInstance, tags: dict[str, str]) -> bool:
    """Whether somebody has cancelled the last run with these tags, or its backfill; a signal alone may be a restart."""
    runs = instance.get_runs(dg.RunsFilter(tags=tags), limit=1)
    return any(run.status == dg.DagsterRunStatus.CANCELED and SIGNAL_TAG not in run.tags for run in runs)


def run_request(
    names: Names,
    partition: str,
    configs: Mapping[str, Mapping[str, Any]],
    *,
    month_job: str,
    run_key: str,
    tags: Mapping[str, str],
    unconfigured: Iterable[str] = (),
) -> dg.RunRequest:
    """Return a run of the assets in `configs`, by name, and of those `unconfigured`; `month_job` runs court months."""
    return dg.RunRequest(
        job_name=names.name(_job_of(partition) or month_job),
        run_key=run_key,
        partition_key=dagster_key(partition),
        asset_selection=[names.key(asset) for asset in sorted({*configs, *unconfigured})],
        run_config={"ops": {names.name(asset): {"config": config} for asset, config in configs.items()}},
        tags=tags,
    )


def _job_of(partition: str) -> str | None:
    """Return the job that runs partitions of this kind, None for court months."""
    if dagster_key(partition) is None:
        return WHOLE_STREAMS
    _, separator, month = partition.partition("|")
    if not separator:
        return CATCH_UP
    return UNDATED if month == UNDATED_MONTH else None
