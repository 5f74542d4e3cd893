"""Sensors: who goes on with what failed or was deferred, without anybody pressing a button.

Belongs here: turning rows of the books into runs. Does not belong here: when a failure or deferral is due
(`resources/failed_dockets.py`, `resources/deferrals.py`), what the runs do (`assets/`).

Nothing is taken out of the books by a tick. A tick that breaks between claiming and launching leaves a claim without a
run, which a later tick finds and gives back.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
from dagster import DagsterInstance

from courtlistener_assets.assets.court_changes import COURT_CHANGES, TOUCHED_MONTHS
from courtlistener_assets.failures import NO_RUN_RETRY
from courtlistener_assets.jobs import CHANGES_OF_DAY, COURT_MONTH, REBUILD_VECTOR_INPUTS, RETRY_FAILED_DOCKETS, Job
from courtlistener_assets.streams import STREAMS
from resources.bookkeeping import Bookkeeping, BookkeepingResource
from resources.courtlistener import CourtListenerResource
from resources.deferrals import Deferral
from resources.errors import LedgerUnavailable, SettingError
from resources.failed_docket_lists import FailedDocket
from resources.failed_dockets import Claim

CLAIM_TAG = "courtlistener/claim"
RESUME_TAG = "courtlistener/resume"
#: Assets that take the configuration of a download.
_CONFIGURED = {*(stream.name for stream in STREAMS), COURT_CHANGES}
#: A claim or a request without a run after this long was never launched.
LAUNCH_GRACE = timedelta(minutes=10)
#: When a resumed run ended without having come further, the next one waits this long.
RESUME_PAUSE_SECONDS = 600.0
#: Failures of a court or month that the settings no longer have are looked at again after this.
UNKNOWN_PARTITION_SECONDS = 86_400.0
#: Runs requested by one tick.
MOST_RUNS = 10


def sensors(
    jobs: Sequence[Job], months: dg.PartitionsDefinition, days: dg.PartitionsDefinition
) -> list[dg.SensorDefinition]:
    """The sensors of the code location, for partitions by court and month, and by court and day."""
    named = {job.name: job for job in jobs}

    @dg.sensor(
        jobs=[named[RETRY_FAILED_DOCKETS], named[CHANGES_OF_DAY]],
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Retries failed dockets whose delay has passed, gives back what crashed runs had claimed, and "
        "buries what failed too often.",
    )
    def retry_failed_dockets(
        context: dg.SensorEvaluationContext, bookkeeping: BookkeepingResource
    ) -> Iterator[dg.RunRequest | dg.SkipReason]:
        with bookkeeping.open() as books:
            give_back_orphans(context.instance, books)
            books.failed.bury_exhausted()
            books.failed.refill()
            claims = books.failed.claim_due(max_claims=MOST_RUNS, apart=[COURT_CHANGES])
            for claim in claims:
                if _partitions(claim.failures[0].asset, months, days).has_partition_key(claim.partition):
                    yield retry_request(claim)
                else:
                    _leave_aside(context, books, claim)
            if not claims:
                counts = "{waiting} wait, {claimed} are being retried, {dead} are dead".format(**books.failed.counts())
                yield dg.SkipReason(f"No failed docket is due: {counts}.")

    @dg.sensor(
        jobs=[named[COURT_MONTH], named[CHANGES_OF_DAY]],
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Goes on with deferred partitions as soon as their time has come and the quota has room.",
    )
    def resume_deferred(
        context: dg.SensorEvaluationContext, bookkeeping: BookkeepingResource, courtlistener: CourtListenerResource
    ) -> Iterator[dg.RunRequest | dg.SkipReason]:
        with bookkeeping.open() as books:
            release_ended_requests(context.instance, books)
            due = books.deferrals.due()
            reason = _no_room(courtlistener) if due else _next_deferral(books)
            if reason:
                yield dg.SkipReason(reason)
                return
            known = [each for each in due if _partitions(each.asset, months, days).has_partition_key(each.partition)]
            for group in _by_partition(known)[:MOST_RUNS]:
                request = resume_request(group)
                books.deferrals.mark_requested(group, str(request.run_key))
                yield request

    @dg.asset_sensor(
        asset_key=dg.AssetKey(COURT_CHANGES),
        job=named[REBUILD_VECTOR_INPUTS],
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Rebuilds the vector inputs of the months that a day's changes touch.",
    )
    def rebuild_touched_months(
        context: dg.SensorEvaluationContext, asset_event: dg.EventLogEntry
    ) -> Iterator[dg.RunRequest | dg.SkipReason]:
        built = context.instance.get_materialized_partitions(dg.AssetKey("vector_inputs"))
        touched = [month for month in touched_months(asset_event) if month in built]
        yield from (rebuild_request(month, asset_event) for month in touched)
        if not touched:
            yield dg.SkipReason("The changes touch no month that has vector inputs.")

    return [retry_failed_dockets, resume_deferred, rebuild_touched_months]


# --- failed dockets -----------------------------------------------------------------------------------------------


def retry_request(claim: Claim) -> dg.RunRequest:
    """The run that retries a claim: restricted to its dockets, or to ranges of ids where no docket is known."""
    by_asset: dict[str, list[FailedDocket]] = defaultdict(list)
    for failure in claim.failures:
        by_asset[failure.asset].append(failure)
    ids = ",".join(str(failure.id) for failure in sorted(claim.failures, key=lambda one: one.id))
    return dg.RunRequest(
        job_name=CHANGES_OF_DAY if COURT_CHANGES in by_asset else RETRY_FAILED_DOCKETS,
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


def _retry_config(claim_id: str, failures: Sequence[FailedDocket]) -> dict[str, Any]:
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


def _ids(failure: FailedDocket) -> tuple[int, int]:
    if failure.object_id is not None:
        return failure.object_id - 1, failure.object_id
    return failure.after_id or 0, failure.up_to_id or 2**62


def _leave_aside(context: dg.SensorEvaluationContext, books: Bookkeeping, claim: Claim) -> None:
    context.log.warning(f"{claim.partition} is no partition any more, so its failures are not retried now")
    for asset in {failure.asset for failure in claim.failures}:
        books.failed.put_off(claim.id, asset, UNKNOWN_PARTITION_SECONDS)


def give_back_orphans(instance: DagsterInstance, books: Bookkeeping, *, now: datetime | None = None) -> int:
    """Give back the claims whose runs have ended without acknowledging them, or never began; returns how many."""
    orphans = [
        claim_id
        for claim_id, claimed_at in books.failed.claims().items()
        if _is_over(instance, {CLAIM_TAG: claim_id}, claimed_at, now or datetime.now(UTC))
    ]
    for claim_id in orphans:
        books.failed.give_back(claim_id)
    return len(orphans)


def _is_over(instance: DagsterInstance, tags: dict[str, str], since: datetime, now: datetime) -> bool:
    runs = instance.get_runs(dg.RunsFilter(tags=tags))
    if not runs:
        return now - since > LAUNCH_GRACE
    return all(run.is_finished for run in runs)


# --- fresh data ---------------------------------------------------------------------------------------------------


def touched_months(event: dg.EventLogEntry) -> list[str]:
    """The partitions of vector_inputs that a materialisation of court_changes made stale."""
    materialization = event.asset_materialization
    value = materialization.metadata.get(TOUCHED_MONTHS) if materialization else None
    return [str(month) for month in value.value] if isinstance(value, dg.JsonMetadataValue) and value.value else []


def rebuild_request(month: str, event: dg.EventLogEntry) -> dg.RunRequest:
    """The run that rebuilds a month's vector inputs after the changes of an event."""
    return dg.RunRequest(run_key=f"{month}:{event.run_id}:{event.timestamp}", partition_key=month)


# --- deferrals ----------------------------------------------------------------------------------------------------


def resume_request(deferrals: Sequence[Deferral]) -> dg.RunRequest:
    """The run that goes on with the deferred assets of one partition, and with what was to be made from them."""
    first = deferrals[0]
    assets = {each.asset for each in deferrals} | {asset for each in deferrals for asset in each.downstream}
    stamp = max(each.not_before for each in deferrals).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
    attempt = max(each.attempts for each in deferrals) + 1
    run_key = f"{first.partition}:{','.join(sorted(assets))}:{stamp}:{attempt}"
    return dg.RunRequest(
        job_name=CHANGES_OF_DAY if first.asset == COURT_CHANGES else COURT_MONTH,
        run_key=run_key,
        partition_key=first.partition,
        asset_selection=[dg.AssetKey(asset) for asset in sorted(assets)],
        run_config={
            "ops": {
                each.asset: {"config": {**each.config, "resumes": each.run_id}}
                for each in deferrals
                if each.asset in _CONFIGURED
            }
        },
        tags={RESUME_TAG: _tag_value(run_key)},
    )


def release_ended_requests(instance: DagsterInstance, books: Bookkeeping, *, now: datetime | None = None) -> int:
    """Deferrals whose run has ended without success may be requested again; returns how many.

    A download clears its own deferral when it is complete; what is made from downloads is cleared here.
    """
    by_request: dict[str, list[Deferral]] = defaultdict(list)
    for deferral in books.deferrals.requested():
        by_request[str(deferral.request)].append(deferral)
    released = 0
    for request, group in by_request.items():
        since, tags = max(each.requested_at for each in group if each.requested_at), {RESUME_TAG: _tag_value(request)}
        if not _is_over(instance, tags, since, now or datetime.now(UTC)):
            continue
        if instance.get_runs(dg.RunsFilter(tags=tags, statuses=[dg.DagsterRunStatus.SUCCESS])):
            for each in group:
                books.deferrals.clear(each.asset, each.partition, some_dockets="docket_ids" in each.config)
        else:
            books.deferrals.mark_run_gone(group, wait_seconds=RESUME_PAUSE_SECONDS)
            released += len(group)
    return released


def _tag_value(run_key: str) -> str:
    return hashlib.sha256(run_key.encode()).hexdigest()[:16]


def _by_partition(due: Sequence[Deferral]) -> list[list[Deferral]]:
    """Deferrals that one run can go on with; days and months have partitions of different kinds."""
    groups: dict[tuple[str, bool], list[Deferral]] = defaultdict(list)
    for deferral in due:
        groups[deferral.partition, deferral.asset == COURT_CHANGES].append(deferral)
    return list(groups.values())


def _partitions(asset: str, months: dg.PartitionsDefinition, days: dg.PartitionsDefinition) -> dg.PartitionsDefinition:
    return days if asset == COURT_CHANGES else months


def _no_room(courtlistener: CourtListenerResource) -> str | None:
    """Why it makes no sense to go on now, if it does not."""
    try:
        with courtlistener.open() as client:
            full = [use.window for use in client.limiter.usage() if use.remaining == 0]
    except (LedgerUnavailable, SettingError) as error:
        return str(error)
    return f"The quota has no room: {full[0].limit} per {full[0].seconds} s are used." if full else None


def _next_deferral(books: Bookkeeping) -> str:
    waiting = books.deferrals.all(limit=1)
    if not waiting:
        return "Nothing is deferred."
    return f"Nothing is due before {waiting[0].not_before.astimezone(UTC):%Y-%m-%d %H:%M} UTC."
