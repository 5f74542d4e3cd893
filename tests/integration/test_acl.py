"""The Redis user of deploy/redis-users.acl, on a server that has loaded the file: enough for us, and nothing else.

`tests/servers` runs the same on the distribution's Redis, 7.0 in Debian 12, which is the oldest that we take.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
import redis
from redis.exceptions import NoPermissionError

from courtlistener_assets.devkit.servers.redis_server import RedisServer
from courtlistener_assets.devkit.simulator.server import Simulator
from courtlistener_assets.download.choice import chosen
from courtlistener_assets.download.partitions import CourtMonth
from courtlistener_assets.download.sweep import Sweeper
from courtlistener_assets.operations.doctor.redis_checks import DIRECT_COMMANDS, check_redis, commands_of_scripts
from courtlistener_assets.settings import Settings
from resources.connections.postgres import Database
from resources.connections.redis_address import connect
from resources.dagster_resources import CourtListenerResource, RedisRateLimitResource
from resources.errors import CourtListenerAssetsError
from resources.legacy.pipeline_state import PipelineState
from resources.quota.permits import Lane, ServerWindow, Window
from resources.records.store import RecordStore
from tests.integration.ledger_harness import be_refused, give_back, take

ACL_FILE = Path(__file__).parents[2] / "deploy" / "redis-users.acl"
ADMIN, WORKER = secrets.token_hex(8), secrets.token_hex(8)


class ConfinedServer(RedisServer):
    """A server that begins with the users of the ACL file, an administrator added."""

    @property
    def url(self) -> str:
        return f"redis://admin:{ADMIN}@{self.host}:{self.port}/0"

    @property
    def worker_url(self) -> str:
        return f"redis://courtlistener:{WORKER}@{self.host}:{self.port}/0"

    def _prepare(self) -> None:
        super()._prepare()
        users = self.directory / "users.acl"
        users.write_text(ACL_FILE.read_text() + f"user admin on >{ADMIN} ~* &* +@all\n")
        with self._configuration.open("a") as configuration:
            configuration.write(f'aclfile "{users}"\n')


@pytest.fixture(scope="module")
def confined() -> Iterator[ConfinedServer]:
    server = ConfinedServer()
    try:
        server.start()
    except (CourtListenerAssetsError, OSError) as error:
        server.stop()
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"{server.name} cannot be started here: {error}")
    yield server
    server.stop()


@pytest.fixture
def admin(confined: ConfinedServer) -> Iterator[redis.Redis]:
    """The administrator; the server is empty, its log of refusals too, and the worker has a password."""
    client = redis.Redis.from_url(confined.url, decode_responses=True)
    client.flushall()
    client.script_flush()
    client.execute_command("ACL", "LOAD")  # type: ignore[no-untyped-call]
    # Redis 7.0 ends the connections of all users that it has loaded anew.
    client.connection_pool.disconnect()
    client.execute_command("ACL", "SETUSER", "courtlistener", f">{WORKER}")  # type: ignore[no-untyped-call]
    client.acl_log_reset()
    yield client
    client.close()


@pytest.fixture
def worker(confined: ConfinedServer, admin: redis.Redis) -> Iterator[redis.Redis]:
    client = connect(confined.worker_url)
    yield client
    client.close()


def granted() -> set[str]:
    """The commands that the file grants, without subcommands."""
    [line] = [line for line in ACL_FILE.read_text().splitlines() if line.startswith("user courtlistener ")]
    return {command for command in re.findall(r"\+(\w+)(?=\s|$)", line)}


def test_the_file_grants_what_the_scripts_and_the_code_call() -> None:
    connection = {"auth", "hello", "select", "discard"}
    assert granted() == commands_of_scripts() | DIRECT_COMMANDS | connection


def test_nobody_can_log_in_before_a_password_is_set() -> None:
    # A comment would keep the server from starting.
    users = ACL_FILE.read_text().splitlines()
    assert all(line.startswith("user ") for line in users)
    assert not any(re.search(r"\s(>|#|nopass)", line) for line in users)
    assert "user default off" in users


def test_the_whole_life_of_permits_works_for_the_confined_user(
    confined: ConfinedServer, admin: redis.Redis, database_url: str
) -> None:
    resource = RedisRateLimitResource(
        redis_url=confined.worker_url, postgres_url=database_url, rate_limits="3/min", max_wait_seconds=0.001
    )
    limiter = resource.limiter("acl")
    take(limiter)
    give_back(limiter, Lane.PRIORITY)
    limiter.observe([ServerWindow(Window(3, 60), 1, blocked=False)])
    assert limiter.charge(1, 100)
    be_refused(limiter, 0.0)
    assert not limiter.charge(2, 100)
    assert limiter.hour_counts() == (2, 1)
    # All from Redis: a command that was refused would have sent the ledger to Postgres.
    assert limiter.granted == {"redis": 4}
    assert admin.acl_log() == []


def test_a_partition_is_downloaded_by_the_confined_user(
    confined: ConfinedServer, admin: redis.Redis, database_url: str, database: Database, simulator: Simulator
) -> None:
    rate_limit = RedisRateLimitResource(redis_url=confined.worker_url, postgres_url=database_url)
    resource = CourtListenerResource(base_url=simulator.url, api_token="wide-token", rate_limit=rate_limit)
    store = RecordStore(database)
    with resource.open() as client:
        client.refresh_quota(max_age_seconds=0)
        for stream in chosen():
            store.prepare(stream.stores)
            for sweep in stream.sweeps:
                Sweeper(client, store, "run").walk(stream, sweep, CourtMonth("scotus", date(2024, 1, 1)))
        assert set(client.limiter.granted) == {"redis"}
    assert admin.acl_log() == []


def test_the_state_of_a_pipeline_works_for_the_confined_user(
    confined: ConfinedServer, admin: redis.Redis, worker: redis.Redis
) -> None:
    state = PipelineState(worker)
    state.initialize_pipeline_state("run", court="ca9")
    state.cache_task_start_time("run", "download")
    assert state.get_pipeline_state("run")
    state.cleanup_expired_keys()
    assert admin.acl_log() == []


def test_the_doctor_finds_that_the_confined_user_may_do_what_it_must(
    confined: ConfinedServer, admin: redis.Redis
) -> None:
    findings = check_redis(Settings.from_environ({"REDIS_URL": confined.worker_url}))
    rights = [finding for finding in findings if finding.check == "redis rights"]
    assert [finding.severity.value for finding in rights] == ["ok"], rights


@pytest.mark.parametrize(
    "command",
    [
        "SET other:key 1",
        "GET other:key",
        "KEYS *",
        "FLUSHALL",
        "FLUSHDB",
        "CONFIG GET *",
        "CONFIG SET dir /tmp",
        "SHUTDOWN NOSAVE",
        "REPLICAOF NO ONE",
        "MIGRATE 127.0.0.1 1 courtlistener:x 0 1",
        "ACL SETUSER courtlistener allkeys",
        "ACL LIST",
        "CLIENT KILL TYPE normal",
        "CLIENT LIST",
        "MONITOR",
        "SCRIPT FLUSH",
        "SUBSCRIBE everything",
        "PUBLISH everything hello",
        "RENAME courtlistener:a other:b",
        "COPY courtlistener:a other:b",
        "EVAL return(1) 0",
    ],
)
def test_everything_else_is_refused(worker: redis.Redis, command: str) -> None:
    with pytest.raises((NoPermissionError, redis.ResponseError), match=r"(?i)permission"):
        worker.execute_command(*command.split(" "))  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("call", ["redis.call('GET', 'other:key')", "redis.call('FLUSHALL')"])
def test_a_script_may_do_no_more_than_its_caller(worker: redis.Redis, call: str) -> None:
    with pytest.raises(
        (NoPermissionError, redis.ResponseError), match=r"(?i)permission|user executing the script can't"
    ):
        worker.register_script(f"return {call}")()


def test_a_password_is_changed_without_a_pause(confined: ConfinedServer, admin: redis.Redis, database_url: str) -> None:
    """As docs/security.md describes it: two passwords for a while, then the old one goes."""
    old = RedisRateLimitResource(redis_url=confined.worker_url, postgres_url=database_url).limiter("rotation")
    take(old)
    admin.execute_command("ACL", "SETUSER", "courtlistener", ">new-password")  # type: ignore[no-untyped-call]
    new_url = confined.worker_url.replace(WORKER, "new-password")
    new = RedisRateLimitResource(redis_url=new_url, postgres_url=database_url).limiter("rotation")
    take(new)
    admin.execute_command("ACL", "SETUSER", "courtlistener", f"<{WORKER}")  # type: ignore[no-untyped-call]
    take(new)
    # Connections that are open stay; a new one with the old password is refused.
    stranger = redis.Redis.from_url(confined.worker_url)
    with pytest.raises(redis.AuthenticationError):
        stranger.ping()
    stranger.close()
    assert old.granted + new.granted == {"redis": 3}
