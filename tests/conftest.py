"""The servers that tests share, all real and all started here on free ports of 127.0.0.1.

A server that cannot be started skips its tests on a laptop and fails them where `CI=true`.

`redis_server`, `postgres_server` live as long as the session; tests must not stop them. `fresh_redis_server` and
`fresh_postgres_server` belong to one test, which may kill, pause and restart them. `database` is a migrated database of
its own for each test. `simulator` is a stand-in CourtListener server for one test.
"""

from __future__ import annotations

import gc
import os
import pickle
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from uuid import uuid4

import psycopg
import pytest
import redis
from psycopg import sql

from courtlistener_assets.devkit.servers.postgres_server import PostgresServer
from courtlistener_assets.devkit.servers.redis_server import RedisServer
from courtlistener_assets.devkit.servers.server import EmbeddedServer
from resources.connections import pools, postgres
from resources.connections.postgres import Database
from resources.errors import CourtListenerAssetsError
from tests.in_memory import in_memory

if TYPE_CHECKING:
    from courtlistener_assets.devkit.simulator.server import Simulator

Server = TypeVar("Server", bound=EmbeddedServer)
TESTS = Path(__file__).parent

# To make and drop a database for each test is mostly work of the file system.
EmbeddedServer.temporary_root = in_memory()

# A shell that runs the tests in the background has them ignore Ctrl-C, and what they start would inherit that.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

#: Files that take long, the longest first: one that began near the end would be waited for by idle workers.
LONG_FILES = (
    "acceptance/test_demo.py",
    "truth/test_truth.py",
    "chaos/test_chaos.py",
    "acceptance/test_terminate.py",
    "acceptance/test_celery.py",
    "acceptance/test_docs_commands.py",
    "acceptance/test_deferred_backfill.py",
    "acceptance/test_dev.py",
    "integration/test_embedding.py",
    "acceptance/test_wheel.py",
    "unit/test_vector_memory.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the long files first; `--no-loadscope-reorder` keeps this order."""
    rank = {TESTS / name: number for number, name in enumerate(LONG_FILES)}
    items.sort(key=lambda item: rank.get(item.path, len(rank)))


def pytest_collection_finish() -> None:
    """Python looks for garbage a few hundred times from here on; what the tests consist of is none."""
    gc.collect()
    gc.freeze()


def _started(server: Server) -> Server:
    try:
        return server.start()
    except (CourtListenerAssetsError, OSError) as error:
        server.stop()
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"{server.name} cannot be started here: {error}")


@pytest.fixture(autouse=True)
def _pools() -> Iterator[None]:
    """The pools of this process stay open by design; here they would outlive the servers of a test."""
    yield
    pools.close_all()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """A Redis-compatible server for the session; use `redis_client` to find it empty."""
    server = _started(RedisServer())
    yield server
    server.stop()


@pytest.fixture
def fresh_redis_server() -> Iterator[RedisServer]:
    """A Redis-compatible server for one test, which may kill, pause and restart it."""
    server = _started(RedisServer())
    yield server
    server.stop()


@pytest.fixture
def redis_client(redis_server: RedisServer) -> Iterator[redis.Redis]:
    """A client (bytes, not str) of the session's server, which is empty when the test begins."""
    client = redis.Redis.from_url(redis_server.url)
    client.flushall()
    client.script_flush()
    yield client
    client.close()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A Postgres cluster for the session; use `database` or `database_url` for one's own database in it."""
    server = _started(PostgresServer())
    yield server
    server.stop()


@pytest.fixture
def fresh_postgres_server() -> Iterator[PostgresServer]:
    """A Postgres cluster for one test, which may kill, pause and restart it. Its database is not migrated."""
    server = _started(PostgresServer())
    yield server
    server.stop()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks a Postgres that cannot be reached knows it after half a second."""
    monkeypatch.setattr(postgres, "CONNECTION_SECONDS", 0.5)


@pytest.fixture(scope="session")
def _template(postgres_server: PostgresServer) -> str:
    """The name of a migrated database that nobody is connected to."""
    name = "migrated_template"
    _administer(postgres_server, sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    database = Database(_url(postgres_server, name))
    database.migrate()
    with database.transaction() as connection:
        connection.execute("CREATE SCHEMA dagster")
    database.close()
    return name


@pytest.fixture
def database_url(postgres_server: PostgresServer, _template: str) -> Iterator[str]:
    """The URL of a database that is migrated, otherwise empty, and dropped after the test."""
    name = f"test_{uuid4().hex}"
    create, template = sql.Identifier(name), sql.Identifier(_template)
    # file_copy: faster than the write-ahead log for a database that is hardly larger than an empty one.
    statement = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy").format(create, template)
    _administer(postgres_server, statement)
    yield _url(postgres_server, name)
    _administer(postgres_server, sql.SQL("DROP DATABASE {} WITH (FORCE)").format(create))


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A migrated database of its own for one test."""
    database = Database(database_url)
    yield database
    database.close()


@pytest.fixture(scope="session")
def _corpus() -> bytes:
    """The default corpus, pickled: to make it takes thirty times as long as to load it."""
    from courtlistener_assets.devkit.simulator.generator import generate

    return pickle.dumps(generate())


@pytest.fixture
def simulator(_corpus: bytes) -> Iterator[Simulator]:
    """A stand-in CourtListener server in this process with the default corpus and its shipped accounts."""
    from courtlistener_assets.devkit.simulator.server import Simulator

    with Simulator(pickle.loads(_corpus)) as simulator:
        yield simulator


def _url(server: PostgresServer, name: str) -> str:
    return server.url.rsplit("/", 1)[0] + "/" + name


def _administer(server: PostgresServer, statement: sql.Composed) -> None:
    with psycopg.connect(_url(server, "postgres"), autocommit=True) as connection:
        connection.execute(statement)
