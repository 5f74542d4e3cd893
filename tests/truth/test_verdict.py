"""The verdict finds what is wrong, and nothing where nothing is: otherwise rounds of truth would say little."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import timedelta

import pyarrow.parquet as pq
import pytest

from courtlistener_assets.devkit.servers.redis_server import RedisServer
from tests.truth.consumer import Consumer
from tests.truth.mutations import Mutations
from tests.truth.operator import Operator, operating, quiet
from tests.truth.oracle import Change, Oracle, state_of
from tests.truth.verdict import (
    Difference,
    Store,
    chunk_files,
    dead_marks_of_files,
    dead_marks_of_postgres,
    differences_of_files,
    differences_of_rows,
)
from tests.truth.world import COURTS, MARK, MONTHS, Key, World, new_world


@pytest.fixture(scope="module", autouse=True)
def _quiet() -> Iterator[None]:
    quiet()
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture
def operator(database_url: str, redis_server: RedisServer) -> Iterator[Operator]:
    with operating(new_world(1), database_url, redis_server.url) as operator:
        for court in COURTS:
            operator.download(court)
        assert operator.faults == []
        yield operator


def differences(operator: Operator) -> list[Difference]:
    state, database = state_of(operator.world, MONTHS), operator.location.database
    store = Store.read(database, operator.simulator.url, MONTHS)
    found = [*differences_of_rows(store, state), *differences_of_files(operator.data_dir, state)]
    return [*found, *dead_marks_of_postgres(database, state), *dead_marks_of_files(operator.data_dir, state)]


def change(operator: Operator, statement: str) -> None:
    with operator.location.database.transaction() as connection:
        connection.execute(statement.encode())


def test_what_was_downloaded_once_is_equal_and_every_kind_of_damage_is_found(operator: Operator) -> None:
    assert [str(each) for each in differences(operator)] == []
    state = state_of(operator.world, MONTHS)
    keys = [key for key, wanted in sorted(state.items()) if wanted.place.partitions]
    inside = {key.stream: key.id for key in keys}
    inside["clusters"] = next(key.id for key in keys if key.stream == "clusters")
    change(operator, f"DELETE FROM courtlistener.clusters WHERE id = {inside['clusters']}")
    change(operator, f"UPDATE courtlistener.dockets SET court_id = 'ca1' WHERE id = {inside['dockets']}")
    change(
        operator,
        "UPDATE courtlistener.opinions SET body = jsonb_set(body, '{plain_text}', '\"zqaaaaaaqz\"') "
        f"WHERE id = {inside['opinions']}",
    )
    change(operator, f"UPDATE courtlistener.recap_documents SET gone_at = now() WHERE id = {inside['recap_documents']}")
    found = {(each.kind, each.key and each.key.stream) for each in differences(operator)}
    assert {
        ("missing", "clusters"),
        ("missing", "dockets"),
        ("unequal", "opinions"),
        ("dead text", "opinions"),
        ("missing", "recap_documents"),
        ("dead text", "recap_documents"),
    } <= found


def test_what_the_server_no_longer_has_is_a_ghost_with_a_dead_text(operator: Operator) -> None:
    world, state = operator.world, state_of(operator.world, MONTHS)
    gone = next(key for key, wanted in state.items() if key.stream == "opinions" and wanted.place.partitions)
    marks = MARK.findall(str(world.record(gone)))
    Mutations(world).delete(gone)
    found = {each.kind for each in differences(operator) if each.key == gone or each.said.startswith(tuple(marks))}
    assert found >= {"ghost", "ghost in a file", "dead text"}


def test_whoever_follows_the_change_files_has_the_ids_of_the_files(operator: Operator) -> None:
    consumer = Consumer(operator.data_dir)
    assert len(list(consumer.differences())) > 0
    consumer.read()
    assert list(consumer.differences()) == []
    [path, *_] = [path for path in chunk_files(operator.data_dir).values() if pq.read_table(path).num_rows]
    pq.write_table(pq.read_table(path).slice(1), path)
    assert len(list(consumer.differences())) == 1


# --- what an increment can know of ------------------------------------------------------------------------------------


@pytest.fixture
def world() -> World:
    return new_world(1)


def a(world: World, stream: str) -> Key:
    state = state_of(world)
    return next(key for key in sorted(state) if key.stream == stream and state[key].place.partitions)


def test_a_change_with_a_date_is_seen_and_one_without_is_not(world: World) -> None:
    oracle, make, key = Oracle(world), Mutations(world), a(world, "opinions")
    make.change(key, touch=None, sha1="0")
    oracle.observe(Change(1, world.clock.now, "update"))
    assert oracle.excused(key)
    make.change(key, touch=world.clock.now, sha1="1")
    oracle.observe(Change(2, world.clock.now, "touch"))
    assert not oracle.excused(key)
    make.change(key, touch=world.clock.now - timedelta(minutes=30), sha1="2")
    oracle.observe(Change(3, world.clock.now, "a date long ago"))
    assert oracle.excused(key)


def test_a_deleted_opinion_is_seen_when_its_cluster_is_touched(world: World) -> None:
    oracle, make, key = Oracle(world), Mutations(world), a(world, "opinions")
    cluster = Key("clusters", world.record(key)["cluster_id"])
    make.delete(key)
    oracle.observe(Change(1, world.clock.now, "delete"))
    assert oracle.excused(key)
    make.change(cluster, touch=world.clock.now)
    oracle.observe(Change(2, world.clock.now, "touch"))
    assert not oracle.excused(key)
    assert not oracle.excused(cluster)
