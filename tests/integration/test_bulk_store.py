"""Bulk files into a real Postgres: what stays, what is replaced, what is green, and being killed."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import subprocess
import sys
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from courtlistener_assets.devkit.bulk.invented import COLUMNS, Invented, Size
from courtlistener_assets.devkit.bulk.writing import write_table
from courtlistener_assets.devkit.servers.postgres_server import PostgresServer
from courtlistener_assets.download.bulk import objects
from courtlistener_assets.download.bulk.bootstrap import TABLES, Bootstrap, Outcome, wanted_of
from courtlistener_assets.download.bulk.source import BulkSource
from courtlistener_assets.download.bulk.work import Workshop
from courtlistener_assets.download.choice import chosen, known_tables
from courtlistener_assets.download.partitions import CourtMonth
from resources.connections.postgres import Database
from resources.errors import SettingError, StoreUnavailable
from resources.records.bulk import BulkWriter
from resources.records.model import PageOfRecords, Record, SweepKey
from resources.records.store import RecordStore
from tests.bulk_files import BASE_URL, DAY
from tests.bulk_kills import AFTER, BEFORE

ROOT = Path(__file__).parents[2]
SIZE = Size(dockets=60, words=40)
COURTS = ("ca9", "cand")
STREAMS = ("dockets", "clusters", "opinions")
FIRST = date(2016, 1, 1)
AS_OF = datetime(2026, 9, 29, tzinfo=UTC)


@pytest.fixture
def dump(tmp_path: Path) -> Path:
    Invented(SIZE).write(tmp_path / "dump", DAY)
    return tmp_path / "dump"


@pytest.fixture
def store(database: Database) -> RecordStore:
    store = RecordStore(database, known_tables())
    store.prepare([table.name for table in known_tables()])
    return store


def bootstrap(dump: Path, work: Path, store: RecordStore, courts: tuple[str, ...] = COURTS) -> Outcome:
    source, streams = BulkSource(str(dump)), chosen()
    newest = source.newest(TABLES)
    workshop = Workshop(work, {"day": newest.day, "courts": courts})
    wanted = wanted_of(courts, FIRST, newest, streams)
    try:
        return Bootstrap(source, newest, wanted, workshop, store, streams, BASE_URL, "bulk-run").run()
    finally:
        workshop.close()


def everything(database: Database) -> list[Any]:
    return list(
        database.rows(
            "SELECT stream, id, docket_id, cluster_id, court_id, date_filed, date_modified, source, body::text, "
            "gone_at IS NOT NULL FROM courtlistener.records ORDER BY stream, id"
        )
    )


def row_of(database: Database, stream: str, id: int) -> dict[str, Any]:
    [(body, source, gone, modified)] = database.rows(
        "SELECT body, source, gone_at IS NOT NULL, date_modified FROM courtlistener.records "
        "WHERE stream = %(stream)s AND id = %(id)s",
        {"stream": stream, "id": id},
    )
    return {"body": body, "source": source, "gone": gone, "modified": modified}


def lookups(database: Database) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in database.rows("SELECT kind, stream, id FROM courtlistener.lookups ORDER BY 1, 2, 3")]


def rows_of(table: str) -> list[dict[str, Any]]:
    return [dict(zip(COLUMNS[table], row, strict=True)) for row in Invented(SIZE).rows(table)]


def put_by_api(store: RecordStore, *records: Record) -> None:
    key = SweepKey(records[0].stream, "ca9|2016-02-01", "filed")
    begun = store.begin_pass(key, run_id="api", full_refresh=True, overlap=timedelta())
    store.store_page(begun, PageOfRecords(list(records)), after_id=9, watermark=AS_OF, finished=True)


def test_what_is_stored_fits_together_and_costs_no_lookup(
    dump: Path, tmp_path: Path, store: RecordStore, database: Database
) -> None:
    outcome = bootstrap(dump, tmp_path / "work", store)
    inside = {row["id"]: row["court_id"] for row in rows_of("dockets") if row["court_id"] in COURTS}
    clusters = {
        row["id"]: row["docket_id"]
        for row in rows_of("opinion-clusters")
        if row["docket_id"] in inside and row["date_filed"] >= "2016-01-01"
    }
    rows = everything(database)
    assert {row[1]: (row[2], row[4]) for row in rows if row[0] == "clusters"} == {
        id: (docket, inside[docket]) for id, docket in clusters.items()
    }
    assert {row[1]: (row[3], row[4]) for row in rows if row[0] == "opinions"} == {
        row["id"]: (row["cluster_id"], inside[clusters[row["cluster_id"]]])
        for row in rows_of("opinions")
        if row["cluster_id"] in clusters
    }
    assert {row[7] for row in rows} == {"bulk"}
    assert (outcome.unusable, sum(outcome.stored.values())) == (0, len(rows))
    assert lookups(database) == []


def test_months_are_green_as_of_the_dump(dump: Path, tmp_path: Path, store: RecordStore, database: Database) -> None:
    outcome = bootstrap(dump, tmp_path / "work", store)
    assert outcome.months[0] == CourtMonth("ca9", FIRST)
    assert outcome.months[-1] == CourtMonth("cand", date(2026, 9, 1))
    for stream in chosen(STREAMS):
        sweeps = [sweep.name for sweep in stream.sweeps]
        assert store.freshness.is_complete(stream.name, "cand|2026-09-01", sweeps)
        assert not store.freshness.is_complete(stream.name, "cand|2015-12-01", sweeps)
        begun = store.begin_pass(
            SweepKey(stream.name, "ca9|2020-01-01", sweeps[0]), run_id="r", full_refresh=False, overlap=timedelta()
        )
        assert begun.since == AS_OF
    assert store.freshness.catch_up_from(["ca9", "cand"]) == AS_OF
    # What a full refresh of them would cost is known, too.
    counted = "SELECT min(walked_pages), max(walked_pages) FROM courtlistener.sweeps WHERE since IS NULL"
    assert database.rows(counted) == [(1, 1)]
    # What vector inputs are made from has changed.
    assert len(store.stale.partitions()) > 10


def test_a_body_of_the_api_of_the_same_or_a_later_moment_stays(
    dump: Path, tmp_path: Path, store: RecordStore, database: Database
) -> None:
    bootstrap(dump, tmp_path / "before", store)
    dockets = [row for row in everything(database) if row[0] == "dockets" and row[4] == "ca9"][:3]
    (same, later, earlier), moved = dockets, timedelta(microseconds=1)
    put_by_api(store, *(
        Record("dockets", row[1], {"id": row[1], "panel": ["richer"], "clusters": []}, row[1], court_id="ca9",
               date_filed=row[5], date_modified=row[6] + by)
        for row, by in ((same, 0 * moved), (later, moved), (earlier, -moved))
    ))  # fmt: skip
    assert row_of(database, "dockets", earlier[1])["source"] == "api"
    bootstrap(dump, tmp_path / "again", store)
    assert row_of(database, "dockets", same[1])["body"]["panel"] == ["richer"]
    assert row_of(database, "dockets", later[1])["body"]["panel"] == ["richer"]
    found = row_of(database, "dockets", earlier[1])
    assert (found["source"], found["modified"], "panel" in found["body"]) == ("bulk", earlier[6], False)


def test_a_tombstone_stays_and_nothing_is_hung_on_it(
    dump: Path, tmp_path: Path, store: RecordStore, database: Database
) -> None:
    bootstrap(dump, tmp_path / "before", store)
    cluster = next(row for row in everything(database) if row[0] == "clusters")
    store.mark_gone("clusters", [cluster[1]], "merged into 99")
    buried = [(row[0], row[1]) for row in everything(database) if row[9]]
    assert len(buried) >= 2
    before = everything(database)
    bootstrap(dump, tmp_path / "again", store)
    assert everything(database) == before
    # Also where nothing else is known, and its opinions are new.
    with database.transaction() as connection:
        connection.execute("DELETE FROM courtlistener.records WHERE NOT (stream = 'clusters' AND gone_at IS NOT NULL)")
        connection.execute("DELETE FROM courtlistener.lookups")
    bootstrap(dump, tmp_path / "third", store)
    assert row_of(database, "clusters", cluster[1])["gone"]
    assert [row for row in everything(database) if row[0] == "opinions" and row[3] == cluster[1]] == []
    # Its docket still lists it, and is asked for.
    assert ("parent", "dockets", cluster[2]) in lookups(database)


def test_only_a_later_dump_replaces_another(dump: Path, tmp_path: Path, store: RecordStore, database: Database) -> None:
    bootstrap(dump, tmp_path / "first", store)
    Invented(SIZE).write(tmp_path / "next", date(2026, 12, 31))
    write_table(tmp_path / "next", "dockets", date(2026, 12, 31), COLUMNS["dockets"], (
        tuple("Silently v. Changed" if name == "case_name" else value for name, value in row.items())
        for row in rows_of("dockets")
    ))  # fmt: skip
    bootstrap(tmp_path / "next", tmp_path / "second", store)
    names = {json.loads(row[8])["case_name"] for row in everything(database) if row[0] == "dockets"}
    assert names == {"Silently v. Changed"}
    bootstrap(dump, tmp_path / "third", store)
    assert {json.loads(row[8])["case_name"] for row in everything(database) if row[0] == "dockets"} == names
    assert store.freshness.catch_up_from(["ca9"]) == datetime(2026, 12, 30, tzinfo=UTC)


def test_the_api_replaces_what_is_from_bulk(dump: Path, tmp_path: Path, store: RecordStore, database: Database) -> None:
    bootstrap(dump, tmp_path / "work", store)
    docket = next(row for row in everything(database) if row[0] == "dockets" and row[4] == "ca9")
    put_by_api(
        store,
        Record(
            "dockets", docket[1], {"id": docket[1], "panel": []}, docket[1], court_id="ca9", date_modified=docket[6]
        ),
    )
    assert row_of(database, "dockets", docket[1])["source"] == "api"


def test_a_pass_that_is_under_way_is_overtaken_and_an_increment_is_not(
    dump: Path, tmp_path: Path, store: RecordStore
) -> None:
    first, incremental = (SweepKey("clusters", f"ca9|2017-0{month}-01", "dated") for month in (1, 2))
    begun = store.begin_pass(first, run_id="api", full_refresh=False, overlap=timedelta())
    begun = store.store_page(begun, PageOfRecords([]), after_id=5, watermark=AS_OF, finished=False)
    walked = store.begin_pass(incremental, run_id="api", full_refresh=False, overlap=timedelta())
    old = AS_OF - timedelta(days=300)
    store.store_page(walked, PageOfRecords([]), after_id=5, watermark=old, finished=True)
    under_way = store.begin_pass(incremental, run_id="api2", full_refresh=False, overlap=timedelta())
    bootstrap(dump, tmp_path / "work", store)
    # The page of the pass that was overtaken moves nothing.
    after = store.store_page(begun, PageOfRecords([]), after_id=7, watermark=AS_OF, finished=False)
    assert (after.finished, after.watermark) == (True, AS_OF)
    again = store.begin_pass(incremental, run_id="api2", full_refresh=False, overlap=timedelta())
    assert (again.since, again.finished, again.number) == (old, False, under_way.number)


def test_streams_that_are_left_out_cannot_be_filled(dump: Path, tmp_path: Path, store: RecordStore) -> None:
    source = BulkSource(str(dump))
    newest, streams = source.newest(TABLES), chosen(["dockets", "opinions"])
    wanted = wanted_of(COURTS, FIRST, newest, streams)
    with pytest.raises(SettingError, match="lacks one"):
        Bootstrap(source, newest, wanted, Workshop(tmp_path / "w", {}), store, streams, BASE_URL, "r")


def citations(database: Database) -> dict[tuple[int, int], tuple[int, date]]:
    rows = database.rows("SELECT citing_opinion_id, cited_opinion_id, depth, as_of FROM courtlistener.citation_map")
    return {(citing, cited): (depth, as_of.date()) for citing, cited, depth, as_of in rows}


def cited_in(dump: list[dict[str, Any]], database: Database) -> dict[tuple[int, int], int]:
    """Those of a dump's citations that have to do with a stored opinion; of several of two opinions the deepest."""
    known = {id for (id,) in database.rows("SELECT id FROM courtlistener.opinions")}
    found: dict[tuple[int, int], int] = {}
    for row in dump:
        pair = row["citing_opinion_id"], row["cited_opinion_id"]
        if known & set(pair):
            found[pair] = max(row["depth"], found.get(pair, 0))
    return found


def test_citations_of_stored_opinions_and_of_what_cites_them_are_kept_with_their_depth(
    dump: Path, tmp_path: Path, store: RecordStore, database: Database
) -> None:
    assert bootstrap(dump, tmp_path / "work", store).citations > 20
    expected = cited_in(rows_of("citation-map"), database)
    assert {pair: depth for pair, (depth, _) in citations(database).items()} == expected
    # Again the same; a later dump replaces it, and an earlier one does not.
    bootstrap(dump, tmp_path / "again", store)
    assert {pair: depth for pair, (depth, _) in citations(database).items()} == expected
    later = date(2026, 12, 31)
    Invented(SIZE).write(tmp_path / "next", later)
    fewer = [{**row, "depth": 77} for row in rows_of("citation-map") if row["id"] % 3]
    write_table(tmp_path / "next", "citation-map", later, COLUMNS["citation-map"], map(dict.values, fewer))  # type: ignore[arg-type]
    bootstrap(tmp_path / "next", tmp_path / "second", store)
    newest = {pair: (77, date(2026, 12, 30)) for pair in cited_in(fewer, database)}
    assert citations(database) == newest
    bootstrap(dump, tmp_path / "third", store)
    assert {pair: found for pair, found in citations(database).items() if found[0] == 77} == newest


def test_the_examples_of_the_docs_find_the_most_cited_decisions_and_who_cites_one(
    dump: Path, tmp_path: Path, store: RecordStore, database: Database
) -> None:
    bootstrap(dump, tmp_path / "work", store)
    page = (ROOT / "docs" / "bulk.md").read_text(encoding="utf-8").partition("\n## Who cites whom")[2]
    most, who = (block.partition("```")[0] for block in page.split("```sql\n")[1:])
    cluster_of = dict(database.rows("SELECT id, cluster_id FROM courtlistener.opinions"))
    ca9 = {id for (id,) in database.rows("SELECT id FROM courtlistener.clusters WHERE court_id = 'ca9'")}
    citing: dict[int, dict[int, int]] = {}
    mentions: dict[int, int] = {}
    for (by, cited), depth in cited_in(rows_of("citation-map"), database).items():
        cluster = cluster_of.get(cited, 0)
        citing.setdefault(cluster, {})[by] = max(depth, citing.get(cluster, {}).get(by, 0))
        mentions[cluster] = mentions.get(cluster, 0) + depth
    order = sorted(ca9 & citing.keys(), key=lambda id: (-len(citing[id]), -mentions[id], id))[:20]
    assert [tuple(row[2:]) for row in database.rows(most)] == [(id, len(citing[id]), mentions[id]) for id in order]
    found = database.rows(who.replace("= 12", f"= {order[0]}"))
    assert {by: depth for by, depth, *_ in found} == citing[order[0]]
    assert any(name for *_, name in found)


def bootstrap_elsewhere(dump: Path, work: Path, url: str, *point: str) -> dict[str, int] | None:
    """Run a bootstrap in a process that may kill itself; how often it met each point, None if it was killed."""
    command = [sys.executable, "-m", "tests.bulk_kills", str(dump), str(work), url, *point]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, check=False
    )
    assert done.returncode in (0, -signal.SIGKILL)
    return json.loads(done.stdout) if done.returncode == 0 else None


def test_killed_at_random_points_nothing_is_lost_doubled_or_revived(
    dump: Path, tmp_path: Path, store: RecordStore, database: Database, database_url: str
) -> None:
    kills, seed = int(os.environ.get("BULK_KILLS", "3")), int(os.environ.get("BULK_SEED", random.randrange(10**6)))
    print(f"seed {seed}")
    rng, killed = random.Random(seed), 0
    met = bootstrap_elsewhere(dump, tmp_path / "whole", database_url)
    assert met is not None
    assert {*met} == {*AFTER, *BEFORE}
    cluster = next(row for row in everything(database) if row[0] == "clusters")
    store.mark_gone("clusters", [cluster[1]], "not found (404)")
    expected = everything(database)
    while killed < kills:
        with database.transaction() as connection:
            connection.execute("DELETE FROM courtlistener.records WHERE gone_at IS NULL")
            connection.execute("DELETE FROM courtlistener.sweeps")
        work, before = tmp_path / f"work-{killed}", killed
        while killed < kills:
            point = rng.choice(sorted(met))
            # A run that goes on meets what is left of them.
            number = rng.randint(1, max(1, met[point] // (1 + killed - before)))
            if bootstrap_elsewhere(dump, work, database_url, point, str(number)) is not None:
                break
            killed += 1
            print(f"kill {killed}: {point}, number {number}")
        assert bootstrap_elsewhere(dump, work, database_url) is not None
        assert everything(database) == expected
        assert store.freshness.is_complete("opinions", "ca9|2020-01-01", ["dated"])


def test_a_postgres_that_goes_away_is_gone_on_with_when_it_is_back(
    dump: Path, tmp_path: Path, fresh_postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "BATCH_ROWS", 9)
    with closing(Database(fresh_postgres_server.url)) as database:
        database.migrate()
        store = RecordStore(database, known_tables())
        store.prepare([table.name for table in known_tables()])
        bootstrap(dump, tmp_path / "whole", store)
        expected, batches, original = everything(database), itertools.count(), BulkWriter._upsert
        with database.transaction() as connection:
            connection.execute("DELETE FROM courtlistener.records")
            connection.execute("DELETE FROM courtlistener.sweeps")

        def crashing(self: BulkWriter, records: Any) -> dict[int, bool]:
            found = original(self, records)
            if next(batches) == 7:
                fresh_postgres_server.kill()
            return found

        monkeypatch.setattr(BulkWriter, "_upsert", crashing)
        with pytest.raises(StoreUnavailable):
            bootstrap(dump, tmp_path / "work", store)
        fresh_postgres_server.restart()
        bootstrap(dump, tmp_path / "work", store)
        assert everything(database) == expected
