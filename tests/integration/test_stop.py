"""A run that is told to stop: its permits, claims and deferrals, with real servers and the simulator."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import dagster as dg
import pytest

from courtlistener_assets.defs.assets import threads
from courtlistener_assets.defs.steps import SIGNAL_TAG
from courtlistener_assets.devkit.simulator.accounts import Account
from courtlistener_assets.devkit.simulator.faults import Fault
from courtlistener_assets.devkit.simulator.server import Simulator
from resources.courtlistener.transport import Timeouts
from resources.errors import Stopped
from resources.quota.permits import Outcome
from resources.stopping import Stopping
from resources.telemetry import metrics
from tests.integration.client_harness import Bench
from tests.integration.pipeline_harness import MONTH, Pipeline

CANCELED = dg.DagsterRunStatus.CANCELED


def at_first_request(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, act: Callable[[], None]) -> None:
    """Do something while the first request that costs quota is under way."""
    respond, done = pipeline.simulator.application.respond, list[bool]()

    def acting(request: Any, fault: Any) -> Any:
        if "api-usage" not in request.path and not done:
            done.append(True)
            act()
        return respond(request, fault)

    monkeypatch.setattr(pipeline.simulator.application, "respond", acting)


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def interrupt_at_first_request(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupt the run; the request is answered when the run has noticed.

    On a busy machine the thread that sends requests may otherwise be faster than the one that gets the signal.
    """
    stop, noticed = Stopping.stop, threading.Event()

    def noticing(stopping: Stopping) -> None:
        stop(stopping)
        noticed.set()

    def interrupt_and_wait() -> None:
        interrupt()
        noticed.wait(10)

    monkeypatch.setattr(Stopping, "stop", noticing)
    at_first_request(pipeline, monkeypatch, interrupt_and_wait)


def asked(pipeline: Pipeline) -> int:
    return len([entry for entry in pipeline.simulator.log if entry.endpoint != "api-usage"])


def only_run(pipeline: Pipeline, status: dg.DagsterRunStatus) -> dg.DagsterRun:
    [run] = pipeline.instance.get_runs(dg.RunsFilter(statuses=[status]))
    return run


# --- a run that is under way ------------------------------------------------------------------------------------------


def test_a_page_that_is_under_way_is_finished_and_no_other_is_asked_for(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt_at_first_request(pipeline, monkeypatch)
    result = pipeline.run("downloads", MONTH, asset_selection=[dg.AssetKey("opinions"), dg.AssetKey("clusters")])
    run = pipeline.instance.get_run_by_id(result.run_id)
    assert run
    assert run.status == CANCELED
    assert SIGNAL_TAG in run.tags
    assert asked(pipeline) == 1
    assert pipeline.rows("SELECT sum(pages)::int FROM courtlistener.sweeps") == [(1,)]
    assert pipeline.rows("SELECT count(*) FROM courtlistener.deferrals") == [(0,)]
    assert not any(event.event_type_value == "STEP_UP_FOR_RETRY" for event in result.all_events)


def test_its_permit_is_journaled_and_settled(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupt_at_first_request(pipeline, monkeypatch)
    pipeline.run("downloads", MONTH, asset_selection=[dg.AssetKey("clusters")])
    assert pipeline.rows(
        "SELECT count(*), count(settled_at) FROM courtlistener.permits WHERE account NOT LIKE '%:api_usage'"
    ) == [(1, 1)]


def test_a_response_that_does_not_come_is_not_waited_for(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "GRACE_SECONDS", 0.1)
    ended = threading.Event()

    def hang() -> None:
        interrupt()
        ended.wait(300)

    at_first_request(pipeline, monkeypatch, hang)
    began = time.monotonic()
    result = pipeline.run("downloads", MONTH, asset_selection=[dg.AssetKey("clusters")])
    assert time.monotonic() - began < Timeouts().read
    run = pipeline.instance.get_run_by_id(result.run_id)
    assert run
    assert run.status == CANCELED
    ended.set()


def test_a_run_that_asks_from_its_main_thread_does_not_wait_either(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = threading.Event()

    def hang() -> None:
        interrupt()
        ended.wait(300)

    at_first_request(pipeline, monkeypatch, hang)
    result = pipeline.run("catch_up", "scotus")
    run = pipeline.instance.get_run_by_id(result.run_id)
    assert run
    assert run.status == CANCELED
    assert pipeline.rows("SELECT count(*) FROM courtlistener.deferrals") == [(0,)]
    ended.set()


def test_the_end_of_a_run_does_not_wait_for_a_postgres_that_hangs(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "_PATIENCE_SECONDS", 0.1)
    hung = threading.Event()
    monkeypatch.setattr(metrics.Publisher, "publish", lambda publisher: hung.wait(300))
    with pytest.raises(RuntimeError, match="over"), pipeline.resources()["courtlistener"].open():
        raise RuntimeError("over")
    hung.set()


def test_a_run_that_is_cancelled_stops_at_its_next_page_although_no_signal_reaches_it(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_first_request(
        pipeline,
        monkeypatch,
        lambda: pipeline.instance.report_run_canceling(only_run(pipeline, dg.DagsterRunStatus.STARTED)),
    )
    result = pipeline.run("downloads", MONTH, asset_selection=[dg.AssetKey("clusters"), dg.AssetKey("opinions")])
    run = pipeline.instance.get_run_by_id(result.run_id)
    assert run
    assert (run.status, SIGNAL_TAG in run.tags) == (CANCELED, False)
    assert asked(pipeline) == 1


def test_a_storage_that_cannot_say_whether_a_run_was_cancelled_ends_no_download(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads, told = pipeline.instance.get_run_by_id, list[str]()

    def locked_at_first(run_id: str) -> dg.DagsterRun | None:
        if sys._getframe(1).f_code.co_name == "_stop_if_canceled" and len(told) < 2:
            told.append(run_id)
            raise ConnectionError("the table of runs is locked")
        return reads(run_id)

    monkeypatch.setattr(pipeline.instance, "get_run_by_id", locked_at_first)
    assert pipeline.run("downloads", MONTH).success
    assert len(told) == 2


def test_nothing_is_deferred_of_a_run_that_is_being_cancelled(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline.simulator.accounts.add(Account("wide", "wide-token", "1/hour"))
    pipeline.simulator.faults.add(Fault("502"))
    at_first_request(
        pipeline,
        monkeypatch,
        lambda: pipeline.instance.report_run_canceling(only_run(pipeline, dg.DagsterRunStatus.STARTED)),
    )
    result = pipeline.run("downloads", MONTH, asset_selection=[dg.AssetKey("clusters")])
    run = pipeline.instance.get_run_by_id(result.run_id)
    assert run
    assert run.status == CANCELED
    assert pipeline.rows("SELECT count(*) FROM courtlistener.deferrals") == [(0,)]


# --- permits ----------------------------------------------------------------------------------------------------------


def test_a_permit_that_comes_too_late_is_given_back_unused(simulator: Simulator) -> None:
    stopping = Stopping()
    bench = Bench(simulator.url, stopping=stopping)
    stopping.stop()
    with pytest.raises(Stopped):
        bench.client.page("dockets", {})
    assert bench.ledger.settled == [Outcome.NOT_COUNTED]
    assert simulator.log == []


def test_what_is_left_of_a_step_asks_for_nothing_behind_its_end(pipeline: Pipeline) -> None:
    with pipeline.resources()["courtlistener"].open() as client:
        client.page("dockets", {})
    before = len(pipeline.simulator.log)
    with pytest.raises(Stopped):
        client.page("dockets", {})
    assert len(pipeline.simulator.log) == before


def test_a_wait_for_the_quota_ends_at_once(pipeline: Pipeline) -> None:
    pipeline.simulator.accounts.add(Account("wide", "wide-token", "1/hour"))
    with pipeline.resources()["courtlistener"].open() as client:
        client.page("dockets", {})
        client.stopping.stop()
        with pytest.raises(Stopped), client.limiter.permit(max_wait_seconds=7200):
            raise AssertionError("there was room")


# --- what the run was to retry or resume ------------------------------------------------------------------------------


@pytest.fixture
def claimed(pipeline: Pipeline) -> dg.RunRequest:
    """The run that retries a cluster which has failed once."""
    court = {docket["id"] for docket in pipeline.simulator.corpus.dockets if docket["court_id"] == "scotus"}
    bad = next(
        each["id"]
        for each in pipeline.simulator.corpus.clusters
        if each["date_filed"][:7] == "2024-01" and each["docket_id"] in court
    )
    pipeline.simulator.faults.add(Fault("poison", endpoint="clusters", object_id=bad))
    assert pipeline.run("downloads", MONTH, asset_selection=[dg.AssetKey("clusters")]).success
    pipeline.make_due()
    [request] = pipeline.tick("retry_failed_dockets")
    return request


def tries(pipeline: Pipeline) -> list[Any]:
    return pipeline.rows("SELECT tries, claimed_by IS NOT NULL, retry_after > now() FROM courtlistener.failures")


def test_a_retry_that_is_stopped_gives_its_claim_back_without_a_try(
    pipeline: Pipeline, claimed: dg.RunRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt_at_first_request(pipeline, monkeypatch)
    assert not pipeline.launch(claimed).success
    assert tries(pipeline) == [(1, False, True)]


@pytest.mark.parametrize(
    ("status", "tags", "left"),
    [
        (CANCELED, {}, (1, False, True)),
        (CANCELED, {SIGNAL_TAG: "true"}, (2, False, None)),
        (dg.DagsterRunStatus.FAILURE, {}, (2, False, None)),
    ],
    ids=["cancelled", "killed", "failed"],
)
def test_a_retry_that_is_cancelled_before_it_begins_costs_no_try(
    pipeline: Pipeline, claimed: dg.RunRequest, status: dg.DagsterRunStatus, tags: dict[str, str], left: Any
) -> None:
    job = pipeline.defs.resolve_job_def("retry_failed_dockets")
    pipeline.instance.create_run_for_job(job, tags={**claimed.tags, **tags}, status=status)
    assert pipeline.tick("retry_failed_dockets") == []
    assert tries(pipeline) == [left]


@pytest.mark.parametrize(
    ("tags", "left"), [({}, 0), ({SIGNAL_TAG: "true"}, 1)], ids=["by-somebody", "by-a-signal-alone"]
)
def test_what_a_cancelled_run_was_to_resume_is_not_resumed_again(
    pipeline: Pipeline, tags: dict[str, str], left: int
) -> None:
    pipeline.backlog.deferrals.record("clusters", [MONTH], wait_seconds=0, reason="no room", run_id="first")
    [request] = pipeline.tick("resume_deferred")
    job = pipeline.defs.resolve_job_def("court_month")
    pipeline.instance.create_run_for_job(job, tags={**request.tags, **tags}, status=CANCELED)
    assert pipeline.tick("resume_deferred") == []
    assert len(pipeline.backlog.deferrals.all()) == left
