"""One ledger out of two: permits come from Redis, and from Postgres while Redis is unavailable or has lost its memory.

Belongs here: when to ask which, and when the holder changes. Does not belong here: how a holder decides
(`redis_ledger.py`, `postgres_ledger.py`), what happens under the row's lock (`lease.py`), waiting (`limiter.py`).

Nothing is granted that is not in the journal under the epoch in force, so no order of failures can grant too much.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

from circuitbreaker import CircuitBreaker

from resources.errors import LedgerUnavailable, RedisUnavailable, StoreUnavailable
from resources.quota.lease import LeaseStore
from resources.quota.permits import Decision, Fenced, Lane, Outcome, Permit, ServerWindow, WindowUsage
from resources.quota.postgres_ledger import PostgresLedger
from resources.quota.redis_ledger import RedisLedger
from resources.quota.windows import AccountWindows

_log = logging.getLogger(__name__)
#: A clock of Redis that runs ahead would let permits age too early; beyond this the permits are rebuilt.
_CLOCK_TOLERANCE_US = 250_000
_ATTEMPTS = 4


class FailoverLedger:
    """The ledger of one account as a worker sees it.

    After Redis has failed once, it is not asked for `recovery_seconds`. Methods raise LedgerUnavailable if Postgres
    does not answer: no permit without the journal.
    """

    def __init__(
        self,
        redis: RedisLedger,
        postgres: PostgresLedger,
        leases: LeaseStore,
        *,
        recovery_seconds: float = 2.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._redis = redis
        self._postgres = postgres
        self._leases = leases
        self._windows = AccountWindows(leases)
        self._monotonic = monotonic
        self._breaker = CircuitBreaker(
            failure_threshold=1, recovery_timeout=recovery_seconds, expected_exception=RedisUnavailable
        )
        self._failed_at = -math.inf
        #: Until then Postgres is known to be in charge.
        self._postgres_until = 0.0
        self._configured = False

    def acquire(self, request_ids: Sequence[str], lane: Lane, *, hour_limit: int | None = None) -> Decision:
        """As `RedisLedger.acquire`, but never Fenced; `hour_limit` only applies while Redis is in charge."""
        with _needs_postgres():
            self._configure()
            for _ in range(_ATTEMPTS):
                decision = self._from_redis(request_ids, lane, hour_limit)
                if isinstance(decision, Fenced):
                    failed_seconds_ago = self._monotonic() - self._failed_at
                    decision = self._postgres.acquire(request_ids, lane, redis_failed_seconds_ago=failed_seconds_ago)
                if not isinstance(decision, Fenced):
                    return decision
                # Another worker has put Redis in charge since: old evidence against it no longer counts.
                self._postgres_until = 0.0
                self._breaker.reset()
            raise LedgerUnavailable("the quota ledger keeps moving between Redis and Postgres")

    def _from_redis(self, request_ids: Sequence[str], lane: Lane, hour_limit: int | None) -> Decision:
        """Ask Redis; if it is not in charge, put it in charge if that is allowed, and ask once more."""
        if self._breaker.opened or self._monotonic() < self._postgres_until:
            return Fenced("Postgres is in charge, as far as we know")
        decision: Decision = Fenced("not asked")
        try:
            for last in (False, True):
                with self._watching_redis():
                    decision = self._redis.acquire(request_ids, lane, hour_limit=hour_limit)
                if isinstance(decision, tuple):
                    decision = self._journaled(decision)
                if not isinstance(decision, Fenced) or last:
                    return decision
                _log.info("account %s: Redis is fenced: %s", self._leases.account, decision.reason)
                cooling_seconds = self._leases.give_to(self._redis)
                if cooling_seconds > 0:
                    self._postgres_until = self._monotonic() + cooling_seconds
                    return decision
        except RedisUnavailable as error:
            _log.warning("account %s: Redis cannot grant, Postgres does: %s", self._leases.account, error)
            return Fenced(str(error))
        return decision

    def _journaled(self, permits: tuple[Permit, ...]) -> tuple[Permit, ...] | Fenced:
        names = [permit.request_id for permit in permits]
        try:
            gained_us = self._leases.journal(names, permits[0].epoch, permits[0].granted_at_us, self._redis.ttl_us)
        except StoreUnavailable:
            self._give_back(permits)
            raise
        if gained_us is None:
            self._give_back(permits)
            return Fenced("the journal knows another epoch")
        if gained_us > _CLOCK_TOLERANCE_US:
            # A clock that ran ahead has made others look old: these may be too many, and are requested again.
            self._give_back(permits)
            self._leases.withdraw(names, permits[0].epoch)
            self._leases.give_to(self._redis, even_if_intact=True)
            return Fenced("the clock of Redis ran ahead")
        return permits

    def _give_back(self, permits: Sequence[Permit]) -> None:
        with suppress(RedisUnavailable):
            for permit in permits:
                with self._watching_redis():
                    self._redis.give_back(permit)

    def settle(self, permit: Permit, outcome: Outcome) -> None:
        """See `RedisLedger.settle`. Raises LedgerUnavailable if the journal could not be told, after telling Redis."""
        try:
            with _needs_postgres():
                self._postgres.settle(permit, outcome)
        finally:
            self._tell_redis(lambda redis: redis.settle(permit, outcome))

    def leave(self, request_ids: Sequence[str]) -> None:
        """See `RedisLedger.leave`."""
        self._tell_redis(lambda redis: redis.leave(request_ids))
        with _needs_postgres():
            self._postgres.leave(request_ids)

    def usage(self) -> tuple[WindowUsage, ...]:
        """How full every window is now; read from the journal, which knows the permits of both holders."""
        with _needs_postgres():
            self._configure()
            return self._postgres.usage()

    def hold(self, hold_seconds: float, blocked: str | None = None) -> None:
        """Grant nothing to any worker for `hold_seconds`; with a reason in `blocked`, nothing until an observation."""
        with _needs_postgres():
            self._windows.change(self._reachable(), hold_seconds=hold_seconds, blocked=blocked)

    def observe(self, windows: Sequence[ServerWindow]) -> None:
        """Apply what CourtListener says about the account, for all workers."""
        with _needs_postgres():
            self._windows.change(self._reachable(), observed=windows)

    def claim_observation(self, max_age_seconds: float) -> bool:
        """Whether the caller, and no other worker, should ask CourtListener for the account's usage now."""
        with _needs_postgres():
            return self._windows.claim_observation(max_age_seconds)

    def hour_counts(self) -> tuple[int, int] | None:
        """Requests charged and requests made in this clock hour, from Redis; None if Redis does not answer."""
        with suppress(RedisUnavailable), self._watching_redis():
            return self._redis.hour_counts()
        return None

    def _configure(self) -> None:
        """The first call of a worker: windows from its settings count until CourtListener's own are known."""
        if not self._configured:
            self._windows.change(self._reachable(), configured=True)
            self._tell_redis(RedisLedger.announce)
            self._configured = True

    def _reachable(self) -> RedisLedger | None:
        return None if self._breaker.opened else self._redis

    def _tell_redis(self, call: Callable[[RedisLedger], None]) -> None:
        redis = self._reachable()
        if redis is None:
            return
        try:
            with self._watching_redis():
                call(redis)
        except RedisUnavailable as error:
            _log.debug("account %s: Redis was not told: %s", self._leases.account, error)

    @contextmanager
    def _watching_redis(self) -> Iterator[None]:
        """Where Redis may fail: this worker then stops asking it for a while."""
        if self._breaker.opened:
            raise RedisUnavailable("Redis failed a moment ago")
        try:
            with self._breaker:
                yield
        except RedisUnavailable:
            self._failed_at = self._monotonic()
            raise


@contextmanager
def _needs_postgres() -> Iterator[None]:
    try:
        yield
    except StoreUnavailable as error:
        raise LedgerUnavailable(str(error)) from error
