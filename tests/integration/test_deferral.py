"""A run that finds no room in the quota ends, and a sensor goes on with it; nothing is fetched twice."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest
import redis

from courtlistener_assets.defs.sensors.requested_runs import LAUNCH_GRACE
from courtlistener_assets.defs.sensors.resume_deferred import release_ended_requests
from courtlistener_assets.devkit.simulator.accounts import Account
from resources.dagster_resources import CourtListenerResource
from tests.integration.pipeline_harness import MONTH, Pipeline

FEBRUARY = "scotus|2024-02-01"
DOCKETS = dg.AssetKey("dockets")


@pytest.fixture
def pipeline_settings() -> Mapping[str, str]:
    return {
        "COURTLISTENER_API_TOKEN": "tiny-token",
        "COURTLISTENER_MAX_WAIT_SECONDS": "0.3",
        "COURTLISTENER_RATE_LIMITS": "1/hour",
        "COURTLISTENER_WORKERS": "1",
    }


@pytest.fixture
def pipeline(pipeline: Pipeline, redis_client: redis.Redis) -> Pipeline:
    """With room for two requests."""
    give_quota(pipeline, redis_client, 2)
    return pipeline


def give_quota(pipeline: Pipeline, redis_client: redis.Redis, requests: int) -> None:
    """As if the windows had passed: room for so many requests, and nothing used."""
    pipeline.simulator.accounts.add(Account("tiny", "tiny-token", f"{requests}/hour"))
    with pipeline.database.transaction() as connection:
        connection.execute(
            "TRUNCATE courtlistener.permits, courtlistener.ledgers, courtlistener.permit_waiters CASCADE"
        )
    redis_client.flushall()


def deferrals(pipeline: Pipeline) -> list[Any]:
    return pipeline.rows(
        "SELECT asset, partition, times, requested_at IS NOT NULL, attempts FROM courtlistener.deferrals ORDER BY 1, 2"
    )


def start(pipeline: Pipeline, **options: Any) -> Any:
    return pipeline.run("downloads", MONTH, asset_selection=[DOCKETS], **options)


def test_a_deferred_partition_is_not_green_and_says_until_when(pipeline: Pipeline) -> None:
    result = start(pipeline)
    assert not result.success
    assert pipeline.materialized("dockets") == set()
    assert deferrals(pipeline) == [("dockets", MONTH, 1, False, 0)]
    [failed] = [event for event in result.all_events if event.event_type_value == "STEP_FAILURE"]
    failure: Any = failed.step_failure_data.user_failure_data
    assert failure.description.startswith("Deferred until ")
    assert failure.metadata["deferred_until"].value > datetime.now(UTC).timestamp()
    assert failure.metadata["requests_left_about"].value >= 1


def test_no_retry_mechanism_of_dagster_repeats_it(pipeline: Pipeline) -> None:
    result = start(pipeline)
    assert not any(event.event_type_value == "STEP_UP_FOR_RETRY" for event in result.all_events)
    run = pipeline.instance.get_run_by_id(result.run_id)
    assert run
    assert run.tags["dagster/max_retries"] == "0"
    assert run.tags["dagster/retry_on_asset_or_op_failure"] == "false"


def test_of_several_partitions_those_complete_stay_green(pipeline: Pipeline, redis_client: redis.Redis) -> None:
    give_quota(pipeline, redis_client, 5)
    tags = {"dagster/asset_partition_range_start": MONTH, "dagster/asset_partition_range_end": "scotus|2024-03-01"}
    result = pipeline.run("downloads", tags=tags, asset_selection=[DOCKETS])
    assert not result.success
    green = pipeline.materialized("dockets")
    left = {partition for _, partition, *_ in deferrals(pipeline)}
    assert green
    assert left
    assert green | left == {MONTH, FEBRUARY, "scotus|2024-03-01"}
    assert not green & left


def test_a_range_is_finished_by_itself_with_all_that_is_made_from_it(
    pipeline: Pipeline, redis_client: redis.Redis
) -> None:
    give_quota(pipeline, redis_client, 9)
    tags = {"dagster/asset_partition_range_start": MONTH, "dagster/asset_partition_range_end": "scotus|2024-03-01"}
    keys = [dg.AssetKey(asset) for asset in ("dockets", "vector_inputs")]
    assert not pipeline.run("court_month", tags=tags, asset_selection=keys).success
    assert pipeline.materialized("dockets")  # complete, but the run ended before anything was made from it
    rounds = 0
    while deferrals(pipeline):
        rounds += 1
        assert rounds < 10
        give_quota(pipeline, redis_client, 5)
        pipeline.make_due()
        for request in pipeline.tick("resume_deferred"):
            pipeline.launch(request)
    assert len(pipeline.materialized("dockets")) == 3
    assert len(pipeline.materialized("vector_inputs")) == 3


def test_the_sensor_waits_for_the_time_and_for_room_in_the_quota(pipeline: Pipeline, redis_client: redis.Redis) -> None:
    start(pipeline)
    assert pipeline.tick("resume_deferred") == []
    pipeline.make_due()
    assert pipeline.tick("resume_deferred") == []  # the window is still full
    give_quota(pipeline, redis_client, 100)
    [request] = pipeline.tick("resume_deferred")
    assert (request.job_name, request.partition_key, request.asset_selection) == ("court_month", MONTH, [DOCKETS])
    assert pipeline.tick("resume_deferred") == []  # requested once


def test_the_sensor_names_no_time_that_has_passed(pipeline: Pipeline, redis_client: redis.Redis) -> None:
    start(pipeline)
    assert pipeline.tick("resume_deferred") == []
    [(until,)] = pipeline.rows("SELECT deferred_until FROM courtlistener.deferrals")
    assert pipeline.skipped == f"Nothing is due before {until:%Y-%m-%d %H:%M:%S} UTC."
    pipeline.make_due()
    give_quota(pipeline, redis_client, 100)
    assert len(pipeline.tick("resume_deferred")) == 1
    assert pipeline.tick("resume_deferred") == []
    assert pipeline.skipped == "1 wait for runs that were requested to resume them."


def account(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Let the token be that of an account of this name."""
    monkeypatch.setattr(CourtListenerResource, "account_name", lambda resource: name)


def test_what_waited_for_the_quota_of_another_token_is_due_at_once(
    pipeline: Pipeline, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(pipeline)
    give_quota(pipeline, redis_client, 100)
    assert pipeline.tick("resume_deferred") == []
    account(monkeypatch, "the next")
    assert len(pipeline.tick("resume_deferred")) == 1


@pytest.mark.parametrize(("hours", "is_due"), [(23, True), (25, False)])
def test_an_account_that_was_left_is_forgotten_after_a_day_as_others_may_still_have_it(
    pipeline: Pipeline, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch, *, hours: int, is_due: bool
) -> None:
    give_quota(pipeline, redis_client, 100)
    for name in ("shared", "its own"):
        account(monkeypatch, name)
        assert pipeline.tick("resume_deferred") == []
    seen = json.loads(pipeline.cursors["resume_deferred"] or "")
    pipeline.cursors["resume_deferred"] = json.dumps({name: at - hours * 3600 for name, at in seen.items()})
    pipeline.backlog.deferrals.record("dockets", [MONTH], wait_seconds=60, reason="", run_id="", account="shared")
    assert len(pipeline.tick("resume_deferred")) == is_due
    assert ("shared" in json.loads(pipeline.cursors["resume_deferred"] or "")) == is_due


def test_an_account_that_was_left_while_nothing_ticked_is_remembered(
    pipeline: Pipeline, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_quota(pipeline, redis_client, 100)
    pipeline.cursors["resume_deferred"] = json.dumps({"of last month": 0, "of last week": 1})
    account(monkeypatch, "own")
    assert pipeline.tick("resume_deferred") == []
    assert list(json.loads(pipeline.cursors["resume_deferred"] or "")) == ["of last week", "own"]
    pipeline.backlog.deferrals.record("dockets", [MONTH], wait_seconds=60, reason="", run_id="", account="of last week")
    assert len(pipeline.tick("resume_deferred")) == 1


@pytest.mark.parametrize(
    "cursor",
    [
        "edited",
        '["of an earlier version"]',
        '{"own": "yesterday"}',
        '{"own": null}',
        "7",
        "1" * 5000,
        f'{{"own": {10**400}}}',
    ],
)
def test_a_cursor_that_cannot_be_read_is_begun_anew(
    pipeline: Pipeline,
    redis_client: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    cursor: str,
) -> None:
    monkeypatch.setattr(dg.SensorEvaluationContext, "log", logging.getLogger("tick"))
    start(pipeline)
    give_quota(pipeline, redis_client, 100)
    pipeline.make_due()
    pipeline.cursors["resume_deferred"] = cursor
    assert len(pipeline.tick("resume_deferred")) == 1
    assert "The cursor cannot be read" in caplog.text
    caplog.clear()
    assert pipeline.tick("resume_deferred") == []
    assert not caplog.messages


def test_two_locations_with_accounts_of_their_own_leave_the_deferrals_of_each_other_alone(
    pipeline: Pipeline, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(pipeline)
    give_quota(pipeline, redis_client, 100)
    theirs, here = "theirs|2024-01-01", dict(pipeline.cursors)
    pipeline.backlog.deferrals.record(
        "dockets", [theirs], wait_seconds=-1, reason="", run_id="", account="that of the other location"
    )
    for name, cursors in ("own", here), ("that of the other location", {}), ("own", here):
        account(monkeypatch, name)
        pipeline.cursors = dict(cursors)
        assert pipeline.tick("resume_deferred") == []
    seconds = "extract(epoch FROM deferred_until - now())"
    waits = dict(pipeline.rows(f"SELECT partition, {seconds} FROM courtlistener.deferrals"))
    assert waits[MONTH] > 0
    # It is no partition here; that location may take it soon, if it has it.
    assert 0 < waits[theirs] <= 600


def test_it_goes_on_until_it_is_complete_without_asking_for_a_page_twice(
    pipeline: Pipeline, redis_client: redis.Redis
) -> None:
    start(pipeline)
    rounds = 0
    while deferrals(pipeline):
        rounds += 1
        assert rounds < 10
        give_quota(pipeline, redis_client, 1)
        pipeline.make_due()
        [request] = pipeline.tick("resume_deferred")
        pipeline.launch(request)
    assert rounds >= 2
    assert pipeline.materialized("dockets") == {MONTH}
    asked = Counter(entry.path for entry in pipeline.simulator.log if entry.admitted and entry.endpoint == "dockets")
    assert set(asked.values()) == {1}
    assert pipeline.simulator.summary()["refused"] == 0


def test_what_was_to_be_made_from_it_is_made_later(pipeline: Pipeline, redis_client: redis.Redis) -> None:
    pipeline.run("court_month", MONTH)
    give_quota(pipeline, redis_client, 100)
    pipeline.make_due()
    [request] = pipeline.tick("resume_deferred")
    assert dg.AssetKey("vector_inputs") in (request.asset_selection or [])
    assert pipeline.launch(request).success
    assert pipeline.materialized("vector_inputs") == {MONTH}
    assert deferrals(pipeline) == []


def test_a_full_refresh_stays_one_and_is_not_begun_again(pipeline: Pipeline, redis_client: redis.Redis) -> None:
    config = {"ops": {"dockets": {"config": {"full_refresh": True}}}}
    first = start(pipeline, run_config=config)
    give_quota(pipeline, redis_client, 100)
    pipeline.make_due()
    [request] = pipeline.tick("resume_deferred")
    assert request.run_config["ops"]["dockets"]["config"] == {"full_refresh": True, "resumes": first.run_id}
    assert pipeline.launch(request).success
    asked = Counter(entry.path for entry in pipeline.simulator.log if entry.admitted and entry.endpoint == "dockets")
    assert set(asked.values()) == {1}


def test_a_resumed_run_that_crashed_is_requested_again_under_another_key(
    pipeline: Pipeline, redis_client: redis.Redis
) -> None:
    start(pipeline)
    give_quota(pipeline, redis_client, 100)
    keys = set()
    for attempts in range(1, 6):
        pipeline.make_due()
        [request] = pipeline.tick("resume_deferred")
        keys.add(request.run_key)
        assert deferrals(pipeline) == [("dockets", MONTH, 1, True, attempts)]
        pipeline.instance.create_run_for_job(
            pipeline.defs.resolve_job_def("court_month"), tags=dict(request.tags), status=dg.DagsterRunStatus.FAILURE
        )
        pipeline.tick("resume_deferred")
        assert deferrals(pipeline) == [("dockets", MONTH, 1, False, attempts)]
    assert len(keys) == 5
    pipeline.make_due()
    assert pipeline.tick("resume_deferred") == []  # stuck: somebody must look
    [check] = pipeline.run("show_failed_dockets").get_asset_check_evaluations()
    assert not check.passed


def test_a_request_that_was_never_launched_is_made_again(pipeline: Pipeline, redis_client: redis.Redis) -> None:
    start(pipeline)
    give_quota(pipeline, redis_client, 100)
    pipeline.make_due()
    pipeline.tick("resume_deferred")
    later = datetime.now(UTC) + LAUNCH_GRACE + timedelta(seconds=1)
    backlog = pipeline.backlog
    assert release_ended_requests(pipeline.instance, backlog) == 0
    assert release_ended_requests(pipeline.instance, backlog, now=later) == 1


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE])
def test_what_is_deferred_anew_while_the_end_of_a_run_is_looked_at_stays_as_it_is(
    pipeline: Pipeline, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch, status: dg.DagsterRunStatus
) -> None:
    start(pipeline)
    give_quota(pipeline, redis_client, 100)
    pipeline.make_due()
    [request] = pipeline.tick("resume_deferred")
    pipeline.instance.create_run_for_job(
        pipeline.defs.resolve_job_def("court_month"), tags=dict(request.tags), status=status
    )
    backlog = pipeline.backlog
    looked_at = backlog.deferrals.requested()
    backlog.deferrals.record("dockets", [MONTH], wait_seconds=5, reason="anew", run_id="another")
    [anew] = backlog.deferrals.all()
    monkeypatch.setattr(backlog.deferrals, "requested", lambda: looked_at)
    assert release_ended_requests(pipeline.instance, backlog) == 0
    assert backlog.deferrals.all() == [anew]


def test_what_is_deferred_of_a_court_that_left_the_settings_holds_up_nothing_else(
    pipeline: Pipeline, redis_client: redis.Redis
) -> None:
    start(pipeline)
    gone = [f"gone|{2000 + number // 12}-{1 + number % 12:02}-01" for number in range(1001)]
    backlog = pipeline.backlog
    backlog.deferrals.record("dockets", gone, wait_seconds=0, reason="", run_id="")
    give_quota(pipeline, redis_client, 100)
    pipeline.make_due()
    assert pipeline.tick("resume_deferred") == []
    assert [request.partition_key for request in pipeline.tick("resume_deferred")] == [MONTH]
    assert len(deferrals(pipeline)) == 1002


def test_a_partition_completed_by_hand_is_deferred_no_longer(pipeline: Pipeline, redis_client: redis.Redis) -> None:
    start(pipeline)
    give_quota(pipeline, redis_client, 100)
    assert start(pipeline).success
    assert deferrals(pipeline) == []


def test_a_deferred_backfill_can_be_cancelled(pipeline: Pipeline, redis_client: redis.Redis) -> None:
    start(pipeline)
    assert pipeline.run("forget_deferred_partitions").success
    give_quota(pipeline, redis_client, 100)
    assert deferrals(pipeline) == []
    assert pipeline.tick("resume_deferred") == []


@pytest.mark.parametrize("some", [{"docket_ids": [5]}, {"object_ids": [5]}])
def test_a_run_for_single_objects_does_not_take_the_place_of_a_whole_partition(
    pipeline: Pipeline, some: dict[str, Any]
) -> None:
    deferred = pipeline.backlog.deferrals
    now: dict[str, Any] = {"wait_seconds": 0.0, "reason": "no room"}
    deferred.record("dockets", [MONTH], **now, run_id="whole")
    deferred.record("dockets", [MONTH], **now, run_id="some", config=some)
    assert [(each.run_id, each.config) for each in deferred.all()] == [("whole", {})]
    deferred.clear("dockets", MONTH, some_dockets=True)
    assert len(deferred.all()) == 1

    deferred.forget([MONTH])
    deferred.record("dockets", [MONTH], **now, run_id="some", config=some)
    deferred.clear("dockets", MONTH, some_dockets=True)
    assert deferred.all() == []
