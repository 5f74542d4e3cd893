"""What is left to do: failures, deferred partitions, differences that bulk files have shown."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from prometheus_client.core import Metric

from courtlistener_assets.operations.exporter.gauges import Sample, gauges
from resources.backlog.failure_counts import FAILURE_STATES, failure_summary
from resources.backlog.summary import deferral_summary, dump_summary
from resources.connections.postgres import Database


def read_backlog(database: Database, assets: Sequence[str]) -> list[Metric]:
    """Return counts and ages of all of it; `assets` have a count of 0 if there is none. Raises StoreUnavailable."""
    return gauges((*_failures(database), *_deferrals(database, assets), *_differences(database)))


def _failures(database: Database) -> Iterator[Sample]:
    counts, oldest = Counter[str](), defaultdict[str, float](float)
    for each in failure_summary(database):
        counts[each.state] += each.count
        oldest[each.state] = max(oldest[each.state], each.oldest_seconds)
        yield "courtlistener_failures_by_error", (each.asset, each.error, each.state), each.count
    for state in FAILURE_STATES:
        yield "courtlistener_failures", (state,), counts[state]
        yield "courtlistener_oldest_failure_age_seconds", (state,), oldest[state]


def _deferrals(database: Database, assets: Sequence[str]) -> Iterator[Sample]:
    counts, overdue_seconds = deferral_summary(database)
    for asset in sorted({*assets, *counts}):
        yield "courtlistener_deferred_partitions", (asset,), counts.get(asset, 0)
    yield "courtlistener_deferral_overdue_seconds", (), overdue_seconds


def _differences(database: Database) -> Iterator[Sample]:
    dumps = dump_summary(database)
    for kind, count in dumps.waiting.items():
        yield "courtlistener_dump_differences", (kind,), count
    yield "courtlistener_oldest_dump_difference_age_seconds", (), dumps.oldest_seconds
    if dumps.dump_seconds is not None:
        yield "courtlistener_dump_age_seconds", (), dumps.dump_seconds
