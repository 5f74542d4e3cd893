"""Workers that share nothing but Redis, Postgres and the account, as containers on several machines would."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from courtlistener_assets.devkit.servers.redis_server import RedisServer
from courtlistener_assets.devkit.simulator.accounts import Account
from courtlistener_assets.devkit.simulator.expected import expected
from courtlistener_assets.devkit.simulator.server import Simulator
from resources.connections.postgres import Database

STREAMS = ("dockets", "clusters", "opinions", "docket_entries")
#: What each worker downloads; together they are the months of both courts, each once.
WORK = (
    "ca9|2024-01-01...ca9|2024-02-01",
    "ca9|2024-03-01...ca9|2024-03-01",
    "scotus|2024-01-01...scotus|2024-01-01",
    "scotus|2024-02-01...scotus|2024-03-01",
)
RATES = "6/s,60/10s"


@pytest.fixture
def environ(redis_server: RedisServer, database_url: str, redis_client: object) -> Mapping[str, str]:
    """What all workers have in common; an empty DAGSTER_HOME of its own comes on top for each."""
    inherited = {n: v for n, v in os.environ.items() if not n.startswith(("COURTLISTENER", "DAGSTER", "REDIS"))}
    return {
        **inherited,
        "COURTLISTENER_API_TOKEN": "shared-token",
        "COURTLISTENER_COURTS": "ca9,scotus",
        "COURTLISTENER_FIRST_MONTH": "2024-01",
        "REDIS_URL": redis_server.url,
        "POSTGRES_URL": database_url,
    }


def start_worker(number: int, partitions: str, environ: Mapping[str, str], home: Path) -> subprocess.Popen[bytes]:
    """One worker with a home, a working directory and a Dagster instance that no other one sees."""
    directory = home / f"worker-{number}"
    (directory / "dagster").mkdir(parents=True)
    command = [sys.executable, "-m", "dagster", "asset", "materialize", "-m", "courtlistener_assets.definitions"]
    command += ["--select", ",".join(STREAMS), "--partition-range", partitions]
    own = {"HOME": str(directory), "DAGSTER_HOME": str(directory / "dagster"), "COURTLISTENER_DATA_DIR": str(directory)}
    with (directory / "log").open("wb") as log:
        return subprocess.Popen(command, env={**environ, **own}, cwd=directory, stdout=log, stderr=log)


def run_workers(environ: Mapping[str, str], home: Path) -> None:
    """Run all workers at once; fails with the log of one that failed."""
    workers = [start_worker(number, work, environ, home) for number, work in enumerate(WORK)]
    try:
        for number, worker in enumerate(workers):
            status = worker.wait(timeout=200)
            assert status == 0, (home / f"worker-{number}" / "log").read_text(errors="replace")[-4000:]
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()


def stored_ids(database: Database, streams: Sequence[str]) -> dict[str, list[int]]:
    rows = database.rows("SELECT stream, id FROM courtlistener.records ORDER BY id")
    return {stream: [id for name, id in rows if name == stream] for stream in streams}


def test_workers_that_share_only_redis_and_postgres_download_all_once_and_none_is_refused(
    environ: Mapping[str, str], database: Database, tmp_path: Path
) -> None:
    account = Account("shared", "shared-token", RATES)
    with Simulator(accounts=[account], latency="uniform:0.01,0.11") as simulator:
        run_workers({**environ, "COURTLISTENER_BASE_URL": simulator.url}, tmp_path)

        truth = expected(simulator.corpus, ["ca9", "scotus"], "2024-01", "2024-03")
        pages = Counter(entry.path for entry in simulator.log if "api-usage" not in entry.path)
        assert [entry.path for entry in simulator.log if entry.status == 429] == []
        assert [path for path, times in pages.items() if times > 1] == []
        assert sum(pages.values()) == truth["requests"]
        assert stored_ids(database, tuple(truth["ids"])) == truth["ids"]
        # One ledger, one journal: every request of every worker had its permit there.
        journaled = database.rows(
            "SELECT count(*), count(settled_at) FROM courtlistener.permits WHERE account NOT LIKE '%:api_usage'"
        )
        assert journaled == [(truth["requests"], truth["requests"])]
