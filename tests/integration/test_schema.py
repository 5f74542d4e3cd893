"""Workers use the schema of their own version only, and say which versions met and what to do."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from resources.connections import pools, schema
from resources.connections.postgres import Database
from resources.dagster_resources import PostgresResource
from resources.errors import SchemaMismatch


@pytest.fixture
def next_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A later version, with one more migration."""
    folder = tmp_path / "migrations"
    shutil.copytree(schema.MIGRATIONS, folder)
    (folder / "0099_next.sql").write_text("CREATE TABLE courtlistener.next ()")
    monkeypatch.setattr(schema, "MIGRATIONS", folder)
    return folder


def worker_of(database_url: str) -> PostgresResource:
    """A worker that has just started: nothing of an earlier look is remembered."""
    pools.close_all()
    return PostgresResource(url=database_url)


def test_a_worker_of_a_newer_version_waits_for_the_migration(
    database_url: str, database: Database, next_version: Path
) -> None:
    with pytest.raises(
        SchemaMismatch, match=r"is at 0001_schema, and courtlistener-assets \S+ needs 0099_next\. Run `co"
    ):
        worker_of(database_url).database()
    assert database.rows("SELECT to_regclass('courtlistener.next')") == [(None,)]
    assert database.migrate() == ["0099_next"]
    assert worker_of(database_url).database().rows("SELECT count(*) FROM courtlistener.next") == [(0,)]


def test_a_worker_of_an_older_version_refuses_what_it_does_not_know(
    database_url: str, database: Database, next_version: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "this_version", lambda: "courtlistener-assets 9.0.0")
    database.migrate()
    monkeypatch.undo()
    with pytest.raises(
        SchemaMismatch, match=r"migrated by courtlistener-assets 9\.0\.0 \(0099_next\), which .* not know"
    ):
        worker_of(database_url).database()
    with pytest.raises(SchemaMismatch, match="Run that version here"):
        database.migrate()


def test_a_database_from_before_versions_were_noted_is_read_and_migrated(
    database: Database, next_version: Path
) -> None:
    with database.transaction() as connection:
        connection.execute("ALTER TABLE courtlistener.migrations DROP COLUMN applied_by")
    assert database.schema_state().applied == {"0001_schema": ""}
    assert database.migrate() == ["0099_next"]
    assert database.schema_state().applied["0099_next"] == schema.this_version()
