"""Random histories of two workers, a Redis that fails in every way, and a Postgres that goes away or whose answers get
lost: whatever happens in whatever order, the server's own log would have refused nothing."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ledger_harness import START_US, Clock
from redis.commands.core import Script

from bench.limiter.judge import refused
from courtlistener_assets.devkit.servers.redis_server import RedisServer
from resources.connections.postgres import Connection, Database
from resources.connections.redis_keys import RedisKeys
from resources.errors import LedgerUnavailable, RedisUnavailable, StoreUnavailable
from resources.quota.failover import FailoverLedger
from resources.quota.lease import LeaseStore
from resources.quota.permits import Lane, Outcome, Permit, Wait, Window
from resources.quota.postgres_ledger import PostgresLedger
from resources.quota.redis_ledger import RedisLedger

WINDOWS = Window.parse_all("4/8s,6/20s")
TTL_SECONDS = 8.0
TTL_US = round(TTL_SECONDS * 1_000_000)
USE_WITHIN_US = 2_000_000
_numbers = itertools.count()


class UnreliableRedis(RedisLedger):
    """`mode` says what becomes of the next scripts: ok, cut off, executed but unanswered, or executed much later."""

    mode = "ok"
    late: list[Callable[[], Any]]

    def _ask(self, call: Callable[..., Any], *args: Any) -> Any:
        def command() -> Any:
            return RedisLedger._ask(self, call, *args)

        if not isinstance(call, Script):
            return command()
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
    def transaction(self, **options: Any) -> Iterator[Connection]:
        if self.mode == "away":
            raise StoreUnavailable("no connection")
        with super().transaction(**options) as connection:
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


#: What happens next, with a worker (or anything else to choose) and a share (of time, for example).
STEP = st.tuples(
    st.sampled_from(
        ["ask"] * 8
        + ["answer"] * 4
        + ["time_passes"] * 5
        + ["redis_changes", "postgres_changes", "all_is_well"] * 2
        + ["not_counted", "a_late_command_arrives", "redis_forgets", "redis_is_filled_anew"]
    ),
    st.integers(0, 11),
    st.floats(0, 1),
)


class History:
    """Two workers and their servers; remembers what was sent."""

    def __init__(self, redis_url: str, database_url: str) -> None:
        self.clock = Clock()
        self.number = next(_numbers)
        self.names = itertools.count()
        self.requests: list[Request] = []
        self.waiting: list[list[str]] = [[], []]
        self.late: list[Callable[[], Any]] = []
        self.client = redis.Redis.from_url(redis_url, decode_responses=True)
        self.databases = [UnreliablePostgres(database_url, max_connections=1) for _ in range(2)]
        self.redis: list[UnreliableRedis] = []
        self.rows: list[LeaseStore] = []
        self.workers = [self._worker(index) for index in range(2)]

    def _worker(self, index: int) -> FailoverLedger:
        account = f"failover{self.number}"
        redis_ledger = UnreliableRedis(
            self.client, account, permit_ttl_seconds=TTL_SECONDS, keys=RedisKeys(account), clock_us=self.clock
        )
        redis_ledger.late = self.late
        row = LeaseStore(self.databases[index], account, fallback_windows=WINDOWS, clock_us=self.clock)
        self.redis.append(redis_ledger)
        self.rows.append(row)
        postgres_ledger = PostgresLedger(row, permit_ttl_seconds=TTL_SECONDS)
        return FailoverLedger(
            redis_ledger, postgres_ledger, row, recovery_seconds=1e-9, monotonic=lambda: self.clock.us / 1e6
        )

    def step(self, name: str, choice: int, share: float) -> None:
        getattr(self, name)(choice, share)

    def ask(self, choice: int, share: float) -> None:
        worker = choice % 2
        names = self.waiting[worker]
        name = names.pop(0) if choice > 5 and names else f"r{next(self.names)}"
        try:
            answer = self.workers[worker].acquire([name], Lane.BACKFILL)
        except LedgerUnavailable:
            return  # The id is spent, as it is if a grant was taken back.
        if isinstance(answer, Wait):
            names.append(name)
        if not isinstance(answer, tuple):
            return
        (permit,) = answer
        if permit.age_us > USE_WITHIN_US:
            self._settle(worker, permit, Outcome.NOT_COUNTED)
            return
        granted_us = self.clock.us - permit.age_us
        self.requests.append(Request(worker, permit, self.clock.us, granted_us + TTL_US, self.clock.us))

    def _settle(self, worker: int, permit: Permit, outcome: Outcome) -> None:
        with suppress(LedgerUnavailable):
            self.workers[worker].settle(permit, outcome)

    def _open(self) -> list[Request]:
        return [r for r in self.requests if not r.answered and r.latest_us >= self.clock.us]

    def answer(self, choice: int, share: float) -> None:
        for request in self._open()[choice : choice + 1]:
            request.answered = True
            request.arrival_us = request.sent_us + round(share * (self.clock.us - request.sent_us))
            self._settle(request.worker, request.permit, Outcome.COUNTED)

    def not_counted(self, choice: int, share: float) -> None:
        for request in self._open()[choice : choice + 1]:
            self.requests.remove(request)
            self._settle(request.worker, request.permit, Outcome.NOT_COUNTED)

    def time_passes(self, choice: int, share: float) -> None:
        self.clock.us += 2 + 2 * round(share * 700_000 * (choice + 1))

    def redis_changes(self, choice: int, share: float) -> None:
        self.redis[choice % 2].mode = ("ok", "cut", "unanswered", "late")[choice // 2 % 4]

    def postgres_changes(self, choice: int, share: float) -> None:
        self.databases[choice % 2].mode = ("ok", "ok", "away", "unanswered")[choice // 2 % 4]

    def all_is_well(self, choice: int, share: float) -> None:
        for part in (*self.redis, *self.databases):
            part.mode = "ok"

    def a_late_command_arrives(self, choice: int, share: float) -> None:
        for command in self.late[choice : choice + 1]:
            self.late.remove(command)
            command()

    def redis_forgets(self, choice: int, share: float) -> None:
        pattern = (":permits:*", ":epoch:*", ":*")[choice % 3]
        for key in self.client.scan_iter(f"failover{self.number}{pattern}"):
            self.client.delete(key)

    def redis_is_filled_anew(self, choice: int, share: float) -> None:
        with suppress(StoreUnavailable):
            self.rows[choice % 2].give_to(self.redis[choice % 2], even_if_intact=True)

    def close(self) -> None:
        for database in self.databases:
            database.close()
        self.client.close()

    def refused(self) -> int:
        """How many of the requests the server would have refused."""
        arrivals = [(request.arrival_us - START_US) / 1e6 for request in self.requests]
        return refused(arrivals, [(window.limit, window.seconds) for window in WINDOWS])


def test_no_history_of_failures_grants_too_much(
    redis_server: RedisServer, redis_client: redis.Redis, database_url: str
) -> None:
    granted: Counter[str] = Counter()

    @settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(st.lists(STEP, min_size=60, max_size=120))
    def run(steps: list[tuple[str, int, float]]) -> None:
        history = History(redis_server.url, database_url)
        try:
            for step in steps:
                history.step(*step)
            granted.update(request.permit.holder for request in history.requests)
            assert history.refused() == 0
        finally:
            history.close()

    run()
    # The histories must have used both ledgers, or they show nothing.
    assert min(granted["redis"], granted["postgres"]) > 50


@pytest.mark.parametrize("mode", ["unanswered", "late"])
def test_a_rebuild_without_an_answer_leaves_postgres_in_charge(
    redis_server: RedisServer, redis_client: redis.Redis, database_url: str, mode: str
) -> None:
    history = History(redis_server.url, database_url)
    history.redis[0].mode = mode
    answer = history.workers[0].acquire(["a"], Lane.BACKFILL)
    assert isinstance(answer, tuple)
    assert answer[0].holder == "postgres"
    history.close()
