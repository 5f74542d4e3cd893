"""The flat views as Parquet: typed, of one moment, bounded in memory, replaced file by file."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import psycopg
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from bench.scale.fill import body_of
from courtlistener_assets.cli import main
from courtlistener_assets.download.choice import known_tables
from courtlistener_assets.download.partitions import CourtMonth
from courtlistener_assets.operations import export as module
from courtlistener_assets.operations.export import VIEWS, export, schema_of, wish_of
from resources.connections.postgres import Database
from resources.errors import SettingError
from resources.records.store import RecordStore
from tests.integration.test_views import a_case, keep

EVERYTHING = wish_of((), None, None)


@pytest.fixture
def store(database: Database) -> RecordStore:
    """One of everything of ca9, a docket of scotus without a date, and one of ca9 a year later."""
    store = RecordStore(database, known_tables())
    store.prepare([table.name for table in known_tables()])
    a_case(store)
    for id, court, day in ((70, "scotus", None), (71, "ca9", "2025-02-01")):
        month = CourtMonth(court, date.fromisoformat(day) if day else date(2024, 1, 1))
        keep(store, "dockets", docket(id, court, day), partition=month)
    return store


def docket(id: int, court: str, day: str | None, **fields: Any) -> Mapping[str, Any]:
    return body_of("dockets") | {"id": id, "court_id": court, "date_filed": day, "clusters": []} | fields


def files_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_the_command_writes_typed_files_that_duckdb_and_polars_read(
    store: RecordStore, database_url: str, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("POSTGRES_URL", database_url)
    done = CliRunner().invoke(main, ["export", "--to", "out"], catch_exceptions=False)
    assert "dockets_flat: 3 rows in 3 files" in done.output
    folder = tmp_path / "out"
    months = {view: "court=ca9/month=2024-01" for view in VIEWS}
    more = {
        f"dockets_flat/{part}/dockets_flat.parquet"
        for part in ("court=ca9/month=2025-02", "court=scotus/month=undated")
    }
    assert files_in(folder) == {f"{view}/{part}/{view}.parquet" for view, part in months.items()} | more | {
        "export.json"
    }
    # As SQL sees them in Postgres, value by value and type by type.
    for view in VIEWS:
        key = pq.read_schema(next((folder / view).rglob("*.parquet"))).names[0]
        files = f"read_parquet('{folder}/{view}/*/*/*.parquet', hive_partitioning = false)"
        read = duckdb.sql(f"SET TimeZone = 'UTC'; SELECT * FROM {files} ORDER BY {key}").fetchall()
        stored = database.rows(f"SELECT * FROM courtlistener.{view} ORDER BY 1")
        assert [[_same(value) for value in row] for row in read] == [[_same(value) for value in row] for row in stored]
    frame = pl.read_parquet(f"{folder}/opinions_with_case/**/*.parquet", hive_partitioning=True)
    assert frame.select("case_name", "date_filed", "month").rows() == [("Roe", date(2024, 1, 31), "2024-01")]
    assert frame.schema["date_modified"] == pl.Datetime("us", "UTC")
    [field] = [each for each in pq.read_schema(next(folder.glob("opinions*/*/*/*"))) if each.name == "date_filed"]
    assert b"`date_filed` of the decision" in field.metadata[b"description"]
    manifest = json.loads((folder / "export.json").read_text())
    assert manifest["rows"] == {"dockets_flat": 3, **dict.fromkeys(list(VIEWS)[1:], 1)}
    assert manifest["courts"] == "all"


def _same(value: object) -> object:
    return value.astimezone(UTC) if isinstance(value, datetime) else value


def test_months_that_were_not_asked_for_stay_and_those_without_rows_lose_their_file(
    store: RecordStore, database: Database, tmp_path: Path
) -> None:
    export(database, tmp_path, EVERYTHING)
    before = files_in(tmp_path)
    store.mark_gone("dockets", [7, 71], "deleted")
    done = export(database, tmp_path, wish_of(["ca9"], date(2025, 1, 1), date(2025, 12, 1)))
    assert done.rows == dict.fromkeys(VIEWS, 0)
    assert done.removed == 1
    assert before - files_in(tmp_path) == {"dockets_flat/court=ca9/month=2025-02/dockets_flat.parquet"}
    assert export(database, tmp_path, EVERYTHING).removed == len(VIEWS)
    assert files_in(tmp_path) == {"dockets_flat/court=scotus/month=undated/dockets_flat.parquet", "export.json"}


def test_what_an_export_did_not_write_is_never_removed(store: RecordStore, database: Database, tmp_path: Path) -> None:
    others = {
        f"dockets_flat/{place}"
        for place in (
            "court=ca9/month=2025-02/mine.parquet",
            "court=ca9/month=2020-01/part-0.parquet",
            "court=ca9/month=2020/dockets_flat.parquet",
            "court=ca9/month=__HIVE_DEFAULT_PARTITION__/dockets_flat.parquet",
            "dockets_flat.parquet",
        )
    }
    for name in others:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"mine")
    export(database, tmp_path, EVERYTHING)
    store.mark_gone("dockets", [7, 70, 71], "deleted")
    assert export(database, tmp_path, EVERYTHING).removed == 2 + len(VIEWS)
    assert files_in(tmp_path) == others | {"export.json"}
    assert {(tmp_path / name).read_bytes() for name in others} == {b"mine"}


def test_all_files_are_of_one_moment_and_none_is_ever_half_there(
    store: RecordStore, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the first file everything is deleted, and at the third one the export is killed."""
    export(database, tmp_path, EVERYTHING)
    opinions = next(tmp_path.glob("opinions*/*/*/*"))
    before, publish, published = opinions.read_bytes(), module.publish, list[Path]()

    def publishing(file: Path, place: Path) -> None:
        published.append(place)
        if len(published) == 1:
            store.mark_gone("dockets", [7, 70, 71], "deleted")
        if place.name.startswith("opinions"):
            raise KeyboardInterrupt
        publish(file, place)

    monkeypatch.setattr(module, "publish", publishing)
    with pytest.raises(KeyboardInterrupt):
        export(database, tmp_path, EVERYTHING)
    assert len(published) == 5
    assert opinions.read_bytes() == before
    assert not [name for name in files_in(tmp_path) if name.endswith(".tmp")]


def test_the_memory_is_that_of_a_row_group_not_that_of_a_month(
    store: RecordStore, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_GROUP", 1 << 20)
    with database.transaction() as connection:
        connection.execute(
            "INSERT INTO courtlistener.records (stream, id, cluster_id, court_id, body) SELECT 'opinions', 99 + n, 8, "
            "'ca9', jsonb_build_object('plain_text', repeat('The court affirms.', 5800)) FROM generate_series(1, 400) n"
        )
    tracemalloc.start()
    export(database, tmp_path, EVERYTHING)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    file = pq.ParquetFile(next(tmp_path.glob("opinions*/*/*/*")))
    assert file.metadata.num_rows == 401
    assert file.num_row_groups > 30
    # 42 MB of text; the server sends a hundred rows at once.
    assert peak < 30e6


def test_what_cannot_be_exported_is_said(store: RecordStore, database: Database, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="nothing is stored of ca5; there is something of ca9, scotus"):
        export(database, tmp_path, wish_of(["ca5"], None, None))
    with pytest.raises(SettingError, match="after"):
        wish_of((), date(2024, 2, 1), date(2024, 1, 1))
    assert files_in(tmp_path) == set()


def test_every_type_of_every_view_is_known(database: Database) -> None:
    with psycopg.connect(database._conninfo) as connection:
        assert all(schema_of(connection, view).names for view in VIEWS)
