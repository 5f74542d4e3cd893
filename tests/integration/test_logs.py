"""Log lines of real runs: every one says which run, asset, partition and docket it speaks of."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from courtlistener_assets import logs
from courtlistener_assets.devkit.simulator.faults import Fault
from tests.integration.pipeline_harness import MONTH, Pipeline

ROOT = Path(__file__).parents[2]


@pytest.fixture
def pipeline_settings(request: pytest.FixtureRequest) -> Iterator[Mapping[str, str]]:
    yield {"COURTLISTENER_LOG_FORMAT": "json", **getattr(request, "param", {})}
    logs.configure(logs.TEXT)


@pytest.fixture
def bad_docket(pipeline: Pipeline) -> int:
    """A docket that breaks every page which shows it."""
    corpus = pipeline.simulator.corpus
    docket = next(d for d in corpus.dockets if d["court_id"] == "scotus" and str(d["date_filed"])[:7] == "2024-01")
    pipeline.simulator.faults.add(Fault("poison", endpoint="dockets", object_id=docket["id"]))
    return int(docket["id"])


def documented_example() -> dict[str, Any]:
    page = (ROOT / "docs" / "traces-and-logs.md").read_text(encoding="utf-8")
    [example] = re.findall(r"^```json\n(.*)\n```$", page, re.MULTILINE)
    return dict(json.loads(example))


def run(pipeline: Pipeline, *assets: str, **options: Any) -> Any:
    return pipeline.run("court_month", MONTH, asset_selection=[dg.AssetKey(asset) for asset in assets], **options)


def lines_of(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """What was written to standard output, where nothing but JSON may stand."""
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_every_line_of_a_run_names_the_run_the_asset_and_the_partition(
    pipeline: Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    result = run(pipeline, "clusters", "vector_inputs")
    lines = lines_of(capsys)
    assert {(line["run_id"], line["job"]) for line in lines} == {(result.run_id, "court_month")}
    assert {line.get("asset", "of a check") for line in lines} == {"clusters", "vector_inputs", "of a check"}
    of_partitions = [line for line in lines if not line["event"].startswith(("step_", "run_", "log"))]
    assert {line["partition"] for line in of_partitions} == {MONTH}
    named = [line for line in lines if line["event"] != "log"]
    assert [line["event"] for line in named if line.get("asset") == "clusters"] == [
        "step_started", "page_stored", "page_stored", "partition_walked", "run_forecast", "run_totals", "step_succeeded"
    ]  # fmt: skip
    [first, second] = [line for line in lines if line["event"] == "page_stored"]
    assert (first["stream"], first["sweep"], first["records"], first["failures"]) == ("clusters", "dated", 20, 0)
    assert first["after_id"] < second["after_id"]
    assert all(line["timestamp"].endswith("Z") and line["level"] and line["message"] for line in lines)


def test_a_docket_that_fails_is_named(pipeline: Pipeline, bad_docket: int, capsys: pytest.CaptureFixture[str]) -> None:
    result = run(pipeline, "dockets")
    assert result.success
    failed = [line for line in lines_of(capsys) if line["event"] == "docket_failed"]
    assert {(line["docket_id"], line["stream"], line["partition"], line["run_id"]) for line in failed} == {
        (bad_docket, "dockets", MONTH, result.run_id)
    }
    assert {(line["level"], line["error"]) for line in failed} == {("warning", "TransientApiError")}
    assert {name: type(value) for name, value in failed[0].items()} == {
        name: type(value) for name, value in documented_example().items()
    }


@pytest.mark.parametrize("pipeline_settings", [{"COURTLISTENER_LOG_FORMAT": "text"}], indirect=True)
def test_a_docket_that_fails_is_named_in_the_runs_log_of_the_ui_too(
    pipeline: Pipeline, bad_docket: int, capsys: pytest.CaptureFixture[str]
) -> None:
    result = run(pipeline, "dockets")
    warnings = [
        entry
        for entry in pipeline.instance.all_logs(result.run_id)
        if entry.level == 30 and entry.step_key == "dockets"
    ]
    assert any(f"docket_id {bad_docket}" in entry.user_message for entry in warnings)
    assert capsys.readouterr().out == ""


def test_a_step_that_ends_with_an_error_says_which(pipeline: Pipeline, capsys: pytest.CaptureFixture[str]) -> None:
    pipeline.environ["COURTLISTENER_API_TOKEN"] = "wrong"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COURTLISTENER_API_TOKEN", "wrong")
        result = run(pipeline, "clusters")
    assert not result.success
    [failed] = [line for line in lines_of(capsys) if line["event"] == "step_failed"]
    assert (failed["level"], failed["asset"], failed["run_id"]) == ("error", "clusters", result.run_id)
    assert failed["error"] == "AuthenticationFailed"
    assert "COURTLISTENER_API_TOKEN" in failed["message"]


def test_warnings_from_below_carry_the_run_too(
    pipeline: Pipeline, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    result = run(pipeline, "clusters")
    assert result.success
    below = [line for line in lines_of(capsys) if line["logger"].startswith("resources.")]
    assert {(line["level"], line["event"], line["run_id"], line["asset"]) for line in below} == {
        ("warning", "log", result.run_id, "clusters")
    }
    assert any("Redis does not answer" in line["message"] for line in below)
