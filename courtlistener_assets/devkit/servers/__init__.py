"""Embedded servers: a real Postgres and a real Redis-compatible server from wheels, for one machine.

Belongs here: starting, stopping and finding them again. Does not belong here: what is stored in them, and any use in
production; there, `POSTGRES_URL` and `REDIS_URL` name servers that somebody else runs.
"""

from courtlistener_assets.devkit.servers.postgres_server import PostgresServer
from courtlistener_assets.devkit.servers.redis_server import RedisServer
from courtlistener_assets.devkit.servers.server import EmbeddedServer, EmbeddedServerFailed

__all__ = ["EmbeddedServer", "EmbeddedServerFailed", "PostgresServer", "RedisServer"]
