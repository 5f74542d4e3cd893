"""The job that deletes what is old and of no use any more, and the schedule that runs it every night.

Belongs here: when, and how long things are kept. Does not belong here: what may go of Dagster's runs
(`run_history.py`), of our own tables (`resources/records/history.py`). Nothing that was downloaded is deleted here.
"""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta

import dagster as dg

from courtlistener_assets.defs.names import Names
from courtlistener_assets.defs.run_history import RunHistory, Tidied, location_of
from courtlistener_assets.defs.steps import step
from courtlistener_assets.logs import run_log
from resources.dagster_resources import BacklogResource, RecordStoreResource
from resources.errors import SettingError
from resources.records.history import CHECKPOINT_DAYS, forget_old_checkpoints

TIDY = "tidy"


def tidy_job(names: Names, run_days: int, jobs: Collection[str], assets: Collection[dg.AssetKey]) -> dg.JobDefinition:
    """Make the job; runs of these jobs and assets are kept for `run_days`, for ever if that is 0."""

    @dg.op(
        name=names.name("delete_what_is_old"),
        description="Delete runs that ended over COURTLISTENER_RUN_DAYS days ago, with their events (0: none); of "
        "those that were the last to make or check a partition stays what says so. Delete checkpoints of single "
        "dockets, and failures that were resolved long ago. What was downloaded stays.",
    )
    def delete_what_is_old(
        context: dg.OpExecutionContext,
        courtlistener_records: RecordStoreResource,
        courtlistener_backlog: BacklogResource,
    ) -> None:
        with step(context):
            checkpoints = forget_old_checkpoints(courtlistener_records.postgres.database())
            failures = courtlistener_backlog.open().failures.prune()
            run_log.info(
                f"{checkpoints} checkpoints of single dockets deleted, that ended over {CHECKPOINT_DAYS} days ago, and "
                f"{failures} failures that were resolved long ago",
                extra={"event": "own_history_tidied", "checkpoints": checkpoints, "failures": failures},
            )
            if run_days:
                _tidy_runs(context, run_days, jobs, assets)

    description = delete_what_is_old.description
    return dg.GraphDefinition(name=names.name(TIDY), node_defs=[delete_what_is_old]).to_job(description=description)


def _now() -> datetime:
    return datetime.now(UTC)


def _tidy_runs(
    context: dg.OpExecutionContext, run_days: int, jobs: Collection[str], assets: Collection[dg.AssetKey]
) -> None:
    try:
        history = RunHistory(context.instance, {*jobs, context.job_name}, assets, location_of(context.run))
        found: Tidied = history.tidy(_now() - timedelta(days=run_days))
    except SettingError as error:
        run_log.warning(f"{error}", extra={"event": "runs_not_tidied"})
        return
    run_log.info(
        f"{found.deleted} runs deleted that ended over {run_days} days ago, {found.trimmed} cut down that were the "
        f"last of a partition; {found.events} events are gone",
        extra={"event": "runs_tidied", **vars(found)},
    )


def tidy_schedule(names: Names, job: dg.JobDefinition) -> dg.ScheduleDefinition:
    """Make the schedule, which is on from the start: it costs no request, and deletes no run unless told to."""
    return dg.ScheduleDefinition(
        name=names.name("nightly_tidy"),
        job=job,
        cron_schedule="45 2 * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Deletes every night what is old and of no use any more, as the job tidy says.",
    )
