"""A run whose process is told to stop by a signal, as Ctrl-C, a container that is stopped and Kubernetes do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import dagster as dg
import psycopg
import pytest

from courtlistener_assets.defs.names import API_POOL
from courtlistener_assets.devkit.servers.redis_server import RedisServer
from courtlistener_assets.devkit.session.instance import dagster_variables, write_instance
from resources.connections.postgres import Database
from tests.acceptance.dev_process import eventually
from tests.acceptance.slow_simulator import TOKEN, SlowSimulator, slow_simulator

PARTITIONS = "scotus|2024-01-01...scotus|2024-03-01"
COMMAND = [
    str(Path(sys.executable).with_name("dagster")),
    *("asset", "materialize", "-m", "courtlistener_assets.definitions"),
    *("--select", "dockets,clusters,opinions", "--partition-range", PARTITIONS),
]
#: As promised; the process has to start nothing and to wait for nothing.
SECONDS = 10


@pytest.fixture
def environment(tmp_path: Path, redis_server: RedisServer, database_url: str, redis_client: object) -> dict[str, str]:
    write_instance(tmp_path / "dagster", workers=4)
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(("COURTLISTENER", "DAGSTER"))},
        **dagster_variables(tmp_path / "dagster", database_url),
        "COURTLISTENER_API_TOKEN": TOKEN,
        "COURTLISTENER_COURTS": "scotus",
        "COURTLISTENER_FIRST_MONTH": "2024-01",
        "COURTLISTENER_MAX_WAIT_SECONDS": "7200",
        "REDIS_URL": redis_server.url,
        "POSTGRES_URL": database_url,
    }


@contextmanager
def started(environment: Mapping[str, str], url: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        run = subprocess.Popen(
            COMMAND, env={**environment, "COURTLISTENER_BASE_URL": url}, stdout=output, stderr=output
        )
    try:
        yield run
    finally:
        run.kill()
        run.wait()


def runs(environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> list[dg.DagsterRun]:
    for name in ("DAGSTER_HOME", "DAGSTER_POSTGRES_URL"):
        monkeypatch.setenv(name, environment[name])
    with dg.DagsterInstance.from_config(environment["DAGSTER_HOME"]) as instance:
        return list(instance.get_runs())


def hangs(server: SlowSimulator, database_url: str, stack: ExitStack) -> bool:
    """Let every response hang once some have come; true when a request is under way."""
    if not server.hanging.is_set() and server.counted() >= 3:
        server.hanging.set()
        server.simulator.truth.entries.clear()
    return server.hanging.is_set() and server.counted() > 0


def waits(server: SlowSimulator, database_url: str, stack: ExitStack) -> bool:
    """True when the quota is used up, so that the next permit is an hour away."""
    return server.counted() == 5


def is_locked_out(server: SlowSimulator, database_url: str, stack: ExitStack) -> bool:
    """Lock the checkpoints once some pages are stored."""
    if server.counted() < 3:
        return False
    connection = stack.enter_context(psycopg.connect(database_url))
    connection.execute("LOCK TABLE courtlistener.sweeps IN ACCESS EXCLUSIVE MODE")
    return True


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("number", "rates", "is_stuck"),
    [(signal.SIGINT, "100/s", hangs), (signal.SIGTERM, "5/h", waits), (signal.SIGTERM, "3/s", is_locked_out)],
    ids=["ctrl-c-while-the-server-hangs", "sigterm-while-it-waits-for-the-quota", "sigterm-while-postgres-waits"],
)
def test_it_ends_within_seconds_as_cancelled_and_asks_for_nothing_more(
    environment: dict[str, str],
    database: Database,
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    rates: str,
    is_stuck: Callable[[SlowSimulator, str, ExitStack], bool],
) -> None:
    log = tmp_path / "run.log"
    with slow_simulator(rates) as server, started(environment, server.url, log) as run, ExitStack() as stack:

        def is_ready() -> bool:
            return run.poll() is not None or is_stuck(server, database_url, stack)

        assert eventually(is_ready, 120), log.read_text()
        assert run.poll() is None, log.read_text()
        time.sleep(0.5)  # For the workers to get stuck too.
        before, told = server.requests(), time.monotonic()
        run.send_signal(number)
        run.wait(60)
        assert time.monotonic() - told < SECONDS, log.read_text()[-4000:]
        [ended] = runs(environment, monkeypatch)
        assert ended.status == dg.DagsterRunStatus.CANCELED, log.read_text()[-4000:]
        assert server.requests() == before
        assert database.rows("SELECT count(*) FROM courtlistener.deferrals") == [(0,)]
        assert "STEP_UP_FOR_RETRY" not in log.read_text()


@pytest.mark.timeout(300)
def test_a_run_that_waits_for_a_place_in_the_pool_ends_within_seconds_too(
    environment: dict[str, str], database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DAGSTER_HOME", "DAGSTER_POSTGRES_URL"):
        monkeypatch.setenv(name, environment[name])
    with dg.DagsterInstance.from_config(environment["DAGSTER_HOME"]) as instance:
        instance.event_log_storage.set_concurrency_slots(API_POOL, 1)
        assert instance.event_log_storage.claim_concurrency_slot(API_POOL, "another run", "dockets").is_claimed
    log = tmp_path / "run.log"
    with slow_simulator("100/s") as server, started(environment, server.url, log) as run:
        assert eventually(lambda: "blocked by limit for pool" in log.read_text(), 120), log.read_text()
        told = time.monotonic()
        run.send_signal(signal.SIGTERM)
        run.wait(60)
        assert time.monotonic() - told < SECONDS, log.read_text()[-4000:]
        [ended] = runs(environment, monkeypatch)
        assert ended.status == dg.DagsterRunStatus.CANCELED, log.read_text()[-4000:]
        assert server.counted() == 0
