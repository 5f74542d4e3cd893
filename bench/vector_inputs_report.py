"""The figures of vector inputs: JSON (`bench/results.json`, key `vector_inputs`) and tables (`docs/benchmarks.md`).

Belongs here: writing. Does not belong here: measuring.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from bench.limiter_report import DOCUMENT, RESULTS, replace_section, table

_PEERS_TEXT = """### Side by side

Generated opinions in four formats of the API, 512 tokens a chunk, all counted by the same function. *End at a sentence*
is judged by the sentences that the text was made of: on the text as the API gives it, tags removed, and on the text
that this project has cleaned. Speed is characters of clean text a second, for chunking alone and with this project's
cleaning before it. The other chunkers are faster because they do not look for sentences: they cut at blank lines and
full stops, which abbreviations end in too."""
_MEMORY_TEXT = """### Memory

One partition, made twice in one process as two runs would make it; the second one writes nothing. Most opinions are
short and their chunks too, since memory depends on how many chunks there are; five have a megabyte each."""


def write(figures: Mapping[str, Any]) -> None:
    """Replace the figures of vector inputs in both files."""
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    merged = results["vector_inputs"] = {**results.get("vector_inputs", {}), **figures}
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    text = DOCUMENT.read_text() if DOCUMENT.exists() else "# Benchmarks\n"
    DOCUMENT.write_text(replace_section(text, "vector inputs", _section(merged)))


def _section(figures: Mapping[str, Any]) -> str:
    parts = [f"## Vector inputs\n\nMeasured {figures['measured']}."]
    if "peers" in figures:
        lost = f"Characters that this project's cleaning and chunking lost: {figures['characters_lost']}."
        parts += [_PEERS_TEXT, _peers(figures["peers"]), lost]
    if "memory" in figures:
        parts += [_MEMORY_TEXT, _memory(figures["memory"])]
    return "\n\n".join(parts)


def _peers(rows: Sequence[Mapping[str, Any]]) -> str:
    def percent(share: float | None) -> str:
        return "-" if share is None else f"{100 * share:.1f} %"

    head = ("chunker", "chunks", "end at a sentence, raw", "cleaned", "characters/s", "with cleaning")
    return table(
        head,
        [
            (
                row["chunker"],
                row["chunks"],
                percent(row["sentence_end_share_raw"]),
                percent(row["sentence_end_share"]),
                f"{row['characters_per_second']:,}",
                f"{row['with_cleaning_per_second']:,}",
            )
            for row in rows
        ],
    )


def _memory(rows: Sequence[Mapping[str, Any]]) -> str:
    head = ("opinions", "chunks", "file MB", "seconds", "peak MB, first run", "peak MB, both")
    return table(
        head,
        [
            (row["opinions"], row["chunks"], row["file_mb"], row["seconds"], row["first_run_mb"], row["peak_mb"])
            for row in rows
        ],
    )
