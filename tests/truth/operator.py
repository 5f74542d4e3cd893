"""Those who run the location in a round: they download months, catch up, refresh, rebuild chunks, and kill a run.

Belongs here: runs of the real assets, in this process or, to be killed, in another one. Does not belong here: when
they run (`rounds.py`), what should come of them (`oracle.py`).
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import dagster as dg

from courtlistener_assets.devkit.simulator.server import Simulator
from courtlistener_assets.devkit.simulator.truth import Entry
from courtlistener_assets.location import location
from resources.connections import pools
from resources.connections.postgres import Database
from tests.integration.pipeline_harness import CodeLocation, environment
from tests.truth.world import COURTS, FAR, LATER, MONTHS, World

DOWNLOADS = ("dockets", "clusters", "opinions", "docket_entries")
#: Requests of one increment without news, by asset, and of a catch-up of a court.
_SWEEPS = {"dockets": 3, "clusters": 1, "opinions": 1, "docket_entries": 2}
_SWEEPS_OF_A_CATCH_UP = 5
_RANGE = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.truth.operator"])


@dataclass(frozen=True)
class Work:
    """A run: a job, its partitions (one, or a court's range of months), the assets of it, and their configuration."""

    job: str
    partitions: tuple[str, ...] = ()
    assets: tuple[str, ...] = ()
    full_refresh: bool = False

    def __str__(self) -> str:
        what = f"{self.job} {' to '.join(self.partitions)} {','.join(self.assets)}".strip()
        return f"full refresh {what}" if self.full_refresh else what

    def execute(self, defs: dg.Definitions, instance: dg.DagsterInstance) -> Any:
        """Run it in this process; returns Dagster's result."""
        several = len(set(self.partitions)) > 1
        config = {"config": {"full_refresh": True}}
        return defs.resolve_job_def(self.job).execute_in_process(
            instance=instance,
            partition_key=self.partitions[0] if self.partitions and not several else None,
            tags=dict(zip(_RANGE, self.partitions, strict=True)) if several else None,
            asset_selection=[dg.AssetKey(asset) for asset in self.assets] or None,
            run_config={"ops": {asset: config for asset in self.assets}} if self.full_refresh else None,
            raise_on_error=False,
        )


@dataclass
class Operator:
    """Runs the location against a world's server; `faults` are runs that failed, `fewest` the requests they needed."""

    world: World
    simulator: Simulator
    location: CodeLocation
    data_dir: Path
    faults: list[str] = field(default_factory=list)
    fewest: int = 0
    killed: int = 0

    # --- what there is to do

    def months(self, court: str, *, later: bool = False) -> tuple[str, str]:
        """The first and the last partition of a court's downloaded months."""
        return f"{court}|{MONTHS[0]}-01", f"{court}|{LATER if later else MONTHS[-1]}-01"

    def download(self, court: str) -> None:
        """Everything of a court, with vector inputs."""
        self.run(Work("court_month", self.months(court)))
        self.undated(court)
        self.run(Work("rebuild_undated_vector_inputs", (f"{court}|undated",)))

    def undated(self, court: str) -> None:
        """Bring what belongs to no month up to date."""
        self.fewest += 2
        self.run(Work("undated", (f"{court}|undated",)))

    def increments(self, court: str, assets: Sequence[str] = DOWNLOADS, partitions: Sequence[str] = ()) -> None:
        """Bring some months (the first and the last of them, all by default) up to date in some assets."""
        ends = tuple(partitions) or self.months(court)
        first, last = ((*MONTHS, LATER).index(end.partition("|")[2][:7]) for end in (ends[0], ends[-1]))
        several = last - first + 1
        self.fewest += several * sum(_SWEEPS[asset] for asset in assets)
        self.run(Work("downloads", ends, tuple(assets)))

    def catch_up(self, court: str) -> None:
        self.fewest += _SWEEPS_OF_A_CATCH_UP
        self.run(Work("catch_up", (court,)))

    def full_refresh(self, court: str) -> None:
        """Walk all of a court anew."""
        self.run(Work("downloads", self.months(court, later=True), DOWNLOADS, full_refresh=True))
        self.run(Work("undated", (f"{court}|undated",), ("undated_dockets",), full_refresh=True))

    def rebuild(self, built: Callable[[], None]) -> None:
        """Rebuild the chunks that the sensor asks for, until it asks for none.

        `built` is called after what one tick asks for: the next one may replace the same change files.
        """
        for _ in range(6):
            self._let_time_pass()
            try:
                requests = self.location.tick("rebuild_touched_months")
            except Exception as error:
                self.faults.append(f"the sensor rebuild_touched_months: {error!r:.500}")
                return
            if not requests:
                return
            for request in requests:
                self.run(Work(request.job_name or "rebuild_vector_inputs", (str(request.partition_key),)))
            built()
        self.faults.append(
            f"the sensor rebuild_touched_months asks without end: {[str(r.partition_key) for r in requests]}"
        )

    def _let_time_pass(self) -> None:
        """The sensor waits until a partition has been quiet for a while."""
        with contextlib.suppress(Exception), self.location.database.transaction() as connection:
            connection.execute(
                "UPDATE courtlistener.stale_partitions SET first_at = first_at - interval '1 day', "
                "last_at = last_at - interval '1 day'"
            )

    def retry(self) -> None:
        """Run what the retry sensor asks for, as if its delays had passed."""
        for _ in range(5):
            self.location.make_due()
            requests = self.location.tick("retry_failed_dockets")
            for request in requests:
                result = self.location.defs.resolve_job_def(request.job_name or "").execute_in_process(
                    instance=self.location.instance,
                    partition_key=request.partition_key,
                    run_config=request.run_config,
                    tags=dict(request.tags),
                    asset_selection=request.asset_selection and list(request.asset_selection),
                    raise_on_error=False,
                )
                self._note(f"retry {request.partition_key}", result)
            if not requests:
                return

    # --- how it is done

    def run(self, work: Work) -> None:
        """Run it; a run that fails is a fault of the round."""
        try:
            self._note(str(work), work.execute(self.location.defs, self.location.instance))
        except Exception as error:
            self.faults.append(f"{work}: {error!r:.500}")

    def _note(self, what: str, result: Any) -> None:
        if not result.success:
            errors = [event.step_failure_data.error for event in result.all_events if event.is_step_failure]
            said = " ".join(_innermost(error) for error in errors if error) or "it failed"
            self.faults.append(f"{what}: {said[:600]}")

    def kill(self, work: Work, after: int) -> bool:
        """Run it in a process that dies when the server has answered `after` of its requests, but for the last answer.

        Returns whether it came to that; a run that needs fewer requests ends by itself.
        """
        process = _CONTEXT.Process(target=_execute, args=(self.location.environ, work), daemon=True)
        served, died = 0, False

        def strike(entry: Entry) -> None:
            nonlocal served, died
            served += 1
            if served == after and process.pid:
                process.kill()
                died = True

        with _told_of_requests(self.simulator, strike):
            process.start()
            process.join()
        self.killed += died
        if not died and process.exitcode:
            self.faults.append(f"{work}, in a process of its own: exit code {process.exitcode}")
        return died


def _innermost(error: Any) -> str:
    while error.cause:
        error = error.cause
    return str(error.message).strip()


@contextmanager
def _told_of_requests(simulator: Simulator, told: Callable[[Entry], None]) -> Iterator[None]:
    """Call `told` for every request before it is answered."""
    record = simulator.truth.record

    def record_and_tell(entry: Entry) -> None:
        record(entry)
        told(entry)

    with patch.object(simulator.truth, "record", record_and_tell):
        yield


def _execute(environ: Mapping[str, str], work: Work) -> None:
    """In a process of its own, which has no Dagster storage: what a killed run leaves there is of no use to anybody."""
    quiet()
    os.environ.update(environ)
    try:
        with patch("random.uniform", lambda low, high: 0.0), dg.DagsterInstance.ephemeral() as instance:
            success = work.execute(location(environ), instance).success
    except Exception:
        success = False
    pools.close_all()
    raise SystemExit(0 if success else 3)


def quiet() -> None:
    """Leave Dagster's lines and warnings out of the round's."""
    logging.disable(logging.CRITICAL)
    warnings.filterwarnings("ignore")


@contextmanager
def operating(world: World, postgres_url: str, redis_url: str, **settings: str) -> Iterator[Operator]:
    """The location on a database and a server of its own, without anything stored."""
    with ExitStack() as stack:
        simulator = stack.enter_context(Simulator(world.corpus, clock=world.clock, seed=world.seed))
        data_dir = stack.enter_context(tempfile.TemporaryDirectory(prefix="truth-"))
        environ = environment(simulator, postgres_url, redis_url, data_dir) | {
            "COURTLISTENER_COURTS": ",".join(COURTS),
            "COURTLISTENER_FIRST_MONTH": MONTHS[0],
            **settings,
        }
        stack.enter_context(patch.dict(os.environ, environ))
        stack.enter_context(patch("random.uniform", lambda low, high: 0.0))  # No pauses between attempts.
        database = Database(postgres_url, max_connections=2)
        stack.callback(database.close)
        stack.callback(pools.close_all)
        database.migrate()
        instance = stack.enter_context(dg.DagsterInstance.ephemeral())
        yield Operator(world, simulator, CodeLocation(location(environ), instance, database, environ), Path(data_dir))


__all__ = ["DOWNLOADS", "FAR", "Operator", "Work", "operating", "quiet"]
