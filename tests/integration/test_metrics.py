"""Metrics: what workers count reaches the exporter, gauges say what tables say, board and alerts use real names."""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import threading
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import redis
import requests
import yaml  # type: ignore[import-untyped]
from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from courtlistener_assets.devkit.servers.postgres_server import PostgresServer
from courtlistener_assets.devkit.servers.redis_server import RedisServer
from courtlistener_assets.devkit.servers.server import free_port
from courtlistener_assets.devkit.simulator.server import Simulator
from courtlistener_assets.download.choice import chosen
from courtlistener_assets.download.partitions import CourtMonth
from courtlistener_assets.download.sweep import Sweeper
from courtlistener_assets.operations.exporter import GAUGES, registry_of, serve
from courtlistener_assets.settings import Settings
from resources.connections.postgres import Database
from resources.dagster_resources import CourtListenerResource, RedisRateLimitResource
from resources.records.store import RecordStore
from resources.telemetry import metrics
from resources.telemetry.metrics import Publisher, totals
from tests.integration.ledger_harness import take

ROOT = Path(__file__).parents[2]
BOARD = ROOT / "deploy" / "grafana" / "courtlistener.json"
ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yml"
COUNTERS = {f"{name}_total" for name in metrics.LABELS}


def scraped(url: str, database_url: str, **environ: str) -> dict[str, float]:
    """The samples of one scrape, `name{label="value"}` -> value."""
    settings = Settings.from_environ({"REDIS_URL": url, "POSTGRES_URL": database_url, **environ})
    database, client = Database(database_url, timeout_seconds=2.0), redis.Redis.from_url(url)
    text = generate_latest(registry_of(settings, database, client)).decode()
    database.close()
    client.close()
    return {
        sample.name + (str(sorted(sample.labels.items())) if sample.labels else ""): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


class Worker:
    """One worker's counters, as if it were a process of its own."""

    def __init__(self, database: Database) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter("courtlistener_requests", "test", ["outcome"], registry=self.registry)
        self.now = 0.0
        self.publisher = Publisher(database, registry=self.registry, published={}, clock=lambda: self.now)


def test_what_short_lived_workers_count_adds_up(database: Database) -> None:
    for _ in range(3):
        worker = Worker(database)
        worker.requests.labels("counted").inc(5)
        worker.publisher.publish()
        worker.requests.labels("counted").inc(2)
        worker.publisher.publish()
        worker.publisher.publish()
    assert totals(database) == {("courtlistener_requests", "counted"): 21.0}


def test_counts_are_published_now_and_then(database: Database) -> None:
    worker = Worker(database)
    worker.requests.labels("counted").inc()
    worker.publisher.publish_if_due()
    assert totals(database) == {}
    worker.now = 10.0
    worker.publisher.publish_if_due()
    assert totals(database) == {("courtlistener_requests", "counted"): 1.0}


def test_the_child_of_a_fork_neither_waits_for_its_parent_nor_counts_for_it() -> None:
    metrics.WAITED.inc(1.0)

    def child() -> None:
        free = metrics._PUBLISHING.acquire(timeout=5.0)
        os._exit(0 if free and metrics.counted() == metrics._PUBLISHED else 1)

    with metrics._PUBLISHING:
        process = multiprocessing.get_context("fork").Process(target=child)
        process.start()
    process.join()
    assert process.exitcode == 0


def test_what_cannot_be_published_now_is_published_later(fresh_postgres_server: PostgresServer) -> None:
    database = Database(fresh_postgres_server.url, timeout_seconds=0.5)
    database.migrate()
    worker = Worker(database)
    worker.requests.labels("counted").inc(4)
    fresh_postgres_server.kill()
    worker.publisher.publish()
    fresh_postgres_server.restart()
    worker.requests.labels("counted").inc(1)
    worker.publisher.publish()
    assert totals(database) == {("courtlistener_requests", "counted"): 5.0}
    database.close()


@pytest.fixture
def downloaded(
    redis_server: RedisServer, redis_client: redis.Redis, database_url: str, database: Database, simulator: Simulator
) -> Database:
    """A database after one partition was downloaded by a worker that has ended."""
    rate_limit = RedisRateLimitResource(redis_url=redis_server.url, postgres_url=database_url)
    resource = CourtListenerResource(
        base_url=simulator.url, api_token="bench-token", account="bench", rate_limit=rate_limit
    )
    store = RecordStore(database)
    with resource.open() as client:
        client.refresh_quota(max_age_seconds=0)
        for stream in chosen():
            store.prepare(stream.stores)
            for sweep in stream.sweeps:
                Sweeper(client, store, "run").walk(stream, sweep, CourtMonth("scotus", date(2024, 1, 1)))
    return database


def test_an_account_that_makes_no_sense_hides_nothing_of_the_others(
    downloaded: Database, redis_server: RedisServer, database_url: str
) -> None:
    with downloaded.transaction() as connection:
        connection.execute(
            "INSERT INTO courtlistener.ledgers (account, windows) VALUES ('bad', %s)",
            ('[{"limit": 99999999999999999999, "seconds": 60, "foreign": 0, "foreign_until_us": 0}]',),
        )
    found = scraped(redis_server.url, database_url, COURTLISTENER_ACCOUNT="bench")
    assert found["courtlistener_quota_limit_requests[('account', 'bench'), ('window_seconds', '3600')]"] == 5000
    assert found["courtlistener_account_unusable[('account', 'bad')]"] == 1
    assert found["courtlistener_account_unusable[('account', 'bench')]"] == 0


def test_a_scrape_tells_what_a_worker_did_after_its_end(
    downloaded: Database, redis_server: RedisServer, database_url: str, simulator: Simulator
) -> None:
    found = scraped(
        redis_server.url, database_url, COURTLISTENER_COURTS="scotus", COURTLISTENER_FIRST_MONTH="2024-01",
        COURTLISTENER_ACCOUNT="bench",
    )  # fmt: skip
    counted = [entry for entry in simulator.log if "api-usage" not in entry.path]
    assert found["courtlistener_quota_used_requests[('account', 'bench'), ('window_seconds', '60')]"] == len(counted)
    assert found["courtlistener_quota_limit_requests[('account', 'bench'), ('window_seconds', '3600')]"] == 5000
    assert found["courtlistener_requests_total[('outcome', 'counted')]"] >= len(counted)
    assert found["courtlistener_permits_granted_total[('holder', 'redis')]"] >= len(counted)
    assert found["courtlistener_redis_operations_total[('result', 'ok')]"] >= 2 * len(counted)
    assert found["courtlistener_partitions[('asset', 'clusters'), ('state', 'complete')]"] == 1
    assert found["courtlistener_records_stored_total[('asset', 'opinions')]"] > 0
    assert found["courtlistener_ledger_holder[('account', 'bench'), ('holder', 'redis')]"] == 1
    assert found["courtlistener_requests_refused_total"] >= 0
    assert found["courtlistener_failures[('state', 'dead')]"] == 0
    assert found["courtlistener_seconds_left"] > 0
    assert 0 < found["courtlistener_redis_memory_used_bytes"] < found["courtlistener_redis_memory_limit_bytes"]


def test_a_server_that_is_away_is_said_to_be_down(database_url: str, redis_server: RedisServer) -> None:
    found = scraped(f"redis://127.0.0.1:{free_port()}/0", database_url)
    assert found["courtlistener_redis_up"] == 0
    assert found["courtlistener_postgres_up"] == 1
    found = scraped(redis_server.url, f"postgresql://127.0.0.1:{free_port()}/x")
    assert found["courtlistener_redis_up"] == 1
    assert found["courtlistener_postgres_up"] == 0


def test_failing_redis_commands_are_counted(database_url: str) -> None:
    failed = metrics.REDIS_OPERATIONS.labels("failed")
    before = failed._value.get()
    limiter = RedisRateLimitResource(redis_url=f"redis://127.0.0.1:{free_port()}/0", postgres_url=database_url).limiter(
        "down"
    )
    take(limiter)
    assert limiter.granted == {"postgres": 1}
    assert failed._value.get() > before


def test_the_exporter_serves_over_http(redis_server: RedisServer, database_url: str) -> None:
    settings = Settings.from_environ({"REDIS_URL": redis_server.url, "POSTGRES_URL": database_url})
    said, stop, speaking = [], threading.Event(), threading.Event()

    def say(text: str) -> None:
        said.append(text)
        speaking.set()

    thread = threading.Thread(target=serve, args=(settings, "127.0.0.1", 0, say, stop))
    thread.start()
    try:
        assert speaking.wait(10)
        url = re.findall(r"http://\S+", said[0])[0]
        answer = requests.get(url, timeout=10)
        assert answer.status_code == 200
        assert "courtlistener_postgres_up 1.0" in answer.text
    finally:
        stop.set()
        thread.join(10)
    assert not thread.is_alive()


# --- the files for Prometheus and Grafana -----------------------------------------------------------------------------


def used_names(expression: str) -> set[str]:
    return set(re.findall(r"courtlistener_\w+", expression))


def is_balanced(expression: str) -> bool:
    pairs, stack = {")": "(", "]": "[", "}": "{"}, []
    for character in re.sub(r'"[^"]*"', "", expression):
        if character in pairs.values():
            stack.append(character)
        elif character in pairs and (not stack or stack.pop() != pairs[character]):
            return False
    return not stack


def alert_rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def panel_expressions() -> list[str]:
    return [target["expr"] for panel in json.loads(BOARD.read_text())["panels"] for target in panel["targets"]]


def test_alerts_and_board_use_only_metrics_that_exist() -> None:
    known = set(GAUGES) | COUNTERS
    expressions = [rule["expr"] for rule in alert_rules()] + panel_expressions()
    assert len(expressions) > 20
    for expression in expressions:
        assert is_balanced(expression), expression
        assert used_names(expression), expression
        assert used_names(expression) <= known, expression


@pytest.mark.parametrize(
    ("metric", "threshold"),
    [
        ("courtlistener_redis_operations_total", "> 0.05"),
        ("courtlistener_quota_utilization_ratio", "> 0.95"),
        ("courtlistener_state_updates_total", "> 0.01"),
        ("courtlistener_redis_memory_used_bytes", "> 0.80"),
    ],
)
def test_the_four_thresholds_have_an_alert(metric: str, threshold: str) -> None:
    assert any(metric in rule["expr"] and threshold in rule["expr"] for rule in alert_rules())


def test_every_alert_says_what_it_means_and_where_the_remedy_stands() -> None:
    headings = {
        re.sub(r"[^\w\- ]", "", line.lstrip("# ").lower()).replace(" ", "-")
        for line in (ROOT / "docs" / "operations.md").read_text().splitlines()
        if line.startswith("#")
    }
    for rule in alert_rules():
        assert rule["labels"]["severity"] in {"info", "warning", "critical"}
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["runbook"].partition("#")[2] in headings, rule["annotations"]["runbook"]


def test_every_metric_is_described_in_the_docs() -> None:
    text = (ROOT / "docs" / "metrics.md").read_text()
    described = set(re.findall(r"`(courtlistener_\w+)`", text))
    assert described == set(GAUGES) | COUNTERS


def test_panels_do_not_overlap() -> None:
    cells: set[tuple[int, int]] = set()
    for panel in json.loads(BOARD.read_text())["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        own = {(x, y) for x in range(place["x"], place["x"] + place["w"])
               for y in range(place["y"], place["y"] + place["h"])}  # fmt: skip
        assert not cells & own, panel["title"]
        cells |= own
