"""The distribution's Prometheus, which scrapes one exporter every quarter of a second, and promtool.

Belongs here: starting and asking it. Does not belong here: what is expected of the answers.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import requests

from courtlistener_assets.devkit.servers.server import EmbeddedServer
from tests.servers.distribution import binary, wait_for

_CONFIGURATION = """
global: {{scrape_interval: 250ms, scrape_timeout: 250ms, evaluation_interval: 250ms}}
rule_files: [{rules}]
scrape_configs:
  - job_name: courtlistener-assets
    scrape_interval: 1s
    scrape_timeout: 1s
    static_configs: [{{targets: ["{target}"]}}]
"""


def program(name: str) -> str:
    """Where `prometheus` or `promtool` is; skips the test without it, and fails where CI=true."""
    if found := binary(name):
        return found
    reason = f"{name} is not installed: apt-get install prometheus"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def promtool(*arguments: str | Path) -> None:
    """Run promtool, and fail with what it says."""
    done = subprocess.run([program("promtool"), *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


class PrometheusServer(EmbeddedServer):
    """A Prometheus with alert rules that scrapes `target`, as `127.0.0.1:9464`."""

    name = "prometheus"

    def __init__(self, target: str, rules: Path) -> None:
        super().__init__()
        self._target = target
        self._rules = rules

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def _settings(self) -> Path:
        return self.directory / "prometheus.yml"

    def _prepare(self) -> None:
        self._data.mkdir(exist_ok=True)
        self._settings.write_text(_CONFIGURATION.format(rules=self._rules, target=self._target))

    def _command(self) -> list[str]:
        return [
            program("prometheus"),
            f"--config.file={self._settings}",
            f"--storage.tsdb.path={self._data}",
            f"--web.listen-address={self.host}:{self.port}",
            "--log.level=warn",
        ]

    def _answers(self) -> bool:
        try:
            return requests.get(f"{self.url}/-/ready", timeout=2).ok
        except requests.RequestException:
            return False

    def _mark(self) -> str:
        return f"--web.listen-address={self.host}:{self.port}"

    def get(self, path: str, **params: str) -> Any:
        """The data of an answer of the API, below `/api/v1/`."""
        answer = requests.get(f"{self.url}/api/v1/{path}", params=params, timeout=10)
        body = answer.json()
        assert body["status"] == "success", (params, body)
        return body["data"]

    def value(self, expression: str) -> list[Any]:
        """What an expression evaluates to now."""
        return list(self.get("query", query=expression)["result"])

    def wait_for_scrapes(self, count: int) -> None:
        """Wait until the exporter was scraped so often."""
        wait_for(lambda: self.value(f"count_over_time(courtlistener_scrape_seconds[5m]) >= {count}"), seconds=60.0)
