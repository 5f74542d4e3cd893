"""What CourtListener allows an account, for all workers: windows, use by others, holds after a 429, blocks.

Belongs here: changing them under the lock of the ledger's row, from where Redis gets its copy. Does not belong here:
who is in charge (`lease.py`) or asking CourtListener (`client.py`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from psycopg.types.json import Jsonb

from resources.connections.postgres import Connection
from resources.errors import RedisUnavailable
from resources.quota.lease import EPOCH, REDIS, Lease, LeaseStore, us, window_row
from resources.quota.others import MEMORY_US, Others, held_seconds
from resources.quota.permits import ServerWindow
from resources.quota.redis_ledger import RedisLedger

#: A worker that asked for an observation and then died must not keep the others from asking.
_OBSERVATION_CLAIM = timedelta(seconds=30)
#: When api-usage was asked at latest, if nobody has taken the time.
_LONGEST_READING = timedelta(seconds=10)

# After a 429 an older claim is no claim: what it reads may be older, too. Nor is one that is yet to come, by a clock
# that has gone back since; and nobody knows how old such a reading is.
_CLAIM_OBSERVATION = """
    UPDATE courtlistener.ledgers SET observation_claimed_at = %(now)s
    WHERE account = %(account)s
      AND (observed_at < %(now)s - CASE WHEN others = '{}' THEN %(max_age)s ELSE %(shared_max_age)s END
           OR observed_at > %(now)s OR throttled_at > observed_at)
      AND (observation_claimed_at < %(now)s - %(claim)s OR observation_claimed_at > %(now)s
           OR observation_claimed_at < throttled_at)
    RETURNING 1
"""
# What had its answer, or can have none any more, when api-usage was asked, and was granted within the window.
_COUNTS = """
    SELECT count(*), count(*) FILTER (WHERE ages_from <= %(asked)s AND granted_at > %(since)s)
    FROM courtlistener.permits WHERE account = %(account)s AND ages_from > %(counted_since)s
"""
# The oldest, whichever they were: of those that are left, the nth newest is no older than the nth that was logged.
_NOT_LOGGED = """
    UPDATE courtlistener.permits
    SET settled_at = coalesce(settled_at, %(now)s), outcome = 'not_counted', ages_from = NULL
    WHERE account = %(account)s AND request_id IN (
        SELECT request_id FROM courtlistener.permits
        WHERE account = %(account)s AND ages_from > %(since)s AND ages_from <= %(asked)s AND granted_at > %(since)s
        ORDER BY ages_from LIMIT %(count)s)
"""
_BLOCKED = "CourtListener reports the account as blocked"


class AccountWindows:
    """The part of an account's row that says what the account may do.

    Every method raises StoreUnavailable if Postgres does not answer.
    """

    def __init__(self, leases: LeaseStore) -> None:
        self._leases = leases

    def configure(self, redis: RedisLedger | None) -> None:
        """Put the windows of the settings in force, unless CourtListener has named others."""
        with self._changing(redis) as (_, lease):
            if lease.observed_at == EPOCH:
                lease.windows = self._leases.fallback_rows

    def hold(self, redis: RedisLedger | None, seconds: float, blocked: str | None) -> None:
        """There was a 429: nothing is granted for so long, or if the account is blocked, until an observation."""
        with self._changing(redis) as (_, lease):
            seconds = seconds if blocked else max(seconds, Others.of(lease.others).pause_seconds)
            lease.held_until = max(lease.held_until, lease.now + timedelta(seconds=seconds))
            lease.throttled_at = lease.now
            if blocked is not None:
                lease.blocked = blocked or _BLOCKED

    def observe(
        self,
        redis: RedisLedger | None,
        windows: Sequence[ServerWindow],
        *,
        complete: bool,
        age_seconds: Callable[[], float],
    ) -> None:
        """Put in force what CourtListener has said; see `RateLimiter.observe`."""
        with self._changing(redis) as (connection, lease):
            # The stopwatch runs on while `lease.now` stands, so this is no later than the asking.
            age, known = age_seconds(), True
            if math.isinf(age):
                age, known = _LONGEST_READING.total_seconds(), False
            asked = lease.now - timedelta(seconds=age)
            lease.blocked = _BLOCKED if any(row.blocked for row in windows) else ""
            # api-usage lists the fullest window first; in an order of their own the same windows are no change.
            usable = sorted(
                (row for row in windows if row.window.limit > 0), key=lambda row: (row.window.seconds, row.window.limit)
            )
            if usable:
                self._take_up(connection, lease, usable, asked, known=known, complete=complete)
            lease.observed_at = asked if known else lease.now

    def _take_up(
        self,
        connection: Connection,
        lease: Lease,
        windows: Sequence[ServerWindow],
        asked: datetime,
        *,
        known: bool,
        complete: bool,
    ) -> None:
        if known:
            for row in windows:
                self._forget_unlogged(connection, lease, row, asked)
        owns = [self._counts(connection, lease, row, asked)[0] for row in windows]
        # What was asked before a 429 does not know of it.
        late = known and asked < lease.throttled_at
        refused = lease.observed_at < lease.throttled_at and not late
        others = Others.of(lease.others).after(windows, owns, us(lease.now), refused=refused)
        lease.others = asdict(others) if others.present else {}
        rows = [
            _row(row, own, others, us(lease.now), shortest=row is windows[0])
            for row, own in zip(windows, owns, strict=True)
        ]
        if not complete:
            named = {row["seconds"] for row in rows}
            rows += [row for row in lease.windows if row["seconds"] not in named]
        lease.windows = sorted(rows, key=lambda row: (row["seconds"], row["limit"]))
        if complete and not late and all(row.used < row.window.limit for row in windows):
            lease.held_until = EPOCH
        elif held := held_seconds(windows, others):
            lease.held_until = max(lease.held_until, lease.now + timedelta(seconds=held))

    def _counts(self, connection: Connection, lease: Lease, row: ServerWindow, asked: datetime) -> tuple[int, int]:
        """How many of our permits the server may have counted in a window, and how many it must have, or never will."""
        counted = connection.execute(_COUNTS, self._params(lease, row, asked)).fetchone()
        assert counted is not None
        return counted

    def _forget_unlogged(self, connection: Connection, lease: Lease, row: ServerWindow, asked: datetime) -> None:
        """Give back permits whose requests the server cannot have logged, since it counted fewer than were answered."""
        _, must_be_counted = self._counts(connection, lease, row, asked)
        if must_be_counted > row.used:
            params = self._params(lease, row, asked) | {"count": must_be_counted - row.used}
            connection.execute(_NOT_LOGGED, params)
            lease.outdated = True

    def _params(self, lease: Lease, row: ServerWindow, asked: datetime) -> dict[str, Any]:
        window = timedelta(seconds=row.window.seconds)
        return {
            "account": self._leases.account,
            "now": lease.now,
            "asked": asked,
            # The server counted between `asked` and now.
            "since": lease.now - window,
            "counted_since": asked - window,
        }

    @contextmanager
    def _changing(self, redis: RedisLedger | None) -> Iterator[tuple[Connection, Lease]]:
        """The locked row, to be changed in the block.

        Redis gets its copy under the same lock; if it cannot be reached, Postgres takes the ledger over, so that no
        worker keeps the old windows.
        """
        with self._leases.transaction() as connection:
            lease = self._leases.lock(connection)
            before = _in_force(lease)
            yield connection, lease
            connection.execute(
                "UPDATE courtlistener.ledgers SET windows = %s, others = %s, held_until = %s, blocked = %s, "
                "observed_at = %s, throttled_at = %s WHERE account = %s",
                (Jsonb(lease.windows), Jsonb(lease.others), lease.held_until, lease.blocked,
                 lease.observed_at, lease.throttled_at, self._leases.account),
            )  # fmt: skip
            if lease.holder == REDIS and before != _in_force(lease):
                try:
                    if redis is None:
                        raise RedisUnavailable
                    self._leases.rebuild(connection, lease, redis)
                except RedisUnavailable:
                    self._leases.take_over(connection, lease)

    def more_room_seconds(self) -> float:
        """After how long others may have left us more than they do now; infinite if it is not they whom we wait for."""
        with self._leases.transaction() as connection:
            lease = self._leases.read(connection)
            others = Others.of(lease.others)
            room_us = max(others.free_us, us(lease.held_until)) - us(lease.now)
            return max(0.0, room_us / 1_000_000) if others.free_us else math.inf

    def claim_observation(self, max_age_seconds: float, shared_max_age_seconds: float | None = None) -> bool:
        """Whether the caller, and no other worker, should ask the server for the account's usage now."""
        shared_seconds = max_age_seconds if shared_max_age_seconds is None else shared_max_age_seconds
        with self._leases.transaction() as connection:
            lease = self._leases.lock(connection)
            params = {
                "account": self._leases.account,
                "now": lease.now,
                "max_age": timedelta(seconds=max_age_seconds),
                "shared_max_age": timedelta(seconds=min(max_age_seconds, shared_seconds)),
                "claim": _OBSERVATION_CLAIM,
            }
            claimed = connection.execute(_CLAIM_OBSERVATION, params).fetchone() is not None
            if claimed:
                self._leases.prune(connection)
        return claimed


def _in_force(lease: Lease) -> tuple[object, ...]:
    """What Redis has a copy of, and whether that is outdated."""
    return lease.windows, lease.held_until, lease.blocked, lease.throttled_at, lease.outdated


def _row(row: ServerWindow, own: int, others: Others, now_us: int, *, shortest: bool) -> dict[str, int]:
    """A window as it is in force: what others are to have is taken off until the last of theirs has aged out.

    In a short window they are likely to send more until there is another reading.
    """
    taken = row.window.limit - others.room(row, own, now_us, shortest=shortest) if others.present else 0
    lasts_us = max(row.window.seconds * 1_000_000, MEMORY_US)
    return window_row(row.window, taken, now_us + lasts_us if taken else 0)
