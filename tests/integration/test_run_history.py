"""What is deleted of Dagster's runs, on its real storage: nothing that a partition's state depends on."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pytest
from dagster._core.event_api import PartitionKeyFilter
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.utils import make_new_run_id

from courtlistener_assets.defs import run_history
from courtlistener_assets.defs.run_history import RunHistory
from courtlistener_assets.devkit.session.instance import open_instance, write_instance
from courtlistener_assets.operations.dagster_schema import SEARCH_PATH
from resources.errors import SettingError

MONTHS = dg.StaticPartitionsDefinition(["january", "february", "march"])
KEY, CHECK = dg.AssetKey("months"), dg.AssetCheckKey(dg.AssetKey("months"), "is_whole")
FAILS = "courtlistener/fails"


@dg.asset(partitions_def=MONTHS, key=KEY)
def months(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
    if FAILS in context.run.tags:
        raise dg.Failure("no")
    context.log.info("a line that is of no use in a year")
    context.log_event(dg.AssetObservation(KEY, partition=context.partition_key, metadata={"seen": 1}))
    return dg.MaterializeResult(metadata={"rows": 1})


@dg.asset_check(asset=KEY, name=CHECK.name, partitions_def=MONTHS)
def is_whole() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


@dg.asset
def of_others() -> None: ...


DEFS = dg.Definitions(
    [months, of_others],
    asset_checks=[is_whole],
    jobs=[dg.define_asset_job("ours", [months]), dg.define_asset_job("theirs", [of_others])],
)


@pytest.fixture
def instance(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    for variable in ("DAGSTER_HOME", "DAGSTER_POSTGRES_URL"):
        monkeypatch.setenv(variable, "")  # Which `open_instance` sets, and nobody else should see.
    write_instance(tmp_path, workers=1)
    with open_instance(tmp_path, database_url) as instance:
        yield instance


def run(instance: dg.DagsterInstance, partition: str | None = "january", job: str = "ours", **tags: str) -> str:
    result = DEFS.resolve_job_def(job).execute_in_process(
        instance=instance, partition_key=partition, raise_on_error=False, tags=tags
    )
    return str(result.run_id)


def tidy(instance: dg.DagsterInstance, *, older_than: timedelta = timedelta(0)) -> tuple[int, int]:
    history = RunHistory(instance, {"ours"}, [KEY])
    found = history.tidy(datetime.now(UTC) - older_than + timedelta(seconds=1))
    return found.deleted, found.trimmed


def runs_of(instance: dg.DagsterInstance) -> set[str]:
    return {run.run_id for run in instance.get_runs()}


def rows(url: str, query: str) -> list[Any]:
    with psycopg.connect(url, options=SEARCH_PATH) as connection:
        return connection.execute(query).fetchall()


def state(instance: dg.DagsterInstance, partition: str) -> dict[str, Any]:
    """What the UI shows of a partition: its last materialization, its check, and its status."""
    wanted = dg.AssetRecordsFilter(KEY, asset_partitions=[partition])
    records = instance.fetch_materializations(wanted, limit=1).records
    checked = instance.event_log_storage.get_latest_asset_check_execution_by_key(
        [CHECK], partition_filter=PartitionKeyFilter(key=partition)
    ).get(CHECK)
    status = instance.get_status_by_partition(KEY, [partition], MONTHS) or {}
    materialization = records[0].asset_materialization if records else None
    return {
        "run": records[0].run_id if records else None,
        "metadata": dict(materialization.metadata) if materialization else None,
        "tags": dict(materialization.tags or {}) if materialization else None,
        "checked by": (checked.run_id, checked.status, bool(checked.event)) if checked else None,
        "status": status.get(partition),
    }


def test_a_run_is_deleted_once_another_one_has_made_and_checked_its_partitions(
    instance: dg.DagsterInstance, database_url: str
) -> None:
    old, february, new = run(instance), run(instance, "february"), run(instance)
    before = {month: state(instance, month) for month in ("january", "february")}
    assert before["january"]["run"] == new
    assert tidy(instance, older_than=timedelta(days=1)) == (0, 0)
    assert tidy(instance) == (1, 2)
    assert runs_of(instance) == {february, new}
    assert {month: state(instance, month) for month in before} == before
    assert instance.get_materialized_partitions(KEY) == {"january", "february"}
    for table in ("event_logs", "asset_check_executions", "run_tags", "runs"):
        assert not rows(database_url, f"SELECT FROM {table} WHERE run_id = '{old}'"), table
    assert tidy(instance) == (0, 0)


def test_however_many_runs_there_are_all_of_them_are_looked_at(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_history, "_RUNS_AT_ONCE", 1)
    *_, last = (run(instance) for _ in range(4))
    assert tidy(instance) == (3, 1)
    assert runs_of(instance) == {last}


def test_of_a_run_that_stays_go_the_events_that_say_nothing_of_a_partition(
    instance: dg.DagsterInstance, database_url: str, tmp_path: Path
) -> None:
    kept = run(instance)
    logs = tmp_path / "logs" / kept
    logs.mkdir(parents=True, exist_ok=True)
    tidy(instance)
    found = rows(database_url, f"SELECT dagster_event_type FROM event_logs WHERE run_id = '{kept}' ORDER BY id")
    assert [kind for (kind,) in found] == ["ASSET_MATERIALIZATION"]
    record = instance.get_run_record_by_id(kept)
    assert record
    assert record.start_time
    assert record.end_time
    assert instance.get_run_stats(kept)
    tagged = rows(database_url, "SELECT FROM asset_event_tags LEFT JOIN event_logs ON event_id = event_logs.id "
                                "WHERE event_logs.id IS NULL")  # fmt: skip
    assert (tagged, logs.exists()) == ([], False)
    assert instance.get_run_by_id(kept)


def test_the_last_run_of_a_partition_that_failed_stays_whole_and_the_partition_failed(
    instance: dg.DagsterInstance, database_url: str
) -> None:
    made, failed_first, failed_last = run(instance), run(instance, **{FAILS: "1"}), run(instance, **{FAILS: "2"})
    before = state(instance, "january")
    events = rows(database_url, f"SELECT id FROM event_logs WHERE run_id = '{failed_last}' ORDER BY id")
    assert tidy(instance)[0] == 1
    assert runs_of(instance) == {made, failed_last} - {failed_first}
    assert state(instance, "january") == before
    assert before["run"] == made
    assert rows(database_url, f"SELECT id FROM event_logs WHERE run_id = '{failed_last}' ORDER BY id") == events


def test_runs_of_others_and_runs_that_have_not_ended_stay(instance: dg.DagsterInstance) -> None:
    theirs = {run(instance, None, "theirs"), run(instance, None, "theirs")}
    of_asset_page = dg.materialize([of_others], instance=instance).run_id
    waiting = instance.create_run_for_job(DEFS.resolve_job_def("ours"), tags={"dagster/partition": "march"}).run_id
    assert tidy(instance) == (0, 0)
    assert runs_of(instance) == {*theirs, of_asset_page, waiting}


def test_a_job_of_the_same_name_in_another_code_location_is_anothers(instance: dg.DagsterInstance) -> None:
    def ended(location: str) -> str:
        origin = RegisteredCodeLocationOrigin(location)
        job = RemoteJobOrigin(RemoteRepositoryOrigin(origin, "__repository__"), "ours")
        run = dg.DagsterRun("ours", run_id=make_new_run_id(), status=dg.DagsterRunStatus.SUCCESS, remote_job_origin=job)
        return instance.add_run(run).run_id

    _, theirs, before = ended("here"), ended("elsewhere"), run(instance)
    last = run(instance)
    history = RunHistory(instance, {"ours"}, [KEY], location="here")
    assert history.tidy(datetime.now(UTC) + timedelta(seconds=1)).deleted == 2
    assert runs_of(instance) == {theirs, last} - {before}


def test_what_no_run_has_to_do_with_goes_too_but_for_the_last(instance: dg.DagsterInstance, database_url: str) -> None:
    for number in range(3):
        instance.report_runless_asset_event(dg.AssetMaterialization(KEY, partition="march", metadata={"n": number}))
        instance.report_runless_asset_event(dg.AssetCheckEvaluation(KEY, CHECK.name, passed=bool(number), metadata={}))
    instance.report_runless_asset_event(dg.AssetMaterialization("of_others"))
    tidy(instance)
    assert state(instance, "march")["metadata"] == {"n": dg.MetadataValue.int(2)}
    kinds = rows(database_url, "SELECT asset_key, count(*) FROM event_logs GROUP BY 1 ORDER BY 1")
    assert kinds == [('["months"]', 1), ('["of_others"]', 1)]
    passed = "evaluation_event::jsonb #>> '{dagster_event, event_specific_data, success}'"
    assert rows(database_url, f"SELECT {passed} FROM asset_check_executions") == [("true",)]


def test_a_storage_whose_events_cannot_be_told_apart_is_left_alone(tmp_path: Path) -> None:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance, pytest.raises(SettingError, match="old runs stay"):
        RunHistory(instance, {"ours"}, [KEY])
