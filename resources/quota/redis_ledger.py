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
from resources.quota.permits import (
    PATIENT,
    Blocked,
    Decision,
    Fenced,
    JournaledPermit,
    Lane,
    LedgerState,
    Outcome,
    Patience,
    Permit,
    Wait,
)
from resources.telemetry import metrics

_FOREVER_SECONDS = 10**9
_HOUR_US = 3_600_000_000
_DAY_MS = 86_400_000
#: Permits that Redis takes in one command of a few milliseconds, so that no other client waits long.
_PERMITS_AT_ONCE = 5_000
_LOADING_MS = 60_000
#: Which part of a reply of acquire.lua is the server's clock.
_CLOCK_IN_REPLY = {"granted": 3, "wait": 4, "hour": 1}
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
        names = ("acquire", "settle", "leave", "fence", "hold", "rebuild")
        self._scripts = {name: scripts.register(client, name) for name in names}
        self._permits, self._epoch = self._keys.permits(account), self._keys.epoch(account)
        self._priority = self._keys.priority(account)
        self._waiters = [self._keys.waiters(account), self._keys.waiter_deadlines(account)]
        self._turn, self._channel = self._keys.turn(account), self._keys.turns(account)

    def acquire(
        self,
        request_ids: Sequence[str],
        lane: Lane,
        *,
        hour_limit: int | None = None,
        patience: Patience = PATIENT,
    ) -> Decision:
        """Ask for one permit a request id, all or none.

        The same ids get the same permits, so a lost reply costs nothing. A `Wait` keeps the caller's place among the
        waiters until a while after `wait_ms`, or as `patience` says; without another call by then it is lost. A caller
        whose patience would end because of others, who may be dead, is told to come back when that is known. More
        permits than the smallest window admits at once are never granted. `hour_limit` replaces `shared_hour_limit` for
        this call.
        """
        # The second try has learnt the server's hour from the first.
        for _ in range(3):
            now_us = self._now_us()
            hour_end_us = now_us - now_us % _HOUR_US + _HOUR_US
            reply = self._ask(
                self._scripts["acquire"],
                [
                    self._permits,
                    self._epoch,
                    *self._waiters,
                    self._keys.rate_limit(_hour(now_us)),
                    self._turn,
                    self._priority,
                ],
                [
                    self.ttl_us,
                    self._reserve,
                    int(lane is Lane.PRIORITY),
                    self._grace_us,
                    hour_end_us,
                    self._shared_hour_limit if hour_limit is None else hour_limit,
                    self._clock(),
                    _us(patience.seconds),
                    "" if patience.listening else _us(patience.silence_seconds),
                    self._channel,
                    *request_ids,
                ],
            )
            if reply[0] in _CLOCK_IN_REPLY:
                self._offset_us = int(reply[_CLOCK_IN_REPLY[reply[0]]]) - time.time_ns() // 1000
            if reply[0] != "hour":
                return _decision(reply, request_ids)
        return Fenced("the clock of Redis moves faster than an hour a call")

    def settle(self, permit: Permit, outcome: Outcome, elapsed_us: int = 0) -> None:
        """Settle a permit whose request is over. Settling twice, or an unknown permit, does nothing.

        It is over `elapsed_us` after the grant by the worker's own clock, and no earlier, whatever the server's shows.
        """
        self._settle(permit, outcome, elapsed_us)

    def give_back(self, permit: Permit) -> None:
        """Undo a grant that did not get into the journal.

        Only in the epoch of the grant: should the command reach Redis late, after a rebuild, the same request may hold
        a permit that is in use.
        """
        self._settle(permit, Outcome.NOT_COUNTED, 0, permit.epoch)

    def _settle(self, permit: Permit, outcome: Outcome, elapsed_us: int, *epoch: int) -> None:
        hour = _hour(self._now_us())
        hour_keys = [self._keys.counter(hour), self._keys.rate_limit(hour)]
        keys = [self._permits, self._epoch, *hour_keys, self._turn, self._priority]
        args = [permit.request_id, outcome.value, self.ttl_us, self._clock(), self._channel, elapsed_us, *epoch]
        self._ask(self._scripts["settle"], keys, args)

    def hold(self, seconds: float) -> None:
        """The server has refused a request: grant nothing for `seconds`; nothing changes if Redis is not in charge."""
        self._ask(self._scripts["hold"], [self._epoch], [round(seconds * 1_000_000), self._clock()])

    def leave(self, request_ids: Sequence[str]) -> None:
        """Give up places among the waiters."""
        keys, args = [*self._waiters, self._turn], [self._channel, self._clock(), *request_ids]
        self._ask(self._scripts["leave"], keys, args)

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
        return bool(
            self._ask(self._scripts["fence"], [self._permits, self._epoch, self._priority], [epoch, self._clock()])
        )

    def load(self, state: LedgerState, *, margin_us: int = 0, drift: float = 0.0) -> int:
        """Replace what Redis knows by `state`; returns the clock of Redis, in microseconds, at the beginning.

        The permits are collected under keys of their own, however many they are; then all changes at once. Every window
        is longer by `margin_us` and by the share `drift`, which is what clocks may be off.
        """
        replid = self._ask(self._client.info, "replication").get("master_replid", "")
        began_us = self.server_us()
        loading = self._keys.loading(self._account, state.epoch)
        loading_priority = self._keys.loading_priority(self._account, state.epoch)
        permits, count, priority_count = iter(state.permits), 0, 0
        while batch := list(islice(permits, _PERMITS_AT_ONCE)):
            urgent = [permit for permit in batch if permit.priority]
            self._collect(loading, batch, began_us)
            self._collect(loading_priority, urgent, began_us)
            count, priority_count = count + len(batch), priority_count + len(urgent)
        longest = max((quota.window.seconds for quota in state.windows), default=0)
        keep = max((quota.window.limit for quota in state.windows), default=0)
        keep_ms = max(longest * 1000 + self.ttl_us // 1000, 3_600_000) + 3_600_000
        throttled_us_ago = "" if state.throttled_us_ago is None else state.throttled_us_ago
        args: list[Any] = [state.epoch, state.hold_us, state.blocked, keep, keep_ms, int(state.keep_waiters)]
        args += [
            replid,
            began_us,
            count,
            priority_count,
            self._clock(),
            throttled_us_ago,
            state.answered,
            self._channel,
        ]
        for quota in state.windows:
            window_us = quota.window.seconds * 1_000_000 + round(quota.window.seconds * 1_000_000 * drift) + margin_us
            args += [quota.window.limit, window_us, quota.foreign, round(quota.foreign_seconds * 1_000_000)]
        keys = [self._permits, self._epoch, *self._waiters, loading, self._turn, self._priority, loading_priority]
        if self._ask(self._scripts["rebuild"], keys, args) != "rebuilt":
            raise RedisUnavailable("Redis was replaced, or its clock set, while it was filled from the journal")
        return began_us

    def _collect(self, loading: str, permits: Sequence[JournaledPermit], began_us: int) -> None:
        if not permits:
            return
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

    def server_us(self) -> int:
        """The server's clock, or the simulation's, in microseconds."""
        if self._clock_us is not None:
            return self._clock_us()
        seconds, microseconds = self._ask(self._client.time)
        return int(seconds) * 1_000_000 + int(microseconds)

    def _now_us(self) -> int:
        return time.time_ns() // 1000 + self._offset_us if self._clock_us is None else self._clock_us()


def _us(seconds: float) -> int:
    return round(min(seconds, _FOREVER_SECONDS) * 1_000_000)


def _hour(now_us: int) -> str:
    return hour_stamp(datetime.fromtimestamp(now_us / 1_000_000, UTC))


def _decision(reply: list[Any], request_ids: Sequence[str]) -> Decision:
    word = reply[0]
    if word == "granted":
        _, epoch, granted_us, now_us, last = reply
        serials = range(last - len(request_ids) + 1, last + 1) if last else [None] * len(request_ids)
        return tuple(
            Permit(request_id, epoch, granted_us, "redis", now_us - granted_us, serial=serial)
            for request_id, serial in zip(request_ids, serials, strict=True)
        )
    if word == "wait":
        return Wait(wait_ms=-(-int(reply[1]) // 1000), ahead=reply[2], look_us=reply[3] if reply[3] >= 0 else None)
    if word == "blocked":
        return Blocked(reply[1])
    return Fenced(reply[1])
