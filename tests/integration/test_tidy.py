"""The job that deletes old runs: what is green stays green, and what was downloaded stays."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest
from dagster._core.event_api import PartitionKeyFilter

from courtlistener_assets.defs import tidy
from tests.integration.pipeline_harness import MONTH, Pipeline, stale_status

ASSETS = ("dockets", "clusters", "opinions", "docket_entries", "vector_inputs")


@pytest.fixture
def pipeline_settings(request: pytest.FixtureRequest) -> Mapping[str, str]:
    days = getattr(request, "param", "30")
    return {"COURTLISTENER_RUN_DAYS": days}


@pytest.fixture(autouse=True)
def _a_year_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tidy, "_now", lambda: datetime.now(UTC) + timedelta(days=365))


def shown(pipeline: Pipeline) -> dict[str, Any]:
    """What the UI says of the month: materializations, with their metadata and versions, and all checks."""
    found: dict[str, Any] = {}
    storage = pipeline.instance.event_log_storage
    checks = list(pipeline.defs.resolve_asset_graph().asset_check_keys)
    for asset in ASSETS:
        wanted = dg.AssetRecordsFilter(dg.AssetKey(asset), asset_partitions=[MONTH])
        record = pipeline.instance.fetch_materializations(wanted, limit=1).records[0]
        found[asset] = (record.run_id, record.asset_materialization)
    latest = storage.get_latest_asset_check_execution_by_key(checks, partition_filter=PartitionKeyFilter(key=MONTH))
    found |= {str(key): (one.run_id, one.status, one.event) for key, one in latest.items()}
    return found


def stored(pipeline: Pipeline) -> list[Any]:
    return pipeline.rows("SELECT stream, count(*), max(fetched_at) FROM courtlistener.records GROUP BY 1 ORDER BY 1")


def test_old_runs_go_what_is_green_stays_and_so_does_what_was_downloaded(pipeline: Pipeline) -> None:
    first = pipeline.run("court_month", MONTH, raise_on_error=True)
    last = pipeline.run("court_month", MONTH, raise_on_error=True)
    before = (shown(pipeline), stored(pipeline), {asset: pipeline.materialized(asset) for asset in ASSETS})
    events = len(pipeline.instance.all_logs(last.run_id))
    tidied = pipeline.run("tidy", raise_on_error=True)
    after = (shown(pipeline), stored(pipeline), {asset: pipeline.materialized(asset) for asset in ASSETS})
    assert after == before
    assert {run.run_id for run in pipeline.instance.get_runs()} == {last.run_id, tidied.run_id}
    assert not pipeline.instance.all_logs(first.run_id)
    assert len(pipeline.instance.all_logs(last.run_id)) == len(ASSETS) < events / 10


def test_what_was_made_from_an_unchanged_month_does_not_become_stale(pipeline: Pipeline) -> None:
    for job in ("court_month", "downloads"):
        pipeline.run(job, MONTH, raise_on_error=True)
    assert stale_status(pipeline) == "FRESH"
    pipeline.run("tidy", raise_on_error=True)
    assert stale_status(pipeline) == "FRESH"
    [(cluster,)] = pipeline.rows("SELECT min(id) FROM courtlistener.clusters WHERE court_id = 'scotus'")
    pipeline.simulator.corpus.touch("clusters", cluster, case_name="Roe v. Wade")
    pipeline.run("downloads", MONTH, raise_on_error=True)
    assert stale_status(pipeline) == "STALE"
    pipeline.run("tidy", raise_on_error=True)
    assert stale_status(pipeline) == "STALE"


@pytest.mark.parametrize("pipeline_settings", ["0"], indirect=True)
def test_runs_stay_for_ever_unless_a_number_of_days_is_set(pipeline: Pipeline) -> None:
    runs = [pipeline.run("show_failed_dockets", raise_on_error=True).run_id for _ in range(2)]
    events = [len(pipeline.instance.all_logs(run)) for run in runs]
    runs.append(pipeline.run("tidy", raise_on_error=True).run_id)
    assert {run.run_id for run in pipeline.instance.get_runs()} == set(runs)
    assert [len(pipeline.instance.all_logs(run)) for run in runs[:2]] == events
