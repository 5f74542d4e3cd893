"""What objects that break their pages cost, against a server of a few lines and a real Postgres.

The server counts what it is asked, and asserts that nobody asks beyond the ids that it has.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any

import pytest

from courtlistener_assets.defs.assets.download_config import DownloadConfig
from courtlistener_assets.devkit.simulator import shapes
from courtlistener_assets.download import tombstones
from courtlistener_assets.download.partitions import CourtMonth
from courtlistener_assets.download.retry import Retry
from courtlistener_assets.download.streams import CLUSTERS
from courtlistener_assets.download.sweep import Sweeper
from courtlistener_assets.download.way_around import MOST_REQUESTS, NO_BOUND
from resources.connections.postgres import Database
from resources.courtlistener.responses import Page
from resources.errors import (
    BadRequest,
    NoSuchReference,
    NotFound,
    ResponseTooLarge,
    ServerDown,
    SettingError,
    TransientApiError,
)
from resources.records.endless import Bound
from resources.records.model import Failure, SweepKey
from resources.records.store import RecordStore

PARTITION = CourtMonth("scotus", date(2024, 1, 1))
[DATED] = CLUSTERS.sweeps
KEY = SweepKey("clusters", str(PARTITION), DATED.name)
Params = Mapping[str, str]


def cluster(id: int) -> dict[str, Any]:
    body = shapes.cluster(id, 1, "A v. B", datetime(2024, 2, 3, 12, tzinfo=UTC))
    return {**body, "date_filed": "2024-01-05", "cluster_redirections": []}


class Server:
    """Clusters by id; `bad` break every page that shows them, `breaks` says what else fails."""

    def __init__(self, ids: list[int], bad: list[int] | None = None, *, ids_too: bool = False) -> None:
        self.ids, self.bad, self.ids_too = ids, set(bad or []), ids_too
        self.breaks: Callable[[Params, list[int]], bool] = lambda params, shown: False
        self.error: Callable[[], Exception] = lambda: TransientApiError("500")
        self.sent: list[Params] = []
        self.newest = max(ids, default=0)

    def page(self, endpoint: str, params: Params, *, attempts: int | None = None) -> Page:
        for attempt in range(1, (attempts or 99) + 1):
            try:
                return self._page(params)
            except TransientApiError as error:
                error.requests = attempt
                if attempt == attempts:
                    raise
        raise AssertionError("attempts are not given")

    def _page(self, params: Params) -> Page:
        self.sent.append(params)
        if "docket" in params:
            raise NoSuchReference('400 ({"docket": ["Select a valid choice."]})')
        low, high = int(params["id__gt"]), int(params.get("id__lte", NO_BOUND))
        assert low <= self.newest
        assert high == NO_BOUND or high <= self.newest
        found = [id for id in self.ids if low < id <= high]
        shown = sorted(found, reverse=params["order_by"] == "-id")[:20]
        only_ids = params.get("fields") == "id"
        if self.breaks(params, shown) or (self.bad & set(shown) and (self.ids_too or not only_ids)):
            raise self.error()
        objects = [{"id": id} if only_ids else cluster(id) for id in shown]
        return Page(objects, has_next=len(found) > 20, served_at=datetime(2024, 3, 1, tzinfo=UTC))

    def object(self, endpoint: str, id: int, *, attempts: int | None = None) -> dict[str, Any]:
        self.sent.append({"id": str(id)})
        if id in self.bad or self.breaks({}, [id]):
            raise self.error()
        if id not in self.ids:
            error = NotFound("404")
            error.said_by_api = True
            raise error
        return cluster(id)

    def report_outage(self, error: Exception) -> ServerDown:
        return ServerDown(str(error), wait_seconds=900)


@pytest.fixture
def store(database: Database) -> RecordStore:
    store = RecordStore(database, CLUSTERS.tables)
    store.prepare(["clusters", "dockets"])
    return store


def walk(server: Any, store: RecordStore, run: str = "run") -> int:
    """Walk the sweep; returns what it cost."""
    before = len(server.sent)
    assert Sweeper(server, store, run).walk(CLUSTERS, DATED, PARTITION).finished
    return len(server.sent) - before


def stored(database: Database) -> list[int]:
    return [id for (id,) in database.rows("SELECT id FROM courtlistener.clusters WHERE gone_at IS NULL ORDER BY id")]


def open_failures(database: Database) -> list[Any]:
    return database.rows(
        f"SELECT object_id, after_id, coalesce(up_to_id, {NO_BOUND}), requests FROM courtlistener.failures "
        "WHERE resolved_at IS NULL ORDER BY id"
    )


def checkpoint(database: Database) -> int:
    [(after_id,)] = database.rows("SELECT after_id FROM courtlistener.sweeps WHERE sweep = 'dated'")
    return int(after_id)


IDS = list(range(1000, 3000, 17))  # 118 objects, so 6 pages


@pytest.mark.parametrize("bad", [IDS[0], IDS[7], IDS[19], IDS[50], IDS[-1]])
def test_one_object_that_breaks_its_page_is_found_within_the_budget(
    bad: int, store: RecordStore, database: Database
) -> None:
    server = Server(IDS, [bad])
    cost = walk(server, store)
    assert stored(database) == [id for id in IDS if id != bad]
    [(object_id, _, _, requests)] = open_failures(database)
    assert (object_id, checkpoint(database)) == (bad, max(IDS))
    assert requests <= MOST_REQUESTS
    assert cost <= 6 + MOST_REQUESTS


@pytest.mark.parametrize("ids_too", [False, True], ids=["its id can be listed", "not even its id can be listed"])
@pytest.mark.parametrize("seed", range(12))
def test_whatever_is_broken_the_walk_ends_and_what_is_not_stored_is_recorded(
    seed: int, ids_too: bool, store: RecordStore, database: Database
) -> None:
    chance = random.Random(seed)
    ids = sorted(chance.sample(range(1, 40_000), chance.choice([1, 5, 20, 21, 70, 150])))
    server = Server(ids, chance.sample(ids, min(len(ids), chance.choice([1, 2, 3, 8]))), ids_too=ids_too)
    for run in range(100):
        before, at = len(server.sent), len(open_failures(database))
        try:
            walk(server, store, f"run {run}")
        except ServerDown:
            continue  # An hour later it goes on.
        finally:
            broken = len(open_failures(database)) - at
            assert len(server.sent) - before <= len(ids) // 20 + 1 + (broken + 3) * MOST_REQUESTS
        break
    assert checkpoint(database) <= max(ids)
    failed = open_failures(database)
    missing = set(ids) - set(stored(database))
    assert server.bad <= missing
    assert all(any(after < id <= up_to for _, after, up_to, _ in failed) for id in missing)
    assert all(requests <= MOST_REQUESTS for *_, requests in failed)

    server.bad.clear()
    for object_id, after_id, up_to_id, _ in failed:
        retry = Retry(Sweeper(server, store, "retry", full_refresh=True), CLUSTERS, PARTITION)  # type: ignore[arg-type]
        retry.objects([object_id]) if object_id else retry.range(DATED, after_id, up_to_id)
    assert stored(database) == ids


def test_two_objects_that_break_one_page_cost_no_more_than_the_budget_of_a_page(
    store: RecordStore, database: Database
) -> None:
    ids = IDS[:20]
    server = Server(ids, [ids[3], ids[14]])
    assert walk(server, store) <= MOST_REQUESTS + 1
    assert sum(requests for *_, requests in open_failures(database)) <= MOST_REQUESTS
    assert len(stored(database)) >= 11


def test_a_tail_that_fails_only_without_a_bound_is_walked_with_one(store: RecordStore, database: Database) -> None:
    server = Server(IDS)
    server.newest = 10**6
    server.ids.append(10**6)  # Of another court: the last id of the endpoint.
    real, server.breaks = server._page, lambda params, found: "id__lte" not in params and len(found) < 20

    def page(params: Params) -> Page:
        got = real(params)
        return Page([each for each in got.objects if "docket__court" not in params or each["id"] < 10**6],
                    got.has_next, got.served_at)  # fmt: skip

    server._page = page  # type: ignore[method-assign]
    sweeper = Sweeper(server, store, "run")  # type: ignore[arg-type]
    assert sweeper.walk(CLUSTERS, DATED, PARTITION).finished
    assert len(server.sent) <= 6 + 5
    assert stored(database) == IDS[:-1]
    assert open_failures(database) == []
    assert checkpoint(database) <= 10**6
    # Other walks have the bound for an hour, and then ask for it first.
    other, costs = CourtMonth("scotus", date(2024, 2, 1)), []
    for hours in (0, 0, 2, 0, 25):
        database.rows(f"UPDATE courtlistener.endless_lists SET asked_at = asked_at - interval '{hours} hours', "
                      f"noted_at = noted_at - interval '{hours} hours' RETURNING 1")  # fmt: skip
        server.sent.clear()
        assert Sweeper(server, store, f"run {len(costs)}", True).walk(CLUSTERS, DATED, other).finished  # type: ignore[arg-type]
        costs.append(len(server.sent))
    assert costs == [6, 6, 7, 6, 6 + 5]


def test_what_comes_behind_a_bound_is_for_the_next_pass(store: RecordStore, database: Database) -> None:
    server, earlier = Server(IDS), datetime(2024, 2, 28, tzinfo=UTC)
    store.endless.note(CLUSTERS.endpoint, Bound(IDS[50], earlier))
    walk(server, store)
    assert stored(database) == IDS[:51]
    assert database.rows("SELECT watermark FROM courtlistener.sweeps WHERE sweep = 'dated'") == [(earlier,)]


def test_an_endpoint_that_gives_nothing_but_empty_pages_is_left_alone_soon(
    store: RecordStore, database: Database
) -> None:
    server = Server(IDS)
    server.breaks = lambda params, found: bool(found) and params.get("fields") != "id"
    with pytest.raises(ServerDown, match="nothing comes but empty pages"):
        walk(server, store)
    assert len(server.sent) <= MOST_REQUESTS + 4 + 3
    server.breaks = lambda params, found: False
    walk(server, store, "an hour later")
    for _, after_id, up_to_id, _ in open_failures(database):
        retry = Retry(Sweeper(server, store, "retry", full_refresh=True), CLUSTERS, PARTITION)  # type: ignore[arg-type]
        retry.range(DATED, after_id, up_to_id)
    assert stored(database) == IDS


def test_a_server_that_is_down_costs_three_requests_and_blames_nothing(store: RecordStore, database: Database) -> None:
    server = Server(IDS)
    server.breaks = lambda params, found: True
    with pytest.raises(ServerDown):
        walk(server, store)
    assert len(server.sent) == 3
    assert open_failures(database) == []


def test_pages_that_are_too_large_are_had_in_halves(store: RecordStore, database: Database) -> None:
    server = Server(IDS[:20])
    server.error = lambda: ResponseTooLarge("64 MB")
    server.breaks = lambda params, found: len(found) > 10 and params.get("fields") != "id"
    assert walk(server, store) <= 5
    assert stored(database) == IDS[:20]
    assert open_failures(database) == []


def test_what_postgres_refuses_costs_no_request(
    store: RecordStore, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with database.transaction() as connection:
        connection.execute(f"ALTER TABLE courtlistener.clusters ADD CHECK (id <> {IDS[7]})".encode())
    server = Server(IDS[:20])
    assert walk(server, store) == 1
    assert stored(database) == [id for id in IDS[:20] if id != IDS[7]]
    assert [failure[0] for failure in open_failures(database)] == [IDS[7]]


# --- retries ----------------------------------------------------------------------------------------------------------


def retry(server: Any, store: RecordStore) -> Retry:
    return Retry(Sweeper(server, store, "retry", full_refresh=True), CLUSTERS, PARTITION)


def test_a_retry_of_an_object_costs_one_request_or_two(store: RecordStore, database: Database) -> None:
    server = Server(IDS, [IDS[3]])
    retry(server, store).objects([IDS[2]])
    assert (len(server.sent), stored(database)) == (1, [IDS[2]])
    retry(server, store).objects([IDS[3]])
    assert len(server.sent) == 3
    assert [(id, requests) for id, _, _, requests in open_failures(database)] == [(IDS[3], 2)]


def test_what_fails_in_a_claim_leaves_the_rest_of_it_alone(store: RecordStore, database: Database) -> None:
    server = Server(IDS, [IDS[3]])
    again = retry(server, store)
    again.objects([IDS[2], IDS[3], 5, IDS[4]])
    again.dockets([404])
    assert stored(database) == [IDS[2], IDS[4]]
    assert [id for id, *_ in open_failures(database)] == [IDS[3]]
    # One each, an empty page for the one that fails, and the docket that is gone is looked up.
    assert len(server.sent) == 4 + 1 + 2


def test_a_server_that_is_down_is_no_try(store: RecordStore, database: Database) -> None:
    server = Server(IDS)
    server.breaks = lambda params, found: True
    with pytest.raises(ServerDown):
        retry(server, store).objects(IDS[:3])
    assert len(server.sent) == 2
    assert open_failures(database) == []


def test_a_defect_of_one_retry_is_counted_there_alone(store: RecordStore, database: Database) -> None:
    server = Server(IDS, [IDS[0]])
    server.error = lambda: BadRequest("400")
    retry(server, store).objects(IDS[:3])
    assert stored(database) == IDS[1:3]
    assert [id for id, *_ in open_failures(database)] == [IDS[0]]


def test_when_everything_fails_the_rest_of_a_claim_is_left_for_later(store: RecordStore, database: Database) -> None:
    server = Server(IDS, IDS)
    with pytest.raises(ServerDown, match="in a row"):
        retry(server, store).objects(IDS[:30])
    assert len(server.sent) == 6


def test_a_retry_of_a_range_narrows_it(store: RecordStore, database: Database) -> None:
    store.record_failure(KEY, Failure("TransientApiError", "500", after_id=IDS[0], up_to_id=IDS[6]))
    server = Server(IDS, [IDS[3]])
    retry(server, store).range(DATED, IDS[0], IDS[6])
    assert stored(database) == [id for id in IDS[1:7] if id != IDS[3]]
    assert (IDS[3],) in [failure[:1] for failure in open_failures(database)]
    assert len(server.sent) <= 9


def test_a_sweep_that_there_is_not_fails_alone_in_a_claim(store: RecordStore, database: Database) -> None:
    server = Server(IDS)
    selected: dict[str, Any] = {
        "object_ids": [IDS[2]],
        "id_ranges": [{"sweep": "argued", "after_id": 0, "up_to_id": 9}],
    }
    sweeper = Sweeper(server, store, "retry", full_refresh=True)  # type: ignore[arg-type]
    DownloadConfig(**selected, claim_id="0" * 16).retry(sweeper, CLUSTERS, PARTITION)
    assert stored(database) == [IDS[2]]
    rows = database.rows("SELECT sweep, after_id, up_to_id, error, requests FROM courtlistener.failures")
    assert rows == [("argued", 0, 9, "SettingError", 0)]
    with pytest.raises(SettingError, match="a sweep that clusters does not have"):
        DownloadConfig(**selected).retry(sweeper, CLUSTERS, PARTITION)


def test_a_server_that_falls_in_the_middle_of_a_claim_costs_no_try(store: RecordStore, database: Database) -> None:
    server = Server(IDS)
    server.breaks = lambda params, found: len(server.sent) > 1
    with pytest.raises(ServerDown):
        retry(server, store).objects(IDS[:10])
    assert (stored(database), open_failures(database)) == ([IDS[0]], [])
    assert len(server.sent) == 3


def test_lookups_blame_nothing_while_nothing_comes(store: RecordStore, database: Database) -> None:
    server = Server(IDS)
    server.breaks = lambda params, found: True
    sweeper = Sweeper(server, store, "run")  # type: ignore[arg-type]
    with pytest.raises(ServerDown):
        tombstones.look_up_all(sweeper, CLUSTERS, "clusters", IDS[:10], PARTITION)
    assert len(server.sent) == 2
    assert open_failures(database) == []

    server.breaks, server.bad = lambda params, found: False, set(IDS[:3])
    assert tombstones.look_up_all(sweeper, CLUSTERS, "clusters", IDS[:10], PARTITION) == 0
    assert [id for id, *_ in open_failures(database)] == IDS[:3]
    assert stored(database) == IDS[3:10]
    assert len(server.sent) == 2 + 10 + 1
