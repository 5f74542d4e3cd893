"""When a backfill will be done stands in the log of its runs, on them, and on its partitions."""

from __future__ import annotations

import time
from datetime import date

import dagster as dg
from dagster._core.execution.backfill import PartitionBackfill

from courtlistener_assets.defs.assets.step_forecast import DONE_TAG
from courtlistener_assets.defs.backfills import BACKFILL_TAG, backfill_of, running_backfills
from courtlistener_assets.defs.watch_command import Watcher
from courtlistener_assets.operations.watch.reading import Reader
from courtlistener_assets.operations.watch.view import Bar
from courtlistener_assets.settings import Settings
from resources.connections import pools
from resources.connections.postgres import Database
from resources.records.court_counts import CourtCounts
from resources.telemetry import metrics
from tests.integration.pipeline_harness import Pipeline

MONTHS = ["scotus|2024-01-01", "scotus|2024-02-01", "scotus|2024-03-01"]
ASSETS = ["dockets", "clusters"]


def backfilled(pipeline: Pipeline, name: str) -> PartitionBackfill:
    """A backfill of all months, as the UI asks for it."""
    graph = pipeline.defs.resolve_asset_graph()
    backfill = PartitionBackfill.from_asset_partitions(
        backfill_id=name,
        asset_graph=graph,
        partition_names=MONTHS,
        asset_selection=[dg.AssetKey(asset) for asset in ASSETS],
        backfill_timestamp=time.time(),
        tags={},
        dynamic_partitions_store=pipeline.instance,
        all_partitions=False,
        title=None,
        description=None,
        run_config=None,
    )
    pipeline.instance.add_backfill(backfill)
    return backfill


def test_all_that_is_deferred_counts_and_a_table_of_another_version_ends_nothing(database: Database) -> None:
    with database.transaction() as connection:
        connection.execute(
            "INSERT INTO courtlistener.deferrals (asset, partition, deferred_until, reason, run_id) "
            "SELECT 'dockets', 'ca9|' || n, now(), '', 'a' FROM generate_series(1, 1001) AS n"
        )
    watcher = Watcher(Reader(Settings.from_environ({}), database), None)
    assert watcher.look().downloads.deferred == 1001
    with database.transaction() as connection:
        connection.execute("ALTER TABLE courtlistener.failures RENAME COLUMN message TO said")
    [problem] = watcher.look().problems
    assert 'column "message" does not exist' in problem


def test_a_backfill_tells_which_partitions_it_was_asked_for(pipeline: Pipeline) -> None:
    backfilled(pipeline, "abcdefgh")
    [found] = running_backfills(pipeline.instance, [])
    assert (found.id, dict(found.targets)) == ("abcdefgh", dict.fromkeys(ASSETS, frozenset(MONTHS)))


def test_the_end_of_the_backfill_is_said_in_the_log_on_the_run_and_on_its_partitions(pipeline: Pipeline) -> None:
    backfilled(pipeline, "abcdefgh")
    result = pipeline.run(
        "downloads", MONTHS[0], asset_selection=[dg.AssetKey("dockets")], tags={BACKFILL_TAG: "abcdefgh"}
    )
    assert result.success
    run = pipeline.instance.get_run_by_id(result.run_id)
    assert run
    assert run.tags[DONE_TAG].endswith(" UTC")
    # A step that runs later knows how much the months before it took.
    result = pipeline.run(
        "downloads", MONTHS[0], asset_selection=[dg.AssetKey("clusters")], tags={BACKFILL_TAG: "abcdefgh"}
    )
    said = [each.message for each in pipeline.instance.all_logs(result.run_id) if "What is left of" in each.message]
    assert len(said) == 1
    assert "What is left of backfill abcdefgh takes about" in said[0]
    event = pipeline.instance.get_latest_materialization_event(dg.AssetKey("clusters"))
    assert event
    assert event.asset_materialization
    metadata = event.asset_materialization.metadata
    # Two months of two sweeps of dockets and three of clusters are left when it begins.
    assert int(str(metadata["requests_left_about"].value)) >= 2 * 2 + 3
    assert metadata["done_about"].value is not None
    assert backfill_of(pipeline.instance, run, ASSETS) is not None


def test_counts_of_the_server_are_used_for_what_is_left_of_a_run(pipeline: Pipeline) -> None:
    pipeline.run("downloads", MONTHS[1], asset_selection=[dg.AssetKey("dockets")])
    database = pools.database(pipeline.environ["POSTGRES_URL"])
    counted = {("dockets", "filed"): 8000, ("dockets", "decided"): 2000}
    CourtCounts(database).note("scotus", date(2024, 1, 1), None, counted)
    CourtCounts(database).note("scotus", date(2024, 1, 1), date(2024, 2, 1), {each: 0 for each in counted})
    result = pipeline.run("downloads", MONTHS[0], asset_selection=[dg.AssetKey("dockets")])
    event = pipeline.instance.get_latest_materialization_event(dg.AssetKey("dockets"))
    assert result.success
    assert event
    assert event.asset_materialization
    left = int(str(event.asset_materialization.metadata["requests_left_about"].value))
    months = max(1, (date.today().year - 2024) * 12 + date.today().month)
    # The months since are many and all alike, so far: one of them has its share of 10,000 objects.
    assert 10_000 / 20 / months < left < 5 * 10_000 / 20 / months


def test_watch_shows_how_far_the_backfill_is(pipeline: Pipeline) -> None:
    backfilled(pipeline, "abcdefgh")
    watcher = Watcher(Reader(Settings.from_environ(pipeline.environ), pipeline.database), pipeline.instance)
    before = watcher.look()
    assert before.problems == []
    assert before.runs
    [seen] = before.runs.backfills
    assert list(seen.bars) == [Bar("dockets", 0, 3), Bar("clusters", 0, 3)]
    pipeline.run("downloads", MONTHS[0], asset_selection=[dg.AssetKey("dockets")], tags={BACKFILL_TAG: "abcdefgh"})
    after = watcher.look()
    assert after.runs
    assert list(after.runs.backfills[0].bars) == [Bar("dockets", 1, 3), Bar("clusters", 0, 3)]
    assert after.runs.backfills[0].left
    assert after.downloads.account
    assert after.downloads.left
    assert (before.downloads.refused, after.downloads.refused) == (0, 0)
    metrics.REFUSED.inc()
    metrics.Publisher(pipeline.database).publish()
    assert watcher.look().downloads.refused == 1
    assert after.runs.backfills[0].left.requests < after.downloads.left.requests
