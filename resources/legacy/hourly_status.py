"""The quota in the words of the pipeline that this project replaces: counters of the clock hour, as one dictionary.

Belongs here: names and arithmetic of that dictionary. Does not belong here: deciding about permits.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from resources.connections.redis_keys import hour_stamp
from resources.quota.permits import WindowUsage


def rate_limit_status(
    windows: Sequence[WindowUsage], hour_counts: tuple[int, int] | None, limit: int | None
) -> dict[str, Any]:
    """The status of the quota.

    `limit` is the caller's own limit for a clock hour (UTC); without it, the account's tightest window counts.
    `hour_counts` are the requests charged and made in this hour, None if unknown.
    """
    charged, made = hour_counts or (0, 0)
    fullest = min(windows, key=lambda window: window.remaining, default=None)
    remaining = fullest.remaining if fullest else 0
    current, top = (fullest.used, fullest.window.limit) if fullest else (0, 0)
    if limit is not None:
        remaining = min(remaining, max(0, limit - charged))
        current, top = charged, limit
    return {
        "hour": hour_stamp(datetime.now(UTC)),
        "current_count": current,
        "limit": top,
        "remaining": remaining,
        "utilization_percent": round(100 * current / top, 2) if top else 100.0,
        "can_proceed": remaining > 0,
        "calls_this_hour": made,
        "windows": [
            {
                "limit": usage.window.limit,
                "window_seconds": usage.window.seconds,
                "used": usage.used,
                "foreign": usage.foreign,
                "remaining": usage.remaining,
            }
            for usage in windows
        ],
    }
