"""Vector inputs end to end: what is stored becomes a partition's file, and every change of it a change of the file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow.parquet as pq
import pytest

from courtlistener_assets.building.partition import Builder, Built, Partition
from courtlistener_assets.chunks import log_files
from courtlistener_assets.defs import steps
from courtlistener_assets.defs.assets.partitioning import RANGE_END, RANGE_START
from resources.errors import StoreUnavailable, UnusableRecord
from resources.records.store import RecordStore
from tests.integration.pipeline_harness import MONTH, Pipeline, stale_status

JOB = "rebuild_vector_inputs"


@pytest.fixture
def pipeline(pipeline: Pipeline) -> Pipeline:
    """With a month downloaded."""
    assert pipeline.run("downloads", MONTH).success
    return pipeline


def build(pipeline: Pipeline, **config: Any) -> Any:
    run_config = {"ops": {"vector_inputs": {"config": config}}}
    result = pipeline.run(JOB, MONTH, run_config=run_config)
    assert result.success
    return result


def metadata(result: Any) -> dict[str, Any]:
    [event] = result.asset_materializations_for_node("vector_inputs")
    return {name: value.value for name, value in event.metadata.items()}


def checks(result: Any) -> dict[str, Any]:
    return {evaluation.check_name: evaluation for evaluation in result.get_asset_check_evaluations()}


def file_of(pipeline: Pipeline, month: str = "2024-01") -> Path:
    root = Path(pipeline.environ["COURTLISTENER_DATA_DIR"])
    return root / "vector_inputs" / "court=scotus" / f"month={month}" / "chunks.parquet"


def rows(pipeline: Pipeline) -> list[dict[str, Any]]:
    return pq.ParquetFile(file_of(pipeline)).read().to_pylist()


def changes(pipeline: Pipeline) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    directory = log_files.log_dir(Path(pipeline.environ["COURTLISTENER_DATA_DIR"]))
    last = log_files.numbered(directory, log_files.numbers(directory)[-1])
    for row in pq.read_table(last).to_pylist():
        found.setdefault(row["change"], set()).add(row["chunk_id"])
    return found


def execute(pipeline: Pipeline, statement: str) -> None:
    with pipeline.database.transaction() as connection:
        connection.execute(statement)


# --- runs -----------------------------------------------------------------------------------------------------------


def test_every_opinion_and_document_with_text_has_chunks_and_all_checks_pass(pipeline: Pipeline) -> None:
    result = build(pipeline)
    found = checks(result)
    assert set(found) == {
        "unique_ids",
        "no_empty_text",
        "within_budget",
        "sentences_are_whole",
        "headings_have_text",
        "every_opinion_has_chunks",
    }
    assert [name for name, evaluation in found.items() if not evaluation.passed] == []
    assert {evaluation.partition for evaluation in found.values()} == {MONTH}
    said = metadata(result)
    assert said["added_chunks"] == said["dagster/partition_row_count"] == len(rows(pipeline)) > 100
    documents = {(row["doc_type"], row["opinion_id"] or row["recap_document_id"]) for row in rows(pipeline)}
    assert len(documents) == said["documents"] - said["documents_without_text"]
    assert {kind for kind, _ in documents} == {"opinion", "recap_document"}


def test_a_second_run_writes_nothing_and_says_so(pipeline: Pipeline) -> None:
    build(pipeline)
    before = os.stat(file_of(pipeline))
    listed = sorted(path.name for path in file_of(pipeline).parent.iterdir())
    result = build(pipeline)
    said = metadata(result)
    assert said["change"] == "0 added, 0 removed"
    assert {said[f"{kind}_chunks"] for kind in ("added", "removed", "relabelled", "reembed")} == {0}
    assert said["added_tokens"] == 0
    assert said["unchanged_chunks"] == said["dagster/partition_row_count"] > 0
    after = os.stat(file_of(pipeline))
    assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)
    assert sorted(path.name for path in file_of(pipeline).parent.iterdir()) == listed


def data_version(result: Any) -> str:
    [event] = result.asset_materializations_for_node("vector_inputs")
    return str(event.tags["dagster/data_version"])


def test_a_month_that_has_not_changed_keeps_its_version_and_is_not_stale(pipeline: Pipeline) -> None:
    first = data_version(build(pipeline))
    assert stale_status(pipeline) == "FRESH"
    assert pipeline.run("downloads", MONTH).success
    assert stale_status(pipeline) == "FRESH"
    assert data_version(build(pipeline)) == first
    execute(pipeline, 'UPDATE courtlistener.clusters SET body = body || \'{"case_name": "Roe v. Wade"}\'')
    assert pipeline.run("downloads", MONTH).success
    assert data_version(build(pipeline)) != first


def test_an_opinion_that_changes_gives_only_its_own_chunks_anew(pipeline: Pipeline) -> None:
    build(pipeline)
    before = rows(pipeline)
    opinion = next(row["opinion_id"] for row in before if row["opinion_id"])
    execute(
        pipeline,
        'UPDATE courtlistener.records SET body = body || \'{"html_with_citations": "<p>As amended.</p>"}\' '
        f"WHERE stream = 'opinions' AND id = {opinion}",
    )
    result = build(pipeline)
    old = {row["chunk_id"] for row in before if row["opinion_id"] == opinion}
    [new] = [row for row in rows(pipeline) if row["opinion_id"] == opinion]
    assert new["text"] == "As amended."
    assert changes(pipeline) == {"added": {new["chunk_id"]}, "removed": old}
    assert metadata(result)["added_tokens"] == new["token_count"]


def test_a_rebuild_outlives_a_blip_of_postgres(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "pause", lambda seconds: None)
    counts, lost = RecordStore.counts, [StoreUnavailable()]

    def counts_after_a_blip(store: RecordStore, *args: Any) -> Any:
        if lost:
            raise lost.pop()
        return counts(store, *args)

    monkeypatch.setattr(RecordStore, "counts", counts_after_a_blip)
    result = build(pipeline)
    assert [event.event_type_value for event in result.all_events].count("STEP_UP_FOR_RETRY") == 1
    assert all(evaluation.passed for evaluation in checks(result).values())
    assert len(rows(pipeline)) == metadata(result)["dagster/partition_row_count"] > 100


def test_a_month_that_fails_does_not_stop_the_others_and_is_alone_in_being_tried_again(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "pause", lambda seconds: None)
    february, march = "scotus|2024-02-01", "scotus|2024-03-01"
    tags = {RANGE_START: MONTH, RANGE_END: march}
    build_one, built, errors = Builder.build, list[str](), list[Exception]([StoreUnavailable()])

    def failing(builder: Builder, partition: Partition) -> Built:
        built.append(str(partition))
        if str(partition) == february and errors:
            raise errors.pop()
        return build_one(builder, partition)

    monkeypatch.setattr(Builder, "build", failing)
    assert pipeline.run(JOB, tags=tags).success
    assert built == [MONTH, february, february, march]
    errors.append(UnusableRecord("a docket without an id"))
    result = pipeline.run(JOB, tags=tags)
    assert not result.success
    assert built[4:] == [MONTH, february, march]
    assert "a docket without an id" in str(result.failure_data_for_node("vector_inputs"))
    records = pipeline.instance.fetch_materializations(dg.AssetKey("vector_inputs"), limit=10).records
    assert {each.partition_key for each in records if each.run_id == result.run_id} == {MONTH, march}


# --- what is gone ---------------------------------------------------------------------------------------------------


def test_a_sealed_cluster_leaves_the_file_and_its_chunks_are_named_as_removed(pipeline: Pipeline) -> None:
    build(pipeline)
    before = rows(pipeline)
    sealed = next(row["cluster_id"] for row in before if row["cluster_id"])
    pipeline.simulator.corpus.seal_cluster(sealed)
    config = {"ops": {"clusters": {"config": {"full_refresh": True}}}}
    assert pipeline.run("downloads", MONTH, asset_selection=[dg.AssetKey("clusters")], run_config=config).success
    build(pipeline)
    assert sealed not in {row["cluster_id"] for row in rows(pipeline)}
    assert changes(pipeline) == {"removed": {row["chunk_id"] for row in before if row["cluster_id"] == sealed}}


def test_chunks_of_a_merged_cluster_keep_their_ids_under_the_new_cluster(pipeline: Pipeline) -> None:
    build(pipeline)
    before = rows(pipeline)
    old, new = sorted({row["cluster_id"] for row in before if row["cluster_id"]})[:2]
    moved = {row["chunk_id"] for row in before if row["cluster_id"] == old}
    pipeline.simulator.corpus.merge_cluster(old, new)
    assert pipeline.run("downloads", MONTH).success
    build(pipeline)
    clusters = {row["chunk_id"]: row["cluster_id"] for row in rows(pipeline)}
    assert {clusters[chunk] for chunk in moved} == {new}
    found = changes(pipeline)
    assert moved <= found.get("relabelled", set()) | found.get("reembed", set())
    assert "removed" not in found


# --- options --------------------------------------------------------------------------------------------------------


def test_citations_are_found_once_and_taken_over_from_the_file_of_the_last_time(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("eyecite")
    calls: list[str] = []

    def find(text: str) -> list[str]:
        calls.append(text)
        return ["410 U.S. 113"] if "410 U.S. 113" in text else []

    monkeypatch.setattr("courtlistener_assets.chunks.citations.find", find)
    build(pipeline)
    assert {row["cites"] is None for row in rows(pipeline)} == {True}
    build(pipeline, find_citations=True)
    first = rows(pipeline)
    assert {tuple(row["cites"]) for row in first} == {(), ("410 U.S. 113",)}
    assert set(calls) == {row["text"] for row in first}
    calls.clear()
    again = metadata(build(pipeline, find_citations=True))
    assert (again["change"], again["chunks_read_for_citations"]) == ("0 added, 0 removed", 0)
    assert calls == []
    assert rows(pipeline) == first


def test_the_budget_may_be_counted_by_a_models_own_tokenizer_and_hold_the_header(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    words.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    file = tmp_path / "tokenizer.json"
    words.save(str(file))
    result = build(pipeline, tokenizer=str(file), max_tokens=96, count_header=True, max_header_tokens=32)
    assert all(evaluation.passed for evaluation in checks(result).values())
    assert {row["tokenizer"].partition(":")[0] for row in rows(pipeline)} == {"tokenizer.json"}
    for row in rows(pipeline):
        assert row["token_count"] == len(words.encode(row["text"]))
        assert len(words.encode(f"{row['context_header']}\n{row['text']}")) <= 96
    missing = {"ops": {"vector_inputs": {"config": {"tokenizer": str(tmp_path / "missing.json")}}}}
    failed = pipeline.run(JOB, MONTH, run_config=missing)
    assert "neither cl100k_base nor a file" in str(failed.failure_data_for_node("vector_inputs"))


# --- checks ---------------------------------------------------------------------------------------------------------


def run_checks(pipeline: Pipeline, tags: dict[str, str]) -> dict[str, Any]:
    selection = dg.AssetSelection.checks_for_assets(dg.AssetKey("vector_inputs"))
    defs = dg.Definitions.merge(pipeline.defs, dg.Definitions(jobs=[dg.define_asset_job("only", selection=selection)]))
    result = defs.resolve_job_def("only").execute_in_process(instance=pipeline.instance, tags=tags)
    assert {evaluation.partition for evaluation in result.get_asset_check_evaluations()} == {MONTH}
    return checks(result)


def test_the_checks_by_themselves_look_at_the_month_or_at_all_that_were_made(pipeline: Pipeline) -> None:
    build(pipeline)
    month = {"dagster/partition": MONTH, "dagster/partition/court": "scotus", "dagster/partition/month": "2024-01-01"}
    assert all(evaluation.passed for evaluation in run_checks(pipeline, month).values())
    file_of(pipeline).unlink()
    found = run_checks(pipeline, {})
    assert len(found) == 6
    assert {(evaluation.passed, evaluation.description) for evaluation in found.values()} == {
        (False, "There is no file.")
    }


def test_a_run_of_several_months_has_the_checks_of_each(pipeline: Pipeline) -> None:
    february = "scotus|2024-02-01"
    assert pipeline.run("downloads", february).success
    tags = {
        "dagster/asset_partition_range_start": MONTH,
        "dagster/asset_partition_range_end": february,
    }
    result = pipeline.run(JOB, tags=tags)
    assert result.success
    found = result.get_asset_check_evaluations()
    by_partition = {(e.check_name, e.partition): e.passed for e in found if e.partition}
    assert len(by_partition) == 12
    assert all(by_partition.values())


# --- what the UI shows ----------------------------------------------------------------------------------------------


def test_the_metadata_shows_tokens_costs_and_lengths_but_no_text(pipeline: Pipeline) -> None:
    result = build(pipeline, max_tokens=128, price_per_million_tokens=2.0)
    assert max(row["token_count"] for row in rows(pipeline)) <= 128
    assert checks(result)["within_budget"].passed
    said = metadata(result)
    assert said["tokens"] == said["added_tokens"] == sum(row["token_count"] for row in rows(pipeline))
    amount = float(said["cost_of_all"].split()[1].replace(",", ""))
    assert amount == pytest.approx(said["tokens"] * 2e-6, rel=0.01)
    counted = [int(line.split(" | ")[1]) for line in said["tokens_per_chunk"].splitlines()[2:]]
    assert sum(counted) == len(rows(pipeline))
    shown = " ".join(map(str, said.values()))
    assert not [row["chunk_id"] for row in rows(pipeline) if len(row["text"]) > 20 and row["text"][:20] in shown]
