"""A restore through PgBouncer, however few sessions it gives, on the distribution's Postgres."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from courtlistener_assets.devkit.servers.postgres_server import PostgresServer
from courtlistener_assets.operations.backup import back_up
from courtlistener_assets.operations.restore import restore
from courtlistener_assets.settings import Settings
from resources.connections.postgres import Database
from tests.servers.conftest import at_port
from tests.servers.distribution import PgBouncer

_SET = "SELECT name FROM pg_settings WHERE source = 'session' AND name <> 'application_name' ORDER BY 1"


@pytest.fixture
def door() -> str:
    """Past the pooler, except for the restore."""
    return "direct"


@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_a_restore_takes_one_session_and_leaves_it_as_it_was(
    postgres_server: PostgresServer, database: Database, database_url: str, tmp_path: Path, mode: str
) -> None:
    database.close()
    back_up(Settings.from_environ({"POSTGRES_URL": database_url}), tmp_path / "backup")
    with PgBouncer(postgres_server, mode, pool_size=1) as pooler:
        url = at_port(database_url, pooler.port)
        with psycopg.connect(url, autocommit=True) as before:
            expected = before.execute(_SET).fetchall()
        restore(Settings.from_environ({"POSTGRES_URL": url}), tmp_path / "backup", replace=True)
        with psycopg.connect(url, autocommit=True) as after:
            assert after.execute(_SET).fetchall() == expected
            assert after.execute("SELECT name FROM courtlistener.migrations").fetchall() == [("0001_schema",)]


@pytest.mark.parametrize("is_newer", [False, True])
def test_a_backup_of_another_version_of_the_server_is_restored(
    postgres_server: PostgresServer, database_url: str, tmp_path: Path, *, is_newer: bool
) -> None:
    with PostgresServer() as other:
        with closing(Database(other.url)) as database:
            database.migrate()
        source, target = (other.url, database_url) if is_newer else (database_url, other.url)
        back_up(Settings.from_environ({"POSTGRES_URL": source}), tmp_path / "backup")
        restore(Settings.from_environ({"POSTGRES_URL": target}), tmp_path / "backup", replace=True)
        with psycopg.connect(target) as after:
            assert after.execute("SELECT name FROM courtlistener.migrations").fetchall() == [("0001_schema",)]
