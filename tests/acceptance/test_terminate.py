"""*Terminate* and *Cancel* in the UI of `courtlistener dev`: the run ends, and nothing is asked for or put off."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from courtlistener_assets.operations.running_session import running_session
from resources.connections.postgres import Database
from tests.acceptance.dev_process import ASKING, Dev, eventually, start
from tests.acceptance.slow_simulator import TOKEN, SlowSimulator, slow_simulator

MONTHS = ["scotus|2024-01-01", "scotus|2024-02-01", "scotus|2024-03-01"]
ASSETS = ["dockets", "clusters", "opinions", "vector_inputs"]
#: As promised.
SECONDS = 10
QUOTA = 9
BACKFILL = """mutation($params: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $params) {
  __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""
RUNS = """{ runsOrError(limit: 10) { ... on Runs { results { runId status stepStats { stepKey status } } } } }"""


@pytest.fixture(scope="module")
def server() -> Iterator[SlowSimulator]:
    with slow_simulator(f"{QUOTA}/h") as server:
        yield server


@pytest.fixture(scope="module")
def dev(
    checkout: Path,
    stranger_environ: Mapping[str, str],
    server: SlowSimulator,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Dev]:
    environ = {
        **stranger_environ,
        "COURTLISTENER_API_TOKEN": TOKEN,
        "COURTLISTENER_BASE_URL": server.url,
        "COURTLISTENER_COURTS": "scotus",
        "COURTLISTENER_FIRST_MONTH": "2024-01",
        "COURTLISTENER_MAX_WAIT_SECONDS": "7200",
    }
    dev = start(checkout, environ, tmp_path_factory.mktemp("terminate") / "dev.log")
    yield dev
    dev.stop()


@pytest.fixture(scope="module")
def deferred(dev: Dev, checkout: Path) -> Iterator[Callable[[], int]]:
    """How many partitions are put off."""
    database = Database(running_session(checkout)["POSTGRES_URL"])
    yield lambda: int(database.rows("SELECT count(*) FROM courtlistener.deferrals")[0][0])
    database.close()


def launch(dev: Dev) -> str:
    """Start a backfill, which is one run; returns its id."""
    loaded = '{ assetNodeOrError(assetKey: {path: ["dockets"]}) { __typename } }'
    assert eventually(lambda: bool(dev.graphql(loaded)["assetNodeOrError"]["__typename"] == "AssetNode"), 60)
    params = {"assetSelection": [{"path": [asset]} for asset in ASSETS], "partitionNames": MONTHS}
    answer: Any = dev.graphql(BACKFILL, {"params": params})["launchPartitionBackfill"]
    assert answer["__typename"] == "LaunchBackfillSuccess", answer
    return str(answer["backfillId"])


def runs(dev: Dev) -> list[Any]:
    found: list[Any] = dev.graphql(RUNS)["runsOrError"]["results"]
    return found


def running(dev: Dev) -> str:
    """The id of the only run that works on a step, "" if there is none."""
    working = [run["runId"] for run in runs(dev) if any(step["status"] == "IN_PROGRESS" for step in run["stepStats"])]
    return str(working[0]) if working else ""


def status(dev: Dev, run_id: str) -> str:
    return next(str(run["status"]) for run in runs(dev) if run["runId"] == run_id)


def ends(dev: Dev, run_id: str) -> float:
    """Wait until a run that is being cancelled has ended; returns how long that took."""
    told = time.monotonic()
    assert eventually(lambda: status(dev, run_id) not in {"STARTED", "CANCELING"}, 60), dev.said()[-4000:]
    return time.monotonic() - told


def terminate(dev: Dev, run_id: str) -> float:
    """Press *Terminate*; returns how long the run has lived after that."""
    answer = dev.graphql('mutation { terminateRun(runId: "%s") { __typename } }' % run_id)["terminateRun"]  # noqa: UP031
    assert answer["__typename"] == "TerminateRunSuccess"
    return ends(dev, run_id)


def is_quiet(dev: Dev, server: SlowSimulator, requests: int, number_of_runs: int) -> bool:
    """Whether nothing is asked for and no run begins, for as long as a sensor needs to tick."""
    return not eventually(lambda: server.requests() > requests or len(runs(dev)) > number_of_runs, 35, pause=ASKING)


@pytest.mark.timeout(300)
def test_terminate_ends_a_run_in_the_middle_of_a_response_that_does_not_come(
    dev: Dev, server: SlowSimulator, deferred: Callable[[], int]
) -> None:
    launch(dev)
    assert eventually(lambda: server.counted() > 0, 120), dev.said()[-4000:]
    server.hanging.set()
    known = server.counted()
    eventually(lambda: server.counted() > known, 10)  # What was under way has ended by now.
    run_id, requests = running(dev), server.requests()
    took = terminate(dev, run_id)
    assert (status(dev, run_id), took < SECONDS) == ("CANCELED", True), took
    assert server.requests() == requests
    assert deferred() == 0
    server.hanging.clear()


@pytest.mark.timeout(300)
def test_terminate_ends_a_run_that_waits_for_the_quota(
    dev: Dev, server: SlowSimulator, deferred: Callable[[], int]
) -> None:
    launch(dev)
    assert eventually(lambda: server.counted() == QUOTA, 120), dev.said()[-4000:]
    assert eventually(lambda: bool(running(dev)), 30)
    run_id, requests = running(dev), server.requests()
    took = terminate(dev, run_id)
    assert (status(dev, run_id), took < SECONDS) == ("CANCELED", True), took
    assert server.requests() == requests
    assert deferred() == 0


@pytest.mark.timeout(300)
def test_a_cancelled_backfill_ends_its_run_and_nothing_begins_it_again(
    dev: Dev, server: SlowSimulator, deferred: Callable[[], int]
) -> None:
    backfill = launch(dev)
    assert eventually(lambda: bool(running(dev)), 120), dev.said()[-4000:]
    run_id, requests = running(dev), server.requests()
    answer = dev.graphql('mutation { cancelPartitionBackfill(backfillId: "%s") { __typename } }' % backfill)  # noqa: UP031
    assert answer["cancelPartitionBackfill"]["__typename"] == "CancelBackfillSuccess"
    assert eventually(lambda: status(dev, run_id) != "STARTED", 90)  # The daemon looks every half minute.
    assert ends(dev, run_id) < SECONDS
    assert status(dev, run_id) == "CANCELED"
    assert is_quiet(dev, server, requests, len(runs(dev)))
    assert deferred() == 0
    found = '{ partitionBackfillOrError(backfillId: "%s") { ... on PartitionBackfill { status } } }' % backfill  # noqa: UP031
    assert dev.graphql(found)["partitionBackfillOrError"]["status"] == "CANCELED"
