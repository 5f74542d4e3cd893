"""Writing bulk files in the exact dialect of the server's COPY.

Belongs here: the form of a file. Does not belong here: what rows there are (`invented.py`).
"""

from __future__ import annotations

import bz2
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import date
from pathlib import Path

Value = str | int | bool | None
_SPECIAL = str.maketrans({"\\": "\\\\", '"': '\\"'})


def csv_of(columns: Sequence[str], rows: Iterable[Sequence[Value]]) -> Iterator[bytes]:
    """The lines of a file: its header, then one for each row."""
    yield (",".join(columns) + "\n").encode()
    for row in rows:
        yield (",".join(map(_quoted, row)) + "\n").encode()


def _quoted(value: Value) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return '"t"' if value else '"f"'
    return f'"{value.translate(_SPECIAL)}"' if isinstance(value, str) else f'"{value}"'


def write_table(
    folder: Path,
    name: str,
    day: date,
    columns: Sequence[str],
    rows: Iterable[Sequence[Value]],
    *,
    threads: int = 1,
    stream_bytes: int | None = None,
) -> Path:
    """Write a table's file into a folder; returns its path.

    The file is one stream, as bzip2 makes it, or with `stream_bytes` several of about that size, packed in parallel.
    """
    path = folder / f"{name}-{day.isoformat()}.csv.bz2"
    lines = csv_of(columns, rows)
    with path.open("wb") as file:
        if stream_bytes is None:
            packer = bz2.BZ2Compressor()
            for line in lines:
                file.write(packer.compress(line))
            file.write(packer.flush())
        else:
            for stream in _streams(lines, stream_bytes, threads):
                file.write(stream)
    return path


def _streams(lines: Iterable[bytes], stream_bytes: int, threads: int) -> Iterator[bytes]:
    with ThreadPoolExecutor(threads) as pool:
        packed: deque[Future[bytes]] = deque()
        for piece in _pieces(lines, stream_bytes):
            packed.append(pool.submit(bz2.compress, piece))
            if len(packed) > threads:
                yield packed.popleft().result()
        for each in packed:
            yield each.result()


def _pieces(lines: Iterable[bytes], stream_bytes: int) -> Iterator[bytes]:
    held: list[bytes] = []
    size = 0
    for line in lines:
        held.append(line)
        size += len(line)
        if size >= stream_bytes:
            yield b"".join(held)
            held, size = [], 0
    yield b"".join(held)
