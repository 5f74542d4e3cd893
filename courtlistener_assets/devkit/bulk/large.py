"""Bulk files of many gigabytes in minutes: one stream of bzip2, as the server's own, whose blocks come again.

To pack 20 GB takes half an hour. So some are packed, and their blocks are written as often as needed, each time at
another bit of the file: whoever reads them finds nothing of that, and has as much to do as with others. Only the ids of
rows come again.

Belongs here: that. Does not belong here: what rows there are (`invented.py`), the form of a row (`writing.py`).
"""

from __future__ import annotations

import bz2
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import IO

from courtlistener_assets.devkit.bulk.writing import Value, csv_of
from courtlistener_assets.download.bulk.bzip2 import CHECKSUM_BITS, END_MARK, MARK_BITS, Piece, cut

#: What fits into one block of bzip2, also if runs of four letters make it longer.
_BLOCK_BYTES = 880_000


def write_large(
    folder: Path,
    name: str,
    day: date,
    columns: Sequence[str],
    rows: Iterable[Sequence[Value]],
    *,
    times: int = 1,
    threads: int = 2,
) -> Path:
    """Write a table's file of these rows `times` times over, in one stream; returns its path."""
    path = folder / f"{name}-{day.isoformat()}.csv.bz2"
    with path.open("wb") as file:
        write_stream(file, _repeated(csv_of(columns, rows), times, threads))
    return path


def write_stream(file: IO[bytes], pieces: Iterable[Piece]) -> None:
    """Write blocks of bzip2, from wherever they are, as one stream."""
    stream = _Stream(file)
    for piece in pieces:
        stream.add(piece)
    stream.end()


def _repeated(lines: Iterator[bytes], times: int, threads: int) -> Iterator[Piece]:
    """The blocks of a file whose lines, but for the first one, come several times."""
    yield from _pieces_of(bz2.compress(next(lines)))
    packed = []
    for piece in _packed(lines, threads):
        yield piece
        if times > 1:
            packed.append(piece)
    for _ in range(times - 1):
        yield from packed


def _packed(lines: Iterable[bytes], threads: int) -> Iterator[Piece]:
    """The blocks of some lines, cut without regard to where one ends."""
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[bytes]] = deque()
        for some in _in_blocks(lines):
            waiting.append(pool.submit(bz2.compress, some))
            if len(waiting) > threads + 2:
                yield from _pieces_of(waiting.popleft().result())
        for each in waiting:
            yield from _pieces_of(each.result())


def _in_blocks(lines: Iterable[bytes]) -> Iterator[bytes]:
    held = bytearray()
    for line in lines:
        held += line
        while len(held) >= _BLOCK_BYTES:
            yield bytes(held[:_BLOCK_BYTES])
            del held[:_BLOCK_BYTES]
    if held:
        yield bytes(held)


def _pieces_of(packed: bytes) -> list[Piece]:
    return [piece for piece in cut([packed]) if isinstance(piece, Piece)]


@dataclass
class _Stream:
    """A stream of bzip2 that is written block by block, each at whatever bit the one before has ended."""

    file: IO[bytes]
    _left: int = int.from_bytes(b"BZh9", "big")
    _length: int = 32
    _checksum: int = 0

    def add(self, piece: Piece) -> None:
        rotated = (self._checksum << 1 | self._checksum >> 31) & 0xFFFFFFFF
        self._checksum = rotated ^ piece.checksum
        self._write(piece.bits, piece.length)

    def end(self) -> None:
        self._write(END_MARK << CHECKSUM_BITS | self._checksum, MARK_BITS + CHECKSUM_BITS)
        self._write(0, -self._length % 8)

    def _write(self, bits: int, length: int) -> None:
        self._left, self._length = self._left << length | bits, self._length + length
        more = self._length % 8
        self.file.write((self._left >> more).to_bytes(self._length // 8, "big"))
        self._left, self._length = self._left & ((1 << more) - 1), more
