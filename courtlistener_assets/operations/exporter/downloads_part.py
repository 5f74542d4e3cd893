"""How far the downloads are, how long the rest takes, and whether they advance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from prometheus_client.core import Metric

from courtlistener_assets.operations.exporter.gauges import Sample, gauges
from courtlistener_assets.operations.status import Status, own_account, own_of, plan_of
from courtlistener_assets.settings import Settings
from resources.backlog.progress import PipelineReport, pipeline_report
from resources.backlog.summary import idle_partitions
from resources.connections.postgres import Database
from resources.quota.outlook import read_outlook
from resources.quota.report import quota_report

#: How long no page may come of a partition in progress, beyond the longest time that a run waits for a permit.
STALLED_SECONDS = 1800.0


def read_downloads(settings: Settings, database: Database) -> list[Metric]:
    """Return the state of all partitions that are configured; raises StoreUnavailable."""
    plan, accounts, account = (
        plan_of(settings, datetime.now(UTC).date()),
        tuple(quota_report(database)),
        own_account(settings),
    )
    own = own_of(accounts, account)
    outlook = read_outlook(database, own.account, settings.reserve_share) if own else None
    pipeline = pipeline_report(database, plan, own.account if own else None)
    longest_seconds = STALLED_SECONDS + settings.max_wait_seconds
    idle = idle_partitions(database, plan, longer_than_seconds=longest_seconds)
    return gauges((*_progress(Status(accounts, pipeline, account, outlook=outlook)), *_idle(pipeline, idle)))


def _progress(status: Status) -> Iterator[Sample]:
    for asset in status.pipeline.assets:
        states = {"complete": asset.complete, "in_progress": asset.in_progress, "not_begun": asset.not_begun}
        for state, count in states.items():
            yield "courtlistener_partitions", (asset.asset, state), count
        yield "courtlistener_requests_left", (asset.asset,), asset.requests_left
    if status.seconds_left is not None:
        yield "courtlistener_seconds_left", (), status.seconds_left
    if status.pipeline.requests_a_docket is not None:
        yield "courtlistener_requests_per_docket_ratio", (), status.pipeline.requests_a_docket


def _idle(pipeline: PipelineReport, idle: Mapping[str, tuple[int, float]]) -> Iterator[Sample]:
    for asset in (each.asset for each in pipeline.assets):
        stalled, longest = idle.get(asset, (0, 0.0))
        yield "courtlistener_stalled_partitions", (asset,), stalled
        yield "courtlistener_partition_idle_seconds", (asset,), longest
