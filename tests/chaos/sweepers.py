"""A backfill without Dagster: light processes, so that a hundred of them can be started and killed in a minute.

Belongs here: the processes, and the retries afterwards. Does not belong here: what a process does (`worker.py`).
"""

from __future__ import annotations

import multiprocessing
import random
from datetime import UTC, datetime, timedelta
from multiprocessing.process import BaseProcess

from courtlistener_assets.defs.assets.download_config import DownloadConfig
from courtlistener_assets.defs.names import Names
from courtlistener_assets.defs.sensors.retry_failed_dockets import retry_request
from courtlistener_assets.download.choice import chosen
from courtlistener_assets.download.partitions import CourtMonth
from courtlistener_assets.download.sweep import Sweeper
from resources.quota.permits import Lane
from tests.chaos.backfill import Backfill
from tests.chaos.worker import tools, work

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.chaos.worker"])


class Sweepers(Backfill):
    """Processes that share the partitions; each goes on with its own after a death."""

    rates = "60/1s,900/20s"
    latency = "uniform:0.005,0.05"
    workers = 8
    pages_in_flight = 1
    deadline_seconds = 240.0

    def __enter__(self) -> Sweepers:
        self._processes: dict[int, BaseProcess] = {}
        for number in range(self.workers):
            self._start(number)
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes.values():
            process.kill()
            process.join()

    def kill_one(self, rng: random.Random) -> bool:
        alive = sorted(number for number, process in self._processes.items() if process.is_alive())
        if alive:
            self._processes[rng.choice(alive)].kill()
        return bool(alive)

    def look_after(self) -> bool:
        for number, process in list(self._processes.items()):
            if process.is_alive():
                continue
            process.join()
            del self._processes[number]
            if process.exitcode:
                # Killed is negative. A worker that breaks on every page would otherwise come through by restarts.
                assert process.exitcode < 0, "a worker ended with an exception that it should have handled"
                self.counts["restarts"] += 1
                self._start(number)
        return bool(self._processes)

    def finish(self) -> None:
        """What the retry sensor and its runs do."""
        with tools(self.addresses, Lane.PRIORITY) as (client, store, backlog):
            while claims := backlog.failures.claim_due(now=datetime.now(UTC) + timedelta(days=30)):
                for claim in claims:
                    ops = retry_request(claim, Names()).run_config["ops"]
                    for stream in (stream for stream in chosen() if stream.name in ops):
                        config = DownloadConfig(**ops[stream.name]["config"])
                        sweeper = Sweeper(client, store, f"retry-{claim.id}", full_refresh=True)
                        config.retry(sweeper, stream, CourtMonth.parse(claim.partition))
                        backlog.failures.acknowledge(claim.id, stream.name)

    def _start(self, number: int) -> None:
        share = list(self.partitions[number :: self.workers])
        process = _CONTEXT.Process(target=work, args=(self.addresses, number, share), daemon=True)
        process.start()
        self._processes[number] = process
