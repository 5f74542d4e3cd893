"""Do this machine, Redis and Postgres agree on the time?

The quota uses the clocks of Redis and Postgres only, and only to measure ages; a clock that is off by minutes still
spoils the names of hourly keys, schedules, and every comparison of logs.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import psycopg
import redis

from courtlistener_assets.operations.doctor.findings import Finding, error, ok, warning
from courtlistener_assets.settings import Settings
from resources.connections.postgres_address import conninfo_of
from resources.connections.redis_address import RedisAddress, connect

_TOLERANCE_SECONDS = 1.0
_WRONG_SECONDS = 30.0
_REMEDY = "Run a time service (chrony, systemd-timesyncd) on every machine."


def check_clocks(settings: Settings, clock: Callable[[], float] = time.time) -> list[Finding]:
    """Compare the clocks that can be read; a server that does not answer is left to its own check."""
    offsets = {"Redis": _offset(lambda: _redis_time(settings.redis_url), clock),
               "Postgres": _offset(lambda: _postgres_time(settings.postgres_url), clock)}  # fmt: skip
    return skews({name: offset for name, offset in offsets.items() if offset is not None})


def skews(offsets: dict[str, float]) -> list[Finding]:
    """Findings for clocks that are `offsets` seconds ahead of this machine's."""
    findings = []
    for name, offset in offsets.items():
        if abs(offset) > _TOLERANCE_SECONDS:
            direction = "ahead of" if offset > 0 else "behind"
            message = f"The clock of {name} is {abs(offset):.1f} s {direction} this machine's."
            findings.append((error if abs(offset) > _WRONG_SECONDS else warning)("clocks", message, _REMEDY))
    if offsets and not findings:
        worst = max(abs(offset) for offset in offsets.values())
        findings.append(ok("clocks", f"this machine, {' and '.join(offsets)} agree within {worst:.2f} s"))
    return findings


def _offset(read: Callable[[], float], clock: Callable[[], float]) -> float | None:
    try:
        # The first call pays for the connection; the second is the measurement.
        read()
        before = clock()
        theirs = read()
        return theirs - (before + clock()) / 2
    except (redis.RedisError, psycopg.Error, OSError):
        return None


def _redis_time(url: str) -> float:
    client = connect(RedisAddress(url))
    try:
        seconds, microseconds = client.time()
        return float(seconds) + float(microseconds) / 1_000_000
    finally:
        client.close()


def _postgres_time(url: str) -> float:
    with psycopg.connect(conninfo_of(url), connect_timeout=5) as connection:
        row = connection.execute("SELECT extract(epoch FROM clock_timestamp())").fetchone()
        assert row is not None
        return float(row[0])
