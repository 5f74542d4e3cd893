"""Partitions at once, each in a process of its own: cutting text is work for processors.

    parent:  one end of a pipe for each worker; gives it a partition whenever it has none
    worker:  `worker.py`; builds one partition after the other, and ends with its parent

Belongs here: how many, who gets what, and how they end. Does not belong here: what a worker does (`worker.py`), what
becomes of errors (`defs/assets/vector_inputs.py`).

Not `multiprocessing`'s own processes: those load the parent's main module, which is Dagster, and a fork would copy the
threads' locks.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import wait
from typing import Any, Final

from courtlistener_assets.building.partition import Builder, Built, Partition
from courtlistener_assets.chunks.change_log import ChangeLog
from courtlistener_assets.chunks.files import Location
from courtlistener_assets.chunks.identity import Across
from courtlistener_assets.chunks.options import ChunkOptions
from courtlistener_assets.download.choice import chosen
from resources.connections.postgres import Database
from resources.errors import BuilderDied
from resources.records.store import RecordStore

#: A worker that is told to end may take this long to roll back and to delete what it has not finished.
GRACE_SECONDS: Final = 3.0
#: An interrupt is heard at least as often, on systems where it does not end a wait.
_POLL_SECONDS: Final = 1.0
WORKER: Final = "courtlistener_assets.building.worker"


@dataclass(frozen=True, kw_only=True)
class Job:
    """What all partitions of a run have in common, as it goes to another process."""

    postgres_url: str
    streams: tuple[str, ...]
    data_dir: Location
    options: ChunkOptions
    across: Across
    log_format: str
    as_made: bool = False

    def builder(self) -> Builder:
        """What builds partitions in the process that calls this."""
        database = Database(self.postgres_url)
        return Builder(
            store=RecordStore(database),
            streams=chosen(self.streams),
            data_dir=self.data_dir,
            options=self.options,
            log=ChangeLog.at(self.data_dir, database),
            across=self.across,
            as_made=self.as_made,
        )


def processes_of(setting: int) -> int:
    """How many processes a setting means: 0 stands for the processors that this process may use."""
    return setting or len(os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1))


def built(
    builder: Builder, job: Job, partitions: Sequence[Partition], processes: int
) -> Generator[tuple[Partition, Built | Exception]]:
    """Yield each partition with what was made of it, or the error that it met, when that has ended.

    One partition, or one process: `builder` does it here. Close it early, and no process is left.
    """
    if min(processes, len(partitions)) > 1:
        yield from _built_by_workers(job, partitions, min(processes, len(partitions)))
        return
    for partition in partitions:
        try:
            found: Built | Exception = builder.build(partition)
        except Exception as error:
            found = error
        yield partition, found


def _built_by_workers(
    job: Job, partitions: Sequence[Partition], count: int
) -> Generator[tuple[Partition, Built | Exception]]:
    waiting, workers = deque(partitions), list[_Worker]()
    try:
        for _ in range(count):
            workers.append(_Worker(job))
            workers[-1].give(waiting.popleft())
        while busy := {worker.connection: worker for worker in workers if worker.partition}:
            for connection in wait(list(busy), _POLL_SECONDS):
                worker = busy[connection]  # type: ignore[index]
                partition, found = worker.take()
                if waiting and isinstance(found, BuilderDied):
                    workers.remove(worker)
                    workers.append(worker := _Worker(job))
                if waiting:
                    worker.give(waiting.popleft())
                yield partition, found
    finally:
        _end(workers)


class _Worker:
    """A process, and the partition that it is at."""

    def __init__(self, job: Job) -> None:
        self.partition: Partition | None = None
        self.connection, theirs = Pipe()
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-m", WORKER, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.PIPE,  # Never written to: it ends when we do.
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
        self._send(job)

    def give(self, partition: Partition) -> None:
        self.partition = partition
        self._send(partition)

    def take(self) -> tuple[Partition, Built | Exception]:
        """The partition and what became of it; call it when the connection is ready."""
        assert self.partition
        partition, self.partition = self.partition, None
        try:
            return partition, self.connection.recv()
        except (EOFError, OSError):
            code = self.process.wait()
            how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
            return partition, BuilderDied(f"the process that made {partition} ended {how}: was there enough memory?")

    def _send(self, message: Any) -> None:
        with suppress(OSError):  # It has died: `take` will say so.
            self.connection.send(message)


def _end(workers: Sequence[_Worker]) -> None:
    """End all processes: kindly, then otherwise."""
    for worker in workers:
        worker.connection.close()
        worker.process.terminate()
    deadline = time.monotonic() + GRACE_SECONDS
    for worker in workers:
        try:
            worker.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            worker.process.kill()
            worker.process.wait()
        assert worker.process.stdin
        worker.process.stdin.close()
