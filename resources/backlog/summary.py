"""What is left to do, in numbers and ages, for metrics and reports.

Ages are told by Postgres, which also keeps the moments, so that no other clock matters.

Belongs here: counting and ages. Does not belong here: how far the downloads are (`progress.py`), and
anything that writes.
"""

from __future__ import annotations

from dataclasses import dataclass

from resources.backlog.progress import OF_THE_PLAN, Plan, plan_parameters
from resources.connections.postgres import Database

#: Of what bulk files have shown.
_DIFFERENCES = ("deleted", "changed", "children", "missing", "revived")

# What a run was requested for is under way.
DEFERRALS = """
    SELECT asset, count(*),
           extract(epoch FROM now() - min(deferred_until) FILTER (WHERE requested_at IS NULL))::double precision
    FROM courtlistener.deferrals GROUP BY asset
"""
# Looks at all sweeps, as counting the partitions does.
IDLE = f"""
    WITH plan AS (
        SELECT asset, sweep, count(*) OVER (PARTITION BY asset) AS needed
        FROM unnest(%(assets)s::text[], %(sweeps)s::text[]) AS planned (asset, sweep)
    ), in_progress AS (
        SELECT asset, partition, extract(epoch FROM now() - max(stored_at))::double precision AS idle
        FROM courtlistener.sweeps JOIN plan USING (asset, sweep)
        WHERE {OF_THE_PLAN}
        GROUP BY asset, partition, needed
        HAVING bool_or(finished_at IS NULL) OR count(walked_at) < needed
    )
    SELECT asset, count(*) FILTER (WHERE idle > %(longer_than)s), max(idle) FROM in_progress
    WHERE NOT EXISTS (SELECT FROM courtlistener.deferrals
                      WHERE deferrals.asset = in_progress.asset AND deferrals.partition = in_progress.partition)
    GROUP BY asset
"""
_OPEN_DIFFERENCES = """
    SELECT kind, count(*), extract(epoch FROM now() - min(found_at))::double precision
    FROM courtlistener.dump_differences WHERE repaired_at IS NULL GROUP BY kind
"""
_DUMP_AGE = """
    SELECT extract(epoch FROM now() - max(dump)::timestamp AT TIME ZONE 'UTC')::double precision
    FROM courtlistener.dump_comparisons
"""


def deferral_summary(database: Database) -> tuple[dict[str, int], float]:
    """Count the deferred partitions by asset, and tell how many seconds one of them has been due, 0 if none is.

    Raises StoreUnavailable.
    """
    rows = database.rows(DEFERRALS)
    return {asset: int(count) for asset, count, _ in rows}, max([0.0, *(due for _, _, due in rows if due)])


def idle_partitions(database: Database, plan: Plan, *, longer_than_seconds: float) -> dict[str, tuple[int, float]]:
    """By asset, how many partitions in progress have had no page for so long, and the longest such time, in seconds.

    Deferred ones, which wait for their time, are left out. Raises StoreUnavailable.
    """
    rows = database.rows(IDLE, {**plan_parameters(plan), "longer_than": longer_than_seconds})
    return {asset: (int(count), max(0.0, longest)) for asset, count, longest in rows}


@dataclass(frozen=True)
class DumpSummary:
    """How many differences of each kind wait to be looked up, for how long the oldest has, and the newest dump's age.

    In seconds; 0 if no difference waits, None if no dump was compared.
    """

    waiting: dict[str, int]
    oldest_seconds: float
    dump_seconds: float | None


def dump_summary(database: Database) -> DumpSummary:
    """Return what comparing with bulk files has left to do; raises StoreUnavailable."""
    rows = database.rows(_OPEN_DIFFERENCES)
    found = {kind: int(count) for kind, count, _ in rows}
    [(dump_seconds,)] = database.rows(_DUMP_AGE)
    waiting = {kind: found.get(kind, 0) for kind in _DIFFERENCES}
    return DumpSummary(waiting, max([0.0, *(age for _, _, age in rows)]), dump_seconds)
