"""A corpus and its chunks through Dagster and the command, where no database is; the chunks are those of the store."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from courtlistener_assets.chunks.options import ChunkOptions
from courtlistener_assets.chunks.rows import Tally, partition_rows
from courtlistener_assets.cli import main
from courtlistener_assets.defs.assets.bulk import DUMPS
from courtlistener_assets.defs.build import build_definitions
from courtlistener_assets.devkit.bulk.invented import Invented, Size
from courtlistener_assets.download.bulk.corpus.places import Partition
from courtlistener_assets.download.courts import name_of_court
from courtlistener_assets.download.documents import documents_of
from courtlistener_assets.download.streams import OPINION
from courtlistener_assets.operations import corpus_chunks
from courtlistener_assets.operations.corpus import carry_out, plan
from courtlistener_assets.operations.corpus_chunks import build_all, chunks_path
from courtlistener_assets.settings import Settings
from resources.dagster_resources import PostgresResource, RecordStoreResource
from tests.bulk_files import DAY
from tests.integration.pipeline_harness import Pipeline

SIZE = Size(dockets=40, words=120, first_day=date(2024, 1, 1), days=700)
#: Nobody listens there.
NOWHERE = {
    "POSTGRES_URL": "postgresql://nobody@127.0.0.1:1/none",
    "REDIS_URL": "redis://127.0.0.1:1/0",
    "COURTLISTENER_BASE_URL": "http://127.0.0.1:1",
}


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    Invented(SIZE).write(tmp_path / "dump", DAY)
    return {
        **NOWHERE,
        "COURTLISTENER_BULK_URL": str(tmp_path / "dump"),
        "COURTLISTENER_CORPUS_DIR": str(tmp_path / "corpus"),
        "COURTLISTENER_DATA_DIR": str(tmp_path / "data"),
    }


@pytest.fixture
def pipeline_settings(environ: Mapping[str, str]) -> Mapping[str, str]:
    return {name: value for name, value in environ.items() if name not in NOWHERE}


def chunks_of(data: Path) -> dict[str, list[dict[str, Any]]]:
    files = sorted((data / "corpus_vector_inputs").glob("*/*/chunks.parquet"))
    return {str(path.parent.relative_to(data)): pq.ParquetFile(path).read().to_pylist() for path in files}


def test_a_job_makes_both_without_a_database(environ: Mapping[str, str], tmp_path: Path) -> None:
    settings = Settings.from_environ({**environ, "COURTLISTENER_CORPUS_COURTS": "ca9,cand"})
    location = build_definitions(settings)
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(DUMPS, [DAY.isoformat()])
        job = location.resolve_job_def("corpus")
        config = {"ops": {"corpus_vector_inputs": {"config": {"processes": 2}}}}
        result = job.execute_in_process(partition_key=DAY.isoformat(), instance=instance, run_config=config)
        assert result.success
        [corpus], [chunks] = map(result.asset_materializations_for_node, ("bulk_corpus", "corpus_vector_inputs"))
        assert corpus.metadata["requests"].value == 0
        assert corpus.metadata["opinions_rows"].value == chunks.metadata["documents"].value > 0
        assert chunks.metadata["chunks"].value == sum(map(len, chunks_of(tmp_path / "data").values())) > 0
        assert {name.split("/")[1] for name in chunks_of(tmp_path / "data")} == {"court=ca9", "court=cand"}
        # A later dump is seen, and taken, since one was.
        Invented(SIZE).write(tmp_path / "dump", date(2026, 12, 31))
        sensor = location.get_repository_def().get_sensor_def("new_dumps")
        with dg.build_sensor_context(instance=instance, definitions=location, sensor_name="new_dumps") as context:
            [request] = sensor.evaluate_tick(context).run_requests or []
        assert (request.job_name, request.tags["dagster/partition"]) == ("corpus", "2026-12-31")


def test_the_command_makes_both_without_a_database(
    environ: Mapping[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    wished = ["corpus", "--courts", "ca9,scotus", "--from", "2025", "--to-dir", "there", "--chunks"]
    refused = CliRunner().invoke(main, wished, input="n\n")
    assert refused.exit_code == 1
    assert "ca9, scotus from 2025 on, as of 2026-09-29" in refused.output
    assert not (tmp_path / "there" / "latest").exists()
    done = CliRunner().invoke(main, [*wished, "--yes"])
    assert done.exit_code == 0, done.output
    assert "Complete: " in done.output
    assert "Chunks: " in done.output
    assert set(chunks_of(tmp_path / "data")) == {
        f"corpus_vector_inputs/court={court}/year=2025" for court in ("ca9", "scotus")
    }
    again = CliRunner().invoke(main, [*wished[:-1], "--yes"])
    assert "nothing to do" in again.output
    wrong = CliRunner().invoke(main, ["corpus", "--courts", "ca9", "--from", "15", "--yes"])
    assert "'15' is not a year such as 2015" in wrong.output


def test_the_chunks_are_those_of_the_same_objects_in_the_store(pipeline: Pipeline, tmp_path: Path) -> None:
    pipeline.instance.add_dynamic_partitions(DUMPS, [DAY.isoformat()])
    assert pipeline.run("bootstrap", DAY.isoformat()).success
    settings = Settings.from_environ(pipeline.environ)
    corpus = carry_out(plan(settings, courts=["ca9", "scotus"]))
    outcome = build_all(corpus, settings.data_dir, ChunkOptions(max_tokens=40), 1)
    assert (outcome.errors, outcome.failed) == ({}, [])
    store = RecordStoreResource(postgres=PostgresResource(url=settings.postgres_url)).open()
    for court, year in (("ca9", 2024), ("scotus", 2025)):
        values = {"court": court, "first_day": f"{year}-01-01", "next_month": f"{year + 1}-01-01"}
        with store.documents([(OPINION.name, OPINION.table)], values) as rows:
            documents = documents_of(rows, {OPINION.name: OPINION}, court, name_of_court(court, store.courts))
            expected = list(partition_rows(documents, Tally(), max_tokens=40))
        made = pq.ParquetFile(chunks_path(tmp_path / "data", Partition(court, year))).read().to_pylist()
        assert len(made) > 10
        assert made == expected


def test_what_cannot_be_read_is_named_and_tried_again(
    environ: Mapping[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, data = Settings.from_environ(environ), tmp_path / "data"
    corpus = carry_out(plan(settings, courts=["ca9"]))
    [first, *_] = pq.ParquetFile(corpus.file("opinions", Partition("ca9", 2024))).read().column("id").to_pylist()
    text = OPINION.text

    def failing(body: Mapping[str, Any]) -> Any:
        if body["id"] == first:
            raise RecursionError("too deep")
        return text(body)

    object.__setattr__(OPINION, "text", failing)
    try:
        outcome = build_all(corpus, data, ChunkOptions(), 1)
    finally:
        object.__setattr__(OPINION, "text", text)
    assert outcome.failed == [(f"opinion:{first}", "RecursionError: too deep")]
    assert outcome.errors == {}
    path = chunks_path(data, Partition("ca9", 2024))
    before = pq.ParquetFile(path).read().column("document_id").to_pylist()
    assert first not in before
    assert before

    def broken(*args: Any, **options: Any) -> Any:
        raise OSError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(corpus_chunks, "write_partition", broken)
        # Only the file that lacks a document is made again.
        outcome = build_all(corpus, data, ChunkOptions(), 1)
    assert outcome.errors == {Partition("ca9", 2024): "OSError: the disk is full"}
    outcome = build_all(corpus, data, ChunkOptions(), 1)
    assert (outcome.errors, outcome.failed) == ({}, [])
    assert outcome.changed("added") > 0
    assert first in pq.ParquetFile(path).read().column("document_id").to_pylist()


def test_a_file_of_what_is_not_there_any_more_becomes_empty(environ: Mapping[str, str], tmp_path: Path) -> None:
    settings, data = Settings.from_environ(environ), tmp_path / "data"
    build_all(carry_out(plan(settings, courts=["ca9"])), data, ChunkOptions(), 1)
    gone = Size(dockets=20, words=120, first_day=date(2025, 1, 1), days=300)
    Invented(gone).write(tmp_path / "dump", date(2026, 12, 31))
    outcome = build_all(carry_out(plan(settings, courts=["ca9"])), data, ChunkOptions(), 1)
    assert outcome.errors == {}
    assert chunks_of(data)["corpus_vector_inputs/court=ca9/year=2024"] == []
    assert chunks_of(data)["corpus_vector_inputs/court=ca9/year=2025"]
