"""Metrics: what workers count reaches the exporter, gauges say what tables say, board and alerts use real names."""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import re
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml  # type: ignore[import-untyped]
from dagster._daemon.types import DaemonHeartbeat
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from courtlistener_assets.devkit.servers.postgres_server import PostgresServer
from courtlistener_assets.devkit.servers.redis_server import RedisServer
from courtlistener_assets.devkit.servers.server import free_port
from courtlistener_assets.devkit.simulator.server import Simulator
from courtlistener_assets.download.choice import chosen
from courtlistener_assets.download.partitions import CourtMonth
from courtlistener_assets.download.sweep import Sweeper
from courtlistener_assets.operations.dagster_instance import dagster_instance
from courtlistener_assets.operations.exporter.collector import registry_of
from courtlistener_assets.operations.exporter.dagster_part import DagsterPart
from courtlistener_assets.operations.exporter.gauges import COUNTERS, GAUGES
from courtlistener_assets.settings import Settings
from resources.connections.postgres import Database
from resources.dagster_resources import CourtListenerResource, RedisRateLimitResource
from resources.errors import NotFound
from resources.records.store import RecordStore
from resources.telemetry import metrics
from resources.telemetry.metrics import Publisher, totals
from tests.integration.ledger_harness import take

ROOT = Path(__file__).parents[2]
BOARD = ROOT / "deploy" / "grafana" / "courtlistener.json"
ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yml"
#: What is served, by the name of the family: histograms have several samples.
HISTOGRAM = "courtlistener_request_duration_seconds"
COUNTERS_OF_WORKERS = {f"{name}_total" for name in metrics.LABELS if name != HISTOGRAM}
NAMES = {*GAUGES, *COUNTERS, *COUNTERS_OF_WORKERS, HISTOGRAM}


COUNTED = ("courtlistener_requests_total", (("outcome", "counted"),))


def scraped(url: str, database_url: str, connection_seconds: float = 8.0, **environ: str) -> dict[str, float]:
    """The samples of one scrape, `name{label="value"}` -> value."""
    settings = Settings.from_environ({"REDIS_URL": url, "POSTGRES_URL": database_url, **environ})
    database, client = Database(database_url, timeout_seconds=connection_seconds), redis.Redis.from_url(url)
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
    assert totals(database) == {COUNTED: 21.0}


def test_counts_are_published_now_and_then(database: Database) -> None:
    worker = Worker(database)
    worker.requests.labels("counted").inc()
    worker.publisher.publish_if_due()
    assert totals(database) == {}
    worker.now = 10.0
    worker.publisher.publish_if_due()
    assert totals(database) == {COUNTED: 1.0}


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
    assert totals(database) == {COUNTED: 5.0}
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
    # The moment of the last page is kept with its checkpoint.
    late = "SELECT count(*) FROM courtlistener.sweeps WHERE pages > 0 AND stored_at <= started_at"
    assert downloaded.rows(late) == [(0,)]
    assert 0 < found["courtlistener_redis_memory_used_bytes"] < found["courtlistener_redis_memory_limit_bytes"]


def test_a_server_that_is_away_is_said_to_be_down(database_url: str, redis_server: RedisServer) -> None:
    found = scraped(f"redis://127.0.0.1:{free_port()}/0", database_url)
    assert found["courtlistener_redis_up"] == 0
    assert found["courtlistener_postgres_up"] == 1
    found = scraped(redis_server.url, f"postgresql://127.0.0.1:{free_port()}/x", connection_seconds=0.5)
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


def test_a_worker_tells_how_long_requests_take_and_what_goes_wrong_with_them(
    downloaded: Database, redis_server: RedisServer, database_url: str, simulator: Simulator
) -> None:
    rate_limit = RedisRateLimitResource(redis_url=redis_server.url, postgres_url=database_url)
    resource = CourtListenerResource(
        base_url=simulator.url, api_token="bench-token", account="bench", rate_limit=rate_limit
    )
    before = scraped(redis_server.url, database_url)
    missing = "courtlistener_request_errors_total[('error', 'NotFound')]"
    with resource.open() as client, pytest.raises(NotFound):
        client.object("dockets", 987_654_321)
    found = scraped(redis_server.url, database_url)
    assert found[missing] - before.get(missing, 0.0) == 1
    count, bucket = (f"{HISTOGRAM}_{kind}[('endpoint', 'dockets')" for kind in ("count", "bucket"))
    assert found[f"{count}]"] - before[f"{count}]"] == 1
    in_buckets = [found[f"{bucket}, ('le', '{bound}')]"] for bound in metrics.BUCKETS]
    assert in_buckets == sorted(in_buckets)
    assert in_buckets[-1] == found[f"{count}]"]
    assert found[f"{HISTOGRAM}_sum[('endpoint', 'dockets')]"] > 0


def test_of_a_bucket_in_which_nothing_was_counted_0_is_served(
    database: Database, redis_server: RedisServer, database_url: str
) -> None:
    registry = CollectorRegistry()
    bounds = [float(bound) for bound in metrics.BUCKETS]
    slow = Histogram(HISTOGRAM, "test", ["endpoint"], buckets=bounds, registry=registry)
    slow.labels("opinions").observe(45.0)
    Publisher(database, registry=registry, published={}).publish()
    found = scraped(redis_server.url, database_url)
    buckets = {
        bound: found[f"{HISTOGRAM}_bucket[('endpoint', 'opinions'), ('le', '{bound}')]"] for bound in metrics.BUCKETS
    }
    assert [bound for bound, count in buckets.items() if count] == ["60.0", "+Inf"]


def test_what_waits_is_counted_with_its_age(database: Database, redis_server: RedisServer, database_url: str) -> None:
    with database.transaction() as connection:
        for statement in BACKLOG.split(";"):
            connection.execute(statement.encode())
    found = scraped(
        redis_server.url, database_url, COURTLISTENER_COURTS="ca9", COURTLISTENER_FIRST_MONTH="2024-01"
    )  # fmt: skip
    by_error = "courtlistener_failures_by_error[('asset', 'dockets'), ('error', '{}'), ('state', '{}')]"
    assert found[by_error.format("TransientApiError", "waiting")] == 2
    assert found[by_error.format("UnusableRecord", "dead")] == 1
    assert found["courtlistener_failures[('state', 'waiting')]"] == 2
    assert found["courtlistener_failures[('state', 'claimed')]"] == 0
    assert found["courtlistener_oldest_failure_age_seconds[('state', 'waiting')]"] == pytest.approx(5 * DAY, abs=600)
    assert found["courtlistener_oldest_failure_age_seconds[('state', 'claimed')]"] == 0
    assert found["courtlistener_deferred_partitions[('asset', 'opinions')]"] == 2
    assert found["courtlistener_deferred_partitions[('asset', 'dockets')]"] == 1
    assert found["courtlistener_deferral_overdue_seconds"] == pytest.approx(7200, abs=600)
    assert found["courtlistener_dump_differences[('kind', 'deleted')]"] == 1
    assert found["courtlistener_dump_differences[('kind', 'changed')]"] == 0
    assert found["courtlistener_oldest_dump_difference_age_seconds"] == pytest.approx(8 * DAY, abs=600)
    assert found["courtlistener_dump_age_seconds"] == pytest.approx(10 * DAY, abs=1.1 * DAY)


def test_a_partition_without_pages_is_stalled_unless_it_is_complete_or_deferred(
    database: Database, redis_server: RedisServer, database_url: str
) -> None:
    with database.transaction() as connection:
        for statement in SWEEPS.split(";"):
            connection.execute(statement.encode())
    environ = {"COURTLISTENER_COURTS": "ca9", "COURTLISTENER_FIRST_MONTH": "2024-01"}
    found = scraped(redis_server.url, database_url, **environ)
    assert found["courtlistener_stalled_partitions[('asset', 'dockets')]"] == 1
    assert found["courtlistener_stalled_partitions[('asset', 'clusters')]"] == 0
    idle_seconds = found["courtlistener_partition_idle_seconds[('asset', 'dockets')]"]
    assert idle_seconds == pytest.approx(3 * 3600, abs=600)
    # A run that may wait so long for a permit may be alive.
    patient = scraped(redis_server.url, database_url, COURTLISTENER_MAX_WAIT_SECONDS="21600", **environ)
    assert patient["courtlistener_stalled_partitions[('asset', 'dockets')]"] == 0


def test_a_daemon_that_has_died_is_known_by_its_heartbeats(tmp_path: Path) -> None:
    """In the storage that a session's variable names, which this process does not have."""
    (tmp_path / "dagster.yaml").write_text("storage: {sqlite: {base_dir: {env: DAGSTER_TABLES}}}\n")
    environ = {"DAGSTER_HOME": str(tmp_path), "DAGSTER_TABLES": str(tmp_path / "tables")}
    with dagster_instance(str(tmp_path), environ) as instance:
        instance.add_daemon_heartbeat(DaemonHeartbeat(1000.0, "SENSOR", "a daemon"))
    with closing(DagsterPart(environ, clock=lambda: 1400.0)) as part:
        [metric] = part.read()
    assert "DAGSTER_TABLES" not in os.environ
    ages = {sample.labels["daemon"]: sample.value for sample in metric.samples}
    assert ages["sensor"] == 400.0
    # One that has never sent any.
    assert ages["scheduler"] == math.inf


DAY = 86_400.0
BACKLOG = """
    INSERT INTO courtlistener.failures
        (asset, partition, sweep, object_id, error, message, first_at, dead_at, resolved_at)
    VALUES ('dockets', 'ca9|2024-01-01', 'filed', 1, 'TransientApiError', '', now() - interval '5 days', NULL, NULL),
           ('dockets', 'ca9|2024-01-01', 'filed', 2, 'TransientApiError', '', now(), NULL, NULL),
           ('dockets', 'ca9|2024-01-01', 'filed', 3, 'UnusableRecord', '', now() - interval '9 days', now(), NULL),
           ('dockets', 'ca9|2024-01-01', 'filed', 4, 'UnusableRecord', '', now() - interval '9 days', NULL, now());
    INSERT INTO courtlistener.deferrals (asset, partition, deferred_until, reason, run_id, requested_at)
    VALUES ('opinions', 'ca9|2024-01-01', now() - interval '2 hours', '', 'a', NULL),
           ('opinions', 'ca9|2024-02-01', now() - interval '2 days', '', 'a', now()),
           ('dockets', 'ca9|2024-02-01', now() + interval '2 days', '', 'a', NULL);
    INSERT INTO courtlistener.dump_differences (dump, stream, id, kind, found_at)
    VALUES (current_date, 'dockets', 1, 'deleted', now() - interval '8 days');
    INSERT INTO courtlistener.dump_comparisons (dump, courts, newer) VALUES (current_date - 10, '{ca9}', 0)
"""
SWEEPS = """
    INSERT INTO courtlistener.sweeps (asset, partition, sweep, run_id, stored_at, finished_at, walked_at)
    VALUES ('dockets', 'ca9|2024-01-01', 'filed', 'a', now() - interval '3 hours', NULL, NULL),
           ('dockets', 'ca9|2024-02-01', 'filed', 'a', now() - interval '9 hours', NULL, NULL),
           ('dockets', 'ca9|2024-03-01', 'filed', 'a', now() - interval '9 hours', now(), now()),
           ('dockets', 'ca9|2024-03-01', 'decided', 'a', now() - interval '9 hours', now(), now()),
           ('dockets', 'ca9|2024-04-01', 'filed', 'a', now() - interval '1 minute', NULL, NULL),
           ('dockets', 'ca1|2024-04-01', 'filed', 'a', now() - interval '9 hours', NULL, NULL);
    INSERT INTO courtlistener.deferrals (asset, partition, deferred_until, reason, run_id)
    VALUES ('dockets', 'ca9|2024-02-01', now() + interval '2 days', '', 'a')
"""


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
    known = NAMES | {f"{HISTOGRAM}_{kind}" for kind in ("bucket", "count", "sum")}
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


def test_every_alert_says_what_it_means_and_leads_to_its_section_of_the_runbook() -> None:
    sections = runbook()
    for rule in alert_rules():
        assert rule["labels"]["severity"] in {"info", "warning", "critical"}
        assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
        page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
        assert (page, anchor) == ("docs/runbook.md", rule["alert"].lower())
        section = sections.pop(rule["alert"])
        assert "**Look at**" in section, rule["alert"]
        assert "**Do**" in section, rule["alert"]
    assert sections == {}, "sections of alerts that there are not"


def runbook() -> dict[str, str]:
    """The sections about alerts, by their headings."""
    parts = re.split(r"^#+ (.+)$", (ROOT / "docs" / "runbook.md").read_text(), flags=re.MULTILINE)
    named = dict(zip(parts[1::2], parts[2::2], strict=True))
    return {heading: text for heading, text in named.items() if heading.startswith("CourtListener")}


def test_every_alert_stands_beside_its_metric_in_the_docs() -> None:
    linked = set(re.findall(r"\(runbook\.md#(\w+)\)", (ROOT / "docs" / "metrics.md").read_text()))
    assert linked == {rule["alert"].lower() for rule in alert_rules()}


def test_every_metric_is_described_in_the_docs() -> None:
    text = (ROOT / "docs" / "metrics.md").read_text()
    described = set(re.findall(r"`(courtlistener_\w+)`", text))
    assert described == NAMES


def test_panels_do_not_overlap() -> None:
    cells: set[tuple[int, int]] = set()
    for panel in json.loads(BOARD.read_text())["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        own = {(x, y) for x in range(place["x"], place["x"] + place["w"])
               for y in range(place["y"], place["y"] + place["h"])}  # fmt: skip
        assert not cells & own, panel["title"]
        cells |= own
