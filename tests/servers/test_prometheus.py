"""A real Prometheus scrapes the exporter: every panel of the board shows something, every alert rule is evaluated."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml  # type: ignore[import-untyped]
from ledger_harness import take

from courtlistener_assets.devkit.servers.redis_server import RedisServer
from courtlistener_assets.operations.exporter.serving import serve
from courtlistener_assets.settings import Settings
from resources.connections.postgres import Database
from resources.dagster_resources import RedisRateLimitResource
from resources.telemetry import metrics
from resources.telemetry.metrics import Publisher
from tests.servers.alert_cases import CASES, write
from tests.servers.distribution import wait_for
from tests.servers.prometheus_server import PrometheusServer, program, promtool

DEPLOY = Path(__file__).parents[2] / "deploy"
DOCS = DEPLOY.parent / "docs" / "metrics.md"
RULES = DEPLOY / "prometheus" / "alerts.yml"
PANELS = [
    pytest.param(target["expr"], id=f"{panel['title']}-{target['refId']}")
    for panel in json.loads((DEPLOY / "grafana" / "courtlistener.json").read_text(encoding="utf-8"))["panels"]
    for target in panel.get("targets", ())
]
ALERTS = {
    rule["alert"]: rule
    for group in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
}
#: Something of everything that a table can hold: what failed, what waits, what has stopped, what is out of order.
STATE = """
    INSERT INTO courtlistener.failures (asset, partition, sweep, object_id, error, message, first_at, dead_at)
    VALUES ('dockets', 'ca9|2024-01-01', 'filed', 1, 'TransientApiError', '', now() - interval '5 days', NULL),
           ('dockets', 'ca9|2024-01-01', 'filed', 3, 'UnusableRecord', '', now() - interval '9 days', now());
    INSERT INTO courtlistener.deferrals (asset, partition, deferred_until, reason, run_id)
    VALUES ('opinions', 'ca9|2024-01-01', now() - interval '2 hours', '', 'a');
    INSERT INTO courtlistener.dump_differences (dump, stream, id, kind) VALUES (current_date, 'dockets', 1, 'deleted');
    INSERT INTO courtlistener.dump_comparisons (dump, courts, newer) VALUES (current_date - 10, '{ca9}', 0);
    INSERT INTO courtlistener.sweeps (asset, partition, sweep, run_id, pages, records, stored_at)
    VALUES ('dockets', 'ca9|2024-01-01', 'filed', 'a', 3, 60, now() - interval '3 hours');
    INSERT INTO courtlistener.servers (account, answered_at, endpoints) VALUES ('board', now(), '{
        "opinions": {"refused": false, "seen": "", "probes": 1, "since": "2024-01-01T00:00:00+00:00",
                     "probe_at": "2024-01-01T00:00:00+00:00"}}')
"""


@pytest.fixture(scope="module")
def account() -> str:
    """The account of all series."""
    return "board"


@pytest.fixture
def prepared(redis_server: RedisServer, database: Database, database_url: str, account: str) -> Settings:
    """Settings of an installation in which all metrics have a value."""
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
    limits = RedisRateLimitResource(redis_url=redis_server.url, postgres_url=database_url)
    take(limits.limiter(account))
    for family in (metrics.REDIS_OPERATIONS, metrics.STATE_UPDATES):
        family.labels("ok").inc()
        family.labels("failed").inc()
    metrics.REFUSED.inc()
    metrics.PAGES.labels("dockets").inc()
    metrics.RECORDS.labels("dockets").inc(20)
    metrics.REQUEST_DURATION.labels("dockets").observe(0.7)
    metrics.REQUEST_ERRORS.labels("Unanswered").inc()
    Publisher(database).publish()
    with database.transaction() as connection:
        for statement in STATE.split(";"):
            connection.execute(statement.encode())
    return Settings.from_environ(
        {
            "REDIS_URL": redis_server.url,
            "POSTGRES_URL": database_url,
            "COURTLISTENER_COURTS": "ca9",
            "COURTLISTENER_FIRST_MONTH": "2024-01",
            "COURTLISTENER_ACCOUNT": account,
        }
    )


@pytest.fixture
def exporter(prepared: Settings, tmp_path: Path) -> Iterator[str]:
    """Host and port of an exporter that also watches Dagster."""
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    said: list[str] = []
    stop, speaking = threading.Event(), threading.Event()

    def say(text: str) -> None:
        said.append(text)
        speaking.set()

    environ = {"DAGSTER_HOME": str(tmp_path)}
    thread = threading.Thread(target=serve, args=(prepared, environ, "127.0.0.1", 0, say, stop))
    thread.start()
    try:
        assert speaking.wait(20)
        yield said[0].split("/")[2]
    finally:
        stop.set()
        thread.join()


def test_the_board_and_the_alerts_work_on_a_real_prometheus(exporter: str) -> None:
    program("prometheus")
    with PrometheusServer(exporter, RULES) as prometheus:
        wait_for(lambda: prometheus.value("courtlistener_dagster_up == 1"), seconds=60.0)
        prometheus.wait_for_scrapes(3)
        of_the_docs = re.findall(r"^```promql\n(.*?)^```", DOCS.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
        assert [expression for expression in of_the_docs if not prometheus.value(expression)] == []
        empty = [panel.id for panel in PANELS if not prometheus.value(as_grafana_asks(panel.values[0]))]
        assert empty == []
        [group] = prometheus.get("rules")["groups"]
        assert {rule["name"]: (rule["health"], rule.get("lastError")) for rule in group["rules"]} == {
            name: ("ok", None) for name in ALERTS
        }
        firing = {alert["labels"]["alertname"]: alert for alert in prometheus.get("alerts")["alerts"]}
        assert firing["CourtListenerDeadFailures"]["annotations"]["summary"].startswith("1 failures are dead")
        assert {"CourtListenerDegraded", "CourtListenerDownloadsStalled", "CourtListenerDaemonDead"} <= set(firing)
        assert_names_follow_the_conventions(prometheus)


def assert_names_follow_the_conventions(prometheus: PrometheusServer) -> None:
    """Counters and nothing else end in `_total`; what is measured has its base unit in its name."""
    names = set(prometheus.get("label/__name__/values"))
    for name, [about] in prometheus.get("metadata").items():
        if name.startswith("courtlistener_"):
            family = name.removesuffix("_total")
            assert (f"{family}_total" in names) == (about["type"] == "counter"), name
            assert about["help"].endswith("."), name
            assert not name.endswith(("_milliseconds", "_minutes", "_hours", "_percent", "_megabytes")), name


def as_grafana_asks(expression: str) -> str:
    """With the value that the variable of the board has at first."""
    return expression.replace("$account", ".*")


def test_the_rules_are_what_promtool_accepts() -> None:
    promtool("check", "rules", RULES)


def test_every_alert_fires_when_it_should_and_is_silent_when_it_should(tmp_path: Path) -> None:
    write(RULES, tmp_path / "cases.yml")
    promtool("test", "rules", tmp_path / "cases.yml")


def test_every_alert_has_a_case() -> None:
    assert [case.alert for case in CASES if case.alert not in ALERTS] == []
    assert {case.alert for case in CASES} == set(ALERTS)


def test_a_wrong_case_would_be_found(tmp_path: Path) -> None:
    """Without this, a promtool that looks at nothing would be content."""
    write(RULES, tmp_path / "cases.yml")
    cases: dict[str, Any] = yaml.safe_load((tmp_path / "cases.yml").read_text())
    del cases["tests"][1:]
    cases["tests"][0]["promql_expr_test"][0]["exp_samples"][0]["value"] = 7
    (tmp_path / "cases.yml").write_text(yaml.safe_dump(cases))
    with pytest.raises(AssertionError, match="FAILED"):
        promtool("test", "rules", tmp_path / "cases.yml")
