"""The storm: workers are killed, Redis dies, loses its data or is paused, Postgres crashes, the server misbehaves.

Belongs here: what goes wrong, in an order that a seed decides. Does not belong here: judging (`verdict.py`).
"""

from __future__ import annotations

import multiprocessing
import random
import time
from collections import Counter
from collections.abc import Sequence
from multiprocessing.process import BaseProcess

from courtlistener_assets.simulator import Fault
from resources.services import PostgresServer, RedisServer
from tests.chaos.worker import Addresses, work

#: Chance of each kind of fault, a request.
FAULTS = {"500": 0.01, "502": 0.005, "503": 0.005, "html": 0.005, "empty": 0.005, "cut": 0.01, "reset_after": 0.01,
          "reset_before": 0.01}  # fmt: skip
WORKERS = 8
_DEADLINE_SECONDS = 240.0
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.chaos.worker"])


class StormTooLong(AssertionError):
    """The workers did not finish: something hangs."""


def faults(wanted: dict[str, list[int]], rng: random.Random) -> list[Fault]:
    """The server's faults, and one docket and one opinion of the backfill that break every page that shows them."""
    return [
        *(Fault(kind, probability=chance) for kind, chance in FAULTS.items()),
        *(Fault("poison", endpoint=name, object_id=rng.choice(wanted[name])) for name in ("dockets", "opinions")),
    ]


class Storm:
    """Runs the workers to their end while things go wrong; `counts` says what did."""

    def __init__(
        self,
        addresses: Addresses,
        partitions: Sequence[str],
        redis: RedisServer,
        postgres: PostgresServer,
        rng: random.Random,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._addresses = addresses
        self._redis, self._postgres, self._rng = redis, postgres, rng
        self._shares = [list(partitions[number::WORKERS]) for number in range(WORKERS)]
        self._workers: dict[int, BaseProcess] = {}

    def rage(self, kills: int, *, pause_seconds: float) -> None:
        """Let everything happen, about one thing every `pause_seconds`, until all workers have finished.

        Raises StormTooLong.
        """
        events = ["worker"] * kills + ["redis dies", "redis dies empty", "redis flushed", "redis paused"] * 2
        events.append("postgres crashes")
        self._rng.shuffle(events)
        deadline = time.monotonic() + _DEADLINE_SECONDS
        for number, share in enumerate(self._shares):
            self._start(number, share)
        try:
            while self._workers:
                if time.monotonic() > deadline:
                    raise StormTooLong(f"workers {sorted(self._workers)} are still at work")
                time.sleep(pause_seconds * self._rng.uniform(0.5, 1.5))
                if events:
                    self._strike(events.pop())
                self._look_after()
        finally:
            for process in self._workers.values():
                process.kill()
                process.join()

    def _start(self, number: int, share: list[str]) -> None:
        process = _CONTEXT.Process(target=work, args=(self._addresses, number, share), daemon=True)
        process.start()
        self._workers[number] = process

    def _look_after(self) -> None:
        """Start again what died; let go of what has finished."""
        for number, process in list(self._workers.items()):
            if process.is_alive():
                continue
            process.join()
            del self._workers[number]
            if process.exitcode != 0:
                self.counts["restarts"] += 1
                self._start(number, self._shares[number])

    def _strike(self, event: str) -> None:
        if event == "worker":
            alive = sorted(number for number, process in self._workers.items() if process.is_alive())
            if not alive:
                return
            self._workers[self._rng.choice(alive)].kill()
        elif event == "redis flushed":
            self._flush()
        elif event == "redis paused":
            self._redis.pause()
            time.sleep(0.6)
            self._redis.resume()
        elif event == "postgres crashes":
            self._postgres.kill()
            self._postgres.restart()
        else:
            self._redis.kill()
            time.sleep(self._rng.uniform(0.0, 0.5))
            self._redis.restart(empty=event == "redis dies empty")
        self.counts[event] += 1

    def _flush(self) -> None:
        import redis

        with redis.Redis.from_url(self._redis.url) as client:
            client.flushall()
