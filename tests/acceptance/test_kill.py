"""A run that is killed with SIGKILL, and the one after it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from courtlistener_assets.devkit.servers.redis_server import RedisServer
from courtlistener_assets.devkit.session.instance import dagster_variables, write_instance
from courtlistener_assets.devkit.simulator.accounts import Account
from courtlistener_assets.devkit.simulator.server import Simulator
from resources.connections.postgres import Database

PARTITIONS = "scotus|2024-01-01...scotus|2024-03-01"
COMMAND = [
    str(Path(sys.executable).with_name("dagster")),
    *("asset", "materialize", "-m", "courtlistener_assets.definitions"),
    *("--select", "dockets,clusters,opinions,docket_entries", "--partition-range", PARTITIONS),
]


@pytest.fixture
def environment(tmp_path: Path, redis_server: RedisServer, database_url: str, redis_client: object) -> dict[str, str]:
    write_instance(tmp_path / "dagster", workers=4)
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(("COURTLISTENER", "DAGSTER"))},
        **dagster_variables(tmp_path / "dagster", database_url),
        "COURTLISTENER_API_TOKEN": "demo-token",
        "COURTLISTENER_COURTS": "scotus",
        "COURTLISTENER_FIRST_MONTH": "2024-01",
        "REDIS_URL": redis_server.url,
        "POSTGRES_URL": database_url,
    }


def list_requests(simulator: Simulator) -> list[str]:
    return [entry.path for entry in simulator.log if entry.admitted and "api-usage" not in entry.path]


def test_a_killed_run_is_gone_on_with_and_no_page_is_fetched_twice(
    environment: dict[str, str], database: Database, tmp_path: Path
) -> None:
    account = Account("demo", "demo-token", "10/s,120/20s")
    with Simulator(accounts=[account]) as simulator:
        environment["COURTLISTENER_BASE_URL"] = simulator.url
        with (tmp_path / "killed.log").open("wb") as log:
            victim = subprocess.Popen(COMMAND, env=environment, stdout=log, stderr=log)
            try:
                while len(list_requests(simulator)) < 12 and victim.poll() is None:
                    time.sleep(0.005)
                assert victim.poll() is None, (tmp_path / "killed.log").read_text()
            finally:
                victim.kill()
                victim.wait()
        before = list_requests(simulator)

        second = subprocess.run(COMMAND, env=environment, capture_output=True, text=True, timeout=180, check=False)

        assert second.returncode == 0, second.stderr[-4000:]
        fetched = Counter(list_requests(simulator))
        again = sum(count - 1 for count in fetched.values())
        # Up to four partitions of a run are downloaded at once: each may have had one page in flight.
        assert again <= 4
        assert len(fetched) > len(set(before))
        assert [entry for entry in simulator.log if entry.status == 429] == []
        dockets = {docket["id"] for docket in simulator.corpus.dockets if docket["court_id"] == "scotus"}
        clusters = {
            cluster["id"]
            for cluster in simulator.corpus.clusters
            if cluster["docket_id"] in dockets and "2024-01-01" <= cluster["date_filed"] < "2024-04-01"
        }
        stored = [id for (id,) in database.rows("SELECT id FROM courtlistener.clusters ORDER BY id")]
        assert stored == sorted(clusters)
        opinions = {opinion["id"] for opinion in simulator.corpus.opinions if opinion["cluster_id"] in clusters}
        assert {id for (id,) in database.rows("SELECT id FROM courtlistener.opinions")} == opinions
