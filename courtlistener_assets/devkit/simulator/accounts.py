"""The accounts of the simulated server: who may ask, at which rates, and what an account has used so far.

Belongs here: tokens, authentication, admission, the body of api-usage. Does not belong here: HTTP (`responses.py`).
"""

from __future__ import annotations

import base64
import binascii
import collections
import math
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from courtlistener_assets.devkit.simulator.pacific import PACIFIC
from courtlistener_assets.devkit.simulator.throttle import MICROSECONDS, Refusal, SlidingLog, WindowState, rate_text
from resources.quota.permits import Window

API_USAGE_WINDOWS = Window.parse_all("10/min,120/hour")
_ANONYMOUS_RATES = "5/min,50/hour,125/day"


@dataclass
class Account:
    """A user of the server. `rates` are as in `5/min,50/hour`; a limit of 0 blocks the account."""

    name: str
    token: str
    rates: str
    active: bool = True
    membership: str | None = None
    requests_by_day: collections.Counter[str] = field(default_factory=collections.Counter)

    def __post_init__(self) -> None:
        self.lock = threading.Lock()
        self._regular = SlidingLog(Window.parse_all(self.rates, fewest=0))
        self._promoted = SlidingLog(_doubled(Window.parse_all(self.rates, fewest=0)))
        self._in_promotion = False
        self.usage_log = SlidingLog(API_USAGE_WINDOWS)
        self._changes = _CachedRates(self.rates)

    @property
    def log(self) -> SlidingLog:
        """The accepted requests that count now."""
        return self._promoted if self._in_promotion else self._regular

    def set_rates(self, rates: str, *, now: float = 0.0, cached_seconds: Sequence[float] = ()) -> None:
        """Change the windows from `now` on (seconds since 1970); what was accepted stays accepted.

        The server runs as many processes as `cached_seconds` has numbers, and requests go to them in turn; each goes
        by the old rates for so long. Without numbers all know the new ones at once.
        """
        with self.lock:
            self._changes = _CachedRates(rates, self._changes.rates, [now + seconds for seconds in cached_seconds])
            self._set_windows(rates)

    def forget(self) -> None:
        """Lose the log, as a server does whose cache was emptied."""
        with self.lock:
            self._regular = SlidingLog(Window.parse_all(self.rates, fewest=0))
            self._promoted = SlidingLog(_doubled(Window.parse_all(self.rates, fewest=0)))

    def set_promotion(self, *, active: bool) -> None:
        """Double all windows, or no more. A promotion counts requests of its own, and begins where it last ended."""
        with self.lock:
            self._in_promotion = active

    def admit(self, now_us: int, *, api_usage: bool = False) -> Refusal | None:
        """Log a request, or say which window is full. api-usage has a log of its own."""
        with self.lock:
            if api_usage:
                return self.usage_log.admit(now_us)
            if self._changes.seen_at:
                self._set_windows(self._changes.next_process(now_us / MICROSECONDS))
            return self.log.admit(now_us)

    def _set_windows(self, rates: str) -> None:
        self._regular.set_windows(Window.parse_all(rates, fewest=0))
        self._promoted.set_windows(_doubled(Window.parse_all(rates, fewest=0)))

    def record_success(self, now_us: int) -> None:
        """Count an answered request into the history that api-usage shows, by Pacific day."""
        day = datetime.fromtimestamp(now_us / MICROSECONDS, PACIFIC).date().isoformat()
        with self.lock:
            self.requests_by_day[day] += 1


@dataclass
class _CachedRates:
    """The rates, those before them, and when each process of the server hears of the change."""

    rates: str
    before: str = ""
    seen_at: Sequence[float] = ()
    _turn: int = -1

    def next_process(self, now: float) -> str:
        """Return the rates by which the process goes that has the next turn."""
        self._turn = (self._turn + 1) % len(self.seen_at)
        return self.rates if now >= self.seen_at[self._turn] else self.before


def _doubled(windows: tuple[Window, ...]) -> tuple[Window, ...]:
    return tuple(replace(window, limit=2 * window.limit) for window in windows)


@dataclass(frozen=True)
class Rejected:
    """Credentials that the server does not accept: the wording, and an addition to WWW-Authenticate."""

    detail: str
    challenge: str = ""


def default_accounts() -> list[Account]:
    """Return the accounts of the recordings; each has the token `<name>-token`."""
    rates = {
        "wide": "1000000/min",
        "bench": "60/min,5000/hour",
        "probe": "5/min,8/hour",
        "blocked": "0/min",
        "plain": "5/min,50/hour,125/day",
        "tier1": "10/min,75/hour,300/day",
        "inactive": "5/min,50/hour,125/day",
    }
    levels = {"tier1": "CL Membership - Tier 1"}
    return [
        Account(name, f"{name}-token", text, active=name != "inactive", membership=levels.get(name))
        for name, text in rates.items()
    ]


class Accounts:
    """All accounts of a server, found by their credentials. Requests without any share one anonymous account."""

    def __init__(self, accounts: Iterable[Account]) -> None:
        self.by_name = {account.name: account for account in accounts}
        self.anonymous = Account("anonymous", "", _ANONYMOUS_RATES)

    def add(self, account: Account) -> None:
        self.by_name[account.name] = account

    def authenticate(self, authorization: str | None) -> Account | Rejected:
        """Return the account behind an `Authorization` header; the anonymous one where there is no header."""
        scheme, _, rest = (authorization or "").strip().partition(" ")
        methods: dict[str, Callable[[str], Account | Rejected]] = {
            "token": self._by_token,
            "bearer": self._by_bearer,
            "basic": self._by_password,
        }
        method = methods.get(scheme.lower())
        found = method(rest.strip()) if method else self.anonymous
        if isinstance(found, Account) and not found.active:
            return Rejected("User inactive or deleted.")
        return found

    def _by_token(self, token: str) -> Account | Rejected:
        if not token:
            return Rejected("Invalid token header. No credentials provided.")
        if " " in token:
            return Rejected("Invalid token header. Token string should not contain spaces.")
        account = next((one for one in self.by_name.values() if one.token == token), None)
        return account or Rejected("Invalid token.")

    def _by_bearer(self, _token: str) -> Rejected:
        challenge = ',error="invalid_token",error_description="The access token is invalid."'
        return Rejected("Invalid or expired bearer token.", challenge)

    def _by_password(self, credentials: str) -> Account | Rejected:
        try:
            name, _, password = base64.b64decode(credentials).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return Rejected("Invalid basic header. Credentials not correctly base64 encoded.")
        account = self.by_name.get(name)
        return account if account and account.token == password else Rejected("Invalid username/password.")


# --- api-usage

#: The server lists the windows of other scopes too, so that a reader must select `scope == "user"`.
_OTHER_SCOPES = {"citations": "60/min", "email": "10/min"}


def usage_body(account: Account, now_us: int) -> dict[str, Any]:
    """Return the body of api-usage at `now_us`, its own request included: rows by fullness, fullest first."""
    with account.lock:
        logs = {"api_usage": account.usage_log, "user": account.log}
        logs |= {scope: SlidingLog(Window.parse_all(rates, fewest=0)) for scope, rates in _OTHER_SCOPES.items()}
        rows = [_row(scope, state) for scope, log in logs.items() for state in log.states(now_us)]
        days = dict(sorted(account.requests_by_day.items())[-14:])
        total = account.requests_by_day.total()
    rows.sort(key=lambda row: math.inf if row["blocked"] else row["used"] / row["limit"], reverse=True)
    membership = {"level": account.membership, "is_active": True} if account.membership else None
    return {"current_usage": rows, "historical_usage": {**days, "total": total}, "membership": membership}


def _row(scope: str, state: WindowState) -> dict[str, Any]:
    window, reset_at = state.window, None
    if state.oldest_us is not None and window.limit:
        leaves = timedelta(seconds=window.seconds, microseconds=state.oldest_us)
        reset_at = (datetime.fromtimestamp(0, UTC) + leaves).isoformat()
    return {
        "scope": scope,
        "rate": rate_text(window),
        "used": state.used,
        "limit": window.limit,
        "remaining": max(0, window.limit - state.used),
        "window_seconds": window.seconds,
        "reset_at": reset_at,
        "blocked": window.limit == 0,
    }
