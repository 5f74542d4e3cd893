"""What a bootstrap has on its disk while it runs: the rows that are wanted, what is joined to them, and how far it is.

Rows are Parquet files in a folder for each table; what is joined, and every checkpoint, is in one SQLite file. A file
of rows is complete before the checkpoint that counts it, so that a run that was killed at any moment goes on from the
last checkpoint, and writes again what came behind it.

Belongs here: keeping it. Does not belong here: what is wanted (`passes.py`).
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from courtlistener_assets.download.bulk.bzip2 import Place
from courtlistener_assets.download.bulk.dialect import Mark
from resources.errors import DiskFull, DumpUnavailable

_SCHEMA = """
CREATE TABLE IF NOT EXISTS job (only_row INTEGER PRIMARY KEY CHECK (only_row = 1), description TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS progress (
    step TEXT PRIMARY KEY, bit INTEGER, raw INTEGER, checksum INTEGER, skip INTEGER,
    parts INTEGER NOT NULL, seen INTEGER NOT NULL, kept INTEGER NOT NULL, done INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS joined (
    kind TEXT, owner INTEGER, place INTEGER, value, PRIMARY KEY (kind, owner, place)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS present (step TEXT, page INTEGER, bits BLOB NOT NULL, PRIMARY KEY (step, page));
"""
#: More than SQLite may take as parameters of one statement is never asked for.
_AT_ONCE = 5_000


_LOCK = "lock"


def _locked(folder: Path) -> IO[str]:
    """A file that this process alone has locked, until it is closed or the process ends."""
    file = (folder / _LOCK).open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise DumpUnavailable(f"another run works in {folder}") from None
    return file


@dataclass(frozen=True)
class Progress:
    """How far a step is: where it goes on, the files of rows that are complete, and the rows seen and kept."""

    mark: Mark | None = None
    parts: int = 0
    seen: int = 0
    kept: int = 0
    done: bool = False


@dataclass(frozen=True, slots=True)
class Link:
    """Something that belongs to an object: an id, or a row as JSON; `place` is its own id, which gives the order."""

    kind: str
    owner: int
    place: int
    value: int | str


class Workshop:
    """The folder of one bootstrap; `description` says which. What another one has left there is removed.

    Raises DumpUnavailable while another process works in it.
    """

    def __init__(self, folder: Path, description: Mapping[str, Any]) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(folder)
        text = json.dumps(description, sort_keys=True, default=str)
        if self._described() not in (None, text):
            self._empty()
        self._database = self._open()
        with self._database:
            self._database.executescript(_SCHEMA)
            self._database.execute("INSERT OR IGNORE INTO job VALUES (1, ?)", (text,))

    def _open(self) -> sqlite3.Connection:
        database = sqlite3.connect(self.folder / "work.sqlite", check_same_thread=False)
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA cache_size = -65536")
        return database

    def _described(self) -> str | None:
        """What the folder's job is; None if there is none, or none that was begun."""
        path = self.folder / "work.sqlite"
        if not path.exists():
            return None
        with closing(sqlite3.connect(path)) as database:
            try:
                row = database.execute("SELECT description FROM job").fetchone()
            except sqlite3.DatabaseError:
                return ""
        return row[0] if row else None

    def close(self) -> None:
        """Close the file of checkpoints, and let others into the folder."""
        self._database.close()
        self._lock.close()

    def remove(self) -> None:
        """Remove the folder with all that is in it."""
        self._database.close()
        shutil.rmtree(self.folder)
        self._lock.close()

    def _empty(self) -> None:
        for each in self.folder.iterdir():
            if each.is_dir():
                shutil.rmtree(each)
            elif each.name != _LOCK:
                each.unlink()

    # --- checkpoints --------------------------------------------------------------------------------------------------

    def progress(self, step: str) -> Progress:
        """How far a step is."""
        row = self._database.execute(
            "SELECT bit, raw, checksum, skip, parts, seen, kept, done FROM progress WHERE step = ?", (step,)
        ).fetchone()
        if row is None:
            return Progress()
        bit, raw, checksum, skip, parts, seen, kept, done = row
        mark = None if bit is None else Mark(Place(bit, raw, checksum), skip)
        return Progress(mark, parts, seen, kept, bool(done))

    def keep(
        self,
        step: str,
        progress: Progress,
        links: Iterable[Link] = (),
        present: Iterable[tuple[int, bytes]] = (),
    ) -> None:
        """Keep what was joined and what pages of ids changed since the last checkpoint, and the new one, at once."""
        block, skip = (progress.mark.block, progress.mark.skip) if progress.mark else (None, None)
        place = (block.bit, block.raw, block.checksum) if block else (None, None, None)
        with self._room(), self._database:
            self._database.executemany(
                "INSERT OR REPLACE INTO joined VALUES (?, ?, ?, ?)",
                ((link.kind, link.owner, link.place, link.value) for link in links),
            )
            self._database.executemany(
                "INSERT OR REPLACE INTO present VALUES (?, ?, ?)", ((step, page, bits) for page, bits in present)
            )
            self._database.execute(
                "INSERT OR REPLACE INTO progress VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (step, *place, skip, progress.parts, progress.seen, progress.kept, progress.done),
            )

    def present(self, step: str) -> Iterator[tuple[int, bytes]]:
        """The pages of the ids that a step has seen, whether it has kept their rows or not."""
        yield from self._database.execute("SELECT page, bits FROM present WHERE step = ?", (step,))

    @contextmanager
    def _room(self) -> Iterator[None]:
        """Say that the disk is full, if it is."""
        try:
            yield
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_FULL:
                raise
        else:
            return
        raise DiskFull(f"the disk with {self.folder} is full; with room there, it goes on where it was")

    # --- rows ---------------------------------------------------------------------------------------------------------

    def write_part(self, table: str, number: int, rows: pa.Table) -> None:
        """Write a file of rows; one of the same number is replaced."""
        path = self._part(table, number)
        unfinished = path.with_suffix(".unfinished")
        with self._room():
            path.parent.mkdir(exist_ok=True)
            with unfinished.open("wb") as file:
                pq.write_table(rows, file, compression="zstd")
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(path)

    def part(self, table: str, number: int) -> pq.ParquetFile:
        """Open a file of rows."""
        return pq.ParquetFile(self._part(table, number))

    def remove_part(self, table: str, number: int) -> None:
        """Remove a file of rows that is not needed any more."""
        self._part(table, number).unlink(missing_ok=True)

    def columns(self, table: str, names: Sequence[str]) -> Iterator[pa.Table]:
        """Some columns of all complete files of a table."""
        for number in range(self.progress(table).parts):
            yield pq.read_table(self._part(table, number), columns=list(names))

    def _part(self, table: str, number: int) -> Path:
        return self.folder / table / f"{number:06}.parquet"

    # --- what is joined -----------------------------------------------------------------------------------------------

    def joined(self, kind: str, owners: Iterable[int]) -> dict[int, list[Any]]:
        """What belongs to each of these objects, in the order of the rows that say so."""
        found: dict[int, list[Any]] = defaultdict(list)
        wanted = sorted(set(owners))
        for start in range(0, len(wanted), _AT_ONCE):
            some = wanted[start : start + _AT_ONCE]
            rows = self._database.execute(
                f"SELECT owner, value FROM joined WHERE kind = ? AND owner IN ({','.join('?' * len(some))}) "
                "ORDER BY owner, place",
                (kind, *some),
            )
            for owner, value in rows:
                found[owner].append(value)
        return found
