"""What CourtListener's responses mean."""

import json
from datetime import UTC, datetime
from typing import Any
from unittest.mock import MagicMock

import pytest
import requests
from urllib3.exceptions import MaxRetryError, NewConnectionError, SSLError

from resources.courtlistener.answer import Response
from resources.courtlistener.responses import error_of_no_response, object_of, page_of, reading_of
from resources.errors import (
    ApiError,
    AuthenticationFailed,
    BadRequest,
    ForeignHost,
    Gone,
    NotFound,
    NotSent,
    PermissionDenied,
    ResponseTooLarge,
    Throttled,
    TransientApiError,
    Unanswered,
)
from resources.quota.permits import Reading, ServerWindow, Window

URL = "https://www.courtlistener.com/api/rest/v4/dockets/"
JSON = {"Content-Type": "application/json"}


def answer(status: int = 200, body: Any = None, headers: dict[str, str] | None = None) -> Response:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(URL, status, JSON | (headers or {}), raw)


def test_a_page_tells_its_objects_and_whether_more_follow() -> None:
    page = page_of(answer(body={"next": URL + "?cursor=x", "results": [{"id": 1}]}))
    assert page.objects == [{"id": 1}]
    assert page.has_next
    assert not page_of(answer(body={"next": None, "results": []})).has_next


def test_the_time_of_a_page_is_the_servers() -> None:
    page = page_of(answer(body={"next": None, "results": []}, headers={"Date": "Tue, 05 Mar 2024 10:00:00 GMT"}))
    assert page.served_at.isoformat() == "2024-03-05T10:00:00+00:00"


@pytest.mark.parametrize(
    ("status", "body", "error", "words"),
    [
        (
            400,
            {"detail": "Unknown filter parameters are not allowed.", "unknown_params": ["foo"]},
            BadRequest,
            "Unknown filter",
        ),
        (400, {"court": ["Select a valid choice."]}, BadRequest, "court"),
        (401, {"detail": "Invalid token."}, AuthenticationFailed, "COURTLISTENER_API_TOKEN"),
        (403, {"detail": "You do not have permission to perform this action."}, PermissionDenied, "permission"),
        (404, {"detail": "No Docket matches the given query."}, NotFound, "No Docket"),
        (406, {"detail": "Could not satisfy the request Accept header."}, BadRequest, "Accept"),
        (408, b"", TransientApiError, "408"),
        (410, {"detail": "Cluster removed by court order"}, Gone, "court order"),
        (500, b"Internal Server Error", TransientApiError, "500"),
        (503, b"<html>", TransientApiError, "503"),
    ],
)
def test_each_status_has_its_error(status: int, body: Any, error: type[ApiError], words: str) -> None:
    with pytest.raises(error, match=words) as raised:
        object_of(answer(status, body))
    assert raised.value.retryable == (error is TransientApiError)


def test_an_error_begins_with_what_is_wrong_and_ends_with_what_was_asked_for() -> None:
    query = "court=scotus&date_modified__gte=2024-01-31T23%3A50%3A00Z&order_by=id&id__gt=40&id__lte=60"
    with pytest.raises(TransientApiError) as raised:
        object_of(Response(f"{URL}?{query}", 502, {}, b""))
    asked = "/dockets/?court=scotus&date_modified__gte=2024-01-31T23:50:00Z&id__gt=40&id__lte=60"
    assert str(raised.value) == f"502 Bad Gateway: {asked}"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [({"Retry-After": "58"}, 58.0), ({}, None), ({"Retry-After": "soon"}, None)],
)
def test_a_429_tells_how_long_to_wait_if_the_server_does(headers: dict[str, str], seconds: float | None) -> None:
    with pytest.raises(Throttled) as raised:
        object_of(answer(429, {"detail": "Request was throttled."}, headers))
    assert raised.value.retry_after_seconds == seconds


def test_a_429_may_name_a_date() -> None:
    headers = {"Date": "Tue, 05 Mar 2024 10:00:00 GMT", "Retry-After": "Tue, 05 Mar 2024 10:01:30 GMT"}
    with pytest.raises(Throttled) as raised:
        object_of(answer(429, {}, headers))
    assert raised.value.retry_after_seconds == 90.0


def test_a_merged_cluster_names_the_one_that_replaces_it() -> None:
    with pytest.raises(Gone) as raised:
        object_of(answer(301, b"", {"Location": "/api/rest/v4/clusters/1/"}))
    assert raised.value.location == "https://www.courtlistener.com/api/rest/v4/clusters/1/"


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/api/rest/v4/dockets/",
        "//evil.example/",
        "http://www.courtlistener.com/api/rest/v4/dockets/",
        "https://www.courtlistener.com:8443/",
        "https://www.courtlistener.com@evil.example/",
    ],
)
def test_an_address_of_another_host_is_refused(target: str) -> None:
    with pytest.raises(ForeignHost):
        object_of(answer(301, b"", {"Location": target}))
    with pytest.raises(ForeignHost):
        page_of(answer(body={"next": target, "results": []}))


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"<html>", {"Content-Type": "text/html"}),
        (b'{"results": [', {}),
        (b'{"results": "\xff"}', {}),
        (b"", {}),
        ([1], {}),
        ({"results": None, "next": None}, {}),
    ],
)
def test_a_200_that_is_no_page_is_tried_again(body: Any, headers: dict[str, str]) -> None:
    with pytest.raises(TransientApiError):
        page_of(answer(200, body, headers))


@pytest.mark.parametrize(("status", "counted"), [(301, True), (400, True), (404, True), (410, True), (500, True),
                                                 (401, False), (403, False), (406, False), (429, False)])  # fmt: skip
def test_an_error_tells_whether_the_server_has_counted_its_request(status: int, counted: bool) -> None:
    with pytest.raises(ApiError) as raised:
        object_of(answer(status, {}))
    assert raised.value.counted is counted


SERVED_AT = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
MINUTE = {"scope": "user", "limit": 5, "window_seconds": 60, "used": 3, "blocked": False}


def test_the_windows_of_a_scope_are_read_from_api_usage() -> None:
    rows = [
        {"scope": "api_usage", "limit": 10, "window_seconds": 60, "used": 1, "blocked": False},
        {"scope": "user", "limit": 125, "window_seconds": 86400, "used": 7, "blocked": False,
         "reset_at": "2026-03-01T12:30:00.5+00:00"},
    ]  # fmt: skip
    expected = Reading((ServerWindow(Window(125, 86400), 7, False, 1800.5),))
    assert reading_of({"current_usage": rows}, "user", SERVED_AT) == expected


@pytest.mark.parametrize("body", [{}, {"current_usage": None}])
def test_an_api_usage_that_cannot_be_read_says_so(body: dict[str, Any]) -> None:
    with pytest.raises(TransientApiError, match="api-usage"):
        reading_of(body, "user", SERVED_AT)


@pytest.mark.parametrize(
    "wrong",
    [
        *({"window_seconds": value} for value in (0, -60, 10**30, None, "60", 60.5, True)),
        *({"limit": value} for value in (-1, 10**30, None, "5", float("nan"))),
        *({"used": value} for value in (-1, 10**30, None)),
        {"blocked": None},
    ],
    ids=str,
)
def test_a_row_of_api_usage_that_cannot_be_used_is_named_and_left_out(wrong: dict[str, Any]) -> None:
    reading = reading_of({"current_usage": [MINUTE | wrong, MINUTE]}, "user", SERVED_AT)
    assert reading.windows == (ServerWindow(Window(5, 60), 3, False),)
    [fault] = reading.faults
    assert str(next(iter(wrong))) in fault


@pytest.mark.parametrize("row", [1, None, [], {}])
def test_what_is_no_row_of_api_usage_is_left_out(row: Any) -> None:
    assert reading_of({"current_usage": [row, MINUTE]}, "user", SERVED_AT).windows == (
        ServerWindow(Window(5, 60), 3, False),
    )


@pytest.mark.parametrize(
    ("reset_at", "seconds"),
    [
        ("2026-03-01T11:59:00+00:00", 0.0),
        ("2026-03-01T04:00:20-08:00", 20.0),
        ("2226-03-01T12:00:20+00:00", 60.0),
        ("2026-03-01T12:00:20", None),
        ("soon", None),
        (17, None),
    ],
)
def test_when_a_window_gets_room_is_within_it(reset_at: Any, seconds: float | None) -> None:
    [window] = reading_of({"current_usage": [MINUTE | {"reset_at": reset_at}]}, "user", SERVED_AT).windows
    assert window.reset_seconds == seconds


@pytest.mark.parametrize("value", ["²", "9" * 400, "Tue, 99 Xxx 2024", "-3"])
def test_a_time_to_wait_that_is_none_is_no_time(value: str) -> None:
    with pytest.raises(Throttled) as raised:
        object_of(answer(429, {"detail": "Request was throttled."}, {"Retry-After": value}))
    assert raised.value.retry_after_seconds is None


def test_a_refusal_nested_too_deep_is_a_refusal_all_the_same() -> None:
    with pytest.raises(PermissionDenied, match=r"\[\[\["):
        object_of(answer(403, b"[" * 200_000))


def test_only_a_request_without_a_connection_was_never_sent() -> None:
    broken = MaxRetryError(MagicMock(), URL, SSLError("record layer failure"))
    nowhere = MaxRetryError(MagicMock(), URL, NewConnectionError(MagicMock(), "refused"))
    assert type(error_of_no_response(URL, requests.exceptions.SSLError(broken), masked="token")) is Unanswered
    assert type(error_of_no_response(URL, requests.ConnectionError(nowhere), masked="token")) is NotSent


@pytest.mark.parametrize("item", ["{}", "[]", "0"])
def test_a_page_of_millions_of_values_is_refused_before_they_are_made(item: str) -> None:
    body = b'{"next": null, "results": [' + f"{item},".encode() * 4_000_001 + item.encode() + b"]}"
    with pytest.raises(ResponseTooLarge, match="more than 4000000 values: /dockets/"):
        page_of(answer(200, body))


def test_a_long_text_is_no_page_of_millions_of_values() -> None:
    text = "He said, [as follows], that the motion, brought by {the} appellant, is denied. " * 100_000
    assert len(page_of(answer(200, {"next": None, "results": [{"id": 1, "plain_text": text}]})).objects) == 1
