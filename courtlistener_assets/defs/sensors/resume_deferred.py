"""The sensor that goes on with deferred partitions.

Belongs here: which run goes on with a deferral, whether there is room for it, and what becomes of requests whose run
is gone. Does not belong here: what is deferred and until when (`deferred_step.py`, `resources/backlog/deferrals.py`).
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import dagster as dg
from dagster import DagsterInstance

from courtlistener_assets.defs.assets.court_changes import COURT_CHANGES
from courtlistener_assets.defs.jobs import CHANGES_OF_DAY, COURT_MONTH
from courtlistener_assets.defs.sensors.requested_runs import (
    MOST_RUNS,
    TICK_SECONDS,
    UNKNOWN_PARTITION_SECONDS,
    IsPartition,
    is_over,
)
from courtlistener_assets.download.streams import STREAMS
from resources.backlog.backlog import Backlog, BacklogResource
from resources.backlog.deferrals import Deferral
from resources.courtlistener.client import CourtListenerResource
from resources.errors import LedgerUnavailable, SettingError

RESUME_TAG = "courtlistener/resume"
#: When a resumed run ended without having come further, the next one waits this long.
RESUME_PAUSE_SECONDS = 600.0
#: Assets that take the configuration of a download.
_CONFIGURED = {*(stream.name for stream in STREAMS), COURT_CHANGES}


def release_ended_requests(instance: DagsterInstance, backlog: Backlog, *, now: datetime | None = None) -> int:
    """Deferrals whose run has ended without success may be requested again; returns how many.

    A download clears its own deferral when it is complete; what is made from downloads is cleared here.
    """
    by_request: dict[str, list[Deferral]] = defaultdict(list)
    for deferral in backlog.deferrals.requested():
        by_request[str(deferral.request)].append(deferral)
    released = 0
    for request, group in by_request.items():
        tags = {RESUME_TAG: _tag_value(request)}
        requested_at = max(each.requested_at for each in group if each.requested_at)
        if not is_over(instance, tags, requested_at, now=now):
            continue
        if instance.get_runs(dg.RunsFilter(tags=tags, statuses=[dg.DagsterRunStatus.SUCCESS])):
            for each in group:
                some_dockets = "docket_ids" in each.config
                backlog.deferrals.clear(each.asset, each.partition, some_dockets=some_dockets, request=request)
        else:
            released += backlog.deferrals.defer_again(group, wait_seconds=RESUME_PAUSE_SECONDS)
    return released


def resume_request(deferrals: Sequence[Deferral]) -> dg.RunRequest:
    """The run that goes on with the deferred assets of one partition, and with what was to be made from them."""
    first = deferrals[0]
    assets = {each.asset for each in deferrals} | {asset for each in deferrals for asset in each.downstream}
    stamp = max(each.deferred_until for each in deferrals).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
    attempt = max(each.attempts for each in deferrals) + 1
    run_key = f"{first.partition}:{','.join(sorted(assets))}:{stamp}:{attempt}"
    return dg.RunRequest(
        job_name=(CHANGES_OF_DAY if first.asset == COURT_CHANGES else COURT_MONTH).name,
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


def _tag_value(run_key: str) -> str:
    return hashlib.sha256(run_key.encode()).hexdigest()[:16]


def _resumptions(
    backlog: Backlog, courtlistener: CourtListenerResource, is_partition: IsPartition
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    due = backlog.deferrals.due()
    reason = _no_room(courtlistener) if due else _next_deferral(backlog)
    if reason:
        yield dg.SkipReason(reason)
        return
    requested = 0
    for group in _by_partition(due):
        if not is_partition(group[0].asset, group[0].partition):
            backlog.deferrals.defer_again(group, wait_seconds=UNKNOWN_PARTITION_SECONDS)
            continue
        request = resume_request(group)
        backlog.deferrals.mark_requested(group, str(request.run_key))
        yield request
        requested += 1
        if requested == MOST_RUNS:
            break


def _no_room(courtlistener: CourtListenerResource) -> str | None:
    """Why it makes no sense to go on now, if it does not."""
    try:
        with courtlistener.open() as client:
            full = [use.window for use in client.limiter.usage() if use.remaining == 0]
    except (LedgerUnavailable, SettingError) as error:
        return str(error)
    return f"The quota has no room: {full[0].limit} per {full[0].seconds} s are used." if full else None


def _next_deferral(backlog: Backlog) -> str:
    waiting = backlog.deferrals.all(limit=1)
    if not waiting:
        return "Nothing is deferred."
    return f"Nothing is due before {waiting[0].deferred_until.astimezone(UTC):%Y-%m-%d %H:%M} UTC."


def _by_partition(due: Sequence[Deferral]) -> list[list[Deferral]]:
    """Deferrals that one run can go on with; days and months have partitions of different kinds."""
    groups: dict[tuple[str, bool], list[Deferral]] = defaultdict(list)
    for deferral in due:
        groups[deferral.partition, deferral.asset == COURT_CHANGES].append(deferral)
    return list(groups.values())


def resume_deferred_sensor(is_partition: IsPartition) -> dg.SensorDefinition:
    """The sensor; `is_partition` says which partitions there still are."""

    @dg.sensor(
        jobs=[COURT_MONTH, CHANGES_OF_DAY],
        minimum_interval_seconds=TICK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Goes on with deferred partitions as soon as their time has come and the quota has room.",
    )
    def resume_deferred(
        context: dg.SensorEvaluationContext, backlog: BacklogResource, courtlistener: CourtListenerResource
    ) -> Iterator[dg.RunRequest | dg.SkipReason]:
        with backlog.open() as open_backlog:
            release_ended_requests(context.instance, open_backlog)
            yield from _resumptions(open_backlog, courtlistener, is_partition)

    return resume_deferred
