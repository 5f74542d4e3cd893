"""Schedules: what is downloaded every day. They are off until an operator turns them on, since they spend quota.

Belongs here: when, and for which partitions. Does not belong here: what the runs do.
"""

from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta

import dagster as dg

from courtlistener_assets.defs.assets.court_changes import COURT_CHANGES
from courtlistener_assets.defs.jobs import CHANGES_OF_DAY, COURT_MONTH, Jobs
from courtlistener_assets.defs.names import Names
from courtlistener_assets.download.catch_up import CourtDay
from courtlistener_assets.download.partitions import CourtMonth

#: Days that were missed, because nothing ran, are made up for this long.
MOST_MISSED_DAYS = 14


def current_months_schedule(
    names: Names, jobs: Jobs, courts: Sequence[str], months: dg.PartitionsDefinition
) -> dg.ScheduleDefinition:
    """Make the schedule that brings the current and the previous month up to date."""

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
                yield dg.RunRequest(run_key=f"{month}:{now:%Y-%m-%d}", partition_key=str(month))

    return current_months


def changes_of_yesterday_schedule(
    names: Names, jobs: Jobs, courts: Sequence[str], days: dg.PartitionsDefinition
) -> dg.ScheduleDefinition:
    """Make the schedule that brings what was modified on the days up to yesterday."""

    @dg.schedule(
        name=names.name("changes_of_yesterday"),
        job=jobs[CHANGES_OF_DAY],
        cron_schedule="30 3 * * *",
        execution_timezone="UTC",
        description="What was modified yesterday in every court, and on earlier days that were missed.",
    )
    def changes_of_yesterday(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        now = context.scheduled_execution_time
        done = context.instance.get_materialized_partitions(names.key(COURT_CHANGES))
        wanted = [day for day in missed_days(courts, now, done) if days.has_partition_key(str(day))]
        yield from (dg.RunRequest(run_key=f"{day}:{now:%Y-%m-%d}", partition_key=str(day)) for day in wanted)
        if not wanted:
            yield dg.SkipReason("The changes of all days up to yesterday are stored.")

    return changes_of_yesterday


def recent_months(courts: Sequence[str], today: date) -> list[CourtMonth]:
    """Return the previous and the current month of each court."""
    current = today.replace(day=1)
    previous = (current - timedelta(days=1)).replace(day=1)
    return [CourtMonth(court, month) for court in courts for month in (previous, current)]


def missed_days(courts: Sequence[str], now: datetime, done: set[str]) -> list[CourtDay]:
    """Return yesterday, and the earlier days since the first one that was ever done, of each court: those not done."""
    yesterday = now.date() - timedelta(days=1)
    firsts: dict[str, date] = {}
    for each in map(CourtDay.parse, done):
        firsts[each.court] = min(each.day, firsts.get(each.court, each.day))
    found = []
    for court in courts:
        back = min((yesterday - firsts.get(court, yesterday)).days, MOST_MISSED_DAYS)
        days = [CourtDay(court, yesterday - timedelta(days=ago)) for ago in range(max(0, back), -1, -1)]
        found += [day for day in days if str(day) not in done]
    return found
