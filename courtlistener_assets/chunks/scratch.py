"""Scratch tables: what grows with a partition and is needed only while its file is made, on disk instead of in memory.

Belongs here: how such tables are opened. Does not belong here: what is in them; that is beside the code that uses it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

#: SQLite's own cache, in KiB; the system caches the rest of the file as far as it has memory to spare.
_CACHE_KIB = 8 * 1024


@contextmanager
def scratch_tables(schema: str) -> Iterator[sqlite3.Connection]:
    """An empty SQLite database with the tables that `schema` creates, gone at the end; for one thread.

    It is a file in the directory for temporary files (`SQLITE_TMPDIR`, `TMPDIR`), of which at most 8 MiB are in memory.
    """
    # The empty name stands for a file that SQLite itself makes, and removes at once.
    with closing(sqlite3.connect("")) as connection:
        # Nothing is ever rolled back, so that no journal is needed.
        connection.executescript(f"PRAGMA journal_mode = OFF; PRAGMA cache_size = -{_CACHE_KIB}; {schema}")
        yield connection
