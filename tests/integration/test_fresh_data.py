"""What CourtListener changed, merged or removed arrives here, and checks notice what does not fit."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from courtlistener_assets.defs.assets.court_changes import TOUCHED_MONTHS
from courtlistener_assets.defs.sensors import rebuild_touched_months
from courtlistener_assets.defs.sensors.rebuild_touched_months import touched_months, unread_changes
from courtlistener_assets.devkit.simulator.faults import Fault
from courtlistener_assets.download.catch_up import CourtDay
from tests.integration.pipeline_harness import MONTH, Pipeline

FEBRUARY, MARCH = "scotus|2024-02-01", "scotus|2024-03-01"
YESTERDAY = (datetime.now(UTC) - timedelta(days=1)).replace(hour=12, minute=0, second=0, microsecond=0)
DAY = f"scotus|{YESTERDAY:%Y-%m-%d}"


def clusters_of_month(pipeline: Pipeline) -> list[dict[str, Any]]:
    corpus = pipeline.simulator.corpus
    dockets = {docket["id"] for docket in corpus.dockets if docket["court_id"] == "scotus"}
    return [c for c in corpus.clusters if c["date_filed"][:7] == "2024-01" and c["docket_id"] in dockets]


def gone(pipeline: Pipeline, stream: str) -> dict[int, str]:
    return dict(
        pipeline.rows(
            f"SELECT id, gone_reason FROM courtlistener.records WHERE stream = '{stream}' AND gone_at IS NOT NULL"
        )
    )


def changes(pipeline: Pipeline) -> Any:
    result = pipeline.run("changes_of_day", DAY)
    assert result.success
    return result


def test_a_days_changes_go_into_the_tables_of_the_downloads(pipeline: Pipeline) -> None:
    assert pipeline.run("downloads", MONTH).success
    cluster = clusters_of_month(pipeline)[0]
    opinion = pipeline.simulator.corpus.children("opinions", "cluster", cluster["id"])[0]
    pipeline.simulator.corpus.touch("opinions", opinion["id"], modified=YESTERDAY, plain_text="as amended")
    changes(pipeline)
    [(text,)] = pipeline.rows(f"SELECT body->>'plain_text' FROM courtlistener.opinions WHERE id = {opinion['id']}")
    assert text == "as amended"


def test_the_months_that_the_changes_touch_get_new_vector_inputs(pipeline: Pipeline) -> None:
    assert pipeline.run("court_month", MONTH).success
    opinion = pipeline.simulator.corpus.children("opinions", "cluster", clusters_of_month(pipeline)[0]["id"])[0]
    pipeline.simulator.corpus.touch("opinions", opinion["id"], modified=YESTERDAY, plain_text="as amended")
    changes(pipeline)
    record = pipeline.instance.get_latest_materialization_event(dg.AssetKey("court_changes"))
    assert record
    assert touched_months(record) == [MONTH]
    [request] = pipeline.tick("rebuild_touched_months")
    assert request.partition_key == MONTH
    assert pipeline.run("rebuild_vector_inputs", MONTH).success


def test_a_month_without_vector_inputs_is_not_rebuilt(pipeline: Pipeline) -> None:
    cluster = clusters_of_month(pipeline)[0]
    pipeline.simulator.corpus.touch("clusters", cluster["id"], modified=YESTERDAY)
    changes(pipeline)
    assert pipeline.tick("rebuild_touched_months") == []


# --- rebuilding what the changes touch --------------------------------------------------------------------------------


def note_changes(pipeline: Pipeline, day: str, *months: str) -> None:
    """As if the changes of a day had been brought."""
    metadata = {TOUCHED_MONTHS: dg.MetadataValue.json(list(months))}
    pipeline.instance.report_runless_asset_event(
        dg.AssetMaterialization("court_changes", partition=f"scotus|{day}", metadata=metadata)
    )


def note_vector_inputs(pipeline: Pipeline, *months: str) -> None:
    """As if these months had been prepared."""
    for month in months:
        pipeline.instance.report_runless_asset_event(dg.AssetMaterialization("vector_inputs", partition=month))


def rebuilds(pipeline: Pipeline, cursor: str | None) -> tuple[dict[str, str | None], str | None]:
    """What a tick requests, as run keys by month, and its cursor."""
    sensor = pipeline.defs.get_repository_def().get_sensor_def("rebuild_touched_months")
    with dg.build_sensor_context(instance=pipeline.instance, cursor=cursor, definitions=pipeline.defs) as context:
        tick = sensor.evaluate_tick(context)
    requests = tick.run_requests or []
    found = {str(request.partition_key): request.run_key for request in requests}
    assert len(found) == len(requests)
    return found, tick.cursor


def test_several_days_that_end_between_two_ticks_all_rebuild_their_months_each_once(pipeline: Pipeline) -> None:
    note_vector_inputs(pipeline, MONTH, FEBRUARY, MARCH)
    note_changes(pipeline, "2026-01-01", MONTH)
    first, cursor = rebuilds(pipeline, None)
    assert set(first) == {MONTH}
    note_changes(pipeline, "2026-01-02", MONTH, FEBRUARY)
    note_changes(pipeline, "2026-01-03", MARCH)
    note_changes(pipeline, "2026-01-04", MARCH)
    note_changes(pipeline, "2026-01-05")
    second, end = rebuilds(pipeline, cursor)
    assert set(second) == {MONTH, FEBRUARY, MARCH}
    assert second[MONTH] != first[MONTH]  # Dagster honours a run key once
    assert rebuilds(pipeline, cursor) == (second, end)  # a tick that is repeated asks for the same runs
    assert rebuilds(pipeline, end) == ({}, end)


def test_what_one_tick_does_not_read_the_next_one_does(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rebuild_touched_months, "MOST_MATERIALIZATIONS", 2)
    note_vector_inputs(pipeline, MONTH, FEBRUARY)
    note_changes(pipeline, "2026-01-01", MONTH)
    note_changes(pipeline, "2026-01-02")
    note_changes(pipeline, "2026-01-03", FEBRUARY)
    first, cursor = rebuilds(pipeline, None)
    assert set(first) == {MONTH}
    assert set(rebuilds(pipeline, cursor)[0]) == {FEBRUARY}


def test_a_sensor_without_a_cursor_does_not_go_through_years_of_history(pipeline: Pipeline) -> None:
    note_changes(pipeline, "2026-01-01", MONTH)
    changes = dg.AssetKey("court_changes")
    [recent] = unread_changes(pipeline.instance, changes, None)
    much_later = datetime.now(UTC) + timedelta(days=15)
    assert unread_changes(pipeline.instance, changes, None, now=much_later) == []
    # With a cursor nothing is too old: the daemon may have been away.
    assert unread_changes(pipeline.instance, changes, str(recent.storage_id - 1), now=much_later) == [recent]


def test_a_month_that_left_the_settings_does_not_hold_up_the_others(pipeline: Pipeline) -> None:
    note_vector_inputs(pipeline, MONTH, "gone|2024-01-01")
    note_changes(pipeline, "2026-01-01", "gone|2024-01-01", MONTH)
    assert set(rebuilds(pipeline, None)[0]) == {MONTH}


# --- changes --------------------------------------------------------------------------------------------------------


def test_a_day_without_changes_costs_one_request_a_stream(pipeline: Pipeline) -> None:
    changes(pipeline)
    asked = [entry.endpoint for entry in pipeline.simulator.log if entry.admitted and entry.endpoint != "api-usage"]
    assert sorted(asked) == ["clusters", "docket-entries", "dockets", "opinions"]
    assert pipeline.materialized("court_changes") == {DAY}


def test_a_failure_of_a_days_changes_is_retried_in_its_day(pipeline: Pipeline) -> None:
    cluster = clusters_of_month(pipeline)[0]
    pipeline.simulator.corpus.touch("clusters", cluster["id"], modified=YESTERDAY)
    pipeline.simulator.faults.add(Fault("poison", endpoint="clusters", object_id=cluster["id"]))
    changes(pipeline)
    pipeline.simulator.faults.clear()
    pipeline.make_due()
    [request] = pipeline.tick("retry_failed_dockets")
    assert (request.job_name, request.partition_key) == ("changes_of_day", DAY)
    assert pipeline.launch(request).success
    [(resolved,)] = pipeline.rows("SELECT resolved_at IS NOT NULL FROM courtlistener.failures")
    assert resolved
    assert pipeline.rows(f"SELECT count(*) FROM courtlistener.clusters WHERE id = {cluster['id']}") == [(1,)]


def test_a_merged_cluster_becomes_a_tombstone_and_its_opinions_move(pipeline: Pipeline) -> None:
    assert pipeline.run("downloads", MONTH).success
    old, new = [cluster["id"] for cluster in clusters_of_month(pipeline)[:2]]
    [opinion, *_] = pipeline.simulator.corpus.children("opinions", "cluster", old)
    pipeline.simulator.corpus.merge_cluster(old, new)
    assert pipeline.run("downloads", MONTH).success
    assert gone(pipeline, "clusters") == {old: f"merged into {new}"}
    assert pipeline.rows(f"SELECT cluster_id, gone_at FROM courtlistener.opinions WHERE id = {opinion['id']}") == [
        (new, None)
    ]


def test_a_sealed_cluster_is_found_by_a_full_refresh_with_its_opinions(pipeline: Pipeline) -> None:
    assert pipeline.run("downloads", MONTH).success
    sealed = clusters_of_month(pipeline)[0]["id"]
    opinions = {opinion["id"] for opinion in pipeline.simulator.corpus.children("opinions", "cluster", sealed)}
    pipeline.simulator.corpus.seal_cluster(sealed)
    config = {"ops": {"clusters": {"config": {"full_refresh": True}}}}
    assert pipeline.run("downloads", MONTH, asset_selection=[dg.AssetKey("clusters")], run_config=config).success
    assert gone(pipeline, "clusters") == {sealed: "removed by CourtListener (410)"}
    assert set(gone(pipeline, "opinions")) == opinions


# --- checks -------------------------------------------------------------------------------------------------------


def completeness(pipeline: Pipeline) -> dict[str, tuple[bool, str]]:
    result = pipeline.run("check_completeness")
    assert result.success
    return {check.check_name: (check.passed, check.severity.value) for check in result.get_asset_check_evaluations()}


def test_what_is_complete_passes_every_check_for_one_request_a_sweep(pipeline: Pipeline) -> None:
    assert pipeline.run("downloads", MONTH).success
    before = pipeline.simulator.summary()["admitted"]
    checks = completeness(pipeline)
    assert all(passed for passed, _ in checks.values())
    assert len(checks) == 7
    assert pipeline.simulator.summary()["admitted"] - before == 5


def test_a_lost_row_is_an_error(pipeline: Pipeline) -> None:
    assert pipeline.run("downloads", MONTH).success
    with pipeline.database.transaction() as connection:
        connection.execute("DELETE FROM courtlistener.opinions WHERE id = (SELECT min(id) FROM courtlistener.opinions)")
    assert completeness(pipeline)["opinions_complete"] == (False, "ERROR")


def test_a_row_that_is_gone_from_the_server_is_a_warning(pipeline: Pipeline) -> None:
    assert pipeline.run("downloads", MONTH).success
    pipeline.simulator.corpus.seal_cluster(clusters_of_month(pipeline)[0]["id"])
    assert completeness(pipeline)["clusters_complete"] == (False, "WARN")


def test_a_child_without_its_parent_is_a_warning(pipeline: Pipeline) -> None:
    assert pipeline.run("downloads", MONTH).success
    with pipeline.database.transaction() as connection:
        connection.execute("DELETE FROM courtlistener.clusters WHERE id = (SELECT min(id) FROM courtlistener.clusters)")
    assert completeness(pipeline)["opinions_have_clusters"] == (False, "WARN")


# --- schedules ----------------------------------------------------------------------------------------------------


def scheduled(pipeline: Pipeline, name: str, at: datetime) -> list[str]:
    schedule = pipeline.defs.get_repository_def().get_schedule_def(name)
    with dg.build_schedule_context(
        instance=pipeline.instance, scheduled_execution_time=at, repository_def=pipeline.defs.get_repository_def()
    ) as context:
        return [str(request.partition_key) for request in schedule.evaluate_tick(context).run_requests or []]


def test_the_current_and_the_previous_month_of_every_court_are_brought_up_to_date(pipeline: Pipeline) -> None:
    assert scheduled(pipeline, "current_months", datetime(2024, 3, 1, 4, 30, tzinfo=UTC)) == [
        "scotus|2024-02-01",
        "scotus|2024-03-01",
        "ca9|2024-02-01",
        "ca9|2024-03-01",
    ]


def test_days_that_were_missed_are_made_up_for(pipeline: Pipeline) -> None:
    now = YESTERDAY + timedelta(days=1)
    first = scheduled(pipeline, "changes_of_yesterday", now)
    assert first == [f"{court}|{YESTERDAY:%Y-%m-%d}" for court in ("scotus", "ca9")]
    old = CourtDay("scotus", YESTERDAY.date() - timedelta(days=3))
    pipeline.instance.report_runless_asset_event(dg.AssetMaterialization("court_changes", partition=str(old)))
    scotus = [key for key in scheduled(pipeline, "changes_of_yesterday", now) if key.startswith("scotus")]
    assert scotus == [str(CourtDay("scotus", old.day + timedelta(days=back))) for back in (1, 2, 3)]
