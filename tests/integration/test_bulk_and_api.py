"""A store half from the API and half from bulk files, then brought up to date: what one from the API alone has."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from courtlistener_assets.defs.assets.bulk import DUMPS
from courtlistener_assets.defs.assets.partitioning import RANGE_END, RANGE_START
from courtlistener_assets.defs.bootstrap_command import fill
from courtlistener_assets.devkit.bulk.of_corpus import write_corpus
from courtlistener_assets.devkit.simulator import shapes
from courtlistener_assets.devkit.simulator.corpus import Corpus
from courtlistener_assets.devkit.simulator.server import Simulator
from courtlistener_assets.devkit.simulator.shapes import ORIGIN
from courtlistener_assets.download.bulk.bootstrap import months_of
from courtlistener_assets.download.bulk.tables import OBJECTS
from courtlistener_assets.operations.bootstrap import described, plan
from courtlistener_assets.operations.completion import complete
from courtlistener_assets.settings import Settings
from tests.integration.pipeline_harness import MONTH, Pipeline

COURTS = ("scotus", "ca9")
TODAY = datetime.now(UTC).date()
#: What no file has, and the address of an opinion, of which the simulator leaves out the name of the case.
LEFT_OUT = {name for table in OBJECTS for name in table.absent}


@pytest.fixture
def pipeline_settings(tmp_path: Path) -> Mapping[str, str]:
    return {"COURTLISTENER_BULK_URL": str(tmp_path / "dump"), "COURTLISTENER_BULK_DIR": str(tmp_path / "work")}


def comparable(stream: str, body: Mapping[str, Any]) -> dict[str, Any]:
    left_out = LEFT_OUT | ({"absolute_url"} if stream == "opinions" else set())
    return {
        name: sorted(json.dumps(each, sort_keys=True) for each in value) if isinstance(value, list) else value
        for name, value in body.items()
        if name not in left_out
    }


def expected(pipeline: Pipeline) -> dict[tuple[str, int], dict[str, Any]]:
    """What the server has of the courts, of 2024 and later."""
    corpus = pipeline.simulator.corpus
    ours = {docket["id"] for docket in corpus.dockets if docket["court_id"] in COURTS}
    clusters = [each for each in corpus.clusters if each["docket_id"] in ours and each["date_filed"] >= "2024-01-01"]
    decided, ids = {each["docket_id"] for each in clusters}, {each["id"] for each in clusters}
    dockets = [
        each
        for each in corpus.dockets
        if each["id"] in ours and (each["id"] in decided or (each["date_filed"] or "") >= "2024-01-01")
    ]
    opinions = [each for each in corpus.opinions if each["cluster_id"] in ids]
    found = {"dockets": dockets, "clusters": clusters, "opinions": opinions}
    text = json.dumps({stream: {each["id"]: each for each in some} for stream, some in found.items()})
    served = json.loads(text.replace(ORIGIN, pipeline.simulator.url))
    return {(stream, int(id)): comparable(stream, body) for stream, some in served.items() for id, body in some.items()}


#: What belongs to a month: what has left all of them stays as a row.
_OF_MONTHS = """
SELECT id, stream, body, court_id, docket_id, cluster_id, date_filed FROM courtlistener.records one
WHERE gone_at IS NULL AND stream IN ('dockets', 'clusters', 'opinions') AND (
    (stream <> 'opinions' AND date_filed >= '2024-01-01')
    OR EXISTS (SELECT FROM courtlistener.clusters decided WHERE decided.gone_at IS NULL
        AND decided.date_filed >= '2024-01-01' AND CASE one.stream WHEN 'dockets' THEN decided.docket_id = one.id
        WHEN 'opinions' THEN decided.id = one.cluster_id END))
"""


def stored(pipeline: Pipeline) -> dict[tuple[str, int], dict[str, Any]]:
    return {(stream, id): comparable(stream, body) for id, stream, body, *_ in pipeline.rows(_OF_MONTHS)}


def places(pipeline: Pipeline) -> dict[tuple[str, int], tuple[Any, ...]]:
    """The keys by which each object belongs to a court and a month."""
    return {(stream, id): tuple(keys) for id, stream, _, *keys in pipeline.rows(_OF_MONTHS)}


def different(pipeline: Pipeline) -> list[tuple[Any, ...]]:
    """Where the store is not what the server has: objects, and fields with both values."""
    found, wanted = stored(pipeline), expected(pipeline)
    fields = [
        (*key, name, found[key].get(name, ...), wanted[key].get(name, ...))
        for key in found.keys() & wanted.keys()
        for name in found[key].keys() | wanted[key].keys()
        if found[key].get(name, ...) != wanted[key].get(name, ...)
    ]
    return [*(found.keys() ^ wanted.keys()), *fields]


def sources(pipeline: Pipeline) -> dict[str, int]:
    return dict(pipeline.rows("SELECT source, count(*) FROM courtlistener.records GROUP BY 1"))


def asked(pipeline: Pipeline) -> int:
    return sum(entry.admitted and entry.endpoint != "api-usage" for entry in pipeline.simulator.log)


def load(pipeline: Pipeline) -> None:
    pipeline.instance.add_dynamic_partitions(DUMPS, [TODAY.isoformat()])
    assert pipeline.run("bootstrap", TODAY.isoformat()).success


def test_a_court_from_bulk_alone_is_what_the_server_has(pipeline: Pipeline, tmp_path: Path) -> None:
    write_corpus(pipeline.simulator.corpus, tmp_path / "dump", TODAY)
    load(pipeline)
    assert asked(pipeline) == 0
    assert different(pipeline) == []
    assert pipeline.rows("SELECT kind, stream, id FROM courtlistener.lookups") == []


@pytest.mark.parametrize(
    "kinds", [{"clusters": 45}, {"opinions": 60}, {"dockets": 7, "clusters": 30, "opinions": 45}], ids=str
)
def test_a_catch_up_after_it_costs_a_page_for_twenty_changes_and_seven_requests_at_most(
    pipeline: Pipeline, tmp_path: Path, kinds: Mapping[str, int]
) -> None:
    corpus = pipeline.simulator.corpus
    write_corpus(corpus, tmp_path / "dump", TODAY)
    load(pipeline)
    for kind, number in kinds.items():
        ids = [id for stream, id in stored(pipeline) if stream == kind and court_of(corpus, stream, id) == "scotus"]
        assert len(ids) >= number
        for id in ids[:number]:
            corpus.touch(kind, id, **{"author_str" if kind == "opinions" else "case_name": "Doe"})
    assert pipeline.run("catch_up", "scotus", raise_on_error=True).success
    assert asked(pipeline) <= math.ceil(sum(kinds.values()) / 20) + 7
    assert different(pipeline) == []


def test_what_the_files_lack_is_asked_for_if_the_settings_say_so_at_the_cost_that_was_said(
    pipeline: Pipeline, tmp_path: Path, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a web server, to which the token does not go: it refuses whoever shows credentials."""
    write_corpus(pipeline.simulator.corpus, tmp_path / "dump", TODAY)
    environ = {**pipeline.environ, "COURTLISTENER_BULK_URL": simulator.bulk_url}
    monkeypatch.setenv("COURTLISTENER_BULK_URL", simulator.bulk_url)
    for name in ("false", "true"):
        settings = Settings.from_environ({**environ, "COURTLISTENER_COMPLETE_BULK": name})
        planned = plan(settings, courts=["scotus"])
        assert ("at least" in " ".join(described(planned, settings)).partition("docket_entries")[0]) == (name == "true")
        said = fill(planned, settings, {}, lambda line: None)
        deferred = [each for each in pipeline.backlog.deferrals.all() if "bulk" in each.reason]
        assert bool(deferred) == (name == "true")
    assert asked(pipeline) == 0
    [cost] = re.findall(r"sensor resume_deferred: ([\d,]+) requests", said)
    # One month, as the sensor would launch it: what it costs was counted, and nothing lacks any more.
    [request] = [each for each in pipeline.tick("resume_deferred") if each.partition_key == MONTH]
    assert pipeline.launch(request).success
    counted = pipeline.rows(
        "SELECT sum(walked_pages)::int FROM courtlistener.sweeps "
        f"WHERE partition = '{MONTH}' AND asset IN ('dockets', 'clusters', 'opinions')"
    )
    assert counted == [(asked(pipeline),)]
    found = pipeline.rows(
        "SELECT source, count(*) FILTER (WHERE body ? 'cluster_redirections') = count(*) FROM courtlistener.clusters "
        "WHERE court_id = 'scotus' AND date_filed BETWEEN '2024-01-01' AND '2024-01-31' GROUP BY 1"
    )
    assert found == [("api", True)]
    left = complete(months_of(planned.wanted), Settings.from_environ(environ), pipeline.database)
    assert left.requests == int(cost.replace(",", "")) - asked(pipeline)


def court_of(corpus: Corpus, stream: str, id: int) -> str:
    record = corpus.get(stream, id)
    assert record is not None
    if stream == "dockets":
        return str(record["court_id"])
    above = ("clusters", record["cluster_id"]) if stream == "opinions" else ("dockets", record["docket_id"])
    return court_of(corpus, *above)


def download(pipeline: Pipeline) -> None:
    """Two months over the API, which brings up to date what is there."""
    for month in (MONTH, "ca9|2024-02-01"):
        assert pipeline.run("downloads", month).success


def catch_up(pipeline: Pipeline) -> None:
    for court in COURTS:
        assert pipeline.run("catch_up", court).success


def full_refresh(pipeline: Pipeline) -> None:
    names = ("dockets", "clusters", "opinions", "docket_entries")
    config = {"ops": {name: {"config": {"full_refresh": True}} for name in names}}
    assert pipeline.run("downloads", "scotus|2024-02-01", run_config=config).success


def everything_from_the_api(pipeline: Pipeline) -> None:
    """Begin again with an empty store, and download all months that have anything."""
    with pipeline.database.transaction() as connection:
        names = ("records", "sweeps", "lookups", "strays", "courts", "failures", "stale_partitions")
        connection.execute(f"TRUNCATE {', '.join(f'courtlistener.{name}' for name in names)}".encode())
    for court in COURTS:
        tags = {RANGE_START: f"{court}|2024-01-01", RANGE_END: f"{court}|2024-06-01"}
        assert pipeline.run("downloads", tags=tags).success


class Changes:
    """What happens at the server, each time to other decisions of dockets that have one only."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.corpus = pipeline.simulator.corpus
        decided = Counter(each["docket_id"] for each in self.corpus.clusters)
        self.unused = [
            each["id"]
            for each in self.corpus.clusters
            if decided[each["docket_id"]] == 1
            and court_of(self.corpus, "clusters", each["id"]) in COURTS
            and "2024-01-01" <= each["date_filed"] < "2024-04-01"
        ]

    def happen(self, when: str) -> None:
        """Everything of which `docs/truth.md` says that the next catch-up brings it."""
        corpus, new = self.corpus, 900_000 + len(self.unused)
        corpus.touch("clusters", self.one(), judges=when)
        corpus.touch("opinions", self.opinion_of(self.one()), plain_text=when)
        corpus.touch("dockets", self.docket_of(self.one()), case_name=when)
        corpus.merge_cluster(self.one(), self.one(), kept_touched=True)
        corpus.date_cluster(self.one(), "2024-05-02")
        corpus.date_cluster(self.one(), "2023-12-24")
        docket = self.docket_of(self.one())
        corpus.move_docket(docket, "ca9" if court_of(corpus, "dockets", docket) == "scotus" else "scotus")
        corpus.delete("opinions", self.opinion_of(cluster := self.one()))
        corpus.touch("clusters", cluster, judges=f"one opinion less {when}")
        docket = self.docket_of(cluster := self.one())
        corpus.delete("clusters", cluster)
        corpus.touch("dockets", docket, case_name=f"no decision {when}")
        # Their parents are not saved.
        corpus.add("opinions", shapes.opinion(new, self.one(), corpus.now(), plain_text=f"new {when}"))
        added = shapes.cluster(new, self.docket_of(self.one()), "New", corpus.now(), date_filed="2024-03-05")
        corpus.add("clusters", added)

    def one(self) -> int:
        return int(self.unused.pop())

    def docket_of(self, cluster: int) -> int:
        record = self.corpus.get("clusters", cluster)
        assert record
        return int(record["docket_id"])

    def opinion_of(self, cluster: int) -> int:
        return int(self.corpus.children("opinions", "cluster", cluster)[0]["id"])


#: What is done before there is a dump, before it is loaded, and after; things happen in between.
ORDERS: dict[str, tuple[list[Callable[[Pipeline], None]], ...]] = {
    "the API first": ([download], [download, catch_up], []),
    "bulk first": ([], [], [download, full_refresh]),
}


@pytest.mark.parametrize("order", ORDERS)
def test_half_from_the_api_and_half_from_bulk_is_what_the_api_alone_gives(
    pipeline: Pipeline, tmp_path: Path, order: str
) -> None:
    changes = Changes(pipeline)
    before, between, after = ORDERS[order]
    for work in before:
        work(pipeline)
    changes.happen("before the dump")
    write_corpus(pipeline.simulator.corpus, tmp_path / "dump", TODAY)
    changes.happen("after the dump")
    for work in between:
        work(pipeline)
    changes.happen("unseen before it is loaded")
    load(pipeline)
    changes.happen("after it is loaded")
    for work in after:
        work(pipeline)
    assert set(sources(pipeline)) == {"api", "bulk"}
    catch_up(pipeline)
    assert different(pipeline)[:3] == []
    half, in_places = stored(pipeline), places(pipeline)
    catch_up(pipeline)  # What the second court has told of the first one is looked up by its next catch-up.
    assert pipeline.rows("SELECT kind, stream, id FROM courtlistener.lookups") == []
    everything_from_the_api(pipeline)
    assert set(sources(pipeline)) == {"api"}
    assert half == stored(pipeline)
    assert in_places == places(pipeline)
