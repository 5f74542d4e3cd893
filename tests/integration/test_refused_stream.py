"""A stream that the account may not use: named, looked at again daily, and no reason to stop for the others."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from courtlistener_assets.devkit.simulator import damage, responses
from courtlistener_assets.devkit.simulator.faults import Fault
from resources.records.model import Failure, SweepKey
from tests.integration.pipeline_harness import MONTH, Pipeline

ENTRIES = "/api/rest/v4/docket-entries"


def refuse(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    no = responses.detail(403, "You do not have permission to perform this action.", "GET")
    monkeypatch.setattr(damage, "html", lambda *_: no)
    pipeline.simulator.faults.add(Fault("502", path_prefix=path))


def asked(pipeline: Pipeline, endpoint: str) -> int:
    return sum(entry.path.startswith(f"/api/rest/v4/{endpoint}/") for entry in pipeline.simulator.log)


def observations(pipeline: Pipeline, asset: str) -> list[Any]:
    records = pipeline.instance.fetch_observations(dg.AssetKey(asset), limit=10).records
    return [record.asset_observation for record in records]


def test_the_job_succeeds_and_vector_inputs_say_what_is_missing(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(pipeline, monkeypatch, ENTRIES)
    assert pipeline.run("court_month", MONTH).success
    assert asked(pipeline, "docket-entries") == 1
    assert pipeline.materialized("docket_entries") == set()
    assert pipeline.materialized("dockets") == pipeline.materialized("opinions") == {MONTH}
    said = [each.description or "" for each in observations(pipeline, "docket_entries")]
    assert any(each.startswith("docket-entries are not allowed for this account since") for each in said)
    [made] = pipeline.instance.fetch_materializations(dg.AssetKey("vector_inputs"), limit=1).records
    assert "docket-entries are not allowed" in str(made.asset_materialization.metadata["left_out"].value)


def test_it_is_not_asked_for_again_on_the_same_day_and_downloaded_once_it_is_allowed(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(pipeline, monkeypatch, ENTRIES)
    for _run in range(3):
        assert pipeline.run("downloads", MONTH).success
    assert asked(pipeline, "docket-entries") == 1
    assert pipeline.materialized("docket_entries") == set()

    pipeline.simulator.faults.clear()
    with pipeline.database.transaction() as connection:  # As if a day had passed.
        connection.execute("UPDATE courtlistener.servers SET endpoints = replace(endpoints::text, '20', '19')::jsonb")
    assert pipeline.run("downloads", MONTH).success
    assert pipeline.materialized("docket_entries") == {MONTH}
    assert pipeline.rows("SELECT endpoints FROM courtlistener.servers") == [({},)]


def test_a_catch_up_brings_the_others_and_names_what_it_leaves_out(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert pipeline.run("downloads", MONTH).success
    refuse(pipeline, monkeypatch, ENTRIES)
    assert pipeline.run("catch_up", "scotus").success
    [made] = pipeline.instance.fetch_materializations(dg.AssetKey("court_changes"), limit=1).records
    assert "docket-entries are not allowed" in str(made.asset_materialization.metadata["left_out"].value)


def test_an_account_that_may_use_nothing_is_told_so(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(pipeline, monkeypatch, "/api/rest/v4/")
    assert not pipeline.run("downloads", MONTH).success
    assert pipeline.materialized("dockets") == set()
    assert len(pipeline.simulator.log) <= 10


def test_a_catch_up_does_not_make_current_what_it_leaves_out(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert pipeline.run("downloads", MONTH).success
    with pipeline.database.transaction() as connection:  # As if that had been an hour ago: times are in seconds.
        connection.execute(
            "UPDATE courtlistener.sweeps SET watermark = watermark - interval '1 hour', "
            "walked_at = walked_at - interval '1 hour'"
        )
    audit = pipeline.resources()["courtlistener_records"].audit()
    before = audit.as_of("docket_entries", MONTH, ["filed"], "scotus")
    refuse(pipeline, monkeypatch, ENTRIES)
    assert pipeline.run("catch_up", "scotus").success
    assert audit.as_of("dockets", MONTH, ["filed", "decided"], "scotus") > before
    assert audit.as_of("docket_entries", MONTH, ["filed"], "scotus") <= before

    pipeline.simulator.faults.clear()
    with pipeline.database.transaction() as connection:  # As if a day had passed.
        connection.execute("UPDATE courtlistener.servers SET endpoints = replace(endpoints::text, '20', '19')::jsonb")
    assert pipeline.run("catch_up", "scotus").success
    assert audit.as_of("docket_entries", MONTH, ["filed"], "scotus") > before


def test_once_allowed_every_sweep_of_a_stream_is_asked_from_where_it_was_refused(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert pipeline.run("downloads", MONTH).success
    refuse(pipeline, monkeypatch, ENTRIES)
    for _run in range(2):
        assert pipeline.run("catch_up", "scotus").success
    pipeline.simulator.faults.clear()
    with pipeline.database.transaction() as connection:  # As if a day had passed.
        connection.execute("UPDATE courtlistener.servers SET endpoints = replace(endpoints::text, '20', '19')::jsonb")
    assert pipeline.run("catch_up", "scotus").success
    since = dict(
        pipeline.rows(
            "SELECT sweep, since FROM courtlistener.sweeps WHERE asset = 'court_changes' AND sweep ~ 'docket_e'"
        )
    )
    assert len(since) == 2
    assert since["docket_entries+recap_documents"] == since["docket_entries"]


def test_a_retry_of_a_refused_stream_waits_for_the_next_look(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert pipeline.run("downloads", MONTH).success
    store = pipeline.resources()["courtlistener_records"].open()
    key = SweepKey("docket_entries", MONTH, "filed")
    store.record_failure(key, Failure("TransientApiError", "500", object_id=5))
    refuse(pipeline, monkeypatch, ENTRIES)
    pipeline.make_due()
    [request] = pipeline.tick("retry_failed_dockets")
    assert not pipeline.launch(request).success
    [(tries, wait)] = pipeline.rows("SELECT tries, retry_after - now() FROM courtlistener.failures")
    assert tries == 1
    assert wait.total_seconds() > 23 * 3600
