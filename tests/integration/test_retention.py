"""What is deleted in the end, and what never is."""

from __future__ import annotations

from datetime import timedelta

import pytest
import redis

from courtlistener_assets.devkit.servers.redis_server import RedisServer
from resources.backlog.failure_lists import FailureLists
from resources.backlog.failures import RESOLVED_DAYS, Failures
from resources.connections.postgres import Database
from resources.connections.redis_address import connect
from resources.dagster_resources import PostgresResource, RedisRateLimitResource, RedisResource
from resources.quota.limiter import RateLimiter
from resources.records.history import CHECKPOINT_DAYS, forget_old_checkpoints
from resources.records.model import Failure, PageOfRecords, SweepKey
from resources.records.store import RecordStore
from tests.integration.ledger_harness import take


@pytest.fixture
def limiter(redis_server: RedisServer, redis_client: redis.Redis, database_url: str) -> RateLimiter:
    resource = RedisRateLimitResource(
        redis=RedisResource(url=redis_server.url, timeout_seconds=5.0),
        postgres=PostgresResource(url=database_url),
        rate_limits="100/min",
    )
    return resource.limiter("account")


def grant_long_ago(database: Database, account: str, *days: float) -> None:
    with database.transaction() as connection:
        connection.execute(
            "INSERT INTO courtlistener.ledgers (account, windows) VALUES (%s, '[]') ON CONFLICT DO NOTHING", (account,)
        )
        for number, age in enumerate(days):
            connection.execute(
                "INSERT INTO courtlistener.permits (account, request_id, epoch, holder, granted_at, settled_at) "
                "VALUES (%s, %s, 0, 'redis', now() - make_interval(secs => %s), now())",
                (account, f"request {number}", 86_400 * age),
            )


def ages_in_days(database: Database, account: str) -> list[int]:
    rows = database.rows(
        "SELECT round(extract(epoch FROM now() - granted_at) / 86400) FROM courtlistener.permits "
        "WHERE account = %(account)s ORDER BY 1",
        {"account": account},
    )
    return [int(age) for (age,) in rows]


def test_permits_of_all_accounts_go_after_thirty_days_when_the_quota_is_read_anew(
    limiter: RateLimiter, database: Database
) -> None:
    take(limiter)
    grant_long_ago(database, "account", 29, 31)
    grant_long_ago(database, "an account of the past", 1, 400)
    assert limiter.needs_observation(0)
    assert ages_in_days(database, "account") == [0, 29]
    assert ages_in_days(database, "an account of the past") == [1]


def test_failures_go_long_after_they_were_resolved_and_open_ones_never(database: Database) -> None:
    store, failed = RecordStore(database), Failures(database, FailureLists(connect("redis://127.0.0.1:1/0")))
    key = SweepKey("dockets", "ca9|2024-01-01", "filed")
    begun = store.begin_pass(key, run_id="run", full_refresh=False, overlap=timedelta())
    failures = [Failure("TransientApiError", "502", docket_id=docket_id) for docket_id in (1, 2, 3, 4)]
    store.store_page(begun, PageOfRecords([], failures), after_id=0, watermark=None, finished=False)
    with database.transaction() as connection:
        for docket_id, days in ((1, RESOLVED_DAYS + 1), (2, RESOLVED_DAYS - 1)):
            connection.execute(
                "UPDATE courtlistener.failures SET resolved_at = now() - make_interval(days => %s) "
                "WHERE docket_id = %s",
                (days, docket_id),
            )
        connection.execute(
            "UPDATE courtlistener.failures "
            "SET first_at = now() - interval '400 days', last_at = now() - interval '2 days'"
        )
        connection.execute("UPDATE courtlistener.failures SET dead_at = now() WHERE docket_id = 4")
    [claim] = failed.claim_due()
    failed.acknowledge(claim.id, "dockets")
    left = database.rows("SELECT docket_id, resolved_at IS NULL FROM courtlistener.failures ORDER BY docket_id")
    assert left == [(2, False), (3, False), (4, True)]


def test_walks_of_single_dockets_are_forgotten_long_after_their_end_and_those_of_months_never(
    database: Database,
) -> None:
    store = RecordStore(database)
    sweeps = {"docket:7": CHECKPOINT_DAYS + 1, "filed:10-20": CHECKPOINT_DAYS + 1, "object:3": CHECKPOINT_DAYS - 1,
              "docket:8": None, "filed": CHECKPOINT_DAYS + 400}  # fmt: skip
    for sweep, days in sweeps.items():
        key = SweepKey("dockets", "ca9|2024-01-01", sweep)
        begun = store.begin_pass(key, run_id="run", full_refresh=False, overlap=timedelta())
        store.store_page(begun, PageOfRecords([], []), after_id=0, watermark=None, finished=days is not None)
        with database.transaction() as connection:
            connection.execute(
                "UPDATE courtlistener.sweeps SET started_at = now() - interval '600 days', "
                "finished_at = now() - make_interval(days => %s) WHERE sweep = %s",
                (days, sweep),
            )
    assert forget_old_checkpoints(database) == 2
    left = database.rows("SELECT sweep FROM courtlistener.sweeps ORDER BY 1")
    assert [sweep for (sweep,) in left] == ["docket:8", "filed", "object:3"]
    assert forget_old_checkpoints(database) == 0
