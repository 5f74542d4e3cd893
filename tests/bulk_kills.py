"""A bootstrap that kills itself: `python -m tests.bulk_kills DUMP WORK POSTGRES_URL [POINT NUMBER]`.

It does so the NUMBERth time that its work is at a point. Without one it works to its end, and prints how often
it met each.

Belongs here: the points. Does not belong here: which ones are chosen, and what is stored afterwards (the tests).
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg

from courtlistener_assets.download.bulk import dialect, objects, passes
from courtlistener_assets.download.bulk.work import Workshop
from courtlistener_assets.download.choice import known_tables
from resources.connections.postgres import Database
from resources.records import bulk
from resources.records.bulk import BulkWalks, BulkWriter
from resources.records.store import RecordStore


def _finishes(query: Any, *arguments: Any) -> bool:
    return bool(query == bulk._FINISH.encode())


#: Each is behind a call, if it is of this kind; the last ones are before it.
AFTER: dict[str, tuple[Any, str, Callable[..., bool]]] = {
    "rows written, not counted": (Workshop, "write_part", lambda *_: True),
    "checkpoint kept": (Workshop, "keep", lambda *_: True),
    "within COPY": (psycopg.Copy, "write_row", lambda *_: True),
    "upserted, not committed": (BulkWriter, "_upsert", lambda *_: True),
    "stored, not noted": (RecordStore, "store_bulk", lambda *_: True),
    "months finished, not committed": (psycopg.Connection, "execute", _finishes),
    "months finished": (BulkWalks, "finish", lambda *_: True),
}
BEFORE: dict[str, tuple[Any, str, Callable[..., bool]]] = {
    "before a checkpoint": (Workshop, "keep", lambda *_: True),
    "before the months are finished": (BulkWalks, "finish", lambda *_: True),
}


def main() -> None:
    dump, work, url, *end = sys.argv[1:]
    point, number = (end[0], int(end[1])) if end else ("", 0)
    met: Counter[str] = Counter()

    def at(name: str) -> None:
        met[name] += 1
        if name == point and met[name] == number:
            os.kill(os.getpid(), signal.SIGKILL)

    for points, before in ((AFTER, False), (BEFORE, True)):
        for name, (owner, method, counts) in points.items():
            _watch(owner, method, counts, name, before, at)
    dialect.PIECE_BYTES, passes.PART_BYTES, objects.BATCH_ROWS = 4_000, 8_000, 9
    from tests.integration.test_bulk_store import bootstrap

    bootstrap(Path(dump), Path(work), RecordStore(Database(url), known_tables()))
    print(json.dumps(met))


def _watch(
    owner: Any, method: str, counts: Callable[..., bool], name: str, before: bool, at: Callable[[str], None]
) -> None:
    original = getattr(owner, method)

    def watched(self: Any, *arguments: Any, **options: Any) -> Any:
        counted = counts(*arguments)
        if counted and before:
            at(name)
        found = original(self, *arguments, **options)
        if counted and not before:
            at(name)
        return found

    setattr(owner, method, watched)


if __name__ == "__main__":
    main()
