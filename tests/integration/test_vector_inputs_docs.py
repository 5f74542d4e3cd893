"""The worked example of docs/vector-inputs.md: its code runs, reads real files and finds something."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from courtlistener_assets.building.partition import chunks_path
from courtlistener_assets.chunks.change_log import ChangeLog
from courtlistener_assets.chunks.document import Document
from courtlistener_assets.chunks.news import chain
from courtlistener_assets.chunks.table import write_partition
from courtlistener_assets.download.partitions import CourtMonth
from courtlistener_assets.download.streams import OPINION
from courtlistener_assets.download.undated import Undated
from resources.connections.postgres import Database
from tests.chunk_rows import rows_of

PAGE = Path(__file__).parents[2] / "docs" / "vector-inputs.md"
_BLOCK = re.compile(r"(?:^<!-- needs: (?P<needs>[^>]+) -->\n)?^```python\n(?P<code>.*?)^```", re.MULTILINE | re.DOTALL)
BLOCKS = [(found["code"], (found["needs"] or "").split()) for found in _BLOCK.finditer(PAGE.read_text("utf-8"))]
READERS, LOADERS = BLOCKS[:4], BLOCKS[4:]

OPINIONS = {
    ("ca9", "Vehicle v. United States"): "The officers searched the car without a warrant. No exigency was shown. The "
    "search of the vehicle was unlawful and the evidence is suppressed.",
    (
        "ca9",
        "Lease v. Landlord",
    ): "The tenant stopped paying rent. The lease was unambiguous. Damages for the breach of "
    "the contract are affirmed.",
    (
        "ca9",
        "Patent v. Office",
    ): "The claims of the patent were obvious to a person skilled in the art of semiconductors.",
    ("scotus", "Car v. Police"): "Police may search a car without a warrant if there is probable cause.",
}


def rows(number: int, court: str, name: str, text: str) -> list[dict[str, Any]]:
    body = {"id": number, "type": "010combined", "plain_text": text}
    return rows_of(
        Document(
            kind=OPINION,
            body=body,
            docket_id=number,
            court_id=court,
            case_name=name,
            date_filed=dt.date(2024, 2, 1),
        )
    )


def month_of(court: str) -> Path:
    return chunks_path(Path("data"), CourtMonth(court, dt.date(2024, 2, 1)))


def write(found: list[dict[str, Any]], path: Path, log: ChangeLog) -> None:
    write_partition(found, path, telling=log.telling(path))


@pytest.fixture
def log(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ChangeLog:
    """The change log of `data/` in the current directory."""
    monkeypatch.chdir(tmp_path)
    return ChangeLog.at(Path("data"), database).open()


@pytest.fixture
def data(tmp_path: Path, log: ChangeLog) -> Path:
    """`data/` in the current directory, with a month of each of two courts, and what belongs to none."""
    for court in ("ca9", "scotus"):
        found = [
            row
            for number, ((place, name), text) in enumerate(OPINIONS.items(), 1)
            if place == court
            for row in rows(number, court, name, text)
        ]
        write(found, month_of(court), log)
    # What belongs to no month is beside the months, and no reader stumbles over it.
    write([], chunks_path(Path("data"), Undated("ca9")), log)
    undated = rows(8, "scotus", "Undated v. Docket", "This filing is in a docket without a date.")
    write(undated, chunks_path(Path("data"), Undated("scotus")), log)
    return tmp_path / "data"


def run(block: tuple[str, list[str]], names: dict[str, Any]) -> dict[str, Any]:
    code, needs = block
    for package in needs:
        pytest.importorskip(package)
    exec(compile(code, PAGE.name, "exec"), names)
    return names


@pytest.mark.parametrize("block", READERS, ids=["pyarrow", "pandas", "polars", "duckdb"])
def test_the_files_can_be_read_with(block: tuple[str, list[str]], data: Path) -> None:
    names = run(block, {})
    if "table" in names:
        expected_names = [*(name for _, name in OPINIONS), "Undated v. Docket"]
        assert sorted(names["table"]["case_name"].to_pylist()) == sorted(expected_names)
        return
    found = names["tokens"]
    pairs = found if isinstance(found, list) else found.rows() if hasattr(found, "rows") else found.items()
    expected: dict[str, int] = {}
    for file in data.rglob("chunks.parquet"):
        for row in pq.ParquetFile(file).read().to_pylist():
            expected[row["court_id"]] = expected.get(row["court_id"], 0) + row["token_count"]
    assert {str(court): int(tokens) for court, tokens in pairs} == expected


def test_the_example_finds_the_case_that_the_question_is_about(data: Path) -> None:
    names = run(LOADERS[0], {})
    assert names["hits"][0].payload["case_name"] == "Vehicle v. United States"
    assert {hit.payload["court_id"] for hit in names["hits"]} == {"ca9"}


@pytest.mark.parametrize("late", [False, True], ids=["in time", "too late"])
def test_the_example_brings_a_collection_up_to_date(data: Path, log: ChangeLog, late: bool) -> None:
    names = run(LOADERS[0], {})
    write(rows(9, "ca9", "New v. Old", "A new opinion."), month_of("ca9"), log)
    write(rows(4, "scotus", "Car v. Police (amended)", OPINIONS["scotus", "Car v. Police"]), month_of("scotus"), log)
    if late:
        log.compact(0)
    run(LOADERS[1], names)
    points, _ = names["client"].scroll("chunks", limit=100)
    assert sorted(point.payload["case_name"] for point in points) == [
        "Car v. Police (amended)",
        "New v. Old",
        "Undated v. Docket",
    ]
    assert names["last_sequence"] == chain(Path("data")).last


def test_whoever_reads_the_directory_as_a_whole_meets_the_chunks_only(data: Path) -> None:
    polars, duckdb = pytest.importorskip("polars"), pytest.importorskip("duckdb")
    rows = sum(pq.ParquetFile(file).metadata.num_rows for file in data.rglob("chunks.parquet"))
    assert polars.scan_parquet("data/vector_inputs").collect().height == rows == len(OPINIONS) + 1
    [(count,)] = duckdb.sql("SELECT count(*) FROM 'data/vector_inputs/**/*.parquet'").fetchall()
    assert count == rows


def test_every_column_is_explained(data: Path) -> None:
    schema = pq.read_schema(next(data.rglob("chunks.parquet")))
    text = PAGE.read_text("utf-8")
    assert [name for name in schema.names if f"`{name}`" not in text] == []
