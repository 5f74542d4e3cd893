"""Sweeps from the simulator into Postgres, with real permits: complete, no page twice, bad objects left out alone."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import date

import pytest

from courtlistener_assets.devkit.servers.redis_server import RedisServer
from courtlistener_assets.devkit.simulator.faults import Fault
from courtlistener_assets.devkit.simulator.server import Simulator
from courtlistener_assets.download.choice import chosen
from courtlistener_assets.download.partitions import CourtMonth
from courtlistener_assets.download.stream import Stream
from courtlistener_assets.download.sweep import Sweeper, SweepStopped
from resources.connections.postgres import Database
from resources.courtlistener.client import API_USAGE_WINDOWS, PERMIT_TTL_SECONDS, CourtListenerClient
from resources.dagster_resources import RedisRateLimitResource
from resources.errors import ServerDown
from resources.records.store import RecordStore

PARTITION = CourtMonth("scotus", date(2024, 1, 1))
STREAM: dict[str, Stream] = {stream.name: stream for stream in chosen()}


@pytest.fixture
def store(database: Database) -> RecordStore:
    store = RecordStore(database)
    store.prepare([table for stream in chosen() for table in stream.stores])
    return store


@pytest.fixture
def client(
    simulator: Simulator, redis_server: RedisServer, database_url: str, redis_client: object
) -> Iterator[CourtListenerClient]:
    rate_limit = RedisRateLimitResource(redis_url=redis_server.url, postgres_url=database_url, rate_limits="1000/min")
    client = CourtListenerClient(
        simulator.url,
        "wide-token",
        rate_limit.limiter("wide", permit_ttl_seconds=PERMIT_TTL_SECONDS),
        rate_limit.limiter("wide:api_usage", fallback_windows=API_USAGE_WINDOWS),
        windows_age_seconds=0.0,
        sleep=lambda seconds: None,
    )
    yield client
    client.close()


def ids(database: Database, table: str) -> list[int]:
    return [id for (id,) in database.rows(f"SELECT id FROM courtlistener.{table} ORDER BY id")]


def walk_all(client: CourtListenerClient, store: RecordStore, run_id: str = "run", full_refresh: bool = False) -> None:
    sweeper = Sweeper(client, store, run_id, full_refresh=full_refresh)
    for stream in chosen():
        for sweep in stream.sweeps:
            sweeper.walk(stream, sweep, PARTITION)


def test_every_object_of_a_partition_is_stored_once_with_the_fewest_requests(
    client: CourtListenerClient, store: RecordStore, database: Database, simulator: Simulator
) -> None:
    corpus, first, following = simulator.corpus, "2024-01-01", "2024-02-01"
    court = {docket["id"]: docket for docket in corpus.dockets if docket["court_id"] == "scotus"}
    filed = {id for id, docket in court.items() if docket["date_filed"] and first <= docket["date_filed"] < following}
    clusters = {c["id"]: c for c in corpus.clusters if c["docket_id"] in court and first <= c["date_filed"] < following}
    opinions = [opinion["id"] for opinion in corpus.opinions if opinion["cluster_id"] in clusters]
    entries = [entry for entry in corpus.docket_entries if int(entry["docket"].rstrip("/").rsplit("/", 1)[1]) in filed]

    walk_all(client, store)

    assert ids(database, "dockets") == sorted(filed | {cluster["docket_id"] for cluster in clusters.values()})
    assert ids(database, "clusters") == sorted(clusters)
    assert ids(database, "opinions") == sorted(opinions)
    assert ids(database, "docket_entries") == sorted(entry["id"] for entry in entries)
    assert ids(database, "recap_documents") == sorted(
        document["id"] for entry in entries for document in entry["recap_documents"]
    )
    rows = [len(filed), len(clusters), len(clusters), len(opinions), len(entries)]
    ideal = sum(max(1, math.ceil(count / 20)) for count in rows)
    assert ideal <= client.requests_sent <= ideal * 1.05 + 1
    assert client.refused == 0


def test_a_finished_partition_costs_one_request_a_sweep(
    client: CourtListenerClient, store: RecordStore, database: Database
) -> None:
    walk_all(client, store)
    before = client.requests_sent
    walk_all(client, store, run_id="again")
    assert client.requests_sent - before == 5


def test_what_was_modified_since_is_found_and_replaces_the_old(
    client: CourtListenerClient, store: RecordStore, database: Database, simulator: Simulator
) -> None:
    walk_all(client, store)
    [id] = ids(database, "clusters")[:1]
    simulator.corpus.touch("clusters", id, case_name="Renamed v. Case")
    walk_all(client, store, run_id="again")
    [(name,)] = database.rows("SELECT body->>'case_name' FROM courtlistener.clusters WHERE id = %(id)s", {"id": id})
    assert name == "Renamed v. Case"


def test_a_stopped_sweep_goes_on_with_the_next_page(
    client: CourtListenerClient, store: RecordStore, database: Database, simulator: Simulator
) -> None:
    stream = STREAM["docket_entries"]
    pages = iter([False, False, True])
    with pytest.raises(SweepStopped):
        Sweeper(client, store, "run", stopped=lambda: next(pages)).walk(stream, stream.sweeps[0], PARTITION)
    Sweeper(client, store, "run").walk(stream, stream.sweeps[0], PARTITION)
    asked = [entry.path for entry in simulator.log if "docket-entries" in entry.path]
    assert len(asked) == len(set(asked))
    assert len(asked) > 3


@pytest.mark.parametrize("stream_name", ["dockets", "opinions", "docket_entries"])
def test_an_object_that_breaks_its_page_is_left_out_alone(
    client: CourtListenerClient, store: RecordStore, database: Database, simulator: Simulator, stream_name: str
) -> None:
    stream = STREAM[stream_name]
    for sweep in stream.sweeps:
        Sweeper(client, store, "run").walk(stream, sweep, PARTITION)
    expected = ids(database, stream_name)
    poison = expected[len(expected) // 2]
    database.rows("DELETE FROM courtlistener.records RETURNING id")
    simulator.faults.add(Fault("poison", endpoint=stream.endpoint, object_id=poison))

    for sweep in stream.sweeps:
        Sweeper(client, store, "full", full_refresh=True).walk(stream, sweep, PARTITION)

    assert ids(database, stream_name) == [id for id in expected if id != poison]
    recorded = database.rows("SELECT DISTINCT object_id, error FROM courtlistener.failures WHERE resolved_at IS NULL")
    assert recorded == [(poison, "TransientApiError")]
    assert all(4 < requests <= 12 for (requests,) in database.rows("SELECT requests FROM courtlistener.failures"))


def test_a_server_that_is_down_is_no_fault_of_a_page(
    client: CourtListenerClient, store: RecordStore, database: Database, simulator: Simulator
) -> None:
    simulator.faults.add(Fault("503"))
    stream = STREAM["clusters"]
    with pytest.raises(ServerDown):
        Sweeper(client, store, "run").walk(stream, stream.sweeps[0], PARTITION)
    assert database.rows("SELECT * FROM courtlistener.failures") == []
    assert database.rows("SELECT after_id, finished_at FROM courtlistener.sweeps") == [(0, None)]


def test_a_single_docket_brings_all_that_belongs_to_it(
    client: CourtListenerClient, store: RecordStore, database: Database, simulator: Simulator
) -> None:
    cluster = next(c for c in simulator.corpus.clusters if c["docket_id"] in
                   {d["id"] for d in simulator.corpus.dockets if d["court_id"] == "scotus"})  # fmt: skip
    for stream in chosen():
        Sweeper(client, store, "run", full_refresh=True).walk(
            stream, stream.docket_sweep(cluster["docket_id"]), PARTITION
        )
    assert ids(database, "dockets") == [cluster["docket_id"]]
    assert cluster["id"] in ids(database, "clusters")
    assert not store.freshness.is_complete("dockets", str(PARTITION), ["filed", "decided"])
