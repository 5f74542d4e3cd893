"""The fixture `pipeline`: the code location with servers of its own. `pipeline_settings` is there to be overridden."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import redis

from courtlistener_assets.devkit.servers.redis_server import RedisServer
from courtlistener_assets.devkit.simulator.server import Simulator
from resources.connections.postgres import Database
from tests.integration.pipeline_harness import Pipeline, environment, pipeline_for


@pytest.fixture
def pipeline_settings() -> Mapping[str, str]:
    """Variables that differ from those of `environment`."""
    return {}


@pytest.fixture
def pipeline(
    simulator: Simulator,
    database: Database,
    database_url: str,
    redis_server: RedisServer,
    redis_client: redis.Redis,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    pipeline_settings: Mapping[str, str],
) -> Iterator[Pipeline]:
    """The code location with an instance, a database and a simulator of its own, and an empty Redis."""
    monkeypatch.setattr("random.uniform", lambda low, high: 0.0)  # no pauses between attempts
    environ = environment(simulator, database_url, redis_server.url, str(tmp_path)) | pipeline_settings
    with pipeline_for(simulator, database, environ, monkeypatch) as pipeline:
        yield pipeline
