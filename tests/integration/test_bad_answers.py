"""Every bad answer that a server can give, each with its outcome: one table for whole answers, one for objects in them.

The answers are written byte by byte by a server of a few lines, so that nothing between the table and the socket
repairs them.
"""

from __future__ import annotations

import gzip
import json
import re
import socket
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from courtlistener_assets.devkit.simulator import shapes
from courtlistener_assets.download.choice import chosen
from courtlistener_assets.download.partitions import CourtMonth
from courtlistener_assets.download.sweep import Sweeper
from resources.connections.postgres import Database
from resources.errors import (
    ApiChanged,
    AuthenticationFailed,
    BadRequest,
    ForeignHost,
    Gone,
    NoSuchReference,
    NotFound,
    PermissionDenied,
    ResponseTooLarge,
    ServerDown,
    Throttled,
    TransientApiError,
    Unanswered,
)
from resources.quota.permits import Outcome
from resources.records.store import RecordStore
from tests.integration.client_harness import Bench, hand_made_server, http

JSON = "application/json"
GOOD = json.dumps({"count": None, "next": None, "previous": None, "results": [{"id": 7}]}).encode()
NO_SUCH_CHOICE = b'{"docket": ["Select a valid choice. That choice is not one of the available choices."]}'
LIMIT = 200_000
MODIFIED = datetime(2024, 2, 3, 12, tzinfo=UTC)


def ok(body: bytes, content_type: str = JSON, **headers: str) -> bytes:
    return http("200 OK", body, Content_Type=content_type, **headers)


def detail(status: str, text: str, **headers: str) -> bytes:
    return http(status, json.dumps({"detail": text}).encode(), Content_Type=JSON, **headers)


def cut(answer: bytes, missing: int) -> bytes:
    return answer[:-missing]


RESET = b""


@dataclass(frozen=True)
class Row:
    """An answer, and what the client makes of it.

    `raises` None: a page. A transient answer is tried again, so a good one behind it is found; everything else is not.
    """

    name: str
    answer: bytes
    raises: type[Exception] | None
    says: str = ""
    outcome: Outcome = Outcome.COUNTED

    def __str__(self) -> str:
        return self.name


TABLE = [
    Row("good", ok(GOOD), None),
    Row("good, gzip", ok(gzip.compress(GOOD), Content_Encoding="gzip"), None),
    Row("good, with unknown fields in the envelope", ok(GOOD[:-1] + b', "new": {"a": 1}}'), None),
    Row("500 as text", http("500 Internal Server Error", b"Error", Content_Type="text/plain"), TransientApiError),
    Row("502 of a proxy", http("502 Bad Gateway", b"<html>", Content_Type="text/html"), Unanswered,
        outcome=Outcome.UNANSWERED),
    Row("503 without Retry-After", http("503 Service Unavailable", b"<html>", Content_Type="text/html"),
        TransientApiError),
    Row("503 with Retry-After", http("503 Service Unavailable", b"", Retry_After="3600"), ServerDown, "left alone"),
    Row("a page about maintenance", http("503 Service Unavailable", b"<html>Maintenance", Content_Type="text/html"),
        ServerDown, "maintenance"),
    Row("405 of a firewall", http("405 Not Allowed", b"<html>", Content_Type="text/html"), ServerDown, "A firewall"),
    Row("202 of a firewall", http("202 Accepted", b""), ServerDown, "A firewall"),
    Row("403 of a firewall", http("403 Forbidden", b"<html>Request blocked", Content_Type="text/html"), ServerDown,
        "A firewall", Outcome.NOT_COUNTED),
    Row("302 to a page to sign in", http("302 Found", Location="/sign-in/?next=/api/rest/v4/dockets/"), ServerDown,
        "sign in"),
    Row("302 to another host to sign in", http("302 Found", Location="https://sso.example/login?next=x"), ServerDown,
        "sign in"),
    Row("405 of the API", detail("405 Method Not Allowed", "Method not allowed."), BadRequest),
    Row("a reference that does not exist", http("400 Bad Request", NO_SUCH_CHOICE, Content_Type=JSON), NoSuchReference,
        "no such docket"),
    Row("a choice that does not exist", http("400 Bad Request", NO_SUCH_CHOICE.replace(b"That choice", b"999"),
        Content_Type=JSON), BadRequest, "999"),
    Row("504", http("504 Gateway Timeout"), Unanswered, outcome=Outcome.UNANSWERED),
    Row("408", http("408 Request Timeout"), TransientApiError),
    Row("connection reset", RESET, Unanswered, "did not answer", outcome=Outcome.UNANSWERED),
    Row("not HTTP at all", b"220 smtp.example ready\r\n", Unanswered, outcome=Outcome.UNANSWERED),
    Row("body cut short", cut(ok(GOOD), 10), TransientApiError),
    Row("chunk cut short", b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"ffff\r\n" + GOOD, TransientApiError),
    Row("headers cut short", b"HTTP/1.1 200 OK\r\nContent-Ty", TransientApiError),
    Row("no body", ok(b""), TransientApiError),
    Row("HTML with 200", ok(b"<html>maintenance</html>", "text/html"), TransientApiError, "instead of JSON"),
    Row("JSON with a wrong content type", ok(GOOD, "text/plain"), TransientApiError, "instead of JSON"),
    Row("no content type", http("200 OK", GOOD), TransientApiError, "instead of JSON"),
    Row("half of a JSON", ok(GOOD[: len(GOOD) // 2]), TransientApiError, "broken JSON"),
    Row("invalid UTF-8", ok(GOOD.replace(b'"id"', b'"\xff\xfe"')), TransientApiError, "broken JSON"),
    Row("JSON nested too deep", ok(b"[" * 50_000 + b"]" * 50_000), TransientApiError, "broken JSON"),
    Row("a JSON list", ok(b"[]"), TransientApiError, "not an object"),
    Row("no results", ok(b'{"next": null}'), TransientApiError, "has no list of results"),
    Row("results are no list", ok(b'{"next": null, "results": {"id": 7}}'), TransientApiError, "list of results"),
    Row("more objects than a page has", ok(json.dumps({"next": None, "results": [{"id": 7}] * 21}).encode()),
        ApiChanged, "a page has 21 objects, not 20"),
    Row("broken gzip", ok(b"\x1f\x8b\x08\x00garbage", Content_Encoding="gzip"), TransientApiError),
    Row("gzip bomb", ok(gzip.compress(b" " * 50_000_000), Content_Encoding="gzip"), ResponseTooLarge),
    Row("body over the limit", ok(b" " * (LIMIT + 1)), ResponseTooLarge),
    Row("400", detail("400 Bad Request", "Unknown filter: cuort"), BadRequest, "cuort"),
    Row("401", detail("401 Unauthorized", "Invalid token."), AuthenticationFailed, "COURTLISTENER_API_TOKEN",
        Outcome.NOT_COUNTED),
    Row("403", detail("403 Forbidden", "No."), PermissionDenied, "ask CourtListener", Outcome.NOT_COUNTED),
    Row("404", detail("404 Not Found", "No such docket."), NotFound),
    Row("404 as HTML", http("404 Not Found", b"<html>", Content_Type="text/html"), NotFound),
    Row("410 of a sealed cluster", detail("410 Gone", "Cluster removed by court order"), Gone, "court order"),
    Row("301 of a merged cluster", http("301 Moved Permanently", Location="/api/rest/v4/clusters/1/"), Gone),
    Row("301 to another host", http("301 Moved Permanently", Location="http://evil.example/"), ForeignHost),
    Row("302 to another scheme", http("302 Found", Location="ftp://127.0.0.1/"), ForeignHost),
    Row("next on another host", ok(GOOD.replace(b'"next": null', b'"next": "http://evil.example/?cursor=1"')),
        ForeignHost),
    Row("next that is a number", ok(GOOD.replace(b'"next": null', b'"next": 5')), ApiChanged, "next is 5, not"),
    Row("next that is false", ok(GOOD.replace(b'"next": null', b'"next": false')), ApiChanged, "next is False, not"),
    Row("next that is a list", ok(GOOD.replace(b'"next": null', b'"next": []')), ApiChanged, r"next is \[\], not"),
    Row("next that is empty", ok(GOOD.replace(b'"next": null', b'"next": ""')), ApiChanged, "next is '', not"),
    Row("next that is no address", ok(GOOD.replace(b'"next": null', b'"next": "soon"')), ApiChanged, "next is 'soon'"),
    Row("next that looks like an address", ok(GOOD.replace(b'"next": null', b'"next": "http://[::1"')), ForeignHost),
    Row("an object that is a list", ok(b"[" + GOOD + b"]"), TransientApiError, "not an object"),
    Row("a key twice, the last counts as in Postgres", ok(GOOD.replace(b'"id": 7', b'"id": 8, "id": 7')), None),
    Row("a status that nobody expects", http("418 I'm a teapot"), BadRequest),
]  # fmt: skip


def answering(*answers: bytes) -> Callable[[socket.socket, bytes], None]:
    """One answer after the other, the last one for ever; an empty one resets the connection."""
    left = list(answers)

    def answer(connection: socket.socket, _head: bytes) -> None:
        raw = left.pop(0) if len(left) > 1 else left[0]
        if raw == RESET:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            connection.sendall(raw)

    return answer


@pytest.mark.parametrize("row", TABLE, ids=str)
def test_every_answer_has_its_outcome(row: Row) -> None:
    with hand_made_server(answering(row.answer)) as (url, received):
        bench = Bench(url, max_attempts=3, transport={"max_body_bytes": LIMIT})
        if row.raises is None:
            assert bench.client.page("dockets", {}).objects == [{"id": 7}]
        else:
            with pytest.raises(row.raises, match=row.says) as raised:
                bench.client.page("dockets", {})
            assert type(raised.value) is row.raises
            # What is wrong comes first; the path is enough to ask again.
            assert re.search("^(?!http).+: /dockets/|asked for /dockets/", str(raised.value))
        transient = row.raises in (TransientApiError, Unanswered)
        assert len(received) == (3 if transient else 1)
        assert bench.ledger.settled == [row.outcome] * len(received)


@pytest.mark.parametrize("row", [row for row in TABLE if row.raises in (TransientApiError, Unanswered)], ids=str)
def test_what_is_transient_is_followed_by_a_good_answer(row: Row) -> None:
    with hand_made_server(answering(row.answer, ok(GOOD))) as (url, received):
        assert Bench(url, transport={"max_body_bytes": LIMIT}).client.page("dockets", {}).objects == [{"id": 7}]
        assert len(received) == 2


@pytest.mark.parametrize(("headers", "seconds"), [({"Retry_After": "30"}, 30.0), ({}, 60.0)])
def test_a_429_is_told_to_everybody(headers: dict[str, str], seconds: float) -> None:
    with hand_made_server(answering(detail("429 Too Many Requests", "Slow down.", **headers))) as (url, _received):
        bench = Bench(url, max_attempts=1)
        with pytest.raises(Throttled):
            bench.client.page("dockets", {})
        assert bench.ledger.holds == [(seconds, None)]
        assert bench.ledger.settled == [Outcome.NOT_COUNTED]


# --- objects of a page --------------------------------------------------------------------------------------------

PARTITION = CourtMonth("ca9", date(2024, 2, 1))
[CLUSTERS] = [stream for stream in chosen() if stream.name == "clusters"]


def cluster(id: int, /, **changes: Any) -> dict[str, Any]:
    return {**shapes.cluster(id, 1, "Roe v. Doe", MODIFIED), **changes}


def without(body: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key != name}


def nested(depth: int) -> Any:
    value: Any = "deep"
    for _ in range(depth):
        value = [value]
    return value


@dataclass(frozen=True)
class Objects:
    """What a page holds, which ids are stored of it, and the errors that are recorded."""

    name: str
    page: Sequence[Any]
    stored: Sequence[int]
    recorded: Sequence[str] = ()

    def __str__(self) -> str:
        return self.name


OBJECTS = [
    Objects("an empty page", [], []),
    Objects("unknown fields", [cluster(1, brand_new={"a": [1]})], [1]),
    Objects("nulls where there were values", [{**cluster(1), "case_name": None, "date_modified": None}], [1]),
    Objects("the same id twice", [cluster(1), cluster(1), cluster(2)], [1, 2]),
    Objects("an object without id", [without(cluster(1), "id"), cluster(2)], [2], ["UnusableRecord"]),
    Objects("an id that is text", [cluster(1, id="1"), cluster(2)], [2], ["UnusableRecord"]),
    Objects("an id that is true", [cluster(1, id=True), cluster(2)], [2], ["UnusableRecord"]),
    Objects("a negative id", [cluster(1, id=-1), cluster(2)], [2], ["UnusableRecord"]),
    Objects("no docket", [cluster(1, docket_id=None), cluster(2)], [2], ["UnusableRecord"]),
    Objects("an object that is a list", [[1, 2], cluster(2)], [2], ["UnusableRecord"]),
    Objects("an object that is null", [None, cluster(2)], [2], ["UnusableRecord"]),
    Objects("a date that is none", [cluster(1, date_filed="2024-02-31"), cluster(2)], [2], ["UnusableRecord"]),
    Objects("a time without zone", [cluster(1, date_modified="2024-02-03T12:00:00"), cluster(2)], [2],
            ["UnusableRecord"]),
    Objects("other time zones", [cluster(1, date_modified="2024-02-03T17:30:00+05:30")], [1]),
    Objects("the year 1750", [cluster(1, date_modified="1750-01-01T00:00:00-08:00")], [1]),
    Objects("NUL in text", [cluster(1, case_name="Roe\x00v. Doe")], [1]),
    Objects("half of a surrogate pair", [cluster(1, case_name="Roe\ud83d v. Doe")], [1]),
    Objects("NUL in the name of a field", [cluster(1, **{"x\x00y": 1})], [1]),
    Objects("redirections that are no list", [cluster(1, cluster_redirections={"a": 1}), cluster(2)], [2],
            ["UnusableRecord"]),
    Objects("an id that Postgres cannot hold", [cluster(1), cluster(2**70), cluster(3)], [1, 3], ["UnusableRecord"]),
    Objects("the largest id", [cluster(1), cluster(2**63 - 1)], [1, 2**63 - 1]),
    Objects("a docket that Postgres cannot hold", [cluster(1), cluster(2, docket_id=2**63)], [1], ["UnusableRecord"]),
    Objects("NaN", [cluster(1), cluster(2, scdb_votes_majority=float("nan")), cluster(3)], [1, 3], ["UnusableRecord"]),
    Objects("infinity", [cluster(1), cluster(2, nested=[{"a": float("inf")}]), cluster(3)], [1, 3], ["UnusableRecord"]),
    Objects("a number beyond all floats", [cluster(1), cluster(2, citation_count="@1e999"), cluster(3)], [1, 3],
            ["UnusableRecord"]),
    Objects("a number of 5,000 digits", [cluster(1), cluster(2, citation_count=f"@{'7' * 5000}"), cluster(3)], [1, 3],
            ["UnusableRecord"]),
    Objects("an id of 5,000 digits", [cluster(1), cluster(2, docket_id=f"@{'7' * 5000}"), cluster(3)], [1, 3],
            ["UnusableRecord"]),
    Objects("a number of 4,000 digits", [cluster(1), cluster(2, citation_count=int("7" * 4000))], [1, 2]),
    Objects("a value nested 300 deep", [cluster(1), cluster(2, panel=nested(300)), cluster(3)], [1, 3],
            ["UnusableRecord"]),
    Objects("a value nested 900 deep", [cluster(1), cluster(2, panel=nested(900)), cluster(3)], [1, 3],
            ["UnusableRecord"]),
    Objects("a value nested 50 deep", [cluster(1), cluster(2, panel=nested(50))], [1, 2]),
    Objects("a date without year", [cluster(1, date_filed="0000-00-00"), cluster(2)], [2], ["UnusableRecord"]),
    Objects("the year 10000", [cluster(1, date_filed="10000-01-01"), cluster(2)], [2], ["UnusableRecord"]),
    Objects("a date that is a number", [cluster(1, date_filed=20240203), cluster(2)], [2], ["UnusableRecord"]),
    Objects("the years 1 and 9999", [cluster(1, date_filed="0001-01-01"), cluster(2, date_filed="9999-12-31")], [1, 2]),
    Objects("a time before the year 1 in UTC", [cluster(1, date_modified="0001-01-01T00:00:00+14:00"), cluster(2)], [2],
            ["UnusableRecord"]),
    Objects("a time after the year 9999 in UTC", [cluster(1, date_modified="9999-12-31T23:59:59-12:00"), cluster(2)],
            [2], ["UnusableRecord"]),
    Objects("an address that is none in a list", [cluster(1, sub_opinions=["x", 5, None]), cluster(2)], [2],
            ["UnusableRecord"]),
    Objects("a list that is null", [cluster(1, sub_opinions=None)], [1]),
    Objects("a list that is text", [cluster(1, sub_opinions="none"), cluster(2)], [2], ["UnusableRecord"]),
    Objects("fields of other types", [cluster(1, case_name={"a": 1}, citations=5, precedential_status=[])], [1]),
]  # fmt: skip


def serving(objects: Sequence[Any]) -> Callable[[socket.socket, bytes], None]:
    """A list endpoint over these objects, with the filters that a sweep uses."""

    def answer(connection: socket.socket, head: bytes) -> None:
        query = parse_qs(urlsplit(head.split()[1].decode()).query)
        low = int(query.get("id__gt", ["0"])[0])
        high = int(query["id__lte"][0]) if "id__lte" in query else None

        def shown(body: Any) -> bool:
            id = body.get("id") if isinstance(body, dict) else None
            if type(id) is not int:
                return low == 0  # What has no place in the order comes first.
            return (id > low or id < 0) and (high is None or id <= high)

        results = [body for body in objects if shown(body)]
        if "fields" in query:
            results = [{"id": body["id"]} for body in results]
        body = json.dumps({"next": None, "previous": None, "results": results})
        connection.sendall(ok(re.sub(r'"@(\w+)"', r"\1", body).encode()))  # What Python would not write.

    return answer


@pytest.mark.parametrize("row", OBJECTS, ids=str)
def test_an_object_that_does_not_fit_is_recorded_and_its_page_goes_on(row: Objects, database: Database) -> None:
    store = RecordStore(database)
    store.prepare(["clusters"])
    with hand_made_server(serving(row.page)) as (url, received):
        walked = Sweeper(Bench(url).client, store, "run").walk(CLUSTERS, CLUSTERS.sweeps[0], PARTITION)
        assert walked.finished
        assert len(received) == 1  # Whatever is wrong with an object, its page tells.
    assert [id for (id,) in database.rows("SELECT id FROM courtlistener.clusters ORDER BY id")] == list(row.stored)
    assert [error for (error,) in database.rows("SELECT error FROM courtlistener.failures")] == list(row.recorded)


def test_a_next_that_leads_back_to_the_same_page_ends_with_an_error(database: Database) -> None:
    store = RecordStore(database)
    store.prepare(["clusters"])

    def answer(connection: socket.socket, head: bytes) -> None:
        host = head.split(b"Host: ")[1].split(b"\r\n")[0].decode()
        body = {"next": f"http://{host}/api/rest/v4/clusters/?cursor=same", "results": [cluster(1)]}
        connection.sendall(ok(json.dumps(body).encode()))

    with hand_made_server(answer) as (url, received):
        with pytest.raises(TransientApiError, match="does not advance"):
            Sweeper(Bench(url).client, store, "run").walk(CLUSTERS, CLUSTERS.sweeps[0], PARTITION)
        assert len(received) < 20


@pytest.mark.parametrize("year", [1999, 2199])
def test_a_clock_of_the_server_that_jumps_loses_no_changes(database: Database, year: int) -> None:
    store = RecordStore(database)
    store.prepare(["clusters"])
    page = ok(json.dumps({"next": None, "results": []}).encode(), Date=f"Fri, 01 Jan {year} 00:00:00 GMT")
    before = datetime.now(UTC)
    with hand_made_server(answering(page)) as (url, _received):
        walked = Sweeper(Bench(url).client, store, "run").walk(CLUSTERS, CLUSTERS.sweeps[0], PARTITION)
    assert walked.watermark
    assert walked.watermark.year == 1999 if year == 1999 else before <= walked.watermark <= datetime.now(UTC)


DATES = [
    "Fri, 31 Dec 9999 23:59:59 -1200",
    "Fri, 31 Dec 9999 23:59:59 GMT",
    "Thu, 01 Jan 99999 00:00:00 GMT",
    "Thu, 01 Jan 2024 00:00:00 +9999",
    "Thu, 99 Xxx 2024 99:99:99 GMT",
    f"Thu, 01 Jan {'9' * 5000} 00:00:00 GMT",
    "soon",
    " ",
    "",
]


@pytest.mark.parametrize("date", DATES, ids=lambda date: f"{date:.40}" or "none")
def test_a_time_of_the_server_that_is_none_is_ours(database: Database, date: str) -> None:
    store = RecordStore(database)
    store.prepare(["clusters"])
    page = ok(json.dumps({"next": None, "results": [cluster(1)]}).encode(), **({"Date": date} if date else {}))
    before = datetime.now(UTC)
    with hand_made_server(answering(page)) as (url, received):
        for run in ("first", "second"):
            walked = Sweeper(Bench(url).client, store, run).walk(CLUSTERS, CLUSTERS.sweeps[0], PARTITION)
        assert b"date_modified__gte" in received[1]
    assert walked.watermark
    assert before <= walked.watermark <= datetime.now(UTC)


def test_a_time_without_zone_is_utc() -> None:
    with hand_made_server(answering(ok(GOOD, Date="Tue, 05 Mar 2024 10:00:00 -0000"))) as (url, _received):
        page = Bench(url).client.page("dockets", {})
    assert page.served_at == datetime(2024, 3, 5, 10, tzinfo=UTC)


@pytest.mark.parametrize("count", ["-1", "1.5", "true", '"5"', "null", "[5]", "9223372036854775808", "7" * 5000, "NaN"])
def test_a_count_that_is_none_is_an_error(count: str) -> None:
    with hand_made_server(answering(ok(f'{{"count": {count}}}'.encode()))) as (url, _received):
        client = Bench(url, max_attempts=1).client
        with pytest.raises(TransientApiError, match="has no count: /dockets/"):
            client.count("dockets", {})


@pytest.mark.parametrize("body", [b"[]", b"null", b"5", b'"x"', b"NaN", b"{", b"[" * 100_000])
def test_a_single_object_that_is_none_is_an_error(body: bytes) -> None:
    with hand_made_server(answering(ok(body))) as (url, _received), pytest.raises(TransientApiError):
        Bench(url, max_attempts=1).client.object("clusters", 5)


def test_ids_that_are_none_in_the_list_of_a_broken_page_are_passed_over(database: Database) -> None:
    store = RecordStore(database)
    store.prepare(["clusters"])

    def answer(connection: socket.socket, head: bytes) -> None:
        query = parse_qs(urlsplit(head.split()[1].decode()).query)
        low, high = int(query["id__gt"][0]), int(query.get("id__lte", ["100"])[0])
        if "fields" in query:
            ids = [{"id": id} for id in (5, 2**70, True, None, "6", 7) if not isinstance(id, int) or id > low]
            connection.sendall(ok(json.dumps({"next": None, "results": ids}).encode()))
        elif low < 7 <= high:
            connection.sendall(http("500 Internal Server Error"))
        else:
            found = [cluster(5)] if low < 5 <= high else []
            connection.sendall(ok(json.dumps({"next": None, "results": found}).encode()))

    with hand_made_server(answer) as (url, _received):
        Sweeper(Bench(url, max_attempts=1).client, store, "run").walk(CLUSTERS, CLUSTERS.sweeps[0], PARTITION)
    assert database.rows("SELECT id FROM courtlistener.clusters") == [(5,)]
    assert database.rows("SELECT object_id FROM courtlistener.failures") == [(7,)]
