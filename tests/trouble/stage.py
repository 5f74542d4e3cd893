"""The stage of a story: the real location on real servers, a simulator in which things go wrong, and days that pass.

Belongs here: running what users, schedules and sensors run, and reading what it cost and what can be seen of it. Does
not belong here: what goes wrong (`cases.py`, `week.py`).
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch
from uuid import uuid4

import dagster as dg
import psycopg
import redis

from courtlistener_assets.devkit.servers.postgres_server import PostgresServer
from courtlistener_assets.devkit.servers.redis_server import RedisServer
from courtlistener_assets.devkit.simulator.corpus import Corpus
from courtlistener_assets.devkit.simulator.faults import Fault
from courtlistener_assets.devkit.simulator.server import Simulator
from courtlistener_assets.devkit.simulator.truth import Entry
from courtlistener_assets.location import location
from resources.connections import pools
from resources.connections.postgres import Database
from tests.integration.pipeline_harness import CodeLocation, environment
from tests.trouble.clock import Clock, in_force

SENSORS = ("retry_failed_dockets", "resume_deferred")
#: How often the daemon looks; the real one does every 30 seconds, which finds nothing more in these stories.
TICK_SECONDS = 60.0
_RANGE = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")


@dataclass(frozen=True)
class Seen:
    """Something that a user can see, and when it was there."""

    at: float
    text: str


@dataclass
class Stage:
    """One story. `seen` are the messages of failed runs and red checks, in their order."""

    simulator: Simulator
    location: CodeLocation
    clock: Clock
    seen: list[Seen] = field(default_factory=list)
    runs: int = 0
    _looked_at: list[dg.DagsterEvent] = field(default_factory=list)

    # --- what happens

    def run(
        self,
        job: str,
        partitions: Sequence[str] = (),
        assets: Sequence[str] = (),
        config: Mapping[str, Any] | None = None,
    ) -> bool:
        """Launch a job as a user does, over one partition or from the first to the last; return whether it is green."""
        several = len(partitions) > 1
        return self._execute(
            job,
            partition_key=partitions[0] if partitions and not several else None,
            tags=dict(zip(_RANGE, (partitions[0], partitions[-1]), strict=True)) if several else None,
            asset_selection=[dg.AssetKey(asset) for asset in assets] or None,
            run_config={"ops": {asset: {"config": dict(config)} for asset in assets}} if config else None,
        )

    def tick(self) -> int:
        """Let the sensors look, and run what they ask for; return how many runs that were."""
        requested = 0
        for sensor in SENSORS:
            for request in self.location.tick(sensor):
                requested += 1
                self._execute(
                    request.job_name or "",
                    partition_key=request.partition_key,
                    run_config=request.run_config,
                    tags=dict(request.tags),
                    asset_selection=request.asset_selection and list(request.asset_selection),
                )
        self._look_at_checks()
        return requested

    def live(
        self, seconds: float, *, until: Callable[[], bool] = lambda: False, tick_seconds: float = TICK_SECONDS
    ) -> None:
        """Let time pass, with the sensors looking when something is due, but not more often than told, or hourly."""
        end = self.clock() + seconds
        while self.clock() < end and not until():
            self.tick()
            self.clock.advance(max(tick_seconds, min(self._next_due(), end - self.clock(), 3600.0)))

    def _execute(self, job: str, **how: Any) -> bool:
        self.runs += 1
        try:
            result = self.location.defs.resolve_job_def(job).execute_in_process(
                instance=self.location.instance, raise_on_error=False, **how
            )
        except Exception as error:  # A run that does not even begin.
            self.see(f"{type(error).__name__}: {error}")
            return False
        for event in result.all_events:
            self._look_at(event)
        return bool(result.success)

    def _look_at(self, event: dg.DagsterEvent) -> None:
        """Note what a person would see of an event: a step that failed, a check that is red, a notice on an asset."""
        if event.is_step_failure and event.step_failure_data.error:
            self.see(_innermost(event.step_failure_data))
        elif event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            self._see_check(event)
        elif event.event_type == dg.DagsterEventType.ASSET_OBSERVATION:
            notice = event.asset_observation_data.asset_observation.description
            if notice and "totals" not in notice:
                self.see(f"A notice on {'/'.join(event.asset_key.path if event.asset_key else ())}: {notice}")

    def _see_check(self, event: dg.DagsterEvent) -> None:
        evaluation: Any = event.event_specific_data
        if not getattr(evaluation, "passed", True):  # One that was planned only says nothing.
            said = f": {evaluation.description}" if evaluation.description else ""
            self.see(f"The check {evaluation.check_name} of {'/'.join(evaluation.asset_key.path)} is red{said}")

    def _look_at_checks(self) -> None:
        """What sensors report belongs to no run."""
        assets = [asset for (asset,) in self.location.rows("SELECT DISTINCT asset FROM courtlistener.failures")]
        keys = [dg.AssetCheckKey(dg.AssetKey(asset), "complete_and_current") for asset in assets]
        found = self.location.instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
        for record in found.values():
            if record.event and record.event.dagster_event and record.event.dagster_event not in self._looked_at:
                self._looked_at.append(record.event.dagster_event)
                self._see_check(record.event.dagster_event)

    def see(self, text: str) -> None:
        self.seen.append(Seen(self.clock(), text))

    def _next_due(self) -> float:
        """Seconds until the next deferral is due; failures are looked for twice an hour."""
        [(deferral,)] = self.location.rows(
            "SELECT extract(epoch FROM min(deferred_until) - now()) FROM courtlistener.deferrals"
        )
        return max(0.0, float(deferral)) if deferral is not None else 1800.0

    # --- what it came to

    @property
    def asked(self) -> list[Entry]:
        """All requests that left for the server, but for those to api-usage, which cost nothing."""
        return [entry for entry in self.simulator.log if entry.endpoint != "api-usage"]

    def failures(self, where: str = "true") -> int:
        [(count,)] = self.location.rows(f"SELECT count(*) FROM courtlistener.failures WHERE {where}")
        return int(count)

    def deferrals(self) -> int:
        [(count,)] = self.location.rows("SELECT count(*) FROM courtlistener.deferrals")
        return int(count)

    def is_settled(self) -> bool:
        """Whether nothing is left that the sensors would do."""
        return not self.deferrals() and not self.failures("resolved_at IS NULL AND dead_at IS NULL")


def _innermost(data: Any) -> str:
    if data.user_failure_data and data.user_failure_data.description:
        return str(data.user_failure_data.description)
    error = data.error
    while error.cause:
        error = error.cause
    return re.sub(r"^[\w.]+\.(\w+): ", r"\1: ", str(error.message).strip())


def _drop(url: str, name: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@contextmanager
def staged(
    corpus: Corpus, postgres: PostgresServer, redis_server: RedisServer, faults: Sequence[Fault] = (), **settings: str
) -> Iterator[Stage]:
    """An empty database and Redis, and a clock that begins anew."""
    clock, name = Clock(), f"trouble_{uuid4().hex[:12]}"
    root, _, _ = postgres.url.rpartition("/")
    with psycopg.connect(f"{root}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
    with ExitStack() as stack:
        stack.callback(_drop, f"{root}/postgres", name)
        clock.attach(f"{root}/{name}")
        stack.callback(clock.detach)
        stack.callback(pools.close_all)
        stack.enter_context(in_force(clock))
        simulator = stack.enter_context(Simulator(corpus, faults=faults, clock=clock, sleep=clock.hold))
        data_dir = stack.enter_context(tempfile.TemporaryDirectory(prefix="trouble-"))
        environ = environment(simulator, f"{root}/{name}", redis_server.url, data_dir) | settings
        stack.enter_context(patch.dict(os.environ, environ))
        database = Database(f"{root}/{name}", max_connections=2)
        stack.callback(database.close)
        database.migrate()
        instance = stack.enter_context(dg.DagsterInstance.ephemeral())
        yield Stage(simulator, CodeLocation(location(environ), instance, database, environ), clock)
