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
from resources.quota.lease import EPOCH, REDIS, Custody, LedgerRow, as_json, us, window_row
from resources.quota.permits import ServerWindow
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

    def __init__(self, row: LedgerRow) -> None:
        self._row = row

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
        under the same lock; if it cannot be reached, Postgres takes the ledger over, so that no worker goes on with
        the old windows.
        """
        with self._row.database.transaction() as connection:
            custody = self._row.lock(connection)
            before = (custody.windows, custody.not_before, custody.blocked)
            if configured and custody.observed_at == EPOCH:
                custody.windows = tuple(as_json(self._row.fallback_windows))
            if hold_seconds is not None:
                custody.not_before = max(custody.not_before, custody.now + timedelta(seconds=hold_seconds))
            if blocked is not None:
                custody.blocked = blocked
            if observed is not None:
                self._take_up(connection, custody, observed)
            self._write(connection, custody, throttled=hold_seconds is not None or bool(blocked))
            if custody.holder == REDIS and before != (custody.windows, custody.not_before, custody.blocked):
                try:
                    if redis is None:
                        raise RedisUnavailable
                    self._row.rebuild(connection, custody, redis)
                except RedisUnavailable:
                    self._row.take_over(connection, custody)

    def _take_up(self, connection: Connection, custody: Custody, observed: Sequence[ServerWindow]) -> None:
        custody.observed_at = custody.now
        custody.blocked = "CourtListener reports the account as blocked" if any(w.blocked for w in observed) else ""
        # api-usage lists the fullest window first; in an order of their own the same windows are no change.
        usable = sorted(
            (row for row in observed if row.window.limit > 0), key=lambda row: (row.window.seconds, row.window.limit)
        )
        if not usable:
            return
        windows = []
        for row in usable:
            since = custody.now - timedelta(seconds=row.window.seconds) - _OBSERVATION_SLACK
            counted = connection.execute(
                "SELECT count(*) FROM courtlistener.permits WHERE account = %s AND ages_from > %s",
                (self._row.account, since),
            ).fetchone()
            assert counted is not None
            foreign = max(0, row.used - counted[0])
            until_us = us(custody.now) + row.window.seconds * 1_000_000 if foreign else 0
            windows.append(window_row(row.window, foreign, until_us))
        custody.windows = tuple(windows)
        if all(row.used < row.window.limit for row in usable):
            custody.not_before = EPOCH

    def _write(self, connection: Connection, custody: Custody, *, throttled: bool) -> None:
        connection.execute(
            "UPDATE courtlistener.ledgers SET windows = %s, not_before = %s, blocked = %s, observed_at = %s, "
            "throttled_at = CASE WHEN %s THEN %s ELSE throttled_at END WHERE account = %s",
            (Jsonb(list(custody.windows)), custody.not_before, custody.blocked, custody.observed_at,
             throttled, custody.now, self._row.account),
        )  # fmt: skip

    def claim_observation(self, max_age_seconds: float) -> bool:
        """Whether the caller, and nobody else, should ask the server for the account's usage now."""
        with self._row.database.transaction() as connection:
            self._row.lock(connection)
            params = {"account": self._row.account, "max_age": timedelta(seconds=max_age_seconds),
                      "claim": _OBSERVATION_CLAIM}  # fmt: skip
            claimed = connection.execute(_CLAIM_OBSERVATION, params).fetchone() is not None
            if claimed:
                self._row.prune(connection)
        return claimed
