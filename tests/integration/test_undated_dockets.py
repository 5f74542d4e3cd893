"""Dockets without a date that have filings: found by these, counted, and moved to their month when they get a date."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg
import pytest

from courtlistener_assets.devkit.simulator.faults import Fault
from courtlistener_assets.operations.status import read_status
from courtlistener_assets.settings import Settings
from tests.integration.pipeline_harness import MONTH, Pipeline

PARTITION = "scotus|undated"


@pytest.fixture
def undated(pipeline: Pipeline) -> list[int]:
    """Two dockets with filings but neither date nor decision; returns their ids."""
    corpus = pipeline.simulator.corpus
    having = [
        docket
        for docket in corpus.dockets
        if docket["court_id"] == "scotus"
        and (docket["date_filed"] or "")[:7] == "2024-01"
        and not docket["clusters"]
        and corpus.children("docket-entries", "docket", docket["id"])
    ][:2]
    for docket in having:
        corpus.date_docket(docket["id"], None, touched=False)
    return sorted(docket["id"] for docket in having)


def entries_of(pipeline: Pipeline, *dockets: int) -> list[int]:
    corpus = pipeline.simulator.corpus
    return sorted(entry["id"] for id in dockets for entry in corpus.children("docket-entries", "docket", id))


def find(pipeline: Pipeline, **options: Any) -> Mapping[str, Any]:
    """Look for a court's; returns the metadata."""
    result = pipeline.run("undated", PARTITION, raise_on_error=True, **options)
    [event] = result.asset_materializations_for_node("undated_dockets")
    return {name: value.value for name, value in event.metadata.items()}


def stored(pipeline: Pipeline, table: str) -> list[int]:
    return [id for (id,) in pipeline.rows(f"SELECT id FROM courtlistener.{table} WHERE gone_at IS NULL ORDER BY id")]


def test_they_are_found_by_their_filings_and_counted(pipeline: Pipeline, undated: list[int]) -> None:
    metadata = find(pipeline)
    assert stored(pipeline, "dockets") == undated
    assert stored(pipeline, "docket_entries") == entries_of(pipeline, *undated)
    documents = pipeline.rows("SELECT count(*), count(DISTINCT court_id) FROM courtlistener.recap_documents")
    assert documents == [(metadata["stored_recap_documents"], 1)]
    assert metadata["stored_undated_dockets"] == len(undated)
    assert metadata["stored_docket_entries"] == len(entries_of(pipeline, *undated))
    assert metadata["requests"] == metadata["requested_pages"] + len(undated)  # The dockets come one by one.
    assert pipeline.materialized("undated_dockets") == {PARTITION}


@pytest.mark.parametrize("ends", [{}, {"COURTLISTENER_LAST_MONTH": "2024-01"}])
def test_the_cost_of_a_full_refresh_counts_them(
    pipeline: Pipeline, undated: list[int], ends: Mapping[str, str]
) -> None:
    pages = find(pipeline)["requested_pages"]
    settings = Settings.from_environ({**pipeline.environ, **ends})
    assert read_status(settings, pipeline.database).full_walks == (1, pages)


def test_where_nothing_changed_it_costs_two_requests(pipeline: Pipeline, undated: list[int]) -> None:
    find(pipeline)
    assert find(pipeline)["requests"] == 2


def test_a_document_whose_text_comes_later_is_found(pipeline: Pipeline, undated: list[int]) -> None:
    find(pipeline)
    [id] = pipeline.rows("SELECT min(id) FROM courtlistener.recap_documents")[0]
    pipeline.simulator.corpus.touch("recap-documents", id, plain_text="as scanned")
    find(pipeline)
    [(text,)] = pipeline.rows(f"SELECT body->>'plain_text' FROM courtlistener.recap_documents WHERE id = {id}")
    assert text == "as scanned"


def test_one_that_gets_its_date_moves_to_its_month_with_all_that_was_filed_in_it(
    pipeline: Pipeline, undated: list[int]
) -> None:
    assert pipeline.run("downloads", MONTH).success
    find(pipeline)
    pipeline.simulator.corpus.date_docket(undated[0], "2024-01-15")
    assert pipeline.run("downloads", MONTH).success
    stale = [partition for (partition,) in pipeline.rows("SELECT partition FROM courtlistener.stale_partitions")]
    assert MONTH in stale
    metadata = find(pipeline)
    assert metadata["stored_undated_dockets"] == 1
    assert metadata["stored_docket_entries"] == len(entries_of(pipeline, undated[1]))
    assert set(entries_of(pipeline, undated[0])) <= set(stored(pipeline, "docket_entries"))


def test_a_full_refresh_finds_what_was_deleted(pipeline: Pipeline, undated: list[int]) -> None:
    find(pipeline)
    lost = entries_of(pipeline, undated[0])[0]
    pipeline.simulator.corpus.delete("docket-entries", lost)
    metadata = find(pipeline, run_config={"ops": {"undated_dockets": {"config": {"full_refresh": True}}}})
    assert metadata["looked_up_and_gone"] == 1
    assert lost not in stored(pipeline, "docket_entries")


def test_a_failure_is_retried_in_its_partition(pipeline: Pipeline, undated: list[int]) -> None:
    entry = entries_of(pipeline, *undated)[0]
    pipeline.simulator.faults.add(Fault("poison", endpoint="docket-entries", object_id=entry))
    assert find(pipeline)["failed_objects"] >= 1
    assert entry not in stored(pipeline, "docket_entries")
    pipeline.simulator.faults.clear()
    pipeline.make_due()
    [request] = pipeline.tick("retry_failed_dockets")
    assert (request.job_name, request.partition_key) == ("undated", PARTITION)
    assert pipeline.launch(request).success
    assert entry in stored(pipeline, "docket_entries")


def test_one_that_the_quota_has_no_room_for_is_resumed(pipeline: Pipeline, undated: list[int]) -> None:
    nobody = "00000000-0000-0000-0000-000000000000"
    deferrals = pipeline.backlog.deferrals
    deferrals.record("undated_dockets", [PARTITION], wait_seconds=0.0, reason="QuotaDeferred", run_id=nobody)
    [request] = pipeline.tick("resume_deferred")
    assert (request.job_name, request.partition_key) == ("undated", PARTITION)
    assert pipeline.launch(request).success
    assert deferrals.all() == []


def test_there_are_none_without_docket_entries(pipeline: Pipeline) -> None:
    from courtlistener_assets.location import location

    found = location({**pipeline.environ, "COURTLISTENER_STREAMS": "dockets,clusters,opinions"})
    assert dg.AssetKey("undated_dockets") not in found.resolve_asset_graph().get_all_asset_keys()


def test_their_text_is_prepared_and_checked_and_made_again_when_it_changes(
    pipeline: Pipeline, undated: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("courtlistener_assets.defs.sensors.rebuild_touched_months.QUIET_SECONDS", 0.0)
    result = pipeline.run("undated", PARTITION, raise_on_error=True)
    [event] = result.asset_materializations_for_node("undated_vector_inputs")
    assert event.metadata["documents"].value > 0
    found = result.get_asset_check_evaluations()
    about_text = {each.check_name for each in found if each.asset_key == dg.AssetKey("undated_vector_inputs")}
    assert {"unique_ids", "no_empty_text", "within_budget"} <= about_text
    assert all(each.passed for each in found)
    assert pipeline.tick("rebuild_touched_months") == []
    entry = entries_of(pipeline, undated[0])[0]
    pipeline.simulator.corpus.touch("docket-entries", entry, description="as corrected")
    find(pipeline, asset_selection=[dg.AssetKey("undated_dockets")])
    [request] = pipeline.tick("rebuild_touched_months")
    assert (request.job_name, request.partition_key) == ("rebuild_undated_vector_inputs", PARTITION)
    assert pipeline.launch(request).success
    assert pipeline.tick("rebuild_touched_months") == []
