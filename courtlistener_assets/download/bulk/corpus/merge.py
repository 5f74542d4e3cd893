"""Sorting more rows than fit into memory: sorted files, and merging them.

A file of rows that are sorted by their place is a run. Runs are Arrow's own files, of which one batch is read at a
time; what is known of all others is where they begin, so memory does not grow with their size.

Belongs here: runs. Does not belong here: what a place is (`places.py`), the files of the dataset (`dataset.py`).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pyarrow as pa

from courtlistener_assets.download.bulk.corpus.places import Numbers

#: The column of a run by which it is sorted; among equal ones `id` decides, which is in a table but once.
PLACE = "_place"
#: At most so many runs are merged at once, each with a batch of about so many bytes in memory.
FAN_IN, BATCH_BYTES = 100, 1 << 20


def in_order(rows: pa.Table) -> pa.Table:
    """Rows sorted by their place, and then by their id."""
    return rows.take(np.lexsort((rows.column("id").to_numpy(), rows.column(PLACE).to_numpy())))


def write_run(tables: Iterable[pa.Table], path: Path) -> None:
    """Write a run of rows that come in order; it has its name once it is complete. There is one table at least."""
    unfinished = path.with_suffix(".unfinished")
    path.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        file = stack.enter_context(unfinished.open("wb"))
        writer = None
        for table in tables:
            writer = writer or stack.enter_context(_writer(file, table.schema))
            for batch in in_batches(table, BATCH_BYTES):
                writer.write_table(batch)
    with unfinished.open("rb+") as written:
        os.fsync(written.fileno())
    unfinished.replace(path)


def _writer(file: object, schema: pa.Schema) -> pa.ipc.RecordBatchFileWriter:
    return pa.ipc.new_file(file, schema, options=pa.ipc.IpcWriteOptions(compression="zstd"))  # type: ignore[arg-type]


def in_batches(table: pa.Table, most_bytes: int) -> Iterator[pa.Table]:
    """A table in pieces of about so many bytes."""
    rows = max(1, most_bytes * table.num_rows // max(1, table.nbytes))
    for at in range(0, table.num_rows, rows):
        yield table.slice(at, rows).combine_chunks()


def merged(runs: Sequence[Path], first: int = 0) -> Iterator[pa.Table]:
    """The rows of all runs in order, from a place on."""
    with ExitStack() as stack:
        reading = [_Run(stack.enter_context(pa.OSFile(str(path), "rb")), first) for path in runs]
        while reading := [run for run in reading if run.fill()]:
            # Nothing that is not read yet comes before the last row of any batch.
            end = min(run.last for run in reading)
            yield in_order(pa.concat_tables([run.take(end) for run in reading]))


def merge_down(folder: Path, count: int, *, fan_in: int = FAN_IN) -> list[Path]:
    """Merge the runs 0 to `count` - 1 of a folder until they are few; those that were merged are removed.

    It goes on where it was stopped. Returns the runs that are left.
    """
    level = 0
    while count > fan_in:
        for group in range(-(-count // fan_in)):
            sources = [run_at(folder, level, n) for n in range(group * fan_in, min(count, (group + 1) * fan_in))]
            target = run_at(folder, level + 1, group)
            if not target.exists() and any(each.exists() for each in sources):
                write_run(merged(sources), target)
            for source in sources:
                source.unlink(missing_ok=True)
        count, level = -(-count // fan_in), level + 1
    return [run_at(folder, level, number) for number in range(count)]


def run_at(folder: Path, level: int, number: int) -> Path:
    """Where a run is; those of level 0 are made of rows, others of runs."""
    return folder / f"{level}-{number:06}.arrow"


class _Run:
    """A run that is read: the rows of one batch that were not taken yet."""

    def __init__(self, file: pa.OSFile, first: int) -> None:
        self._reader = pa.ipc.open_file(file)
        self._first = first
        self._next = self._batch_of(first)
        self._rows: pa.Table | None = None
        self._places: Numbers = np.array([])
        self._ids: Numbers = np.array([])

    def _batch_of(self, first: int) -> int:
        """The number of the first batch that may have rows from a place on."""
        low, high = 0, self._reader.num_record_batches
        while first and low < high:
            middle = (low + high) // 2
            places = self._reader.get_batch(middle).column(PLACE)
            low, high = (middle + 1, high) if places[-1].as_py() < first else (low, middle)
        return low

    def fill(self) -> bool:
        """Read a batch if none is left; returns whether there are rows."""
        while self._rows is None or not self._rows.num_rows:
            if self._next >= self._reader.num_record_batches:
                return False
            self._hold(pa.Table.from_batches([self._reader.get_batch(self._next)]))
            self._next += 1
            self._drop(int(np.searchsorted(self._places, self._first)))
        return True

    @property
    def last(self) -> tuple[int, int]:
        """Place and id of the last row that was read."""
        return int(self._places[-1]), int(self._ids[-1])

    def take(self, end: tuple[int, int]) -> pa.Table:
        """Take the rows up to a place and an id."""
        place, id = end
        low, high = (int(np.searchsorted(self._places, place, side)) for side in ("left", "right"))
        number = low + int(np.searchsorted(self._ids[low:high], id, "right"))
        assert self._rows is not None
        taken = self._rows.slice(0, number)
        self._drop(number)
        return taken

    def _hold(self, rows: pa.Table) -> None:
        self._rows = rows
        self._places, self._ids = rows.column(PLACE).to_numpy(), rows.column("id").to_numpy()

    def _drop(self, number: int) -> None:
        if number and self._rows is not None:
            self._hold(self._rows.slice(number))
