"""The state of every account's quota, read from the ledger in Postgres, which knows the permits of both holders.

Belongs here: reading for people and for metrics. Does not belong here: granting, or anything that writes or locks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import psycopg

from resources.connections.postgres import Connection, Database
from resources.quota.lease import EPOCH, Lease, LeaseStore
from resources.quota.others import Others
from resources.quota.permits import QuotaWindow, Window
from resources.quota.postgres_ledger import usage_of

#: Accounts with this ending hold the permits for api-usage, which costs no quota.
USAGE_SUFFIX = ":api_usage"

_COUNTS = """
    SELECT count(*) FILTER (WHERE settled_at IS NULL AND ages_from > %(now)s),
           count(*) FILTER (WHERE granted_at > %(hour_ago)s AND holder = 'redis'),
           count(*) FILTER (WHERE granted_at > %(hour_ago)s AND holder = 'postgres')
    FROM courtlistener.permits WHERE account = %(account)s AND ages_from > %(hour_ago)s
"""
_NTH_NEWEST = """
    SELECT ages_from FROM courtlistener.permits WHERE account = %(account)s AND ages_from IS NOT NULL
    ORDER BY ages_from DESC LIMIT 1 OFFSET %(offset)s
"""


@dataclass(frozen=True)
class WindowReport:
    """One window: `used` includes `foreign`, what others sent with the same account.

    `room_in_seconds` is when the next request has room in this window, 0 if now; an upper bound while permits are in
    flight.
    """

    limit: int
    seconds: int
    used: int
    foreign: int
    room_in_seconds: float

    @property
    def remaining(self) -> int:
        return max(0, self.limit - self.used)

    @property
    def utilization(self) -> float:
        """Share of the window that is used, 0 to 1 and more."""
        return self.used / self.limit if self.limit else 1.0

    @property
    def window(self) -> Window:
        return Window(self.limit, self.seconds)


@dataclass(frozen=True)
class AccountReport:
    """One account's quota. `held_seconds`: no worker gets a permit that long, after a 429. `blocked`: why, or empty.

    `granted_by` counts the permits of the last hour by holder. `observed_at` is when api-usage was last read, None if
    never: the windows are then those of the settings. `problem` says what is wrong with an account of which nothing
    else can be said; empty for all others.
    """

    account: str
    epoch: int = 0
    holder: str = ""
    changed_at: datetime | None = None
    observed_at: datetime | None = None
    held_seconds: float = 0.0
    blocked: str = ""
    in_flight: int = 0
    granted_by: dict[str, int] = field(default_factory=dict)
    problem: str = ""
    windows: tuple[WindowReport, ...] = field(default=())

    @property
    def room_in_seconds(self) -> float:
        """When the next request can be sent, if no other worker asks."""
        return max([self.held_seconds, *(window.room_in_seconds for window in self.windows)])

    @property
    def requests_a_day(self) -> float:
        """What the windows allow in the long run."""
        return min((86_400 / window.seconds * window.limit for window in self.windows), default=0.0)


def quota_report(database: Database) -> list[AccountReport]:
    """Return the state of every account, the `api_usage` ledgers left out; raises StoreUnavailable.

    An account whose row makes no sense has a `problem`, and does not hide the others. The database must be migrated.
    """
    accounts = database.rows("SELECT account FROM courtlistener.ledgers ORDER BY account")
    return [_isolated(database, account) for (account,) in accounts if not account.endswith(USAGE_SUFFIX)]


def _isolated(database: Database, account: str) -> AccountReport:
    try:
        with database.transaction() as connection:
            lease = LeaseStore(database, account, fallback_windows=()).read(connection)
            return _account(connection, account, lease)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, psycopg.DataError) as error:
        problem = f"its windows in courtlistener.ledgers cannot be used ({type(error).__name__}: {error})"
        return AccountReport(account, problem=" ".join(problem.split()))


def _account(connection: Connection, account: str, lease: Lease) -> AccountReport:
    params = {"account": account, "now": lease.now, "hour_ago": lease.now - timedelta(hours=1)}
    in_flight, by_redis, by_postgres = connection.execute(_COUNTS, params).fetchone() or (0, 0, 0)
    age, seen = lease.now - lease.observed_at, Others.of(lease.others).seen
    windows = zip(usage_of(connection, account, lease), lease.quota_windows(), strict=True)
    return AccountReport(
        account=account,
        epoch=lease.epoch,
        holder=lease.holder,
        changed_at=_known(lease.changed_at),
        observed_at=_known(lease.observed_at),
        held_seconds=max(0.0, (lease.held_until - lease.now).total_seconds()),
        blocked=lease.blocked,
        in_flight=in_flight,
        granted_by={"redis": by_redis, "postgres": by_postgres},
        # CourtListener names the fullest first; here the order never changes.
        windows=tuple(
            WindowReport(
                limit=quota.window.limit,
                seconds=quota.window.seconds,
                used=use.used - use.foreign + _seen(seen, quota, age),
                foreign=_seen(seen, quota, age),
                room_in_seconds=_room_in_seconds(connection, account, quota, lease.now),
            )
            for use, quota in sorted(windows, key=lambda each: each[0].window.seconds)
        ),
    )


def _seen(seen: Mapping[str, int], quota: QuotaWindow, age: timedelta) -> int:
    """What others have used of a window, not what is left to them; nothing of it counts a window after the reading."""
    return seen.get(str(quota.window.seconds), 0) if age.total_seconds() < quota.window.seconds else 0


def _room_in_seconds(connection: Connection, account: str, quota: QuotaWindow, now: datetime) -> float:
    slots = quota.window.limit - quota.foreign
    if slots <= 0:
        return quota.foreign_seconds
    nth = connection.execute(_NTH_NEWEST, {"account": account, "offset": slots - 1}).fetchone()
    since = now - timedelta(seconds=quota.window.seconds)
    own_seconds = max(0.0, (nth[0] - since).total_seconds()) if nth else 0.0
    # When the others' requests stop counting, there is room as well.
    return min(own_seconds, quota.foreign_seconds) if quota.foreign else own_seconds


def _known(moment: datetime) -> datetime | None:
    return moment if moment > EPOCH else None
