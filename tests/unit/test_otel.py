"""The collector's configurations in deploy/otel/, without a collector: what they refer to, and what our side sends."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from resources.telemetry import tracing
from tests.integration.otlp_collector import listening

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "deploy" / "otel").glob("*.yaml"))
PAGE = (ROOT / "docs" / "traces-and-logs.md").read_text(encoding="utf-8")
#: What a collector has; a key that is not here is a typing error.
SECTIONS = {"receivers": dict, "processors": dict, "exporters": dict, "service": dict}
KINDS = {"receivers": {"otlp", "filelog"}, "processors": {"memory_limiter", "batch", "resource"},
         "exporters": {"otlp", "otlphttp"}}  # fmt: skip


def loaded(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_pipelines_are_made_of_what_is_configured_and_nothing_is_left_over(path: Path) -> None:
    config = loaded(path)
    assert {name: type(value) for name, value in config.items()} == SECTIONS
    pipelines = config["service"]["pipelines"]
    for section, kinds in KINDS.items():
        assert set(config[section]) <= kinds
        assert {each for pipeline in pipelines.values() for each in pipeline[section]} == set(config[section])
    # As its documentation wants it: the limiter first, batches last.
    assert all(each["processors"][0] == "memory_limiter" for each in pipelines.values())
    assert all(each["processors"][-1] == "batch" for each in pipelines.values())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_page_names_the_file_and_its_variables_and_the_port_that_runs_are_told(path: Path) -> None:
    assert f"deploy/otel/{path.name}" in PAGE
    for name in re.findall(r"\$\{env:(\w+)\}", path.read_text(encoding="utf-8")):
        assert f"`{name}`" in PAGE
    port = loaded(path)["receivers"]["otlp"]["protocols"]["http"]["endpoint"].rpartition(":")[2]
    assert f"OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:{port}" in PAGE


def test_no_secret_is_written_down() -> None:
    [header] = re.findall(r"Authorization: (.*)", (ROOT / "deploy" / "otel" / "elastic.yaml").read_text())
    assert header == "ApiKey ${env:ELASTIC_API_KEY}"


def test_a_line_of_ours_has_what_the_collector_takes_from_it() -> None:
    [operator, trace] = loaded(ROOT / "deploy" / "otel" / "elastic.yaml")["receivers"]["filelog"]["operators"]
    [line] = re.findall(r"^```json\n\{\"timestamp\": \"(.*?)\", \"level\": \"(\w+)\"", PAGE, re.MULTILINE)
    assert operator["timestamp"]["parse_from"] == "attributes.timestamp"
    assert operator["severity"]["parse_from"] == "attributes.level"
    assert line[1] in {"debug", "info", "warning", "error", "critical"}
    # Go writes a layout with its birthday: the same text, read by Go's rule, must be a moment.
    assert operator["timestamp"]["layout"] == "2006-01-02T15:04:05.999999Z07:00"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,6}Z", line[0])
    assert datetime.fromisoformat(line[0]).tzinfo
    assert (trace["trace_id"]["parse_from"], trace["span_id"]["parse_from"]) == (
        "attributes.trace_id",
        "attributes.span_id",
    )


def test_spans_go_to_the_path_that_every_receiver_of_otlp_has_with_the_headers_that_were_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=ApiKey%20abc")
    with listening() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        try:
            tracing.configure(collector.url)
            with tracing.trace("sweep", {"courtlistener.sweep": "filed"}):
                pass
            tracing.flush()
        finally:
            tracing.configure(None)
    assert [span.name for span in collector.spans] == ["sweep"]
    assert {path for path, _ in collector.asked} == {"/v1/traces"}
    assert {headers["content-type"] for _, headers in collector.asked} == {"application/x-protobuf"}
    assert {headers["authorization"] for _, headers in collector.asked} == {"ApiKey abc"}
