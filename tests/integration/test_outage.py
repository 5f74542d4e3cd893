"""A server that is down: found once for all workers, probed by one at a time, and no page is blamed for it."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any
from unittest.mock import MagicMock

import pytest
from rich.console import Console

from courtlistener_assets.operations.exporter.collector import PipelineCollector
from courtlistener_assets.operations.status import as_json, read_status, show
from courtlistener_assets.settings import Settings
from resources.connections.postgres import Database
from resources.courtlistener.client import CourtListenerClient
from resources.courtlistener.outage import outages
from resources.courtlistener.server_state import SharedServerState, Turn
from resources.errors import ApiError, PermissionDenied, QuotaDeferred, ServerDown, TransientApiError
from resources.quota.lease import LeaseStore
from resources.quota.permits import Window
from tests.integration.client_harness import Bench, hand_made_server, http

JSON = "application/json"
EMPTY = http("200 OK", b'{"next": null, "results": []}', Content_Type=JSON)
USAGE = http("200 OK", b'{"current_usage": []}', Content_Type=JSON)
DOWN = http("500 Internal Server Error", b"<html>", Content_Type="text/html")
MAINTENANCE = http("503 Service Unavailable", b"<html>", Content_Type="text/html", Retry_After="7200")


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = datetime(2024, 3, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **by: float) -> None:
        self.now += timedelta(**by)


class Server:
    """Answers what `pages` and `usage` say now, and pages that name `poison` with 500."""

    def __init__(self) -> None:
        self.pages, self.usage, self.poison = EMPTY, USAGE, b"poison"
        self.courts = b""
        self.asked: list[str] = []

    def answer(self, connection: socket.socket, head: bytes) -> None:
        path = head.split()[1]
        self.asked.append(path.decode())
        is_usage = b"/api-usage/" in path
        if self.courts and b"/courts/" in path:
            connection.sendall(self.courts)
        else:
            connection.sendall(self.usage if is_usage else DOWN if self.poison in path else self.pages)

    def fall(self, answer: bytes = DOWN) -> None:
        self.pages = self.usage = answer

    def rise(self) -> None:
        self.pages, self.usage = EMPTY, USAGE

    @property
    def charged(self) -> int:
        """Requests that cost quota."""
        return sum("/api-usage/" not in path for path in self.asked)


class World:
    """One account: a server, Postgres, and any number of clients, each as of a run of its own."""

    def __init__(self, database: Database) -> None:
        self.database, self.clock, self.server = database, Clock(), Server()
        self.state = SharedServerState(database, "account", clock=self.clock)

    @contextmanager
    def client(self, **options: Any) -> Iterator[CourtListenerClient]:
        bench = Bench(self.url, server=self.state, sleep=lambda seconds: time.sleep(min(seconds, 0.01)), **options)
        with closing(bench.client):
            yield bench.client

    def ask(self, endpoint: str = "dockets", **params: Any) -> BaseException | None:
        """What comes of asking for a page in a run of its own."""
        with self.client() as client:
            return outcome(client, endpoint, **params)


def outcome(
    client: CourtListenerClient, endpoint: str = "dockets", *, attempts: int | None = None, **params: str
) -> ApiError | None:
    try:
        client.page(endpoint, params, attempts=attempts)
    except ApiError as error:
        return error
    return None


@pytest.fixture
def world(database: Database) -> Iterator[World]:
    found = World(database)
    with hand_made_server(found.server.answer) as (found.url, _):
        yield found


@pytest.mark.parametrize("workers", [1, 4, 24])
def test_an_outage_costs_one_request_however_many_ask(world: World, workers: int) -> None:
    world.server.fall()
    with world.client() as client, ThreadPoolExecutor(workers) as pool:
        for _minute in range(60):
            found = list(pool.map(lambda number: outcome(client, court=str(number)), range(24)))
            assert {type(error) for error in found} == {ServerDown}
            world.clock.advance(minutes=1)
    assert world.server.charged == 1
    assert len(world.server.asked) <= 6  # Probes are free.


def test_pages_that_fail_while_api_usage_answers_cost_five_requests_in_the_first_hour(world: World) -> None:
    world.server.pages = DOWN
    found = []
    for minute in range(60):
        with world.client() as client:
            error = outcome(client, court=str(minute))
            if isinstance(error, TransientApiError):  # What a sweep does, once an empty page has failed too.
                error = outcome(client, attempts=1, id__lte="0", court=str(minute))
                error = client.report_outage(error) if isinstance(error, TransientApiError) else error
            found.append(error)
        world.clock.advance(minutes=1)
    assert {type(error) for error in found} == {ServerDown}
    assert world.server.charged <= 5


@pytest.mark.parametrize("workers", [2, 4, 8])
def test_requests_under_way_when_it_breaks_are_all_that_is_spent(world: World, workers: int) -> None:
    meeting = threading.Barrier(workers, timeout=10)
    with world.client() as client, ThreadPoolExecutor(workers) as pool:
        assert outcome(client) is None
        world.server.fall()
        before = world.server.charged

        def together(number: int) -> ApiError | None:
            meeting.wait()
            return outcome(client, court=str(number))

        assert {type(error) for error in pool.map(together, range(workers))} == {ServerDown}
        assert world.server.charged - before <= workers


def test_a_retry_after_is_kept_and_named(world: World) -> None:
    world.server.fall(MAINTENANCE)
    error = world.ask()
    assert isinstance(error, ServerDown)
    assert error.wait_seconds == 7200
    assert "down since 2024-03-01 12:00 UTC" in str(error)
    assert "503 Service Unavailable" in str(error)
    assert "The next probe is at 14:00 UTC" in str(error)
    world.clock.advance(minutes=119)
    again = world.ask()
    assert isinstance(again, ServerDown)
    assert again.wait_seconds == 60
    assert len(world.server.asked) == 1


def test_probes_back_off_to_an_hour_and_the_first_that_succeeds_ends_the_outage(world: World) -> None:
    world.server.fall()
    world.ask()
    waits = []
    for _probe in range(5):
        error = world.ask()
        assert isinstance(error, ServerDown)
        waits.append(error.wait_seconds / 60)
        world.clock.advance(seconds=error.wait_seconds)
    assert waits == [10, 20, 40, 60, 60]
    [outage] = outages(world.database)
    assert outage.probes == 4
    world.server.rise()
    assert world.ask() is None
    assert outages(world.database) == []
    # What costs no quota, what costs next to nothing, and what was wanted.
    assert [path.split("/")[4] for path in world.server.asked[-3:]] == ["api-usage", "courts", "dockets"]


def test_an_api_usage_that_alone_is_out_of_order_does_not_keep_the_server_down(world: World) -> None:
    world.server.fall()
    world.ask()
    world.server.pages = EMPTY
    found = []
    for _hour in range(8):
        world.clock.advance(hours=1)
        found.append(world.ask())
    assert found[-1] is None


@pytest.mark.parametrize("status", ["403 Forbidden", "404 Not Found", "400 Bad Request"])
def test_what_the_api_says_of_a_probe_is_not_said_of_what_was_asked_for(world: World, status: str) -> None:
    world.server.fall()
    world.ask()
    world.clock.advance(minutes=11)
    world.server.rise()
    world.server.courts = http(status, b'{"detail": "No."}', Content_Type=JSON)
    with world.client() as client:
        assert client.object("dockets", 5) == {"next": None, "results": []}


@pytest.mark.parametrize("late", ["down", "answered"])
def test_two_probes_at_once_still_back_off_and_either_ends_the_outage(world: World, late: str) -> None:
    world.state.down("first", "500")
    world.clock.advance(minutes=10)
    assert world.state.turn("slow") is Turn.PROBE
    world.clock.advance(minutes=4)
    assert world.state.turn("next") is Turn.PROBE
    assert world.state.down("slow", "timeout").wait_seconds == 1200
    if late == "answered":
        world.state.answered("next")
        assert outages(world.database) == []
    else:
        assert world.state.down("next", "timeout").wait_seconds >= 1200


def test_an_endpoint_that_is_due_is_asked_for_by_who_finds_the_server_up(world: World) -> None:
    world.state.without("opinions", "500")
    world.state.down("first", "500")
    world.clock.advance(hours=2)
    assert world.ask("opinions") is None
    assert outages(world.database) == []


def test_of_many_workers_one_probes_and_all_go_on(world: World) -> None:
    world.server.fall()
    world.ask()
    world.clock.advance(minutes=11)
    world.server.rise()
    with world.client() as client, ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda number: outcome(client, court=str(number)), range(8))) == {None}
    assert sum("/courts/" in path for path in world.server.asked) == 1


def test_a_page_that_breaks_alone_is_no_outage(world: World) -> None:
    with world.client() as client:
        assert isinstance(outcome(client, court="poison"), TransientApiError)
        assert world.server.charged == 2
        assert outcome(client, id__lte="0") is None  # The sweep finds out that the server is up.
    assert world.ask() is None
    assert outages(world.database) == []


def test_pages_that_break_at_once_in_several_runs_are_no_outage(world: World) -> None:
    assert world.ask() is None  # Everybody may ask.
    meeting, turn = threading.Barrier(3, timeout=10), world.state.turn

    def together(asker: str, endpoint: str = "") -> Turn | float:
        found = turn(asker, endpoint)
        meeting.wait()  # So that all are under way when the first one fails.
        return found

    world.state.turn = together  # type: ignore[method-assign]
    with ExitStack() as runs, ThreadPoolExecutor(3) as pool:
        clients = [runs.enter_context(world.client()) for _ in range(3)]
        found = list(pool.map(lambda client: outcome(client, attempts=1, court="poison"), clients))
    assert [type(error) for error in found] == [TransientApiError] * 3
    assert outages(world.database) == []


def test_an_endpoint_that_is_out_of_order_does_not_stop_the_others(world: World) -> None:
    world.server.poison = b"/opinions/"

    def sweep() -> ApiError | None:
        with world.client() as client:
            error = outcome(client, "opinions")
            if isinstance(error, TransientApiError):
                empty = outcome(client, "opinions", attempts=1, id__lte="0")
                return client.report_outage(empty) if isinstance(empty, TransientApiError) else empty
            return error

    for _minute in range(60):
        error = sweep()
        assert isinstance(error, ServerDown)
        assert str(error).startswith("opinions are out of order since 2024-03-01 12:00 UTC: 500 Internal")
        assert world.ask("dockets") is None
        world.clock.advance(minutes=1)
    assert sum("/opinions/" in path for path in world.server.asked) + 1 <= 5
    world.server.poison = b"poison"
    world.clock.advance(hours=1)
    assert sweep() is None
    assert outages(world.database) == []


def test_a_refused_endpoint_is_asked_for_once_a_day(world: World) -> None:
    world.server.pages = http("403 Forbidden", b'{"detail": "No."}', Content_Type=JSON)
    for _hour in range(48):
        error = world.ask("docket-entries")
        assert isinstance(error, PermissionDenied)
        world.clock.advance(hours=1)
    assert world.server.charged == 2
    assert "docket-entries are not allowed for this account since 2024-03-01 12:00 UTC" in str(error)
    world.server.rise()
    assert world.ask("dockets") is None
    world.clock.advance(days=1)
    assert world.ask("docket-entries") is None
    assert outages(world.database) == []


def test_others_wait_until_it_is_known_whose_fault_it_is(world: World) -> None:
    assert world.state.turn("first") is Turn.ALONE
    world.state.answered("first")
    assert world.state.turn("second") is Turn.FREE
    assert world.state.failed("first", "500") == 1
    assert isinstance(world.state.turn("second"), float)
    assert world.state.turn("first") is Turn.ALONE
    world.state.answered("first")
    assert world.state.turn("second") is Turn.FREE


@pytest.mark.parametrize("end", ["dies", "closes"])
def test_nobody_waits_for_ever_for_a_worker_that_is_gone(world: World, end: str) -> None:
    assert world.state.turn("first:1") is Turn.ALONE
    if end == "closes":
        world.state.release("first:")
    else:
        world.clock.advance(minutes=3, seconds=1)
    assert world.state.turn("second:1") is Turn.ALONE


def test_where_nothing_came_lately_one_worker_asks_first(world: World) -> None:
    assert world.ask() is None
    assert world.state.turn("second") is Turn.FREE
    world.clock.advance(minutes=3)
    assert world.state.turn("second") is Turn.ALONE
    assert isinstance(world.state.turn("third"), float)


def test_a_worker_without_a_permit_lets_others_ask(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise QuotaDeferred(wait_seconds=60)

    with world.client() as client:
        monkeypatch.setattr(client.limiter, "permit", refuse)
        with pytest.raises(QuotaDeferred):
            client.page("dockets", {})
    assert world.state.turn("second") is Turn.ALONE


def test_an_error_of_the_api_itself_shows_that_it_is_up(world: World) -> None:
    world.server.pages = http("403 Forbidden", b'{"detail": "No."}', Content_Type=JSON)
    assert isinstance(world.ask(), PermissionDenied)
    assert world.state.turn("second") is Turn.FREE


def test_without_postgres_everybody_may_ask(fresh_postgres_server: Any) -> None:
    database = Database(fresh_postgres_server.url, timeout_seconds=0.5)
    database.migrate()
    fresh_postgres_server.kill()
    state = SharedServerState(database, "account")
    assert state.turn("worker") is Turn.FREE
    assert state.failed("worker", "500") == 0
    state.answered("worker")
    state.release("worker")
    assert state.down("worker", "500").wait_seconds == 600
    database.close()


def test_status_and_metrics_say_since_when_what_was_seen_and_when_the_next_probe_is(database: Database) -> None:
    state = SharedServerState(database, "account")
    leases = LeaseStore(database, "account", fallback_windows=(Window(5, 60),))
    with leases.transaction() as connection:
        leases.lock(connection)
    state.down("worker", "503 Service Unavailable", named_seconds=3600)
    state.without("docket-entries", "No.", refused=True)
    state.without("opinions", "504 Gateway Timeout")
    settings = Settings(api_token="token", account="account")
    status = read_status(settings, database)

    console = Console(file=StringIO(), width=200)
    show(status, console)
    said = console.file.getvalue()  # type: ignore[attr-defined]
    for words in (
        "Account account: CourtListener is down since 20",
        "503 Service Unavailable. The next probe is at",
        "docket-entries are not allowed for this account since 20",
        "opinions are out of order since 20",
    ):
        assert words in said
    [outage] = json.loads(as_json(status))["outages"]
    assert (outage["down"]["seen"], outage["down"]["probes"]) == ("503 Service Unavailable", 0)
    assert [each["endpoint"] for each in outage["endpoints"]] == ["docket-entries", "opinions"]

    served = {
        (sample.name, sample.labels.get("endpoint", "")): sample.value
        for metric in PipelineCollector(settings, database, MagicMock()).collect()
        for sample in metric.samples
    }
    assert served["courtlistener_server_down", ""] == 1
    assert 3590 < served["courtlistener_server_probe_in_seconds", ""] <= 3600
    assert served["courtlistener_endpoint_refused", "docket-entries"] == 1
    assert served["courtlistener_endpoint_down", "opinions"] == 1
