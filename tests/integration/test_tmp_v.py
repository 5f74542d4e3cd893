"""Random histories of two workers, a Redis that fails in every way, and a Postgres that goes away or whose answers get
lost: whatever happens in whatever order, the server's own log would have refused nothing."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test
from ledger_harness import START_US, TTL_SECONDS, Clock

from bench.limiter_judge import refused
from resources.errors import LedgerUnavailable, RedisUnavailable, StoreUnavailable
from resources.failover_ledger import FailoverLedger
from resources.ledger_custody import LedgerRow
from resources.permits import Lane, Outcome, Permit, Window
from resources.postgres import Connection, Database
from resources.postgres_ledger import PostgresLedger
from resources.redis_keys import RedisKeys
from resources.redis_ledger import RedisLedger
from resources.services import RedisServer

WINDOWS = Window.parse_all("3/10s,5/40s")
TTL_US = round(TTL_SECONDS * 1_000_000)
USE_WITHIN_US = 4_000_000
_numbers = itertools.count()


class UnreliableRedis(RedisLedger):
    """`mode` says what becomes of the next commands: ok, cut off, executed but unanswered, or executed much later."""

    mode = "ok"
    late: list[Callable[[], Any]]

    def _run(self, name: str, keys: list[str], args: list[Any]) -> Any:
        def command() -> Any:
            return RedisLedger._run(self, name, keys, args)

        if self.mode == "late":
            self.late.append(command)
        if self.mode in ("cut", "late"):
            raise RedisUnavailable("no connection")
        reply = command()
        if self.mode == "unanswered":
            raise RedisUnavailable("no answer")
        return reply


class UnreliablePostgres(Database):
    """`mode` says what becomes of the next transactions: ok, away, or committed but unanswered."""

    mode = "ok"

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        if self.mode == "away":
            raise StoreUnavailable("no connection")
        with super().transaction() as connection:
            yield connection
        if self.mode == "unanswered":
            raise StoreUnavailable("no answer to the commit")


@dataclass
class Request:
    """A request that was sent: it reaches the server between `sent_us` and its answer, or until `latest_us`."""

    worker: int
    permit: Permit
    sent_us: int
    latest_us: int
    arrival_us: int
    answered: bool = False


class FailoverMachine(RuleBasedStateMachine):
    """The machine keeps what was sent, and judges it in the end."""

    def __init__(self, redis_url: str, database_url: str) -> None:
        super().__init__()
        self.clock = Clock()
        self.number = next(_numbers)
        self.names = itertools.count()
        self.requests: list[Request] = []
        self.waiting: list[list[str]] = [[], []]
        self.late: list[Callable[[], Any]] = []
        self.client = redis.Redis.from_url(redis_url, decode_responses=True)
        self.databases = [UnreliablePostgres(database_url, max_connections=1) for _ in range(2)]
        self.redis: list[UnreliableRedis] = []
        self.rows: list[LedgerRow] = []
        self.workers = [self._worker(index) for index in range(2)]

    def _worker(self, index: int) -> FailoverLedger:
        account = f"failover{self.number}"
        redis_ledger = UnreliableRedis(
            self.client, account, permit_ttl_seconds=TTL_SECONDS, keys=RedisKeys(account), clock_us=self.clock
        )
        redis_ledger.late = self.late
        row = LedgerRow(self.databases[index], account, fallback_windows=WINDOWS, clock_us=self.clock)
        self.redis.append(redis_ledger)
        self.rows.append(row)
        postgres_ledger = PostgresLedger(row, permit_ttl_seconds=TTL_SECONDS)
        return FailoverLedger(
            redis_ledger, postgres_ledger, row, recovery_seconds=1e-9, monotonic=lambda: self.clock.us / 1e6
        )

    @rule(worker=st.integers(0, 1), again=st.booleans())
    def ask(self, worker: int, again: bool) -> None:
        names = self.waiting[worker]
        name = names.pop(0) if again and names else f"r{next(self.names)}"
        try:
            answer = self.workers[worker].acquire([name], Lane.BACKFILL)
        except LedgerUnavailable:
            names.append(name)
            return
        if not isinstance(answer, tuple):
            names.append(name)
            return
        (permit,) = answer
        if permit.age_us > USE_WITHIN_US:
            self._settle(worker, permit, Outcome.NOT_COUNTED)
            return
        granted_us = self.clock.us - permit.age_us
        self.requests.append(Request(worker, permit, self.clock.us, granted_us + TTL_US, self.clock.us))

    def _settle(self, worker: int, permit: Permit, outcome: Outcome) -> None:
        try:
            self.workers[worker].settle(permit, outcome)
        except LedgerUnavailable:
            return

    def _open(self) -> list[Request]:
        return [r for r in self.requests if not r.answered and r.latest_us >= self.clock.us]

    @precondition(lambda self: self._open())
    @rule(data=st.data(), share=st.floats(0, 1))
    def answer(self, data: st.DataObject, share: float) -> None:
        request = data.draw(st.sampled_from(self._open()))
        request.answered = True
        request.arrival_us = request.sent_us + round(share * (self.clock.us - request.sent_us))
        self._settle(request.worker, request.permit, Outcome.COUNTED)

    @precondition(lambda self: self._open())
    @rule(data=st.data())
    def not_counted(self, data: st.DataObject) -> None:
        request = data.draw(st.sampled_from(self._open()))
        self.requests.remove(request)
        self._settle(request.worker, request.permit, Outcome.NOT_COUNTED)

    @rule(half_us=st.one_of(st.integers(1, 500_000), st.integers(1, 6_000_000)))
    def time_passes(self, half_us: int) -> None:
        self.clock.us += 2 * half_us

    @rule(worker=st.integers(0, 1), mode=st.sampled_from(["ok", "ok", "cut", "unanswered", "late"]))
    def redis_changes(self, worker: int, mode: str) -> None:
        self.redis[worker].mode = mode

    @rule(worker=st.integers(0, 1), mode=st.sampled_from(["ok", "ok", "ok", "away", "unanswered"]))
    def postgres_changes(self, worker: int, mode: str) -> None:
        self.databases[worker].mode = mode

    @rule()
    def all_is_well_for_once(self) -> None:
        for part in (*self.redis, *self.databases):
            part.mode = "ok"

    @precondition(lambda self: self.late)
    @rule(data=st.data())
    def a_late_command_arrives(self, data: st.DataObject) -> None:
        command = self.late.pop(data.draw(st.integers(0, len(self.late) - 1)))
        command()

    @rule(part=st.sampled_from(["permits", "epoch", "all"]))
    def redis_forgets(self, part: str) -> None:
        pattern = f"failover{self.number}:*" if part == "all" else f"failover{self.number}:{part}:*"
        for key in self.client.scan_iter(pattern):
            self.client.delete(key)

    @rule(worker=st.integers(0, 1))
    def redis_is_filled_anew(self, worker: int) -> None:
        try:
            self.rows[worker].give_to(self.redis[worker], even_if_intact=True)
        except StoreUnavailable:
            return

    def teardown(self) -> None:
        for database in self.databases:
            database.close()
        self.client.close()
        arrivals = [(request.arrival_us - START_US) / 1e6 for request in self.requests]
        assert refused(arrivals, [(window.limit, window.seconds - 1e-6) for window in WINDOWS]) == 0


def test_no_history_of_failures_grants_too_much(
    redis_server: RedisServer, redis_client: redis.Redis, database_url: str
) -> None:
    class Machine(FailoverMachine):
        def __init__(self) -> None:
            super().__init__(redis_server.url, database_url)

    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=40,
            stateful_step_count=50,
            deadline=None, verbosity=__import__("hypothesis").Verbosity.verbose,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.parametrize("mode", ["unanswered", "late"])
def test_a_rebuild_without_an_answer_leaves_postgres_in_charge(
    redis_server: RedisServer, redis_client: redis.Redis, database_url: str, mode: str
) -> None:
    machine = FailoverMachine(redis_server.url, database_url)
    machine.redis[0].mode = mode
    answer = machine.workers[0].acquire(["a"], Lane.BACKFILL)
    assert isinstance(answer, tuple)
    assert answer[0].holder == "postgres"
    machine.teardown()
