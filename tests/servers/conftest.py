"""The fixtures of `tests/conftest.py` with the servers of a distribution, so that its suites run on those too."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from courtlistener_assets.devkit.servers.postgres_server import PostgresServer
from courtlistener_assets.devkit.servers.redis_server import RedisServer
from resources.connections.redis_keys import RedisKeys
from tests.servers.distribution import Cluster, DistributionPostgres, DistributionRedis, SentinelTrio, doors, missing

# As the suites of tests/integration import their harness.
sys.path.append(str(Path(__file__).parents[1] / "integration"))
pytest.register_assert_rewrite("ledger_harness")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip everything where packages are missing."""
    if packages := missing():
        reason = f"not installed: apt-get install {' '.join(packages)}"
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """The distribution's Redis for the session."""
    with DistributionRedis() as server:
        yield server


@pytest.fixture
def fresh_redis_server() -> Iterator[RedisServer]:
    """The distribution's Redis for one test, which may kill, pause and restart it."""
    with DistributionRedis() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """The distribution's Postgres for the session."""
    with DistributionPostgres() as server:
        yield server


@pytest.fixture
def fresh_postgres_server() -> Iterator[PostgresServer]:
    """The distribution's Postgres for one test, which may kill, pause and restart it."""
    with DistributionPostgres() as server:
        yield server


@pytest.fixture(scope="session")
def ports(postgres_server: PostgresServer) -> Iterator[dict[str, int]]:
    """The ports of Postgres and of PgBouncer in its two modes."""
    with doors(postgres_server) as found:
        yield found


@pytest.fixture
def door() -> str:
    """Where workers find Postgres: `direct`, or behind PgBouncer in `session` or `transaction` mode."""
    return "transaction"


@pytest.fixture
def database_url(database_url: str, ports: dict[str, int], door: str) -> str:
    """The test's own database, through the door."""
    return at_port(database_url, ports[door])


def at_port(url: str, port: int) -> str:
    """The same database at another port."""
    parts = urlsplit(url)
    return url.replace(f":{parts.port}/", f":{port}/")


@pytest.fixture(scope="session")
def trio() -> Iterator[SentinelTrio]:
    """Three servers under three Sentinels; which one is the primary, tests may change."""
    with SentinelTrio() as trio:
        yield trio


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A cluster of three nodes; which server has the slot of our keys, tests may change."""
    with Cluster(f"{{{RedisKeys.prefix}}}") as cluster:
        yield cluster
