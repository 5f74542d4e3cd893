"""A backfill with Dagster: every worker is a real process of it, with a DAGSTER_HOME and storage in the same Postgres.

Belongs here: what the people and daemons around the runs do: a person starts the backfill, and again after a crash;
sensors are evaluated; the run queue starts what they request; run monitoring notices dead runs. Does not belong here:
what a run or a sensor does; that is the code location itself.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import dagster as dg
from dagster._core.definitions.reconstruct import ReconstructableRepository
from dagster._grpc.types import ExecuteRunArgs

from courtlistener_assets.devkit.servers.processes import start_process, stop_processes
from courtlistener_assets.devkit.session.instance import dagster_variables, open_instance, write_instance
from courtlistener_assets.download.choice import chosen
from courtlistener_assets.download.partitions import CourtMonth
from courtlistener_assets.location import location
from resources.connections.postgres import Database
from tests.chaos.backfill import Backfill
from tests.integration.pipeline_harness import CodeLocation

MODULE = "courtlistener_assets.definitions"
SENSORS = ("retry_failed_dockets", "resume_deferred")
RANGE_TAG = "dagster/asset_partition_range_start"
#: The daemon evaluates the sensors every 30 s.
TICK_SECONDS = 8.0
#: Ticks of the storm for which all delays are taken as passed; each costs what is still broken one of its tries.
HASTENED_TICKS = 2


class Run:
    """A process and the run, or the runs, of Dagster that it carries out: those with these tags, or this id."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path, runs: dg.RunsFilter, court: str | None) -> None:
        self.process, self.log, self.runs, self.court = process, log, runs, court

    @property
    def at_work(self) -> bool:
        return self.process.poll() is None and b"STEP_START" in self.log.read_bytes()


class DagsterRuns(Backfill):
    """`dagster asset materialize` for each court, and the runs that the sensors request."""

    rates = "30/1s,120/20s"
    latency = "uniform:0.05,0.3"
    workers = 4
    pages_in_flight = 2
    deadline_seconds = 600.0

    def __enter__(self) -> DagsterRuns:
        with ExitStack() as stack:
            self._home = Path(stack.enter_context(TemporaryDirectory(prefix="chaos-")))
            stack.enter_context(patch.dict(os.environ))
            write_instance(self._home / "dagster", workers=self.workers)
            instance = stack.enter_context(open_instance(self._home / "dagster", self.addresses.postgres_url))
            database = Database(self.addresses.postgres_url, max_connections=2)
            stack.callback(database.close)
            environ = self._environ()
            os.environ.update(environ)  # A run's configuration is resolved in the process that makes the run, too.
            self._location = CodeLocation(location(environ), instance, database, environ)
            self._running: list[Run] = []
            stack.callback(lambda: stop_processes([run.process for run in self._running]))
            self._waiting: list[tuple[str, dg.RunsFilter]] = []
            self._ticks, self._next_tick, self._started = 0, time.monotonic() + TICK_SECONDS, 0
            self._courts = list(dict.fromkeys(CourtMonth.parse(key).court for key in self.partitions))
            for court in self._courts:
                self._materialize(court)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if error:  # The logs are about to be deleted.
            for run in self._running:
                print(f"--- {run.log.name}\n{run.log.read_text(errors='replace')[-3000:]}")
        self._stack.close()

    # --- the storm ----------------------------------------------------------------------------------------------------

    def kill_one(self, rng: random.Random) -> bool:
        victims = [run for run in self._running if run.at_work]
        if victims:
            victim = rng.choice(victims)
            victim.process.kill()
            victim.process.wait()
            self.counts["kills of a retry or resumed run"] += victim.court is None
        return bool(victims)

    def look_after(self) -> bool:
        for run in [run for run in self._running if run.process.poll() is not None]:
            self._running.remove(run)
            self._monitor(run)
            if run.court and run.process.returncode != 0 and self._left(run.court):
                self.counts["restarts"] += 1
                self._materialize(run.court)
        if time.monotonic() > self._next_tick:
            self._tick(hasten=self._ticks < HASTENED_TICKS)
        while self._waiting and len(self._running) < self.workers:
            self._execute(*self._waiting.pop(0))
        return bool(self._running or self._waiting)

    def finish(self) -> None:
        deadline = time.monotonic() + self.deadline_seconds
        while self.look_after() or self._books_are_open():
            assert time.monotonic() < deadline, "something is never finished"
            if not self._running:
                self._tick(hasten=True)
            time.sleep(0.2)
        assert not any(map(self._left, self._courts)), "a partition is not green, and nobody goes on with it"

    # --- a person ---------------------------------------------------------------------------------------------------

    def _materialize(self, court: str) -> None:
        keys = [key for key in self.partitions if CourtMonth.parse(key).court == court]
        command = ["asset", "materialize", "-m", MODULE, "--select", ",".join(stream.name for stream in chosen())]
        self._start(
            [*command, "--partition-range", f"{keys[0]}...{keys[-1]}"], dg.RunsFilter(tags={RANGE_TAG: keys[0]}), court
        )

    def _left(self, court: str) -> bool:
        """Whether a partition of the court is neither complete nor left to the sensors."""
        backlog = self._location.backlog
        deferred = {(each.asset, each.partition) for each in backlog.deferrals.all(limit=10_000)}
        return any(
            (stream.name, key) not in deferred and key not in self._location.materialized(stream.name)
            for stream in chosen()
            for key in self.partitions
            if CourtMonth.parse(key).court == court
        )

    # --- the daemons --------------------------------------------------------------------------------------------------

    def _tick(self, *, hasten: bool) -> None:
        """Evaluate the sensors; what they request waits in the queue."""
        if hasten:
            self._location.make_due()
        for sensor in SENSORS:
            for request in self._location.tick(sensor):
                self._waiting.append(self._queued(request))
                self.counts[f"runs of {sensor}"] += 1
        self._ticks += 1
        self._next_tick = time.monotonic() + TICK_SECONDS

    def _queued(self, request: dg.RunRequest) -> tuple[str, dg.RunsFilter]:
        """The arguments with which Dagster's launchers start a run, and how the run is found."""
        origin = ReconstructableRepository.for_module(MODULE, "defs").get_reconstructable_job(str(request.job_name))
        assets = frozenset(request.asset_selection or ())
        run = self._location.instance.create_run_for_job(
            self._location.defs.resolve_job_def(str(request.job_name)).get_subset(asset_selection=assets),
            run_config=request.run_config,
            tags=request.tags,
            asset_selection=assets,
            job_code_origin=origin.get_python_origin(),
        )
        arguments = ExecuteRunArgs(origin.get_python_origin(), run.run_id, self._location.instance.get_ref())
        return dg.serialize_value(arguments), dg.RunsFilter(run_ids=[run.run_id])

    def _execute(self, arguments: str, runs: dg.RunsFilter) -> None:
        self._start(["api", "execute_run", arguments], runs, None)

    def _monitor(self, run: Run) -> None:
        """End the runs whose process has ended, however it did, and give back their places in the pool."""
        for each in self._location.instance.get_runs(run.runs):
            if not each.is_finished:
                self._location.instance.report_run_failed(each, "The process of this run is gone.")
            self._location.instance.event_log_storage.free_concurrency_slots_for_run(each.run_id)

    # --- processes ----------------------------------------------------------------------------------------------------

    def _start(self, arguments: list[str], runs: dg.RunsFilter, court: str | None) -> None:
        self._started += 1
        log = self._home / f"{self._started}.log"
        with log.open("wb") as output:
            command = [sys.executable, "-m", "dagster", *arguments]
            process = start_process(command, output=output, env=self._location.environ, cwd=self._home)
        self._running.append(Run(process, log, runs, court))

    def _environ(self) -> dict[str, str]:
        inherited = {n: v for n, v in os.environ.items() if not n.startswith(("COURTLISTENER", "DAGSTER", "REDIS"))}
        months = [CourtMonth.parse(key) for key in self.partitions]
        return {
            **inherited,
            **dagster_variables(self._home / "dagster", self.addresses.postgres_url),
            "COURTLISTENER_API_TOKEN": self.addresses.token,
            "COURTLISTENER_BASE_URL": self.addresses.base_url,
            "COURTLISTENER_COURTS": ",".join(dict.fromkeys(month.court for month in months)),
            "COURTLISTENER_FIRST_MONTH": min(f"{month.month:%Y-%m}" for month in months),
            "COURTLISTENER_RATE_LIMITS": self.addresses.rate_limits,
            "COURTLISTENER_MAX_WAIT_SECONDS": "4",
            "COURTLISTENER_WORKERS": str(self.pages_in_flight),
            "COURTLISTENER_DATA_DIR": str(self._home / "data"),
            "POSTGRES_URL": self.addresses.postgres_url,
            "REDIS_URL": self.addresses.redis_url,
            "PYTHONPATH": os.getcwd(),
        }

    def _books_are_open(self) -> bool:
        [(failures, deferrals)] = self._location.rows(
            "SELECT (SELECT count(*) FROM courtlistener.failures WHERE resolved_at IS NULL), "
            "(SELECT count(*) FROM courtlistener.deferrals)"
        )
        return bool(failures or deferrals)
