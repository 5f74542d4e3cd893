"""The flat views: what is in them, of which types, and that nothing in a body makes them fail."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from psycopg.types.json import Jsonb

from bench.scale.fill import body_of
from courtlistener_assets.download.bulk.bootstrap import TABLES, Bootstrap, wanted_of
from courtlistener_assets.download.bulk.source import BulkSource
from courtlistener_assets.download.bulk.work import Workshop
from courtlistener_assets.download.choice import chosen, known_tables
from courtlistener_assets.download.partitions import CourtMonth
from courtlistener_assets.download.streams import _OCR, _OPINION_TYPES, STREAMS
from courtlistener_assets.text.cleaning import OPINION_FIELDS
from resources.connections import schema
from resources.connections.postgres import Database
from resources.errors import SchemaMismatch
from resources.records.model import SweepKey
from resources.records.pages import storable
from resources.records.store import RecordStore
from tests.bulk_files import BASE_URL, served, shared_dump

VIEWS = ("dockets_flat", "clusters_flat", "opinions_with_case", "entries_flat", "documents_flat", "citations")
STREAM = {stream.name: stream for stream in STREAMS}
MONTH = CourtMonth("ca9", date(2024, 1, 1))
ADDRESS = f"{BASE_URL}/dockets/7/"


@pytest.fixture
def store(database: Database) -> RecordStore:
    store = RecordStore(database, known_tables())
    store.prepare([table.name for table in known_tables()])
    return store


def keep(store: RecordStore, stream: str, *bodies: Mapping[str, Any], partition: CourtMonth = MONTH) -> None:
    """Store objects as a page of their stream brings them."""
    page = STREAM[stream].read_page([dict(body) for body in bodies], partition)
    assert not page.failures, page.failures
    key = SweepKey(stream, str(partition), "test")
    begun = store.begin_pass(key, run_id="run", full_refresh=True, overlap=timedelta(0))
    store.store_page(begun, page, after_id=begun.after_id + 1, watermark=None, finished=False)


def a_case(store: RecordStore) -> None:
    """One of everything, of ca9 in January 2024."""
    moment = {"date_modified": "2024-02-03T01:02:03.000004-08:00", "date_created": "2024-01-02T00:00:00-08:00"}
    docket = {
        "id": 7,
        "court_id": "ca9",
        "date_filed": "2024-01-05",
        "case_name": "Roe v. Wade",
        "docket_number": "24-7",
    }
    keep(store, "dockets", body_of("dockets") | docket | moment | {"clusters": [f"{BASE_URL}/clusters/8/"]})
    printed = [{"volume": "540", "reporter": "U.S.", "page": "614", "type": 1}]
    cluster = {"id": 8, "docket_id": 7, "date_filed": "2024-01-31", "case_name": "Roe", "citations": printed}
    listed = {"sub_opinions": [f"{BASE_URL}/opinions/9/"], "judges": "Kagan, Jürgens"}
    keep(store, "clusters", body_of("clusters") | cluster | listed | moment | {"precedential_status": "Published"})
    text = {"html_with_citations": " \n", "html": "<p>Text.</p>", "plain_text": "Text."}
    opinion = {"id": 9, "cluster_id": 8, "type": "040dissent", "page_count": 3, "per_curiam": False}
    joined = {"joined_by": [f"{BASE_URL}/people/5/", f"{BASE_URL}/people/4/"]}
    keep(store, "opinions", body_of("opinions") | opinion | text | joined | moment)
    document = body_of("recap_documents") | {"id": 11, "ocr_status": 2, "document_type": 1, "is_sealed": None} | moment
    entry = {"id": 10, "docket": ADDRESS, "date_filed": "2024-01-06", "entry_number": 3, "recap_documents": [document]}
    keep(store, "docket_entries", body_of("docket_entries") | entry | moment)


def rows_of(database: Database, view: str, columns: str = "count(*)", where: str = "true") -> list[Any]:
    return database.rows(f"SELECT {columns} FROM courtlistener.{view} WHERE {where}")


def counts(database: Database) -> dict[str, int]:
    return {view: rows_of(database, view)[0][0] for view in VIEWS}


def test_an_opinion_has_the_name_and_the_date_of_its_case_in_real_types(store: RecordStore, database: Database) -> None:
    a_case(store)
    assert database.rows("SELECT case_name, date_filed FROM courtlistener.opinions_with_case") == [
        ("Roe", date(2024, 1, 31))
    ]
    columns = "opinion_id, docket_id, court_id, docket_number, citations, type_name, text, text_field, joined_by_ids"
    assert rows_of(database, "opinions_with_case", f"{columns}, page_count, per_curiam, judges, date_modified") == [
        (9, 7, "ca9", "24-7", ["540 U.S. 614"], "Dissent", "<p>Text.</p>", "html", [5, 4], 3, False, "Kagan, Jürgens",
         datetime(2024, 2, 3, 9, 2, 3, 4, UTC))
    ]  # fmt: skip
    assert rows_of(database, "documents_flat", "document_id, case_name, ocr_status, document_type, entry_number") == [
        (11, "Roe v. Wade", "unnecessary", "PACER document", 3)
    ]
    assert rows_of(database, "citations", "cluster_id, citation, volume, type_name") == [
        (8, "540 U.S. 614", "540", "federal")
    ]
    assert rows_of(database, "clusters_flat", "cluster_id", "citations @> ARRAY['540 U.S. 614']") == [(8,)]
    assert counts(database) == dict.fromkeys(VIEWS, 1)


def test_what_is_gone_takes_what_hangs_on_it_out_of_the_views(store: RecordStore, database: Database) -> None:
    a_case(store)
    store.mark_gone("opinions", [9], "deleted")
    assert counts(database) == dict.fromkeys(VIEWS, 1) | {"opinions_with_case": 0}
    store.mark_gone("recap_documents", [11], "sealed")
    assert counts(database)["documents_flat"] == 0
    # An opinion that comes although its decision went has nothing to belong to.
    store.mark_gone("clusters", [8], "merged")
    assert counts(database)["clusters_flat"] == counts(database)["citations"] == 0
    store.mark_gone("dockets", [7], "deleted")
    assert counts(database) == dict.fromkeys(VIEWS, 0)


def test_what_has_left_the_courts_that_are_downloaded_is_not_shown(store: RecordStore, database: Database) -> None:
    """It stays in the tables, and nobody keeps it current but a full refresh."""
    a_case(store)
    moved = body_of("dockets") | {"id": 7, "court_id": "nysd", "date_filed": "2024-01-05", "clusters": []}
    keep(store, "dockets", moved | {"date_modified": "2024-03-01T00:00:00Z"})
    assert database.rows("SELECT docket_id FROM courtlistener.strays") == [(7,)]
    assert database.rows("SELECT count(*) FROM courtlistener.records WHERE gone_at IS NULL")[0][0] == 5
    assert counts(database) == dict.fromkeys(VIEWS, 0)
    # Once that court is downloaded, too, it belongs to it.
    keep(store, "clusters", partition=CourtMonth("nysd", date(2024, 1, 1)))
    assert counts(database) == dict.fromkeys(VIEWS, 1)


NONSENSE: list[Any] = [
    "", " ", "nonsense", "2024-02-30", "2023-02-29", "0000-01-01", "2024-13-01", "2024-01-00", "24-1-1", "infinity",
    "2024-01-01T25:00:00Z", "9999-12-31T23:59:59-08:00", "99999999999999999999", "1e400", "NaN", -1, 1.5, 10**30, True,
    None, [], {}, [None, {}, [1], "x/", "people/12345678901234567890123/"], {"a": "b"}, "\\", "%s", "\ufffd", "/9/",
]  # fmt: skip


def test_nothing_in_a_body_makes_a_view_fail(database: Database) -> None:
    """Every field of every body is nonsense, one kind after the other, and every column is read."""
    kinds = ("dockets", "clusters", "opinions", "docket_entries", "recap_documents")
    bodies = {kind: body_of(kind) for kind in kinds}
    with database.transaction() as connection:
        for number, value in enumerate(NONSENSE, 1):
            for kind, body in bodies.items():
                wrong = dict.fromkeys(body, value) | {"citations": [value, {"volume": value, "type": value}]}
                connection.execute(
                    "INSERT INTO courtlistener.records (stream, id, docket_id, cluster_id, docket_entry_id, court_id, "
                    "body) VALUES (%s, %s, %s, %s, %s, 'ca9', %s)",
                    (kind, number, number, number, number, Jsonb(wrong)),
                )
    for view in VIEWS:
        assert len(rows_of(database, view, "*")) >= len(NONSENSE), view
    assert rows_of(database, "dockets_flat", "count(*)", "date_terminated IS NOT NULL") == [(0,)]
    [(modified,)] = rows_of(database, "dockets_flat", "max(assigned_to_id)")
    assert modified == 9


@pytest.mark.parametrize(
    ("value", "expected"),
    [("2024-02-29", date(2024, 2, 29)), ("2000-02-29", date(2000, 2, 29)), ("1900-02-29", None), ("2024-04-31", None),
     ("0001-01-01", date(1, 1, 1)), ("9999-12-31", date(9999, 12, 31)), ("2024-1-1", None), ("2024-01-01 ", None)],
)  # fmt: skip
def test_dates_are_told_from_what_only_looks_like_one(value: str, expected: date | None, database: Database) -> None:
    assert database.rows("SELECT courtlistener.date_in(%(value)s)", {"value": value}) == [(expected,)]


def test_all_that_can_be_selected_says_what_it_is(database: Database) -> None:
    described = database.rows(
        "SELECT c.relname, a.attname, col_description(c.oid, a.attnum), obj_description(c.oid), "
        "format_type(a.atttypid, a.atttypmod) FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid "
        "WHERE c.relnamespace = 'courtlistener'::regnamespace AND c.relkind = 'v' ORDER BY c.relname, a.attnum"
    )
    assert {view for view, *_ in described} == set(VIEWS)
    assert [f"{view}.{name}" for view, name, comment, of_view, _ in described if not comment or not of_view] == []
    for _, name, _, _, kind in described:
        if name.startswith("date_") and name != "date_filed_is_approximate":
            assert kind in ("date", "timestamp with time zone")
        if name.endswith("_ids"):
            assert kind == "bigint[]"
    assert {kind for *_, kind in described} == {
        "bigint", "bigint[]", "boolean", "date", "text", "text[]", "timestamp with time zone"
    }  # fmt: skip


def test_the_views_name_types_as_the_code_does() -> None:
    script = schema.VIEWS.read_text(encoding="utf-8")
    assert {code: name for code, name in re.findall(r"WHEN '(\d{3}\w+)' THEN '([^']+)'", script)} == _OPINION_TYPES
    status = script.split("CASE r.body->>'ocr_status'")[1].split("END AS")[0]
    assert {int(code): name for code, name in re.findall(r"WHEN '(\d)' THEN '(\w+)'", status)} == _OCR
    fields = re.search(r"FOREACH field IN ARRAY ARRAY\[(.*?)\]", script, re.DOTALL)
    assert fields
    assert tuple(re.findall(r"'(\w+)'", fields[1])) == OPINION_FIELDS


def test_a_database_of_an_earlier_version_gets_the_views_and_later_their_changes(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    schema.verify_views(database.rows)
    drop = "; ".join(f"DROP VIEW courtlistener.{view}" for view in VIEWS)
    with database.transaction() as connection:
        connection.execute(f"DROP TABLE courtlistener.definitions; {drop}".encode())
    with pytest.raises(SchemaMismatch, match="courtlistener migrate"):
        schema.verify_views(database.rows)
    assert database.migrate() == ["views"]
    assert database.migrate() == []
    # A view of somebody else hangs on ours, and stays.
    with database.transaction() as connection:
        connection.execute("CREATE VIEW public.mine AS SELECT case_name FROM courtlistener.dockets_flat")
    changed = tmp_path / "views.sql"
    changed.write_text(schema.VIEWS.read_text(encoding="utf-8").replace("`docket_id`", "`docket`"), encoding="utf-8")
    monkeypatch.setattr(schema, "VIEWS", changed)
    # Workers of two versions would define them in turns, and use none.
    database.ensure_schema()
    with pytest.raises(SchemaMismatch):
        schema.verify_views(database.rows)
    assert database.migrate() == ["views"]
    schema.verify_views(database.rows)
    assert database.rows("SELECT * FROM public.mine") == []


@pytest.mark.skipif(shared_dump() is None, reason="no directory shared/bulk beside this checkout")
def test_real_rows_of_bulk_files_are_all_there(store: RecordStore, database: Database, tmp_path: Path) -> None:
    dump = shared_dump()
    assert dump
    source, objects = BulkSource(str(dump)), {name: served(dump, name) for name in ("dockets", "clusters", "opinions")}
    newest = source.newest(TABLES)
    courts = sorted({body["court_id"] for body in objects["dockets"].values()})
    wanted = wanted_of(tuple(courts), date(2026, 1, 1), newest, chosen())
    with closing(Workshop(tmp_path / "work", {"day": newest.day})) as work:
        Bootstrap(source, newest, wanted, work, store, chosen(), BASE_URL, "run").run()
    clusters = {id: body for id, body in objects["clusters"].items() if body["date_filed"] >= "2026-01-01"}
    found = rows_of(database, "opinions_with_case", "opinion_id, case_name, date_filed, text, cited_opinion_ids")
    expected = {id: body for id, body in objects["opinions"].items() if body["cluster_id"] in clusters}
    assert {id for id, *_ in found} == set(expected)
    for id, name, day, text, cited in found:
        cluster, opinion = clusters[expected[id]["cluster_id"]], expected[id]
        assert (name, str(day)) == (cluster["case_name"] or cluster["case_name_full"], cluster["date_filed"])
        best = next((opinion[field] for field in OPINION_FIELDS if (opinion[field] or "").strip()), None)
        assert text == storable(best)
        assert sorted(cited) == sorted(int(url.rstrip("/").rsplit("/", 1)[1]) for url in opinion["opinions_cited"])
    assert rows_of(database, "citations")[0][0] == sum(len(body["citations"]) for body in clusters.values())


def test_the_reference_and_the_source_of_dbt_say_what_the_database_says(database: Database) -> None:
    """Both are made from the script, whose types nobody has looked at but here."""
    rows = database.rows(
        "SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), col_description(c.oid, a.attnum) "
        "FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid "
        "WHERE c.relnamespace = 'courtlistener'::regnamespace AND c.relkind = 'v' AND a.attnum > 0 "
        "ORDER BY c.relname, a.attnum"
    )
    stored = [
        (view, name, kind.replace("timestamp with time zone", "timestamptz"), said) for view, name, kind, said in rows
    ]
    root = Path(__file__).parents[2]
    tables = yaml.safe_load((root / "deploy" / "dbt" / "models" / "sources.yml").read_text())["sources"][0]["tables"]
    assert stored == [
        (table["name"], column["name"], column["data_type"], column["description"])
        for table in sorted(tables, key=lambda table: table["name"])
        for column in table["columns"]
    ]
    page = (root / "docs" / "reference" / "views.md").read_text(encoding="utf-8")
    assert len(re.findall(r"^\| `\w+` \| ", page, re.MULTILINE)) == len(stored)


def test_a_role_that_may_only_read_the_views_reads_them(store: RecordStore, database: Database) -> None:
    a_case(store)
    guide = (Path(__file__).parents[2] / "docs" / "guide" / "read.md").read_text(encoding="utf-8")
    [script] = re.findall(r"```sql\n(CREATE ROLE reader.*?)```", guide, re.DOTALL)
    with database.transaction() as connection:
        connection.execute(script.encode())
        connection.execute("SET LOCAL ROLE reader")
        for view in VIEWS:
            assert connection.execute(f"SELECT * FROM courtlistener.{view}".encode()).fetchall(), view
        connection.rollback()
