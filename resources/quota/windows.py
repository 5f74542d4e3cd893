"""What CourtListener allows an account, for all workers: windows, use by others, holds after a 429, blocks.

Belongs here: changing them under the lock of the ledger's row, from where Redis gets its copy. Does not belong here:
who is in charge (`lease.py`) or asking CourtListener (`client.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from psycopg.types.json import Jsonb

from resources.connections.postgres import Connection
from resources.errors import RedisUnavailable
from resources.quota.lease import EPOCH, REDIS, Lease, LeaseStore, us, window_row
from resources.quota.permits import ServerWindow
from resources.quota.postgres_ledger import count_since
from resources.quota.redis_ledger import RedisLedger

#: A permit settled this long before a window began may still have been in it when the server counted.
_OBSERVATION_SLACK = timedelta(seconds=10)
#: A worker that asked for an observation and then died must not keep the others from asking.
_OBSERVATION_CLAIM = timedelta(seconds=30)

_CLAIM_OBSERVATION = """
    UPDATE courtlistener.ledgers SET observation_claimed_at = clock_timestamp()
    WHERE account = %(account)s
      AND (observed_at < clock_timestamp() - %(max_age)s OR throttled_at > observed_at)
      AND observation_claimed_at < clock_timestamp() - %(claim)s
    RETURNING 1
"""


class AccountWindows:
    """The part of an account's row that says what the account may do.

    Every method raises StoreUnavailable if Postgres does not answer.
    """

    def __init__(self, leases: LeaseStore) -> None:
        self._leases = leases

    def change(
        self,
        redis: RedisLedger | None,
        *,
        hold_seconds: float | None = None,
        blocked: str | None = None,
        observed: Sequence[ServerWindow] | None = None,
        configured: bool = False,
    ) -> None:
        """Change windows, hold or block for all workers.

        `configured` puts the fallback windows in force, unless CourtListener has named others. Redis gets its copy
        under the same lock; if it cannot be reached, Postgres takes the ledger over, so that no worker keeps the old
        windows.
        """
        with self._leases.transaction() as connection:
            lease = self._leases.lock(connection)
            before = (lease.windows, lease.held_until, lease.blocked)
            if configured and lease.observed_at == EPOCH:
                lease.windows = self._leases.fallback_rows
            if hold_seconds is not None:
                lease.held_until = max(lease.held_until, lease.now + timedelta(seconds=hold_seconds))
            if blocked is not None:
                lease.blocked = blocked
            if observed is not None:
                self._take_up(connection, lease, observed)
            self._write(connection, lease, throttled=hold_seconds is not None or bool(blocked))
            if lease.holder == REDIS and before != (lease.windows, lease.held_until, lease.blocked):
                try:
                    if redis is None:
                        raise RedisUnavailable
                    self._leases.rebuild(connection, lease, redis)
                except RedisUnavailable:
                    self._leases.take_over(connection, lease)

    def _take_up(self, connection: Connection, lease: Lease, observed: Sequence[ServerWindow]) -> None:
        lease.observed_at = lease.now
        lease.blocked = "CourtListener reports the account as blocked" if any(w.blocked for w in observed) else ""
        # api-usage lists the fullest window first; in an order of their own the same windows are no change.
        usable = sorted(
            (row for row in observed if row.window.limit > 0), key=lambda row: (row.window.seconds, row.window.limit)
        )
        if not usable:
            return
        windows = []
        for row in usable:
            since = lease.now - timedelta(seconds=row.window.seconds) - _OBSERVATION_SLACK
            foreign = max(0, row.used - count_since(connection, self._leases.account, since))
            until_us = us(lease.now) + row.window.seconds * 1_000_000 if foreign else 0
            windows.append(window_row(row.window, foreign, until_us))
        lease.windows = windows
        if all(row.used < row.window.limit for row in usable):
            lease.held_until = EPOCH

    def _write(self, connection: Connection, lease: Lease, *, throttled: bool) -> None:
        connection.execute(
            "UPDATE courtlistener.ledgers SET windows = %s, held_until = %s, blocked = %s, observed_at = %s, "
            "throttled_at = CASE WHEN %s THEN %s ELSE throttled_at END WHERE account = %s",
            (Jsonb(lease.windows), lease.held_until, lease.blocked, lease.observed_at,
             throttled, lease.now, self._leases.account),
        )  # fmt: skip

    def claim_observation(self, max_age_seconds: float) -> bool:
        """Whether the caller, and no other worker, should ask the server for the account's usage now."""
        with self._leases.transaction() as connection:
            self._leases.lock(connection)
            params = {"account": self._leases.account, "max_age": timedelta(seconds=max_age_seconds),
                      "claim": _OBSERVATION_CLAIM}  # fmt: skip
            claimed = connection.execute(_CLAIM_OBSERVATION, params).fetchone() is not None
            if claimed:
                self._leases.prune(connection)
        return claimed
