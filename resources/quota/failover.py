"""One ledger out of two: permits come from Redis, and from Postgres while Redis is unavailable or has lost its memory.

Belongs here: when to ask which, and when the holder changes. Does not belong here: how a holder decides
(`redis_ledger.py`, `postgres_ledger.py`), what happens under the row's lock (`lease.py`), waiting (`limiter.py`).

Nothing is granted that is not in the journal under the epoch in force, so no order of failures can grant too much.
"""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

from resources.errors import LedgerUnavailable, RedisUnavailable, StoreUnavailable
from resources.quota.clocks import ClockWatch
from resources.quota.lease import Entry, LeaseStore
from resources.quota.permits import (
    PATIENT,
    Blocked,
    Decision,
    Fenced,
    Lane,
    Outcome,
    Patience,
    Permit,
    ServerWindow,
    Wait,
    WindowUsage,
    Withdrawn,
)
from resources.quota.postgres_ledger import PostgresLedger
from resources.quota.redis_ledger import RedisLedger
from resources.quota.windows import AccountWindows

_log = logging.getLogger(__name__)
_ATTEMPTS = 4
_REFUSALS = {"epoch": "the journal knows another epoch", "copy": "Redis has an old copy of its keys"}
#: Also for a block, which Redis is told of together with the rest.
_SHORTEST_HOLD_SECONDS = 1.0
_UNKNOWN_AGE: Callable[[], float] = lambda: math.inf  # noqa: E731


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
        self._recovery_seconds = recovery_seconds
        self._failed_at = -math.inf
        #: Redis is not asked before: it has failed, or Postgres is known to be in charge.
        self._redis_not_before = -math.inf
        self._configured = False
        #: Hundred threads that find Redis fenced need one rebuild: the number of them so far, and a lock for each
        #: process, as that of a parent may be held for ever in the child of a fork.
        self._rebuilds = 0
        self._rebuilding: defaultdict[int, threading.RLock] = defaultdict(threading.RLock)
        #: Redis' clock, watched since the rebuild by which it was put in charge.
        self._watched_epoch, self._watch = 0, ClockWatch()

    def acquire(
        self,
        request_ids: Sequence[str],
        lane: Lane,
        *,
        hour_limit: int | None = None,
        patience: Patience = PATIENT,
    ) -> Decision:
        """As `RedisLedger.acquire`, but never Fenced; `hour_limit` only applies while Redis is in charge.

        After Withdrawn, and when it raises, the request ids are spent.
        """
        with _needs_postgres():
            self._configure()
            failed_at = self._failed_at
            for _ in range(_ATTEMPTS):
                decision = self._from_redis(request_ids, lane, hour_limit, patience)
                if isinstance(decision, Fenced):
                    failed_seconds_ago = self._monotonic() - self._failed_at
                    decision = self._postgres.acquire(
                        request_ids, lane, redis_failed_seconds_ago=failed_seconds_ago, patience=patience
                    )
                if not isinstance(decision, Fenced):
                    return decision
                # Another worker has put Redis in charge since: old evidence against it no longer counts.
                self._redis_not_before = -math.inf
                if self._failed_at != failed_at:
                    # It may have granted before it failed, and would repeat that without the grant's number.
                    return Withdrawn("Redis failed, and is in charge again")
            raise LedgerUnavailable("the quota ledger keeps moving between Redis and Postgres")

    def _from_redis(
        self, request_ids: Sequence[str], lane: Lane, hour_limit: int | None, patience: Patience
    ) -> Decision:
        """Ask Redis; if it is not in charge, put it in charge if that is allowed, and ask once more."""
        if self._reachable() is None:
            return Fenced("Postgres is in charge, as far as we know")
        decision: Decision = Fenced("not asked")
        try:
            for last in (False, True):
                asked, rebuilds = self._leases.steady(), self._rebuilds
                with self._watching_redis():
                    decision = self._redis.acquire(request_ids, lane, hour_limit=hour_limit, patience=patience)
                if isinstance(decision, tuple):
                    return self._journaled(decision, lane, asked, rebuilds)
                if last or not (isinstance(decision, Fenced) or _is_final(decision, patience)):
                    return decision
                if isinstance(decision, Fenced):
                    _log.info("account %s: Redis is fenced: %s", self._leases.account, decision.reason)
                # If Postgres is in charge meanwhile, Redis may go by what is over for long: the caller will not come
                # back for a grant that the journal refuses.
                if not self._give_to_redis(rebuilds):
                    return Fenced("Postgres is in charge")
        except RedisUnavailable as error:
            _log.warning("account %s: Redis cannot grant, Postgres does: %s", self._leases.account, error)
            return Fenced(str(error))
        return decision

    def _give_to_redis(self, rebuilds: int, *, even_if_intact: bool = False) -> bool:
        """Put Redis in charge if that is allowed; once, if several threads have seen the need after `rebuilds`."""
        with self._rebuilding[os.getpid()]:
            if self._rebuilds == rebuilds and self._reachable() is not None:
                cooling_seconds = self._leases.give_to(self._redis, even_if_intact=even_if_intact)
                self._rebuilds += 1
                if cooling_seconds > 0:
                    self._redis_not_before = self._monotonic() + cooling_seconds
            return self._reachable() is not None

    def _journaled(
        self, permits: tuple[Permit, ...], lane: Lane, asked: float, rebuilds: int
    ) -> tuple[Permit, ...] | Withdrawn:
        """Have permits journaled, for which Redis was asked at `asked`; what does not get there is given back."""
        answered = self._leases.steady()
        try:
            entry = self._leases.journal(permits, priority=lane is Lane.PRIORITY, ttl_us=self._redis.ttl_us)
        except BaseException:
            self._give_back(permits)
            raise
        doubt = _REFUSALS.get(entry.refusal) or self._doubt(permits[0], entry, asked, answered)
        if not doubt:
            return permits
        if entry.refusal == "epoch":
            self._give_back(permits)
        else:
            # These may be too many: a clock that ran ahead has let others age, or keys of yesterday lack them. Their
            # places are kept, so that nobody else gets them, until Redis is filled anew.
            self._leases.withdraw([permit.request_id for permit in permits], permits[0].epoch)
        self._give_to_redis(rebuilds, even_if_intact=entry.refusal != "epoch")
        _log.info("account %s: a grant of Redis was taken back: %s", self._leases.account, doubt)
        return Withdrawn(doubt)

    def _doubt(self, permit: Permit, entry: Entry, asked: float, answered: float) -> str:
        """Why the clocks of Redis, Postgres and this process cannot all be right, or nothing."""
        redis_us = permit.granted_at_us + permit.age_us
        if permit.epoch != self._watched_epoch:
            self._watched_epoch, self._watch = permit.epoch, ClockWatch()
        if self._watch.jump_us(redis_us, asked, answered, entry.tolerance_us):
            return "the clock of Redis jumped ahead"
        if self._leases.has_jumped(entry.now_us, entry.corrected_us, entry.asked, entry.answered, entry.tolerance_us):
            return "the clock of Postgres jumped ahead"
        gained_us = redis_us - (entry.now_us - entry.offset_us)
        if gained_us > entry.tolerance_us:
            return "the clock of Redis ran ahead of Postgres'"
        if -gained_us > entry.tolerance_us + (entry.answered - asked) * 1e6:
            return "the clock of Postgres ran ahead of Redis'"
        return ""

    def _give_back(self, permits: Sequence[Permit]) -> None:
        with suppress(RedisUnavailable):
            for permit in permits:
                with self._watching_redis():
                    self._redis.give_back(permit)

    def settle(self, permit: Permit, outcome: Outcome, elapsed_us: int = 0) -> None:
        """See `RedisLedger.settle`. Raises LedgerUnavailable if the journal could not be told, after telling Redis."""
        try:
            with _needs_postgres():
                self._postgres.settle(permit, outcome, elapsed_us)
        finally:
            self._tell_redis(lambda redis: redis.settle(permit, outcome, elapsed_us))

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
        # At once, and whatever becomes of Postgres: the permit of the refused request is given back next.
        self._tell_redis(lambda redis: redis.hold(max(hold_seconds, _SHORTEST_HOLD_SECONDS)))
        with _needs_postgres():
            self._windows.hold(self._reachable(), hold_seconds, blocked)

    def observe(
        self, windows: Sequence[ServerWindow], *, complete: bool = True, age_seconds: Callable[[], float] = _UNKNOWN_AGE
    ) -> None:
        """Apply what CourtListener says about the account, for all workers; see `RateLimiter.observe`."""
        with _needs_postgres():
            self._windows.observe(self._reachable(), windows, complete=complete, age_seconds=age_seconds)

    def claim_observation(self, max_age_seconds: float, shared_max_age_seconds: float | None = None) -> bool:
        """Whether the caller, and no other worker, should ask CourtListener for the account's usage now."""
        with _needs_postgres():
            return self._windows.claim_observation(max_age_seconds, shared_max_age_seconds)

    def more_room_seconds(self) -> float:
        """After how long another observation may find more room than is known of; infinite if none is expected to."""
        with _needs_postgres():
            return self._windows.more_room_seconds()

    def hour_counts(self) -> tuple[int, int] | None:
        """Requests charged and requests made in this clock hour, from Redis; None if Redis does not answer."""
        with suppress(RedisUnavailable), self._watching_redis():
            return self._redis.hour_counts()
        return None

    def _configure(self) -> None:
        """The first call of a worker: windows from its settings count until CourtListener's own are known."""
        if self._configured:
            return
        with self._rebuilding[os.getpid()]:
            if not self._configured:
                self._windows.configure(self._reachable())
                self._tell_redis(RedisLedger.announce)
                self._configured = True

    def _reachable(self) -> RedisLedger | None:
        return self._redis if self._monotonic() >= self._redis_not_before else None

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
        if self._reachable() is None:
            raise RedisUnavailable("Redis is not asked for the moment")
        try:
            yield
        except RedisUnavailable:
            self._failed_at = self._monotonic()
            self._redis_not_before = self._failed_at + self._recovery_seconds
            raise


def _is_final(decision: Decision, patience: Patience) -> bool:
    """Whether the caller gives up because of it."""
    return isinstance(decision, Blocked) or (isinstance(decision, Wait) and decision.wait_ms > 1000 * patience.seconds)


@contextmanager
def _needs_postgres() -> Iterator[None]:
    try:
        yield
    except StoreUnavailable as error:
        raise LedgerUnavailable(str(error)) from error
