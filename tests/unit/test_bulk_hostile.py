"""Bulk files that somebody made as bad as they can be: read as a slow reader that can hardly be wrong reads them."""

from __future__ import annotations

import bz2
import random
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as compute
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from courtlistener_assets.devkit.bulk.invented import COLUMNS, Invented, Size, write_rows
from courtlistener_assets.devkit.bulk.large import write_stream
from courtlistener_assets.download.bulk import dialect
from courtlistener_assets.download.bulk.bzip2 import Piece, cut
from courtlistener_assets.download.bulk.dialect import BulkTable
from courtlistener_assets.download.bulk.source import BulkSource
from courtlistener_assets.download.bulk.work import Workshop
from resources.errors import DumpChanged, DumpDamaged
from tests.bulk_files import DAY, EVERYTHING, all_bodies, objects_of, passes_of

Values = tuple[str | None, ...]
NAME = f"things-{DAY}.csv.bz2"


def slow(raw: bytes) -> list[Values]:
    """Read what is below a header, byte by byte, as Postgres writes it."""
    rows: list[Values] = []
    row: list[str | None] = []
    value: bytearray | None = None
    at = raw.index(b"\n") + 1
    while at < len(raw):
        if raw[at] == ord('"'):
            value, at = bytearray(), at + 1
            while raw[at] != ord('"'):
                at += raw[at] == ord("\\")
                value.append(raw[at])
                at += 1
            at += 1
        row.append(None if value is None else value.decode())
        value = None
        at += raw[at : at + 2] == b"\r\n"
        if raw[at] == ord("\n"):
            rows.append(tuple(row))
            row = []
        else:
            assert raw[at] == ord(",")
        at += 1
    assert row == []
    return rows


def quoted(value: str | None) -> str:
    return "" if value is None else '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def csv(columns: tuple[str, ...], rows: list[Values], newline: str = "\n") -> bytes:
    return "".join(",".join(each) + newline for each in [columns, *(map(quoted, row) for row in rows)]).encode()


def streams(raw: bytes, ends: list[int]) -> bytes:
    """Packed as several streams, as pbzip2 does."""
    places = [0, *sorted({end for end in ends if 0 < end < len(raw)}), len(raw)]
    return b"".join(bz2.compress(raw[start:end]) for start, end in pairwise(places))


def one_stream(packed: bytes, folder: Path) -> bytes:
    """The same blocks in one stream, as lbzip2 does: each begins at any bit."""
    path = folder / "one"
    with path.open("wb") as file:
        write_stream(file, (piece for piece in cut([packed]) if isinstance(piece, Piece)))
    return path.read_bytes()


def table_of(folder: Path, packed: bytes) -> BulkTable:
    (folder / NAME).write_bytes(packed)
    source = BulkSource(str(folder))
    return BulkTable(source, source.newest(["things"]).files["things"], ["a"])


def read(table: BulkTable, **options: Any) -> list[Values]:
    return [tuple(row.values()) for rows in table.rows(**options) for row in rows.table.to_pylist()]


_BITS = st.sampled_from(['"', "\\", "\n", ",", '"\n', '\n"', '\n",', '\\"', '",\n"', "\r", "\r\n", "a", "é", "﷽", "🏛",
                         "\0", "NULL", "\\N", " ", "\n\n", '"",""'])  # fmt: skip
_VALUE = st.none() | st.lists(_BITS, max_size=6).map("".join)
_ROWS = st.lists(st.tuples(_VALUE, _VALUE, _VALUE), max_size=14).map(
    # An empty line is no row, but no table of theirs has rows of nothing.
    lambda rows: [row for row in rows if any(value is not None for value in row)]
)


@settings(max_examples=120, deadline=None)
@given(
    rows=_ROWS,
    ends=st.lists(st.integers(1, 400), max_size=12),
    piece=st.integers(1, 80),
    single=st.booleans(),
    newline=st.sampled_from(["\n", "\r\n"]),
    seed=st.integers(0, 9),
)
def test_rows_are_those_that_a_slow_reader_finds(
    rows: list[Values],
    ends: list[int],
    piece: int,
    single: bool,
    newline: str,
    seed: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("dump")
    raw = csv(("a", "b", "c"), rows, newline)
    assert slow(raw) == rows
    packed = streams(raw, ends)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dialect, "PIECE_BYTES", piece)
        table = table_of(folder, one_stream(packed, folder) if single else packed)
        assert read(table) == rows
        # Chosen ones are what they are among all, though only they are parsed.
        rng = random.Random(seed)
        chosen = [row for row in rows if row[0] is not None and rng.random() < 0.5]
        some = pa.array(sorted({row[0] for row in chosen if row[0] is not None}), pa.string())
        found = read(table, keys=["a"], wanted=lambda keys: compute.is_in(keys.column("a"), some))
        assert found == [row for row in rows if row[0] in some.to_pylist()]
        for part in table.rows():
            assert read(table, start=part.end) == rows[len(rows) - len(read(table, start=part.end)) :]


def test_a_file_of_nothing_but_a_header_has_no_rows(tmp_path: Path) -> None:
    assert read(table_of(tmp_path, bz2.compress(b"a,b\n"))) == []


@pytest.mark.parametrize(
    ("packed", "error", "said"),
    [
        (b"", DumpDamaged, "empty"),
        (bz2.compress(b""), DumpDamaged, "ends within its header"),
        (bz2.compress(b'a,b\n"1","2"\n') + b"\0" * 9, DumpDamaged, "cut"),
        (bz2.compress(b'a,b\n"1","2"\n')[:-3], DumpDamaged, "cut"),
        (bz2.compress(b'a,b\n"1","2"\n"3\n'), DumpDamaged, "cannot be read"),
        (bz2.compress(b'a,b\n"1","2"\n"3"\n'), DumpDamaged, "cannot be read"),
        (bz2.compress(b'a,b\n"1","\xff\xfe"\n'), DumpDamaged, "cannot be read"),
        (bz2.compress(b'\xef\xbb\xbfa,b\n"1","2"\n'), DumpChanged, "lacks the columns a"),
        (bz2.compress(b'a,b\n"1","say ""no"""\n'), DumpChanged, "not escaped"),
        (bz2.compress(b'a,b\n"1","x"y\n'), DumpChanged, "not escaped"),
        (bz2.compress(b'a;b\n"1";"2"\n'), DumpChanged, "lacks the columns a"),
    ],
)
def test_what_cannot_be_read_is_an_error_that_says_so(
    tmp_path: Path, packed: bytes, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        read(table_of(tmp_path, packed))


def test_quotation_marks_that_are_doubled_are_no_dialect_of_theirs_also_where_few_rows_are_wanted(
    tmp_path: Path,
) -> None:
    table = table_of(tmp_path, bz2.compress(b'a,b\n"1","x"\n"2","say ""no"""\n'))
    with pytest.raises(DumpChanged, match="not escaped"):
        read(table, keys=["a"], wanted=lambda keys: compute.equal(keys.column("a"), pa.scalar("2")))


# --- whole dumps ------------------------------------------------------------------------------------------------------


def with_docket(folder: Path, **values: Any) -> None:
    """A dump with one more docket, in front of all others."""
    Invented(Size(dockets=20, words=30)).write(folder, DAY)
    rows = [dict(zip(COLUMNS["dockets"], row, strict=True)) for row in Invented(Size(dockets=20)).rows("dockets")]
    rows.insert(0, {**rows[0], **values})
    write_rows(folder, "dockets", DAY, [tuple(row.values()) for row in rows])


def test_a_docket_of_no_court_is_of_no_court(tmp_path: Path) -> None:
    with_docket(tmp_path / "dump", id=900, court_id=None)
    made = all_bodies(objects_of(passes_of(tmp_path / "dump", EVERYTHING, Workshop(tmp_path / "work", {}))))
    assert 900 not in made["dockets"]
    assert len(made["dockets"]) > 10


@pytest.mark.parametrize("id", [2**63 - 1, 2**63, 2**41, -1, "x", ""])
def test_an_id_that_cannot_be_one_names_its_file(tmp_path: Path, id: int | str) -> None:
    with_docket(tmp_path / "dump", id=id, court_id="ca9")
    with pytest.raises(DumpChanged, match="dockets-2026-09-30"):
        passes_of(tmp_path / "dump", EVERYTHING, Workshop(tmp_path / "work", {})).run()


def test_a_court_without_a_docket_makes_nothing(tmp_path: Path) -> None:
    Invented(Size(dockets=20, words=30)).write(tmp_path / "dump", DAY)
    wanted = type(EVERYTHING)(frozenset({"nysd"}), date(2015, 1, 1), date(2030, 1, 1))
    assert all_bodies(objects_of(passes_of(tmp_path / "dump", wanted, Workshop(tmp_path / "work", {})))) == {}
