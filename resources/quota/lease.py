"""Who is in charge of an account's quota: its row of `courtlistener.ledgers`, and what happens under the row's lock.

Belongs here: taking the ledger over, giving it back to Redis, and the journal's gate. Does not belong here: what the
account may do (`windows.py`), deciding about a permit (the ledgers), or when to change the holder (`failover.py`).

Windows, hold and block are kept here; Redis gets a copy, together with the permits, whenever it is put in charge.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from resources.connections.postgres import Connection, Database
from resources.errors import RedisUnavailable
from resources.quota.permits import JournaledPermit, LedgerState, QuotaWindow, Window
from resources.quota.redis_ledger import RedisLedger

REDIS, POSTGRES = "redis", "postgres"
EPOCH = datetime.fromtimestamp(0, UTC)
_MICROSECOND = timedelta(microseconds=1)
_LONGEST_COOL_DOWN_SECONDS = 300.0
_STABLE = timedelta(seconds=60)
_RETENTION = timedelta(days=30)
_PERMITS_A_PAGE = 5_000
_CONNECTION_TIMEOUT_SECONDS = 2.0

_READ = """
    SELECT epoch, holder, changed_at, cool_down_seconds, windows, held_until, blocked, observed_at
    FROM courtlistener.ledgers WHERE account = %(account)s
"""
_LOCK = _READ + " FOR UPDATE"
# FOR SHARE: a take-over that counts the journal waits for this insert, or this insert sees the new epoch.
_JOURNAL = """
    INSERT INTO courtlistener.permits AS permit (account, request_id, epoch, holder, granted_at, ages_from)
    SELECT ledger.account, request_id, ledger.epoch, 'redis', ledger.now, ledger.now + %(ttl)s
    FROM (SELECT account, epoch, coalesce(%(now)s, clock_timestamp()) AS now FROM courtlistener.ledgers
          WHERE account = %(account)s AND epoch = %(epoch)s AND holder = 'redis' FOR SHARE) AS ledger,
         unnest(%(request_ids)s::text[]) AS request_id
    ON CONFLICT (account, request_id) DO UPDATE
        SET epoch = excluded.epoch, holder = 'redis', granted_at = excluded.granted_at, ages_from = excluded.ages_from
        WHERE permit.settled_at IS NULL
    RETURNING granted_at, (SELECT clock_offset_us FROM courtlistener.ledgers WHERE account = %(account)s)
"""
_YOUNG_PERMITS = """
    SELECT request_id, ages_from, settled_at IS NULL FROM courtlistener.permits
    WHERE account = %(account)s AND ages_from > %(since)s ORDER BY ages_from DESC
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
    now: datetime

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
        """Seconds since the holder was put in charge."""
        return (self.now - self.changed_at).total_seconds()

    def cooling_seconds(self, shortest: float) -> float:
        """Seconds for which the holder must not go to Redis (again)."""
        return (self.cool_down_seconds if self.holder == POSTGRES else shortest) - self.held_seconds


class LeaseStore:
    """One account's row in Postgres.

    `cool_down_seconds` is how long Postgres keeps the ledger at least; it doubles each time Redis fails within a minute
    of having been put in charge. `clock_us` replaces Postgres' clock in simulations. Every method raises
    StoreUnavailable if Postgres does not answer.
    """

    def __init__(
        self,
        database: Database,
        account: str,
        *,
        fallback_windows: tuple[Window, ...],
        cool_down_seconds: float = 5.0,
        clock_us: Callable[[], int] | None = None,
    ) -> None:
        self.database = database
        self.account = account
        self.fallback_rows = [window_row(window) for window in fallback_windows]
        self._cool_down_seconds = cool_down_seconds
        self._clock_us = clock_us

    def transaction(self) -> AbstractContextManager[Connection]:
        """A transaction that does not keep a worker waiting for a connection: it has other ways to get a permit."""
        return self.database.transaction(timeout_seconds=_CONNECTION_TIMEOUT_SECONDS)

    def now(self, connection: Connection) -> datetime:
        """Postgres' clock, or the simulation's."""
        if self._clock_us is not None:
            return moment(self._clock_us())
        row = connection.execute("SELECT clock_timestamp()").fetchone()
        assert row is not None
        return row[0]  # type: ignore[no-any-return]

    def lock(self, connection: Connection) -> Lease:
        """Lock the row until the end of the transaction; the account is entered if it is new."""
        return self._get(connection, _LOCK)

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
        return Lease(**row, now=self.now(connection))

    def take_over(self, connection: Connection, lease: Lease) -> None:
        """Put Postgres in charge. What Redis still grants from now on is void."""
        seconds = self._cool_down_seconds
        if lease.now - lease.changed_at < _STABLE:
            seconds = min(max(seconds, 2 * lease.cool_down_seconds), _LONGEST_COOL_DOWN_SECONDS)
        lease.epoch, lease.holder, lease.changed_at = lease.next_epoch, POSTGRES, lease.now
        lease.cool_down_seconds = seconds
        connection.execute(
            "UPDATE courtlistener.ledgers SET epoch = %s, holder = 'postgres', changed_at = %s, cool_down_seconds = %s "
            "WHERE account = %s",
            (lease.epoch, lease.now, seconds, self.account),
        )
        # Those that waited here when Redis took over have queued there since.
        connection.execute("DELETE FROM courtlistener.permit_waiters WHERE account = %s", (self.account,))

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
                cooling_seconds = 0.0 if intact else lease.cooling_seconds(self._cool_down_seconds)
                if cooling_seconds <= 0:
                    lease.changed_at = lease.now
                    self.rebuild(connection, lease, redis)
                    return 0.0
            except RedisUnavailable:
                cooling_seconds = self._cool_down_seconds
            if lease.holder == REDIS:
                self.take_over(connection, lease)
                cooling_seconds = lease.cool_down_seconds
            return cooling_seconds

    def rebuild(self, connection: Connection, lease: Lease, redis: RedisLedger) -> None:
        """Put Redis in charge with a fresh copy; raises RedisUnavailable, and what Redis may have received is void."""
        windows = lease.quota_windows()
        since = lease.now - timedelta(seconds=max((quota.window.seconds for quota in windows), default=0))
        # Page by page, since Postgres ends a transaction that is idle for long.
        with connection.cursor(name="young_permits") as rows:
            rows.itersize = _PERMITS_A_PAGE
            rows.execute(_YOUNG_PERMITS, {"account": self.account, "since": since})
            state = LedgerState(
                epoch=lease.next_epoch,
                windows=windows,
                hold_us=max(0, us(lease.held_until) - us(lease.now)),
                blocked=lease.blocked,
                permits=(JournaledPermit(name, us(lease.now) - us(at), flying) for name, at, flying in rows),
                keep_waiters=lease.holder == REDIS,
            )
            redis_us = redis.load(state)
        connection.execute(
            "UPDATE courtlistener.ledgers SET epoch = %s, holder = 'redis', changed_at = %s, clock_offset_us = %s "
            "WHERE account = %s",
            (state.epoch, lease.changed_at, us(lease.now) - redis_us, self.account),
        )

    def journal(self, request_ids: Sequence[str], epoch: int, granted_at_us: int, ttl_us: int) -> int | None:
        """Journal what Redis has granted, if it is still in charge under `epoch`; None if it is not.

        Returns by how many microseconds the clock of Redis has gained on Postgres' since Redis was rebuilt (negative
        if the worker was slow).
        """
        params = {
            "account": self.account,
            "epoch": epoch,
            "request_ids": list(request_ids),
            "ttl": timedelta(microseconds=ttl_us),
            "now": None if self._clock_us is None else moment(self._clock_us()),
        }
        with self.transaction() as connection:
            rows = connection.execute(_JOURNAL, params).fetchall()
        if len(rows) != len(request_ids):
            return None
        granted_at, clock_offset_us = rows[0]
        return granted_at_us - (us(granted_at) - int(clock_offset_us))

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
