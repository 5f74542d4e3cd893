"""Workers are killed at any point, many at once: whoever follows the change log ends with what is in the dataset."""

from __future__ import annotations

import multiprocessing
import random
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from courtlistener_assets.building import partition as building
from courtlistener_assets.chunks import change_log, files, log_files, moves, table
from courtlistener_assets.chunks.change_log import ChangeLog
from courtlistener_assets.chunks.news import chain
from courtlistener_assets.download.streams import STREAMS
from courtlistener_assets.download.undated import partition_of
from resources.connections.postgres import Database
from resources.records import arrivals, chunk_log, stale
from resources.records.store import RecordStore
from tests.change_log_consumer import Vectors, headers_of_dataset
from tests.change_log_worker import work
from tests.integration.test_vector_histories import PARTITIONS, History

KILL_POINTS = 150
#: Whose lines count as steps at which a worker may be killed.
TRACED = {
    module.__file__ for module in (change_log, files, log_files, moves, table, building, arrivals, chunk_log, stale)
}


class Killed(BaseException):
    pass


@contextmanager
def killed_after(lines: int) -> Iterator[list[int]]:
    """Whatever runs is ended before that line of ours; gives how many were run."""
    run = [0]

    def trace(frame: FrameType, event: str, arg: Any) -> Any:
        if frame.f_code.co_filename not in TRACED:
            return None
        if event == "line":
            run[0] += 1
            if run[0] == lines:
                sys.settrace(None)
                raise Killed
        return trace

    sys.settrace(trace)
    try:
        with suppress(Killed):
            yield run
    finally:
        sys.settrace(None)


@pytest.fixture
def history(database: Database, tmp_path: Path) -> History:
    tables = [table for stream in STREAMS for table in stream.tables]
    store = RecordStore(database, tables)
    store.prepare([table.name for table in tables])
    ChangeLog.at(tmp_path, database).open()
    return History(store, database, tmp_path, random.Random(5))


def begin(history: History) -> None:
    for id in (1, 2, 3):
        for put in (history.docket, history.filing, history.cluster, history.opinion):
            put(id)
    for partition in PARTITIONS:
        build(history, partition)


def build(history: History, partition: str) -> None:
    log = ChangeLog.at(history.data, history.database)
    history.builder(log).build(partition_of(partition))


def build_what_is_stale(history: History) -> None:
    while stale := {partition for partition, _ in history.store.stale.partitions()} & set(PARTITIONS):
        for partition in sorted(stale):
            build(history, partition)
    ChangeLog.at(history.data, history.database).open()


def test_a_worker_that_is_ended_at_any_line_leaves_nothing_untold(history: History) -> None:
    begin(history)
    chance, vectors, late = random.Random(1), Vectors(history.data), Vectors(history.data)
    with killed_after(0) as lines:
        build(history, PARTITIONS[0])
    longest = {"build": lines[0] * 3, "compact": 60}
    killed = 0
    for _ in range(KILL_POINTS * 20):
        history.step()
        partition, log = chance.choice(PARTITIONS), ChangeLog.at(history.data, history.database)
        what = chance.choice(["build"] * 9 + ["compact"])
        at = chance.randrange(1, longest[what])
        with killed_after(at) as lines:
            if what == "compact":
                log.open().compact(0)
            else:
                build(history, partition)
        killed += lines[0] == at
        longest[what] = max(longest[what], lines[0])
        if chance.random() < 0.4:
            vectors.read()
        if killed >= KILL_POINTS:
            break
    assert killed >= KILL_POINTS
    build_what_is_stale(history)
    for consumer in (vectors, late):
        consumer.read()
        assert consumer.headers == headers_of_dataset(history.data)
    assert vectors.began_anew < vectors.seen


# --- real processes ---------------------------------------------------------------------------------------------------


def end(process: Any) -> None:
    process.kill()
    process.join()


def test_workers_that_are_killed_while_others_make_the_same_partitions_leave_nothing_untold(
    history: History, database_url: str
) -> None:
    begin(history)
    chance, vectors = random.Random(2), Vectors(history.data)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([work.__module__])

    def worker() -> tuple[Any, Any]:
        begun = context.Event()
        arguments = (database_url, str(history.data), PARTITIONS[:3], chance.randrange(10**9), begun)
        process = context.Process(target=work, args=arguments)
        process.start()
        return process, begun

    workers = [worker() for _ in range(3)]
    try:
        for killed in range(100):
            history.step()
            process, begun = workers[killed % 3]
            assert begun.wait(60)
            time.sleep(chance.random() * 0.5)
            end(process)
            workers[killed % 3] = worker()
            vectors.read()
    finally:
        for process, _ in workers:
            end(process)
    build_what_is_stale(history)
    vectors.read()
    assert vectors.headers == headers_of_dataset(history.data)
    assert chain(history.data).last > 10
