"""`client.walk` and a freshly opened client, against the simulator and real servers."""

from __future__ import annotations

import json
import socket
from collections.abc import Sequence
from typing import Any

import pytest
import redis

from courtlistener_assets.devkit.servers.redis_server import RedisServer
from courtlistener_assets.devkit.simulator.server import Simulator
from resources.dagster_resources import CourtListenerResource, RedisRateLimitResource
from resources.errors import SettingError, TransientApiError, UnusableRecord
from resources.quota.permits import Outcome
from tests.integration.client_harness import Bench, hand_made_server, http


def ids(objects: Sequence[dict[str, Any]]) -> list[int]:
    return [found["id"] for found in objects]


def pages_of(*pages: Sequence[Any]) -> Any:
    """A server that answers with these pages, one a request; each but the last one has a next page."""
    left = list(pages)

    def answer(connection: socket.socket, _head: bytes) -> None:
        results = left.pop(0)
        body = {"next": "/api/rest/v4/clusters/?cursor=x" if left else None, "results": results}
        connection.sendall(http("200 OK", json.dumps(body).encode(), Content_Type="application/json"))

    return answer


def test_every_object_comes_once_in_the_order_of_ids_each_page_under_a_permit(simulator: Simulator) -> None:
    expected = sorted(docket["id"] for docket in simulator.corpus.dockets if docket["court_id"] == "ca9")
    bench = Bench(simulator.url)
    assert ids(list(bench.client.walk("dockets", court="ca9"))) == expected
    pages = -(-len(expected) // 20)
    assert pages > 1
    assert bench.ledger.settled == [Outcome.COUNTED] * pages


def test_no_page_is_asked_for_before_its_objects_are_wanted(simulator: Simulator) -> None:
    bench = Bench(simulator.url)
    walk = bench.client.walk("dockets", court="ca9")
    assert bench.ledger.granted == 0
    for _ in range(20):
        next(walk)
    assert bench.ledger.granted == 1
    next(walk)
    assert bench.ledger.granted == 2


def test_a_walk_resumes_behind_an_id(simulator: Simulator) -> None:
    bench = Bench(simulator.url)
    everything = ids(list(bench.client.walk("dockets", court="ca9")))
    assert ids(list(bench.client.walk("dockets", court="ca9", after_id=everything[24]))) == everything[25:]


def test_rows_that_a_filter_on_children_repeats_come_once(simulator: Simulator) -> None:
    bench = Bench(simulator.url)
    decided = {"court": "ca9", "clusters__date_filed__gte": "2024-02-01"}
    counted = bench.client.count("dockets", decided)
    walked = ids(list(bench.client.walk("dockets", **decided)))
    assert len(walked) == len(set(walked))
    assert 0 < len(walked) < counted, "the filter repeats no row here: choose another"


def test_the_same_object_at_the_end_of_a_page_and_the_beginning_of_the_next_comes_once() -> None:
    with hand_made_server(pages_of([{"id": 1}, {"id": 2}, {"id": 2}], [{"id": 2}, {"id": 3}])) as (url, _):
        assert ids(list(Bench(url).client.walk("clusters"))) == [1, 2, 3]


@pytest.mark.parametrize("filters", [
    {"court": ""}, {"court": None}, {"id__gt": 5}, {"order_by": "-id"}, {"cursor": "x"},
], ids=str)  # fmt: skip
def test_a_filter_that_would_give_something_else_is_refused_before_any_request(filters: Any) -> None:
    bench = Bench("http://127.0.0.1:1")
    with pytest.raises(SettingError, match=next(iter(filters))):
        next(bench.client.walk("dockets", **filters))
    assert bench.ledger.granted == 0


@pytest.mark.parametrize("found", [{"name": "Roe"}, {"id": "7"}, {"id": True}, [], None], ids=str)
def test_an_object_without_an_id_ends_the_walk_behind_the_ones_before(found: Any) -> None:
    with hand_made_server(pages_of([{"id": 1}, found])) as (url, _):
        walk = Bench(url).client.walk("clusters")
        assert next(walk) == {"id": 1}
        with pytest.raises(UnusableRecord, match="behind id 1"):
            next(walk)


@pytest.mark.parametrize(("pages", "says"), [
    (([{"id": 3}, {"id": 2}], []), "not in the order"),
    (([{"id": 3}], [{"id": 3}], []), "do not advance"),
    (([], []), "do not advance"),
], ids=str)  # fmt: skip
def test_a_server_that_ignores_the_order_loses_nothing_silently_and_never_loops(pages: Any, says: str) -> None:
    with hand_made_server(pages_of(*pages)) as (url, _), pytest.raises(TransientApiError, match=says):
        list(Bench(url).client.walk("clusters"))


def test_a_fresh_client_reads_the_windows_before_its_first_request_and_once(
    simulator: Simulator, redis_server: RedisServer, redis_client: redis.Redis, database_url: str
) -> None:
    rate_limit = RedisRateLimitResource(redis_url=redis_server.url, postgres_url=database_url)
    resource = CourtListenerResource(base_url=simulator.url, api_token="wide-token", rate_limit=rate_limit)
    with resource.open() as client:
        assert simulator.log == []
        client.page("dockets", {"court": "ca9"})
        client.page("dockets", {"court": "scotus"})
        assert [use.window.limit for use in client.limiter.usage()] == [1_000_000]
    with resource.open() as client:
        client.page("dockets", {"court": "ca9"})
    assert ["api-usage" in entry.path for entry in simulator.log] == [True, False, False, False]
