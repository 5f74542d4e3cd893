"""The sensor that resumes deferred partitions.

Belongs here: which run resumes a deferral, whether the quota has room, and what becomes of requests whose run is
gone. Does not belong here: what is deferred and until when (`resources/backlog/deferrals.py`).
"""

import hashlib
import json
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import islice

import dagster as dg
from dagster import DagsterInstance

from courtlistener_assets.defs.assets.chunk_config import AS_MADE
from courtlistener_assets.defs.jobs import CATCH_UP, COURT_MONTH, UNDATED, WHOLE_STREAMS, Jobs
from courtlistener_assets.defs.names import TEXT_ASSETS, Names
from courtlistener_assets.defs.sensors.requested_runs import (
    MOST_RUNS,
    TICK_SECONDS,
    UNKNOWN_PARTITION_SECONDS,
    IsPartition,
    is_over,
    run_request,
    was_canceled,
)
from resources.backlog.backlog import Backlog
from resources.backlog.deferrals import MOST_ATTEMPTS, SOME, Deferral
from resources.courtlistener.outage import Outage
from resources.dagster_resources import BacklogResource, CourtListenerResource
from resources.errors import LedgerUnavailable, SettingError

RESUME_TAG = "courtlistener/resume"
#: For so long an account that this location has left is remembered: what ran when the token changed may still defer for
#: it. Longer it is not, as another location may still have it.
_REMEMBERED_SECONDS = 86_400.0
#: When a resumed run ended without progress, the next one waits this long; so does what another location is to resume.
RESUME_PAUSE_SECONDS = 600.0


def release_ended_requests(instance: DagsterInstance, backlog: Backlog, *, now: datetime | None = None) -> int:
    """Release the deferrals whose run has ended without success, so that they are requested again; return how many.

    A download clears its own deferral when it is complete; what is made from downloads is cleared here. Of a run that
    somebody has cancelled nothing is requested again.
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
        succeeded = instance.get_runs(dg.RunsFilter(tags=tags, statuses=[dg.DagsterRunStatus.SUCCESS]))
        if succeeded or was_canceled(instance, tags):
            for each in group:
                some_dockets = bool(each.config.keys() & set(SOME))
                backlog.deferrals.clear(each.asset, each.partition, some_dockets=some_dockets, request=request)
        else:
            released += backlog.deferrals.defer_again(group, wait_seconds=RESUME_PAUSE_SECONDS)
    return released


def resume_request(deferrals: Sequence[Deferral], names: Names, is_partition: IsPartition) -> dg.RunRequest:
    """Return the run that resumes the deferred assets of one partition, and makes what was to be made from them."""
    partition = deferrals[0].partition
    assets = {asset for each in deferrals for asset in (each.asset, *each.downstream) if is_partition(asset, partition)}
    stamp = max(each.deferred_until for each in deferrals).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
    attempt = max(each.attempts for each in deferrals) + 1
    run_key = f"{partition}:{','.join(sorted(assets))}:{stamp}:{attempt}"
    return run_request(
        names,
        partition,
        {
            **{
                each.asset: {**each.config, "resumes": each.run_id}
                for each in deferrals
                if each.asset not in TEXT_ASSETS
            },
            **{asset: AS_MADE for asset in assets if asset in TEXT_ASSETS},
        },
        month_job=COURT_MONTH,
        run_key=run_key,
        tags={RESUME_TAG: _tag_value(run_key)},
        unconfigured=assets,
    )


def _tag_value(run_key: str) -> str:
    return hashlib.sha256(run_key.encode()).hexdigest()[:16]


def _no_room(courtlistener: CourtListenerResource, down: Outage | None) -> str | None:
    """Return why it makes no sense to resume now, or None."""
    if down and down.probe_in_seconds:
        return str(down)
    try:
        with courtlistener.open() as client:
            full = [use.window for use in client.limiter.usage() if use.remaining == 0]
    except (LedgerUnavailable, SettingError) as error:
        return str(error)
    return f"The quota has no room: {full[0].limit} per {full[0].seconds} s are used." if full else None


def _outage(courtlistener: CourtListenerResource) -> Outage | None:
    with suppress(SettingError):  # Which says itself why nothing can be resumed.
        return courtlistener.outage()
    return None


def _accounts(context: dg.SensorEvaluationContext, courtlistener: CourtListenerResource) -> list[str]:
    """The accounts that this location has had lately, the present one last.

    The cursor remembers when each was the present one. Another location on the same database, which has another
    account, has a sensor and a cursor of its own.
    """
    now, seen = time.time(), _seen(context)
    seen |= dict.fromkeys(list(seen)[-1:], now)  # Left since the last tick, however long ago that was.
    seen = {name: at for name, at in seen.items() if abs(now - at) < _REMEMBERED_SECONDS}
    with suppress(SettingError):  # Which says itself why nothing can be resumed.
        present = courtlistener.account_name()
        seen.pop(present, None)
        seen[present] = now
        context.update_cursor(json.dumps(seen))
    return list(seen)


def _seen(context: dg.SensorEvaluationContext) -> dict[str, float]:
    try:
        return {name: float(at) for name, at in json.loads(context.cursor or "{}").items()}
    except (AttributeError, TypeError, ValueError, OverflowError) as error:
        context.log.warning(f"The cursor cannot be read ({error}): it is begun anew with the present account.")
        return {}


def _next_deferral(backlog: Backlog) -> str:
    """What there is while nothing can be resumed: what waits for its time, for its run, or for a person."""
    deferrals = backlog.deferrals.all()
    waiting = [each.deferred_until for each in deferrals if each.requested_at is None and not each.is_stuck]
    requested = sum(each.requested_at is not None for each in deferrals)
    stuck = sum(each.is_stuck for each in deferrals)
    said = [f"Nothing is due before {min(waiting).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC."] if waiting else []
    said += [f"{requested} wait for runs that were requested to resume them."] if requested else []
    said += [f"{stuck} were resumed {MOST_ATTEMPTS} times without progress, and wait for you."] if stuck else []
    return " ".join(said) or "Nothing is deferred."


def _by_partition(due: Sequence[Deferral]) -> list[list[Deferral]]:
    """Group deferrals that one run can resume."""
    groups: dict[str, list[Deferral]] = defaultdict(list)
    for deferral in due:
        groups[deferral.partition].append(deferral)
    return list(groups.values())


def _requests(
    context: dg.SensorEvaluationContext,
    backlog: Backlog,
    due: Sequence[Deferral],
    names: Names,
    is_partition: IsPartition,
    accounts: Sequence[str],
) -> Iterator[dg.RunRequest]:
    """Request the runs that resume what is due, one after the other; what has no partition here is put off."""
    for group in _by_partition(due):
        known = [each for each in group if is_partition(each.asset, each.partition)]
        unknown = [each for each in group if each not in known]
        for each in unknown:
            context.log.warning(f"{each.asset} has no partition {each.partition} here: its deferral waits")
        theirs = [each for each in unknown if each.account and each.account not in accounts]
        ours = [each for each in unknown if each not in theirs]
        backlog.deferrals.defer_again(ours, wait_seconds=UNKNOWN_PARTITION_SECONDS)
        backlog.deferrals.defer_again(theirs, wait_seconds=RESUME_PAUSE_SECONDS)
        if known:
            request = resume_request(known, names, is_partition)
            backlog.deferrals.mark_requested(known, str(request.run_key))
            yield request


def resume_deferred_sensor(names: Names, jobs: Jobs, is_partition: IsPartition) -> dg.SensorDefinition:
    """Make the sensor; `is_partition` says which partitions still exist, `jobs` are those of the location."""

    @dg.sensor(
        name=names.name("resume_deferred"),
        jobs=[jobs[name] for name in (COURT_MONTH, CATCH_UP, UNDATED, WHOLE_STREAMS) if name in jobs],
        minimum_interval_seconds=TICK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Resumes deferred partitions as soon as their time has come and the quota has room.",
    )
    def resume_deferred(
        context: dg.SensorEvaluationContext,
        courtlistener_backlog: BacklogResource,
        courtlistener: CourtListenerResource,
    ) -> Iterator[dg.RunRequest | dg.SkipReason]:
        backlog = courtlistener_backlog.open()
        release_ended_requests(context.instance, backlog)
        accounts = _accounts(context, courtlistener)
        backlog.deferrals.forget_times(accounts[:-1])
        due = backlog.deferrals.due()
        down = _outage(courtlistener) if due else None
        if reason := _no_room(courtlistener, down) if due else _next_deferral(backlog):
            yield dg.SkipReason(reason)
            return
        # While the server is down the first run asks whether it still is.
        wanted = _requests(context, backlog, due, names, is_partition, accounts)
        yield from islice(wanted, 1 if down else MOST_RUNS)

    return resume_deferred
