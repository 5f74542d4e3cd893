"""The quota ledger in Postgres: the same rule as `lua/acquire.lua`, decided by counting the journal under a row lock.

Belongs here: deciding about permits while Redis is down, and settling in the journal, which always happens. Does not
belong here: who is in charge (`lease.py`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from resources.connections.postgres import Connection
from resources.quota.lease import POSTGRES, Lease, LeaseStore, us
from resources.quota.permits import Blocked, Decision, Fenced, Lane, Outcome, Permit, QuotaWindow, Wait, WindowUsage

_PLACE = """
    WITH gone AS (
        DELETE FROM courtlistener.permit_waiters WHERE account = %(account)s AND deadline <= %(now)s
    ), mine AS (
        SELECT ticket FROM courtlistener.permit_waiters
        WHERE account = %(account)s AND request_id = %(first)s AND deadline > %(now)s
    )
    SELECT
        (SELECT granted_at FROM courtlistener.permits WHERE account = %(account)s AND request_id = %(first)s),
        (SELECT count(*) FROM courtlistener.permit_waiters
         WHERE account = %(account)s AND deadline > %(now)s
           AND (priority > %(priority)s
                OR priority = %(priority)s AND ticket < coalesce((SELECT ticket FROM mine), 9223372036854775807)))
"""
_SCORES = """
    SELECT (SELECT ages_from FROM courtlistener.permits
            WHERE account = %(account)s AND ages_from IS NOT NULL
            ORDER BY ages_from DESC LIMIT 1 OFFSET nth - 1)
    FROM unnest(%(nths)s::bigint[]) WITH ORDINALITY AS rank (nth, place) ORDER BY place
"""
_GRANT = """
    INSERT INTO courtlistener.permits (account, request_id, epoch, holder, granted_at, ages_from)
    SELECT %(account)s, request_id, %(epoch)s, 'postgres', %(now)s, %(now)s + %(ttl)s
    FROM unnest(%(request_ids)s::text[]) AS request_id
"""
_LEAVE = "DELETE FROM courtlistener.permit_waiters WHERE account = %(account)s AND request_id = ANY(%(request_ids)s)"
_QUEUE = """
    INSERT INTO courtlistener.permit_waiters (account, request_id, priority, deadline)
    SELECT %(account)s, request_id, %(priority)s, %(deadline)s FROM unnest(%(request_ids)s::text[]) AS request_id
    ON CONFLICT (account, request_id) DO UPDATE SET deadline = excluded.deadline
"""
_SETTLE = """
    UPDATE courtlistener.permits
    SET settled_at = %(now)s, outcome = %(outcome)s, ages_from = CASE WHEN %(counted)s THEN %(now)s END
    WHERE account = %(account)s AND request_id = %(request_id)s AND settled_at IS NULL
"""


class PostgresLedger:
    """Permits for one account, decided in Postgres. `reserve_share` of every limit is left to the priority lane.

    Every method raises StoreUnavailable if Postgres does not answer.
    """

    def __init__(
        self, leases: LeaseStore, *, permit_ttl_seconds: float, reserve_share: float = 0.0, grace_seconds: float = 2.0
    ) -> None:
        self._leases = leases
        self._account = leases.account
        self._ttl = timedelta(seconds=permit_ttl_seconds)
        self._reserve_share = reserve_share
        self._grace = timedelta(seconds=grace_seconds)

    def acquire(
        self, request_ids: Sequence[str], lane: Lane, *, redis_failed_seconds_ago: float | None = None
    ) -> Decision:
        """As `RedisLedger.acquire`; takes the ledger over first if Redis has failed since it was put in charge."""
        with self._leases.transaction() as connection:
            lease = self._leases.lock(connection)
            if lease.holder != POSTGRES:
                if redis_failed_seconds_ago is None or redis_failed_seconds_ago > lease.held_seconds:
                    return Fenced("Redis is in charge")
                self._leases.take_over(connection, lease)
            if lease.blocked:
                return Blocked(lease.blocked)
            return self._decide(connection, lease, request_ids, lane)

    def _decide(self, connection: Connection, lease: Lease, request_ids: Sequence[str], lane: Lane) -> Decision:
        params: dict[str, Any] = {
            "account": self._account,
            "now": lease.now,
            "first": request_ids[0],
            "request_ids": list(request_ids),
            "priority": lane is Lane.PRIORITY,
            "epoch": lease.epoch,
            "ttl": self._ttl,
        }
        place = connection.execute(_PLACE, params).fetchone()
        assert place is not None
        granted_at, ahead = place
        if granted_at is None:
            needed = ahead + len(request_ids)
            wait_us = self._wait_us(connection, lease, needed, len(request_ids), lane)
            if wait_us > 0:
                params["deadline"] = lease.now + timedelta(microseconds=wait_us) + self._grace
                connection.execute(_QUEUE, params)
                return Wait(wait_ms=-(-wait_us // 1000), ahead=ahead)
            connection.execute(_GRANT, params)
            granted_at = lease.now
        connection.execute(_LEAVE, params)
        age_us = us(lease.now) - us(granted_at)
        return tuple(Permit(name, lease.epoch, us(granted_at), POSTGRES, age_us) for name in request_ids)

    def _wait_us(self, connection: Connection, lease: Lease, needed: int, count: int, lane: Lane) -> int:
        reserve_share = 0.0 if lane is Lane.PRIORITY else self._reserve_share
        windows = lease.quota_windows()
        rooms = [room(quota, reserve_share) for quota in windows]
        nths = [room - (needed - 1) % room if room >= count else 1 for room in rooms]
        scores = connection.execute(_SCORES, {"account": self._account, "nths": nths}).fetchall()
        waits = [us(lease.held_until) - us(lease.now), 0]
        for quota, space, (score,) in zip(windows, rooms, scores, strict=True):
            waits.append(window_wait_us(quota, space, needed, count, score and us(lease.now) - us(score)))
        return max(waits)

    def settle(self, permit: Permit, outcome: Outcome) -> None:
        """See `RedisLedger.settle`."""
        with self._leases.transaction() as connection:
            params = {"account": self._account, "request_id": permit.request_id, "outcome": outcome.value,
                      "counted": outcome is Outcome.COUNTED, "now": self._leases.now(connection)}  # fmt: skip
            connection.execute(_SETTLE, params)

    def leave(self, request_ids: Sequence[str]) -> None:
        """See `RedisLedger.leave`."""
        with self._leases.transaction() as connection:
            connection.execute(_LEAVE, {"account": self._account, "request_ids": list(request_ids)})

    def usage(self) -> tuple[WindowUsage, ...]:
        """How full every window is now, whichever ledger is in charge."""
        with self._leases.transaction() as connection:
            return usage_of(connection, self._account, self._leases.read(connection))


def usage_of(connection: Connection, account: str, lease: Lease) -> tuple[WindowUsage, ...]:
    """How full every window of an account is."""
    windows = []
    for quota in lease.quota_windows():
        since = lease.now - timedelta(seconds=quota.window.seconds)
        own = count_since(connection, account, since)
        windows.append(WindowUsage(quota.window, own + quota.foreign, quota.foreign))
    return tuple(windows)


def count_since(connection: Connection, account: str, since: datetime) -> int:
    """How many permits of an account are in flight, or were settled after a moment."""
    query = "SELECT count(*) FROM courtlistener.permits WHERE account = %s AND ages_from > %s"
    [count] = connection.execute(query, (account, since)).fetchone() or (0,)
    return int(count)


def room(quota: QuotaWindow, reserve_share: float) -> int:
    """How many permits a lane may have in a window. The reserve leaves at least one; foreign use may leave none."""
    free = max(0, quota.window.limit - quota.foreign)
    return max(min(free, 1), free - math.floor(quota.window.limit * reserve_share))


def window_wait_us(quota: QuotaWindow, space: int, needed: int, count: int, age_us: int | None) -> int:
    """Microseconds until one window has `needed` free slots, if those who are before us take theirs as they come free.

    `age_us` is the age of the permit whose slot we would get, negative while it is in flight, None if there is none.
    """
    window_us, foreign_us = quota.window.seconds * 1_000_000, round(quota.foreign_seconds * 1_000_000)
    if space < count:
        return foreign_us if quota.foreign else window_us
    wait_us = 0 if age_us is None else max(0, window_us - max(0, age_us))
    # A permit in flight can be settled now at the earliest; waiters beyond the limit wait whole cycles.
    if age_us is not None and age_us < 0 and wait_us == 0:
        wait_us = 1
    wait_us += (needed - 1) // space * window_us
    return min(wait_us, foreign_us) if quota.foreign else wait_us
