"""How our code runs as a step of Dagster: the fields of its log lines, and what its errors mean for Dagster's retries.

Belongs here: the border to Dagster. Does not belong here: what an error means (`resources/errors.py`), the format of
lines (`logs.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
import structlog

from courtlistener_assets.defs.names import name_of
from courtlistener_assets.download.partitions import Selection
from courtlistener_assets.logs import detail_log
from resources.errors import CourtListenerAssetsError

#: Dagster retries a failed run unless this tag says otherwise; `allow_retries=False` stops only the retries of the op.
NO_RUN_RETRY = {"dagster/retry_on_asset_or_op_failure": "false", "dagster/max_retries": "0"}
StepContext = dg.OpExecutionContext | dg.AssetExecutionContext


@contextmanager
def step(context: StepContext) -> Iterator[None]:
    """Give every line of this thread the step's run, job and asset, and log how the step began and ended."""
    several = context.has_partition_key or context.has_partition_key_range
    started = {"event": "step_started", "partitions": len(context.partition_keys) if several else 0}
    with bound(context):
        detail_log.info("The step begins", extra=started)
        try:
            yield
        except BaseException as error:
            text = error.description if isinstance(error, dg.Failure) else str(error)
            cause = error.__cause__ if isinstance(error, dg.Failure) and error.__cause__ else error
            detail_log.error(text, extra={"event": "step_failed", "error": type(cause).__name__})
            raise
        detail_log.info("The step has ended", extra={"event": "step_succeeded"})


@contextmanager
def bound(context: StepContext, partition: Selection | None = None) -> Iterator[None]:
    """Give every line of this thread the step's run, job and asset, and the partition. Threads do not inherit them."""
    fields = {"run_id": context.run.run_id, "job": context.job_name}
    if isinstance(context, dg.AssetExecutionContext):
        fields["asset"] = name_of(context.asset_key)
    if partition is not None:
        fields["partition"] = str(partition)
    with structlog.contextvars.bound_contextvars(**fields):
        yield


@contextmanager
def translated(context: StepContext) -> Iterator[None]:
    """Turn our errors into Dagster failures that tell Dagster whether to retry, and log how the step ended.

    A retryable error leaves as itself, so that the op's retry policy and the run's retries apply. Anything else becomes
    a Failure that no retry mechanism repeats.
    """
    with step(context):
        try:
            yield
        except CourtListenerAssetsError as error:
            if error.retryable:
                raise
            context.instance.add_run_tags(context.run.run_id, NO_RUN_RETRY)
            raise dg.Failure(
                description=f"{type(error).__name__}: {error}",
                metadata={"error": type(error).__name__},
                allow_retries=False,
            ) from error
