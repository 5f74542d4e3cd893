"""The demo's figures and its check: what is stored against what the simulator says belongs to the partitions.

Belongs here: counting and comparing. Does not belong here: showing it (`progress.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

from courtlistener_assets.building.partition import chunks_path
from courtlistener_assets.chunks.files import Location, opened
from courtlistener_assets.devkit.demo.plan import DOWNLOADS, Months
from courtlistener_assets.devkit.session.simulator_process import SimulatorProcess
from courtlistener_assets.download.bulk.bootstrap import STREAMS as BULK_STREAMS
from courtlistener_assets.download.choice import chosen
from courtlistener_assets.download.partitions import CourtMonth
from resources.connections.postgres import Database

#: All tables that the demo fills.
STREAMS = tuple(table for stream in chosen() for table in stream.stores)


@dataclass(frozen=True)
class Expected:
    """The truth about some partitions: the ids that belong to them by stream, and how few requests can fetch them.

    `fewest_requests` is for what does not come from bulk files.
    """

    ids: Mapping[str, set[int]]
    fewest_requests: int


def expected(simulator: SimulatorProcess, ranges: Iterable[Months], bulk_courts: Sequence[str] = ()) -> Expected:
    """Ask the simulator what belongs to these runs of consecutive months."""
    ids: dict[str, set[int]] = {stream: set() for stream in STREAMS}
    requests = 0
    for months in ranges:
        first, last = (f"{months[end].month:%Y-%m}" for end in (0, -1))
        found = simulator.expected([months[0].court], first, last)
        for stream in STREAMS:
            ids[stream].update(found["ids"][stream])
        free = BULK_STREAMS if months[0].court in bulk_courts else ()
        requests += sum(count for stream, count in found["requests_by_stream"].items() if stream not in free)
    return Expected(ids, requests)


def stored_ids(database: Database) -> dict[str, list[int]]:
    """By stream, the ids of all stored records, as often as they are stored."""
    ids: dict[str, list[int]] = {stream: [] for stream in STREAMS}
    for stream, number in database.rows("SELECT stream, id FROM courtlistener.records"):
        if stream in ids:
            ids[stream].append(number)
    return ids


def shortcomings(
    truth: Expected, stored: Mapping[str, Sequence[int]], summary: Mapping[str, Any], chunks: int
) -> list[str]:
    """List what is not as it should be; nothing when all is there exactly once and no request was refused."""
    found = []
    for stream in STREAMS:
        missing = truth.ids[stream] - set(stored[stream])
        if missing:
            some = ", ".join(str(number) for number in sorted(missing)[:5])
            found.append(f"{len(missing)} of {len(truth.ids[stream])} {stream} are missing, among them {some}")
        if len(stored[stream]) != len(set(stored[stream])):
            found.append(f"some {stream} are stored twice")
    if truth.ids["opinions"] and not chunks:
        found.append("there are no chunks")
    if summary["refused"]:
        found.append(f"{summary['refused']} requests were refused by the quota")
    return found


def count_chunks(data_dir: Location, partitions: Iterable[CourtMonth]) -> int:
    """Return the chunks of some partitions below `data_dir`."""
    chunks = 0
    for path in (chunks_path(data_dir, key) for key in partitions):
        if path.exists():
            with opened(path) as file:
                chunks += file.metadata.num_rows
    return chunks


def waited(instance: dg.DagsterInstance, since: float) -> float:
    """Sum the seconds that the steps which ended after the Unix time `since` waited for permits, over all workers."""
    by_step: dict[tuple[str, str], float] = {}
    for asset in DOWNLOADS:
        wanted = dg.AssetRecordsFilter(asset_key=dg.AssetKey(asset), after_timestamp=since)
        for record in instance.fetch_observations(wanted, limit=1000).records:
            entry = record.asset_observation and record.asset_observation.metadata.get("seconds_waited_of_run")
            if entry:
                by_step[record.run_id, asset] = float(str(entry.value))
    return sum(by_step.values(), 0.0)
