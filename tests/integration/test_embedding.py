"""The location inside other people's projects: the README's snippet, the component, and build_definitions merged."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import dagster as dg
import psycopg
import pytest
import redis
import yaml

import courtlistener_assets
from courtlistener_assets.component import CourtListener
from courtlistener_assets.devkit.servers.postgres_server import PostgresServer
from courtlistener_assets.devkit.servers.redis_server import RedisServer
from courtlistener_assets.devkit.simulator.server import Simulator
from courtlistener_assets.settings import Settings
from resources.errors import SettingError

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
MONTH = "scotus|2024-01-01"

PYPROJECT = """
[project]
name = "legal-research"
version = "0.1.0"

[tool.dg]
directory_type = "project"

[tool.dg.cli]
suppress_warnings = ["project_and_activated_venv_mismatch"]

[tool.dg.project]
root_module = "legal_research"
"""
DEFINITIONS = """
from pathlib import Path

from dagster import definitions, load_from_defs_folder


@definitions
def defs():
    return load_from_defs_folder(path_within_project=Path(__file__).parent)
"""
COMPONENT = """
type: courtlistener_assets.CourtListener

attributes:
  courts: [scotus, ca9]
  first_month: "2024-01"
  base_url: "{{ env.SERVER }}"
  postgres_url_env: LEGAL_POSTGRES_URL
  key_prefix: [legal]
"""
MERGED = """
import os
from pathlib import Path

import dagster as dg
from courtlistener_assets import Settings, build_definitions


class Shelf(dg.ConfigurableIOManager):
    def handle_output(self, context, obj):
        Path(os.environ["SHELF"]).write_text(str(obj))

    def load_input(self, context):
        raise AssertionError("nothing of ours is loaded")


class Records(dg.ConfigurableResource):
    name: str = "theirs"


@dg.asset
def summary(records: Records) -> str:
    return records.name


defs = dg.Definitions.merge(
    build_definitions(
        Settings(
            courts=["scotus", "ca9"],
            first_month="2024-01",
            base_url=os.environ["SERVER"],
            api_token=dg.EnvVar("COURTLISTENER_API_TOKEN"),
            redis_url=dg.EnvVar("REDIS_URL"),
            postgres_url=dg.EnvVar("LEGAL_POSTGRES_URL"),
        ),
        key_prefix="legal",
    ),
    dg.Definitions(
        [summary],
        resources={"records": Records(), "io_manager": Shelf()},
        executor=dg.in_process_executor,
    ),
)
"""


@pytest.fixture
def empty_database_url(postgres_server: PostgresServer) -> Iterator[str]:
    """A database without any schema of ours."""
    name, server = f"empty_{uuid4().hex}", postgres_server.url.rsplit("/", 1)[0]
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
        yield f"{server}/{name}"
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type]


@dataclass
class Project:
    """A project of its own in a directory, as create-dagster lays it out."""

    directory: Path
    environ: dict[str, str]

    def write(self, files: dict[str, str]) -> None:
        for name, text in {"pyproject.toml": PYPROJECT, "src/legal_research/__init__.py": "", **files}.items():
            path = self.directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

    def dg(self, *arguments: str, status: int = 0) -> str:
        """What a command of `dg` says; it must end with `status`."""
        return dg_says(self.directory, self.environ, *arguments, status=status)

    def stored(self, table: str) -> int:
        with psycopg.connect(self.environ["LEGAL_POSTGRES_URL"]) as connection:
            [(count,)] = connection.execute(f"SELECT count(*) FROM courtlistener.{table}")  # type: ignore[arg-type]
            return int(count)


def dg_says(directory: Path, environ: dict[str, str], *arguments: str, status: int = 0) -> str:
    found = subprocess.run(
        [str(BIN / "dg"), *arguments], cwd=directory, env=environ, text=True, capture_output=True, check=False
    )
    said = found.stdout + found.stderr
    assert found.returncode == status, said
    return said


@pytest.fixture
def variables(
    simulator: Simulator, redis_server: RedisServer, redis_client: redis.Redis, tmp_path: Path
) -> dict[str, str]:
    """The environment of a command beside a simulator and an empty Redis."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "dagster.yaml").touch()
    kept = {name: os.environ[name] for name in ("HOME", "LANG", "SYSTEMROOT") if name in os.environ}
    return {
        **kept,
        "PATH": f"{BIN}:/usr/bin:/bin",
        "VIRTUAL_ENV": str(BIN.parent),
        "DAGSTER_HOME": str(home),
        "DAGSTER_DISABLE_TELEMETRY": "yes",
        "COLUMNS": "200",
        "COURTLISTENER_API_TOKEN": "wide-token",
        "REDIS_URL": redis_server.url,
        "SERVER": simulator.url,
        "SHELF": str(tmp_path / "shelf"),
    }


@pytest.fixture
def project(variables: dict[str, str], empty_database_url: str, tmp_path: Path) -> Project:
    directory = tmp_path / "legal-research"
    return Project(
        directory,
        {**variables, "LEGAL_POSTGRES_URL": empty_database_url, "PYTHONPATH": f"{directory / 'src'}:{ROOT}"},
    )


def names_in(listed: str) -> set[str]:
    """All assets of `dg list defs --json`, by key."""
    found, _ = json.JSONDecoder().raw_decode(listed[listed.index("{") :])
    return {each["asset_key"] for each in found["assets"]}


@pytest.mark.parametrize("way", ["component", "merged"])
def test_another_project_runs_our_assets_below_its_own_prefix(project: Project, way: str) -> None:
    if way == "component":
        project.write({"src/legal_research/definitions.py": DEFINITIONS, "src/legal_research/defs/__init__.py": ""})
        project.write({"src/legal_research/defs/courts/defs.yaml": COMPONENT})
        assert "All definitions loaded successfully" in project.dg("check", "defs")
    else:
        project.write({"src/legal_research/definitions.py": MERGED})
    listed = names_in(project.dg("list", "defs", "--json"))
    assert {"legal/dockets", "legal/vector_inputs", "legal/failed_dockets"} <= listed
    assert {name for name in listed if not name.startswith("legal/")} <= {"summary"}
    beside = ",summary" if way == "merged" else ""
    project.dg("launch", "--assets", f"legal/clusters,legal/vector_inputs{beside}", "--partition", MONTH)
    assert project.stored("clusters") > 0
    assert project.stored("opinions") == 0
    assert list(project.directory.glob("data/vector_inputs/court=scotus/month=2024-01/chunks.parquet"))
    if way == "merged":
        assert Path(project.environ["SHELF"]).read_text() == "theirs"


def test_a_wrong_attribute_is_named_with_what_was_expected(project: Project) -> None:
    project.write({"src/legal_research/definitions.py": DEFINITIONS, "src/legal_research/defs/__init__.py": ""})
    wrong = COMPONENT.replace("[scotus, ca9]", "[SCOTUS]")
    project.write({"src/legal_research/defs/courts/defs.yaml": wrong})
    said = " ".join(project.dg("check", "defs", status=1).split())
    assert "courts: 'SCOTUS' is not the id of a court such as ca9; did you mean scotus" in said
    assert "defs.yaml" in said


def test_the_commands_of_dg_work_in_this_checkout(
    variables: dict[str, str], simulator: Simulator, database_url: str, tmp_path: Path
) -> None:
    environ = {
        **variables,
        "COURTLISTENER_BASE_URL": simulator.url,
        "COURTLISTENER_DATA_DIR": str(tmp_path),
        "POSTGRES_URL": database_url,
        "PYTHONPATH": str(ROOT),
    }
    checked = dg_says(ROOT, environ, "check", "defs")
    assert "All definitions loaded successfully" in checked
    assert "arning" not in checked
    assert "courtlistener_assets.CourtListener" in dg_says(ROOT, environ, "list", "components")
    assert {"dockets", "vector_inputs"} <= names_in(dg_says(ROOT, environ, "list", "defs", "--json"))
    said = dg_says(
        ROOT,
        environ,
        *("launch", "--assets", "clusters", "--partition-range", f"{MONTH}...scotus|2024-02-01"),
        *("--config-json", json.dumps({"ops": {"clusters": {"config": {"full_refresh": True}}}})),
    )
    assert "RUN_SUCCESS" in said
    assert "modified since everything" in said
    assert "uperse" not in said


def test_the_readme_shows_all_that_an_asset_of_ones_own_needs(
    simulator: Simulator,
    redis_server: RedisServer,
    redis_client: redis.Redis,
    empty_database_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    [snippet] = [each for each in re.findall(r"^```python\n(.*?)^```", readme, re.M | re.S) if "def scotus" in each]
    monkeypatch.setenv("COURTLISTENER_API_TOKEN", "wide-token")
    monkeypatch.setenv("REDIS_URL", redis_server.url)
    monkeypatch.setenv("POSTGRES_URL", empty_database_url)
    kept: list[dict[str, Any]] = []
    # The simulator in place of CourtListener is all that differs from what a reader runs.
    snippet = snippet.replace("CourtListenerResource(\n", f'CourtListenerResource(base_url="{simulator.url}",\n', 1)
    assert simulator.url in snippet
    written = {"keep": kept.extend}
    exec(compile(snippet, "README.md", "exec"), written)
    defs: Any = written["defs"]
    assert dg.materialize([*defs.assets], resources=defs.resources).success
    court = {docket["id"] for docket in simulator.corpus.dockets if docket["court_id"] == "scotus"}
    clusters = {each["id"] for each in simulator.corpus.clusters if each["docket_id"] in court}
    expected = {each["id"] for each in simulator.corpus.opinions if each["cluster_id"] in clusters}
    assert {each["id"] for each in kept} == expected
    assert expected


def test_the_readme_shows_both_ways_to_have_all_assets() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    [merging] = [each for each in re.findall(r"^```python\n(.*?)^```", readme, re.M | re.S) if "merge(" in each]
    [component] = re.findall(r"^```yaml\n(type: courtlistener_assets.*?)^```", readme, re.M | re.S)

    @dg.asset
    def summary() -> None: ...

    written: dict[str, Any] = {"summary": summary}
    exec(compile(merging, "README.md", "exec"), written)
    attributes = yaml.safe_dump(yaml.safe_load(component)["attributes"])
    embedded = CourtListener.resolve_from_yaml(attributes).build_defs(None)
    ours = {key.to_user_string() for key in embedded.resolve_asset_graph().get_all_asset_keys()}
    merged = {key.to_user_string() for key in written["defs"].resolve_asset_graph().get_all_asset_keys()}
    assert merged == ours | {"summary"}
    assert "legal/dockets" in ours


def test_the_public_names_need_neither_dagster_nor_settings() -> None:
    code = (
        "import sys, courtlistener_assets as ours; "
        "assert 'dagster' not in sys.modules and 'courtlistener_assets.definitions' not in sys.modules; "
        "print(*(getattr(ours, name).__name__ for name in ours.__all__)); "
        "assert 'courtlistener_assets.definitions' not in sys.modules"
    )
    # A value that no location accepts: `dg` imports the package in projects that have settings of their own.
    environ = {**os.environ, "COURTLISTENER_WORKERS": "none"}
    said = subprocess.run([sys.executable, "-c", code], env=environ, text=True, capture_output=True, check=True).stdout
    assert said.split() == courtlistener_assets.__all__
    assert set(courtlistener_assets.__all__) <= set(dir(courtlistener_assets))


def test_two_locations_in_one_share_the_resources() -> None:
    first = courtlistener_assets.build_definitions(Settings(), key_prefix="one")
    second = courtlistener_assets.build_definitions(
        Settings(courts=("nysd",)), key_prefix=["two", "more"], resource_overrides=first.resources
    )
    repository = dg.Definitions.merge(first, second).get_repository_def()
    assert {"one__court_month", "two__more__court_month"} <= set(repository.job_names)
    selected = repository.get_job("two__more__court_month").asset_layer.selected_asset_keys
    assert {key.path[0] for key in selected} == {"two"}


def test_the_api_is_asked_under_an_overridden_quota() -> None:
    quota = courtlistener_assets.RedisRateLimitResource(
        redis_url="redis://localhost:6379/1", postgres_url="postgresql://localhost/own"
    )
    found = courtlistener_assets.build_definitions(Settings(), resource_overrides={"courtlistener_quota": quota})
    resources = dict(found.resources or {})
    assert resources["courtlistener"].rate_limit is quota
    with pytest.raises(SettingError, match="courtlistener_records"):
        courtlistener_assets.build_definitions(Settings(), resource_overrides={"records": quota})


def test_secrets_of_the_component_are_names_of_variables() -> None:
    component = CourtListener.resolve_from_yaml("courts: [ca9]\nredis_url_env: CACHE\n")
    resources = dict(component.build_defs(None).resources or {})
    assert resources["courtlistener"].api_token == dg.EnvVar("COURTLISTENER_API_TOKEN")
    assert resources["courtlistener_backlog"].redis.url == dg.EnvVar("CACHE")


@pytest.mark.parametrize("value", ["0123456789abcdef0123456789abcdef01234567", "redis://:zebra@cache/0"])
def test_a_secret_itself_is_refused_and_not_shown(value: str) -> None:
    component = CourtListener.resolve_from_yaml(f"api_token_env: {json.dumps(value)}\n")
    with pytest.raises(SettingError, match="api_token_env takes the name") as raised:
        component.build_defs(None)
    assert value not in str(raised.value)
