"""Whatever an asset or a check shows is described and not empty, and its versions move with the content only."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from courtlistener_assets.download.streams import STREAMS
from courtlistener_assets.location import location
from tests.integration.pipeline_harness import MONTH, Pipeline

SHOWN = tomllib.loads((Path(__file__).parents[2] / "docs" / "metadata.toml").read_text(encoding="utf-8"))["shown"]
RUNS = (("court_month", MONTH), ("catch_up", "scotus"), ("undated", "scotus|undated"), ("show_failed_dockets", None),
        ("record_quota_usage", None), ("check_completeness", None), ("whole_streams", None))  # fmt: skip


@pytest.fixture
def pipeline_settings() -> Mapping[str, str]:
    return {"COURTLISTENER_STREAMS": "dockets,clusters,opinions,docket_entries,people"}


def pattern(name: str) -> re.Pattern[str]:
    return re.compile("".join("[a-z0-9_]+" if part.startswith("{") else re.escape(part)
                              for part in re.split(r"(\{\w+\})", name)))  # fmt: skip


def described(kind: str, name: str) -> list[re.Pattern[str]]:
    return [
        pattern(each)
        for one in SHOWN
        if any(pattern(of).fullmatch(name) for of in one.get(kind, []))
        for each in one["names"]
    ]


def events(pipeline: Pipeline, run_id: str) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for entry in pipeline.instance.all_logs(run_id):
        event = entry.dagster_event
        if event and event.is_step_materialization:
            found = event.step_materialization_data.materialization
            yield "assets", found.asset_key.path[-1], found.metadata
        elif event and event.is_asset_observation:
            seen = event.asset_observation_data.asset_observation
            yield "assets", seen.asset_key.path[-1], seen.metadata
        elif event and event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            yield "checks", event.asset_check_evaluation_data.check_name, event.asset_check_evaluation_data.metadata


def versions(pipeline: Pipeline) -> dict[tuple[str, str | None], tuple[str, str]]:
    """The versions of the code and of the content with which each partition was made the last time."""
    graph, found = pipeline.defs.resolve_asset_graph(), {}
    for key in graph.materializable_asset_keys:
        for record in pipeline.instance.fetch_materializations(key, limit=100, ascending=True).records:
            made = record.asset_materialization
            assert made
            tags = dict(made.tags or {})
            found[key.path[-1], made.partition] = (tags["dagster/code_version"], tags["dagster/data_version"])
            assert tags["dagster/code_version"] == graph.get(key).code_version
            assert record.run_id not in tags.values()
    return found


def test_all_that_is_shown_is_described_and_an_unchanged_content_keeps_its_version(pipeline: Pipeline) -> None:
    runs = [pipeline.run(job, partition, raise_on_error=True).run_id for job, partition in RUNS]
    first, seen = versions(pipeline), set()
    for kind, name, metadata in (event for run_id in runs for event in events(pipeline, run_id)):
        seen.add(name)
        known = described(kind, name)
        for label, value in metadata.items():
            if label.startswith("__"):
                continue
            assert any(each.fullmatch(label) for each in known), (name, label)
            assert value.value not in ({}, [], "", None), (name, label)
    assert seen > {
        "vector_inputs",
        "court_changes",
        "undated_dockets",
        "people",
        "quota_usage",
        "unique_ids",
        "completeness",
    }
    for job, partition in RUNS:
        if job not in ("record_quota_usage", "check_completeness"):  # The quota is another one, the sample may be.
            pipeline.run(job, partition, raise_on_error=True)
    again = versions(pipeline)
    assert {key for key in first if first[key] != again[key]} <= {("quota_usage", None), ("completeness", None)}
    assert len(first) >= 12


def test_every_asset_names_the_version_of_its_code() -> None:
    everything = {
        "COURTLISTENER_API_TOKEN": "described",
        "COURTLISTENER_STREAMS": ",".join(stream.name for stream in STREAMS),
        "COURTLISTENER_VECTOR_STORE": "pgvector:chunks",
        "COURTLISTENER_EMBED": "mine.embeddings:embed",
        "COURTLISTENER_CORPUS_COURTS": "all",
    }
    graph = location(everything).resolve_asset_graph()
    assert not [key for key in graph.materializable_asset_keys if not graph.get(key).code_version]
