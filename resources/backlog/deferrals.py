"""Deferrals: partitions that a run had to leave incomplete, and when to resume them.

Belongs here: the table of deferrals. Does not belong here: when a run gives up
(`courtlistener_assets/defs/assets/download_step.py`), requesting the next one (`courtlistener_assets/defs/sensors/`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from resources.connections.postgres import Database

#: Runs in a row that may end without progress.
MOST_ATTEMPTS = 5


@dataclass(frozen=True)
class Deferral:
    """An asset's partition that waits until `deferred_until`.

    `run_id` is the run whose passes the next one resumes, `config` what that run was told about the asset, `downstream`
    the other assets it was to make. `attempts` counts the runs requested since it was last deferred, of which `request`
    names the last; `requested_at` is None if no run is awaited.
    """

    asset: str
    partition: str
    deferred_until: datetime
    reason: str
    run_id: str
    config: dict[str, Any] = field(default_factory=dict)
    downstream: list[str] = field(default_factory=list)
    times: int = 1
    eta_seconds: float | None = None
    deferred_at: datetime | None = None
    requested_at: datetime | None = None
    request: str | None = None
    attempts: int = 0
    #: Whose quota had no room; None of what waits for something else.
    account: str | None = None

    @property
    def is_stuck(self) -> bool:
        """Whether so many runs ended without progress that no other is requested."""
        return self.attempts >= MOST_ATTEMPTS and self.requested_at is None


_COLUMNS = ", ".join(each.name for each in fields(Deferral))

#: What the configuration of a run names that was to take a part of its partition only.
SOME = ("docket_ids", "object_ids")
_SOME = "ARRAY['docket_ids', 'object_ids']"
# A run that was to take the whole partition is not replaced by one that wanted a few of its dockets or objects.
_RECORD = f"""
INSERT INTO courtlistener.deferrals AS kept
    (asset, partition, deferred_until, reason, run_id, config, downstream, eta_seconds, account)
VALUES (%(asset)s, %(partition)s, now() + make_interval(secs => %(wait)s), %(reason)s, %(run_id)s, %(config)s,
        %(downstream)s, %(eta)s, %(account)s)
ON CONFLICT (asset, partition) DO UPDATE SET
    deferred_until = excluded.deferred_until, reason = excluded.reason, eta_seconds = excluded.eta_seconds,
    account = excluded.account,
    run_id = CASE WHEN kept.config ?| {_SOME} OR NOT excluded.config ?| {_SOME}
        THEN excluded.run_id ELSE kept.run_id END,
    config = CASE WHEN kept.config ?| {_SOME} OR NOT excluded.config ?| {_SOME}
        THEN excluded.config ELSE kept.config END,
    downstream = ARRAY(SELECT DISTINCT unnest(kept.downstream || excluded.downstream)),
    times = kept.times + 1, deferred_at = now(), requested_at = NULL, request = NULL, attempts = 0
"""

_NEAR = 200
_ESTIMATE = f"""
WITH near AS (
    (SELECT pages FROM courtlistener.sweeps WHERE asset = %(asset)s AND partition < %(first)s
        AND finished_at IS NOT NULL ORDER BY asset DESC, partition DESC, sweep DESC LIMIT {_NEAR})
    UNION ALL
    (SELECT pages FROM courtlistener.sweeps WHERE asset = %(asset)s AND partition >= %(first)s
        AND finished_at IS NOT NULL ORDER BY asset, partition, sweep LIMIT {_NEAR})
)
SELECT (SELECT count(*) FROM courtlistener.sweeps WHERE asset = %(asset)s AND partition = ANY(%(partitions)s)
        AND sweep = ANY(%(sweeps)s) AND finished_at IS NOT NULL),
    coalesce((SELECT avg(pages) FROM near), 1)
"""


class Deferrals:
    """All deferred partitions."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(
        self,
        asset: str,
        partitions: Sequence[str],
        *,
        wait_seconds: float,
        reason: str,
        run_id: str,
        config: Mapping[str, Any] | None = None,
        downstream: Sequence[str] = (),
        eta_seconds: float | None = None,
        account: str | None = None,
    ) -> None:
        """Defer these partitions by `wait_seconds`, until which the quota of `account` has no room, if it is that."""
        row = {
            "asset": asset,
            "wait": wait_seconds,
            "reason": reason,
            "run_id": run_id,
            "config": Jsonb(dict(config or {})),
            "downstream": sorted(downstream),
            "account": account,
            "eta": None if eta_seconds is None or math.isinf(eta_seconds) else eta_seconds,
        }
        with self._database.transaction() as connection:
            connection.cursor().executemany(_RECORD, [{**row, "partition": each} for each in sorted(partitions)])

    def clear(self, asset: str, partition: str, *, some_dockets: bool, request: str | None = None) -> None:
        """Drop a deferral: the partition is complete, or, with `some_dockets`, the dockets that the run was to take.

        With `request` only one that still waits for this request: what was deferred again meanwhile stays.
        """
        with self._database.transaction() as connection:
            connection.execute(
                "DELETE FROM courtlistener.deferrals WHERE asset = %(asset)s AND partition = %(partition)s "
                f"AND (NOT %(some)s OR config ?| {_SOME}) "
                "AND (%(request)s::text IS NULL OR request = %(request)s)",
                {"asset": asset, "partition": partition, "some": some_dockets, "request": request},
            )

    def forget(self, partitions: Sequence[str]) -> int:
        """Drop all deferrals of these partitions; returns how many."""
        with self._database.transaction() as connection:
            return connection.execute(
                "DELETE FROM courtlistener.deferrals WHERE partition = ANY(%(partitions)s)",
                {"partitions": list(partitions)},
            ).rowcount

    def forget_times(self, accounts: Sequence[str]) -> int:
        """Let what waits for the quota of these accounts, whose tokens were replaced, be due now; returns how many."""
        with self._database.transaction() as connection:
            return connection.execute(
                "UPDATE courtlistener.deferrals SET deferred_until = least(deferred_until, now()), account = NULL "
                "WHERE account = ANY(%(accounts)s)",
                {"accounts": list(accounts)},
            ).rowcount

    def due(self, *, limit: int = 1000) -> list[Deferral]:
        """What may be resumed now and is not waiting for a run, by partition; not what is stuck."""
        return self._select(
            "deferred_until <= now() AND requested_at IS NULL AND attempts < %(max_attempts)s "
            "ORDER BY partition, asset LIMIT %(limit)s",
            max_attempts=MOST_ATTEMPTS,
            limit=limit,
        )

    def requested(self) -> list[Deferral]:
        """Return what waits for a run that was requested."""
        return self._select("requested_at IS NOT NULL ORDER BY partition, asset")

    def all(self, *, limit: int = 1000) -> list[Deferral]:
        """Return all deferrals, the next one first."""
        return self._select("TRUE ORDER BY deferred_until, partition, asset LIMIT %(limit)s", limit=limit)

    def mark_requested(self, deferrals: Sequence[Deferral], request: str) -> None:
        """Note that a run named `request` is to resume these."""
        query = (
            "UPDATE courtlistener.deferrals SET requested_at = now(), request = %(request)s, attempts = attempts + 1 "
            "WHERE asset = %(asset)s AND partition = %(partition)s"
        )
        self._for_each(query, [_key(each) for each in deferrals], request=request)

    def defer_again(self, deferrals: Sequence[Deferral], *, wait_seconds: float) -> int:
        """Defer what no run resumes now: the one that was requested ended without them, or none can be requested.

        Returns how many; those that were deferred or requested again since they were read stay as they are.
        """
        query = (
            "UPDATE courtlistener.deferrals SET requested_at = NULL, "
            "deferred_until = now() + make_interval(secs => %(wait)s) WHERE asset = %(asset)s "
            "AND partition = %(partition)s AND request IS NOT DISTINCT FROM %(request)s"
        )
        return self._for_each(query, [{**_key(each), "request": each.request} for each in deferrals], wait=wait_seconds)

    def estimated_requests(self, asset: str, partitions: Sequence[str], sweeps: Sequence[str]) -> int:
        """How many requests the sweeps of these partitions still need.

        Goes by the pages of the finished sweeps whose partitions come next to them in order, those of the same courts.
        """
        if not partitions:
            return 0
        [(finished, pages)] = self._database.rows(
            _ESTIMATE,
            {"asset": asset, "partitions": list(partitions), "sweeps": list(sweeps), "first": min(partitions)},
        )
        left = max(0, len(partitions) * len(sweeps) - int(finished))
        return math.ceil(left * max(1.0, float(pages)))

    def _select(self, where: str, **params: object) -> list[Deferral]:
        query = f"SELECT {_COLUMNS} FROM courtlistener.deferrals WHERE {where}"
        with self._database.transaction() as connection, connection.cursor(row_factory=class_row(Deferral)) as cursor:
            return cursor.execute(query.encode(), params).fetchall()

    def _for_each(self, query: str, rows: Sequence[Mapping[str, object]], **params: object) -> int:
        """Run a change for each row, in one transaction; returns how many it changed."""
        if not rows:
            return 0
        with self._database.transaction() as connection, connection.cursor() as cursor:
            cursor.executemany(query.encode(), [{**params, **row} for row in rows])
            return cursor.rowcount


def _key(deferral: Deferral) -> dict[str, str]:
    return {"asset": deferral.asset, "partition": deferral.partition}
