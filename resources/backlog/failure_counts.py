"""Failures that are not resolved, counted by the type of error, for metrics and reports.

Belongs here: counting. Does not belong here: single failures and what becomes of them (`failures.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from resources.connections.postgres import Database

FAILURE_STATES = ("waiting", "claimed", "dead")

_FAILURES = """
    SELECT asset, error,
           CASE WHEN dead_at IS NOT NULL THEN 'dead' WHEN claimed_by IS NOT NULL THEN 'claimed' ELSE 'waiting' END,
           count(*), min(first_at), extract(epoch FROM now() - min(first_at))::double precision
    FROM courtlistener.failures WHERE resolved_at IS NULL GROUP BY 1, 2, 3 ORDER BY 4 DESC, 1, 2, 3
"""


@dataclass(frozen=True)
class FailureCount:
    """How many failures of an asset have the same type of error and state, and since when the oldest has failed."""

    asset: str
    error: str
    state: str
    count: int
    oldest_at: datetime
    oldest_seconds: float


def failure_summary(database: Database) -> list[FailureCount]:
    """Count the failures that are not resolved, the most frequent first; raises StoreUnavailable."""
    return [
        FailureCount(asset, error, state, int(count), oldest_at, max(0.0, age))
        for asset, error, state, count, oldest_at, age in database.rows(_FAILURES)
    ]
