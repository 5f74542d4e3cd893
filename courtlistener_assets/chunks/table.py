"""The chunk table: rows -> one Parquet file a partition, unless the file has them already.

Belongs here: the declared types of the columns, writing and reading files. Does not belong here: what a column's value
is (`rows.py`, `document.py`), what changed (`changes.py`), how a file is put in its place (`files.py`).
"""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from courtlistener_assets.chunks.change_log import ROWS_AN_ENTRY, PartitionTurn, Telling
from courtlistener_assets.chunks.changes import Diff, RowVersions
from courtlistener_assets.chunks.copies import Copies
from courtlistener_assets.chunks.files import Location, opened, publish, staged, unreadable
from resources.errors import UnusableRecord

#: In the metadata of a file: the budget of tokens that its chunks keep.
MAX_TOKENS = "max_tokens"
#: What the change log calls this very file.
_VERSION = "version"
_ROWS_A_GROUP = 2048
#: Their least and greatest values in a row group help no reader to pass over it, and would be the most of the footer.
_WITHOUT_STATISTICS = {
    *("chunk_id", "content_hash", "text", "context_header", "header_hash", "previous_chunk_id", "next_chunk_id"),
}

_FOOTNOTE = pa.struct([pa.field("label", pa.string(), nullable=False), pa.field("cited_in", pa.string())])
_COLUMNS: tuple[tuple[str, pa.DataType, bool, str], ...] = (
    ("chunk_id", pa.string(), False, "32 hex digits; the same for the same document, chunker version and text"),
    ("content_hash", pa.string(), False, "SHA-256 of text, hex; the same text in another document has the same"),
    ("text", pa.string(), False, "the chunk"),
    ("context_header", pa.string(), False, "case, citation, court, date, kind and author in one line; not in text"),
    ("header_hash", pa.string(), False, "SHA-256 of context_header, hex; with another one, embed the chunk again"),
    ("header_token_count", pa.int32(), False, "tokens of context_header"),
    ("char_start", pa.int64(), False, "where the chunk begins in the document's clean text, in characters"),
    ("char_end", pa.int64(), False, "where it ends, exclusive"),
    ("token_count", pa.int32(), False, "tokens of text, without context_header"),
    ("tokenizer", pa.string(), False, "name of the tokenizer that counted"),
    ("chunk_index", pa.int32(), False, "0 for the document's first chunk"),
    ("chunk_count", pa.int32(), False, "chunks of the document"),
    ("previous_chunk_id", pa.string(), True, "the document's chunk before; null for its first one"),
    ("next_chunk_id", pa.string(), True, "the document's chunk after; null for its last one"),
    ("page_start", pa.string(), True, "page on which it begins: star page, else printed number; null if unknown"),
    ("page_end", pa.string(), True, "page on which it ends"),
    ("headings", pa.list_(pa.string()), False, "headings that the chunk stands under, outermost first; may be empty"),
    ("is_footnote", pa.bool_(), False, "whether all of the chunk is footnotes"),
    ("footnotes", pa.list_(_FOOTNOTE), False, "footnotes that begin in the chunk, each with the chunk that cites it"),
    ("quality", pa.string(), False, "prose, table, authorities, signature or ocr_noise"),
    ("doc_type", pa.string(), False, "kind of the document, such as opinion or recap_document"),
    ("document_id", pa.int64(), False, "CourtListener's id of the document; with doc_type, it names one document"),
    ("docket_id", pa.int64(), True, "CourtListener's docket"),
    ("cluster_id", pa.int64(), True, "CourtListener's opinion cluster; null if the document belongs to none"),
    ("opinion_id", pa.int64(), True, "document_id of an opinion, null for others"),
    ("recap_document_id", pa.int64(), True, "document_id of a RECAP document, null for others"),
    ("court_id", pa.string(), False, "CourtListener's court, such as scotus"),
    ("case_name", pa.string(), False, "empty if unknown"),
    ("docket_number", pa.string(), False, "as the court writes it; empty if unknown"),
    ("date_filed", pa.date32(), True, "of the decision, the docket entry or the argument"),
    ("opinion_type", pa.string(), True, "CourtListener's code, such as 040dissent"),
    ("author_id", pa.int64(), True, "CourtListener's person"),
    ("precedential_status", pa.string(), True, "Published, Unpublished ..."),
    ("citations", pa.list_(pa.string()), False, "the case's own citations"),
    ("cites", pa.list_(pa.string()), True, "citations found in the chunk; null if none were looked for"),
    ("cites_clusters", pa.list_(pa.int64()), True, "clusters that cites resolve to; null if none were looked for"),
    ("text_source", pa.string(), False, "the API's field that the text was cleaned from"),
    ("ocr", pa.string(), True, "done, unnecessary, failed or needed"),
    ("source_sha1", pa.string(), True, "SHA-1 of the court's file, as CourtListener gives it"),
    ("source_date_modified", pa.timestamp("us", tz="UTC"), True, "when CourtListener last changed the document"),
    ("absolute_url", pa.string(), True, "path of the document's page on CourtListener"),
    ("chunker_version", pa.string(), False, "changes whenever the same text can give other chunks"),
    ("cleaner_version", pa.string(), False, "changes whenever the same field can give another text"),
    ("is_duplicate_of", pa.string(), True, "opinion:123 if the document is a copy or a version of that one"),
    ("duplicate_kind", pa.string(), True, "version, same_file, same_text, part or near_text; null if it is none"),
)  # fmt: skip

SCHEMA: pa.Schema = pa.schema(
    [
        pa.field(name, kind, nullable=nullable, metadata={"description": meaning})
        for name, kind, nullable, meaning in _COLUMNS
    ]
)


def write_partition(
    rows: Iterable[Mapping[str, Any]],
    path: Location,
    *,
    rows_a_group: int = _ROWS_A_GROUP,
    metadata: Mapping[str, str] | None = None,
    found: Callable[[], Mapping[str, str]] = dict,
    find_moves: Callable[[RowVersions], None] | None = None,
    telling: Telling | None = None,
    before: Callable[[], None] = lambda: None,
    copies: Copies | None = None,
) -> Diff:
    """Replace the partition's file at `path` by `rows`, unless it has them already; return the difference.

    Rows are written as they come, `rows_a_group` in memory at a time; the ids and digests of all rows are kept on disk
    while they are compared. `metadata` is kept in the file (`made_by`), and so is what was `found` when all rows have
    come; another one is a reason to write. Readers see the old file or the new one, never a part. `find_moves` may mark
    which of the chunks that are not there any more have moved. `before` is called when the file is about to be
    replaced.

    `telling` tells the difference in the change log, and what counts as there before is what the log has heard of the
    partition: that is the file, unless it is damaged, or a worker was killed. Without, a damaged file counts as absent,
    and so does a local one that cannot be read for any reason. With it, other partitions are told by `copies` which
    documents are here.

    Raises UnusableRecord, and leaves the old file, if two rows have the same chunk id; ValueError if one is not hex;
    OSError if a file that is not on this machine cannot be reached; Overtaken and StoreUnavailable as `Telling.turn`.
    """
    version = uuid.uuid4().hex
    with staged(path) as new_file, RowVersions.empty() as versions:
        made_now = _write_rows(
            rows, new_file, rows_a_group, lambda: {**(metadata or {}), **found(), _VERSION: version}, versions
        )
        with telling.turn() if telling else nullcontext() as turn:
            is_current = _read_before(path, rows_a_group, versions, _without_version(made_now), turn)
            if find_moves:
                find_moves(versions)
            diff = versions.diff()
            is_current = is_current and not diff
            if not is_current:
                before()
                publish(new_file, path)
            if turn and copies:  # The log is told last: its numbers are for one worker at a time.
                copies.tell(turn.connection)
            if is_current:
                return replace(diff, written=False)
            if turn:
                turn.tell(version, versions.changes(ROWS_AN_ENTRY))
    if telling:
        telling.log.write_files()
    return diff


def _write_rows(
    rows: Iterable[Mapping[str, Any]],
    file: Path,
    rows_a_group: int,
    metadata: Callable[[], dict[str, str]],
    versions: RowVersions,
) -> dict[str, str]:
    remaining = iter(rows)
    statistics = [name for name in SCHEMA.names if name not in _WITHOUT_STATISTICS]
    options: dict[str, Any] = {"compression": "zstd", "write_statistics": statistics, "write_page_checksum": True}
    with pq.ParquetWriter(file, SCHEMA, **options) as writer:
        while group := list(itertools.islice(remaining, rows_a_group)):
            batch = pa.RecordBatch.from_pylist(group, schema=SCHEMA)
            if not versions.add_after(batch):
                raise UnusableRecord("two rows have the same chunk id")
            writer.write_batch(batch)
        made_now = metadata()
        writer.add_key_value_metadata(made_now)
    return made_now


def _read_before(
    path: Location, rows_at_once: int, versions: RowVersions, metadata: Mapping[str, str], turn: PartitionTurn | None
) -> bool:
    """Read the rows that were there before; returns whether the file is the one that is known, and made like this."""
    made = _read_rows(path, rows_at_once, versions)
    if turn and not turn.describes((made or {}).get(_VERSION)):
        versions.forget_before(damaged=made is None)
        for batch in turn.state():
            versions.add_logged(batch)
        return False
    return made is not None and _without_version(made) == metadata


def _read_rows(path: Location, rows_at_once: int, versions: RowVersions) -> dict[str, str] | None:
    """Read the rows of the file that is there; returns its metadata, None if there is no readable one."""
    try:
        with opened(path) as file:
            names = file.schema_arrow.names
            # No text is compared, but a local one is read: damage to it is reason enough to write the file again.
            columns = names if isinstance(path, Path) else [name for name in names if name != "text"]
            for batch in file.iter_batches(rows_at_once, columns=columns):
                versions.add_before(batch)
            return _metadata(file)
    except unreadable(path):
        versions.forget_before(damaged=True)
        return None


def made_by(file: pq.ParquetFile) -> dict[str, str]:
    """The metadata that `write_partition` was given."""
    return _without_version(_metadata(file))


def _metadata(file: pq.ParquetFile) -> dict[str, str]:
    """Everything in the file's metadata that is not Arrow's own."""
    found: Mapping[bytes, bytes] = file.metadata.metadata or {}
    return {key.decode(): value.decode() for key, value in found.items() if not key.startswith(b"ARROW:")}


def _without_version(metadata: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in metadata.items() if key != _VERSION}
