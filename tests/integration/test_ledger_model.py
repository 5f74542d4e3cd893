"""Both ledgers against an exact model of the rule, and against the server's own sliding log, over random histories."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test
from ledger_harness import START_US, TTL_SECONDS, Bench, postgres_bench, redis_bench

from bench.limiter.judge import refused
from resources.quota.permits import Fenced, JournaledPermit, Lane, LedgerState, Outcome, Wait, Window
from resources.quota.redis_ledger import RedisLedger

WINDOWS = "3/10s,5/30s,8/100s"
RESERVE_SHARE = 0.25
TTL_US = round(TTL_SECONDS * 1_000_000)
GRACE_US = 2_000_000
_numbers = itertools.count()


@dataclass
class ModelPermit:
    granted_us: int
    lane: Lane
    arrival_us: int
    settled_us: int | None = None
    outcome: Outcome | None = None

    @property
    def ages_from_us(self) -> int:
        """The latest moment at which the server can have logged the request, as far as we know."""
        if self.outcome is Outcome.COUNTED:
            assert self.settled_us is not None
            return self.settled_us
        return max(self.granted_us + TTL_US, self.settled_us or 0)


@dataclass
class ModelWaiter:
    name: str
    lane: Lane
    ticket: int
    deadline_us: int = 0

    @property
    def order(self) -> tuple[bool, int]:
        return (self.lane is not Lane.PRIORITY, self.ticket)


class LedgerMachine(RuleBasedStateMachine):
    """Workers come, wait, send, answer, die and leave; the ledger must agree with the model at every step."""

    def __init__(self, make: Callable[[int], Bench]) -> None:
        super().__init__()
        self.bench = make(next(_numbers))
        self.windows = Window.parse_all(WINDOWS)
        self.permits: dict[str, ModelPermit] = {}
        self.line: list[ModelWaiter] = []
        self.tickets = itertools.count()
        self.epoch = 1
        self.held_until_us = 0
        self.refused_us: int | None = None

    # --- the model ---

    @property
    def now_us(self) -> int:
        return self.bench.clock.us

    def _has_room(self, window: Window, lane: Lane, needed: int) -> bool:
        oldest_us = self.now_us - window.seconds * 1_000_000
        lanes = [p.lane for p in self._held() if p.ages_from_us > oldest_us]
        kept = max(0, int(window.limit * RESERVE_SHARE) - lanes.count(Lane.PRIORITY))
        return len(lanes) + needed <= window.limit - (0 if lane is Lane.PRIORITY else kept)

    def _may_probe(self, needed: int) -> bool:
        """Whether what was answered since the last refusal allows so many more at once."""
        if self.refused_us is None or self.now_us - self.refused_us >= 3600 * 1_000_000:
            return True
        in_flight = sum(p.ages_from_us > self.now_us for p in self._held())
        return in_flight + needed <= 1 + self._answered()

    def _answered(self) -> int:
        refused_us = self.refused_us or 0
        return sum(p.outcome is Outcome.COUNTED and p.granted_us > refused_us for p in self.permits.values())

    def _held(self) -> list[ModelPermit]:
        return [p for p in self.permits.values() if p.outcome is not Outcome.NOT_COUNTED]

    def _ask(self, waiter: ModelWaiter) -> None:
        self.line = [other for other in self.line if other.deadline_us > self.now_us]
        ahead = sum(other.order < waiter.order for other in self.line)
        may_go = (
            self.now_us >= self.held_until_us
            and self._may_probe(ahead + 1)
            and all(self._has_room(window, waiter.lane, ahead + 1) for window in self.windows)
        )
        answer = self.bench.ask(waiter.name, waiter.lane)
        assert isinstance(answer, tuple) == may_go, f"model says {may_go}, ledger {answer}"
        self.line = [other for other in self.line if other.name != waiter.name]
        if isinstance(answer, tuple):
            self.permits[waiter.name] = ModelPermit(self.now_us, waiter.lane, self.now_us)
        else:
            assert isinstance(answer, Wait)
            assert answer.ahead == ahead
            assert answer.wait_ms > 0
            self.line.append(waiter)
            # Deadlines are kept to the microsecond, waits are told in milliseconds: stay clear of the difference.
            waiter.deadline_us = self.now_us + answer.wait_ms * 1000 + GRACE_US

    # --- what workers do ---

    @rule(lane=st.sampled_from([Lane.BACKFILL, Lane.BACKFILL, Lane.PRIORITY]))
    def a_worker_asks(self, lane: Lane) -> None:
        ticket = next(self.tickets)
        self._ask(ModelWaiter(f"w{ticket}", lane, ticket))

    @precondition(lambda self: self.line)
    @rule(data=st.data())
    def a_waiter_asks_again(self, data: st.DataObject) -> None:
        waiter = data.draw(st.sampled_from(self.line))
        if waiter.deadline_us - 2000 > self.now_us:
            self._ask(waiter)

    @precondition(lambda self: self.line)
    @rule(data=st.data())
    def a_waiter_leaves(self, data: st.DataObject) -> None:
        waiter = data.draw(st.sampled_from(self.line))
        self.line.remove(waiter)
        self.bench.ledger.leave([waiter.name])

    def _in_flight(self) -> list[str]:
        flying = [name for name, p in self.permits.items() if p.outcome is None]
        return [name for name in flying if self.now_us <= self.permits[name].granted_us + TTL_US]

    @precondition(lambda self: self._in_flight())
    @rule(data=st.data(), share=st.floats(0, 1))
    def an_answer_comes(self, data: st.DataObject, share: float) -> None:
        name = data.draw(st.sampled_from(self._in_flight()))
        self._settle(name, Outcome.COUNTED, share)

    @precondition(lambda self: self._in_flight())
    @rule(data=st.data(), share=st.floats(0, 1))
    def no_answer_comes(self, data: st.DataObject, share: float) -> None:
        self._settle(data.draw(st.sampled_from(self._in_flight())), Outcome.UNANSWERED, share)

    def _settle(self, name: str, outcome: Outcome, share: float) -> None:
        """The request was logged, if it was, when so much of the time had passed in which that can be."""
        permit = self.permits[name]
        permit.settled_us, permit.outcome = self.now_us, outcome
        permit.arrival_us = permit.granted_us + round(share * (permit.ages_from_us - permit.granted_us))
        self.bench.settle(name, outcome=outcome)

    @precondition(lambda self: self._in_flight())
    @rule(data=st.data())
    def a_permit_is_given_back(self, data: st.DataObject) -> None:
        self._settle(data.draw(st.sampled_from(self._in_flight())), Outcome.NOT_COUNTED, 0)

    @rule(half_us=st.integers(0, 5_000_000))
    def the_server_refuses_a_request(self, half_us: int) -> None:
        self.bench.hold(half_us / 500_000)
        self.refused_us = self.now_us
        self.held_until_us = max(self.held_until_us, self.now_us + 2 * half_us)
        self.bench.clock.us += 2

    @rule(half_us=st.one_of(st.integers(1, 500_000), st.integers(1, 20_000_000)))
    def time_passes(self, half_us: int) -> None:
        target_us = self.now_us + 2 * half_us
        # Not to the very moment at which a waiter's time is up: see `_ask`.
        for waiter in self.line:
            if abs(waiter.deadline_us - target_us) <= 2000:
                target_us = waiter.deadline_us + 2002
        self._move_to(target_us)

    def _move_to(self, target_us: int) -> None:
        """A permit in flight ages from a microsecond later in Redis than in Postgres: never to that very moment."""
        ends = {p.granted_us + TTL_US for p in self._held() if p.outcome is not Outcome.COUNTED}
        target_us += target_us % 2
        while any(target_us - window_us in ends for window_us in (0, *(w.seconds * 1_000_000 for w in self.windows))):
            target_us += 2
        self.bench.clock.us = target_us

    @precondition(lambda self: self.line)
    @rule()
    def the_first_in_line_comes_when_told(self) -> None:
        first = min(self.line, key=lambda waiter: waiter.order)
        told_us = first.deadline_us - GRACE_US
        if told_us > self.now_us:
            self._move_to(told_us)
            self._ask(first)

    @precondition(lambda self: isinstance(self.bench.ledger, RedisLedger))
    @rule(client_forgets=st.booleans())
    def redis_is_rebuilt(self, client_forgets: bool) -> None:
        ledger: Any = self.bench.ledger
        if client_forgets:
            keys = [ledger._permits, ledger._priority, ledger._epoch, *ledger._waiters]
            ledger._client.delete(*keys)
            self.line.clear()
            assert isinstance(ledger.acquire(["stranger"], Lane.PRIORITY), Fenced)
        self.epoch += 1
        known = tuple(
            JournaledPermit(name, self.now_us - p.ages_from_us, p.outcome is None, p.lane is Lane.PRIORITY)
            for name, p in self.permits.items()
            if p.outcome is not Outcome.NOT_COUNTED
        )
        ledger.load(
            LedgerState(
                self.epoch,
                self.bench.windows,
                hold_us=max(0, self.held_until_us - self.now_us),
                permits=known,
                throttled_us_ago=None if self.refused_us is None else self.now_us - self.refused_us,
                answered=self._answered(),
            )
        )

    def teardown(self) -> None:
        """Every request that was sent must have been admitted by the server, wherever in its flight it arrived."""
        arrivals = [p.arrival_us / 1e6 - START_US / 1e6 for p in self._held()]
        assert refused(arrivals, [(w.limit, w.seconds) for w in self.windows]) == 0


@pytest.mark.parametrize("holder", ["redis", "postgres"])
def test_the_ledger_does_exactly_what_the_rule_says(holder: str, request: pytest.FixtureRequest) -> None:
    def make(number: int) -> Bench:
        if holder == "redis":
            server = request.getfixturevalue("redis_server")
            client = redis.Redis.from_url(server.url, decode_responses=True)
            return redis_bench(client, WINDOWS, prefix=f"model{number}", reserve_share=RESERVE_SHARE)
        database = request.getfixturevalue("database")
        return postgres_bench(database, WINDOWS, account=f"model{number}", reserve_share=RESERVE_SHARE)

    run_state_machine_as_test(
        partial(LedgerMachine, make),
        settings=settings(
            max_examples=60 if holder == "redis" else 25,
            stateful_step_count=40,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
