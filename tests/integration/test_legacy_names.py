"""The replaced pipeline's methods: called as it called them, answered with the keys that it read."""

from __future__ import annotations

import inspect
import re
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import redis

from courtlistener_assets.devkit.servers.redis_server import RedisServer
from courtlistener_assets.location import location
from resources.courtlistener.token import account_of
from resources.dagster_resources import CourtListenerResource, RedisRateLimitResource
from resources.errors import SettingError, StoreUnavailable
from tests.integration.ledger_harness import take

GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "from-airflow.md"
STATUS_KEYS = {
    "hour", "current_count", "limit", "remaining", "utilization_percent", "can_proceed", "calls_this_hour", "windows",
}  # fmt: skip


@pytest.fixture
def resource(redis_server: RedisServer, redis_client: redis.Redis, database_url: str) -> RedisRateLimitResource:
    assert redis_client.ping()
    return RedisRateLimitResource(
        redis_url=redis_server.url, postgres_url=database_url, rate_limits="5/min,20/hour", max_wait_seconds=0.0
    )


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("atomic_increment_api_calls", ["calls_to_add", "limit", "ttl_hours"]),
        ("get_current_rate_limit_status", []),
        ("cache_task_start_time", ["dag_run_id", "task_id"]),
        ("initialize_pipeline_state", ["dag_run_id"]),
        ("update_docket_processing_state", ["dag_run_id", "docket_id", "api_calls_made", "success", "error"]),
        ("get_pipeline_state", ["dag_run_id"]),
        ("cleanup_expired_keys", []),
    ],
)
def test_the_arguments_have_the_names_of_the_replaced_pipeline(
    method: str, arguments: list[str], resource: RedisRateLimitResource
) -> None:
    assert list(inspect.signature(getattr(resource, method)).parameters) == arguments


# --- the quota -------------------------------------------------------------------------------------------------------


def test_calls_are_charged_at_once_or_refused(resource: RedisRateLimitResource) -> None:
    first = resource.atomic_increment_api_calls(calls_to_add=3, limit=4, ttl_hours=2)
    assert set(first) == {"success"} | STATUS_KEYS
    assert (first["success"], first["current_count"], first["remaining"]) == (True, 3, 1)
    assert first["utilization_percent"] == 75.0
    second = resource.atomic_increment_api_calls(2, limit=4, ttl_hours=2)
    assert (second["success"], second["current_count"], second["can_proceed"]) == (False, 3, True)
    assert resource.atomic_increment_api_calls(1, limit=4, ttl_hours=2)["can_proceed"] is False
    # The account's own windows hold for them as well.
    assert resource.atomic_increment_api_calls(2, limit=100, ttl_hours=2)["success"] is False


def test_a_limit_of_nothing_admits_no_call(resource: RedisRateLimitResource) -> None:
    assert resource.atomic_increment_api_calls(1, limit=0, ttl_hours=2)["success"] is False


def test_less_than_one_call_cannot_be_charged(resource: RedisRateLimitResource) -> None:
    with pytest.raises(SettingError, match="at least 1"):
        resource.atomic_increment_api_calls(0, limit=5, ttl_hours=2)


def test_the_hour_lives_as_long_as_the_caller_says(resource: RedisRateLimitResource, redis_client: redis.Redis) -> None:
    key = f"courtlistener:rate_limit:{resource.get_current_rate_limit_status()['hour']}"
    resource.atomic_increment_api_calls(1, limit=20)
    assert 24.9 * 3600 < redis_client.ttl(key) <= 25 * 3600
    resource.atomic_increment_api_calls(1, limit=20, ttl_hours=48)
    # A request of ours in between leaves it as it is.
    take(resource.account_limiter(), 1)
    assert 47.9 * 3600 < redis_client.ttl(key) <= 48 * 3600


def test_the_status_without_a_limit_is_that_of_the_tightest_window(resource: RedisRateLimitResource) -> None:
    take(resource.account_limiter(), 4)
    status = resource.get_current_rate_limit_status()
    assert set(status) == STATUS_KEYS
    assert {key: status[key] for key in ("current_count", "limit", "remaining", "utilization_percent")} == {
        "current_count": 4,
        "limit": 5,
        "remaining": 1,
        "utilization_percent": 80.0,
    }
    assert status["can_proceed"]
    assert status["calls_this_hour"] == 4
    assert [window["remaining"] for window in status["windows"]] == [1, 16]


def _charge(redis_url: str, postgres_url: str) -> int:
    resource = RedisRateLimitResource(redis_url=redis_url, postgres_url=postgres_url, rate_limits="1000/min")
    return sum(resource.atomic_increment_api_calls(2, limit=50, ttl_hours=2)["success"] for _ in range(40))


def test_two_processes_together_charge_no_more_than_the_limit(
    redis_server: RedisServer, redis_client: redis.Redis, database_url: str
) -> None:
    assert redis_client.ping()
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        charged = list(pool.map(_charge, [redis_server.url] * 2, [database_url] * 2))
    assert sum(charged) == 25


def test_a_client_shares_the_account_that_the_methods_charge(resource: RedisRateLimitResource) -> None:
    named = resource.model_copy(update={"account": "ours"})
    client = CourtListenerResource(api_token="token", rate_limit=named)
    assert client.account_name() == "ours"
    assert named.atomic_increment_api_calls(5, limit=20, ttl_hours=2)["success"]
    with client.open() as opened:
        assert [usage.used for usage in opened.limiter.usage()] == [5, 5]


def test_without_a_name_the_methods_and_a_client_have_ledgers_of_their_own(resource: RedisRateLimitResource) -> None:
    assert resource.account_limiter().account == "default"
    assert CourtListenerResource(api_token="token", rate_limit=resource).account_name() == account_of("token")


# --- the state of a run ----------------------------------------------------------------------------------------------


def test_dockets_are_counted_as_processed_or_failed(resource: RedisRateLimitResource) -> None:
    state = resource.initialize_pipeline_state("manual__2024-01-31T00:00:00+00:00")
    assert (state["processed_dockets"], state["failed_dockets"], state["api_calls"], state["errors"]) == (0, 0, 0, {})
    run = "manual__2024-01-31T00:00:00+00:00"
    for docket, success in ((17, True), (17, True), (18, False), (18, False)):
        resource.update_docket_processing_state(dag_run_id=run, docket_id=docket, api_calls_made=3, success=success)
    resource.update_docket_processing_state(run, 19, 1, success=False, error="HTTPError")
    state = resource.get_pipeline_state(run)
    assert (state["processed_dockets"], state["failed_dockets"], state["api_calls"]) == (1, 2, 13)
    assert state["errors"] == {"unknown": 2, "HTTPError": 1}
    [last] = resource.pipeline_state().last_runs()
    assert (last["run_id"], last["processed_dockets"]) == (run, 1)


def test_a_task_start_is_kept_and_everything_expires(
    resource: RedisRateLimitResource, redis_client: redis.Redis
) -> None:
    resource = resource.model_copy(update={"state_ttl_hours": 2.0})
    resource.initialize_pipeline_state("run")
    started = resource.cache_task_start_time("run", "fetch_docket")
    assert resource.cache_task_start_time("run", "fetch_docket") == started
    keys = [key.decode() for key in redis_client.scan_iter()]
    assert sorted(keys) == ["courtlistener:pipeline:run", "courtlistener:task_start:run:fetch_docket"]
    assert all(7100 < redis_client.ttl(key) <= 7200 for key in keys)
    assert resource.cleanup_expired_keys() == 0


def test_without_redis_the_state_is_empty_and_calls_are_charged_in_postgres(database_url: str) -> None:
    resource = RedisRateLimitResource(
        redis_url="redis://127.0.0.1:1/0", postgres_url=database_url, rate_limits="5/min", max_wait_seconds=0.0
    )
    assert resource.initialize_pipeline_state("run") == {}
    resource.update_docket_processing_state(dag_run_id="run", docket_id=17, api_calls_made=3, success=True)
    assert resource.get_pipeline_state("run") == {}
    assert resource.cache_task_start_time("run", "task") > 0
    assert resource.cleanup_expired_keys() == 0
    assert resource.atomic_increment_api_calls(4, limit=100, ttl_hours=2)["success"]
    assert resource.atomic_increment_api_calls(2, limit=100, ttl_hours=2)["success"] is False
    assert resource.get_current_rate_limit_status()["remaining"] == 1


@pytest.mark.usefixtures("impatient")
def test_without_postgres_no_call_is_charged(redis_server: RedisServer, redis_client: redis.Redis) -> None:
    assert redis_client.ping()
    resource = RedisRateLimitResource(redis_url=redis_server.url, postgres_url="postgresql://127.0.0.1:1/nothing")
    with pytest.raises(StoreUnavailable):
        resource.atomic_increment_api_calls(1, limit=5, ttl_hours=2)


# --- beside the rest -------------------------------------------------------------------------------------------------


def test_the_guides_examples_run(redis_server: RedisServer, redis_client: redis.Redis, database_url: str) -> None:
    assert redis_client.ping()
    names: dict[str, Any] = {"REDIS_URL": redis_server.url, "POSTGRES_URL": database_url}
    for block in re.findall(r"^```python\n(.*?)^```", GUIDE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
        exec(block, names)
    assert names["charged"]["success"]
    state = names["rate_limit"].get_pipeline_state("manual__2024-01-31")
    assert (state["failed_dockets"], state["errors"]) == (1, {"HTTPError": 1})


@pytest.mark.parametrize(
    ("environ", "account"),
    [
        ({"COURTLISTENER_ACCOUNT": "ours", "COURTLISTENER_API_TOKEN": "token"}, "ours"),
        ({"COURTLISTENER_API_TOKEN": "token"}, account_of("token")),
    ],
)
def test_in_the_code_location_the_methods_charge_the_account_of_its_downloads(
    environ: dict[str, str], account: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    quota = (location(environ).resources or {})["courtlistener_quota"]
    assert quota.account == account


def test_the_location_holds_no_password_of_airflows_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "")
    connection = '{"conn_type": "redis", "host": "cache.example", "password": "the-word"}'
    resources = location({"AIRFLOW_CONN_REDIS_DEFAULT": connection}).resources or {}
    fields = [each._config_schema.as_field().default_value for each in resources.values()
              if isinstance(each, dg.ConfigurableResource)]  # fmt: skip
    assert "the-word" not in str(fields)
    url = resources["courtlistener_quota"].redis.url
    assert isinstance(url, dg.EnvVar)
    assert url.get_value() == "redis://:the-word@cache.example:6379/0"
