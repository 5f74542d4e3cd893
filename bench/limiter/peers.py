"""Other limiters behind the interface of the bench: wait for a permit, send, tell (if the limiter wants to know).

Belongs here: one small adapter a limiter, each as its documentation says. Does not belong here: measuring.

A limiter that can only say no is asked again every 10 ms. The imports are late because the peers are installed only for
the bench (`peers.txt`).
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any

import redis

from bench.limiter.judge import Limit, windows_of
from bench.limiter.workers import Acquire
from resources.dagster_resources import RedisRateLimitResource
from resources.quota.limiter import RateLimiter

POLL_SECONDS = 0.01
#: Makes a limiter for an account: (redis url, postgres url, account, limits).
Peer = Callable[[str, str, str, Sequence[Limit]], Acquire]


def ours(redis_url: str, postgres_url: str, account: str, limits: Sequence[Limit]) -> Acquire:
    """This project: log of permits, settled at the answer, tickets, journal."""
    return settled_at_the_answer(_limiter(redis_url, postgres_url, account, limits))


def settled_at_the_answer(limiter: RateLimiter) -> Acquire:
    """Return a permit for the length of a `with` block, as the client takes them."""

    @contextlib.contextmanager
    def acquire() -> Iterator[str]:
        with limiter.permit() as permit:
            yield permit.holder

    return acquire


def ours_at_grant_time(redis_url: str, postgres_url: str, account: str, limits: Sequence[Limit]) -> Acquire:
    """This project, but settled before the request is sent: what counting at grant time costs."""
    limiter = _limiter(redis_url, postgres_url, account, limits)

    @contextlib.contextmanager
    def acquire() -> Iterator[str]:
        with limiter.permit() as permit:
            pass
        yield permit.holder

    return acquire


def _limiter(redis_url: str, postgres_url: str, account: str, limits: Sequence[Limit]) -> RateLimiter:
    resource = RedisRateLimitResource(redis_url=redis_url, postgres_url=postgres_url, max_wait_seconds=600.0)
    return resource.limiter(account, permit_ttl_seconds=30.0, fallback_windows=windows_of(limits))


def _polled(may_go: Callable[[], bool]) -> Acquire:
    @contextlib.contextmanager
    def acquire() -> Iterator[str]:
        while not may_go():
            time.sleep(POLL_SECONDS)
        yield "redis"

    return acquire


#: The script of the pipeline that this project replaces: a counter for each stretch of the clock.
_CLOCK_COUNTERS = """
for i, key in ipairs(KEYS) do
  if tonumber(redis.call('GET', key) or 0) >= tonumber(ARGV[2 * i - 1]) then return 0 end
end
for i, key in ipairs(KEYS) do
  redis.call('INCR', key)
  redis.call('EXPIRE', key, ARGV[2 * i])
end
return 1
"""


def clock_counter(redis_url: str, postgres_url: str, account: str, limits: Sequence[Limit]) -> Acquire:
    """Return a counter for each stretch of the clock, as in the pipeline that this project replaces."""
    script = redis.Redis.from_url(redis_url).register_script(_CLOCK_COUNTERS)

    def may_go() -> bool:
        keys = [f"{account}:{seconds}:{int(time.time() // seconds)}" for _, seconds in limits]
        args = [value for limit, seconds in limits for value in (limit, 2 * seconds)]
        return bool(script(keys=keys, args=args))

    return _polled(may_go)


def _of_limits(strategy: str) -> Peer:
    def make(redis_url: str, postgres_url: str, account: str, limits: Sequence[Limit]) -> Acquire:
        from limits import RateLimitItemPerSecond, strategies
        from limits.storage import RedisStorage

        kind = getattr(strategies, strategy)
        limiter: Any = kind(RedisStorage(redis_url))
        items = [RateLimitItemPerSecond(limit, seconds) for limit, seconds in limits]

        def may_go() -> bool:
            return all(limiter.test(item, account) for item in items) and all(
                limiter.hit(item, account) for item in items
            )

        return _polled(may_go)

    make.__doc__ = f"limits, {strategy}."
    return make


def pyrate(redis_url: str, postgres_url: str, account: str, limits: Sequence[Limit]) -> Acquire:
    """pyrate-limiter with its Redis bucket; it waits by itself."""
    from pyrate_limiter import Limiter, Rate, RedisBucket

    rates = [Rate(limit, seconds * 1000) for limit, seconds in limits]
    bucket: Any = RedisBucket.init(rates, redis.Redis.from_url(redis_url), account)
    limiter = Limiter(bucket)

    @contextlib.contextmanager
    def acquire() -> Iterator[str]:
        limiter.try_acquire(account)
        yield "redis"

    return acquire


def throttled_gcra(redis_url: str, postgres_url: str, account: str, limits: Sequence[Limit]) -> Acquire:
    """throttled-py, generic cell rate algorithm, with a burst of the whole limit."""
    from throttled import Throttled, per_duration
    from throttled.store import RedisStore

    store = RedisStore(server=redis_url)
    gates = [
        Throttled(
            key=f"{account}:{seconds}",
            using="gcra",
            quota=per_duration(timedelta(seconds=seconds), limit, burst=limit),
            store=store,
        )
        for limit, seconds in limits
    ]

    @contextlib.contextmanager
    def acquire() -> Iterator[str]:
        for gate in gates:
            while gate.limit().limited:
                time.sleep(POLL_SECONDS)
        yield "redis"

    return acquire


PEERS: dict[str, Peer] = {
    "courtlistener-assets": ours,
    "the same, counted at grant time": ours_at_grant_time,
    "counter by the clock (replaced pipeline)": clock_counter,
    "limits 5.8, fixed window": _of_limits("FixedWindowRateLimiter"),
    "limits 5.8, moving window": _of_limits("MovingWindowRateLimiter"),
    "limits 5.8, sliding counter": _of_limits("SlidingWindowCounterRateLimiter"),
    "pyrate-limiter 4.5, Redis": pyrate,
    "throttled-py 3.5, GCRA": throttled_gcra,
}
