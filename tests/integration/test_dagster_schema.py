"""Dagster's own tables lie in a schema of their own, and what an earlier version left elsewhere is found there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import dagster as dg
import psycopg
import pytest
from click.testing import CliRunner
from dagster._core.storage.dagster_run import DagsterRun
from dagster_postgres.utils import pg_url_from_config

from courtlistener_assets.cli import main
from courtlistener_assets.devkit.servers.postgres_server import PostgresServer
from courtlistener_assets.devkit.session.instance import dagster_variables, open_instance, write_instance
from courtlistener_assets.operations.dagster_schema import SEARCH_PATH, prepare, url_of
from resources.connections.postgres import Database
from resources.errors import SettingError
from tests.conftest import _started


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A server as `make dev` has it: its role is called `courtlistener`, like our schema."""
    server = _started(PostgresServer())
    with closing(Database(server.url)) as database:
        database.migrate()
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def _environment(server: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DAGSTER_HOME", "DAGSTER_POSTGRES_URL"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("POSTGRES_URL", server.url)


def schemas(server: PostgresServer) -> dict[str, int]:
    """How many tables of Dagster are in each schema."""
    with psycopg.connect(server.url) as connection:
        rows = connection.execute(
            "SELECT nspname, count(*) FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace WHERE relname IN "
            "('runs', 'event_logs', 'event_logs_id_seq', 'alembic_version', 'idx_event_type', 'kvs') GROUP BY 1"
        )
        return dict(rows.fetchall())


def open_as_before(home: Path, server: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> str:
    """An instance of an earlier version, which chose no schema; returns the id of a run in it."""
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", server.url.replace("postgresql", "postgresql+psycopg2"))
    with dg.DagsterInstance.from_config(str(home)) as instance:
        run = DagsterRun(job_name="court_month", status=dg.DagsterRunStatus.SUCCESS)
        instance.add_run(run)
        instance.report_runless_asset_event(dg.AssetMaterialization("dockets", partition="scotus|2024-01-01"))
    return run.run_id


def test_the_runs_of_an_earlier_version_move_with_their_tables_and_the_next_start_changes_nothing(
    tmp_path: Path, server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_instance(tmp_path, workers=2)
    run_id = open_as_before(tmp_path, server, monkeypatch)
    assert schemas(server) == {"courtlistener": 6}

    for _ in range(2):
        with open_instance(tmp_path, server.url) as instance:
            assert instance.get_run_by_id(run_id) is not None
            assert instance.get_materialized_partitions(dg.AssetKey("dockets")) == {"scotus|2024-01-01"}
            instance.report_runless_asset_event(dg.AssetMaterialization("dockets", partition="scotus|2024-01-01"))
        assert schemas(server) == {"dagster": 6}

    # What is in `public` may be of somebody else: a person says so.
    with psycopg.connect(server.url, autocommit=True) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'dagster'").fetchall()
        for (name,) in tables:
            connection.execute(f"ALTER TABLE dagster.{name} SET SCHEMA public".encode())
    with pytest.raises(SettingError, match="--dagster-from public"), open_instance(tmp_path, server.url):
        pass
    refused = CliRunner().invoke(main, ["migrate"])
    assert refused.exit_code == 1
    assert "--dagster-from none" in refused.output
    assert "will lie in the schema dagster" in prepare(url_of({}, server.url), move_from="none")
    assert schemas(server) == {"public": 6}
    moved = CliRunner().invoke(main, ["migrate", "--dagster-from", "public"])
    assert "Moved" in moved.output
    with open_instance(tmp_path, server.url) as instance:
        assert instance.get_run_by_id(run_id) is not None
    assert schemas(server) == {"dagster": 6}


def test_an_address_that_chooses_a_schema_keeps_it(tmp_path: Path, server: PostgresServer) -> None:
    url = f"{server.url}?options=-csearch_path%3Delsewhere"
    write_instance(tmp_path, workers=2)
    with open_instance(tmp_path, url):
        assert schemas(server)["elsewhere"] == 6
    assert "-csearch_path" in dagster_variables(tmp_path, f"{server.url}?options=-cjit%3Doff")["DAGSTER_POSTGRES_URL"]


def test_the_values_of_the_chart_lead_to_the_schema(server: PostgresServer, tmp_path: Path) -> None:
    """The chart writes its values as `postgres_db` into dagster.yaml."""
    parts = psycopg.conninfo.conninfo_to_dict(server.url)
    places = {"hostname": parts["host"], "port": parts["port"], "db_name": parts["dbname"]}
    login = {"username": parts["user"], "password": parts.get("password", "")}
    url = pg_url_from_config({"postgres_db": {**places, **login, "params": {"options": SEARCH_PATH}}})
    with psycopg.connect(url) as connection:
        assert connection.execute("SHOW search_path").fetchone() == ("dagster",)
