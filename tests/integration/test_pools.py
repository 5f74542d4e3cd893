"""Connections that a whole process shares: across threads and forks, while servers come and go."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
import redis

from bench.limiter.forwarder import Forwarder
from courtlistener_assets.devkit.servers.postgres_server import PostgresServer
from courtlistener_assets.devkit.servers.redis_server import RedisServer
from resources.connections import pools
from resources.connections.postgres import Database
from resources.dagster_resources import PostgresResource, RedisRateLimitResource, RedisResource
from resources.errors import SettingError, StoreUnavailable
from tests.integration.ledger_harness import take

OWN_CONNECTIONS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"


@pytest.fixture
def rate_limit(redis_server: RedisServer, redis_client: redis.Redis, database_url: str) -> RedisRateLimitResource:
    return RedisRateLimitResource(
        redis=RedisResource(url=redis_server.url, timeout_seconds=5.0),
        postgres=PostgresResource(url=database_url),
        rate_limits="1000/min",
    )


def in_a_fork(work: Callable[[], object]) -> str:
    """What `work` returns in a child of this process, as text."""
    reader, writer = os.pipe()
    if (pid := os.fork()) == 0:
        try:
            os.write(writer, str(work()).encode())
        except BaseException as error:
            os.write(writer, repr(error).encode())
        finally:
            os._exit(0)
    os.close(writer)
    os.waitpid(pid, 0)
    with os.fdopen(reader) as said:
        return said.read()


def pause_in_a_transaction(database: Database) -> None:
    """Pause for longer than Postgres allows."""
    with database.transaction() as connection:
        connection.execute("SET LOCAL idle_in_transaction_session_timeout = 1")
        with psycopg.connect(connection.info.dsn, user=connection.info.user) as onlooker:
            while onlooker.execute(
                "SELECT 1 FROM pg_stat_activity WHERE pid = %s", (connection.info.backend_pid,)
            ).fetchone():
                onlooker.execute("SELECT pg_stat_clear_snapshot()")
        connection.execute("SELECT 1")


def test_copies_of_a_resource_share_one_pool(database_url: str) -> None:
    one, other = PostgresResource(url=database_url), PostgresResource(url=database_url)
    assert one.database() is other.database()
    assert RedisResource(url="redis://127.0.0.1:1").client() is RedisResource(url="redis://127.0.0.1:1").client()


def test_a_hundred_threads_get_permits_from_one_pool_of_sixteen(
    rate_limit: RedisRateLimitResource, database_url: str
) -> None:
    limiter = rate_limit.limiter("account")
    with ThreadPoolExecutor(100) as threads:
        list(threads.map(lambda _: take(limiter, 3), range(100)))
    assert limiter.granted == {"redis": 300}
    assert 1 <= pools.database(database_url).rows(OWN_CONNECTIONS)[0][0] <= 16


def test_a_hundred_threads_get_permits_from_a_redis_three_tenths_of_a_second_away(
    redis_server: RedisServer, redis_client: redis.Redis, database_url: str
) -> None:
    line = Forwarder(redis_server.port, delay_seconds=0.15)
    redis_url = f"redis://127.0.0.1:{line.port}/0"
    limiter = RedisRateLimitResource(redis_url=redis_url, postgres_url=database_url, rate_limits="1000/min").limiter(
        "a"
    )
    with ThreadPoolExecutor(100) as threads:
        list(threads.map(lambda _: take(limiter), range(100)))
    line.close()
    assert limiter.granted == {"redis": 100}
    # Redis was put in charge once, and has stayed so.
    epochs = "SELECT holder, cool_down_seconds, (SELECT count(DISTINCT epoch) FROM courtlistener.permits) "
    epochs += "FROM courtlistener.ledgers"
    assert pools.database(database_url).rows(epochs) == [("redis", 0, 1)]


def test_locks_of_redis_that_a_thread_held_at_the_fork_do_not_stop_the_child(redis_server: RedisServer) -> None:
    client = RedisResource(url=redis_server.url).client()
    client.ping()
    pool: Any = client.connection_pool
    barrier, done = threading.Barrier(2), threading.Event()

    def hold() -> None:
        with pool._lock, pool._fork_lock, pool.pool.mutex:
            barrier.wait()
            done.wait()

    threading.Thread(target=hold, daemon=True).start()
    barrier.wait()
    assert in_a_fork(client.ping) == "True"
    done.set()
    assert client.ping()


def test_a_child_of_a_fork_has_connections_of_its_own(rate_limit: RedisRateLimitResource, database_url: str) -> None:
    limiter, database = rate_limit.limiter("account"), rate_limit.postgres.database()
    take(limiter)
    own_backend = "SELECT pg_backend_pid()"
    # The thread that settles has a connection of its own.
    parents = database.rows("SELECT pid FROM pg_stat_activity WHERE datname = current_database()")

    def child() -> object:
        take(limiter)  # Made before the fork, with both servers connected.
        [own] = database.rows(own_backend)
        return [limiter.granted, own not in parents]

    assert in_a_fork(child) == "[Counter({'redis': 2}), True]"
    # The parent's connections were not touched.
    [own] = database.rows(own_backend)
    assert own in parents
    take(limiter)
    assert limiter.granted == {"redis": 2}


def test_a_lock_that_a_thread_held_at_the_fork_does_not_stop_the_child(database_url: str) -> None:
    database = pools.database(database_url)
    with database._pool._lock:
        assert in_a_fork(lambda: PostgresResource(url=database_url).database().rows("SELECT 7")) == "[(7,)]"


def test_a_pool_without_a_free_connection_says_so(database_url: str) -> None:
    database = Database(database_url, max_connections=1, timeout_seconds=0.1)
    with database.transaction(), pytest.raises(StoreUnavailable, match="All 1 connections of this process to Postgres"):
        database.rows("SELECT 1")
    database.close()


def test_a_closed_pool_is_an_unavailable_store(database: Database) -> None:
    assert database.rows("SELECT 1") == [(1,)]
    database.close()
    with pytest.raises(StoreUnavailable):
        database.rows("SELECT 1")


def test_connections_that_postgres_has_dropped_are_replaced(fresh_postgres_server: PostgresServer) -> None:
    database = PostgresResource(url=fresh_postgres_server.url).database()
    assert database.rows("SELECT 1") == [(1,)]
    fresh_postgres_server.restart()
    assert database.rows("SELECT 1") == [(1,)]


def test_processes_that_start_together_make_the_schema_once(fresh_postgres_server: PostgresServer) -> None:
    databases = [Database(fresh_postgres_server.url) for _ in range(8)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(Database.ensure_schema, databases))
    assert all(database.schema_state().pending == () for database in databases)
    for database in databases:
        database.close()


def test_a_schema_that_is_up_to_date_needs_no_right_to_change_it(postgres_server: PostgresServer, database: Database,
                                                                 database_url: str) -> None:  # fmt: skip
    with psycopg.connect(database_url, autocommit=True) as admin:
        admin.execute("DROP ROLE IF EXISTS pool_reader")
        admin.execute("CREATE ROLE pool_reader LOGIN")
        admin.execute("GRANT USAGE ON SCHEMA courtlistener TO pool_reader")
        admin.execute("GRANT SELECT ON courtlistener.migrations TO pool_reader")
    reader = Database(database_url.replace("courtlistener@", "pool_reader@", 1))
    reader.ensure_schema()
    assert reader.rows("SELECT current_user") == [("pool_reader",)]
    with database.transaction() as connection:
        connection.execute("DELETE FROM courtlistener.migrations")
    late = Database(database_url.replace("courtlistener@", "pool_reader@", 1))
    with pytest.raises(SettingError, match=r"the schema cannot be brought up to date: .*permission denied"):
        late.ensure_schema()
    reader.close()
    late.close()


def test_a_patient_transaction_may_pause_and_another_may_not(database: Database) -> None:
    with database.transaction(patient=True) as connection:
        assert connection.execute("SHOW idle_in_transaction_session_timeout").fetchone() == ("0",)
    # Only for that transaction: its connection is the next one's.
    assert database.rows("SHOW idle_in_transaction_session_timeout") == [("2s",)]
    with pytest.raises(StoreUnavailable):
        pause_in_a_transaction(database)
    assert database.rows("SELECT 1") == [(1,)]
