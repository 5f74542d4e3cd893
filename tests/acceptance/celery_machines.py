"""Dagster with Celery, as in docs/guide/celery.md: the page's commands, each on a machine that shares no directory.

Belongs here: starting these processes, asking their UI, and switching a machine off. Does not belong here: any
expectation.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen
from typing import Any

import psutil
import requests

from courtlistener_assets.devkit.servers.processes import start_process, stop_processes
from courtlistener_assets.devkit.servers.server import free_port
from tests.acceptance.dev_process import eventually
from tests.acceptance.readme_blocks import Block, blocks_of

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "deploy" / "celery"
LOADED = '{ assetNodeOrError(assetKey: {path: ["dockets"]}) { __typename } }'
LAUNCH = """mutation($params: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $params) {
  __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""
RUNS = """{ runsOrError(limit: 50) { ... on Runs { results { runId status tags { key value }
  stepStats { stepKey status } } } } }"""


@dataclass(frozen=True)
class Run:
    """A run as the UI shows it."""

    id: str
    status: str
    partition: str
    steps: dict[str, str]
    retry_of: str | None

    @property
    def at_work(self) -> bool:
        return self.status == "STARTED" and "IN_PROGRESS" in self.steps.values()


@dataclass
class Machines:
    """The machines by name, and the UI of one of them."""

    home: Path
    environ: Mapping[str, str]
    code_port: int = field(default_factory=free_port)
    ui_port: int = field(default_factory=free_port)
    processes: dict[str, Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str, command: str) -> None:
        """Start a command of the page on a machine of its own: another home, working directory and data directory."""
        machine, ports = self._machine(name), {"4000": str(self.code_port), "3000": str(self.ui_port)}
        words = [ports.get(word, word) for word in command.split()]
        with (machine / "log").open("wb") as log:
            self.processes[name] = start_process(words, output=log, env=self._environ(machine), cwd=machine)

    def prepare(self) -> None:
        """Run what the page has run once, before anything starts."""
        machine = self._machine("first")
        [block] = [each for each in _blocks() if each.title.startswith("courtlistener migrate")]
        block.run(machine, self._environ(machine), timeout_seconds=120)

    def switch_off(self, name: str) -> None:
        """Kill all that runs on a machine, at once."""
        process = self.processes.pop(name)
        for each in (*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)):
            each.kill()
        process.wait()

    def said(self) -> str:
        return "\n".join(f"--- {log.parent.name}\n{log.read_text(errors='replace')[-3000:]}" for log in self._logs())

    def is_up(self) -> bool:
        ended = [name for name, process in self.processes.items() if process.poll() is not None]
        assert ended == [], self.said()
        try:
            return bool(self.graphql(LOADED)["assetNodeOrError"]["__typename"] == "AssetNode")
        except requests.ConnectionError:
            return False

    def graphql(self, query: str, variables: dict[str, Any] | None = None) -> Any:
        body = {"query": query, "variables": variables or {}}
        return requests.post(f"http://127.0.0.1:{self.ui_port}/graphql", json=body, timeout=30).json()["data"]

    def launch(self, assets: list[str], partition: str) -> None:
        params = {"assetSelection": [{"path": [asset]} for asset in assets], "partitionNames": [partition]}
        answer = self.graphql(LAUNCH, {"params": params})["launchPartitionBackfill"]
        assert answer["__typename"] == "LaunchBackfillSuccess", answer

    def runs(self) -> list[Run]:
        return [_run(each) for each in self.graphql(RUNS)["runsOrError"]["results"]]

    def terminate(self, run_id: str) -> None:
        answer = self.graphql('mutation { terminateRun(runId: "%s") { __typename } }' % run_id)["terminateRun"]  # noqa: UP031
        assert answer["__typename"] == "TerminateRunSuccess", answer

    def materialized(self, asset: str) -> int:
        wanted = "... on AssetNode { partitionStats { numMaterialized } }"
        found = self.graphql(f'{{ assetNodeOrError(assetKey: {{path: ["{asset}"]}}) {{ {wanted} }} }}')
        return int(found["assetNodeOrError"]["partitionStats"]["numMaterialized"])

    def _machine(self, name: str) -> Path:
        machine = self.home / name
        machine.mkdir()
        shutil.copy(RECIPE / "dagster.yaml", machine)
        workspace = (RECIPE / "workspace.yaml").read_text(encoding="utf-8")
        (machine / "workspace.yaml").write_text(workspace.replace("port: 4000", f"port: {self.code_port}"))
        return machine

    def _environ(self, machine: Path) -> dict[str, str]:
        own = {"HOME": machine, "DAGSTER_HOME": machine, "COURTLISTENER_DATA_DIR": machine / "data"}
        return {**self.environ, **{name: str(path) for name, path in own.items()}}

    def _logs(self) -> list[Path]:
        return sorted(self.home.glob("*/log"))


def _run(found: Mapping[str, Any]) -> Run:
    tags = {each["key"]: each["value"] for each in found["tags"]}
    steps = {each["stepKey"]: each["status"] for each in found["stepStats"]}
    partition = tags.get("dagster/partition") or tags.get("dagster/asset_partition_range_start", "")
    return Run(found["runId"], found["status"], partition, steps, tags.get("dagster/parent_run_id"))


def _blocks() -> list[Block]:
    return blocks_of((ROOT / "docs" / "guide" / "celery.md").read_text(encoding="utf-8"))


def commands() -> dict[str, str]:
    """The commands of the page that stay in the foreground, by their first word."""
    [block] = [each for each in _blocks() if "celery --app" in each.script]
    return {line.split()[0]: line for line in block.script.splitlines()}


@contextmanager
def machines(home: Path, environ: Mapping[str, str]) -> Iterator[Machines]:
    """A code server, a webserver, a daemon and the Celery workers `one` and `two`, all up."""
    them = Machines(home, environ)
    each = commands()
    them.prepare()
    try:
        them.start("code", each["dagster"])
        for name in ("one", "two"):
            them.start(name, f"{each['celery']} --hostname {name}@%h")
        assert eventually(lambda: "Started Dagster code server" in (home / "code" / "log").read_text(), 60), them.said()
        them.start("webserver", each["dagster-webserver"])
        them.start("daemon", each["dagster-daemon"])
        assert eventually(them.is_up, 60, pause=0.5), them.said()
        yield them
    finally:
        stop_processes(list(them.processes.values()))
