"""Changes of the simulated corpus move the dates that the server's own code moves, and no others."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from courtlistener_assets.devkit.simulator import shapes
from courtlistener_assets.devkit.simulator.endpoints import ENDPOINTS
from courtlistener_assets.devkit.simulator.generator import generate
from courtlistener_assets.devkit.simulator.pacific import parse_moment
from courtlistener_assets.devkit.simulator.responses import Request
from courtlistener_assets.devkit.simulator.shapes import Record, address
from courtlistener_assets.devkit.simulator.views import Views

Reference = tuple[str, int | str]


class World:
    """A small corpus behind its own clock, and the objects that the tests change."""

    def __init__(self) -> None:
        self.now = 1_795_000_000.0
        self.corpus = generate(seed=2, size=0.1)
        self.corpus._clock = lambda: self.now
        self.views = Views(self.corpus, lambda: self.now)
        self.cluster, self.other_cluster = (cluster["id"] for cluster in self.corpus.clusters[:2])
        self.docket, self.other_docket = (self.of("clusters", id)["docket_id"] for id in self.clusters)
        self.opinions = [one["id"] for one in self.corpus.children("opinions", "cluster", self.cluster)]
        self.entry = next(entry["id"] for entry in self.corpus.docket_entries if len(entry["recap_documents"]) > 1)
        self.other_entry = next(entry["id"] for entry in self.corpus.docket_entries if entry["id"] != self.entry)
        self.document = self.of("docket-entries", self.entry)["recap_documents"][0]["id"]

    @property
    def clusters(self) -> tuple[int, int]:
        return self.cluster, self.other_cluster

    def of(self, endpoint: str, key: int | str) -> Record:
        record = self.corpus.get(endpoint, key)
        assert record is not None, (endpoint, key)
        return record

    def everything(self) -> dict[Reference, str]:
        """The date of every object."""
        return {(name, one["id"]): one["date_modified"] for name in ENDPOINTS for one in self.corpus.table(name)}

    def ask(self, path: str) -> tuple[int, Any]:
        """Status and body."""
        name, _, rest = path.partition("/")
        key, _, query = rest.rpartition("?") if "?" in rest else (rest, "", "")
        request = Request("GET", f"/api/rest/v4/{name}/{key}", query)
        if key.strip("/"):
            response, _ = self.views.single(ENDPOINTS[name], key.strip("/"), request)
        else:
            response, _ = self.views.listing(ENDPOINTS[name], request)
        return response.status, json.loads(response.body or "null")


@pytest.fixture
def world() -> World:
    return World()


def _opinions(world: World) -> list[Reference]:
    return [("opinions", id) for id in world.opinions]


def _hung_on(world: World, docket: int) -> list[Reference]:
    return [
        (name, one["id"])
        for name in ("clusters", "docket-entries", "audio")
        for one in world.corpus.children(name, "docket", docket)
    ]


#: What is done, and whose dates move by it.
CHANGES: dict[str, tuple[Callable[[World], object], Callable[[World], list[Reference]]]] = {
    "touch": (lambda w: w.corpus.touch("dockets", w.docket, cause="x"), lambda w: [("dockets", w.docket)]),
    "touch a document": (
        lambda w: w.corpus.touch("recap-documents", w.document, plain_text="x"),
        lambda w: [("recap-documents", w.document)],
    ),
    "update": (lambda w: w.corpus.update("dockets", w.docket, cause="x"), lambda w: []),
    "add a cluster": (
        lambda w: w.corpus.add("clusters", shapes.cluster(5000, w.docket, "A v. B", w.corpus.now())),
        lambda w: [("clusters", 5000)],
    ),
    "add a document": (
        lambda w: w.corpus.add_document(w.entry, shapes.recap_document(5000, w.corpus.now())),
        lambda w: [("recap-documents", 5000)],
    ),
    "move a docket": (lambda w: w.corpus.move_docket(w.docket, "ca1"), lambda w: [("dockets", w.docket)]),
    "move a docket without a date": (lambda w: w.corpus.move_docket(w.docket, "ca1", touched=False), lambda w: []),
    "date a docket": (lambda w: w.corpus.date_docket(w.docket, None), lambda w: [("dockets", w.docket)]),
    "date a cluster": (lambda w: w.corpus.date_cluster(w.cluster, "2041-01-31"), lambda w: [("clusters", w.cluster)]),
    "move a cluster": (
        lambda w: w.corpus.move_cluster(w.cluster, w.other_docket),
        lambda w: [("clusters", w.cluster)],
    ),
    "move a cluster without a date": (
        lambda w: w.corpus.move_cluster(w.cluster, w.other_docket, touched=False),
        lambda w: [],
    ),
    "move an opinion": (
        lambda w: w.corpus.move_opinion(w.opinions[0], w.other_cluster),
        lambda w: _opinions(w)[:1],
    ),
    "move an entry": (lambda w: w.corpus.move_entry(w.entry, w.docket), lambda w: [("docket-entries", w.entry)]),
    "move a document": (
        lambda w: w.corpus.move_document(w.document, w.other_entry),
        lambda w: [("recap-documents", w.document)],
    ),
    "merge clusters": (lambda w: w.corpus.merge_cluster(*w.clusters), _opinions),
    "merge clusters and metadata": (
        lambda w: w.corpus.merge_cluster(*w.clusters, opinions_touched=False, kept_touched=True),
        lambda w: [("clusters", w.other_cluster)],
    ),
    "merge dockets": (
        lambda w: w.corpus.merge_docket(w.docket, w.other_docket),
        lambda w: _hung_on(w, w.docket),
    ),
    "merge dockets without a date": (
        lambda w: w.corpus.merge_docket(w.docket, w.other_docket, touched=False),
        lambda w: [],
    ),
    "delete a docket": (lambda w: w.corpus.delete("dockets", w.docket), lambda w: []),
    "delete a document": (lambda w: w.corpus.delete("recap-documents", w.document), lambda w: []),
    "seal a cluster": (lambda w: w.corpus.seal_cluster(w.cluster), lambda w: []),
    "seal a document and save it": (
        lambda w: w.corpus.seal_document(w.document, touched=True),
        lambda w: [("recap-documents", w.document)],
    ),
    "seal a document": (lambda w: w.corpus.seal_document(w.document), lambda w: []),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_only_the_dates_move_that_the_change_is_about(world: World, name: str) -> None:
    change, moved = CHANGES[name]
    wanted, before = set(moved(world)), world.everything()
    change(world)
    after = world.everything()
    assert {key for key in after if after[key] != before.get(key)} == wanted
    assert {parse_moment(after[key]).timestamp() for key in wanted} <= {world.now}


@pytest.mark.parametrize("name", CHANGES)
def test_parents_list_their_children_after_every_change(world: World, name: str) -> None:
    CHANGES[name][0](world)
    corpus = world.corpus
    for parents, listed, children, relation in (
        ("dockets", "clusters", "clusters", "docket"),
        ("dockets", "audio_files", "audio", "docket"),
        ("clusters", "sub_opinions", "opinions", "cluster"),
    ):
        found: dict[int | str, list[str]] = {parent["id"]: [] for parent in corpus.table(parents)}
        for child in corpus.table(children):
            found[corpus.parent_key(children, relation, child)].append(child["resource_uri"])
        assert {parent["id"]: sorted(parent[listed]) for parent in corpus.table(parents)} == {
            key: sorted(addresses) for key, addresses in found.items()
        }
    nested = [document for entry in corpus.docket_entries for document in entry["recap_documents"]]
    assert sorted(document["id"] for document in nested) == [one["id"] for one in corpus.table("recap-documents")]
    assert all(document is corpus.get("recap-documents", document["id"]) for document in nested)


def test_a_document_shows_in_its_entry_whatever_happens_to_it(world: World) -> None:
    world.corpus.update("recap-documents", world.document, plain_text="arrived")
    shown = world.ask(f"docket-entries/{world.entry}/")[1]["recap_documents"]
    assert "arrived" in [document["plain_text"] for document in shown]
    world.corpus.move_document(world.document, world.other_entry)
    assert world.document not in [one["id"] for one in world.of("docket-entries", world.entry)["recap_documents"]]
    assert world.of("docket-entries", world.other_entry)["recap_documents"][-1]["plain_text"] == "arrived"
    # By itself it does not name its entry, so that it is asked for by it.
    found = world.ask(f"recap-documents/?docket_entry={world.other_entry}&fields=id")[1]["results"]
    assert {"id": world.document} in found


def test_what_moves_names_its_new_parent(world: World) -> None:
    world.corpus.move_cluster(world.cluster, world.other_docket)
    cluster = world.ask(f"clusters/{world.cluster}/")[1]
    assert (cluster["docket_id"], cluster["docket"][-len(f"/{world.other_docket}/") :]) == (
        world.other_docket,
        f"/{world.other_docket}/",
    )
    world.corpus.move_docket(world.docket, "cafc")
    assert world.of("dockets", world.docket)["court"] == address("courts", "cafc")
    assert world.of("dockets", world.docket)["court_id"] == "cafc"


def test_a_deleted_docket_takes_all_along(world: World) -> None:
    entries = [one["id"] for one in world.corpus.children("docket-entries", "docket", world.docket)]
    hung = [*_hung_on(world, world.docket), *_opinions(world)]
    hung += [
        ("recap-documents", document["id"])
        for entry in entries
        for document in world.of("docket-entries", entry)["recap_documents"]
    ]
    world.corpus.delete("dockets", world.docket)
    for endpoint, key in (("dockets", world.docket), *hung):
        status, body = world.ask(f"{endpoint}/{key}/")
        assert (status, body) == (404, {"detail": f"No {ENDPOINTS[endpoint].model} matches the given query."})
    status, body = world.ask(f"clusters/?docket={world.docket}")
    assert (status, list(body)) == (400, ["docket"])


def test_a_merged_cluster_redirects_and_is_named_by_the_one_that_is_kept(world: World) -> None:
    world.corpus.merge_cluster(*world.clusters)
    assert world.ask(f"clusters/{world.cluster}/")[0] == 301
    kept = world.of("clusters", world.other_cluster)
    assert world.cluster in [one["deleted_cluster_id"] for one in kept["cluster_redirections"]]
    assert {address("opinions", id) for id in world.opinions} <= set(kept["sub_opinions"])
    # Merged on, both addresses lead to the last one.
    last = world.corpus.clusters[-1]["id"]
    world.corpus.merge_cluster(world.other_cluster, last)
    assert {world.corpus.redirections[id] for id in world.clusters} == {last}
    world.corpus.seal_cluster(last)
    assert [world.ask(f"clusters/{id}/")[0] for id in (*world.clusters, last)] == [404, 404, 410]


def test_a_merged_docket_is_gone_without_a_trace(world: World) -> None:
    hung = _hung_on(world, world.docket)
    world.corpus.merge_docket(world.docket, world.other_docket)
    assert world.ask(f"dockets/{world.docket}/")[0] == 404
    assert set(hung) <= set(_hung_on(world, world.other_docket))


def test_a_sealed_cluster_takes_its_opinions_along(world: World) -> None:
    world.corpus.seal_cluster(world.cluster)
    assert world.ask(f"clusters/{world.cluster}/") == (410, {"detail": "Cluster removed by court order"})
    assert {world.ask(f"opinions/{id}/")[0] for id in world.opinions} == {404}


def test_a_sealed_document_keeps_nothing_of_its_text(world: World) -> None:
    secret = {"plain_text": "secret", "is_available": True, "page_count": 3, "ocr_status": 1, "file_size": 700}
    world.corpus.touch("recap-documents", world.document, **secret, date_upload="2024-01-05T09:00:00-08:00")
    world.corpus.seal_document(world.document)
    document = world.ask(f"recap-documents/{world.document}/")[1]
    assert "secret" not in str(document)
    assert (document["is_sealed"], document["is_available"], document["page_count"]) == (True, False, None)
    assert (document["ocr_status"], document["date_upload"], document["file_size"]) == (None, None, None)


def test_what_cites_or_follows_a_deleted_opinion_forgets_it_without_a_date(world: World) -> None:
    gone, citing = world.opinions[0], world.corpus.opinions[-1]["id"]
    others = [address("opinions", one["id"]) for one in world.corpus.opinions[2:4]]
    world.corpus.update(
        "opinions", citing, opinions_cited=[address("opinions", gone), *others], main_version=address("opinions", gone)
    )
    before = world.everything()
    world.corpus.delete("opinions", gone)
    found = world.ask(f"opinions/{citing}/")[1]
    assert len(found["opinions_cited"]) == len(others)
    assert found["main_version"] is None
    assert before.items() - world.everything().items() == {(("opinions", gone), before["opinions", gone])}


def test_a_docket_that_nothing_hangs_on_may_go_with_its_sealed_cluster(world: World) -> None:
    """The server's own button deletes it, too, unless there is something else on it."""
    for cluster in world.corpus.children("clusters", "docket", world.docket):
        if cluster["id"] != world.cluster:
            world.corpus.move_cluster(cluster["id"], world.other_docket)
    for name in ("docket-entries", "audio"):
        for one in world.corpus.children(name, "docket", world.docket):
            world.corpus.delete(name, one["id"])
    filled = next(one["id"] for one in world.corpus.clusters if one["docket_id"] == world.other_docket)
    world.corpus.seal_cluster(filled, with_empty_docket=True)
    assert world.ask(f"dockets/{world.other_docket}/")[0] == 200
    world.corpus.seal_cluster(world.cluster, with_empty_docket=True)
    assert world.ask(f"dockets/{world.docket}/")[0] == 404
    assert world.ask(f"clusters/{world.cluster}/")[0] == 410


def test_a_merge_that_cannot_be_leaves_everything_as_it_was(world: World) -> None:
    world.corpus.delete("opinions", world.opinions[0])
    for opinion in world.opinions[1:]:
        world.corpus.delete("opinions", opinion)
    for merge, kept in ((world.corpus.merge_cluster, world.cluster), (world.corpus.merge_docket, world.docket)):
        before = world.everything()
        with pytest.raises(KeyError):
            merge(kept, 999_999)
        with pytest.raises(ValueError, match="itself"):
            merge(kept, kept)
        assert world.everything() == before


def test_changes_of_what_does_not_exist_are_refused(world: World) -> None:
    with pytest.raises(KeyError, match="case_nmae"):
        world.corpus.touch("dockets", world.docket, case_nmae="x")
    for change in (
        lambda: world.corpus.delete("opinions", 999_999),
        lambda: world.corpus.move_docket(world.docket, "nowhere"),
        lambda: world.corpus.move_cluster(world.cluster, 999_999),
    ):
        with pytest.raises(KeyError):
            change()
    assert address("clusters", world.cluster) in world.of("dockets", world.docket)["clusters"]


# --- time


def test_a_commit_that_comes_late_is_older_than_what_was_visible_before_it(world: World) -> None:
    late, early = world.opinions[0], world.corpus.opinions[-1]["id"]
    world.corpus.hold(world.corpus.touch, "opinions", late, author_str="Late")
    world.now += 60
    world.corpus.touch("opinions", early, author_str="Early")
    newest = world.ask("opinions/?order_by=-date_modified&id__gt=0&fields=id")[1]["results"][0]
    assert newest == {"id": early}
    assert world.of("opinions", late)["author_str"] != "Late"
    world.now += 60
    world.corpus.release()
    found = world.ask("opinions/?order_by=-date_modified&id__gt=0&fields=id,author_str")[1]["results"]
    assert found[:2] == [{"id": early, "author_str": "Early"}, {"id": late, "author_str": "Late"}]
    assert parse_moment(world.of("opinions", late)["date_modified"]).timestamp() == world.now - 120


def test_a_late_commit_that_fails_does_not_take_the_others_along(world: World) -> None:
    gone, kept = world.opinions[0], world.corpus.opinions[-1]["id"]
    world.corpus.hold(world.corpus.touch, "opinions", gone, author_str="Late")
    world.corpus.hold(world.corpus.touch, "opinions", kept, author_str="Later")
    world.corpus.delete("opinions", gone)
    with pytest.raises(KeyError):
        world.corpus.release()
    world.corpus.release()
    assert world.of("opinions", kept)["author_str"] == "Later"


def test_a_replica_that_lags_knows_lists_and_objects_of_before(world: World) -> None:
    path = f"clusters/?docket={world.docket}&fields=id,judges"
    before = world.ask(path)
    world.corpus.lag()
    world.corpus.touch("clusters", world.cluster, judges="Changed")
    world.corpus.delete("clusters", world.other_cluster)
    assert world.ask(path) == before
    assert world.ask(f"clusters/{world.cluster}/")[1]["judges"] != "Changed"
    assert world.ask(f"clusters/{world.other_cluster}/")[0] == 200
    world.corpus.replicate()
    assert world.ask(f"clusters/{world.cluster}/")[1]["judges"] == "Changed"
    assert world.ask(f"clusters/{world.other_cluster}/")[0] == 404


def test_dates_are_those_of_the_clock_even_where_it_goes_back(world: World) -> None:
    """Nothing promises that a later change has a later date."""
    first = world.corpus.touch("dockets", world.docket)["date_modified"]
    world.now -= 30
    second = world.corpus.touch("dockets", world.other_docket)["date_modified"]
    assert parse_moment(second) < parse_moment(first)
