"""docs/guide/celery.md, run: machines that share only Redis and Postgres, of which one is switched off at work."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from courtlistener_assets.devkit.servers.redis_server import RedisServer
from courtlistener_assets.devkit.session.instance import dagster_variables
from courtlistener_assets.devkit.simulator.expected import expected
from resources.connections.postgres import Database
from tests.acceptance.celery_machines import RECIPE, ROOT, Machines, Run, machines
from tests.acceptance.dev_process import eventually
from tests.acceptance.slow_simulator import TOKEN, SlowSimulator, slow_simulator

PARTITIONS = ["ca9|2024-01-01", "ca9|2024-02-01", "scotus|2024-01-01"]
#: The same, as the simulator's own list of what belongs to them wants it.
SCOPES = [(["ca9"], "2024-01", "2024-02"), (["scotus"], "2024-01", "2024-01")]
DOWNLOADS = ["dockets", "clusters", "opinions", "docket_entries"]
ASSETS = [*DOWNLOADS, "vector_inputs"]


@pytest.fixture
def server() -> Iterator[SlowSimulator]:
    with slow_simulator("6/s,60/10s") as server:
        yield server


@pytest.fixture
def them(
    server: SlowSimulator, fresh_redis_server: RedisServer, database: Database, database_url: str, tmp_path: Path
) -> Iterator[Machines]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("COURTLISTENER_", "DAGSTER_"))}
    broker = fresh_redis_server.url.removesuffix("/0") + "/1"
    environ = {
        **kept,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}",
        "PYTHONPATH": f"{RECIPE}{os.pathsep}{ROOT}",
        "DAGSTER_POSTGRES_URL": dagster_variables(tmp_path, database_url)["DAGSTER_POSTGRES_URL"],
        "CELERY_BROKER_URL": broker,
        "CELERY_RESULT_BACKEND": broker,
        "REDIS_URL": fresh_redis_server.url,
        "POSTGRES_URL": database_url,
        "COURTLISTENER_API_TOKEN": TOKEN,
        "COURTLISTENER_BASE_URL": server.url,
        "COURTLISTENER_COURTS": "ca9,scotus",
        "COURTLISTENER_FIRST_MONTH": "2024-01",
        "COURTLISTENER_PROCESSES": "1",
        # On a busy machine it takes a while until all are at work; meanwhile nothing is to be asked for a second time.
        "COURTLISTENER_READ_TIMEOUT_SECONDS": "240",
        "COURTLISTENER_RESPONSE_TIMEOUT_SECONDS": "250",
    }
    with machines(tmp_path, environ) as them:
        yield them


def at_work(them: Machines) -> list[Run]:
    return [run for run in them.runs() if run.at_work]


def succeeded(them: Machines) -> list[Run]:
    return [run for run in them.runs() if run.status == "SUCCESS"]


@pytest.mark.timeout(420)
def test_a_backfill_on_two_workers_survives_one_of_them_and_a_run_can_be_terminated(
    them: Machines, server: SlowSimulator, database: Database
) -> None:
    for partition in PARTITIONS:
        them.launch(ASSETS, partition)
    assert eventually(lambda: server.counted() > 0, 120), them.said()
    server.hanging.set()
    assert eventually(lambda: len(at_work(them)) == len(PARTITIONS), 120, pause=1), them.said()
    them.switch_off("one")
    server.hanging.clear()

    assert eventually(lambda: sorted(run.partition for run in succeeded(them)) == PARTITIONS, 240, pause=1), them.said()
    assert {asset: them.materialized(asset) for asset in ASSETS} == dict.fromkeys(ASSETS, len(PARTITIONS))
    runs = them.runs()
    lost = [run for run in runs if run.status == "FAILURE"]
    assert lost, "the worker that was switched off had no run"
    assert {run.retry_of for run in runs if run.retry_of} == {run.id for run in lost}

    truths = [expected(server.simulator.corpus, *scope) for scope in SCOPES]
    stored = Counter(database.rows("SELECT stream, id FROM courtlistener.records"))
    assert stored == Counter({(stream, i) for truth in truths for stream, ids in truth["ids"].items() for i in ids})
    requests = sum(truth["requests"] for truth in truths)
    assert [entry.path for entry in server.simulator.log if entry.status == 429] == []
    # Only what was under way when its worker was switched off has been asked for again: a request for each run of it.
    assert requests <= server.counted() <= requests + len(lost)

    server.hanging.set()
    known = server.counted()
    them.launch(["dockets"], "ca9|2024-03-01")
    assert eventually(lambda: server.counted() > known, 120), them.said()
    [run] = at_work(them)
    requests, told = server.requests(), time.monotonic()
    them.terminate(run.id)
    assert eventually(lambda: {each.id: each.status for each in them.runs()}[run.id] == "CANCELED", 30), them.said()
    assert time.monotonic() - told < 20
    assert server.requests() == requests
