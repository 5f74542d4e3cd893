"""Streams beyond those of a location that does not choose: oral arguments, people, and one that a test adds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import dagster as dg
import pyarrow.parquet as pq
import pytest

from courtlistener_assets.devkit.simulator.expected import expected, oral_arguments
from courtlistener_assets.devkit.simulator.faults import Fault
from courtlistener_assets.download import streams
from courtlistener_assets.download.partitions import Selection
from courtlistener_assets.download.stream import Body, Sweep, id_in, month_sweep
from courtlistener_assets.download.streams import OPINION, OPINIONS
from resources.records.model import Record
from resources.records.tables import Table
from tests.integration.pipeline_harness import MONTH, Pipeline

ALL = "dockets,clusters,opinions,docket_entries,oral_arguments,people"


@pytest.fixture
def pipeline_settings(request: pytest.FixtureRequest) -> Mapping[str, str]:
    """All streams, or what the test's mark `parametrize` says."""
    return getattr(request, "param", {"COURTLISTENER_STREAMS": ALL})


def settings(**values: str) -> Any:
    """These settings for a test, instead of all streams."""
    given = {f"COURTLISTENER_{name}": value for name, value in values.items()}
    return pytest.mark.parametrize("pipeline_settings", [given], indirect=True)


def ids(pipeline: Pipeline, table: str, condition: str = "gone_at IS NULL") -> list[int]:
    query = f"SELECT id FROM courtlistener.records WHERE stream = '{table}' AND {condition} ORDER BY id"
    return [id for (id,) in pipeline.rows(query)]


def bodies(pipeline: Pipeline, table: str) -> list[dict[str, Any]]:
    return [body for (body,) in pipeline.rows(f"SELECT body FROM courtlistener.records WHERE stream = '{table}'")]


def chunks(pipeline: Pipeline) -> list[dict[str, Any]]:
    root = Path(pipeline.environ["COURTLISTENER_DATA_DIR"])
    file = root / "vector_inputs" / "court=scotus" / "month=2024-01" / "chunks.parquet"
    return list(pq.ParquetFile(file).read().to_pylist())


def checks(result: Any) -> dict[str, bool]:
    return {evaluation.check_name: evaluation.passed for evaluation in result.get_asset_check_evaluations()}


def asked(pipeline: Pipeline, endpoint: str) -> list[dict[str, list[str]]]:
    """The queries that the simulator has got for an endpoint."""
    entries = [entry for entry in pipeline.simulator.truth.entries if entry.endpoint == endpoint]
    return [parse_qs(urlsplit(entry.path).query) for entry in entries]


def truth(pipeline: Pipeline) -> dict[str, Any]:
    found: dict[str, Any] = expected(pipeline.simulator.corpus, ["scotus"], "2024-01", "2024-01")["ids"]
    return found


def arguments_of(pipeline: Pipeline) -> list[int]:
    return [audio["id"] for audio in oral_arguments(pipeline.simulator.corpus, "scotus", "2024-01")]


# --- oral arguments -------------------------------------------------------------------------------------------------


def test_a_months_oral_arguments_are_stored_with_their_dockets_and_their_transcripts_become_chunks(
    pipeline: Pipeline,
) -> None:
    result = pipeline.run("court_month", MONTH, raise_on_error=True)
    arguments = arguments_of(pipeline)
    assert ids(pipeline, "oral_arguments") == arguments != []
    assert pipeline.materialized("oral_arguments") == {MONTH}
    spoken = {body["id"]: body for body in bodies(pipeline, "oral_arguments") if body["stt_transcript"]}
    assert 0 < len(spoken) < len(arguments)
    rows = [row for row in chunks(pipeline) if row["doc_type"] == "oral_argument"]
    assert {row["document_id"] for row in rows} == set(spoken)
    dockets = {body["id"]: body for body in bodies(pipeline, "dockets")}
    for id, body in spoken.items():
        [*own] = [row for row in rows if row["document_id"] == id]
        docket = dockets[own[0]["docket_id"]]
        assert "".join(row["text"] for row in own).split() == body["stt_transcript"].split()
        assert {str(row["date_filed"]) for row in own} == {docket["date_argued"]}
        assert {(row["case_name"], row["docket_number"]) for row in own} == {
            (docket["case_name"], docket["docket_number"])
        }
        assert own[0]["context_header"].endswith(f"| Oral argument before {body['judges']}")
        assert {(row["opinion_id"], row["cluster_id"], row["text_source"]) for row in own} == {
            (None, None, "stt_transcript")
        }
    assert checks(result)["every_oral_argument_has_chunks"]
    assert checks(result)["every_opinion_has_chunks"]


def test_what_is_stored_of_every_stream_is_what_the_server_counts(pipeline: Pipeline) -> None:
    pipeline.run("downloads", MONTH, raise_on_error=True)
    pipeline.run("whole_streams", raise_on_error=True)
    result = pipeline.run("check_completeness", raise_on_error=True)
    found = checks(result)
    assert set(found) == {
        *(f"{name}_complete" for name in ALL.split(",")),
        *("clusters_have_dockets", "opinions_have_clusters", "docket_entries_have_dockets"),
        "oral_arguments_have_dockets",
    }
    assert all(found.values()), found


def test_a_changed_transcript_comes_with_a_catch_up_and_makes_its_month_stale(pipeline: Pipeline) -> None:
    pipeline.run("court_month", MONTH, raise_on_error=True)
    argument = arguments_of(pipeline)[0]
    said = "May it please the Court."
    pipeline.simulator.corpus.touch("audio", argument, stt_transcript=said)
    result = pipeline.run("catch_up", "scotus", raise_on_error=True)
    [event] = result.asset_materializations_for_node("court_changes")
    assert event.metadata["oral_arguments_modified"].value == 1
    assert event.metadata["requests"].value == 6
    assert (MONTH,) in pipeline.rows("SELECT partition FROM courtlistener.stale_partitions")
    pipeline.run("rebuild_vector_inputs", MONTH, raise_on_error=True)
    [row] = [row for row in chunks(pipeline) if (row["doc_type"], row["document_id"]) == ("oral_argument", argument)]
    assert row["text"] == said


# --- people ---------------------------------------------------------------------------------------------------------


def test_people_are_downloaded_whole_and_then_only_those_that_changed(pipeline: Pipeline) -> None:
    pipeline.run("whole_streams", raise_on_error=True)
    everybody = [person["id"] for person in pipeline.simulator.corpus.table("people")]
    assert ids(pipeline, "people") == everybody
    assert len(asked(pipeline, "people")) == 3
    changed = pipeline.simulator.corpus.touch("people", everybody[7], religion="Quaker")
    result = pipeline.run("whole_streams", raise_on_error=True)
    [event] = result.asset_materializations_for_node("people")
    assert (event.partition, event.metadata["downloaded_objects"].value, event.metadata["requested_pages"].value) == (
        None,
        1,
        1,
    )
    assert "date_modified__gte" in asked(pipeline, "people")[-1]
    assert [body["religion"] for body in bodies(pipeline, "people") if body["id"] == changed["id"]] == ["Quaker"]


def test_people_that_are_gone_are_found_by_a_full_refresh(pipeline: Pipeline) -> None:
    pipeline.run("whole_streams", raise_on_error=True)
    gone = ids(pipeline, "people")[4]
    del pipeline.simulator.corpus._tables["people"][gone]
    pipeline.simulator.corpus.version += 1
    config = {"ops": {"people": {"config": {"full_refresh": True}}}}
    pipeline.run("whole_streams", run_config=config, raise_on_error=True)
    assert ids(pipeline, "people", "gone_reason = 'not found (404)'") == [gone]


def test_dockets_are_no_way_to_choose_people(pipeline: Pipeline) -> None:
    config = {"ops": {"people": {"config": {"docket_ids": [7]}}}}
    result = pipeline.run("whole_streams", run_config=config)
    [failure] = [event for event in result.all_events if event.is_step_failure]
    assert "belong to no docket" in failure.event_specific_data.user_failure_data.description
    assert asked(pipeline, "people") == []


def test_a_person_that_breaks_its_page_is_retried_by_the_sensor(pipeline: Pipeline) -> None:
    broken = pipeline.simulator.corpus.table("people")[3]["id"]
    pipeline.simulator.faults.add(Fault("poison", endpoint="people", object_id=broken))
    pipeline.run("whole_streams", raise_on_error=True)
    assert broken not in ids(pipeline, "people")
    pipeline.simulator.faults.clear()
    pipeline.make_due()
    [request] = pipeline.tick("retry_failed_dockets")
    assert (request.job_name, request.partition_key) == ("whole_streams", None)
    assert pipeline.launch(request).success
    assert broken in ids(pipeline, "people")
    assert pipeline.rows("SELECT count(*) FROM courtlistener.failures WHERE resolved_at IS NULL") == [(0,)]


def test_deferred_people_are_resumed(pipeline: Pipeline) -> None:
    for asset in ("people", "bankruptcies"):
        pipeline.backlog.deferrals.record(asset, ["all"], wait_seconds=-1, reason="quota", run_id=str(uuid4()))
    [request] = pipeline.tick("resume_deferred")
    assert (request.job_name, request.partition_key) == ("whole_streams", None)
    assert pipeline.launch(request).success
    assert len(ids(pipeline, "people")) == len(pipeline.simulator.corpus.table("people"))
    # What is no stream of this location waits, and keeps nobody from resuming.
    assert pipeline.rows("SELECT asset FROM courtlistener.deferrals") == [("bankruptcies",)]


# --- what is chosen of a stream -------------------------------------------------------------------------------------


@settings(OMIT_FIELDS="opinions.html_with_citations,opinions.xml_harvard,docket_entries.recap_documents")
def test_omitted_fields_are_not_sent_and_the_text_comes_from_the_next_best_field(pipeline: Pipeline) -> None:
    pipeline.run("court_month", MONTH, raise_on_error=True)
    assert {tuple(query["omit"]) for query in asked(pipeline, "opinions")} == {("html_with_citations,xml_harvard",)}
    assert not [body for body in bodies(pipeline, "opinions") if "xml_harvard" in body]
    assert ids(pipeline, "opinions") == truth(pipeline)["opinions"]
    assert ids(pipeline, "docket_entries") == truth(pipeline)["docket_entries"]
    assert ids(pipeline, "recap_documents") == []
    sources = {row["text_source"] for row in chunks(pipeline)}
    assert sources
    assert not sources & {"html_with_citations", "xml_harvard"}


@settings(STREAMS="dockets,clusters,opinions", PRECEDENTIAL_STATUS="Unpublished")
def test_decisions_are_limited_to_a_precedential_status(pipeline: Pipeline) -> None:
    corpus = pipeline.simulator.corpus
    wanted = truth(pipeline)["clusters"][::3]
    for id in wanted:
        corpus.touch("clusters", id, precedential_status="Unpublished")
    kept = [each["id"] for each in corpus.clusters if each["precedential_status"] == "Unpublished"]
    kept = [id for id in kept if id in truth(pipeline)["clusters"]]
    pipeline.run("court_month", MONTH, raise_on_error=True)
    assert ids(pipeline, "clusters") == kept
    opinions = {each["id"]: each["cluster_id"] for each in corpus.opinions}
    assert ids(pipeline, "opinions") == [id for id in truth(pipeline)["opinions"] if opinions[id] in kept]
    result = pipeline.run("check_completeness", raise_on_error=True)
    assert all(checks(result).values())


@settings(STREAMS="opinions")
def test_opinions_alone_are_stored_and_the_run_says_what_it_lacks(
    pipeline: Pipeline, caplog: pytest.LogCaptureFixture
) -> None:
    pipeline.run("court_month", MONTH, raise_on_error=True)
    assert "The months of opinions come from clusters, which COURTLISTENER_STREAMS leaves out" in caplog.text
    assert ids(pipeline, "opinions") == truth(pipeline)["opinions"]
    assert chunks(pipeline) == []
    assert pipeline.run("check_completeness", raise_on_error=True).success


# --- a stream more --------------------------------------------------------------------------------------------------


def _dissent(body: Body, partition: Selection) -> Iterator[Record]:
    yield Record("dissents", id_in(body, "id"), body, cluster_id=id_in(body, "cluster_id"), court_id=partition.court)


DISSENTS = replace(
    OPINIONS,
    name="dissents",
    description="Dissents only: a stream that this test adds, by one entry.",
    read=_dissent,
    tables=(Table("dissents", parent=OPINIONS.table.parent, key="cluster_id"),),
    sweeps=(month_sweep("dated", "cluster__docket__court", "cluster__date_filed"),),
    changes=(Sweep("dissents", {"cluster__docket__court": "{court}", "cluster__date_filed__gte": "{first_day}"}),),
    limits={"type": "040dissent"},
)
DISSENTS = replace(DISSENTS, kinds=(replace(OPINION, name="dissent", table=DISSENTS.table),))


@pytest.fixture
def one_entry_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "STREAMS", (*streams.STREAMS, DISSENTS))


@pytest.fixture
def pipeline_with_dissents(one_entry_more: None, pipeline: Pipeline) -> Pipeline:
    return pipeline


@settings(STREAMS="dockets,clusters,dissents")
def test_an_entry_more_is_a_stream_more_from_the_download_to_chunks_and_checks(
    pipeline_with_dissents: Pipeline,
) -> None:
    pipeline = pipeline_with_dissents
    wanted = [id for id in truth(pipeline)["opinions"]][::4]
    for id in wanted:
        pipeline.simulator.corpus.touch("opinions", id, type="040dissent", plain_text="I respectfully dissent.")
    types = {each["id"]: each["type"] for each in pipeline.simulator.corpus.opinions}
    dissents = [id for id in truth(pipeline)["opinions"] if types[id] == "040dissent"]
    result = pipeline.run("court_month", MONTH, raise_on_error=True)
    assert ids(pipeline, "dissents") == dissents
    assert {row["document_id"] for row in chunks(pipeline)} <= set(dissents)
    assert {row["doc_type"] for row in chunks(pipeline)} == {"dissent"}
    assert checks(result)["every_dissent_has_chunks"]
    found = checks(pipeline.run("check_completeness", raise_on_error=True))
    assert found["dissents_complete"]
    assert found["dissents_have_clusters"]
    broken = dissents[1]
    pipeline.simulator.faults.add(Fault("poison", endpoint="opinions", object_id=broken))
    config = {"ops": {"dissents": {"config": {"full_refresh": True}}}}
    assert pipeline.run("downloads", MONTH, run_config=config, asset_selection=[dg.AssetKey("dissents")]).success
    pipeline.make_due()
    [request] = pipeline.tick("retry_failed_dockets")
    assert [key.to_user_string() for key in request.asset_selection or ()] == ["dissents"]
