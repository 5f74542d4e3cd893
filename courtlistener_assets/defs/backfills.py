"""Backfills: which partitions of which assets one was asked for.

Belongs here: reading that from the instance. Does not belong here: how far they are, or launching.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import dagster as dg
from dagster import DagsterInstance

from courtlistener_assets.defs.active_runs import ACTIVE_STATUSES
from courtlistener_assets.defs.names import name_of

BACKFILL_TAG = "dagster/backfill"
#: So many of the runs that are active are looked at.
_MOST_RUNS = 100


@dataclass(frozen=True)
class Backfill:
    """One backfill; `targets` are the partition keys by the name of their asset, `keys` what Dagster calls these."""

    id: str
    job: str
    begun_at: datetime
    targets: Mapping[str, frozenset[str]]
    keys: Mapping[str, dg.AssetKey]


def running_backfills(instance: DagsterInstance, assets: Sequence[str]) -> list[Backfill]:
    """Return the backfills that are not over, the oldest first; `assets` are those of a job that names none.

    That of `dagster job backfill` calls itself complete once its runs are queued.
    """
    from dagster._core.execution.backfill import BulkActionsFilter, BulkActionStatus

    active = [BulkActionStatus.REQUESTED, BulkActionStatus.CANCELING]
    found = {each.backfill_id: each for each in instance.get_backfills(filters=BulkActionsFilter(statuses=active))}
    runs = instance.get_runs(dg.RunsFilter(statuses=ACTIVE_STATUSES), limit=_MOST_RUNS)
    for name in {run.tags[BACKFILL_TAG] for run in runs if BACKFILL_TAG in run.tags} - found.keys():
        if backfill := instance.get_backfill(name):
            found[name] = backfill
    return [_read(each, assets) for each in sorted(found.values(), key=lambda each: each.backfill_timestamp)]


def backfill_of(instance: DagsterInstance, run: dg.DagsterRun, assets: Sequence[str]) -> Backfill | None:
    """Return the backfill that a run belongs to, None if it belongs to none."""
    found = instance.get_backfill(run.tags[BACKFILL_TAG]) if BACKFILL_TAG in run.tags else None
    return _read(found, assets) if found else None


def _read(backfill: Any, assets: Sequence[str]) -> Backfill:
    """Dagster has no public way to ask a backfill what it was asked for, but in a web server."""
    begun_at = datetime.fromtimestamp(backfill.backfill_timestamp, UTC)
    data, named, job = backfill.asset_backfill_data, backfill.asset_selection, backfill.job_name or ""
    if data is None:
        keys = {name_of(key): key for key in named} if named else {name: _below(job, name) for name in assets}
        partitions = frozenset(backfill.partition_names or ())
        return Backfill(backfill.backfill_id, job, begun_at, dict.fromkeys(keys, partitions), keys)
    subsets = data.target_subset.partitions_subsets_by_asset_key
    targets = {name_of(key): frozenset(subset.get_partition_keys()) for key, subset in subsets.items()}
    return Backfill(
        backfill.backfill_id, backfill.title or "", begun_at, targets, {name_of(key): key for key in subsets}
    )


def _below(job: str, asset: str) -> dg.AssetKey:
    """The key of an asset below the same prefix as a job, such as `legal__court_month`."""
    return dg.AssetKey([*job.split("__")[:-1], asset])
