"""Ordinary things that happen at CourtListener, one by one: what is stored after them, and what finding out costs.

Each way of looking is the product's own: a catch-up, the month materialized again, a full refresh. `tests/truth` plays
all of it in random order.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import dagster as dg
import pytest

from courtlistener_assets.devkit.simulator import shapes
from courtlistener_assets.devkit.simulator.corpus import Corpus
from courtlistener_assets.devkit.simulator.shapes import Record, key_of
from tests.integration.pipeline_harness import MONTH, Pipeline

OLD = datetime(2019, 5, 4, 3, 2, 1, tzinfo=UTC)
#: Of a catch-up, and of a month's increment, where nothing changed, and if a decision came whose docket is not known.
UNCHANGED = {"catch_up": 5, "downloads": 7}
WITH_DOCKETS = {"catch_up": 6, "downloads": 7}


@pytest.fixture
def corpus(pipeline: Pipeline) -> Corpus:
    """January is downloaded in both courts, and in scotus caught up with."""
    for court in ("scotus", "ca9"):
        pipeline.run("downloads", f"{court}|2024-01-01", raise_on_error=True)
    return pipeline.simulator.corpus


def look(pipeline: Pipeline, way: str) -> int:
    """Catch up with both courts (`catch_up`), or materialize the month again (`downloads`); what scotus cost."""
    if way == "catch_up":
        pipeline.run("catch_up", "ca9", raise_on_error=True)
    before = pipeline.simulator.summary()["admitted"]
    pipeline.run(way, "scotus" if way == "catch_up" else MONTH, raise_on_error=True)
    return int(pipeline.simulator.summary()["admitted"] - before)


def refresh(pipeline: Pipeline) -> None:
    streams = ("dockets", "clusters", "opinions", "docket_entries")
    config = {"ops": {stream: {"config": {"full_refresh": True}} for stream in streams}}
    pipeline.run("downloads", MONTH, run_config=config, raise_on_error=True)


def stored(pipeline: Pipeline, stream: str) -> dict[int, Any]:
    """The court of every row that is not gone."""
    rows = pipeline.rows(
        f"SELECT id, court_id FROM courtlistener.records WHERE stream = '{stream}' AND gone_at IS NULL"
    )
    return dict(rows)


def body(pipeline: Pipeline, stream: str, id: int) -> Any:
    [(found,)] = pipeline.rows(f"SELECT body FROM courtlistener.records WHERE stream = '{stream}' AND id = {id}")
    return found


def stale(pipeline: Pipeline) -> set[str]:
    return {partition for (partition,) in pipeline.rows("SELECT partition FROM courtlistener.stale_partitions")}


def decided(corpus: Corpus, court: str = "scotus") -> Record:
    """A decision of the month that alone makes its docket belong to it, with an opinion."""
    for cluster in corpus.clusters:
        docket = corpus.get("dockets", cluster["docket_id"]) or {}
        alone = docket["court_id"] == court and len(docket["clusters"]) == 1
        if alone and cluster["date_filed"][:7] == "2024-01" and cluster["sub_opinions"]:
            return cluster
    raise LookupError(court)


def filed(corpus: Corpus) -> Record:
    """A docket of the month with entries that have documents with text."""
    for docket in corpus.dockets:
        if docket["court_id"] == "scotus" and (docket["date_filed"] or "")[:7] == "2024-01":
            for entry in corpus.children("docket-entries", "docket", docket["id"]):
                if any(document["plain_text"] for document in entry["recap_documents"]):
                    return docket
    raise LookupError


def opinions_of(cluster: Record) -> list[int]:
    return [key_of(address) for address in cluster["sub_opinions"]]


def add_untouched(corpus: Corpus, filed: str, modified: datetime | None) -> tuple[int, int, int]:
    """A docket without a date, whose decision has one; of these only the decision may be new."""
    docket = corpus.add("dockets", shapes.docket(900_001, "scotus", "Roe v. Doe", OLD))
    # Single decisions with ids just above 900,000 are merged or sealed (`simulator/invented.py`).
    cluster = shapes.cluster(900_102, docket["id"], "Roe v. Doe", OLD, date_filed=filed)
    corpus.add("clusters", cluster)
    corpus.add("opinions", shapes.opinion(900_003, cluster["id"], OLD, plain_text="It is so ordered."))
    if modified:
        corpus.touch("clusters", cluster["id"], modified=modified)
    return docket["id"], cluster["id"], 900_003


@pytest.mark.parametrize("way", ["catch_up", "downloads"])
def test_a_decision_on_a_docket_that_is_not_touched_comes_with_its_docket(
    pipeline: Pipeline, corpus: Corpus, way: str
) -> None:
    docket, cluster, opinion = add_untouched(corpus, "2024-01-20", datetime.now(UTC))
    cost = look(pipeline, way)
    for stream, id in (("dockets", docket), ("clusters", cluster), ("opinions", opinion)):
        assert stored(pipeline, stream)[id] == "scotus"
    assert cost == WITH_DOCKETS[way] + 1  # The opinion, which has an old date, is looked up.


@pytest.mark.parametrize("way", ["catch_up", "downloads"])
def test_a_decision_whose_date_was_a_slip_comes_with_its_opinions_and_docket(
    pipeline: Pipeline, corpus: Corpus, way: str
) -> None:
    docket, cluster, opinion = add_untouched(corpus, "2041-01-20", None)
    look(pipeline, way)
    assert cluster not in stored(pipeline, "clusters")
    corpus.date_cluster(cluster, "2024-01-20")
    assert look(pipeline, way) == WITH_DOCKETS[way] + 1
    for stream, id in (("dockets", docket), ("clusters", cluster), ("opinions", opinion)):
        assert stored(pipeline, stream)[id] == "scotus"


@pytest.mark.parametrize("way", ["catch_up", "downloads"])
def test_a_slip_that_is_corrected_without_a_new_date_shows_when_the_decision_is_saved_and_not_with_its_docket(
    pipeline: Pipeline, corpus: Corpus, way: str
) -> None:
    """A docket lists the addresses of its decisions: to a store that has them it says nothing of their dates."""
    docket, cluster, opinion = add_untouched(corpus, "2041-01-20", None)
    corpus.touch("dockets", docket)
    look(pipeline, "catch_up")
    assert cluster in stored(pipeline, "clusters")
    assert opinion in stored(pipeline, "opinions")
    corpus.date_cluster(cluster, "2024-01-20", touched=False)
    corpus.touch("dockets", docket, case_name="Roe v. Doe (corrected)")
    look(pipeline, "catch_up")
    assert body(pipeline, "dockets", docket)["case_name"] == "Roe v. Doe (corrected)"
    assert body(pipeline, "clusters", cluster)["date_filed"] == "2041-01-20"
    corpus.touch("clusters", cluster)
    assert look(pipeline, way) == UNCHANGED[way]
    assert body(pipeline, "clusters", cluster)["date_filed"] == "2024-01-20"


def test_a_decision_that_moves_to_another_month_makes_both_stale(pipeline: Pipeline, corpus: Corpus) -> None:
    cluster = decided(corpus)
    pipeline.run("rebuild_vector_inputs", MONTH, raise_on_error=True)
    assert MONTH not in stale(pipeline)
    corpus.date_cluster(cluster["id"], "2024-02-02")
    assert look(pipeline, "catch_up") == UNCHANGED["catch_up"]
    assert {MONTH, "scotus|2024-02-01"} <= stale(pipeline)


def test_a_docket_that_moves_to_another_court_takes_everything_along(pipeline: Pipeline, corpus: Corpus) -> None:
    docket, cluster = filed(corpus), decided(corpus)
    entries = [entry["id"] for entry in corpus.children("docket-entries", "docket", docket["id"])]
    for id in (docket["id"], cluster["docket_id"]):
        corpus.move_docket(id, "ca9")
    assert look(pipeline, "catch_up") == UNCHANGED["catch_up"]
    assert {stored(pipeline, "docket_entries")[id] for id in entries} == {"ca9"}
    assert stored(pipeline, "clusters")[cluster["id"]] == "ca9"
    assert {stored(pipeline, "opinions")[id] for id in opinions_of(cluster)} == {"ca9"}
    assert {MONTH, "ca9|2024-01-01"} <= stale(pipeline)


@pytest.mark.parametrize("way", ["catch_up", "downloads"])
def test_a_docket_that_gets_its_date_brings_its_older_entries_and_their_documents(
    pipeline: Pipeline, corpus: Corpus, way: str
) -> None:
    docket = corpus.add("dockets", shapes.docket(900_001, "scotus", "Roe v. Doe", OLD))
    document = shapes.recap_document(900_003, OLD, plain_text="A motion.")
    corpus.add("docket-entries", shapes.docket_entry(900_002, docket["id"], OLD, recap_documents=[document]))
    corpus.date_docket(docket["id"], "2024-01-20")
    assert look(pipeline, way) == UNCHANGED[way] + 1
    assert 900_002 in stored(pipeline, "docket_entries")
    assert body(pipeline, "recap_documents", 900_003)["plain_text"] == "A motion."


def test_what_hangs_on_a_docket_that_only_a_full_refresh_has_met_comes_though_that_was_stopped_behind_it(
    pipeline: Pipeline, corpus: Corpus
) -> None:
    docket = corpus.add("dockets", shapes.docket(910_001, "scotus", "Roe v. Doe", OLD, date_filed="2024-01-20"))
    corpus.add("docket-entries", shapes.docket_entry(910_002, docket["id"], OLD))
    cluster = corpus.add("clusters", shapes.cluster(910_003, docket["id"], "Roe v. Doe", OLD, date_filed="2024-01-21"))
    corpus.add("opinions", shapes.opinion(910_004, cluster["id"], OLD))
    config = {"ops": {"dockets": {"config": {"full_refresh": True}}}}
    only = [dg.AssetKey("dockets")]
    pipeline.run("downloads", MONTH, run_config=config, asset_selection=only, raise_on_error=True)
    assert 910_001 in stored(pipeline, "dockets")
    look(pipeline, "downloads")
    for stream, id in (("docket_entries", 910_002), ("clusters", 910_003), ("opinions", 910_004)):
        assert id in stored(pipeline, stream)


@pytest.mark.parametrize("way", ["catch_up", "downloads"])
def test_the_text_of_a_filing_that_comes_after_its_entry_arrives(pipeline: Pipeline, corpus: Corpus, way: str) -> None:
    [entry, *_] = corpus.children("docket-entries", "docket", filed(corpus)["id"])
    document = corpus.add_document(entry["id"], shapes.recap_document(900_003, OLD))
    look(pipeline, way)
    corpus.touch("recap-documents", document["id"], plain_text="At last.")
    assert look(pipeline, way) == UNCHANGED[way]
    assert body(pipeline, "recap_documents", document["id"])["plain_text"] == "At last."


def test_dockets_of_months_that_are_not_downloaded_yet_cost_a_catch_up_their_pages_only(
    pipeline: Pipeline, corpus: Corpus
) -> None:
    later = [each["id"] for each in corpus.dockets if (each["date_filed"] or "")[:7] in ("2024-02", "2024-03")]
    touched = [id for id in later if corpus.get("dockets", id)["court_id"] == "scotus"]  # type: ignore[index]
    assert any(corpus.get("dockets", id)["clusters"] for id in touched)  # type: ignore[index]
    for id in touched:
        corpus.touch("dockets", id)
    assert look(pipeline, "catch_up") == UNCHANGED["catch_up"] + (len(touched) - 1) // 20
    assert set(touched) <= set(stored(pipeline, "dockets"))


def test_what_a_court_seals_is_nowhere_after_a_full_refresh(pipeline: Pipeline, corpus: Corpus) -> None:
    cluster = decided(corpus)
    document = next(
        document
        for entry in corpus.children("docket-entries", "docket", filed(corpus)["id"])
        for document in entry["recap_documents"]
        if document["plain_text"]
    )
    said = "a word that only sealed texts have: quixotry"
    corpus.touch("recap-documents", document["id"], plain_text=said)
    for id in opinions_of(cluster):
        corpus.touch("opinions", id, plain_text=said)
    pipeline.run("court_month", MONTH, raise_on_error=True)
    found = "SELECT count(*) FROM courtlistener.records WHERE body::text LIKE '%quixotry%'"
    assert pipeline.rows(found) == [(1 + len(opinions_of(cluster)),)]
    corpus.seal_document(document["id"])
    corpus.seal_cluster(cluster["id"])
    refresh(pipeline)
    assert pipeline.rows(found) == [(0,)]
    assert MONTH in stale(pipeline)


@pytest.mark.parametrize("way", ["catch_up", "downloads"])
def test_of_merged_decisions_the_old_one_goes_and_its_opinions_move(
    pipeline: Pipeline, corpus: Corpus, way: str
) -> None:
    old = decided(corpus)
    here = [id for id, court in stored(pipeline, "clusters").items() if court == "scotus" and id != old["id"]]
    kept = next(cluster for cluster in corpus.clusters if cluster["id"] in here)
    opinions = opinions_of(old)
    corpus.merge_cluster(old["id"], kept["id"])
    look(pipeline, way)
    assert old["id"] not in stored(pipeline, "clusters")
    assert set(opinions) <= set(stored(pipeline, "opinions"))
    assert {body(pipeline, "opinions", id)["cluster_id"] for id in opinions} == {kept["id"]}
    assert len(body(pipeline, "clusters", kept["id"])["cluster_redirections"]) >= 1


def test_what_is_deleted_is_found_by_a_full_refresh_and_takes_along_what_hangs_on_it(
    pipeline: Pipeline, corpus: Corpus
) -> None:
    docket, cluster = filed(corpus), decided(corpus)
    [opinion, *_] = opinions_of(cluster)
    others = [each for each in corpus.docket_entries if key_of(each["docket"]) != docket["id"]]
    here = stored(pipeline, "docket_entries")
    [first, second, *_] = [each for each in others if here.get(each["id"]) == "scotus" and each["recap_documents"]]
    entries = [each["id"] for each in corpus.children("docket-entries", "docket", docket["id"])]
    document = second["recap_documents"][0]["id"]
    for endpoint, id in (
        ("opinions", opinion),
        ("docket-entries", first["id"]),
        ("recap-documents", document),
        ("dockets", docket["id"]),
    ):
        corpus.delete(endpoint, id)
    refresh(pipeline)
    assert opinion not in stored(pipeline, "opinions")
    assert document not in stored(pipeline, "recap_documents")
    assert not {first["id"], *entries} & set(stored(pipeline, "docket_entries"))
    assert docket["id"] not in stored(pipeline, "dockets")


def test_a_looked_up_object_that_does_not_fit_is_a_failure_and_the_others_go_on(
    pipeline: Pipeline, corpus: Corpus
) -> None:
    _, cluster, opinion = add_untouched(corpus, "2024-01-20", datetime.now(UTC))
    corpus.update("opinions", opinion, date_created="yesterday")
    look(pipeline, "catch_up")
    assert cluster in stored(pipeline, "clusters")
    assert opinion not in stored(pipeline, "opinions")
    failures = pipeline.rows("SELECT asset, partition, object_id, error FROM courtlistener.failures")
    assert failures == [("court_changes", "scotus", opinion, "UnusableRecord")]
    assert look(pipeline, "catch_up") <= UNCHANGED["catch_up"] + 1  # It is not asked for at once again.
