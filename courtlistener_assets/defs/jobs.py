"""One job a use; every job works from the UI, from `dagster job` and as a backfill.

Belongs here: what the jobs select, and the few ops that look after the backlog. Does not belong here: what the assets
do (`assets/`), or who starts a job by itself (`sensors/`, `schedules.py`).
"""

import dagster as dg
from pydantic import Field

from courtlistener_assets.defs.assets.court_changes import COURT_CHANGES
from courtlistener_assets.defs.assets.failed_dockets import FAILED_DOCKETS
from courtlistener_assets.defs.checks.downloads import COMPLETENESS
from courtlistener_assets.defs.step_errors import NO_RUN_RETRY
from courtlistener_assets.download.streams import STREAMS
from courtlistener_assets.logs import run_log, step
from resources.backlog.backlog import BacklogResource

_DOWNLOADS = dg.AssetSelection.assets(*(stream.name for stream in STREAMS))
_VECTOR_INPUTS = dg.AssetSelection.assets("vector_inputs")

COURT_MONTH = dg.define_asset_job(
    "court_month",
    selection=_DOWNLOADS | _VECTOR_INPUTS,
    description="Download a court's month and prepare its text for embedding.",
)
DOWNLOADS = dg.define_asset_job(
    "downloads",
    selection=_DOWNLOADS,
    description="Download a court's month, without preparing text.",
)
REBUILD_VECTOR_INPUTS = dg.define_asset_job(
    "rebuild_vector_inputs",
    selection=_VECTOR_INPUTS,
    description="Prepare the text of a court's month again, from what is stored; sends no request.",
)
RETRY_FAILED_DOCKETS = dg.define_asset_job(
    "retry_failed_dockets",
    selection=_DOWNLOADS,
    tags=NO_RUN_RETRY,
    description="Download failed dockets again; launched by the sensor of the same name, which says which.",
)
CHANGES_OF_DAY = dg.define_asset_job(
    "changes_of_day",
    selection=[COURT_CHANGES],
    description="Bring what was modified in a court on a day.",
)
CHECK_COMPLETENESS = dg.define_asset_job(
    "check_completeness",
    selection=[COMPLETENESS],
    description="Compare what is stored with what CourtListener counts; one request a sweep of a partition.",
)
SHOW_FAILED_DOCKETS = dg.define_asset_job(
    "show_failed_dockets",
    selection=[FAILED_DOCKETS],
    description="Show what failed and what is deferred, as the asset failed_dockets.",
)
ASSET_JOBS = [
    COURT_MONTH,
    DOWNLOADS,
    REBUILD_VECTOR_INPUTS,
    RETRY_FAILED_DOCKETS,
    CHANGES_OF_DAY,
    CHECK_COMPLETENESS,
    SHOW_FAILED_DOCKETS,
]


class RequeueConfig(dg.Config):
    """Which dead failures are to be tried again."""

    failure_ids: list[int] = Field(
        default_factory=list, description="Ids as the asset failed_dockets shows; empty: all."
    )


@dg.op(description="Put dead failures back among those that wait for a retry.")
def requeue_dead(context: dg.OpExecutionContext, config: RequeueConfig, backlog: BacklogResource) -> None:
    with step(context), backlog.open() as open_backlog:
        count = open_backlog.failures.requeue_dead(config.failure_ids or None)
        run_log.info(f"{count} failed dockets are tried again")


@dg.job(description="Try dead failed dockets again, all or those named; the sensor retry_failed_dockets takes them up.")
def requeue_dead_dockets() -> None:
    requeue_dead()


class ForgetConfig(dg.Config):
    """Which deferred partitions are not to be gone on with."""

    partitions: list[str] = Field(default_factory=list, description="Partition keys; empty: all that are deferred.")


@dg.op(description="Do not go on with deferred partitions; what they have stored stays.")
def forget_deferred(context: dg.OpExecutionContext, config: ForgetConfig, backlog: BacklogResource) -> None:
    with step(context), backlog.open() as open_backlog:
        partitions = config.partitions or [each.partition for each in open_backlog.deferrals.all(limit=1_000_000)]
        count = open_backlog.deferrals.forget(partitions)
        run_log.info(f"{count} deferrals are forgotten")


@dg.job(description="Cancel what is left of a deferred backfill: the sensor resume_deferred does not go on with it.")
def forget_deferred_partitions() -> None:
    forget_deferred()


@dg.op(description="Remove the state of old runs from Redis, if it has not expired by itself.")
def remove_expired_keys(context: dg.OpExecutionContext, backlog: BacklogResource) -> None:
    with step(context), backlog.open() as open_backlog:
        run_log.info(f"{open_backlog.state.cleanup_expired_keys()} keys are gone")


@dg.job(description="Remove the state of old runs from Redis, if it has not expired by itself.")
def cleanup_expired_keys() -> None:
    remove_expired_keys()


BACKLOG_JOBS = [requeue_dead_dockets, forget_deferred_partitions, cleanup_expired_keys]
