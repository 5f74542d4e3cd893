"""Another server becomes the primary while workers draw permits: none too many, and Redis is in charge again."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

import pytest

from bench.limiter.judge import Limit, merged, refused
from bench.limiter.peers import settled_at_the_answer
from bench.limiter.workers import WorkerLog, run, uniform
from resources.connections.postgres import Database
from resources.connections.redis_address import connect, keys_at
from resources.connections.redis_keys import RedisKeys
from resources.quota.failover import FailoverLedger
from resources.quota.lease import LeaseStore
from resources.quota.limiter import RateLimiter
from resources.quota.permits import Window
from resources.quota.postgres_ledger import PostgresLedger
from resources.quota.redis_ledger import RedisLedger
from tests.servers.distribution import Cluster, SentinelTrio, wait_for

LIMITS: tuple[Limit, ...] = ((15, 1), (30, 3))
SECONDS = 8.0
COOL_DOWN_SECONDS = 1.0


def draw(
    redis_url: str, database_url: str, account: str, during: Callable[[Sequence[int]], None]
) -> tuple[list[WorkerLog], list[str]]:
    """What workers did while something happened, and who granted permits, in order."""

    def worker(number: int) -> Callable[[], AbstractContextManager[str]]:
        windows = Window.parse_all(",".join(f"{limit}/{seconds}s" for limit, seconds in LIMITS))
        leases = LeaseStore(
            Database(database_url), account, fallback_windows=windows, cool_down_seconds=COOL_DOWN_SECONDS
        )
        redis_ledger = RedisLedger(
            connect(redis_url), account, permit_ttl_seconds=4, keys=keys_at(redis_url, RedisKeys.prefix)
        )
        ledger = FailoverLedger(
            redis_ledger, PostgresLedger(leases, permit_ttl_seconds=4), leases, recovery_seconds=0.3
        )
        return settled_at_the_answer(RateLimiter(account, ledger, max_wait_seconds=30))

    logs = run(worker, workers=4, seconds=SECONDS, latency=uniform(0.01, 0.1), during=during)
    return logs, [holder for _, holder in sorted((at, who) for log in logs for at, who in _grants(log))]


def _grants(log: WorkerLog) -> list[tuple[float, str]]:
    return list(zip(log.grants, log.holders, strict=True))


@pytest.mark.parametrize("how", ["ordered", "killed"])
@pytest.mark.parametrize("kind", ["trio", "cluster"])
def test_a_promotion_grants_nothing_too_many(
    kind: str, how: str, request: pytest.FixtureRequest, database: Database, database_url: str
) -> None:
    servers: SentinelTrio | Cluster = request.getfixturevalue(kind)

    servers.wait_until_promotable()

    def promote(pids: Sequence[int]) -> None:
        time.sleep(2)
        before = servers.primary()
        if how == "ordered":
            servers.order()
            wait_for(lambda: servers.primary() is not before)
            return
        before.kill()
        wait_for(lambda: servers.primary() is not before)
        # It comes back with its keys, and believes for a moment that it still is what it was.
        before.restart()

    logs, holders = draw(servers.url, database_url, f"{kind}-{how}", promote)
    arrivals = merged(log.arrivals for log in logs)
    assert [error for log in logs for error in log.errors] == []
    assert refused(arrivals, LIMITS) == 0
    assert holders[0] == "redis"
    assert holders[-1] == "redis"
    # A busy machine may not keep up with the quota, and nobody grants while nobody knows of the promotion.
    assert len(arrivals) > 5 * SECONDS
    # What the new primary had of the old one's keys was not believed.
    assert database.rows("SELECT count(DISTINCT epoch) > 1 FROM courtlistener.permits") == [(True,)]
