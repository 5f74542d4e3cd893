"""A partition from end to end with real Dagster processes; then a search for the token and the passwords everywhere.

Searched: what the processes printed, Dagster's files, every table of Postgres (ours and Dagster's: runs, events, run
config, snapshots), every key and file of Redis, the Parquet files, the simulator's log, the metrics, the log lines and
what a collector of traces has received.
"""

from __future__ import annotations

import base64
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit

import psycopg
import pytest
import redis
from prometheus_client import generate_latest
from psycopg import sql

from courtlistener_assets.devkit.servers.postgres_server import PostgresServer
from courtlistener_assets.devkit.servers.redis_server import RedisServer
from courtlistener_assets.devkit.session.instance import dagster_variables, write_instance
from courtlistener_assets.devkit.simulator.accounts import Account
from courtlistener_assets.devkit.simulator.server import Simulator
from courtlistener_assets.operations.dagster_schema import prepare, url_of
from courtlistener_assets.operations.exporter.collector import registry_of
from courtlistener_assets.settings import Settings
from resources.connections.postgres import Database
from tests.in_memory import in_memory
from tests.integration.otlp_collector import Collector, listening

ROOT = Path(__file__).parents[2]
TOKEN = "5f0c1d0e9b7a4c3d8e2f6a1b0c9d8e7f6a5b4c3d"
PARTITION = "scotus|2024-01-01"
EVERYTHING = " or ".join(
    f'key:"{name}"' for name in ("dockets", "clusters", "opinions", "docket_entries", "vector_inputs")
)


@dataclass
class Traces:
    """Everything that runs have left behind, as bytes by place."""

    places: dict[str, bytes] = field(default_factory=dict)

    def holding(self, secret: str) -> list[str]:
        """The places that hold a secret, as it is or in one of the usual disguises."""
        plain = secret.encode()
        forms = {plain, base64.b64encode(plain).rstrip(b"="), quote(secret, safe="").encode(), plain.hex().encode()}
        return sorted(place for place, content in self.places.items() if any(form in content for form in forms))


@dataclass(frozen=True)
class Installation:
    """Servers with passwords, and the environment of a worker."""

    environ: Mapping[str, str]
    directory: Path
    simulator: Simulator
    collector: Collector
    redis_directory: Path

    def run(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-m", "dagster", "asset", "materialize", "-m", "courtlistener_assets.definitions"]
        return subprocess.run(
            [*command, *arguments],
            cwd=ROOT,
            env={**self.environ, **variables},
            capture_output=True,
            timeout=240,
            check=False,
        )

    @property
    def secrets(self) -> dict[str, str]:
        return {
            "token": TOKEN,
            "Redis password": urlsplit(self.environ["REDIS_URL"]).password or "",
            "Postgres password": urlsplit(self.environ["POSTGRES_URL"]).password or "",
        }


@pytest.fixture(scope="module")
def installation() -> Iterator[Installation]:
    # Not below pytest's own temporary directory: the user who runs Postgres for root may not enter that.
    with tempfile.TemporaryDirectory(prefix="leaks-", dir=in_memory()) as name:
        directory = Path(name)
        directory.chmod(0o711)
        # Servers with a directory of their own have passwords.
        with (
            PostgresServer(directory / "postgres") as postgres,
            RedisServer(directory / "valkey") as valkey,
            Simulator(accounts=[Account("leaks", TOKEN, "1000/min")]) as simulator,
            listening() as collector,
        ):
            write_instance(directory / "home", workers=2)
            prepare(url_of({}, postgres.url))
            yield Installation(
                environ={
                    "PATH": os.environ["PATH"],
                    "COURTLISTENER_API_TOKEN": TOKEN,
                    "COURTLISTENER_BASE_URL": simulator.url,
                    "COURTLISTENER_COURTS": "scotus",
                    "COURTLISTENER_FIRST_MONTH": "2024-01",
                    "COURTLISTENER_DATA_DIR": str(directory / "data"),
                    "COURTLISTENER_RATE_LIMITS": "1000/min",
                    "COURTLISTENER_LOG_FORMAT": "json",
                    "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
                    "REDIS_URL": valkey.url,
                    "POSTGRES_URL": postgres.url,
                    **dagster_variables(directory / "home", postgres.url),
                },
                directory=directory,
                simulator=simulator,
                collector=collector,
                redis_directory=directory / "valkey" / "data",
            )


@pytest.fixture(scope="module")
def traces(installation: Installation) -> Traces:
    """What a good run and two bad ones (a refused token, no Redis) leave behind."""
    found = Traces()
    runs = {
        "good run": installation.run("--select", EVERYTHING, "--partition", PARTITION),
        "refused token": installation.run(
            "--select", "clusters", "--partition", PARTITION, COURTLISTENER_API_TOKEN=TOKEN[::-1]
        ),
        "no Redis": installation.run(
            "--select", "clusters", "--partition", PARTITION,
            REDIS_URL=f"redis://:{installation.secrets['Redis password']}@127.0.0.1:1/0",
        ),
    }  # fmt: skip
    assert runs["good run"].returncode == 0, runs["good run"].stderr.decode()[-3000:]
    assert runs["refused token"].returncode != 0
    assert runs["no Redis"].returncode == 0, runs["no Redis"].stderr.decode()[-3000:]
    for name, run in runs.items():
        found.places[f"output of the {name}"] = run.stdout + run.stderr
    collect_files(found, "Dagster's files", installation.directory / "home")
    collect_files(found, "data", installation.directory / "data")
    collect_files(found, "Redis' files", installation.redis_directory)
    collect_postgres(found, installation.environ["POSTGRES_URL"])
    collect_redis(found, installation.environ["REDIS_URL"])
    collect_metrics(found, installation.environ)
    found.places["traces"] = b"".join(installation.collector.bodies)
    found.places["simulator's log"] = repr(installation.simulator.log).encode()
    return found


def collect_files(traces: Traces, title: str, directory: Path) -> None:
    for path in directory.rglob("*"):
        if path.is_file():
            traces.places[f"{title}: {path.relative_to(directory)}"] = path.read_bytes()


def collect_postgres(traces: Traces, url: str) -> None:
    with psycopg.connect(url) as connection:
        tables = connection.execute(
            "SELECT table_schema, table_name FROM information_schema.tables "
            "WHERE table_schema IN ('public', 'courtlistener', 'dagster') AND table_type = 'BASE TABLE'"
        ).fetchall()
        for schema, table in tables:
            query = sql.SQL("SELECT row_to_json(t)::text FROM {} AS t").format(sql.Identifier(schema, table))
            rows = [row for (row,) in connection.execute(query)]
            traces.places[f"Postgres: {schema}.{table}"] = "\n".join(rows).encode()


def collect_redis(traces: Traces, url: str) -> None:
    client = redis.Redis.from_url(url)
    for key in client.scan_iter():
        traces.places[f"Redis: {key.decode()}"] = key + b"\n" + contents(client, key)
    client.close()


def contents(client: redis.Redis, key: bytes) -> bytes:
    readers: dict[object, Callable[[], object]] = {
        b"string": lambda: client.get(key),
        b"hash": lambda: client.hgetall(key),
        b"list": lambda: client.lrange(key, 0, -1),
        b"zset": lambda: client.zrange(key, 0, -1),
    }
    return repr(readers[client.type(key)]()).encode()


def collect_metrics(traces: Traces, environ: Mapping[str, str]) -> None:
    database, client = Database(environ["POSTGRES_URL"]), redis.Redis.from_url(environ["REDIS_URL"])
    traces.places["metrics"] = generate_latest(registry_of(Settings.from_environ(environ), database, client))
    database.close()
    client.close()


def test_the_search_sees_what_the_runs_have_left(traces: Traces) -> None:
    """Without this, a search that looks nowhere would find nothing and be content."""
    where = traces.holding(PARTITION) + traces.holding("scotus")
    for place in (
        "traces",
        "output of the good run",
        "Postgres: dagster.runs",
        "Postgres: dagster.event_logs",
        "Postgres: courtlistener.sweeps",
        "Postgres: courtlistener.dockets",
    ):
        assert place in where
    assert any(place.startswith("Dagster's files: logs") for place in traces.places)
    assert any("permits" in place for place in traces.places if place.startswith("Redis: "))
    assert b"courtlistener_requests_total" in traces.places["metrics"]
    assert b'"event": "page_stored"' in traces.places["output of the good run"]
    assert traces.holding("Token") or traces.holding("AuthenticationFailed")


@pytest.mark.parametrize("name", ["token", "Redis password", "Postgres password"])
def test_no_secret_is_left_anywhere(installation: Installation, traces: Traces, name: str) -> None:
    secret = installation.secrets[name]
    assert len(secret) > 16
    assert traces.holding(secret) == []


def test_a_refused_token_is_not_left_anywhere_either(traces: Traces) -> None:
    assert traces.holding(TOKEN[::-1]) == []
    assert b"AuthenticationFailed" in traces.places["output of the refused token"]


def test_a_disguised_secret_would_be_found(traces: Traces) -> None:
    for disguise in (TOKEN.encode(), base64.b64encode(TOKEN.encode()), TOKEN.encode().hex().encode()):
        planted = Traces({**traces.places, "planted": b"x" + disguise + b"y"})
        assert planted.holding(TOKEN) == ["planted"]
