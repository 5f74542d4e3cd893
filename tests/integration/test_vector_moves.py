"""A decision moves between months: whoever follows the change log ends with the chunks that are in the files."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from courtlistener_assets.building.partition import Builder, Built, chunks_path
from courtlistener_assets.chunks import log_files
from courtlistener_assets.chunks import table as chunk_table
from courtlistener_assets.chunks.change_log import ChangeLog
from courtlistener_assets.chunks.files import publish, staged
from courtlistener_assets.chunks.options import ChunkOptions
from courtlistener_assets.download.stream import all_tables
from courtlistener_assets.download.streams import STREAMS
from courtlistener_assets.download.undated import partition_of
from resources.connections.postgres import Database
from resources.errors import StoreUnavailable
from resources.records.store import RecordStore

JANUARY, FEBRUARY, MARCH = "ca9|2024-01-01", "ca9|2024-02-01", "ca9|2024-03-01"
UNDATED = "ca9|undated"
BY_MONTH = [stream for stream in STREAMS if stream.by_month]
TEXT = "The judgment of the district court is affirmed. The secret of the informant is safe with us."


@dataclass(frozen=True)
class Change:
    """What the change log says of one change of a partition's file, as a consumer may read it."""

    partition: str
    ids: dict[str, str]


def told(data: Path, known: Sequence[Change], partition: str) -> list[Change]:
    """The entry of the change log that follows those that are known, if there is one."""
    directory = log_files.log_dir(data)
    [*rest] = log_files.numbers(directory)[len(known) :]
    rows = [pq.read_table(log_files.numbered(directory, number)).to_pylist() for number in rest]
    return [Change(partition, {row["chunk_id"]: row["change"] for row in entry}) for entry in rows]


@dataclass
class World:
    """A store and its files; remembers every change that was told."""

    database: Database
    data: Path
    changes: list[Change] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.store = RecordStore(self.database, [table for stream in STREAMS for table in stream.tables])
        self.store.prepare(all_tables(BY_MONTH))
        self.log = ChangeLog.at(self.data, self.database).open()

    def put(self, stream: str, id: int, body: dict[str, Any] | None = None, **columns: Any) -> None:
        with self.database.transaction() as connection:
            names = {"court_id": "ca9", "docket_id": None, "cluster_id": None, "date_filed": None, **columns}
            connection.execute(
                "INSERT INTO courtlistener.records (stream, id, body, court_id, docket_id, cluster_id, date_filed) "
                "VALUES (%(stream)s, %(id)s, %(body)s, %(court_id)s, %(docket_id)s, %(cluster_id)s, %(date_filed)s) "
                "ON CONFLICT (stream, id) DO UPDATE SET body = excluded.body, court_id = excluded.court_id, "
                "date_filed = excluded.date_filed",
                {"stream": stream, "id": id, "body": json.dumps({"id": id, **(body or {})}), **names},
            )

    def decide(self, number: int, day: str | None, text: str = TEXT, court: str = "ca9") -> None:
        """A decision of a day, or what it has become."""
        self.put("dockets", number, date_filed=day, court_id=court)
        self.put("clusters", number, docket_id=number, date_filed=day, court_id=court)
        self.put("opinions", number, {"plain_text": text}, docket_id=number, cluster_id=number, court_id=court)

    def file_document(self, number: int, day: str | None, text: str = TEXT) -> None:
        """A filing in a docket of a day, or of none."""
        self.put("dockets", number, date_filed=day)
        self.put("recap_documents", number, {"plain_text": text}, docket_id=number)

    def seal(self, number: int, stream: str = "clusters") -> None:
        self.store.mark_gone(stream, [number], "removed")

    def builder(self) -> Builder:
        return Builder(store=self.store, streams=BY_MONTH, data_dir=self.data, options=ChunkOptions(), log=self.log)

    def build(self, partition: str) -> Built:
        said = self.builder().build(partition_of(partition))
        self.changes += told(self.data, self.changes, partition)
        return said

    def path(self, partition: str) -> Path:
        return Path(str(chunks_path(self.data, partition_of(partition))))

    def ids(self) -> set[str]:
        """The chunks that are in any file."""
        files = self.data.rglob("chunks.parquet")
        return {str(id) for file in files for id in pq.read_table(file, columns=["chunk_id"])["chunk_id"].to_pylist()}

    def last(self) -> dict[str, str]:
        return self.changes[-1].ids


@pytest.fixture
def world(database: Database, tmp_path: Path) -> World:
    """A decision in each of three months, whose files are made."""
    world = World(database, tmp_path / "data")
    for number, month in enumerate((JANUARY, FEBRUARY, MARCH), 1):
        world.decide(number, month.partition("|")[2], f"{TEXT} This is decision {number}.")
        world.build(month)
    return world


def simple(changes: Sequence[Change]) -> set[str]:
    """The ids of a vector store that does what docs/vector-inputs.md says first."""
    vectors: set[str] = set()
    for each in changes:
        for id, change in each.ids.items():
            if change in ("added", "relabelled", "reembed"):
                vectors.add(id)
            elif change == "removed":
                vectors.discard(id)
    return vectors


def with_partitions(changes: Sequence[Change]) -> set[str]:
    """The ids of one that keeps with each vector which partitions have it."""
    having: dict[str, set[str]] = {}
    for each in changes:
        for id, change in each.ids.items():
            if change in ("added", "relabelled", "reembed"):
                having.setdefault(id, set()).add(each.partition)
            else:
                having.get(id, set()).discard(each.partition)
    return {id for id, partitions in having.items() if partitions}


def orders(changes: Sequence[Change]) -> Iterator[list[Change]]:
    """Every order that keeps the changes of each partition in theirs."""
    partitions = [each.partition for each in changes]
    of = {partition: [each for each in changes if each.partition == partition] for partition in partitions}
    for order in sorted(set(itertools.permutations(partitions))):
        rest = {partition: iter(those) for partition, those in of.items()}
        yield [next(rest[partition]) for partition in order]


# --- moves ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "order", list(itertools.permutations([JANUARY, FEBRUARY])), ids=["January first", "February first"]
)
def test_every_order_of_building_and_of_applying_ends_with_the_chunks_of_the_files(
    world: World, order: tuple[str, str]
) -> None:
    world.decide(1, "2024-02-10", f"{TEXT} This is decision 1.")
    diffs = {partition: world.build(partition).diff for partition in order}
    assert (diffs[JANUARY].moved, diffs[JANUARY].removed) == (1, 0)
    assert diffs[FEBRUARY].added == 1
    assert len(world.ids()) == 3
    for changes in orders(world.changes):
        assert simple(changes) == with_partitions(changes) == world.ids()


STORIES = {
    "sealed after January is built": ["to February", JANUARY, "seal", FEBRUARY],
    "sealed before anything is built": ["to February", "seal", JANUARY, FEBRUARY],
    "sealed when both are built": ["to February", JANUARY, FEBRUARY, "seal", FEBRUARY],
    "there and back, January built": ["to February", JANUARY, "to January", JANUARY, FEBRUARY],
    "there and back, all built": ["to February", FEBRUARY, JANUARY, "to January", FEBRUARY, JANUARY],
    "there and back, then sealed": ["to February", FEBRUARY, JANUARY, "to January", JANUARY, "seal", JANUARY, FEBRUARY],
    "on to March before February is built": ["to February", JANUARY, "to March", FEBRUARY, MARCH],
    "on to March, and sealed": ["to February", JANUARY, "to March", FEBRUARY, "seal", MARCH],
    "to a month that has no file": ["to April", JANUARY],
    "to another court": ["to ca5", JANUARY],
    "with another text": ["to February, amended", JANUARY, FEBRUARY],
    "amended on the way": ["to February", JANUARY, "to February, amended", FEBRUARY],
    "amended on the way and back": ["to February", JANUARY, "to February, amended", FEBRUARY, "to February", FEBRUARY],
}


def tell(world: World, story: Sequence[str]) -> None:
    days = {"February": "2024-02-10", "January": "2024-01-10", "March": "2024-03-10", "April": "2024-04-10"}
    for step in story:
        if step == "seal":
            world.seal(1)
        elif step == "to ca5":
            world.decide(1, "2024-01-10", f"{TEXT} This is decision 1.", court="ca5")
        elif step.startswith("to "):
            month, _, amended = step.removeprefix("to ").partition(", ")
            world.decide(1, days[month], f"{TEXT} This is {amended or 'decision'} 1.")
        else:
            world.build(step)


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_whatever_happens_on_the_way_the_vectors_end_as_the_files(world: World, story: list[str]) -> None:
    tell(world, story)
    assert simple(world.changes) == world.ids()
    for changes in orders(world.changes):
        assert with_partitions(changes) == world.ids()
    # Nothing is left over: another build of everything changes nothing.
    before = len(world.changes)
    for partition in (JANUARY, FEBRUARY, MARCH):
        world.build(partition)
    assert len(world.changes) == before
    assert world.database.rows("SELECT FROM courtlistener.chunk_arrivals") == []


def test_what_went_where_no_file_is_was_removed(world: World) -> None:
    tell(world, STORIES["to a month that has no file"])
    assert set(world.last().values()) == {"removed"}


def test_of_an_amended_decision_that_moved_only_chunks_that_it_still_has_moved(world: World) -> None:
    tell(world, STORIES["with another text"])
    january, february = world.changes[-2:]
    assert set(january.ids.values()) == {"removed"}
    assert set(february.ids.values()) == {"added"}


def test_what_is_found_gone_on_the_way_is_named_by_the_month_that_it_was_to_be_in(world: World) -> None:
    tell(world, STORIES["sealed after January is built"])
    assert [(each.partition, set(each.ids.values())) for each in world.changes[-2:]] == [
        (JANUARY, {"moved"}),
        (FEBRUARY, {"removed"}),
    ]
    world.build(FEBRUARY)
    assert len(world.changes) == 5
    assert world.database.rows("SELECT FROM courtlistener.chunk_arrivals") == []


# --- no dead text -----------------------------------------------------------------------------------------------------


def everything_below(directory: Path) -> bytes:
    """What any file says, uncompressed as far as it is Parquet."""
    said = b""
    for file in directory.rglob("*"):
        if file.suffix == ".parquet":
            said += str(pq.read_table(file).to_pylist()).encode()
        elif file.is_file():
            said += file.read_bytes()
    return said


@pytest.mark.parametrize("what", ["to February", "to April", "seal", "docket", "opinion"])
def test_a_month_that_has_nothing_left_is_an_empty_file_without_a_trace_of_its_text(world: World, what: str) -> None:
    streams = {"docket": "dockets", "opinion": "opinions"}
    if what in streams:
        world.seal(1, streams[what])
    else:
        tell(world, [what])
    built = world.build(JANUARY)
    assert (built.tally.chunks, pq.read_metadata(world.path(JANUARY)).num_rows) == (0, 0)
    assert b"informant" not in everything_below(world.path(JANUARY).parent)
    assert b"informant" not in everything_below(log_files.log_dir(world.data))
    assert [path.name for path in world.path(JANUARY).parent.iterdir()] == ["chunks.parquet"]


@pytest.mark.parametrize("place", ["local", "remote"])
def test_what_a_killed_run_left_is_deleted_by_the_next_one_but_nothing_that_is_in_use(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from upath import UPath

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    location = tmp_path / "chunks.parquet" if place == "local" else UPath("memory://bucket/chunks.parquet")
    with staged(location) as file:
        left = file.with_name(file.name.replace(".tmp", "0.tmp"))
        left.write_text("sealed")
        with staged(location) as second:
            assert (left.exists(), file.exists(), second.exists()) == (False, True, True)
    assert list(tmp_path.iterdir()) == []


# --- stale partitions -------------------------------------------------------------------------------------------------


def stale(world: World) -> list[str]:
    return [partition for partition, _ in world.store.stale.partitions()]


def make_stale(world: World, partition: str) -> None:
    with world.database.transaction() as connection:
        connection.execute(
            "INSERT INTO courtlistener.stale_partitions AS known (partition) VALUES (%s) "
            "ON CONFLICT (partition) DO UPDATE SET last_at = clock_timestamp()",
            [partition],
        )


def test_a_partition_is_stale_until_it_is_built(world: World) -> None:
    make_stale(world, JANUARY)
    make_stale(world, FEBRUARY)
    world.build(JANUARY)
    assert stale(world) == [FEBRUARY]


def test_a_build_that_fails_leaves_it_stale(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    make_stale(world, JANUARY)

    def fail(*args: object) -> None:
        raise StoreUnavailable

    with monkeypatch.context() as failing:
        failing.setattr(RecordStore, "documents", fail)
        with pytest.raises(StoreUnavailable):
            world.build(JANUARY)
    assert stale(world) == [JANUARY]


def test_what_changes_while_it_is_built_leaves_it_stale(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    make_stale(world, JANUARY)
    documents = RecordStore.documents

    def changed_meanwhile(store: RecordStore, *args: Any) -> Any:
        make_stale(world, JANUARY)
        return documents(store, *args)

    with monkeypatch.context() as changing:
        changing.setattr(RecordStore, "documents", changed_meanwhile)
        world.build(JANUARY)
    assert stale(world) == [JANUARY]


def test_a_worker_that_is_killed_before_it_could_tell_leaves_it_stale(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.decide(1, "2024-01-01", "Sealed soon after.")

    class Killed(BaseException):
        pass

    def killed_behind(*args: Any) -> None:
        publish(*args)
        raise Killed

    with monkeypatch.context() as killing:
        killing.setattr(chunk_table, "publish", killed_behind)
        with pytest.raises(Killed):
            world.build(JANUARY)
    assert stale(world) == [JANUARY]
    world.seal(1)
    world.build(JANUARY)
    assert set(world.last().values()) == {"removed"}
    assert stale(world) == []
    assert simple(world.changes) == world.ids()


def test_a_run_that_was_overtaken_reads_the_documents_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    documents, first = RecordStore.documents, [True]

    @contextmanager
    def read_too_early(store: RecordStore, *args: Any) -> Iterator[Iterator[dict[str, Any]]]:
        with documents(store, *args) as rows:
            read = list(rows)
        if first.pop() if first else False:
            world.seal(1)
            world.build(JANUARY)
        yield iter(read)

    with monkeypatch.context() as reading:
        reading.setattr(RecordStore, "documents", read_too_early)
        world.decide(1, "2024-01-01", "It was read, and then it was sealed.")
        world.builder().build(partition_of(JANUARY))
    assert pq.read_metadata(world.path(JANUARY)).num_rows == 0
    assert simple(world.changes) == world.ids()
    assert stale(world) == []


# --- without a date ---------------------------------------------------------------------------------------------------


def test_filings_of_dockets_without_a_date_have_a_file_of_their_own(world: World) -> None:
    world.file_document(9, None)
    built = world.build(UNDATED)
    assert (built.tally.documents, built.diff.added) == (1, 1)
    assert world.path(UNDATED) == world.data / "vector_inputs" / "court=ca9" / "month=undated" / "chunks.parquet"
    [row] = pq.ParquetFile(world.path(UNDATED)).read().to_pylist()
    assert (row["recap_document_id"], row["court_id"], row["date_filed"]) == (9, "ca9", None)


@pytest.mark.parametrize(
    "order", list(itertools.permutations([JANUARY, UNDATED])), ids=["January first", "undated first"]
)
def test_they_move_to_their_month_when_their_docket_gets_its_date(world: World, order: tuple[str, str]) -> None:
    world.file_document(9, None)
    world.build(UNDATED)
    world.file_document(9, "2024-01-20")
    for partition in order:
        world.build(partition)
    assert pq.read_metadata(world.path(UNDATED)).num_rows == 0
    for changes in orders(world.changes):
        assert simple(changes) == with_partitions(changes) == world.ids()


def test_readers_of_partitioned_parquet_take_the_month_as_text(world: World) -> None:
    world.file_document(9, None)
    world.build(UNDATED)
    table = ds.dataset(world.data / "vector_inputs", format="parquet", partitioning="hive").to_table()
    assert sorted(set(map(str, table["month"].to_pylist()))) == ["2024-01", "2024-02", "2024-03", "undated"]
    january = table.filter(ds.field("month") == "2024-01")
    assert january["opinion_id"].to_pylist() == [1]
