"""Traces of real partition runs, as a real collector receives them over HTTP."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from courtlistener_assets.devkit.simulator.accounts import Account
from courtlistener_assets.devkit.simulator.faults import Fault
from resources.telemetry import tracing
from tests.integration.otlp_collector import Collector, Received, listening
from tests.integration.pipeline_harness import MONTH, Pipeline

ROOT = Path(__file__).parents[2]


@pytest.fixture
def collector() -> Iterator[Collector]:
    with listening() as collector:
        yield collector
        tracing.configure(None)


@pytest.fixture
def pipeline_settings(request: pytest.FixtureRequest, collector: Collector) -> Mapping[str, str]:
    """With a collector; a test may have other settings too."""
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, **getattr(request, "param", {})}


def select(*assets: str) -> dict[str, Any]:
    return {"asset_selection": [dg.AssetKey(asset) for asset in assets]}


def asks_usage(span: Received) -> bool:
    """Whether a request is one for the account's windows, which a client makes before its first page."""
    return span.name == "request" and str(span.attributes["url.path"]).endswith("/api-usage/")


def test_a_page_shows_its_permit_its_request_and_its_store(pipeline: Pipeline, collector: Collector) -> None:
    result = pipeline.run("downloads", MONTH, **select("dockets", "docket_entries"))
    assert result.success
    pages = collector.named("page")
    assert len(pages) > 3
    for page in pages:
        children = collector.children(page)
        requests = 1 + sum(map(asks_usage, children))
        assert Counter(child.name for child in children) == {"permit": requests, "request": requests, "store": 1}
    assert {sweep.parent for sweep in collector.named("sweep")} == {b""}
    assert {len(collector.children(span)) for span in collector.spans if span.name in ("permit", "request")} == {0}
    asked = [entry for entry in pipeline.simulator.log if entry.endpoint != "api-usage"]
    assert sum(not asks_usage(span) for span in collector.named("request")) == len(asked)


def test_every_walk_over_a_sweep_is_a_trace_of_its_own(pipeline: Pipeline, collector: Collector) -> None:
    months = {"dagster/asset_partition_range_start": MONTH, "dagster/asset_partition_range_end": "scotus|2024-02-01"}
    result = pipeline.run("downloads", tags=months, **select("dockets"))
    assert result.success
    sweeps = collector.named("sweep")
    assert sorted((sweep.value("partition"), sweep.value("sweep")) for sweep in sweeps) == [
        (month, sweep) for month in (MONTH, "scotus|2024-02-01") for sweep in ("decided", "filed")
    ]
    assert {(sweep.value("asset"), sweep.value("run_id")) for sweep in sweeps} == {("dockets", result.run_id)}
    traces = {sweep.trace for sweep in sweeps}
    assert len(traces) == len(sweeps)
    assert {span.trace for span in collector.spans} == traces


def test_the_spans_say_what_was_done(pipeline: Pipeline, collector: Collector) -> None:
    assert pipeline.run("downloads", MONTH, **select("clusters")).success
    [page, *_] = sorted(collector.named("page"), key=lambda page: page.value("after_id"))
    assert (page.value("stream"), page.value("after_id")) == ("clusters", 0)
    permit, request, store = (
        next(child for child in collector.children(page) if child.name == name and not asks_usage(child))
        for name in ("permit", "request", "store")
    )
    assert permit.value("holder") == "redis"
    assert permit.value("lane") == "backfill"
    assert permit.value("waited_ms") >= 0
    assert permit.value("quota_left.60s") > 0
    assert request.attributes == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "server.address": "127.0.0.1",
        "url.path": "/api/rest/v4/clusters/",
    }
    assert (store.value("records"), store.value("failures")) == (20, 0)
    assert collector.resources[0]["service.name"] == "courtlistener-assets"


def test_an_attempt_that_failed_and_the_one_after_it_are_told_apart(pipeline: Pipeline, collector: Collector) -> None:
    pipeline.simulator.faults.add(Fault("503", path_prefix="/api/rest/v4/clusters/", times=1))
    assert pipeline.run("downloads", MONTH, **select("clusters")).success
    [bad] = [span for span in collector.spans if span.failed]
    assert bad.name == "request"
    assert (bad.attributes["http.response.status_code"], bad.attributes["error.type"]) == (503, "503")
    [again] = [span for span in collector.named("request") if "http.request.resend_count" in span.attributes]
    assert again.parent == bad.parent
    assert again.attributes["http.request.resend_count"] == 1


DEFERRED = {
    "COURTLISTENER_API_TOKEN": "tiny-token",
    "COURTLISTENER_MAX_WAIT_SECONDS": "0.3",
    "COURTLISTENER_RATE_LIMITS": "2/hour",
    "COURTLISTENER_WORKERS": "1",
}


@pytest.mark.parametrize("pipeline_settings", [DEFERRED], indirect=True)
def test_a_run_that_is_deferred_leaves_its_traces_too(pipeline: Pipeline, collector: Collector) -> None:
    pipeline.simulator.accounts.add(Account("tiny", "tiny-token", "2/hour"))
    assert not pipeline.run("downloads", MONTH, **select("docket_entries")).success
    assert {(span.name, span.attributes["error.type"]) for span in collector.spans if span.failed} == {
        (name, "QuotaDeferred") for name in ("sweep", "page", "permit")
    }
    assert len(collector.named("store")) == 2


class Silent:
    """A collector that accepts connections and never answers."""

    def __enter__(self) -> str:
        self._socket = socket.create_server(("127.0.0.1", 0))
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def __exit__(self, *exception: object) -> None:
        self._socket.close()


def test_a_collector_that_does_not_answer_is_waited_for_once_and_briefly(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracing, "PATIENCE_SECONDS", 0.1)
    with Silent() as address:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
        tracing.configure(address)
        assert pipeline.run("downloads", MONTH, **select("clusters")).success
        began = time.monotonic()
        for _ in range(50):
            tracing.flush()
        assert time.monotonic() - began < 1.0
        tracing.configure(None)


def test_nothing_is_imported_and_nothing_recorded_without_an_endpoint() -> None:
    script = """
import sys
import courtlistener_assets.definitions
from resources.telemetry import tracing
with tracing.trace("sweep", {}) as sweep, tracing.span("page") as page:
    page.set_attributes({"a": 1})
    assert not sweep.is_recording() and not page.is_recording()
tracing.flush()
print([name for name in sys.modules if name.startswith(("opentelemetry.sdk.trace", "opentelemetry.exporter"))])
"""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=120, cwd=ROOT, env=environ
    )
    assert ended.stdout.strip() == "[]", ended.stderr


def test_a_variable_that_the_sdk_cannot_read_does_not_break_a_run(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "-1")
    assert pipeline.run("downloads", MONTH, **select("clusters")).success
    assert "nothing is traced: ValueError" in caplog.text


def test_a_missing_sdk_is_told_once_and_the_run_goes_on(
    pipeline: Pipeline, collector: Collector, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    assert pipeline.run("downloads", MONTH, **select("clusters", "opinions")).success
    told = [record.getMessage() for record in caplog.records if "OTEL_EXPORTER_OTLP_ENDPOINT" in record.getMessage()]
    assert len(told) == 1
    assert "the extra `otel`" in told[0]
    assert collector.spans == []
