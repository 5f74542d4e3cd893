"""How the quota of every account stands, read from the ledger in Postgres, which knows the permits of both holders.

Belongs here: reading for people and for metrics. Does not belong here: granting (`postgres_ledger.py`) and changing
anything; this module never writes and takes no lock.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from resources.connections.postgres import Connection, Database
from resources.quota.eta import eta_seconds
from resources.quota.lease import us
from resources.quota.permits import Window, WindowUsage

#: Accounts with this ending hold the permits for api-usage, which costs no quota.
USAGE_SUFFIX = ":api_usage"

_LEDGERS = """
    SELECT account, epoch, holder, changed_at, windows, held_until, blocked, observed_at, clock_timestamp()
    FROM courtlistener.ledgers ORDER BY account
"""
_COUNTS = """
    SELECT count(*) FILTER (WHERE settled_at IS NULL AND ages_from > %(now)s),
           count(*) FILTER (WHERE granted_at > %(hour_ago)s AND holder = 'redis'),
           count(*) FILTER (WHERE granted_at > %(hour_ago)s AND holder = 'postgres')
    FROM courtlistener.permits WHERE account = %(account)s AND ages_from > %(hour_ago)s
"""
_USED = "SELECT count(*) FROM courtlistener.permits WHERE account = %(account)s AND ages_from > %(since)s"
_NTH_NEWEST = """
    SELECT ages_from FROM courtlistener.permits WHERE account = %(account)s AND ages_from IS NOT NULL
    ORDER BY ages_from DESC LIMIT 1 OFFSET %(offset)s
"""
_BY_HOUR = """
    WITH bounds AS (SELECT date_trunc('hour', clock_timestamp(), 'UTC') AS last),
    counted AS (
        SELECT date_trunc('hour', granted_at, 'UTC') AS hour, count(*) AS requests
        FROM courtlistener.permits, bounds
        WHERE account = %(account)s AND ages_from > last - make_interval(hours => %(hours)s - 1)
        GROUP BY 1
    )
    SELECT hour, coalesce(requests, 0)
    FROM bounds, generate_series(last - make_interval(hours => %(hours)s - 1), last, '1 hour') AS hour
    LEFT JOIN counted USING (hour) ORDER BY hour
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
    def utilisation(self) -> float:
        """Share of the window that is used, 0 to 1 and more."""
        return self.used / self.limit if self.limit else 1.0

    @property
    def window(self) -> Window:
        return Window(self.limit, self.seconds)


@dataclass(frozen=True)
class AccountReport:
    """One account's quota. `held_seconds`: nobody gets a permit that long, after a 429. `blocked`: why, or empty.

    `granted_by` counts the permits of the last hour by holder. `observed_at` is when api-usage was last read, None if
    never: the windows are then those of the settings.
    """

    account: str
    epoch: int
    holder: str
    changed_at: datetime | None
    observed_at: datetime | None
    held_seconds: float
    blocked: str
    in_flight: int
    granted_by: dict[str, int]
    windows: tuple[WindowReport, ...] = field(default=())

    @property
    def room_in_seconds(self) -> float:
        """When the next request can be sent, if nobody else asks."""
        return max([self.held_seconds, *(window.room_in_seconds for window in self.windows)])

    @property
    def requests_a_day(self) -> float:
        """What the windows allow in the long run."""
        return min((86_400 / window.seconds * window.limit for window in self.windows), default=0.0)

    def seconds_for(self, requests: float) -> float:
        """About how long so many requests take, if nobody else uses the account; infinite if a window admits none."""
        usage = [WindowUsage(window.window, window.used, window.foreign) for window in self.windows]
        windows = [window.window for window in self.windows]
        return max(self.held_seconds, eta_seconds(math.ceil(requests), windows, usage)) if requests > 0 else 0.0


def quota_report(database: Database) -> list[AccountReport]:
    """How every account stands now, the `api_usage` ledgers left out; raises StoreUnavailable.

    The database must be migrated.
    """
    with database.transaction() as connection:
        rows = connection.execute(_LEDGERS).fetchall()
        return [_account(connection, *row) for row in rows if not row[0].endswith(USAGE_SUFFIX)]


def _account(
    connection: Connection,
    account: str,
    epoch: int,
    holder: str,
    changed_at: datetime,
    windows: list[dict[str, int]],
    held_until: datetime,
    blocked: str,
    observed_at: datetime,
    now: datetime,
) -> AccountReport:
    params = {"account": account, "now": now, "hour_ago": now - timedelta(hours=1)}
    in_flight, by_redis, by_postgres = connection.execute(_COUNTS, params).fetchone() or (0, 0, 0)
    return AccountReport(
        account=account,
        epoch=epoch,
        holder=holder,
        changed_at=_known(changed_at),
        observed_at=_known(observed_at),
        held_seconds=max(0.0, (held_until - now).total_seconds()),
        blocked=blocked,
        in_flight=in_flight,
        granted_by={"redis": by_redis, "postgres": by_postgres},
        # CourtListener names the fullest first; here the order stays.
        windows=tuple(
            _window(connection, account, window, now) for window in sorted(windows, key=lambda each: each["seconds"])
        ),
    )


def _window(connection: Connection, account: str, window: dict[str, int], now: datetime) -> WindowReport:
    limit, seconds = window["limit"], window["seconds"]
    foreign_us = max(0, window["foreign_until_us"] - us(now))
    foreign = window["foreign"] if foreign_us else 0
    since = now - timedelta(seconds=seconds)
    [own] = connection.execute(_USED, {"account": account, "since": since}).fetchone() or (0,)
    return WindowReport(
        limit=limit,
        seconds=seconds,
        used=own + foreign,
        foreign=foreign,
        room_in_seconds=_room_in_seconds(connection, account, limit - foreign, since, foreign_us / 1_000_000),
    )


def _room_in_seconds(
    connection: Connection, account: str, slots: int, since: datetime, foreign_seconds: float
) -> float:
    if slots <= 0:
        return foreign_seconds
    nth = connection.execute(_NTH_NEWEST, {"account": account, "offset": slots - 1}).fetchone()
    own_seconds = max(0.0, (nth[0] - since).total_seconds()) if nth else 0.0
    # When the others' requests stop counting, there is room as well.
    return min(own_seconds, foreign_seconds) if foreign_seconds else own_seconds


def _known(moment: datetime) -> datetime | None:
    return moment if us(moment) > 0 else None


def requests_by_hour(database: Database, account: str, hours: int) -> list[tuple[datetime, int]]:
    """Requests that counted in each of the last `hours` clock hours (UTC), oldest first, hours without any included.

    The journal keeps 30 days. Raises StoreUnavailable.
    """
    rows = database.rows(_BY_HOUR, {"account": account, "hours": hours})
    return [(hour, int(count)) for hour, count in rows]
