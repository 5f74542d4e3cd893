"""What is measured of reading bulk files: the passes of a bootstrap, and unpacking alone, turn by turn.

Both are processes of their own. The passes stop at every checkpoint and say which bytes they have read and what that
took; while they stand still, the other process unpacks the same bytes and does nothing with them. So both have the same
bytes at nearly the same moment, whatever else the machine does.

Belongs here: the two processes, and taking turns. Does not belong here: the dump, other libraries, writing.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from courtlistener_assets.download.bulk import passes
from courtlistener_assets.download.bulk.bootstrap import TABLES
from courtlistener_assets.download.bulk.bzip2 import blocks
from courtlistener_assets.download.bulk.dialect import Mark
from courtlistener_assets.download.bulk.passes import Passes, Wanted
from courtlistener_assets.download.bulk.source import BulkSource
from courtlistener_assets.download.bulk.work import Progress, Workshop

_PAGE_BYTES = resource.getpagesize()


@dataclass(frozen=True)
class Span:
    """Part of a file, and what reading it took; `rows` were looked at, and `memory_mb` were held at most."""

    table: str
    start: Mark
    end: Mark
    seconds: float
    cpu_seconds: float
    rows: int
    memory_mb: float
    pid: int

    @property
    def raw(self) -> int:
        return self.end.raw - self.start.raw

    @property
    def packed(self) -> int:
        return (self.end.block.bit - self.start.block.bit) // 8


@dataclass(frozen=True)
class Unpacked:
    """Unpacking alone: bytes, and what that took."""

    raw: int
    seconds: float
    cpu_seconds: float


@dataclass(frozen=True)
class Ended:
    """The end of all passes: the largest memory of the process, and the rows of opinions that were kept."""

    peak_mb: float
    kept: int


def filtered(
    folder: Path, threads: int, wanted: Wanted, turn_seconds: float, told: Callable[[Span], None]
) -> Iterator[Ended]:
    """Run all passes in a process of its own, which waits while `told` hears of each of its spans."""
    with _process(_filter, folder, threads, wanted, turn_seconds) as pipe:
        while True:
            heard = pipe.recv()
            if isinstance(heard, Ended):
                yield heard
                return
            # Otherwise its threads would go on with what they have been given.
            os.kill(heard.pid, signal.SIGSTOP)
            told(heard)
            os.kill(heard.pid, signal.SIGCONT)
            pipe.send(None)


@contextmanager
def unpacking(folder: Path, threads: int) -> Iterator[Callable[[Span], Unpacked]]:
    """A process that unpacks what a span has."""
    with _process(_unpack, folder, threads) as pipe:

        def unpack(span: Span) -> Unpacked:
            pipe.send(span)
            found: Unpacked = pipe.recv()
            return found

        yield unpack


@contextmanager
def _process(work: Callable[..., None], *arguments: Any) -> Iterator[Connection]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=work, args=(theirs, *arguments), daemon=True)
    process.start()
    theirs.close()
    try:
        yield ours
    finally:
        process.kill()
        process.join()


def _filter(pipe: Connection, folder: Path, threads: int, wanted: Wanted, turn_seconds: float) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    passes.PART_SECONDS = turn_seconds
    source, memory = BulkSource(str(folder)), _Memory()
    before: dict[str, tuple[Mark, int]] = {}
    began = [time.monotonic(), time.process_time()]

    def told(table: str, packed: int, progress: Progress) -> None:
        took = time.monotonic() - began[0], time.process_time() - began[1]
        start, seen = before.get(table, (Mark(), 0))
        end = progress.mark or start
        before[table] = end, progress.seen
        pipe.send(Span(table, start, end, *took, progress.seen - seen, memory.most(), os.getpid()))
        pipe.recv()
        began[:] = time.monotonic(), time.process_time()

    with tempfile.TemporaryDirectory(dir=folder) as work:
        shop = Workshop(Path(work), {})
        Passes(source, source.newest(TABLES), wanted, shop, threads, told).run()
        kept = shop.progress("opinions").kept
        shop.close()
    pipe.send(Ended(_peak_mb(), kept))


def _unpack(pipe: Connection, folder: Path, threads: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    source = BulkSource(str(folder))
    dump = source.newest(TABLES)
    while True:
        span: Span = pipe.recv()
        place, file = span.start.block, dump.files[span.table]
        with closing(blocks(source.chunks(file, place.bit // 8), place, threads)) as unpacked:
            # As in the passes, all threads are at work when it begins, and when it ends.
            for _ in range(threads + 2):
                next(unpacked, None)
            began, raw = (time.monotonic(), time.process_time()), 0
            for block in unpacked:
                raw += len(block.data)
                if block.place.raw + len(block.data) >= span.end.raw:
                    break
            took = time.monotonic() - began[0], time.process_time() - began[1]
        pipe.send(Unpacked(raw, *took))


def _peak_mb() -> float:
    """The most that this process ever held; what `getrusage` says begins with what its parent held."""
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024


class _Memory:
    """Looks at the memory of this process several times a second."""

    def __init__(self) -> None:
        self._most = 0.0
        threading.Thread(target=self._look, daemon=True).start()

    def most(self) -> float:
        """The most that was held since the last call, MB."""
        self._most, most = 0.0, max(self._most, self._now())
        return most

    def _look(self) -> None:
        while True:
            self._most = max(self._most, self._now())
            time.sleep(0.2)

    @staticmethod
    def _now() -> float:
        return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_BYTES / 2**20
