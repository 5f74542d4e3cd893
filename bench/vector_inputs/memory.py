"""Peak memory of the asset at a partition of so many opinions: `python -m bench.vector_inputs.memory 1000`.

Belongs here: a court's month full of opinions in a real Postgres, and the peak of the process that materializes it and
runs the asset's checks. Does not belong here: speed.

Short opinions in short chunks: what memory could depend on is the number of opinions and of chunks, of which 100,000
real opinions have about 800,000, and not how long they are. A few opinions of a megabyte are among them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import dagster as dg
from psycopg.types.json import Jsonb

from bench.vector_inputs.corpus import opinions
from courtlistener_assets.defs.checks.examination import WARNINGS
from courtlistener_assets.devkit.servers.postgres_server import PostgresServer
from courtlistener_assets.devkit.servers.redis_server import RedisServer
from resources.connections.postgres import Database
from resources.records.store import RecordStore

_PARTITION = "ca9|2024-01-01"
_TOKENS = 64
_CHARACTERS = 300
_LARGE = 1_000_000
_LARGE_ONES = 5
_COLUMNS = "stream, id, docket_id, cluster_id, court_id, date_filed, date_modified, body"


def measured(count: int) -> dict[str, Any]:
    """Fill a database, materialize the partition twice, and return the figures: seconds of the first time, peaks in MB.

    Raises AssertionError if the second time writes anything.
    """
    with tempfile.TemporaryDirectory() as directory, PostgresServer() as postgres, RedisServer() as redis:
        fill(postgres.url, _records(count))
        home = Path(directory)
        environ = {
            **os.environ,
            "COURTLISTENER_COURTS": "ca9",
            "COURTLISTENER_FIRST_MONTH": "2024-01",
            "COURTLISTENER_DATA_DIR": str(home / "data"),
            "DAGSTER_HOME": str(home),
            "POSTGRES_URL": postgres.url,
            "REDIS_URL": redis.url,
        }
        began = time.perf_counter()
        first_mb = _materialized(environ)
        seconds = time.perf_counter() - began
        first = _metadata(home)
        second_mb = _materialized(environ)
        assert _metadata(home)["change"] == "0 added, 0 removed"
        size = sum(file.stat().st_size for file in home.rglob("chunks.parquet"))
    row = {
        "opinions": first["stored_opinions"],
        "chunks": first["dagster/partition_row_count"],
        "seconds": round(seconds, 1),
        "file_mb": round(size / 2**20, 1),
        "first_run_mb": first_mb,
        "peak_mb": max(first_mb, second_mb),
    }
    print(row, flush=True)
    return row


def fill(url: str, records: Iterable[tuple[Any, ...]]) -> None:
    """Store records in an empty database: values of the columns `_COLUMNS`."""
    database = Database(url)
    RecordStore(database).prepare(["dockets", "clusters", "opinions", "docket_entries", "recap_documents"])
    with database.transaction() as connection:
        with connection.cursor() as cursor, cursor.copy(f"COPY courtlistener.records ({_COLUMNS}) FROM STDIN") as copy:
            for record in records:
                copy.write_row(record)
        connection.execute("ANALYZE courtlistener.records")
    database.close()


def _records(count: int) -> Iterator[tuple[Any, ...]]:
    """Each opinion with a cluster and a docket of its own."""
    modified = "2024-02-01T00:00:00Z"
    for id, opinion in enumerate(chain(opinions(_LARGE_ONES, _LARGE), opinions(count, _CHARACTERS, seed=2)), 1):
        cluster = {"id": id, "case_name": f"Case {id} v. United States", "precedential_status": "Published"}
        cluster |= {"citations": [{"volume": id, "reporter": "F.4th", "page": "1"}]}
        body = opinion.body | {"id": id, "sha1": f"{id:040x}", "date_modified": modified}
        yield "dockets", id, id, None, "ca9", None, modified, Jsonb({"id": id, "docket_number": f"23-{id}"})
        yield "clusters", id, id, id, "ca9", "2024-01-15", modified, Jsonb(cluster)
        yield "opinions", id, None, id, "ca9", None, modified, Jsonb(body)


def _materialized(environ: dict[str, str]) -> float:
    """Materialize the partition as a user would, in a process of its own; returns its peak."""
    config = {"ops": {"vector_inputs": {"config": {"max_tokens": _TOKENS}}}}
    command = [sys.executable, "-m", "dagster", "asset", "materialize", "-m", "courtlistener_assets.definitions"]
    command += ["--select", "vector_inputs", "--partition", _PARTITION, "--config-json", json.dumps(config)]
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, env=environ, stdout=output, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            output.seek(0)
            raise RuntimeError(output.read().decode(errors="replace")[-5000:])
    # Linux counts in kilobytes, macOS in bytes.
    return round(usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10), 1)


def _metadata(home: Path) -> dict[str, Any]:
    """Return what the last run says of the partition; all of its checks have passed, but for warnings."""
    with dg.DagsterInstance.from_config(str(home)) as instance:
        [run] = instance.get_runs(limit=1)
        events = [entry.dagster_event for entry in instance.all_logs(run.run_id) if entry.dagster_event]
    examined = [event for event in events if event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION]
    evaluated = [event.asset_check_evaluation_data for event in examined]
    wrong = [each.check_name for each in evaluated if not each.passed]
    assert [name for name in wrong if name not in WARNINGS] == []
    assert len(evaluated) > len(wrong)
    [made] = [event.materialization for event in events if event.is_step_materialization]
    return {name: value.value for name, value in made.metadata.items()}


if __name__ == "__main__":
    measured(int(sys.argv[1]))
