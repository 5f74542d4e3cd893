"""What the UI shows of chunks: lengths, costs, and a table that no text of a document can break."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from courtlistener_assets.chunks.document import Document
from courtlistener_assets.chunks.report import ChunkReport, cost, read_report
from courtlistener_assets.chunks.table import write_partition
from courtlistener_assets.download.streams import OPINION
from tests.chunk_rows import rows_of


def rows(*texts: str, max_tokens: int = 48, **more: Any) -> list[dict[str, Any]]:
    bodies = [{"id": number, "plain_text": text} for number, text in enumerate(texts, 1)]
    documents = [Document(kind=OPINION, body=body, docket_id=1, court_id="ca9", **more) for body in bodies]
    return [row for document in documents for row in rows_of(document, max_tokens=max_tokens)]


def report(path: Path, rows: list[dict[str, Any]]) -> ChunkReport:
    write_partition(rows, path / "chunks.parquet")
    return read_report(path / "chunks.parquet", 48)


def counted(report: ChunkReport) -> list[int]:
    """The column `chunks` of the table of lengths."""
    return [int(line.split(" | ")[1]) for line in report.lengths.splitlines()[2:]]


def test_chunks_are_counted_by_their_length(tmp_path: Path) -> None:
    found = rows("Word. " * 60, "Short.", "Also short.")
    expected = [0] * 8
    for row in found:
        expected[(row["token_count"] - 1) // 6] += 1
    assert counted(report(tmp_path, found)) == expected


def test_a_bar_is_as_long_as_its_share_of_the_longest(tmp_path: Path) -> None:
    first, *_, last = report(tmp_path, rows(*["Short."] * 4, "Word. " * 22)).lengths.splitlines()[2:]
    assert first == f"| 1-6 | 4 | {'█' * 20} |"
    assert last == f"| 43-48 | 1 | {'█' * 5} |"


def test_a_chunk_above_the_budget_counts_with_the_longest(tmp_path: Path) -> None:
    found = rows("Short.")
    found[0]["token_count"] = 1000
    assert counted(report(tmp_path, found))[-1] == 1


def test_the_tokens_of_all_chunks_are_counted(tmp_path: Path) -> None:
    found = rows("One.", "Three words here.")
    assert report(tmp_path, found).tokens == sum(row["token_count"] for row in found)


def test_a_partition_without_chunks_has_a_report(tmp_path: Path) -> None:
    shown = report(tmp_path, [])
    assert (shown.tokens, counted(shown)) == (0, [0] * 8)


@pytest.mark.parametrize(
    ("tokens", "price", "said"),
    [
        (0, 0.02, "USD 0"),
        (1_000, 0.02, "USD 0.00002"),
        (614_000, 0.02, "USD 0.0123"),
        (90_000_000_000, 0.13, "USD 11,700.00"),
    ],
)
def test_a_cost_has_digits_that_count(tokens: int, price: float, said: str) -> None:
    assert cost(tokens, price) == said
