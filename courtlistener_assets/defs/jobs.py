"""One job a use; every job works from the UI, from `dg launch --job` and as a backfill.

Belongs here: what the jobs select, and the few ops that look after the backlog. Does not belong here: what the assets
do (`assets/`), or what launches a job (`sensors/`, `schedules.py`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
from pydantic import Field

from courtlistener_assets.defs.assets.bulk import BULK_ASSETS
from courtlistener_assets.defs.assets.bulk_audit import BULK_AUDIT
from courtlistener_assets.defs.assets.download_config import Id, PartitionKey, StepConfig
from courtlistener_assets.defs.assets.failed_dockets import FAILED_DOCKETS
from courtlistener_assets.defs.checks.downloads import COMPLETENESS
from courtlistener_assets.defs.names import (
    BULK_CORPUS,
    CORPUS_VECTOR_INPUTS,
    UNDATED_VECTOR_INPUTS,
    VECTOR_INPUTS,
    Names,
)
from courtlistener_assets.defs.steps import NO_RUN_RETRY, step
from courtlistener_assets.download.bulk.bootstrap import fills_from_bulk
from courtlistener_assets.download.membership import COURT_CHANGES, UNDATED_DOCKETS
from courtlistener_assets.download.stream import Stream, all_kinds
from courtlistener_assets.download.undated import undated_stream
from courtlistener_assets.logs import run_log
from resources.backlog.failures import Chosen
from resources.dagster_resources import BacklogResource, RedisRateLimitResource

COURT_MONTH = "court_month"
DOWNLOADS = "downloads"
REBUILD_VECTOR_INPUTS = "rebuild_vector_inputs"
REBUILD_UNDATED = "rebuild_undated_vector_inputs"
RETRY_FAILED_DOCKETS = "retry_failed_dockets"
CATCH_UP = "catch_up"
UNDATED = "undated"
WHOLE_STREAMS = "whole_streams"
BOOTSTRAP = "bootstrap"
LOOK_UP_DIFFERENCES = "look_up_differences"
CORPUS = "corpus"
_CHECK_COMPLETENESS, _SHOW_FAILED_DOCKETS = "check_completeness", "show_failed_dockets"

#: Jobs by their names without a prefix; what define_asset_job returns has no public name.
Jobs = Mapping[str, Any]


#: What each job does, by its name without a prefix.
_DESCRIPTIONS = {
    COURT_MONTH: "Download a court's month and prepare its text for embedding.",
    DOWNLOADS: "Download a court's month, without preparing text.",
    REBUILD_VECTOR_INPUTS: "Prepare the text of a court's month again, from what is stored; sends no request.",
    WHOLE_STREAMS: "Bring the streams that have no partitions up to date.",
    RETRY_FAILED_DOCKETS: "Download failed dockets again; launched by the sensor of the same name, which says which.",
    CATCH_UP: "Bring whatever was modified in a court, or a group of courts, since the last time.",
    UNDATED: "Download the dockets of a court that have no date and what was filed in them, and prepare its text.",
    REBUILD_UNDATED: "Prepare the text of what belongs to no month again, from what is stored; sends no request.",
    BOOTSTRAP: "Fill the months of your courts from CourtListener's bulk files of a date, without a request, and "
    "compare what was stored before; what the files show to be deleted is looked up, some of it in each run.",
    LOOK_UP_DIFFERENCES: "Go on with looking up what a dump has shown to be deleted, and report how the store differed "
    "from it.",
    CORPUS: "Write the rows of COURTLISTENER_CORPUS_COURTS in CourtListener's bulk files of a date as Parquet, and the "
    "chunks of their text, without a request and without a database.",
    _CHECK_COMPLETENESS: "Compare what is stored with what CourtListener counts; one request a sweep of a partition.",
    _SHOW_FAILED_DOCKETS: "Show what failed and what is deferred, as the asset failed_dockets.",
}


def asset_jobs(streams: Sequence[Stream], names: Names, *, corpus: bool = False) -> Jobs:
    """Return the jobs that have something to do with these streams, and that of a corpus if there is one."""
    return {
        name: dg.define_asset_job(
            names.name(name),
            selection=[names.key(asset) for asset in assets],
            description=_DESCRIPTIONS[name],
            tags=NO_RUN_RETRY if name == RETRY_FAILED_DOCKETS else None,
        )
        for name, assets in _selections(streams, corpus).items()
        if assets
    }


def _selections(streams: Sequence[Stream], corpus: bool) -> dict[str, list[str]]:
    """Return the assets of each job; none of a job that has nothing to do."""
    by_month = [stream.name for stream in streams if stream.by_month]
    chunks = [VECTOR_INPUTS] if all_kinds(streams) else []
    undated = [UNDATED_DOCKETS] if undated_stream(streams) else []
    undated_chunks = [UNDATED_VECTOR_INPUTS] if undated and chunks else []
    bulk = [*BULK_ASSETS, BULK_AUDIT] if fills_from_bulk(streams) else []
    return {
        COURT_MONTH: by_month and by_month + chunks,
        DOWNLOADS: by_month,
        REBUILD_VECTOR_INPUTS: chunks,
        WHOLE_STREAMS: [stream.name for stream in streams if not stream.by_month],
        RETRY_FAILED_DOCKETS: by_month,
        CATCH_UP: by_month and [COURT_CHANGES],
        UNDATED: undated + undated_chunks,
        REBUILD_UNDATED: undated_chunks,
        BOOTSTRAP: bulk,
        LOOK_UP_DIFFERENCES: bulk[-1:],
        CORPUS: [BULK_CORPUS, CORPUS_VECTOR_INPUTS] if corpus else [],
        _CHECK_COMPLETENESS: [COMPLETENESS],
        _SHOW_FAILED_DOCKETS: [FAILED_DOCKETS],
    }


class RequeueConfig(StepConfig):
    """Which dead failures are to be tried again: those that are named in any way; all, if none is."""

    failure_ids: list[Id] = Field(default_factory=list, description="Ids as the asset failed_dockets shows.")
    docket_ids: list[Id] = Field(default_factory=list, description="All failures of these dockets.")
    partitions: list[PartitionKey] = Field(default_factory=list, description="All failures of these partitions.")


@dg.op(
    description="Retry dead failed dockets, all or those named: the sensor retry_failed_dockets claims them with its "
    "next tick. `courtlistener requeue` does the same."
)
def requeue_dead(context: dg.OpExecutionContext, config: RequeueConfig, courtlistener_backlog: BacklogResource) -> None:
    with step(context):
        chosen = Chosen(config.failure_ids, config.docket_ids, config.partitions)
        count = courtlistener_backlog.open().failures.requeue_dead(chosen)
        run_log.info(f"{count} failed dockets are tried again")


class ForgetConfig(StepConfig):
    """Which deferred partitions are not to be resumed."""

    partitions: list[PartitionKey] = Field(
        default_factory=list, description="Partition keys; empty: all that are deferred."
    )


@dg.op(
    description="Cancel what is left of a deferred backfill: the sensor resume_deferred no longer resumes it. What is "
    "stored stays."
)
def forget_deferred(
    context: dg.OpExecutionContext, config: ForgetConfig, courtlistener_backlog: BacklogResource
) -> None:
    with step(context):
        deferrals = courtlistener_backlog.open().deferrals
        count = deferrals.forget(config.partitions or [each.partition for each in deferrals.all(limit=1_000_000)])
        run_log.info(f"{count} deferrals are forgotten")


@dg.op(description="Remove the state of old runs from Redis, if it has not expired.")
def remove_expired_keys(context: dg.OpExecutionContext, courtlistener_quota: RedisRateLimitResource) -> None:
    with step(context):
        run_log.info(f"{courtlistener_quota.pipeline_state().cleanup_expired_keys()} keys are removed")


def backlog_jobs(names: Names) -> list[dg.JobDefinition]:
    """Return the jobs that maintain the backlog, each of one op."""
    ops = {
        "requeue_dead_dockets": requeue_dead,
        "forget_deferred_partitions": forget_deferred,
        "cleanup_expired_keys": remove_expired_keys,
    }
    return [
        dg.GraphDefinition(name=names.name(name), node_defs=[op]).to_job(description=op.description)
        for name, op in ops.items()
    ]
