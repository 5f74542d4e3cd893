"""How our code runs as a step of Dagster: the fields of its log lines, what its errors mean for Dagster's retries, and
how it ends when it is told to.

No op has a retry policy: Dagster applies that to interrupts too, so that a run that was told to stop would begin anew.

Belongs here: the border to Dagster. Does not belong here: what an error means (`resources/errors.py`), the format of
lines (`logs.py`).
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
import structlog

from courtlistener_assets.defs.assets.partitioning import partition_keys
from courtlistener_assets.defs.names import name_of
from courtlistener_assets.download.partitions import Selection
from courtlistener_assets.logs import detail_log, run_log
from resources.errors import CourtListenerAssetsError, Stopped

#: Dagster retries a failed run unless this tag says otherwise; `allow_retries=False` stops only the retries of the op.
NO_RUN_RETRY = {"dagster/retry_on_asset_or_op_failure": "false", "dagster/max_retries": "0"}
#: Seconds before each time that a step begins anew after a transient error.
RETRY_SECONDS = (30.0, 60.0)
#: How Dagster tells a step that its run is to end.
INTERRUPTS = (dg.DagsterExecutionInterruptedError, KeyboardInterrupt)
#: On a run that was stopped by a signal alone: nobody has asked Dagster for it.
SIGNAL_TAG = "courtlistener/stopped_by_signal"
#: Waits in the main thread, where an interrupt ends it.
pause = time.sleep
StepContext = dg.OpExecutionContext | dg.AssetExecutionContext


@contextmanager
def step(context: StepContext) -> Iterator[None]:
    """Give every line of this thread the step's run, job and asset, and log how the step began and ended."""
    started = {"event": "step_started", "partitions": len(partition_keys(context))}
    with bound(context):
        detail_log.info("The step begins", extra=started)
        try:
            yield
        except INTERRUPTS:
            detail_log.warning("The step was told to stop", extra={"event": "step_stopped"})
            raise
        except BaseException as error:
            cause = error.__cause__ if isinstance(error, dg.Failure | dg.RetryRequested) and error.__cause__ else error
            text = error.description if isinstance(error, dg.Failure) else str(cause)
            detail_log.error(text, extra={"event": "step_failed", "error": type(cause).__name__})
            raise
        detail_log.info("The step has ended", extra={"event": "step_succeeded"})


@contextmanager
def bound(context: StepContext, partition: Selection | None = None) -> Iterator[None]:
    """Give every line of this thread the step's run, job and asset, and the partition. Threads do not inherit them."""
    fields = {"run_id": context.run.run_id, "job": context.job_name}
    if isinstance(context, dg.AssetExecutionContext):
        of_one = len(context.selected_asset_keys) == 1
        fields["asset"] = name_of(context.asset_key) if of_one else context.assets_def.op.name
    if partition is not None:
        fields["partition"] = str(partition)
    with structlog.contextvars.bound_contextvars(**fields):
        yield


@contextmanager
def translated(context: StepContext, *, retries: int = 0) -> Iterator[None]:
    """Turn our errors into what tells Dagster whether to retry, and log how the step ended.

    After a retryable error the step begins anew, `retries` times, at most as often as RETRY_SECONDS has waits. Then
    the error leaves as itself, so that the run's retries apply. Anything else becomes a Failure that no retry mechanism
    repeats. A run that was told to stop ends as CANCELED, whoever told it.
    """
    with step(context):
        try:
            yield
        except INTERRUPTS:
            report_canceling(context.instance, context.run.run_id)
            raise
        except Stopped as stopped:
            raise dg.DagsterExecutionInterruptedError(str(stopped)) from stopped
        except CourtListenerAssetsError as error:
            if error.retryable:
                if context.retry_number < retries:
                    _wait_for_retry(context.retry_number, error)
                    raise dg.RetryRequested(max_retries=retries) from error
                raise
            context.instance.add_run_tags(context.run.run_id, NO_RUN_RETRY)
            raise dg.Failure(
                description=f"{type(error).__name__}: {error}",
                metadata={"error": type(error).__name__},
                allow_retries=False,
            ) from error


def _wait_for_retry(number: int, error: CourtListenerAssetsError) -> None:
    """Wait here: Dagster's own wait for a retry would not be ended by an interrupt."""
    seconds = RETRY_SECONDS[number] * random.uniform(0.5, 1.5)
    text = f"The step begins anew in {seconds:.0f} s: {type(error).__name__}: {error}"
    run_log.warning(text, extra={"event": "step_retried", "error": type(error).__name__})
    pause(seconds)


def report_canceling(instance: dg.DagsterInstance, run_id: str) -> None:
    """Let a run that only got a signal end as one that was cancelled; Dagster would call it a failure and retry it."""
    try:
        run = instance.get_run_by_id(run_id)
        if run and run.status == dg.DagsterRunStatus.STARTED:
            instance.add_run_tags(run_id, {SIGNAL_TAG: "true"})
            instance.report_run_canceling(run, message="A signal told the run to stop.")
    except Exception as error:  # Of Dagster's storage, whatever it is; the run must end all the same.
        run_log.warning("Dagster was not told: %s", error, extra={"event": "stop_not_reported"})
