"""Who is in charge of an account's quota: its row of `courtlistener.ledgers`, and what happens under the row's lock.

Belongs here: taking the ledger over, giving it back to Redis, and the journal's gate. Does not belong here: what the
account may do (`windows.py`), deciding about a permit (the ledgers), or when to change the holder (`failover.py`).

Windows, hold and block are kept here; Redis gets a copy, together with the permits, whenever it is put in charge.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from psycopg.rows import TupleRow, dict_row
from psycopg.types.json import Jsonb

from resources.connections.postgres import Connection, Database
from resources.errors import RedisUnavailable
from resources.quota import clocks
from resources.quota.clocks import ClockWatch, Steady
from resources.quota.permits import (
    LONGEST_WINDOW_SECONDS,
    MOST_REQUESTS,
    JournaledPermit,
    LedgerState,
    Permit,
    QuotaWindow,
    Window,
)
from resources.quota.redis_ledger import RedisLedger

_log = logging.getLogger(__name__)
REDIS, POSTGRES = "redis", "postgres"
EPOCH = datetime.fromtimestamp(0, UTC)
_REMEMBERED_THROTTLE_US = 3_600_000_000
_MICROSECOND = timedelta(microseconds=1)
_RETENTION = timedelta(days=30)
_PERMITS_A_PAGE = 5_000
_CONNECTION_TIMEOUT_SECONDS = 2.0
#: For each answer of Postgres: a worker has told its run how long it may wait.
_ANSWER_TIMEOUT_SECONDS = 3.0

_READ = """
    SELECT epoch, holder, changed_at, cool_down_seconds, windows, held_until, blocked, observed_at, throttled_at,
           others, clock_offset_us, clock_tolerance_us, clock_corrected_us, seen_from, seen_steady_us, seen_took_us,
           seen_clock_us
    FROM courtlistener.ledgers WHERE account = %(account)s
"""
_LOCK = _READ + " FOR UPDATE"
_JOURNAL = """
    SELECT refusal, now_us, offset_us, tolerance_us, corrected_us
    FROM courtlistener.journal_permits(%(account)s, %(epoch)s, %(request_ids)s::text[], %(serial)s, %(granted_us)s,
                                       %(priority)s, %(ttl_us)s, %(clock_us)s)
"""
# Settled permits are no older than now, and those in flight have no more than their time to live before them.
_CORRECT = """
    UPDATE courtlistener.permits
    SET ages_from = least(ages_from + %(jump)s, %(now)s + CASE WHEN settled_at IS NULL OR outcome = 'unanswered'
                                                               THEN ages_from - granted_at ELSE interval '0' END)
    WHERE account = %(account)s AND ages_from > %(since)s
"""
_TAKE_OVER = "SELECT new_epoch, new_cool_down_seconds FROM courtlistener.take_ledger_over(%s, %s, %s)"
_YOUNG_PERMITS = """
    SELECT request_id, ages_from, settled_at IS NULL OR outcome = 'unanswered', priority FROM courtlistener.permits
    WHERE account = %(account)s AND ages_from > %(since)s ORDER BY ages_from DESC
"""
# Of what was sent since the last refusal.
_ANSWERED = """
    SELECT count(*) FROM courtlistener.permits
    WHERE account = %(account)s AND ages_from > %(since)s AND granted_at > %(since)s AND outcome = 'counted'
"""
_PRUNE = """
    DELETE FROM courtlistener.permits WHERE ctid = ANY (ARRAY (
        SELECT ctid FROM courtlistener.permits WHERE granted_at < now() - %s
        ORDER BY granted_at LIMIT 5000 FOR UPDATE SKIP LOCKED))
"""


def us(moment: datetime) -> int:
    """A moment as Unix microseconds, exactly."""
    return (moment - EPOCH) // _MICROSECOND


def moment(unix_us: int) -> datetime:
    """The reverse of `us`."""
    return EPOCH + timedelta(microseconds=unix_us)


def window_row(window: Window, foreign: int = 0, foreign_until_us: int = 0) -> dict[str, int]:
    """A window as the row has it."""
    return {"limit": window.limit, "seconds": window.seconds, "foreign": foreign, "foreign_until_us": foreign_until_us}


def _are_usable(rows: Any) -> bool:
    """Whether stored windows can be worked with; others were stored before bounds were looked at, or by hand."""
    bounds = {"limit": (1, MOST_REQUESTS), "seconds": (1, LONGEST_WINDOW_SECONDS), "foreign": (0, MOST_REQUESTS),
              "foreign_until_us": (0, 2**62)}  # fmt: skip
    return isinstance(rows, list) and all(
        isinstance(row, dict) and type(row.get(name)) is int and low <= row[name] <= high
        for row in rows
        for name, (low, high) in bounds.items()
    )


@dataclass
class Lease:
    """The locked row of one account, valid until the transaction ends. `now` was read after the lock was granted."""

    epoch: int
    holder: str
    changed_at: datetime
    cool_down_seconds: float
    windows: list[dict[str, int]]
    held_until: datetime
    blocked: str
    observed_at: datetime
    throttled_at: datetime
    #: See `Others`; empty while there are none.
    others: dict[str, Any]
    clock_offset_us: int
    clock_tolerance_us: int
    clock_corrected_us: int
    seen_from: str
    seen_steady_us: int
    seen_took_us: int
    seen_clock_us: int
    now: datetime
    #: The moments of our own clock between which `now` was read.
    read_between: tuple[float, float]
    #: Whether Redis needs a new copy: permits that it has were given back in the journal, or its windows make no sense.
    outdated: bool = False

    @property
    def longest(self) -> timedelta:
        """How long a permit matters once it ages."""
        return timedelta(seconds=max((window["seconds"] for window in self.windows), default=0))

    @property
    def throttled_us_ago(self) -> int | None:
        """When the last 429 came; None if there was none."""
        return us(self.now) - us(self.throttled_at) if self.throttled_at > EPOCH else None

    @property
    def tolerance_us(self) -> int:
        """How far a clock may seem to have jumped."""
        return clocks.tolerance_us(min((window["seconds"] for window in self.windows), default=0))

    def quota_windows(self) -> tuple[QuotaWindow, ...]:
        """The windows with the foreign use that still counts."""
        left_us = [max(0, window["foreign_until_us"] - us(self.now)) for window in self.windows]
        return tuple(
            QuotaWindow(Window(w["limit"], w["seconds"]), w["foreign"] if left else 0, left / 1_000_000)
            for w, left in zip(self.windows, left_us, strict=True)
        )

    @property
    def next_epoch(self) -> int:
        """A number that no earlier attempt has used, whether or not it was committed.

        A rebuild that was given up after a timeout may still reach Redis; it must not carry the epoch of a later one.
        """
        return max(self.epoch + 1, us(self.now))

    @property
    def held_seconds(self) -> float:
        """Seconds since the holder was put in charge; 0 if the clock has gone back behind that moment."""
        return max(0.0, (self.now - self.changed_at).total_seconds())

    def cooling_seconds(self, shortest: float) -> float:
        """Seconds for which the holder must not go to Redis (again)."""
        return (self.cool_down_seconds if self.holder == POSTGRES else shortest) - self.held_seconds


@dataclass(frozen=True)
class Entry:
    """What the journal said to permits: Postgres' clock then, and what is known of both clocks.

    `refusal`: it did not take them in, because the epoch is over ("epoch"), or because Redis gives numbers again and so
    must have an old copy of its keys ("copy"). `offset_us` is Postgres' clock minus Redis' at the last rebuild. The
    statement was under way between `asked` and `answered`, moments of `LeaseStore.steady`.
    """

    refusal: str
    now_us: int
    offset_us: int
    tolerance_us: int
    corrected_us: int
    asked: float
    answered: float


class LeaseStore:
    """One account's row in Postgres.

    `cool_down_seconds` is how long Postgres keeps the ledger at least; it doubles each time Redis fails within a minute
    of having been put in charge. `clock_us` replaces Postgres' clock in simulations, and `steady` the clock of this
    process. Every method raises StoreUnavailable if Postgres does not answer.
    """

    def __init__(
        self,
        database: Database,
        account: str,
        *,
        fallback_windows: tuple[Window, ...],
        cool_down_seconds: float = 5.0,
        clock_us: Callable[[], int] | None = None,
        steady: Steady | None = None,
    ) -> None:
        self.database = database
        self.account = account
        self.fallback_rows = [window_row(window) for window in fallback_windows]
        self.cool_down_seconds = cool_down_seconds
        self._clock_us = clock_us
        self.steady = steady or (clocks.suspend_aware_clock if clock_us is None else lambda: clock_us() / 1e6)
        self._watch = ClockWatch()
        #: `clock_corrected_us` when this process last found no jump but those of which it tells.
        self._corrected_us: int | None = None

    def transaction(self) -> AbstractContextManager[Connection]:
        """A transaction that does not keep a worker waiting: it has other ways to get a permit."""
        return self.database.transaction(
            timeout_seconds=_CONNECTION_TIMEOUT_SECONDS, answer_seconds=_ANSWER_TIMEOUT_SECONDS
        )

    def call(self, query: str, params: Mapping[str, Any]) -> TupleRow:
        """One statement that returns a row, in a round trip of its own; it may run twice."""
        clock_us = None if self._clock_us is None else self._clock_us()
        [row] = self.database.call(
            query,
            {"account": self.account, "clock_us": clock_us, **params},
            timeout_seconds=_CONNECTION_TIMEOUT_SECONDS,
            answer_seconds=_ANSWER_TIMEOUT_SECONDS,
        )
        return row

    def now(self, connection: Connection) -> datetime:
        """Postgres' clock, or the simulation's."""
        if self._clock_us is not None:
            return moment(self._clock_us())
        row = connection.execute("SELECT clock_timestamp()").fetchone()
        assert row is not None
        return row[0]  # type: ignore[no-any-return]

    def lock(self, connection: Connection) -> Lease:
        """Lock the row until the end of the transaction; the account is entered if it is new.

        If Postgres' clock has jumped since this process, or another of this machine, first saw it, the journal is
        corrected, unless another worker has done so. If another has seen it jump ahead and we have not, that worker's
        own clock may have stood still, as that of a virtual machine does that is moved. Nothing looks too old for that,
        so it stands: else the two would correct each other for ever.
        """
        lease = self._get(connection, _LOCK)
        if not _are_usable(lease.windows):
            lease.windows, lease.observed_at, lease.outdated = self.fallback_rows, EPOCH, True
        machine, [steady_us, answered_us] = clocks.boot_id(), [round(moment * 1e6) for moment in lease.read_between]
        if machine and lease.seen_from == machine and lease.seen_steady_us <= steady_us:
            seen = lease.seen_steady_us / 1e6, (lease.seen_steady_us + lease.seen_took_us) / 1e6
            self._watch.jump_us(lease.seen_clock_us, *seen, lease.tolerance_us)
        jump_us = self._jump_us(lease)
        if jump_us < 0 and self._corrected_us is not None and lease.clock_corrected_us > self._corrected_us:
            self._watch = ClockWatch()
            jump_us = self._jump_us(lease)
        if jump_us:
            self.correct(connection, lease, jump_us)
            # It is written down as more than it was, if the answers took their time: that is no jump back.
            self._watch = ClockWatch()
            self._jump_us(lease)
        self._corrected_us = lease.clock_corrected_us
        connection.execute(
            "UPDATE courtlistener.ledgers SET seen_from = %s, seen_steady_us = %s, seen_took_us = %s, "
            "seen_clock_us = %s WHERE account = %s",
            (machine, steady_us, answered_us - steady_us, us(lease.now) - lease.clock_corrected_us, self.account),
        )
        return lease

    def _jump_us(self, lease: Lease) -> int:
        shown_us = us(lease.now) - lease.clock_corrected_us
        return self._watch.jump_us(shown_us, *lease.read_between, lease.tolerance_us)

    def has_jumped(self, now_us: int, corrected_us: int, asked: float, answered: float, tolerance_us: int) -> bool:
        """Whether Postgres' clock has jumped, and nobody has written so yet: `lock` will.

        `now_us` is what it showed between `asked` and `answered`, moments of `steady`.
        """
        jumped = self._watch.jump_us(now_us - corrected_us, asked, answered, tolerance_us) != 0
        if not jumped:
            self._corrected_us = corrected_us
        return jumped

    def correct(self, connection: Connection, lease: Lease, jump_us: int) -> None:
        """Postgres' clock has jumped: if ahead, move all that was written before along, so that nothing looks too old.

        If it has gone back, things look younger, which wastes some. That is written down, since it may come again.
        """
        _log.warning("account %s: Postgres' clock has jumped by %+.3f s", self.account, jump_us / 1e6)
        jump = timedelta(microseconds=max(0, jump_us))
        before = lease.now - jump
        if jump:
            params = {"account": self.account, "jump": jump, "now": lease.now, "since": before - lease.longest}
            connection.execute(_CORRECT, params)
        lease.clock_corrected_us += jump_us
        lease.clock_offset_us += jump_us
        lease.windows = [
            {**window, "foreign_until_us": window["foreign_until_us"] + (max(0, jump_us) if window["foreign"] else 0)}
            for window in lease.windows
        ]
        lease.held_until += jump if lease.held_until > before else timedelta(0)
        lease.throttled_at += jump if lease.throttled_at > EPOCH else timedelta(0)
        lease.changed_at = min(lease.changed_at + jump, lease.now)
        connection.execute(
            "UPDATE courtlistener.ledgers SET clock_corrected_us = %s, clock_offset_us = %s, windows = %s, "
            "held_until = %s, throttled_at = %s, changed_at = %s WHERE account = %s",
            (lease.clock_corrected_us, lease.clock_offset_us, Jsonb(lease.windows), lease.held_until,
             lease.throttled_at, lease.changed_at, self.account),
        )  # fmt: skip

    def read(self, connection: Connection) -> Lease:
        """The row as it is now, without a lock: for reports."""
        return self._get(connection, _READ)

    def _get(self, connection: Connection, query: str) -> Lease:
        with connection.cursor(row_factory=dict_row) as cursor:
            row = cursor.execute(query.encode(), {"account": self.account}).fetchone()
            if row is None:
                cursor.execute(
                    "INSERT INTO courtlistener.ledgers (account, windows) VALUES (%s, %s) ON CONFLICT DO NOTHING",
                    (self.account, Jsonb(self.fallback_rows)),
                )
                row = cursor.execute(query.encode(), {"account": self.account}).fetchone()
        assert row is not None
        asked = self.steady()
        now = self.now(connection)
        return Lease(**row, now=now, read_between=(asked, self.steady()))

    def take_over(self, connection: Connection, lease: Lease) -> None:
        """Put Postgres in charge. What Redis still grants from now on is void."""
        taken = connection.execute(_TAKE_OVER, (self.account, us(lease.now), self.cool_down_seconds)).fetchone()
        assert taken is not None
        lease.epoch, lease.cool_down_seconds = taken
        lease.holder, lease.changed_at = POSTGRES, lease.now

    def give_to(self, redis: RedisLedger, *, even_if_intact: bool = False) -> float:
        """Put Redis in charge, with a fresh copy of the journal if it needs one; 0 if it is in charge now.

        Otherwise Postgres is in charge for at least the returned number of seconds: Redis does not answer, or it has
        been put in charge too recently to trust it again.
        """
        with self.transaction() as connection:
            lease = self.lock(connection)
            try:
                intact = lease.holder == REDIS and redis.is_intact(lease.epoch)
                if intact and not even_if_intact:
                    return 0.0
                if lease.holder == REDIS:
                    # Its clock outlives what it holds.
                    self._compare(connection, lease, redis)
                cooling_seconds = 0.0 if intact else lease.cooling_seconds(self.cool_down_seconds)
                if cooling_seconds <= 0:
                    lease.changed_at = lease.now
                    self.rebuild(connection, lease, redis)
                    return 0.0
            except RedisUnavailable:
                cooling_seconds = self.cool_down_seconds
            if lease.holder == REDIS:
                self.take_over(connection, lease)
                cooling_seconds = lease.cool_down_seconds
            return cooling_seconds

    def _compare(self, connection: Connection, lease: Lease, redis: RedisLedger) -> None:
        """Believe Redis' clock if Postgres' has gained on it: what the journal says of ages may be too much."""
        asked = self.steady()
        redis_us = redis.server_us()
        now_us = us(self.now(connection))
        taken_us = round((self.steady() - asked) * 1e6)
        gained_us = now_us - redis_us - lease.clock_offset_us
        # The offset is known no better than it could be measured.
        if gained_us > max(lease.tolerance_us, lease.clock_tolerance_us) + taken_us:
            self.correct(connection, lease, gained_us)

    def rebuild(self, connection: Connection, lease: Lease, redis: RedisLedger) -> None:
        """Put Redis in charge with a fresh copy; raises RedisUnavailable, and what Redis may have received is void."""
        windows = lease.quota_windows()
        since = lease.now - lease.longest
        answered_since = 0
        if lease.throttled_us_ago is not None and lease.throttled_us_ago < _REMEMBERED_THROTTLE_US:
            refused = {"account": self.account, "since": lease.throttled_at}
            [answered_since] = connection.execute(_ANSWERED, refused).fetchone() or (0,)
        # Page by page, since Postgres ends a transaction that is idle for long.
        with connection.cursor(name="young_permits") as rows:
            rows.itersize = _PERMITS_A_PAGE
            rows.execute(_YOUNG_PERMITS, {"account": self.account, "since": since})
            state = LedgerState(
                epoch=lease.next_epoch,
                windows=windows,
                hold_us=max(0, us(lease.held_until) - us(lease.now)),
                blocked=lease.blocked,
                throttled_us_ago=lease.throttled_us_ago,
                answered=answered_since,
                # A clock that went back has left moments to come behind it: such permits were settled just now.
                permits=(
                    JournaledPermit(name, us(lease.now) - us(at if flying else min(at, lease.now)), flying, priority)
                    for name, at, flying, priority in rows
                ),
                keep_waiters=lease.holder == REDIS,
            )
            redis.load(state, margin_us=lease.tolerance_us, drift=clocks.DRIFT)
            asked = self.steady()
            redis_us = redis.server_us()
            answered = self.steady()
        # At a Redis far away, as much time has passed since we have seen Postgres' clock.
        passed_us = round((asked + answered - sum(lease.read_between)) * 500_000)
        read_from, read_to = lease.read_between
        unsure_us = round((answered - asked + read_to - read_from) * 500_000)
        connection.execute(
            "UPDATE courtlistener.ledgers SET epoch = %s, holder = 'redis', changed_at = %s, clock_offset_us = %s, "
            "clock_tolerance_us = %s WHERE account = %s",
            (
                state.epoch,
                lease.changed_at,
                us(lease.now) + passed_us - redis_us,
                lease.tolerance_us + unsure_us,
                self.account,
            ),
        )

    def journal(self, permits: Sequence[Permit], *, priority: bool, ttl_us: int) -> Entry:
        """Journal what Redis has granted, if it is still in charge under their epoch, and these grants are new."""
        params = {
            "epoch": permits[0].epoch,
            "request_ids": [permit.request_id for permit in permits],
            "serial": permits[-1].serial or 0,
            "granted_us": permits[-1].granted_at_us,
            "priority": priority,
            "ttl_us": ttl_us,
        }
        asked = self.steady()
        refusal, *read = self.call(_JOURNAL, params)
        now_us, offset_us, tolerance_us, corrected_us = (value or 0 for value in read)
        return Entry(refusal or "", now_us, offset_us, tolerance_us, corrected_us, asked, self.steady())

    def withdraw(self, request_ids: Sequence[str], epoch: int) -> None:
        """Take back what was just journaled under `epoch` for permits that were not handed out."""
        with self.transaction() as connection:
            connection.execute(
                "DELETE FROM courtlistener.permits WHERE account = %s AND request_id = ANY (%s) AND epoch = %s "
                "AND settled_at IS NULL",
                (self.account, list(request_ids), epoch),
            )

    def prune(self, connection: Connection) -> None:
        """Delete a bounded number of permits older than the retention, of any account: some are no longer used."""
        connection.execute(_PRUNE, (_RETENTION,))
