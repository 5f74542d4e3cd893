"""The demo's figures and its check: what is stored against what the simulator says belongs to the partitions.

Belongs here: counting and comparing. Does not belong here: showing it (`progress.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds

from courtlistener_assets.devkit.demo.plan import Range
from courtlistener_assets.devkit.session.simulator_process import SimulatorProcess
from resources.connections.postgres import Database

STREAMS = ("dockets", "clusters", "opinions", "docket_entries", "recap_documents")


@dataclass(frozen=True)
class Expected:
    """The truth about some partitions: the ids that belong to them by stream, and how few requests can fetch them."""

    ids: Mapping[str, set[int]]
    fewest_requests: int


def expected(simulator: SimulatorProcess, ranges: Iterable[Range]) -> Expected:
    """Ask the simulator what belongs to the partitions."""
    ids: dict[str, set[int]] = {stream: set() for stream in STREAMS}
    requests = 0
    for months in ranges:
        first, last = (f"{key.month:%Y-%m}" for key in (months.first, months.last))
        answer = simulator.expected([months.first.court], first, last)
        for stream in STREAMS:
            ids[stream].update(answer["ids"][stream])
        requests += answer["requests"]
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
    """What is not as it should be, in words; nothing when all is there exactly once and no request was refused."""
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


def count_chunks(data_dir: Path) -> int:
    """The chunks of all partitions below `data_dir`."""
    files = sorted(str(path) for path in (data_dir / "vector_inputs").rglob("chunks.parquet"))
    return int(ds.dataset(files, format="parquet").count_rows()) if files else 0
