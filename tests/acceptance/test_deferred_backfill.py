"""A backfill on a small account, with nobody watching: it is deferred, its sensor goes on with it, it finishes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from courtlistener_assets.devkit.session.simulator_process import TOKEN, SimulatorProcess, simulator_process
from tests.acceptance.dev_process import ASKING, Dev, eventually, start

MONTHS = ["scotus|2024-01-01", "scotus|2024-02-01", "scotus|2024-03-01"]
ASSETS = ["dockets", "clusters", "opinions", "vector_inputs"]
LAUNCH = """mutation($params: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $params) {
  __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""
STATUS = '{ partitionBackfillOrError(backfillId: "%s") { ... on PartitionBackfill { status } } }'


@pytest.fixture
def simulator(tmp_path: Path) -> Iterator[SimulatorProcess]:
    with simulator_process("5/2s,20/20s", tmp_path / "simulator.jsonl") as simulator:
        yield simulator


@pytest.fixture
def dev(
    checkout: Path, stranger_environ: Mapping[str, str], simulator: SimulatorProcess, tmp_path: Path
) -> Iterator[Dev]:
    environ = {
        **stranger_environ,
        "COURTLISTENER_API_TOKEN": TOKEN,
        "COURTLISTENER_BASE_URL": simulator.url,
        "COURTLISTENER_COURTS": "scotus",
        "COURTLISTENER_FIRST_MONTH": "2024-01",
        "COURTLISTENER_MAX_WAIT_SECONDS": "3",
    }
    dev = start(checkout, environ, tmp_path / "dev.log")
    yield dev
    dev.stop()


def is_loaded(dev: Dev) -> bool:
    found = dev.graphql('{ assetNodeOrError(assetKey: {path: ["dockets"]}) { __typename } }')
    return bool(found["assetNodeOrError"]["__typename"] == "AssetNode")


def launch(dev: Dev) -> str:
    params = {"assetSelection": [{"path": [asset]} for asset in ASSETS], "partitionNames": MONTHS}
    answer: Any = dev.graphql(LAUNCH, {"params": params})["launchPartitionBackfill"]
    assert answer["__typename"] == "LaunchBackfillSuccess", answer
    return str(answer["backfillId"])


@pytest.mark.timeout(420)
def test_a_backfill_that_is_deferred_ends_and_finishes_by_itself(
    dev: Dev, simulator: SimulatorProcess, tmp_path: Path
) -> None:
    assert eventually(lambda: is_loaded(dev), 60), dev.said()
    backfill = launch(dev)

    def status() -> str:
        return str(dev.graphql(STATUS % backfill)["partitionBackfillOrError"]["status"])

    assert eventually(lambda: status() not in {"REQUESTED", "FAILING"}, 180, pause=ASKING), "the backfill hangs"
    assert status() == "COMPLETED_FAILED"  # some partitions were deferred: the backfill is over, the work is not
    assert eventually(lambda: all(dev.materialized(asset) == 3 for asset in ASSETS), 240, pause=ASKING)
    summary = simulator.summary()
    assert summary["refused"] == 0
    assert Counter(summary["by_status"]).keys() == {"200"}
