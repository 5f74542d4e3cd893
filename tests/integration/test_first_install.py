"""A first install as Kubernetes does it: the role of docs/security.md, and Dagster's processes before anything of ours.

`tests/servers` runs the same on the distribution's Postgres, with our own connections through PgBouncer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode, urlsplit
from uuid import uuid4

import dagster as dg
import psycopg
import pytest
import yaml  # type: ignore[import-untyped]
from click.testing import CliRunner

from courtlistener_assets.cli import main
from courtlistener_assets.devkit.servers.postgres_server import PostgresServer
from courtlistener_assets.download.stream import all_tables
from courtlistener_assets.download.streams import STREAMS
from courtlistener_assets.operations.doctor.findings import Severity
from courtlistener_assets.operations.doctor.postgres_checks import check_postgres
from resources.connections.postgres import Database
from resources.records.store import RecordStore
from tests.integration.ledger_harness import postgres_bench

ROOT = Path(__file__).parents[2]
#: Instead of the documented names, of which the first is that of the test servers' superuser.
ROLE = "first_install"


def documented_block(database: str) -> str:
    """The SQL of the documentation that makes the role, with other names."""
    page = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    [block] = re.findall(r"^## The Postgres user$.*?^```sql\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    block = re.sub(r"DATABASE courtlistener\b", f"DATABASE {database}", block)
    return re.sub(r"(ROLE|TO|GRANT|AUTHORIZATION) courtlistener\b", rf"\1 {ROLE}", block)


@pytest.fixture
def empty_database(postgres_server: PostgresServer) -> Iterator[str]:
    """A database of which an administrator like that of a managed service is the owner."""
    name = f"first_install_{uuid4().hex}"
    with psycopg.connect(postgres_server.url, autocommit=True) as superuser:
        superuser.execute("CREATE ROLE administrator LOGIN CREATEROLE")
        superuser.execute(f"CREATE DATABASE {name} OWNER administrator".encode())
        yield name
        superuser.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
        superuser.execute(f"DROP ROLE IF EXISTS {ROLE}, administrator".encode())


@pytest.fixture
def port(postgres_server: PostgresServer) -> int:
    """Where our own connections go."""
    return postgres_server.port


def address(server: PostgresServer, role: str, database: str, port: int = 0) -> str:
    return f"postgresql://{role}@{server.host}:{port or server.port}/{database}"


def start_dagster(server: PostgresServer, database: str, home: Path) -> None:
    """What its webserver, its daemon and its code servers do first, with the configuration of the Helm values."""
    postgresql = yaml.safe_load((ROOT / "deploy" / "helm" / "values.yaml").read_text(encoding="utf-8"))["postgresql"]
    place = {"username": ROLE, "hostname": server.host, "port": server.port, "db_name": database, "password": "-"}
    parameters = {**postgresql["postgresqlParams"], "sslmode": "disable"}
    home.mkdir()
    storage = {"postgres": {"postgres_db": {**place, "params": parameters}}}
    (home / "dagster.yaml").write_text(yaml.safe_dump({"storage": storage, "telemetry": {"enabled": False}}))
    with dg.DagsterInstance.from_config(str(home)) as instance:
        assert instance.get_runs() == []


def test_the_documented_role_is_enough_for_all_that_starts_in_the_order_of_kubernetes(
    postgres_server: PostgresServer, empty_database: str, port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = address(postgres_server, ROLE, empty_database, port)
    with psycopg.connect(address(postgres_server, "administrator", empty_database)) as administrator:
        administrator.execute(documented_block(empty_database).encode())
    start_dagster(postgres_server, empty_database, tmp_path / "home")
    # Where a pooler refuses `options`, as PgBouncer does, the role says where Dagster's tables are.
    with psycopg.connect(url) as through_pooler:
        assert through_pooler.execute("SHOW search_path").fetchone() == ("dagster",)
    monkeypatch.setenv("POSTGRES_URL", url)
    migrated = CliRunner().invoke(main, ["migrate"], catch_exceptions=False)
    assert (migrated.exit_code, "Applied: 0001_schema" in migrated.output) == (0, True), migrated.output
    database = Database(url)
    RecordStore(database).prepare(all_tables(STREAMS))
    postgres_bench(database, "3/min", account=uuid4().hex).grant("first")
    assert [finding for finding in check_postgres(url) if finding.severity is Severity.ERROR] == []
    owners = dict(database.rows("SELECT schemaname, min(tableowner) FROM pg_tables GROUP BY 1"))
    database.close()
    assert {name: owner for name, owner in owners.items() if owner == ROLE} == {"courtlistener": ROLE, "dagster": ROLE}
    assert "public" not in owners


def test_nothing_that_others_put_in_front_of_our_names_is_used(
    postgres_server: PostgresServer, database_url: str
) -> None:
    name = urlsplit(database_url).path[1:]
    with psycopg.connect(address(postgres_server, "courtlistener", name), autocommit=True) as other:
        other.execute("CREATE SCHEMA hostile")
        for function in ("now()", "clock_timestamp()", "hashtext(text)", "to_regclass(text)"):
            other.execute(
                f"CREATE FUNCTION hostile.{function} RETURNS timestamptz LANGUAGE plpgsql AS "
                "$$ BEGIN RAISE EXCEPTION 'the wrong function'; END $$".encode()
            )
        other.execute("CREATE TABLE hostile.pg_class (relname text)")
        other.execute(f"ALTER DATABASE {name} SET search_path = hostile, pg_catalog".encode())
    # Not by a parameter of the connection, which a pooler in transaction mode ignores or refuses.
    database = Database(f"{database_url}?{urlencode({'application_name': 'hostile'})}")
    database.migrate()
    RecordStore(database).prepare(all_tables(STREAMS))
    postgres_bench(database, "3/min", account=uuid4().hex).grant("first")
    assert database.rows("SHOW search_path") == [("pg_catalog, pg_temp",)]
    database.close()


def test_who_watches_the_server_sees_whose_connections_they_are(database: Database, database_url: str) -> None:
    assert database.rows("SHOW application_name") == [("courtlistener-assets",)]
    named = Database(f"{database_url}?application_name=worker-7")
    assert named.rows("SHOW application_name") == [("worker-7",)]
    named.close()
