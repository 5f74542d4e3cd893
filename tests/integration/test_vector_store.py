"""The asset vector_store: a collection or a table is equal to the dataset, also if a run was killed at any step."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from courtlistener_assets.chunks import log_files
from courtlistener_assets.chunks.news import chain
from courtlistener_assets.defs.build import build_definitions
from courtlistener_assets.settings import Settings
from courtlistener_assets.vectors.following import Followed, embed_function, follow
from courtlistener_assets.vectors.pgvector_store import PgvectorStore
from courtlistener_assets.vectors.store import VectorStore
from resources.connections.postgres import Database
from resources.errors import SchemaMismatch, SettingError
from tests.integration.pipeline_harness import MONTH, Pipeline
from tests.integration.test_vector_moves import FEBRUARY, JANUARY, MARCH, TEXT, World, world

__all__ = ["world"]


class Counted:
    """An embedding function of three numbers, which counts the texts that it was given."""

    def __init__(self) -> None:
        self.texts = 0

    def __call__(self, texts: list[str]) -> list[list[float]]:
        self.texts += len(texts)
        return [[float(len(text)), float(text.count("e")), 1.0] for text in texts]


@pytest.fixture(params=["qdrant", "pgvector"])
def store(request: pytest.FixtureRequest, database: Database) -> VectorStore:
    if request.param == "pgvector":
        with database.transaction() as connection:
            [(there,)] = connection.execute(
                "SELECT count(*) FROM pg_available_extensions WHERE name = 'vector'"
            ).fetchall()
        if not there:
            pytest.skip("this Postgres has no pgvector")
        return PgvectorStore(database, "public.chunk_vectors")
    qdrant_client = pytest.importorskip("qdrant_client")
    from courtlistener_assets.vectors.qdrant_store import QdrantStore

    return QdrantStore(qdrant_client.QdrantClient(":memory:"), "chunks")


def test_a_table_of_somebody_else_is_no_reason_to_begin_with_an_empty_database(database: Database) -> None:
    with database.transaction() as connection:
        connection.execute("CREATE TABLE public.chunk_vectors (id int); CREATE TABLE public.chunk_vectors_position ()")
    store = PgvectorStore(database, "public.chunk_vectors")
    id = "0" * 32
    for attempt in (store.position, lambda: store.header_hashes([id]), lambda: store.delete([id]), store.chunk_ids):
        with pytest.raises(SettingError, match=r'VECTOR_STORE: "public"\."chunk_vectors" is not a table of') as said:
            list(attempt() or ())
        assert not isinstance(said.value, SchemaMismatch)


def headers(data: Path) -> dict[str, str]:
    """What is in the dataset."""
    found: dict[str, str] = {}
    for file in (data / "vector_inputs").glob("*/*/chunks.parquet"):
        for row in pq.ParquetFile(file).read(["chunk_id", "context_header"]).to_pylist():
            found[row["chunk_id"]] = row["context_header"]
    return found


def texts(store: VectorStore) -> set[str]:
    return {id for ids in store.chunk_ids() for id in ids}


def up_to_date(world: World, store: VectorStore, embed: Callable[..., Any], name: str = "tests:embed") -> Followed:
    done = follow(store, world.data, embed, name, world.log.renew)
    assert texts(store) == world.ids()
    return done


def test_a_store_follows_and_embeds_only_what_it_must(world: World, store: VectorStore) -> None:
    embed = Counted()
    done = up_to_date(world, store, embed)
    assert (done.whole, done.embedded, done.sequence) == (True, 3, chain(world.data).last)
    assert up_to_date(world, store, embed).embedded == 0
    world.decide(2, "2024-02-01", f"{TEXT} An amended decision.")
    world.seal(1)
    for month in (JANUARY, FEBRUARY, MARCH):
        world.build(month)
    done = up_to_date(world, store, embed)
    assert (done.whole, done.embedded, done.deleted) == (False, 1, 2)
    # Another header needs another vector, other metadata do not.
    world.decide(3, "2024-03-05", f"{TEXT} This is decision 3.")
    world.build(MARCH)
    assert up_to_date(world, store, embed).embedded == 1
    body = {"plain_text": f"{TEXT} This is decision 3.", "author_id": 7}
    world.put("opinions", 3, body, docket_id=3, cluster_id=3)
    world.build(MARCH)
    done = up_to_date(world, store, embed)
    assert (done.embedded, done.relabelled) == (0, 1)
    assert embed.texts == 5


def test_what_moves_keeps_its_vector_if_its_header_stays(world: World, store: VectorStore) -> None:
    embed = Counted()
    up_to_date(world, store, embed)
    world.decide(1, "2024-02-10", f"{TEXT} This is decision 1.")
    world.build(JANUARY)
    done = follow(store, world.data, embed, "tests:embed", world.log.renew)
    assert (done.embedded, done.deleted) == (0, 0)
    world.build(FEBRUARY)
    assert up_to_date(world, store, embed).embedded == 1  # The date is in the header.


def test_who_is_too_late_or_has_another_function_begins_anew(world: World, store: VectorStore) -> None:
    up_to_date(world, store, Counted())
    world.seal(1)
    world.build(JANUARY)
    world.log.compact(0)
    done = up_to_date(world, store, Counted())
    assert (done.whole, done.embedded, done.deleted) == (True, 0, 1)
    done = up_to_date(world, store, Counted(), "tests:another")
    assert (done.whole, done.embedded) == (True, 2)


def test_a_log_that_is_damaged_is_begun_anew(world: World, store: VectorStore) -> None:
    up_to_date(world, store, Counted())
    world.seal(1)
    world.build(JANUARY)
    last = chain(world.data).last
    log_files.numbered(log_files.log_dir(world.data), last).write_bytes(b"PAR1 damaged")
    done = up_to_date(world, store, Counted())
    assert (done.whole, done.sequence > last, done.deleted) == (True, True, 1)
    assert log_files.numbers(log_files.log_dir(world.data)) == []


def test_a_search_with_a_real_model_finds_what_is_there_and_not_what_was_sealed(world: World) -> None:
    qdrant_client, wordllama = pytest.importorskip("qdrant_client"), pytest.importorskip("wordllama")
    from courtlistener_assets.vectors.qdrant_store import QdrantStore

    model = wordllama.WordLlama.load(cache_dir=Path(wordllama.__file__).parent, disable_download=True)
    client = qdrant_client.QdrantClient(":memory:")
    store = QdrantStore(client, "chunks")
    world.decide(1, "2024-01-01", "The officers searched the car without a warrant, and the evidence is suppressed.")
    world.decide(2, "2024-02-01", "The tenant stopped paying rent, and damages for the lease are affirmed.")

    def found() -> list[int]:
        for month in (JANUARY, FEBRUARY):
            world.build(month)
        up_to_date(world, store, lambda texts: model.embed(texts, norm=True))
        [question] = model.embed(["May the police search a vehicle?"], norm=True).tolist()
        return [hit.payload["opinion_id"] for hit in client.query_points("chunks", query=question, limit=9).points]

    assert found()[0] == 1
    world.seal(1)
    assert sorted(found()) == [2, 3]


def embedded_by(number: float, size: int) -> Callable[[list[str]], list[list[float]]]:
    """A function whose vectors can be told from those of another one."""
    return lambda texts: [[number] * size for _ in texts]


@pytest.mark.parametrize("first_run", [True, False])
@pytest.mark.parametrize("step", ["remember", "delete", "put"])
def test_vectors_of_two_functions_are_never_mixed_whoever_is_killed(
    world: World, store: VectorStore, step: str, first_run: bool
) -> None:
    if not first_run:
        up_to_date(world, store, embedded_by(1, 3), "tests:first")
    dying: Any = Dying(store, step, before=False)
    with suppress(Killed):
        follow(dying, world.data, embedded_by(2, 5), "tests:second", world.log.renew)
    # Back to the first one, whose vectors were there already, or were not.
    counted = Counted()
    up_to_date(world, store, counted, "tests:first")
    assert counted.texts == 3
    assert up_to_date(world, store, counted, "tests:first").embedded == 0


class Killed(BaseException):
    pass


def test_a_run_that_is_killed_at_any_step_is_finished_by_the_next(world: World, store: VectorStore) -> None:
    chance, embed = random.Random(3), Counted()
    steps = ["header_hashes", "put", "relabel", "delete", "remember"]
    for _ in range(25):
        number = chance.choice([1, 2, 3])
        world.decide(number, f"2024-0{number}-0{chance.choice([1, 5])}", f"{TEXT} Decision {chance.randrange(4)}.")
        if chance.random() < 0.3:
            world.seal(number)
        world.build((JANUARY, FEBRUARY, MARCH)[number - 1])
        if chance.random() < 0.1:
            world.log.compact(0)
        dying: Any = Dying(store, chance.choice(steps), chance.choice([True, False]))
        try:
            follow(dying, world.data, embed, "tests:embed", world.log.renew)
        except Killed:
            continue
    up_to_date(world, store, embed)
    found = headers(world.data)
    hashes = store.header_hashes(sorted(found))
    from courtlistener_assets.chunks.changes import header_digest

    assert hashes == {id: header_digest(header).hex() for id, header in found.items()}


class Dying:
    """A store that ends the run before or behind one of its methods."""

    def __init__(self, store: VectorStore, step: str, before: bool) -> None:
        self._store, self._step, self._before = store, step, before

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)

        def call(*args: Any) -> Any:
            if name == self._step and self._before:
                raise Killed
            result = method(*args)
            if name == self._step:
                raise Killed
            return result

        return call


# --- the asset --------------------------------------------------------------------------------------------------------


def embed(texts: Sequence[str]) -> list[list[float]]:
    return Counted()(list(texts))


@pytest.fixture
def pipeline_settings(tmp_path: Path) -> dict[str, str]:
    return {
        "COURTLISTENER_VECTOR_STORE": f"qdrant:{tmp_path}/qdrant/chunks",
        "COURTLISTENER_EMBED": f"{__name__}:embed",
    }


def test_the_asset_brings_the_store_up_to_date(pipeline: Pipeline, tmp_path: Path) -> None:
    qdrant_client = pytest.importorskip("qdrant_client")
    assert pipeline.run("court_month", MONTH).success
    result = pipeline.run("update_vector_store")
    assert result.success
    [event] = result.asset_materializations_for_node("vector_store")
    assert event.metadata["embedded_chunks"].value > 100
    client = qdrant_client.QdrantClient(path=str(tmp_path / "qdrant"))
    assert client.count("chunks").count == event.metadata["embedded_chunks"].value


def test_without_a_store_there_is_no_asset_and_a_store_needs_a_function() -> None:
    def keys(**more: Any) -> set[str]:
        definitions = build_definitions(Settings(api_token="x", **more))
        return {key.to_user_string() for key in definitions.resolve_asset_graph().get_all_asset_keys()}

    assert "vector_store" not in keys()
    assert "vector_store" in keys(vector_store="pgvector:chunks", embed="mine:embed")
    with pytest.raises(SettingError, match="COURTLISTENER_EMBED"):
        keys(vector_store="pgvector:chunks")
    for wrong in ("chunks", "pgvector:a b", "qdrant:http://user:password@host/chunks"):
        with pytest.raises(SettingError, match="neither qdrant"):
            Settings(vector_store=wrong)
    with pytest.raises(SettingError, match="cannot be imported"):
        embed_function("no.such.module:embed")
