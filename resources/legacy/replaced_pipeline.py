"""The methods of the Airflow pipeline that this project replaces, with their own signatures and result keys.

Belongs here: translating its calls into permits and into the state that our own runs write too. Does not belong here:
deciding about permits (`resources/quota/`), keeping the state (`pipeline_state.py`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from resources.connections.redis_keys import hour_stamp
from resources.errors import SettingError
from resources.legacy.pipeline_state import STATE_TTL_HOURS, PipelineState
from resources.quota.limiter import RateLimiter
from resources.quota.permits import WindowUsage


class ReplacedPipeline(ABC):
    """Mixin with the replaced pipeline's methods. Those about a run are best effort: without Redis they do nothing."""

    @abstractmethod
    def account_limiter(self) -> RateLimiter:
        """The permits of the account that these methods charge."""

    @abstractmethod
    def pipeline_state(self) -> PipelineState:
        """The state of runs."""

    def atomic_increment_api_calls(
        self, calls_to_add: int, limit: int, ttl_hours: float = STATE_TTL_HOURS
    ) -> dict[str, Any]:
        """Charge calls at once, all or none, if the quota and `limit` calls a clock hour (UTC) have room; never waits.

        Returns the keys of `get_current_rate_limit_status` for that limit, and `success`. What is charged
        ages out. The hour's counter lives `ttl_hours` from then on. Raises SettingError for less than one call,
        AccountBlocked, and without Postgres StoreUnavailable or LedgerUnavailable.
        """
        if calls_to_add < 1:
            raise SettingError("calls_to_add must be at least 1")
        limiter = self.account_limiter()
        charged = limit > 0 and limiter.charge(calls_to_add, limit)
        status = rate_limit_status(limiter.usage(), limiter.hour_counts(), limit)
        if charged:
            self.pipeline_state().keep_hour(status["hour"], ttl_hours)
        return {"success": charged, **status}

    def get_current_rate_limit_status(self) -> dict[str, Any]:
        """Return the state of the quota; the keys are those of `rate_limit_status`. Raises as the method above."""
        limiter = self.account_limiter()
        return rate_limit_status(limiter.usage(), limiter.hour_counts(), None)

    def cache_task_start_time(self, dag_run_id: str, task_id: str) -> float:
        """When a task of a run began, in seconds since 1970: now, or the time that was cached first."""
        return self.pipeline_state().cache_task_start_time(dag_run_id, task_id)

    def initialize_pipeline_state(self, dag_run_id: str) -> dict[str, Any]:
        """Begin the state of a run; one that has begun keeps its counters. Returns what `get_pipeline_state` does."""
        return self.pipeline_state().initialize_pipeline_state(dag_run_id)

    def update_docket_processing_state(
        self, dag_run_id: str, docket_id: int, api_calls_made: int = 1, success: bool = True, error: str = "unknown"
    ) -> None:
        """Count a docket as processed or failed, once each however often it comes, and the calls that it took.

        `error` is the type under which a failure is counted.
        """
        done, failed, errors = ([docket_id], [], {}) if success else ([], [docket_id], {error: 1})
        self.pipeline_state().update(dag_run_id, processed=done, failed=failed, errors=errors, api_calls=api_calls_made)

    def get_pipeline_state(self, dag_run_id: str) -> dict[str, Any]:
        """Counters, times in seconds since 1970, `errors` by type; empty if nothing is known of the run."""
        return self.pipeline_state().get_pipeline_state(dag_run_id)

    def cleanup_expired_keys(self) -> int:
        """Remove the state of runs and the hourly counters that have outlived their time; returns how many keys."""
        return self.pipeline_state().cleanup_expired_keys()


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
