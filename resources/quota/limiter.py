"""Permits for requests, as the rest of the project uses them: acquire, send the request, settle.

Belongs here: waiting, and what a wait that is too long means. Does not belong here: who may have a permit now
(`failover.py` and below).
"""

from __future__ import annotations

import contextlib
import logging
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import dagster as dg
from psycopg.conninfo import make_conninfo

from resources.connections.postgres import Database
from resources.connections.redis_address import RedisAddress, connect
from resources.connections.redis_keys import RedisKeys
from resources.errors import AccountBlocked, LedgerUnavailable, QuotaDeferred, SettingError
from resources.legacy.hourly_status import rate_limit_status
from resources.quota.failover import FailoverLedger
from resources.quota.lease import LeaseStore
from resources.quota.permits import Blocked, Lane, Outcome, Permit, ServerWindow, Wait, Window, WindowUsage
from resources.quota.postgres_ledger import PostgresLedger
from resources.quota.redis_ledger import RedisLedger
from resources.telemetry import metrics, tracing

_log = logging.getLogger(__name__)
#: Longest sleep at a time: windows may grow, a hold may be lifted, permits may be given back meanwhile.
_LONGEST_SLEEP_SECONDS = 30.0
_LEDGER_PAUSE_SECONDS = 0.5
#: How long everybody holds back after a 429 that names no time and speaks of no block.
_UNNAMED_HOLD_SECONDS = 60.0


def suspend_aware_clock() -> float:
    """Seconds that go on while the machine is suspended, unlike `time.monotonic` on Linux."""
    return time.clock_gettime(_CLOCK) if _CLOCK is not None else time.monotonic()


_CLOCK: int | None = getattr(time, "CLOCK_BOOTTIME", None) or getattr(time, "CLOCK_MONOTONIC", None)


class RateLimiter:
    """Permits for one account; may be shared by threads.

    `max_wait_seconds` is the longest that `acquire` waits unless told otherwise. A permit must be used within
    `use_within_seconds` of its grant, so that its request ends within the permit's time to live.
    """

    def __init__(
        self,
        account: str,
        ledger: FailoverLedger,
        *,
        max_wait_seconds: float = 60.0,
        use_within_seconds: float = 20.0,
        clock: Callable[[], float] = suspend_aware_clock,
        sleep: Callable[[float], None] = time.sleep,
        publisher: metrics.Publisher | None = None,
    ) -> None:
        self.account = account
        self._ledger = ledger
        self._max_wait_seconds = max_wait_seconds
        self._use_within_seconds = use_within_seconds
        self._clock = clock
        self._sleep = sleep
        self._publisher = publisher
        self._lock = threading.Lock()
        #: Seconds waited for permits by this instance, and permits granted, by holder ("redis", "postgres").
        self.waited_seconds = 0.0
        self.granted: Counter[str] = Counter()

    def acquire(self, lane: Lane = Lane.BACKFILL, *, max_wait_seconds: float | None = None) -> Permit:
        """Wait for one permit.

        Raises QuotaDeferred when the quota has no room within `max_wait_seconds`, AccountBlocked, and LedgerUnavailable
        when Postgres stays away that long.
        """
        return self.acquire_many(1, lane, max_wait_seconds=max_wait_seconds)[0]

    def acquire_many(
        self, count: int, lane: Lane = Lane.BACKFILL, *, max_wait_seconds: float | None = None
    ) -> tuple[Permit, ...]:
        """Wait until `count` permits can be granted at once; raises as `acquire`."""
        budget = self._max_wait_seconds if max_wait_seconds is None else max_wait_seconds
        with tracing.span("permit", {"courtlistener.lane": lane.value}) as span:
            started = self._clock()
            permits = self._wait_for(count, lane, budget)
            if span.recording:
                waited_ms = round(1000 * (self._clock() - started))
                span.set({"courtlistener.holder": permits[0].holder, "courtlistener.waited_ms": waited_ms})
                span.set(self._room_left())
            return permits

    def _room_left(self) -> dict[str, int]:
        """What is left of every window, for a trace."""
        with contextlib.suppress(LedgerUnavailable):
            return {f"courtlistener.quota_left.{use.window.seconds}s": use.remaining for use in self.usage()}
        return {}

    def _wait_for(self, count: int, lane: Lane, budget: float, hour_limit: int | None = None) -> tuple[Permit, ...]:
        if count < 1:
            raise SettingError(f"{count} permits were asked for; at least 1 is needed")
        request_ids = [secrets.token_urlsafe(12) for _ in range(count)]
        started = self._clock()
        try:
            while True:
                asked = self._clock()
                answer = self._ask(request_ids, lane, hour_limit, give_up_at=started + budget)
                if isinstance(answer, tuple):
                    return self._handed_out(answer, asked)
                wait_seconds = answer.wait_ms / 1000
                if asked + wait_seconds > started + budget:
                    raise QuotaDeferred(f"The quota has no room for {wait_seconds:.0f} s", wait_seconds=wait_seconds)
                self._pause(min(wait_seconds, _LONGEST_SLEEP_SECONDS))
        except BaseException:
            self._leave(request_ids)
            raise

    def _ask(
        self, request_ids: Sequence[str], lane: Lane, hour_limit: int | None, *, give_up_at: float
    ) -> tuple[Permit, ...] | Wait:
        while True:
            try:
                answer = self._ledger.acquire(request_ids, lane, hour_limit=hour_limit)
            except LedgerUnavailable as error:
                if self._clock() + _LEDGER_PAUSE_SECONDS > give_up_at:
                    raise
                _log.warning("account %s: no permits while Postgres is away: %s", self.account, error)
                self._pause(_LEDGER_PAUSE_SECONDS)
                continue
            if isinstance(answer, Blocked):
                raise AccountBlocked(f"{AccountBlocked.__doc__} ({answer.reason})")
            assert isinstance(answer, (tuple, Wait))
            return answer

    def _handed_out(self, permits: tuple[Permit, ...], asked: float) -> tuple[Permit, ...]:
        with self._lock:
            for permit in permits:
                self.granted[permit.holder] += 1
                metrics.GRANTED.labels(permit.holder).inc()
        return tuple(
            replace(permit, use_by=asked - permit.age_us / 1_000_000 + self._use_within_seconds) for permit in permits
        )

    def _pause(self, seconds: float) -> None:
        before = self._clock()
        self._sleep(seconds)
        waited_seconds = self._clock() - before
        metrics.WAITED.inc(max(0.0, waited_seconds))
        with self._lock:
            self.waited_seconds += waited_seconds

    def _leave(self, request_ids: Sequence[str]) -> None:
        try:
            self._ledger.leave(request_ids)
        except LedgerUnavailable as error:
            _log.debug("account %s: the place in the line is left to expire: %s", self.account, error)

    def is_stale(self, permit: Permit) -> bool:
        """Whether the worker has slept past the permit's use-by: give it back (NOT_COUNTED) and acquire another."""
        return self._clock() > permit.use_by

    def settle(self, permit: Permit, outcome: Outcome) -> None:
        """The answer is here, or will never come. Never raises because a ledger is away: the permit then ages out."""
        metrics.REQUESTS.labels(outcome.value).inc()
        try:
            self._ledger.settle(permit, outcome)
            metrics.STATE_UPDATES.labels("ok").inc()
        except LedgerUnavailable as error:
            metrics.STATE_UPDATES.labels("failed").inc()
            _log.warning("account %s: a permit stays in flight until it ages out: %s", self.account, error)
        if self._publisher:
            self._publisher.publish_if_due()

    def publish_metrics(self) -> None:
        """Add what this process has counted to the totals of all workers now; call it before the process ends."""
        if self._publisher:
            self._publisher.publish()

    def throttled(self, retry_after_seconds: float | None, detail: str) -> None:
        """After a 429: nobody gets a permit until the server's time has passed; a block stops all until `observe`."""
        blocked = detail if retry_after_seconds is None and "blocked" in detail.lower() else None
        seconds = _UNNAMED_HOLD_SECONDS if retry_after_seconds is None else retry_after_seconds
        metrics.REFUSED.inc()
        try:
            self._ledger.hold(0.0 if blocked else seconds, blocked)
        except LedgerUnavailable as error:
            _log.warning("account %s: the others do not know of a 429: %s", self.account, error)

    def observe(self, windows: Sequence[ServerWindow]) -> None:
        """Take up what api-usage says: windows, use by others, block. Without rows nothing changes.

        Raises LedgerUnavailable.
        """
        if windows:
            self._ledger.observe(windows)

    def needs_observation(self, max_age_seconds: float) -> bool:
        """Whether the caller should ask api-usage now: nobody has within that time, or there was a 429 since.

        Only one of all workers is told so. Raises LedgerUnavailable.
        """
        return self._ledger.claim_observation(max_age_seconds)

    def usage(self) -> tuple[WindowUsage, ...]:
        """How full every window is; raises LedgerUnavailable."""
        return self._ledger.usage()

    def close(self) -> None:
        """Close all connections to Redis and Postgres."""
        self._ledger.close()

    def atomic_increment_api_calls(self, calls_to_add: int, limit: int, ttl_hours: int) -> dict[str, Any]:
        """Charge `calls_to_add` calls at once if the quota and `limit` calls a clock hour have room; never waits.

        For callers of the pipeline that this project replaces, which count calls and settle nothing: what is charged
        ages out by itself. `ttl_hours` is kept for them; the hour's key lives two hours. Raises as `acquire`, except
        that a quota without room is `success: False`.
        """
        del ttl_hours
        charged = False
        if limit > 0:
            with contextlib.suppress(QuotaDeferred):
                self._wait_for(calls_to_add, Lane.BACKFILL, 0.0, hour_limit=limit)
                charged = True
        return {"success": charged, **self.get_current_rate_limit_status(limit)}

    def get_current_rate_limit_status(self, limit: int | None = None) -> dict[str, Any]:
        """The quota as the replaced pipeline knew it: the clock hour's counters, and every window."""
        return rate_limit_status(self.usage(), self._ledger.hour_counts(), limit)


class RedisRateLimitResource(dg.ConfigurableResource["RedisRateLimitResource"]):
    """The quota ledger as a Dagster resource: Redis decides, Postgres keeps the journal and stands in for Redis."""

    #: See RedisAddress.
    redis_url: str
    postgres_url: str
    redis_prefix: str = "courtlistener"
    #: In force until CourtListener has named the account's own windows.
    rate_limits: str = "5/min,50/hour,125/day"
    #: Longest wait of a run for a permit; beyond it, the run is deferred.
    max_wait_seconds: float = 60.0
    #: Share of every limit that backfills leave to retries and fresh data.
    reserve_share: float = 0.0
    #: Another pipeline charges its calls to the same hourly counter: admit no more than this many an hour together.
    shared_hour_limit: int = 0
    #: Silence of Redis after which Postgres takes over.
    redis_timeout_seconds: float = 0.4

    def limiter(
        self, account: str, *, permit_ttl_seconds: float = 120.0, fallback_windows: tuple[Window, ...] = ()
    ) -> RateLimiter:
        """Permits for one account, whose requests end within `permit_ttl_seconds` of their permit.

        Raises SettingError for settings that cannot be used; opens connections only when first needed.
        """
        windows = fallback_windows or Window.parse_all(self.rate_limits)
        row = LeaseStore(ledger_database(self.postgres_url), account, fallback_windows=windows)
        address = RedisAddress(self.redis_url)
        redis_ledger = RedisLedger(
            metrics.count_operations(connect(address, timeout_seconds=self.redis_timeout_seconds)),
            account,
            permit_ttl_seconds=permit_ttl_seconds,
            keys=RedisKeys(self.redis_prefix),
            reserve_share=self.reserve_share,
            shared_hour_limit=self.shared_hour_limit,
        )
        postgres_ledger = PostgresLedger(row, permit_ttl_seconds=permit_ttl_seconds, reserve_share=self.reserve_share)
        return RateLimiter(
            account,
            FailoverLedger(redis_ledger, postgres_ledger, row),
            max_wait_seconds=self.max_wait_seconds,
            use_within_seconds=permit_ttl_seconds / 6,
            publisher=metrics.Publisher(row.database),
        )


def ledger_database(url: str) -> Database:
    """Connections for the ledger: a worker that is stopped in mid-transaction must not hold up all others."""
    options = "-c idle_in_transaction_session_timeout=2000 -c lock_timeout=5000"
    return Database(make_conninfo(url, options=options), max_connections=4, timeout_seconds=2.0)
