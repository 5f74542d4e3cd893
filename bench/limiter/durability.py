"""Whether the Postgres of a measurement loses nothing when the machine does, and what that costs on this disk.

Belongs here: saying it beside the figures, which mean little without. Does not belong here: starting the server.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from pathlib import Path

import psycopg

from courtlistener_assets.devkit.servers.postgres_server import PostgresServer

_SETTINGS = ("fsync", "synchronous_commit", "full_page_writes")
_BLOCK = bytes(8192)


def durability(server: PostgresServer) -> str:
    """Describe a server that is durable; raises ValueError if it is not."""
    with psycopg.connect(server.url) as connection:
        found = {name: str((connection.execute(f"SHOW {name}").fetchone() or "?")[0]) for name in _SETTINGS}
    if set(found.values()) != {"on"}:
        raise ValueError(f"figures of a Postgres that may lose commits are not published: {found}")
    said = ", ".join(f"{name} {value}" for name, value in found.items())
    return f"{said}; an fsync of 8 KB takes {_fsync_ms(server.directory):.2f} ms here"


def _fsync_ms(directory: Path, times: int = 100) -> float:
    milliseconds = []
    with tempfile.TemporaryFile(dir=directory) as file:
        for _ in range(times):
            file.write(_BLOCK)
            file.flush()
            began = time.perf_counter()
            os.fsync(file.fileno())
            milliseconds.append(1000 * (time.perf_counter() - began))
    return statistics.median(milliseconds)
