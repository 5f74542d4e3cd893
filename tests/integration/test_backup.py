"""Backup, destruction, restore: the same content, no quota exceeded, and a next run that asks for what changed."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import dagster as dg
import psycopg
import pytest
from click.testing import CliRunner
from psycopg import sql

from courtlistener_assets.cli import main
from courtlistener_assets.devkit.servers.postgres_server import PostgresServer
from courtlistener_assets.operations import postgres_tools
from courtlistener_assets.operations import restore as restoring
from courtlistener_assets.operations.backup import DUMP, MANIFEST, Backup, back_up
from courtlistener_assets.operations.restore import restore
from courtlistener_assets.settings import Settings
from courtlistener_assets.vectors.pgvector_store import PgvectorStore
from resources.connections import pools
from resources.connections.postgres import Database
from resources.connections.schema import verify_views
from resources.dagster_resources import RedisRateLimitResource
from resources.errors import BackupError, QuotaDeferred, StoreUnavailable
from resources.quota.permits import ServerWindow, Window
from tests.integration.ledger_harness import take
from tests.integration.pipeline_harness import MONTH, Pipeline


@pytest.fixture
def empty_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The URL of a new database without any table."""
    name = f"empty_{uuid4().hex}"
    administration = postgres_server.url.rsplit("/", 1)[0]
    with psycopg.connect(f"{administration}/postgres", autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        yield f"{administration}/{name}"
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def settings_of(url: str) -> Settings:
    return Settings.from_environ({"POSTGRES_URL": url})


def contents(url: str) -> dict[str, list[Any]]:
    """Every row of every table as text."""
    with psycopg.connect(url) as connection:
        tables = connection.execute(
            "SELECT schemaname, tablename FROM pg_tables WHERE schemaname IN ('courtlistener', 'dagster') ORDER BY 1, 2"
        ).fetchall()
        return {
            f"{schema}.{name}": connection.execute(
                sql.SQL("SELECT t::text FROM {} AS t ORDER BY 1").format(sql.Identifier(schema, name))
            ).fetchall()
            for schema, name in tables
        }


@pytest.fixture
def pipeline_settings() -> Mapping[str, str]:
    return {"COURTLISTENER_API_TOKEN": "bench-token", "COURTLISTENER_RATE_LIMITS": "60/min,5000/hour"}


#: What a restore itself writes, so that no quota is exceeded.
CHANGED = {"courtlistener.ledgers", "courtlistener.permits", "courtlistener.servers"}


def test_the_drill(
    pipeline: Pipeline, database_url: str, empty_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    some = [dg.AssetKey("dockets"), dg.AssetKey("clusters")]
    assert pipeline.run("downloads", MONTH, raise_on_error=True, asset_selection=some).success
    with pipeline.database.transaction() as connection:
        connection.execute("CREATE TABLE dagster.runs (id serial PRIMARY KEY, run_body text)")
        connection.execute("INSERT INTO dagster.runs (run_body) SELECT 'run ' || n FROM generate_series(1, 3) AS n")
    monkeypatch.chdir(tmp_path)
    before, folder = contents(database_url), tmp_path / "backup"

    # The pipeline's own connections stay open, as those of `make dev` do.
    backed_up = CliRunner().invoke(main, ["backup", str(folder)])
    assert backed_up.exit_code == 0, backed_up.output
    assert "Not in it: chunks" in backed_up.output
    assert {path.name for path in folder.iterdir()} == {MANIFEST, DUMP}
    assert folder.stat().st_mode & 0o077 == 0
    # The database is lost; there is another one from now on.
    monkeypatch.setenv("POSTGRES_URL", empty_url)
    restored = CliRunner().invoke(main, ["restore", str(folder)])
    assert restored.exit_code == 0, restored.output

    after = contents(empty_url)
    assert before.keys() == after.keys()
    assert [name for name in before if name not in CHANGED and before[name] != after[name]] == []
    assert set(before["courtlistener.permits"]) < set(after["courtlistener.permits"])
    with psycopg.connect(empty_url) as connection:
        connection.execute("INSERT INTO dagster.runs (run_body) VALUES ('the sequence goes on')")
        assert connection.execute("SELECT max(id) FROM dagster.runs").fetchone() == (4,)

    # The month was complete: its next run asks for what was modified since, and nobody is refused.
    pipeline.simulator.log.clear()
    assert pipeline.run("downloads", MONTH, raise_on_error=True, asset_selection=some).success
    asked = [entry for entry in pipeline.simulator.log if "api-usage" not in entry.path]
    assert 0 < len(asked) <= 4
    assert all("date_modified__gte" in entry.path for entry in asked)
    assert {entry.status for entry in asked} == {200}
    with closing(Database(empty_url)) as database:
        assert database.rows("SELECT count(*) FROM courtlistener.permits WHERE holder <> 'restore'")[0][0] > 0


WINDOWS = "5/min,20/hour"


def limiter_at(url: str, redis_url: str) -> Any:
    resource = RedisRateLimitResource(redis_url=redis_url, postgres_url=url, rate_limits=WINDOWS, max_wait_seconds=1)
    return resource.limiter("account")


@pytest.mark.parametrize("redis_lived_on", [True, False])
def test_permits_that_were_granted_after_the_backup_count_as_long_as_the_windows_last(
    database_url: str, empty_url: str, tmp_path: Path, redis_client: Any, redis_server: Any, *, redis_lived_on: bool
) -> None:
    limiter = limiter_at(database_url, redis_server.url)
    take(limiter, 1)
    back_up(settings_of(database_url), tmp_path / "backup")
    take(limiter, 4)  # In no backup.
    if not redis_lived_on:
        redis_client.flushall()
    restore(settings_of(empty_url), tmp_path / "backup")

    for address in (redis_server.url, "redis://127.0.0.1:1/0"):
        with pytest.raises(QuotaDeferred) as deferred:
            take(limiter_at(empty_url, address))
        # The shortest of two windows that are full has room last of all when the longer one has.
        assert deferred.value.wait_seconds > 3000
    # The server has counted the five; the longer window has room for 15, the shorter one none for a minute.
    again = limiter_at(empty_url, redis_server.url)
    age = again.stopwatch()
    again.observe([ServerWindow(Window(5, 60), 5, False), ServerWindow(Window(20, 3600), 5, False)], age_seconds=age)
    with pytest.raises(QuotaDeferred) as deferred:
        take(again)
    assert 30 < deferred.value.wait_seconds < 70
    assert [usage.used for usage in again.usage()] == [5, 5]
    # A minute later it has counted nothing in the minute.
    again.observe([ServerWindow(Window(5, 60), 0, False), ServerWindow(Window(20, 3600), 5, False)], age_seconds=age)
    take(again, 5)
    with pytest.raises(QuotaDeferred):
        take(again)


@pytest.mark.parametrize("there_already", [False, True])
def test_vectors_come_back_with_the_extension_that_they_need(
    database: Database, database_url: str, empty_url: str, tmp_path: Path, *, there_already: bool
) -> None:
    [(available,)] = database.rows("SELECT count(*) FROM pg_available_extensions WHERE name = 'vector'")
    if not available:
        pytest.skip("this Postgres has no pgvector")
    row = {"chunk_id": str(uuid4()), "header_hash": "hash", "text": "We affirm."}
    PgvectorStore(database, "chunks").put([row], [[1.0, 2.0]])
    database.close()
    back_up(settings_of(database_url), tmp_path / "backup")
    with psycopg.connect(empty_url) as connection:
        if there_already:
            connection.execute("CREATE SCHEMA courtlistener CREATE TABLE left_behind (); CREATE EXTENSION vector")
            connection.execute("CREATE SCHEMA dagster CREATE TABLE runs ()")  # The backup has none.
    restore(settings_of(empty_url), tmp_path / "backup", replace=there_already)
    with psycopg.connect(empty_url) as connection:
        assert connection.execute("SELECT to_regclass('dagster.runs')").fetchall() == [(None,)]
        assert connection.execute("SELECT embedding::text FROM courtlistener.chunks").fetchall() == [("[1,2]",)]
    with pytest.raises(BackupError, match=r"not empty: 1 in courtlistener\.chunks"):
        restore(settings_of(empty_url), tmp_path / "backup")


def test_a_database_that_was_restored_by_other_means_is_made_safe_by_a_command(
    database_url: str, redis_server: Any, redis_client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSTGRES_URL", database_url)
    with psycopg.connect(database_url):
        refused = CliRunner().invoke(main, ["after-restore"])
    assert "in use by" in refused.output
    with psycopg.connect(database_url) as connection:  # A snapshot without views.
        connection.execute("DROP FUNCTION courtlistener.number_in CASCADE")
    limiter = limiter_at(database_url, redis_server.url)
    take(limiter, 1)
    pools.close_all()
    done = CliRunner().invoke(main, ["after-restore"])
    assert "40 permits" in done.output
    with pytest.raises(QuotaDeferred):
        take(limiter_at(database_url, redis_server.url))


def end_connections(url: str) -> None:
    """End what is connected to a database; the pools of this process connect again when they are used."""
    administration, _, name = url.rpartition("/")
    with psycopg.connect(f"{administration}/postgres", autocommit=True) as connection:
        connection.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s", (name,))


@pytest.mark.parametrize("work", ["_run_pg_restore", "migrate", "fill_windows"])
def test_a_restore_that_fails_leaves_everything_as_it_was(
    database_url: str, tmp_path: Path, redis_client: Any, monkeypatch: pytest.MonkeyPatch, *, work: str
) -> None:
    worker = limiter_at(database_url, "redis://127.0.0.1:1/0")
    take(worker, 1)
    back_up(settings_of(database_url), tmp_path / "backup")
    take(worker, 4)  # In no backup.
    before = contents(database_url)
    end_connections(database_url)
    whole = getattr(restoring, work)

    def killed(*args: Any, **options: Any) -> None:
        if work != "fill_windows":
            whole(*args, **options)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(restoring, work, killed)
        with pytest.raises(KeyboardInterrupt):
            restore(settings_of(database_url), tmp_path / "backup", replace=True)
    with pytest.raises(QuotaDeferred):  # It has looked at the schema before, and does not look again.
        take(worker)
    assert contents(database_url) == before
    end_connections(database_url)
    assert restore(settings_of(database_url), tmp_path / "backup", replace=True).permits == 40
    with closing(Database(database_url)) as database:
        assert not database.schema_state().pending
        verify_views(database.rows)


#: `run_script` with a pg_restore that kills it in the middle of rows, of which more than a pipe holds have passed.
_KILLED = """
import sys, psycopg
from courtlistener_assets.operations import postgres_tools
postgres_tools._found = lambda name: sys.argv[1]
with psycopg.connect(sys.argv[2]) as connection:
    postgres_tools.run_script([], connection)
"""
_KILLS = """#!/bin/sh
[ "$2" = --section=pre-data ] && exec echo 'CREATE TABLE public.half (line text);'
echo 'COPY public.half (line) FROM stdin;'
head -c 1000000 /dev/zero | tr '\\0' '\\n'
kill -KILL $PPID
"""


def test_what_is_killed_in_the_middle_of_a_script_commits_nothing(empty_url: str, tmp_path: Path) -> None:
    kills = tmp_path / "pg_restore"
    kills.write_text(_KILLS, encoding="utf-8")
    kills.chmod(0o700)
    done = subprocess.run([sys.executable, "-c", _KILLED, str(kills), empty_url], check=False)
    assert done.returncode == -signal.SIGKILL
    with psycopg.connect(empty_url) as connection:
        assert connection.execute("SELECT to_regclass('public.half')").fetchone() == (None,)


#: What pg_restore writes and does, and what is said then.
_BROKEN = [
    ("echo 'CREATE TABLE public.'; echo 'the file is damaged' >&2; exit 1", "pg_restore failed: the file is damaged"),
    (
        "[ $2 = --section=pre-data ] && exec echo 'CREATE TABLE public.half (n int);'; "
        "echo 'COPY public.half (n) FROM stdin;'; echo 1; echo 'the file is damaged' >&2; exit 1",
        "pg_restore failed: the file is damaged",
    ),
    ("echo 'CREATE TABLE public.half (); SELECT 1 / 0;'", "does not take the backup: division by zero"),
    (
        "[ $2 = --section=data ] || exit 0; echo 'COPY public.half (n) FROM stdin;'; while echo 1; do :; done",
        "does not take the backup: relation",
    ),
]


@pytest.mark.parametrize(("script", "said"), _BROKEN)
def test_of_a_script_that_breaks_off_nothing_stays(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, said: str
) -> None:
    program = tmp_path / "pg_restore"
    program.write_text(f"#!/bin/sh\n{script}", encoding="utf-8")
    program.chmod(0o700)
    monkeypatch.setattr(postgres_tools, "_found", lambda name: str(program))
    with pytest.raises(BackupError, match=said), database.transaction(patient=True) as connection:
        postgres_tools.run_script([], connection)
    assert database.rows("SELECT to_regclass('public.half')") == [(None,)]


def test_no_time_that_is_set_for_the_database_cuts_a_restore_off(
    database: Database, database_url: str, empty_url: str, tmp_path: Path
) -> None:
    database.close()
    back_up(settings_of(database_url), tmp_path / "backup")
    with psycopg.connect(empty_url, autocommit=True) as connection:
        name = sql.Identifier(connection.info.dbname)
        connection.execute(sql.SQL("ALTER DATABASE {} SET statement_timeout = 20").format(name))
    restore(settings_of(empty_url), tmp_path / "backup")


#: Lines that look like those of a script, and are not.
_LINES = r"""
\restrict no key
SET transaction_timeout = 0;
COPY public.odd (line) FROM stdin;
1
\.
\unrestrict no key
;
"""


def test_a_backup_comes_back_whatever_its_rows_and_texts_look_like(
    database: Database, database_url: str, empty_url: str, tmp_path: Path
) -> None:
    text, lines = (
        "SELECT $${}$$::text",
        [*_LINES.splitlines(), _LINES, "\\N", "", None, "\t\v\r\n\\", "\u2028 \U0001f600"],
    )
    function = f"CREATE FUNCTION courtlistener.odd() RETURNS text LANGUAGE sql AS $_${text.format(_LINES)}$_$"
    with psycopg.connect(database_url) as connection:
        name = sql.Identifier(connection.info.dbname)
        connection.execute(sql.SQL("ALTER DATABASE {} SET client_encoding = LATIN1").format(name))
    with database.transaction() as connection:
        connection.execute("CREATE TABLE courtlistener.odd (n int GENERATED ALWAYS AS IDENTITY, line text)")
        connection.cursor().executemany("INSERT INTO courtlistener.odd (line) VALUES (%s)", [(line,) for line in lines])
        connection.execute(function.encode())
        connection.execute(sql.SQL("COMMENT ON TABLE courtlistener.odd IS {}").format(_LINES))
        connection.execute(f"CREATE VIEW courtlistener.seen AS {text.format(_LINES)} AS line".encode())
    database.close()
    back_up(settings_of(database_url), tmp_path / "backup")
    restore(settings_of(empty_url), tmp_path / "backup")
    with psycopg.connect(empty_url) as connection:
        assert connection.execute("SELECT line FROM courtlistener.odd ORDER BY n").fetchall() == [(x,) for x in lines]
        texts = (
            "SELECT courtlistener.odd(), obj_description('courtlistener.odd'::regclass), line FROM courtlistener.seen"
        )
        assert connection.execute(texts).fetchall() == [(_LINES,) * 3]


def test_a_restore_refuses_what_would_do_harm(
    database: Database, database_url: str, empty_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "backup"
    database.close()
    back_up(settings_of(database_url), folder)
    with pytest.raises(BackupError, match="new directory"):
        back_up(settings_of(database_url), folder)
    with psycopg.connect(database_url) as somebody:
        with pytest.raises(BackupError, match="in use by"):
            restore(settings_of(database_url), folder, replace=True)
        somebody.execute("INSERT INTO courtlistener.records (stream, id, body) VALUES ('dockets', 1, '{}')")
    with pytest.raises(BackupError, match=r"not empty: 1 in courtlistener\.dockets"):
        restore(settings_of(database_url), folder)
    manifest = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps(manifest | {"migrations": [{"name": "9999_later"}]}))
    with pytest.raises(BackupError, match=r"newer version.*9999_later"):
        restore(settings_of(empty_url), folder)
    (folder / MANIFEST).write_text(
        json.dumps(manifest | {"migrations": [{"name": "0001_schema", "digest": "another"}]})
    )
    with pytest.raises(BackupError, match="whose 0001_schema is another one"):
        restore(settings_of(empty_url), folder)
    (folder / MANIFEST).write_text(json.dumps(manifest))
    torn = folder / DUMP
    torn.write_bytes(torn.read_bytes()[:-1])
    with pytest.raises(BackupError, match="damaged"):
        restore(settings_of(empty_url), folder)
    torn.unlink()
    with pytest.raises(BackupError, match="missing"):
        Backup(folder).verify()
    with pytest.raises(BackupError, match="has no backup"):
        restore(settings_of(empty_url), tmp_path)
    with closing(Database(empty_url)) as untouched:
        assert not untouched.schema_state().applied
    with pytest.raises(BackupError, match="nothing to back up"):
        back_up(settings_of(empty_url), tmp_path / "nothing")
    assert not list(tmp_path.glob("*nothing*"))
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    assert back_up(settings_of(database_url), Path()).verify()["format"] == 1
    monkeypatch.setattr(postgres_tools, "find_spec", lambda name: None)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(BackupError, match="is not installed"):
        back_up(settings_of(database_url), tmp_path / "nothing")


@pytest.mark.parametrize("otherwise", [False, True])
def test_a_worker_that_comes_during_a_restore_gets_no_permit(
    database: Database, database_url: str, empty_url: str, redis_server: Any, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, *, otherwise: bool,
) -> None:  # fmt: skip
    take(limiter_at(database_url, redis_server.url), 1)
    database.close()
    pools.close_all()
    url, tried = database_url if otherwise else empty_url, []

    def late(work: Any) -> Any:
        def after(*args: Any, **options: Any) -> Any:
            done = work(*args, **options)
            tried.append(work.__name__)
            # One that was there before and knows the schema, and one that looks for it.
            for attempt in (lambda: late_comer.call("SELECT 1", {}, timeout_seconds=2, answer_seconds=0.1),
                            late_comer.ensure_schema, lambda: take(limiter_at(url, redis_server.url), 1)):  # fmt: skip
                with pytest.raises(StoreUnavailable):
                    attempt()
            return done

        return after

    with closing(Database(url)) as late_comer:
        for name in ("_run_pg_restore", "migrate", "fill_windows"):
            monkeypatch.setattr(restoring, name, late(getattr(restoring, name)))
        if otherwise:
            restoring.make_quota_safe(settings_of(url))
        else:
            back_up(settings_of(database_url), tmp_path / "backup")
            restore(settings_of(url), tmp_path / "backup")
        late_comer.ensure_schema()
    assert tried[-2:] == ["migrate", "fill_windows"]
    with pytest.raises(QuotaDeferred):
        take(limiter_at(url, redis_server.url), 1)
