"""The exporter serves whatever its clients and its servers do: idle, slow and many clients, servers that hang."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import psutil
import pytest
import requests
from prometheus_client import CollectorRegistry, Gauge, generate_latest

from courtlistener_assets.devkit.servers.postgres_server import PostgresServer
from courtlistener_assets.devkit.servers.redis_server import RedisServer
from courtlistener_assets.operations.exporter.http_server import MOST_CONNECTIONS, MetricsServer
from courtlistener_assets.operations.exporter.serving import serve
from courtlistener_assets.settings import Settings
from resources.connections.postgres import Database
from resources.errors import SettingError
from tests.acceptance.dev_process import eventually

#: A client that waits longer for an answer than this has found the exporter frozen.
PATIENCE_SECONDS = 20.0


@contextmanager
def exporter(redis_url: str, postgres_url: str) -> Iterator[str]:
    """The address of an exporter as `courtlistener metrics` runs it."""
    settings = Settings.from_environ({"REDIS_URL": redis_url, "POSTGRES_URL": postgres_url})
    said: list[str] = []
    stop, speaking = threading.Event(), threading.Event()

    def say(text: str) -> None:
        said.append(text)
        speaking.set()

    thread = threading.Thread(target=serve, args=(settings, {}, "127.0.0.1", 0, say, stop))
    thread.start()
    try:
        assert speaking.wait(PATIENCE_SECONDS)
        yield re.findall(r"http://\S+", said[0])[0]
    finally:
        stop.set()
        thread.join(PATIENCE_SECONDS)
    assert not thread.is_alive()


@contextmanager
def frozen(server: PostgresServer) -> Iterator[None]:
    """With all processes of a server stopped: connections stay open, and nothing answers."""
    stopped = [psutil.Process(server.pid), *psutil.Process(server.pid).children(recursive=True)]
    for process in stopped:
        process.suspend()
    try:
        yield
    finally:
        for process in stopped:
            process.resume()


def scrape(url: str, *, within_seconds: float = 5.0) -> str:
    """What Prometheus would get that allows so many seconds."""
    headers = {"X-Prometheus-Scrape-Timeout-Seconds": str(within_seconds)}
    answer = requests.get(url, headers=headers, timeout=PATIENCE_SECONDS)
    assert answer.status_code == 200
    return answer.text


@pytest.fixture(scope="module")
def large_registry() -> CollectorRegistry:
    """Metrics that no buffer of a connection holds."""
    registry = CollectorRegistry()
    large = Gauge("large", "A lot of text.", ["number"], registry=registry)
    for number in range(4_000):
        large.labels(f"{number:04000}").set(number)
    return registry


class Clock:
    """A clock that tests set."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@contextmanager
def served(registry: CollectorRegistry, clock: Clock) -> Iterator[MetricsServer]:
    with MetricsServer("127.0.0.1", 0, registry, clock=clock) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def connected(server: MetricsServer, sent: bytes = b"") -> socket.socket:
    client = socket.create_connection(("127.0.0.1", server.server_port), timeout=PATIENCE_SECONDS)
    client.sendall(sent)
    return client


def small_registry() -> CollectorRegistry:
    registry = CollectorRegistry()
    Gauge("small", "One number.", registry=registry).set(1)
    return registry


def test_clients_that_say_nothing_are_hung_up_on_and_nobody_waits_for_them() -> None:
    clock = Clock()
    with served(small_registry(), clock) as server, ExitStack() as clients:
        idle = [clients.enter_context(connected(server, b"GET /metr"[:length])) for length in (0, 4, 9)]
        assert "small 1.0" in scrape(f"http://127.0.0.1:{server.server_port}/metrics")
        clock.now += 60.0
        assert [client.recv(1) for client in idle] == [b"", b"", b""]


def test_hundreds_of_clients_take_a_bounded_number_of_threads_and_nobody_waits_for_them() -> None:
    with served(small_registry(), Clock()) as server, ExitStack() as clients:
        before = threading.active_count()
        many = [clients.enter_context(connected(server)) for _ in range(3 * MOST_CONNECTIONS)]
        assert "small 1.0" in scrape(f"http://127.0.0.1:{server.server_port}/metrics")
        # The oldest had to go.
        assert many[0].recv(1) == b""
        # A thread that was hung up on has yet to find it so.
        assert eventually(lambda: threading.active_count() - before <= MOST_CONNECTIONS + 1, PATIENCE_SECONDS)


def test_nobody_waits_for_a_client_that_does_not_read(large_registry: CollectorRegistry) -> None:
    clock = Clock()
    with served(large_registry, clock) as server, ExitStack() as clients:
        slow = clients.enter_context(connected(server, b"GET /metrics HTTP/1.1\r\n\r\n"))
        assert slow.recv(15) == b"HTTP/1.0 200 OK"
        assert "large{" in scrape(f"http://127.0.0.1:{server.server_port}/metrics")
        clock.now += 600.0
        # This happens twice a second, and a client that reads quickly would be done before.
        server.service_actions()
        received = 0
        while part := slow.recv(65536):
            received += len(part)
        assert received < len(generate_latest(large_registry))


def test_a_scrape_says_what_it_can_while_postgres_hangs(
    redis_server: RedisServer, fresh_postgres_server: PostgresServer
) -> None:
    with exporter(redis_server.url, fresh_postgres_server.url) as url:
        assert "courtlistener_postgres_up 1.0" in scrape(url)
        with frozen(fresh_postgres_server):
            for _ in range(2):
                text = scrape(url, within_seconds=1.5)
                assert "courtlistener_redis_up 1.0" in text
                assert "courtlistener_postgres_up 0.0" in text
                assert 'courtlistener_scrape_part_up{part="quota"} 0.0' in text
                # The next scrape waits for what the last one has asked, instead of asking again.
                reading = [thread.name for thread in threading.enumerate() if thread.name.startswith("read ")]
                assert len(reading) == len(set(reading))
        assert "courtlistener_postgres_up 1.0" in scrape(url, within_seconds=PATIENCE_SECONDS)


def test_a_scrape_says_what_it_can_while_redis_hangs(fresh_redis_server: RedisServer, database_url: str) -> None:
    with exporter(fresh_redis_server.url, database_url) as url:
        assert "courtlistener_redis_up 1.0" in scrape(url)
        fresh_redis_server.pause()
        try:
            text = scrape(url, within_seconds=2.0)
        finally:
            fresh_redis_server.resume()
        assert "courtlistener_redis_up 0.0" in text
        assert "courtlistener_postgres_up 1.0" in text


def test_what_takes_long_is_left_out_and_the_rest_is_there(
    redis_server: RedisServer, database: Database, database_url: str
) -> None:
    with exporter(redis_server.url, database_url) as url, database.transaction(patient=True) as connection:
        connection.execute("LOCK TABLE courtlistener.sweeps IN ACCESS EXCLUSIVE MODE")
        text = scrape(url, within_seconds=2.5)
    assert 'courtlistener_scrape_part_up{part="downloads"} 0.0' in text
    assert "courtlistener_partitions{" not in text
    assert 'courtlistener_scrape_part_up{part="backlog"} 1.0' in text
    assert 'courtlistener_failures{state="dead"} 0.0' in text
    assert "courtlistener_postgres_up 1.0" in text


def test_a_port_that_is_taken_is_an_error_that_says_what_to_do() -> None:
    with served(small_registry(), Clock()) as server, pytest.raises(SettingError, match="Name others with --host and"):
        MetricsServer("127.0.0.1", server.server_port, small_registry())


def test_before_the_first_migration_the_log_says_so(
    redis_server: RedisServer, postgres_server: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    with exporter(redis_server.url, postgres_server.url) as url:
        text = scrape(url)
    assert "courtlistener_postgres_up 1.0" in text
    assert 'courtlistener_scrape_part_up{part="quota"} 0.0' in text
    assert "the part quota: NothingYet" in caplog.text
