"""The doctor against real servers: a sound installation has no error, and each of many misconfigurations is named."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from unittest import mock
from urllib.parse import urlsplit

import dagster as dg
import psycopg
import pytest
import redis
import trustme
from click.testing import CliRunner
from dagster._core.storage.dagster_run import DagsterRun
from dagster._daemon.types import DaemonHeartbeat

from courtlistener_assets.cli import main
from courtlistener_assets.defs.names import API_POOL
from courtlistener_assets.devkit.servers.postgres_server import PostgresServer
from courtlistener_assets.devkit.servers.redis_server import RedisServer
from courtlistener_assets.devkit.servers.server import free_port
from courtlistener_assets.devkit.session.instance import dagster_variables, write_instance
from courtlistener_assets.devkit.simulator.server import Simulator
from courtlistener_assets.devkit.simulator.shapes import known_courts
from courtlistener_assets.operations.dagster_schema import prepare
from courtlistener_assets.operations.doctor import clock_checks, dagster_checks
from courtlistener_assets.operations.doctor.examination import as_json, examine, is_healthy
from courtlistener_assets.operations.doctor.findings import Finding, Severity
from resources.connections import postgres, schema
from resources.dagster_resources import CourtListenerResource, RedisRateLimitResource
from tests.integration.tls_front import TlsFront, expired, valid


@dataclass
class World:
    """A sound installation: its settings and the servers behind them."""

    environ: dict[str, str]
    admin: redis.Redis
    home: Path
    #: Closed after the test.
    stack: ExitStack
    clock: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep

    def examine(self, watch_seconds: float = 0.0) -> list[Finding]:
        with pytest.MonkeyPatch.context() as patch:
            for module in (clock_checks, dagster_checks):
                patch.setattr(module, "time", SimpleNamespace(time=self.clock, sleep=self.sleep))
            return examine(self.environ, watch_seconds=watch_seconds)


@pytest.fixture
def world(
    fresh_redis_server: RedisServer,
    postgres_server: PostgresServer,
    database_url: str,
    simulator: Simulator,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[World]:
    home = tmp_path / "home"
    write_instance(home, workers=2)
    # Dagster resolves the variables of dagster.yaml from the process itself.
    # Dagster takes seconds to make its tables, so they stay for all tests; what they leave there is removed below.
    variables = dagster_variables(home, postgres_server.url)
    prepare(variables["DAGSTER_POSTGRES_URL"])
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    environ = {
        "COURTLISTENER_API_TOKEN": "plain-token",
        "COURTLISTENER_BASE_URL": simulator.url,
        "COURTLISTENER_COURTS": "scotus,ca9",
        "COURTLISTENER_FIRST_MONTH": "2024-01",
        "COURTLISTENER_DATA_DIR": str(tmp_path / "data"),
        "REDIS_URL": fresh_redis_server.url,
        "POSTGRES_URL": database_url,
        **variables,
    }
    admin = redis.Redis.from_url(fresh_redis_server.url)
    with ExitStack() as stack:
        yield World(environ, admin, home, stack)
    admin.close()
    with psycopg.connect(postgres_server.url) as connection:
        if connection.execute("SELECT to_regclass('dagster.daemon_heartbeats')").fetchone() != (None,):
            for table in ("daemon_heartbeats", "pending_steps", "concurrency_slots", "concurrency_limits"):
                connection.execute(f"DELETE FROM dagster.{table}".encode())


def be_impatient(world: World) -> None:
    """Several checks wait for a Postgres that cannot be reached."""
    world.stack.enter_context(mock.patch.object(postgres, "CONNECTION_SECONDS", 0.5))


def port_of(url: str) -> int:
    port = urlsplit(url).port
    assert port
    return port


def heartbeat(world: World, kind: str, daemon: str) -> None:
    with dg.DagsterInstance.from_config(str(world.home)) as instance:
        instance.add_daemon_heartbeat(DaemonHeartbeat(time.time(), kind, daemon))


# --- what can be wrong ------------------------------------------------------------------------------------------------


def redis_stopped(world: World) -> None:
    world.environ["REDIS_URL"] = f"redis://127.0.0.1:{free_port()}/0"


def wrong_redis_password(world: World) -> None:
    world.admin.acl_setuser("worker", enabled=True, passwords="+right", keys=["*"], categories=["+@all"])
    world.environ["REDIS_URL"] = world.environ["REDIS_URL"].replace("redis://", "redis://worker:wrong-password@")


def user_without_rights(world: World) -> None:
    world.admin.acl_setuser("worker", enabled=True, passwords="+right", keys=["other:*"], categories=["+@all"])
    world.environ["REDIS_URL"] = world.environ["REDIS_URL"].replace("redis://", "redis://worker:right@")


def redis_that_evicts(world: World) -> None:
    world.admin.config_set("maxmemory", "100mb")
    world.admin.config_set("maxmemory-policy", "allkeys-lru")


def redis_without_persistence(world: World) -> None:
    world.admin.config_set("appendonly", "no")


def full_redis(world: World) -> None:
    world.admin.config_set("maxmemory", int(world.admin.info("memory")["used_memory"] * 1.05))


def redis_with_an_unknown_certificate(world: World) -> None:
    front = world.stack.enter_context(TlsFront(port_of(world.environ["REDIS_URL"]), valid(trustme.CA())))
    world.environ["REDIS_URL"] = f"rediss://localhost:{front.port}/0"


def plain_connection_to_a_redis_that_encrypts(world: World) -> None:
    front = world.stack.enter_context(TlsFront(port_of(world.environ["REDIS_URL"]), valid(trustme.CA())))
    world.environ["REDIS_URL"] = f"redis://localhost:{front.port}/0"


def worker_of_another_version(world: World) -> None:
    seconds, _ = world.admin.time()
    world.admin.zadd("courtlistener:scripts", {"0123456789ab": seconds - 60})


def replica(world: World) -> None:
    world.admin.replicaof("127.0.0.1", free_port())


def missing_database(world: World) -> None:
    be_impatient(world)
    world.environ["POSTGRES_URL"] = world.environ["POSTGRES_URL"].rsplit("/", 1)[0] + "/elsewhere"


def postgres_stopped(world: World) -> None:
    be_impatient(world)
    world.environ["POSTGRES_URL"] = f"postgresql://127.0.0.1:{free_port()}/courtlistener"


def postgres_with_an_expired_certificate(world: World) -> None:
    be_impatient(world)
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(world.home / "authority.pem"))
    url = urlsplit(world.environ["POSTGRES_URL"])
    front = world.stack.enter_context(TlsFront(port_of(url.geturl()), expired(authority), postgres=True))
    parameters = f"sslmode=verify-full&sslrootcert={world.home / 'authority.pem'}"
    world.environ["POSTGRES_URL"] = f"postgresql://{url.username}@localhost:{front.port}{url.path}?{parameters}"


def postgres_elsewhere_without_tls(world: World) -> None:
    be_impatient(world)
    url = urlsplit(world.environ["POSTGRES_URL"])
    elsewhere = f"db.example:{url.port}{url.path}?hostaddr=127.0.0.1"
    world.environ["POSTGRES_URL"] = f"postgresql://{url.username}@{elsewhere}"


def pending_migration(world: World) -> None:
    folder = world.home / "migrations"
    shutil.copytree(schema.MIGRATIONS, folder)
    (folder / "9998_pending.sql").touch()
    world.stack.enter_context(mock.patch.object(schema, "MIGRATIONS", folder))


def new_database(world: World) -> None:
    with psycopg.connect(world.environ["POSTGRES_URL"]) as connection:
        connection.execute("DROP SCHEMA courtlistener CASCADE")


def newer_database(world: World) -> None:
    with psycopg.connect(world.environ["POSTGRES_URL"]) as connection:
        connection.execute("INSERT INTO courtlistener.migrations (name) VALUES ('9999_future')")


def refused_token(world: World) -> None:
    world.environ["COURTLISTENER_API_TOKEN"] = "no-such-token"


def inactive_account(world: World) -> None:
    world.environ["COURTLISTENER_API_TOKEN"] = "inactive-token"


def blocked_account(world: World) -> None:
    world.environ["COURTLISTENER_API_TOKEN"] = "blocked-token"


def one_account_with_two_ledgers(world: World) -> None:
    rate_limit = RedisRateLimitResource(
        redis_url=world.environ["REDIS_URL"], postgres_url=world.environ["POSTGRES_URL"], rate_limits="5/min"
    )
    resource = CourtListenerResource(
        base_url=world.environ["COURTLISTENER_BASE_URL"], api_token="plain-token", account="a", rate_limit=rate_limit
    )
    with resource.open() as client:
        client.page("dockets", {})
    world.environ["COURTLISTENER_ACCOUNT"] = "b"


def token_file_that_is_missing(world: World) -> None:
    del world.environ["COURTLISTENER_API_TOKEN"]
    world.environ["COURTLISTENER_API_TOKEN_FILE"] = str(world.home / "no-such-file")


def server_that_is_not_courtlistener(world: World) -> None:
    world.environ["COURTLISTENER_BASE_URL"] = f"http://127.0.0.1:{port_of(world.environ['REDIS_URL'])}"


def no_token(world: World) -> None:
    del world.environ["COURTLISTENER_API_TOKEN"]


def silent_api(world: World) -> None:
    world.environ["COURTLISTENER_BASE_URL"] = f"http://127.0.0.1:{free_port()}"


def court_in_capitals(world: World) -> None:
    world.environ["COURTLISTENER_COURTS"] = "SCOTUS"


def unknown_court(world: World) -> None:
    world.environ["COURTLISTENER_COURTS"] = "scotsu"


def too_many_partitions(world: World) -> None:
    world.environ["COURTLISTENER_COURTS"] = ",".join(each["id"] for each in known_courts())
    world.environ["COURTLISTENER_FIRST_MONTH"] = "1900-01"


def misspelt_setting(world: World) -> None:
    world.environ["COURTLISTENER_WORKER"] = "8"


def month_in_the_future(world: World) -> None:
    world.environ["COURTLISTENER_FIRST_MONTH"] = "2124-01"


def no_dagster_home(world: World) -> None:
    del world.environ["DAGSTER_HOME"]


def dagster_on_sqlite(world: World) -> None:
    (world.home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")


def file_in_place_of_the_data_directory(world: World) -> None:
    Path(world.environ["COURTLISTENER_DATA_DIR"]).write_text("in the way")


def clock_of_this_machine_ahead(world: World) -> None:
    world.clock = lambda: time.time() + 90


def two_daemons(world: World) -> None:
    heartbeat(world, "SENSOR", "first")
    heartbeat(world, "SCHEDULER", "second")


def no_daemon(world: World) -> None:
    """A daemon is not part of the sound installation: nothing runs in a test."""


def retries_of_lasting_failures(world: World) -> None:
    text = (world.home / "dagster.yaml").read_text()
    (world.home / "dagster.yaml").write_text(
        text.replace('"retry_on_asset_or_op_failure": false', '"retry_on_asset_or_op_failure": true')
    )


def places_that_are_not_freed(world: World) -> None:
    text = (world.home / "dagster.yaml").read_text()
    (world.home / "dagster.yaml").write_text(text.replace('"free_slots_after_run_end_seconds": 60', '"enabled": true'))


def killed_run_that_others_wait_for(world: World) -> None:
    with dg.DagsterInstance.from_config(str(world.home)) as instance:
        storage = instance.event_log_storage
        storage.set_concurrency_slots(API_POOL, 1)
        runs = [DagsterRun(job_name="court_month", status=dg.DagsterRunStatus.STARTED) for _ in range(2)]
        claimed = []
        for run in runs:
            instance.add_run(run)
            claimed.append(storage.claim_concurrency_slot(API_POOL, run.run_id, "dockets").is_claimed)
        assert claimed == [True, False]


CASES = [
    (redis_stopped, Severity.ERROR, "redis", "Start Redis"),
    (wrong_redis_password, Severity.ERROR, "redis", "user and password in REDIS_URL"),
    (user_without_rights, Severity.ERROR, "redis rights", "redis-users.acl"),
    (redis_that_evicts, Severity.ERROR, "redis eviction", "noeviction"),
    (redis_without_persistence, Severity.WARNING, "redis persistence", "appendonly yes"),
    (full_redis, Severity.WARNING, "redis memory", "maxmemory"),
    (redis_with_an_unknown_certificate, Severity.ERROR, "redis TLS", "REDIS_CA_CERTS"),
    (plain_connection_to_a_redis_that_encrypts, Severity.ERROR, "redis TLS", "rediss://"),
    (worker_of_another_version, Severity.WARNING, "redis scripts", "one version only"),
    (replica, Severity.ERROR, "redis role", "primary"),
    (missing_database, Severity.ERROR, "postgres", "createdb elsewhere"),
    (postgres_stopped, Severity.ERROR, "postgres", "Start Postgres"),
    (postgres_with_an_expired_certificate, Severity.ERROR, "postgres TLS", "renewed"),
    (postgres_elsewhere_without_tls, Severity.ERROR, "postgres TLS", "turn it on"),
    (pending_migration, Severity.ERROR, "postgres schema", "courtlistener migrate"),
    (new_database, Severity.WARNING, "postgres schema", "migrate"),
    (newer_database, Severity.ERROR, "postgres schema", "Run that version"),
    (refused_token, Severity.ERROR, "token", "CourtListener profile"),
    (inactive_account, Severity.ERROR, "token", "CourtListener profile"),
    (blocked_account, Severity.ERROR, "account", "staff"),
    (one_account_with_two_ledgers, Severity.WARNING, "account", "COURTLISTENER_ACCOUNT"),
    (token_file_that_is_missing, Severity.ERROR, "settings", "COURTLISTENER_API_TOKEN_FILE"),
    (no_token, Severity.ERROR, "token", "CourtListener profile"),
    (server_that_is_not_courtlistener, Severity.ERROR, "CourtListener", "COURTLISTENER_BASE_URL"),
    (silent_api, Severity.ERROR, "CourtListener", "COURTLISTENER_BASE_URL"),
    (court_in_capitals, Severity.ERROR, "settings", "COURTLISTENER_COURTS"),
    (unknown_court, Severity.ERROR, "courts", "courtlistener courts"),
    (too_many_partitions, Severity.WARNING, "partitions", "COURTLISTENER_FIRST_MONTH"),
    (misspelt_setting, Severity.WARNING, "settings", "Did you mean COURTLISTENER_WORKERS?"),
    (month_in_the_future, Severity.ERROR, "first month", "Set it to a month"),
    (no_dagster_home, Severity.ERROR, "DAGSTER_HOME", "courtlistener env"),
    (dagster_on_sqlite, Severity.ERROR, "dagster storage", "postgres"),
    (file_in_place_of_the_data_directory, Severity.ERROR, "data directory", "COURTLISTENER_DATA_DIR"),
    (clock_of_this_machine_ahead, Severity.ERROR, "clocks", "chrony"),
    (two_daemons, Severity.ERROR, "dagster daemon", "but one"),
    (no_daemon, Severity.WARNING, "dagster daemon", "dagster-daemon run"),
    (places_that_are_not_freed, Severity.WARNING, "dagster pools", "free_slots_after_run_end_seconds"),
    (killed_run_that_others_wait_for, Severity.WARNING, "dagster pools", "Force termination"),
    (retries_of_lasting_failures, Severity.WARNING, "dagster retries", "false"),
]


@pytest.mark.parametrize(
    ("misconfigure", "severity", "check", "remedy"), [pytest.param(*case, id=case[0].__name__) for case in CASES]
)
def test_each_misconfiguration_is_named_with_its_remedy(
    world: World, misconfigure: Callable[[World], None], severity: Severity, check: str, remedy: str
) -> None:
    misconfigure(world)
    findings = world.examine()
    named = [finding for finding in findings if (finding.check, finding.severity) == (check, severity)]
    assert named, as_json(findings)
    assert any(remedy in finding.remedy for finding in named)
    assert is_healthy(findings) == (severity is Severity.WARNING)
    assert not is_healthy(findings, strict=True)


def test_a_sound_installation_has_nothing_to_mend(world: World) -> None:
    heartbeat(world, "SENSOR", "only")
    heartbeat(world, "SCHEDULER", "only")
    findings = world.examine()
    worst = {finding.check for finding in findings if finding.severity in (Severity.WARNING, Severity.ERROR)}
    # The tests' own Postgres keeps nothing that its machine could forget.
    assert worst == {"postgres durability"}
    assert any(f.check == "token" and "5 per 60 s, 50 per 3600 s, 125 per 86400 s" in f.message for f in findings)


def test_the_examination_costs_no_quota(world: World, simulator: Simulator) -> None:
    world.examine()
    assert [entry.path.split("?")[0] for entry in simulator.log] == ["/api/rest/v4/api-usage/"]


def test_several_wrong_settings_are_all_named(world: World) -> None:
    world.environ |= {"COURTLISTENER_COURTS": "Scotus", "COURTLISTENER_WORKERS": "many", "REDIS_URL": "ftp://x"}
    findings = [finding for finding in world.examine() if finding.check == "settings"]
    assert sorted(finding.remedy.partition(":")[0] for finding in findings) == [
        "Correct COURTLISTENER_COURTS",
        "Correct COURTLISTENER_WORKERS",
        "Correct REDIS_URL",
    ]


def test_a_second_daemon_shows_itself_while_we_watch(world: World) -> None:
    heartbeat(world, "SENSOR", "first")
    now, slept = time.time(), list[float]()

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds
        if len(slept) == 3:
            heartbeat(world, "SENSOR", "second")
        slept.append(seconds)

    world.clock, world.sleep = lambda: now, sleep
    findings = world.examine(watch_seconds=40)
    assert any(f.check == "dagster daemon" and f.severity is Severity.ERROR for f in findings)
    assert len(slept) == 4


def test_no_password_and_no_token_is_shown(world: World) -> None:
    be_impatient(world)
    world.environ["POSTGRES_URL"] = f"postgresql://someone:pa55-w0rd@127.0.0.1:{free_port()}/x"
    world.environ["REDIS_URL"] = f"redis://:r3dis-w0rd@127.0.0.1:{free_port()}/0"
    shown = as_json(world.examine())
    for secret in ("pa55-w0rd", "r3dis-w0rd", "plain-token"):
        assert secret not in shown
    assert "cannot be used" in shown


@pytest.mark.parametrize(("wrong", "code"), [(False, 0), (True, 1)])
def test_the_command_prints_json_and_exits_for_scripts(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, wrong: bool, code: int
) -> None:
    if wrong:
        redis_that_evicts(world)
    for name, value in world.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    ended = CliRunner().invoke(main, ["doctor", "--json"])
    body = json.loads(ended.output)
    assert ended.exit_code == code
    assert body["healthy"] == (not wrong)
    assert CliRunner().invoke(main, ["doctor"]).exit_code == code
