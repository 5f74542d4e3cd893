r"""The CSV of bulk files: rows cut out of a stream of bytes, and read by pyarrow.

Every value is quoted, `\"` and `\\` stand for a quotation mark and a backslash in it, NULL is bare and the empty
string is `""`. So a newline followed by a quotation mark begins a row, unless it ends a value, and then a comma or a
newline follows: no more context is needed to find where a row begins.

Belongs here: the dialect, and going on in the middle of a file. Does not belong here: bzip2, what columns mean.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as compute
import pyarrow.csv as pc

from courtlistener_assets.download.bulk.bzip2 import Block, Place, blocks
from courtlistener_assets.download.bulk.source import BulkSource, DumpFile
from resources.errors import DumpChanged, DumpDamaged

#: Rows are handed to pyarrow in pieces of about this size.
PIECE_BYTES = 8 << 20
#: A longer row is none: the quotation mark that ends a value is missing.
_LONGEST_ROW = 64 << 20
_BEGIN = b'\n"'
_ESCAPE = ord("\\")
#: Also of files whose lines somebody has made to end as on Windows.
_AFTER_VALUE = b",\r\n"
#: A row begins with a value, or with NULL.
_FIRST = b'",'


@dataclass(frozen=True)
class Mark:
    """A place between two rows: a block, and how many of its bytes come before."""

    block: Place = field(default_factory=Place)
    skip: int = 0

    @property
    def raw(self) -> int:
        """How many bytes of the file, unpacked, come before."""
        return self.block.raw + self.skip


@dataclass(frozen=True)
class Rows:
    """Some rows as text (null is NULL), and where the next ones begin; `packed` bytes of the file come before that.

    `seen` is how many were looked at, `keys` what of all of these was read to choose, if some were chosen.
    """

    table: pa.Table
    end: Mark
    seen: int
    keys: pa.Table | None = None

    @property
    def packed(self) -> int:
        return self.end.block.bit // 8


class BulkTable:
    """The rows of one file, from any mark on.

    `needed` are the columns that must be there; others are kept. `threads` unpack. Raises what `rows` raises for a file
    that is not what it should be.
    """

    def __init__(self, source: BulkSource, file: DumpFile, needed: Sequence[str], *, threads: int = 2) -> None:
        self._source, self._file, self._threads = source, file, threads
        with self._named():
            self.columns, self._first = self._header()
            missing = [name for name in needed if name not in self.columns]
        if missing:
            raise DumpChanged(f"{file.path} lacks the columns {', '.join(missing)}")

    def rows(
        self,
        start: Mark | None = None,
        *,
        columns: Sequence[str] | None = None,
        wanted: Callable[[pa.Table], pa.BooleanArray] | None = None,
        keys: Sequence[str] = (),
    ) -> Iterator[Rows]:
        """Read all rows, or those from a mark on; of `columns` only, if they are given.

        With `wanted`, only rows for which it is true of their `keys`: what else they hold is read only where some are.
        A piece without any is yielded all the same, for its mark. Raises DumpDamaged, DumpChanged, DumpUnavailable.
        """
        with self._named():
            for data, end in self._pieces(start or Mark(skip=self._first)):
                if wanted is None:
                    table = self._whole(data, columns or self.columns)
                    yield Rows(table, end, table.num_rows)
                    continue
                looked_at = self._parsed(data, keys)
                chosen = wanted(looked_at)
                yield Rows(self._chosen(data, chosen, columns or self.columns), end, len(chosen), looked_at)

    def _chosen(self, data: bytes, chosen: pa.BooleanArray, columns: Sequence[str]) -> pa.Table:
        """The chosen ones of some rows: only these are parsed, wherever it is clear where each begins."""
        if not compute.any(chosen).as_py():
            return self._whole(b"", columns)
        begins = _row_begins(data)
        if len(begins) != len(chosen):
            return self._whole(data, columns).filter(chosen)
        ends = [*begins[1:], len(data)]
        wanted = np.flatnonzero(chosen.to_numpy(zero_copy_only=False)).tolist()
        return self._whole(b"".join(data[begins[each] : ends[each]] for each in wanted), columns)

    def _whole(self, data: bytes, columns: Sequence[str]) -> pa.Table:
        """Rows that are kept: pyarrow alone would read a value with doubled quotation marks as another value."""
        if (at := _unescaped(data)) is not None:
            said = data[max(0, at - 30) : at + 30].decode(errors="replace")
            raise DumpChanged(f"{self._file.path}: a quotation mark in a value is not escaped by a backslash: {said!r}")
        return self._parsed(data, columns)

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Name the file in what is raised."""
        try:
            yield
        except DumpDamaged as error:
            text = str(error)
            raise error if self._file.path in text else DumpDamaged(f"{self._file.path}: {text}") from error

    def _blocks(self, start: Place) -> Iterator[Block]:
        return blocks(self._source.chunks(self._file, start.bit // 8), start, self._threads)

    def _header(self) -> tuple[list[str], int]:
        """The names of the columns, and where the first row begins."""
        text = b""
        with closing(self._blocks(Place())) as unpacked:  # type: ignore[type-var]
            for block in unpacked:
                text += block.data
                if b"\n" in text or len(text) > 1 << 20:
                    break
        line, newline, rest = text.partition(b"\n")
        if not newline:
            raise DumpDamaged("it has no header" if len(text) > 1 << 20 else "it ends within its header")
        if rest and rest[0] not in _FIRST:
            raise DumpChanged(f"{self._file.path}: its values are not quoted, as they have been since 2024")
        names = [name.strip().strip('"') for name in line.decode(errors="replace").split(",")]
        if len(set(names)) < len(names) or not all(names):
            raise DumpChanged(f"{self._file.path}: {line[:200]!r} names no columns")
        return names, len(line) + 1

    def _pieces(self, start: Mark) -> Iterator[tuple[bytes, Mark]]:
        """Whole rows, and the mark behind them."""
        rest, begins, skip, searched = bytearray(), start.raw, start.skip, 0
        unpacked: deque[Place] = deque()
        with closing(self._blocks(start.block)) as stream:  # type: ignore[type-var]
            for block in stream:
                unpacked.append(block.place)
                rest += block.data[skip:]
                skip = max(0, skip - len(block.data))
                if len(rest) < PIECE_BYTES:
                    continue
                cut = _last_row(rest, searched)
                if not cut:
                    searched = len(rest)
                    if len(rest) > _LONGEST_ROW:
                        raise DumpDamaged(f"the row at byte {begins:,} (unpacked) does not end")
                    continue
                data, begins, searched = bytes(rest[:cut]), begins + cut, 0
                del rest[:cut]
                while len(unpacked) > 1 and unpacked[1].raw <= begins:
                    unpacked.popleft()
                yield data, Mark(unpacked[0], begins - unpacked[0].raw)
        if rest:
            if not rest.endswith(b"\n"):
                raise DumpDamaged(f"it ends within the row at byte {begins + _last_row(rest):,} (unpacked)")
            yield bytes(rest), Mark(unpacked[-1], begins + len(rest) - unpacked[-1].raw)

    def _parsed(self, data: bytes, columns: Sequence[str]) -> pa.Table:
        if not data:
            return pa.table({name: pa.array([], pa.string()) for name in columns})
        try:
            return pc.read_csv(
                pa.BufferReader(data),  # type: ignore[arg-type]  # Only paths and Python's own files, say the stubs.
                pc.ReadOptions(column_names=self.columns, block_size=len(data) + 1, use_threads=False),
                pc.ParseOptions(escape_char="\\", double_quote=False, newlines_in_values=True),
                pc.ConvertOptions(
                    column_types=dict.fromkeys(self.columns, pa.string()),
                    include_columns=list(columns),
                    null_values=[""],
                    strings_can_be_null=True,
                    quoted_strings_can_be_null=False,
                ),
            )
        except pa.ArrowInvalid as error:
            raise DumpDamaged(f"its rows cannot be read: {str(error)[:300]}") from error


def _last_row(data: bytes | bytearray, searched: int = 0) -> int:
    """Where the last row that begins in these bytes does; 0 if none does behind their beginning.

    The first `searched` bytes are known to have none.
    """
    at, first = len(data) - 1, max(0, searched - len(_BEGIN))  # What follows must be known.
    while (at := data.rfind(_BEGIN, first, at)) >= 0:
        if at + 2 < len(data) and data[at + 2] not in _AFTER_VALUE:
            return at + 1
    return 0


def _row_begins(data: bytes) -> list[int]:
    """Where each row begins, if none has NULL in its first column."""
    inside = np.frombuffer(data, dtype=np.uint8)
    newlines = np.flatnonzero(inside[:-2] == _BEGIN[0])
    after = inside[newlines + 2]
    rows = (inside[newlines + 1] == _BEGIN[1]) & ~np.isin(after, list(_AFTER_VALUE))
    return [0, *(newlines[rows] + 1).tolist()]


def _unescaped(data: bytes) -> int | None:
    """Where a quotation mark stands that neither begins nor ends a value nor is escaped; None if there is none."""
    inside = np.frombuffer(b"\n\n" + data + b"\n", dtype=np.uint8)
    marks = np.flatnonzero(inside == _BEGIN[1])
    odd = ~np.isin(inside[marks - 1], list(b",\n")) & ~np.isin(inside[marks + 1], list(_AFTER_VALUE))
    # Nearly all of these have one backslash before them.
    odd &= ~((inside[marks - 1] == _ESCAPE) & (inside[marks - 2] != _ESCAPE))
    for at in (marks[odd] - 2).tolist():
        first = at
        while first and data[first - 1] == _ESCAPE:
            first -= 1
        if (at - first) % 2 == 0:
            return int(at)
    return None
