"""The quota ledger in Redis: what is granted is decided by `lua/acquire.lua`.

Belongs here: calling the scripts and reading their replies. Does not belong here: who is in charge
(`failover.py`), the journal (`postgres_ledger.py`), or waiting (`limiter.py`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any, TypeVar

import redis

from resources.connections import scripts
from resources.connections.redis_keys import RedisKeys, hour_stamp
from resources.connections.tls import refusal_of
from resources.errors import RedisUnavailable
from resources.quota.permits import Blocked, Decision, Fenced, JournaledPermit, Lane, LedgerState, Outcome, Permit, Wait
from resources.telemetry import metrics

_HOUR_US = 3_600_000_000
_DAY_MS = 86_400_000
#: Permits that Redis takes in one command of a few milliseconds, so that no other client waits long.
_PERMITS_AT_ONCE = 5_000
_LOADING_MS = 60_000
_Reply = TypeVar("_Reply")


class RedisLedger:
    """Permits for one account, decided in Redis.

    `reserve_share` of every limit is left to the priority lane. `shared_hour_limit` also counts the requests that
    another pipeline charges to the key `rate_limit:{hour}` and admits no more than that many a clock hour, UTC.
    `clock_us` replaces the server's clock in simulations. Every method raises RedisUnavailable if Redis does not answer
    or refuses the command.
    """

    def __init__(
        self,
        client: redis.Redis,
        account: str,
        *,
        permit_ttl_seconds: float,
        keys: RedisKeys | None = None,
        reserve_share: float = 0.0,
        shared_hour_limit: int = 0,
        grace_seconds: float = 2.0,
        clock_us: Callable[[], int] | None = None,
    ) -> None:
        self._keys = keys or RedisKeys()
        self._account = account
        self._client = client
        # Even, because the lowest bit of a score says whether the permit is in flight.
        self.ttl_us = 2 * round(permit_ttl_seconds * 500_000)
        self._reserve = round(reserve_share * 1000)
        self._shared_hour_limit = shared_hour_limit
        self._grace_us = round(grace_seconds * 1_000_000)
        self._clock_us = clock_us
        # The server's clock minus ours, as far as we know: only names the keys of the hour.
        self._offset_us = 0
        names = ("acquire", "settle", "leave", "fence", "rebuild")
        self._scripts = {name: scripts.register(client, name) for name in names}
        self._permits, self._epoch = self._keys.permits(account), self._keys.epoch(account)
        self._windows = self._keys.windows(account)
        self._waiters = [self._keys.waiters(account), self._keys.waiter_deadlines(account)]

    def acquire(self, request_ids: Sequence[str], lane: Lane, *, hour_limit: int | None = None) -> Decision:
        """Ask for one permit a request id, all or none.

        The same ids get the same permits, so a lost reply costs nothing. A `Wait` keeps the caller's place among the
        waiters until a while after `wait_ms`; without another call by then it is lost. More permits than the smallest
        window admits at once are never granted. `hour_limit` replaces `shared_hour_limit` for this call.
        """
        # The second try has learnt the server's hour from the first.
        for _ in range(3):
            now_us = self._now_us()
            hour_end_us = now_us - now_us % _HOUR_US + _HOUR_US
            reply = self._ask(
                self._scripts["acquire"],
                [self._permits, self._epoch, self._windows, *self._waiters, self._keys.rate_limit(_hour(now_us))],
                [
                    self.ttl_us,
                    0 if lane is Lane.PRIORITY else self._reserve,
                    int(lane is Lane.PRIORITY),
                    self._grace_us,
                    hour_end_us,
                    self._shared_hour_limit if hour_limit is None else hour_limit,
                    self._clock(),
                    *request_ids,
                ],
            )
            if reply[0] not in ("fenced", "blocked"):
                self._offset_us = int(reply[-1]) - time.time_ns() // 1000
            if reply[0] != "hour":
                return _decision(reply, request_ids)
        return Fenced("the clock of Redis moves faster than an hour a call")

    def settle(self, permit: Permit, outcome: Outcome) -> None:
        """Settle a permit whose request has its response. Settling twice, or an unknown permit, does nothing."""
        self._settle(permit, outcome)

    def give_back(self, permit: Permit) -> None:
        """Undo a grant that did not get into the journal.

        Only in the epoch of the grant: should the command reach Redis late, after a rebuild, the same request may hold
        a permit that is in use.
        """
        self._settle(permit, Outcome.NOT_COUNTED, permit.epoch)

    def _settle(self, permit: Permit, outcome: Outcome, *epoch: int) -> None:
        hour = _hour(self._now_us())
        keys = [self._permits, self._epoch, self._keys.counter(hour), self._keys.rate_limit(hour)]
        args = [permit.request_id, int(outcome is Outcome.COUNTED), self.ttl_us, self._clock(), *epoch]
        self._ask(self._scripts["settle"], keys, args)

    def leave(self, request_ids: Sequence[str]) -> None:
        """Give up places among the waiters."""
        self._ask(self._scripts["leave"], self._waiters, list(request_ids))

    def hour_counts(self) -> tuple[int, int]:
        """Requests charged in this clock hour (UTC), and requests made in it."""
        hour = _hour(self._now_us())
        charged, made = self._ask(self._client.mget, self._keys.rate_limit(hour), self._keys.counter(hour))
        return int(charged or 0), int(made or 0)

    def announce(self) -> None:
        """Note which scripts this worker runs: two versions at once are a mistake that the doctor can name."""
        key = self._keys.scripts()
        self._ask(self._client.zadd, key, {scripts.version(): self._now_us() // 1_000_000})
        self._ask(self._client.pexpire, key, _DAY_MS)

    def is_intact(self, epoch: int) -> bool:
        """Whether this server still holds everything that was written under `epoch`."""
        return bool(self._ask(self._scripts["fence"], [self._permits, self._epoch], [epoch, self._clock()]))

    def load(self, state: LedgerState) -> int:
        """Replace what Redis knows by `state`; returns the clock of Redis, in microseconds, at the beginning.

        The permits are collected under a key of their own, however many they are; then all changes at once.
        """
        replid = self._ask(self._client.info, "replication").get("master_replid", "")
        began_us = self._server_us()
        loading = self._keys.loading(self._account, state.epoch)
        permits, count = iter(state.permits), 0
        while batch := list(islice(permits, _PERMITS_AT_ONCE)):
            self._collect(loading, batch, began_us)
            count += len(batch)
        longest = max((quota.window.seconds for quota in state.windows), default=0)
        keep = max((quota.window.limit for quota in state.windows), default=0)
        keep_ms = max(longest * 1000 + self.ttl_us // 1000, 3_600_000) + 3_600_000
        args: list[Any] = [state.epoch, state.hold_us, state.blocked, keep, keep_ms, int(state.keep_waiters)]
        args += [replid, began_us, count, self._clock()]
        for quota in state.windows:
            args += [quota.window.limit, quota.window.seconds, quota.foreign, round(quota.foreign_seconds * 1_000_000)]
        keys = [self._permits, self._epoch, self._windows, *self._waiters, loading]
        if self._ask(self._scripts["rebuild"], keys, args) != "rebuilt":
            raise RedisUnavailable("Redis was replaced, or its clock set, while it was filled from the journal")
        return began_us

    def _collect(self, loading: str, permits: Sequence[JournaledPermit], began_us: int) -> None:
        scores = {}
        for permit in permits:
            ages_from_us = began_us - permit.age_us
            # An odd score is a permit in flight, an even one is settled.
            scores[permit.request_id] = ages_from_us + ages_from_us % 2 + permit.in_flight
        together = self._client.pipeline()
        together.zadd(loading, scores)
        together.pexpire(loading, _LOADING_MS)
        self._ask(together.execute)

    def _ask(self, call: Callable[..., _Reply], *args: Any) -> _Reply:
        """Run one operation of Redis: counted for the metrics, with our own error for what the library raises."""
        try:
            reply = call(*args)
        except (redis.RedisError, OSError) as error:
            metrics.REDIS_OPERATIONS.labels("failed").inc()
            raise RedisUnavailable(f"Redis does not answer: {refusal_of(error, 'REDIS_CA_CERTS') or error}") from error
        metrics.REDIS_OPERATIONS.labels("ok").inc()
        return reply

    def _clock(self) -> int | str:
        return "" if self._clock_us is None else self._clock_us()

    def _server_us(self) -> int:
        if self._clock_us is not None:
            return self._clock_us()
        seconds, microseconds = self._ask(self._client.time)
        return int(seconds) * 1_000_000 + int(microseconds)

    def _now_us(self) -> int:
        return time.time_ns() // 1000 + self._offset_us if self._clock_us is None else self._clock_us()


def _hour(now_us: int) -> str:
    return hour_stamp(datetime.fromtimestamp(now_us / 1_000_000, UTC))


def _decision(reply: list[Any], request_ids: Sequence[str]) -> Decision:
    word = reply[0]
    if word == "granted":
        _, epoch, granted_us, now_us = reply
        age_us = now_us - granted_us
        return tuple(Permit(request_id, epoch, granted_us, "redis", age_us) for request_id in request_ids)
    if word == "wait":
        return Wait(wait_ms=-(-int(reply[1]) // 1000), ahead=reply[2])
    if word == "blocked":
        return Blocked(reply[1])
    return Fenced(reply[1])
