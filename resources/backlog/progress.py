"""How far the downloads are, what failed and what is deferred, read from Postgres.

Belongs here: reading for people and for metrics. Does not belong here: anything that writes (`store.py`), and the
quota (`report.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from resources.backlog.deferrals import Deferral, Deferrals
from resources.backlog.failures import failure_counts
from resources.connections.postgres import Database

# What counts the partitions must look at all their sweeps, so it does that once for all assets.
PROGRESS = """
    WITH plan AS (
        SELECT asset, sweep, count(*) OVER (PARTITION BY asset) AS needed
        FROM unnest(%(assets)s::text[], %(sweeps)s::text[]) AS planned (asset, sweep)
    ), partitions AS (
        SELECT asset, partition, needed,
               count(*) FILTER (WHERE walked_at IS NOT NULL) AS walked,
               bool_and(since IS NULL AND finished_at IS NOT NULL) AS first_pass,
               sum(pages) AS pages, sum(records) AS records
        FROM courtlistener.sweeps JOIN plan USING (asset, sweep)
        WHERE partition = %(whole)s
            OR split_part(partition, '|', 1) = ANY (%(courts)s) AND split_part(partition, '|', 2) >= %(first_month)s
        GROUP BY asset, partition, needed
    )
    SELECT asset,
           count(*) FILTER (WHERE walked >= needed),
           count(*) FILTER (WHERE walked < needed),
           coalesce(sum(records), 0)::bigint,
           coalesce(sum(pages), 0)::bigint,
           coalesce(sum(pages) FILTER (WHERE walked < needed), 0)::bigint,
           (avg(pages) FILTER (WHERE first_pass AND walked >= needed))::double precision
    FROM partitions GROUP BY asset
"""


@dataclass(frozen=True)
class AssetProgress:
    """The partitions of one download asset.

    `records` and `pages` count the last pass of each sweep. `pages_a_partition` is the mean of the partitions that were
    downloaded in one pass, None if there is none yet; `expected` is how many partitions there are.
    """

    asset: str
    expected: int
    sweeps: int
    complete: int
    in_progress: int
    records: int
    pages: int
    pages_in_progress: int
    pages_a_partition: float | None

    @property
    def not_begun(self) -> int:
        return max(0, self.expected - self.complete - self.in_progress)

    @property
    def requests_left(self) -> float:
        """Estimate of the requests that the rest takes; every sweep takes one at least."""
        mean = max(float(self.sweeps), self.pages_a_partition or 0.0)
        return max(0.0, self.in_progress * mean - self.pages_in_progress) + self.not_begun * mean


# Of partitions whose courts and months are still configured; looks at all of them, too.
FULL_WALKS = """
    WITH plan AS (
        SELECT asset, sweep, count(*) OVER (PARTITION BY asset) AS needed
        FROM unnest(%(assets)s::text[], %(sweeps)s::text[]) AS planned (asset, sweep)
    ), complete AS (
        SELECT sum(walked_pages) AS pages FROM courtlistener.sweeps JOIN plan USING (asset, sweep)
        WHERE walked_at IS NOT NULL AND (partition = %(whole)s
            OR split_part(partition, '|', 1) = ANY (%(courts)s) AND split_part(partition, '|', 2) >= %(first_month)s)
        GROUP BY asset, partition, needed HAVING count(*) = needed
    )
    SELECT count(*), coalesce(sum(pages), 0)::bigint FROM complete
"""


@dataclass(frozen=True)
class Plan:
    """What there is to download: how many partitions each asset has, and the names of its sweeps.

    `whole` is the key of an asset without partitions.
    """

    courts: Sequence[str]
    first_month: date
    whole: str
    partitions: Mapping[str, int]
    sweeps: Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class PipelineReport:
    """The downloads as they stand now; `failures` as `Failures.counts` has them."""

    assets: tuple[AssetProgress, ...]
    failures: dict[str, int]
    deferrals: tuple[Deferral, ...]

    @property
    def requests_left(self) -> float:
        return sum(asset.requests_left for asset in self.assets)

    @property
    def requests_a_docket(self) -> float | None:
        """Requests of all assets for each docket, at the present mix; None before the first docket."""
        dockets = sum(asset.records for asset in self.assets if asset.asset == "dockets")
        return sum(asset.pages for asset in self.assets) / dockets if dockets else None


def full_walks(database: Database, plan: Plan) -> tuple[int, int]:
    """How many partitions are complete, and how many requests their last full walks took; raises StoreUnavailable."""
    [(partitions, pages)] = database.rows(FULL_WALKS, _params(plan))
    return int(partitions), int(pages)


def _params(plan: Plan) -> dict[str, object]:
    planned = [(asset, sweep) for asset, sweeps in plan.sweeps.items() for sweep in sweeps]
    return {
        "assets": [asset for asset, _ in planned],
        "sweeps": [sweep for _, sweep in planned],
        "courts": list(plan.courts),
        "first_month": plan.first_month.isoformat(),
        "whole": plan.whole,
    }


def pipeline_report(database: Database, plan: Plan) -> PipelineReport:
    """How far the downloads have come; raises StoreUnavailable. The database must be migrated."""
    rows = database.rows(PROGRESS, _params(plan))
    begun = {asset: counts for asset, *counts in rows}
    return PipelineReport(
        assets=tuple(
            AssetProgress(asset, plan.partitions[asset], len(sweeps), *begun.get(asset, (0, 0, 0, 0, 0, None)))
            for asset, sweeps in plan.sweeps.items()
        ),
        failures=failure_counts(database),
        deferrals=tuple(Deferrals(database).all()),
    )
