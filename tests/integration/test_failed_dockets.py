"""The life of a failed docket, against a real Postgres and a real Redis."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
import redis

from courtlistener_assets.devkit.servers.redis_server import RedisServer
from resources.backlog.failure_lists import FailureLists
from resources.backlog.failures import Chosen, Failures
from resources.connections.postgres import Database
from resources.connections.redis_address import connect
from resources.connections.redis_keys import RedisKeys, hour_stamp
from resources.records.model import Failure, PageOfRecords, SweepKey
from resources.records.store import RecordStore

PARTITION = "ca9|2024-02-01"
KEY = SweepKey("dockets", PARTITION, "filed")
KEYS = RedisKeys()


@pytest.fixture
def failed(database: Database, redis_server: RedisServer, redis_client: redis.Redis) -> Failures:
    lists = FailureLists(connect(redis_server.url))
    return Failures(database, lists, base_seconds=60, max_tries=3)


def fail(database: Database, *docket_ids: int, key: SweepKey = KEY) -> None:
    store = RecordStore(database)
    begun = store.begin_pass(key, run_id="run", full_refresh=False, overlap=timedelta())
    failures = [Failure("TransientApiError", "500", docket_id=docket_id) for docket_id in docket_ids]
    store.store_page(begun, PageOfRecords([], failures), after_id=0, watermark=None, finished=False)


def later(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


def listed(client: redis.Redis, key: str) -> list[int]:
    return sorted(json.loads(entry)["docket_id"] for entry in client.lrange(key, 0, -1))


def hour_key(failed: Failures) -> str:
    return KEYS.failed(failed.open()[0].hour)


def test_nothing_is_due_before_the_first_delay_and_everything_after_it(failed: Failures, database: Database) -> None:
    fail(database, 1, 2)
    assert failed.claim_due(now=later(50)) == []
    [claim] = failed.claim_due(now=later(100))
    assert (claim.partition, [one.docket_id for one in claim.failures]) == (PARTITION, [1, 2])


def test_the_tries_are_spread_over_days(database: Database, redis_server: RedisServer) -> None:
    failed = Failures(database, FailureLists(connect(redis_server.url)))
    fail(database, *range(1, 30))
    delays = {one.due_at - one.last_at for one in failed.open()}
    assert timedelta(hours=1) <= min(delays) < max(delays) <= timedelta(hours=1.5)
    assert len(delays) == 29  # What failed together does not come back together.
    spent = timedelta()
    for tries in range(1, 5):
        database.rows(f"UPDATE courtlistener.failures SET tries = {tries} RETURNING id")
        delays = {one.due_at - one.last_at for one in failed.open()}
        assert timedelta(hours=4 ** (tries - 1)) <= min(delays) <= max(delays) <= timedelta(days=4.5)
        spent += min(delays)
    assert timedelta(days=3) < spent


def test_what_is_claimed_cannot_be_claimed_again(failed: Failures, database: Database) -> None:
    fail(database, 1)
    assert len(failed.claim_due(now=later(100))) == 1
    assert failed.claim_due(now=later(100_000)) == []


def test_the_delay_grows_and_differs_between_failures(failed: Failures, database: Database) -> None:
    fail(database, *range(1, 9))
    first = {one.docket_id: (one.due_at - one.last_at).total_seconds() for one in failed.open()}
    fail(database, *range(1, 9))
    second = {one.docket_id: (one.due_at - one.last_at).total_seconds() for one in failed.open()}
    assert len(set(first.values())) == 8
    assert all(60 <= delay < 90 for delay in first.values())
    assert all(240 <= delay < 360 for delay in second.values())


def test_each_partition_becomes_one_claim(failed: Failures, database: Database) -> None:
    fail(database, 1)
    fail(database, 2, key=SweepKey("dockets", "scotus|2024-02-01", "filed"))
    fail(database, 1, key=SweepKey("clusters", PARTITION, "dated"))
    claims = failed.claim_due(now=later(100))
    assert sorted((claim.partition, len(claim.failures)) for claim in claims) == [
        (PARTITION, 2),
        ("scotus|2024-02-01", 1),
    ]


def test_success_resolves_and_a_new_failure_waits_again(failed: Failures, database: Database) -> None:
    fail(database, 1, 2)
    [claim] = failed.claim_due(now=later(100))
    fail(database, 2, key=SweepKey("dockets", PARTITION, "docket:2"))  # the retry met it under another sweep
    assert failed.acknowledge(claim.id, "dockets") == (1, 1)
    [left] = failed.open()
    assert (left.docket_id, left.tries, left.claimed_by, left.sweep) == (2, 2, None, "filed")


def test_only_the_assets_that_were_tried_are_acknowledged(failed: Failures, database: Database) -> None:
    fail(database, 1)
    fail(database, 1, key=SweepKey("clusters", PARTITION, "dated"))
    [claim] = failed.claim_due(now=later(100))
    failed.acknowledge(claim.id, "dockets")
    assert [(one.asset, one.claimed_by) for one in failed.open()] == [("clusters", claim.id)]


def test_a_crashed_run_costs_one_try(failed: Failures, database: Database) -> None:
    fail(database, 1, 2)
    [claim] = failed.claim_due(now=later(100))
    fail(database, 2)  # recorded by the run before it crashed: that is the try
    assert failed.release_orphaned(claim.id) == 2
    assert sorted((one.docket_id, one.tries) for one in failed.open()) == [(1, 2), (2, 2)]
    assert failed.claims() == {}


def test_no_room_in_the_quota_costs_no_try(failed: Failures, database: Database) -> None:
    fail(database, 1)
    [claim] = failed.claim_due(now=later(100))
    failed.release(claim.id, "dockets", 3600)
    assert failed.claim_due(now=later(3500)) == []
    [again] = failed.claim_due(now=later(5500))
    assert (again.failures[0].tries, again.number) == (1, 2)


def test_the_same_failures_are_claimed_under_another_number_each_time(failed: Failures, database: Database) -> None:
    fail(database, 1)
    numbers = []
    for _ in range(2):
        [claim] = failed.claim_due(now=later(100_000))
        numbers.append(claim.number)
        failed.release_orphaned(claim.id)
    assert numbers == [1, 2]


def test_after_the_last_try_it_is_dead_until_it_is_requeued(failed: Failures, database: Database) -> None:
    fail(database, 1)
    for _ in range(2):
        [claim] = failed.claim_due(now=later(100_000))
        failed.release_orphaned(claim.id)
    assert failed.counts() == {"waiting": 0, "claimed": 0, "dead": 1}
    assert failed.claim_due(now=later(1_000_000)) == []
    assert failed.requeue_dead(Chosen()) == 1
    [claim] = failed.claim_due()
    assert claim.failures[0].tries == 0


def test_the_lists_follow_a_failure_through_its_life(
    failed: Failures, database: Database, redis_client: redis.Redis
) -> None:
    fail(database, 1, 2)
    assert failed.refill() == [f"failed {failed.open()[0].hour}"]
    hour = hour_key(failed)
    assert listed(redis_client, hour) == [1, 2]

    [claim] = failed.claim_due(now=later(100))
    assert (listed(redis_client, hour), listed(redis_client, KEYS.claimed(claim.id))) == ([], [1, 2])

    fail(database, 2)
    failed.acknowledge(claim.id, "dockets")
    assert (listed(redis_client, hour), listed(redis_client, KEYS.claimed(claim.id))) == ([2], [])

    [claim] = failed.claim_due(now=later(1000))
    failed.release_orphaned(claim.id)
    assert (listed(redis_client, hour), listed(redis_client, KEYS.dead())) == ([], [2])

    failed.requeue_dead(Chosen())
    assert (listed(redis_client, hour), listed(redis_client, KEYS.dead())) == ([2], [])
    assert failed.refill() == []


def test_lists_that_redis_lost_are_filled_again(
    failed: Failures, database: Database, redis_client: redis.Redis
) -> None:
    fail(database, 1, 2, 3)
    failed.refill()
    redis_client.flushall()
    assert len(failed.refill()) == 1
    assert listed(redis_client, hour_key(failed)) == [1, 2, 3]


def test_a_list_that_missed_a_success_is_emptied(
    failed: Failures, database: Database, redis_client: redis.Redis
) -> None:
    fail(database, 1)
    failed.refill()
    hour = hour_key(failed)
    without_redis = Failures(database, FailureLists(connect("redis://127.0.0.1:1/0")))
    [claim] = without_redis.claim_due(now=later(5500))
    without_redis.acknowledge(claim.id, "dockets")
    failed.refill()
    assert listed(redis_client, hour) == []


def test_every_list_expires(failed: Failures, database: Database, redis_client: redis.Redis) -> None:
    fail(database, 1)
    failed.refill()
    assert 0 < int(redis_client.pttl(hour_key(failed))) <= 7 * 86_400_000


def test_without_redis_nothing_is_missing_but_the_lists(database: Database) -> None:
    nowhere = connect("redis://127.0.0.1:1/0")
    failed = Failures(database, FailureLists(nowhere), base_seconds=60)
    fail(database, 1)
    failed.refill()
    [claim] = failed.claim_due(now=later(100))
    assert failed.acknowledge(claim.id, "dockets") == (1, 0)


def test_two_sensors_share_out_what_is_due(failed: Failures, database: Database) -> None:
    fail(database, *range(1, 11))
    one = failed.claim_due(now=later(100), max_failures=4)
    other = failed.claim_due(now=later(100), max_failures=50)
    ids = [failure.docket_id for claim in one + other for failure in claim.failures]
    assert sorted(ids, key=int) == list(range(1, 11))  # type: ignore[arg-type]


def refuse_writes(client: redis.Redis) -> None:
    client.config_set("min-replicas-to-write", 1)


def hold_no_lists(client: redis.Redis) -> None:
    for key in (hour_stamp(datetime.now(UTC)), "count"):
        client.set(KEYS.failed(key), "no list")
    client.mset({KEYS.dead(): "no list", KEYS.taken(): "no list"})


@pytest.mark.parametrize("break_lists", [refuse_writes, hold_no_lists])
def test_a_list_that_cannot_be_written_fails_nothing(
    database: Database, fresh_redis_server: RedisServer, break_lists: Callable[[redis.Redis], None]
) -> None:
    client = connect(fresh_redis_server.url)
    client.rpush(KEYS.failed("2024-01-31_13"), '{"docket_id": 5}', "garbage")
    break_lists(client)
    failed = Failures(database, FailureLists(connect(fresh_redis_server.url)), base_seconds=60, max_tries=3)
    fail(database, 1, 2, 3)
    [claim] = failed.claim_due(now=later(1000), max_failures=2)
    failed.adopt(lambda asset, partition: True)
    failed.refill()
    assert failed.resolve(claim.id, claim.failures[0].id) == 1
    assert failed.give_up(claim.id, {claim.failures[1].id: "no use"}) == 1
    assert failed.requeue_dead(Chosen()) == 1
    [claim] = failed.claim_due(now=later(1000))
    assert failed.release(claim.id, "dockets", 1) == 2
    [claim] = failed.claim_due(now=later(1000))
    assert failed.acknowledge(claim.id, "dockets") == (2, 0)
    pushed = [entry for entry in client.lrange(KEYS.failed("2024-01-31_13"), 0, -1) if "docket_id" in entry]
    assert len(pushed) == 1


def test_a_range_stands_in_its_list_as_postgres_names_it(
    failed: Failures, database: Database, redis_client: redis.Redis
) -> None:
    for sweep in ("filed", "decided:10-20", "docket:5"):
        key = SweepKey("dockets", PARTITION, sweep)
        RecordStore(database).record_failure(key, Failure("TransientApiError", "500", after_id=10, up_to_id=20))
    assert failed.refill() != []
    assert failed.refill() == []
