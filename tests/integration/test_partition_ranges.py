"""A range of partitions that selects nothing, or what there is not, is an error that says what to write."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

import dagster as dg
import pytest

from courtlistener_assets.defs.assets.partitioning import RANGE_END, RANGE_START
from courtlistener_assets.download.partitions import number_of_months
from courtlistener_assets.location import location
from tests.integration.pipeline_harness import Pipeline

#: Near, since Dagster plans every partition of a range.
NOW, TOO_LATE = (f"scotus|{datetime.now(UTC).year + years}-01-01" for years in (0, 2))
RANGES = [
    ("downloads", "scotus|2024-03-01", "scotus|2024-01-01", "Write scotus|2024-01-01...scotus|2024-03-01"),
    ("downloads", "ca9|2024-03-01", "scotus|2024-01-01", "Write scotus|2024-01-01...ca9|2024-03-01"),
    ("downloads", NOW, TOO_LATE, f"has no partition '{TOO_LATE}'"),
    ("rebuild_vector_inputs", "scotus|2024-03-01", "scotus|2024-01-01", "Write scotus|2024-01-01...scotus|2024-03-01"),
    ("undated", "ca9|undated", "scotus|undated", "Write scotus|undated...ca9|undated"),
    ("catch_up", "ca9", "scotus", "Write scotus...ca9"),
]


def launched(pipeline: Pipeline, job: str, start: str, end: str) -> Any:
    """A run over a range, as the UI and `dg launch --partition-range` start it."""
    return pipeline.run(job, tags={RANGE_START: start, RANGE_END: end})


@pytest.mark.parametrize(("job", "start", "end", "says"), RANGES, ids=lambda value: f"{value:.40}")
def test_a_range_without_work_fails_and_says_which_order_is_meant(
    pipeline: Pipeline, job: str, start: str, end: str, says: str
) -> None:
    result = launched(pipeline, job, start, end)
    assert not result.success
    failed = result.get_step_failure_events()
    assert failed
    for event in failed:
        description = event.step_failure_data.user_failure_data.description
        assert says in description
        assert "in the order of COURTLISTENER_COURTS (scotus" in description
    events = {event.event_type_value for event in result.all_events}
    assert not events & {"ASSET_MATERIALIZATION", "STEP_UP_FOR_RETRY"}
    assert pipeline.simulator.log == []


def test_a_range_in_order_is_downloaded(pipeline: Pipeline) -> None:
    assert launched(pipeline, "downloads", "scotus|2024-01-01", "ca9|2024-02-01").success
    months = {f"{court}|2024-0{month}-01" for court in ("scotus", "ca9") for month in (1, 2)}
    assert pipeline.materialized("dockets") == months


def test_a_backfill_of_a_job_is_its_whole_range_and_not_only_the_first_partition(pipeline: Pipeline) -> None:
    """Dagster's daemon leaves the parts of the first partition on such a run, and shows all of the range as done."""
    first = {"dagster/partition/court": "ca9", "dagster/partition/month": "2024-01-01"}
    tags = {RANGE_START: "ca9|2024-01-01", RANGE_END: "ca9|2024-02-01", **first}
    assert pipeline.run("court_month", tags=tags).success
    for asset in ("dockets", "clusters", "opinions", "docket_entries", "vector_inputs"):
        assert pipeline.materialized(asset) == {"ca9|2024-01-01", "ca9|2024-02-01"}
    for asset, check in (("dockets", "complete_and_current"), ("vector_inputs", "no_empty_text")):
        key = dg.AssetCheckKey(dg.AssetKey(asset), check)
        done = pipeline.instance.event_log_storage.get_asset_check_execution_history(key, limit=10)
        assert {each.partition for each in done} == {"ca9|2024-01-01", "ca9|2024-02-01"}, check


def test_a_range_of_one_partition_is_that_partition(pipeline: Pipeline) -> None:
    assert launched(pipeline, "downloads", "ca9|2024-02-01", "ca9|2024-02-01").success
    assert pipeline.materialized("dockets") == {"ca9|2024-02-01"}


def test_dagster_refuses_a_range_with_a_court_that_there_is_not(pipeline: Pipeline) -> None:
    with pytest.raises(dg.DagsterInvalidInvocationError, match="nope"):
        launched(pipeline, "downloads", "nope|2024-01-01", "scotus|2024-01-01")


# --- too many partitions ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "today", "months"),
    [
        (date(2024, 1, 1), date(2024, 1, 31), 1),
        (date(2023, 12, 1), date(2024, 1, 1), 2),
        (date(1950, 1, 1), date(2026, 11, 26), 923),
        (date(2030, 1, 1), date(2024, 1, 1), 0),
    ],
)
def test_months_are_counted_with_the_current_one(first: date, today: date, months: int) -> None:
    assert number_of_months(first, today) == months


@pytest.fixture
def variables() -> Mapping[str, str]:
    return {"COURTLISTENER_API_TOKEN": "t", "POSTGRES_URL": "postgresql://localhost:1/none"}


def test_more_than_a_hundred_thousand_partitions_are_a_warning_with_the_number(
    variables: Mapping[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    courts = [f"court{number}" for number in range(200)]
    location({**variables, "COURTLISTENER_COURTS": ",".join(courts), "COURTLISTENER_FIRST_MONTH": "1950-01"})
    number = 200 * number_of_months(date(1950, 1, 1), datetime.now(UTC).date())
    [said] = [record.getMessage() for record in caplog.records if "partitions of each asset" in record.getMessage()]
    assert f"200 courts from 1950-01 make {number:,} partitions of each asset, more than 100,000" in said
    assert "COURTLISTENER_FIRST_MONTH" in said


def test_a_usual_location_warns_of_nothing(variables: Mapping[str, str], caplog: pytest.LogCaptureFixture) -> None:
    location({**variables, "COURTLISTENER_COURTS": "scotus,ca9"})
    assert [record for record in caplog.records if record.name.startswith("courtlistener_assets")] == []
