"""What one page does to the tables: children under their parents, and a note of whatever does not fit."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from courtlistener_assets.download.choice import known_tables
from resources.connections.postgres import Database
from resources.records.model import PageOfRecords, Record, Scope, SweepKey, SweepPass
from resources.records.rows import Rows
from resources.records.store import RecordStore
from resources.records.tables import Table

JANUARY = "scotus|2024-01-01"
BEGUN = datetime(2024, 6, 1, tzinfo=UTC)
OLD, YOUNG = BEGUN - timedelta(days=30), BEGUN + timedelta(days=1)
SCOPE = Scope(frozenset({"scotus"}), date(2024, 1, 1))


@pytest.fixture
def store(database: Database) -> RecordStore:
    store = RecordStore(database, known_tables())
    store.prepare([table.name for table in known_tables()])
    return store


def docket(id: int, *, court: str = "scotus", filed: str | None = "2024-01-05", modified: datetime = OLD,
           clusters: Iterable[int] = (), **more: Any) -> Record:  # fmt: skip
    body = {"id": id, "clusters": [f"http://server/api/rest/v4/clusters/{each}/" for each in clusters], **more}
    day = date.fromisoformat(filed) if filed else None
    return Record("dockets", id, body, docket_id=id, court_id=court, date_filed=day, date_modified=modified,
                  lists={"clusters": frozenset(clusters)})  # fmt: skip


def cluster(id: int, docket_id: int, *, filed: str = "2024-01-10", modified: datetime = OLD,
            opinions: Iterable[int] = (), court: str | None = "scotus", **more: Any) -> Record:  # fmt: skip
    body = {"id": id, "sub_opinions": [f"http://server/api/rest/v4/opinions/{each}/" for each in opinions], **more}
    return Record("clusters", id, body, docket_id=docket_id, cluster_id=id, court_id=court,
                  date_filed=date.fromisoformat(filed), date_modified=modified,
                  lists={"opinions": frozenset(opinions)})  # fmt: skip


def opinion(id: int, cluster_id: int, *, modified: datetime = OLD, text: str = "text") -> Record:
    body = {"id": id, "plain_text": text}
    return Record("opinions", id, body, cluster_id=cluster_id, court_id="scotus", date_modified=modified)


def entry(id: int, docket_id: int, documents: Iterable[int] = (), *, modified: datetime = OLD) -> list[Record]:
    keys: dict[str, Any] = {"docket_id": docket_id, "docket_entry_id": id, "court_id": "scotus"}
    lists = {"recap_documents": frozenset(documents)}
    return [
        Record("docket_entries", id, {"id": id}, **keys, date_modified=modified, lists=lists),
        *(Record("recap_documents", each, {"id": each}, **keys, date_modified=modified) for each in documents),
    ]


def page(
    store: RecordStore,
    asset: str,
    records: list[Record],
    *,
    partition: str = JANUARY,
    sweep: str = "dated",
    since: datetime | None = None,
    watermark: datetime = BEGUN,
    scope: Scope | None = None,
) -> SweepPass:
    """Store records as the only page of a pass that began at `watermark`."""
    key = SweepKey(asset, partition, sweep)
    if since:
        begun = store.begin_pass_since(key, since, run_id=f"{asset} {watermark} {since}", overlap=timedelta(0))
    else:
        begun = store.begin_pass(key, run_id=f"{asset} {watermark}", full_refresh=True, overlap=timedelta(0))
    return store.store_page(begun, PageOfRecords(records), after_id=1, watermark=watermark, finished=True, scope=scope)


def noted(database: Database) -> set[tuple[str, str, int]]:
    return set(database.rows("SELECT kind, stream, id FROM courtlistener.lookups"))


def stale(store: RecordStore) -> set[str]:
    found = store.stale.partitions()
    for partition, last_at in found:
        store.stale.take(partition, last_at)
    return {partition for partition, _ in found}


def places(database: Database) -> dict[tuple[str, int], Any]:
    rows = database.rows("SELECT stream, id, court_id, docket_id FROM courtlistener.records")
    return {(stream, id): (court, docket_id) for stream, id, court, docket_id in rows}


def test_a_child_has_the_court_and_docket_of_its_stored_parent(store: RecordStore, database: Database) -> None:
    page(store, "dockets", [docket(7, court="ca9", clusters=[1])])
    page(store, "clusters", [cluster(1, 7, opinions=[2])])
    page(store, "opinions", [opinion(2, 1)])
    assert set(places(database).values()) == {("ca9", 7)}


def test_a_decision_that_another_worker_stores_at_the_same_moment_is_not_looked_up(
    store: RecordStore, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its docket is of the months of both workers; the decision is committed between two reads of one transaction."""
    page(store, "clusters", [cluster(9, 8)])
    stored_children_of = Rows.children_of

    def children_of(rows: Rows, child: Table, key: str, ids: Iterable[int]) -> dict[int, frozenset[int]]:
        found = stored_children_of(rows, child, key, ids)
        if child.name == "clusters":
            monkeypatch.undo()
            page(store, "clusters", [cluster(1, 7, filed="2024-03-01")], partition="scotus|2024-03-01")
        return found

    monkeypatch.setattr(Rows, "children_of", children_of)
    page(store, "dockets", [docket(7, clusters=[1])])
    assert ("listed", "clusters", 1) not in noted(database)


def test_what_hangs_on_a_docket_follows_it_to_another_court(store: RecordStore, database: Database) -> None:
    page(store, "clusters", [cluster(1, 7, opinions=[2])])
    page(store, "opinions", [opinion(2, 1)])
    page(store, "docket_entries", entry(3, 7, [4]))
    page(store, "dockets", [docket(7, clusters=[1])])
    stale(store)
    page(store, "dockets", [docket(7, court="ca9", clusters=[1], modified=YOUNG)], partition="ca9", since=OLD)
    assert set(places(database).values()) == {("ca9", 7)}
    assert stale(store) == {JANUARY, "ca9|2024-01-01"}


def test_nothing_is_noted_in_a_first_download_in_any_order(store: RecordStore, database: Database) -> None:
    page(store, "clusters", [cluster(1, 7, opinions=[2])])
    page(store, "dockets", [docket(7, clusters=[1, 99]), docket(8, filed=None, clusters=[98])])
    page(store, "opinions", [opinion(2, 1)])
    page(store, "docket_entries", entry(3, 7, [4]))
    assert not noted(database)


def test_a_child_that_a_younger_parent_brings_is_noted(store: RecordStore, database: Database) -> None:
    page(store, "clusters", [])
    page(store, "opinions", [])
    page(store, "docket_entries", [])
    page(store, "dockets", [docket(7, clusters=[1], modified=YOUNG)], partition="scotus", since=OLD)
    assert noted(database) == {("listed", "clusters", 1), ("children", "docket_entries", 7)}
    page(store, "clusters", [cluster(1, 7, opinions=[2], modified=YOUNG)], partition="scotus", since=OLD)
    assert noted(database) == {("listed", "opinions", 2), ("children", "docket_entries", 7)}
    page(store, "opinions", [opinion(2, 1)], partition="scotus", since=OLD)
    assert noted(database) == {("children", "docket_entries", 7)}


def test_entries_of_a_docket_that_is_as_young_as_they_are_need_no_lookup(
    store: RecordStore, database: Database
) -> None:
    page(store, "docket_entries", [])
    young = docket(7, modified=YOUNG)
    page(store, "dockets", [Record(**{**vars(young), "date_created": YOUNG})], partition="scotus", since=BEGUN)
    assert not noted(database)


def test_a_list_that_grew_is_a_reason_whatever_the_date_of_its_owner(store: RecordStore, database: Database) -> None:
    page(store, "clusters", [])
    page(store, "dockets", [docket(7)])
    page(store, "dockets", [docket(7, clusters=[1])], sweep="decided+clusters", since=OLD)
    assert noted(database) == {("listed", "clusters", 1)}


def test_a_stored_child_that_is_no_longer_listed_is_noted(store: RecordStore, database: Database) -> None:
    page(store, "dockets", [docket(7, clusters=[1])])
    page(store, "clusters", [cluster(1, 7, opinions=[2])])
    page(store, "opinions", [opinion(2, 1)])
    page(store, "docket_entries", entry(3, 7, [4, 5]))
    page(store, "clusters", [cluster(1, 7)])
    page(store, "docket_entries", entry(3, 7, [5]))
    page(store, "dockets", [docket(7)])
    assert noted(database) == {
        ("unlisted", "opinions", 2),
        ("unlisted", "recap_documents", 4),
        ("unlisted", "clusters", 1),
    }


def test_a_parent_that_is_missing_or_out_of_date_is_noted(store: RecordStore, database: Database) -> None:
    page(store, "dockets", [docket(7)])
    page(store, "clusters", [cluster(1, 7), cluster(2, 8)])
    assert noted(database) == {("parent", "dockets", 7), ("parent", "dockets", 8)}


def test_both_parents_of_a_child_that_moved_are_seen_again(store: RecordStore, database: Database) -> None:
    page(store, "dockets", [docket(7, clusters=[1]), docket(8)])
    page(store, "clusters", [cluster(1, 7)])
    page(store, "clusters", [cluster(1, 8, modified=YOUNG)])
    assert noted(database) == {("parent", "dockets", 7), ("parent", "dockets", 8)}


def test_a_decision_that_moves_touches_both_months(store: RecordStore) -> None:
    page(store, "dockets", [docket(7, clusters=[1])])
    page(store, "clusters", [cluster(1, 7)])
    stale(store)
    page(store, "clusters", [cluster(1, 7)])
    assert not stale(store), "nothing has changed"
    page(store, "clusters", [cluster(1, 7, filed="2024-02-01")])
    assert stale(store) == {JANUARY, "scotus|2024-02-01"}


def test_what_a_docket_says_is_in_the_chunks_of_its_decisions_too(store: RecordStore) -> None:
    page(store, "dockets", [docket(7, filed=None, clusters=[1])])
    page(store, "clusters", [cluster(1, 7, filed="2024-03-03")])
    stale(store)
    page(store, "dockets", [docket(7, filed=None, clusters=[1], case_name="Roe v. Doe")])
    assert stale(store) == {"scotus|undated", "scotus|2024-03-01"}


def test_a_tombstone_has_no_text_and_takes_along_what_hangs_on_it(store: RecordStore, database: Database) -> None:
    page(store, "dockets", [docket(7, clusters=[1])])
    page(store, "clusters", [cluster(1, 7, opinions=[2])])
    page(store, "opinions", [opinion(2, 1, text="sealed")])
    page(store, "docket_entries", entry(3, 7, [4]))
    stale(store)
    assert store.mark_gone("dockets", [7], "not found (404)") == 3
    gone = {stream for (stream,) in database.rows("SELECT stream FROM courtlistener.records WHERE gone_at IS NOT NULL")}
    assert gone == {"dockets", "docket_entries", "recap_documents"}
    assert noted(database) == {("unlisted", "clusters", 1)}, "it may have moved to another docket before"
    assert stale(store) == {JANUARY}
    assert store.mark_gone("clusters", [1], "removed (410)") == 2
    assert not noted(database)
    assert {str(body) for (body,) in database.rows("SELECT body - 'id' FROM courtlistener.records")} == {"{}"}


def test_a_merged_cluster_leaves_with_the_page_that_names_it(store: RecordStore, database: Database) -> None:
    page(store, "dockets", [docket(7, clusters=[1]), docket(8, clusters=[2])])
    page(store, "clusters", [cluster(1, 7, opinions=[3]), cluster(2, 8, opinions=[4])])
    page(store, "opinions", [opinion(3, 1), opinion(4, 2)])
    kept = cluster(1, 7, opinions=[3, 4])
    page(store, "clusters", [Record(**{**vars(kept), "replaces": (2,)})])
    assert noted(database) == {("listed", "opinions", 4), ("parent", "dockets", 8)}


def test_of_two_bodies_the_younger_one_stays_but_for_clocks_that_differ(store: RecordStore, database: Database) -> None:
    def shown() -> Any:
        [(name,)] = database.rows("SELECT body ->> 'case_name' FROM courtlistener.dockets")
        return name

    key = SweepKey("dockets", JANUARY, "filed")
    begun = store.begin_pass_since(key, OLD, run_id="one", overlap=timedelta(0))

    def store_named(name: str, modified: datetime, tolerance: timedelta) -> None:
        record = docket(7, modified=modified, case_name=name)
        store.store_page(begun, PageOfRecords([record]), after_id=1, watermark=BEGUN, finished=False,
                         tolerance=tolerance)  # fmt: skip

    store_named("first", OLD, timedelta(0))
    store_named("a clock that is behind", OLD - timedelta(minutes=5), timedelta(minutes=10))
    assert shown() == "a clock that is behind"
    store_named("a replica that lags", OLD - timedelta(days=1), timedelta(minutes=10))
    assert shown() == "a clock that is behind"
    page(store, "dockets", [docket(7, modified=OLD - timedelta(days=1), case_name="restored")])
    assert shown() == "restored", "a full refresh takes the server's word"


def test_a_catch_up_stores_only_configured_courts_and_months(store: RecordStore, database: Database) -> None:
    records = [
        docket(1, court="ca9", clusters=[1]),
        docket(2, filed="2023-12-31"),
        docket(3, filed=None),
        docket(4, clusters=[4]),
    ]
    page(store, "dockets", records, partition="F", since=OLD, scope=SCOPE)
    page(store, "clusters", [cluster(1, 1, court=None), cluster(4, 4, court=None), cluster(5, 9, court=None)],
         partition="F", since=OLD, scope=SCOPE)  # fmt: skip
    page(store, "opinions", [opinion(1, 1), opinion(4, 4)], partition="F", since=OLD, scope=SCOPE)
    page(store, "docket_entries", [*entry(1, 2, [1]), *entry(4, 4, [4])], partition="F", since=OLD, scope=SCOPE)
    assert set(places(database)) == {
        ("dockets", 3), ("dockets", 4), ("clusters", 4), ("opinions", 4), ("docket_entries", 4), ("recap_documents", 4),
    }  # fmt: skip


def test_a_document_is_taken_out_of_an_entry_that_no_longer_has_it_but_not_of_one_that_does(
    store: RecordStore, database: Database
) -> None:
    page(store, "docket_entries", entry(3, 7, [4, 5]))
    page(store, "docket_entries", entry(3, 7, [5]))
    for id in (4, 5):
        store.detach("recap_documents", id)
    found = places(database)
    assert (found["recap_documents", 4], found["recap_documents", 5]) == ((None, None), ("scotus", 7))


@pytest.mark.parametrize("day", [date(1999, 5, 1), date(2024, 3, 1)], ids=["before the first month", "after the last"])
def test_a_decision_of_no_month_of_the_scope_that_a_lookup_brings_is_looked_after(
    store: RecordStore, database: Database, day: date
) -> None:
    page(store, "dockets", [docket(7, filed=None)])
    scope = Scope(frozenset({"scotus"}), date(2024, 1, 1), end=date(2024, 3, 1))
    outside, other = cluster(1, 7), cluster(2, 8)
    store.store_found(JANUARY, [Record(**{**vars(outside), "date_filed": day}), other], scope=scope)
    assert database.rows("SELECT docket_id, partition FROM courtlistener.strays") == [(7, JANUARY)]
