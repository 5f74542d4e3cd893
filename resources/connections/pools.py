"""One pool of connections for each server and process.

Dagster makes a copy of a resource for each place in which it is nested, so the pools cannot live in the resources.
They stay until the process ends; the pools close idle connections.

Belongs here: sharing. Does not belong here: how a connection is made (`postgres.py`, `redis_address.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import redis

from resources.connections.postgres import Database
from resources.connections.redis_address import TIMEOUT_SECONDS, connect

_Pool = TypeVar("_Pool")
_pools: dict[tuple[object, ...], Any] = {}


def database(url: str, *, max_connections: int = 16) -> Database:
    """Return the process's pool for a Postgres address, which only `close_all` closes; raises SettingError."""
    return shared(("postgres", url, max_connections), lambda: Database(url, max_connections=max_connections))


def redis_client(url: str, prefix: str, *, timeout_seconds: float = TIMEOUT_SECONDS) -> redis.Redis:
    """Return the process's client for keys at a Redis address, which only `close_all` closes; raises SettingError."""
    key = ("redis", url, prefix, timeout_seconds)
    return shared(key, lambda: connect(url, prefix=prefix, timeout_seconds=timeout_seconds))


def close_all() -> None:
    """Close what the process has opened; the next use opens it again."""
    for pool in _pools.values():
        pool.close()
    _pools.clear()


def shared(key: tuple[object, ...], make: Callable[[], _Pool]) -> _Pool:
    """Return what the process has under a key, made by the first who asks for it; `close_all` calls its `close`."""
    # No lock, which the child of a fork might inherit locked. A pool connects when first used, so a spare one is free.
    return _pools[key] if key in _pools else _pools.setdefault(key, make())  # type: ignore[no-any-return]
