"""Each check of vector inputs finds what it is meant for, in a file and against what is stored."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from courtlistener_assets.chunks.document import Document
from courtlistener_assets.chunks.soundness import Soundness
from courtlistener_assets.chunks.table import MAX_TOKENS, write_partition
from courtlistener_assets.defs.checks.examination import Finding, descriptions, examine
from courtlistener_assets.download.partitions import CourtMonth
from courtlistener_assets.download.streams import OPINION
from resources.connections.postgres import Database
from resources.records.audit import RecordAudit
from resources.records.model import PageOfRecords, Record, SweepKey
from resources.records.store import RecordStore
from tests.chunk_rows import rows_of

PARTITION = CourtMonth("ca9", date(2024, 2, 1))
TEXTS = {1: "The first opinion. " * 300, 2: "The second opinion.", 3: "The third opinion."}
WITHOUT_TEXT = {4: {"html": "<p> </p>", "plain_text": " \n"}, 5: {}}


@pytest.fixture
def audit(database: Database) -> RecordAudit:
    """A month with five opinions, two of them without text."""
    store = RecordStore(database)
    store.prepare(["clusters", "opinions"])
    bodies = {id: {"id": id, "plain_text": text} for id, text in TEXTS.items()} | WITHOUT_TEXT
    records = [Record("clusters", 9, {}, docket_id=7, cluster_id=9, court_id="ca9", date_filed=date(2024, 2, 29))]
    records += [Record("opinions", id, body, cluster_id=9, court_id="ca9") for id, body in bodies.items()]
    key = SweepKey("opinions", str(PARTITION), "dated")
    at = store.begin_pass(key, run_id="run", full_refresh=True, overlap=timedelta())
    store.store_page(at, PageOfRecords(records), after_id=9, watermark=datetime(2024, 3, 1, tzinfo=UTC), finished=True)
    return RecordAudit(database)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    rows = [
        row
        for id, text in TEXTS.items()
        for row in rows_of(
            Document(kind=OPINION, body={"id": id, "plain_text": text}, docket_id=7, court_id="ca9"),
            max_tokens=128,
        )
    ]
    write_partition(rows, tmp_path / "chunks.parquet", metadata={MAX_TOKENS: "128"}, found=Soundness().kept)
    return tmp_path / "chunks.parquet"


def found(file: Path, audit: RecordAudit) -> dict[str, Finding]:
    return examine(file, audit, PARTITION, [OPINION])


def rewrite(file: Path, change: Callable[[list[dict[str, Any]]], object], **metadata: str) -> None:
    old = pq.ParquetFile(file).read()
    rows = old.to_pylist()
    change(rows)
    pq.write_table(pa.Table.from_pylist(rows, old.schema.with_metadata(metadata | Soundness().kept())), file)


def test_a_good_file_passes_every_check(file: Path, audit: RecordAudit) -> None:
    findings = found(file, audit)
    assert list(findings) == list(descriptions([OPINION]))
    assert {name for name, finding in findings.items() if finding.wrong} == set()


@pytest.mark.parametrize(
    ("check", "change"),
    [
        ("unique_ids", lambda rows: rows[3].update(chunk_id=rows[0]["chunk_id"])),
        ("no_empty_text", lambda rows: rows[1].update(char_end=rows[1]["char_start"])),
        ("within_budget", lambda rows: rows[1].update(token_count=129)),
        ("every_opinion_has_chunks", lambda rows: rows.pop()),
    ],
)
def test_a_wrong_file_fails_the_check_that_is_meant_for_it_and_no_other(
    file: Path, audit: RecordAudit, check: str, change: Callable[[list[dict[str, Any]]], object]
) -> None:
    rewrite(file, change, max_tokens="128")
    findings = found(file, audit)
    assert {name: finding.wrong for name, finding in findings.items() if finding.wrong} == {check: 1}
    assert len(findings[check].examples) == 1


def test_an_opinion_without_chunks_is_named(file: Path, audit: RecordAudit) -> None:
    rewrite(file, lambda rows: rows.pop(), max_tokens="128")
    finding = found(file, audit)["every_opinion_has_chunks"]
    assert finding.examples == (3,)
    assert finding.said == "Opinions with text and without a chunk: 1."


def test_an_opinion_that_is_gone_needs_no_chunk(file: Path, audit: RecordAudit, database: Database) -> None:
    rewrite(file, lambda rows: rows.pop(), max_tokens="128")
    RecordStore(database).mark_gone("opinions", [3], "not found (404)")
    assert not found(file, audit)["every_opinion_has_chunks"].wrong


def test_a_file_that_names_no_budget_is_not_said_to_keep_one(file: Path, audit: RecordAudit) -> None:
    rewrite(file, lambda rows: None)
    finding = found(file, audit)["within_budget"]
    assert finding.wrong > 0
    assert "names no budget" in finding.said


def test_a_damaged_file_fails_every_check_and_says_why(file: Path, audit: RecordAudit) -> None:
    content = bytearray(file.read_bytes())
    content[4:60] = bytes(56)
    file.write_bytes(content)
    findings = found(file, audit)
    assert {name: finding.wrong for name, finding in findings.items()} == dict.fromkeys(descriptions([OPINION]), 1)
    assert all(finding.said.startswith("The file cannot be read.") for finding in findings.values())


def test_a_file_that_is_not_there_is_told_from_a_damaged_one(file: Path, audit: RecordAudit) -> None:
    findings = found(file.with_name("absent.parquet"), audit)
    assert set(findings.values()) == {Finding("There is no file.", 1)}
