"""Months side by side: how long one process takes to make the files of several months, and how long two.

Belongs here: months of opinions in a real Postgres, and the time until their files are there. Does not belong here:
memory (`memory.py`), what cutting text costs (`side_by_side.py`).

Each measurement is a process of its own, as a run's step is, so that no word has been counted before. The numbers of
processes take turns, and the best of each counts: what else the machine does only ever makes them slower.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from psycopg.types.json import Jsonb

from bench.vector_inputs.corpus import opinions
from bench.vector_inputs.memory import fill
from courtlistener_assets.building.partition import Built
from courtlistener_assets.building.processes import Job, built
from courtlistener_assets.chunks.options import ChunkOptions
from courtlistener_assets.devkit.servers.postgres_server import PostgresServer
from courtlistener_assets.download.undated import partition_of
from courtlistener_assets.logs import TEXT

_STREAMS = ("dockets", "clusters", "opinions")
_CHARACTERS = 20_000
_MONTHS = [f"2024-{month:02}" for month in range(1, 9)]


def measured(opinions_a_month: int, counts: Sequence[int], rounds: int) -> list[dict[str, Any]]:
    """Return a row for each number of processes: seconds, and how many times as fast as with the first number."""
    with tempfile.TemporaryDirectory() as directory, PostgresServer() as postgres:
        fill(postgres.url, _records(opinions_a_month))
        seconds: dict[int, list[float]] = {count: [] for count in counts}
        for number in range(rounds):
            for count in counts:
                data = Path(directory) / f"{number}-{count}"
                command = [sys.executable, "-m", __spec__.name, postgres.url, str(data), str(count)]
                done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
                seconds[count].append(float(done.stdout))
    rows = [
        {
            "processes": count,
            "months": len(_MONTHS),
            "opinions": opinions_a_month * len(_MONTHS),
            "seconds": round(min(took), 1),
            "times_as_fast": round(min(seconds[counts[0]]) / min(took), 2),
        }
        for count, took in seconds.items()
    ]
    print(rows, flush=True)
    return rows


def _records(opinions_a_month: int) -> Iterator[tuple[Any, ...]]:
    """The same opinions in all months, each of a case of its own."""
    modified = "2024-12-01T00:00:00Z"
    bodies = [opinion.body for opinion in opinions(opinions_a_month, _CHARACTERS)]
    id = 0
    for month in _MONTHS:
        for body in bodies:
            id += 1
            cluster = {"id": id, "case_name": f"Case {id} v. United States", "precedential_status": "Published"}
            docket = {"id": id, "docket_number": f"23-{id}"}
            opinion = body | {"id": id, "sha1": f"{id:040x}", "date_modified": modified}
            yield "dockets", id, id, None, "ca9", None, modified, Jsonb(docket)
            yield "clusters", id, id, id, "ca9", f"{month}-15", modified, Jsonb(cluster)
            yield "opinions", id, None, id, "ca9", None, modified, Jsonb(opinion)


def _seconds(postgres_url: str, data: Path, processes: int) -> float:
    """Make the files of all months; raises the error of a month that met one."""
    job = Job(
        postgres_url=postgres_url,
        streams=_STREAMS,
        data_dir=data,
        options=ChunkOptions(),
        across="",
        log_format=TEXT,
    )
    began = time.perf_counter()
    builder = job.builder()
    builder.log.open()
    for _, made in built(builder, job, [partition_of(f"ca9|{month}-01") for month in _MONTHS], processes):
        if not isinstance(made, Built):
            raise made
    return time.perf_counter() - began


if __name__ == "__main__":
    print(_seconds(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])))
