"""TLS: nobody is trusted unless an authority vouches for the name, and every refusal says what to do.

The servers are real; TLS is put before them by `tls_front.py`, since the embedded ones are built without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import redis
import sqlalchemy
import trustme

from courtlistener_assets.devkit.servers.postgres_server import PostgresServer
from courtlistener_assets.devkit.servers.redis_server import RedisServer
from courtlistener_assets.devkit.session.instance import dagster_variables
from courtlistener_assets.devkit.simulator.server import Simulator
from courtlistener_assets.operations.doctor.api_checks import check_api
from courtlistener_assets.operations.doctor.findings import Finding, Severity
from courtlistener_assets.operations.doctor.postgres_checks import check_postgres
from courtlistener_assets.operations.doctor.redis_checks import check_redis
from courtlistener_assets.settings import Settings
from resources.connections.postgres import Database
from resources.connections.redis_address import connect
from resources.dagster_resources import CourtListenerResource, RedisRateLimitResource
from resources.errors import RedisUnavailable, StoreUnavailable, UntrustedServer
from resources.quota.redis_ledger import RedisLedger
from tests.integration.ledger_harness import take
from tests.integration.tls_front import TlsFront, expired, of_another_host, valid

Certificate = Callable[[trustme.CA], trustme.LeafCert]


def of_a_stranger(authority: trustme.CA) -> trustme.LeafCert:
    """A certificate for localhost from an authority that nobody here knows."""
    return valid(trustme.CA())


REFUSED = [
    pytest.param(
        of_a_stranger, "authority that is not known here", "name the file with its certificate", id="stranger"
    ),
    pytest.param(of_another_host, "is for another host", "Use the host name", id="another host"),
    pytest.param(expired, "has expired", "renewed", id="expired"),
]
refused = pytest.mark.parametrize(("certificate", "reason", "remedy"), REFUSED)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> str:
    path = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


def port_of(url: str) -> int:
    port = urlsplit(url).port
    assert port
    return port


def behind(front: TlsFront, database_url: str, parameters: str, host: str = "localhost") -> str:
    """The address of a database behind a front."""
    name = urlsplit(database_url).path
    return f"postgresql://courtlistener@{host}:{front.port}{name}?{parameters}"


def only(findings: Iterable[Finding], check: str) -> Finding:
    [finding] = [finding for finding in findings if finding.check == check]
    return finding


# --- Redis -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def tls_redis(redis_client: redis.Redis, redis_server: RedisServer, authority: trustme.CA) -> Iterator[TlsFront]:
    with TlsFront(redis_server.port, valid(authority)) as front:
        yield front


def test_permits_come_from_a_redis_whose_authority_is_named(
    tls_redis: TlsFront, database_url: str, ca_file: str
) -> None:
    settings = Settings.from_environ({"REDIS_URL": f"rediss://localhost:{tls_redis.port}/0", "REDIS_CA_CERTS": ca_file})
    limiter = RedisRateLimitResource(redis_url=settings.redis_url, postgres_url=database_url).limiter("tls")
    take(limiter)
    assert limiter.granted == {"redis": 1}
    finding = only(check_redis(settings), "redis TLS")
    assert (finding.severity, finding.message) == (Severity.OK, "encrypted, certificate and host name verified")


@refused
def test_a_redis_that_cannot_prove_its_name_is_refused_and_the_doctor_says_why(
    redis_server: RedisServer, authority: trustme.CA, ca_file: str, certificate: Certificate, reason: str, remedy: str
) -> None:
    with TlsFront(redis_server.port, certificate(authority)) as front:
        url = f"rediss://localhost:{front.port}/0?ssl_ca_certs={ca_file}"
        client = connect(url, timeout_seconds=5.0)
        with pytest.raises(redis.ConnectionError):
            client.ping()
        finding = only(check_redis(Settings.from_environ({"REDIS_URL": url})), "redis TLS")
    assert finding.severity is Severity.ERROR
    assert reason in finding.message
    assert remedy in finding.remedy


def test_a_redis_that_is_not_trusted_grants_nothing_and_its_error_says_what_to_do(
    tls_redis: TlsFront, database_url: str
) -> None:
    url = f"rediss://localhost:{tls_redis.port}/0"
    limiter = RedisRateLimitResource(redis_url=url, postgres_url=database_url).limiter("tls")
    take(limiter)
    assert limiter.granted == {"postgres": 1}
    ledger = RedisLedger(connect(url, timeout_seconds=5.0), "tls", permit_ttl_seconds=20.0)
    with pytest.raises(RedisUnavailable, match="name the file with its certificate in REDIS_CA_CERTS"):
        ledger.hour_counts()


def test_the_doctor_names_a_plain_connection_to_a_port_that_wants_tls(tls_redis: TlsFront) -> None:
    findings = check_redis(Settings.from_environ({"REDIS_URL": f"redis://localhost:{tls_redis.port}/0"}))
    finding = only(findings, "redis TLS")
    assert finding.severity is Severity.ERROR
    assert "rediss://" in finding.remedy


def test_verification_can_be_turned_off_by_name_only_and_the_doctor_minds(tls_redis: TlsFront) -> None:
    url = f"rediss://localhost:{tls_redis.port}/0?ssl_cert_reqs=none"
    finding = only(check_redis(Settings.from_environ({"REDIS_URL": url})), "redis TLS")
    assert finding.severity is Severity.WARNING
    assert "Remove ssl_cert_reqs" in finding.remedy


# --- Postgres --------------------------------------------------------------------------------------------------------


@pytest.fixture
def tls_postgres(postgres_server: PostgresServer, authority: trustme.CA) -> Iterator[TlsFront]:
    with TlsFront(postgres_server.port, valid(authority), postgres=True) as front:
        yield front


def test_a_postgres_whose_authority_is_named_is_used(tls_postgres: TlsFront, database_url: str, ca_file: str) -> None:
    url = behind(tls_postgres, database_url, f"sslmode=verify-full&sslrootcert={ca_file}")
    database = Database(url)
    with database.transaction() as connection:
        assert connection.pgconn.ssl_in_use
    database.close()
    assert [finding for finding in check_postgres(url) if finding.severity is Severity.ERROR] == []


@refused
def test_a_postgres_that_cannot_prove_its_name_is_refused_and_the_doctor_says_why(
    postgres_server: PostgresServer,
    database_url: str,
    authority: trustme.CA,
    ca_file: str,
    certificate: Certificate,
    reason: str,
    remedy: str,
) -> None:
    with TlsFront(postgres_server.port, certificate(authority), postgres=True) as front:
        url = behind(front, database_url, f"sslmode=verify-full&sslrootcert={ca_file}")
        database = Database(url, timeout_seconds=0.5)
        with pytest.raises(StoreUnavailable, match="certificate"):
            database.rows("SELECT 1")
        database.close()
        finding = only(check_postgres(url), "postgres TLS")
    assert finding.severity is Severity.ERROR
    assert reason in finding.message
    assert remedy in finding.remedy


#: A name of another machine, reached here: libpq looks no name up that comes with an address.
ELSEWHERE, HERE = "db.example", "hostaddr=127.0.0.1"


def test_a_server_on_another_machine_must_prove_its_name_though_nobody_asked_for_it(
    postgres_server: PostgresServer, database_url: str, authority: trustme.CA
) -> None:
    with TlsFront(postgres_server.port, authority.issue_cert(ELSEWHERE), postgres=True) as front:
        finding = only(check_postgres(behind(front, database_url, HERE, ELSEWHERE)), "postgres TLS")
    assert finding.severity is Severity.ERROR
    assert "authority that is not known here" in finding.message


def test_a_server_on_another_machine_is_trusted_if_the_system_knows_its_authority(
    postgres_server: PostgresServer,
    database_url: str,
    authority: trustme.CA,
    ca_file: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", ca_file)
    with TlsFront(postgres_server.port, authority.issue_cert(ELSEWHERE), postgres=True) as front:
        url = behind(front, database_url, HERE, ELSEWHERE)
        finding = only(check_postgres(url), "postgres TLS")
        assert finding.message == "encrypted, certificate and host name verified"
        # Dagster connects by itself, with another driver.
        engine = sqlalchemy.create_engine(dagster_variables(tmp_path, url)["DAGSTER_POSTGRES_URL"])
        with engine.connect() as connection:
            assert connection.execute(sqlalchemy.text("SELECT 1")).scalar() == 1
            assert connection.connection.dbapi_connection.info.ssl_in_use  # type: ignore[union-attr]
        engine.dispose()


def test_dagster_reaches_a_database_whose_host_stands_among_the_parameters(database_url: str, tmp_path: Path) -> None:
    name = urlsplit(database_url).path
    url = f"postgresql://{name}?host=127.0.0.1&port={port_of(database_url)}&user=courtlistener"
    engine = sqlalchemy.create_engine(dagster_variables(tmp_path, url)["DAGSTER_POSTGRES_URL"])
    with engine.connect() as connection:
        assert connection.execute(sqlalchemy.text("SELECT current_database()")).scalar() == name.strip("/")
    engine.dispose()


def test_a_server_on_another_machine_without_tls_is_refused_unless_that_is_wanted(database_url: str) -> None:
    name = urlsplit(database_url).path
    url = f"postgresql://courtlistener@{ELSEWHERE}:{port_of(database_url)}{name}?{HERE}"
    finding = only(check_postgres(url), "postgres TLS")
    assert (finding.severity, finding.message.endswith("SSL was required")) == (Severity.ERROR, True)
    assert "only in a private network that you trust, add sslmode=disable" in finding.remedy
    finding = only(check_postgres(f"{url}&sslmode=disable"), "postgres TLS")
    assert (finding.severity, "is not encrypted" in finding.message) == (Severity.WARNING, True)


def test_the_doctor_minds_encryption_without_verification(
    postgres_server: PostgresServer, database_url: str, authority: trustme.CA
) -> None:
    with TlsFront(postgres_server.port, authority.issue_cert(ELSEWHERE), postgres=True) as front:
        url = behind(front, database_url, f"{HERE}&sslmode=require", ELSEWHERE)
        finding = only(check_postgres(url), "postgres TLS")
    assert finding.severity is Severity.WARNING
    assert "sslmode=require does not verify the server" in finding.message


# --- CourtListener ---------------------------------------------------------------------------------------------------


def client_settings(front: TlsFront, database_url: str, redis_server: RedisServer) -> Settings:
    return Settings.from_environ(
        {
            "COURTLISTENER_BASE_URL": f"https://localhost:{front.port}",
            "COURTLISTENER_API_TOKEN": "plain-token",
            "POSTGRES_URL": database_url,
            "REDIS_URL": redis_server.url,
        }
    )


@refused
def test_the_token_is_not_sent_to_a_server_that_cannot_prove_its_name(
    simulator: Simulator,
    redis_client: redis.Redis,
    redis_server: RedisServer,
    database_url: str,
    authority: trustme.CA,
    ca_file: str,
    monkeypatch: pytest.MonkeyPatch,
    certificate: Certificate,
    reason: str,
    remedy: str,
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", ca_file)
    with TlsFront(port_of(simulator.url), certificate(authority)) as front:
        settings = client_settings(front, database_url, redis_server)
        rate_limit = RedisRateLimitResource(redis_url=settings.redis_url, postgres_url=database_url)
        resource = CourtListenerResource(base_url=settings.base_url, api_token="plain-token", rate_limit=rate_limit)
        # At once: what is refused for its certificate is not tried again.
        with resource.open() as client, pytest.raises(UntrustedServer, match="Nothing was sent"):
            client.page("dockets", {})
        assert client.requests_sent == 1
        finding = only(check_api(settings), "CourtListener TLS")
    assert list(simulator.log) == []
    assert finding.severity is Severity.ERROR
    assert reason in finding.message
    assert remedy in finding.message


def test_a_server_whose_authority_is_named_gets_the_token(
    simulator: Simulator,
    redis_client: redis.Redis,
    redis_server: RedisServer,
    database_url: str,
    authority: trustme.CA,
    ca_file: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", ca_file)
    with TlsFront(port_of(simulator.url), valid(authority)) as front:
        finding = only(check_api(client_settings(front, database_url, redis_server)), "token")
    assert finding.severity is Severity.OK
