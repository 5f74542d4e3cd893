"""What CourtListener changed, merged or removed arrives here, and checks notice what does not fit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import dagster as dg
import pyarrow.parquet as pq
import pytest

from courtlistener_assets.chunks.made_with import CHUNK_OPTIONS
from courtlistener_assets.chunks.table import made_by
from courtlistener_assets.defs.sensors import rebuild_touched_months
from courtlistener_assets.devkit.simulator.faults import Fault
from courtlistener_assets.download.sweep import OVERLAP
from tests.integration.pipeline_harness import MONTH, Pipeline, location

COURT = "scotus"
FEBRUARY, MARCH = "scotus|2024-02-01", "scotus|2024-03-01"


@pytest.fixture(autouse=True)
def _no_quiet_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rebuild_touched_months, "QUIET_SECONDS", 0.0)


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


def name_of(pipeline: Pipeline, cluster: Mapping[str, Any]) -> str:
    """The name of a decision as it is stored."""
    [(name,)] = pipeline.rows(f"SELECT body->>'case_name' FROM courtlistener.clusters WHERE id = {cluster['id']}")
    return str(name)


def catch_up(pipeline: Pipeline, partition: str = COURT) -> Mapping[str, Any]:
    """Catch up with a court or group; returns the metadata."""
    result = pipeline.run("catch_up", partition, raise_on_error=True)
    [event] = result.asset_materializations_for_node("court_changes")
    return {name: value.value for name, value in event.metadata.items()}


def asked(pipeline: Pipeline, since: int = 0) -> list[str]:
    """The paths of the requests that cost quota, from a number on."""
    return [entry.path for entry in pipeline.simulator.log if entry.admitted and entry.endpoint != "api-usage"][since:]


# --- catching up ------------------------------------------------------------------------------------------------------


def test_what_was_modified_since_the_download_goes_into_its_tables(pipeline: Pipeline) -> None:
    assert pipeline.run("downloads", MONTH).success
    cluster = clusters_of_month(pipeline)[0]
    opinion = pipeline.simulator.corpus.children("opinions", "cluster", cluster["id"])[0]
    pipeline.simulator.corpus.touch("opinions", opinion["id"], plain_text="as amended")
    metadata = catch_up(pipeline)
    [(text,)] = pipeline.rows(f"SELECT body->>'plain_text' FROM courtlistener.opinions WHERE id = {opinion['id']}")
    assert text == "as amended"
    assert metadata["opinions_modified"] == 1
    assert pipeline.materialized("court_changes") == {COURT}


def test_a_court_where_nothing_changed_costs_five_requests(pipeline: Pipeline) -> None:
    assert pipeline.run("downloads", MONTH).success
    before = len(asked(pipeline))
    metadata = catch_up(pipeline)
    assert len(asked(pipeline, before)) == metadata["requests"] == 5
    assert all("__gte" in path and "__lt" not in path for path in asked(pipeline, before))  # no upper bound


def test_a_second_catch_up_asks_from_where_the_first_one_began_less_the_overlap(pipeline: Pipeline) -> None:
    assert pipeline.run("downloads", MONTH).success
    first = catch_up(pipeline)
    [(current,)] = pipeline.rows("SELECT current_as_of FROM courtlistener.courts WHERE court_id = 'scotus'")
    assert first["current_as_of"] == pytest.approx(current.timestamp())
    second = catch_up(pipeline)
    assert second["modified_since"] == pytest.approx(current.timestamp())
    [since] = {since for (since,) in pipeline.rows("SELECT since FROM courtlistener.sweeps WHERE partition = 'scotus'")}
    assert since == current - OVERLAP
    assert second["current_as_of"] >= first["current_as_of"]


def test_what_was_modified_twice_between_two_catch_ups_is_not_lost(pipeline: Pipeline) -> None:
    assert pipeline.run("downloads", MONTH).success
    catch_up(pipeline)
    cluster = clusters_of_month(pipeline)[0]
    for name in ("once", "twice"):
        pipeline.simulator.corpus.touch("clusters", cluster["id"], case_name=name)
    catch_up(pipeline)
    assert name_of(pipeline, cluster) == "twice"


def test_what_is_committed_late_is_not_lost(pipeline: Pipeline) -> None:
    """It becomes visible after a catch-up that has passed its date; the next one looks back behind the first."""
    assert pipeline.run("downloads", MONTH).success
    corpus, cluster = pipeline.simulator.corpus, clusters_of_month(pipeline)[0]
    corpus.hold(corpus.touch, "clusters", cluster["id"], case_name="late")
    catch_up(pipeline)
    corpus.release()
    catch_up(pipeline)
    assert name_of(pipeline, cluster) == "late"


def test_what_a_replica_does_not_know_yet_is_not_lost(pipeline: Pipeline) -> None:
    assert pipeline.run("downloads", MONTH).success
    corpus, cluster = pipeline.simulator.corpus, clusters_of_month(pipeline)[0]
    corpus.lag()
    corpus.touch("clusters", cluster["id"], case_name="known to the primary")
    catch_up(pipeline)
    corpus.replicate()
    catch_up(pipeline)
    assert name_of(pipeline, cluster) == "known to the primary"


@pytest.mark.parametrize(("behind", "found"), [(OVERLAP * 0.9, True), (OVERLAP * 1.5, False)])
def test_a_clock_may_be_behind_by_the_overlap(pipeline: Pipeline, behind: timedelta, found: bool) -> None:
    """What is dated further in the past than that, only a full walk finds."""
    assert pipeline.run("downloads", MONTH).success
    catch_up(pipeline)
    cluster = clusters_of_month(pipeline)[0]
    moment = datetime.now(UTC) - behind
    pipeline.simulator.corpus.touch("clusters", cluster["id"], case_name="dated in the past", modified=moment)
    catch_up(pipeline)
    assert (name_of(pipeline, cluster) == "dated in the past") == found


def test_months_before_the_first_one_are_not_stored(pipeline: Pipeline) -> None:
    corpus = pipeline.simulator.corpus
    docket = next(each for each in corpus.dockets if each["court_id"] == "scotus" and not each["clusters"])
    corpus.touch("dockets", docket["id"], date_filed="2019-05-01")
    assert pipeline.run("downloads", MONTH).success
    corpus.touch("dockets", docket["id"])
    catch_up(pipeline)
    assert pipeline.rows(f"SELECT count(*) FROM courtlistener.dockets WHERE id = {docket['id']}") == [(0,)]


@pytest.mark.parametrize("pipeline_settings", [{"COURTLISTENER_LAST_MONTH": "2024-02"}])
def test_nor_are_months_after_the_last_one(pipeline: Pipeline) -> None:
    corpus = pipeline.simulator.corpus
    within = clusters_of_month(pipeline)[0]
    assert pipeline.run("downloads", MONTH).success
    later = {each["id"] for each in corpus.clusters if each["date_filed"][:7] == "2024-03"}
    opinions = [each["id"] for each in corpus.opinions if each["cluster_id"] in later]
    corpus.touch("clusters", within["id"], case_name="within")
    for stream, ids in ("clusters", later), ("opinions", opinions):
        for id in sorted(ids):
            corpus.touch(stream, id)
    sent = len(asked(pipeline))
    catch_up(pipeline)
    assert name_of(pipeline, within) == "within"
    for table in ("dockets", "clusters"):
        assert pipeline.rows(f"SELECT id FROM courtlistener.{table} WHERE date_filed >= '2024-03-01'") == []
    assert opinions
    assert not {id for (id,) in pipeline.rows("SELECT id FROM courtlistener.opinions")} & set(opinions)
    # What goes by the dates of decisions does not even ask for them.
    by_decisions = [path for path in asked(pipeline, sent) if "date_filed__gte" in path]
    assert by_decisions
    assert all("date_filed__lt=2024-03-01" in path for path in by_decisions)


@pytest.mark.parametrize(
    ("setting", "meanwhile", "month"),
    [("COURTLISTENER_LAST_MONTH", "2024-02", "2024-03"), ("COURTLISTENER_FIRST_MONTH", "2024-03", "2024-01")],
)
def test_but_a_month_that_was_downloaded_stays_current_while_it_is_left_out(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, setting: str, meanwhile: str, month: str
) -> None:
    """It is green again as soon as it is in the settings again, and nothing asks for what was before."""
    corpus = pipeline.simulator.corpus
    assert pipeline.run("downloads", f"{COURT}|{month}-01").success
    dockets = {each["id"]: each for each in corpus.dockets if each["court_id"] == COURT}
    decisions = {c["id"] for c in corpus.clusters if c["date_filed"][:7] == month and c["docket_id"] in dockets}
    opinion = next(each for each in corpus.opinions if each["cluster_id"] in decisions)
    corpus.touch("opinions", opinion["id"], plain_text="as amended")
    docket = next(
        each for each in dockets.values() if not each["clusters"] and (each["date_filed"] or month)[:7] != month
    )
    corpus.touch("dockets", docket["id"], date_filed=f"{month}-15")
    monkeypatch.setenv(setting, meanwhile)
    pipeline.defs = location({**pipeline.environ, setting: meanwhile})
    catch_up(pipeline)
    [(text,)] = pipeline.rows(f"SELECT body->>'plain_text' FROM courtlistener.opinions WHERE id = {opinion['id']}")
    assert text == "as amended"
    assert pipeline.rows(f"SELECT count(*) FROM courtlistener.dockets WHERE id = {docket['id']}") == [(1,)]


def test_a_catch_up_knows_no_full_refresh(pipeline: Pipeline) -> None:
    config = {"ops": {"court_changes": {"config": {"full_refresh": True}}}}
    result = pipeline.run("catch_up", COURT, run_config=config)
    assert not result.success
    assert not asked(pipeline)


def test_the_asset_counts_as_overdue_after_twice_the_time_of_its_schedule(pipeline: Pipeline) -> None:
    [policy] = [
        spec.freshness_policy
        for spec in pipeline.defs.resolve_all_asset_specs()
        if spec.key == dg.AssetKey("court_changes")
    ]
    assert policy == dg.FreshnessPolicy.time_window(fail_window=timedelta(days=2))


# --- rebuilding what changes touch ------------------------------------------------------------------------------------


def stale(pipeline: Pipeline) -> list[str]:
    return [
        partition for (partition,) in pipeline.rows("SELECT partition FROM courtlistener.stale_partitions ORDER BY 1")
    ]


def note_stale(pipeline: Pipeline, *partitions: str, age: timedelta = timedelta()) -> None:
    """As if the documents of these partitions had changed some time ago."""
    with pipeline.database.transaction() as connection:
        connection.cursor().executemany(
            "INSERT INTO courtlistener.stale_partitions VALUES (%(partition)s, now() - %(age)s, now() - %(age)s)",
            [{"partition": partition, "age": age} for partition in partitions],
        )


def note_vector_inputs(pipeline: Pipeline, *months: str) -> None:
    """As if these months had been prepared."""
    for month in months:
        pipeline.instance.report_runless_asset_event(dg.AssetMaterialization("vector_inputs", partition=month))


def rebuilds(pipeline: Pipeline) -> dict[str, str]:
    """What a tick requests: run keys by partition."""
    requests = pipeline.tick("rebuild_touched_months")
    found = {str(request.partition_key): str(request.run_key) for request in requests}
    assert len(found) == len(requests)
    return found


def test_the_months_that_changes_touch_get_new_vector_inputs_of_the_same_making(pipeline: Pipeline) -> None:
    cut = {"max_tokens": 128, "near_duplicates": True}
    assert pipeline.run("court_month", MONTH, run_config={"ops": {"vector_inputs": {"config": cut}}}).success
    opinion = pipeline.simulator.corpus.children("opinions", "cluster", clusters_of_month(pipeline)[0]["id"])[0]
    pipeline.simulator.corpus.touch("opinions", opinion["id"], plain_text="as amended")
    catch_up(pipeline)
    [request] = pipeline.tick("rebuild_touched_months")
    assert request.partition_key == MONTH
    assert pipeline.launch(request).success
    folder = Path(pipeline.environ["COURTLISTENER_DATA_DIR"]) / "vector_inputs" / "court=scotus"
    file = pq.ParquetFile(folder / "month=2024-01" / "chunks.parquet")
    assert max(file.read().column("token_count").to_pylist()) <= 128
    made = json.loads(made_by(file)[CHUNK_OPTIONS])
    assert (made["max_tokens"], made["near_duplicates"]) == (128, True)


def test_only_what_has_vector_inputs_and_is_still_configured_is_rebuilt(pipeline: Pipeline) -> None:
    note_stale(pipeline, MONTH, FEBRUARY, "gone|2024-01-01")
    note_vector_inputs(pipeline, MONTH, "gone|2024-01-01")
    assert set(rebuilds(pipeline)) == {MONTH}


def test_a_repeated_tick_requests_the_same_run_and_a_later_change_another_one(pipeline: Pipeline) -> None:
    note_stale(pipeline, MONTH)
    note_vector_inputs(pipeline, MONTH)
    first = rebuilds(pipeline)
    assert rebuilds(pipeline) == first
    with pipeline.database.transaction() as connection:
        connection.execute("UPDATE courtlistener.stale_partitions SET last_at = now()")
    assert rebuilds(pipeline)[MONTH] != first[MONTH]


def test_a_month_is_left_in_peace_until_its_changes_are_over(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuild_touched_months, "QUIET_SECONDS", 300.0)
    note_stale(pipeline, MONTH)
    note_stale(pipeline, FEBRUARY, age=timedelta(minutes=6))
    note_vector_inputs(pipeline, MONTH, FEBRUARY)
    assert set(rebuilds(pipeline)) == {FEBRUARY}


def test_nothing_is_requested_while_a_run_of_the_partition_is_queued_or_under_way(pipeline: Pipeline) -> None:
    note_stale(pipeline, MONTH)
    note_vector_inputs(pipeline, MONTH)
    job = pipeline.defs.resolve_job_def("court_month")
    for status in (dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTED):
        run = pipeline.instance.create_run_for_job(job, tags={"dagster/partition": MONTH}, status=status)
        assert rebuilds(pipeline) == {}
        pipeline.instance.report_run_failed(run)
    assert set(rebuilds(pipeline)) == {MONTH}


def test_a_rebuild_that_failed_is_not_requested_again_on_the_same_day(pipeline: Pipeline) -> None:
    note_stale(pipeline, MONTH, FEBRUARY)
    note_vector_inputs(pipeline, MONTH, FEBRUARY)
    requests = {str(each.partition_key): each for each in pipeline.tick("rebuild_touched_months")}
    job, tags = pipeline.defs.resolve_job_def("rebuild_vector_inputs"), dict(requests[MONTH].tags)
    run = pipeline.instance.create_run_for_job(job, tags={**tags, "dagster/partition": MONTH})
    pipeline.instance.report_run_failed(run)
    assert set(rebuilds(pipeline)) == {FEBRUARY}
    assert f"{datetime.now(UTC):%Y-%m-%d}" in str(requests[MONTH].run_key)


# --- failures ---------------------------------------------------------------------------------------------------------


def test_a_failure_of_a_catch_up_is_retried_in_its_court(pipeline: Pipeline) -> None:
    assert pipeline.run("downloads", MONTH).success
    cluster = clusters_of_month(pipeline)[0]
    pipeline.simulator.corpus.touch("clusters", cluster["id"], case_name="as amended")
    pipeline.simulator.faults.add(Fault("poison", endpoint="clusters", object_id=cluster["id"]))
    assert catch_up(pipeline)["failed_objects"] >= 1
    pipeline.simulator.faults.clear()
    pipeline.make_due()
    [request] = pipeline.tick("retry_failed_dockets")
    assert (request.job_name, request.partition_key) == ("catch_up", COURT)
    assert pipeline.launch(request).success
    assert pipeline.rows("SELECT count(*) FROM courtlistener.failures WHERE resolved_at IS NULL") == [(0,)]
    assert name_of(pipeline, cluster) == "as amended"


def test_a_retry_makes_nothing_current(pipeline: Pipeline) -> None:
    assert pipeline.run("downloads", MONTH).success
    ranges = [{"sweep": "clusters", "after_id": 0, "up_to_id": 5}]
    config = {"ops": {"court_changes": {"config": {"id_ranges": ranges}}}}
    assert pipeline.run("catch_up", COURT, run_config=config).success
    assert pipeline.rows("SELECT count(*) FROM courtlistener.courts") == [(0,)]
    assert pipeline.materialized("court_changes") == set()


def test_what_an_older_installation_left_of_a_day_waits(pipeline: Pipeline) -> None:
    """Its partitions were days of a court: what failed or was deferred in them stays, and no run is requested."""
    with pipeline.database.transaction() as connection:
        connection.execute(
            "INSERT INTO courtlistener.failures (asset, partition, sweep, docket_id, error, message) "
            "VALUES ('court_changes', 'scotus|2024-05-17', 'clusters', 7, 'TransientApiError', '500')"
        )
    pipeline.backlog.deferrals.record(
        "court_changes", ["scotus|2024-05-17"], wait_seconds=0.0, reason="QuotaDeferred", run_id="a" * 36
    )
    pipeline.make_due()
    assert pipeline.tick("retry_failed_dockets") == []
    assert pipeline.tick("resume_deferred") == []
    assert pipeline.rows("SELECT claimed_by, resolved_at FROM courtlistener.failures") == [(None, None)]
    assert [each.partition for each in pipeline.backlog.deferrals.all()] == ["scotus|2024-05-17"]


def test_a_catch_up_that_the_quota_has_no_room_for_is_resumed(pipeline: Pipeline) -> None:
    pipeline.backlog.deferrals.record(
        "court_changes",
        [COURT],
        wait_seconds=0.0,
        reason="QuotaDeferred",
        run_id="0" * 8 + "-0000" * 3 + "-" + "0" * 12,
    )
    [request] = pipeline.tick("resume_deferred")
    assert (request.job_name, request.partition_key) == ("catch_up", COURT)
    assert pipeline.launch(request).success
    assert pipeline.backlog.deferrals.all() == []


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
    assert set(gone(pipeline, "clusters")) == {sealed}
    assert "410" in gone(pipeline, "clusters")[sealed]
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


def scheduled(pipeline: Pipeline, name: str, at: datetime) -> list[dg.RunRequest]:
    schedule = pipeline.defs.get_repository_def().get_schedule_def(name)
    with (
        # It would open the instance by a reference, which one in memory does not have.
        mock.patch.object(dg.ScheduleEvaluationContext, "instance", pipeline.instance),
        dg.build_schedule_context(
            scheduled_execution_time=at,
            repository_def=pipeline.defs.get_repository_def(),
            resources=pipeline.resources(),
        ) as context,
    ):
        return list(schedule.evaluate_tick(context).run_requests or [])


def test_the_current_and_the_previous_month_of_every_court_are_brought_up_to_date(pipeline: Pipeline) -> None:
    requests = scheduled(pipeline, "current_months", datetime(2024, 3, 1, 4, 30, tzinfo=UTC))
    assert [request.partition_key for request in requests] == [
        "scotus|2024-02-01",
        "scotus|2024-03-01",
        "ca9|2024-02-01",
        "ca9|2024-03-01",
    ]


def test_every_court_is_caught_up_with_unless_it_is_already(pipeline: Pipeline) -> None:
    now = datetime(2024, 3, 1, 3, 30, tzinfo=UTC)
    requests = scheduled(pipeline, "catch_up", now)
    assert {request.partition_key: request.run_key for request in requests} == {
        "scotus": "scotus:2024-03-01T03:30",
        "ca9": "ca9:2024-03-01T03:30",
    }
    job = pipeline.defs.resolve_job_def("catch_up")
    pipeline.instance.create_run_for_job(job, tags={"dagster/partition": "ca9"}, status=dg.DagsterRunStatus.STARTED)
    assert [request.partition_key for request in scheduled(pipeline, "catch_up", now)] == ["scotus"]
