"""Faults, each injected while real processes use the quota to the full, and what they cost.

Belongs here: the faults, the figures. Does not belong here: expectations (`tests/integration/faults`).

Two accounts run side by side: a tight one, whose server log shows permits granted too many or wasted, and a roomy one,
whose grants follow so closely that a gap shows.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from multiprocessing import Value
from typing import Any

import psycopg
import redis

from bench.limiter.forwarder import Forwarder
from bench.limiter.judge import Limit, admitted, ideal, merged, windows_of
from bench.limiter.peers import settled_at_the_answer
from bench.limiter.workers import WorkerLog, run, uniform
from courtlistener_assets.devkit.servers.postgres_server import PostgresServer
from courtlistener_assets.devkit.servers.redis_server import RedisServer
from resources.connections import pools
from resources.connections.postgres import Database
from resources.connections.redis_address import connect
from resources.quota.clocks import suspend_aware_clock
from resources.quota.failover import FailoverLedger
from resources.quota.lease import LeaseStore
from resources.quota.limiter import RateLimiter
from resources.quota.postgres_ledger import PostgresLedger
from resources.quota.redis_ledger import RedisLedger

TIGHT: tuple[Limit, ...] = ((15, 1), (30, 3))
ROOMY: tuple[Limit, ...] = ((100_000, 10),)
TIGHT_WORKERS, ROOMY_WORKERS = 4, 3
TTL_SECONDS = 3.0
REDIS_TIMEOUT_SECONDS = 0.25
#: When the fault is injected, after the start.
FAULT_AT_SECONDS = 1.2
#: How long the workers go on once it is over. It counts from there: a Postgres that was killed reads and syncs all of
#: its files before it answers, however long that takes on this machine.
REST_SECONDS = 3.0


@dataclass(frozen=True)
class Figures:
    """What a fault cost. `over_issue` counts requests that the server would have refused."""

    fault: str
    requests: int
    over_issue: int
    #: Permits that the server would have admitted and that were not used, out of `ideal` in the same time.
    wasted: int
    ideal: int
    #: How long the fault itself lasted, seconds.
    fault_seconds: float
    #: From the fault to the next grant (of whoever is left), seconds.
    gap_seconds: float
    #: From the end of the fault to the next grant by Redis, seconds.
    recovery_seconds: float
    by_postgres: int


Fault = Callable[["Rig", Sequence[int]], None]


class Rig:
    """The servers of one experiment, and how its workers reach them."""

    def __init__(self, fault: Fault, *, durable: bool) -> None:
        self.redis = RedisServer()
        self.spare = RedisServer()
        self.postgres = PostgresServer(durable=durable)
        self.doors: list[Forwarder] = []
        #: How far the clocks of the servers are ahead, for faults that set them.
        self.redis_offset_us = Value("q", 0)
        self.postgres_offset_us = Value("q", 0)
        self._sets_redis_clock = fault in _SET_REDIS_CLOCK
        self._sets_postgres_clock = fault in _SET_POSTGRES_CLOCK
        self.worker_clock_offset = 90.0 if fault is worker_clocks_differ else 0.0

    @contextlib.contextmanager
    def running(self) -> Iterator[Rig]:
        with self.postgres, self.redis:
            database = Database(self.postgres.url)
            database.migrate()
            database.close()
            yield self
            for door in self.doors:
                door.close()
        if self.spare.owned:
            self.spare.stop()

    def redis_url(self, number: int) -> str:
        """Even workers go through the first door, odd ones through the second, if there are doors."""
        return f"redis://127.0.0.1:{self.doors[number % 2].port}/0" if self.doors else self.redis.url

    def limiter(self, number: int) -> RateLimiter:
        roomy = number >= TIGHT_WORKERS
        account = "roomy" if roomy else "tight"
        windows = windows_of(ROOMY if roomy else TIGHT)
        row = LeaseStore(
            pools.database(self.postgres.url),
            account,
            fallback_windows=windows,
            cool_down_seconds=1.0,
            clock_us=_clock(self.postgres_offset_us) if self._sets_postgres_clock else None,
            # The servers' clocks are set, not those of the machine.
            steady=suspend_aware_clock,
        )
        client = connect(
            self.redis_url(number),
            timeout_seconds=REDIS_TIMEOUT_SECONDS,
            connect_timeout_seconds=REDIS_TIMEOUT_SECONDS,
        )
        redis_clock = _clock(self.redis_offset_us) if self._sets_redis_clock else None
        ledger = FailoverLedger(
            RedisLedger(client, account, permit_ttl_seconds=TTL_SECONDS, clock_us=redis_clock),
            PostgresLedger(row, permit_ttl_seconds=TTL_SECONDS),
            row,
            recovery_seconds=0.5,
        )
        offset = self.worker_clock_offset if number % 2 else 0.0
        return RateLimiter(account, ledger, use_within_seconds=1.0, clock=lambda: suspend_aware_clock() + offset)

    def connect(self, number: int) -> Callable[[], AbstractContextManager[str]]:
        limiter = self.limiter(number)
        if self.worker_clock_offset and number % 2:
            real = time.time_ns
            time.time_ns = lambda: real() + round(self.worker_clock_offset * 1e9)
        return settled_at_the_answer(limiter)

    # --- steps of faults ---

    def open_doors(self) -> None:
        self.doors = [Forwarder(self.redis.port), Forwarder(self.redis.port)]

    def start_replica(self) -> None:
        """Start `spare` as a replica."""
        with redis.Redis(port=self.redis.port) as client:
            client.config_set("repl-diskless-sync-delay", 0)
        self.spare.start()
        with redis.Redis(port=self.spare.port, decode_responses=True) as client:
            client.replicaof("127.0.0.1", str(self.redis.port))
            while client.info("replication")["master_link_status"] != "up":
                time.sleep(0.02)

    def promote_replica(self) -> None:
        """Make `spare` a primary with the data of now."""
        with redis.Redis(port=self.spare.port) as client:
            client.replicaof("NO", "ONE")

    def postgres_pids(self) -> list[int]:
        """Postgres' processes."""
        with psycopg.connect(self.postgres.url) as connection:
            rows = connection.execute("SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
            return [self.postgres.pid, *(pid for (pid,) in rows)]


def _clock(offset_us: Any) -> Callable[[], int]:
    """A server's clock that a fault can set."""
    return lambda: time.time_ns() // 1000 + int(offset_us.value)


def nothing(rig: Rig, pids: Sequence[int]) -> None:
    """No fault: what the figures are without one."""


def redis_killed(rig: Rig, pids: Sequence[int]) -> None:
    """kill -9 of Redis, started again with its data after a second and a half."""
    rig.redis.kill()
    time.sleep(1.5)
    rig.redis.restart()


def redis_restarted_empty(rig: Rig, pids: Sequence[int]) -> None:
    """Redis restarted without its data."""
    rig.redis.restart(empty=True)


def redis_flushed(rig: Rig, pids: Sequence[int]) -> None:
    """FLUSHALL and SCRIPT FLUSH."""
    with redis.Redis.from_url(rig.redis.url) as client:
        client.flushall()
        client.script_flush()


def permits_deleted(rig: Rig, pids: Sequence[int]) -> None:
    """Only the sorted set of permits is gone, as after an eviction."""
    with redis.Redis.from_url(rig.redis.url) as client:
        client.delete(*client.keys("courtlistener:permits:*"))


def state_evicted(rig: Rig, pids: Sequence[int]) -> None:
    """The hash that says what the account may do is gone, as after an eviction; the permits are still there."""
    with redis.Redis.from_url(rig.redis.url, decode_responses=True) as client:
        hashes = list(client.scan_iter("courtlistener:*", _type="hash"))
        client.delete(*(key for key in hashes if client.hexists(key, "spec")))


def older_keys_restored(rig: Rig, pids: Sequence[int]) -> None:
    """All keys are restored by RESTORE, in the same server, as DUMP had them before the tight account's last grants."""
    with redis.Redis.from_url(rig.redis.url) as client:
        dumped = {key: (client.pttl(key), client.dump(key)) for key in client.scan_iter("courtlistener:*")}
        time.sleep(2.3)
        together = client.pipeline()
        for key, (ttl_ms, value) in dumped.items():
            if value is not None:
                together.restore(key, max(0, ttl_ms), value, replace=True)
        together.execute()


def redis_hangs(rig: Rig, pids: Sequence[int]) -> None:
    """SIGSTOP of Redis for a second and a half: connections stay open, nothing answers."""
    rig.redis.pause()
    time.sleep(1.5)
    rig.redis.resume()


def some_workers_cut_off(rig: Rig, pids: Sequence[int]) -> None:
    """Every second worker cannot reach Redis for a second and a half."""
    rig.doors[1].lead_to(None)
    time.sleep(1.5)
    rig.doors[1].lead_to(rig.redis.port)


def failover_to_lagging_replica(rig: Rig, pids: Sequence[int]) -> None:
    """A replica that has missed the last half second is promoted after kill -9 of the primary."""
    rig.promote_replica()
    time.sleep(0.5)
    rig.redis.kill()
    for door in rig.doors:
        door.lead_to(rig.spare.port)


def two_primaries(rig: Rig, pids: Sequence[int]) -> None:
    """A replica is promoted while the primary lives on; every second worker goes to the new one."""
    rig.promote_replica()
    rig.doors[1].lead_to(rig.spare.port)
    time.sleep(1.5)
    rig.doors[0].lead_to(rig.spare.port)


def postgres_killed(rig: Rig, pids: Sequence[int]) -> None:
    """kill -9 of Postgres, started again after a second: nothing may be granted meanwhile."""
    rig.postgres.kill()
    time.sleep(1.0)
    rig.postgres.restart()


def postgres_hangs(rig: Rig, pids: Sequence[int]) -> None:
    """SIGSTOP of all of Postgres for a second."""
    stopped = rig.postgres_pids()
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(1.0)
    for pid in stopped:
        os.kill(pid, signal.SIGCONT)


def worker_killed(rig: Rig, pids: Sequence[int]) -> None:
    """kill -9 of a worker in the middle of its request; its permit ages out."""
    os.kill(pids[0], signal.SIGKILL)


def worker_suspended(rig: Rig, pids: Sequence[int]) -> None:
    """SIGSTOP of a worker for longer than a permit may be kept unused."""
    os.kill(pids[0], signal.SIGSTOP)
    time.sleep(1.5)
    os.kill(pids[0], signal.SIGCONT)


def redis_clock_ahead(rig: Rig, pids: Sequence[int]) -> None:
    """The clock of Redis jumps 90 s ahead, which would make every permit look old."""
    rig.redis_offset_us.value += 90_000_000


def redis_clock_a_little_ahead(rig: Rig, pids: Sequence[int]) -> None:
    """The clock of Redis jumps 0.24 s ahead: a quarter of the smallest window."""
    rig.redis_offset_us.value += 240_000


def redis_clock_back(rig: Rig, pids: Sequence[int]) -> None:
    """The clock of Redis jumps 90 s back."""
    rig.redis_offset_us.value -= 90_000_000


def both_clocks_ahead(rig: Rig, pids: Sequence[int]) -> None:
    """The clocks of Redis and Postgres jump two hours ahead together, as on one host."""
    rig.redis_offset_us.value += _TWO_HOURS_US
    rig.postgres_offset_us.value += _TWO_HOURS_US


def postgres_clock_ahead(rig: Rig, pids: Sequence[int]) -> None:
    """The clock of Postgres jumps two hours ahead while Redis decides, and then Redis is flushed."""
    rig.postgres_offset_us.value += _TWO_HOURS_US
    redis_flushed(rig, pids)


def worker_clocks_differ(rig: Rig, pids: Sequence[int]) -> None:
    """Every second worker's clock is 90 s ahead from the start."""


FAULTS: tuple[Fault, ...] = (
    nothing, redis_killed, redis_restarted_empty, redis_flushed, permits_deleted, state_evicted, older_keys_restored,
    redis_hangs, some_workers_cut_off, failover_to_lagging_replica, two_primaries, postgres_killed, postgres_hangs,
    worker_killed, worker_suspended, redis_clock_ahead, redis_clock_a_little_ahead, redis_clock_back,
    both_clocks_ahead, postgres_clock_ahead, worker_clocks_differ,
)  # fmt: skip
_TWO_HOURS_US = 7_200_000_000
_SET_POSTGRES_CLOCK = {both_clocks_ahead, postgres_clock_ahead}
_SET_REDIS_CLOCK = {redis_clock_ahead, redis_clock_a_little_ahead, redis_clock_back, *_SET_POSTGRES_CLOCK}
_NEED_REPLICA = {failover_to_lagging_replica, two_primaries}
_NEED_DOORS = {some_workers_cut_off, *_NEED_REPLICA}


def measure(fault: Fault, *, rest_seconds: float = REST_SECONDS, durable: bool = False) -> Figures:
    """Inject one fault and say what it cost until `rest_seconds` after its end.

    `durable` says whether Postgres waits for the disk.
    """
    rig = Rig(fault, durable=durable)
    moments: list[float] = []

    def during(pids: Sequence[int]) -> None:
        time.sleep(FAULT_AT_SECONDS)
        moments.append(time.monotonic())
        fault(rig, pids)
        moments.append(time.monotonic())

    with rig.running():
        if fault in _NEED_DOORS:
            rig.open_doors()
        if fault in _NEED_REPLICA:
            rig.start_replica()
        logs = run(
            rig.connect,
            workers=TIGHT_WORKERS + ROOMY_WORKERS,
            seconds=FAULT_AT_SECONDS,
            rest_seconds=rest_seconds,
            latency=uniform(0.005, 0.025),
            during=during,
            patience_seconds=0.1,
        )
    return _figures(fault, logs, moments, rest_seconds)


def _figures(fault: Fault, logs: Sequence[WorkerLog], moments: Sequence[float], rest_seconds: float) -> Figures:
    arrivals = merged(log.arrivals for log in logs[:TIGHT_WORKERS])
    roomy = sorted(pair for log in logs[TIGHT_WORKERS:] for pair in zip(log.grants, log.holders, strict=True))
    fault_at, healed_at = moments
    after = [at for at, _ in roomy if at > fault_at]
    by_redis = [at for at, holder in roomy if at > healed_at and holder == "redis"]
    good = admitted(arrivals, TIGHT)
    # Workers that get nothing more have a gap, too: it lasts until they stop.
    ended_at = healed_at + rest_seconds
    seconds = ended_at - fault_at + FAULT_AT_SECONDS
    best = ideal(TIGHT, seconds)
    return Figures(
        fault=fault.__name__,
        requests=len(arrivals),
        over_issue=len(arrivals) - len(good),
        wasted=best - sum(at < good[0] + seconds for at in good),
        ideal=best,
        fault_seconds=round(healed_at - fault_at, 3),
        gap_seconds=round(_longest_wait(fault_at, healed_at, [*after, ended_at]), 4),
        recovery_seconds=round(by_redis[0] - healed_at, 3) if by_redis else float("inf"),
        by_postgres=sum(holder == "postgres" for log in logs for holder in log.holders),
    )


def _longest_wait(fault_at: float, healed_at: float, grants: Sequence[float]) -> float:
    """Return the longest time without a grant that began between the fault and half a second after its end."""
    pairs = itertools.pairwise([fault_at, *grants])
    return max((b - a for a, b in pairs if a <= healed_at + 0.5), default=float("inf"))
