"""Work in several processes, none of which outlives the one that wants it.

Belongs here: starting and ending them. Does not belong here: what they do.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from typing import TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")


def in_processes(
    work: Callable[[Job], Result], jobs: Sequence[Job], processes: int
) -> Iterator[tuple[Job, Future[Result]]]:
    """Do jobs side by side; yields each with what has become of it, as it ends. With one process, in this one.

    The processes end at once when the caller stops, is interrupted, or is killed. A job whose process died, also by
    another's fault, raises BrokenProcessPool when its result is asked for.
    """
    if min(processes, len(jobs)) <= 1:
        for job in jobs:
            yield job, _done_here(work, job)
        return
    context, count = multiprocessing.get_context("spawn"), min(processes, len(jobs))
    # Whoever has the other end of a pipe sees it closed, however this process ends.
    theirs, ours = context.Pipe(duplex=False)
    # A pool waits for ever for a process that it starts while another one dies: none works before all have started.
    started = context.Barrier(count)
    pool = ProcessPoolExecutor(count, mp_context=context, initializer=_begin, initargs=(theirs, started))
    try:
        futures = {_submitted(pool, work, job): job for job in jobs}
        # A pool watches the processes that were there when it was given its last job.
        _submitted(pool, _nothing, None)
        for future in as_completed(futures):
            yield futures.pop(future), future
    finally:
        ours.close()
        pool.shutdown(wait=True, cancel_futures=True)
        theirs.close()


def _done_here(work: Callable[[Job], Result], job: Job) -> Future[Result]:
    future: Future[Result] = Future()
    try:
        future.set_result(work(job))
    except Exception as error:
        future.set_exception(error)
    return future


def _submitted(pool: ProcessPoolExecutor, work: Callable[[Job], Result], job: Job) -> Future[Result]:
    try:
        return pool.submit(work, job)
    except BrokenProcessPool as error:
        future: Future[Result] = Future()
        future.set_exception(error)
        return future


def _nothing(_: None) -> None:
    pass


def _begin(pipe: Connection, started: Barrier) -> None:
    """End this process when the other end of a pipe is closed; wait for the others."""

    def wait() -> None:
        with suppress(EOFError, OSError):
            pipe.recv_bytes()
        os._exit(1)

    threading.Thread(target=wait, name="end-with-parent", daemon=True).start()
    started.wait()
