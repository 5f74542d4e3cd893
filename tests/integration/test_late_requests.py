"""Requests that are given up and arrive all the same, in simulated time, judged by the server's own sliding log."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress

import pytest
import redis

from bench.limiter.judge import refused
from courtlistener_assets.devkit.servers.redis_server import RedisServer
from resources.connections.postgres import Database
from resources.connections.redis_keys import RedisKeys
from resources.errors import QuotaDeferred, Unanswered
from resources.quota.failover import FailoverLedger
from resources.quota.lease import LeaseStore
from resources.quota.limiter import RateLimiter
from resources.quota.permits import Window
from resources.quota.postgres_ledger import PostgresLedger
from resources.quota.redis_ledger import RedisLedger
from tests.integration.ledger_harness import START_US, Clock

LIMITS = ((4, 8), (10, 40))
TTL_SECONDS = 20.0
PATIENCE_SECONDS = 1.0


@pytest.mark.parametrize("holder", ["redis", "postgres"])
def test_requests_that_come_late_refuse_no_others(
    redis_server: RedisServer, redis_client: redis.Redis, database: Database, holder: str
) -> None:
    """A third of all requests gets no answer within a second, and arrives up to 19 seconds later."""
    clock, random_ = Clock(), random.Random(7)
    leases = LeaseStore(database, "account", fallback_windows=tuple(Window(*each) for each in LIMITS), clock_us=clock)
    # Nobody listens at port 1.
    url = redis_server.url if holder == "redis" else "redis://127.0.0.1:1/0"
    client = redis.Redis.from_url(url, decode_responses=True)
    ledger = RedisLedger(client, "account", permit_ttl_seconds=TTL_SECONDS, keys=RedisKeys("late"), clock_us=clock)
    limiter = RateLimiter(
        "account",
        FailoverLedger(
            ledger,
            PostgresLedger(leases, permit_ttl_seconds=TTL_SECONDS),
            leases,
            monotonic=lambda: clock.us / 1e6,
        ),
        max_wait_seconds=0.0,
        use_within_seconds=1.0,
        clock=lambda: clock.us / 1e6,
        sleep=clock.advance,
    )
    arrivals: list[float] = []

    def request() -> None:
        with limiter.permit():
            sent = (clock.us - START_US) / 1e6
            late = random_.random() < 0.3
            arrivals.append(sent + random_.uniform(PATIENCE_SECONDS, TTL_SECONDS - 1) if late else sent)
            clock.advance(PATIENCE_SECONDS if late else 0.05)
            if late:
                raise Unanswered

    _for_minutes(20, clock, request)
    assert len(arrivals) > 150
    assert limiter.granted.keys() == {holder}
    assert refused(arrivals, LIMITS) == 0


def _for_minutes(minutes: int, clock: Clock, request: Callable[[], None]) -> None:
    while clock.us < START_US + minutes * 60_000_000:
        try:
            with suppress(Unanswered):
                request()
        except QuotaDeferred as deferred:
            clock.advance(deferred.wait_seconds + 0.001)
