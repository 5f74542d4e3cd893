"""Real processes that ask a limiter as fast as it lets them, and write down when their requests reached the server.

Belongs here: processes, simulated requests and their records. Does not belong here: judging them (`judge.py`)
or any particular limiter (`peers.py`).
"""

from __future__ import annotations

import math
import multiprocessing
import os
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path

#: Entering the context waits for a permit and says who granted it; leaving it settles.
Acquire = Callable[[], AbstractContextManager[str]]
#: Makes the limiter of the worker with this number, in the worker's own process.
Connect = Callable[[int], Acquire]
#: Draws the latency of one request, in seconds.
Latency = Callable[[random.Random], float]


@dataclass
class WorkerLog:
    """What one process did. Times are seconds of the machine's monotonic clock, which all processes share."""

    arrivals: list[float] = field(default_factory=list)
    grants: list[float] = field(default_factory=list)
    #: Who granted each of `grants`.
    holders: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path) -> WorkerLog:
        """Read what a worker wrote, up to its end or its death."""
        log = cls()
        for line in path.read_text().splitlines():
            kind, at, text = line.split(" ", 2)
            if kind == "arrival":
                log.arrivals.append(float(at))
            elif kind == "grant":
                log.grants.append(float(at))
                log.holders.append(text)
            else:
                log.errors.append(text)
        return log


def uniform(low: float, high: float) -> Latency:
    """Latencies between two bounds."""
    return lambda rng: rng.uniform(low, high)


def heavy_tailed(median: float, longest: float) -> Latency:
    """Log-normal latencies: one in a hundred takes ten times the median."""
    return lambda rng: min(longest, median * rng.lognormvariate(0.0, 1.0))


def run(
    connect: Connect,
    *,
    workers: int,
    seconds: float,
    latency: Latency,
    during: Callable[[Sequence[int]], None] = lambda pids: None,
    rest_seconds: float = 0.0,
    patience_seconds: float = 30.0,
    seed: int = 0,
) -> list[WorkerLog]:
    """Run `workers` processes for `seconds`; meanwhile `during(process ids)` runs here, to break something.

    They go on for at least `rest_seconds` after `during`, however long that took: a busy machine mends later what it
    broke. Workers that still wait for a permit `patience_seconds` after the end are killed.
    """
    context = multiprocessing.get_context("fork")
    start = time.monotonic() + 0.5
    end = context.Value("d", math.inf)
    with tempfile.TemporaryDirectory() as directory:
        paths = [Path(directory) / str(number) for number in range(workers)]
        processes = []
        for number, path in enumerate(paths):
            args = (connect, number, path, (start, end), latency, seed + number)
            processes.append(context.Process(target=_work, args=args, daemon=True))
            processes[-1].start()
        time.sleep(max(0.0, start - time.monotonic()))
        during([process.pid or 0 for process in processes])
        end.value = max(start + seconds, time.monotonic() + rest_seconds)
        for process in processes:
            process.join(max(0.0, end.value + patience_seconds - time.monotonic()))
            process.kill()
        return [WorkerLog.read(path) for path in paths]


class _Recorder:
    """Writes each event at once, so that nothing is lost when the worker is killed."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def __call__(self, kind: str, text: object = "") -> None:
        line = str(text).replace("\n", " ")[:200]
        os.write(self._file, f"{kind} {time.monotonic():.6f} {line}\n".encode())


def _work(
    connect: Connect, number: int, path: Path, span: tuple[float, Synchronized[float]], latency: Latency, seed: int
) -> None:
    record, rng = _Recorder(path), random.Random(seed)
    start, end = span
    acquire = connect(number)
    time.sleep(max(0.0, start - time.monotonic()))
    while time.monotonic() < end.value:
        try:
            with acquire() as holder:
                record("grant", holder)
                _send(record, latency(rng), rng)
        except Exception as error:
            record("error", f"{type(error).__name__}: {error}")
            time.sleep(0.005)


def _send(record: _Recorder, latency_seconds: float, rng: random.Random) -> None:
    """A request: it reaches the server somewhere between sending and receiving, which the sender cannot see."""
    before = latency_seconds * rng.random()
    time.sleep(before)
    record("arrival")
    time.sleep(latency_seconds - before)


def shares(logs: Sequence[WorkerLog]) -> list[int]:
    """Requests sent by each worker."""
    return [len(log.arrivals) for log in logs]
