"""What leaves the courts and months is looked after by the full refresh of the partition that it has left."""

from __future__ import annotations

import pytest

from courtlistener_assets.devkit.simulator.corpus import Corpus
from tests.integration.pipeline_harness import MONTH, Pipeline
from tests.integration.test_membership import corpus, decided, filed, opinions_of, refresh

__all__ = ["corpus"]

WORD = "quixotry"
FOUND = f"SELECT count(*) FROM courtlistener.records WHERE body::text LIKE '%{WORD}%'"
STRAYS = "SELECT docket_id, partition FROM courtlistener.strays"


def cost_of_refresh(pipeline: Pipeline) -> int:
    before = pipeline.simulator.summary()["admitted"]
    refresh(pipeline)
    return int(pipeline.simulator.summary()["admitted"] - before)


@pytest.fixture
def document(pipeline: Pipeline, corpus: Corpus) -> int:
    """A document whose docket has left for a court that is not one of ours, which a full refresh has found out."""
    docket = filed(corpus)
    id = next(
        document["id"]
        for entry in corpus.children("docket-entries", "docket", docket["id"])
        for document in entry["recap_documents"]
        if document["plain_text"]
    )
    corpus.touch("recap-documents", id, plain_text=f"All of this is {WORD}.")
    refresh(pipeline)
    corpus.move_docket(docket["id"], "ca1")
    refresh(pipeline)
    assert pipeline.rows(FOUND) == [(1,)]
    assert pipeline.rows(STRAYS) == [(docket["id"], MONTH)]
    return int(id)


def test_what_is_sealed_in_a_court_that_is_not_ours_any_more_is_nowhere_after_a_full_refresh(
    pipeline: Pipeline, corpus: Corpus, document: int
) -> None:
    corpus.seal_document(document)
    refresh(pipeline)
    assert pipeline.rows(FOUND) == [(0,)]


def test_what_is_deleted_there_becomes_a_tombstone(pipeline: Pipeline, corpus: Corpus, document: int) -> None:
    [(docket, _)] = pipeline.rows(STRAYS)
    corpus.delete("dockets", docket)
    refresh(pipeline)
    assert pipeline.rows(FOUND) == [(0,)]
    alive = pipeline.rows(f"SELECT count(*) FROM courtlistener.records WHERE docket_id = {docket} AND gone_at IS NULL")
    assert alive == [(0,)]
    refresh(pipeline)
    assert pipeline.rows(STRAYS) == []


def test_what_comes_back_is_looked_after_by_its_month_again_and_costs_nothing(
    pipeline: Pipeline, corpus: Corpus, document: int
) -> None:
    [(docket, _)] = pipeline.rows(STRAYS)
    away = cost_of_refresh(pipeline)
    corpus.move_docket(docket, "scotus")
    refresh(pipeline)
    assert pipeline.rows(STRAYS) == []
    assert cost_of_refresh(pipeline) < away


def test_nothing_else_of_a_foreign_court_is_stored(pipeline: Pipeline, corpus: Corpus, document: int) -> None:
    [(docket, _)] = pipeline.rows(STRAYS)
    [entry, *_] = corpus.children("docket-entries", "docket", docket)
    new = corpus.add("docket-entries", {**entry, "id": 900_001, "recap_documents": []})
    refresh(pipeline)
    assert pipeline.rows(f"SELECT count(*) FROM courtlistener.docket_entries WHERE id = {new['id']}") == [(0,)]


def test_a_decision_that_is_dated_before_the_first_month_and_then_sealed_is_nowhere(
    pipeline: Pipeline, corpus: Corpus
) -> None:
    cluster = decided(corpus)
    for id in opinions_of(cluster):
        corpus.touch("opinions", id, plain_text=f"All of this is {WORD}.")
    refresh(pipeline)
    corpus.date_cluster(cluster["id"], "1999-01-20")
    refresh(pipeline)
    assert pipeline.rows(FOUND) == [(len(opinions_of(cluster)),)]
    corpus.seal_cluster(cluster["id"])
    refresh(pipeline)
    assert pipeline.rows(FOUND) == [(0,)]
