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
    # The retry asks for that docket or object, not for the month.
    lists = [entry for entry in pipeline.simulator.log[before:] if entry.endpoint == endpoint]
    assert len(lists) == 1


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
    assert event.metadata["dead"].value == 1

    assert pipeline.run("requeue_dead_dockets").success
    pipeline.simulator.faults.clear()
    pipeline.make_due()
    [request] = pipeline.tick("retry_failed_dockets")
    pipeline.launch(request)
    assert failures(pipeline)[0][3] is True
    [check] = pipeline.run("show_failed_dockets").get_asset_check_evaluations()
    assert check.passed


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
