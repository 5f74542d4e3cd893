"""Half of the demo's months from bulk files, as `courtlistener bootstrap` takes them, beside what the other half costs.

Belongs here: doing it, and both costs. Does not belong here: downloading (`plan.py`), showing costs (`progress.py`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import dagster as dg

from courtlistener_assets.defs.bootstrap_command import fill
from courtlistener_assets.devkit.demo.figures import Expected
from courtlistener_assets.devkit.session.simulator_process import SimulatorProcess
from courtlistener_assets.download.bulk.bootstrap import STREAMS
from courtlistener_assets.download.partitions import CourtMonth
from courtlistener_assets.operations.bootstrap import described, plan
from courtlistener_assets.settings import Settings


@dataclass(frozen=True)
class Cost:
    """What dockets, clusters and opinions of some months have cost in this demo; nothing if they were there before."""

    months: int = 0
    objects: int = 0
    requests: int = 0
    seconds: float = 0.0


def load_bulk(
    partitions: Sequence[CourtMonth],
    truth: Expected,
    simulator: SimulatorProcess,
    instance: dg.DagsterInstance,
    environ: Mapping[str, str],
    say: Callable[[str], None],
) -> Cost:
    """Fill these months from the dump at COURTLISTENER_BULK_URL, unless they are filled."""
    wanted = {str(each) for each in partitions}
    if all(wanted <= set(instance.get_materialized_partitions(dg.AssetKey(stream))) for stream in STREAMS):
        return Cost()
    began, before, settings = time.monotonic(), simulator.summary()["admitted"], Settings.from_environ(environ)
    planned = plan(settings, courts=sorted({each.court for each in partitions}))
    for line in described(planned, settings):
        say(line)
    say(fill(planned, settings, environ, say))
    requests = simulator.summary()["admitted"] - before
    return Cost(len(wanted), objects_of(truth), requests, time.monotonic() - began)


def api_cost(
    partitions: Sequence[CourtMonth],
    truth: Expected,
    simulator: SimulatorProcess,
    instance: dg.DagsterInstance,
    since: float,
) -> Cost:
    """What the same of these months has cost over the API since runs began, a Unix time."""
    ends = [end for stream in STREAMS for end in _materialized(instance, stream, partitions, since)]
    if not ends:
        return Cost()
    requests = sum(simulator.summary()["by_endpoint"].get(stream, 0) for stream in STREAMS)
    return Cost(len(partitions), objects_of(truth), requests, max(ends) - since)


def objects_of(truth: Expected) -> int:
    """How many dockets, clusters and opinions there are."""
    return sum(len(truth.ids[stream]) for stream in STREAMS)


def _materialized(
    instance: dg.DagsterInstance, stream: str, partitions: Iterable[CourtMonth], since: float
) -> list[float]:
    wanted = dg.AssetRecordsFilter(
        dg.AssetKey(stream), asset_partitions=[str(each) for each in partitions], after_timestamp=since
    )
    return [record.timestamp for record in instance.fetch_materializations(wanted, limit=1000).records]
