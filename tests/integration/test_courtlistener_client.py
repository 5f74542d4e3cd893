"""The client against the simulator and hand-made answers: a permit for every attempt, the token for one host."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import pytest

from courtlistener_assets.devkit.servers.redis_server import RedisServer
from courtlistener_assets.devkit.simulator.faults import Fault
from courtlistener_assets.devkit.simulator.server import Simulator
from resources.courtlistener.client import CourtListenerClient
from resources.courtlistener.responses import reading_of
from resources.courtlistener.transport import Timeouts
from resources.dagster_resources import (
    CourtListenerResource,
    PostgresResource,
    RedisRateLimitResource,
    RedisResource,
)
from resources.errors import (
    AuthenticationFailed,
    ForeignHost,
    Gone,
    LedgerUnavailable,
    QuotaDeferred,
    ResponseTooLarge,
    SettingError,
    Throttled,
    TransientApiError,
    Unanswered,
)
from resources.quota.permits import Outcome, ServerWindow, Window
from tests.integration.client_harness import Bench, hand_made_server, http

PARAMS = {"court": "ca9", "order_by": "id", "id__gt": "0"}


def test_a_page_takes_one_permit_and_settles_it(simulator: Simulator) -> None:
    bench = Bench(simulator.url)
    page = bench.client.page("dockets", PARAMS)
    assert len(page.objects) == 20
    assert page.has_next
    assert bench.ledger.settled == [Outcome.COUNTED]
    assert (bench.client.requests_sent, bench.client.refused) == (1, 0)


@pytest.mark.parametrize("kind", ["500", "503", "html", "empty", "cut"])
def test_every_attempt_takes_a_permit_of_its_own(simulator: Simulator, kind: str) -> None:
    simulator.faults.add(Fault(kind, times=2))
    bench = Bench(simulator.url)
    assert len(bench.client.page("dockets", PARAMS, attempts=3).objects) == 20
    assert bench.ledger.granted == 3
    assert bench.ledger.settled == [Outcome.COUNTED] * 3
    assert len(bench.slept) == 2


@pytest.mark.parametrize(
    "kind", ["502", "504", "reset_after", "reset_before", "timeout", "late", "late_502", "late_504"]
)
def test_a_request_without_an_answer_may_still_arrive(simulator: Simulator, kind: str) -> None:
    simulator.faults.add(Fault(kind, path_prefix="/api/rest/v4/dockets", times=1, seconds=0.4))
    bench = Bench(simulator.url, transport={"timeouts": Timeouts(read=0.2)})
    assert len(bench.client.page("dockets", PARAMS).objects) == 20
    assert bench.ledger.settled == [Outcome.UNANSWERED, Outcome.COUNTED]


def test_a_late_request_is_logged_when_it_arrives_though_its_client_has_left(simulator: Simulator) -> None:
    simulator.faults.add(Fault("late", path_prefix="/api/rest/v4/dockets", times=1, seconds=0.4))
    bench = Bench(simulator.url, max_attempts=1, transport={"timeouts": Timeouts(read=0.2)})
    with pytest.raises(Unanswered):
        bench.client.page("dockets", PARAMS)
    gave_up_at = simulator.clock()
    deadline = time.monotonic() + 5
    while not (late := [entry for entry in simulator.log if entry.fault == "late"]) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert late[0].admitted
    assert late[0].time > gave_up_at


def test_a_page_is_retried_once_unless_told_otherwise(simulator: Simulator) -> None:
    simulator.faults.add(Fault("500"))
    bench = Bench(simulator.url)
    with pytest.raises(TransientApiError):
        bench.client.page("dockets", PARAMS)
    assert bench.ledger.granted == 2


def test_a_server_without_api_usage_serves_pages_all_the_same() -> None:
    def answer(connection: socket.socket, head: bytes) -> None:
        if b"/api-usage/" in head:
            connection.sendall(http("404 Not Found", b'{"detail": "Not found."}', Content_Type="application/json"))
        else:
            connection.sendall(http("200 OK", b'{"next": null, "results": []}', Content_Type="application/json"))

    with hand_made_server(answer) as (url, received):
        assert Bench(url, windows_age_seconds=1e9).client.page("dockets", {}).objects == []
        assert len(received) == 2


def test_attempts_are_bounded(simulator: Simulator) -> None:
    simulator.faults.add(Fault("500"))
    bench = Bench(simulator.url, max_attempts=4)
    with pytest.raises(TransientApiError):
        bench.client.page("dockets", PARAMS)
    assert bench.ledger.granted == 4


def test_time_is_bounded_too(simulator: Simulator) -> None:
    simulator.faults.add(Fault("500"))
    bench = Bench(simulator.url, max_attempts=1000, max_seconds=60)
    with pytest.raises(TransientApiError):
        bench.client.page("dockets", PARAMS)
    assert sum(bench.slept) <= 60


def test_a_request_that_no_connection_was_made_for_is_given_back() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    bench = Bench(f"http://127.0.0.1:{port}", max_attempts=1)
    with pytest.raises(TransientApiError):
        bench.client.page("dockets", PARAMS)
    assert bench.ledger.settled == [Outcome.NOT_COUNTED]


@pytest.mark.parametrize("token", ["secret\nabc", "secr\u00e9t", "\ufeffsecret", "two secrets"])
def test_what_cannot_be_a_token_costs_no_permit_and_is_not_quoted(simulator: Simulator, token: str) -> None:
    bench = Bench(simulator.url, token=token)
    with pytest.raises(SettingError, match="COURTLISTENER_API_TOKEN holds no token") as raised:
        bench.client.page("dockets", PARAMS)
    assert "secr" not in str(raised.value)
    assert bench.ledger.granted == 0


def test_no_proxy_sees_a_token_that_is_sent_without_tls(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(connection: socket.socket, head: bytes) -> None:
        connection.sendall(http("502 Bad Gateway"))

    with hand_made_server(refuse) as (proxy, received):
        for variable in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(variable, proxy)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        assert Bench(simulator.url).client.page("dockets", PARAMS).objects
        assert received == []


def test_a_permit_that_was_slept_past_is_given_back_unused(simulator: Simulator) -> None:
    bench = Bench(simulator.url, stale=2)
    bench.client.page("dockets", PARAMS)
    assert bench.ledger.settled == [Outcome.NOT_COUNTED, Outcome.NOT_COUNTED, Outcome.COUNTED]
    assert bench.client.requests_sent == 1


def test_a_refusal_holds_everybody_back_and_asks_what_the_server_counts(simulator: Simulator) -> None:
    simulator.faults.add(Fault("429", path_prefix="/api/rest/v4/dockets", times=1, retry_after_seconds=7))
    bench = Bench(simulator.url)
    assert len(bench.client.page("dockets", PARAMS).objects) == 20
    assert bench.ledger.settled == [Outcome.NOT_COUNTED, Outcome.COUNTED]
    assert bench.ledger.holds == [(7.0, None)]
    assert bench.ledger.observed
    assert bench.usage_ledger.settled == [Outcome.COUNTED]
    assert bench.client.refused == 1


def test_a_blocked_account_is_reported_in_the_servers_words(simulator: Simulator) -> None:
    bench = Bench(simulator.url, token="blocked-token", max_attempts=1)
    with pytest.raises(Throttled):
        bench.client.page("dockets", PARAMS)
    [(hold_seconds, reason)] = bench.ledger.holds
    assert hold_seconds == 0
    assert "blocked" in str(reason)
    assert [window.blocked for window in bench.ledger.observed] == [True]


def test_a_wrong_token_is_not_tried_twice(simulator: Simulator) -> None:
    bench = Bench(simulator.url, token="wrong")
    with pytest.raises(AuthenticationFailed):
        bench.client.page("dockets", PARAMS)
    assert bench.ledger.settled == [Outcome.NOT_COUNTED]


def test_the_windows_of_the_account_are_read_from_api_usage(simulator: Simulator) -> None:
    bench = Bench(simulator.url, token="plain-token")
    bench.client.refresh_quota(max_age_seconds=60)
    assert sorted((seen.window.limit, seen.window.seconds) for seen in bench.ledger.observed) == [
        (5, 60),
        (50, 3600),
        (125, 86400),
    ]
    assert bench.ledger.granted == 0


@pytest.mark.parametrize("windows_age_seconds", [0.0, 100.0])
def test_whether_the_windows_are_out_of_date_is_no_reason_to_give_up_while_postgres_is_away(
    simulator: Simulator, windows_age_seconds: float
) -> None:
    bench = Bench(simulator.url, windows_age_seconds=windows_age_seconds)

    def away(*ages: float) -> bool:
        raise LedgerUnavailable("Postgres does not answer")

    bench.ledger.claim_observation = away  # type: ignore[method-assign]
    assert bench.client.page("dockets", PARAMS).objects
    simulator.faults.add(Fault("429", path_prefix="/api/rest/v4/dockets", times=1, retry_after_seconds=7))
    with pytest.raises(Throttled):
        bench.client.page("dockets", PARAMS, attempts=1)


def test_a_long_run_asks_for_the_windows_again(simulator: Simulator) -> None:
    bench = Bench(simulator.url)
    bench.client.page("dockets", PARAMS)
    assert not bench.ledger.observed
    bench.slept.append(601.0)
    bench.client.page("dockets", PARAMS)
    assert bench.ledger.observed
    assert bench.usage_ledger.granted == 1


def test_a_redirect_is_not_followed(simulator: Simulator) -> None:
    redirect = http("301 Moved Permanently", Location="/api/rest/v4/clusters/1/")
    with hand_made_server(lambda connection, _: connection.sendall(redirect)) as (url, received):
        with pytest.raises(Gone, match="clusters/1"):
            Bench(url).client.page("clusters/900001", {})
        assert len(received) == 1


def test_the_token_goes_to_no_other_host(simulator: Simulator) -> None:
    redirect = http("302 Found", Location=f"{simulator.url}/api/rest/v4/dockets/")
    with hand_made_server(lambda connection, _: connection.sendall(redirect)) as (url, received):
        with pytest.raises(ForeignHost):
            Bench(url, token="secret-token").client.page("dockets", {})
        assert b"Authorization: Token secret-token" in received[0]
    assert simulator.log == []


def test_a_netrc_file_does_not_replace_the_token(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, simulator: Simulator
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else")
    monkeypatch.setenv("NETRC", str(netrc))
    assert len(Bench(simulator.url).client.page("dockets", PARAMS).objects) == 20


@pytest.mark.parametrize("status", ["200 OK", "301 Moved Permanently\r\nLocation: /api/rest/v4/dockets/1/"])
def test_a_body_over_the_limit_is_not_read_to_its_end(status: str) -> None:
    def answer(connection: socket.socket, _: bytes) -> None:
        connection.sendall(f"HTTP/1.1 {status}\r\n".encode())
        connection.sendall(b"Content-Type: application/json\r\nContent-Length: 100000000\r\n\r\n")
        for _megabyte in range(100):
            connection.sendall(b" " * 1_000_000)

    with hand_made_server(answer) as (url, _):
        bench = Bench(url, transport={"max_body_bytes": 1_000_000})
        with pytest.raises(ResponseTooLarge):
            bench.client.page("dockets", {})
        assert bench.ledger.settled == [Outcome.COUNTED]


class Alarm:
    """A timer that rings when it is told to."""

    def __init__(self) -> None:
        self.started = threading.Semaphore(0)
        self.cancelled = False

    def __call__(self, seconds: float, ring: Callable[[], None]) -> Alarm:
        self.seconds, self.ring = seconds, ring
        return self

    def start(self) -> None:
        self.started.release()

    def cancel(self) -> None:
        self.cancelled = True


HEADERS = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
DRIPS = {
    "headers": HEADERS + b"X-Slow: ",
    "body": HEADERS + b"Content-Length: 1000\r\n\r\n",
    "body without a length": HEADERS + b"\r\n",
    "line of a chunk": HEADERS + b"Transfer-Encoding: chunked\r\n\r\n",
    "chunk": HEADERS + b"Transfer-Encoding: chunked\r\n\r\n400\r\n",
}


@pytest.mark.parametrize("drips", DRIPS)
def test_a_server_that_drips_does_not_hold_a_worker_for_ever(drips: str) -> None:
    alarm = Alarm()

    def answer(connection: socket.socket, _: bytes) -> None:
        connection.sendall(DRIPS[drips])
        alarm.started.acquire(timeout=5)
        connection.sendall(b"0")
        alarm.ring()
        connection.settimeout(5)
        assert connection.recv(1) == b""  # It is the client that has had enough.

    with hand_made_server(answer) as (url, _):
        bench = Bench(url, max_attempts=1, transport={"timer": alarm})
        with pytest.raises(TransientApiError, match="No whole response within 90 s: /dockets/"):
            bench.client.page("dockets", {})
        assert (alarm.seconds, alarm.cancelled) == (90.0, True)
        # Whoever has begun to answer has decided about the request.
        assert bench.ledger.settled == [Outcome.COUNTED]


WRONG_ROWS = [
    {"window_seconds": 0},
    {"window_seconds": -60},
    {"window_seconds": 10**30},
    {"limit": None},
    {"limit": -1},
    {"limit": 10**30},
    {"used": None},
]


@pytest.mark.parametrize("wrong", WRONG_ROWS, ids=str)
def test_rows_of_api_usage_that_make_no_sense_change_nothing(
    simulator: Simulator,
    redis_server: RedisServer,
    redis_client: object,
    database_url: str,
    wrong: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    simulator.faults.add(Fault("usage", path_prefix="/api/rest/v4/api-usage", row=wrong))
    with opened(simulator, redis_server, database_url) as client:
        for _ in range(30):
            with suppress(QuotaDeferred):
                client.page("dockets", PARAMS)
                client.refresh_quota(max_age_seconds=0)
        assert client.quota_requests == 5
        assert client.refused == 0
    [warning] = {record.getMessage() for record in caplog.records if "api-usage" in record.getMessage()}
    assert next(iter(wrong)) in warning


def test_a_row_that_makes_no_sense_does_not_take_its_window_away(
    simulator: Simulator, redis_server: RedisServer, redis_client: object, database_url: str
) -> None:
    simulator.accounts.by_name["wide"].set_rates("5/min,50/hour")
    with opened(simulator, redis_server, database_url) as client:
        client.read_quota()
        seen = [{"scope": "user", "limit": limit, "window_seconds": seconds, "used": 0, "blocked": False}
                for limit, seconds in ((None, 60), (100, 3600))]  # fmt: skip
        body = {"current_usage": seen}
        reading = reading_of(body, "user", datetime.now(UTC))
        client.limiter.observe(reading.windows, complete=not reading.faults)
        assert [use.window for use in client.limiter.usage()] == [Window(5, 60), Window(100, 3600)]


@pytest.mark.parametrize("threads", [16])
def test_at_a_full_account_only_what_is_under_way_is_refused(
    simulator: Simulator, redis_server: RedisServer, redis_client: object, database_url: str, threads: int
) -> None:
    simulator.accounts.by_name["wide"].set_rates("20/min")
    taken = Bench(simulator.url)
    for _ in range(20):
        taken.client.page("dockets", PARAMS)
    with opened(simulator, redis_server, database_url, rate_limits="60/min") as client:
        client.limiter.observe([ServerWindow(Window(60, 60), 0, False)])  # What it knew before the others came.
        errors: list[Exception] = []
        start = threading.Barrier(threads)

        def work() -> None:
            start.wait()
            for _ in range(3):
                try:
                    client.page("dockets", PARAMS, attempts=1)
                except (Throttled, QuotaDeferred) as error:
                    errors.append(error)

        workers = [threading.Thread(target=work) for _ in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        refused = [entry.time for entry in simulator.log if entry.refused]
        assert 1 <= len(refused) <= threads
        # Whoever asked later got no permit.
        assert sum(isinstance(error, QuotaDeferred) for error in errors) == 3 * threads - len(refused)
        readings = [entry for entry in simulator.log if entry.endpoint == "api-usage" and entry.time > refused[0]]
        assert len(readings) >= 1


@contextmanager
def opened(
    simulator: Simulator, redis_server: RedisServer, database_url: str, **settings: Any
) -> Iterator[CourtListenerClient]:
    """A client with real ledgers that waits for no permit."""
    rate_limit = RedisRateLimitResource(
        redis=RedisResource(url=redis_server.url, timeout_seconds=5.0),
        postgres=PostgresResource(url=database_url),
        max_wait_seconds=0.0,
        **{"rate_limits": "5/min", **settings},
    )
    resource = CourtListenerResource(rate_limit=rate_limit, api_token="wide-token", base_url=simulator.url)
    with resource.open() as client:
        yield client
