"""Objects made of rows: as the API serves them, of a real dump where there is one, and of an invented one."""

from __future__ import annotations

import re
from collections import defaultdict
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from courtlistener_assets.devkit.bulk.invented import COLUMNS, Invented, Size
from courtlistener_assets.devkit.bulk.writing import write_table
from courtlistener_assets.download.bulk import comparison
from courtlistener_assets.download.bulk.bodies import api_time, moment
from courtlistener_assets.download.bulk.passes import Wanted
from courtlistener_assets.download.bulk.tables import OBJECTS, ORIGINS
from courtlistener_assets.download.bulk.work import Workshop
from courtlistener_assets.download.choice import chosen
from courtlistener_assets.download.partitions import Everything
from resources.errors import DumpChanged
from tests.bulk_files import (
    BASE_URL,
    DAY,
    EVERYTHING,
    WithUndated,
    all_bodies,
    different_fields,
    objects_of,
    passes_of,
    served,
    shared_dump,
)

ROOT = Path(__file__).parents[2]
SHARED = shared_dump()


@pytest.mark.skipif(SHARED is None, reason="no directory shared/bulk with a dump beside this checkout")
def test_every_object_of_a_real_dump_is_the_one_that_its_server_served(tmp_path: Path) -> None:
    assert SHARED is not None
    wanted = WithUndated(EVERYTHING.courts, EVERYTHING.first_day, EVERYTHING.end)
    made = all_bodies(objects_of(passes_of(SHARED, wanted, Workshop(tmp_path, {})), "SERVER/api/rest/v4"))
    assert {stream: len(bodies) for stream, bodies in made.items()} == {
        "dockets": 378,
        "clusters": 385,
        "opinions": 642,
    }
    assert different_fields(SHARED, made) == []
    # So a store that the API has filled differs from the dump in nothing.
    for stream, bodies in made.items():
        for id, body in served(SHARED, stream).items():
            assert comparison.different(stream, body, bodies[id]) == []


def test_the_docs_list_what_is_absent() -> None:
    text = (ROOT / "docs" / "bulk.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| (docket|cluster|opinion) \| `([\w.]+)` \|", text, re.MULTILINE)
    absent = [(table.endpoint[:-1], name) for table in OBJECTS for name in table.absent]
    absent += [("docket", f"original_court_info.{name}") for name in ORIGINS.absent]
    assert sorted(listed) == sorted([*absent, ("docket", "idb_data")])


def test_the_invented_files_have_the_columns_of_the_real_ones() -> None:
    for table in OBJECTS:
        read = {*table.needed, *table.hidden}
        assert set(COLUMNS[table.name]) - {"assigned_to_id"} == read - {"assigned_to_id"}


# --- an invented dump -------------------------------------------------------------------------------------------------


@pytest.fixture
def dump(tmp_path: Path) -> Path:
    Invented(Size(dockets=60)).write(tmp_path / "dump", DAY)
    return tmp_path / "dump"


def rows_of(table: str) -> list[dict[str, Any]]:
    return [dict(zip(COLUMNS[table], row, strict=True)) for row in Invented(Size(dockets=60)).rows(table)]


def test_only_what_belongs_to_wanted_courts_and_months_is_made(dump: Path, tmp_path: Path) -> None:
    wanted = Wanted(frozenset({"ca9", "cand"}), date(2016, 1, 1), date(2021, 7, 1))
    made = all_bodies(objects_of(passes_of(dump, wanted, Workshop(tmp_path / "work", {}))))
    dockets = {row["id"]: row for row in rows_of("dockets")}
    inside = {id for id, row in dockets.items() if row["court_id"] in wanted.courts}
    all_of, clusters = defaultdict(set), {}
    for row in rows_of("opinion-clusters"):
        all_of[row["docket_id"]].add(row["id"])
        if row["docket_id"] in inside and "2016-01-01" <= row["date_filed"] < "2021-07-01":
            clusters[row["id"]] = row
    decided = {row["docket_id"] for row in clusters.values()}
    filed = {id for id in inside if "2016-01-01" <= (dockets[id]["date_filed"] or "") < "2021-07-01"}
    opinions = {row["id"] for row in rows_of("opinions") if row["cluster_id"] in clusters}
    assert 0 < len(clusters) < len(rows_of("opinion-clusters"))
    assert set(made["dockets"]) == decided | filed
    assert set(made["clusters"]) == set(clusters)
    assert set(made["opinions"]) == opinions
    # Its list names all decisions of a docket, whatever their month.
    listed = {id: {int(url.split("/")[-2]) for url in body["clusters"]} for id, body in made["dockets"].items()}
    assert listed == {id: all_of[id] for id in made["dockets"]}


def test_what_is_joined_belongs_to_its_object(dump: Path, tmp_path: Path) -> None:
    made = all_bodies(objects_of(passes_of(dump, EVERYTHING, Workshop(tmp_path / "work", {}))))
    for table, owner, value, stream, name in (
        ("citation-map", "citing_opinion_id", "cited_opinion_id", "opinions", "opinions_cited"),
        ("search_opinion_joined_by", "opinion_id", "person_id", "opinions", "joined_by"),
        ("search_opinioncluster_panel", "opinioncluster_id", "person_id", "clusters", "panel"),
    ):
        expected: dict[int, list[int]] = defaultdict(list)
        for row in sorted(rows_of(table), key=lambda row: row["id"]):
            expected[row[owner]].append(row[value])
        found = {id: [int(url.split("/")[-2]) for url in body[name]] for id, body in made[stream].items()}
        assert found == {id: expected[id] for id in found}
        assert any(found.values())
    citation = made["clusters"][7]["citations"]
    assert [(each["volume"], each["type"], "id" in each) for each in citation] == [("7", 1, False)]
    assert made["dockets"][3]["original_court_info"]["docket_number"] == "1:20-cv-3"
    assert made["opinions"][5]["absolute_url"] == "/opinion/5/c-5/"
    assert made["opinions"][5]["cluster"] == f"{BASE_URL}/clusters/5/"


def test_what_is_made_is_read_as_what_the_api_serves(dump: Path, tmp_path: Path) -> None:
    made = all_bodies(objects_of(passes_of(dump, EVERYTHING, Workshop(tmp_path / "work", {}))))
    for stream in chosen(["dockets", "clusters", "opinions"]):
        records = [record for body in made[stream.name].values() for record in stream.read(body, Everything())]
        assert [(record.stream, record.id) for record in records] == [(stream.name, id) for id in made[stream.name]]
        assert all(record.date_modified for record in records)


def test_columns_that_nobody_knows_are_kept(dump: Path, tmp_path: Path) -> None:
    rows = [(*row, "what is new") for row in Invented(Size(dockets=60)).rows("dockets")]
    write_table(dump, "dockets", DAY, (*COLUMNS["dockets"], "brand_new"), rows)
    made = all_bodies(objects_of(passes_of(dump, EVERYTHING, Workshop(tmp_path / "work", {}))))
    assert {body["brand_new"] for body in made["dockets"].values()} == {"what is new"}


@pytest.mark.parametrize(("column", "value"), [("blocked", "maybe"), ("id", "x"), ("date_modified", "yesterday")])
def test_a_value_of_another_kind_is_said_with_its_column(dump: Path, tmp_path: Path, column: str, value: str) -> None:
    rows = [
        tuple(value if name == column else each for name, each in zip(COLUMNS["dockets"], row, strict=True))
        for row in Invented(Size(dockets=60)).rows("dockets")
    ]
    write_table(dump, "dockets", DAY, COLUMNS["dockets"], rows)
    with pytest.raises(DumpChanged, match="dockets"):
        all_bodies(objects_of(passes_of(dump, EVERYTHING, Workshop(tmp_path / "work", {}))))


def test_times_are_those_of_the_api() -> None:
    assert api_time("2026-11-25 18:20:39.30375+00") == "2026-11-25T10:20:39.303750-08:00"
    assert api_time("2026-07-01 00:00:00+00") == "2026-06-30T17:00:00-07:00"
    assert moment("2015-01-09 00:24:40+05:30").isoformat() == "2015-01-09T00:24:40+05:30"
    with pytest.raises(ValueError, match="2015"):
        moment("2015-01-09 00:24:40")
