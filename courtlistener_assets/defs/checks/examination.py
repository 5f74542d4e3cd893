"""Examination: are the chunks in a partition's file what an embedding job may rely on.

Belongs here: reading a file's small columns, and judging them. Does not belong here: Dagster (`vector_inputs.py`),
the SQL of the records (`resources/records/audit.py`).

No text is read, so that this costs little compared with making the file. The stored file is judged, not what the run
that made it reported; only how whole its sentences are was judged then, and is kept in it.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from courtlistener_assets.chunks.document import DocumentKind
from courtlistener_assets.chunks.files import Location, opened, unreadable
from courtlistener_assets.chunks.scratch import scratch_tables
from courtlistener_assets.chunks.soundness import (
    ENOUGH,
    MOST_ORPHANED,
    MOST_TORN,
    SOUNDNESS,
    Soundness,
    read_soundness,
)
from courtlistener_assets.chunks.table import MAX_TOKENS, made_by
from courtlistener_assets.download.partitions import Selection
from resources.records.audit import RecordAudit

_COLUMNS = ["chunk_id", "content_hash", "char_start", "char_end", "token_count", "doc_type", "document_id"]
_ROWS_AT_ONCE = 8192
_EMPTY = hashlib.sha256(b"").hexdigest()
_SOME = 20
_SCHEMA = "CREATE TABLE chunks (id TEXT PRIMARY KEY, times INTEGER NOT NULL) WITHOUT ROWID"
_REMEMBER = "INSERT INTO chunks VALUES (?, 1) ON CONFLICT (id) DO UPDATE SET times = times + 1"

#: What can be seen in the file alone, by name.
_OF_FILE = {
    "unique_ids": "No two chunks of the partition have the same id.",
    "no_empty_text": "Every chunk has text.",
    "within_budget": "No chunk has more tokens than the run that made the file allowed.",
    "sentences_are_whole": f"Of the breaks in prose at most {MOST_TORN:.0%} are inside a sentence, or have a page "
    "number, a stamp or a tab there. A warning: what a scan has lost cannot be mended.",
    "headings_have_text": f"At most {MOST_ORPHANED:.1%} of the chunks end with the heading of the next. A warning.",
}
#: What says that the text could be better, not that it is wrong.
WARNINGS = ("sentences_are_whole", "headings_have_text")
_CHUNKS = "every_{}_has_chunks"


def descriptions(kinds: Sequence[DocumentKind]) -> dict[str, str]:
    """Return what is examined, by name."""
    complete = {
        _CHUNKS.format(kind.name): f"Every stored {kind.name.replace('_', ' ')} of the partition that has text has a "
        "chunk. While downloads are newer than the chunks, some may not."
        for kind in kinds
        if kind.mostly_text
    }
    return _OF_FILE | complete


@dataclass(frozen=True)
class Finding:
    """What was found in a partition: a sentence, examples of what is wrong (none if all is well), and numbers.

    The numbers are named by what they count; a share is of 1.
    """

    said: str
    wrong: int = 0
    examples: tuple[Any, ...] = ()
    numbers: Mapping[str, float] = field(default_factory=dict, hash=False)


@dataclass
class _Wrong:
    """The chunks that have one fault, counted, and the ids of some."""

    count: int = 0
    some: list[Any] = field(default_factory=list)

    def add(self, ids: pa.Array[Any]) -> None:
        self.count += len(ids)
        self.some += ids[: _SOME - len(self.some)].to_pylist()

    def finding(self, said: str, name: str, **numbers: int) -> Finding:
        return Finding(f"{self.count} of {said}", self.count, tuple(self.some), {name: self.count, **numbers})


def examine(
    location: Location, audit: RecordAudit, partition: Selection, kinds: Sequence[DocumentKind]
) -> dict[str, Finding]:
    """Return the finding of each name in `descriptions` about the file at `location`."""
    try:
        findings, present = _examine_file(location)
    except FileNotFoundError:
        return dict.fromkeys(descriptions(kinds), Finding("There is no file.", 1))
    except unreadable(location) as error:
        said = f"The file cannot be read. Materialize the partition to have it written again. {error}".strip()
        return dict.fromkeys(descriptions(kinds), Finding(said, 1))
    return findings | {
        _CHUNKS.format(kind.name): _completeness(kind, present[kind.name], audit, partition)
        for kind in kinds
        if kind.mostly_text
    }


def _examine_file(location: Location) -> tuple[dict[str, Finding], dict[str, list[pa.Array[Any]]]]:
    """Return what the file alone shows, and the ids of the documents that have chunks in it, by kind."""
    empty, over = _Wrong(), _Wrong()
    present: defaultdict[str, list[pa.Array[Any]]] = defaultdict(list)
    with scratch_tables(_SCHEMA) as table, opened(location) as file:
        made = made_by(file)
        rows, budget = file.metadata.num_rows, int(made.get(MAX_TOKENS, 0))
        for batch in file.iter_batches(_ROWS_AT_ONCE, columns=_COLUMNS):
            over.add(batch["chunk_id"].filter(pc.greater(batch["token_count"], pa.scalar(budget))))
            no_length = pc.less_equal(batch["char_end"], batch["char_start"])
            without_text: Any = pc.or_(no_length, pc.equal(batch["content_hash"], pa.scalar(_EMPTY)))
            empty.add(batch["chunk_id"].filter(without_text))
            for kind in map(str, pc.unique(batch["doc_type"]).to_pylist()):
                of_kind: Any = batch["document_id"].filter(pc.equal(batch["doc_type"], pa.scalar(kind)))
                present[kind].append(pc.unique(of_kind))
            table.executemany(_REMEMBER, ([chunk_id] for chunk_id in batch["chunk_id"].to_pylist()))
        unique = _uniqueness(table)
    allowed = f"with more than {budget} tokens" if budget else "in a file that names no budget"
    findings = {
        "unique_ids": unique,
        "no_empty_text": empty.finding(f"{rows} chunks without text.", "chunks_without_text", chunks=rows),
        "within_budget": over.finding(
            f"{rows} chunks {allowed}.", "chunks_over_budget", chunks=rows, allowed_tokens=budget
        ),
        **_soundness(read_soundness(made.get(SOUNDNESS))),
    }
    return findings, present


def _soundness(found: Soundness | None) -> dict[str, Finding]:
    if found is None:
        said = "The file was made before this was measured. Materialize the partition."
        return dict.fromkeys(WARNINGS, Finding(said, 1))
    tears, worst = found.tears, tuple(name for _, name in found.worst)
    broken = tears.torn + tears.tabs_in_prose + tears.furniture_inside
    whole = (
        f"Of {tears.breaks} breaks in prose {tears.torn} are inside a sentence; {tears.furniture_inside} numbers or "
        f"stamps and {tears.tabs_in_prose} tabs are, too. {tears.joined} headings stand inside a paragraph."
    )
    headings = f"{found.orphaned_headings} of {found.chunks} chunks end with a heading."
    in_prose = {"breaks_in_prose": tears.breaks, "breaks_inside_sentences": tears.torn}
    at_end = {"chunks": found.chunks, "chunks_that_end_with_a_heading": found.orphaned_headings}
    return {
        "sentences_are_whole": _warning(whole, broken, found.broken_share, MOST_TORN, worst, in_prose),
        "headings_have_text": _warning(
            headings, found.orphaned_headings, found.orphaned_heading_share, MOST_ORPHANED, worst, at_end
        ),
    }


def _warning(
    said: str, count: int, share: float, most: float, worst: tuple[str, ...], numbers: Mapping[str, int]
) -> Finding:
    wrong = count if share > most and count >= ENOUGH else 0
    shares = {"found_share": round(share, 5), "allowed_share": most}
    return Finding(said, wrong, worst if wrong else (), {**numbers, **shares})


def _uniqueness(table: sqlite3.Connection) -> Finding:
    ids, repeats = table.execute("SELECT count(*), coalesce(sum(times - 1), 0) FROM chunks").fetchone()
    numbers = {"chunks": ids + repeats, "different_ids": ids, "repeated_ids": repeats}
    if not repeats:
        return Finding(f"{ids} chunks, {ids} ids.", numbers=numbers)
    several = table.execute("SELECT id FROM chunks WHERE times > 1 LIMIT ?", [_SOME])
    return Finding(f"{repeats} chunks have another one's id.", repeats, tuple(id for (id,) in several), numbers)


def _completeness(
    kind: DocumentKind, present: Sequence[pa.Array[Any]], audit: RecordAudit, partition: Selection
) -> Finding:
    """Documents that have text and no chunk. Only bodies without a chunk are read, up to a number of them."""
    ids = pa.array(audit.ids(kind.table, partition.filter_values), pa.int64())
    without: Any = ids.filter(pc.invert(pc.is_in(ids, value_set=pa.chunked_array(present, pa.int64()))))
    found: list[int] = []
    for id, body in audit.bodies(kind.table.name, without.to_pylist()):
        cleaned = kind.text(body)
        if cleaned and cleaned.text:
            found.append(id)
            if len(found) == _SOME:
                break
    what = kind.name.replace("_", " ").capitalize()
    more = " or more" if len(found) == _SOME else ""
    numbers = {f"stored_{kind.table.name}": len(ids), f"{kind.table.name}_with_text_and_no_chunk": len(found)}
    return Finding(f"{what}s with text and without a chunk: {len(found)}{more}.", len(found), tuple(found), numbers)
