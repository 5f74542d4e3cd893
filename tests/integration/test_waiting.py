"""Waiters on a real Redis: what is announced to them, what they ask, and what the dead cost the living.

In simulated time, where what is announced is read after each call; and with real processes that are killed.
"""

from __future__ import annotations

import heapq
import itertools
import multiprocessing
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import pytest
import redis

from bench.limiter.judge import refused
from courtlistener_assets.devkit.servers.redis_server import RedisServer
from resources.connections.redis_address import connect, subscribe
from resources.connections.redis_keys import RedisKeys
from resources.dagster_resources import PostgresResource, RedisRateLimitResource, RedisResource
from resources.errors import NotSent
from resources.quota.limiter import RateLimiter
from resources.quota.permits import Decision, Lane, LedgerState, Outcome, Patience, Permit, ServerWindow, Wait, Window
from resources.quota.redis_ledger import RedisLedger
from resources.quota.turns import Line, Seat
from tests.integration.ledger_harness import TTL_SECONDS, Clock, quotas

KEYS = RedisKeys("waiting")
LISTENING = Patience(listening=True)


@dataclass
class Radio:
    """A ledger whose callers hear announcements, its clock, and what was announced since it was last asked."""

    clock: Clock
    ledger: RedisLedger
    subscription: redis.client.PubSub
    permits: dict[str, Permit] = field(default_factory=dict)

    def load(self, windows: str, epoch: int = 1, *, keep_waiters: bool = True) -> None:
        self.ledger.load(LedgerState(epoch, quotas(windows), keep_waiters=keep_waiters))

    def ask(self, name: str, lane: Lane = Lane.BACKFILL, patience: Patience = LISTENING) -> Decision:
        answer = self.ledger.acquire([name], lane, patience=patience)
        if isinstance(answer, tuple):
            self.permits[name] = answer[0]
        return answer

    def grant(self, *names: str) -> None:
        for name in names:
            assert isinstance(self.ask(name), tuple)

    def wait(self, name: str, lane: Lane = Lane.BACKFILL, patience: Patience = LISTENING) -> Wait:
        answer = self.ask(name, lane, patience)
        assert isinstance(answer, Wait)
        return answer

    def settle(self, name: str, outcome: Outcome = Outcome.COUNTED) -> None:
        self.ledger.settle(self.permits[name], outcome)

    def messages(self) -> Iterator[str]:
        """What was announced since the last time: how long the others are to wait, and who may go after how long."""
        self.subscription.ping()
        while (message := self.subscription.get_message(timeout=5.0)) and message["type"] != "pong":
            if message["type"] == "message":
                yield message["data"]

    def heard(self) -> list[str]:
        """The same, times in milliseconds."""
        words = [message.split() for message in self.messages()]
        return [" ".join(word if i % 2 else str(int(word) // 1000) for i, word in enumerate(each)) for each in words]


@pytest.fixture
def client(redis_server: RedisServer, redis_client: redis.Redis) -> Iterator[redis.Redis]:
    assert redis_client.ping()
    client = connect(redis_server.url, timeout_seconds=5.0)
    yield client
    client.close()


@pytest.fixture
def radio(client: redis.Redis) -> Iterator[Radio]:
    clock = Clock()
    ledger = RedisLedger(client, "account", permit_ttl_seconds=TTL_SECONDS, keys=KEYS, clock_us=clock)
    subscription = subscribe(client, KEYS.turns("account"))
    radio = Radio(clock, ledger, subscription)
    radio.heard()
    yield radio
    subscription.close()


# --- what is announced ---


def test_a_grant_announces_the_next_in_line_and_when_it_may_go(radio: Radio) -> None:
    radio.load("1/10s")
    radio.heard()
    radio.grant("a")
    radio.settle("a")
    assert radio.wait("b").look_us == 10_000_000
    assert radio.wait("c").look_us == 11_500_000
    assert radio.heard() == []
    radio.clock.advance(10)
    radio.grant("b")
    # While its request is under way, the turn of `c` is as late as it can become; its answer makes it certain.
    assert radio.heard() == ["31500 c 30000"]
    radio.clock.advance(0.5)
    radio.settle("b")
    assert radio.heard() == ["11500 c 10000"]


def test_those_who_may_go_at_the_same_time_are_announced_together(radio: Radio) -> None:
    radio.load("3/10s")
    radio.grant("a", "b", "c")
    for name in "abc":
        radio.settle(name)
        radio.clock.advance(0.004)
    for name in "defg":
        radio.wait(name)
    radio.heard()
    radio.clock.advance(9.99)
    radio.grant("d")
    assert radio.heard() == ["1502 e 2 f 6"]


def test_an_answer_that_changes_nobodys_turn_is_not_announced(radio: Radio) -> None:
    radio.load("2/10s")
    radio.grant("a")
    radio.settle("a")
    radio.clock.advance(5)
    radio.grant("b")
    radio.wait("c")
    radio.heard()
    radio.settle("b")
    assert radio.heard() == []


def test_a_permit_that_is_given_back_calls_the_first_in_line(radio: Radio) -> None:
    radio.load("1/10s")
    radio.grant("a")
    radio.wait("b")
    radio.wait("c")
    radio.heard()
    radio.settle("a", Outcome.NOT_COUNTED)
    assert radio.heard() == ["1500 b 0"]
    radio.grant("b")


def test_whoever_leaves_first_place_calls_the_next(radio: Radio) -> None:
    radio.load("1/10s")
    radio.grant("a")
    for name in "bcd":
        radio.wait(name)
    radio.heard()
    radio.ledger.leave(["c"])
    assert radio.heard() == []
    radio.ledger.leave(["b"])
    assert radio.heard() == ["1500 d 0"]
    radio.ledger.leave(["d"])
    assert radio.heard() == []


def test_the_priority_lane_is_first_and_the_others_learn_of_it(radio: Radio) -> None:
    radio.load("1/10s")
    radio.grant("a")
    radio.settle("a")
    radio.wait("b")
    radio.heard()
    radio.clock.advance(4)
    assert radio.wait("retry", Lane.PRIORITY).look_us == 6_000_000
    assert radio.heard() == ["7500 retry 6000"]
    radio.clock.advance(6)
    assert isinstance(radio.ask("retry", Lane.PRIORITY), tuple)


def test_more_room_calls_the_first_in_line(radio: Radio) -> None:
    radio.load("1/3600s")
    radio.grant("a")
    radio.settle("a")
    radio.wait("b")
    radio.wait("c")
    radio.heard()
    radio.load("5/3600s", epoch=2)
    assert radio.heard() == ["1500 b 0"]


def test_those_who_have_lost_their_places_are_all_called(radio: Radio, client: redis.Redis) -> None:
    radio.load("1/10s")
    radio.grant("a")
    radio.wait("b")
    radio.wait("c")
    radio.heard()
    radio.load("1/10s", epoch=2, keep_waiters=False)
    assert radio.heard() == ["1500 * 0"]
    radio.grant("b")
    radio.wait("d")
    client.delete(KEYS.waiter_deadlines("account"))
    radio.wait("c")
    assert radio.heard() == ["1500 * 0"]


def test_after_a_refusal_each_answer_calls_the_first_in_line(radio: Radio) -> None:
    radio.load("9/10s")
    radio.grant("a", "b")
    radio.ledger.hold(0)
    radio.clock.advance(1)
    for name in "cde":
        radio.wait(name)
    radio.heard()
    radio.settle("a")
    assert radio.heard() == ["1500 c 0"]
    assert radio.wait("c").ahead == 0
    radio.settle("b")
    radio.grant("c")
    radio.heard()
    radio.clock.advance(1)
    radio.settle("c")
    assert radio.heard() == ["1500 d 0"]
    radio.grant("d", "e")


# --- the dead ---


def test_a_waiter_that_listens_keeps_its_place_without_asking(radio: Radio) -> None:
    radio.load("1/3600s")
    radio.grant("a")
    radio.settle("a")
    radio.wait("b")
    radio.wait("c")
    radio.clock.advance(3599)
    assert radio.wait("c").ahead == 1


def test_when_the_first_misses_its_turn_all_who_do_not_answer_lose_their_places_at_once(radio: Radio) -> None:
    radio.load("1/10s")
    radio.grant("a")
    radio.settle("a")
    dead = [f"dead{number}" for number in range(40)]
    for name in (*dead, "b", "c"):
        radio.wait(name)
    radio.heard()
    radio.clock.advance(11.5)
    assert radio.wait("c") == Wait(radio.wait("c").wait_ms, ahead=41)
    assert radio.heard() == ["1500 * 0"]
    radio.clock.advance(0.1)
    assert radio.wait("b").look_us == 1_400_000
    assert radio.heard() == []
    radio.clock.advance(1.4)
    assert radio.wait("c").ahead == 1
    assert radio.heard() == ["1500 b 0"]
    radio.grant("b")


def test_the_first_that_was_only_late_keeps_its_place(radio: Radio) -> None:
    radio.load("1/10s")
    radio.grant("a")
    radio.settle("a")
    radio.wait("slow")
    radio.wait("b")
    radio.clock.advance(11.5)
    radio.wait("b")
    radio.clock.advance(1)
    radio.grant("slow")


def test_a_caller_that_would_give_up_waits_until_it_is_known_who_lives(radio: Radio) -> None:
    radio.load("1/10s")
    radio.grant("a")
    radio.settle("a")
    for number in range(16):
        radio.wait(f"dead{number}")
    radio.wait("alive")
    radio.heard()
    radio.clock.advance(10)
    patient = Patience(60, 3, listening=True)
    assert radio.wait("new", patience=patient) == Wait(1500, ahead=17)
    assert radio.heard() == ["1500 * 0"]
    radio.wait("alive")
    radio.clock.advance(1)
    assert radio.wait("new", patience=patient).wait_ms == 500
    radio.clock.advance(0.5)
    told = radio.wait("new", patience=patient)
    assert (told.ahead, told.wait_ms) == (1, 10_000)
    # Whoever has no time to find out is told what is known.
    assert radio.wait("hasty", patience=Patience(1, 3)).wait_ms == 20_000
    radio.grant("alive")


def test_nobody_is_called_because_of_a_caller_that_would_give_up_anyway(radio: Radio) -> None:
    radio.load("1/3600s")
    radio.grant("a")
    radio.wait("b")
    radio.heard()
    assert radio.wait("c", patience=Patience(60, 3, listening=True)).wait_ms > 3_600_000
    assert radio.heard() == []


def test_whoever_does_not_listen_has_a_few_seconds_to_ask_again(radio: Radio) -> None:
    radio.load("1/3600s")
    radio.grant("a")
    radio.settle("a")
    deaf = Patience(silence_seconds=3)
    assert radio.wait("b", patience=deaf).look_us is None
    radio.clock.advance(4.9)
    assert radio.wait("b", patience=deaf).ahead == 0
    radio.clock.advance(5.1)
    assert radio.wait("c", patience=deaf).ahead == 0


def test_where_nothing_may_be_published_everybody_is_told_to_ask(
    radio: Radio, client: redis.Redis, redis_server: RedisServer
) -> None:
    radio.load("1/10s")
    client.execute_command("ACL", "SETUSER", "mute", "on", ">secret", "~*", "&*", "+@all", "-publish")  # type: ignore[no-untyped-call]
    mute = redis.Redis(port=redis_server.port, username="mute", password="secret", decode_responses=True)
    try:
        radio.ledger = RedisLedger(mute, "account", permit_ttl_seconds=TTL_SECONDS, keys=KEYS, clock_us=radio.clock)
        radio.grant("a")
        radio.wait("b")
        radio.settle("a", Outcome.NOT_COUNTED)
        radio.wait("c")
        radio.grant("b")
        assert radio.wait("c").look_us is None
    finally:
        client.execute_command("ACL", "DELUSER", "mute")  # type: ignore[no-untyped-call]
        mute.close()


# --- a whole line, in simulated time ---


class Simulation:
    """Greedy workers that hear what is announced a little later; every call is counted."""

    def __init__(self, radio: Radio, workers: int, latency: tuple[float, float]) -> None:
        self.radio, self.latency, self.rng = radio, latency, random.Random(1)
        self.line = Line(self._never)
        self.line.listening = True
        self.events: list[tuple[int, int, Callable[[], None]]] = []
        self.numbers = itertools.count()
        self.waiting: dict[str, tuple[Seat, int, int]] = {}
        self.joined: dict[str, int] = {}
        self.grants: list[tuple[int, str, int]] = []
        self.arrivals: list[float] = []
        self.calls = 0
        for worker in range(workers):
            self._in(self.rng.random(), lambda worker=worker: self._begin(worker))  # type: ignore[misc]

    def _never(self) -> redis.client.PubSub:
        raise AssertionError

    def _in(self, seconds: float, what: Callable[[], None]) -> None:
        heapq.heappush(self.events, (self.radio.clock.us + round(seconds * 1e6), next(self.numbers), what))

    def _begin(self, worker: int) -> None:
        name = f"r{len(self.joined)}"
        self.joined[name] = self.radio.clock.us
        self._ask(name, Seat(name, self.line, lambda seconds, alarm: None, lambda: self.radio.clock.us / 1e6), worker)

    def _ask(self, name: str, seat: Seat, worker: int) -> None:
        self.calls += 1
        answer = self.radio.ask(name, patience=seat.patience(1e6))
        if isinstance(answer, Wait):
            seat.answered(answer)
            self._waits(name, seat, worker)
        else:
            self.grants.append((self.radio.clock.us, name, worker))
            seconds = self.rng.uniform(*self.latency)
            self.arrivals.append(self.radio.clock.us / 1e6 + seconds * self.rng.random())
            self._in(seconds, lambda: self._answered(name, worker))
        self._hear()

    def _answered(self, name: str, worker: int) -> None:
        self.calls += 1
        self.radio.settle(name)
        self._hear()
        self._begin(worker)

    def _waits(self, name: str, seat: Seat, worker: int) -> None:
        turn = next(self.numbers)
        self.waiting[name] = (seat, turn, worker)
        assert seat.due is not None

        def due() -> None:
            if self.waiting.get(name, (None, None))[1] == turn:
                del self.waiting[name]
                seat.due = None
                self._ask(name, seat, worker)

        self._in(seat.due - self.radio.clock.us / 1e6 + self.rng.uniform(0.0002, 0.002), due)

    def _hear(self) -> None:
        """Whatever is announced arrives before anything else happens: the network is faster than the workers."""
        for message in self.radio.messages():
            look, *words = message.split()
            turns = {name: int(us) / 1e6 for name, us in zip(words[::2], words[1::2], strict=True)}
            for name, (seat, _, worker) in list(self.waiting.items()):
                seat.announced(turns, int(look) / 1e6)
                self._waits(name, seat, worker)

    def run(self, grants: int) -> None:
        while len(self.grants) < grants:
            self.radio.clock.us, _, what = heapq.heappop(self.events)
            what()


@pytest.mark.parametrize(
    ("windows", "latency", "grants"),
    [
        pytest.param("5/60s", (0.3, 3.0), 120, id="a minute"),
        pytest.param("1/60s", (0.3, 3.0), 60, id="one at a time"),
        pytest.param("5/min,50/hour,125/day", (0.3, 3.0), 200, id="minute, hour and day"),
        pytest.param("40/1s,200/8s", (0.01, 0.11), 640, id="seconds"),
    ],
)
def test_a_permit_costs_three_calls_and_nobody_overtakes(
    radio: Radio, windows: str, latency: tuple[float, float], grants: int
) -> None:
    radio.load(windows)
    simulation = Simulation(radio, 16, latency)
    # All places in line are taken once.
    simulation.run(20)
    before = simulation.calls
    simulation.run(20 + grants)
    assert refused(simulation.arrivals, [(w.window.limit, w.window.seconds) for w in quotas(windows)]) == 0
    assert simulation.calls - before <= 3.2 * grants
    # Those whose turns are milliseconds apart may come in any order.
    latest_us = 0
    for at_us, name, _ in sorted(simulation.grants, key=lambda grant: simulation.joined[grant[1]]):
        assert at_us > latest_us - 20_000, name
        latest_us = max(latest_us, at_us)
    shares = Counter(worker for _, _, worker in simulation.grants[20:])
    assert max(shares.values()) - min(shares.values()) <= max(1, 0.2 * grants / 16)


# --- real threads and processes ---


def _limiter(redis_url: str, database_url: str, rates: str) -> RateLimiter:
    resource = RedisRateLimitResource(
        redis=RedisResource(url=redis_url, prefix=KEYS.prefix, timeout_seconds=5.0),
        postgres=PostgresResource(url=database_url),
        rate_limits=rates,
        max_wait_seconds=1e6,
    )
    return resource.limiter("account", permit_ttl_seconds=10.0)


def _use(limiter: RateLimiter, done: Callable[[float], object]) -> None:
    with limiter.permit():
        done(time.monotonic())


class Waiting:
    """A thread that waits for a permit, and the moment at which it has had it."""

    def __init__(self, limiter: RateLimiter, client: redis.Redis) -> None:
        self._at: list[float] = []
        self._thread = threading.Thread(target=_use, args=(limiter, self._at.append), daemon=True)
        in_line = client.zcard(KEYS.waiters("account"))
        self._thread.start()
        until(lambda: client.zcard(KEYS.waiters("account")) > in_line and listeners(client) > 0)

    def ended_at(self) -> float:
        self._thread.join(30)
        return self._at[0]


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def listeners(client: redis.Redis) -> int:
    [(_, count)] = client.pubsub_numsub(KEYS.turns("account"))
    return int(count)


def test_a_permit_that_is_given_back_is_used_at_once(
    redis_server: RedisServer, client: redis.Redis, database_url: str
) -> None:
    limiter = _limiter(redis_server.url, database_url, "1/1h")
    with suppress(NotSent), limiter.permit():
        waiting = Waiting(limiter, client)
        given_back = time.monotonic()
        raise NotSent
    assert waiting.ended_at() - given_back < 1


def test_more_room_is_used_at_once(redis_server: RedisServer, client: redis.Redis, database_url: str) -> None:
    limiter = _limiter(redis_server.url, database_url, "1/1h")
    _use(limiter, lambda at: None)
    waiting = [Waiting(limiter, client) for _ in range(3)]
    raised = time.monotonic()
    limiter.observe([ServerWindow(Window(5, 3600), 1, blocked=False)])
    assert max(each.ended_at() for each in waiting) - raised < 1


def test_a_subscription_that_breaks_is_made_again(
    redis_server: RedisServer, client: redis.Redis, database_url: str
) -> None:
    limiter = _limiter(redis_server.url, database_url, "1/1h")
    with suppress(NotSent), limiter.permit():
        waiting = Waiting(limiter, client)
        client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")  # type: ignore[no-untyped-call]
        until(lambda: listeners(client) == 1)
        time.sleep(0.1)
        given_back = time.monotonic()
        raise NotSent
    assert waiting.ended_at() - given_back < 1
    assert limiter.granted == {"redis": 2}


def test_whoever_may_not_subscribe_waits_by_the_told_time(
    redis_server: RedisServer, client: redis.Redis, database_url: str
) -> None:
    client.execute_command("ACL", "SETUSER", "deaf", "on", ">secret", "~*", "+@all", "-subscribe")  # type: ignore[no-untyped-call]
    try:
        limiter = _limiter(redis_server.url.replace("redis://", "redis://deaf:secret@"), database_url, "1/1s")
        for _ in range(2):
            _use(limiter, lambda at: None)
        assert limiter.granted == {"redis": 2}
    finally:
        client.execute_command("ACL", "DELUSER", "deaf")  # type: ignore[no-untyped-call]


def test_a_line_that_is_killed_costs_the_living_a_few_seconds_together(
    redis_server: RedisServer, client: redis.Redis, database_url: str
) -> None:
    limiter = _limiter(redis_server.url, database_url, "1/2s")
    _use(limiter, lambda at: None)

    def wait_in_threads() -> None:
        mine = _limiter(redis_server.url, database_url, "1/2s")
        for _ in range(12):
            threading.Thread(target=_use, args=(mine, lambda at: time.sleep(60))).start()

    process = multiprocessing.get_context("fork").Process(target=wait_in_threads)
    process.start()
    until(lambda: client.zcard(KEYS.waiters("account")) == 12)
    living = Waiting(limiter, client)
    os.kill(process.pid or 0, signal.SIGKILL)
    killed = time.monotonic()
    # Two seconds until the slot is free, and three to four for all who are dead; the rest is for a busy machine. If
    # each had two seconds, it would be 26.
    assert living.ended_at() - killed < 10
