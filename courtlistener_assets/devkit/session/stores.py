"""Redis and Postgres for one machine: those that the environment names, otherwise embedded ones.

Belongs here: which servers are used. Does not belong here: how embedded ones run (`resources/services`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from courtlistener_assets.devkit.servers import PostgresServer, RedisServer
from courtlistener_assets.settings import Settings
from resources.connections.postgres import Database


@contextmanager
def stores(directory: Path, environ: Mapping[str, str], *, durable: bool = True) -> Iterator[dict[str, str]]:
    """Run the servers that `environ` does not name, with their data in `directory`, and migrate our schema.

    Yields the variables to add to the environment: REDIS_URL and POSTGRES_URL of the embedded servers.
    """
    with ExitStack() as stack:
        added = {}
        if not environ.get("POSTGRES_URL"):
            added["POSTGRES_URL"] = stack.enter_context(PostgresServer(directory / "postgres", durable=durable)).url
        if not (environ.get("REDIS_URL") or environ.get("REDIS_HOST")):
            added["REDIS_URL"] = stack.enter_context(RedisServer(directory / "valkey")).url
        database = Database(Settings.from_environ({**environ, **added}).postgres_url)
        try:
            database.migrate()
        finally:
            database.close()
        yield added
