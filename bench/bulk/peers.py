"""Libraries and programs that unpack bzip2, on the beginning of the same file, in turns.

Belongs here: how each is called. Does not belong here: reading rows. One that is not there is left out.
"""

from __future__ import annotations

import bz2
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

from courtlistener_assets.devkit.bulk.large import write_stream
from courtlistener_assets.download.bulk.bzip2 import Piece, Place, blocks, cut

#: Blocks of the sample, 900 kB each.
_BLOCKS = 60
_CHUNK = 4 << 20
Unpack = Callable[[Path, int], int]


def measure(file: Path, threads: int, rounds: int) -> list[dict[str, Any]]:
    """MB of text a second by the clock, and for each second of the processor; the middle of all rounds."""
    with tempfile.TemporaryDirectory() as folder:
        sample = Path(folder) / "sample.bz2"
        with file.open("rb") as source, sample.open("wb") as target:
            pieces = (piece for piece in cut(_chunks(source)) if isinstance(piece, Piece))
            write_stream(target, islice(pieces, _BLOCKS))
        found: dict[str, list[tuple[float, float]]] = {}
        for _ in range(rounds):
            for name, unpack in _peers().items():
                clock, processor = time.monotonic(), _cpu_seconds()
                megabytes = unpack(sample, threads) / 1e6
                took = time.monotonic() - clock, _cpu_seconds() - processor
                found.setdefault(name, []).append((megabytes / took[0], megabytes / took[1]))
    return [
        {
            "unpacked by": name,
            "raw_mb_per_s": round(median(each[0] for each in rates), 1),
            "raw_mb_per_cpu_s": round(median(each[1] for each in rates), 1),
        }
        for name, rates in found.items()
    ]


def _peers() -> dict[str, Unpack]:
    peers: dict[str, Unpack] = {"blocks, as here": _blocks, "bz2 of the interpreter, one thread": _bz2}
    for name in ("indexed_bzip2", "rapidgzip"):
        if find_spec(name):
            peers[name] = lambda sample, threads, name=name: _library(name, sample, threads)  # type: ignore[misc]
    for name in ("lbzip2", "bzip2"):
        if shutil.which(name):
            options = ["-n"] if name == "lbzip2" else []
            peers[name] = lambda sample, threads, name=name, options=options: _program(  # type: ignore[misc]
                [name, "-d", "-c", *(f"{each}{threads}" for each in options), str(sample)]
            )
    return peers


def _blocks(sample: Path, threads: int) -> int:
    with sample.open("rb") as file:
        return sum(len(block.data) for block in blocks(_chunks(file), Place(), threads))


def _bz2(sample: Path, threads: int) -> int:
    with bz2.open(sample) as file:
        return sum(len(some) for some in _chunks(file))


def _library(name: str, sample: Path, threads: int) -> int:
    with _opened(name, str(sample), threads) as file:
        return sum(len(some) for some in _chunks(file))


def _opened(name: str, path: str, threads: int) -> Any:
    if name == "rapidgzip":
        return import_module("rapidgzip").IndexedBzip2File(path, parallelization=threads)
    return import_module("indexed_bzip2").open(path, parallelization=threads)


def _program(command: list[str]) -> int:
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        return sum(len(some) for some in _chunks(process.stdout))


def _chunks(file: Any) -> Iterator[bytes]:
    while some := file.read(_CHUNK):
        yield some


def _cpu_seconds() -> float:
    """Of this process and of those that it has waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
