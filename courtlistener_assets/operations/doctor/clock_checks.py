"""Do this machine, Redis and Postgres agree on the time?

The quota uses the clocks of Redis and Postgres only, and only to measure ages; a clock that is off by minutes still
spoils the names of hourly keys, schedules, and every comparison of logs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import psycopg
import redis

from courtlistener_assets.operations.doctor.findings import Finding, error, ok, warning
from courtlistener_assets.settings import Settings
from resources.connections.postgres_address import conninfo_of
from resources.connections.redis_address import connect

_TOLERANCE_SECONDS = 1.0
_WRONG_SECONDS = 30.0
_REMEDY = "Run a time service (chrony, systemd-timesyncd) on every machine."


def check_clocks(settings: Settings) -> Iterator[Finding]:
    """Compare the clocks that can be read; a server that does not respond is left to its own check."""
    offsets: dict[str, float] = {}
    with suppress(redis.RedisError, OSError), connect(settings.redis_url, prefix=settings.redis_prefix) as client:
        offsets["Redis"] = _offset(lambda: _redis_seconds(client))
    with suppress(psycopg.Error), psycopg.connect(conninfo_of(settings.postgres_url), connect_timeout=5) as connection:
        offsets["Postgres"] = _offset(lambda: _postgres_seconds(connection))
    return skews(offsets)


def skews(offsets: Mapping[str, float]) -> Iterator[Finding]:
    """Yield findings for clocks that are `offsets` seconds ahead of this machine's."""
    worst = max(map(abs, offsets.values()), default=0.0)
    for name, offset in offsets.items():
        if abs(offset) > _TOLERANCE_SECONDS:
            direction = "ahead of" if offset > 0 else "behind"
            message = f"The clock of {name} is {abs(offset):.1f} s {direction} this machine's."
            yield (error if abs(offset) > _WRONG_SECONDS else warning)("clocks", message, _REMEDY)
    if offsets and worst <= _TOLERANCE_SECONDS:
        yield ok("clocks", f"this machine, {' and '.join(offsets)} agree within {worst:.2f} s")


def _offset(read: Callable[[], float]) -> float:
    read()  # The first call pays for what a connection does once; the second is the measurement.
    before = time.time()
    theirs = read()
    return theirs - (before + time.time()) / 2


def _redis_seconds(client: redis.Redis) -> float:
    seconds, microseconds = client.time()
    return float(seconds) + float(microseconds) / 1_000_000


def _postgres_seconds(connection: psycopg.Connection[Any]) -> float:
    row = connection.execute("SELECT extract(epoch FROM clock_timestamp())").fetchone()
    assert row is not None
    return float(row[0])
