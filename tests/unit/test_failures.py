"""What each of our errors means to Dagster's retry mechanisms."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import dagster as dg
import pytest

from courtlistener_assets.defs import steps
from courtlistener_assets.defs.assets.download_step import is_deferrable
from courtlistener_assets.defs.steps import NO_RUN_RETRY, RETRY_SECONDS, SIGNAL_TAG, translated
from resources.errors import (
    AccountBlocked,
    AuthenticationFailed,
    BadRequest,
    CourtListenerAssetsError,
    ForeignHost,
    Gone,
    NotFound,
    PageRejected,
    PermissionDenied,
    QuotaDeferred,
    ResponseTooLarge,
    SettingError,
    Stopped,
    StoreUnavailable,
    Throttled,
    TransientApiError,
)

PERMANENT = [
    AccountBlocked(),
    AuthenticationFailed(),
    BadRequest(),
    ForeignHost(),
    Gone(),
    NotFound(),
    PageRejected(),
    PermissionDenied(),
    ResponseTooLarge(),
    SettingError(),
]
TRANSIENT = [StoreUnavailable(), TransientApiError(), Throttled(retry_after_seconds=1), QuotaDeferred(wait_seconds=1)]


class Context:
    """The parts of a Dagster context that the translation touches."""

    job_name = "job"
    has_partition_key = has_partition_key_range = False

    def __init__(self, retry_number: int = 0, status: dg.DagsterRunStatus = dg.DagsterRunStatus.STARTED) -> None:
        self.tags: dict[str, str] = {}
        self.run_id = "run"
        self.run = SimpleNamespace(run_id="run", status=status)
        self.retry_number = retry_number
        self.canceling: list[str] = []
        self.instance = SimpleNamespace(
            add_run_tags=lambda run_id, tags: self.tags.update(tags),
            get_run_by_id=lambda run_id: self.run,
            report_run_canceling=lambda run, message: self.canceling.append(message),
        )


@pytest.mark.parametrize("error", PERMANENT, ids=lambda error: type(error).__name__)
def test_what_is_permanent_is_repeated_by_none_of_dagsters_mechanisms(error: CourtListenerAssetsError) -> None:
    context = Context()
    with pytest.raises(dg.Failure) as raised, translated(cast(Any, context)):
        raise error
    assert raised.value.allow_retries is False  # the retry policy of the op
    assert context.tags == NO_RUN_RETRY  # the retries of the run
    assert type(error).__name__ in (raised.value.description or "")


@pytest.mark.parametrize("error", TRANSIENT, ids=lambda error: type(error).__name__)
def test_what_is_transient_is_left_to_them(error: CourtListenerAssetsError) -> None:
    context = Context()
    with pytest.raises(type(error)), translated(cast(Any, context)):
        raise error
    assert context.tags == {}


@pytest.mark.parametrize("error", TRANSIENT, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("number", range(len(RETRY_SECONDS)))
def test_a_step_that_asks_for_it_begins_anew_after_a_wait_of_its_own(
    error: CourtListenerAssetsError, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr(steps, "pause", waited.append)
    with pytest.raises(dg.RetryRequested) as raised, translated(cast(Any, Context(number)), retries=2):
        raise error
    # Dagster would wait without minding an interrupt.
    assert not raised.value.seconds_to_wait
    assert RETRY_SECONDS[number] / 2 <= waited[0] <= RETRY_SECONDS[number] * 1.5


def test_a_step_does_not_begin_anew_for_ever() -> None:
    with pytest.raises(StoreUnavailable), translated(cast(Any, Context(2)), retries=2):
        raise StoreUnavailable


@pytest.mark.parametrize("error", [dg.DagsterExecutionInterruptedError, KeyboardInterrupt])
def test_an_interrupt_is_no_reason_to_begin_anew_and_the_run_counts_as_cancelled(error: type[BaseException]) -> None:
    context = Context()
    with pytest.raises(error), translated(cast(Any, context), retries=2):
        raise error
    assert len(context.canceling) == 1
    assert SIGNAL_TAG in context.tags


def test_a_run_that_is_being_cancelled_already_is_not_marked_as_stopped_by_a_signal() -> None:
    context = Context(status=dg.DagsterRunStatus.CANCELING)
    with pytest.raises(dg.DagsterExecutionInterruptedError), translated(cast(Any, context), retries=2):
        raise dg.DagsterExecutionInterruptedError
    assert (context.canceling, context.tags) == ([], {})


def test_a_run_ends_as_interrupted_although_dagster_cannot_be_told_why(monkeypatch: pytest.MonkeyPatch) -> None:
    context = Context()
    context.instance.get_run_by_id = lambda run_id: 1 / 0
    with pytest.raises(dg.DagsterExecutionInterruptedError), translated(cast(Any, context)):
        raise dg.DagsterExecutionInterruptedError


def test_work_that_was_stopped_ends_the_run_as_an_interrupt_does() -> None:
    with pytest.raises(dg.DagsterExecutionInterruptedError), translated(cast(Any, Context()), retries=2):
        raise Stopped


def test_an_interrupt_ends_the_wait_for_a_retry(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(seconds: float) -> None:
        raise dg.DagsterExecutionInterruptedError

    monkeypatch.setattr(steps, "pause", interrupted)
    with pytest.raises(dg.DagsterExecutionInterruptedError), translated(cast(Any, Context()), retries=2):
        raise StoreUnavailable


def test_a_server_that_stays_away_is_asked_later_once_the_steps_retries_are_used() -> None:
    assert not is_deferrable(TransientApiError(), retries_left=1)
    assert is_deferrable(TransientApiError(), retries_left=0)
    assert is_deferrable(Throttled(retry_after_seconds=60), retries_left=0)
    assert is_deferrable(QuotaDeferred(wait_seconds=1), retries_left=2)
    assert not any(is_deferrable(error, retries_left=0) for error in PERMANENT)
