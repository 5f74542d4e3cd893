"""Status and quota_usage: what they say about tables whose contents are known."""

from __future__ import annotations

import io
import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import redis
from click.testing import CliRunner
from psycopg.types.json import Jsonb
from rich.console import Console

from courtlistener_assets.cli import main
from courtlistener_assets.defs.assets.quota_usage import QUOTA_USAGE, quota_usage_asset, quota_usage_schedule
from courtlistener_assets.defs.names import Names
from courtlistener_assets.devkit.servers.postgres_server import PostgresServer
from courtlistener_assets.devkit.servers.redis_server import RedisServer
from courtlistener_assets.devkit.simulator.server import Simulator
from courtlistener_assets.download.choice import chosen
from courtlistener_assets.download.partitions import CourtMonth
from courtlistener_assets.download.sweep import Sweeper
from courtlistener_assets.operations.status import Status, as_json, plan_of, read_status, show
from courtlistener_assets.settings import Settings
from resources.backlog.deferrals import Deferrals
from resources.backlog.progress import full_walks
from resources.connections.postgres import Database
from resources.dagster_resources import (
    CourtListenerResource,
    PostgresResource,
    RecordStoreResource,
    RedisRateLimitResource,
)
from resources.errors import NothingYet
from resources.quota.permits import ServerWindow, Window
from resources.quota.report import quota_report
from resources.records.model import PageOfRecords, SweepKey
from resources.records.store import RecordStore
from tests.integration.ledger_harness import be_refused, give_back, take

NOW = datetime(2024, 3, 15, tzinfo=UTC)
ENVIRON = {"COURTLISTENER_COURTS": "scotus,ca9", "COURTLISTENER_FIRST_MONTH": "2024-01"}


@pytest.fixture
def rate_limit(redis_server: RedisServer, redis_client: redis.Redis, database_url: str) -> RedisRateLimitResource:
    return RedisRateLimitResource(
        redis_url=redis_server.url, postgres_url=database_url, rate_limits="5/min,50/hour", max_wait_seconds=0.001
    )


def status_of(database: Database, **environ: str) -> Status:
    return read_status(Settings.from_environ({**ENVIRON, **environ}), database, clock=lambda: NOW)


def test_there_are_as_many_partitions_as_courts_and_months() -> None:
    plan = plan_of(Settings.from_environ(ENVIRON), date(2025, 2, 28))
    assert set(plan.partitions.values()) == {2 * 14}
    assert plan.sweeps["dockets"] == ["filed", "decided"]


def test_a_stream_without_partitions_counts_as_one(database: Database) -> None:
    streams = {"COURTLISTENER_STREAMS": "dockets,people"}
    plan = plan_of(Settings.from_environ({**ENVIRON, **streams}), date(2025, 2, 28))
    assert plan.partitions == {"dockets": 2 * 14, "people": 1}
    assert [asset.not_begun for asset in status_of(database, **streams).pipeline.assets] == [6, 1]
    key, store = SweepKey("people", "all", "all"), RecordStore(database)
    at = store.begin_pass(key, run_id="run", full_refresh=False, overlap=timedelta())
    store.prepare(["people"])
    store.store_page(at, PageOfRecords([]), after_id=3, watermark=NOW, finished=True)
    people = status_of(database, **streams).pipeline.assets[1]
    assert (people.complete, people.not_begun, people.pages) == (1, 0, 1)


def test_months_after_the_last_one_count_nowhere(database: Database) -> None:
    store, plan = RecordStore(database), plan_of(Settings.from_environ(ENVIRON), NOW.date())
    store.prepare(["clusters"])
    for month in (1, 3):
        for sweep in plan.sweeps["clusters"]:
            key = SweepKey("clusters", f"scotus|2024-{month:02}-01", sweep)
            at = store.begin_pass(key, run_id="run", full_refresh=False, overlap=timedelta())
            store.store_page(at, PageOfRecords([]), after_id=3, watermark=NOW, finished=True)
    ending = {"COURTLISTENER_LAST_MONTH": "2024-02"}
    clusters = {asset.asset: asset for asset in status_of(database, **ending).pipeline.assets}["clusters"]
    assert (clusters.expected, clusters.complete, clusters.not_begun) == (4, 1, 3)
    ends = plan_of(Settings.from_environ({**ENVIRON, **ending}), NOW.date())
    assert [full_walks(database, each)[0] for each in (ends, plan)] == [1, 2]


def test_before_anything_ran_nothing_is_used_and_all_is_left(database: Database) -> None:
    status = status_of(database)
    assert status.accounts == ()
    assert [asset.not_begun for asset in status.pipeline.assets] == [6, 6, 6, 6]
    # One request a sweep at least: two sweeps of dockets, one of each other asset.
    assert status.pipeline.requests_left == 6 * 5
    assert status.seconds_left is None
    assert status.dockets_a_day is None


def test_a_database_that_was_never_migrated_is_named(fresh_postgres_server: PostgresServer) -> None:
    database = Database(fresh_postgres_server.url)
    with pytest.raises(NothingYet, match="courtlistener dev"):
        read_status(Settings.from_environ(ENVIRON), database)
    database.close()


def test_used_remaining_and_room_follow_the_permits(database: Database, rate_limit: RedisRateLimitResource) -> None:
    limiter = rate_limit.limiter("acc")
    take(limiter, 3)
    give_back(limiter)
    with limiter.permit():
        [report] = quota_report(database)
    assert report.holder == "redis"
    assert report.in_flight == 1
    assert [(window.limit, window.used, window.remaining) for window in report.windows] == [(5, 4, 1), (50, 4, 46)]
    assert report.room_in_seconds == 0
    take(limiter)
    [report] = quota_report(database)
    minute, hour = report.windows
    assert minute.utilization == 1
    assert 50 < minute.room_in_seconds <= 60
    assert hour.room_in_seconds == 0


def test_requests_of_others_are_shown_apart(database: Database, rate_limit: RedisRateLimitResource) -> None:
    limiter = rate_limit.limiter("acc")
    take(limiter)
    limiter.observe([ServerWindow(Window(50, 3600), 40, False), ServerWindow(Window(5, 60), 5, False)])
    [report] = quota_report(database)
    assert [(window.seconds, window.used, window.foreign) for window in report.windows] == [(60, 5, 4), (3600, 40, 39)]
    assert 0 < report.room_in_seconds <= 60
    assert report.observed_at is not None


def test_a_hold_and_a_block_are_shown(database: Database, rate_limit: RedisRateLimitResource) -> None:
    limiter = rate_limit.limiter("acc")
    be_refused(limiter, 30.0)
    [report] = quota_report(database)
    assert 25 < report.held_seconds <= 30
    assert report.room_in_seconds == report.held_seconds
    limiter.observe([ServerWindow(Window(5, 60), 1, False)])
    be_refused(limiter, None, blocked="This account has been blocked.")
    assert "blocked" in quota_report(database)[0].blocked
    assert status_of(database, COURTLISTENER_ACCOUNT="acc").seconds_left is None


@pytest.fixture
def downloaded(database: Database, rate_limit: RedisRateLimitResource, simulator: Simulator) -> Database:
    """Clusters of one partition complete, dockets begun, the rest untouched."""
    resource = CourtListenerResource(
        base_url=simulator.url, api_token="wide-token", account="acc", rate_limit=rate_limit
    )
    store = RecordStore(database)
    streams = {stream.name: stream for stream in chosen()}
    partition = CourtMonth("scotus", date(2024, 1, 1))
    with resource.open() as client:
        client.refresh_quota(max_age_seconds=0)
        for name in ("clusters", "dockets"):
            store.prepare(streams[name].stores)
            Sweeper(client, store, "run").walk(streams[name], streams[name].sweeps[0], partition)
    return database


def test_partitions_are_complete_in_progress_or_not_begun(downloaded: Database) -> None:
    assets = {asset.asset: asset for asset in status_of(downloaded).pipeline.assets}
    assert (assets["clusters"].complete, assets["clusters"].in_progress, assets["clusters"].not_begun) == (1, 0, 5)
    assert (assets["dockets"].complete, assets["dockets"].in_progress, assets["dockets"].not_begun) == (0, 1, 5)
    assert assets["opinions"].not_begun == 6
    assert assets["clusters"].pages_a_partition == assets["clusters"].pages > 0
    assert assets["clusters"].requests_left == pytest.approx(5 * assets["clusters"].pages, rel=0.1)
    elsewhere = status_of(downloaded, COURTLISTENER_COURTS="ca9").pipeline.assets
    assert [asset.complete + asset.in_progress for asset in elsewhere] == [0, 0, 0, 0]


def test_the_status_as_json_and_as_tables_say_the_same(downloaded: Database) -> None:
    status = status_of(downloaded, COURTLISTENER_ACCOUNT="acc")
    body = json.loads(as_json(status))
    assert body["accounts"][0]["own"] is True
    assert body["requests_left"] == status.pipeline.requests_left
    assert body["dockets_a_day"] == pytest.approx(1_000_000 * 1440 / (status.pipeline.requests_a_docket or 0))
    console = Console(record=True, width=120, file=io.StringIO())
    show(status, console)
    text = console.export_text()
    assert "1000000 per 60 s" in text
    assert "Permits come from Redis" in text
    assert f"about {round(body['requests_left']):,} requests" in text


def test_failures_and_deferrals_are_counted(downloaded: Database) -> None:
    with downloaded.transaction() as connection:
        for object_id, dead in ((1, None), (2, NOW), (3, None)):
            connection.execute(
                "INSERT INTO courtlistener.failures (asset, partition, sweep, object_id, error, message, dead_at) "
                "VALUES ('opinions', 'scotus|2024-01-01', 'filed', %s, 'TransientApiError', 'x', %s)",
                (object_id, dead),
            )
        connection.execute("UPDATE courtlistener.failures SET claimed_by = 'run' WHERE object_id = 3")
        connection.execute(
            "INSERT INTO courtlistener.deferrals (asset, partition, deferred_until, reason, run_id) "
            "VALUES ('opinions', 'scotus|2024-02-01', %s, 'no room', 'run')",
            (NOW + timedelta(hours=3),),
        )
    status = status_of(downloaded)
    pipeline = status.pipeline
    assert pipeline.failures == {"waiting": 1, "claimed": 1, "dead": 1}
    by_error = json.loads(as_json(status))["failures_by_error"]
    assert {each["error"] for each in by_error} == {"TransientApiError"}
    assert {(each["state"], each["count"]) for each in by_error} == {("waiting", 1), ("claimed", 1), ("dead", 1)}
    console = Console(record=True, width=120, file=io.StringIO())
    show(status, console)
    assert "1 dead: TransientApiError in opinions, the oldest" in console.export_text()
    [deferral] = pipeline.deferrals
    assert deferral.partition == "scotus|2024-02-01"


def test_the_command_reads_postgres_only(
    downloaded: Database, database_url: str, simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = len(simulator.log)
    monkeypatch.chdir(tmp_path)
    for name, value in {**ENVIRON, "POSTGRES_URL": database_url, "REDIS_URL": "redis://127.0.0.1:1/0"}.items():
        monkeypatch.setenv(name, value)
    ended = CliRunner().invoke(main, ["status", "--json"])
    assert ended.exit_code == 0, ended.output
    assert {asset["asset"] for asset in json.loads(ended.output)["assets"]} == {stream.name for stream in chosen()}
    assert len(simulator.log) == before


# --- quota_usage ------------------------------------------------------------------------------------------------------


def test_quota_usage_keeps_numbers_and_a_forecast(
    downloaded: Database, database_url: str, rate_limit: RedisRateLimitResource, simulator: Simulator
) -> None:
    settings = Settings.from_environ(ENVIRON)
    resources = {
        "courtlistener": CourtListenerResource(
            base_url=simulator.url, api_token="wide-token", account="acc", rate_limit=rate_limit
        ),
        "courtlistener_records": RecordStoreResource(postgres=rate_limit.postgres),
    }
    sent = sum("api-usage" not in entry.path for entry in simulator.log)
    result = dg.materialize([quota_usage_asset(settings, Names())], resources=resources)
    [materialization] = result.asset_materializations_for_node(QUOTA_USAGE)
    metadata: dict[str, Any] = {name: value.value for name, value in materialization.metadata.items()}
    assert metadata["used_requests_in_60_s"] == sent
    assert metadata["remaining_requests_in_60_s"] == 1_000_000 - sent
    assert metadata["capacity_dockets_a_day"] > 0
    assert metadata["days_left_to_download"] >= 0
    assert "dockets a day" in metadata["forecast"]
    assert "░" in metadata["windows"]
    assert sum("api-usage" not in entry.path for entry in simulator.log) == sent


def test_the_hourly_schedule_can_be_loaded_beside_its_asset() -> None:
    definitions = dg.Definitions(
        assets=[quota_usage_asset(Settings.from_environ(ENVIRON), Names())],
        schedules=[quota_usage_schedule(Names())],
        resources={
            "courtlistener": CourtListenerResource(
                base_url="http://127.0.0.1:1",
                api_token="x",
                rate_limit=RedisRateLimitResource(redis_url="redis://127.0.0.1:1", postgres_url="postgresql:///x"),
            ),
            "courtlistener_records": RecordStoreResource(postgres=PostgresResource(url="postgresql:///x")),
        },
    )
    dg.Definitions.validate_loadable(definitions)
    assert definitions.resolve_schedule_def("hourly_quota_usage").cron_schedule == "7 * * * *"


@pytest.mark.parametrize(
    "windows",
    [
        [{"limit": 10**20 - 1, "seconds": 60, "foreign": 0, "foreign_until_us": 0}],
        [{"limit": 5, "seconds": 10**30, "foreign": 0, "foreign_until_us": 0}],
        [{"limit": 5}],
        [{"limit": "5", "seconds": None, "foreign": 0, "foreign_until_us": 0}],
        {"limit": 5},
        7,
    ],
    ids=str,
)
def test_an_account_whose_row_makes_no_sense_does_not_hide_the_others(
    database: Database, rate_limit: RedisRateLimitResource, windows: Any
) -> None:
    take(rate_limit.limiter("acc"))
    take(rate_limit.limiter("bad"))
    _store(database, "bad", windows)
    good, bad = quota_report(database)
    assert [window.used for window in good.windows] == [1, 1]
    assert "courtlistener.ledgers" in bad.problem
    status = status_of(database, COURTLISTENER_ACCOUNT="acc")
    console = Console(record=True, width=200)
    show(status, console)
    assert "Account bad: its windows" in console.export_text()
    assert json.loads(as_json(status))["accounts"][1]["problem"]
    # Nor does it stop whoever uses it next.
    take(rate_limit.limiter("bad"))
    assert not any(report.problem for report in quota_report(database))


def _store(database: Database, account: str, windows: Any) -> None:
    with database.transaction() as connection:
        connection.execute(
            "UPDATE courtlistener.ledgers SET windows = %s, observed_at = now() WHERE account = %s",
            (Jsonb(windows), account),
        )


def test_whatever_the_server_says_is_shown_as_it_is(database: Database, rate_limit: RedisRateLimitResource) -> None:
    be_refused(rate_limit.limiter("acc"), None, blocked="Blocked. [/red] [bold]see\x1b[2J https://example.com[/]")
    Deferrals(database).record(
        "dockets", ["scotus|2024-01-01"], wait_seconds=60, reason="[/blue] \x1b]0;title\x07", run_id="run"
    )
    console = Console(record=True, width=160, file=io.StringIO(), force_terminal=True)
    show(status_of(database, COURTLISTENER_ACCOUNT="acc"), console)
    text = console.export_text()
    assert "[/red] [bold]see[2J https://example.com[/]" in text
    assert "[/blue]" in text
    assert "\x1b]" not in text
