"""Clocks that are set while permits are young: of Redis, of Postgres, of both; the worker's own is the third."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
import redis
from ledger_harness import START_US, ask_anew

from resources.connections.postgres import Database
from resources.connections.redis_keys import RedisKeys
from resources.errors import RedisUnavailable
from resources.quota import clocks
from resources.quota.clocks import ClockWatch, tolerance_us
from resources.quota.failover import FailoverLedger
from resources.quota.lease import LeaseStore
from resources.quota.permits import Decision, Outcome, ServerWindow, Wait, Window
from resources.quota.postgres_ledger import PostgresLedger
from resources.quota.redis_ledger import RedisLedger

HOURS = 3_600_000_000


@dataclass
class Clocks:
    """True time, and how far each server's clock is ahead of it, in microseconds."""

    us: int = START_US
    redis: int = 0
    postgres: int = 0

    def advance(self, seconds: float) -> None:
        self.us += round(seconds * 1_000_000)


@dataclass
class World:
    """One account on real servers whose clocks a test sets."""

    client: redis.Redis
    database: Database
    windows: str = "3/hour"
    clocks: Clocks = field(default_factory=Clocks)
    redis_is_away: bool = False
    #: Seconds that a question takes to Postgres, and its answer back.
    there: float = 0.0
    back: float = 0.0

    def read_postgres(self) -> int:
        self.clocks.advance(self.there)
        read = self.clocks.us + self.clocks.postgres
        self.clocks.advance(self.back)
        return read

    def worker(self) -> FailoverLedger:
        world = self

        class Redis(RedisLedger):
            def _ask(self, call, *args):  # type: ignore[no-untyped-def]
                if world.redis_is_away:
                    raise RedisUnavailable("no connection")
                return super()._ask(call, *args)

        clocks = self.clocks
        leases = LeaseStore(
            self.database,
            "account",
            fallback_windows=Window.parse_all(self.windows),
            clock_us=self.read_postgres,
            steady=lambda: clocks.us / 1e6,
        )
        ledger = Redis(
            self.client,
            "account",
            permit_ttl_seconds=20,
            keys=RedisKeys("clocks"),
            clock_us=lambda: clocks.us + clocks.redis,
        )
        postgres = PostgresLedger(leases, permit_ttl_seconds=20)
        return FailoverLedger(ledger, postgres, leases, recovery_seconds=1e-9, monotonic=lambda: clocks.us / 1e6)

    def column(self, name: str) -> object:
        [(value,)] = self.database.rows(f"SELECT {name} FROM courtlistener.ledgers")
        return value


@pytest.fixture
def world(redis_client: redis.Redis, redis_server: object, database: Database) -> World:
    client = redis.Redis.from_url(redis_server.url, decode_responses=True)  # type: ignore[attr-defined]
    return World(client, database)


def ask(worker: FailoverLedger, name: str) -> Decision:
    return ask_anew(worker, name)


def use(worker: FailoverLedger, names: str) -> None:
    for name in names:
        answer = ask(worker, name)
        assert isinstance(answer, tuple), answer
        worker.settle(answer[0], Outcome.COUNTED)


def waits(worker: FailoverLedger, name: str) -> float:
    answer = ask(worker, name)
    assert isinstance(answer, Wait), f"a fourth request within the window: {answer}"
    return answer.wait_ms / 1000


def flush(world: World) -> None:
    for key in world.client.scan_iter("clocks:*"):
        world.client.delete(key)


def test_redis_that_is_a_quarter_of_a_second_ahead_is_seen_in_windows_of_a_second(world: World) -> None:
    world.windows = "3/1s"
    worker = world.worker()
    use(worker, "abc")
    world.clocks.advance(0.8)
    world.clocks.redis += 240_000
    assert 0.15 < waits(worker, "d") < 0.25


@pytest.mark.parametrize("later", [False, True], ids=["at once", "after a while"])
def test_redis_that_jumps_ahead_grants_nothing_for_it(world: World, later: bool) -> None:
    worker = world.worker()
    use(worker, "abc")
    world.clocks.advance(600 if later else 0)
    world.clocks.redis += 2 * HOURS
    assert waits(worker, "d") == pytest.approx(3000 if later else 3600, abs=10)
    assert world.column("holder") == "redis"


def test_both_servers_that_jump_ahead_together_grant_nothing_for_it(world: World) -> None:
    worker = world.worker()
    use(worker, "abc")
    world.clocks.advance(60)
    world.clocks.redis += 2 * HOURS
    world.clocks.postgres += 2 * HOURS
    assert waits(worker, "d") == pytest.approx(3540, abs=10)
    world.clocks.advance(3560)
    use(worker, "d")


def test_postgres_that_jumps_ahead_before_redis_is_filled_from_it(world: World) -> None:
    worker = world.worker()
    use(worker, "abc")
    world.clocks.postgres += 2 * HOURS
    flush(world)
    assert waits(worker, "d") == pytest.approx(3600, abs=10)
    assert world.column("clock_corrected_us") == pytest.approx(2 * HOURS, abs=10)


def test_postgres_that_jumps_ahead_while_it_decides(world: World) -> None:
    world.redis_is_away = True
    worker = world.worker()
    use(worker, "abc")
    world.clocks.postgres += 2 * HOURS
    assert waits(worker, "d") == pytest.approx(3600, abs=10)


def test_a_worker_that_has_just_begun_compares_both_servers(world: World) -> None:
    use(world.worker(), "ab")
    world.clocks.postgres += 2 * HOURS
    use(world.worker(), "c")
    flush(world)
    assert waits(world.worker(), "d") == pytest.approx(3600, abs=10)


def test_two_workers_correct_a_jump_once(world: World) -> None:
    first, second = world.worker(), world.worker()
    use(first, "a")
    use(second, "b")
    world.clocks.postgres += 2 * HOURS
    world.clocks.advance(100)
    use(first, "c")
    world.clocks.advance(100)
    flush(world)
    assert waits(second, "d") == pytest.approx(3400, abs=10)
    assert world.column("clock_corrected_us") == pytest.approx(2 * HOURS, abs=10)


@pytest.mark.parametrize("redis_too", [False, True])
def test_clocks_that_go_back_stop_nobody_from_taking_over(world: World, redis_too: bool) -> None:
    worker = world.worker()
    use(worker, "a")
    world.clocks.postgres -= 2 * HOURS
    world.clocks.redis -= 2 * HOURS if redis_too else 0
    world.redis_is_away = True
    use(worker, "b")
    assert world.column("holder") == "postgres"
    world.redis_is_away = False
    world.clocks.advance(700)
    use(worker, "c")
    assert world.column("holder") == "redis"
    waits(worker, "d")


def test_a_clock_that_goes_back_and_comes_again_ages_nothing(world: World) -> None:
    world.redis_is_away = True
    worker = world.worker()
    use(worker, "a")
    world.clocks.postgres -= 2 * HOURS
    use(worker, "b")
    world.clocks.postgres += 2 * HOURS
    use(worker, "c")
    assert waits(worker, "d") > 3590


def test_redis_that_goes_back_while_a_request_is_under_way_and_comes_again(world: World) -> None:
    world.windows = "1/10s"
    worker = world.worker()
    answer = ask(worker, "a")
    assert isinstance(answer, tuple)
    world.clocks.advance(1.0)
    world.clocks.redis -= 900_000
    worker.settle(answer[0], Outcome.COUNTED, 1_000_000)
    world.clocks.redis += 900_000
    world.clocks.advance(9.5)
    assert waits(worker, "b") > 0.4


def test_postgres_that_goes_back_and_comes_again_before_another_worker_asks(world: World) -> None:
    world.redis_is_away = True
    one, other = world.worker(), world.worker()
    use(other, "a")
    world.clocks.postgres -= 2 * HOURS
    use(one, "b")
    use(one, "c")
    world.clocks.postgres += 2 * HOURS
    assert waits(other, "d") > 3590


@pytest.mark.parametrize("slow", [(0.6, 0.0), (0.0, 0.6), (0.3, 0.3)])
@pytest.mark.parametrize("first", [True, False])
def test_a_server_that_answers_slowly_to_one_worker_has_not_jumped_for_the_next(
    world: World, caplog: pytest.LogCaptureFixture, slow: tuple[float, float], first: bool
) -> None:
    world.windows = "100/hour"
    for name, (world.there, world.back) in zip("abcd", [slow, (0.0, 0.0), slow, (0.0, 0.0)][not first :], strict=False):
        use(world.worker(), name)
    assert world.column("clock_corrected_us") == 0
    assert "jumped" not in caplog.text


def test_a_jump_is_seen_between_slow_answers_and_written_down_once(
    world: World, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clocks, "boot_id", lambda: "")  # It has no more than what it has seen itself.
    world.redis_is_away = True
    world.there = world.back = 0.4
    worker = world.worker()
    use(worker, "abc")
    world.clocks.postgres += 2 * HOURS
    with worker._leases.transaction() as connection:
        worker._leases.lock(connection)
    corrected = world.column("clock_corrected_us")
    # At most by what the two readings took, and no less than it was.
    assert isinstance(corrected, int)
    assert 2 * HOURS <= corrected <= 2 * HOURS + 2_000_000
    world.there = world.back = 0.0
    for other in (worker, world.worker()):
        assert waits(other, "d") > 3580
    assert world.column("clock_corrected_us") == corrected
    assert caplog.text.count("has jumped") == 1


def test_a_worker_that_begins_after_slow_answers_sees_a_jump_as_well(world: World) -> None:
    world.there, world.back = 0.6, 0.2
    use(world.worker(), "abc")
    world.there = world.back = 0.0
    world.clocks.postgres += 2 * HOURS
    flush(world)
    assert waits(world.worker(), "d") == pytest.approx(3600, abs=10)


def test_a_hold_and_the_use_by_others_end_no_earlier_for_a_jump(world: World) -> None:
    worker = world.worker()
    use(worker, "a")
    worker.hold(300.0)
    world.clocks.postgres += 2 * HOURS
    flush(world)
    assert waits(worker, "b") == pytest.approx(300, abs=10)


def test_a_worker_whose_own_clock_stood_still_is_not_corrected_for_ever(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clocks, "boot_id", lambda: "")  # They are on two machines.
    world.windows = "100/hour"
    moved, other = world.worker(), world.worker()
    use(moved, "a")
    use(other, "b")
    world.clocks.advance(10)
    moved._leases.steady = lambda: world.clocks.us / 1e6 - 10
    corrections = []
    for name in "cdefgh":
        world.clocks.advance(60)
        use(moved, name)
        use(other, name.upper())
        corrections.append(world.column("clock_corrected_us"))
    assert corrections == [10_000_000] * 6


def test_a_reading_by_a_clock_that_has_gone_back_since_is_taken_again(world: World) -> None:
    worker = world.worker()
    world.clocks.postgres += 2 * HOURS
    assert worker.claim_observation(600.0)
    worker.observe([ServerWindow(Window(3, 3600), 0, blocked=False)], age_seconds=lambda: 0.0)
    world.clocks.postgres -= 2 * HOURS
    world.clocks.advance(660)
    assert [worker.claim_observation(600.0) for _ in range(2)] == [True, False]
    worker.observe([ServerWindow(Window(3, 3600), 0, blocked=False)], age_seconds=lambda: 0.0)
    assert not worker.claim_observation(600.0)


def test_slow_answers_are_no_jumps() -> None:
    watch, tolerance = ClockWatch(), tolerance_us(60)
    for asked, took in ((0.0, 0.001), (1.0, 0.4), (2.0, 30.0), (40.0, 0.001), (4000.0, 0.3)):
        # The clock was read at the end of the call, the latest that it can have been.
        assert watch.jump_us(round((asked + took) * 1e6), asked, asked + took, tolerance) == 0


def test_a_clock_that_is_slewed_by_ntp_is_no_jump() -> None:
    watch, tolerance = ClockWatch(), tolerance_us(60)
    for second in range(0, 100_000, 500):
        assert watch.jump_us(round(second * 1e6 * 1.0004), second, second + 0.001, tolerance) == 0


@pytest.mark.parametrize(("shortest_seconds", "expected"), [(1, 10_000), (60, 250_000), (3600, 250_000), (0, 0)])
def test_the_tolerance_depends_on_the_shortest_window(shortest_seconds: int, expected: int) -> None:
    assert tolerance_us(shortest_seconds) == expected


def test_a_hold_of_hours_ends_when_there_is_room_again(world: World) -> None:
    worker = world.worker()
    use(worker, "a")
    worker.hold(80_000.0)
    world.clocks.advance(2 * 3600)
    assert waits(worker, "b") == 72_800
    asked_us = world.clocks.us
    windows = [ServerWindow(Window(3, 3600), 0, blocked=False)]
    worker.observe(windows, age_seconds=lambda: (world.clocks.us - asked_us) / 1e6)
    use(worker, "c")
