"""Random histories of programs that push, sensors and runs that die anywhere, and a Redis that forgets or goes away:
nothing that was adopted is lost, nothing is retried twice at once, and in the end the lists say what Postgres says."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from courtlistener_assets.devkit.servers.redis_server import RedisServer
from resources.backlog.failure_entries import identity_in
from resources.backlog.failure_lists import FailureLists
from resources.backlog.failures import Chosen, Claim, Failures
from resources.connections.postgres import Database
from resources.connections.redis_address import connect
from resources.connections.redis_keys import RedisKeys, hour_stamp

KEYS = RedisKeys()
HOUR = hour_stamp(datetime.now(UTC) - timedelta(hours=2))
_numbers = itertools.count(1)


class Died(BaseException):
    """The process was killed here."""


class World:
    """Two sensors and the runs that they have requested; `docket_ids` are numbered anew in each history."""

    def __init__(self, database: Database, client: redis.Redis) -> None:
        self.database, self.redis = database, client
        self.failures = Failures(database, FailureLists(client), base_seconds=0.001, max_tries=1000)
        self.away = Failures(database, FailureLists(connect("redis://127.0.0.1:1/0")), base_seconds=0.001)
        self.claims: list[Claim] = []
        self.pushed: Counter[int] = Counter()
        self.unseen: Counter[int] = Counter()
        self.resolved: Counter[int] = Counter()
        self.garbage = 0
        self.unseen_garbage = 0

    # --- what happens ---

    def push(self, which: int) -> None:
        docket_id = which + 1
        self._push(json.dumps({"docket_id": docket_id, "api_calls": 2, "timestamp": next(_numbers)}))
        self.unseen[docket_id] += 1

    def push_garbage(self, _: int) -> None:
        self._push(f"garbage {next(_numbers)}")
        self.unseen_garbage += 1

    def adopt(self, die_at: int) -> None:
        """A tick; it dies after so many of its steps, if it has as many."""
        steps = itertools.count()

        def dying(call: Callable[..., Any]) -> Callable[..., Any]:
            def made(*args: Any, **named: Any) -> Any:
                if next(steps) == die_at:
                    raise Died
                return call(*args, **named)

            return made

        lists = self.failures._lists
        with pytest.MonkeyPatch.context() as patch:
            for name in ("read_failed", "take", "taken", "put_away", "refill", "read_place"):
                patch.setattr(lists, name, dying(getattr(lists, name)))
            try:
                self.failures.adopt(lambda asset, partition: True)
                self.seen()
                self.failures.refill()
            except Died:
                pass

    def seen(self) -> None:
        """What was pushed is known now; Redis may lose it."""
        self.pushed.update(self.unseen)
        self.unseen.clear()
        self.garbage, self.unseen_garbage = self.garbage + self.unseen_garbage, 0

    def claim(self, _: int) -> None:
        self.claims += self.failures.claim_due(now=datetime.now(UTC) + timedelta(days=400), max_failures=2)

    def claim_without_redis(self, _: int) -> None:
        self.claims += self.away.claim_due(now=datetime.now(UTC) + timedelta(days=400), max_failures=2)

    def acknowledge(self, which: int) -> None:
        self._end(which, self.failures.acknowledge)

    def acknowledge_without_redis(self, which: int) -> None:
        self._end(which, self.away.acknowledge)

    def crash(self, which: int) -> None:
        if self.claims:
            claim = self.claims.pop(which % len(self.claims))
            self.failures.release_orphaned(claim.id)

    def give_up(self, which: int) -> None:
        if self.claims:
            claim = self.claims.pop(which % len(self.claims))
            self.failures.give_up(claim.id, {one.id: "no use" for one in claim.failures})

    def requeue(self, _: int) -> None:
        self.failures.requeue_dead(Chosen())

    def flush(self, _: int) -> None:
        self.adopt(-1)  # What was never seen cannot be known.
        self.redis.flushall()

    def lose_a_list(self, which: int) -> None:
        self.adopt(-1)
        keys = sorted(self.redis.keys("courtlistener:*"))
        if keys:
            self.redis.delete(keys[which % len(keys)])

    # --- what must be true ---

    def check(self) -> None:
        rows = self.database.rows(
            "SELECT docket_id, claimed_by FROM courtlistener.failures WHERE resolved_at IS NULL AND asset <> ''"
        )
        assert max(Counter(docket_id for docket_id, _ in rows).values(), default=1) == 1
        claimed = Counter((claim.id, one.docket_id) for claim in self.claims for one in claim.failures)
        assert claimed == Counter((claim, docket_id) for docket_id, claim in rows if claim)
        assert max(Counter(docket_id for _, docket_id in claimed).values(), default=1) == 1

    def settle(self) -> None:
        """Everything works again: what was pushed ends as resolved, once for each time it was not open already."""
        self.adopt(-1)
        self.check()
        open_ids = {one.docket_id for one in self.failures.open() if one.asset}
        for docket_id in self.pushed:
            assert self.resolved[docket_id] + (docket_id in open_ids) >= 1, "lost"
            assert self.resolved[docket_id] + (docket_id in open_ids) <= self.pushed[docket_id], "twice"
        assert sum(not one.asset for one in self.failures.open()) == self.garbage
        self.lists_are_right()
        while self.claims:
            self.acknowledge(0)
        self.requeue(0)
        for _ in range(20):
            self.claim(0)
            while self.claims:
                self.acknowledge(0)
        assert [one for one in self.failures.open() if one.asset] == []
        self.adopt(-1)
        self.lists_are_right()

    def lists_are_right(self) -> None:
        stand = Counter[tuple[str, int]]()
        for key in self.redis.keys("courtlistener:*"):
            for entry in self.redis.execute_command("LRANGE", key, 0, -1, NEVER_DECODE=True):
                own = identity_in(entry)
                assert own, (key, entry)
                stand[key, own[0]] += 1
        wanted = Counter[tuple[str, int]]()
        for one in self.failures.open():
            key = (
                KEYS.dead()
                if one.dead_at
                else KEYS.claimed(one.claimed_by)
                if one.claimed_by
                else KEYS.failed(one.hour)
            )
            wanted[key, one.id] += 1
        live = {(key, id): count for (key, id), count in stand.items() if not key.startswith(KEYS.claimed(""))}
        assert live == {place: count for place, count in wanted.items() if not place[0].startswith(KEYS.claimed(""))}
        assert not wanted - stand

    def _push(self, entry: str) -> None:
        self.redis.rpush(KEYS.failed(HOUR), entry)

    def _end(self, which: int, acknowledge: Callable[[str, str], tuple[int, int]]) -> None:
        if self.claims:
            claim = self.claims.pop(which % len(self.claims))
            assert acknowledge(claim.id, "dockets") == (len(claim.failures), 0)
            self.resolved.update(one.docket_id or 0 for one in claim.failures)


EVENTS = (
    "push", "push", "push_garbage", "adopt", "adopt", "claim", "claim", "claim_without_redis", "acknowledge",
    "acknowledge_without_redis", "crash", "give_up", "requeue", "flush", "lose_a_list",
)  # fmt: skip


@given(st.lists(st.tuples(st.sampled_from(EVENTS), st.integers(0, 6)), max_size=40))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_happens_nothing_is_lost_and_nothing_is_retried_twice(
    database: Database, redis_server: RedisServer, history: list[tuple[str, int]]
) -> None:
    with database.transaction() as connection:
        connection.execute("TRUNCATE courtlistener.failures, courtlistener.taken_entries")
    client = connect(redis_server.url)
    client.flushall()
    world = World(database, client)
    for event, number in history:
        getattr(world, event)(number)
        world.check()
    world.settle()
