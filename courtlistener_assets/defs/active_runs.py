"""Runs that are queued or under way, by what they work on.

Belongs here: looking into the instance, so that nothing is requested twice. Does not belong here: requesting.
"""

from __future__ import annotations

from collections.abc import Mapping

import dagster as dg
from dagster import DagsterInstance

from courtlistener_assets.download.partitions import Everything

PARTITION_TAG = "dagster/partition"
PRIORITY_TAG = "dagster/priority"
ACTIVE_STATUSES = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def is_active(instance: DagsterInstance, partition: str, *, job: str | None = None) -> bool:
    """Whether a run for a partition, of a job or of any, is queued or under way."""
    tags = {PARTITION_TAG: partition}
    return bool(instance.get_runs(dg.RunsFilter(job_name=job, tags=tags, statuses=ACTIVE_STATUSES), limit=1))


def partitions_of_active(instance: DagsterInstance, tags: Mapping[str, str]) -> set[str]:
    """Return the partitions, as our own tables name them, of the runs with these tags that are queued or under way."""
    runs = instance.get_runs(dg.RunsFilter(tags=dict(tags), statuses=ACTIVE_STATUSES))
    return {run.tags.get(PARTITION_TAG, Everything.KEY) for run in runs}
