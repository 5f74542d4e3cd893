"""The check of each downloaded partition: green only while it is complete, and told whenever that changes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import pytest
from dagster._core.event_api import PartitionKeyFilter

from courtlistener_assets.defs.checks.complete_and_current import COMPLETE_AND_CURRENT
from courtlistener_assets.devkit.simulator.faults import Fault
from tests.integration.pipeline_harness import MONTH, Pipeline

FEBRUARY = "scotus|2024-02-01"
MONTHS = {"dagster/asset_partition_range_start": MONTH, "dagster/asset_partition_range_end": FEBRUARY}
ERROR, WARN = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN


@pytest.fixture
def pipeline_settings() -> Mapping[str, str]:
    return {"COURTLISTENER_STREAMS": "dockets,clusters,opinions,docket_entries,people"}


def evaluations(pipeline: Pipeline, asset: str, partition: str | None = MONTH) -> list[dg.AssetCheckEvaluation]:
    """All that was ever said of a partition, the newest first."""
    wanted = dg.EventRecordsFilter(dg.DagsterEventType.ASSET_CHECK_EVALUATION)
    found = []
    for record in pipeline.instance.get_event_records(wanted):
        event = record.event_log_entry.dagster_event
        evaluation = event.asset_check_evaluation_data if event else None
        key = dg.AssetCheckKey(dg.AssetKey(asset), COMPLETE_AND_CURRENT)
        if evaluation and (evaluation.asset_check_key, evaluation.partition) == (key, partition):
            found.append(evaluation)
    return found


def latest(pipeline: Pipeline, asset: str, partition: str | None) -> dg.AssetCheckEvaluation:
    """The newest evaluation of a partition, as the UI looks it up."""
    key = dg.AssetCheckKey(dg.AssetKey(asset), COMPLETE_AND_CURRENT)
    storage = pipeline.instance.event_log_storage
    newest = storage.get_latest_asset_check_execution_by_key([key], PartitionKeyFilter(key=partition))[key].evaluation
    assert newest
    return newest


def shown(pipeline: Pipeline, asset: str, partition: str | None = MONTH) -> tuple[bool, dg.AssetCheckSeverity | None]:
    """Whether the newest evaluation of a partition passed, and how severe it is if not."""
    newest = latest(pipeline, asset, partition)
    assert newest == evaluations(pipeline, asset, partition)[0]
    return newest.passed, None if newest.passed else newest.severity


def values(evaluation: dg.AssetCheckEvaluation) -> dict[str, Any]:
    return {name: value.value for name, value in evaluation.metadata.items()}


def download(pipeline: Pipeline, asset: str, **config: Any) -> None:
    run_config = {"ops": {asset: {"config": config}}}
    keys = [dg.AssetKey(asset)]
    assert pipeline.run("downloads", MONTH, asset_selection=keys, run_config=run_config).success


def poisoned_cluster(pipeline: Pipeline) -> None:
    corpus = pipeline.simulator.corpus
    court = {docket["id"] for docket in corpus.dockets if docket["court_id"] == "scotus"}
    cluster = next(c for c in corpus.clusters if c["date_filed"][:7] == "2024-01" and c["docket_id"] in court)
    pipeline.simulator.faults.add(Fault("poison", endpoint="clusters", object_id=cluster["id"]))


def retry(pipeline: Pipeline) -> None:
    pipeline.make_due()
    [request] = pipeline.tick("retry_failed_dockets")
    assert pipeline.launch(request).success


def check_alone(pipeline: Pipeline, asset: str, partition: str | None = None) -> Any:
    """Execute the check without its asset, as the UI does."""
    court, _, month = (partition or "").partition("|")
    tags = {"dagster/partition": partition, "dagster/partition/court": court, "dagster/partition/month": month}
    key = dg.AssetCheckKey(dg.AssetKey(asset), COMPLETE_AND_CURRENT)
    job = pipeline.defs.resolve_implicit_global_asset_job_def().get_subset(
        asset_selection=set(), asset_check_selection={key}
    )
    return job.execute_in_process(instance=pipeline.instance, tags=tags if partition else {}, raise_on_error=True)


def test_a_downloaded_partition_is_complete_and_current_as_of_a_time(pipeline: Pipeline) -> None:
    begun = datetime.now(UTC).timestamp()
    pipeline.run("downloads", MONTH, raise_on_error=True)
    for asset in ("dockets", "clusters", "opinions", "docket_entries"):
        [evaluation] = evaluations(pipeline, asset)
        metadata = values(evaluation)
        [(rows,)] = pipeline.rows(f"SELECT count(*) FROM courtlistener.{asset}")
        assert (evaluation.passed, metadata["open_failures"], metadata["dead_failures"]) == (True, 0, 0)
        assert metadata["rows_stored"] == rows > 0
        assert metadata["rows_at_server"].startswith("never counted")
        assert begun - 1 <= metadata["current_as_of"] <= datetime.now(UTC).timestamp()
        assert (evaluation.description or "").startswith("Complete and current as of 2")


def test_what_waits_to_be_looked_up_is_said_whichever_table_it_is_of_and_whoever_has_shown_it(
    pipeline: Pipeline,
) -> None:
    pipeline.run("downloads", MONTH, raise_on_error=True)
    with pipeline.database.transaction() as connection:
        connection.execute(
            "INSERT INTO courtlistener.lookups (kind, stream, id, court_id, partition) "
            "VALUES ('unlisted', 'recap_documents', 1, 'scotus', %s)",
            (MONTH,),
        )
        connection.execute(
            "INSERT INTO courtlistener.dump_differences (dump, stream, id, kind) "
            "SELECT '2024-03-31', 'clusters', id, 'deleted' FROM courtlistener.clusters "
            "WHERE date_filed < '2024-02-01' ORDER BY id LIMIT 2"
        )
    for asset, said, count in (("docket_entries", "do not fit", 1), ("clusters", "bulk file", 2), ("dockets", "", 0)):
        check_alone(pipeline, asset, MONTH)
        newest = latest(pipeline, asset, MONTH)
        assert (newest.passed, values(newest)["open_lookups"]) == (not count, count), asset
        assert said in str(newest.description)


def test_every_partition_of_a_run_has_its_own_evaluation(pipeline: Pipeline) -> None:
    poisoned_cluster(pipeline)
    pipeline.run("downloads", tags=MONTHS, asset_selection=[dg.AssetKey("clusters")], raise_on_error=True)
    assert shown(pipeline, "clusters", MONTH) == (False, WARN)
    assert shown(pipeline, "clusters", FEBRUARY) == (True, None)
    assert len(evaluations(pipeline, "clusters", MONTH)) == len(evaluations(pipeline, "clusters", FEBRUARY)) == 1


def test_a_stream_without_partitions_has_the_check_too(pipeline: Pipeline) -> None:
    pipeline.run("whole_streams", raise_on_error=True)
    [evaluation] = evaluations(pipeline, "people", None)
    assert evaluation.passed
    assert values(evaluation)["rows_stored"] == len(pipeline.simulator.corpus.table("people"))


def test_the_changes_of_a_court_have_the_check_too(pipeline: Pipeline) -> None:
    pipeline.run("catch_up", "scotus", raise_on_error=True)
    [evaluation] = evaluations(pipeline, "court_changes", "scotus")
    assert evaluation.passed
    assert "rows_stored" not in evaluation.metadata


def test_a_check_costs_no_request(pipeline: Pipeline) -> None:
    pipeline.run("downloads", MONTH, raise_on_error=True)
    before = len(pipeline.simulator.log)
    check_alone(pipeline, "dockets", MONTH)
    assert len(pipeline.simulator.log) == before
    assert len(evaluations(pipeline, "dockets")) == 2


def test_without_a_partition_all_that_were_made_are_checked(pipeline: Pipeline) -> None:
    pipeline.run("downloads", tags=MONTHS, asset_selection=[dg.AssetKey("clusters")], raise_on_error=True)
    check_alone(pipeline, "clusters")
    assert [len(evaluations(pipeline, "clusters", month)) for month in (MONTH, FEBRUARY)] == [2, 2]


def test_what_was_never_downloaded_to_its_end_is_not_green(pipeline: Pipeline) -> None:
    check_alone(pipeline, "clusters", MONTH)
    [evaluation] = evaluations(pipeline, "clusters")
    assert (evaluation.passed, evaluation.severity, evaluation.description) == (
        False,
        WARN,
        "Not downloaded to its end yet.",
    )


def test_the_check_is_evaluated_again_whenever_failures_die_are_requeued_or_resolved(pipeline: Pipeline) -> None:
    poisoned_cluster(pipeline)
    download(pipeline, "clusters")
    assert shown(pipeline, "clusters") == (False, WARN)
    assert values(evaluations(pipeline, "clusters")[0])["open_failures"] == 1

    with pipeline.database.transaction() as connection:  # As after four retries; the fifth try is the last.
        connection.execute("UPDATE courtlistener.failures SET tries = 5")
    pipeline.tick("retry_failed_dockets")
    assert shown(pipeline, "clusters") == (False, ERROR)
    assert values(evaluations(pipeline, "clusters")[0])["dead_failures"] == 1
    said = len(evaluations(pipeline, "clusters"))
    pipeline.tick("retry_failed_dockets")
    assert len(evaluations(pipeline, "clusters")) == said  # nothing has changed since

    assert pipeline.run("requeue_dead_dockets").success
    [request] = pipeline.tick("retry_failed_dockets")
    assert shown(pipeline, "clusters") == (False, WARN)

    pipeline.simulator.faults.clear()
    assert pipeline.launch(request).success
    assert shown(pipeline, "clusters") == (True, None)
    said = len(evaluations(pipeline, "clusters"))
    pipeline.tick("retry_failed_dockets")
    assert len(evaluations(pipeline, "clusters")) == said  # the run of the retry has said it


def test_what_a_run_resolved_without_saying_so_is_said_by_the_sensor(pipeline: Pipeline) -> None:
    poisoned_cluster(pipeline)
    download(pipeline, "clusters")
    with pipeline.database.transaction() as connection:
        connection.execute("UPDATE courtlistener.failures SET resolved_at = now()")
    pipeline.tick("retry_failed_dockets")
    assert shown(pipeline, "clusters") == (True, None)


def test_failures_of_what_left_the_settings_are_looked_at_once(pipeline: Pipeline) -> None:
    for asset, partition in (("bankruptcies", "all"), ("clusters", "gone|2024-01-01")):
        with pipeline.database.transaction() as connection:
            connection.execute(
                "INSERT INTO courtlistener.failures (asset, partition, sweep, object_id, error, message) "
                "VALUES (%s, %s, 'x', 1, 'x', 'x')",
                (asset, partition),
            )
    pipeline.tick("retry_failed_dockets")
    assert pipeline.backlog.failures.unshown() == []


def test_what_the_server_counted_is_shown_and_held_against_what_is_stored(pipeline: Pipeline) -> None:
    download(pipeline, "clusters")
    config = {"ops": {"completeness": {"config": {"partitions": [MONTH]}}}}
    assert pipeline.run("check_completeness", run_config=config).success
    check_alone(pipeline, "clusters", MONTH)
    evaluation = evaluations(pipeline, "clusters")[0]
    assert evaluation.passed
    [(rows,)] = pipeline.rows("SELECT count(*) FROM courtlistener.clusters")
    at_server = values(evaluation)["rows_at_server"]
    assert at_server.startswith(f"dated: {rows} on {datetime.now(UTC):%Y-%m-%d}")
    assert at_server.endswith(f"{rows} are stored")

    with pipeline.database.transaction() as connection:
        connection.execute("DELETE FROM courtlistener.clusters WHERE id = (SELECT min(id) FROM courtlistener.clusters)")
    check_alone(pipeline, "clusters", MONTH)
    evaluation = evaluations(pipeline, "clusters")[0]
    assert (evaluation.passed, evaluation.severity) == (False, WARN)
    assert f"{rows - 1} rows of the sweep dated are stored" in (evaluation.description or "")

    download(pipeline, "clusters", full_refresh=True)
    assert shown(pipeline, "clusters") == (True, None)


# --- whenever something dies ------------------------------------------------------------------------------------------


def observations(pipeline: Pipeline, asset: str, partition: str | None) -> list[dg.AssetObservation]:
    """What was observed of a partition outside of runs, the newest first."""
    wanted = dg.AssetRecordsFilter(dg.AssetKey(asset), asset_partitions=[partition] if partition else None)
    records = pipeline.instance.fetch_observations(wanted, limit=100).records
    return [each.asset_observation for each in records if each.asset_observation]


def backlog_is_shown_red(pipeline: Pipeline) -> bool | None:
    key = dg.AssetCheckKey(dg.AssetKey("failed_dockets"), "nothing_is_dead")
    newest = pipeline.instance.event_log_storage.get_latest_asset_check_execution_by_key([key]).get(key)
    return not newest.evaluation.passed if newest and newest.evaluation else None


def let_die(pipeline: Pipeline) -> None:
    with pipeline.database.transaction() as connection:
        connection.execute("UPDATE courtlistener.failures SET tries = 1000")


def test_one_tick_after_a_death_the_partition_and_the_backlog_are_red_and_show_it(pipeline: Pipeline) -> None:
    poisoned_cluster(pipeline)
    download(pipeline, "clusters")
    pipeline.tick("retry_failed_dockets")
    assert backlog_is_shown_red(pipeline) is None
    let_die(pipeline)
    pipeline.tick("retry_failed_dockets")
    assert shown(pipeline, "clusters") == (False, ERROR)
    assert backlog_is_shown_red(pipeline)
    [(bad,)] = pipeline.rows("SELECT object_id FROM courtlistener.failures")
    newest = observations(pipeline, "clusters", MONTH)[0]
    assert f"clusters object {bad}" in str(newest.metadata["failures"].value)
    assert newest.metadata["dead_failures"].value == 1
    assert "given up" in (newest.description or "")
    assert f"clusters object {bad}" in str(
        observations(pipeline, "failed_dockets", None)[0].metadata["dead_dockets"].value
    )
    assert observations(pipeline, "clusters", FEBRUARY) == []

    pipeline.tick("retry_failed_dockets")  # Nothing is new, so nothing is said.
    assert len(observations(pipeline, "failed_dockets", None)) == 1
    assert pipeline.run("requeue_dead_dockets").success
    pipeline.tick("retry_failed_dockets")
    assert backlog_is_shown_red(pipeline) is False


def test_what_dies_in_a_partition_that_no_run_has_to_do_with_is_shown_each_time(pipeline: Pipeline) -> None:
    key = dg.AssetKey("clusters")
    for id in (7, 8):
        with pipeline.database.transaction() as connection:
            connection.execute(
                "INSERT INTO courtlistener.failures (asset, partition, sweep, object_id, error, message, tries) "
                "VALUES ('clusters', %s, 'dated', %s, 'TransientApiError', '500', 1000)",
                (MONTH, id),
            )
        pipeline.tick("retry_failed_dockets")
        newest = latest(pipeline, "clusters", MONTH)
        assert (newest.passed, newest.severity, values(newest)["dead_failures"]) == (False, ERROR, id - 6)
    assert len(observations(pipeline, "clusters", MONTH)) == 2
    assert not pipeline.instance.get_materialized_partitions(key)


def test_one_docket_or_one_partition_is_requeued_by_the_job(pipeline: Pipeline) -> None:
    for docket_id, partition in ((7, MONTH), (8, MONTH), (9, FEBRUARY)):
        with pipeline.database.transaction() as connection:
            connection.execute(
                "INSERT INTO courtlistener.failures (asset, partition, sweep, docket_id, error, message, dead_at) "
                "VALUES ('dockets', %s, 'filed', %s, 'TransientApiError', '500', now())",
                (partition, docket_id),
            )
    for config, left in (({"docket_ids": [8]}, [7, 9]), ({"partitions": [FEBRUARY]}, [7])):
        run_config = {"ops": {"requeue_dead": {"config": config}}}
        assert pipeline.run("requeue_dead_dockets", run_config=run_config).success
        dead = pipeline.rows("SELECT docket_id FROM courtlistener.failures WHERE dead_at IS NOT NULL ORDER BY 1")
        assert [id for (id,) in dead] == left
    assert {request.partition_key for request in pipeline.tick("retry_failed_dockets")} == {MONTH, FEBRUARY}
