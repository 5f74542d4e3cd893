"""Only the API's own word makes a tombstone."""

from __future__ import annotations

from datetime import date
from types import SimpleNamespace
from typing import Any

import pytest

from courtlistener_assets.download import tombstones
from courtlistener_assets.download.partitions import CourtMonth
from courtlistener_assets.download.streams import CLUSTERS
from resources.courtlistener.answer import Response
from resources.courtlistener.refusals import raise_for_status
from resources.errors import ApiError, TransientApiError

MONTH = CourtMonth("ca9", date(2024, 1, 1))
HTML, JSON = "text/html; charset=utf-8", "application/json"


class Store:
    """Remembers what was marked as gone."""

    def __init__(self) -> None:
        self.gone: list[int] = []

    def mark_gone(self, stream: str, ids: list[int], reason: str, *, partition: str) -> None:
        self.gone += ids


def look_up(answers: dict[int, Response]) -> list[int]:
    """Look up cluster 5; returns what was marked as gone."""
    store = Store()

    def ask(endpoint: str, id: int) -> Any:
        raise_for_status(answers[id])

    sweeper: Any = SimpleNamespace(store=store, ask=ask, scope=None)
    tombstones.look_up(sweeper, CLUSTERS, "clusters", 5, MONTH)
    return store.gone


def answer(status: int, content_type: str = JSON, location: str = "") -> Response:
    headers: Any = {"Content-Type": content_type, **({"Location": location} if location else {})}
    return Response("https://example.com/api/rest/v4/clusters/5/", status, headers, b'{"detail": "said"}')


@pytest.mark.parametrize("status", [404, 410])
def test_the_api_says_that_an_object_is_gone(status: int) -> None:
    assert look_up({5: answer(status)}) == [5]


def test_a_merged_object_is_gone_and_so_may_be_the_one_that_took_its_place() -> None:
    assert look_up({5: answer(301, location="/api/rest/v4/clusters/6/"), 6: answer(404)}) == [5, 6]


def test_objects_that_lead_to_each_other_are_no_endless_way() -> None:
    there, back = answer(301, location="/api/rest/v4/clusters/6/"), answer(301, location="/api/rest/v4/clusters/5/")
    assert look_up({5: there, 6: back}) == [5, 6]


@pytest.mark.parametrize(
    "said",
    [
        answer(404, HTML),
        answer(410, HTML),
        answer(302, HTML, "/sign-in/?next=/api/rest/v4/clusters/5/"),
        answer(301, HTML, "/maintenance/"),
        answer(403, HTML),
        answer(405, HTML),
        answer(202, HTML),
        answer(503, HTML),
    ],
)
def test_what_stands_before_the_api_buries_nothing(said: Response) -> None:
    with pytest.raises(ApiError):
        look_up({5: said})


def test_it_is_tried_again() -> None:
    with pytest.raises(TransientApiError):
        look_up({5: answer(404, HTML)})
