"""What a permit costs: time beside a call that does nothing, time in the server, memory, a rebuild.

Belongs here: one worker on quiet servers. Does not belong here: many workers (`workers.py`) or faults.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import redis

from resources.connections.postgres import Database
from resources.connections.redis_address import connect
from resources.connections.redis_keys import RedisKeys
from resources.quota.failover import FailoverLedger
from resources.quota.lease import LeaseStore
from resources.quota.permits import JournaledPermit, Lane, LedgerState, Outcome, Permit, QuotaWindow, Window
from resources.quota.postgres_ledger import PostgresLedger
from resources.quota.redis_ledger import RedisLedger

WINDOWS = (Window(60, 60), Window(5000, 3600), Window(100_000, 86_400))
_ROOMY_WINDOWS = tuple(Window(10_000_000, window.seconds) for window in WINDOWS)
_ROOMY = tuple(map(QuotaWindow, _ROOMY_WINDOWS))
_FULL_HOUR = 5000


def measure(redis_url: str, database: Database, *, calls: int = 2000) -> dict[str, Any]:
    """Measure everything; `redis_url` may be anything, its keys begin with `cost`.

    Times in milliseconds (median, 99th percentile), as seen by the worker unless the name says otherwise.
    """
    client = connect(redis_url, timeout_seconds=5.0)
    ledger = RedisLedger(client, "cost", permit_ttl_seconds=120, keys=RedisKeys("cost"))
    ledger.load(LedgerState(1, _ROOMY))
    noop, acquire, settle = _interleaved(client, ledger, calls)

    def settle_one(number: int) -> None:
        ledger.settle(Permit(f"server{number}", 1, 0), Outcome.COUNTED)

    return {
        "noop_ms": _percentiles(noop),
        "acquire_ms": _percentiles(acquire),
        "settle_ms": _percentiles(settle),
        "acquire_vs_noop": round(statistics.median(acquire) / statistics.median(noop), 2),
        "acquire_server_us": _server_us(client, lambda i: ledger.acquire([f"server{i}"], Lane.BACKFILL), calls),
        "settle_server_us": _server_us(client, settle_one, calls),
        "acquire_with_journal_ms": _with_journal(client, database, calls // 2),
        "postgres_permits_a_second": _postgres_alone(database, calls // 4),
        "rebuild_ms": _rebuild(client, database),
        "memory_mb": _memory_mb(client),
    }


def _timed(call: Callable[[], Any]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def _percentiles(seconds: list[float]) -> tuple[float, float]:
    return round(1000 * statistics.median(seconds), 3), round(1000 * statistics.quantiles(seconds, n=100)[98], 3)


def _interleaved(client: redis.Redis, ledger: RedisLedger, calls: int) -> tuple[list[float], list[float], list[float]]:
    """The no-op has the same number and size of keys and arguments as an acquire, on the same connection."""
    script = client.register_script("return {'granted', 1, 1, 1, 1}")
    keys = [f"cost:some:key:of:the:account:{number}" for number in range(6)]
    noop, acquire, settle = [], [], []
    for number in range(calls):
        name = f"request-{number:08}"
        args = [120_000_000, 0, 0, 2_000_000, time.time_ns() // 1000, 0, "", 60_000_000, 5_000_000, "cost:turns", name]
        noop.append(_timed(lambda args=args: script(keys=keys, args=args)))  # type: ignore[misc]
        acquire.append(_timed(lambda name=name: ledger.acquire([name], Lane.BACKFILL)))  # type: ignore[misc]
        permit = Permit(name, 1, 0)
        settle.append(_timed(lambda permit=permit: ledger.settle(permit, Outcome.COUNTED)))  # type: ignore[misc]
    return noop, acquire, settle


def _server_us(client: redis.Redis, call: Callable[[int], Any], calls: int) -> float:
    client.config_resetstat()
    for number in range(calls):
        call(number)
    stats: Any = client.info("commandstats")
    return round(float(stats["cmdstat_evalsha"]["usec_per_call"]), 1)


def _with_journal(client: redis.Redis, database: Database, calls: int) -> tuple[float, float]:
    row = LeaseStore(database, "cost-journal", fallback_windows=_ROOMY_WINDOWS)
    ledger = RedisLedger(client, "cost-journal", permit_ttl_seconds=120, keys=RedisKeys("cost-journal"))
    both = FailoverLedger(ledger, PostgresLedger(row, permit_ttl_seconds=120), row)
    both.acquire(["first"], Lane.BACKFILL)
    return _percentiles([_timed(lambda n=n: both.acquire([f"j{n}"], Lane.BACKFILL)) for n in range(calls)])  # type: ignore[misc]


def _postgres_alone(database: Database, calls: int) -> float:
    row = LeaseStore(database, "cost-postgres", fallback_windows=_ROOMY_WINDOWS)
    ledger = PostgresLedger(row, permit_ttl_seconds=120)
    seconds = [_timed(lambda n=n: ledger.acquire([f"p{n}"], Lane.BACKFILL)) for n in range(calls)]  # type: ignore[misc]
    return round(calls / sum(seconds), 0)


def _rebuild(client: redis.Redis, database: Database) -> float:
    """Return the milliseconds to fill Redis with a full hour of permits from the journal; the median of five."""
    row = LeaseStore(database, "cost-rebuild", fallback_windows=WINDOWS)
    ledger = RedisLedger(client, "cost-rebuild", permit_ttl_seconds=120, keys=RedisKeys("cost-rebuild"))
    row.give_to(ledger)
    with database.transaction() as connection:
        connection.execute(
            "INSERT INTO courtlistener.permits (account, request_id, epoch, holder, granted_at, settled_at, "
            "ages_from, outcome) SELECT 'cost-rebuild', 'request-' || n, 1, 'redis', at, at, at, 'counted' "
            "FROM generate_series(1, %s) AS n, LATERAL (SELECT clock_timestamp() - n * interval '0.7 s' AS at) AS t",
            (_FULL_HOUR,),
        )
    seconds = [_timed(lambda: row.give_to(ledger, even_if_intact=True)) for _ in range(5)]
    return round(1000 * statistics.median(seconds), 1)


def _memory_mb(client: redis.Redis) -> float:
    """Return megabytes of all keys of an account with 5,000 permits of an hour and 16 waiters."""
    ledger = RedisLedger(client, "full", permit_ttl_seconds=120, keys=RedisKeys("cost-memory"))
    permits = tuple(JournaledPermit(f"Zm9vYmFyYmF6cXV{n:05}", 700_000 * n, False) for n in range(_FULL_HOUR - 1))
    ledger.load(LedgerState(1, (QuotaWindow(Window(_FULL_HOUR, 3600)),), permits=permits))
    for number in range(17):
        ledger.acquire([f"waiter{number:014}"], Lane.BACKFILL)
    used = sum(int(client.memory_usage(key, samples=0) or 0) for key in client.scan_iter("cost-memory:*"))
    return round(used / 2**20, 3)
