"""Who is in charge: Redis, Postgres, and the moves between them, step by step with one or two workers."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import psycopg
import pytest
import redis
from ledger_harness import ask_anew

from courtlistener_assets.devkit.servers.postgres_server import PostgresServer
from courtlistener_assets.devkit.servers.redis_server import RedisServer
from resources.connections import postgres
from resources.connections.postgres import Database
from resources.connections.redis_address import connect
from resources.errors import LedgerUnavailable, RedisUnavailable
from resources.quota.failover import FailoverLedger
from resources.quota.lease import LeaseStore
from resources.quota.permits import (
    Blocked,
    Decision,
    Lane,
    LedgerState,
    Outcome,
    Patience,
    Permit,
    ServerWindow,
    Wait,
    Window,
)
from resources.quota.postgres_ledger import PostgresLedger
from resources.quota.redis_ledger import RedisLedger

COOL_DOWN_SECONDS = 5.0
Worker = FailoverLedger


class Clock:
    """The monotonic clock of all workers."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def worker(fresh_redis_server: RedisServer, database: Database, clock: Clock) -> Callable[..., Worker]:
    def make(redis_url: str = "", windows: str = "3/hour") -> Worker:
        row = LeaseStore(
            database, "account", fallback_windows=Window.parse_all(windows), cool_down_seconds=COOL_DOWN_SECONDS
        )
        client = connect(redis_url or fresh_redis_server.url, timeout_seconds=2.0)
        return FailoverLedger(
            RedisLedger(client, "account", permit_ttl_seconds=20),
            PostgresLedger(row, permit_ttl_seconds=20),
            row,
            recovery_seconds=0.001,
            monotonic=clock,
        )

    return make


def ask(worker: Worker, name: str) -> Decision:
    return ask_anew(worker, name)


def granted(worker: Worker, name: str) -> Permit:
    answer = ask(worker, name)
    assert isinstance(answer, tuple), answer
    return answer[0]


def cool_down_ends(database: Database, clock: Clock) -> None:
    clock.now += 1000
    with database.transaction() as connection:
        connection.execute("UPDATE courtlistener.ledgers SET changed_at = changed_at - interval '1000 s'")


def holder(database: Database) -> str:
    ((name,),) = database.rows("SELECT holder FROM courtlistener.ledgers")
    return str(name)


NOWHERE = "redis://127.0.0.1:1/0"


def test_what_redis_grants_by_a_clock_that_ran_ahead_is_asked_for_anew(
    fresh_redis_server: RedisServer, database: Database
) -> None:
    ahead_us = 0
    row = LeaseStore(database, "account", fallback_windows=(Window(3, 3600),))
    redis_ledger = RedisLedger(
        connect(fresh_redis_server.url),
        "account",
        permit_ttl_seconds=20,
        clock_us=lambda: time.time_ns() // 1000 + ahead_us,
    )
    one = FailoverLedger(redis_ledger, PostgresLedger(row, permit_ttl_seconds=20), row)
    for name in "abc":
        one.settle(granted(one, name), Outcome.COUNTED)
    ahead_us = 7_200_000_000
    answer = ask(one, "d")
    assert isinstance(answer, Wait)
    assert 3_500_000 < answer.wait_ms <= 3_603_000
    assert holder(database) == "redis"
    assert database.rows("SELECT count(*) FROM courtlistener.permits") == [(3,)]


def test_redis_is_put_in_charge_of_a_new_account(worker: Callable[..., Worker], database: Database) -> None:
    assert granted(worker(), "a").holder == "redis"
    assert holder(database) == "redis"


def test_without_redis_the_first_permit_comes_from_postgres(worker: Callable[..., Worker], database: Database) -> None:
    one = worker(NOWHERE)
    assert [granted(one, name).holder for name in "abc"] == ["postgres"] * 3
    assert isinstance(ask(one, "d"), Wait)


def test_postgres_goes_on_with_the_count_that_redis_had(
    worker: Callable[..., Worker], fresh_redis_server: RedisServer, database: Database
) -> None:
    one = worker()
    one.settle(granted(one, "a"), Outcome.COUNTED)
    granted(one, "b")
    fresh_redis_server.kill()
    assert granted(one, "c").holder == "postgres"
    assert isinstance(ask(one, "d"), Wait)
    assert holder(database) == "postgres"


@pytest.mark.parametrize("empty", [True, False], ids=["without its data", "with its data"])
def test_redis_goes_on_with_the_count_that_postgres_had(
    worker: Callable[..., Worker], fresh_redis_server: RedisServer, database: Database, clock: Clock, empty: bool
) -> None:
    one = worker()
    granted(one, "a")
    fresh_redis_server.kill()
    granted(one, "b")
    fresh_redis_server.restart(empty=empty)
    cool_down_ends(database, clock)
    assert granted(one, "c").holder == "redis"
    assert isinstance(ask(one, "d"), Wait)
    assert holder(database) == "redis"


def test_redis_is_not_trusted_again_before_the_cool_down_ends(
    worker: Callable[..., Worker], fresh_redis_server: RedisServer, database: Database
) -> None:
    one = worker()
    granted(one, "a")
    fresh_redis_server.kill()
    granted(one, "b")
    fresh_redis_server.restart()
    assert granted(one, "c").holder == "postgres"
    assert holder(database) == "postgres"


def test_a_redis_that_lost_its_memory_is_filled_again_at_once(
    worker: Callable[..., Worker], fresh_redis_server: RedisServer, database: Database, clock: Clock
) -> None:
    one = worker()
    granted(one, "a")
    cool_down_ends(database, clock)
    with redis.Redis.from_url(fresh_redis_server.url) as client:
        client.flushall()
    assert [granted(one, name).holder for name in "bc"] == ["redis", "redis"]
    assert isinstance(ask(one, "d"), Wait)
    assert holder(database) == "redis"


def test_a_redis_that_loses_its_memory_twice_in_a_row_is_left_alone_for_a_while(
    worker: Callable[..., Worker], fresh_redis_server: RedisServer, database: Database, clock: Clock
) -> None:
    one = worker()
    granted(one, "a")
    with redis.Redis.from_url(fresh_redis_server.url) as client:
        client.flushall()
    assert granted(one, "b").holder == "postgres"
    cool_down_ends(database, clock)
    assert granted(one, "c").holder == "redis"


def test_a_worker_that_still_sees_redis_is_fenced_by_the_journal(
    worker: Callable[..., Worker], database: Database
) -> None:
    sees, cut_off = worker(), worker(NOWHERE)
    granted(sees, "a")
    assert granted(cut_off, "b").holder == "postgres"
    assert granted(sees, "c").holder == "postgres"
    assert isinstance(ask(sees, "d"), Wait)
    assert isinstance(ask(cut_off, "e"), Wait)


def test_two_sides_that_disagree_take_longer_and_longer_turns(
    worker: Callable[..., Worker], database: Database, clock: Clock
) -> None:
    sees, cut_off = worker(windows="100/hour"), worker(NOWHERE, windows="100/hour")
    granted(sees, "first")
    cool_downs = []
    for turn in range(4):
        assert granted(cut_off, f"cut{turn}").holder == "postgres"
        ((seconds,),) = database.rows("SELECT cool_down_seconds FROM courtlistener.ledgers")
        cool_downs.append(seconds)
        with database.transaction() as connection:
            connection.execute(
                "UPDATE courtlistener.ledgers SET changed_at = changed_at - make_interval(secs => cool_down_seconds)"
            )
        clock.now += seconds
        assert granted(sees, f"sees{turn}").holder == "redis"
    assert cool_downs == [5, 10, 20, 40]


def test_a_worker_that_was_cut_off_uses_redis_again_when_it_can(
    worker: Callable[..., Worker], fresh_redis_server: RedisServer, database: Database, clock: Clock
) -> None:
    one, other = worker(), worker()
    granted(one, "a")
    fresh_redis_server.pause()
    assert granted(other, "b").holder == "postgres"
    fresh_redis_server.resume()
    cool_down_ends(database, clock)
    assert granted(other, "c").holder == "redis"


def test_the_same_request_gets_one_permit_even_if_the_holder_changes(
    worker: Callable[..., Worker], fresh_redis_server: RedisServer, database: Database, clock: Clock
) -> None:
    one = worker()
    granted(one, "a")
    fresh_redis_server.kill()
    assert granted(one, "a").request_id == "a"
    fresh_redis_server.restart()
    cool_down_ends(database, clock)
    granted(one, "a")
    assert database.rows("SELECT count(*) FROM courtlistener.permits") == [(1,)]
    granted(one, "b")
    granted(one, "c")
    assert isinstance(ask(one, "d"), Wait)


def test_a_permit_of_redis_can_be_settled_while_postgres_is_in_charge_and_back(
    worker: Callable[..., Worker], fresh_redis_server: RedisServer, database: Database, clock: Clock
) -> None:
    one = worker()
    permits = [granted(one, name) for name in "abc"]
    fresh_redis_server.kill()
    one.settle(permits[0], Outcome.NOT_COUNTED)
    later = granted(one, "d")
    assert isinstance(ask(one, "e"), Wait)
    fresh_redis_server.restart(empty=True)
    cool_down_ends(database, clock)
    assert isinstance(ask(one, "f"), Wait)
    one.settle(later, Outcome.NOT_COUNTED)
    assert granted(one, "f").holder == "redis"


def test_a_rebuild_that_reaches_redis_late_cannot_bring_back_an_old_count(
    worker: Callable[..., Worker],
    fresh_redis_server: RedisServer,
    database: Database,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    late: list[tuple[RedisLedger, LedgerState]] = []
    load = RedisLedger.load

    def timed_out(ledger: RedisLedger, state: LedgerState, **margins: float) -> int:
        late.append((ledger, replace(state, permits=tuple(state.permits))))
        raise RedisUnavailable("no answer in time")

    one = worker()
    with monkeypatch.context() as patch:
        patch.setattr(RedisLedger, "load", timed_out)
        assert granted(one, "a").holder == "postgres"
    granted(one, "b")
    cool_down_ends(database, clock)
    assert granted(one, "c").holder == "redis"
    load(*late[0])
    cool_down_ends(database, clock)
    assert isinstance(ask(one, "d"), Wait)


def test_a_grant_given_back_late_does_not_free_the_permit_of_a_later_epoch(
    worker: Callable[..., Worker], database: Database, clock: Clock, fresh_redis_server: RedisServer
) -> None:
    one = worker()
    old = granted(one, "a")
    with redis.Redis.from_url(fresh_redis_server.url) as client:
        client.flushall()
    cool_down_ends(database, clock)
    granted(one, "b")
    late = RedisLedger(connect(fresh_redis_server.url), "account", permit_ttl_seconds=20)
    late.give_back(old)
    granted(one, "c")
    assert isinstance(ask(one, "d"), Wait)


def test_new_windows_reach_workers_even_if_the_worker_that_learnt_them_cannot_reach_redis(
    worker: Callable[..., Worker], database: Database
) -> None:
    sees, cut_off = worker(), worker(NOWHERE)
    granted(sees, "a")
    cut_off.hold(300.0)
    assert holder(database) == "postgres"
    assert isinstance(ask(sees, "b"), Wait)


@pytest.mark.parametrize("cooled_down", [False, True], ids=["Postgres decides", "Redis may come back"])
def test_what_redis_still_says_of_a_block_ends_nobody(
    worker: Callable[..., Worker], database: Database, clock: Clock, cooled_down: bool
) -> None:
    sees, cut_off = worker(), worker(NOWHERE)
    sees.settle(granted(sees, "a"), Outcome.COUNTED)
    sees.hold(0.0, "blocked")
    assert isinstance(ask(sees, "b"), Blocked)
    cut_off.observe([ServerWindow(Window(3, 3600), 1, blocked=False)])
    assert holder(database) == "postgres"
    if cooled_down:
        cool_down_ends(database, clock)
    assert granted(sees, "c").holder == ("redis" if cooled_down else "postgres")


@pytest.mark.parametrize("cooled_down", [False, True], ids=["Postgres decides", "Redis may come back"])
def test_nobody_gives_up_because_of_windows_that_redis_still_has(
    worker: Callable[..., Worker], database: Database, clock: Clock, cooled_down: bool
) -> None:
    sees, cut_off = worker(windows="1/day"), worker(NOWHERE)
    granted(sees, "a")
    cut_off.observe([ServerWindow(Window(100, 86_400), 1, blocked=False)])
    assert holder(database) == "postgres"
    if cooled_down:
        cool_down_ends(database, clock)
    assert isinstance(sees.acquire(["b"], Lane.BACKFILL, patience=Patience(90.0)), tuple)


def test_nothing_is_granted_while_postgres_is_away_and_nothing_is_lost(
    fresh_redis_server: RedisServer, fresh_postgres_server: PostgresServer
) -> None:
    database = Database(fresh_postgres_server.url, timeout_seconds=0.5)
    database.migrate()
    row = LeaseStore(database, "account", fallback_windows=(Window(3, 3600),))
    one = FailoverLedger(
        RedisLedger(connect(fresh_redis_server.url), "account", permit_ttl_seconds=20),
        PostgresLedger(row, permit_ttl_seconds=20),
        row,
    )
    granted(one, "a")
    fresh_postgres_server.kill()
    for _ in range(5):
        with pytest.raises(LedgerUnavailable):
            ask(one, "b")
    fresh_postgres_server.restart()
    granted(one, "b")
    granted(one, "c")
    assert isinstance(ask(one, "d"), Wait)
    database.close()


def test_a_worker_that_was_stopped_in_mid_transaction_holds_up_nobody_and_asks_again(
    fresh_redis_server: RedisServer, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(database_url)
    row = LeaseStore(database, "account", fallback_windows=(Window(3, 3600),))
    redis_ledger = RedisLedger(connect(fresh_redis_server.url), "account", permit_ttl_seconds=20)
    one = FailoverLedger(redis_ledger, PostgresLedger(row, permit_ttl_seconds=20), row)
    load = redis_ledger.load

    def stopped_meanwhile(state: LedgerState, **margins: Any) -> int:
        loaded = load(state, **margins)
        # The other side of Postgres' patience: the statement runs outside of this session.
        with psycopg.connect(database_url) as other:
            other.execute("SELECT pg_sleep(0.4)")
        return loaded

    with monkeypatch.context() as patch:
        patch.setattr(postgres, "_IDLE_MS", 100)
        patch.setattr(redis_ledger, "load", stopped_meanwhile)
        with pytest.raises(LedgerUnavailable):
            ask(one, "a")
    assert granted(one, "a").holder == "redis"
    database.close()
