"""How far the downloads are, what failed and what is deferred, read from Postgres.

Belongs here: reading for people and for metrics. Does not belong here: anything that writes (`records.py`), and the
quota (`quota_report.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from resources.deferrals import Deferral, Deferrals
from resources.postgres import Database

# A sweep has been walked to its end at least once if it is finished, or if its present pass looks for changes only.
_PROGRESS = """
    WITH partitions AS (
        SELECT asset, partition,
               count(*) FILTER (WHERE finished_at IS NOT NULL OR since IS NOT NULL) AS walked,
               bool_and(since IS NULL AND finished_at IS NOT NULL) AS first_pass,
               sum(pages) AS pages, sum(records) AS records
        FROM courtlistener.sweeps
        WHERE asset = %(asset)s AND sweep = ANY (%(sweeps)s)
          AND split_part(partition, '|', 1) = ANY (%(courts)s) AND split_part(partition, '|', 2) >= %(first_month)s
        GROUP BY asset, partition
    )
    SELECT count(*) FILTER (WHERE walked >= %(needed)s),
           count(*) FILTER (WHERE walked < %(needed)s),
           coalesce(sum(records), 0),
           coalesce(sum(pages), 0),
           coalesce(sum(pages) FILTER (WHERE walked < %(needed)s), 0),
           avg(pages) FILTER (WHERE first_pass AND walked >= %(needed)s)
    FROM partitions
"""
_FAILURES = """
    SELECT count(*) FILTER (WHERE dead_at IS NULL AND claimed_by IS NULL),
           count(*) FILTER (WHERE dead_at IS NULL AND claimed_by IS NOT NULL),
           count(*) FILTER (WHERE dead_at IS NOT NULL)
    FROM courtlistener.failures WHERE resolved_at IS NULL
"""


@dataclass(frozen=True)
class AssetProgress:
    """The partitions of one download asset.

    `records` and `pages` count the last pass of each sweep. `pages_a_partition` is the mean of the partitions that were
    downloaded in one pass, None if there is none yet; `expected` is how many partitions there are.
    """

    asset: str
    expected: int
    complete: int
    in_progress: int
    records: int
    pages: int
    pages_in_progress: int
    pages_a_partition: float | None
    sweeps: int

    @property
    def not_begun(self) -> int:
        return max(0, self.expected - self.complete - self.in_progress)

    @property
    def requests_left(self) -> float:
        """Estimate of the requests that the rest takes; every sweep takes one at least."""
        mean = max(float(self.sweeps), self.pages_a_partition or 0.0)
        return max(0.0, self.in_progress * mean - self.pages_in_progress) + self.not_begun * mean


@dataclass(frozen=True)
class FailureCounts:
    """Failures that are not resolved: waiting for a retry, being retried, given up."""

    open: int
    claimed: int
    dead: int


@dataclass(frozen=True)
class Plan:
    """What there is to download: the partitions, and the names of the sweeps of each asset."""

    courts: Sequence[str]
    first_month: date
    partitions: int
    sweeps: Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class PipelineReport:
    """The downloads as they stand now."""

    assets: tuple[AssetProgress, ...]
    failures: FailureCounts
    deferrals: tuple[Deferral, ...]

    @property
    def requests_left(self) -> float:
        return sum(asset.requests_left for asset in self.assets)

    @property
    def requests_a_docket(self) -> float | None:
        """Requests of all assets for each docket, at the present mix; None before the first docket."""
        dockets = sum(asset.records for asset in self.assets if asset.asset == "dockets")
        return sum(asset.pages for asset in self.assets) / dockets if dockets else None


def pipeline_report(database: Database, plan: Plan) -> PipelineReport:
    """How far the plan has come; raises StoreUnavailable. The database must be migrated."""
    [failures] = database.rows(_FAILURES)
    return PipelineReport(
        assets=tuple(_progress(database, plan, asset, sweeps) for asset, sweeps in plan.sweeps.items()),
        failures=FailureCounts(*failures),
        deferrals=tuple(Deferrals(database).all()),
    )


def _progress(database: Database, plan: Plan, asset: str, sweeps: Sequence[str]) -> AssetProgress:
    params = {"asset": asset, "sweeps": list(sweeps), "needed": len(sweeps), "courts": list(plan.courts),
              "first_month": plan.first_month.isoformat()}  # fmt: skip
    [(complete, in_progress, records, pages, pages_in_progress, mean)] = database.rows(_PROGRESS, params)
    return AssetProgress(
        asset=asset,
        expected=plan.partitions,
        complete=complete,
        in_progress=in_progress,
        records=int(records),
        pages=int(pages),
        pages_in_progress=int(pages_in_progress),
        pages_a_partition=None if mean is None else float(mean),
        sweeps=len(sweeps),
    )
