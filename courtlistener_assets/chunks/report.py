"""What the UI shows of a partition's chunks: how long they are, what embedding them costs, what some look like.

Belongs here: reading a file's columns for that, and Markdown. Does not belong here: Dagster.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from courtlistener_assets.chunks.files import Location, opened

#: Ranges of lengths that are told apart, and the longest bar of text.
_RANGES, _BAR = 8, 20
_SHOWN_CHUNKS = 5
_LOOKED_AT = 500
_SHOWN_CHARACTERS = 240
#: What Markdown or HTML in it would make more than text of.
_MARKUP = str.maketrans(
    {character: f"\\{character}" for character in "\\`*_{}[]()#+!|~$"} | {"<": "&lt;", "&": "&amp;"}
)


@dataclass(frozen=True)
class ChunkReport:
    """`lengths` (how many chunks are how long) and `preview` are tables in Markdown."""

    tokens: int
    lengths: str
    preview: str


def read_report(location: Location, max_tokens: int) -> ChunkReport:
    """Read a file's token counts, and the text of its first few rows."""
    width = -(-max_tokens // _RANGES)
    lengths = [0] * _RANGES
    tokens = 0
    with opened(location) as file:
        for batch in file.iter_batches(columns=["token_count"]):
            counts: Any = batch.column("token_count")
            tokens += pc.sum(counts).as_py() or 0
            ranges: Any = pc.min_element_wise(pc.divide(pc.subtract(counts, 1), width), _RANGES - 1)
            for each in pc.value_counts(ranges).to_pylist():
                lengths[each["values"]] += each["counts"]
        preview = _preview(file)
    return ChunkReport(tokens, _histogram(lengths, width), preview)


def cost(tokens: int, price_per_million_tokens: float) -> str:
    """`USD 0.0123`, with at least three digits that count."""
    amount = tokens * price_per_million_tokens / 1_000_000
    return f"USD {amount:,.2f}" if amount >= 1 else f"USD {Decimal(f'{amount:.3g}'):f}"


def _histogram(lengths: Sequence[int], width: int) -> str:
    lines = ["| tokens | chunks | |", "|---|---:|---|"]
    most = max(1, *lengths)
    for number, count in enumerate(lengths):
        lines.append(f"| {number * width + 1}-{(number + 1) * width} | {count} | {'█' * round(_BAR * count / most)} |")
    return "\n".join(lines)


def _preview(file: pq.ParquetFile) -> str:
    """The first chunks of the first few documents."""
    names = ["chunk_index", "context_header", "token_count", "text"]
    first = next(file.iter_batches(_LOOKED_AT, columns=names), None)
    lines = ["| from | tokens | text |", "|---|---:|---|"]
    rows = [row for row in (first.to_pylist() if first else []) if row["chunk_index"] == 0]
    for row in rows[:_SHOWN_CHUNKS]:
        text = row["text"] if len(row["text"]) <= _SHOWN_CHARACTERS else row["text"][:_SHOWN_CHARACTERS] + " …"
        lines.append(f"| {_escaped(row['context_header'])} | {row['token_count']} | {_escaped(text)} |")
    return "\n".join(lines)


def _escaped(text: str) -> str:
    return " ".join(text.split()).translate(_MARKUP)
