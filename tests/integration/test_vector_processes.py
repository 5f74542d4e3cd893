"""Partitions in several processes: the same files, no error takes the others along, and nothing is left behind."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from courtlistener_assets.building import processes
from courtlistener_assets.building.partition import Built
from courtlistener_assets.building.processes import Job, built, processes_of
from courtlistener_assets.chunks.options import ChunkOptions
from courtlistener_assets.download.undated import partition_of
from courtlistener_assets.logs import TEXT
from resources.connections.postgres import Database
from resources.errors import BuilderDied, UnusableRecord
from tests.change_log_consumer import Vectors, headers_of_dataset
from tests.integration.test_vector_moves import BY_MONTH, FEBRUARY, JANUARY, MARCH, World, world

__all__ = ["world"]
MONTHS = [partition_of(key) for key in (JANUARY, FEBRUARY, MARCH)]


@pytest.fixture
def job(world: World, database_url: str) -> Job:
    """Of the world, in which every month has a change that no file has."""
    for number in (1, 2, 3):
        world.decide(number, f"2024-0{number}-01", f"An amended decision, number {number}.")
    names = tuple(stream.name for stream in BY_MONTH)
    return Job(
        postgres_url=database_url,
        streams=names,
        data_dir=world.data,
        options=ChunkOptions(),
        across="",
        log_format=TEXT,
    )


def workers() -> list[int]:
    """The processes that this one has started to build partitions."""
    found = []
    for each in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parent = int((each / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == os.getpid() and processes.WORKER.encode() in (each / "cmdline").read_bytes():
                found.append(int(each.name))
    return found


@contextmanager
def held(database: Database, *months: str) -> Iterator[None]:
    """Who is to replace the files of these months waits for the end."""
    partitions = [f"court=ca9/month={month}" for month in months]
    with database.transaction(patient=True) as connection:
        connection.execute(
            "SELECT * FROM courtlistener.chunk_files WHERE partition = ANY(%(partitions)s) FOR UPDATE",
            {"partitions": partitions},
        )
        yield


def eventually(true: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 30
    while not true() and time.monotonic() < deadline:
        time.sleep(0.02)
    return true()


def waiting(database: Database) -> int:
    [(count,)] = database.rows(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    return int(count)


def staged(world: World) -> list[Path]:
    return list(world.data.rglob(".chunks.parquet.*.tmp"))


def test_partitions_are_made_by_several_processes_and_told_in_one_log(
    world: World, job: Job, capfd: pytest.CaptureFixture[str]
) -> None:
    world.put("opinions", 9, {"id": "none", "plain_text": "Damaged."}, docket_id=2, cluster_id=2)
    found = dict(built(world.builder(), job, MONTHS, 2))
    assert [type(found[month]) for month in MONTHS] == [Built, UnusableRecord, Built]
    assert "in build" in "".join(getattr(found[MONTHS[1]], "__notes__", []))
    assert workers() == []
    assert "Fatal Python error" not in capfd.readouterr().err
    vectors = Vectors(world.data)
    vectors.read()
    assert vectors.headers == headers_of_dataset(world.data)
    # Whoever makes them again in this process finds nothing to do: the rows are the same.
    for month, again in built(world.builder(), job, [MONTHS[0], MONTHS[2]], 1):
        before = found[month]
        assert isinstance(again, Built)
        assert isinstance(before, Built)
        assert (before.diff.added, before.diff.removed, bool(again.diff)) == (1, 1, False)
        assert before.diff.content == again.diff.content


def test_processes_that_are_killed_are_the_errors_of_their_partitions(
    world: World, job: Job, database: Database
) -> None:
    found = {}
    with held(database, "2024-01", "2024-02"), closing(built(world.builder(), job, MONTHS, 2)) as results:

        def kill() -> None:
            assert eventually(lambda: waiting(database) == 2)
            for worker in workers():
                os.kill(worker, signal.SIGKILL)

        threading.Thread(target=kill).start()
        for month, each in results:
            found[month] = each
    assert [type(found[month]) for month in MONTHS] == [BuilderDied, BuilderDied, Built]
    assert "by signal 9" in str(found[MONTHS[0]])
    assert workers() == []


def test_who_stops_early_leaves_no_process_and_no_half_of_a_file(world: World, job: Job, database: Database) -> None:
    def interrupt() -> None:
        assert eventually(lambda: waiting(database) == 2)
        assert len(staged(world)) == 2
        os.kill(os.getpid(), signal.SIGINT)

    with held(database, "2024-01", "2024-02"), closing(built(world.builder(), job, MONTHS, 2)) as results:
        threading.Thread(target=interrupt).start()
        with pytest.raises(KeyboardInterrupt):
            next(results)
        assert workers() == []
        assert staged(world) == []


def test_processes_end_with_a_parent_that_is_killed(world: World, job: Job, database: Database) -> None:
    script = (
        "import pickle, sys; from courtlistener_assets.building.processes import built; "
        "job, partitions = pickle.loads(bytes.fromhex(sys.argv[1])); list(built(job.builder(), job, partitions, 2))"
    )
    with held(database, "2024-01", "2024-02"):
        parent = subprocess.Popen([sys.executable, "-c", script, pickle.dumps((job, MONTHS)).hex()])
        assert eventually(lambda: waiting(database) == 2)
        parent.kill()
        parent.wait()
        assert eventually(lambda: staged(world) == [])
        assert eventually(lambda: waiting(database) == 0)


def test_the_number_of_processes_is_that_of_processors_unless_it_is_set() -> None:
    assert processes_of(3) == 3
    assert processes_of(0) == len(os.sched_getaffinity(0))
