"""Runs while CourtListener is down: deferred at once until the next probe, nobody is blamed, and one goes on first."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from courtlistener_assets.devkit.simulator.faults import Fault
from tests.integration.pipeline_harness import MONTH, Pipeline

RANGE = {"dagster/asset_partition_range_start": MONTH, "dagster/asset_partition_range_end": "scotus|2024-12-01"}


@pytest.fixture
def pipeline_settings() -> Mapping[str, str]:
    return {"COURTLISTENER_WORKERS": "4"}


def failure_of(result: Any) -> Any:
    failed = [event for event in result.all_events if event.event_type_value == "STEP_FAILURE"]
    return failed[0].step_failure_data.user_failure_data


def charged(pipeline: Pipeline) -> int:
    return sum(not entry.path.startswith("/api/rest/v4/api-usage") for entry in pipeline.simulator.log)


def test_all_months_of_a_run_are_deferred_for_one_request_and_downloaded_when_it_is_over(pipeline: Pipeline) -> None:
    pipeline.simulator.faults.add(Fault("500"))
    result = pipeline.run("downloads", tags=RANGE)
    assert not result.success
    assert charged(pipeline) == 1
    said = failure_of(result).description
    assert "CourtListener is down since" in said
    assert "500 Internal Server Error" in said
    assert "The next probe is at" in said
    assert not any(event.event_type_value == "STEP_UP_FOR_RETRY" for event in result.all_events)
    assert pipeline.rows("SELECT count(*) FROM courtlistener.failures") == [(0,)]
    deferred = pipeline.rows("SELECT DISTINCT asset, deferred_until FROM courtlistener.deferrals ORDER BY 1")
    assert deferred
    assert all(550 < (until - datetime.now(UTC)).total_seconds() <= 600 for _, until in deferred)

    assert not pipeline.run("downloads", "scotus|2024-05-01").success  # Another run learns it from Postgres.
    assert charged(pipeline) == 1

    pipeline.simulator.faults.clear()
    with pipeline.database.transaction() as connection:
        connection.execute("UPDATE courtlistener.servers SET probe_at = now()")
    assert pipeline.run("downloads", tags=RANGE).success
    assert len(pipeline.materialized("dockets")) == 12
    assert pipeline.rows("SELECT down_since FROM courtlistener.servers") == [(None,)]


def test_while_it_is_down_one_run_is_resumed_for_each_probe(pipeline: Pipeline) -> None:
    pipeline.simulator.faults.add(Fault("500"))
    assert not pipeline.run("downloads", tags=RANGE).success
    pipeline.make_due()
    assert pipeline.tick("resume_deferred") == []

    with pipeline.database.transaction() as connection:
        connection.execute("UPDATE courtlistener.servers SET probe_at = now()")
    [probing] = pipeline.tick("resume_deferred")
    assert not pipeline.launch(probing).success
    pipeline.make_due()
    assert pipeline.tick("resume_deferred") == []

    pipeline.simulator.faults.clear()
    with pipeline.database.transaction() as connection:
        connection.execute("UPDATE courtlistener.servers SET probe_at = now()")
    [probing] = pipeline.tick("resume_deferred")
    assert pipeline.launch(probing).success
    assert len(pipeline.tick("resume_deferred")) > 1


def test_a_retry_that_meets_an_outage_costs_its_dockets_no_try(pipeline: Pipeline) -> None:
    pipeline.simulator.faults.add(Fault("poison", endpoint="dockets", object_id=_docket(pipeline)))
    assert pipeline.run("downloads", MONTH).success
    tries = pipeline.rows("SELECT tries FROM courtlistener.failures")
    pipeline.make_due()
    [request] = pipeline.tick("retry_failed_dockets")
    pipeline.simulator.faults.add(Fault("500"))
    assert not pipeline.launch(request).success
    assert pipeline.rows("SELECT tries FROM courtlistener.failures WHERE claimed_by IS NULL") == tries


def _docket(pipeline: Pipeline) -> int:
    dockets = pipeline.simulator.corpus.dockets
    return next(
        docket["id"]
        for docket in dockets
        if docket["court_id"] == "scotus" and (docket["date_filed"] or "").startswith("2024-01")
    )
