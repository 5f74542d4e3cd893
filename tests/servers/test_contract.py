"""What both ledgers promise, on the servers of a distribution: Redis alone, under Sentinels and in a cluster, Postgres
behind PgBouncer."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import partial

import pytest
from ledger_harness import Make, postgres_bench, redis_bench

from courtlistener_assets.devkit.servers.postgres_server import PostgresServer
from courtlistener_assets.devkit.servers.redis_server import RedisServer
from resources.connections.postgres import Database
from resources.connections.redis_address import connect
from tests.integration import test_ledger_contract as contract
from tests.servers.conftest import at_port
from tests.servers.distribution import Cluster, SentinelTrio
from tests.servers.suites import suite_of

globals().update(suite_of(contract))
_numbers = itertools.count()


@pytest.fixture(scope="module")
def urls(redis_server: RedisServer, trio: SentinelTrio, cluster: Cluster) -> dict[str, str]:
    return {"redis": redis_server.url, "sentinel": trio.url, "cluster": cluster.url}


@pytest.fixture(params=["redis", "sentinel", "cluster", "direct", "session", "transaction"])
def make(request: pytest.FixtureRequest) -> Make:
    """Makes a ledger with windows and options."""
    name = f"contract{next(_numbers)}"
    if request.param in ("redis", "sentinel", "cluster"):
        url, prefix = request.getfixturevalue("urls")[request.param], f"{{{name}}}"
        return partial(redis_bench, connect(url, prefix=prefix), prefix=prefix)
    return partial(postgres_bench, request.getfixturevalue("databases")[request.param], account=name)


@pytest.fixture(scope="module")
def databases(postgres_server: PostgresServer, ports: dict[str, int]) -> Iterator[dict[str, Database]]:
    """One database, through each door."""
    found = {door: Database(at_port(postgres_server.url, port)) for door, port in ports.items()}
    found["transaction"].migrate()
    yield found
    for database in found.values():
        database.close()
