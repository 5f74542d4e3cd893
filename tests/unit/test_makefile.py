"""`make clean` removes what can be made again; what was downloaded goes by a person's word only."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.conftest import LONG_FILES

ROOT = Path(__file__).parents[2]
#: A server's data of root may lie elsewhere, with a link to it.
OUTSIDE, LINKED = "outside", "data/servers/valkey/data"
DOWNLOADED = ("data/vector_inputs/chunks.parquet", "data/servers/postgres/data/PG_VERSION", ".services/live/postgres/x")
MADE = (".demo/summary.json", ".services/simulated/postgres/data/x", ".services/corpus-1/x", ".dagster/dagster.yaml")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in (*DOWNLOADED, *MADE, f"{OUTSIDE}/x"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / LINKED).parent.mkdir(parents=True)
    (tmp_path / LINKED).symlink_to(tmp_path / OUTSIDE)
    return tmp_path


def make(checkout: Path, *arguments: str, answer: str = "") -> subprocess.CompletedProcess[str]:
    command = ["make", "--no-print-directory", *arguments]
    return subprocess.run(command, cwd=checkout, input=answer, capture_output=True, text=True, check=False)


def there(checkout: Path, names: tuple[str, ...]) -> list[str]:
    return [name for name in names if (checkout / name).exists()]


def test_clean_removes_what_can_be_made_again_and_nothing_that_was_downloaded(checkout: Path) -> None:
    done = make(checkout, "clean")
    assert done.returncode == 0, done.stderr
    assert there(checkout, MADE) == []
    assert there(checkout, (*DOWNLOADED, f"{LINKED}/x")) == [*DOWNLOADED, f"{LINKED}/x"]


@pytest.mark.parametrize("answer", ["", "y\n", "delete it\n"])
def test_clean_data_deletes_nothing_without_the_word(checkout: Path, answer: str) -> None:
    done = make(checkout, "clean-data", answer=answer)
    assert done.returncode != 0
    assert "Nothing was deleted" in done.stdout
    assert there(checkout, (*DOWNLOADED, *MADE, f"{OUTSIDE}/x")) == [*DOWNLOADED, *MADE, f"{OUTSIDE}/x"]


def test_clean_data_names_what_it_deletes(checkout: Path) -> None:
    done = make(checkout, "clean-data", answer="delete\n")
    assert done.returncode == 0, done.stderr
    assert {line.split("\t")[-1] for line in done.stdout.splitlines() if "\t" in line} >= {"data", ".services/live"}
    assert there(checkout, (*DOWNLOADED, f"{OUTSIDE}/x")) == []
    assert there(checkout, MADE) == list(MADE)


def test_clean_data_follows_the_data_directory(checkout: Path) -> None:
    done = make(checkout, "clean-data", "COURTLISTENER_DATA_DIR=elsewhere", answer="delete\n")
    assert done.returncode == 0, done.stderr
    assert there(checkout, DOWNLOADED) == list(DOWNLOADED[:2])


#: As after `make install`, but with what runs this test, and without running the tools.
INSTALLED = ("INSTALLED=", "LOCAL=", f"BIN={Path(sys.executable).parent}", "WITH=echo")
UNREACHABLE = "OSV_URL=http://127.0.0.1:9/v1/query"


def test_an_audit_that_did_not_look_is_red_and_says_what_to_do(checkout: Path) -> None:
    done = make(checkout, "audit", UNREACHABLE, *INSTALLED)
    assert done.returncode != 0
    assert "Nothing was audited" in done.stdout
    assert "OSV_URL=" in done.stdout


def test_whoever_may_be_without_network_says_so_and_is_told_in_the_last_line(checkout: Path) -> None:
    done = make(checkout, "audit-if-reachable", UNREACHABLE, *INSTALLED)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith("Nothing was audited")
    assert "pip-audit" not in done.stdout


@pytest.mark.parametrize("target", ["audit", "audit-if-reachable"])
def test_a_service_that_can_be_reached_is_asked(checkout: Path, target: str) -> None:
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as service:
        threading.Thread(target=service.serve_forever, daemon=True).start()
        done = make(checkout, target, f"OSV_URL=http://127.0.0.1:{service.server_port}/v1/query", *INSTALLED)
        service.shutdown()
    assert done.returncode == 0, done.stderr
    assert "pip-audit" in done.stdout.splitlines()[-1]
    assert "-r requirements.lock -r deploy/docker/requirements.lock" in done.stdout


def test_the_files_that_begin_first_are_there() -> None:
    assert [name for name in LONG_FILES if not (ROOT / "tests" / name).is_file()] == []
