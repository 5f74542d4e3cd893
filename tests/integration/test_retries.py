"""The retry sensor and its runs, with the real definitions, a real Postgres, a real Redis and the simulator."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest
import redis

from courtlistener_assets.defs.sensors.requested_runs import LAUNCH_GRACE
from courtlistener_assets.defs.sensors.retry_failed_dockets import CLAIM_TAG, release_orphans
from courtlistener_assets.devkit.simulator.faults import Fault
from resources.connections.redis_keys import RedisKeys
from tests.integration.pipeline_harness import MONTH, Pipeline


def poisoned(pipeline: Pipeline, endpoint: str) -> int:
    """Let one object of the month break every page that shows it; returns its id."""
    corpus = pipeline.simulator.corpus
    court = {docket["id"] for docket in corpus.dockets if docket["court_id"] == "scotus"}
    cluster = next(c for c in corpus.clusters if c["date_filed"][:7] == "2024-01" and c["docket_id"] in court)
    ids = {"clusters": cluster["id"], "dockets": cluster["docket_id"]}
    ids["opinions"] = corpus.children("opinions", "cluster", cluster["id"])[0]["id"]
    pipeline.simulator.faults.add(Fault("poison", endpoint=endpoint, object_id=ids[endpoint]))
    return int(ids[endpoint])


def failures(pipeline: Pipeline) -> list[Any]:
    return pipeline.rows(
        "SELECT asset, object_id, tries, resolved_at IS NOT NULL, dead_at IS NOT NULL, claimed_by IS NOT NULL "
        "FROM courtlistener.failures ORDER BY id"
    )


def download(pipeline: Pipeline, *assets: str) -> None:
    result = pipeline.run("downloads", MONTH, asset_selection=[dg.AssetKey(asset) for asset in assets])
    assert result.success


@pytest.mark.parametrize("endpoint", ["dockets", "clusters", "opinions"])
def test_a_poison_object_fails_alone_and_a_retry_brings_it(pipeline: Pipeline, endpoint: str) -> None:
    bad = poisoned(pipeline, endpoint)
    download(pipeline, endpoint)
    assert pipeline.materialized(endpoint) == {MONTH}
    assert failures(pipeline) == [(endpoint, bad, 1, False, False, False)]

    pipeline.simulator.faults.clear()
    pipeline.make_due()
    [request] = pipeline.tick("retry_failed_dockets")
    before = len(pipeline.simulator.log)
    assert pipeline.launch(request).success
    assert failures(pipeline) == [(endpoint, bad, 1, True, False, False)]
    assert pipeline.rows(f"SELECT count(*) FROM courtlistener.{endpoint} WHERE id = {bad}") == [(1,)]
    # The retry asks for that object, not for the month.
    asked = [entry for entry in pipeline.simulator.log[before:] if entry.endpoint == endpoint]
    assert len(asked) == 1


def test_a_retry_that_fails_again_waits_longer_and_is_launched_again(pipeline: Pipeline) -> None:
    poisoned(pipeline, "clusters")
    download(pipeline, "clusters")
    keys = set()
    for tries in (2, 3):
        pipeline.make_due()
        [request] = pipeline.tick("retry_failed_dockets")
        keys.add(request.run_key)
        assert pipeline.launch(request).success
        assert failures(pipeline)[0][2:] == (tries, False, False, False)
    assert len(keys) == 2


def test_after_five_tries_it_is_dead_the_check_is_red_and_a_job_requeues_it(pipeline: Pipeline) -> None:
    poisoned(pipeline, "clusters")
    download(pipeline, "clusters")
    for _ in range(4):
        pipeline.make_due()
        [request] = pipeline.tick("retry_failed_dockets")
        pipeline.launch(request)
    assert failures(pipeline)[0][2:] == (5, False, True, False)
    pipeline.make_due()
    assert pipeline.tick("retry_failed_dockets") == []

    shown = pipeline.run("show_failed_dockets")
    [check] = shown.get_asset_check_evaluations()
    assert not check.passed
    [event] = shown.asset_materializations_for_node("failed_dockets")
    assert "TransientApiError" in event.metadata["dead_dockets"].value
    assert "| TransientApiError in " in event.metadata["failures_by_error"].value
    assert "| 1 dead |" in event.metadata["failures_by_error"].value
    assert event.metadata["failures_given_up"].value == 1

    assert pipeline.run("requeue_dead_dockets").success
    pipeline.simulator.faults.clear()
    pipeline.make_due()
    [request] = pipeline.tick("retry_failed_dockets")
    pipeline.launch(request)
    assert failures(pipeline)[0][3] is True
    [check] = pipeline.run("show_failed_dockets").get_asset_check_evaluations()
    assert check.passed


def test_a_bad_object_costs_few_requests_over_its_whole_life(pipeline: Pipeline) -> None:
    download(pipeline, "clusters")
    healthy = costing(pipeline)
    pipeline.rows("DELETE FROM courtlistener.sweeps RETURNING 1")
    poisoned(pipeline, "clusters")
    download(pipeline, "clusters")
    met = costing(pipeline) - 2 * healthy
    for _ in range(4):
        pipeline.make_due()
        [request] = pipeline.tick("retry_failed_dockets")
        pipeline.launch(request)
    assert met <= 12
    assert costing(pipeline) - 2 * healthy - met <= 4 * 2
    [(booked,)] = pipeline.rows("SELECT requests FROM courtlistener.failures")
    assert met - 2 <= booked - 4 * 2 <= met  # What is left of the page came with one of these requests.


def test_two_bad_objects_on_a_page_cost_a_month_no_more_than_the_budget_of_a_page(pipeline: Pipeline) -> None:
    pipeline.run("downloads", MONTH, raise_on_error=True)
    healthy = costing(pipeline)
    pipeline.rows("DELETE FROM courtlistener.sweeps RETURNING 1")
    pipeline.rows("DELETE FROM courtlistener.records RETURNING 1")
    corpus = pipeline.simulator.corpus
    court = {docket["id"] for docket in corpus.dockets if docket["court_id"] == "scotus"}
    month = [each for each in corpus.clusters if each["date_filed"][:7] == "2024-01" and each["docket_id"] in court]
    bad = {each["id"] for each in month[1:4:2]}
    for id in bad:
        pipeline.simulator.faults.add(Fault("poison", endpoint="clusters", object_id=id))
    pipeline.run("downloads", MONTH, raise_on_error=True)
    failed = pipeline.rows(
        "SELECT coalesce(object_id, after_id), coalesce(object_id, up_to_id) FROM courtlistener.failures"
    )
    assert all(any(first <= id <= last for first, last in failed) for id in bad)
    # Opinions whose decision was not had are no reason to look for it: the failure is tried again.
    assert costing(pipeline) - 2 * healthy <= 12


def costing(pipeline: Pipeline) -> int:
    """The requests so far that cost quota."""
    return sum(entry.admitted and entry.endpoint != "api-usage" for entry in pipeline.simulator.log)


def test_a_docket_that_is_gone_is_buried_and_the_rest_of_the_run_goes_on(pipeline: Pipeline) -> None:
    config = {asset: {"config": {"docket_ids": [999_999_999, decided_docket(pipeline)]}} for asset in ASSETS}
    keys = [dg.AssetKey(asset) for asset in ASSETS]
    assert pipeline.run("downloads", MONTH, run_config={"ops": config}, asset_selection=keys).success
    assert failures(pipeline) == []
    [(dockets,)] = pipeline.rows("SELECT count(DISTINCT docket_id) FROM courtlistener.clusters")
    assert dockets == 1


ASSETS = ("dockets", "clusters", "opinions", "docket_entries")


def decided_docket(pipeline: Pipeline) -> int:
    corpus = pipeline.simulator.corpus
    court = {docket["id"] for docket in corpus.dockets if docket["court_id"] == "scotus"}
    return next(int(each["docket_id"]) for each in corpus.clusters if each["docket_id"] in court)


def test_each_failure_of_a_claim_is_resolved_or_counted_by_itself(pipeline: Pipeline) -> None:
    bad = poisoned(pipeline, "clusters")
    download(pipeline, "clusters")
    gone, fine = 999_999_999, decided_docket(pipeline)
    for docket_id in (gone, fine):
        pipeline.rows(
            "INSERT INTO courtlistener.failures (asset, partition, sweep, docket_id, error, message) "
            f"VALUES ('clusters', '{MONTH}', 'dated', {docket_id}, 'BadRequest', '400') RETURNING id"
        )
    pipeline.make_due()
    [request] = pipeline.tick("retry_failed_dockets")
    assert pipeline.launch(request).success
    found = pipeline.rows("SELECT coalesce(object_id, docket_id), tries, resolved_at IS NOT NULL "
                          "FROM courtlistener.failures ORDER BY id")  # fmt: skip
    assert found == [(bad, 2, False), (gone, 1, True), (fine, 1, True)]


def test_what_fails_stands_in_the_list_of_its_hour_at_once(pipeline: Pipeline, redis_client: redis.Redis) -> None:
    bad = poisoned(pipeline, "clusters")
    download(pipeline, "clusters")
    [key] = redis_client.keys("courtlistener:failed:*")
    [entry] = map(json.loads, redis_client.lrange(key, 0, -1))
    assert (entry["asset"], entry["partition"], entry["object_id"], entry["tries"]) == ("clusters", MONTH, bad, 1)
    assert entry["error"] == "TransientApiError"


def test_a_run_that_crashed_gives_its_claim_back(pipeline: Pipeline) -> None:
    poisoned(pipeline, "clusters")
    download(pipeline, "clusters")
    pipeline.make_due()
    [request] = pipeline.tick("retry_failed_dockets")
    run = pipeline.instance.create_run_for_job(
        pipeline.defs.resolve_job_def("retry_failed_dockets"),
        tags=dict(request.tags),
        status=dg.DagsterRunStatus.STARTED,
    )
    pipeline.tick("retry_failed_dockets")
    assert failures(pipeline)[0][5] is True  # still running, still claimed
    pipeline.instance.report_run_failed(run, "the process died")
    pipeline.tick("retry_failed_dockets")
    assert failures(pipeline)[0][2:] == (2, False, False, False)


def test_a_claim_whose_run_was_never_launched_is_given_back_after_a_while(pipeline: Pipeline) -> None:
    poisoned(pipeline, "clusters")
    download(pipeline, "clusters")
    pipeline.make_due()
    pipeline.tick("retry_failed_dockets")
    later = datetime.now(UTC) + LAUNCH_GRACE + timedelta(seconds=1)
    backlog = pipeline.backlog
    assert release_orphans(pipeline.instance, backlog) == 0
    assert release_orphans(pipeline.instance, backlog, now=later) == 1


def test_dagster_is_told_not_to_retry_retries(pipeline: Pipeline) -> None:
    poisoned(pipeline, "clusters")
    download(pipeline, "clusters")
    pipeline.make_due()
    [request] = pipeline.tick("retry_failed_dockets")
    assert request.tags["dagster/max_retries"] == "0"
    assert request.tags["dagster/retry_on_asset_or_op_failure"] == "false"
    assert request.tags[CLAIM_TAG]


def test_a_token_that_is_not_accepted_costs_no_try(pipeline: Pipeline) -> None:
    poisoned(pipeline, "clusters")
    download(pipeline, "clusters")
    pipeline.make_due()
    [request] = pipeline.tick("retry_failed_dockets")
    account = pipeline.simulator.accounts.by_name.pop("wide")
    result = pipeline.launch(request)
    pipeline.simulator.accounts.add(account)
    assert not result.success
    assert failures(pipeline)[0][2:] == (1, False, False, False)


def test_the_state_of_a_run_can_be_read_from_redis(pipeline: Pipeline) -> None:
    result = pipeline.run("downloads", MONTH, asset_selection=[dg.AssetKey("dockets")])
    [(stored,)] = pipeline.rows("SELECT count(*) FROM courtlistener.dockets")
    state = pipeline.resources()["courtlistener"].rate_limit.pipeline_state().get_pipeline_state(result.run_id)
    assert (state["processed_dockets"], state["failed_dockets"], state["job"]) == (stored, 0, "downloads")


def test_downloads_go_on_without_redis_lists(pipeline: Pipeline, redis_client: redis.Redis) -> None:
    poisoned(pipeline, "clusters")
    redis_client.set(RedisKeys().failed(datetime.now(UTC).strftime("%Y-%m-%d_%H")), "not a list")
    download(pipeline, "clusters")
    assert pipeline.materialized("clusters") == {MONTH}


# --- entries of other programs ----------------------------------------------------------------------------------------


def push(redis_client: redis.Redis, *docket_ids: int) -> None:
    key = RedisKeys().failed(datetime.now(UTC).strftime("%Y-%m-%d_%H"))
    for id in docket_ids:
        entry = {"docket_id": id, "api_calls": 3, "error": "HTTP 500", "timestamp": datetime.now(UTC).isoformat()}
        redis_client.rpush(key, json.dumps(entry))


def docket_of(pipeline: Pipeline, court: str, month: str = "2024-01") -> int:
    dockets = pipeline.simulator.corpus.dockets
    found = (each for each in dockets if each["court_id"] == court and (each["date_filed"] or "")[:7] == month)
    return int(next(found)["id"])


def test_a_docket_that_another_program_pushed_is_retried_and_stored_for_one_request(
    pipeline: Pipeline, redis_client: redis.Redis
) -> None:
    id = docket_of(pipeline, "scotus")
    push(redis_client, id)
    [request] = pipeline.tick("retry_failed_dockets")
    assert (request.job_name, request.partition_key) == ("look_up_failed_dockets", None)
    assert pipeline.tick("retry_failed_dockets") == []  # claimed
    assert len(redis_client.keys("courtlistener:claimed:*")) == 1

    before = len(pipeline.simulator.log)
    assert pipeline.launch(request).success
    assert [entry.endpoint for entry in pipeline.simulator.log[before:] if entry.endpoint != "api-usage"] == ["dockets"]
    assert pipeline.rows("SELECT id, court_id FROM courtlistener.dockets") == [(id, "scotus")]
    assert pipeline.rows("SELECT partition, resolved_at IS NOT NULL FROM courtlistener.failures") == [(MONTH, True)]
    assert redis_client.keys("courtlistener:claimed:*") + redis_client.keys("courtlistener:failed:*") == []


def test_a_pushed_docket_that_is_stored_is_retried_in_its_month(pipeline: Pipeline, redis_client: redis.Redis) -> None:
    download(pipeline, "dockets")
    id = docket_of(pipeline, "scotus")
    push(redis_client, id)
    [request] = pipeline.tick("retry_failed_dockets")
    assert (request.job_name, request.partition_key) == ("retry_failed_dockets", MONTH)
    before = len(pipeline.simulator.log)
    assert pipeline.launch(request).success
    assert len(pipeline.simulator.log) == before + 1
    assert failures(pipeline)[0][3] is True


def test_each_pushed_docket_ends_by_itself(pipeline: Pipeline, redis_client: redis.Redis) -> None:
    good, bad, elsewhere = (docket_of(pipeline, court) for court in ("scotus", "ca9", "nysd"))
    pipeline.simulator.faults.add(Fault("poison", endpoint="dockets", object_id=bad))
    push(redis_client, good, 987_654_321, elsewhere, bad)
    [request] = pipeline.tick("retry_failed_dockets")
    before = len(pipeline.simulator.log)
    assert pipeline.launch(request).success
    # One request each, a second one where there is none or where it did not come.
    assert len([entry for entry in pipeline.simulator.log[before:] if entry.endpoint == "dockets"]) == 6
    rows = "SELECT docket_id, resolved_at IS NOT NULL, dead_at IS NOT NULL FROM courtlistener.failures ORDER BY id"
    assert pipeline.rows(rows) == [
        (good, True, False),
        (987_654_321, True, False),
        (elsewhere, False, True),
        (bad, False, False),
    ]
    assert pipeline.rows(f"SELECT tries, claimed_by FROM courtlistener.failures WHERE docket_id = {bad}") == [(1, None)]
    [(reason,)] = pipeline.rows("SELECT message FROM courtlistener.failures WHERE dead_at IS NOT NULL")
    assert "of the court nysd" in reason


def test_pushed_dockets_wait_while_the_token_is_not_accepted(pipeline: Pipeline, redis_client: redis.Redis) -> None:
    push(redis_client, docket_of(pipeline, "scotus"))
    [request] = pipeline.tick("retry_failed_dockets")
    account = pipeline.simulator.accounts.by_name.pop("wide")
    result = pipeline.launch(request)
    pipeline.simulator.accounts.add(account)
    assert not result.success
    assert failures(pipeline)[0][2:] == (0, False, False, False)


def test_a_run_of_lookups_that_crashed_gives_its_claim_back(pipeline: Pipeline, redis_client: redis.Redis) -> None:
    push(redis_client, docket_of(pipeline, "scotus"))
    [request] = pipeline.tick("retry_failed_dockets")
    run = pipeline.instance.create_run_for_job(
        pipeline.defs.resolve_job_def("look_up_failed_dockets"),
        run_config=request.run_config,
        tags=dict(request.tags),
        status=dg.DagsterRunStatus.STARTED,
    )
    pipeline.instance.report_run_failed(run, "the process died")
    pipeline.tick("retry_failed_dockets")
    assert failures(pipeline)[0][2:] == (1, False, False, False)


def test_garbage_in_a_list_does_not_stop_the_sensor_and_is_shown(pipeline: Pipeline, redis_client: redis.Redis) -> None:
    push(redis_client, docket_of(pipeline, "scotus"))
    [key] = redis_client.keys("courtlistener:failed:*")
    redis_client.lpush(key, b"\xff", "{}", '{"docket_id": 5, "asset": "nothing", "partition": "here"}')
    assert len(pipeline.tick("retry_failed_dockets")) == 1
    assert pipeline.backlog.failures.counts()["dead"] == 3
    [event] = pipeline.run("show_failed_dockets").asset_materializations_for_node("failed_dockets")
    shown = event.metadata["dead_dockets"].value
    assert "there is no partition here of nothing" in shown
    assert max(len(word) for word in shown.split()) <= 18
