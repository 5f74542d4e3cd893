"""What the schedules of the rolling refresh request, what it costs, and that it finds what no date shows."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from courtlistener_assets.operations.status import read_status
from courtlistener_assets.settings import Settings
from tests.integration.pipeline_harness import MONTH, Pipeline
from tests.integration.test_fresh_data import clusters_of_month, gone, scheduled

FEBRUARY = "scotus|2024-02-01"
NOW = datetime.now(UTC)


@pytest.fixture
def pipeline_settings() -> Mapping[str, str]:
    return {"COURTLISTENER_REFRESH_DAYS": "10", "COURTLISTENER_STREAMS": "dockets,clusters,opinions,people"}


def walked_before(pipeline: Pipeline, partition: str, days: float) -> None:
    """As if a partition had been walked in full some days ago."""
    with pipeline.database.transaction() as connection:
        connection.execute(
            "UPDATE courtlistener.sweeps SET walked_at = now() - %(age)s WHERE partition = %(partition)s",
            {"age": timedelta(days=days), "partition": partition},
        )


def requests(pipeline: Pipeline, schedule: str = "rolling_refresh", at: datetime = NOW) -> list[dg.RunRequest]:
    return scheduled(pipeline, schedule, at)


def test_the_month_that_was_walked_longest_ago_is_walked_in_full_and_what_was_sealed_is_found(
    pipeline: Pipeline,
) -> None:
    for month in (MONTH, FEBRUARY):
        assert pipeline.run("downloads", month).success
    walked_before(pipeline, MONTH, 30)
    walked_before(pipeline, FEBRUARY, 20)
    [request] = requests(pipeline)
    assert request.partition_key == MONTH
    assert {key.to_user_string() for key in request.asset_selection or ()} == {"dockets", "clusters", "opinions"}
    sealed = clusters_of_month(pipeline)[0]["id"]
    pipeline.simulator.corpus.seal_cluster(sealed)
    assert pipeline.launch(request, "downloads").success
    assert set(gone(pipeline, "clusters")) == {sealed}
    assert [each.partition_key for each in requests(pipeline)] == [FEBRUARY]


def test_what_was_walked_lately_is_left_alone(pipeline: Pipeline) -> None:
    assert pipeline.run("downloads", MONTH).success
    assert requests(pipeline) == []
    assert [each.partition_key for each in requests(pipeline, at=NOW + timedelta(days=11))] == [MONTH]


def test_what_is_under_way_or_deferred_is_not_requested_again(pipeline: Pipeline) -> None:
    assert pipeline.run("downloads", MONTH).success
    walked_before(pipeline, MONTH, 30)
    [request] = requests(pipeline)
    job = pipeline.defs.resolve_job_def("downloads")
    tags = {**request.tags, "dagster/partition": MONTH}
    run = pipeline.instance.create_run_for_job(job, tags=tags, status=dg.DagsterRunStatus.STARTED)
    assert requests(pipeline) == []
    pipeline.instance.report_run_failed(run)
    assert len(requests(pipeline)) == 1
    for asset in ("dockets", "clusters", "opinions"):
        pipeline.backlog.deferrals.record(
            asset, [MONTH], wait_seconds=60, reason="QuotaDeferred", run_id=run.run_id, config={"full_refresh": True}
        )
    assert requests(pipeline) == []


def test_a_stream_without_partitions_has_a_schedule_of_its_own(pipeline: Pipeline) -> None:
    assert pipeline.run("whole_streams").success
    assert requests(pipeline, "rolling_refresh_of_whole_streams") == []
    walked_before(pipeline, "all", 30)
    [request] = requests(pipeline, "rolling_refresh_of_whole_streams")
    assert request.partition_key is None
    assert pipeline.launch(request, "whole_streams").success
    assert requests(pipeline, "rolling_refresh_of_whole_streams") == []


def test_what_it_costs_is_shown_before_it_is_turned_on(pipeline: Pipeline) -> None:
    settings = Settings.from_environ(pipeline.environ)
    before = pipeline.simulator.summary()["admitted"]
    for month in (MONTH, FEBRUARY):
        assert pipeline.run("downloads", month).success
    paid = pipeline.simulator.summary()["admitted"] - before
    for month in (MONTH, FEBRUARY):
        assert pipeline.run("downloads", month).success  # What an increment costs does not count.
    refresh = read_status(settings, pipeline.database).refresh
    assert (refresh.partitions, refresh.requests) == (6, paid)
    assert refresh.requests_a_day == pytest.approx(paid / 10)
    assert str(refresh).startswith("A rolling refresh of all 6 complete partitions within 10 days costs about")


def test_there_is_none_within_no_days(pipeline: Pipeline) -> None:
    from courtlistener_assets.location import location

    found = location({**pipeline.environ, "COURTLISTENER_REFRESH_DAYS": "0"}).get_repository_def()
    assert not [each.name for each in found.schedule_defs if "refresh" in each.name]
