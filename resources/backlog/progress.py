"""How far the downloads are, what failed and what is deferred, read from Postgres.

Belongs here: reading for people and for metrics. Does not belong here: anything that writes (`store.py`), the quota
(`report.py`), and estimating what is left (`workload.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from resources.backlog.deferrals import Deferral, Deferrals
from resources.backlog.failures import failure_counts
from resources.backlog.workload import Forecast, Month, Series, cost_of_a_page, forecast
from resources.connections.postgres import Database
from resources.records.court_counts import CourtCounts
from resources.records.misfits import UNDATED

#: The sweeps of partitions whose courts and months are configured. What belongs to no month is named by a word.
OF_THE_PLAN = """
    (partition = %(whole)s OR split_part(partition, '|', 1) = ANY (%(courts)s)
        AND (split_part(partition, '|', 2) BETWEEN %(first_month)s AND %(last_month)s
             OR split_part(partition, '|', 2) = %(undated)s))
"""
# What counts the partitions must look at all their sweeps, so it does that once for all assets and purposes.
PROGRESS = f"""
    WITH plan AS (
        SELECT asset, sweep, count(*) OVER (PARTITION BY asset) AS needed
        FROM unnest(%(assets)s::text[], %(sweeps)s::text[]) AS planned (asset, sweep)
    ), partitions AS (
        SELECT asset, partition,
               count(*) FILTER (WHERE walked_at IS NOT NULL) >= needed AS complete,
               bool_and(since IS NULL AND finished_at IS NOT NULL) AS first_pass,
               sum(pages) AS pages, sum(records) AS records, sum(walked_pages) AS walked_pages
        FROM courtlistener.sweeps JOIN plan USING (asset, sweep)
        WHERE {OF_THE_PLAN}
        GROUP BY asset, partition, needed
    )
    SELECT asset, split_part(partition, '|', 1), array_agg(split_part(partition, '|', 2)), array_agg(complete),
           array_agg(first_pass), array_agg(pages::bigint), array_agg(records::bigint), array_agg(walked_pages::bigint)
    FROM partitions GROUP BY asset, split_part(partition, '|', 1)
"""
# How many requests backfills have sent, and how many pages came of them, since the oldest of the last 300: each sweep
# that ended took one at least. Of those under way all pages are taken.
_COST = """
    WITH begun AS (
        SELECT min(granted_at) AS at, count(*) AS requests FROM (
            SELECT granted_at FROM courtlistener.permits
            WHERE account = %(account)s AND ages_from IS NOT NULL AND NOT priority
            ORDER BY ages_from DESC LIMIT 300) AS last
    ), finished AS (
        SELECT pages, finished_at FROM courtlistener.sweeps
        WHERE finished_at IS NOT NULL ORDER BY finished_at DESC LIMIT 300
    ), unfinished AS (
        SELECT pages FROM courtlistener.sweeps WHERE finished_at IS NULL ORDER BY started_at DESC LIMIT 100
    )
    SELECT begun.requests, (SELECT coalesce(sum(pages), 0) FROM finished WHERE finished_at >= begun.at)::bigint
        + (SELECT coalesce(sum(pages), 0) FROM unfinished)::bigint
    FROM begun
"""


@dataclass(frozen=True)
class AssetProgress:
    """The partitions of one download asset.

    `records` and `pages` count the last pass of each sweep. `pages_a_partition` is the mean of the partitions that were
    downloaded in one pass, None if there is none yet; `expected` is how many partitions there are; `requests_left` an
    estimate of the requests that the rest takes.
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
    requests_left: float

    @property
    def not_begun(self) -> int:
        return max(0, self.expected - self.complete - self.in_progress)


# Looks at all of them, too.
FULL_WALKS = f"""
    WITH plan AS (
        SELECT asset, sweep, count(*) OVER (PARTITION BY asset) AS needed
        FROM unnest(%(assets)s::text[], %(sweeps)s::text[]) AS planned (asset, sweep)
    ), complete AS (
        SELECT sum(walked_pages) AS pages FROM courtlistener.sweeps JOIN plan USING (asset, sweep)
        WHERE walked_at IS NOT NULL AND {OF_THE_PLAN}
        GROUP BY asset, partition, needed HAVING count(*) = needed
    )
    SELECT count(*), coalesce(sum(pages), 0)::bigint FROM complete
"""


@dataclass(frozen=True)
class Plan:
    """What there is to download: how many partitions each asset has, and the names of its sweeps.

    The months end with `last_month`, or, if that is None, with the present one. `months` are the keys of all months;
    `whole` is the key of an asset without partitions, as `unpartitioned` are. What pages of `nested` bring is more than
    their objects.
    """

    courts: Sequence[str]
    first_month: date
    last_month: date | None
    months: Sequence[str]
    whole: str
    partitions: Mapping[str, int]
    sweeps: Mapping[str, Sequence[str]]
    unpartitioned: Collection[str] = ()
    nested: Collection[str] = ()


@dataclass(frozen=True)
class PipelineReport:
    """The downloads as they stand now; `failures` as `Failures.counts` has them, `forecast` what is left."""

    assets: tuple[AssetProgress, ...]
    failures: dict[str, int]
    deferrals: tuple[Deferral, ...]
    forecast: Forecast

    @property
    def requests_left(self) -> float:
        return self.forecast.total

    @property
    def requests_a_docket(self) -> float | None:
        """Requests of all assets for each docket, at the present mix; None before the first docket."""
        dockets = sum(asset.records for asset in self.assets if asset.asset == "dockets")
        return sum(asset.pages for asset in self.assets) / dockets if dockets else None


def full_walks(database: Database, plan: Plan) -> tuple[int, int]:
    """How many partitions are complete, and how many requests their last full walks took; raises StoreUnavailable."""
    [(partitions, pages)] = database.rows(FULL_WALKS, plan_parameters(plan))
    return int(partitions), int(pages)


def plan_parameters(plan: Plan) -> dict[str, object]:
    """Return what queries about the partitions of a plan take."""
    planned = [(asset, sweep) for asset, sweeps in plan.sweeps.items() for sweep in sweeps]
    return {
        "assets": [asset for asset, _ in planned],
        "sweeps": [sweep for _, sweep in planned],
        "courts": list(plan.courts),
        "first_month": plan.first_month.isoformat(),
        "last_month": (plan.last_month or date.max).isoformat(),
        "whole": plan.whole,
        "undated": UNDATED,
    }


def pipeline_report(database: Database, plan: Plan, account: str | None = None) -> PipelineReport:
    """How far the downloads have come; raises StoreUnavailable. The database must be migrated.

    What a page costs is seen in the requests of `account`.
    """
    rows = [_Row(*row) for row in database.rows(PROGRESS, plan_parameters(plan))]
    left = _forecast(database, plan, rows, account)
    return PipelineReport(
        assets=tuple(
            _progress(plan, asset, [row for row in rows if row.asset == asset], left) for asset in plan.sweeps
        ),
        failures=failure_counts(database),
        deferrals=tuple(Deferrals(database).all()),
        forecast=left,
    )


def what_is_left(database: Database, plan: Plan, account: str | None = None) -> Forecast:
    """The requests that the rest of a plan takes, as in `pipeline_report`."""
    return _forecast(database, plan, [_Row(*row) for row in database.rows(PROGRESS, plan_parameters(plan))], account)


def _forecast(database: Database, plan: Plan, rows: Sequence[_Row], account: str | None) -> Forecast:
    counts = CourtCounts(database).known(plan.courts, plan.first_month, plan.last_month)
    return forecast(_series(plan, rows, counts), _cost(database, account))


@dataclass(frozen=True)
class _Row:
    """The partitions of an asset in a court that were begun; all lists have the same order."""

    asset: str
    court: str
    months: list[str]
    complete: list[bool]
    first_pass: list[bool]
    pages: list[int]
    records: list[int]
    walked_pages: list[int]


def _progress(plan: Plan, asset: str, rows: Sequence[_Row], left: Forecast) -> AssetProgress:
    begun = [each for row in rows for each in zip(row.complete, row.first_pass, row.pages, row.records, strict=True)]
    first_passes = [pages for complete, first_pass, pages, _ in begun if complete and first_pass]
    return AssetProgress(
        asset=asset,
        expected=plan.partitions[asset],
        sweeps=len(plan.sweeps[asset]),
        complete=sum(complete for complete, *_ in begun),
        in_progress=sum(not complete for complete, *_ in begun),
        records=sum(records for *_, records in begun),
        pages=sum(pages for _, _, pages, _ in begun),
        pages_in_progress=sum(pages for complete, _, pages, _ in begun if not complete),
        pages_a_partition=sum(first_passes) / len(first_passes) if first_passes else None,
        requests_left=left.of(asset),
    )


def _series(plan: Plan, rows: Sequence[_Row], counts: Mapping[tuple[str, str, str], int]) -> list[Series]:
    begun = {(row.asset, row.court): row for row in rows}
    found = []
    for asset, sweeps in plan.sweeps.items():
        by_month = asset not in plan.unpartitioned
        for court in plan.courts if by_month else [plan.whole]:
            keys = [f"{court}|{month}" for month in plan.months] if by_month else [plan.whole]
            row, objects = begun.get((asset, court)), [counts.get((court, asset, sweep)) for sweep in sweeps]
            known = [count for count in objects if count is not None]
            months = _months(row, keys, nested=asset in plan.nested) if row else {}
            found.append(Series(asset, court, keys, len(sweeps), months, known if len(known) == len(sweeps) else ()))
    return found


def _months(row: _Row, keys: Sequence[str], *, nested: bool) -> dict[int, Month]:
    places = {key: place for place, key in enumerate(keys)}
    months = {}
    for number, month in enumerate(row.months):
        place = places.get(f"{row.court}|{month}" if month else row.court)
        if place is not None:
            objects = None if nested or not row.first_pass[number] else row.records[number]
            months[place] = Month(row.walked_pages[number], row.pages[number], row.complete[number], objects)
    return months


def _cost(database: Database, account: str | None) -> float:
    if account is None:
        return 1.0
    [(requests, pages)] = database.rows(_COST, {"account": account})
    return cost_of_a_page(int(requests), int(pages))
