"""The dataset on the disk: its partitions, and how it comes to its place.

    DIR/2026-09-30-1f2e3d4c/corpus.json                                 what is in it
    DIR/2026-09-30-1f2e3d4c/opinions/court=ca9/year=2015/opinions.parquet
    DIR/latest -> 2026-09-30-1f2e3d4c

A dataset is made beside its place, and gets its name when it is complete; then `latest` is moved to it. Nothing is ever
removed but what is not complete.

Belongs here: names, and writing files. Does not belong here: rows (`typed.py`), their order (`merge.py`).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from courtlistener_assets.download.bulk.corpus.columns import TABLES
from courtlistener_assets.download.bulk.corpus.merge import PLACE
from courtlistener_assets.download.bulk.corpus.places import Partition, all_years, code_of, codes_of
from resources.errors import DumpMissing

#: Changes when the same rows become other files.
FORMAT = 1
#: A row group is written when it has so many bytes.
GROUP_BYTES = 8 << 20
MANIFEST, LATEST = "corpus.json", "latest"
_UNFINISHED = "unfinished-"


@dataclass(frozen=True)
class Corpus:
    """A complete dataset."""

    root: Path

    @property
    def name(self) -> str:
        """What tells it from others: the day of its dump, and what was wanted of it."""
        return self.root.name

    @property
    def manifest(self) -> dict[str, Any]:
        """What it was made from: `dump`, `as_of`, `courts`, `first_year`, `status`, `rows` and others."""
        found: dict[str, Any] = json.loads((self.root / MANIFEST).read_text(encoding="utf-8"))
        return found

    @property
    def day(self) -> date:
        """The day of its dump."""
        return date.fromisoformat(self.name[:10])

    @property
    def size(self) -> int:
        """The bytes of its files."""
        return sum(path.stat().st_size for path in self.root.glob("*/*/*/*.parquet"))

    def table(self, name: str) -> Path:
        """The directory of a table."""
        return self.root / name

    def file(self, table: str, partition: Partition) -> Path:
        """A partition's file; there is none where there are no rows."""
        return file_of(self.root, table, partition)

    def partitions(self, table: str) -> list[Partition]:
        """The partitions of a table."""
        return all_years([path.parent for path in self.table(table).glob(f"*/*/{table}.parquet")])

    @classmethod
    def latest(cls, folder: Path) -> Corpus:
        """The newest complete dataset; raises DumpMissing if there is none."""
        link = folder / LATEST
        if not (link / MANIFEST).exists():
            raise DumpMissing(f"{folder} has no corpus: make it first, `courtlistener corpus` or the asset bulk_corpus")
        return cls(link.resolve())


@dataclass(frozen=True)
class Building:
    """A dataset that is being made; `description` says from what, and gives it its name."""

    folder: Path
    day: date
    description: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The name of the dataset; the same files and wishes give the same one."""
        text = json.dumps({"format": FORMAT, **self.description}, sort_keys=True, default=str)
        return f"{self.day.isoformat()}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"

    @property
    def root(self) -> Path:
        """Where it is until it is complete."""
        return self.folder / f"{_UNFINISHED}{self.name}"

    @property
    def done(self) -> Corpus | None:
        """The dataset, if it was completed before."""
        place = self.folder / self.name
        return Corpus(place) if (place / MANIFEST).exists() else None

    def begin(self) -> None:
        """Make its directory, and remove what others have left unfinished."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for left in self.folder.glob(f"{_UNFINISHED}*"):
            if left != self.root:
                shutil.rmtree(left)
        self.root.mkdir(exist_ok=True)

    def complete(self, manifest: Mapping[str, Any]) -> Corpus:
        """Give it its name, and make it the latest unless there is one of a later dump."""
        for table in TABLES.values():
            (self.root / table).mkdir(exist_ok=True)
        (self.root / MANIFEST).write_text(json.dumps(manifest, indent=2, default=str) + "\n", encoding="utf-8")
        self.root.rename(self.folder / self.name)
        corpus = Corpus(self.folder / self.name)
        self.point_at(corpus)
        return corpus

    def point_at(self, corpus: Corpus) -> None:
        """Make a dataset the latest unless there is one of a later dump."""
        link, new = self.folder / LATEST, self.folder / f".{LATEST}"
        if (link / MANIFEST).exists() and Corpus(link.resolve()).day > corpus.day:
            return
        new.unlink(missing_ok=True)
        new.symlink_to(corpus.name)
        new.replace(link)


def file_of(root: Path, table: str, partition: Partition) -> Path:
    """The file of a partition in a dataset."""
    return partition.folder(root / table) / f"{table}.parquet"


def write_partitions(tables: Iterable[pa.Table], path_of: Any) -> Iterator[tuple[int, int]]:
    """Write rows that come in order to one file a partition; yields a partition's code and rows when its file is there.

    `path_of` gives the path for a row's place. One file is open at a time.
    """
    for code, pieces in _by_code(tables):
        path: Path = path_of(code)
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished, rows = path.with_name(f".{path.name}"), 0
        first = next(pieces)
        with closing(pq.ParquetWriter(unfinished, first.schema, **_OPTIONS)) as writer:
            for group in _groups(first, pieces):
                writer.write_table(group, row_group_size=group.num_rows)
                rows += group.num_rows
        with unfinished.open("rb+") as file:
            os.fsync(file.fileno())
        unfinished.replace(path)
        yield code, rows


_OPTIONS: dict[str, Any] = {"compression": "zstd", "write_page_checksum": True}


def _by_code(tables: Iterable[pa.Table]) -> Iterator[tuple[int, Iterator[pa.Table]]]:
    """Rows in order by their partition; use up one before the next."""
    remaining = iter(tables)
    held = next(remaining, None)

    def of(code: int) -> Iterator[pa.Table]:
        nonlocal held
        while held is not None and code_of((places := held.column(PLACE).to_numpy())[0]) == code:
            number = int(np.searchsorted(codes_of(places), code, "right"))
            yield held.slice(0, number).drop_columns([PLACE])
            held = held.slice(number) if number < held.num_rows else next(remaining, None)

    while held is not None:
        code = code_of(held.column(PLACE)[0].as_py())
        yield code, of(code)


def _groups(first: pa.Table, rest: Iterator[pa.Table]) -> Iterator[pa.Table]:
    held, size = [first], first.nbytes
    for table in rest:
        if size >= GROUP_BYTES:
            yield pa.concat_tables(held)
            held, size = [], 0
        held.append(table)
        size += table.nbytes
    yield pa.concat_tables(held)
