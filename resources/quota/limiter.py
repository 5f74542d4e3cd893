"""Permits for requests, as the rest of the project uses them: acquire, send the request, settle.

Belongs here: waiting, and what a wait that is too long means. Does not belong here: who may have a permit now
(`failover.py` and below).
"""

from __future__ import annotations

import logging
import math
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial

from resources.errors import (
    AccountBlocked,
    ApiError,
    LedgerUnavailable,
    QuotaDeferred,
    SettingError,
    Stopped,
    Throttled,
)
from resources.quota.clocks import suspend_aware_clock
from resources.quota.failover import FailoverLedger
from resources.quota.permits import Blocked, Fenced, Lane, Outcome, Permit, ServerWindow, Wait, WindowUsage, Withdrawn
from resources.quota.settling import Settling
from resources.quota.turns import Place, Timers, Turns
from resources.telemetry import metrics, tracing

_log = logging.getLogger(__name__)
_LEDGER_PAUSE_SECONDS = 0.5
#: How often in a row grants may be taken back before they have been handed out.
_WITHDRAWN_AT_MOST = 5
#: Others may use the account: a run is not ended for less than this, in the hope that they leave some of it.
_SHORTEST_DEFERRAL_SECONDS = 60.0
#: How long all workers hold after a 429 that names no time and reports no block.
_UNNAMED_HOLD_SECONDS = 60.0
#: How long a worker that ends waits for servers that do not answer.
_PATIENCE_SECONDS = 3.0


class RateLimiter:
    """Permits for one account; may be shared by threads.

    `max_wait_seconds` is the longest that `acquire` waits unless told otherwise. A permit must be used within
    `use_within_seconds` of its grant, so that its request ends within the permit's time to live. `turns` says when a
    waiter asks again, `sleep` waits for anything else; without `turns` it is asked by the told time. With `settling`,
    the end of a request does not wait for the servers: `close` does.
    """

    def __init__(
        self,
        account: str,
        ledger: FailoverLedger,
        *,
        max_wait_seconds: float = 90.0,
        use_within_seconds: float = 20.0,
        clock: Callable[[], float] = suspend_aware_clock,
        sleep: Callable[[float], None] = time.sleep,
        turns: Turns | None = None,
        publisher: metrics.Publisher | None = None,
        settling: Settling | None = None,
    ) -> None:
        self.account = account
        self._ledger = ledger
        self._max_wait_seconds = max_wait_seconds
        self._use_within_seconds = use_within_seconds
        self._clock = clock
        self._sleep = sleep
        self._turns = turns or Timers(sleep)
        self._publisher = publisher
        self._settling = settling
        self._lock = threading.Lock()
        #: Seconds waited for permits by this instance, and permits granted, by holder ("redis", "postgres").
        self.waited_seconds = 0.0
        self.granted: Counter[str] = Counter()

    @contextmanager
    def permit(self, lane: Lane = Lane.BACKFILL, *, max_wait_seconds: float | None = None) -> Iterator[Permit]:
        """Wait for the right to send one request, which the block then sends; the only way to a permit.

        How the block ends settles the permit. With its end, or an `ApiError` of an answer, it ages from then on; an
        `ApiError` that the server does not count (`counted = False`, such as NotSent or AuthenticationFailed) gives it
        back; with anything else (`answered = False`, and errors that are not ours) the request may still be under way,
        and the permit stays in flight until its time to live has passed. After Throttled, no worker gets a permit until
        the server's time has passed; if it speaks of a block, until `observe` says that the block is over.

            with limiter.permit() as permit:
                response = session.get(url)
                raise_for_status(response)

        Raises QuotaDeferred when the quota has no room within `max_wait_seconds`, AccountBlocked, and LedgerUnavailable
        when Postgres is unavailable that long.
        """
        permit = self._fresh_permit(lane, self._max_wait_seconds if max_wait_seconds is None else max_wait_seconds)
        outcome = Outcome.UNANSWERED
        try:
            yield permit
            outcome = Outcome.COUNTED
        except (ApiError, Stopped) as error:
            outcome = _outcome_of(error)
            if isinstance(error, Throttled):  # Before the permit is settled, which lets the next worker go.
                self._hold(error)
            raise
        finally:
            self._settle(permit, outcome)

    def _fresh_permit(self, lane: Lane, budget: float) -> Permit:
        """A permit that is young enough to be used: a worker that was suspended gives its old one back."""
        while True:
            with tracing.span("permit", {"courtlistener.lane": lane.value}) as span:
                started = self._clock()
                [permit] = self._granted(1, lane, budget)
                if span.is_recording():
                    waited_ms = round(1000 * (self._clock() - started))
                    span.set_attributes({"courtlistener.holder": permit.holder, "courtlistener.waited_ms": waited_ms})
                    span.set_attributes(self._room_left())
            if self._clock() <= permit.use_by:
                return permit
            self._settle(permit, Outcome.NOT_COUNTED)

    def _room_left(self) -> dict[str, int]:
        """What is left of every window, for a trace."""
        with suppress(LedgerUnavailable):
            return {f"courtlistener.quota_left.{use.window.seconds}s": use.remaining for use in self.usage()}
        return {}

    def _granted(self, count: int, lane: Lane, budget: float, hour_limit: int | None = None) -> tuple[Permit, ...]:
        """Wait until `count` permits are granted at once, all or none."""
        give_up_at = self._clock() + budget
        withdrawn = 0
        while True:
            # Nobody may ask again under those of a grant that was taken back, or that may have been made.
            request_ids = [secrets.token_urlsafe(12) for _ in range(count)]
            try:
                with self._leaving(request_ids), self._turns.place(request_ids[0]) as place:
                    while True:
                        asked = self._clock()
                        left = give_up_at - asked
                        decision = self._ledger.acquire(
                            request_ids, lane, hour_limit=hour_limit, patience=place.patience(left)
                        )
                        if isinstance(decision, tuple):
                            return self._handed_out(decision, asked)
                        if isinstance(decision, Withdrawn):
                            break
                        self._wait(decision, place, left)
                self._leave(request_ids)
                withdrawn += 1
                if withdrawn == _WITHDRAWN_AT_MOST:
                    raise LedgerUnavailable(f"grants are taken back again and again: {decision.reason}")
            except LedgerUnavailable as error:
                if give_up_at - self._clock() < _LEDGER_PAUSE_SECONDS:
                    raise
                _log.warning("account %s: no permits for the moment: %s", self.account, error)
                withdrawn = 0
                with self._waiting():
                    self._sleep(_LEDGER_PAUSE_SECONDS)

    @contextmanager
    def _leaving(self, request_ids: Sequence[str]) -> Iterator[None]:
        """Whoever gives up gives up its place in line."""
        try:
            yield
        except BaseException:
            self._leave(request_ids)
            raise

    def _wait(self, decision: Wait | Blocked | Fenced, place: Place, budget: float) -> None:
        """Wait until it is time to ask again; raises if the ledger says that there is no permit within the budget."""
        if isinstance(decision, Blocked):
            raise AccountBlocked(f"{AccountBlocked.__doc__} ({decision.reason})" if decision.reason else None)
        assert isinstance(decision, Wait)
        wait_seconds = decision.wait_ms / 1000
        if wait_seconds > budget:
            if self._settling and self._settling.catch_up(_PATIENCE_SECONDS):
                return  # What this process has settled meanwhile may have been what was waited for.
            wait_seconds = min(wait_seconds, self._reading_due_seconds(wait_seconds))
            raise QuotaDeferred(f"The quota has no room for {wait_seconds:.0f} s", wait_seconds=wait_seconds)
        with self._waiting():
            place.pause(decision, budget)

    def _reading_due_seconds(self, wait_seconds: float) -> float:
        """When whoever is told to wait so long should come back, and read api-usage first: others may leave more."""
        with suppress(LedgerUnavailable):
            if wait_seconds <= _SHORTEST_DEFERRAL_SECONDS:
                return wait_seconds
            # The longer it takes for us alone, the less it matters to be there at once.
            return max(self._ledger.more_room_seconds(), _SHORTEST_DEFERRAL_SECONDS, wait_seconds / 100)
        return math.inf

    def _handed_out(self, permits: tuple[Permit, ...], asked: float) -> tuple[Permit, ...]:
        with self._lock:
            for permit in permits:
                self.granted[permit.holder] += 1
                metrics.GRANTED.labels(permit.holder).inc()
        since = [asked - permit.age_us / 1_000_000 for permit in permits]
        return tuple(
            replace(permit, asked_at=at, use_by=at + self._use_within_seconds)
            for permit, at in zip(permits, since, strict=True)
        )

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        """Count how long the block takes as time spent waiting."""
        before = self._clock()
        yield
        waited_seconds = self._clock() - before
        metrics.WAITED.inc(max(0.0, waited_seconds))
        with self._lock:
            self.waited_seconds += waited_seconds

    def _leave(self, request_ids: Sequence[str]) -> None:
        try:
            self._ledger.leave(request_ids)
        except LedgerUnavailable as error:
            _log.debug("account %s: the place among the waiters is left to expire: %s", self.account, error)

    def _settle(self, permit: Permit, outcome: Outcome) -> None:
        metrics.REQUESTS.labels(outcome.value).inc()
        settle = partial(self._tell, permit, outcome, round((self._clock() - permit.asked_at) * 1_000_000))
        if self._settling:
            self._settling.soon(settle)
        else:
            settle()

    def _tell(self, permit: Permit, outcome: Outcome, elapsed_us: int) -> None:
        """Settle a permit; if no ledger is available, it ages out."""
        try:
            self._ledger.settle(permit, outcome, elapsed_us)
            metrics.STATE_UPDATES.labels("ok").inc()
        except LedgerUnavailable as error:
            metrics.STATE_UPDATES.labels("failed").inc()
            _log.warning("account %s: a permit stays in flight until it ages out: %s", self.account, error)
        if self._publisher:
            self._publisher.publish_if_due()

    def close(self) -> None:
        """Settle what is left, and add what this process has counted to the totals of all workers."""
        if self._settling:
            self._settling.finish(_PATIENCE_SECONDS)
        if self._publisher:
            self._publisher.publish_last()

    def _hold(self, error: Throttled) -> None:
        metrics.REFUSED.inc()
        named, blocked = error.retry_after_seconds, error.blocked
        seconds = 0.0 if blocked else _UNNAMED_HOLD_SECONDS if named is None else named
        try:
            self._ledger.hold(seconds, blocked)
        except LedgerUnavailable as unavailable:
            _log.warning("account %s: the others do not know of a 429: %s", self.account, unavailable)

    def observe(
        self,
        windows: Sequence[ServerWindow],
        *,
        complete: bool = True,
        age_seconds: Callable[[], float] = lambda: math.inf,
    ) -> None:
        """Apply what api-usage says: windows, use by others, block. Without rows nothing changes.

        If it is not `complete`, the windows known before stay in force beside these. `age_seconds` is a stopwatch
        started before api-usage was asked: what had its answer by then is counted, or never will be. Without it nothing
        is concluded from a count that is below ours. Raises LedgerUnavailable.
        """
        if windows:
            self._ledger.observe(windows, complete=complete, age_seconds=age_seconds)

    def stopwatch(self) -> Callable[[], float]:
        """Seconds that have passed since this call, whenever the result is called."""
        started = self._clock()
        return lambda: self._clock() - started

    def needs_observation(self, max_age_seconds: float, shared_max_age_seconds: float | None = None) -> bool:
        """Whether the caller should read api-usage now: no worker has within that time, or there was a 429 since.

        If others use the account, within `shared_max_age_seconds`. True for only one of all workers. Raises
        LedgerUnavailable.
        """
        return self._ledger.claim_observation(max_age_seconds, shared_max_age_seconds)

    def usage(self) -> tuple[WindowUsage, ...]:
        """Return how full every window is; raises LedgerUnavailable."""
        return self._ledger.usage()

    def charge(self, calls: int, hour_limit: int) -> bool:
        """Charge calls, which are never settled, if the quota and `hour_limit` calls a clock hour have room now.

        Raises SettingError for less than one call, and as `permit` does, but never QuotaDeferred.
        """
        if calls < 1:
            raise SettingError("at least 1 call must be charged")
        if calls > hour_limit:  # The ledger takes 0 for no limit.
            return False
        try:
            self._granted(calls, Lane.BACKFILL, 0.0, hour_limit)
        except QuotaDeferred:
            return False
        return True

    def hour_counts(self) -> tuple[int, int] | None:
        """Count requests charged and made in this clock hour (UTC), in Redis; None if Redis does not answer."""
        return self._ledger.hour_counts()


def _outcome_of(error: ApiError | Stopped) -> Outcome:
    if not error.counted:
        return Outcome.NOT_COUNTED
    return Outcome.COUNTED if error.answered else Outcome.UNANSWERED
