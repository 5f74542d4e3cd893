"""Filters by parents, by children and by groups of courts find what a plain look at the corpus finds."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from courtlistener_assets.devkit.simulator.corpus import Corpus
from courtlistener_assets.devkit.simulator.endpoints import ENDPOINTS
from courtlistener_assets.devkit.simulator.generator import generate
from courtlistener_assets.devkit.simulator.pacific import parse_moment
from courtlistener_assets.devkit.simulator.responses import Request
from courtlistener_assets.devkit.simulator.shapes import Record, key_of
from courtlistener_assets.devkit.simulator.views import Views

Ask = Callable[[str], Any]
SINCE = "2024-04-10T00:00:00Z"


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    made = generate(seed=4, size=0.4, courts=("scotus", "ca9", "cand"))
    # The usual order of events: the text of a document comes when nothing else of its docket changes.
    for document in made.table("recap-documents")[100:150]:
        made.touch("recap-documents", document["id"], modified=parse_moment("2024-05-01T09:00:00Z"))
    often, _ = Counter(cluster["docket_id"] for cluster in made.clusters).most_common(1)[0]
    for cluster in made.children("clusters", "docket", often)[::4]:
        made.touch("clusters", cluster["id"], modified=parse_moment("2024-05-01T10:00:00Z"))
    for opinion in made.opinions[::7]:
        made.touch("opinions", opinion["id"], modified=parse_moment("2024-05-02T09:00:00Z"))
    return made


@pytest.fixture(scope="module")
def ask(corpus: Corpus) -> Ask:
    """Everything that a list has, by id; a body of another kind as it is."""
    views = Views(corpus, lambda: 0.0)

    def answer(path: str) -> Any:
        name, _, query = path.partition("/?")
        rows: list[Record] = []
        while True:
            after = f"&order_by=id&id__gt={rows[-1]['id']}" if rows else "&order_by=id&id__gt=0"
            request = Request("GET", f"/api/rest/v4/{name}/", query + after)
            body = json.loads(views.listing(ENDPOINTS[name], request)[0].body)
            if "results" not in body:
                return body
            rows += body["results"]
            if not body["next"]:
                return [row["id"] for row in rows]

    return answer


def counted(ask: Ask, path: str) -> int:
    found: int = ask(f"{path}&count=on")["count"]
    return found


def docket_of(corpus: Corpus, record: Record) -> Record:
    """The docket of a cluster, an opinion or an entry."""
    if "cluster_id" in record:
        cluster = corpus.get("clusters", record["cluster_id"])
        assert cluster is not None
        record = cluster
    docket = corpus.get("dockets", key_of(record["docket"]))
    assert docket is not None
    return docket


def newer(record: Record) -> bool:
    return parse_moment(record["date_modified"]) >= parse_moment(SINCE)


# --- many courts in one list


@pytest.mark.parametrize(
    ("endpoint", "name"),
    [
        ("dockets", "court__jurisdiction"),
        ("clusters", "docket__court__jurisdiction"),
        ("opinions", "cluster__docket__court__jurisdiction"),
        ("docket-entries", "docket__court__jurisdiction"),
        ("audio", "docket__court__jurisdiction"),
    ],
)
def test_a_jurisdiction_selects_all_its_courts(ask: Ask, corpus: Corpus, endpoint: str, name: str) -> None:
    federal = {"F": ("scotus", "ca9"), "FD": ("cand", "nysd")}
    for jurisdiction, courts in federal.items():
        wanted = [
            record["id"]
            for record in corpus.table(endpoint)
            if (record if endpoint == "dockets" else docket_of(corpus, record))["court_id"] in courts
        ]
        assert ask(f"{endpoint}/?{name}={jurisdiction}") == wanted


def test_a_jurisdiction_that_does_not_exist_is_refused(ask: Ask) -> None:
    message = "Select a valid choice. X is not one of the available choices."
    assert ask("dockets/?court__jurisdiction=X") == {"court__jurisdiction": [message]}


def test_the_federal_courts_are_all_there(corpus: Corpus) -> None:
    views = Views(corpus, lambda: 0.0)

    def page(query: str) -> Any:
        return json.loads(views.listing(ENDPOINTS["courts"], Request("GET", "/api/rest/v4/courts/", query))[0].body)

    appeals = page("jurisdiction=F")
    assert (appeals["count"], appeals["next"]) == (14, None)
    assert [court["id"] for court in appeals["results"]] == [
        "scotus", "ca1", "ca2", "ca3", "ca4", "ca5", "ca6", "ca7", "ca8", "ca9", "ca10", "ca11", "cadc", "cafc",
    ]  # fmt: skip
    districts = page("jurisdiction=FD&page=5")
    assert (districts["count"], districts["next"], len(districts["results"])) == (94, None, 14)
    assert page("jurisdiction=F&jurisdiction=FD")["count"] == 108


# --- dates of parents and children


@pytest.mark.parametrize(
    ("endpoint", "name", "date_of"),
    [
        ("clusters", "docket__date_modified__gte", docket_of),
        ("opinions", "cluster__docket__date_modified__gte", docket_of),
        ("docket-entries", "docket__date_modified__gte", docket_of),
        ("opinions", "cluster__date_modified__gte", lambda corpus, one: corpus.get("clusters", one["cluster_id"])),
    ],
)
def test_children_are_found_by_the_date_of_their_parent(
    ask: Ask, corpus: Corpus, endpoint: str, name: str, date_of: Callable[[Corpus, Record], Record]
) -> None:
    wanted = [record["id"] for record in corpus.table(endpoint) if newer(date_of(corpus, record))]
    assert wanted
    assert ask(f"{endpoint}/?{name}={SINCE}") == wanted


@pytest.mark.parametrize(
    ("endpoint", "name", "children", "relation"),
    [
        ("dockets", "clusters", "clusters", "docket"),
        ("clusters", "sub_opinions", "opinions", "cluster"),
        ("docket-entries", "recap_documents", "recap-documents", "docket_entry"),
    ],
)
def test_a_parent_is_repeated_for_each_child_that_is_newer(
    ask: Ask, corpus: Corpus, endpoint: str, name: str, children: str, relation: str
) -> None:
    found = Counter(corpus.parent_key(children, relation, child) for child in corpus.table(children) if newer(child))
    path = f"{endpoint}/?{name}__date_modified__gte={SINCE}"
    assert counted(ask, path) == found.total() > len(found)
    assert set(ask(path)) == set(found)


def test_conditions_by_one_relation_hold_for_the_same_object(ask: Ask, corpus: Corpus) -> None:
    """A docket with an old decision of March and a new one of January has none that is a new one of March."""
    months = "clusters__date_filed__gte=2024-03-01&clusters__date_filed__lt=2024-04-01"
    path = f"dockets/?{months}&clusters__date_modified__gte={SINCE}"
    wanted = [one["docket_id"] for one in corpus.clusters if newer(one) and one["date_filed"].startswith("2024-03")]
    assert counted(ask, path) == len(wanted)
    loose = [one["docket_id"] for one in corpus.clusters if one["date_filed"].startswith("2024-03")]
    assert 0 < len(wanted) < len(loose)


def test_a_way_up_and_down_again_repeats_nothing(ask: Ask, corpus: Corpus) -> None:
    path = "opinions/?cluster__docket__clusters__date_filed__gte=2024-01-01"
    dockets = {cluster["docket_id"] for cluster in corpus.clusters if cluster["date_filed"] >= "2024-01-01"}
    wanted = [one["id"] for one in corpus.opinions if docket_of(corpus, one)["id"] in dockets]
    assert ask(path) == wanted
    assert counted(ask, path) == len(wanted)


# --- what has no date


def test_a_negated_date_keeps_what_has_none(ask: Ask, corpus: Corpus) -> None:
    """The only way to ask for it, as there is no `__isnull`."""
    undated = [docket["id"] for docket in corpus.dockets if docket["date_filed"] is None]
    assert undated
    assert ask("dockets/?date_filed__gte!=0001-01-01") == undated
    wanted = [one["id"] for one in corpus.clusters if docket_of(corpus, one)["date_filed"] is None]
    assert ask("clusters/?docket__date_filed__gte!=0001-01-01") == wanted
    wanted = [one["id"] for one in corpus.opinions if docket_of(corpus, one)["date_filed"] is None]
    assert ask("opinions/?cluster__docket__date_filed__gte!=0001-01-01") == wanted


def test_a_negated_date_of_what_has_one_is_its_opposite(ask: Ask, corpus: Corpus) -> None:
    later = ask("dockets/?date_filed__gte=2024-02-01")
    assert sorted(later + ask("dockets/?date_filed__gte!=2024-02-01")) == [one["id"] for one in corpus.dockets]
