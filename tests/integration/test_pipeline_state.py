"""The state of a run in Redis: counters that repeat nothing, survive restarts, expire, and are read by `status`."""

from __future__ import annotations

import json
import multiprocessing
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import pytest
import redis
from click.testing import CliRunner

from courtlistener_assets.cli import main
from courtlistener_assets.devkit.servers.redis_server import RedisServer
from courtlistener_assets.devkit.simulator.faults import Fault
from resources.backlog.failure_entries import OpenFailure
from resources.connections.redis_address import connect
from resources.connections.redis_keys import RedisKeys
from resources.legacy.pipeline_state import PipelineState
from resources.records.model import Failure, PageOfRecords
from tests.integration.pipeline_harness import MONTH, Pipeline

KEYS = RedisKeys()
NOW = 1_700_000_000.0


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def state(redis_server: RedisServer, redis_client: redis.Redis, clock: Clock) -> PipelineState:
    return PipelineState(connect(redis_server.url), clock=clock)


def failure(id: int, *, hour: int = 13) -> OpenFailure:
    moment = datetime(2024, 1, 31, hour, 5, tzinfo=UTC)
    return OpenFailure(
        "TransientApiError",
        "500",
        docket_id=17,
        object_id=17,
        after_id=16,
        up_to_id=17,
        id=id,
        asset="dockets",
        partition="ca9|2024-01-01",
        sweep="filed",
        tries=1,
        requests=2,
        first_at=moment,
        last_at=moment,
        due_at=moment,
    )


def test_a_new_run_begins_at_zero_with_the_facts_about_it(state: PipelineState) -> None:
    assert state.initialize_pipeline_state("run", job="downloads", partitions=3) == {
        "started_at": NOW,
        "updated_at": NOW,
        "processed_dockets": 0,
        "failed_dockets": 0,
        "api_calls": 0,
        "pages": 0,
        "records": 0,
        "errors": {},
        "job": "downloads",
        "partitions": "3",
    }


def test_a_run_that_is_restarted_keeps_its_counters_and_its_beginning(state: PipelineState, clock: Clock) -> None:
    state.initialize_pipeline_state("run")
    state.update("run", processed=[1, 2], records=20, api_calls=3)
    clock.now += 100
    again = state.initialize_pipeline_state("run")
    assert (again["started_at"], again["processed_dockets"], again["records"]) == (NOW, 2, 20)
    assert (again["updated_at"], again["api_calls"]) == (NOW + 100, 3)


def test_a_docket_that_comes_again_is_not_counted_again(state: PipelineState) -> None:
    state.update("run", processed=[1, 2, 2], failed=[2, 3], pages=1)
    state.update("run", processed=[2, 3], failed=[3, 3], pages=1)
    found = state.get_pipeline_state("run")
    assert (found["processed_dockets"], found["failed_dockets"], found["pages"]) == (3, 2, 2)


def test_a_run_that_takes_days_keeps_its_last_dockets_only(
    state: PipelineState, clock: Clock, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resources.legacy.pipeline_state.DOCKETS_KEPT", 30)
    for page in range(5):
        clock.now += 1
        state.update("run", processed=range(page * 20, page * 20 + 20))
    kept = redis_client.zrange(KEYS.processed("run"), 0, -1)
    assert {int(docket) for docket in kept} == set(range(70, 100))
    assert state.get_pipeline_state("run")["processed_dockets"] == 100


def test_a_page_counts_its_failures_by_type_and_files_each_once(
    state: PipelineState, redis_client: redis.Redis
) -> None:
    page = PageOfRecords([], [Failure("NotFound", "404", docket_id=17), Failure("UnusableRecord", "?", object_id=4)])
    state.note_page("run", page, [failure(5), failure(6, hour=14)], api_calls=9)
    state.note_page("run", PageOfRecords([], []), [failure(5)], api_calls=1)
    found = state.get_pipeline_state("run")
    assert (found["failed_dockets"], found["pages"], found["api_calls"]) == (2, 2, 10)
    assert found["errors"] == {"NotFound": 1, "UnusableRecord": 1}
    assert redis_client.llen(KEYS.failed("2024-01-31_13")) == 1
    assert redis_client.llen(KEYS.failed("2024-01-31_14")) == 1


def test_the_start_of_a_task_is_the_first_one(state: PipelineState, clock: Clock) -> None:
    assert state.cache_task_start_time("run", "dockets") == NOW
    clock.now += 60
    assert state.cache_task_start_time("run", "dockets") == NOW
    assert state.cache_task_start_time("run", "opinions") == NOW + 60


@pytest.mark.parametrize("ttl_hours", [25.0, 1.5])
def test_the_state_lives_as_long_as_it_is_told(
    ttl_hours: float, redis_server: RedisServer, redis_client: redis.Redis
) -> None:
    state = PipelineState(connect(redis_server.url), ttl_hours=ttl_hours)
    state.cache_task_start_time("run", "dockets")
    state.update("run", processed=[1], filed=[failure(5)])
    lives = {key.decode(): redis_client.ttl(key) for key in redis_client.scan_iter()}
    assert lives.pop(KEYS.failed("2024-01-31_13")) > 6 * 86_400
    assert set(lives) == {KEYS.pipeline("run"), KEYS.processed("run"), KEYS.task_start("run", "dockets")}
    assert all(ttl_hours * 3600 - 60 < seconds <= ttl_hours * 3600 for seconds in lives.values())


def test_cleaning_up_removes_old_runs_and_hours_and_leaves_everything_else(
    state: PipelineState, clock: Clock, redis_client: redis.Redis
) -> None:
    state.update("old", processed=[1])
    state.cache_task_start_time("old", "dockets")
    for name in ("permits:account", "rate_limit:2023-11-14_22", "rate_limit:2023-11-15_23", "counter:2023-11-14_22"):
        redis_client.set(f"courtlistener:{name}", "1")
    redis_client.set("somebody:else", "kept")
    redis_client.hset("courtlistener:pipeline:manual", mapping={"started_at": "2023-01-01T00:00:00", "status": "done"})
    clock.now += 26 * 3600
    state.update("new", processed=[1], filed=[failure(5)])
    assert state.cleanup_expired_keys() == 5
    left = sorted(key.decode() for key in redis_client.scan_iter())
    assert left == [
        "courtlistener:failed:2024-01-31_13",
        "courtlistener:permits:account",
        "courtlistener:pipeline:manual",
        "courtlistener:pipeline:new",
        "courtlistener:processed:new",
        "courtlistener:rate_limit:2023-11-15_23",
        "somebody:else",
    ]


def test_an_update_stays_cheap_however_many_dockets_a_run_has_done(
    state: PipelineState, redis_client: redis.Redis
) -> None:
    redis_client.zadd(KEYS.processed("run"), {str(docket): NOW for docket in range(100_000)})
    redis_client.config_resetstat()
    state.update("run", processed=[200_000])
    calls = redis_client.info("commandstats")
    assert "cmdstat_zrange" not in calls
    assert "cmdstat_zrem" not in calls
    assert calls["cmdstat_zadd"]["calls"] == 1


def _process_dockets(url: str, first: int) -> None:
    state = PipelineState(connect(url))
    for docket in range(first, first + 100):
        state.update("run", processed=[docket], failed=[docket], errors={"NotFound": 1}, api_calls=2)


def test_two_processes_at_once_count_everything_once(state: PipelineState, redis_server: RedisServer) -> None:
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=_process_dockets, args=(redis_server.url, first)) for first in (0, 50)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    found = state.get_pipeline_state("run")
    assert (found["processed_dockets"], found["failed_dockets"], found["api_calls"]) == (150, 150, 400)
    assert found["errors"] == {"NotFound": 200}


def test_without_redis_nothing_fails(clock: Clock) -> None:
    state = PipelineState(connect("redis://127.0.0.1:1/0"), clock=clock)
    assert state.initialize_pipeline_state("run") == {}
    assert state.cache_task_start_time("run", "dockets") == NOW
    state.update("run", processed=[1], filed=[failure(5)])
    assert state.summary("run") == {}
    assert state.last_runs() == []
    assert state.cleanup_expired_keys() == 0


# --- what is made of it ----------------------------------------------------------------------------------------------


def test_a_summary_says_how_fast_a_run_is(state: PipelineState, clock: Clock) -> None:
    state.initialize_pipeline_state("run")
    assert state.summary("run")["throughput_dockets_per_minute"] == 0.0
    clock.now += 90
    state.update("run", processed=range(60))
    assert state.summary("run")["throughput_dockets_per_minute"] == 40.0


def test_the_last_runs_are_those_that_moved_last(state: PipelineState, clock: Clock, redis_client: redis.Redis) -> None:
    for run in ("first", "second", "third", "first"):
        clock.now += 1
        state.update(run, pages=1)
    # The replaced pipeline's own state is no run of ours.
    redis_client.hset(KEYS.pipeline("manual"), mapping={"started_at": "2023-01-01T00:00:00"})
    assert [(run["run_id"], run["pages"]) for run in state.last_runs(2)] == [("first", 2), ("third", 1)]


def _downloaded(pipeline: Pipeline, asset: str) -> tuple[Any, dict[str, Any]]:
    """A run of one asset, and the totals that it shows on the asset."""
    result = pipeline.run("downloads", MONTH, asset_selection=[dg.AssetKey(asset)])
    [observation] = result.get_asset_observation_events()
    return result, {
        name: value.value for name, value in observation.asset_observation_data.asset_observation.metadata.items()
    }


def test_a_run_shows_its_summary_on_its_asset_and_in_status(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    result, metadata = _downloaded(pipeline, "dockets")
    [(stored,)] = pipeline.rows("SELECT count(*) FROM courtlistener.dockets")
    assert metadata["processed_dockets"] == stored > 0
    assert metadata["api_calls"] == metadata["requests_of_run"] > 0
    assert metadata["throughput_dockets_per_minute"] > 0
    assert (metadata["failed_dockets"], "errors" in metadata) == (0, False)
    monkeypatch.chdir(tmp_path)
    [run] = json.loads(CliRunner().invoke(main, ["status", "--json"], catch_exceptions=False).stdout)["runs"]
    assert (run["run_id"], run["job"], run["processed_dockets"]) == (result.run_id, "downloads", stored)
    assert run["api_calls"] == metadata["api_calls"]
    table = CliRunner().invoke(main, ["status"], catch_exceptions=False).stdout
    assert "Last runs" in table
    assert f"  {result.run_id}, begun " in table


def test_a_run_counts_its_errors_by_type(pipeline: Pipeline) -> None:
    corpus = pipeline.simulator.corpus
    court = {docket["id"] for docket in corpus.dockets if docket["court_id"] == "scotus"}
    cluster = next(c for c in corpus.clusters if c["date_filed"][:7] == "2024-01" and c["docket_id"] in court)
    pipeline.simulator.faults.add(Fault("poison", endpoint="clusters", object_id=cluster["id"]))
    _, metadata = _downloaded(pipeline, "clusters")
    assert (metadata["failed_dockets"], metadata["errors"]) == (1, {"TransientApiError": 1})
    assert metadata["api_calls"] == metadata["requests_of_run"]


def test_a_run_that_fails_has_the_reason_in_its_state(pipeline: Pipeline) -> None:
    pipeline.simulator.accounts.by_name.clear()
    result = pipeline.run("downloads", MONTH, asset_selection=[dg.AssetKey("dockets")])
    assert not result.success
    redis_url = pipeline.environ["REDIS_URL"]
    state = PipelineState(connect(redis_url)).get_pipeline_state(result.run_id)
    assert state["errors"] == {"AuthenticationFailed": 1}


def test_a_run_without_redis_ends_well_and_shows_no_summary(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    _, metadata = _downloaded(pipeline, "clusters")
    assert metadata["requests_of_run"] > 0
    assert "api_calls" not in metadata
