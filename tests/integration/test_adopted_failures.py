"""Entries that other programs push onto the lists of failed dockets, against a real Postgres and a real Redis."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis

from courtlistener_assets.devkit.servers.redis_server import RedisServer
from resources.backlog.adoption import Adopted
from resources.backlog.failure_lists import FailureLists
from resources.backlog.failures import Chosen, Failures
from resources.connections.postgres import Database
from resources.connections.redis_address import connect
from resources.connections.redis_keys import RedisKeys, hour_stamp
from resources.records.model import Failure, PageOfRecords, SweepKey
from resources.records.store import RecordStore

PARTITION = "ca9|2024-02-01"
KEYS = RedisKeys()
PUSHED_AT = datetime.now(UTC) - timedelta(hours=30)
LIST = KEYS.failed(hour_stamp(PUSHED_AT))
OLD = {"docket_id": 17, "api_calls": 4, "error": "HTTP 500: try later", "timestamp": PUSHED_AT.isoformat()}


@pytest.fixture
def failed(database: Database, redis_server: RedisServer, redis_client: redis.Redis) -> Failures:
    return Failures(database, FailureLists(connect(redis_server.url)), base_seconds=3600, max_tries=3)


def is_partition(asset: str, partition: str) -> bool:
    return partition == PARTITION and asset in ("dockets", "clusters")


def push(client: redis.Redis, *entries: Any, key: str = LIST) -> None:
    client.rpush(key, *(entry if isinstance(entry, (str, bytes)) else json.dumps(entry) for entry in entries))


def tick(failed: Failures) -> Adopted:
    adopted = failed.adopt(is_partition)
    failed.refill()
    return adopted


def store_docket(database: Database, id: int, court: str, filed: str | None) -> None:
    with database.transaction() as connection:
        connection.execute(
            "INSERT INTO courtlistener.dockets (stream, id, docket_id, court_id, date_filed, body) "
            "VALUES ('dockets', %(id)s, %(id)s, %(court)s, %(filed)s, '{}')",
            {"id": id, "court": court, "filed": filed},
        )


def entries(client: redis.Redis, key: str) -> list[dict[str, Any]]:
    return [json.loads(entry) for entry in client.lrange(key, 0, -1)]


def test_an_entry_of_the_replaced_pipeline_is_adopted_retried_and_acknowledged(
    failed: Failures, database: Database, redis_client: redis.Redis
) -> None:
    store_docket(database, 17, "ca9", "2024-02-10")
    push(redis_client, OLD)
    assert tick(failed) == Adopted(1, 0)
    [adopted] = failed.open()
    assert (adopted.asset, adopted.partition, adopted.docket_id, adopted.requests) == ("dockets", PARTITION, 17, 4)
    assert (adopted.error, adopted.message, adopted.tries) == ("FailedElsewhere", OLD["error"], 0)
    assert [entry["docket_id"] for entry in entries(redis_client, LIST)] == [17]

    [claim] = failed.claim_due()  # at once: its first try is long ago
    assert entries(redis_client, LIST) == []
    assert [entry["docket_id"] for entry in entries(redis_client, KEYS.claimed(claim.id))] == [17]
    assert failed.acknowledge(claim.id, "dockets") == (1, 0)
    assert entries(redis_client, KEYS.claimed(claim.id)) == []
    assert tick(failed) == Adopted()
    assert failed.open() == []


def test_an_entry_in_our_own_form_is_adopted_as_what_it_says(failed: Failures, redis_client: redis.Redis) -> None:
    own = {
        "id": 9,
        "asset": "clusters",
        "partition": PARTITION,
        "sweep": "dated",
        "object_id": 5,
        "error": "PageRejected",
    }
    push(redis_client, own)
    assert tick(failed) == Adopted(1, 0)
    [adopted] = failed.open()
    assert (adopted.asset, adopted.partition, adopted.sweep) == ("clusters", PARTITION, "dated")
    assert (adopted.object_id, adopted.error) == (5, "PageRejected")


def test_an_entry_with_the_number_of_one_of_ours_is_not_taken_for_it(
    failed: Failures, database: Database, redis_client: redis.Redis
) -> None:
    push(redis_client, {"docket_id": 1})
    tick(failed)
    [ours] = failed.open()
    [text] = redis_client.lrange(KEYS.failed(ours.hour), 0, -1)
    push(redis_client, text.replace(b"docket 1", b"docket 2").replace(b'"docket_id": 1', b'"docket_id": 2'))
    assert tick(failed) == Adopted(1, 0)
    assert sorted(one.docket_id or 0 for one in failed.open()) == [1, 2]


def test_a_docket_that_is_not_stored_waits_for_its_court_to_be_looked_up(
    failed: Failures, redis_client: redis.Redis
) -> None:
    push(redis_client, OLD)
    tick(failed)
    [claim] = failed.claim_due()
    assert (claim.partition, claim.failures[0].docket_id) == ("", 17)


def test_the_same_entry_twice_is_one_failure_and_again_after_it_was_resolved_another(
    failed: Failures, redis_client: redis.Redis
) -> None:
    push(redis_client, OLD, OLD)
    tick(failed)
    [claim] = failed.claim_due()
    assert len(claim.failures) == 1
    failed.acknowledge(claim.id, "dockets")
    push(redis_client, OLD)
    assert tick(failed) == Adopted(1, 0)
    assert len(failed.open()) == 1


def test_what_is_dead_here_is_tried_again_if_another_program_wants_it(
    failed: Failures, redis_client: redis.Redis
) -> None:
    push(redis_client, OLD)
    tick(failed)
    [claim] = failed.claim_due()
    failed.give_up(claim.id, {claim.failures[0].id: "no use"})
    assert [entry["message"] for entry in entries(redis_client, KEYS.dead())] == ["no use"]
    push(redis_client, OLD)
    tick(failed)
    assert (len(entries(redis_client, KEYS.dead())), len(failed.claim_due())) == (0, 1)


GARBAGE = [
    b"", b"not json", b"\xff\xfe\x00 \xc3", b"17", b"[1]", b"null", b"[" * 5000, b"{}", b'{"docket_id": true}',
    b'{"docket_id": -1}', b'{"docket_id": 1e3}', b'{"docket_id": "abc"}', b'{"docket_id": 99999999999999999999}',
    b'{"docket_id": ' + b"9" * 5000 + b"}", b'{"object_id": 5}', b'{"docket_id": 5, "asset": "clusters"}',
    b'{"docket_id": 5, "asset": "clusters", "partition": "nowhere|2024-01-01"}', b'{"docket_id": 5, "asset": ["x"]}',
    b'{"asset": "dockets", "partition": "ca9|2024-02-01", "sweep": "filed", "after_id": 9, "up_to_id": 9}',
    b'{"id": 17, "failure": "dockets docket 4"', b'{"docket_id": 5, "asset": "\\u0000", "partition": "\\ud800"}',
]  # fmt: skip


@pytest.mark.parametrize("entry", GARBAGE, ids=lambda entry: repr(entry[:60]))
def test_garbage_is_a_dead_letter_with_its_reason_and_stops_nothing(
    failed: Failures, redis_client: redis.Redis, entry: bytes
) -> None:
    push(redis_client, entry, {"docket_id": 18})
    assert tick(failed) == Adopted(1, 1)
    dead, waiting = failed.open()
    assert (dead.error, dead.dead_at is not None, waiting.docket_id) == ("UnreadableEntry", True, 18)
    [shown] = entries(redis_client, KEYS.dead())
    assert shown["message"]
    assert tick(failed) == Adopted()
    assert failed.requeue_dead(Chosen()) == 0
    assert failed.drop_dead(Chosen()) == 1
    assert entries(redis_client, KEYS.dead()) == []


def test_several_pieces_of_garbage_are_several_dead_letters(failed: Failures, redis_client: redis.Redis) -> None:
    push(redis_client, "x", "x", "y")
    assert tick(failed) == Adopted(0, 3)
    assert len(entries(redis_client, KEYS.dead())) == 3


def test_what_is_no_list_is_set_aside_and_the_list_works_again(
    failed: Failures, database: Database, redis_client: redis.Redis
) -> None:
    now = KEYS.failed(hour_stamp(datetime.now(UTC)))
    redis_client.set(now, "something")
    begun = RecordStore(database).begin_pass(
        SweepKey("dockets", PARTITION, "filed"), run_id="run", full_refresh=False, overlap=timedelta()
    )
    failures = [Failure("TransientApiError", "500", docket_id=3)]
    RecordStore(database).store_page(begun, PageOfRecords([], failures), after_id=0, watermark=None, finished=False)
    assert tick(failed) == Adopted(0, 1)
    [key] = redis_client.keys("courtlistener:unreadable:*")
    assert redis_client.get(key) == b"something"
    assert key.decode() in failed.open()[0].message
    assert [entry["docket_id"] for entry in entries(redis_client, now)] == [3]


@pytest.mark.parametrize("name", [b"\xff\xfe", b"today", b"", b"*"])
def test_a_list_may_have_any_name(failed: Failures, redis_client: redis.Redis, name: bytes) -> None:
    key = KEYS.failed("").encode() + name
    redis_client.rpush(key, json.dumps(OLD))
    assert tick(failed) == Adopted(1, 0)
    assert (redis_client.exists(key), len(entries(redis_client, LIST))) == (0, 1)
    [ours] = redis_client.lrange(LIST, 0, -1)
    redis_client.rpush(key, ours)
    assert tick(failed) == Adopted()
    assert failed.counts()["waiting"] == 1


def test_what_another_program_keeps_beside_the_lists_is_left_alone(failed: Failures, redis_client: redis.Redis) -> None:
    redis_client.set(KEYS.failed("count"), "17")
    push(redis_client, OLD)
    assert tick(failed) == Adopted(1, 0)
    assert redis_client.get(KEYS.failed("count")) == b"17"


def test_what_is_pushed_while_a_list_is_refilled_stays(failed: Failures, redis_client: redis.Redis) -> None:
    push(redis_client, {"docket_id": 1}, {"docket_id": 2})
    tick(failed)
    [key] = redis_client.keys("courtlistener:failed:*")
    redis_client.rpop(key)
    push(redis_client, {"docket_id": 3}, key=key)  # as if after the lists had been read
    assert failed.refill() == [key.decode().removeprefix("courtlistener:").replace(":", " ", 1)]
    assert sorted(entry["docket_id"] for entry in entries(redis_client, key)) == [1, 2, 3]
    assert tick(failed) == Adopted(1, 0)


def test_a_list_of_the_right_length_with_the_wrong_content_is_found(
    failed: Failures, redis_client: redis.Redis
) -> None:
    push(redis_client, {"docket_id": 1})
    tick(failed)
    [key] = redis_client.keys("courtlistener:failed:*")
    redis_client.delete(key)
    push(redis_client, {"docket_id": 2}, key=key)
    assert tick(failed) == Adopted(1, 0)
    assert sorted(entry["docket_id"] for entry in entries(redis_client, key)) == [1, 2]


def test_whoever_dies_in_the_middle_of_an_adoption_loses_nothing_and_doubles_nothing(
    failed: Failures, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*args: object) -> None:
        raise KeyboardInterrupt

    push(redis_client, OLD)
    for step in ("taken", "put_away"):
        with monkeypatch.context() as patch:
            patch.setattr(FailureLists, step, die)
            with pytest.raises(KeyboardInterrupt):
                failed.adopt(is_partition)
    [claim] = failed.claim_due()
    failed.acknowledge(claim.id, "dockets")
    tick(failed)
    assert (failed.open(), redis_client.lrange(KEYS.taken(), 0, -1)) == ([], [])


def test_every_list_that_we_write_expires(failed: Failures, redis_client: redis.Redis) -> None:
    push(redis_client, OLD, "x")
    failed._lists.take(hour_stamp(PUSHED_AT), [json.dumps(OLD).encode()])
    assert redis_client.pttl(KEYS.taken()) > 0
    tick(failed)
    assert all(redis_client.pttl(key) > 0 for key in redis_client.keys("*"))


@pytest.mark.parametrize(
    "timestamp", ["2024-01-31T13:05:00", "2024-01-31T13:05:00Z", 1706706300, "yesterday", 9e99, "2999-01-01", None, []]
)
def test_any_timestamp_is_taken(failed: Failures, redis_client: redis.Redis, timestamp: object) -> None:
    push(redis_client, {**OLD, "timestamp": timestamp})
    assert tick(failed) == Adopted(1, 0)
    assert failed.open()[0].first_at <= datetime.now(UTC) + timedelta(seconds=1)


def test_thousands_of_entries_are_adopted_a_thousand_a_tick(failed: Failures, redis_client: redis.Redis) -> None:
    push(redis_client, *({"docket_id": id} for id in range(1, 1202)))
    assert [tick(failed).failures for _ in range(3)] == [1000, 201, 0]
    assert failed.counts()["waiting"] == 1201


@pytest.mark.parametrize(
    ("chosen", "left"),
    [
        (Chosen(), []),
        (Chosen(docket_ids=[1]), [2, 3]),
        (Chosen(partitions=[PARTITION]), [3]),
        (Chosen(docket_ids=[3], partitions=["x"]), [1, 2]),
    ],
)
def test_one_docket_one_partition_or_all_are_requeued(
    failed: Failures, redis_client: redis.Redis, chosen: Chosen, left: list[int]
) -> None:
    place = {"asset": "dockets", "partition": PARTITION}
    push(redis_client, {**place, "docket_id": 1}, {**place, "docket_id": 2}, {"docket_id": 3})
    tick(failed)
    for claim in failed.claim_due():
        failed.give_up(claim.id, {one.id: "no use" for one in claim.failures})
    assert failed.requeue_dead(chosen) == 3 - len(left)
    assert sorted(one.docket_id or 0 for one in failed.open() if one.dead_at) == left
    assert sorted(entry["docket_id"] for entry in entries(redis_client, KEYS.dead())) == left
    assert failed.refill() == []
