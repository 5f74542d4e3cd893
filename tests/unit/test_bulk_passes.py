"""Passes over bulk files: stopped anywhere they go on from there, and sets of ids are right and small."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from courtlistener_assets.devkit.bulk.invented import Invented, Size
from courtlistener_assets.download.bulk import dialect, objects, passes, source
from courtlistener_assets.download.bulk.bootstrap import TABLES, job_of
from courtlistener_assets.download.bulk.ids import IdSet
from courtlistener_assets.download.bulk.passes import Wanted
from courtlistener_assets.download.bulk.source import BulkSource
from courtlistener_assets.download.bulk.work import Progress, Workshop
from resources.errors import DiskFull, DumpDamaged, DumpUnavailable
from tests.bulk_files import DAY, EVERYTHING, all_bodies, objects_of, passes_of


class Killed(BaseException):
    pass


@settings(deadline=None)
@given(st.lists(st.integers(1, 2**30), max_size=60), st.lists(st.integers(1, 2**30), max_size=60))
def test_a_set_holds_what_was_put_in(members: list[int], others: list[int]) -> None:
    ids = IdSet()
    for some in (members[:20], members[20:]):
        ids.add(pa.chunked_array([pa.array([*map(str, some), None], pa.string())]))
    asked = [*members, *others]
    found = ids.mask(pa.chunked_array([pa.array([*map(str, asked), None], pa.string())])).to_pylist()
    assert found == [id in set(members) for id in asked] + [False]
    assert len(ids) == len(set(members))


@pytest.mark.parametrize("id", ["x", "-5", str(2**63), str(2**50)])
def test_what_is_no_id_is_refused(id: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        IdSet().add(pa.chunked_array([pa.array([id])]))


@pytest.fixture
def dump(tmp_path: Path) -> Path:
    Invented(Size(dockets=150, words=60)).write(tmp_path / "dump", DAY, stream_bytes=9_000)
    return tmp_path / "dump"


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialect, "PIECE_BYTES", 3_000)
    monkeypatch.setattr(passes, "PART_BYTES", 4_000)
    monkeypatch.setattr(objects, "BATCH_ROWS", 7)


@pytest.mark.usefixtures("small_steps")
@pytest.mark.parametrize("seed", range(6))
def test_killed_anywhere_it_goes_on_and_nothing_is_lost_or_doubled(
    dump: Path, tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = Wanted(frozenset({"ca9", "cand"}), date(2015, 1, 1), date(2022, 1, 1))
    expected = all_bodies(objects_of(passes_of(dump, wanted, Workshop(tmp_path / "whole", {}))))
    rng, made, kills = random.Random(seed), {}, 0
    for name in ("write_part", "keep"):
        original = getattr(Workshop, name)

        def dying(self: Workshop, *args: Any, _original: Any = original) -> None:
            nonlocal kills
            before = rng.random() < 0.5
            if kills < 25 and rng.random() < 0.1:
                kills += 1
                if not before:
                    _original(self, *args)
                raise Killed
            _original(self, *args)

        monkeypatch.setattr(Workshop, name, dying)
    while True:
        work = Workshop(tmp_path / "work", {})
        try:
            for batch in objects_of(passes_of(dump, wanted, work)).batches():
                for body in batch.bodies:
                    made[batch.stream, body["id"]] = body
                work.keep(f"store {batch.stream}", batch.progress)
            break
        except Killed:
            work.close()
    assert kills > 2
    assert made == {(stream, id): body for stream, bodies in expected.items() for id, body in bodies.items()}


@pytest.mark.usefixtures("small_steps")
def test_it_goes_on_near_where_it_was(dump: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work, told = Workshop(tmp_path, {}), []

    def stop(table: str, packed: int, progress: Progress) -> None:
        told.append((table, packed))
        if table == "opinions" and packed > 20_000:
            raise Killed

    with pytest.raises(Killed):
        passes_of(dump, EVERYTHING, work, told=stop).run()
    begun: list[tuple[str, int]] = []
    chunks = BulkSource.chunks

    def noted(self: BulkSource, file: Any, start: int = 0) -> Iterator[bytes]:
        begun.append((file.table, start))
        return chunks(self, file, start)

    monkeypatch.setattr(BulkSource, "chunks", noted)
    passes_of(dump, EVERYTHING, work).run()
    # The beginning is read for the names of the columns.
    assert begun[0] == ("opinions", 0)
    assert begun[1][1] > 20_000 - 5_000


def test_what_was_kept_before_a_damage_stays(dump: Path, tmp_path: Path) -> None:
    path = dump / f"opinions-{DAY}.csv.bz2"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    work = Workshop(tmp_path / "work", {})
    with pytest.raises(DumpDamaged, match="cut"):
        passes_of(dump, EVERYTHING, work).run()
    assert work.progress("opinion-clusters").done
    assert not work.progress("opinions").done
    path.write_bytes(whole)
    assert len(passes_of(dump, EVERYTHING, work).run().opinions) > 200


def test_a_full_disk_is_said_to_be_full_and_it_goes_on_with_room(dump: Path, tmp_path: Path) -> None:
    work = Workshop(tmp_path / "work", {})
    # The kernel's own way to say that nothing more can be written.
    full = tmp_path / "work" / "opinions" / "000000.unfinished"
    full.parent.mkdir()
    full.symlink_to("/dev/full")
    with pytest.raises(DiskFull, match=str(tmp_path / "work")):
        passes_of(dump, EVERYTHING, work).run()
    assert work.progress("opinion-clusters").done
    full.unlink()
    [pages] = work._database.execute("PRAGMA page_count").fetchone()
    work._database.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(DiskFull):
        passes_of(dump, EVERYTHING, work).run()
    work._database.execute("PRAGMA max_page_count = 1000000")
    assert len(passes_of(dump, EVERYTHING, work).run().opinions) > 200


@pytest.mark.usefixtures("small_steps")
def test_a_file_that_is_replaced_meanwhile_is_never_mixed_with_the_other(dump: Path, tmp_path: Path) -> None:
    def described() -> dict[str, Any]:
        return job_of(BulkSource(str(dump)).newest(TABLES), EVERYTHING)

    other = Invented(Size(dockets=160, words=60), seed=7)

    def replaced(table: str, packed: int, progress: Progress) -> None:
        if table == "opinions" and packed > 15_000 and progress.mark:
            other.write(dump, DAY, stream_bytes=9_000)

    work = Workshop(tmp_path / "work", described())
    with pytest.raises((DumpDamaged, DumpUnavailable)):
        passes_of(dump, EVERYTHING, work, told=replaced).run()
    work.close()
    made = all_bodies(objects_of(passes_of(dump, EVERYTHING, Workshop(tmp_path / "work", described()))))
    expected = all_bodies(objects_of(passes_of(dump, EVERYTHING, Workshop(tmp_path / "whole", {}))))
    assert made == expected


@pytest.mark.usefixtures("small_steps")
def test_a_network_that_is_cut_again_and_again_costs_only_what_was_not_kept(
    dump: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "CHUNK_BYTES", 4_000)
    expected = len(passes_of(dump, EVERYTHING, Workshop(tmp_path / "whole", {})).run().opinions)
    work, cuts, asked = Workshop(tmp_path / "work", {}), 0, itertools.count(1)
    while True:
        passes_now = passes_of(dump, EVERYTHING, work)
        passes_now.source._pause = lambda seconds: None
        files = passes_now.source._files
        read = files.cat_file

        def cut(*arguments: Any, _read: Any = read, **options: Any) -> bytes:
            # Each attempt to read on fails, until the next run.
            if next(asked) % 12 > 7:
                raise ConnectionResetError("cut")
            return bytes(_read(*arguments, **options))

        with monkeypatch.context() as patch:
            patch.setattr(files, "cat_file", cut)
            try:
                found = len(passes_now.run().opinions)
                break
            except DumpUnavailable:
                cuts += 1
    assert (found, cuts > 5) == (expected, True)


def test_what_another_bootstrap_left_is_not_used(dump: Path, tmp_path: Path) -> None:
    work = Workshop(tmp_path / "work", {"courts": ["ca9"]})
    passes_of(dump, EVERYTHING, work).run()
    work.close()
    again = Workshop(tmp_path / "work", {"courts": ["ca9"]})
    assert again.progress("opinions").done
    again.close()
    assert not Workshop(tmp_path / "work", {"courts": ["ca1"]}).progress("opinions").done


def test_only_decisions_of_a_status_are_kept_if_it_is_asked_for(dump: Path, tmp_path: Path) -> None:
    wanted = Wanted(EVERYTHING.courts, EVERYTHING.first_day, EVERYTHING.end, "Published")
    made = all_bodies(objects_of(passes_of(dump, wanted, Workshop(tmp_path / "work", {}))))
    assert {body["precedential_status"] for body in made["clusters"].values()} == {"Published"}
    assert {body["cluster_id"] for body in made["opinions"].values()} == set(made["clusters"])
