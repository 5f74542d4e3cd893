"""What Dagster is told of a partition's chunks.

Belongs here: names, units and form of the metadata, and what stands for the content. Does not belong here: text, which
would stay in Dagster's event log when it is sealed; how anything is counted (`courtlistener_assets/chunks`).

Names end in their unit: `_documents`, `_chunks`, `_tokens`, `_share` (of 1). What is empty is left out.
"""

from __future__ import annotations

from typing import Any

import dagster as dg

from courtlistener_assets.building.partition import Built
from courtlistener_assets.chunks.files import shown
from courtlistener_assets.chunks.report import cost
from courtlistener_assets.chunks.soundness import Soundness


def data_version(built: Built) -> str:
    """What stands for the rows of the file: a month that is made again with the same rows leaves nothing stale."""
    return built.diff.content


def change_of(built: Built) -> str:
    """The change in words, for the run's log and the partition."""
    moved = f", {built.diff.moved} moved" if built.diff.moved else ""
    return f"{built.diff.added} added, {built.diff.removed} removed{moved}"


def chunk_metadata(built: Built, price_per_million_tokens: float) -> dict[str, Any]:
    """The metadata of a partition. The price is in USD."""
    tally, price = built.tally, price_per_million_tokens
    found = {
        "dagster/partition_row_count": tally.chunks,
        **{f"stored_{table}": count for table, count in built.stored.items()},
        "documents": tally.documents,
        "documents_without_text": tally.without_text,
        "duplicate_documents": tally.duplicates,
        "flagged_documents": tally.flagged,
        "change": change_of(built),
        **_changes(built),
        "file": dg.MetadataValue.path(shown(built.path)),
        "tokens": built.report.tokens,
        "cost_of_all": f"{cost(built.report.tokens, price)} at USD {price} a million tokens",
        "cost_of_added": f"{cost(built.diff.added_tokens, price)} at USD {price} a million tokens",
    }
    if built.texts_read is not None:
        found["chunks_read_for_citations"] = built.texts_read
    if tally.chunks:
        found |= {
            "sentence_end_share": round(tally.sentence_end_share, 3),
            "tokens_per_chunk": dg.MetadataValue.md(built.report.lengths),
            **_soundness(tally.soundness),
        }
    return {name: value for name, value in found.items() if value != {}}


def _changes(built: Built) -> dict[str, int]:
    diff = built.diff
    return {
        "added_chunks": diff.added,
        "removed_chunks": diff.removed,
        "moved_chunks": diff.moved,
        "relabelled_chunks": diff.relabelled,
        "reembed_chunks": diff.reembed,
        "unchanged_chunks": diff.unchanged,
        "added_tokens": diff.added_tokens,
    }


def _soundness(found: Soundness) -> dict[str, Any]:
    """What a judge that does not know the cleaner says of the text, without any of it: documents are named by id."""
    tears = found.tears
    worst = "".join(f"| {name} | {faults} |\n" for faults, name in sorted(found.worst, reverse=True))
    return {
        "torn_share": round(tears.torn_share, 4),
        "tabs_in_prose": tears.tabs_in_prose,
        "furniture_inside_sentences": tears.furniture_inside,
        "joined_headings": tears.joined,
        "orphaned_heading_share": round(found.orphaned_heading_share, 4),
    } | ({"most_faults": dg.MetadataValue.md(f"| document | faults |\n|---|---:|\n{worst}")} if worst else {})
