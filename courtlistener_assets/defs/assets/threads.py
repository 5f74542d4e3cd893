"""Partitions at once: threads that do not hold up the end of a run.

Belongs here: the threads. Does not belong here: what they do, and what becomes of their errors (`downloads.py`).

Those of `concurrent.futures` are waited for when the process ends, however long a server keeps them waiting.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from typing import TypeVar

from resources.stopping import Stopping

#: What is under way when the run is told to stop may take this long to end; then it is left alone.
GRACE_SECONDS = 3.0

Item = TypeVar("Item")
Result = TypeVar("Result")


def each_in_threads(
    work: Callable[[Item], Result], items: Sequence[Item], *, threads: int, name: str, stopping: Stopping
) -> Generator[tuple[Item, Future[Result]]]:
    """Yield each item with the future of its work when that has ended; at most `threads` are under way at once.

    If the caller is interrupted or closes this early, `stopping` is stopped, and nothing begins any more.
    """
    waiting: queue.SimpleQueue[Item] = queue.SimpleQueue()
    ended: queue.SimpleQueue[tuple[Item, Future[Result]]] = queue.SimpleQueue()
    for item in items:
        waiting.put(item)
    workers = [
        threading.Thread(target=_work, args=(work, waiting, ended), name=f"{name}_{number}", daemon=True)
        for number in range(min(threads, len(items)))
    ]
    try:
        for worker in workers:
            worker.start()
        for _ in items:
            yield ended.get()
    except BaseException:
        stopping.stop()
        _drain(waiting)
        raise
    finally:
        _join(workers, GRACE_SECONDS)


def _work(
    work: Callable[[Item], Result],
    waiting: queue.SimpleQueue[Item],
    ended: queue.SimpleQueue[tuple[Item, Future[Result]]],
) -> None:
    while True:
        try:
            item = waiting.get_nowait()
        except queue.Empty:
            return
        future: Future[Result] = Future()
        try:
            future.set_result(work(item))
        except BaseException as error:
            future.set_exception(error)
        ended.put((item, future))


def _drain(waiting: queue.SimpleQueue[Item]) -> None:
    while not waiting.empty():
        try:
            waiting.get_nowait()
        except queue.Empty:
            return


def _join(workers: Sequence[threading.Thread], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    for worker in workers:
        if worker.ident is not None:
            worker.join(max(0.0, deadline - time.monotonic()))
