"""How fast bulk files are read: tried before a bootstrap begins, and how long the rest takes while it runs.

Belongs here: paces, and times in words. Does not belong here: what is read (`bootstrap.py`).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field

from courtlistener_assets.download.bulk.bootstrap import Reached
from courtlistener_assets.download.bulk.bzip2 import Place, blocks
from courtlistener_assets.download.bulk.source import BulkSource, Dump, DumpFile
from courtlistener_assets.download.bulk.tables import OPINIONS
from resources.quota.eta import in_words

#: Packed bytes that a core unpacks in a second, where the files are too short to try it.
_BYTES_A_SECOND = 1.5e6
#: What is tried ends after so many seconds.
_TRIED_SECONDS = 2.0
#: Of unpacking alone, what looking at the rows leaves (docs/bulk.md).
_SHARE = 0.9
#: The pace of a file is that of its last part, and is known after some time only.
_LAST_SECONDS, _ENOUGH_SECONDS = 900.0, 40.0


def expected_pace(source: BulkSource, dump: Dump, threads: int) -> float:
    """Packed bytes a second of the largest file of a dump, whose beginning is read. Raises as `tried` does."""
    return tried(source, dump.files[OPINIONS.name], threads) or _BYTES_A_SECOND * threads


def tried(
    source: BulkSource, file: DumpFile, threads: int, *, clock: Callable[[], float] = time.monotonic
) -> float | None:
    """Read and unpack the beginning of a file for two seconds: packed bytes a second, None if it is too short.

    Raises DumpUnavailable and DumpDamaged.
    """
    begun: tuple[float, int] | None = None
    with closing(blocks(source.chunks(file), Place(), threads)) as unpacked:  # type: ignore[type-var]
        for number, block in enumerate(unpacked):
            now, packed = clock(), block.place.bit // 8
            # The first ones wait for the first bytes, and for each other.
            if number == threads:
                begun = now, packed
            elif begun and now - begun[0] >= _TRIED_SECONDS:
                return _SHARE * (packed - begun[1]) / (now - begun[0])
    return None


@dataclass
class Pace:
    """How fast a bootstrap is, and how long the rest takes; `expected` are bytes a second of the largest file.

    Files differ in it. So what is left of the present one is taken at its own pace, once that is known, and the others
    as they were expected.
    """

    expected: float
    clock: Callable[[], float] = time.monotonic
    _step: str = ""
    _points: deque[tuple[float, int]] = field(default_factory=deque)

    def seconds_left(self, reached: Reached) -> float:
        """How long the rest of the reading takes."""
        here = self._pace(reached)
        others = reached.bytes_all - reached.bytes_done - reached.bytes_left_here
        # What is behind the largest file is small: it is as well taken at the pace of that.
        beyond = here if reached.bytes_left_here > others else self.expected
        return reached.bytes_left_here / here + others / beyond

    def line(self, reached: Reached) -> str:
        """How far it is, how fast, and how long the rest of the reading takes."""
        share, left = reached.bytes_done / max(1, reached.bytes_all), self.seconds_left(reached)
        said = f"{share:4.0%} {reached.step}: {reached.rows:,} rows"
        if reached.bytes_done >= reached.bytes_all:
            return said
        return f"{said}, {size(int(self._pace(reached)))}/s, {in_words(left)} left to read"

    def _pace(self, reached: Reached) -> float:
        now = self.clock()
        if reached.step != self._step:
            self._step, self._points = reached.step, deque()
        if not self._points or self._points[-1][1] != reached.bytes_done:
            self._points.append((now, reached.bytes_done))
        while now - self._points[0][0] > _LAST_SECONDS and len(self._points) > 2:
            self._points.popleft()
        (first, before), (last, done) = self._points[0], self._points[-1]
        return (done - before) / (last - first) if last - first >= _ENOUGH_SECONDS else self.expected


def size(number: int) -> str:
    """A number of bytes for people."""
    amount = float(number)
    for unit in ("bytes", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if amount >= 10 or unit == "bytes" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"
