"""A corpus: bulk files as Parquet by court and year, whole or not there, whatever happens while it is made."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from courtlistener_assets.devkit.bulk.invented import COLUMNS, Invented, Size
from courtlistener_assets.devkit.bulk.writing import write_table
from courtlistener_assets.download.bulk import dialect, passes
from courtlistener_assets.download.bulk.corpus import dataset, making, merge
from courtlistener_assets.download.bulk.corpus.columns import described as known_columns
from courtlistener_assets.download.bulk.corpus.dataset import Corpus
from courtlistener_assets.download.bulk.corpus.merge import PLACE, in_order, merge_down, merged, run_at, write_run
from courtlistener_assets.download.bulk.corpus.places import Partition
from courtlistener_assets.download.bulk.tables import OBJECTS, Field, ObjectTable
from courtlistener_assets.download.bulk.work import Workshop
from courtlistener_assets.operations.corpus import Paces, carry_out, described, plan
from courtlistener_assets.operations.pace import Pace
from courtlistener_assets.settings import Settings
from resources.errors import DumpChanged, DumpDamaged, DumpMissing, DumpUnavailable, SettingError
from tests.bulk_files import BASE_URL, DAY, EVERYTHING, all_bodies, objects_of, passes_of, shared_dump

PAGE = Path(__file__).parents[2] / "docs" / "bulk.md"
SIZE = Size(dockets=80, words=30, first_day=date(2016, 1, 1), days=1_500)
SMALL = Size(dockets=24, words=20, courts=("ca9", "cand"), first_day=date(2020, 1, 1), days=600)


class Killed(BaseException):
    pass


@pytest.fixture
def dump(tmp_path: Path) -> Path:
    Invented(SIZE).write(tmp_path / "dump", DAY, stream_bytes=9_000)
    return tmp_path / "dump"


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialect, "PIECE_BYTES", 3_000)
    monkeypatch.setattr(passes, "PART_BYTES", 6_000)
    monkeypatch.setattr(merge, "BATCH_BYTES", 1_000)
    monkeypatch.setattr(dataset, "GROUP_BYTES", 4_000)
    original = merge_down
    monkeypatch.setattr(making, "merge_down", lambda folder, count: original(folder, count, fan_in=3))


def made(dump: Path, folder: Path, *courts: str, **wishes: Any) -> Corpus:
    return carry_out(plan(Settings(bulk_url=str(dump)), courts=courts or ("all",), folder=folder, **wishes))


def rows_of(corpus: Corpus, table: str) -> dict[int, dict[str, Any]]:
    """All rows of a table, by id."""
    files = sorted(corpus.table(table).glob("*/*/*.parquet"))
    return {row["id"]: row for path in files for row in pq.ParquetFile(path).read().to_pylist()}


def contents(corpus: Corpus) -> dict[str, list[dict[str, Any]]]:
    """All files by their place, without how they are cut into row groups."""
    files = sorted(corpus.root.rglob("*.parquet"))
    return {str(path.relative_to(corpus.root)): pq.ParquetFile(path).read().to_pylist() for path in files}


def shown(value: Any, field: Field) -> Any:
    """A value of a column as the API shows it."""
    if value is None:
        return field.null
    if value == "" and field.empty is None:
        return None
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return value.isoformat()
    return value if field.kind in ("text", "number", "flag") else f"{BASE_URL}/{field.kind}/{value}/"


def compared(table: ObjectTable, row: Mapping[str, Any], body: Mapping[str, Any]) -> list[str]:
    """The fields of a row that are not those of an object."""
    wrong = []
    for name, field in table.fields.items():
        said = body[name]
        said = datetime.fromisoformat(said) if field.kind == "time" and said else said
        if shown(row[field.column or name], field) != said:
            wrong.append(name)
    return wrong


def test_fields_that_the_settings_omit_are_no_columns(dump: Path, tmp_path: Path) -> None:
    omit = "opinions.html_lawbox,opinions.author,dockets.cause,docket_entries.description,clusters.not_known"
    settings = Settings(bulk_url=str(dump), omit_fields=omit)
    whole = made(dump, tmp_path / "corpus", "ca9")
    planned = plan(settings, courts=("ca9",), folder=tmp_path / "corpus")
    assert planned.building.name != whole.name
    corpus = carry_out(planned)
    for table, without in (("opinions", {"html_lawbox", "author_id"}), ("dockets", {"cause"}), ("clusters", set())):
        kept, all_of_it = rows_of(corpus, table), rows_of(whole, table)
        assert kept == {id: {k: v for k, v in row.items() if k not in without} for id, row in all_of_it.items()} != {}
    assert corpus.manifest["omitted_columns"]["opinions"] == ["author_id", "html_lawbox"]


def test_every_value_is_that_of_the_object(dump: Path, tmp_path: Path) -> None:
    bodies = all_bodies(objects_of(passes_of(dump, EVERYTHING, Workshop(tmp_path / "work", {}))))
    corpus = made(dump, tmp_path / "corpus")
    for table in OBJECTS:
        rows, those = rows_of(corpus, table.endpoint), bodies[table.endpoint]
        assert set(those) <= set(rows)
        assert {id: wrong for id, body in those.items() if (wrong := compared(table, rows[id], body))} == {}
    dockets, clusters, opinions = (rows_of(corpus, name) for name in ("dockets", "clusters", "opinions"))
    # Those without a date and without a decision are wanted of a whole corpus.
    assert len(dockets) == SIZE.dockets
    for id, body in bodies["clusters"].items():
        assert [f"{BASE_URL}/opinions/{each}/" for each in clusters[id]["sub_opinions"]] == body["sub_opinions"]
        assert [f"{BASE_URL}/people/{each}/" for each in clusters[id]["panel"]] == body["panel"]
        assert [each["volume"] for each in clusters[id]["citations"]] == [each["volume"] for each in body["citations"]]
        assert clusters[id]["absolute_url"] == body["absolute_url"]
    for id, body in bodies["opinions"].items():
        assert [f"{BASE_URL}/opinions/{each}/" for each in opinions[id]["opinions_cited"]] == body["opinions_cited"]
        assert opinions[id]["absolute_url"] == body["absolute_url"]
    for id, body in bodies["dockets"].items():
        origin, said = dockets[id]["original_court_info"], body["original_court_info"]
        assert (origin and (origin["id"], origin["docket_number"])) == (said and (said["id"], said["docket_number"]))
        assert sorted(f"{BASE_URL}/clusters/{each}/" for each in dockets[id]["clusters"]) == sorted(body["clusters"])


def test_rows_are_where_their_court_and_year_say(dump: Path, tmp_path: Path) -> None:
    corpus = made(dump, tmp_path / "corpus")
    dockets, clusters = rows_of(corpus, "dockets"), rows_of(corpus, "clusters")
    for table in ("dockets", "clusters", "opinions"):
        for partition in corpus.partitions(table):
            rows = pq.ParquetFile(corpus.file(table, partition)).read().to_pylist()
            assert rows
            order = [(row["cluster_id"], row["id"]) if table == "opinions" else row["id"] for row in rows]
            assert order == sorted(order)
            for row in rows:
                cluster = clusters[row["cluster_id"]] if table == "opinions" else row
                docket = dockets[cluster["docket_id"]] if table != "dockets" else row
                dated = row if table == "dockets" else cluster
                assert partition == Partition(docket["court_id"], dated["date_filed"] and dated["date_filed"].year)
    assert Partition("ca9", None) in corpus.partitions("dockets")
    assert corpus.manifest["rows"] == {table: len(rows_of(corpus, table)) for table in corpus.manifest["rows"]}


def test_only_wanted_courts_and_years_are_in_it(dump: Path, tmp_path: Path) -> None:
    corpus = made(dump, tmp_path / "corpus", "ca9", "cand", first_year=2018)
    clusters, dockets = rows_of(corpus, "clusters"), rows_of(corpus, "dockets")
    assert {row["court_id"] for row in dockets.values()} == {"ca9", "cand"}
    assert min(row["date_filed"] for row in clusters.values()).year == 2018
    decided = {row["docket_id"] for row in clusters.values()}
    assert decided <= set(dockets)
    assert all(id in decided or row["date_filed"].year >= 2018 for id, row in dockets.items())
    assert {row["cluster_id"] for row in rows_of(corpus, "opinions").values()} <= set(clusters)


def test_the_real_dump_becomes_what_the_api_served(tmp_path: Path) -> None:
    if not (real := shared_dump()):
        pytest.skip("there is no shared/bulk beside the checkout")
    corpus = made(real, tmp_path)
    assert corpus.manifest["rows"] == {"dockets": 378, "clusters": 385, "opinions": 642}
    assert corpus.manifest["court_names"]["ca9"] == "Court of Appeals for the Ninth Circuit"
    with pytest.raises(SettingError, match="no court 'ca99'; did you mean ca9"):
        plan(Settings(bulk_url=str(real)), courts=["ca99"], folder=tmp_path)


def test_readers_need_one_line(dump: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = made(dump, tmp_path / "corpus")
    monkeypatch.chdir(tmp_path)
    [code] = re.findall(r"^```python\n(.*?import duckdb.*?)^```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    read: dict[str, Any] = {}
    exec(code, read)
    clusters, dockets = rows_of(corpus, "clusters").values(), rows_of(corpus, "dockets").values()
    courts = {row["id"]: row["court_id"] for row in dockets}
    of_ca9 = [row for row in clusters if courts[row["docket_id"]] == "ca9"]
    assert sorted(read["cited"].fetchall()) == sorted((row["case_name"], row["citation_count"]) for row in of_ca9)
    assert read["recent"].schema["date_modified"] == pl.Datetime("us", "UTC")
    opinions = rows_of(corpus, "opinions").values()
    years = {row["id"]: row["date_filed"].year for row in clusters}
    assert len(read["recent"]) == sum(years[row["cluster_id"]] >= 2018 for row in opinions) > 0
    assert len(read["year"]) == sum(row["date_filed"].year == 2018 for row in of_ca9) > 0
    undated = ds.field("year").is_null()
    found = ds.dataset("corpus/latest/dockets", partitioning="hive").to_table(filter=undated)
    assert found.num_rows == sum(row["date_filed"] is None for row in dockets) > 0
    assert read["filed"].num_rows == sum(court == "ca9" for court in courts.values())
    field = read["filed"].schema.field("date_filed")
    assert (str(field.type), field.metadata[b"description"][:19]) == ("date32[day]", b"when the case began")


def test_every_known_column_has_a_meaning() -> None:
    assert [(table, column) for table, column, _, meaning in known_columns() if not meaning] == []


# --- whole or not there ---------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("small_steps")
@pytest.mark.parametrize("seed", range(3))
def test_killed_anywhere_it_goes_on_and_nothing_is_lost_or_doubled(
    dump: Path, tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    Invented(SMALL).write(dump, DAY, stream_bytes=9_000)
    whole, folder = made(dump, tmp_path / "whole"), tmp_path / "corpus"
    expected = contents(whole)
    rng, kills = random.Random(seed), 0

    def deadly(owner: type, name: str) -> None:
        original = getattr(owner, name)

        def dying(self: Any, *args: Any, **options: Any) -> Any:
            nonlocal kills
            dies, before = kills < 20 and rng.random() < 0.05, rng.random() < 0.5
            kills += dies
            if dies and before:
                raise Killed
            result = original(self, *args, **options)
            if dies:
                raise Killed
            return result

        monkeypatch.setattr(owner, name, dying)

    for owner, names in ((Workshop, ("keep", "write_part", "remove_part")), (Path, ("replace", "rename", "unlink"))):
        for name in names:
            deadly(owner, name)
    while True:
        try:
            corpus = made(dump, folder)
            break
        except Killed:
            assert not (folder / "latest").exists() or Corpus.latest(folder).manifest
    assert kills > 3
    assert contents(corpus) == expected
    assert corpus.manifest == whole.manifest
    assert sorted(path.name for path in folder.iterdir() if not path.name.startswith(".")) == [corpus.name, "latest"]


def test_a_newer_dump_takes_its_place_when_it_is_complete(dump: Path, tmp_path: Path) -> None:
    folder, later = tmp_path / "corpus", DAY + timedelta(days=92)
    with pytest.raises(DumpMissing, match="make it first"):
        Corpus.latest(folder)
    first = made(dump, folder, "ca9")
    Invented(Size(dockets=60, words=20)).write(dump, later)
    path = dump / f"opinions-{later}.csv.bz2"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DumpDamaged):
        made(dump, folder, "ca9")
    assert Corpus.latest(folder) == Corpus(first.root.resolve())
    path.write_bytes(whole)
    second = made(dump, folder, "ca9")
    assert Corpus.latest(folder).day == later == second.day
    # The older one is made again, of other courts; it stays the older one. What there is stays.
    older = made(dump, folder, "cand", day=DAY)
    assert Corpus.latest(folder).name == second.name
    assert {first.name, second.name, older.name} < {path.name for path in folder.iterdir()}


def test_what_is_there_is_not_made_again(dump: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = made(dump, tmp_path / "corpus", "ca9", "cand")
    monkeypatch.setattr(making.Making, "run", lambda self: pytest.fail("it was made again"))
    assert made(dump, tmp_path / "corpus", "cand", "ca9") == corpus
    planned = plan(Settings(bulk_url=str(dump)), courts=["ca9", "cand"], folder=tmp_path / "corpus")
    assert "nothing to do" in described(planned)[0]


def test_two_do_not_make_one_at_once(dump: Path, tmp_path: Path) -> None:
    held = Workshop(tmp_path / "corpus" / ".work", {})
    with pytest.raises(DumpUnavailable, match="another run works in"):
        made(dump, tmp_path / "corpus")
    held.close()


# --- other files ----------------------------------------------------------------------------------------------------


def rewritten(dump: Path, table: str, change: Any) -> None:
    """Write a table's file with other columns: `change` gives them and a function of a row."""
    columns, row_of = change(COLUMNS[table])
    rows = (row_of(row) for row in Invented(SIZE).rows(table))
    write_table(dump, table, DAY, columns, rows)


def test_a_column_that_nobody_knows_is_kept_as_text(dump: Path, tmp_path: Path) -> None:
    rewritten(
        dump, "opinions", lambda names: ((*names, "main_version_id"), lambda row: (*row, "7" if row[0] % 2 else None))
    )
    rows = rows_of(made(dump, tmp_path / "corpus"), "opinions")
    assert {(id % 2, row["main_version_id"]) for id, row in rows.items()} == {(1, "7"), (0, None)}


@pytest.mark.parametrize(
    ("table", "column", "value", "said"),
    [
        ("opinion-clusters", "citation_count", "many", "opinion-clusters: citation_count is no int64"),
        ("opinions", "per_curiam", "perhaps", "opinions: per_curiam is no bool: neither t nor f"),
        ("opinions", "date_modified", "2026-01-01", "opinions: date_modified is no timestamp"),
        ("dockets", "date_argued", "soon", "dockets: date_argued is no date32"),
        ("dockets", "court_id", "../ca9", "'../ca9' is not the id of a court"),
        ("citations", "type", "x", "type is no int64"),
    ],
)
def test_a_value_of_another_kind_is_named(
    dump: Path, tmp_path: Path, table: str, column: str, value: str, said: str
) -> None:
    def change(names: tuple[str, ...]) -> Any:
        at = names.index(column)
        return names, lambda row: (*row[:at], value, *row[at + 1 :])

    rewritten(dump, table, change)
    with pytest.raises(DumpChanged, match=said):
        made(dump, tmp_path / "corpus")
    assert not (tmp_path / "corpus" / "latest").exists()


def test_courts_must_be_named(dump: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="no courts are named"):
        plan(Settings(bulk_url=str(dump)), folder=tmp_path)
    planned = plan(Settings(bulk_url=str(dump), corpus_courts="ca9", corpus_first_year=2019), folder=tmp_path)
    assert "ca9 from 2019 on, as of 2026-09-29" in described(planned)[0]
    assert "are free" in described(planned)[2]


# --- runs -----------------------------------------------------------------------------------------------------------


def test_runs_are_merged_in_order_however_they_are_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merge, "BATCH_BYTES", 100)
    rng = np.random.default_rng(7)
    # Many rows of the same place, as of a decision with many opinions.
    rows = [(int(place), id) for id, place in enumerate(rng.integers(0, 40, 500).tolist())]
    for number, start in enumerate(range(0, 500, 37)):
        some = rows[start : start + 37]
        table = pa.table({PLACE: pa.array([each[0] for each in some]), "id": pa.array([each[1] for each in some])})
        write_run([in_order(table)], run_at(tmp_path, 0, number))
    runs = merge_down(tmp_path, 14, fan_in=3)
    assert len(runs) == 2
    assert sorted(tmp_path.iterdir()) == runs
    for first in (0, 17, 39, 40):
        found = [(row[PLACE], row["id"]) for table in merged(runs, first) for row in table.to_pylist()]
        assert found == sorted(row for row in rows if row[0] >= first)


def test_progress_says_how_long_the_rest_of_a_step_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    paces = Paces(Pace(1.0))
    assert paces.line(making.Reached("opinions, sorting", 10, 10, 100)) == " 10% opinions, sorting"
    clock[0] = 60.0
    assert paces.line(making.Reached("opinions, sorting", 40, 40, 100)) == " 40% opinions, sorting, 2 min left"


def test_the_manifest_says_what_it_was_made_from(dump: Path, tmp_path: Path) -> None:
    manifest = json.loads((made(dump, tmp_path / "corpus", "ca9").root / "corpus.json").read_text())
    assert (manifest["dump"], manifest["courts"], manifest["first_year"]) == (str(DAY), ["ca9"], None)
    assert manifest["rows_in_files"]["dockets"] == SIZE.dockets > manifest["rows"]["dockets"] > 0
    assert manifest["as_of"] == "2026-09-29T00:00:00+00:00"
