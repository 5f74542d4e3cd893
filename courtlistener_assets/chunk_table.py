"""The chunk table: rows -> one Parquet file a partition, and what changed since the file that was there before.

Belongs here: the declared types of the columns, writing and comparing files. Does not belong here: what a column's
value is (`chunk_rows.py`, `chunk_document.py`), how a file comes to its place (`chunk_files.py`).
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from courtlistener_assets.chunk_document import Document
from courtlistener_assets.chunk_files import Location, opened, publish, staged
from courtlistener_assets.chunk_rows import Tally, chunk_id, partition_rows, rows_of
from resources.errors import UnusableRecord

__all__ = [
    "CHANGES_SCHEMA",
    "MAX_TOKENS",
    "SCHEMA",
    "Diff",
    "Document",
    "Tally",
    "changes_path",
    "chunk_id",
    "made_by",
    "partition_rows",
    "rows_of",
    "write_partition",
]

#: In the metadata of a file: the budget of tokens that its chunks keep.
MAX_TOKENS = "max_tokens"
_ROWS_A_GROUP = 2048
_CHANGES_A_GROUP = 65_536
#: A chunk id while files are compared: half the memory of its hex digits.
_ID: Any = pa.binary(16)

_COLUMNS: tuple[tuple[str, pa.DataType, bool, str], ...] = (
    ("chunk_id", pa.string(), False, "32 hex digits; the same for the same document, chunker version and text"),
    ("content_hash", pa.string(), False, "SHA-256 of text, hex; the same text in another document has the same"),
    ("text", pa.string(), False, "the chunk"),
    ("context_header", pa.string(), False, "case, citation, court, date, kind and author in one line; not in text"),
    ("char_start", pa.int64(), False, "where the chunk begins in the document's clean text, in characters"),
    ("char_end", pa.int64(), False, "where it ends, exclusive"),
    ("token_count", pa.int32(), False, "tokens of text, without context_header"),
    ("tokenizer", pa.string(), False, "name of the tokenizer that counted"),
    ("chunk_index", pa.int32(), False, "0 for the document's first chunk"),
    ("chunk_count", pa.int32(), False, "chunks of the document"),
    ("doc_type", pa.string(), False, "opinion or recap_document"),
    ("docket_id", pa.int64(), True, "CourtListener's docket"),
    ("cluster_id", pa.int64(), True, "CourtListener's opinion cluster; null for RECAP documents"),
    ("opinion_id", pa.int64(), True, "null for RECAP documents"),
    ("recap_document_id", pa.int64(), True, "null for opinions"),
    ("court_id", pa.string(), False, "CourtListener's court, such as scotus"),
    ("case_name", pa.string(), False, "empty if unknown"),
    ("docket_number", pa.string(), False, "as the court writes it; empty if unknown"),
    ("date_filed", pa.date32(), True, "of the decision or the docket entry"),
    ("opinion_type", pa.string(), True, "CourtListener's code, such as 040dissent"),
    ("author_id", pa.int64(), True, "CourtListener's person"),
    ("precedential_status", pa.string(), True, "Published, Unpublished ..."),
    ("citations", pa.list_(pa.string()), False, "the case's own citations"),
    ("cites", pa.list_(pa.string()), True, "citations found in the chunk; null if none were looked for"),
    ("text_source", pa.string(), False, "the API's field that the text was cleaned from"),
    ("ocr", pa.string(), True, "done, unnecessary, failed or needed"),
    ("source_sha1", pa.string(), True, "SHA-1 of the court's file, as CourtListener gives it"),
    ("source_date_modified", pa.timestamp("us", tz="UTC"), True, "when CourtListener last changed the document"),
    ("absolute_url", pa.string(), True, "path of the document's page on CourtListener"),
    ("chunker_version", pa.string(), False, "changes whenever the same text can give other chunks"),
    ("cleaner_version", pa.string(), False, "changes whenever the same field can give another text"),
    ("is_duplicate_of", pa.string(), True, "opinion:123 if the document is a copy or a version of that one"),
    ("duplicate_kind", pa.string(), True, "version, same_file, same_text or near_text; null if is_duplicate_of is"),
)  # fmt: skip

SCHEMA: pa.Schema = pa.schema(
    [
        pa.field(name, kind, nullable=nullable, metadata={"description": meaning})
        for name, kind, nullable, meaning in _COLUMNS
    ]
)
CHANGES_SCHEMA: pa.Schema = pa.schema(
    [pa.field("chunk_id", pa.string(), nullable=False), pa.field("change", pa.string(), nullable=False)]
)


@dataclass(frozen=True)
class Diff:
    """What a partition's file has that the one before had not, by chunk id.

    `updated` chunks have the same text and other metadata: a vector store keeps their vectors. `written` is False if
    nothing changed and the file was left alone.
    """

    added: list[str]
    removed: list[str]
    unchanged: int
    updated: list[str] = field(default_factory=list)
    written: bool = True

    @property
    def rows(self) -> int:
        """Rows of the partition now."""
        return len(self.added) + len(self.updated) + self.unchanged

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.updated)


def changes_path(path: Location) -> Location:
    """Where the change that made the file at `path` is written: `chunks.parquet` -> `_chunks.changes.parquet`.

    Readers of whole directories pass over names that begin with an underscore.
    """
    return path.with_name(f"_{path.stem}.changes.parquet")


def write_partition(
    rows: Iterable[Mapping[str, Any]],
    path: Location,
    *,
    rows_a_group: int = _ROWS_A_GROUP,
    metadata: Mapping[str, str] | None = None,
) -> Diff:
    """Replace the partition's file at `path` by `rows`, unless it has them already; return the difference.

    Rows are written as they come, `rows_a_group` in memory at a time; of all rows only ids and digests are held, at
    most 300 bytes a row. `metadata` is kept in the file (`made_by`); another one is a reason to write. Readers see the
    old file or the new one, never a part. The change is written beside it first (`changes_path`, columns of
    CHANGES_SCHEMA). A file that cannot be read counts as absent.

    Raises UnusableRecord, and leaves the old file, if two rows have the same chunk id; ValueError if one is not hex.
    """
    with staged(path) as new_file:
        new = _write_rows(rows, new_file, rows_a_group, metadata or {})
        if pc.count_distinct(new.ids).as_py() != len(new.ids):
            raise UnusableRecord(f"{path.name}: two rows have the same chunk id")
        diff = _difference(_read_keys(path), new)
        if not diff.written:
            return diff
        with staged(changes_path(path)) as changes_file:
            _write_changes(diff, changes_file)
            publish(changes_file, changes_path(path))
        publish(new_file, path)
    return diff


# --- keys: what is kept of every row to compare files ----------------------------------------------------------------


@dataclass(frozen=True)
class _Keys:
    ids: pa.ChunkedArray[Any]
    digests: pa.ChunkedArray[Any]
    metadata: dict[str, str]


def _keys(batches: Iterable[pa.RecordBatch], metadata: Mapping[str, str]) -> _Keys:
    ids: list[pa.Array[Any]] = []
    digests: list[pa.Array[Any]] = []
    for batch in batches:
        ids.append(pa.array([bytes.fromhex(str(chunk_id)) for chunk_id in batch.column("chunk_id").to_pylist()], _ID))
        digests.append(pa.array(map(_row_digest, _without_text(batch).to_pylist()), pa.uint64()))
    return _Keys(pa.chunked_array(ids, _ID), pa.chunked_array(digests, pa.uint64()), dict(metadata))


def _without_text(batch: pa.RecordBatch) -> pa.RecordBatch:
    """All columns but the text, which content_hash stands for."""
    return batch.select([name for name in batch.schema.names if name != "text"])


def _row_digest(row: dict[str, Any]) -> int:
    return int.from_bytes(hashlib.blake2b(json.dumps(row, default=str).encode(), digest_size=8).digest(), "big")


def _read_keys(path: Location) -> _Keys | None:
    try:
        with opened(path) as source, pq.ParquetFile(source) as file:
            columns = [name for name in file.schema_arrow.names if name != "text"]
            return _keys(file.iter_batches(_ROWS_A_GROUP, columns=columns), made_by(file))
    except (FileNotFoundError, pa.ArrowInvalid, KeyError, ValueError):
        return None


def made_by(file: pq.ParquetFile) -> dict[str, str]:
    """The metadata that `write_partition` was given: everything in the file's metadata that is not Arrow's own."""
    found: Mapping[bytes, bytes] = file.metadata.metadata or {}
    return {key.decode(): value.decode() for key, value in found.items() if not key.startswith(b"ARROW:")}


def _difference(old: _Keys | None, new: _Keys) -> Diff:
    if old is None:
        return Diff(_listed(new.ids), [], 0)
    place: Any = pc.index_in(new.ids, value_set=old.ids)
    known: Any = pc.is_valid(place)
    after: Any = new.digests
    before: Any = old.digests.take(place)
    same: Any = pc.fill_null(pc.equal(before, after), False)
    kept: Any = pc.is_in(old.ids, value_set=new.ids)
    added = _listed(new.ids.filter(pc.invert(known)))
    updated = _listed(new.ids.filter(pc.and_(known, pc.invert(same))))
    removed = _listed(old.ids.filter(pc.invert(kept)))
    written = bool(added or removed or updated or new.metadata != old.metadata)
    return Diff(added, removed, len(new.ids) - len(added) - len(updated), updated, written)


def _listed(ids: pa.ChunkedArray[Any]) -> list[str]:
    # A part at a time: of a large partition, all ids at once as bytes beside their hex digits would be too much.
    return [binary_id.hex() for part in ids.chunks for binary_id in part.to_pylist() if binary_id]


# --- files -----------------------------------------------------------------------------------------------------------


def _write_rows(rows: Iterable[Mapping[str, Any]], file: Path, rows_a_group: int, metadata: Mapping[str, str]) -> _Keys:
    def written(writer: pq.ParquetWriter) -> Iterator[pa.RecordBatch]:
        remaining = iter(rows)
        while group := list(itertools.islice(remaining, rows_a_group)):
            batch = pa.RecordBatch.from_pylist(group, schema=SCHEMA)
            writer.write_batch(batch)
            yield batch

    with pq.ParquetWriter(file, SCHEMA, compression="zstd") as writer:
        writer.add_key_value_metadata(dict(metadata))
        return _keys(written(writer), metadata)


def _write_changes(diff: Diff, file: Path) -> None:
    with pq.ParquetWriter(file, CHANGES_SCHEMA, compression="zstd") as writer:
        for kind, ids in (("added", diff.added), ("removed", diff.removed), ("updated", diff.updated)):
            for start in range(0, len(ids), _CHANGES_A_GROUP):
                part = ids[start : start + _CHANGES_A_GROUP]
                writer.write_table(pa.table([part, [kind] * len(part)], schema=CHANGES_SCHEMA))
