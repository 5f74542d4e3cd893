"""`courtlistener dev`: the UI, the README's commands against it, and that it leaves nothing behind."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests

from resources.services.server import free_port, is_free
from tests.acceptance.readme_blocks import readme_blocks

ASSETS = {"dockets", "clusters", "opinions", "docket_entries", "vector_inputs"}


def eventually(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait for another process; true as soon as the condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


@dataclass(frozen=True)
class Dev:
    """A running `courtlistener dev`."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def is_up(self) -> bool:
        if self.process.poll() is not None:
            raise AssertionError(f"it ended:\n{self.said()[-3000:]}")
        return "Dagster UI:" in self.said()

    def family(self) -> list[psutil.Process]:
        return [psutil.Process(self.process.pid), *psutil.Process(self.process.pid).children(recursive=True)]

    def graphql(self, query: str, variables: dict[str, Any] | None = None) -> Any:
        body = {"query": query, "variables": variables or {}}
        answer = requests.post(f"http://127.0.0.1:{self.port}/graphql", json=body, timeout=30)
        return answer.json()["data"]

    def materialized(self, asset: str) -> int:
        """How many partitions of an asset are materialised."""
        wanted = "... on AssetNode { partitionStats { numMaterialized } }"
        found = self.graphql(f'{{ assetNodeOrError(assetKey: {{path: ["{asset}"]}}) {{ {wanted} }} }}')
        return int(found["assetNodeOrError"]["partitionStats"]["numMaterialized"])

    def stop(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(60)


def start(checkout: Path, environ: Mapping[str, str], log: Path, *options: str) -> Dev:
    """Start it and wait until the UI answers."""
    port = free_port()
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["courtlistener", "dev", "--port", str(port), *options],
            cwd=checkout,
            env=environ,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    dev = Dev(process, port, log)
    try:
        assert eventually(dev.is_up, 120), dev.said()
    except BaseException:
        process.kill()
        raise
    return dev


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
    assert "using this checkout" in second.stderr
    assert dev.is_up()


@pytest.mark.timeout(600)
def test_the_commands_of_the_readme_work_while_it_runs(
    dev: Dev, checkout: Path, stranger_environ: Mapping[str, str]
) -> None:
    [block] = [block for block in readme_blocks() if "courtlistener env" in block.script]
    ended = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block.script],
        cwd=checkout,
        env=stranger_environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-3000:]

    def statuses() -> set[str]:
        found = dev.graphql("{ runsOrError(limit: 100) { ... on Runs { results { status } } } }")
        return {run["status"] for run in found["runsOrError"]["results"]}

    # The backfill's runs wait in the queue of the daemon.
    assert eventually(lambda: not statuses() & {"QUEUED", "NOT_STARTED", "STARTING", "STARTED"}, 200), statuses()
    assert statuses() == {"SUCCESS"}
    assert dev.materialized("dockets") >= 1
