"""The body of `api-usage/`: what an account may ask, has asked, and when room comes back.

Belongs here: that one answer. Does not belong here: the throttle itself.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from courtlistener_assets.devkit.simulator.accounts import Account
from courtlistener_assets.devkit.simulator.throttle import MICROSECONDS, SlidingLog, WindowState, rate_text
from resources.quota.permits import Window

#: The server lists the windows of other scopes too, so that a reader must select `scope == "user"`.
_OTHER_SCOPES = (("citations", Window.parse("60/min")), ("email", Window.parse("10/min")))


def usage_body(account: Account, now_us: int) -> dict[str, Any]:
    """What api-usage answers at `now_us`, its own request included. Rows are ordered by fullness, fullest first."""
    with account.lock:
        rows = _rows("api_usage", account.usage_log, now_us) + _rows("user", account.log, now_us)
        days = dict(sorted(account.requests_by_day.items())[-14:])
        total = account.requests_by_day.total()
    rows += [_row(scope, WindowState(window, 0, None)) for scope, window in _OTHER_SCOPES]
    rows.sort(key=_fullness, reverse=True)
    membership = {"level": account.membership, "is_active": True} if account.membership else None
    return {"current_usage": rows, "historical_usage": {**days, "total": total}, "membership": membership}


def _rows(scope: str, log: SlidingLog, now_us: int) -> list[dict[str, Any]]:
    return [_row(scope, state) for state in log.states(now_us)]


def _row(scope: str, state: WindowState) -> dict[str, Any]:
    window, reset_at = state.window, None
    if state.oldest_us is not None and window.limit:
        leaves_us = state.oldest_us + window.seconds * MICROSECONDS
        seconds, rest_us = divmod(leaves_us, MICROSECONDS)
        reset_at = datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest_us).isoformat()
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


def _fullness(row: dict[str, Any]) -> float:
    return float("inf") if row["blocked"] else float(row["used"] / row["limit"])
