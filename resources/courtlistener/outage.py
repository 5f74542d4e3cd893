"""What is known about trouble with the server: the row of an account as it is read, and the words for it.

Belongs here: the row, its times, its errors. Does not belong here: changing it (`server_state.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from psycopg.rows import class_row

from resources.connections.postgres import Database
from resources.courtlistener.refusals import MAINTENANCE
from resources.errors import ApiError, PermissionDenied, ServerDown

#: How long a server that is down is left alone: at first, and at most, unless it asks for more.
FIRST_PROBE_SECONDS = 600.0
LONGEST_PROBE_SECONDS = 3600.0
#: How often an endpoint is looked at again that the account may not use. A server may ask to be left alone for longer,
#: by mistake.
DAY_SECONDS = 86_400.0
#: For so long an answer shows that the server is up.
_FRESH = timedelta(seconds=120)

ROW = """
    SELECT account, answered_at, asker, asking_until, failures, down_since, seen, probes, probe_at, endpoints,
           coalesce(%(now)s, clock_timestamp()) AS now
    FROM courtlistener.servers
"""


@dataclass
class EndpointTrouble:
    """An endpoint that is out of order while others answer, or that the account may not use (`refused`)."""

    endpoint: str
    refused: bool
    since: datetime
    seen: str
    probes: int
    probe_at: datetime

    @classmethod
    def of_row(cls, endpoint: str, values: dict[str, Any]) -> EndpointTrouble:
        moments = {name: datetime.fromisoformat(values[name]) for name in ("since", "probe_at")}
        return cls(endpoint, **{**values, **moments})

    def as_row(self) -> dict[str, Any]:
        moments = {"since": self.since.isoformat(), "probe_at": self.probe_at.isoformat()}
        return {"refused": self.refused, "seen": self.seen, "probes": self.probes, **moments}

    def __str__(self) -> str:
        what = "are not allowed for this account" if self.refused else "are out of order"
        then = f"{self.probe_at:%Y-%m-%d %H:%M} UTC"
        since = f"{self.since:%Y-%m-%d %H:%M} UTC"
        return f"{self.endpoint} {what} since {since}: {self.seen}. They are asked for again at {then}"

    def error(self, now: datetime) -> ApiError:
        if self.refused:
            refusal = PermissionDenied(str(self))
            refusal.requests, refusal.said_by_api = 0, True
            return refusal
        return ServerDown(str(self), wait_seconds=max(1.0, (self.probe_at - now).total_seconds()))


class State(StrEnum):
    """What CourtListener gives to an account; degraded: an endpoint gives nothing, while others do."""

    UP = "up"
    DEGRADED = "degraded"
    MAINTENANCE = "maintenance"
    DOWN = "down"


@dataclass
class Outage:
    """The row of an account. `down_since` None: the server is not known to be down.

    `asker` is the worker that the others wait for, `failures` how many workers got no answer since the last good one,
    `probes` how often a server that is down was asked in vain, `endpoints` what is wrong with single ones.
    """

    account: str
    answered_at: datetime
    asker: str | None
    asking_until: datetime
    failures: int
    down_since: datetime | None
    seen: str
    probes: int
    probe_at: datetime
    endpoints: dict[str, dict[str, Any]]
    now: datetime

    @property
    def probe_in_seconds(self) -> float:
        """Seconds until the next probe, 0 if it is due."""
        return max(0.0, (self.probe_at - self.now).total_seconds())

    @property
    def troubles(self) -> list[EndpointTrouble]:
        """What is wrong with single endpoints."""
        return [EndpointTrouble.of_row(name, values) for name, values in sorted(self.endpoints.items())]

    @property
    def state(self) -> State:
        """What can be had. An endpoint that the account may not use is nothing that passes, and leaves it up."""
        if self.down_since:
            return State.MAINTENANCE if MAINTENANCE in self.seen else State.DOWN
        return State.DEGRADED if any(not each.refused for each in self.troubles) else State.UP

    def trouble(self, endpoint: str) -> EndpointTrouble | None:
        values = self.endpoints.get(endpoint)
        return EndpointTrouble.of_row(endpoint, values) if values else None

    def __str__(self) -> str:
        since = f"{self.down_since:%Y-%m-%d %H:%M} UTC" if self.down_since else "just now"
        asked = f", asked {self.probes} times since" if self.probes else ""
        then = f"{self.probe_at:%H:%M} UTC"
        return f"CourtListener is down since {since}{asked}: {self.seen}. The next probe is at {then}"

    def waits_for_another(self, asker: str) -> bool:
        return self.asker not in (None, asker) and self.asking_until > self.now

    def is_up(self) -> bool:
        return self.down_since is None and self.asker is None and self.now - self.answered_at < _FRESH

    def error(self) -> ServerDown:
        return ServerDown(str(self), wait_seconds=max(1.0, self.probe_in_seconds))


def outages(database: Database) -> list[Outage]:
    """The accounts for which the server or an endpoint is down or refused, for reports; raises StoreUnavailable."""
    query = f"{ROW} WHERE down_since IS NOT NULL OR endpoints <> '{{}}' ORDER BY account"
    with database.transaction() as connection, connection.cursor(row_factory=class_row(Outage)) as cursor:
        return cursor.execute(query.encode(), {"now": None}).fetchall()
