"""The sensor that retries failed dockets.

Belongs here: which run retries a claim, and what becomes of claims whose run is gone. Does not belong here: which
failures are due, and when they are dead (`resources/backlog/failures.py`).
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import dagster as dg
from dagster import DagsterInstance

from courtlistener_assets.defs.assets.court_changes import COURT_CHANGES
from courtlistener_assets.defs.jobs import CHANGES_OF_DAY, RETRY_FAILED_DOCKETS
from courtlistener_assets.defs.sensors.requested_runs import (
    MOST_RUNS,
    TICK_SECONDS,
    UNKNOWN_PARTITION_SECONDS,
    IsPartition,
    is_over,
)
from courtlistener_assets.defs.step_errors import NO_RUN_RETRY
from resources.backlog.backlog import Backlog, BacklogResource
from resources.backlog.failure_lists import OpenFailure
from resources.backlog.failures import Claim

CLAIM_TAG = "courtlistener/claim"


def release_orphans(instance: DagsterInstance, backlog: Backlog, *, now: datetime | None = None) -> int:
    """Give back the claims whose runs have ended without acknowledging them, or never began; returns how many."""
    orphans = [
        claim_id
        for claim_id, claimed_at in backlog.failures.claims().items()
        if is_over(instance, {CLAIM_TAG: claim_id}, claimed_at, now=now)
    ]
    for claim_id in orphans:
        backlog.failures.release_orphaned(claim_id)
    return len(orphans)


def retry_request(claim: Claim) -> dg.RunRequest:
    """The run that retries a claim: restricted to its dockets, or to ranges of ids where no docket is known."""
    by_asset: dict[str, list[OpenFailure]] = defaultdict(list)
    for failure in claim.failures:
        by_asset[failure.asset].append(failure)
    ids = ",".join(str(failure.id) for failure in sorted(claim.failures, key=lambda one: one.id))
    return dg.RunRequest(
        job_name=(CHANGES_OF_DAY if COURT_CHANGES in by_asset else RETRY_FAILED_DOCKETS).name,
        # A run key is honoured once ever, so it holds the attempt.
        run_key=f"{claim.partition}:{hashlib.sha256(ids.encode()).hexdigest()[:12]}:{claim.number}",
        partition_key=claim.partition,
        asset_selection=[dg.AssetKey(asset) for asset in sorted(by_asset)],
        run_config={
            "ops": {asset: {"config": _retry_config(claim.id, failures)} for asset, failures in by_asset.items()}
        },
        # The delay of the next retry is counted here, so Dagster must not retry on its own.
        tags={CLAIM_TAG: claim.id, **NO_RUN_RETRY},
    )


def _retry_config(claim_id: str, failures: Sequence[OpenFailure]) -> dict[str, Any]:
    dockets, ranges = set(), []
    for failure in failures:
        docket_id = failure.docket_id or _docket_of_sweep(failure.sweep)
        # Changes are asked for by day, in which a docket is no filter.
        if docket_id and failure.asset != COURT_CHANGES:
            dockets.add(docket_id)
        else:
            after_id, up_to_id = _ids(failure)
            sweep = failure.sweep.partition(":")[0]
            ranges.append({"sweep": sweep, "after_id": after_id, "up_to_id": up_to_id})
    return {"claim_id": claim_id, "docket_ids": sorted(dockets), "id_ranges": ranges}


def _docket_of_sweep(sweep: str) -> int | None:
    kind, _, number = sweep.partition(":")
    return int(number) if kind == "docket" and number.isdigit() else None


def _ids(failure: OpenFailure) -> tuple[int, int]:
    if failure.object_id is not None:
        return failure.object_id - 1, failure.object_id
    return failure.after_id or 0, failure.up_to_id or 2**62


def _retries(
    context: dg.SensorEvaluationContext, backlog: Backlog, is_partition: IsPartition
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    release_orphans(context.instance, backlog)
    backlog.failures.dead_letter_exhausted()
    backlog.failures.refill()
    claims = backlog.failures.claim_due(max_claims=MOST_RUNS, apart=[COURT_CHANGES])
    for claim in claims:
        if is_partition(claim.failures[0].asset, claim.partition):
            yield retry_request(claim)
        else:
            _release_unknown(context, backlog, claim)
    if not claims:
        counts = "{waiting} wait, {claimed} are being retried, {dead} are dead".format(**backlog.failures.counts())
        yield dg.SkipReason(f"No failed docket is due: {counts}.")


def _release_unknown(context: dg.SensorEvaluationContext, backlog: Backlog, claim: Claim) -> None:
    context.log.warning(f"{claim.partition} is no partition any more, so its failures are not retried now")
    for asset in {failure.asset for failure in claim.failures}:
        backlog.failures.release(claim.id, asset, UNKNOWN_PARTITION_SECONDS)


def retry_failed_dockets_sensor(is_partition: IsPartition) -> dg.SensorDefinition:
    """The sensor; `is_partition` says which partitions there still are."""

    @dg.sensor(
        jobs=[RETRY_FAILED_DOCKETS, CHANGES_OF_DAY],
        minimum_interval_seconds=TICK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Retries failed dockets whose delay has passed, gives back what crashed runs had claimed, and "
        "buries what failed too often.",
    )
    def retry_failed_dockets(
        context: dg.SensorEvaluationContext, backlog: BacklogResource
    ) -> Iterator[dg.RunRequest | dg.SkipReason]:
        with backlog.open() as open_backlog:
            yield from _retries(context, open_backlog, is_partition)

    return retry_failed_dockets
