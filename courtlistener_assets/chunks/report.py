"""What the UI shows of a partition's chunks: how long they are, and what embedding them costs.

Belongs here: reading a file's columns for that, and Markdown. Does not belong here: Dagster, or any text: it would stay
in Dagster's event log when it is sealed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pyarrow.compute as pc

from courtlistener_assets.chunks.files import Location, opened

#: Ranges of lengths that are told apart, and the longest bar of text.
_RANGES, _BAR = 8, 20


@dataclass(frozen=True)
class ChunkReport:
    """`lengths` (how many chunks are how long) is a table in Markdown."""

    tokens: int
    lengths: str


def read_report(location: Location, max_tokens: int) -> ChunkReport:
    """Read a file's token counts."""
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
    return ChunkReport(tokens, _histogram(lengths, width))


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
