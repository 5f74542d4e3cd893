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


def change(folder: Path, old: str, new: str) -> None:
    script = folder / "0001_schema.sql"
    text = script.read_text(encoding="utf-8")
    assert old in text
    script.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_a_script_that_was_changed_since_it_was_applied_is_a_mismatch(
    database_url: str, database: Database, next_version: Path
) -> None:
    change(next_version, "gone_reason     text,", "gone_reason     text,  -- Why.\n")
    assert not database.schema_state().changed
    change(next_version, "gone_reason     text,", "gone_for text,")
    for attempt in (worker_of(database_url).database, database.migrate):
        with pytest.raises(SchemaMismatch, match=r"made by another 0001_schema than .* empty database"):
            attempt()
    assert database.rows("SELECT to_regclass('courtlistener.next')") == [(None,)]


def test_tables_from_before_scripts_were_digested_are_used_until_one_lacks_what_is_needed(
    database_url: str, database: Database
) -> None:
    with database.transaction() as connection:
        connection.execute("ALTER TABLE courtlistener.migrations DROP COLUMN digest")
    assert database.migrate() == []
    worker = worker_of(database_url).database()
    worker.rows("SELECT gone_reason FROM courtlistener.records")
    with database.transaction() as connection:
        connection.execute("ALTER TABLE courtlistener.records RENAME gone_reason TO gone_for")
    for what in ("gone_reason FROM courtlistener.records", "courtlistener.later()", "1 FROM courtlistener.later"):
        with pytest.raises(SchemaMismatch, match=r"lacks what is needed: .* does not exist\. .* empty database"):
            worker.rows(f"SELECT {what}")
