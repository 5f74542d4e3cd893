"""`make clean` removes what can be made again; what was downloaded goes by a person's word only."""

from __future__ import annotations

import shutil
import subprocess
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


def test_the_files_that_begin_first_are_there() -> None:
    assert [name for name in LONG_FILES if not (ROOT / "tests" / name).is_file()] == []
