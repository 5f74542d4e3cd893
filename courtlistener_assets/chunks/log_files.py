"""The files of the change log: one an entry, in the order of their numbers, and the compacted state.

    vector_inputs_changes/00000000000000000042.parquet              what an entry says (ENTRY_SCHEMA)
    vector_inputs_changes/compacted/00000000000000000040.parquet    all chunks that there were after it (STATE_SCHEMA)

The files hold ids and hashes, never text, which may be sealed.

Belongs here: names, columns, listing, reading and writing. Does not belong here: which entries there are
(`change_log.py`), what follows from them (`net.py`, `news.py`).
"""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from courtlistener_assets.chunks.files import Location, opened, publish, shown, staged, unreadable
from resources.errors import TooLate

_ABOUT: list[tuple[str, pa.DataType, str]] = [
    ("partition", pa.string(), "directories of the partition's file, such as court=ca9/month=2024-02"),
    ("doc_type", pa.string(), "kind of the chunk's document"),
    ("document_id", pa.int64(), "CourtListener's id of the document"),
    ("content_hash", pa.string(), "SHA-256 of the chunk's text, hex"),
    ("header_hash", pa.string(), "SHA-256 of its context_header, hex; another one needs another vector"),
]


def _schema(*columns: tuple[str, pa.DataType, str]) -> pa.Schema:
    id = pa.field("chunk_id", pa.string(), nullable=False, metadata={"description": "32 hex digits"})
    return pa.schema([id, *(pa.field(name, kind, metadata={"description": about}) for name, kind, about in columns)])


ENTRY_SCHEMA = _schema(("change", pa.string(), "added, reembed, relabelled, moved or removed"), *_ABOUT)
#: `partition` is the last that is known; the file of another one may be about to have the chunk.
STATE_SCHEMA = _schema(*_ABOUT)
_ROWS_A_GROUP = 10_000
_NAME = re.compile(r"(\d{20})\.parquet")


def log_dir(data_dir: Location) -> Location:
    """Where the entries are: beside the dataset, so that who reads that as a whole does not meet them."""
    return data_dir / "vector_inputs_changes"


def compacted_dir(data_dir: Location) -> Location:
    """Where the compacted state is."""
    return log_dir(data_dir) / "compacted"


def numbered(directory: Location, sequence: int) -> Location:
    """The file of a number."""
    return directory / f"{sequence:020}.parquet"


def numbers(directory: Location) -> list[int]:
    """The numbers of the files in a directory, in their order; none if there is no such directory."""
    if isinstance(directory, Path):
        names = [each.name for each in directory.iterdir()] if directory.is_dir() else []
    else:
        directory.fs.invalidate_cache()
        try:
            names = [each.rpartition("/")[2] for each in directory.fs.ls(directory.path, detail=False)]
        except FileNotFoundError:
            names = []
    return sorted(int(found[1]) for name in names if (found := _NAME.fullmatch(name)))


def entry_of(rows: Iterable[tuple[Any, ...]]) -> bytes:
    """Rows of ENTRY_SCHEMA as the content of a file."""
    sink = io.BytesIO()
    pq.write_table(_table(rows, ENTRY_SCHEMA), sink, compression="zstd")
    return sink.getvalue()


def put(content: bytes, location: Location) -> None:
    """Make a file, or replace it as a whole."""
    with staged(location) as file:
        file.write_bytes(content)
        publish(file, location)


def put_state(rows: Iterable[tuple[Any, ...]], data_dir: Location, sequence: int) -> None:
    """Write the state after an entry: rows of STATE_SCHEMA, by partition."""
    # The same staged name whatever the number, so that the next one finds what a killed worker has left.
    with staged(compacted_dir(data_dir) / "compacted.parquet") as file:
        with pq.ParquetWriter(file, STATE_SCHEMA, compression="zstd", write_page_checksum=True) as writer:
            for batch in batches(rows):
                writer.write_batch(batch)
        publish(file, numbered(compacted_dir(data_dir), sequence))


def batches(rows: Iterable[tuple[Any, ...]]) -> Iterator[pa.RecordBatch]:
    """Rows of STATE_SCHEMA as batches."""
    remaining = iter(rows)
    while group := list(itertools.islice(remaining, _ROWS_A_GROUP)):
        yield from _table(group, STATE_SCHEMA).to_batches()


def _table(rows: Iterable[tuple[Any, ...]], schema: pa.Schema) -> pa.Table:
    columns = list(zip(*rows, strict=True)) or [()] * len(schema)
    return pa.table(
        [pa.array(values, field.type) for values, field in zip(columns, schema, strict=True)], schema=schema
    )


def read(location: Location) -> Iterator[pa.RecordBatch]:
    """The rows of a file of the log; raises TooLate if it is gone or damaged."""
    try:
        with opened(location) as file:
            yield from file.iter_batches(_ROWS_A_GROUP)
    except unreadable(location) as error:
        raise TooLate(f"{shown(location)} cannot be read: {error}") from error


def read_partition(location: Location, partition: str) -> Iterator[pa.RecordBatch]:
    """Those of a state that are about a partition: no more of it is read; raises as `read` does."""
    column = STATE_SCHEMA.get_field_index("partition")
    try:
        with opened(location) as file:
            for group in range(file.num_row_groups):
                known: Any = file.metadata.row_group(group).column(column).statistics
                if known is None or not known.has_min_max or known.min <= partition <= known.max:
                    table = file.read_row_group(group)
                    yield from table.filter(pc.equal(table["partition"], pa.scalar(partition))).to_batches()
    except unreadable(location) as error:
        raise TooLate(f"{shown(location)} cannot be read: {error}") from error


def delete(location: Location) -> None:
    """Delete a file, unless another worker has done it."""
    with suppress(FileNotFoundError):
        location.unlink()
