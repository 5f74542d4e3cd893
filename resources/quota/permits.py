"""What a quota ledger promises: the words shared by the Redis ledger, the Postgres ledger and their callers.

Belongs here: value types. Does not belong here: anything that does I/O, or waits.

The rule, from docs/permit-path.md: a request is admitted if and only if, for every window, fewer than `limit` permits
are in flight or were settled less than `seconds` ago. A permit that is never settled counts as in flight until its
time to live has passed.
"""

from __future__ import annotations

import enum
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from resources.errors import SettingError

_UNIT_SECONDS = {"s": 1, "sec": 1, "second": 1, "m": 60, "min": 60, "minute": 60, "h": 3600, "hour": 3600, "d": 86400,
                 "day": 86400}  # fmt: skip
_RATE = re.compile(r"^\s*(\d+)\s*/\s*(\d*)\s*([a-z]+?)s?\s*$")


@dataclass(frozen=True)
class Window:
    """At most `limit` requests in any `seconds` seconds."""

    limit: int
    seconds: int

    @classmethod
    def parse(cls, rate: str) -> Window:
        """Read a rate as CourtListener writes it (`5/min`, `125/day`), or with a count of units (`40/20s`)."""
        match = _RATE.match(rate.lower())
        unit = match and (match[3] if match[3] in _UNIT_SECONDS else match[3] + "s")
        if not match or unit not in _UNIT_SECONDS or int(match[2] or 1) == 0:
            raise SettingError(f"rate {rate!r} is not like 5/min, 50/hour, 125/day or 40/20s")
        return cls(int(match[1]), int(match[2] or 1) * _UNIT_SECONDS[unit])

    @classmethod
    def parse_all(cls, rates: str) -> tuple[Window, ...]:
        """Read a comma-separated list of rates, `5/min,50/hour,125/day`."""
        return tuple(cls.parse(rate) for rate in rates.split(",") if rate.strip())


@dataclass(frozen=True)
class QuotaWindow:
    """A window together with what the server counted in it that this project did not send.

    `foreign` requests are taken off the limit until `foreign_seconds` seconds after this was written.
    """

    window: Window
    foreign: int = 0
    foreign_seconds: float = 0.0


@dataclass(frozen=True)
class ServerWindow:
    """What CourtListener says about one of the account's windows: a row of `api-usage` with scope `user`."""

    window: Window
    used: int
    blocked: bool


class Lane(enum.Enum):
    """Who asks. `PRIORITY` (retries, fresh data) may use the reserve of every window, `BACKFILL` may not."""

    BACKFILL = "backfill"
    PRIORITY = "priority"


class Outcome(enum.Enum):
    """What became of a permit's request.

    COUNTED: the server logged it, or may have (a response, a timeout, a reset). The permit ages from now on.
    NOT_COUNTED: the server did not log it (401, 403, 406, 429, no connection was made). The permit is given back.
    """

    COUNTED = "counted"
    NOT_COUNTED = "not_counted"


@dataclass(frozen=True)
class Permit:
    """The right to send one request.

    `granted_at_us` is the ledger's clock in microseconds; `epoch` the epoch under which it was granted; `holder` the
    ledger ("redis", "postgres"); `age_us` how old it was when it was handed out (a repeated call gets the first
    permit). `use_by` is a moment of the worker's own clock after which it must be given back unused.
    """

    request_id: str
    epoch: int
    granted_at_us: int
    holder: str = field(default="", compare=False)
    age_us: int = field(default=0, compare=False)
    use_by: float = field(default=math.inf, compare=False)


@dataclass(frozen=True)
class Wait:
    """No permit yet: ask again in `wait_ms`. `ahead` is how many waiters are before this request."""

    wait_ms: int
    ahead: int


@dataclass(frozen=True)
class Fenced:
    """This ledger is not in charge, or has lost its memory; `reason` is for the log."""

    reason: str


@dataclass(frozen=True)
class Blocked:
    """The account is blocked; `reason` is what CourtListener said."""

    reason: str


@dataclass(frozen=True)
class WindowUsage:
    """How full one window is: `used` counts permits in flight or younger than the window, plus `foreign`."""

    window: Window
    used: int
    foreign: int

    @property
    def remaining(self) -> int:
        return max(0, self.window.limit - self.used)


@dataclass(frozen=True)
class JournaledPermit:
    """A permit as the journal knows it: `age_us` is negative while its request may still be under way."""

    request_id: str
    age_us: int
    in_flight: bool


@dataclass(frozen=True)
class LedgerState:
    """All that a ledger must know to resume where another one stopped. Times are relative, so clocks need not agree.

    `permits` are read once. Without `keep_waiters`, waiters that the ledger may still have are dropped: they have since
    queued elsewhere.
    """

    epoch: int
    windows: tuple[QuotaWindow, ...]
    hold_us: int = 0
    blocked: str = ""
    permits: Iterable[JournaledPermit] = ()
    keep_waiters: bool = True


Decision = tuple[Permit, ...] | Wait | Fenced | Blocked
