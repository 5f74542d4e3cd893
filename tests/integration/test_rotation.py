"""Passwords and the token change while workers run, as docs/security.md says: nothing is lost, nobody is restarted."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pytest
import redis
from psycopg import sql

from courtlistener_assets.devkit.servers.postgres_server import PostgresServer
from courtlistener_assets.devkit.servers.redis_server import RedisServer
from courtlistener_assets.devkit.session.instance import open_instance, write_instance
from courtlistener_assets.devkit.simulator.server import Simulator
from courtlistener_assets.location import location
from courtlistener_assets.operations.doctor.examination import as_json, examine
from courtlistener_assets.operations.exporter.collector import registry_of
from courtlistener_assets.settings import Settings
from resources.connections.postgres import Database
from resources.connections.redis_address import connect
from resources.courtlistener.client import API_USAGE_WINDOWS, CourtListenerClient
from resources.courtlistener.token import TokenFile
from resources.dagster_resources import RedisRateLimitResource
from resources.errors import AuthenticationFailed, SettingError, StoreUnavailable
from resources.records.store import RecordStore
from tests.conftest import _started
from tests.integration.ledger_harness import take
from tests.integration.pipeline_harness import MONTH, Pipeline, environment


class GuardedPostgres(PostgresServer):
    """A server on which the role `worker` needs a password."""

    def _prepare(self) -> None:
        super()._prepare()
        rules = self._data / "pg_hba.conf"
        rules.write_text(f"host all worker 127.0.0.1/32 scram-sha-256\n{rules.read_text()}")


@dataclass
class Secrets:
    """The secrets of an installation, on the servers and in files."""

    postgres: PostgresServer
    redis: RedisServer
    simulator: Simulator
    files: Path

    def write(self) -> None:
        """New secrets, first on the servers, then in the files; whoever is connected is thrown out."""
        self.change_redis(drop_old=True)
        self.change_postgres()
        self.change_token()

    def change_redis(self, *, drop_old: bool) -> None:
        password = self._new("redis")
        with closing(redis.Redis.from_url(self.redis.url)) as admin:
            rules = ["on", *(["resetpass"] if drop_old else []), f">{password}", "~*", "&*", "+@all"]
            admin.execute_command("ACL", "SETUSER", "worker", *rules)  # type: ignore[no-untyped-call]
            admin.execute_command("CLIENT", "KILL", "USER", "worker")  # type: ignore[no-untyped-call]

    def change_postgres(self) -> None:
        password = self._new("postgres", prefix=f"127.0.0.1:{self.postgres.port}:*:worker:")
        with psycopg.connect(self.postgres.url, autocommit=True) as admin:
            admin.execute(sql.SQL("ALTER ROLE worker PASSWORD {}").format(password))
            admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'worker'")

    def change_token(self) -> None:
        self.simulator.accounts.by_name["wide"].token = self._new("token")

    def read(self, name: str) -> str:
        return (self.files / name).read_text().rpartition(":")[2].strip()

    def _new(self, name: str, prefix: str = "") -> str:
        value, path = secrets.token_hex(16), self.files / name
        # libpq ignores a password file that others may read.
        path.touch(mode=0o600)
        path.write_text(f"{prefix}{value}\n")
        return value

    @property
    def postgres_url(self) -> str:
        return f"postgresql://worker@127.0.0.1:{self.postgres.port}/courtlistener?passfile={self.files / 'postgres'}"

    @property
    def redis_url(self) -> str:
        return f"redis://worker@127.0.0.1:{self.redis.port}/0?password_file={self.files / 'redis'}"


@pytest.fixture(scope="module")
def guarded_postgres() -> Iterator[PostgresServer]:
    server = _started(GuardedPostgres())
    yield server
    server.stop()


@pytest.fixture
def guarded(
    guarded_postgres: PostgresServer, fresh_redis_server: RedisServer, simulator: Simulator, tmp_path: Path
) -> Iterator[Secrets]:
    with psycopg.connect(guarded_postgres.url, autocommit=True) as admin:
        admin.execute("CREATE ROLE worker LOGIN; GRANT ALL ON DATABASE courtlistener TO worker")
        admin.execute("GRANT ALL ON SCHEMA public TO worker")
    files = tmp_path / "secrets"
    files.mkdir()
    found = Secrets(guarded_postgres, fresh_redis_server, simulator, files)
    found.write()
    yield found
    with psycopg.connect(guarded_postgres.url, autocommit=True) as admin:
        admin.execute("DROP OWNED BY worker CASCADE; DROP ROLE IF EXISTS turn_a, turn_b, worker")


# --- all at once -----------------------------------------------------------------------------------------------------


def test_a_run_goes_on_when_all_secrets_change_under_it(
    guarded: Secrets, simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"COURTLISTENER_API_TOKEN_FILE": str(guarded.files / "token"), "COURTLISTENER_ACCOUNT": "firm"}
    environ = environment(simulator, guarded.postgres_url, guarded.redis_url, str(tmp_path / "data"), **files)
    del environ["COURTLISTENER_API_TOKEN"]
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    # Restores what open_instance sets.
    for name in ("DAGSTER_HOME", "DAGSTER_POSTGRES_URL"):
        monkeypatch.setenv(name, "")
    old = [guarded.read(name) for name in ("redis", "postgres", "token")]
    pages = rotating(guarded, monkeypatch, at_page=3)
    home = tmp_path / "home"
    write_instance(home, workers=2)
    with open_instance(home, guarded.postgres_url) as instance, closing(Database(guarded.postgres_url)) as database:
        pipeline = Pipeline(location(environ), instance, database, environ, simulator)
        assert pipeline.run("court_month", MONTH).success
        assert pipeline.materialized("opinions") == {MONTH}
    assert len(pages) > 3
    asked = [entry for entry in simulator.log if "api-usage" not in entry.path]
    assert {entry.status for entry in asked} == {200}
    # Every page once, and each under a permit from Redis.
    assert len(asked) == len({entry.path for entry in asked}) == permits(guarded)
    new = [guarded.read(name) for name in ("redis", "postgres", "token")]
    assert not set(old) & set(new)
    assert stored_in(guarded, [*old, *new]) == []


def rotating(guarded: Secrets, monkeypatch: pytest.MonkeyPatch, *, at_page: int) -> list[int]:
    """Change all secrets after a page; the list grows by one a page."""
    store_page, pages = RecordStore.store_page, list[int]()

    def store(self: RecordStore, *args: Any, **options: Any) -> Any:
        stored = store_page(self, *args, **options)
        pages.append(len(pages) + 1)
        if pages[-1] == at_page:
            guarded.write()
        return stored

    monkeypatch.setattr(RecordStore, "store_page", store)
    return pages


def permits(guarded: Secrets) -> int:
    with psycopg.connect(guarded.postgres.url) as admin:
        found = admin.execute("SELECT count(*) FROM courtlistener.permits WHERE account = 'firm'").fetchone()
        assert found
        return int(found[0])


def stored_in(guarded: Secrets, values: list[str]) -> list[str]:
    """Where any of these values stands: in a table of Postgres, Dagster's among them, or in a key of Redis."""
    found = []
    with psycopg.connect(guarded.postgres.url) as admin:
        tables = admin.execute(
            "SELECT schemaname, tablename FROM pg_tables WHERE schemaname IN ('public', 'courtlistener', 'dagster')"
        ).fetchall()
        for schema, table in tables:
            query = sql.SQL("SELECT count(*) FROM {} t WHERE t::text LIKE ANY(%s)").format(
                sql.Identifier(schema, table)
            )
            if admin.execute(query, ([f"%{value}%" for value in values],)).fetchone() != (0,):
                found.append(f"{schema}.{table}")
    with closing(redis.Redis.from_url(guarded.redis.url)) as admin_redis:
        dumps = [(key, admin_redis.dump(key) or b"") for key in admin_redis.scan_iter()]
        found += [str(key) for key, dump in dumps if any(value.encode() in key + dump for value in values)]
    return found


def test_the_doctor_reads_the_files_and_shows_none_of_them(guarded: Secrets, simulator: Simulator) -> None:
    environ = environment(simulator, guarded.postgres_url, guarded.redis_url, "data")
    del environ["COURTLISTENER_API_TOKEN"]
    environ["COURTLISTENER_API_TOKEN_FILE"] = str(guarded.files / "token")
    with closing(Database(guarded.postgres_url)) as database:
        database.migrate()
    findings = examine(environ)
    shown = as_json(findings)
    severities = {finding.check: finding.severity.value for finding in findings}
    assert {severities[check] for check in ("redis", "postgres", "postgres schema", "token")} == {"ok"}
    assert "Set COURTLISTENER_ACCOUNT" in shown
    assert "accepted; quota" in shown
    assert not [name for name in ("redis", "postgres", "token") if guarded.read(name) in shown]


def test_what_runs_for_long_needs_no_restart(guarded: Secrets) -> None:
    environ = {"POSTGRES_URL": guarded.postgres_url, "REDIS_URL": guarded.redis_url}
    with (
        closing(Database(guarded.postgres_url, timeout_seconds=1.0)) as database,
        closing(connect(guarded.redis_url)) as client,
    ):
        database.migrate()
        registry = registry_of(Settings.from_environ(environ), database, client)
        for _ in range(2):
            for server in ("redis", "postgres"):
                assert registry.get_sample_value(f"courtlistener_{server}_up") == 1.0
            guarded.write()


# --- Redis -----------------------------------------------------------------------------------------------------------


def test_with_two_passwords_for_a_while_every_permit_comes_from_redis(guarded: Secrets, database_url: str) -> None:
    resource = RedisRateLimitResource(redis_url=guarded.redis_url, postgres_url=database_url)
    limiter = resource.limiter("rotation")
    take(limiter)
    old = guarded.read("redis")
    guarded.change_redis(drop_old=False)
    take(limiter)
    with closing(redis.Redis.from_url(guarded.redis.url)) as admin:
        admin.execute_command("ACL", "SETUSER", "worker", f"<{old}")  # type: ignore[no-untyped-call]
        admin.execute_command("CLIENT", "KILL", "USER", "worker")  # type: ignore[no-untyped-call]
    take(limiter)
    assert limiter.granted == {"redis": 3}


def test_while_the_file_lags_behind_permits_come_from_postgres(guarded: Secrets, database_url: str) -> None:
    limiter = RedisRateLimitResource(redis_url=guarded.redis_url, postgres_url=database_url).limiter("rotation")
    take(limiter)
    old = (guarded.files / "redis").read_text()
    guarded.change_redis(drop_old=True)
    new = (guarded.files / "redis").read_text()
    (guarded.files / "redis").write_text(old)
    take(limiter)
    assert limiter.granted == {"redis": 1, "postgres": 1}
    (guarded.files / "redis").write_text(new)
    client = connect(guarded.redis_url)
    assert client.ping()
    client.close()


def test_a_missing_password_file_is_named() -> None:
    client = connect("redis://worker@127.0.0.1:1/0?password_file=/nowhere/redis")
    provider = client.connection_pool.connection_kwargs["credential_provider"]
    with pytest.raises(redis.AuthenticationError, match="/nowhere/redis cannot be read"):
        provider.get_credentials()


# --- Postgres --------------------------------------------------------------------------------------------------------


def test_a_pool_takes_the_new_password_for_its_next_connection(guarded: Secrets) -> None:
    with closing(Database(guarded.postgres_url, timeout_seconds=1.0)) as database:
        assert database.rows("SELECT current_user") == [("worker",)]
        guarded.change_postgres()
        assert database.rows("SELECT current_user") == [("worker",)]


def test_while_the_password_file_lags_behind_nothing_is_stored_and_nothing_lost(guarded: Secrets) -> None:
    with closing(Database(guarded.postgres_url, timeout_seconds=0.5)) as database:
        database.migrate()
        old = (guarded.files / "postgres").read_text()
        guarded.change_postgres()
        new = (guarded.files / "postgres").read_text()
        (guarded.files / "postgres").write_text(old)
        with pytest.raises(StoreUnavailable, match="password authentication failed"):
            database.rows("SELECT 1")
        (guarded.files / "postgres").write_text(new)
        # The pool may be pausing between two attempts with the old one.
        with database.transaction(timeout_seconds=60) as connection:
            assert connection.execute("SELECT count(*) > 0 FROM courtlistener.migrations").fetchone() == (True,)


def test_two_roles_take_turns_and_own_the_tables_together(guarded: Secrets) -> None:
    """Where the environment holds the password, as in Kubernetes: docs/security.md gives these statements."""
    with psycopg.connect(guarded.postgres.url, autocommit=True) as admin:
        for name in ("turn_a", "turn_b"):
            admin.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{name}' IN ROLE worker".encode())
            admin.execute(f"ALTER ROLE {name} SET role = 'worker'".encode())
    address = f"@127.0.0.1:{guarded.postgres.port}/courtlistener"
    with (
        closing(Database(f"postgresql://turn_a:turn_a{address}")) as first,
        closing(Database(f"postgresql://turn_b:turn_b{address}")) as second,
    ):
        assert first.migrate()
        # What only an owner may do.
        with second.transaction() as connection:
            connection.execute("ALTER TABLE courtlistener.permits ADD COLUMN note text")
        assert first.rows("SELECT note FROM courtlistener.permits") == []
        owners = "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'courtlistener'"
        assert second.rows(owners) == [("worker",)]


# --- the token -------------------------------------------------------------------------------------------------------


@dataclass
class Client:
    """A client whose token is in a file; `naps` are the pauses of the token file."""

    client: CourtListenerClient
    path: Path
    naps: list[float]
    account: Any


@pytest.fixture
def asking(
    simulator: Simulator, redis_server: RedisServer, redis_client: object, database_url: str, tmp_path: Path
) -> Iterator[Client]:
    path, naps = tmp_path / "token", list[float]()
    path.write_text("wide-token\n")
    account = simulator.accounts.by_name["wide"]

    def nap(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 3:
            path.write_text(account.token)

    resource = RedisRateLimitResource(redis_url=redis_server.url, postgres_url=database_url, rate_limits="1000/min")
    token = TokenFile(str(path), sleep=nap, clock=lambda: sum(naps))
    limiters = resource.limiter("firm"), resource.limiter("firm:api_usage", fallback_windows=API_USAGE_WINDOWS)
    client = CourtListenerClient(simulator.url, token, *limiters, windows_age_seconds=0.0, sleep=lambda seconds: None)
    yield Client(client, path, naps, account)
    client.close()


def test_a_token_that_was_in_use_and_is_refused_is_looked_for_again(asking: Client) -> None:
    asking.client.page("dockets", {})
    asking.account.token = "another-token"
    assert asking.client.page("dockets", {}).objects
    assert asking.naps == [2.0, 2.0, 2.0]
    assert asking.client.requests_sent == 3


def test_a_token_that_never_comes_is_given_up_after_two_minutes(asking: Client) -> None:
    asking.client.page("dockets", {})
    asking.account.active = False
    with pytest.raises(AuthenticationFailed):
        asking.client.page("dockets", {})
    assert sum(asking.naps) == 120.0


def test_a_file_that_is_just_being_written_is_read_again(asking: Client) -> None:
    asking.path.write_text("")
    assert asking.client.page("dockets", {}).objects
    assert asking.naps == [0.25, 0.25, 0.25]
    asking.path.unlink()
    with pytest.raises(SettingError, match="cannot be read"):
        asking.client.page("dockets", {})
    assert sum(asking.naps) == 0.75 + 5.0
    assert asking.client.requests_sent == 1


def test_a_token_that_was_wrong_from_the_start_is_refused_at_once(asking: Client) -> None:
    asking.path.write_text("no-such-token")
    with pytest.raises(AuthenticationFailed):
        asking.client.page("dockets", {})
    assert asking.naps == []
    assert asking.client.requests_sent == 1


def test_resources_hold_the_names_of_variables_and_files_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text("the-token")
    environ = {
        "COURTLISTENER_API_TOKEN_FILE": str(tmp_path / "token"),
        "POSTGRES_URL": "postgresql://worker:the-password@127.0.0.1/x",
        "REDIS_HOST": "cache.example",
        "REDIS_PASSWORD": "the-word",
    }
    monkeypatch.setenv("REDIS_URL", "")
    resources = location(environ).resources or {}
    configured = str([each._config_schema.as_field().default_value for each in resources.values()
                      if isinstance(each, dg.ConfigurableResource)])  # fmt: skip
    assert str(tmp_path / "token") in configured
    assert not [secret for secret in ("the-token", "the-password", "the-word") if secret in configured]
