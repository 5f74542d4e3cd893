"""What the Lua scripts do to Redis beside granting: fences, lifetimes, counters, size."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest
import redis

from courtlistener_assets.devkit.servers.redis_server import RedisServer
from resources.connections.redis_keys import RedisKeys, hour_stamp
from resources.connections.scripts import SCRIPTS_DIRECTORY
from resources.errors import RedisUnavailable
from resources.quota.permits import (
    Fenced,
    JournaledPermit,
    Lane,
    LedgerState,
    Outcome,
    Permit,
    QuotaWindow,
    Wait,
    Window,
)
from resources.quota.redis_ledger import RedisLedger

KEYS = RedisKeys("test")


@pytest.fixture
def client(redis_server: RedisServer, redis_client: redis.Redis) -> redis.Redis:
    """An empty server, answers as str."""
    assert redis_client.ping()
    return redis.Redis.from_url(redis_server.url, decode_responses=True)


@pytest.fixture
def ledger(client: redis.Redis) -> RedisLedger:
    ledger = RedisLedger(client, "account", permit_ttl_seconds=20, keys=KEYS)
    ledger.load(LedgerState(1, (QuotaWindow(Window(5, 60)), QuotaWindow(Window(20, 3600)))))
    return ledger


def _granted(ledger: RedisLedger, *names: str, lane: Lane = Lane.BACKFILL) -> tuple[Permit, ...]:
    answer = ledger.acquire(names, lane)
    assert isinstance(answer, tuple)
    return answer


def test_a_new_server_is_fenced_until_it_is_filled_from_the_journal(client: redis.Redis) -> None:
    ledger = RedisLedger(client, "account", permit_ttl_seconds=20, keys=KEYS)
    assert isinstance(ledger.acquire(["a"], Lane.BACKFILL), Fenced)
    assert client.keys("*") == []


STATE = LedgerState(1, (QuotaWindow(Window(2, 60)),))
FIELDS = ("epoch", "replid", "last_us", "count", "latency_us", "spec", "held_until_us", "blocked", "keep", "keep_ms",
          "urgent", "throttled_us", "answered", "last", "ticket", "serial")  # fmt: skip


def test_the_fields_of_the_state_are_those_that_the_tests_below_take_away(
    ledger: RedisLedger, client: redis.Redis
) -> None:
    _granted(ledger, "a")
    assert set(client.hkeys(KEYS.epoch("account"))) == set(FIELDS)


@pytest.mark.parametrize("lost", [KEYS.permits("account"), KEYS.priority("account"), KEYS.epoch("account"), *FIELDS])
def test_whatever_is_lost_fences_the_ledger_until_it_is_rebuilt(
    ledger: RedisLedger, client: redis.Redis, lost: str
) -> None:
    ledger.load(STATE)
    (permit,) = _granted(ledger, "a", lane=Lane.PRIORITY)
    if lost in FIELDS:
        client.hdel(KEYS.epoch("account"), lost)
    else:
        client.delete(lost)
    assert isinstance(ledger.acquire(["b"], Lane.BACKFILL), Fenced)
    assert not ledger.is_intact(1)
    # Late commands of workers that do not know yet bring nothing back.
    ledger.hold(1000)
    ledger.settle(permit, Outcome.NOT_COUNTED)
    assert isinstance(ledger.acquire(["b"], Lane.BACKFILL), Fenced)
    assert all(client.pttl(key) > 0 for key in client.keys("*"))
    ledger.load(
        replace(
            STATE,
            epoch=2,
            throttled_us_ago=0,
            answered=9,
            permits=[JournaledPermit("a", -20_000_000, True, priority=True)],
        )
    )
    assert ledger.is_intact(2)
    _granted(ledger, "b")
    assert isinstance(ledger.acquire(["c"], Lane.BACKFILL), Wait)


@pytest.mark.parametrize("lost", [KEYS.waiters("account"), KEYS.waiter_deadlines("account")])
def test_a_line_that_is_lost_forms_again(ledger: RedisLedger, client: redis.Redis, lost: str) -> None:
    _granted(ledger, "a", "b", "c", "d", "e")
    assert isinstance(ledger.acquire(["f"], Lane.BACKFILL), Wait)
    client.delete(lost)
    again = ledger.acquire(["g"], Lane.BACKFILL)
    assert isinstance(again, Wait)
    assert again.ahead == 0


def test_grants_are_numbered_within_an_epoch(ledger: RedisLedger) -> None:
    assert [permit.serial for permit in _granted(ledger, "a", "b")] == [1, 2]
    assert [permit.serial for permit in _granted(ledger, "c")] == [3]
    assert [permit.serial for permit in _granted(ledger, "c")] == [None]
    ledger.load(replace(STATE, epoch=2))
    assert [permit.serial for permit in _granted(ledger, "d")] == [1]


def test_a_hold_is_in_force_at_once_and_never_shortens_another(client: redis.Redis) -> None:
    clock_us = 1_700_000_000_000_000
    ledger = RedisLedger(client, "account", permit_ttl_seconds=20, keys=KEYS, clock_us=lambda: clock_us)
    ledger.hold(5)
    assert client.keys("*") == []
    ledger.load(STATE)
    ledger.hold(5)
    ledger.hold(2)
    assert ledger.acquire(["a"], Lane.BACKFILL) == Wait(wait_ms=5000, ahead=0)


def test_a_hold_of_which_postgres_has_not_heard_outlives_a_rebuild_and_one_that_it_has_lifted_does_not(
    client: redis.Redis,
) -> None:
    clock_us = 1_700_000_000_000_000
    ledger = RedisLedger(client, "account", permit_ttl_seconds=20, keys=KEYS, clock_us=lambda: clock_us)
    ledger.load(STATE)
    ledger.hold(5)
    ledger.load(replace(STATE, epoch=2))
    assert ledger.acquire(["a"], Lane.BACKFILL) == Wait(wait_ms=5000, ahead=0)
    ledger.load(replace(STATE, epoch=3, throttled_us_ago=0))
    _granted(ledger, "a")


def test_a_single_permit_that_is_lost_fences_the_ledger(ledger: RedisLedger, client: redis.Redis) -> None:
    _granted(ledger, "a", "b")
    client.zrem(KEYS.permits("account"), "a")
    assert isinstance(ledger.acquire(["c"], Lane.BACKFILL), Fenced)


def test_another_server_with_the_same_data_is_fenced(ledger: RedisLedger, client: redis.Redis) -> None:
    _granted(ledger, "a")
    client.hset(KEYS.epoch("account"), "replid", "0" * 40)
    assert isinstance(ledger.acquire(["b"], Lane.BACKFILL), Fenced)
    assert not ledger.is_intact(1)


def test_a_ledger_is_intact_only_under_its_own_epoch(ledger: RedisLedger) -> None:
    assert ledger.is_intact(1)
    assert not ledger.is_intact(2)


def test_scripts_survive_a_script_flush(ledger: RedisLedger, client: redis.Redis) -> None:
    _granted(ledger, "a")
    client.script_flush()
    _granted(ledger, "b")


def test_every_key_has_a_time_to_live(ledger: RedisLedger, client: redis.Redis) -> None:
    first = _granted(ledger, "a")
    for name in "bcde":
        _granted(ledger, name)
    ledger.settle(first[0], Outcome.COUNTED)
    assert isinstance(ledger.acquire(["f"], Lane.BACKFILL), Wait)
    lifetimes = {key: client.pttl(key) for key in client.keys("*")}
    assert len(lifetimes) == 7
    assert min(lifetimes.values()) > 0
    # Permits must outlive the longest window.
    assert lifetimes[KEYS.permits("account")] > 3_600_000


def test_only_as_many_permits_are_kept_as_the_largest_window_admits(client: redis.Redis) -> None:
    clock_us = 1_700_000_000_000_000
    ledger = RedisLedger(client, "account", permit_ttl_seconds=20, keys=KEYS, clock_us=lambda: clock_us)
    ledger.load(LedgerState(1, (QuotaWindow(Window(5, 60)), QuotaWindow(Window(8, 600)))))
    for number in range(30):
        (permit,) = _granted(ledger, f"p{number}")
        ledger.settle(permit, Outcome.COUNTED)
        clock_us += 80_000_000
    assert client.zcard(KEYS.permits("account")) == 8


def test_the_hourly_counters_tell_charged_from_made(ledger: RedisLedger, client: redis.Redis) -> None:
    (a,), (b,) = _granted(ledger, "a"), _granted(ledger, "b")
    ledger.settle(a, Outcome.COUNTED)
    ledger.settle(b, Outcome.NOT_COUNTED)
    assert ledger.hour_counts() == (1, 1)
    seconds, _ = client.time()
    hour = hour_stamp(datetime.fromtimestamp(int(seconds), UTC))
    assert client.get(f"test:rate_limit:{hour}") == "1"
    assert client.get(f"test:counter:{hour}") == "1"


def test_another_pipeline_on_the_hourly_counter_shares_its_limit(client: redis.Redis) -> None:
    # Twenty minutes before the hour is over.
    clock_us = (1_700_000_000_000_000 // 3_600_000_000) * 3_600_000_000 + 2_400_000_000
    ledger = RedisLedger(
        client, "account", permit_ttl_seconds=20, keys=KEYS, shared_hour_limit=10, clock_us=lambda: clock_us
    )
    ledger.load(LedgerState(1, (QuotaWindow(Window(50, 60)),)))
    hour = hour_stamp(datetime.fromtimestamp(clock_us / 1e6, UTC))
    client.incrby(KEYS.rate_limit(hour), 8)
    _granted(ledger, "a")
    _granted(ledger, "b")
    answer = ledger.acquire(["c"], Lane.BACKFILL)
    assert answer == Wait(wait_ms=1_200_000, ahead=0)
    assert client.get(KEYS.rate_limit(hour)) == "10"


def test_a_worker_whose_clock_is_hours_off_charges_the_right_hour(
    ledger: RedisLedger, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    import time

    real = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real() + 5 * 3600 * 10**9)
    _granted(ledger, "a")
    seconds, _ = client.time()
    assert client.get(KEYS.rate_limit(hour_stamp(datetime.fromtimestamp(int(seconds), UTC)))) == "1"


def test_a_rebuild_knows_ages_not_clock_times(client: redis.Redis) -> None:
    clock_us = 1_600_000_000_000_000
    ledger = RedisLedger(client, "account", permit_ttl_seconds=20, keys=KEYS, clock_us=lambda: clock_us)
    known = (JournaledPermit("old", 50_000_000, False), JournaledPermit("flying", -15_000_000, True))
    ledger.load(LedgerState(7, (QuotaWindow(Window(2, 60)),), permits=known))
    assert ledger.acquire(["a"], Lane.BACKFILL) == Wait(wait_ms=10_000, ahead=0)
    clock_us += 10_000_000
    assert _granted(ledger, "a")[0].epoch == 7
    (flying,) = _granted(ledger, "flying")
    assert flying.age_us == 15_000_000
    ledger.settle(flying, Outcome.NOT_COUNTED)
    _granted(ledger, "b")


def test_a_rebuild_knows_lanes_and_refusals(client: redis.Redis) -> None:
    clock_us = 1_700_000_000_000_000
    ledger = RedisLedger(
        client, "account", permit_ttl_seconds=20, keys=KEYS, reserve_share=0.5, clock_us=lambda: clock_us
    )
    windows = (QuotaWindow(Window(6, 60)),)
    known = tuple(JournaledPermit(f"retry{i}", 1_000_000, False, priority=True) for i in range(2))
    ledger.load(LedgerState(1, windows, permits=known))
    _granted(ledger, "a", "b", "c")
    assert isinstance(ledger.acquire(["d"], Lane.BACKFILL), Wait)
    ledger.leave(["d"])
    ledger.load(LedgerState(2, windows, permits=known, throttled_us_ago=3_599_000_000, answered=1))
    _granted(ledger, "a", "b")
    assert ledger.acquire(["c"], Lane.BACKFILL) == Wait(wait_ms=100, ahead=0)
    clock_us += 1_000_000
    _granted(ledger, "c")


def test_windows_are_longer_by_what_clocks_may_be_off(client: redis.Redis) -> None:
    clock_us = 1_700_000_000_000_000
    ledger = RedisLedger(client, "account", permit_ttl_seconds=20, keys=KEYS, clock_us=lambda: clock_us)
    ledger.load(LedgerState(1, (QuotaWindow(Window(1, 60)),)), margin_us=250_000, drift=0.001)
    ledger.settle(_granted(ledger, "a")[0], Outcome.COUNTED)
    assert ledger.acquire(["b"], Lane.BACKFILL) == Wait(wait_ms=60_310, ahead=0)


def test_a_clock_that_goes_back_fences_the_ledger(client: redis.Redis) -> None:
    clock_us = 1_700_000_000_000_000
    ledger = RedisLedger(client, "account", permit_ttl_seconds=20, keys=KEYS, clock_us=lambda: clock_us)
    ledger.load(LedgerState(1, (QuotaWindow(Window(2, 60)),)))
    _granted(ledger, "a")
    clock_us -= 500_000
    _granted(ledger, "b")
    clock_us -= 2_000_000
    assert ledger.acquire(["c"], Lane.BACKFILL) == Fenced("the clock went back")
    assert not ledger.is_intact(1)


def _journal_of(permits: int, between: Callable[[int], object] = lambda number: None) -> Iterator[JournaledPermit]:
    """Permits of the last seconds, one a millisecond; `between` is called before each."""
    for number in range(permits):
        between(number)
        yield JournaledPermit(f"p{number}", number * 1000, False)


def test_a_journal_of_any_size_is_loaded_piece_by_piece(client: redis.Redis) -> None:
    ledger = RedisLedger(client, "account", permit_ttl_seconds=20, keys=KEYS)
    sizes: set[int] = set()
    state = LedgerState(
        1,
        (QuotaWindow(Window(12_001, 86_400)),),
        permits=_journal_of(12_000, lambda _: sizes.add(client.zcard(KEYS.loading("account", 1)))),
    )
    ledger.load(state)
    assert sizes == {0, 5000, 10_000}
    assert client.zcard(KEYS.permits("account")) == 12_000
    assert not client.exists(KEYS.loading("account", 1))
    _granted(ledger, "the last one")
    assert isinstance(ledger.acquire(["one more"], Lane.BACKFILL), Wait)


def test_what_is_being_loaded_has_a_time_to_live(ledger: RedisLedger, client: redis.Redis) -> None:
    lifetimes: set[bool] = set()
    loading = KEYS.loading("account", 2)
    permits = _journal_of(5001, lambda number: number < 5000 or lifetimes.add(0 < client.pttl(loading) <= 60_000))
    ledger.load(LedgerState(2, (QuotaWindow(Window(5, 60)),), permits=permits))
    assert lifetimes == {True}


@pytest.mark.parametrize("loss", ["emptied", "replaced"])
def test_a_server_that_changes_while_it_is_loaded_is_not_put_in_charge(
    ledger: RedisLedger, client: redis.Redis, redis_server: RedisServer, loss: str
) -> None:
    def change(number: int) -> None:
        if number == 6000 and loss == "emptied":
            client.flushall()
        elif number == 6000:  # Becoming a replica for a moment gives it another replication id.
            client.replicaof("127.0.0.1", redis_server.port)
            client.replicaof("NO", "ONE")

    state = LedgerState(2, (QuotaWindow(Window(20_000, 60)),), permits=_journal_of(7000, change))
    with pytest.raises(RedisUnavailable, match="was replaced"):
        ledger.load(state)
    assert not ledger.is_intact(2)


@pytest.mark.parametrize("path", sorted(SCRIPTS_DIRECTORY.glob("*.lua")), ids=lambda path: path.stem)
def test_every_script_begins_with_its_purpose_keys_and_reply(path: object) -> None:
    header = path.read_text().split("\n\n")[0]  # type: ignore[attr-defined]
    assert header.startswith("-- ")
    for word in ("-- KEYS  1 ", "-- Reply "):
        assert word in header
