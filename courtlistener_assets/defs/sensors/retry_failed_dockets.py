"""The sensor that retries failed dockets.

Belongs here: which run retries a claim, and what becomes of claims whose run is gone. Does not belong here: which
failures are due, and when they are dead (`resources/backlog/failures.py`).
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import dagster as dg
from dagster import DagsterInstance

from courtlistener_assets.defs.checks.complete_and_current import Checked, refresh
from courtlistener_assets.defs.jobs import CATCH_UP, RETRY_FAILED_DOCKETS, UNDATED, WHOLE_STREAMS, Jobs
from courtlistener_assets.defs.names import Names
from courtlistener_assets.defs.sensors.requested_runs import (
    MOST_RUNS,
    TICK_SECONDS,
    UNKNOWN_PARTITION_SECONDS,
    IsPartition,
    is_over,
    run_request,
)
from courtlistener_assets.defs.steps import NO_RUN_RETRY
from courtlistener_assets.download.membership import COURT_CHANGES
from resources.backlog.backlog import Backlog
from resources.backlog.failure_lists import OpenFailure
from resources.backlog.failures import Claim
from resources.dagster_resources import BacklogResource, RecordStoreResource

CLAIM_TAG = "courtlistener/claim"


def release_orphans(instance: DagsterInstance, backlog: Backlog, *, now: datetime | None = None) -> int:
    """Release the claims whose runs have ended without acknowledging them, or never began; return how many."""
    orphans = [
        claim_id
        for claim_id, claimed_at in backlog.failures.claims().items()
        if is_over(instance, {CLAIM_TAG: claim_id}, claimed_at, now=now)
    ]
    for claim_id in orphans:
        backlog.failures.release_orphaned(claim_id)
    return len(orphans)


def retry_request(claim: Claim, names: Names) -> dg.RunRequest:
    """Return the run that retries a claim: restricted to its dockets, or to ranges of ids where no docket is known."""
    by_asset: dict[str, list[OpenFailure]] = defaultdict(list)
    for failure in claim.failures:
        by_asset[failure.asset].append(failure)
    ids = ",".join(str(failure.id) for failure in sorted(claim.failures, key=lambda one: one.id))
    return run_request(
        names,
        claim.partition,
        {asset: _retry_config(claim.id, failures) for asset, failures in by_asset.items()},
        month_job=RETRY_FAILED_DOCKETS,
        # A run key is honored once ever, so it holds the attempt.
        run_key=f"{claim.partition}:{hashlib.sha256(ids.encode()).hexdigest()[:12]}:{claim.number}",
        # The delay of the next retry is counted here, so Dagster must not retry.
        tags={CLAIM_TAG: claim.id, **NO_RUN_RETRY},
    )


def _retry_config(claim_id: str, failures: Sequence[OpenFailure]) -> dict[str, Any]:
    dockets, ranges = set(), []
    for failure in failures:
        sweep, _, number = failure.sweep.partition(":")
        docket_id = failure.docket_id or (int(number) if sweep == "docket" and number.isdigit() else None)
        # A court's changes are requested by their dates, beside which a docket is no filter.
        if docket_id and failure.asset != COURT_CHANGES:
            dockets.add(docket_id)
        else:
            after_id, up_to_id = failure.after_id or 0, failure.up_to_id or 2**62
            if failure.object_id is not None:
                after_id, up_to_id = failure.object_id - 1, failure.object_id
            ranges.append({"sweep": sweep, "after_id": after_id, "up_to_id": up_to_id})
    return {"claim_id": claim_id, "docket_ids": sorted(dockets), "id_ranges": ranges}


def retry_failed_dockets_sensor(
    names: Names, jobs: Jobs, is_partition: IsPartition, checked: Sequence[Checked]
) -> dg.SensorDefinition:
    """Make the sensor; `is_partition` says which partitions still exist, `jobs` are those of the location."""
    by_name = {each.asset: each for each in checked}

    @dg.sensor(
        name=names.name("retry_failed_dockets"),
        jobs=[jobs[name] for name in (RETRY_FAILED_DOCKETS, CATCH_UP, UNDATED, WHOLE_STREAMS) if name in jobs],
        minimum_interval_seconds=TICK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Retries failed dockets whose delay has passed, releases what crashed runs had claimed, and "
        "moves what failed too often to the dead letters. Evaluates the checks of the partitions that this concerns.",
    )
    def retry_failed_dockets(
        context: dg.SensorEvaluationContext,
        courtlistener_backlog: BacklogResource,
        courtlistener_records: RecordStoreResource,
    ) -> Iterator[dg.RunRequest | dg.SkipReason]:
        backlog = courtlistener_backlog.open()
        release_orphans(context.instance, backlog)
        backlog.failures.dead_letter_exhausted()
        backlog.failures.refill()
        refresh(context.instance, names, by_name, courtlistener_records, backlog.failures)
        claims = backlog.failures.claim_due(max_claims=MOST_RUNS)
        for claim in claims:
            unknown = {each.asset for each in claim.failures if not is_partition(each.asset, claim.partition)}
            for asset in sorted(unknown):
                context.log.warning(f"{asset} no longer has a partition {claim.partition}: its failures wait")
                backlog.failures.release(claim.id, asset, UNKNOWN_PARTITION_SECONDS)
            if known := tuple(failure for failure in claim.failures if failure.asset not in unknown):
                yield retry_request(replace(claim, failures=known), names)
        if not claims:
            counts = "{waiting} wait, {claimed} are being retried, {dead} are dead".format(**backlog.failures.counts())
            yield dg.SkipReason(f"No failed docket is due: {counts}.")

    return retry_failed_dockets
