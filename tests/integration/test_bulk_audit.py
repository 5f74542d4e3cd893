"""A store compared with a dump: what was deleted, what changed without a date, and what only seems so."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner

from courtlistener_assets.cli import main
from courtlistener_assets.defs.assets.bulk import DUMPS
from courtlistener_assets.devkit.bulk.of_corpus import write_corpus
from courtlistener_assets.devkit.simulator.faults import Fault
from courtlistener_assets.devkit.simulator.shapes import ORIGIN
from courtlistener_assets.download.choice import known_tables
from courtlistener_assets.download.partitions import Everything
from courtlistener_assets.settings import Settings
from resources.records.bulk import Walked
from resources.records.model import Scope
from resources.records.store import RecordStore
from tests.integration.pipeline_harness import Pipeline
from tests.integration.test_bulk_and_api import COURTS, asked, comparable, stored

TODAY = datetime.now(UTC).date()
STREAMS = ("dockets", "clusters", "opinions")
MONTH_AGO = datetime.now(UTC) - timedelta(days=30)


@pytest.fixture
def pipeline_settings(tmp_path: Path) -> Mapping[str, str]:
    return {"COURTLISTENER_BULK_URL": str(tmp_path / "dump"), "COURTLISTENER_BULK_DIR": str(tmp_path / "work")}


def download(pipeline: Pipeline) -> None:
    """All months as by the API, a month before the dump; without asking it, which would take the test's time."""
    database, streams = pipeline.database, Settings.from_environ(pipeline.environ).chosen_streams
    store = RecordStore(database, known_tables())
    store.prepare([table.name for table in known_tables()])
    for stream in streams[:3]:
        bodies = [body for (name, _), body in served(pipeline, as_is=True).items() if name == stream.name]
        records = [record for body in bodies for record in stream.read(body, Everything())]
        store.store_found("scotus", records, scope=Scope(frozenset(COURTS), date(2024, 1, 1)))
        months = [f"{court}|2024-0{number}-01" for court in COURTS for number in range(1, 10)]
        walked = [Walked(stream.name, month, sweep.name, 1) for month in months for sweep in stream.sweeps]
        store.bulk_walks.finish(walked, as_of=MONTH_AGO, run_id="api")
    with database.transaction() as connection:
        connection.execute("UPDATE courtlistener.records SET fetched_at = %(ago)s", {"ago": MONTH_AGO})
        connection.execute("DELETE FROM courtlistener.lookups")


def load(pipeline: Pipeline, *, lookups: int = 1000) -> None:
    pipeline.instance.add_dynamic_partitions(DUMPS, [TODAY.isoformat()])
    config = {"ops": {"bulk_audit": {"config": {"lookups": lookups}}}}
    assert pipeline.run("bootstrap", TODAY.isoformat(), run_config=config, raise_on_error=True).success


def found(pipeline: Pipeline, *kinds: str) -> set[tuple[str, int]]:
    rows = pipeline.rows("SELECT kind, stream, id FROM courtlistener.dump_differences")
    return {(stream, id) for kind, stream, id in rows if not kinds or kind in kinds}


def waiting(pipeline: Pipeline) -> int:
    [(count,)] = pipeline.rows("SELECT count(*) FROM courtlistener.dump_differences WHERE repaired_at IS NULL")
    return int(count)


def lookups(pipeline: Pipeline) -> list[Any]:
    return pipeline.rows("SELECT kind, stream, id FROM courtlistener.lookups")


def served(pipeline: Pipeline, *, as_is: bool = False) -> dict[tuple[str, int], dict[str, Any]]:
    """All that the server has, of whatever court, to be compared with what is stored or `as_is`."""
    corpus = pipeline.simulator.corpus
    text = json.dumps({name: {each["id"]: each for each in corpus.table(name)} for name in STREAMS})
    objects = json.loads(text.replace(ORIGIN, pipeline.simulator.url))
    return {
        (name, int(id)): body if as_is else comparable(name, body)
        for name, some in objects.items()
        for id, body in some.items()
    }


def wrong(pipeline: Pipeline) -> set[tuple[str, int]]:
    """What is stored and not as the server has it."""
    now = served(pipeline)
    return {key for key, body in stored(pipeline).items() if now.get(key) != body}


def plant_deletions(pipeline: Pipeline, before: Mapping[tuple[str, int], Any], count: int, rng: random.Random) -> None:
    """Let at least so many of the stored objects go, in all ways, until as many are stored that the server has not."""
    corpus = pipeline.simulator.corpus
    ways = ["opinions", "opinions", "clusters", "dockets", "sealed", "merged"]
    while len(ours := [key for key in sorted(before) if corpus.get(*key)]) > len(before) - count:
        way = rng.choice(ways)
        clusters = [id for stream, id in ours if stream == "clusters"]
        if way == "sealed":
            corpus.seal_cluster(rng.choice(clusters))
        elif way == "merged":
            corpus.merge_cluster(*rng.sample(clusters, 2), opinions_touched=False)
        else:
            corpus.delete(way, rng.choice([id for stream, id in ours if stream == way]))


#: What no date shows: other counts, months, texts and lists.
_SILENT: dict[str, tuple[dict[str, Any], ...]] = {
    "dockets": ({"case_name": "Silently v. Changed"}, {"date_filed": "2024-03-17"}, {"blocked": True}),
    "clusters": ({"citation_count": 4_321}, {"date_filed": "2024-02-02"}, {"citations": []}, {"judges": "Doe"}),
    "opinions": ({"plain_text": "as it is now"}, {"html_with_citations": "<p>now</p>"}, {"page_count": 7_777}),
}


def plant_changes(
    pipeline: Pipeline, before: Mapping[tuple[str, int], Any], count: int, rng: random.Random
) -> set[tuple[str, int]]:
    """Change as many objects that are stored, and that the server has, without a date."""
    corpus = pipeline.simulator.corpus
    chosen = rng.sample([key for key in sorted(before) if corpus.get(*key)], count)
    for number, (stream, id) in enumerate(chosen):
        ways = _SILENT[stream]
        for step in range(len(ways)):  # One that the object is not like already.
            changes = ways[(number + step) % len(ways)]
            if any(corpus.get(stream, id)[name] != value for name, value in changes.items()):  # type: ignore[index]
                corpus.update(stream, id, **changes)
                break
    return set(chosen)


def test_a_hundred_deletions_and_a_hundred_silent_changes_are_found_and_none_else(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    corpus, rng = pipeline.simulator.corpus, random.Random(5)
    download(pipeline)
    before = stored(pipeline)
    plant_deletions(pipeline, before, 100, rng)
    deleted = before.keys() - served(pipeline).keys()
    moved = {key for key, body in served(pipeline).items() if key in before and before[key] != body}
    planted = plant_changes(pipeline, before, 100, rng)
    write_corpus(corpus, tmp_path / "dump", TODAY)
    first = asked(pipeline)
    load(pipeline)
    assert found(pipeline, "deleted") == deleted
    assert found(pipeline, "changed", "children") == planted | moved
    assert found(pipeline, "changed") >= planted
    assert found(pipeline, "missing", "revived") == set()
    assert asked(pipeline) - first <= len(deleted)
    assert wrong(pipeline) == set()
    assert (waiting(pipeline), lookups(pipeline)) == (0, [])
    # What only the API has is kept, and it is said whose body it is.
    rows = pipeline.rows(
        "SELECT stream, id, source, body ? 'main_version' OR body ? 'cluster_redirections' OR body ? 'panel' "
        "FROM courtlistener.records WHERE gone_at IS NULL AND stream IN ('dockets', 'clusters', 'opinions')"
    )
    assert all(richer for *_, richer in rows)
    assert {(stream, id) for stream, id, source, _ in rows if source == "merged"} == planted | moved
    # Once more there is nothing left, and nothing is asked.
    again, differences = asked(pipeline), found(pipeline)
    load(pipeline)
    assert (asked(pipeline), found(pipeline)) == (again, differences)
    assert wrong(pipeline) == set()


def test_what_is_left_over_is_looked_up_by_the_next_run(
    pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = pipeline.simulator.corpus
    download(pipeline)
    for id in [id for stream, id in sorted(stored(pipeline)) if stream == "opinions"][:4]:
        corpus.delete("opinions", id)
    write_corpus(corpus, tmp_path / "dump", TODAY)
    begun = asked(pipeline)
    load(pipeline, lookups=1)
    assert (asked(pipeline) - begun, waiting(pipeline)) == (1, 3)
    [event] = pipeline.instance.fetch_materializations(dg.AssetKey("bulk_audit"), limit=1).records
    shown = {name: value.value for name, value in event.asset_materialization.metadata.items()}  # type: ignore[union-attr]
    assert (
        shown["deleted_objects"],
        shown["changed_objects"],
        shown["objects_to_be_looked_up"],
        shown["requests"],
    ) == (4, 0, 3, 1)
    assert "/api/rest/v4/opinions/" in shown["examples_deleted"]
    # The sensor goes on, once a day, ...
    definition = pipeline.defs.get_repository_def().get_sensor_def("look_up_differences")
    with dg.build_sensor_context(
        instance=pipeline.instance, resources=pipeline.resources(), definitions=pipeline.defs
    ) as context:
        [request] = definition.evaluate_tick(context).run_requests or []
    assert request.tags["dagster/partition"] == TODAY.isoformat()
    # ... and so does a person. A firewall's 404 is not the API's word; what failed is tried again later.
    [[first]] = pipeline.rows("SELECT min(id) FROM courtlistener.dump_differences WHERE repaired_at IS NULL")
    pipeline.simulator.faults.add(Fault("missing", path_prefix=f"/api/rest/v4/opinions/{first}/"))
    for name, value in pipeline.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    failed = CliRunner().invoke(main, ["compare", "--lookups", "1", "--yes"])
    assert failed.exit_code == 0, failed.output
    assert "3 objects are to be looked up, now 1 of them" in failed.output
    assert "4 opinions deleted (stored, and not in the dump), 3 to be looked up" in failed.output
    pipeline.simulator.faults.clear()
    done = CliRunner().invoke(main, ["compare", "--json", "--yes"])
    assert done.exit_code == 0, done.output
    [count] = json.loads(done.output)["counts"][-1:]
    assert (count["stream"], count["kind"], count["found"], count["open"]) == ("opinions", "deleted", 4, 1)
    assert waiting(pipeline) == 1
    with pipeline.database.transaction() as connection:
        connection.execute("UPDATE courtlistener.dump_differences SET due_at = now()")
    assert CliRunner().invoke(main, ["compare", "--dump", TODAY.isoformat(), "--yes"]).exit_code == 0
    assert (waiting(pipeline), wrong(pipeline)) == (0, set())
