"""What the doctor concludes from facts that cannot be had from a server on this machine."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

import pytest

from courtlistener_assets.operations.doctor import api_checks, clock_checks, postgres_checks, redis_checks
from courtlistener_assets.operations.doctor.findings import Finding, Severity, address_of, is_loopback, without_secrets
from courtlistener_assets.settings import Settings
from resources.quota.report import AccountReport

INFO: dict[str, Any] = {
    "redis_version": "7.4.1",
    "role": "master",
    "maxmemory_policy": "noeviction",
    "maxmemory": 0,
    "used_memory": 1_000_000,
    "aof_enabled": 1,
}


def worst(findings: Iterable[Finding]) -> Finding:
    return max(findings, key=lambda finding: list(Severity).index(finding.severity))


@pytest.mark.parametrize(
    ("facts", "check", "severity"),
    [
        ({}, "redis eviction", Severity.OK),
        ({"maxmemory_policy": "allkeys-lru"}, "redis eviction", Severity.WARNING),
        ({"maxmemory_policy": "volatile-ttl", "maxmemory": 10**8}, "redis eviction", Severity.ERROR),
        ({"redis_version": "5.0.7"}, "redis version", Severity.ERROR),
        ({"cluster_enabled": 1}, "redis cluster", Severity.ERROR),
        ({"rdb_last_bgsave_status": "err"}, "redis persistence", Severity.ERROR),
        ({"maxmemory": 1_100_000}, "redis memory", Severity.WARNING),
    ],
)
def test_facts_of_redis_are_judged(facts: dict[str, Any], check: str, severity: Severity) -> None:
    found = worst(redis_checks.check_info({**INFO, **facts}, "courtlistener"))
    assert found.severity is severity
    assert severity is Severity.OK or (found.check == check and found.remedy)


@pytest.mark.parametrize(
    "connection", ["redis://:z%40ebra@cache", '{"conn_type": "redis", "host": "cache", "password": "z@ebra"}']
)
def test_the_password_of_airflows_connection_is_not_shown(connection: str) -> None:
    finding = Finding("redis", Severity.ERROR, "AUTH z@ebra failed at redis://:z%40ebra@cache")
    [shown] = without_secrets([finding], {"AIRFLOW_CONN_REDIS_DEFAULT": connection})
    assert shown.message == "AUTH *** failed at redis://:***@cache"


def test_a_cluster_is_fine_with_a_hash_tag() -> None:
    assert worst(redis_checks.check_info({**INFO, "cluster_enabled": 1}, "{courtlistener}")).severity is Severity.OK


@pytest.mark.parametrize("url", ["redis://cache.example:6379/0", "redis://:secret@10.0.0.7/0"])
def test_a_connection_that_leaves_the_machine_should_be_encrypted(url: str) -> None:
    [finding] = redis_checks.check_tls(url)
    assert finding.severity is Severity.WARNING
    assert "secret" not in finding.message
    [finding] = redis_checks.check_tls(url.replace("redis://", "rediss://"))
    assert finding.severity is Severity.OK


def test_a_connection_to_this_machine_may_be_plain() -> None:
    for url in ("redis://localhost/0", "redis://127.0.0.1:7/0", "unix:///run/redis.sock"):
        assert redis_checks.check_tls(url) == []
    assert postgres_checks.check_tls("postgresql://127.0.0.1/x", encrypted=False) == []


def test_postgres_over_the_network_should_be_encrypted() -> None:
    [finding] = postgres_checks.check_tls("postgresql://u:secret@db.example/x", encrypted=False)
    assert "sslmode=verify-full" in finding.remedy
    [finding] = postgres_checks.check_tls("postgresql://u:secret@db.example/x", encrypted=True)
    assert finding.severity is Severity.OK


@pytest.mark.parametrize(
    ("facts", "check"),
    [
        ((130_000, False, 200, False, True, True), "postgres version"),
        ((160_000, True, 200, False, True, True), "postgres role"),
        ((160_000, False, 200, True, True, True), "postgres role"),
        ((160_000, False, 200, False, False, True), "postgres rights"),
        ((160_000, False, 50, False, True, True), "postgres connections"),
        ((160_000, False, 200, False, True, False), "postgres durability"),
    ],
)
def test_facts_of_postgres_are_judged(facts: tuple[int, bool, int, bool, bool, bool], check: str) -> None:
    [finding] = postgres_checks.check_facts(*facts, user="worker")
    assert finding.check == check
    assert finding.remedy


def test_clocks_may_differ_a_little() -> None:
    [finding] = clock_checks.skews({"Redis": 0.4, "Postgres": -0.2})
    assert finding.severity is Severity.OK


def test_a_clock_that_is_off_is_named_with_its_direction() -> None:
    findings = list(clock_checks.skews({"Redis": 5.0, "Postgres": -90.0}))
    assert [finding.severity for finding in findings] == [Severity.WARNING, Severity.ERROR]
    assert "5.0 s ahead of" in findings[0].message
    assert "90.0 s behind" in findings[1].message


def test_secrets_are_masked_wherever_they_come_from() -> None:
    environ = {"COURTLISTENER_API_TOKEN": "t0ken-value", "POSTGRES_URL": "postgresql://u:p%40ssword@h/d"}
    findings = [Finding("x", Severity.ERROR, "t0ken-value and p@ssword and p%40ssword", "see p@ssword")]
    [masked] = without_secrets(findings, environ)
    assert masked.message == "*** and *** and ***"
    assert masked.remedy == "see ***"


def test_an_address_is_shown_without_its_login() -> None:
    assert address_of("rediss://user:secret@cache.example:6380/3") == "rediss://cache.example:6380/3"
    assert is_loopback("redis://127.0.0.1/0")
    assert not is_loopback("redis://cache.example/0")


@pytest.mark.parametrize("password", ["12#zebra", "zebra?walrus", "zebra[walrus", "zebra%23walrus"])
def test_a_password_with_signs_that_libpq_takes_is_neither_shown_nor_taken_for_an_address(password: str) -> None:
    url = f"postgresql://user:{password}@db.example:5433/x"
    assert address_of(url) == "postgresql://db.example:5433/x"
    findings = [Finding("postgres", Severity.ERROR, f"refused: {unquote(password)}", "")]
    [masked] = without_secrets(findings, {"POSTGRES_URL": url})
    assert masked.message == "refused: ***"


def test_an_account_that_makes_no_sense_is_named_and_the_own_is_judged_all_the_same() -> None:
    own = AccountReport("own", observed_at=datetime(2026, 1, 1, tzinfo=UTC))
    bad = AccountReport("bad", problem="its windows cannot be used")
    of_the_other, of_ours, *_ = api_checks._judge([bad, own], "own", Settings())
    assert (of_the_other.severity, of_ours.severity) == (Severity.WARNING, Severity.OK)
    assert "Account bad: its windows cannot be used" in of_the_other.message
    [only] = api_checks._judge([bad], "bad", Settings())
    assert only == of_the_other
