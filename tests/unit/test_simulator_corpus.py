"""The generated corpus is the same everywhere, and holds what is hard in reality."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from courtlistener_assets.devkit.simulator.corpus import Corpus
from courtlistener_assets.devkit.simulator.endpoints import ENDPOINTS
from courtlistener_assets.devkit.simulator.expected import expected, months_between, oral_arguments, undated
from courtlistener_assets.devkit.simulator.generator import generate
from courtlistener_assets.devkit.simulator.markup import TEXT_FIELDS

_DIGEST = """
import hashlib, json
from courtlistener_assets.devkit.simulator.generator import generate
from courtlistener_assets.devkit.simulator.endpoints import ENDPOINTS
corpus = generate(seed=5, size=0.2)
print(hashlib.sha256(json.dumps([corpus.table(name) for name in ENDPOINTS]).encode()).hexdigest())
"""


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return generate(seed=1)


def digest(corpus: Corpus) -> str:
    return hashlib.sha256(json.dumps([corpus.table(name) for name in ENDPOINTS]).encode()).hexdigest()


def test_the_same_seed_gives_the_same_bytes_in_every_process() -> None:
    root = Path(__file__).parents[2]
    found = set()
    for hash_seed in ("0", "1"):
        environment = os.environ | {"PYTHONHASHSEED": hash_seed, "TZ": "Asia/Tokyo", "PYTHONPATH": str(root)}
        run = subprocess.run(
            [sys.executable, "-c", _DIGEST], env=environment, cwd=root, capture_output=True, text=True, check=True
        )
        found.add(run.stdout.strip())
    assert found == {digest(generate(seed=5, size=0.2))}


def test_another_seed_gives_another_corpus() -> None:
    assert digest(generate(seed=5, size=0.2)) != digest(generate(seed=6, size=0.2))


def test_the_usual_size_is_modest(corpus: Corpus) -> None:
    wanted = expected(corpus, ["scotus", "ca9"], "2024-01", "2024-03")
    assert 200 <= wanted["counts"]["dockets"] <= 300
    assert 150 <= wanted["counts"]["clusters"] <= 300
    assert 220 <= wanted["counts"]["opinions"] <= 420
    assert 500 <= wanted["counts"]["docket_entries"] <= 900
    assert 80 <= wanted["requests"] <= 110


def test_size_multiplies_the_objects(corpus: Corpus) -> None:
    assert 1.7 < len(generate(seed=1, size=2).dockets) / len(corpus.dockets) < 2.3


def test_every_child_has_its_parent_and_every_parent_lists_its_children(corpus: Corpus) -> None:
    for endpoint in ENDPOINTS.values():
        for name, relation in endpoint.relations.items():
            if not relation.many:
                for record in corpus.table(endpoint.name):
                    # A docket may have no judge, an opinion no author.
                    if record.get(name, "") is None:
                        continue
                    key = corpus.parent_key(endpoint.name, name, record)
                    assert key is not None
                    assert corpus.get(relation.target, key) is not None
    for docket in corpus.dockets[:40]:
        listed = {url for url in docket["clusters"]}
        assert listed == {child["resource_uri"] for child in corpus.children("clusters", "docket", docket["id"])}
    for cluster in corpus.clusters[:40]:
        children = corpus.children("opinions", "cluster", cluster["id"])
        assert set(cluster["sub_opinions"]) == {child["resource_uri"] for child in children}


def test_ids_are_unique_and_have_gaps(corpus: Corpus) -> None:
    for endpoint in ("dockets", "clusters", "opinions", "docket-entries", "recap-documents"):
        ids = [record["id"] for record in corpus.table(endpoint)]
        assert len(set(ids)) == len(ids) < max(ids)


def test_it_holds_what_is_hard_about_dockets(corpus: Corpus) -> None:
    undated = [docket for docket in corpus.dockets if docket["date_filed"] is None]
    assert len(undated) > 80
    assert all(docket["clusters"] for docket in undated)
    decisions = Counter((cluster["docket_id"], cluster["date_filed"][:7]) for cluster in corpus.clusters)
    assert max(decisions.values()) >= 26
    entries = Counter(entry["docket"] for entry in corpus.docket_entries)
    assert max(entries.values()) == 230
    assert max(Counter(docket["date_modified"] for docket in corpus.dockets).values()) == 45
    assert not any(docket["clusters"] for docket in corpus.dockets if docket["court_id"] == "nysd")


def test_decisions_fall_into_other_months_than_filings(corpus: Corpus) -> None:
    filed = {docket["id"]: docket["date_filed"] for docket in corpus.dockets}
    elsewhere = [c for c in corpus.clusters if (filed[c["docket_id"]] or c["date_filed"])[:7] != c["date_filed"][:7]]
    assert len(elsewhere) > 30


def test_it_holds_what_is_hard_about_opinions(corpus: Corpus) -> None:
    for field in TEXT_FIELDS:
        assert 110_000 < max(len(opinion[field]) for opinion in corpus.opinions) < 135_000, field
    textless = [o for o in corpus.opinions if not any(o[field] for field in TEXT_FIELDS)]
    blank = [o for o in corpus.opinions if o["html_with_citations"] and not o["html_with_citations"].strip()]
    assert len(textless) == 3
    assert len(blank) == 3
    assert all(opinion["plain_text"].strip() for opinion in blank)
    versions = [o for o in corpus.opinions if o["main_version"]]
    assert len(versions) == 5
    latest = {o["resource_uri"]: o for o in corpus.opinions}
    assert all(latest[o["main_version"]]["cluster_id"] == o["cluster_id"] for o in versions)


def test_merged_and_sealed_clusters_are_gone_but_known(corpus: Corpus) -> None:
    assert len(corpus.redirections) == 3
    assert len(corpus.sealed) == 2
    for deleted, into in corpus.redirections.items():
        assert corpus.get("clusters", deleted) is None
        target = corpus.get("clusters", into)
        assert target is not None
        assert deleted in [entry["deleted_cluster_id"] for entry in target["cluster_redirections"]]


def test_documents_come_none_one_or_several_an_entry(corpus: Corpus) -> None:
    assert {len(entry["recap_documents"]) for entry in corpus.docket_entries} == {0, 1, 2, 4}


def test_the_text_is_prose_with_citations_signs_and_accents(corpus: Corpus) -> None:
    plain = max((opinion["plain_text"] for opinion in corpus.opinions), key=len)
    assert "\f" in plain
    assert max(len(line) for line in plain.splitlines()) <= 72
    for part in ("§", "¶", "é", "Fed. R. Civ. P. 12(b)(6)", "410 U.S. 113", "naïve"):
        assert part in plain
    unwrapped = re.sub(r"\s+", " ", plain)
    lengths = [len(part) for part in re.split(r"(?<=[a-z]\.) (?=[A-Z])", unwrapped)]
    assert 40 < sum(lengths) / len(lengths) < 250


# --- what belongs to partitions


def test_a_docket_belongs_where_it_was_filed_and_where_it_was_decided() -> None:
    corpus = generate(seed=1, size=0.3)
    cluster = next(
        cluster
        for cluster in corpus.clusters
        if (docket := corpus.get("dockets", cluster["docket_id"]))
        and docket["court_id"] == "ca9"
        and docket["date_filed"]
        and docket["date_filed"][:7] != cluster["date_filed"][:7]
    )
    docket = corpus.get("dockets", cluster["docket_id"])
    assert docket is not None
    for month in (docket["date_filed"][:7], cluster["date_filed"][:7]):
        assert docket["id"] in expected(corpus, ["ca9"], month, month)["ids"]["dockets"]


def test_dockets_without_a_date_belong_together_if_they_have_entries() -> None:
    corpus = generate(seed=1, size=0.1)
    assert undated(corpus, "ca9") == {"dockets": [], "docket_entries": [], "recap_documents": []}
    entry = next(entry for entry in corpus.docket_entries if entry["recap_documents"])
    docket = next(one for one in corpus.dockets if one["court_id"] == "ca9" and one["date_filed"] is None)
    corpus.move_entry(entry["id"], docket["id"])
    assert undated(corpus, "ca9") == {
        "dockets": [docket],
        "docket_entries": [entry],
        "recap_documents": entry["recap_documents"],
    }
    assert undated(corpus, "scotus")["dockets"] == []
    corpus.date_docket(docket["id"], "2024-02-03")
    assert undated(corpus, "ca9")["dockets"] == []


def test_months_run_over_the_end_of_a_year() -> None:
    assert months_between("2023-11", "2024-02") == ["2023-11", "2023-12", "2024-01", "2024-02"]
    assert months_between("2024-01-01", "2024-01-01") == ["2024-01"]


# --- oral arguments and people


def test_it_holds_what_is_hard_about_oral_arguments(corpus: Corpus) -> None:
    recordings = corpus.table("audio")
    dockets = {docket["resource_uri"]: docket for docket in corpus.dockets}
    assert 40 < len(recordings) < 200
    assert {bool(audio["stt_transcript"]) for audio in recordings} == {True, False}
    assert {audio["stt_status"] for audio in recordings if audio["stt_transcript"]} == {1}
    assert all(audio["resource_uri"] in dockets[audio["docket"]]["audio_files"] for audio in recordings)
    assert max(Counter(audio["docket"] for audio in recordings).values()) == 2
    # Some were collected years after the argument, and some hang on dockets that have no date of filing.
    late = [a for a in recordings if a["date_created"][:4] > dockets[a["docket"]]["date_argued"][:4]]
    assert 0 < len(late) < len(recordings)
    assert any(dockets[audio["docket"]]["date_filed"] is None for audio in recordings)


def test_each_oral_argument_is_in_one_month_of_one_court(corpus: Corpus) -> None:
    found = [
        audio["id"]
        for court in ("scotus", "ca9")
        for month in months_between("2023-06", "2024-12")
        for audio in oral_arguments(corpus, court, month)
    ]
    assert sorted(found) == [audio["id"] for audio in corpus.table("audio")]


def test_people_fill_more_than_two_pages_and_some_are_aliases(corpus: Corpus) -> None:
    people = corpus.table("people")
    assert len(people) > 40
    assert any(person["is_alias_of"] for person in people)
    assert len({person["id"] for person in people}) == len(people)
