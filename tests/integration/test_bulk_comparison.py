"""What a dump says of a store, case by case: what only looks like a deletion or a change, and being stopped."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from courtlistener_assets.devkit.bulk.of_corpus import write_corpus
from courtlistener_assets.devkit.simulator.corpus import Corpus, as_served
from courtlistener_assets.devkit.simulator.generator import generate
from courtlistener_assets.devkit.simulator.shapes import address
from courtlistener_assets.download.bulk import objects, passes
from courtlistener_assets.download.bulk.bootstrap import STREAMS, TABLES, Bootstrap, Outcome, wanted_of
from courtlistener_assets.download.bulk.source import BulkSource
from courtlistener_assets.download.bulk.work import Workshop
from courtlistener_assets.download.choice import chosen, known_tables
from courtlistener_assets.download.partitions import Everything
from resources.connections.postgres import Database
from resources.errors import DumpChanged, StoreUnavailable
from resources.records.bulk import Walked
from resources.records.model import Scope
from resources.records.store import RecordStore

SERVER = "https://www.courtlistener.com"
COURTS = ("scotus", "ca9")
FIRST = date(2024, 1, 1)
DAY = date(2024, 12, 31)
AS_OF = datetime(2024, 12, 30, tzinfo=UTC)
EARLIER = AS_OF - timedelta(days=30)


@dataclass
class World:
    """A server, and a store that has all that it had a month before the dump."""

    corpus: Corpus
    store: RecordStore
    database: Database
    folder: Path

    def download(self, *ids: tuple[str, int], at: datetime = EARLIER) -> None:
        """Store some objects, or all, as the API gives them, at a moment."""
        for stream in chosen(STREAMS):
            bodies = [each for each in self.corpus.table(stream.name) if not ids or (stream.name, each["id"]) in ids]
            served = json.loads(as_served(json.dumps(bodies), SERVER))
            records = [record for body in served for record in stream.read(body, Everything())]
            self.store.store_found("scotus", records, scope=Scope(frozenset(COURTS), FIRST))
            self.sql(
                "UPDATE courtlistener.records SET fetched_at = %(at)s WHERE stream = %(stream)s AND id = ANY(%(ids)s)",
                at=at,
                stream=stream.name,
                ids=[record.id for record in records],
            )
        self.sql("DELETE FROM courtlistener.lookups")

    def dump(self, day: date = DAY, **options: Any) -> None:
        write_corpus(self.corpus, self.folder / "dump", day, **options)

    def compare(self, day: date = DAY, work: str = "work") -> Outcome:
        source, streams = BulkSource(str(self.folder / "dump")), chosen()
        newest = source.newest(TABLES, day)
        workshop = Workshop(self.folder / work, {"day": day})
        wanted = wanted_of(COURTS, FIRST, newest, streams)
        try:
            url = f"{SERVER}/api/rest/v4"
            return Bootstrap(source, newest, wanted, workshop, self.store, streams, url, "run").run()
        finally:
            workshop.close()

    def found(self) -> set[tuple[str, str, int]]:
        return {tuple(row) for row in self.rows("SELECT kind, stream, id FROM courtlistener.dump_differences")}

    def fields(self, stream: str, id: int) -> dict[str, Any]:
        [(fields,)] = self.rows(
            f"SELECT fields FROM courtlistener.dump_differences WHERE stream = '{stream}' AND id = {id}"
        )
        return dict(fields)

    def row(self, stream: str, id: int, columns: str) -> tuple[Any, ...]:
        [row] = self.rows(f"SELECT {columns} FROM courtlistener.{stream} WHERE id = {id}")
        return tuple(row)

    def lookups(self) -> set[tuple[Any, ...]]:
        return {tuple(row) for row in self.rows("SELECT kind, stream, id, court_id FROM courtlistener.lookups")}

    def rows(self, query: str) -> list[Any]:
        return self.database.rows(query)

    def sql(self, query: str, **params: Any) -> None:
        with self.database.transaction() as connection:
            connection.execute(query.encode(), params)

    def clusters(self, court: str) -> Iterator[dict[str, Any]]:
        """Decisions of a court that are stored, each of a docket of its own with no other one."""
        for cluster in self.corpus.clusters:
            docket = self.corpus.get("dockets", cluster["docket_id"])
            alone = docket and docket["court_id"] == court and len(docket["clusters"]) == 1
            if alone and cluster["sub_opinions"] and cluster["date_filed"] >= "2024-01-01":
                yield cluster


@pytest.fixture
def world(tmp_path: Path, database: Database) -> World:
    store = RecordStore(database, known_tables())
    store.prepare([table.name for table in known_tables()])
    world = World(generate(size=0.3), store, database, tmp_path)
    world.download()
    months = [f"{court}|2024-0{number}-01" for court in COURTS for number in range(1, 10)]
    sweeps = [Walked(s.name, month, sweep.name, 1) for s in chosen(STREAMS) for month in months for sweep in s.sweeps]
    store.bulk_walks.finish(sweeps, as_of=EARLIER, run_id="api")
    return world


def test_what_has_not_changed_is_no_difference(world: World) -> None:
    """Dockets without a date, blocked ones, months and courts of others are in the corpus."""
    world.dump()
    assert world.compare().differences == {}
    assert (world.found(), world.lookups()) == (set(), set())
    assert world.store.differences.comparison(DAY) is not None


def test_what_has_moved_away_is_not_deleted(world: World) -> None:
    corpus, (first, second, third, *_) = world.corpus, world.clusters("ca9")
    elsewhere = next(docket for docket in corpus.dockets if docket["court_id"] == "nysd")
    corpus.move_docket(first["docket_id"], "nysd", touched=False)
    corpus.date_cluster(second["id"], "2041-01-01", touched=False)
    corpus.move_cluster(third["id"], elsewhere["id"], touched=False)
    left = third["docket_id"], next(row[0] for row in world.rows(
        f"SELECT docket_id FROM courtlistener.clusters WHERE id = {third['id']}"))  # fmt: skip
    world.dump()
    world.compare()
    assert world.found() == {
        ("changed", "dockets", first["docket_id"]),
        ("changed", "clusters", second["id"]),
        ("changed", "clusters", third["id"]),
        ("children", "dockets", left[1]),
    }
    assert world.fields("dockets", first["docket_id"])["court_id"] == ["ca9", "nysd"]
    assert world.row("clusters", first["id"], "court_id, source, gone_at") == ("nysd", "api", None)
    assert world.row("clusters", second["id"], "date_filed, source") == (date(2041, 1, 1), "merged")
    # Of the docket in a court that is not ours only the API can tell.
    assert world.row("clusters", third["id"], "docket_id, court_id") == (elsewhere["id"], "ca9")
    assert world.lookups() == {("parent", "dockets", elsewhere["id"], "ca9")}
    # The months that something has left, and that it has entered, are made into vector inputs again.
    stale = {partition for partition, _ in world.store.stale.partitions()}
    assert {f"ca9|{first['date_filed'][:7]}-01", f"nysd|{first['date_filed'][:7]}-01", "ca9|2041-01-01"} <= stale


@pytest.mark.parametrize(("walked", "asked"), [(["2024-05"], True), (["2024-05", "2024-01"], False), ([], False)])
def test_filings_of_a_docket_that_has_moved_are_asked_for_if_only_its_new_month_has_filings(
    world: World, walked: list[str], asked: bool
) -> None:
    docket = next(
        each
        for each in world.corpus.dockets
        if each["court_id"] == "ca9" and (each["date_filed"] or "")[:7] == "2024-01"
    )
    world.corpus.date_docket(docket["id"], "2024-05-20", touched=False)
    sweeps = [Walked("docket_entries", f"ca9|{month}-01", "docket_entries", 1) for month in walked]
    world.store.bulk_walks.finish(sweeps, as_of=EARLIER, run_id="api")
    world.dump()
    world.compare()
    assert (("children", "docket_entries", docket["id"], "ca9") in world.lookups()) is asked


def test_tables_that_were_read_at_different_times_show_no_deletion(world: World) -> None:
    corpus, (cluster, other, *_) = world.corpus, world.clusters("scotus")
    opinion = corpus.get("opinions", int(cluster["sub_opinions"][0].rstrip("/").rpartition("/")[2]))
    assert opinion is not None
    new = {"id": 900_001, "resource_uri": address("clusters", 900_001), "sub_opinions": []}
    late = {"id": 900_002, "resource_uri": address("opinions", 900_002), "cluster_id": 900_001}

    def between(table: str) -> None:
        if table == "opinions":  # Between the tables of decisions and of opinions one of each appears, ...
            corpus.add("clusters", {**copy.deepcopy(cluster), **new})
            corpus.add("opinions", {**copy.deepcopy(opinion), **late, "cluster": address("clusters", 900_001)})
        if table == "citations":  # ... and after both, one is deleted.
            corpus.delete("clusters", other["id"])

    world.dump(before=between)
    # What the API gave since: the dump says nothing of it, whether it has it or not.
    world.download(("clusters", 900_001), ("opinions", 900_002), at=AS_OF + timedelta(hours=9))
    corpus.update("clusters", cluster["id"], citation_count=77)
    world.download(("clusters", cluster["id"]), at=AS_OF + timedelta(hours=9))
    world.compare()
    # What is joined is as of its own table.
    assert {(stream, *world.fields(stream, id)) for kind, stream, id in world.found() if kind != "children"} <= {
        ("clusters", "citations"),
        ("clusters", "panel", "citations"),
        ("clusters", "citations", "panel"),
    }
    assert world.row("clusters", cluster["id"], "body->>'citation_count'") == ("77",)
    assert world.row("clusters", other["id"], "gone_at") == (None,)


def test_what_is_missing_in_a_complete_month_is_told_from_what_is_new(world: World) -> None:
    corpus, (lost, new, *_) = world.corpus, world.clusters("ca9")
    world.sql(
        "DELETE FROM courtlistener.records WHERE stream IN ('clusters', 'opinions') AND cluster_id = ANY(%(ids)s)",
        ids=[lost["id"], new["id"]],
    )
    corpus.touch("clusters", new["id"], modified=EARLIER + timedelta(days=3))
    for id in [int(url.rstrip("/").rpartition("/")[2]) for url in new["sub_opinions"]]:
        corpus.touch("opinions", id, modified=EARLIER + timedelta(days=3))
    world.dump()
    world.compare()
    opinions = {int(url.rstrip("/").rpartition("/")[2]) for url in lost["sub_opinions"]}
    assert world.found() == {("missing", "clusters", lost["id"]), *(("missing", "opinions", id) for id in opinions)}
    assert world.row("clusters", lost["id"], "source") == world.row("clusters", new["id"], "source") == ("bulk",)


def test_a_tombstone_older_than_the_dump_that_has_the_object_is_looked_up(world: World) -> None:
    first, second, *_ = world.clusters("ca9")
    world.dump()
    for cluster in (first, second):
        world.store.mark_gone("clusters", [cluster["id"]], "not found (404)")
    world.sql("UPDATE courtlistener.records SET gone_at = %(at)s WHERE stream = 'clusters' AND id = %(id)s",
              at=EARLIER, id=first["id"])  # fmt: skip
    world.compare()
    assert ("revived", "clusters", first["id"]) in world.found()
    assert {id for kind, stream, id in world.found() if kind == "revived" and stream == "clusters"} == {first["id"]}
    assert world.row("clusters", first["id"], "gone_at IS NULL") == (False,)
    [waiting] = [each for each in world.store.differences.waiting() if each.stream == "clusters"]
    world.store.differences.close(waiting, "not found (404)")
    assert not world.store.differences.is_waiting(waiting)


def test_a_dump_without_most_of_what_is_stored_is_not_believed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("courtlistener_assets.download.bulk.absent._MOST_ABSENT", 10)
    for opinion in world.corpus.opinions[: len(world.corpus.opinions) * 3 // 4]:
        world.corpus.delete("opinions", opinion["id"])
    world.dump()
    with pytest.raises(DumpChanged, match=r"lacks \d+ of \d+ opinions that are stored"):
        world.compare()
    assert not [each for each in world.found() if each[0] == "deleted"]
    assert world.store.differences.comparison(DAY) is None


def test_values_of_what_is_gone_are_not_kept(world: World) -> None:
    cluster = next(world.clusters("ca9"))
    world.corpus.update("clusters", cluster["id"], case_name="A name that is sealed later")
    world.dump()
    world.compare()
    assert world.fields("clusters", cluster["id"])["case_name"][1] == "A name that is sealed later"
    world.store.mark_gone("clusters", [cluster["id"]], "removed by CourtListener (410)")
    assert world.fields("clusters", cluster["id"]) == {}


def test_a_comparison_that_is_stopped_anywhere_finds_the_same(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passes, "PART_BYTES", 4_000)
    monkeypatch.setattr(objects, "BATCH_ROWS", 9)
    some = list(world.clusters("ca9"))[:6]
    for cluster in some[:3]:
        world.corpus.update("clusters", cluster["id"], citation_count=9_999)
    for cluster in some[3:]:
        world.corpus.delete("clusters", cluster["id"])
    world.dump()
    keep, note, calls, stops = Workshop.keep, world.store.differences.note_deleted, [0], iter(range(2, 900, 5))

    def stop_now(before: bool = True) -> None:
        calls[0] += 1
        if calls[0] == stop[0]:
            raise StoreUnavailable

    def keep_or_stop(self: Workshop, *arguments: Any) -> None:
        stop_now()  # What was stored is not counted yet.
        keep(self, *arguments)
        stop_now()

    def note_or_stop(*arguments: Any) -> None:
        note(*arguments)
        stop_now()

    monkeypatch.setattr(Workshop, "keep", keep_or_stop)
    monkeypatch.setattr(world.store.differences, "note_deleted", note_or_stop)
    stopped, stop = 0, [next(stops)]
    while True:
        try:
            calls[0] = 0
            world.compare()
            break
        except StoreUnavailable:
            stopped, stop[0] = stopped + 1, next(stops)
    assert stopped >= 3
    kinds = {(kind, stream, id) for kind, stream, id in world.found() if kind != "children"}
    opinions = {int(url.rstrip("/").rpartition("/")[2]) for cluster in some[3:] for url in cluster["sub_opinions"]}
    assert kinds == {
        *(("changed", "clusters", cluster["id"]) for cluster in some[:3]),
        *(("deleted", "clusters", cluster["id"]) for cluster in some[3:]),
        *(("deleted", "opinions", row[0]) for row in world.rows(
            f"SELECT id FROM courtlistener.opinions WHERE cluster_id IN ({','.join(str(c['id']) for c in some[3:])})")),
    }  # fmt: skip
    assert opinions == set()
