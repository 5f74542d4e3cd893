"""Days of quota in seconds: the real limiter and its scripts in a real Redis, on a simulated clock.

Belongs here: a discrete-event simulation of workers. Does not belong here: real time or real processes.

Each worker is a thread that runs the limiter's own loop; only one runs at a time, from one sleep to the next. The
journal is left out, so the figures are those of waiting, not of time.
"""

from __future__ import annotations

import heapq
import itertools
import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import redis

from bench.limiter.judge import Limit, longest, refused, used_share, windows_of
from bench.limiter.workers import Latency
from resources.connections.redis_address import subscribe
from resources.connections.redis_keys import RedisKeys
from resources.quota.failover import FailoverLedger
from resources.quota.limiter import RateLimiter
from resources.quota.permits import LedgerState, QuotaWindow
from resources.quota.redis_ledger import RedisLedger
from resources.quota.turns import Announced, Line

_START_US = 1_700_000_000_000_000
#: How long an announcement is on its way.
_ANNOUNCED_AFTER_US = 200
#: Comes after all announcements that were made before.
_MARK = "mark"
_PATIENCE_SECONDS = 30.0


def simulate(
    client: redis.Redis, limits: Sequence[Limit], *, workers: int, seconds: float, latency: Latency, seed: int
) -> dict[str, Any]:
    """Let `workers` greedy workers use an account for `seconds` of simulated time, and return the figures."""
    simulation = _Simulation(client, limits, latency, seed)
    simulation.begin(workers)
    # As in the runs of real processes, the first cycle does not count.
    simulation.run_until(longest(limits))
    grants, calls = simulation.grants, _scripts_called(client)
    simulation.run_until(seconds)
    grants, calls = simulation.grants - grants, _scripts_called(client) - calls
    simulation.end()
    arrivals = sorted(simulation.arrivals)
    return {
        "requests": len(arrivals),
        "refused": refused(arrivals, limits),
        "used_share": round(used_share(arrivals, limits, seconds), 4),
        "redis_calls_per_grant": round(calls / max(1, grants), 2),
    }


def _scripts_called(client: redis.Redis) -> int:
    """How many scripts the server has run; the limiter calls nothing else."""
    stats: Any = client.info("commandstats")
    return int(stats["cmdstat_evalsha"]["calls"])


class _Over(BaseException):
    """The simulated time is over: ends the thread of a worker, which no `except Exception` may prevent."""


@dataclass(eq=False)
class _Sleeper:
    """A thread that sleeps until its time, or until its alarm is set."""

    alarm: threading.Event | None
    woken: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    is_awake: bool = False


class _Clock:
    """Simulated time: whoever sleeps lets the next one run that is due."""

    def __init__(self) -> None:
        self.now_us = _START_US
        self._due: list[tuple[int, int, _Sleeper]] = []
        self._alarmed: list[_Sleeper] = []
        self._numbers = itertools.count()
        self._ran = threading.Semaphore(0)
        self._over = False

    def seconds(self) -> float:
        return self.now_us / 1_000_000

    def sleep(self, seconds: float, alarm: threading.Event | None = None) -> None:
        """Called by a worker's thread; ends early when the alarm is set, by `announce` of `run_until`."""
        if self._over:
            raise _Over
        sleeper = _Sleeper(alarm)
        # A sleep that ends at the same microsecond would never let time pass.
        self._wake(sleeper, max(1, round(seconds * 1_000_000)))
        if alarm:
            self._alarmed.append(sleeper)
        self._ran.release()
        sleeper.woken.acquire()
        if self._over:
            raise _Over

    def _wake(self, sleeper: _Sleeper, in_us: int) -> None:
        heapq.heappush(self._due, (self.now_us + in_us, next(self._numbers), sleeper))

    def start(self, thread: threading.Thread) -> None:
        thread.start()
        self._ran.acquire()

    def run_until(self, end_us: int, announce: Callable[[], None]) -> None:
        """Let everybody run until then; after each step `announce` may set alarms."""
        while self._due and self._due[0][0] < end_us:
            due_us, _, sleeper = heapq.heappop(self._due)
            if sleeper.is_awake:
                continue
            self.now_us = due_us
            sleeper.is_awake = True
            if sleeper.alarm:
                self._alarmed.remove(sleeper)
            sleeper.woken.release()
            self._ran.acquire()
            announce()
            for other in self._alarmed:
                if other.alarm and other.alarm.is_set():
                    self._wake(other, _ANNOUNCED_AFTER_US)

    def end(self) -> None:
        self._over = True
        for _, _, sleeper in self._due:
            sleeper.woken.release()


class _SimulatedLine(Line):
    """What one worker hears of the line: as in `Line`, but without a thread, from a common subscription."""

    def listen(self) -> None:
        if not self.listening:
            self._take({"type": "subscribe"})

    def hear(self, message: dict[str, Any]) -> None:
        if self.listening:
            self._take(message)


class _WithoutJournal:
    """A Redis ledger that is always in charge, in the place of the ledger that decides who is."""

    def __init__(self, ledger: RedisLedger) -> None:
        self._ledger = ledger
        #: Whether a script may have run since this was last set to False.
        self.asked = False

    def __getattr__(self, name: str) -> Any:
        self.asked = True
        return getattr(self._ledger, name)


class _Simulation:
    def __init__(self, client: redis.Redis, limits: Sequence[Limit], latency: Latency, seed: int) -> None:
        self._clock = _Clock()
        self._rng = random.Random(seed)
        self._latency = latency
        account = f"simulated{seed}"
        ledger = RedisLedger(
            client,
            account,
            permit_ttl_seconds=600,
            keys=RedisKeys("simulation"),
            clock_us=lambda: self._clock.now_us,
        )
        ledger.load(LedgerState(1, tuple(map(QuotaWindow, windows_of(limits)))))
        self._ledger = _WithoutJournal(ledger)
        self._client, self._channel = client, RedisKeys("simulation").turns(account)
        self._subscription = subscribe(client, self._channel)
        self._lines: list[_SimulatedLine] = []
        self._threads: list[threading.Thread] = []
        self.arrivals: list[float] = []
        self.grants = 0

    def begin(self, workers: int) -> None:
        for _ in range(workers):
            # A limiter and a line of its own, as each process has.
            line = _SimulatedLine(lambda: self._subscription)
            self._lines.append(line)
            limiter = RateLimiter(
                "simulated",
                cast(FailoverLedger, self._ledger),
                max_wait_seconds=float("inf"),
                use_within_seconds=100.0,
                clock=self._clock.seconds,
                sleep=self._sleep,
                turns=Announced(line, self._sleep, self._clock.seconds),
            )
            self._threads.append(threading.Thread(target=self._work, args=(limiter,), daemon=True))
            self._clock.start(self._threads[-1])

    def run_until(self, seconds: float) -> None:
        self._clock.run_until(_START_US + round(seconds * 1_000_000), self._announce)

    def _announce(self) -> None:
        """Let all workers hear what scripts have published until now."""
        if not self._ledger.asked:
            return
        self._ledger.asked = False
        self._client.publish(self._channel, _MARK)
        while (message := self._subscription.get_message(timeout=_PATIENCE_SECONDS)) and message["data"] != _MARK:
            for line in self._lines:
                line.hear(message)

    def end(self) -> None:
        self._clock.end()
        for thread in self._threads:
            thread.join()

    def _sleep(self, seconds: float, alarm: threading.Event | None = None) -> None:
        """As a process sleeps: never less than it was told, and some tenths of a millisecond more."""
        self._clock.sleep(seconds + self._rng.uniform(0.0002, 0.0015), alarm)

    def _work(self, limiter: RateLimiter) -> None:
        try:
            self._clock.sleep(self._rng.random())
            while True:
                with limiter.permit():
                    self.grants += 1
                    latency = self._latency(self._rng)
                    before = latency * self._rng.random()
                    self._clock.sleep(before)
                    self.arrivals.append((self._clock.now_us - _START_US) / 1e6)
                    self._clock.sleep(latency - before)
        except _Over:
            return
