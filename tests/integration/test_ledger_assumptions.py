"""What is around the ledger may be other than it was written for: roles, isolation, keys from a backup, a server that
cannot write, or says nothing."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import psycopg
import pytest
import redis
from ledger_harness import ask_anew
from psycopg import sql

from courtlistener_assets.devkit.servers.postgres_server import PostgresServer
from courtlistener_assets.devkit.servers.redis_server import RedisServer
from resources.connections.postgres import Database
from resources.connections.redis_address import connect
from resources.errors import LedgerUnavailable, QuotaDeferred, SchemaMismatch, SettingError
from resources.quota.failover import FailoverLedger
from resources.quota.lease import LeaseStore
from resources.quota.limiter import RateLimiter
from resources.quota.permits import Lane, Outcome, Wait, Window
from resources.quota.postgres_ledger import PostgresLedger
from resources.quota.redis_ledger import RedisLedger


def ledger(client: redis.Redis, database: Database, windows: str = "3/hour") -> FailoverLedger:
    row = LeaseStore(database, "account", fallback_windows=Window.parse_all(windows))
    return FailoverLedger(
        RedisLedger(client, "account", permit_ttl_seconds=20), PostgresLedger(row, permit_ttl_seconds=20), row
    )


def use(worker: FailoverLedger, names: str, *, settled: bool = True) -> None:
    for name in names:
        answer = ask_anew(worker, name)
        assert isinstance(answer, tuple), answer
        if settled:
            worker.settle(answer[0], Outcome.COUNTED)


def waits(worker: FailoverLedger, name: str) -> bool:
    return isinstance(ask_anew(worker, name), Wait)


@pytest.fixture
def client(redis_server: RedisServer, redis_client: redis.Redis) -> Iterator[redis.Redis]:
    with connect(redis_server.url, timeout_seconds=2.0) as client:
        yield client


@pytest.mark.parametrize("settled", [True, False], ids=["settled", "in flight"])
def test_keys_that_are_restored_from_an_older_copy_grant_nothing_again(
    client: redis.Redis, redis_server: RedisServer, database: Database, settled: bool
) -> None:
    worker = ledger(client, database, "5/hour")
    use(worker, "a", settled=settled)
    with redis.Redis.from_url(redis_server.url) as raw:
        copies = {key: raw.dump(key) for key in raw.keys("*")}
        use(worker, "bcd", settled=settled)
        raw.flushdb()
        for key, copy in copies.items():
            raw.restore(key, 0, copy)
    use(worker, "e", settled=settled)
    assert waits(worker, "f")
    assert waits(ledger(client, database, "5/hour"), "g")


def test_permits_that_alone_are_restored_from_an_older_copy_are_noticed(
    client: redis.Redis, redis_server: RedisServer, database: Database
) -> None:
    worker = ledger(client, database)
    use(worker, "abc")
    with redis.Redis.from_url(redis_server.url) as raw:
        [key] = raw.keys("*:permits:*")
        # Two hours pass.
        with database.transaction() as connection:
            connection.execute("UPDATE courtlistener.permits SET ages_from = ages_from - interval '2 hours'")
        raw.zadd(key, {name: score - 7_200_000_000 for name, score in raw.zrange(key, 0, -1, withscores=True)})
        copy = raw.dump(key)
        use(worker, "de")
        # As many as there are now, since no more are kept.
        raw.restore(key, 0, copy, replace=True)
    use(worker, "f")
    assert waits(worker, "g")


@pytest.mark.parametrize("setting", ["default_transaction_isolation", "TimeZone"])
def test_what_a_role_has_set_for_its_sessions_grants_nothing_more(
    client: redis.Redis, database_url: str, setting: str
) -> None:
    value = {"default_transaction_isolation": "serializable", "TimeZone": "America/New_York"}[setting]
    name = sql.Identifier(urlsplit(database_url).path[1:])
    with psycopg.connect(database_url, autocommit=True) as admin:
        admin.execute(
            sql.SQL("ALTER DATABASE {} SET {} = {}").format(name, sql.Identifier(setting), sql.Literal(value))
        )
    database = Database(database_url)
    use(ledger(client, database), "abc")
    client.flushdb()
    assert waits(ledger(client, database), "d")
    assert waits(ledger(connect("redis://127.0.0.1:1/0"), database), "e")
    database.close()


def test_a_permit_that_was_not_journaled_is_given_back_whatever_is_wrong(
    client: redis.Redis, database_url: str
) -> None:
    database = Database(database_url)
    worker = ledger(client, database)
    use(worker, "a")
    with psycopg.connect(database_url, autocommit=True) as admin:
        name = sql.Identifier(urlsplit(database_url).path[1:])
        admin.execute(sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = on").format(name))
        database._pool.drain()
        for number in range(10):
            with pytest.raises(LedgerUnavailable, match="read-only"):
                worker.acquire([f"r{number}"], Lane.BACKFILL)
        admin.execute(sql.SQL("ALTER DATABASE {} RESET default_transaction_read_only").format(name))
        database._pool.drain()
        admin.execute("ALTER FUNCTION courtlistener.journal_permits RENAME TO journal")
        with pytest.raises(SchemaMismatch, match="journal_permits"):
            worker.acquire(["undefined"], Lane.BACKFILL)
        admin.execute("ALTER FUNCTION courtlistener.journal RENAME TO journal_permits")
    use(worker, "bc")
    assert waits(worker, "d")
    database.close()


def test_a_role_without_rights_is_told_so(client: redis.Redis, database_url: str) -> None:
    parts = urlsplit(database_url)
    with psycopg.connect(database_url, autocommit=True) as admin:
        admin.execute("CREATE ROLE reads LOGIN")
        admin.execute("GRANT USAGE ON SCHEMA courtlistener TO reads")
    role = Database(parts._replace(netloc=f"reads@{parts.hostname}:{parts.port}").geturl())
    try:
        with pytest.raises(SettingError, match="permission denied"):
            ledger(client, role).acquire(["a"], Lane.BACKFILL)
    finally:
        role.close()
        with psycopg.connect(database_url, autocommit=True) as admin:
            admin.execute("DROP OWNED BY reads")
            admin.execute("DROP ROLE reads")


def test_a_server_that_hangs_holds_up_nobody_much_longer_than_asked(
    fresh_redis_server: RedisServer, fresh_postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resources.quota.lease._ANSWER_TIMEOUT_SECONDS", 0.3)
    monkeypatch.setattr("resources.quota.lease._CONNECTION_TIMEOUT_SECONDS", 0.3)
    database = Database(fresh_postgres_server.url)
    database.migrate()
    limiter = RateLimiter("account", ledger(connect(fresh_redis_server.url), database), max_wait_seconds=0.1)
    with limiter.permit():
        pass
    [(backend,)] = database.rows("SELECT pg_backend_pid()")
    fresh_postgres_server.pause()
    os.kill(backend, signal.SIGSTOP)
    began = time.monotonic()
    try:
        with pytest.raises((LedgerUnavailable, QuotaDeferred)), limiter.permit():
            pass
    finally:
        os.kill(backend, signal.SIGCONT)
        fresh_postgres_server.resume()
    assert time.monotonic() - began < 3.0
    with limiter.permit(max_wait_seconds=20.0):
        pass
    database.close()
