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
    arrival_us: int
    settled_us: int | None = None
    given_back: bool = False

    @property
    def ages_from_us(self) -> int:
        return self.granted_us + TTL_US if self.settled_us is None else self.settled_us


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

    # --- the model ---

    @property
    def now_us(self) -> int:
        return self.bench.clock.us

    def _room(self, window: Window, lane: Lane) -> int:
        return window.limit if lane is Lane.PRIORITY else max(1, window.limit - int(window.limit * RESERVE_SHARE))

    def _young(self, window: Window) -> int:
        oldest_us = self.now_us - window.seconds * 1_000_000
        return sum(not p.given_back and p.ages_from_us > oldest_us for p in self.permits.values())

    def _ask(self, waiter: ModelWaiter) -> None:
        self.line = [other for other in self.line if other.deadline_us > self.now_us]
        ahead = sum(other.order < waiter.order for other in self.line)
        may_go = all(self._young(w) + ahead < self._room(w, waiter.lane) for w in self.windows)
        answer = self.bench.ask(waiter.name, waiter.lane)
        assert isinstance(answer, tuple) == may_go, f"model says {may_go}, ledger {answer}"
        self.line = [other for other in self.line if other.name != waiter.name]
        if isinstance(answer, tuple):
            self.permits[waiter.name] = ModelPermit(self.now_us, self.now_us)
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
        flying = [name for name, p in self.permits.items() if p.settled_us is None and not p.given_back]
        return [name for name in flying if self.now_us <= self.permits[name].granted_us + TTL_US]

    @precondition(lambda self: self._in_flight())
    @rule(data=st.data(), share=st.floats(0, 1))
    def an_answer_comes(self, data: st.DataObject, share: float) -> None:
        name = data.draw(st.sampled_from(self._in_flight()))
        permit = self.permits[name]
        permit.settled_us = self.now_us
        permit.arrival_us = permit.granted_us + round(share * (self.now_us - permit.granted_us))
        self.bench.settle(name)

    @precondition(lambda self: self._in_flight())
    @rule(data=st.data())
    def a_permit_is_given_back(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(self._in_flight()))
        self.permits[name].given_back = True
        self.bench.settle(name, outcome=Outcome.NOT_COUNTED)

    @rule(half_us=st.one_of(st.integers(1, 500_000), st.integers(1, 20_000_000)))
    def time_passes(self, half_us: int) -> None:
        target_us = self.now_us + 2 * half_us
        # Not to the very moment at which a waiter's time is up: see `_ask`.
        for waiter in self.line:
            if abs(waiter.deadline_us - target_us) <= 2000:
                target_us = waiter.deadline_us + 2002
        self.bench.clock.us = target_us + target_us % 2

    @precondition(lambda self: self.line)
    @rule()
    def the_first_in_line_comes_when_told(self) -> None:
        first = min(self.line, key=lambda waiter: waiter.order)
        told_us = first.deadline_us - GRACE_US
        if told_us > self.now_us:
            self.bench.clock.us = told_us + told_us % 2
            self._ask(first)

    @precondition(lambda self: isinstance(self.bench.ledger, RedisLedger))
    @rule(client_forgets=st.booleans())
    def redis_is_rebuilt(self, client_forgets: bool) -> None:
        ledger: Any = self.bench.ledger
        if client_forgets:
            keys = [ledger._permits, ledger._epoch, ledger._windows, *ledger._waiters]
            ledger._client.delete(*keys)
            self.line.clear()
            assert isinstance(ledger.acquire(["stranger"], Lane.PRIORITY), Fenced)
        self.epoch += 1
        known = tuple(
            JournaledPermit(name, self.now_us - p.ages_from_us, p.settled_us is None)
            for name, p in self.permits.items()
            if not p.given_back
        )
        ledger.load(LedgerState(self.epoch, self.bench.windows, permits=known))

    def teardown(self) -> None:
        """Every request that was sent must have been admitted by the server, wherever in its flight it arrived."""
        arrivals = [p.arrival_us / 1e6 - START_US / 1e6 for p in self.permits.values() if not p.given_back]
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
