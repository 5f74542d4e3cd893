"""What the UI shows of chunks: lengths as a picture, costs, and a table that no text of a document can break."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from courtlistener_assets.chunks.report import ChunkReport, cost, read_report
from courtlistener_assets.chunks.table import Document, rows_of, write_partition


def rows(*texts: str, max_tokens: int = 48, **more: Any) -> list[dict[str, Any]]:
    bodies = [{"id": number, "plain_text": text} for number, text in enumerate(texts, 1)]
    documents = [Document(doc_type="opinion", body=body, docket_id=1, court_id="ca9", **more) for body in bodies]
    return [row for document in documents for row in rows_of(document, max_tokens=max_tokens)]


def report(path: Path, rows: list[dict[str, Any]]) -> ChunkReport:
    write_partition(rows, path / "chunks.parquet")
    return read_report(path / "chunks.parquet", 48)


def test_chunks_are_counted_by_their_length(tmp_path: Path) -> None:
    found = rows("Word. " * 60, "Short.", "Also short.")
    shown = report(tmp_path, found)
    assert shown.tokens_a_bar == 2
    assert sum(shown.lengths) == len(found)
    expected = [0] * 24
    for row in found:
        expected[(row["token_count"] - 1) // 2] += 1
    assert list(shown.lengths) == expected


def test_a_chunk_above_the_budget_counts_with_the_longest(tmp_path: Path) -> None:
    found = rows("Short.")
    found[0]["token_count"] = 1000
    assert report(tmp_path, found).lengths[-1] == 1


def test_the_tokens_of_all_chunks_are_counted(tmp_path: Path) -> None:
    found = rows("One.", "Three words here.")
    assert report(tmp_path, found).tokens == sum(row["token_count"] for row in found)


def test_the_picture_is_valid_svg_with_one_column_a_range(tmp_path: Path) -> None:
    histogram = report(tmp_path, rows("One.")).histogram
    picture = re.fullmatch(r"!\[[^]]+\]\(data:image/svg\+xml;base64,([\w+/=]+)\)", histogram)
    assert picture
    svg = ElementTree.fromstring(base64.b64decode(picture[1]))
    assert next(text.text for text in svg.iter("{http://www.w3.org/2000/svg}text")) == "Chunks by length in tokens"
    # The background, the axis and 24 columns.
    assert len(list(svg.iter("{http://www.w3.org/2000/svg}rect"))) == 26


def test_no_text_breaks_the_preview(tmp_path: Path) -> None:
    text = "A | B\n\n<script>alert(1)</script> ![x](http://example.test/x) `code` **bold** & more, " + "long " * 40
    shown = report(tmp_path, rows(text, max_tokens=512, case_name="Doe | Roe"))
    header, rule, first, *_ = shown.preview.splitlines()
    unescaped = re.sub(r"\\.", "", first)
    assert unescaped.count("|") == header.count("|") == rule.count("|") == 4
    assert "<" not in first
    assert not re.search(r"(?<!\\)[`*!\[]", first)
    assert first.rstrip(" |").endswith("…")


def test_a_partition_without_chunks_has_a_report(tmp_path: Path) -> None:
    shown = report(tmp_path, [])
    assert (shown.tokens, sum(shown.lengths), len(shown.preview.splitlines())) == (0, 0, 2)
    assert "svg+xml" in shown.histogram


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
