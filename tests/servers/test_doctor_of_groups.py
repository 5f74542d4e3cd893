"""What the doctor says of real Sentinels and a real cluster."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from courtlistener_assets.devkit.servers.redis_server import RedisServer
from courtlistener_assets.devkit.servers.server import free_port
from courtlistener_assets.operations.doctor.findings import Finding, Severity
from courtlistener_assets.operations.doctor.redis_checks import check_redis
from courtlistener_assets.settings import Settings
from tests.servers.distribution import Cluster, SentinelTrio


def findings(url: str, prefix: str = "courtlistener") -> list[Finding]:
    return list(check_redis(Settings.from_environ({"REDIS_URL": url, "COURTLISTENER_REDIS_PREFIX": prefix})))


def of_check(found: Iterable[Finding], check: str) -> Finding:
    [finding] = [finding for finding in found if finding.check == check]
    return finding


def test_sentinels_that_agree_are_fine_and_so_is_their_primary(trio: SentinelTrio) -> None:
    found = findings(trio.url)
    finding = of_check(found, "redis sentinel")
    port = trio.primary().port
    assert (finding.severity, f"3 Sentinels name 127.0.0.1:{port}" in finding.message) == (Severity.OK, True)
    assert not [finding for finding in found if finding.severity is Severity.ERROR]


def test_a_sentinel_that_is_silent_is_named(trio: SentinelTrio) -> None:
    silent = free_port()
    found = findings(trio.url.replace("//", f"//127.0.0.1:{silent},"))
    finding = next(finding for finding in found if finding.check == "redis sentinel")
    assert (finding.severity, f"127.0.0.1:{silent}, a Sentinel" in finding.message) == (Severity.WARNING, True)
    assert not [finding for finding in found if finding.severity is Severity.ERROR]


def test_a_service_that_sentinels_do_not_know_is_an_error_that_says_which_they_know(trio: SentinelTrio) -> None:
    found = findings(trio.url.replace("/main", "/other"))
    finding = of_check(found, "redis sentinel")
    assert finding.severity is Severity.ERROR
    assert "no service other; they know: main" in finding.message


def test_a_sentinel_that_is_taken_for_a_server_is_an_error(trio: SentinelTrio) -> None:
    finding = of_check(findings(f"redis://127.0.0.1:{trio.sentinels[0].port}/0"), "redis sentinel")
    assert finding.severity is Severity.ERROR
    assert "redis+sentinel://" in finding.remedy


def test_a_server_that_is_taken_for_a_sentinel_is_an_error(redis_server: RedisServer) -> None:
    finding = of_check(findings(f"redis+sentinel://127.0.0.1:{redis_server.port}/main"), "redis sentinel")
    assert finding.severity is Severity.ERROR
    assert "is no Sentinel" in finding.message


def test_a_cluster_is_fine_and_the_prefix_has_gained_its_braces(cluster: Cluster) -> None:
    found = findings(cluster.url)
    finding = of_check(found, "redis cluster")
    assert (finding.severity, f"127.0.0.1:{cluster.primary().port}" in finding.message) == (Severity.OK, True)
    assert "of {courtlistener} is at" in finding.message
    assert not [finding for finding in found if finding.severity is Severity.ERROR]


def test_a_node_without_a_replica_is_a_warning(cluster: Cluster) -> None:
    # The slots of these lie on different nodes, and one node has a replica.
    found = [of_check(findings(cluster.url, f"{{{prefix}}}"), "redis cluster") for prefix in "abcdef"]
    assert {finding.severity for finding in found} == {Severity.OK, Severity.WARNING}
    assert any("has no replica" in finding.message for finding in found)


def test_a_server_that_is_taken_for_a_cluster_is_an_error(redis_server: RedisServer) -> None:
    finding = of_check(findings(f"redis+cluster://127.0.0.1:{redis_server.port}"), "redis cluster")
    assert (finding.severity, "is not a node of a cluster" in finding.message) == (Severity.ERROR, True)


@pytest.mark.parametrize("prefix", ["courtlistener", "{a}", "{b}", "{c}", "{d}"])
def test_a_node_that_is_taken_for_a_server_is_an_error_unless_it_has_all_keys(cluster: Cluster, prefix: str) -> None:
    about = [
        finding
        for server in cluster.servers
        for finding in findings(f"redis://127.0.0.1:{server.port}/0", prefix)
        if finding.check == "redis cluster"
    ]
    assert {finding.severity for finding in about} == {Severity.ERROR}
    assert all("redis+cluster://" in finding.remedy for finding in about)
