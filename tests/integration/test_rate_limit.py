"""Permits as the rest of the project uses them, on a real Redis and a real Postgres."""

from __future__ import annotations

import threading
import time

import pytest
import redis

from courtlistener_assets.devkit.servers import RedisServer
from resources.connections.postgres import Database
from resources.errors import AccountBlocked, LedgerUnavailable, QuotaDeferred, SettingError
from resources.quota.limiter import RateLimiter, RedisRateLimitResource
from resources.quota.permits import Lane, Outcome, ServerWindow, Window, WindowUsage


@pytest.fixture
def resource(redis_server: RedisServer, redis_client: redis.Redis, database_url: str) -> RedisRateLimitResource:
    assert redis_client.ping()
    return RedisRateLimitResource(
        redis_url=redis_server.url,
        postgres_url=database_url,
        rate_limits="5/min,20/hour",
        max_wait_seconds=0.0,
        redis_timeout_seconds=5.0,
    )


def _take(limiter: RateLimiter, count: int) -> None:
    for _ in range(count):
        limiter.settle(limiter.acquire(), Outcome.COUNTED)


def test_a_new_account_begins_with_the_configured_windows(resource: RedisRateLimitResource) -> None:
    limiter = resource.limiter("account")
    _take(limiter, 5)
    with pytest.raises(QuotaDeferred) as deferred:
        limiter.acquire()
    assert 55 < deferred.value.wait_seconds <= 60
    assert limiter.usage() == (WindowUsage(Window(5, 60), 5, 0), WindowUsage(Window(20, 3600), 5, 0))
    assert limiter.granted == {"redis": 5}


def test_changed_settings_replace_windows_that_nobody_has_observed(resource: RedisRateLimitResource) -> None:
    _take(resource.limiter("account"), 1)
    changed = resource.limiter("account", fallback_windows=(Window(2, 60),))
    _take(changed, 1)
    with pytest.raises(QuotaDeferred):
        changed.acquire()


def test_accounts_do_not_share_a_quota(resource: RedisRateLimitResource) -> None:
    ours, usage = resource.limiter("account"), resource.limiter("account:api_usage", fallback_windows=(Window(1, 60),))
    _take(ours, 5)
    _take(usage, 1)
    with pytest.raises(QuotaDeferred):
        usage.acquire()


def test_observed_windows_hold_for_every_worker_from_then_on(resource: RedisRateLimitResource) -> None:
    one, other = resource.limiter("account"), resource.limiter("account")
    _take(one, 2)
    _take(other, 3)
    one.observe([ServerWindow(Window(8, 60), 5, False), ServerWindow(Window(40, 3600), 5, False)])
    _take(other, 3)
    with pytest.raises(QuotaDeferred):
        other.acquire()
    # A worker that starts later keeps them too, whatever its settings say.
    assert [usage.window for usage in resource.limiter("account").usage()] == [Window(8, 60), Window(40, 3600)]


def test_what_the_server_counts_beyond_ours_is_use_by_others(resource: RedisRateLimitResource) -> None:
    limiter = resource.limiter("account")
    _take(limiter, 2)
    limiter.observe([ServerWindow(Window(5, 60), 4, False), ServerWindow(Window(20, 3600), 2, False)])
    assert limiter.usage() == (WindowUsage(Window(5, 60), 4, 2), WindowUsage(Window(20, 3600), 2, 0))
    _take(limiter, 1)
    with pytest.raises(QuotaDeferred):
        limiter.acquire()


def test_a_429_holds_every_worker_and_an_observation_lifts_it(resource: RedisRateLimitResource) -> None:
    one, other = resource.limiter("account"), resource.limiter("account")
    _take(other, 1)
    one.throttled(44.0, "Request was throttled. Expected available in 44 seconds.")
    with pytest.raises(QuotaDeferred) as deferred:
        other.acquire()
    assert deferred.value.wait_seconds == pytest.approx(44, abs=2)
    one.observe([ServerWindow(Window(5, 60), 1, False)])
    _take(other, 1)


def test_a_hold_stays_when_the_server_says_that_a_window_is_full(resource: RedisRateLimitResource) -> None:
    limiter = resource.limiter("account")
    limiter.throttled(44.0, "Request was throttled.")
    limiter.observe([ServerWindow(Window(5, 60), 5, False)])
    with pytest.raises(QuotaDeferred):
        limiter.acquire()


def test_a_block_stops_every_worker_until_it_is_lifted(resource: RedisRateLimitResource) -> None:
    one, other = resource.limiter("account"), resource.limiter("account")
    _take(other, 1)
    one.throttled(None, "Your account has been blocked.")
    with pytest.raises(AccountBlocked, match="Your account has been blocked"):
        other.acquire()
    one.observe([ServerWindow(Window(0, 60), 0, True)])
    with pytest.raises(AccountBlocked):
        other.acquire()
    one.observe([ServerWindow(Window(5, 60), 1, False)])
    _take(other, 1)


def test_only_one_worker_is_told_to_observe(resource: RedisRateLimitResource) -> None:
    one, other = resource.limiter("account"), resource.limiter("account")
    assert [one.needs_observation(60), other.needs_observation(60)] == [True, False]
    one.observe([ServerWindow(Window(5, 60), 0, False)])
    assert not other.needs_observation(60)


def test_after_a_429_somebody_must_observe_however_fresh_the_last_one_is(
    resource: RedisRateLimitResource, database: Database
) -> None:
    limiter = resource.limiter("account")
    limiter.observe([ServerWindow(Window(5, 60), 0, False)])
    limiter.throttled(1.0, "Request was throttled.")
    assert [limiter.needs_observation(3600), limiter.needs_observation(3600)] == [True, False]
    # The worker that claimed it has died.
    with database.transaction() as connection:
        connection.execute(
            "UPDATE courtlistener.ledgers SET observation_claimed_at = observation_claimed_at - interval '1 minute'"
        )
    assert limiter.needs_observation(3600)


def test_a_reserve_is_left_to_retries(resource: RedisRateLimitResource) -> None:
    limiter = resource.model_copy(update={"reserve_share": 0.4}).limiter("account")
    _take(limiter, 3)
    with pytest.raises(QuotaDeferred):
        limiter.acquire()
    limiter.acquire(Lane.PRIORITY)
    limiter.acquire(Lane.PRIORITY)
    with pytest.raises(QuotaDeferred):
        limiter.acquire(Lane.PRIORITY)


def test_several_permits_come_together(resource: RedisRateLimitResource) -> None:
    limiter = resource.limiter("account")
    assert len({permit.request_id for permit in limiter.acquire_many(4)}) == 4
    with pytest.raises(QuotaDeferred):
        limiter.acquire_many(2)
    limiter.acquire()


def test_a_waiter_gets_its_permit_when_one_is_given_back(resource: RedisRateLimitResource) -> None:
    limiter = resource.limiter("account", fallback_windows=(Window(1, 1),))
    _take(limiter, 1)
    started = time.monotonic()
    limiter.acquire(max_wait_seconds=5)
    assert 0.9 < time.monotonic() - started < 4


def test_threads_share_one_limiter(resource: RedisRateLimitResource) -> None:
    limiter = resource.limiter("account", fallback_windows=(Window(40, 60),))
    threads = [threading.Thread(target=_take, args=(limiter, 5)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert limiter.granted == {"redis": 40}
    with pytest.raises(QuotaDeferred):
        limiter.acquire()


def test_the_journal_tells_what_became_of_every_permit(resource: RedisRateLimitResource, database: Database) -> None:
    limiter = resource.limiter("account")
    counted, given_back, _lost = (limiter.acquire() for _ in range(3))
    limiter.settle(counted, Outcome.COUNTED)
    limiter.settle(given_back, Outcome.NOT_COUNTED)
    rows = database.rows(
        "SELECT outcome, ages_from IS NULL, ages_from > clock_timestamp() FROM courtlistener.permits "
        "JOIN courtlistener.ledgers USING (account, epoch, holder) ORDER BY granted_at"
    )
    assert rows == [("counted", False, False), ("not_counted", True, None), (None, False, True)]


def test_old_permits_leave_the_journal(resource: RedisRateLimitResource, database: Database) -> None:
    limiter = resource.limiter("account")
    _take(limiter, 2)
    with database.transaction() as connection:
        connection.execute(
            "UPDATE courtlistener.permits SET granted_at = granted_at - interval '31 days' "
            "WHERE request_id = (SELECT min(request_id) FROM courtlistener.permits)"
        )
    assert limiter.needs_observation(60)
    assert database.rows("SELECT count(*) FROM courtlistener.permits") == [(1,)]


def test_calls_of_the_replaced_pipeline_are_charged_at_once_or_refused(resource: RedisRateLimitResource) -> None:
    limiter = resource.limiter("account")
    first = limiter.atomic_increment_api_calls(3, limit=4, ttl_hours=2)
    assert (first["success"], first["current_count"], first["remaining"]) == (True, 3, 1)
    assert first["utilization_percent"] == 75.0
    second = limiter.atomic_increment_api_calls(2, limit=4, ttl_hours=2)
    assert (second["success"], second["current_count"], second["can_proceed"]) == (False, 3, True)
    assert limiter.atomic_increment_api_calls(1, limit=4, ttl_hours=2)["can_proceed"] is False
    # The account's own windows hold for them as well.
    assert limiter.atomic_increment_api_calls(2, limit=100, ttl_hours=2)["success"] is False


def test_a_limit_of_nothing_admits_no_call(resource: RedisRateLimitResource) -> None:
    assert resource.limiter("account").atomic_increment_api_calls(1, limit=0, ttl_hours=2)["success"] is False


def test_less_than_one_permit_cannot_be_asked_for(resource: RedisRateLimitResource) -> None:
    with pytest.raises(SettingError, match="at least 1"):
        resource.limiter("account").acquire_many(0)


def test_the_status_is_told_in_the_words_of_the_replaced_pipeline(resource: RedisRateLimitResource) -> None:
    limiter = resource.limiter("account")
    _take(limiter, 4)
    status = limiter.get_current_rate_limit_status()
    assert {key: status[key] for key in ("current_count", "limit", "remaining", "utilization_percent")} == {
        "current_count": 4,
        "limit": 5,
        "remaining": 1,
        "utilization_percent": 80.0,
    }
    assert status["can_proceed"]
    assert status["calls_this_hour"] == 4
    assert [window["remaining"] for window in status["windows"]] == [1, 16]


def test_without_postgres_there_are_no_permits(redis_server: RedisServer, redis_client: redis.Redis) -> None:
    assert redis_client.ping()
    resource = RedisRateLimitResource(
        redis_url=redis_server.url, postgres_url="postgresql://127.0.0.1:1/nothing", max_wait_seconds=0.0
    )
    limiter = resource.limiter("account")
    with pytest.raises(LedgerUnavailable, match="Postgres does not answer"):
        limiter.acquire()
    limiter.throttled(5.0, "a 429 that cannot be told to others")
