"""The Dagster instance of a checkout, on a real Postgres."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.dagster_run import DagsterRun

from courtlistener_assets.defs.names import API_POOL
from courtlistener_assets.devkit.session.instance import end_abandoned_runs, open_instance, write_instance


@pytest.fixture
def instance(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    # open_instance sets them for this process.
    for name in ("DAGSTER_HOME", "DAGSTER_POSTGRES_URL"):
        monkeypatch.setenv(name, "")
    write_instance(tmp_path, workers=3)
    with open_instance(tmp_path, database_url) as first:
        assert first.run_storage is not None
    # Once more, as every start after the first does.
    with open_instance(tmp_path, database_url) as again:
        yield again


def run_in(instance: dg.DagsterInstance, status: dg.DagsterRunStatus) -> str:
    """A run as it stands in the storage when its process has been killed."""
    run = DagsterRun(job_name="court_month", status=status)
    instance.add_run(run)
    return run.run_id


def status_of(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRunStatus:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status


def test_its_storage_is_postgres_and_it_sends_no_telemetry(instance: dg.DagsterInstance) -> None:
    assert type(instance.run_storage).__name__ == "PostgresRunStorage"
    assert instance.telemetry_enabled is False
    assert instance.nux_enabled is False


def test_the_pool_of_the_downloads_has_a_place_for_each_worker(instance: dg.DagsterInstance) -> None:
    [limit] = [each for each in instance.event_log_storage.get_pool_limits() if each.name == API_POOL]
    assert limit.limit == 3


def test_a_killed_run_is_ended_and_gives_its_place_in_the_pool_back(instance: dg.DagsterInstance) -> None:
    storage = instance.event_log_storage
    killed = [run_in(instance, dg.DagsterRunStatus.STARTED) for _ in range(3)]
    for run_id in killed:
        assert storage.claim_concurrency_slot(API_POOL, run_id, "dockets").is_claimed
    newcomer = run_in(instance, dg.DagsterRunStatus.NOT_STARTED)
    assert not storage.claim_concurrency_slot(API_POOL, newcomer, "dockets").is_claimed

    assert end_abandoned_runs(instance) == 3

    assert {status_of(instance, run_id) for run_id in killed} == {dg.DagsterRunStatus.FAILURE}
    assert storage.claim_concurrency_slot(API_POOL, newcomer, "dockets").is_claimed


def test_runs_that_have_not_begun_or_have_ended_stay_as_they_are(instance: dg.DagsterInstance) -> None:
    kept = [dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.CANCELED]
    runs = {run_in(instance, status): status for status in kept}
    assert end_abandoned_runs(instance) == 0
    assert {run_id: status_of(instance, run_id) for run_id in runs} == runs
