"""What all workers have counted: the totals in Postgres, as metrics of the kinds that workers have."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import Metric

from resources.connections.postgres import Database
from resources.telemetry import metrics
from resources.telemetry.metrics import Labels, Totals


def read_counters(database: Database) -> list[Metric]:
    """Return all counters and histograms; raises StoreUnavailable."""
    totals = metrics.totals(database)
    return [_metric(known, totals) for known in metrics.WORKER_REGISTRY.collect()]


def _metric(known: Metric, totals: Totals) -> Metric:
    found = Metric(known.name, known.documentation, known.type)
    samples = _buckets(known.name, totals) if known.type == "histogram" else _counts(known.name, totals)
    for name, labels, value in samples:
        found.add_sample(name, dict(labels), value)
    return found


def _counts(name: str, totals: Totals) -> Iterator[tuple[str, Labels, float]]:
    sample = f"{name}_total"
    found = {labels: total for (each, labels), total in totals.items() if each == sample}
    # A counter without a label begins at 0, so that its first increase is seen.
    for labels, total in sorted((found or ({} if metrics.LABELS[name] else {(): 0.0})).items()):
        yield sample, labels, total


def _buckets(name: str, totals: Totals) -> Iterator[tuple[str, Labels, float]]:
    """All buckets, also those in which nothing was counted: they have no row."""
    for labels in sorted(labels for each, labels in totals if each == f"{name}_count"):
        for bound in metrics.BUCKETS:
            bucket = tuple(sorted((*labels, ("le", bound))))
            yield f"{name}_bucket", bucket, totals.get((f"{name}_bucket", bucket), 0.0)
        for kind in ("count", "sum"):
            yield f"{name}_{kind}", labels, totals.get((f"{name}_{kind}", labels), 0.0)
