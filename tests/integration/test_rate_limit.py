"""Permits as the rest of the project uses them, on a real Redis and a real Postgres."""

from __future__ import annotations

import threading
import time

import pytest
import redis

from courtlistener_assets.devkit.servers.postgres_server import PostgresServer
from courtlistener_assets.devkit.servers.redis_server import RedisServer
from resources.connections.postgres import Database
from resources.dagster_resources import PostgresResource, RedisRateLimitResource, RedisResource
from resources.errors import AccountBlocked, LedgerUnavailable, QuotaDeferred, SettingError, StoreUnavailable
from resources.quota.permits import Lane, ServerWindow, Window, WindowUsage
from resources.quota.windows import AccountWindows
from tests.integration.ledger_harness import be_refused, give_back, take


@pytest.fixture
def resource(redis_server: RedisServer, redis_client: redis.Redis, database_url: str) -> RedisRateLimitResource:
    assert redis_client.ping()
    return RedisRateLimitResource(
        redis=RedisResource(url=redis_server.url, timeout_seconds=5.0),
        postgres=PostgresResource(url=database_url),
        rate_limits="5/min,20/hour",
        max_wait_seconds=0.0,
    )


def test_a_new_account_begins_with_the_configured_windows(resource: RedisRateLimitResource) -> None:
    limiter = resource.limiter("account")
    take(limiter, 5)
    with pytest.raises(QuotaDeferred) as deferred:
        take(limiter)
    assert 55 < deferred.value.wait_seconds <= 60.5
    assert limiter.usage() == (WindowUsage(Window(5, 60), 5, 0), WindowUsage(Window(20, 3600), 5, 0))
    assert limiter.granted == {"redis": 5}


def test_changed_settings_replace_windows_that_nobody_has_observed(resource: RedisRateLimitResource) -> None:
    take(resource.limiter("account"), 1)
    changed = resource.limiter("account", fallback_windows=(Window(2, 60),))
    take(changed, 1)
    with pytest.raises(QuotaDeferred):
        take(changed)


def test_accounts_do_not_share_a_quota(resource: RedisRateLimitResource) -> None:
    ours, usage = resource.limiter("account"), resource.limiter("account:api_usage", fallback_windows=(Window(1, 60),))
    take(ours, 5)
    take(usage, 1)
    with pytest.raises(QuotaDeferred):
        take(usage)


def test_observed_windows_hold_for_every_worker_from_then_on(resource: RedisRateLimitResource) -> None:
    one, other = resource.limiter("account"), resource.limiter("account")
    take(one, 2)
    take(other, 3)
    one.observe([ServerWindow(Window(8, 60), 5, False), ServerWindow(Window(40, 3600), 5, False)])
    take(other, 3)
    with pytest.raises(QuotaDeferred):
        take(other)
    # A worker that starts later keeps them too, whatever its settings say.
    assert [usage.window for usage in resource.limiter("account").usage()] == [Window(8, 60), Window(40, 3600)]


def test_what_the_server_counts_beyond_ours_is_use_by_others(resource: RedisRateLimitResource) -> None:
    limiter = resource.limiter("account")
    take(limiter, 2)
    limiter.observe([ServerWindow(Window(5, 60), 4, False), ServerWindow(Window(20, 3600), 2, False)])
    assert limiter.usage() == (WindowUsage(Window(5, 60), 4, 2), WindowUsage(Window(20, 3600), 2, 0))
    take(limiter, 1)
    with pytest.raises(QuotaDeferred):
        take(limiter)


def test_a_429_holds_every_worker_and_an_observation_lifts_it(resource: RedisRateLimitResource) -> None:
    one, other = resource.limiter("account"), resource.limiter("account")
    take(other, 1)
    be_refused(one, 44.0)
    with pytest.raises(QuotaDeferred) as deferred:
        take(other)
    assert deferred.value.wait_seconds == pytest.approx(44, abs=2)
    one.observe([ServerWindow(Window(5, 60), 1, False)])
    take(other, 1)


def test_redis_holds_at_once_when_postgres_cannot_be_told(
    resource: RedisRateLimitResource, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = resource.limiter("account"), resource.limiter("account")
    take(one, 1)
    take(other, 1)

    def away(*_: object) -> None:
        raise StoreUnavailable

    monkeypatch.setattr(AccountWindows, "hold", away)
    be_refused(one, 44.0)
    with pytest.raises(QuotaDeferred) as deferred:
        take(other)
    assert deferred.value.wait_seconds == pytest.approx(44, abs=2)


def test_a_reading_from_before_a_429_does_not_lift_the_hold(resource: RedisRateLimitResource) -> None:
    limiter = resource.limiter("account")
    asked = limiter.stopwatch()
    be_refused(limiter, 44.0)
    limiter.observe([ServerWindow(Window(5, 60), 1, False)], age_seconds=asked)
    with pytest.raises(QuotaDeferred):
        take(limiter)
    assert limiter.needs_observation(3600)  # It does not count as one after the 429, either.
    limiter.observe([ServerWindow(Window(5, 60), 1, False)], age_seconds=limiter.stopwatch())
    take(limiter)


def test_after_a_429_a_reading_that_shows_room_lets_one_go_then_two(resource: RedisRateLimitResource) -> None:
    limiter = resource.limiter("account", fallback_windows=(Window(100, 60),))
    be_refused(limiter, 44.0)
    limiter.observe([ServerWindow(Window(100, 60), 0, False)])
    with limiter.permit(), pytest.raises(QuotaDeferred):
        take(limiter)
    with limiter.permit(), limiter.permit(), pytest.raises(QuotaDeferred):
        take(limiter)


def test_a_claim_from_before_a_429_keeps_nobody_from_reading(resource: RedisRateLimitResource) -> None:
    one, other = resource.limiter("account"), resource.limiter("account")
    assert one.needs_observation(60)  # And is under way, or dead.
    be_refused(other, 1.0)
    assert [other.needs_observation(3600), one.needs_observation(3600)] == [True, False]


def test_others_that_were_seen_are_looked_after_more_often(resource: RedisRateLimitResource) -> None:
    limiter = resource.limiter("account")
    limiter.observe([ServerWindow(Window(5, 60), 0, False)])
    assert not limiter.needs_observation(3600, 0.0)
    limiter.observe([ServerWindow(Window(5, 60), 1, False)])
    assert not limiter.needs_observation(3600, 3600)
    assert limiter.needs_observation(3600, 0.0)


def test_a_hold_stays_when_the_server_says_that_a_window_is_full(resource: RedisRateLimitResource) -> None:
    limiter = resource.limiter("account")
    be_refused(limiter, 44.0)
    limiter.observe([ServerWindow(Window(5, 60), 5, False)])
    with pytest.raises(QuotaDeferred):
        take(limiter)


def test_a_block_stops_every_worker_until_it_is_lifted(resource: RedisRateLimitResource) -> None:
    one, other = resource.limiter("account"), resource.limiter("account")
    take(other, 1)
    be_refused(one, None, blocked="Your account has been blocked.")
    with pytest.raises(AccountBlocked, match="Your account has been blocked"):
        take(other)
    one.observe([ServerWindow(Window(0, 60), 0, True)])
    with pytest.raises(AccountBlocked):
        take(other)
    one.observe([ServerWindow(Window(5, 60), 1, False)])
    take(other, 1)


@pytest.mark.parametrize("said", ["", None])
def test_a_block_is_never_without_a_reason(resource: RedisRateLimitResource, said: str | None) -> None:
    limiter = resource.limiter("account")
    if said is None:
        limiter.observe([ServerWindow(Window(0, 60), 0, True)])
    else:
        be_refused(limiter, None, blocked=said)
    with pytest.raises(AccountBlocked) as blocked:
        take(limiter)
    assert "CourtListener reports the account as blocked" in str(blocked.value)


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
    be_refused(limiter, 1.0)
    assert [limiter.needs_observation(3600), limiter.needs_observation(3600)] == [True, False]
    # The worker that claimed it has died.
    with database.transaction() as connection:
        connection.execute(
            "UPDATE courtlistener.ledgers SET observation_claimed_at = observation_claimed_at - interval '1 minute'"
        )
    assert limiter.needs_observation(3600)


def test_a_reserve_is_left_to_retries(resource: RedisRateLimitResource) -> None:
    limiter = resource.model_copy(update={"reserve_share": 0.4}).limiter("account")
    take(limiter, 3)
    with pytest.raises(QuotaDeferred):
        take(limiter)
    take(limiter, lane=Lane.PRIORITY)
    take(limiter, lane=Lane.PRIORITY)
    with pytest.raises(QuotaDeferred):
        take(limiter, lane=Lane.PRIORITY)


def test_several_calls_are_charged_together_or_not_at_all(resource: RedisRateLimitResource) -> None:
    limiter = resource.limiter("account")
    assert [limiter.charge(4, 1000), limiter.charge(2, 1000)] == [True, False]
    take(limiter)


def test_a_waiter_gets_its_permit_when_an_old_one_has_aged_out(resource: RedisRateLimitResource) -> None:
    limiter = resource.limiter("account", fallback_windows=(Window(1, 1),))
    take(limiter, 1)
    started = time.monotonic()
    with limiter.permit(max_wait_seconds=5):
        assert 0.9 < time.monotonic() - started < 4


def test_threads_share_one_limiter(resource: RedisRateLimitResource) -> None:
    limiter = resource.limiter("account", fallback_windows=(Window(40, 60),))
    threads = [threading.Thread(target=take, args=(limiter, 5)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert limiter.granted == {"redis": 40}
    with pytest.raises(QuotaDeferred):
        take(limiter)


def test_the_journal_tells_what_became_of_every_permit(resource: RedisRateLimitResource, database: Database) -> None:
    limiter = resource.limiter("account")
    take(limiter)
    give_back(limiter)
    with limiter.permit():
        rows = database.rows(
            "SELECT outcome, ages_from IS NULL, settled_at IS NULL FROM courtlistener.permits "
            "JOIN courtlistener.ledgers USING (account, epoch, holder) ORDER BY granted_at"
        )
    assert rows == [("counted", False, False), ("not_counted", True, False), (None, False, True)]


def test_old_permits_leave_the_journal(resource: RedisRateLimitResource, database: Database) -> None:
    limiter = resource.limiter("account")
    take(limiter, 2)
    with database.transaction() as connection:
        connection.execute(
            "UPDATE courtlistener.permits SET granted_at = granted_at - interval '31 days' "
            "WHERE request_id = (SELECT min(request_id) FROM courtlistener.permits)"
        )
    assert limiter.needs_observation(60)
    assert database.rows("SELECT count(*) FROM courtlistener.permits") == [(1,)]


def test_calls_that_are_charged_keep_to_the_limit_of_the_clock_hour(resource: RedisRateLimitResource) -> None:
    limiter = resource.limiter("account")
    assert [limiter.charge(3, 4), limiter.charge(2, 4), limiter.charge(1, 4)] == [True, False, True]
    assert limiter.hour_counts() == (4, 0)


def test_more_calls_than_a_script_takes_apart_at_once_are_no_fault_of_redis(resource: RedisRateLimitResource) -> None:
    limiter = resource.limiter("account")
    assert not limiter.charge(9_000, 10_000)
    take(limiter)
    assert limiter.granted == {"redis": 1}


def test_a_limit_of_nothing_admits_no_call(resource: RedisRateLimitResource) -> None:
    assert not resource.limiter("account").charge(1, 0)


def test_less_than_one_call_cannot_be_charged(resource: RedisRateLimitResource) -> None:
    with pytest.raises(SettingError, match="at least 1"):
        resource.limiter("account").charge(0, 100)


def test_while_postgres_is_away_there_are_no_permits_and_none_are_lost(
    redis_server: RedisServer, redis_client: redis.Redis, fresh_postgres_server: PostgresServer
) -> None:
    resource = RedisRateLimitResource(
        redis_url=redis_server.url, postgres_url=fresh_postgres_server.url, rate_limits="5/min", max_wait_seconds=0.0
    )
    limiter = resource.limiter("account")
    take(limiter)
    with limiter.permit():
        fresh_postgres_server.kill()  # The permit is in use: its end cannot be written down.
    with pytest.raises(LedgerUnavailable, match="Postgres does not answer"):
        take(limiter)
    fresh_postgres_server.restart()
    with limiter.permit(max_wait_seconds=30.0):  # The pool looks for the server now and then.
        pass
    take(limiter, 2)
    with pytest.raises(QuotaDeferred):
        take(limiter)


def test_the_schema_is_made_when_the_first_permit_is_asked_for(
    redis_server: RedisServer, redis_client: redis.Redis, fresh_postgres_server: PostgresServer
) -> None:
    resource = RedisRateLimitResource(redis_url=redis_server.url, postgres_url=fresh_postgres_server.url)
    take(resource.limiter("account"))
    database = resource.postgres.database()
    assert database.rows("SELECT holder, outcome FROM courtlistener.permits") == [("redis", "counted")]
