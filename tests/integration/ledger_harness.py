"""Both ledgers on one simulated clock, so that tests of the rule need no sleep; and what a permit can end with."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import redis
from psycopg.types.json import Jsonb

from resources.connections.postgres import Database
from resources.connections.redis_keys import RedisKeys
from resources.errors import NotSent, Throttled
from resources.quota.failover import FailoverLedger
from resources.quota.lease import LeaseStore, moment
from resources.quota.limiter import RateLimiter
from resources.quota.permits import (
    Decision,
    JournaledPermit,
    Lane,
    LedgerState,
    Outcome,
    Permit,
    QuotaWindow,
    Wait,
    Window,
    Withdrawn,
)
from resources.quota.postgres_ledger import PostgresLedger
from resources.quota.redis_ledger import RedisLedger

TTL_SECONDS = 20.0
#: An even number of microseconds, long ago, at no particular hour.
START_US = 1_700_000_123_456_780


@dataclass
class Clock:
    """Microseconds that pass only when a test says so."""

    us: int = START_US

    def __call__(self) -> int:
        return self.us

    def advance(self, seconds: float) -> None:
        self.us += round(seconds * 1_000_000)


@dataclass
class Bench:
    """A ledger, its clock, and short names for what tests do with them."""

    clock: Clock
    ledger: RedisLedger | PostgresLedger
    windows: tuple[QuotaWindow, ...]
    hold: Callable[[float], None]
    permits: dict[str, Permit] = field(default_factory=dict)

    def ask(self, name: str, lane: Lane = Lane.BACKFILL) -> Decision:
        answer = self.ledger.acquire([name], lane)
        if isinstance(answer, tuple):
            self.permits[name] = answer[0]
        return answer

    def grant(self, *names: str, lane: Lane = Lane.BACKFILL) -> None:
        for name in names:
            answer = self.ask(name, lane)
            assert isinstance(answer, tuple), f"{name} should have been granted a permit, got {answer}"

    def wait(self, name: str, lane: Lane = Lane.BACKFILL) -> Wait:
        answer = self.ask(name, lane)
        assert isinstance(answer, Wait), f"{name} should have had to wait, got {answer}"
        return answer

    def refuse(self, seconds: float) -> None:
        """The server refuses a request, and names so many seconds."""
        self.hold(seconds)
        self.clock.advance(0.000002)

    def settle(self, *names: str, outcome: Outcome = Outcome.COUNTED) -> None:
        for name in names:
            self.ledger.settle(self.permits[name], outcome)


Make = Callable[..., Bench]


def ask_anew(ledger: FailoverLedger, name: str) -> Decision:
    """Ask for one permit as the limiter does: with another id if a grant was taken back."""
    decision: Decision = Withdrawn("not asked")
    for number in range(5):
        if not isinstance(decision, Withdrawn):
            break
        decision = ledger.acquire([f"{name}{number or ''}"], Lane.BACKFILL)
    return decision


def take(limiter: RateLimiter, count: int = 1, lane: Lane = Lane.BACKFILL) -> None:
    """Use permits for requests that the server counts."""
    for _ in range(count):
        with limiter.permit(lane):
            pass
    settled(limiter)


def give_back(limiter: RateLimiter, lane: Lane = Lane.BACKFILL) -> None:
    """Use a permit for a request that is never sent."""
    with suppress(NotSent), limiter.permit(lane):
        raise NotSent
    settled(limiter)


def be_refused(limiter: RateLimiter, retry_after_seconds: float | None, blocked: str | None = None) -> None:
    """Use a permit for a request that the server answers with a 429."""
    with suppress(Throttled), limiter.permit():
        raise Throttled(retry_after_seconds=retry_after_seconds, blocked=blocked)
    settled(limiter)


def settled(limiter: RateLimiter) -> None:
    """Wait until both servers know of all requests that are over: a thread tells them."""
    if limiter._settling:
        limiter._settling.catch_up(60)


def quotas(windows: str | tuple[QuotaWindow, ...]) -> tuple[QuotaWindow, ...]:
    if isinstance(windows, str):
        return tuple(QuotaWindow(window) for window in Window.parse_all(windows))
    return windows


def redis_bench(
    client: redis.Redis,
    windows: str | tuple[QuotaWindow, ...],
    *,
    prefix: str = "test",
    reserve_share: float = 0.0,
    hold_seconds: float = 0.0,
    blocked: str = "",
    permits: tuple[JournaledPermit, ...] = (),
) -> Bench:
    clock = Clock()
    ledger = RedisLedger(
        client,
        "account",
        permit_ttl_seconds=TTL_SECONDS,
        keys=RedisKeys(prefix),
        reserve_share=reserve_share,
        clock_us=clock,
    )
    state = LedgerState(1, quotas(windows), round(hold_seconds * 1_000_000), blocked, permits)
    ledger.load(state)
    return Bench(clock, ledger, state.windows, ledger.hold)


def postgres_bench(
    database: Database,
    windows: str | tuple[QuotaWindow, ...],
    *,
    account: str = "account",
    reserve_share: float = 0.0,
    hold_seconds: float = 0.0,
    blocked: str = "",
) -> Bench:
    clock = Clock()
    row = LeaseStore(database, account, fallback_windows=(), clock_us=clock)
    ledger = PostgresLedger(row, permit_ttl_seconds=TTL_SECONDS, reserve_share=reserve_share, drift=0.0)
    spec = [
        {
            "limit": quota.window.limit,
            "seconds": quota.window.seconds,
            "foreign": quota.foreign,
            "foreign_until_us": clock.us + round(quota.foreign_seconds * 1_000_000),
        }
        for quota in quotas(windows)
    ]
    with database.transaction() as connection:
        row.lock(connection)
        connection.execute(
            "UPDATE courtlistener.ledgers SET windows = %s, held_until = %s, blocked = %s WHERE account = %s",
            (Jsonb(spec), moment(clock.us + round(hold_seconds * 1_000_000)), blocked, account),
        )

    def refuse(seconds: float) -> None:
        with database.transaction() as connection:
            connection.execute(
                "UPDATE courtlistener.ledgers SET held_until = greatest(held_until, %s), throttled_at = %s "
                "WHERE account = %s",
                (moment(clock.us + round(seconds * 1_000_000)), moment(clock.us), account),
            )

    return Bench(clock, ledger, quotas(windows), refuse)
