"""`courtlistener dev` as a process, and what its UI answers.

Belongs here: starting, asking and stopping it. Does not belong here: any expectation.
"""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import requests

from courtlistener_assets.devkit.servers.server import free_port

#: Seconds between two questions to the UI: an answer about an asset's partitions is a tenth of a second of work.
ASKING = 2.0


def eventually(condition: Callable[[], bool], seconds: float, *, pause: float = 0.2) -> bool:
    """Wait for another process; true when the condition holds, which is looked at every `pause` seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
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
        """How many partitions of an asset are materialised; 0 while the code location is loading."""
        wanted = "... on AssetNode { partitionStats { numMaterialized } }"
        found = self.graphql(f'{{ assetNodeOrError(assetKey: {{path: ["{asset}"]}}) {{ {wanted} }} }}')
        stats = found["assetNodeOrError"].get("partitionStats")
        return int(stats["numMaterialized"]) if stats else 0

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
