"""The record store against a real Postgres."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from courtlistener_assets.download.choice import chosen
from courtlistener_assets.download.partitions import CourtMonth
from courtlistener_assets.download.stream import all_kinds, all_members
from resources.connections.postgres import Database
from resources.errors import PageRejected
from resources.records.model import Failure, PageOfRecords, Record, SweepKey, SweepPass
from resources.records.store import RecordStore, storable

KEY = SweepKey("dockets", "ca9|2024-02-01", "filed")
SERVED = datetime(2024, 5, 1, 12, tzinfo=UTC)
OVERLAP = timedelta(minutes=10)


@pytest.fixture
def store(database: Database) -> RecordStore:
    store = RecordStore(database)
    store.prepare(["dockets", "clusters", "opinions", "docket_entries", "recap_documents"])
    return store


def docket(id: int, *, modified: datetime = SERVED, **body: Any) -> Record:
    return Record("dockets", id, {"id": id, **body}, docket_id=id, court_id="ca9", date_modified=modified)


def begin(store: RecordStore, *, run_id: str = "run-1", full_refresh: bool = False) -> SweepPass:
    return store.begin_pass(KEY, run_id=run_id, full_refresh=full_refresh, overlap=OVERLAP)


def put(store: RecordStore, at: SweepPass, *records: Record, after_id: int, finished: bool = False) -> SweepPass:
    return store.store_page(at, PageOfRecords(list(records)), after_id=after_id, watermark=SERVED, finished=finished)


def stored(database: Database) -> dict[int, Any]:
    return dict(database.rows("SELECT id, body FROM courtlistener.dockets ORDER BY id"))


def test_migrations_are_applied_once(database: Database) -> None:
    assert database.migrate() == []


def test_preparing_streams_again_changes_nothing(store: RecordStore, database: Database) -> None:
    store.prepare(["dockets", "clusters"])
    [(count,)] = database.rows("SELECT count(*) FROM pg_inherits WHERE inhparent = 'courtlistener.records'::regclass")
    assert count == 5


def test_a_page_and_its_checkpoint_are_stored_together(store: RecordStore, database: Database) -> None:
    following = put(store, begin(store), docket(1), docket(7), after_id=7)
    assert (following.after_id, following.finished, following.pages, following.records) == (7, False, 1, 2)
    assert list(stored(database)) == [1, 7]


def test_a_refused_page_leaves_neither_rows_nor_checkpoint(store: RecordStore, database: Database) -> None:
    first = begin(store)
    with pytest.raises(PageRejected):
        put(store, first, docket(1), docket(2**70), after_id=2)
    assert stored(database) == {}
    assert begin(store).after_id == 0


def test_an_unfinished_pass_goes_on_where_it_stopped(store: RecordStore) -> None:
    put(store, begin(store), docket(7), after_id=7)
    again = begin(store, run_id="run-2")
    assert (again.number, again.after_id, again.since) == (1, 7, None)


def test_a_finished_sweep_asks_only_for_what_was_modified_since(store: RecordStore) -> None:
    put(store, begin(store), docket(7), after_id=7, finished=True)
    again = begin(store, run_id="run-2")
    assert (again.number, again.after_id, again.since) == (2, 0, SERVED - OVERLAP)


def test_the_watermark_is_the_time_of_the_first_page(store: RecordStore) -> None:
    second = put(store, begin(store), docket(7), after_id=7)
    store.store_page(second, PageOfRecords([]), after_id=7, watermark=SERVED + timedelta(hours=1), finished=True)
    assert begin(store, run_id="run-2").since == SERVED - OVERLAP


def test_everything_asks_for_all_again_and_survives_a_retry_of_its_run(store: RecordStore) -> None:
    put(store, begin(store), docket(7), after_id=7, finished=True)
    full = begin(store, run_id="run-2", full_refresh=True)
    assert (full.after_id, full.since) == (0, None)
    put(store, full, docket(7), after_id=7)
    assert begin(store, run_id="run-2", full_refresh=True).after_id == 7
    assert begin(store, run_id="run-3", full_refresh=True).after_id == 0


def test_a_sweep_counts_as_complete_while_it_is_brought_up_to_date(store: RecordStore) -> None:
    assert not store.freshness.is_complete("dockets", KEY.partition, ["filed"])
    put(store, begin(store), docket(7), after_id=7, finished=True)
    assert store.freshness.is_complete("dockets", KEY.partition, ["filed"])
    assert not store.freshness.is_complete("dockets", KEY.partition, ["filed", "decided"])
    begin(store, run_id="run-2")
    assert store.freshness.is_complete("dockets", KEY.partition, ["filed"])


def test_a_newer_row_is_never_replaced_by_an_older_one(store: RecordStore, database: Database) -> None:
    at = put(store, begin(store), docket(1, name="newer"), after_id=1)
    at = put(store, at, docket(1, name="older", modified=SERVED - timedelta(days=1)), after_id=2)
    assert stored(database)[1]["name"] == "newer"
    put(store, at, docket(1, name="newest", modified=SERVED + timedelta(days=1)), after_id=3)
    assert stored(database)[1]["name"] == "newest"


def test_a_row_repeated_within_a_page_is_stored_once(store: RecordStore, database: Database) -> None:
    put(store, begin(store), docket(1), docket(1), docket(2), after_id=2)
    assert list(stored(database)) == [1, 2]


def test_two_workers_on_one_sweep_lose_nothing(store: RecordStore, database: Database) -> None:
    one = begin(store, run_id="run-1")
    other = begin(store, run_id="run-2")
    ahead = put(store, put(store, one, docket(1), after_id=1), docket(2), after_id=2)
    behind = put(store, other, docket(1), after_id=1)
    assert behind == ahead
    assert list(stored(database)) == [1, 2]


def test_text_that_postgres_cannot_hold_is_marked_not_dropped(store: RecordStore, database: Database) -> None:
    put(store, begin(store), docket(1, text="a\x00b\ud800c", nested=[{"k\x00": "\x00"}]), after_id=1)
    assert stored(database)[1]["text"] == "a�b�c"
    assert stored(database)[1]["nested"] == [{"k�": "�"}]


def test_text_without_such_characters_is_left_as_it_is() -> None:
    body = {"text": "§ 1 ¶ “naïve” \U0001f600", "n": 1, "none": None}
    assert storable(body) == body


def test_a_failure_seen_again_is_one_failure_with_more_tries(store: RecordStore, database: Database) -> None:
    failure = Failure("UnusableRecord", "id is None", docket_id=3, requests=1)
    for _ in range(2):
        store.store_page(begin(store), PageOfRecords([], [failure]), after_id=0, watermark=SERVED, finished=False)
    assert database.rows("SELECT tries, requests FROM courtlistener.failures") == [(2, 2)]


def test_documents_of_a_partition_are_its_decisions_and_its_filings(store: RecordStore) -> None:
    month = CourtMonth("ca9", date(2024, 2, 1)).filter_values
    inside, outside = date(2024, 2, 10), date(2024, 3, 10)
    records = [
        Record("dockets", 1, {"id": 1}, docket_id=1, court_id="ca9", date_filed=inside),
        Record("dockets", 2, {"id": 2}, docket_id=2, court_id="ca9", date_filed=None),
        Record("dockets", 3, {"id": 3}, docket_id=3, court_id="ca9", date_filed=outside),
        Record("clusters", 20, {"id": 20}, docket_id=2, cluster_id=20, court_id="ca9", date_filed=inside),
        Record("clusters", 30, {"id": 30}, docket_id=3, cluster_id=30, court_id="ca9", date_filed=outside),
        Record("opinions", 201, {"id": 201}, cluster_id=20, court_id="ca9"),
        Record("opinions", 301, {"id": 301}, cluster_id=30, court_id="ca9"),
        Record("docket_entries", 100, {"id": 100}, docket_id=1, docket_entry_id=100, court_id="ca9"),
        Record("recap_documents", 101, {"id": 101}, docket_id=1, docket_entry_id=100, court_id="ca9"),
        Record("recap_documents", 303, {"id": 303}, docket_id=3, docket_entry_id=300, court_id="ca9"),
    ]
    put(store, begin(store), *records, after_id=1, finished=True)
    kinds = [(kind.name, kind.table) for kind in all_kinds(chosen())]
    with store.documents(kinds, month) as documents:
        found = [(row["kind"], row["id"], row["cluster"], row["docket"]) for row in documents]
    assert found == [("opinion", 201, {"id": 20}, {"id": 2}), ("recap_document", 101, None, {"id": 1})]
    assert store.counts(all_members(chosen()), month) == {
        "dockets": 2,
        "clusters": 1,
        "opinions": 1,
        "docket_entries": 1,
        "recap_documents": 1,
    }


def test_the_documents_of_a_cluster_follow_each_other(store: RecordStore) -> None:
    month = CourtMonth("ca9", date(2024, 2, 1)).filter_values
    inside = date(2024, 2, 10)
    records = [
        Record("dockets", 1, {"id": 1}, docket_id=1, court_id="ca9", date_filed=inside),
        Record("clusters", 20, {"id": 20}, docket_id=1, cluster_id=20, court_id="ca9", date_filed=inside),
        Record("clusters", 30, {"id": 30}, docket_id=1, cluster_id=30, court_id="ca9", date_filed=inside),
        *(
            Record("opinions", id, {"id": id}, cluster_id=cluster, court_id="ca9")
            for id, cluster in ((1, 30), (2, 20), (3, 30), (4, 20))
        ),
    ]
    put(store, begin(store), *records, after_id=1, finished=True)
    kinds = [(kind.name, kind.table) for kind in all_kinds(chosen())]
    with store.documents(kinds, month) as documents:
        assert [row["id"] for row in documents] == [2, 4, 1, 3]


def test_clusters_are_found_by_their_citations_however_their_bodies_look(store: RecordStore) -> None:
    def cited(volume: object, reporter: object, page: object) -> dict[str, object]:
        return {"volume": volume, "reporter": reporter, "page": page, "type": 1}

    first = {
        "id": 20,
        "sub_opinions": ["/opinions/201/"],
        "citations": [cited(540, "U.S.", "614"), cited("1", "x", "2")],
    }
    bodies = {
        20: first,
        30: {"id": 30, "citations": [cited(540, "U.S.", 614)]},
        40: {"id": 40, "citations": [cited(None, "U.S.", "614"), "540 U.S. 614", None]},
        50: {"id": 50, "citations": "540 U.S. 614"},
        60: {"id": 60, "citations": [cited("9" * 3000, "U.S." * 3000, "1")]},
        70: {"id": 70},
    }
    records = [Record("clusters", id, body, cluster_id=id, court_id="ca9") for id, body in bodies.items()]
    put(store, begin(store), *records, after_id=1, finished=True)
    assert store.cited.having(["540 U.S. 614", "2 U.S. 1"]) == [
        ("540 U.S. 614", 20, ["/opinions/201/"]),
        ("540 U.S. 614", 30, None),
    ]
    store.mark_gone("clusters", [20], "merged")
    assert [id for _, id, _ in store.cited.having(["540 U.S. 614"])] == [30]


def ranges(database: Database) -> list[Any]:
    return database.rows("SELECT sweep, after_id, up_to_id FROM courtlistener.failures ORDER BY id")


def test_ranges_of_two_sweeps_are_two_failures_wherever_they_begin(store: RecordStore, database: Database) -> None:
    for sweep, up_to_id in (("filed", 200), ("decided", 900), ("docket:5", None), ("docket:6", None)):
        key = SweepKey(KEY.asset, KEY.partition, sweep)
        store.record_failure(key, Failure("TransientApiError", "500", after_id=0, up_to_id=up_to_id))
    assert ranges(database) == [("filed", 0, 200), ("decided", 0, 900), ("docket:5", 0, None), ("docket:6", 0, None)]
    retried = SweepKey(KEY.asset, KEY.partition, "decided:0-900")
    store.record_failure(retried, Failure("TransientApiError", "500", after_id=0, up_to_id=900))
    assert database.rows("SELECT tries FROM courtlistener.failures ORDER BY id") == [(1,), (2,), (1,), (1,)]


def test_only_a_retry_narrows_a_range(store: RecordStore, database: Database) -> None:
    def fail(up_to_id: int | None) -> list[Any]:
        store.record_failure(KEY, Failure("TransientApiError", "500", after_id=0, up_to_id=up_to_id))
        return ranges(database)

    assert fail(200) == [("filed", 0, 200)]
    # A later pass saw only what was modified, of which the last id may be less.
    assert fail(150) == [("filed", 0, 200)]
    assert fail(None) == fail(150) == [("filed", 0, None)]
    with database.transaction() as connection:
        connection.execute("UPDATE courtlistener.failures SET claimed_by = 'claim', claimed_at = now()")
    assert fail(150) == [("filed", 0, 150)]
