"""`courtlistener dev`: the UI, the README's commands against it, and that it leaves nothing behind."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil
import pytest

from courtlistener_assets.devkit.servers.server import is_free
from tests.acceptance.dev_process import ASKING, Dev, eventually, start
from tests.acceptance.readme_blocks import readme_blocks

ASSETS = {"dockets", "clusters", "opinions", "docket_entries", "vector_inputs"}


def all_ended(processes: list[psutil.Process]) -> bool:
    """Whether none of the processes runs; ids that were given to others do not count."""
    return all(not each.is_running() or each.status() == psutil.STATUS_ZOMBIE for each in processes)


@pytest.mark.timeout(300)
def test_kill_9_blocks_nothing_and_ctrl_c_leaves_nothing(
    checkout: Path, stranger_environ: Mapping[str, str], tmp_path: Path
) -> None:
    killed = start(checkout, stranger_environ, tmp_path / "killed.log")
    family = killed.family()
    killed.process.kill()
    killed.process.wait()
    again = start(checkout, stranger_environ, tmp_path / "again.log")
    assert eventually(lambda: all_ended(family), 30)
    family = again.family()
    assert len(family) > 5
    assert again.stop() == 0
    assert eventually(lambda: all_ended(family), 10)
    assert is_free(again.port)


@pytest.fixture(scope="module")
def dev(checkout: Path, stranger_environ: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    running = start(checkout, stranger_environ, tmp_path_factory.mktemp("dev") / "dev.log")
    yield running
    running.stop()


def test_it_says_that_it_talks_to_the_simulator(dev: Dev) -> None:
    assert "COURTLISTENER_API_TOKEN is not set: the simulator" in dev.said()


def test_the_ui_shows_the_assets(dev: Dev) -> None:
    nodes = dev.graphql("{ assetNodes { assetKey { path } } }")["assetNodes"]
    assert {node["assetKey"]["path"][-1] for node in nodes} >= ASSETS


def test_a_second_one_is_refused_with_the_reason(dev: Dev, checkout: Path, stranger_environ: Mapping[str, str]) -> None:
    second = subprocess.run(
        ["courtlistener", "dev"], cwd=checkout, env=stranger_environ, capture_output=True, text=True, check=False
    )
    assert second.returncode == 1
    assert "using this directory" in second.stderr
    assert dev.is_up()


@pytest.mark.timeout(600)
def test_the_commands_of_the_readme_work_while_it_runs(
    dev: Dev, checkout: Path, stranger_environ: Mapping[str, str]
) -> None:
    [block] = [block for block in readme_blocks() if "courtlistener env" in block.script]
    block.run(checkout, stranger_environ, timeout_seconds=500)

    def statuses() -> set[str]:
        found = dev.graphql("{ runsOrError(limit: 100) { ... on Runs { results { status } } } }")
        return {run["status"] for run in found["runsOrError"]["results"]}

    # The backfill's runs wait in the queue of the daemon.
    active = {"QUEUED", "NOT_STARTED", "STARTING", "STARTED"}
    assert eventually(lambda: not statuses() & active, 200, pause=ASKING), statuses()
    assert statuses() == {"SUCCESS"}
    assert dev.materialized("dockets") >= 1
