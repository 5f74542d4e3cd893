"""The example project of dbt runs on the flat views, in an environment of its own with the locked versions."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from courtlistener_assets.download.choice import known_tables
from resources.connections.postgres import Database
from resources.records.store import RecordStore
from tests.integration.test_views import a_case

ROOT = Path(__file__).parents[2]
PROJECT = ROOT / "deploy" / "dbt"
UV = Path(sys.executable).with_name("uv")
WITH = ["run", "--no-project", "--isolated", "--quiet", "--python", sys.executable, "--with-requirements"]


def dbt(*command: str, environ: dict[str, str], log: Path) -> subprocess.CompletedProcess[str]:
    folders = ["--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT), "--target-path", str(log / "target")]
    return subprocess.run(
        [UV, *WITH, str(PROJECT / "requirements.lock"), "dbt", "--log-path", str(log), *command, *folders],
        capture_output=True, text=True, check=False, env={**os.environ, **environ},
    )  # fmt: skip


@pytest.mark.skipif(not UV.exists(), reason="uv is not installed beside this Python: make install")
def test_the_example_model_is_built_and_its_tests_pass(database: Database, database_url: str, tmp_path: Path) -> None:
    store = RecordStore(database, known_tables())
    store.prepare([table.name for table in known_tables()])
    a_case(store)
    said = conninfo_to_dict(database_url)
    names = {"PGHOST": "host", "PGPORT": "port", "PGUSER": "user", "PGDATABASE": "dbname", "PGPASSWORD": "password"}
    environ = {name: str(said.get(key) or "") for name, key in names.items()}

    built = dbt("build", environ=environ, log=tmp_path)

    if "Failed to fetch" in built.stderr and os.environ.get("CI") != "true":
        pytest.skip("the packages of dbt cannot be had here")
    assert built.returncode == 0, built.stdout + built.stderr
    with psycopg.connect(database_url) as connection:
        found = connection.execute("SELECT * FROM analytics.court_years").fetchall()
    assert found == [("ca9", 2024, 1, 1, 1)]
