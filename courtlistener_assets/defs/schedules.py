"""Schedules: what is downloaded every day. They are off until an operator turns them on, since they spend quota.

Belongs here: when, and for which partitions. Does not belong here: what the runs do, or how a full refresh of
everything is spread over the days (`operations/rolling_refresh.py`).
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import dagster as dg

from courtlistener_assets.defs.active_runs import PRIORITY_TAG, is_active, partitions_of_active
from courtlistener_assets.defs.assets.chunk_config import AS_MADE
from courtlistener_assets.defs.jobs import (
    CATCH_UP,
    COURT_MONTH,
    DOWNLOADS,
    REBUILD_VECTOR_INPUTS,
    UNDATED,
    WHOLE_STREAMS,
    Jobs,
)
from courtlistener_assets.defs.names import VECTOR_INPUTS, Names
from courtlistener_assets.download.membership import UNDATED_DOCKETS
from courtlistener_assets.download.partitions import CourtMonth, dagster_key
from courtlistener_assets.download.stream import Stream
from courtlistener_assets.download.undated import undated_stream
from courtlistener_assets.operations.rolling_refresh import by_partition, due_today
from resources.dagster_resources import BacklogResource, RecordStoreResource

REFRESH_TAG = "courtlistener/rolling_refresh"


def current_months_schedule(
    names: Names, jobs: Jobs, courts: Sequence[str], months: dg.PartitionsDefinition
) -> dg.ScheduleDefinition:
    """Make the schedule that brings the current and the previous month up to date."""
    chunked = REBUILD_VECTOR_INPUTS in jobs
    run_config = {"ops": {names.name(VECTOR_INPUTS): {"config": AS_MADE}}} if chunked else {}

    @dg.schedule(
        name=names.name("current_months"),
        job=jobs[COURT_MONTH],
        cron_schedule="30 4 * * *",
        execution_timezone="UTC",
        description="The current and the previous month of every court: new filings and decisions.",
    )
    def current_months(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest]:
        now = context.scheduled_execution_time
        for month in recent_months(courts, now.date()):
            if months.has_partition_key(str(month)):
                yield dg.RunRequest(run_key=f"{month}:{now:%Y-%m-%d}", partition_key=str(month), run_config=run_config)

    return current_months


def recent_months(courts: Sequence[str], today: date) -> list[CourtMonth]:
    """Return the previous and the current month of each court."""
    current = today.replace(day=1)
    previous = (current - timedelta(days=1)).replace(day=1)
    return [CourtMonth(court, month) for court in courts for month in (previous, current)]


def catch_up_schedule(
    names: Names, jobs: Jobs, courts: Sequence[str], grouped: Sequence[str], cron: str
) -> dg.ScheduleDefinition:
    """Make the schedule that brings what was modified since the last time, at the moments of `cron` (UTC)."""

    @dg.schedule(
        name=names.name("catch_up"),
        job=jobs[CATCH_UP],
        cron_schedule=cron,
        execution_timezone="UTC",
        description="Whatever was modified in the courts since the last time. COURTLISTENER_CATCH_UP says how often, "
        "COURTLISTENER_GROUPED for which courts at once.",
    )
    def catch_up(
        context: dg.ScheduleEvaluationContext, courtlistener_records: RecordStoreResource
    ) -> Iterator[dg.RunRequest | dg.SkipReason]:
        grouping = courtlistener_records.jurisdictions().grouping(grouped, courts)
        # What no group is known to serve waits until the run of a group has read the jurisdictions.
        wanted = [code for code in grouped if grouping.groups[code] or not grouping.is_complete] + list(grouping.alone)
        job = names.name(CATCH_UP)
        idle = [key for key in wanted if not is_active(context.instance, key, job=job)]
        moment = f"{context.scheduled_execution_time:%Y-%m-%dT%H:%M}"
        yield from (dg.RunRequest(run_key=f"{key}:{moment}", partition_key=key) for key in idle)
        if not idle:
            yield dg.SkipReason("All courts are being caught up with.")

    return catch_up


def rolling_refresh_schedules(
    names: Names, jobs: Jobs, streams: Sequence[Stream], days: int
) -> list[dg.ScheduleDefinition]:
    """Make the schedules that walk all partitions of the downloads in full within `days`, one for each kind."""
    months = {stream.name: _names(stream) for stream in streams if stream.by_month}
    whole = {stream.name: _names(stream) for stream in streams if not stream.by_month}
    undated = undated_stream(streams)
    kinds = {
        "rolling_refresh": (DOWNLOADS, months),
        "rolling_refresh_of_undated_dockets": (UNDATED, {UNDATED_DOCKETS: _names(undated)} if undated else {}),
        "rolling_refresh_of_whole_streams": (WHOLE_STREAMS, whole),
    }
    return [
        _rolling_refresh_schedule(name, names, jobs[job], sweeps, days)
        for name, (job, sweeps) in kinds.items()
        if sweeps
    ]


def _names(stream: Stream) -> list[str]:
    return [sweep.name for sweep in stream.sweeps]


def _rolling_refresh_schedule(
    name: str, names: Names, job: Any, sweeps: Mapping[str, Sequence[str]], days: int
) -> dg.ScheduleDefinition:
    """Make one of them; `sweeps` are the assets of `job`, with the sweeps that make a partition of each complete."""

    @dg.schedule(
        name=names.name(name),
        job=job,
        cron_schedule="0 5 * * *",
        execution_timezone="UTC",
        description=f"Walks every complete partition of {', '.join(sweeps)} in full once within {days} days, so that "
        "what CourtListener has deleted does not stay longer. Uses what the reserve leaves. `courtlistener status` "
        "shows what it costs before it is turned on.",
    )
    def rolling_refresh(
        context: dg.ScheduleEvaluationContext,
        courtlistener_records: RecordStoreResource,
        courtlistener_backlog: BacklogResource,
    ) -> Iterator[dg.RunRequest | dg.SkipReason]:
        now, audit = context.scheduled_execution_time, courtlistener_records.audit()
        deferred = courtlistener_backlog.open().deferrals.all(limit=1_000_000)
        running = partitions_of_active(context.instance, {REFRESH_TAG: name})
        due = {}
        for asset, of_asset in sweeps.items():
            walks = audit.last_full_walks(asset, of_asset)
            waiting = {each.partition for each in deferred if each.asset == asset and each.config.get("full_refresh")}
            due[asset] = due_today(walks, days, now, (running | waiting) & set(walks))
        runs = by_partition(due)
        for partition, assets in runs.items():
            yield dg.RunRequest(
                run_key=f"{partition}:{now:%Y-%m-%d}",
                partition_key=dagster_key(partition),
                asset_selection=[names.key(asset) for asset in assets],
                run_config={"ops": {names.name(asset): {"config": {"full_refresh": True}} for asset in assets}},
                tags={REFRESH_TAG: name, PRIORITY_TAG: "-1"},
            )
        if not runs:
            yield dg.SkipReason(f"No partition has to be walked in full today to have all within {days} days.")

    return rolling_refresh
