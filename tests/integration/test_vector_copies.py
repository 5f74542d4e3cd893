"""Copies in other months and courts: one text stays unmarked, whatever was made first, by however many at once."""

from __future__ import annotations

import itertools
import random
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from courtlistener_assets.building.partition import Builder
from courtlistener_assets.chunks import change_log
from courtlistener_assets.chunks.change_log import ChangeLog, PartitionTurn, Telling
from courtlistener_assets.chunks.identity import Across
from courtlistener_assets.chunks.options import ChunkOptions
from courtlistener_assets.download.undated import partition_of
from resources.connections.postgres import Database
from tests.integration.pipeline_harness import MONTH, Pipeline
from tests.integration.test_vector_moves import BY_MONTH, FEBRUARY, JANUARY, MARCH, World

LONG = " ".join(f"The court finds, as to count {number}, that the claim fails." for number in range(9))
OTHER_COURT = "scotus|2024-02-01"
PARTITIONS = [JANUARY, FEBRUARY, MARCH, OTHER_COURT]


class Copying(World):
    """A world whose files tell copies elsewhere."""

    across: Across = "courts"

    def builder(self) -> Builder:
        return Builder(
            store=self.store,
            streams=BY_MONTH,
            data_dir=self.data,
            options=ChunkOptions(),
            log=ChangeLog.at(self.data, self.database),
            across=self.across,
        )

    def publish(self, number: int, partition: str, text: str = LONG, **cluster: Any) -> None:
        """An opinion of a cluster and a docket of their own."""
        court, _, day = partition.partition("|")
        docket = {"docket_number": cluster.pop("docket_number", f"24-{1000 + number}")}
        self.put("dockets", number, docket, date_filed=day, court_id=court)
        self.put("clusters", number, cluster, docket_id=number, cluster_id=number, date_filed=day, court_id=court)
        self.put("opinions", number, {"plain_text": text}, docket_id=number, cluster_id=number, court_id=court)
        self.stale(partition)

    def stale(self, partition: str) -> None:
        with self.database.transaction() as connection:
            connection.execute(
                "INSERT INTO courtlistener.stale_partitions (partition) VALUES (%(partition)s) "
                "ON CONFLICT (partition) DO UPDATE SET last_at = clock_timestamp()",
                {"partition": partition},
            )

    def settle(self) -> int:
        """Make what is stale until nothing is, as the sensor would; returns how many files that took."""
        made = 0
        while stale := [partition for partition, _ in self.store.stale.partitions()]:
            for partition in stale:
                self.builder().build(partition_of(partition))
                made += 1
            assert made < 100
        return made

    def marks(self) -> dict[int, int | None]:
        """What each opinion is a copy of, in all files."""
        found: dict[int, int | None] = {}
        for file in (self.data / "vector_inputs").glob("*/*/chunks.parquet"):
            for row in pq.read_table(file, columns=["opinion_id", "is_duplicate_of", "duplicate_kind"]).to_pylist():
                original = row["is_duplicate_of"]
                found[row["opinion_id"]] = int(original.partition(":")[2]) if original else None
                assert row["duplicate_kind"] == ("same_text" if original else None)
        return found


@pytest.fixture
def world(database: Database, tmp_path: Path) -> Copying:
    return Copying(database, tmp_path / "data")


CASE = {"case_name": "Doe v. Roe", "citations": [{"volume": 90, "reporter": "F.4th", "page": "1"}]}


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))), ids=str)
def test_the_smallest_id_is_the_original_whatever_is_made_first(world: Copying, order: Sequence[int]) -> None:
    """An opinion that is there again in another month, and in the court that the case was transferred to."""
    places = [(7, JANUARY), (5, FEBRUARY), (6, OTHER_COURT)]
    for number, partition in places:
        world.publish(number, partition, **CASE)
    for place in order:
        world.builder().build(partition_of(places[place][1]))
    world.settle()
    assert world.marks() == {5: None, 6: 5, 7: 5}
    assert world.settle() == 0


def test_only_copies_with_the_identity_of_the_case_and_some_length_are_marked(world: Copying) -> None:
    world.publish(1, JANUARY, **CASE)
    world.publish(2, FEBRUARY, case_name="Smith v. Roe")
    world.publish(3, MARCH, text="Affirmed.", **CASE)
    world.publish(4, FEBRUARY, text="Affirmed.", **CASE)
    # A docket number is of a court, unless the names are the same.
    world.publish(5, OTHER_COURT, docket_number="24-1001", case_name="Poe v. Roe")
    world.publish(6, MARCH, docket_number="24-1001", case_name="Poe v. Roe")
    world.settle()
    assert world.marks() == {1: None, 2: None, 3: None, 4: None, 5: None, 6: 1}
    world.publish(7, "scotus|2024-03-01", docket_number="24-1001", case_name="Doe v. Roe")
    world.settle()
    assert world.marks()[7] == 1


def test_months_of_other_courts_are_another_choice(world: Copying) -> None:
    world.across = "months"
    for number, partition in ((1, JANUARY), (2, FEBRUARY), (3, OTHER_COURT)):
        world.publish(number, partition, **CASE)
    world.settle()
    assert world.marks() == {1: None, 2: 1, 3: None}
    world.across = ""
    world.stale(JANUARY)
    world.settle()
    assert world.marks() == {1: None, 2: None, 3: None}
    assert world.database.rows("SELECT partition FROM courtlistener.chunk_texts") == [(OTHER_COURT,)] * 4


@pytest.mark.parametrize("becomes", ["sealed", "amended", "moved"])
def test_copies_of_what_is_no_longer_there_are_marked_anew(world: Copying, becomes: str) -> None:
    for number, partition in ((1, JANUARY), (2, FEBRUARY), (3, MARCH)):
        world.publish(number, partition, **CASE)
    world.settle()
    if becomes == "sealed":
        world.seal(1)
    elif becomes == "amended":
        world.publish(1, JANUARY, f"{LONG} As amended.", **CASE)
    else:
        world.publish(1, OTHER_COURT, **CASE)
        world.stale(JANUARY)
    world.settle()
    expected = {"sealed": {2: None, 3: 2}, "amended": {1: None, 2: None, 3: 2}, "moved": {1: None, 2: 1, 3: 1}}
    assert world.marks() == expected[becomes]


def test_what_is_a_duplicate_in_its_file_names_the_same_original(world: Copying) -> None:
    world.publish(4, JANUARY, **CASE)
    world.publish(5, JANUARY, **CASE)
    world.settle()
    assert world.marks() == {4: None, 5: 4}
    world.publish(1, FEBRUARY, **CASE)
    world.settle()
    assert world.marks() == {1: None, 4: 1, 5: 1}


# --- the setting ------------------------------------------------------------------------------------------------------


@pytest.fixture
def pipeline_settings() -> Mapping[str, str]:
    return {"COURTLISTENER_DUPLICATES_ACROSS": "courts"}


def test_the_setting_holds_for_runs(pipeline: Pipeline) -> None:
    assert pipeline.run("court_month", MONTH).success
    assert pipeline.rows("SELECT DISTINCT partition FROM courtlistener.chunk_texts") == [(MONTH,)]
    assert pipeline.tick("rebuild_touched_months") == []


# --- several at once --------------------------------------------------------------------------------------------------


@contextmanager
def meeting(monkeypatch: pytest.MonkeyPatch, workers: int, first: int) -> Iterator[list[str]]:
    """Nobody comes to its turn before all have read what they have to read; they come in the order of `first`."""
    met, turn, order = threading.Barrier(workers, timeout=60), Telling.turn, list[str]()
    gone_first = threading.Event()

    @contextmanager
    def late(telling: Telling) -> Iterator[PartitionTurn]:
        number = met.wait() if not met.broken else 0
        mine = threading.current_thread().name == f"worker {first}"
        assert mine or gone_first.wait(60)
        with turn(telling) as found:
            order.append(telling.partition)
            yield found
        if mine:
            gone_first.set()
        assert number >= 0

    with monkeypatch.context() as patch:
        patch.setattr(change_log.Telling, "turn", late)
        yield order


@pytest.mark.parametrize("first", [0, 1])
def test_two_workers_that_know_nothing_of_each_other_come_to_the_same_end(
    world: Copying, monkeypatch: pytest.MonkeyPatch, first: int
) -> None:
    world.publish(1, FEBRUARY, **CASE)
    world.publish(2, JANUARY, **CASE)
    both = [JANUARY, FEBRUARY]
    with meeting(monkeypatch, 2, first) as order:
        workers = [
            threading.Thread(target=world.builder().build, args=[partition_of(partition)], name=f"worker {number}")
            for number, partition in enumerate(both)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    assert len(order) == 2
    assert order[0] == f"court=ca9/month={both[first].partition('|')[2][:7]}"
    assert world.marks() == {1: None, 2: None}  # Neither has seen the other.
    assert world.settle() >= 1
    assert world.marks() == {1: None, 2: 1}


# --- any history ------------------------------------------------------------------------------------------------------


def expected(texts: dict[int, tuple[str, str, str]]) -> dict[int, int | None]:
    """By id of an opinion: partition, text and case; the smallest id of a text and a case is the original."""
    groups: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for id, (_, text, case) in texts.items():
        groups[text, case].append(id)
    return {id: None if id == min(group) else min(group) for group in groups.values() for id in group}


@pytest.mark.parametrize("seed", range(2))
def test_no_text_is_ever_lost_to_who_filters_and_the_end_depends_on_what_is_there_only(
    world: Copying, seed: int
) -> None:
    chance, texts, sealed = random.Random(seed), dict[int, tuple[str, str, str]](), set[int]()
    for _ in range(20):
        id, partition = chance.randrange(1, 15), chance.choice(PARTITIONS)
        text, case = f"{LONG} Version {chance.randrange(2)}.", chance.choice(["Doe v. Roe", "In re Poe"])
        if id in texts and chance.random() < 0.2:
            world.seal(id)
            del texts[id]
            sealed.add(id)
        elif id not in sealed:
            if id in texts:
                world.stale(texts[id][0])
            world.publish(id, partition, text, case_name=case, docket_number=f"24-{case}")
            texts[id] = (partition, text, case)
        for built in chance.sample(PARTITIONS, chance.randrange(3)):
            world.builder().build(partition_of(built))
        if chance.random() < 0.2:
            world.settle()
            assert world.marks() == expected(texts)
    world.settle()
    marks = world.marks()
    assert marks == expected(texts)
    unmarked = {texts[id][1:] for id, original in marks.items() if original is None}
    assert unmarked == {each[1:] for each in texts.values()}
