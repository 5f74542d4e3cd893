"""The sensor that retries failed dockets.

Belongs here: which run retries a claim, and what becomes of claims whose run is gone. Does not belong here: which
failures are due, and when they are dead (`resources/backlog/failures.py`), or what becomes of entries that other
programs push (`resources/backlog/adoption.py`).
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
from courtlistener_assets.defs.checks.nothing_is_dead import refresh_backlog
from courtlistener_assets.defs.failed_docket_lookups import LOOK_UP, LOOK_UP_FAILED_DOCKETS
from courtlistener_assets.defs.jobs import CATCH_UP, RETRY_FAILED_DOCKETS, UNDATED, WHOLE_STREAMS, Jobs
from courtlistener_assets.defs.names import Names
from courtlistener_assets.defs.sensors.requested_runs import (
    MOST_RUNS,
    TICK_SECONDS,
    UNKNOWN_PARTITION_SECONDS,
    IsPartition,
    is_over,
    run_request,
    was_canceled,
)
from courtlistener_assets.defs.steps import NO_RUN_RETRY
from courtlistener_assets.download.choice import known_tables
from courtlistener_assets.download.membership import COURT_CHANGES, UNDATED_DOCKETS
from courtlistener_assets.download.way_around import NO_BOUND
from resources.backlog.backlog import Backlog
from resources.backlog.failure_entries import NOWHERE, OpenFailure
from resources.backlog.failures import Claim
from resources.dagster_resources import BacklogResource, RecordStoreResource

CLAIM_TAG = "courtlistener/claim"
#: Somebody who has cancelled a retry does not want it back at once.
CANCELED_SECONDS = 3600.0
_JOBS = (RETRY_FAILED_DOCKETS, CATCH_UP, UNDATED, WHOLE_STREAMS, LOOK_UP_FAILED_DOCKETS)


def release_orphans(instance: DagsterInstance, backlog: Backlog, *, now: datetime | None = None) -> int:
    """Release the claims whose runs have ended without acknowledging them, or never began; return how many.

    A run that somebody has cancelled, perhaps before it began, costs no try.
    """
    orphans = [
        claim_id
        for claim_id, claimed_at in backlog.failures.claims().items()
        if is_over(instance, {CLAIM_TAG: claim_id}, claimed_at, now=now)
    ]
    for claim_id in orphans:
        if was_canceled(instance, {CLAIM_TAG: claim_id}):
            backlog.failures.release(claim_id, None, CANCELED_SECONDS)
        else:
            backlog.failures.release_orphaned(claim_id)
    return len(orphans)


def retry_request(claim: Claim, names: Names) -> dg.RunRequest:
    """Return the run that retries a claim: restricted to its dockets, or to ranges of ids where no docket is known."""
    ids = ",".join(str(failure.id) for failure in sorted(claim.failures, key=lambda one: one.id))
    # A run key is honored once ever, so it holds the attempt.
    run_key = f"{claim.partition}:{hashlib.sha256(ids.encode()).hexdigest()[:12]}:{claim.number}"
    # The delay of the next retry is counted here, so Dagster must not retry.
    tags = {CLAIM_TAG: claim.id, **NO_RUN_RETRY}
    if claim.partition == NOWHERE:
        look_up = {names.name(LOOK_UP): {"config": {"claim_id": claim.id}}}
        job = names.name(LOOK_UP_FAILED_DOCKETS)
        return dg.RunRequest(run_key, job_name=job, run_config={"ops": look_up}, tags=tags)
    by_asset: dict[str, list[OpenFailure]] = defaultdict(list)
    for failure in claim.failures:
        by_asset[failure.asset].append(failure)
    return run_request(
        names,
        claim.partition,
        {asset: _retry_config(claim.id, failures) for asset, failures in by_asset.items()},
        month_job=RETRY_FAILED_DOCKETS,
        run_key=run_key,
        tags=tags,
    )


def _retry_config(claim_id: str, failures: Sequence[OpenFailure]) -> dict[str, Any]:
    dockets, objects, ranges = set(), set(), []
    nested = {table.name for table in known_tables() if table.nested_in}
    for failure in failures:
        sweep, _, number = failure.sweep.partition(":")
        docket_id = failure.docket_id or (int(number) if sweep == "docket" and number.isdigit() else None)
        id = failure.object_id
        if id is not None and (failure.asset == COURT_CHANGES or sweep in nested):  # Which says of which table it is.
            ranges.append({"sweep": sweep, "after_id": id - 1, "up_to_id": id})
        elif id is not None and failure.asset != UNDATED_DOCKETS:
            objects.add(id)
        elif docket_id and failure.asset != COURT_CHANGES:  # Whose dates leave no room for a docket.
            dockets.add(docket_id)
        elif id is not None:
            ranges.append({"sweep": sweep, "after_id": id - 1, "up_to_id": id})
        else:
            ranges.append({"sweep": sweep, "after_id": failure.after_id or 0, "up_to_id": failure.up_to_id or NO_BOUND})
    config = {"docket_ids": sorted(dockets), "object_ids": sorted(objects), "id_ranges": ranges}
    return {"claim_id": claim_id, **config}


def retry_failed_dockets_sensor(
    names: Names, jobs: Jobs, is_partition: IsPartition, checked: Sequence[Checked]
) -> dg.SensorDefinition:
    """Make the sensor; `is_partition` says which partitions still exist, `jobs` are those of the location."""
    by_name = {each.asset: each for each in checked}

    def can_be_retried(asset: str, partition: str) -> bool:
        return LOOK_UP_FAILED_DOCKETS in jobs if partition == NOWHERE else is_partition(asset, partition)

    @dg.sensor(
        name=names.name("retry_failed_dockets"),
        jobs=[jobs[name] for name in _JOBS if name in jobs],
        minimum_interval_seconds=TICK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Retries what stands in the Redis lists of failed dockets, whoever has pushed it, once its delay "
        "has passed; releases what crashed runs had claimed, and moves what failed too often to the dead letters. "
        "Evaluates the checks of the partitions that this concerns.",
    )
    def retry_failed_dockets(
        context: dg.SensorEvaluationContext,
        courtlistener_backlog: BacklogResource,
        courtlistener_records: RecordStoreResource,
    ) -> Iterator[dg.RunRequest | dg.SkipReason]:
        backlog = courtlistener_backlog.open()
        release_orphans(context.instance, backlog)
        backlog.failures.dead_letter_exhausted()
        adopted = backlog.failures.adopt(is_partition)
        if adopted.failures or adopted.unreadable:
            context.log.info(
                f"{adopted.failures} entries of other programs are retried, {adopted.unreadable} cannot be read"
            )
        backlog.failures.refill()
        refresh(context.instance, names, by_name, courtlistener_records, backlog.failures)
        refresh_backlog(context.instance, names, backlog)
        claims = backlog.failures.claim_due(max_claims=MOST_RUNS)
        for claim in claims:
            unknown = {each.asset for each in claim.failures if not can_be_retried(each.asset, claim.partition)}
            for asset in sorted(unknown):
                context.log.warning(f"{asset} no longer has a partition {claim.partition}: its failures wait")
                backlog.failures.release(claim.id, asset, UNKNOWN_PARTITION_SECONDS)
            if known := tuple(failure for failure in claim.failures if failure.asset not in unknown):
                yield retry_request(replace(claim, failures=known), names)
        if not claims:
            counts = "{waiting} wait, {claimed} are being retried, {dead} are dead".format(**backlog.failures.counts())
            yield dg.SkipReason(f"No failed docket is due: {counts}.")

    return retry_failed_dockets
