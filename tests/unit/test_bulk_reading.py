"""Bulk files: bzip2 cut into blocks, and rows cut out of what is in them."""

from __future__ import annotations

import bz2
import random
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as compute
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from courtlistener_assets.devkit.bulk import large
from courtlistener_assets.devkit.bulk.invented import COLUMNS, Invented, Size, write_rows
from courtlistener_assets.devkit.bulk.writing import write_table
from courtlistener_assets.download.bulk import bzip2, dialect
from courtlistener_assets.download.bulk.bzip2 import Place, blocks
from courtlistener_assets.download.bulk.dialect import BulkTable
from courtlistener_assets.download.bulk.source import BulkSource, DumpFile
from resources.errors import DumpChanged, DumpDamaged, DumpMissing, DumpUnavailable, SettingError

DAY = date(2026, 9, 30)


def noise(size: int, seed: int = 1) -> bytes:
    rng = random.Random(seed)
    return b"".join(rng.choice((b"lorem", b"ipsum ", bytes([rng.randrange(256)]), b"\n")) for _ in range(size // 4))


def in_chunks(data: bytes, start: int = 0, size: int = 70_000) -> Iterator[bytes]:
    for at in range(start, len(data), size):
        yield data[at : at + size]


def read_from(data: bytes, place: Place, size: int = 70_000) -> bytes:
    return b"".join(block.data for block in blocks(in_chunks(data, place.bit // 8, size), place, 2))


# --- bzip2 ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", [1, 4])
def test_any_block_is_a_place_to_go_on_from(level: int) -> None:
    raw = noise(1_000_000)
    packed = bz2.compress(raw, level)
    found = list(blocks(in_chunks(packed), Place(), 2))
    assert len(found) > 1
    assert b"".join(block.data for block in found) == raw
    for block in found[:: max(1, len(found) // 3)]:
        assert read_from(packed, block.place) == raw[block.place.raw :]


@pytest.mark.parametrize("size", [1, 7, 1000, 10**7])
def test_bytes_may_come_in_pieces_of_any_size(size: int) -> None:
    raw = noise(30_000)
    packed = bz2.compress(raw[:20_000], 1) + bz2.compress(b"") + bz2.compress(raw[20_000:])
    assert read_from(packed, Place(), size) == raw


def test_long_runs_unpack_to_what_they_were() -> None:
    raw = b"a" * 20_000_000
    assert read_from(bz2.compress(raw), Place()) == raw


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_cut_or_damaged_file_is_never_taken_for_a_whole_one(data: st.DataObject) -> None:
    raw = noise(250_000, seed=3)
    packed = bz2.compress(raw, 1)
    at = data.draw(st.integers(0, len(packed) - 1))
    if data.draw(st.booleans()):
        broken = packed[:at]
    else:
        broken = packed[:at] + bytes([packed[at] ^ 1 << data.draw(st.integers(0, 7))]) + packed[at + 1 :]
    try:
        # What only fills the last byte may be anything, and the level says too little to be wrong.
        assert read_from(broken, Place()) == raw
        assert at in (3, len(packed) - 1)
        assert len(broken) == len(packed)
    except DumpDamaged:
        pass


def test_blocks_before_a_damage_are_had() -> None:
    packed = bytearray(bz2.compress(noise(600_000), 1))
    packed[len(packed) // 2] ^= 4
    had: list[int] = []
    with pytest.raises(DumpDamaged, match="damaged"):
        had.extend(block.place.raw for block in blocks(in_chunks(bytes(packed)), Place(), 2))
    assert had


def test_a_mark_that_stands_in_the_data_by_chance_is_no_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = noise(400_000)
    packed = bz2.compress(raw, 1)
    found = bzip2._marks
    bogus = 8 * (len(packed) // 2) + 3

    def with_one_more(data: bytes, from_bit: int) -> list[tuple[int, bool]]:
        marks = found(data, from_bit)
        return sorted([*marks, (bogus, False)]) if from_bit <= bogus < 8 * len(data) - 48 else marks

    monkeypatch.setattr(bzip2, "_marks", with_one_more)
    assert read_from(packed, Place(), len(packed)) == raw


@pytest.mark.parametrize("data", [b"", b"B", b"PK\3\4 a zip file", bz2.compress(b"x") + b"more"])
def test_what_is_no_bzip2_is_said_to_be_none(data: bytes) -> None:
    with pytest.raises(DumpDamaged):
        read_from(data, Place())


# --- places -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Invented(Size(dockets=40)).write(tmp_path, DAY)
    return tmp_path


def test_the_newest_dump_is_the_newest_that_has_every_table(folder: Path) -> None:
    write_rows(folder, "dockets", date(2026, 12, 31), [])
    (folder / "notes.txt").write_text("no dump")
    source = BulkSource(str(folder))
    assert source.newest(["dockets"]).day == date(2026, 12, 31)
    dump = source.newest(["dockets", "opinions"])
    assert dump.day == DAY
    assert dump.watermark == datetime(2026, 9, 29, tzinfo=UTC)
    assert dump.size(["dockets", "people"]) == (folder / f"dockets-{DAY}.csv.bz2").stat().st_size
    with pytest.raises(DumpMissing, match=r"2026-12-31 lacks people, clusters"):
        source.newest(["dockets", "people", "clusters"])
    with pytest.raises(DumpMissing, match="no bulk data of 2020-01-01"):
        source.newest(["dockets"], date(2020, 1, 1))


def test_a_place_that_is_none_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(DumpMissing):
        BulkSource(str(tmp_path / "nothing")).dumps()
    with pytest.raises(DumpMissing):
        BulkSource(str(tmp_path)).newest(["dockets"])
    with pytest.raises(SettingError):
        BulkSource("nosuchthing://x/y")


def test_bytes_that_do_not_come_are_asked_for_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    source = BulkSource(str(folder), pause=pauses.append)
    file = source.newest(["opinions"]).files["opinions"]
    read = source._files.cat_file
    failing = [OSError("reset"), OSError("reset")]

    def flaky(*args: Any, **options: Any) -> bytes:
        if failing:
            raise failing.pop()
        return bytes(read(*args, **options))

    monkeypatch.setattr(source._files, "cat_file", flaky)
    assert b"".join(source.chunks(file)) == Path(file.path).read_bytes()
    assert pauses == [1.0, 5.0]
    failing += [OSError("down")] * 9
    with pytest.raises(DumpUnavailable, match="down"):
        list(source.chunks(file))


# --- rows -------------------------------------------------------------------------------------------------------------


def table_of(folder: Path, name: str, needed: tuple[str, ...] = ("id",)) -> BulkTable:
    source = BulkSource(str(folder))
    return BulkTable(source, source.newest([name]).files[name], needed)


def read(table: BulkTable, **options: Any) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for rows in table.rows(**options) for row in rows.table.to_pylist()]


def as_text(row: tuple[Any, ...]) -> tuple[str | None, ...]:
    return tuple({True: "t", False: "f"}[v] if isinstance(v, bool) else None if v is None else str(v) for v in row)


@pytest.mark.parametrize("name", sorted(COLUMNS))
def test_rows_are_read_as_they_were_written(folder: Path, name: str) -> None:
    assert read(table_of(folder, name)) == [as_text(row) for row in Invented(Size(dockets=40)).rows(name)]


_VALUES = st.none() | st.text(alphabet=st.sampled_from("\"\\\n,aé\r\t'N "), max_size=12)


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(st.tuples(_VALUES, _VALUES), max_size=25), piece=st.integers(1, 60))
def test_whatever_is_in_values_rows_are_cut_where_they_begin(
    rows: list[tuple[str | None, str | None]], piece: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("dump")
    written = [(str(id), *row) for id, row in enumerate(rows)]
    write_table(folder, "things", DAY, ("id", "a", "b"), written, stream_bytes=piece * 3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dialect, "PIECE_BYTES", piece)
        table = table_of(folder, "things")
        assert read(table) == written
        ends = [rows.end for rows in table.rows()]
        for index, end in enumerate(ends):
            before = sum(rows.table.num_rows for rows in list(table.rows())[: index + 1])
            assert read(table, start=end) == written[before:]


def test_only_rows_that_are_wanted_are_read_whole(folder: Path) -> None:
    table = table_of(folder, "dockets")
    found = read(
        table,
        columns=["id"],
        keys=["court_id"],
        wanted=lambda rows: compute.equal(rows.column("court_id"), pa.scalar("ca9")),
    )
    everything = [tuple(row.values()) for rows in table.rows(columns=["id", "court_id"]) for row in
                  rows.table.to_pylist()]  # fmt: skip
    assert found == [(id,) for id, court in everything if court == "ca9"]


def rewritten(folder: Path, name: str, change: Callable[[bytes], bytes]) -> None:
    path = folder / f"{name}-{DAY}.csv.bz2"
    path.write_bytes(bz2.compress(change(bz2.decompress(path.read_bytes()))))


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        (lambda raw: raw[:-3], DumpDamaged, "ends within the row"),
        (lambda raw: raw.replace(b'","', b'","","', 1), DumpDamaged, "cannot be read"),
        (lambda raw: raw.replace(b"cluster_id", b"cluster", 1), DumpChanged, "lacks the columns cluster_id"),
        (lambda raw: raw.split(b"\n")[0], DumpDamaged, "ends within its header"),
        (lambda raw: b"", DumpDamaged, "ends within its header"),
        (lambda raw: raw.split(b"\n")[0] + b"\n1,2,3\n", DumpChanged, "not quoted"),
        (lambda raw: raw.replace(b"id,", b"sha1,", 1), DumpChanged, "names no columns"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_with_its_name(
    folder: Path, change: Callable[[bytes], bytes], error: type[Exception], said: str
) -> None:
    rewritten(folder, "opinions", change)
    with pytest.raises(error, match=said) as raised:
        read(table_of(folder, "opinions", ("id", "cluster_id")))
    assert "opinions-2026-09-30.csv.bz2" in str(raised.value)


def test_columns_that_are_new_are_kept_and_their_order_is_of_no_account(folder: Path) -> None:
    write_table(folder, "opinions", DAY, ("new", "id"), [("x", 5), (None, 6)])
    assert read(table_of(folder, "opinions")) == [("x", "5"), (None, "6")]


def test_a_file_that_became_shorter_is_damaged(folder: Path) -> None:
    source = BulkSource(str(folder))
    file = source.newest(["opinions"]).files["opinions"]
    with pytest.raises(DumpDamaged, match="is cut"):
        BulkTable(source, DumpFile(file.table, file.path, file.size + 5), ["id"])


def test_a_row_that_never_ends_is_no_row(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_table(folder, "things", DAY, ("id", "a"), [("1", "x" * 5_000), ("2", "y")], stream_bytes=900)
    monkeypatch.setattr(dialect, "PIECE_BYTES", 100)
    assert len(read(table_of(folder, "things"))) == 2
    monkeypatch.setattr(dialect, "_LONGEST_ROW", 4_000)
    with pytest.raises(DumpDamaged, match="does not end"):
        read(table_of(folder, "things"))


# --- large files ------------------------------------------------------------------------------------------------------


def test_a_large_file_is_one_stream_whose_rows_come_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large, "_BLOCK_BYTES", 5_000)
    invented = Invented(Size(dockets=40))
    path = large.write_large(folder, "opinions", DAY, COLUMNS["opinions"], invented.rows("opinions"), times=3)
    packed = path.read_bytes()
    unpacker = bz2.BZ2Decompressor()
    unpacker.decompress(packed)
    assert (unpacker.eof, unpacker.unused_data) == (True, b"")
    assert read(table_of(folder, "opinions")) == 3 * [as_text(row) for row in invented.rows("opinions")]
