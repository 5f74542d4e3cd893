"""The state of a run in Redis: counters that repeat nothing, survive restarts, expire, and are missed by nobody."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import redis

from courtlistener_assets.devkit.servers import RedisServer
from resources.backlog.failure_lists import OpenFailure
from resources.connections.redis_address import RedisAddress, connect
from resources.connections.redis_keys import RedisKeys
from resources.legacy.pipeline_state import PipelineState

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
    return PipelineState(connect(RedisAddress(redis_server.url)), clock=clock)


def failure(id: int, *, hour: int = 13) -> OpenFailure:
    moment = datetime(2024, 1, 31, hour, 5, tzinfo=UTC)
    return OpenFailure(
        id,
        "dockets",
        "ca9|2024-01-01",
        "filed",
        17,
        17,
        16,
        17,
        "TransientApiError",
        "500",
        1,
        2,
        moment,
        moment,
        moment,
    )


def test_a_new_run_begins_at_zero_with_the_facts_about_it(state: PipelineState) -> None:
    assert state.initialize_pipeline_state("run", job="downloads", partitions=3) == {
        "started_at": NOW,
        "processed_dockets": 0,
        "failed_dockets": 0,
        "pages": 0,
        "records": 0,
        "job": "downloads",
        "partitions": "3",
    }


def test_a_run_that_is_restarted_keeps_its_counters_and_its_beginning(state: PipelineState, clock: Clock) -> None:
    state.initialize_pipeline_state("run")
    state.update_docket_processing_state("run", [1, 2], records=20)
    clock.now += 100
    again = state.initialize_pipeline_state("run")
    assert (again["started_at"], again["processed_dockets"], again["records"]) == (NOW, 2, 20)


def test_a_docket_that_comes_again_is_not_counted_again(state: PipelineState) -> None:
    state.update_docket_processing_state("run", [1, 2, 2], records=3)
    state.update_docket_processing_state("run", [2, 3], records=2)
    found = state.get_pipeline_state("run")
    assert (found["processed_dockets"], found["pages"], found["records"]) == (3, 2, 5)
    assert state.is_processed("run", 3)
    assert not state.is_processed("run", 4)


def test_a_run_that_goes_on_for_days_keeps_its_last_dockets_only(
    state: PipelineState, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resources.legacy.pipeline_state.DOCKETS_KEPT", 30)
    for page in range(5):
        clock.now += 1
        state.update_docket_processing_state("run", range(page * 20, page * 20 + 20))
    assert not state.is_processed("run", 69)
    assert all(state.is_processed("run", docket) for docket in range(70, 100))
    assert state.get_pipeline_state("run")["processed_dockets"] == 100


def test_counters_state_and_list_are_updated_at_once(state: PipelineState, redis_client: redis.Redis) -> None:
    state.update_docket_processing_state("run", [17], [failure(5), failure(6, hour=14)], records=1)
    state.update_docket_processing_state("run", [17], [failure(5)], records=1)
    found = state.get_pipeline_state("run")
    assert (found["failed_dockets"], found["pages"], found["records"]) == (2, 2, 2)
    assert redis_client.llen(KEYS.failed("2024-01-31_13")) == 1
    assert redis_client.llen(KEYS.failed("2024-01-31_14")) == 1


def test_the_start_of_a_task_is_the_first_one(state: PipelineState, clock: Clock) -> None:
    assert state.cache_task_start_time("run", "dockets") == NOW
    clock.now += 60
    assert state.cache_task_start_time("run", "dockets") == NOW
    assert state.cache_task_start_time("run", "opinions") == NOW + 60


def test_every_key_expires(state: PipelineState, redis_client: redis.Redis) -> None:
    state.initialize_pipeline_state("run")
    state.cache_task_start_time("run", "dockets")
    state.update_docket_processing_state("run", [1], [failure(5)])
    keys = list(redis_client.scan_iter())
    assert len(keys) == 4
    assert all(int(redis_client.ttl(key)) > 0 for key in keys)


def test_cleaning_up_removes_old_runs_and_leaves_everything_else(
    state: PipelineState, clock: Clock, redis_client: redis.Redis
) -> None:
    state.update_docket_processing_state("old", [1])
    state.cache_task_start_time("old", "dockets")
    redis_client.set("courtlistener:permits:account", "kept")
    redis_client.set("somebody:else", "kept")
    clock.now += 1000
    state.update_docket_processing_state("new", [1], [failure(5)])
    assert state.cleanup_expired_keys(older_than_seconds=500) == 3
    left = sorted(key.decode() for key in redis_client.scan_iter())
    assert left == [
        "courtlistener:failed:2024-01-31_13",
        "courtlistener:permits:account",
        "courtlistener:pipeline:new",
        "courtlistener:processed:new",
        "somebody:else",
    ]


def test_an_update_stays_cheap_however_many_dockets_a_run_has_done(
    state: PipelineState, redis_client: redis.Redis
) -> None:
    redis_client.zadd(KEYS.processed("run"), {str(docket): NOW for docket in range(100_000)})
    redis_client.config_resetstat()
    state.update_docket_processing_state("run", [200_000])
    calls = redis_client.info("commandstats")
    assert "cmdstat_zrange" not in calls
    assert "cmdstat_zrem" not in calls
    assert calls["cmdstat_zadd"]["calls"] == 1


def test_without_redis_nothing_fails(clock: Clock) -> None:
    state = PipelineState(connect(RedisAddress("redis://127.0.0.1:1/0")), clock=clock)
    assert state.initialize_pipeline_state("run") == {}
    assert state.cache_task_start_time("run", "dockets") == NOW
    state.update_docket_processing_state("run", [1], [failure(5)])
    assert state.get_pipeline_state("run") == {}
    assert state.cleanup_expired_keys() == 0
