"""Bzip2 read in parallel and from any block on: the blocks of a file in their order, each with its place.

A file is cut between its blocks, which begin with a mark of 48 bits, at any bit; each is unpacked by itself, as a file
of one block, by the interpreter's own bzip2 in a thread. That takes as much time of a core as the libraries that do the
same (docs/bulk.md), needs none of them, and goes on from a place without an index of what comes before.

Belongs here: the format. Does not belong here: where bytes come from (`source.py`), what they mean (`dialect.py`).
"""

from __future__ import annotations

import bz2
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np

from resources.errors import DumpDamaged

BLOCK_MARK, END_MARK = 0x314159265359, 0x177245385090
MARK_BITS, CHECKSUM_BITS = 48, 32
#: The header of a file, and of every stream in one that several were joined to.
_HEADER_BITS = 32
_LEVELS = b"123456789"
#: No block is nearly as large: 900,000 bytes that cannot be packed, and their tables.
_LONGEST_BITS = 8 * 10_000_000
#: A block's mark may stand in its data by chance: once in a thousand files of 60 GB. More than one in a row never does.
_MOST_JOINED = 3


@dataclass(frozen=True)
class Place:
    """The beginning of a block: its first bit in the file, the bytes unpacked before it, and their stream's checksum.

    The checksum is that of the blocks before it in the same stream, 0 at its beginning.
    """

    bit: int = 0
    raw: int = 0
    checksum: int = 0


@dataclass(frozen=True)
class Block:
    """Bytes, and where their block begins."""

    place: Place
    data: bytes


@dataclass(frozen=True)
class Piece:
    """What stands between two marks: bits from the first one to before the second."""

    bit: int
    length: int
    bits: int

    @property
    def checksum(self) -> int:
        return self.bits >> (self.length - MARK_BITS - CHECKSUM_BITS) & 0xFFFFFFFF

    def joined(self, other: Piece) -> Piece:
        return Piece(self.bit, self.length + other.length, self.bits << other.length | other.bits)

    def unpacked(self) -> bytes:
        """The bytes of the block; raises OSError or ValueError if it is none."""
        # The checksum of a stream of one block is that of the block.
        bits = ((self.bits << MARK_BITS) | END_MARK) << CHECKSUM_BITS | self.checksum
        length = self.length + MARK_BITS + CHECKSUM_BITS
        padding = -length % 8
        return bz2.decompress(b"BZh9" + (bits << padding).to_bytes((length + padding) // 8, "big"))


@dataclass(frozen=True)
class StreamEnd:
    """The end of a stream: its mark's first bit, and the checksum of all its blocks."""

    bit: int
    checksum: int


def cut(chunks: Iterable[bytes], start: Place | None = None) -> Iterator[Piece | StreamEnd]:
    """Cut a file, or what comes from a place on, between its blocks; raises DumpDamaged as `blocks` does."""
    return _Cutter(iter(chunks), start or Place()).pieces()


def blocks(chunks: Iterable[bytes], start: Place, threads: int) -> Iterator[Block]:
    """Yield the blocks from a place on; `chunks` are the file's bytes from `start.bit // 8` on, in pieces of any size.

    At most `threads` + 2 blocks are in memory. Raises DumpDamaged for what is no bzip2, is damaged, or is cut.
    """
    with ThreadPoolExecutor(threads, "bzip2") as pool:
        waiting: deque[tuple[Piece, Future[bytes]] | StreamEnd] = deque()
        order = _Order(start)
        try:
            for found in cut(chunks, start):
                waiting.append((found, pool.submit(found.unpacked)) if isinstance(found, Piece) else found)
                if len(waiting) > threads + 1:
                    yield from order.next(waiting)
            while waiting:
                yield from order.next(waiting)
        finally:
            for each in waiting:
                if isinstance(each, tuple):
                    each[1].cancel()


@dataclass
class _Order:
    """Takes unpacked pieces in their order, and checks that they belong together; `at` is the next one's place."""

    at: Place

    def next(self, waiting: deque[tuple[Piece, Future[bytes]] | StreamEnd]) -> Iterator[Block]:
        found = waiting.popleft()
        if isinstance(found, StreamEnd):
            if found.checksum != self.at.checksum:
                raise DumpDamaged(f"the checksum at byte {found.bit // 8:,} does not fit what comes before it")
            self.at = Place(self.at.bit, self.at.raw, 0)
            return
        piece, unpacked = found
        try:
            data = unpacked.result()
        except (OSError, ValueError):
            piece, data = _joined(piece, waiting)
        place = Place(piece.bit, self.at.raw, self.at.checksum)
        rotated = (self.at.checksum << 1 | self.at.checksum >> 31) & 0xFFFFFFFF
        self.at = Place(piece.bit, self.at.raw + len(data), rotated ^ piece.checksum)
        yield Block(place, data)


def _joined(piece: Piece, waiting: deque[tuple[Piece, Future[bytes]] | StreamEnd]) -> tuple[Piece, bytes]:
    """A block that was cut at what only looked like a mark: its piece with those that follow."""
    damaged = DumpDamaged(f"the block at byte {piece.bit // 8:,} is damaged")
    for _ in range(_MOST_JOINED):
        if not waiting or isinstance(waiting[0], StreamEnd):
            break
        piece = piece.joined(waiting.popleft()[0])  # type: ignore[index]
        with suppress(OSError, ValueError):
            return piece, piece.unpacked()
    raise damaged


@dataclass
class _Cutter:
    """Finds the marks in the bytes of a file, and cuts it there."""

    chunks: Iterator[bytes]
    start: Place
    _buffer: bytes = b""
    _first: int = field(init=False)  # The place of the buffer's first byte in the file.
    _over: bool = False
    _marks: deque[tuple[int, bool]] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self._first = self.start.bit // 8

    def pieces(self) -> Iterator[Piece | StreamEnd]:
        at: int | None = self.start.bit
        if at == 0:
            at = self._stream_begins(0)
        while at is not None:
            end, is_end = self._next_mark(at + MARK_BITS) if not self._is_at(at, END_MARK) else (at, True)
            if end > at:
                yield Piece(at, end - at, self._bits(at, end))
            if is_end:
                yield StreamEnd(end, self._bits(end + MARK_BITS, end + MARK_BITS + CHECKSUM_BITS))
                at = self._stream_begins((end + MARK_BITS + CHECKSUM_BITS + 7) // 8)
            else:
                at = end
            if at is not None:
                self._forget(at // 8)

    def _stream_begins(self, byte: int) -> int | None:
        """Return the bit at which a stream's first block begins, None if the file ends here."""
        self._need(byte + 10)
        head = self._buffer[byte - self._first :][:4]
        if not head and byte:
            return None
        if len(head) < 4:
            raise DumpDamaged(f"it is cut at byte {byte + len(head):,}" if byte else "it is empty")
        if not _is_header(head):
            raise DumpDamaged("it is no bzip2 file" if byte == 0 else f"at byte {byte:,} something else begins")
        at = 8 * byte + _HEADER_BITS
        if not (self._is_at(at, BLOCK_MARK) or self._is_at(at, END_MARK)):
            raise DumpDamaged(f"no block begins at byte {byte + 4:,}")
        return at

    def _next_mark(self, bit: int) -> tuple[int, bool]:
        """The next mark from a bit on, and whether it ends a stream; raises DumpDamaged if the file ends before."""
        while True:
            while self._marks:
                at, is_end = self._marks.popleft()
                if at >= bit and (not is_end or self._really_ends(at)):
                    return at, is_end
            if self._over:
                raise DumpDamaged(f"it is cut at byte {self._first + len(self._buffer):,}")
            if 8 * (self._first + len(self._buffer)) - bit > _LONGEST_BITS:
                raise DumpDamaged(f"the block at byte {bit // 8:,} does not end")
            self._read()

    def _really_ends(self, bit: int) -> bool:
        """Whether a stream ends here: behind its end the file ends, or another begins."""
        byte = (bit + MARK_BITS + CHECKSUM_BITS + 7) // 8
        self._need(byte + 4)
        if byte > self._first + len(self._buffer):
            raise DumpDamaged(f"it is cut at byte {self._first + len(self._buffer):,}")
        behind = self._buffer[byte - self._first :][:4]
        return not behind or len(behind) < 4 or _is_header(behind)

    def _is_at(self, bit: int, mark: int) -> bool:
        self._need((bit + MARK_BITS + 7) // 8)
        if bit + MARK_BITS > 8 * (self._first + len(self._buffer)):
            return False
        return self._bits(bit, bit + MARK_BITS) == mark

    def _bits(self, start: int, end: int) -> int:
        first, last = start // 8, (end + 7) // 8
        whole = int.from_bytes(self._buffer[first - self._first : last - self._first], "big")
        return whole >> (8 * last - end) & ((1 << (end - start)) - 1)

    def _need(self, byte: int) -> None:
        while not self._over and self._first + len(self._buffer) < byte:
            self._read()

    def _read(self) -> None:
        chunk = next(self.chunks, b"")
        known = max(0, 8 * len(self._buffer) - MARK_BITS + 1)
        self._buffer += chunk
        self._over = not chunk
        self._marks.extend((8 * self._first + bit, is_end) for bit, is_end in _marks(self._buffer, known))

    def _forget(self, byte: int) -> None:
        """Drop the bytes before this one, once they are many."""
        if byte - self._first > 4_000_000:
            self._buffer = self._buffer[byte - self._first :]
            self._first = byte


def _is_header(head: bytes) -> bool:
    return head[:3] == b"BZh" and head[3] in _LEVELS


def _patterns() -> dict[bytes, list[tuple[int, int, bool]]]:
    """By the five whole bytes that a mark has at each of the eight shifts: the shift, the mark, whether it ends."""
    found: dict[bytes, list[tuple[int, int, bool]]] = {}
    for mark, is_end in ((BLOCK_MARK, False), (END_MARK, True)):
        for shift in range(8):
            whole = (mark << (8 - shift)).to_bytes(7, "big")
            found.setdefault(whole[1:6], []).append((shift, mark, is_end))
    return found


_PATTERNS = _patterns()
#: Of each two bytes, whether one of the patterns begins with them.
_BEGINS = np.zeros(1 << 16, dtype=np.bool_)
_BEGINS[[int.from_bytes(inner[:2], "big") for inner in _PATTERNS]] = True


def _marks(data: bytes, from_bit: int) -> list[tuple[int, bool]]:
    """The marks in bytes from a bit on, in their order, and whether each ends a stream."""
    first = from_bit // 8
    inside = np.frombuffer(data, dtype=np.uint8)[first:]
    pairs = inside[:-1].astype(np.uint16) << 8 | inside[1:]
    found = []
    for at in (np.flatnonzero(_BEGINS[pairs]) + first).tolist():
        # The first and the last byte of a mark, which it shares with its neighbours, are looked at afterwards.
        for shift, mark, is_end in _PATTERNS.get(data[at : at + 5], ()) if at else ():
            bits = int.from_bytes(data[at - 1 : at + 6].ljust(7, b"\0"), "big") >> (8 - shift) & ((1 << MARK_BITS) - 1)
            bit = 8 * (at - 1) + shift
            if bits == mark and bit >= from_bit and bit + MARK_BITS <= 8 * len(data):
                found.append((bit, is_end))
    return found
