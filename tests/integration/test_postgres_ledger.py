"""What only Postgres sees to when it decides: taking the ledger over, zones and clocks, accounts that are new to it."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import psycopg
import pytest
from ledger_harness import Clock, postgres_bench

from resources.connections.postgres import Database
from resources.quota.lease import LeaseStore
from resources.quota.permits import Fenced, Lane, Outcome, Patience, Wait, Window, Withdrawn
from resources.quota.postgres_ledger import PostgresLedger

WINDOWS = Window.parse_all("2/60s")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def row(database: Database, clock: Clock) -> LeaseStore:
    return LeaseStore(database, "account", fallback_windows=WINDOWS, clock_us=clock)


@pytest.fixture
def ledger(row: LeaseStore) -> PostgresLedger:
    return PostgresLedger(row, permit_ttl_seconds=20)


def _holder(database: Database) -> tuple[str, int, float]:
    [(holder, epoch, cool_down)] = database.rows("SELECT holder, epoch, cool_down_seconds FROM courtlistener.ledgers")
    return holder, epoch, cool_down


def _put_redis_in_charge(database: Database, clock: Clock, epoch: int = 7) -> None:
    with database.transaction() as connection:
        connection.execute(
            "UPDATE courtlistener.ledgers SET holder = 'redis', epoch = %s, changed_at = courtlistener.moment(%s)",
            (epoch, clock.us),
        )


def test_an_account_that_is_asked_for_first_is_entered(ledger: PostgresLedger, database: Database) -> None:
    assert isinstance(ledger.acquire(["a", "b"], Lane.BACKFILL), tuple)
    assert isinstance(ledger.acquire(["c"], Lane.BACKFILL), Wait)
    assert _holder(database)[0] == "postgres"


def test_windows_are_longer_by_what_clocks_may_be_off(ledger: PostgresLedger) -> None:
    granted = ledger.acquire(["a", "b"], Lane.BACKFILL)
    assert isinstance(granted, tuple)
    for permit in granted:
        ledger.settle(permit, Outcome.COUNTED)
    assert ledger.acquire(["c"], Lane.BACKFILL) == Wait(wait_ms=60_280, ahead=0)


@pytest.mark.parametrize(("failed_seconds_ago", "may"), [(math.inf, False), (31.0, False), (29.0, True)])
def test_the_ledger_is_taken_over_only_if_redis_has_failed_since_it_was_put_in_charge(
    ledger: PostgresLedger, database: Database, clock: Clock, failed_seconds_ago: float, may: bool
) -> None:
    ledger.acquire(["a"], Lane.BACKFILL)
    _put_redis_in_charge(database, clock)
    clock.advance(30)
    answer = ledger.acquire(["b"], Lane.BACKFILL, redis_failed_seconds_ago=failed_seconds_ago)
    assert isinstance(answer, Fenced) != may
    # An epoch that no earlier attempt has used, and the shortest cool-down.
    assert _holder(database) == (("postgres", clock.us, 5.0) if may else ("redis", 7, 0.0))


def test_postgres_keeps_the_ledger_longer_each_time_that_redis_fails_soon(
    ledger: PostgresLedger, database: Database, clock: Clock
) -> None:
    ledger.acquire(["a"], Lane.BACKFILL)
    kept = []
    for number in range(8):
        _put_redis_in_charge(database, clock, epoch=clock.us + 10**15)
        clock.advance(1)
        ledger.acquire([f"b{number}"], Lane.BACKFILL, redis_failed_seconds_ago=0.5)
        kept.append(_holder(database)[2])
    assert kept == [5, 10, 20, 40, 80, 160, 300, 300]
    _put_redis_in_charge(database, clock)
    clock.advance(60)
    ledger.acquire(["c"], Lane.BACKFILL, redis_failed_seconds_ago=0.5)
    assert _holder(database)[2] == 5


@pytest.mark.parametrize(("failed_seconds_ago", "may"), [(math.inf, False), (61.0, False), (0.1, True), (10.0, True)])
def test_a_clock_that_went_back_stops_no_take_over(
    ledger: PostgresLedger, database: Database, clock: Clock, failed_seconds_ago: float, may: bool
) -> None:
    ledger.acquire(["a"], Lane.BACKFILL)
    _put_redis_in_charge(database, clock)
    clock.advance(-7200)
    answer = ledger.acquire(["b"], Lane.BACKFILL, redis_failed_seconds_ago=failed_seconds_ago)
    assert isinstance(answer, Fenced) != may


def test_a_waiter_keeps_its_place_no_longer_than_it_may_be_silent(ledger: PostgresLedger, clock: Clock) -> None:
    ledger.acquire(["a", "b"], Lane.BACKFILL)
    dead = ledger.acquire(["dead"], Lane.BACKFILL, patience=Patience(math.inf, 3.0))
    assert isinstance(dead, Wait)
    assert dead.wait_ms > 60_000
    clock.advance(4.9)
    answer = ledger.acquire(["c"], Lane.BACKFILL)
    assert isinstance(answer, Wait)
    assert answer.ahead == 1
    clock.advance(0.2)
    answer = ledger.acquire(["c"], Lane.BACKFILL)
    assert isinstance(answer, Wait)
    assert answer.ahead == 0


def test_what_is_granted_by_a_clock_that_jumped_is_taken_back(database: Database, clock: Clock) -> None:
    seconds = 0.0
    row = LeaseStore(database, "account", fallback_windows=WINDOWS, clock_us=clock, steady=lambda: seconds)
    ledger = PostgresLedger(row, permit_ttl_seconds=20)
    for permit in ledger.acquire(["a", "b"], Lane.BACKFILL):  # type: ignore[union-attr]
        ledger.settle(permit, Outcome.COUNTED)
    clock.advance(3600)
    seconds += 1
    assert isinstance(ledger.acquire(["c"], Lane.BACKFILL), Withdrawn)
    answer = ledger.acquire(["d"], Lane.BACKFILL)
    assert isinstance(answer, Wait)
    assert answer.wait_ms > 55_000
    assert database.rows("SELECT count(*) FROM courtlistener.permits") == [(2,)]


@pytest.mark.parametrize("night", [datetime(2026, 3, 8, 6, 30, tzinfo=UTC), datetime(2026, 11, 1, 5, 30, tzinfo=UTC)])
def test_nights_on_which_the_clocks_are_set_are_as_long_as_others(
    database_url: str, database: Database, night: datetime
) -> None:
    bench = postgres_bench(database, "1/day")
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("SET TimeZone = 'America/New_York'")

        def ask(name: str) -> tuple[str, int]:
            query = """SELECT decision, wait_us FROM courtlistener.acquire_permits(
                'account', ARRAY[%s], false, 0, 20000000, NULL, 2000000, 0, NULL, 5, %s)"""
            return connection.execute(query, (name, bench.clock.us)).fetchone()  # type: ignore[return-value]

        bench.clock.us = round(night.timestamp()) * 1_000_000
        assert ask("a")[0] == "granted"
        connection.execute("SELECT courtlistener.settle_permit('account', 'a', 'counted', 0, %s)", (bench.clock.us,))
        bench.clock.advance(86_399.999998)
        assert ask("b") == ("wait", 2)
        bench.clock.advance(0.000002)
        assert ask("b")[0] == "granted"
