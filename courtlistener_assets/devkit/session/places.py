"""Where the embedded servers of a directory keep their data.

Belongs here: the place, and bringing data there from where earlier versions kept them. Does not belong here: starting
the servers (`session.py`), and where files must lie for another user (`servers/unprivileged.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from courtlistener_assets.devkit.servers.postgres_server import PostgresServer
from courtlistener_assets.devkit.servers.redis_server import RedisServer
from courtlistener_assets.devkit.servers.server import EmbeddedServer
from courtlistener_assets.settings import Settings
from resources.errors import EmbeddedServerFailed

#: The servers, and the folder of each.
POSTGRES, REDIS = "postgres", "valkey"
_SERVERS: dict[str, type[EmbeddedServer]] = {POSTGRES: PostgresServer, REDIS: RedisServer}


def servers_directory(root: Path, environ: Mapping[str, str], *, corpus: Path | None, simulated: bool) -> Path:
    """Return where the servers keep their data: what was downloaded lies beside the chunks, what can be made again not.

    Each corpus is a world of its own. A data directory on an object store cannot have servers; then it is `data`.
    """
    if corpus:
        return root / ".services" / f"corpus-{hashlib.sha256(corpus.read_bytes()).hexdigest()[:12]}"
    if simulated:
        return root / ".services" / "simulated"
    data = Settings.from_environ(environ).data_dir
    return (root / data if isinstance(data, Path) else root / "data") / "servers"


def move_downloads(root: Path, directory: Path) -> None:
    """Move records that an earlier version downloaded from `.services/live`, which `make clean` removed.

    Raises EmbeddedServerFailed if they cannot be moved; then they stay where they are.
    """
    before = root / ".services" / "live"
    for name, server in _SERVERS.items():
        old, new = before / name, directory / name
        if not old.exists() or new.exists():
            continue
        # Whatever a killed session left running there is stopped, and what it wrote is brought into order.
        with server(old):
            pass
        directory.mkdir(parents=True, exist_ok=True)
        try:
            old.rename(new)
        except OSError as error:
            raise EmbeddedServerFailed(f"move {old} to {new} yourself: {error}") from error
