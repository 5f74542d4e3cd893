"""The figures of vector inputs: JSON (`bench/results.json`, key `vector_inputs`) and tables (`docs/benchmarks.md`).

Belongs here: writing. Does not belong here: measuring.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from bench.limiter.report import DOCUMENT, RESULTS, replace_section, table

_PEERS_TEXT = """### Side by side

Generated opinions in four formats of the API, 512 tokens a chunk, all counted by the same function. *End at a sentence*
is judged by the sentences that the text was made of: on the text as the API gives it, tags removed, and on the text
that this project has cleaned. Speed is characters of clean text a second of processor time, the best of several rounds
in which all take turns, for chunking alone and with this project's cleaning before it.

Chunkers that cut at blank lines and full stops end many chunks inside a sentence, because abbreviations end in full
stops too. *Packed* is what one would build instead: a package that finds all sentences, filled up to the budget. This
project counts every part of a text once and looks for sentences only where the budget ends."""
_MEMORY_TEXT = """### Memory

One month of a court in Postgres, materialised by `dagster asset materialize` with all checks, twice, each time in a
process of its own; the second one writes nothing. Most opinions are short and their chunks too: what memory could
depend on is how many there are. Five have a megabyte each. Peaks are those of the whole process; with ten short
opinions it takes 280 MB, which are Dagster's and the libraries', and the large ones take the rest."""


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
