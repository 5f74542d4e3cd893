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
_RATE = re.compile(r"^\s*(\d{1,40})\s*/\s*(\d{0,40})\s*([a-z]+?)s?\s*$")
#: Beyond these a window is a mistake: its numbers would not fit where they are stored, or it would outlast the journal.
MOST_REQUESTS = 10_000_000
LONGEST_WINDOW_SECONDS = 28 * 86_400


@dataclass(frozen=True)
class Window:
    """At most `limit` requests in any `seconds` seconds."""

    limit: int
    seconds: int

    @classmethod
    def parse(cls, rate: str, *, fewest: int = 1) -> Window:
        """Read a rate as CourtListener writes it (`5/min`, `125/day`), or with a count of units (`40/20s`).

        Raises SettingError for what is none, or is not between `fewest` and MOST_REQUESTS requests in 1 second to
        LONGEST_WINDOW_SECONDS.
        """
        match = _RATE.match(rate.lower())
        unit = match and (match[3] if match[3] in _UNIT_SECONDS else match[3] + "s")
        if not match or unit not in _UNIT_SECONDS:
            raise SettingError(f"rate {rate!r:.100} is not like 5/min, 50/hour, 125/day or 40/20s")
        window = cls(int(match[1]), int(match[2] or 1) * _UNIT_SECONDS[unit])
        if not (fewest <= window.limit <= MOST_REQUESTS and 1 <= window.seconds <= LONGEST_WINDOW_SECONDS):
            raise SettingError(
                f"rate {rate!r:.100} is not like 5/min: {fewest} to {MOST_REQUESTS:,} requests in 1 second to "
                f"{LONGEST_WINDOW_SECONDS // 86_400} days"
            )
        return window

    @classmethod
    def parse_all(cls, rates: str, *, fewest: int = 1) -> tuple[Window, ...]:
        """Read a comma-separated list of rates, `5/min,50/hour,125/day`."""
        return tuple(cls.parse(rate, fewest=fewest) for rate in rates.split(",") if rate.strip())


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
    """What CourtListener says about one of the account's windows: a row of `api-usage` with scope `user`.

    `reset_seconds` is how long the oldest of the `used` requests still counts, None if it did not say.
    """

    window: Window
    used: int
    blocked: bool
    reset_seconds: float | None = None


@dataclass(frozen=True)
class Reading:
    """What api-usage said of one scope; `faults` tells of each row that could not be used."""

    windows: tuple[ServerWindow, ...]
    faults: tuple[str, ...] = ()


class Lane(enum.Enum):
    """Who asks. `PRIORITY` (retries, fresh data) may use the reserve of every window, `BACKFILL` may not."""

    BACKFILL = "backfill"
    PRIORITY = "priority"


class Outcome(enum.Enum):
    """What became of a permit's request.

    COUNTED: the server logged it, and has answered. The permit ages from now on.
    UNANSWERED: it was sent, and no answer came (a timeout, a reset, a gateway's 502 or 504): it may reach the server
    until the permit's time to live is over, and the permit ages from then on.
    NOT_COUNTED: the server did not log it (401, 403, 406, 429, no connection was made). The permit is given back.
    """

    COUNTED = "counted"
    UNANSWERED = "unanswered"
    NOT_COUNTED = "not_counted"


@dataclass(frozen=True)
class Permit:
    """The right to send one request.

    `granted_at_us` is the ledger's clock in microseconds; `epoch` the epoch under which it was granted; `holder` the
    ledger ("redis", "postgres"); `age_us` how old it was when it was handed out (a repeated call gets the first
    permit). `asked_at` and `use_by` are moments of the worker's own clock, before the grant, and after which it must be
    given back unused. `serial` numbers the grants of Redis within an epoch, from 1; None for what was granted before.
    """

    request_id: str
    epoch: int
    granted_at_us: int
    holder: str = field(default="", compare=False)
    age_us: int = field(default=0, compare=False)
    asked_at: float = field(default=0.0, compare=False)
    use_by: float = field(default=math.inf, compare=False)
    serial: int | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Patience:
    """How the caller of a ledger waits, if it must.

    It gives up if it is told to wait longer than `seconds`, and asks again after `silence_seconds` even if it is told
    to wait longer; its place is kept that long. If it is `listening`, it hears what is announced to the line: then it
    keeps its place, without asking, for as long as it answers when it is called.
    """

    seconds: float = math.inf
    silence_seconds: float = math.inf
    listening: bool = False


#: Of a caller that does what it is told.
PATIENT = Patience()


@dataclass(frozen=True)
class Wait:
    """No permit yet: ask again in `wait_ms`. `ahead` is how many waiters are before this request.

    A waiter that hears announcements need not ask again before `look_us` microseconds unless its turn is announced:
    then its turn has come if it is the first, else the first has missed its turn. None: nothing is announced.
    """

    wait_ms: int
    ahead: int
    look_us: int | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Fenced:
    """This ledger is not in charge, or has lost its memory; `reason` is for the log."""

    reason: str


@dataclass(frozen=True)
class Withdrawn:
    """A grant was taken back before anybody had it. Ask again with other request ids.

    These are spent: what was sent to give them back may still be under way, and would undo what they are granted next.
    """

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
    priority: bool = False


@dataclass(frozen=True)
class LedgerState:
    """All that a ledger must know to resume where another one stopped. Times are relative, so clocks need not agree.

    `throttled_us_ago` is when the server last refused a request, None if it never has; `answered` is how many answers
    it has counted of requests sent since then. `permits` are read once. Without `keep_waiters`, waiters that the ledger
    may still have are dropped: they have since queued elsewhere.
    """

    epoch: int
    windows: tuple[QuotaWindow, ...]
    hold_us: int = 0
    blocked: str = ""
    permits: Iterable[JournaledPermit] = ()
    keep_waiters: bool = True
    throttled_us_ago: int | None = None
    answered: int = 0


Decision = tuple[Permit, ...] | Wait | Fenced | Withdrawn | Blocked
