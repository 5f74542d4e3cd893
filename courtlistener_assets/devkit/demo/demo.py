"""The main job end to end on one machine, and the proof that nothing is missing.

Belongs here: the order of the demo's steps. Does not belong here: the steps (`demo_*.py`, `stores.py`).
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from courtlistener_assets.devkit.demo.figures import count_chunks, expected, shortcomings, stored_ids
from courtlistener_assets.devkit.demo.history import DemoHistory
from courtlistener_assets.devkit.demo.plan import (
    DOWNLOADS,
    GENERATED,
    VECTOR_INPUTS,
    Job,
    partitions_in_file,
    ranges_of,
    stages,
)
from courtlistener_assets.devkit.demo.progress import progress, table
from courtlistener_assets.devkit.demo.runs import run_all
from courtlistener_assets.devkit.session.abandoned_runs import end_abandoned_runs
from courtlistener_assets.devkit.session.instance import open_instance, write_instance
from courtlistener_assets.devkit.session.session import SessionRunning, dagster_variables, session_lock
from courtlistener_assets.devkit.session.simulator_process import TOKEN, SimulatorProcess, simulator_process
from courtlistener_assets.devkit.session.stores import stores
from courtlistener_assets.download.partitions import CourtMonth
from courtlistener_assets.settings import Settings
from resources.connections.postgres import Database


@dataclass(frozen=True)
class Demo:
    """One demo below `root`; a second one goes on where the first one ended."""

    root: Path
    environ: Mapping[str, str]
    corpus: Path | None
    rates: str
    workers: int

    def run(self) -> bool:
        """Run everything and show the figures; returns whether all is there and no request was refused.

        Raises what the servers, the simulator and the runs raise.
        """
        began, console = time.time(), Console()
        with self._alone(), simulator_process(self.rates, self._home / "simulator.jsonl", self.corpus) as simulator:
            partitions = partitions_in_file(self.corpus) if self.corpus else GENERATED
            wanted = {**self.environ, **self._variables(simulator, partitions)}
            with stores(self._home, wanted) as added:
                environ = {**wanted, **added}
                settings = Settings.from_environ(environ)
                dagster_home = self._home / "dagster"
                environ |= dagster_variables(dagster_home, settings.postgres_url)
                write_instance(dagster_home, workers=self.workers)
                with open_instance(dagster_home, settings.postgres_url) as instance:
                    if "POSTGRES_URL" in added:
                        end_abandoned_runs(instance)
                    history = DemoHistory(instance)
                    self._materialize(console, simulator, partitions, history, environ)
                    figures, found = self._figures(simulator, partitions, history, settings, began)
        (self.root / ".demo" / "summary.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
        console.print(table(figures))
        for line in found or ["Complete: everything that belongs to the partitions is stored, once."]:
            console.print(line, markup=False, highlight=False)
        return not found

    @property
    def _home(self) -> Path:
        """Where this demo keeps its data: another corpus is another world."""
        base = (self.root / ".demo").absolute()
        if self.corpus is None:
            return base
        return base / f"corpus-{hashlib.sha256(self.corpus.read_bytes()).hexdigest()[:12]}"

    @contextmanager
    def _alone(self) -> Iterator[None]:
        try:
            with session_lock(self._home):
                yield
        except SessionRunning:
            raise SessionRunning("another `courtlistener demo` is at work in .demo; let it end or stop it") from None

    def _variables(self, simulator: SimulatorProcess, partitions: tuple[CourtMonth, ...]) -> dict[str, str]:
        return {
            "COURTLISTENER_API_TOKEN": TOKEN,
            "COURTLISTENER_BASE_URL": simulator.url,
            # Never the ledger of a real account, on whatever servers.
            "COURTLISTENER_ACCOUNT": "demo",
            "COURTLISTENER_COURTS": ",".join(sorted({key.court for key in partitions})),
            "COURTLISTENER_FIRST_MONTH": f"{min(key.month for key in partitions):%Y-%m}",
            "COURTLISTENER_DATA_DIR": str(self._home / "data"),
            "COURTLISTENER_RATE_LIMITS": self.rates,
        }

    def _materialize(
        self,
        console: Console,
        simulator: SimulatorProcess,
        partitions: tuple[CourtMonth, ...],
        history: DemoHistory,
        environ: Mapping[str, str],
    ) -> None:
        done = history.materialized([*DOWNLOADS, VECTOR_INPUTS])
        # A file fills few pages of many months; the generated corpus fills many pages of few.
        plan = stages(partitions, done, spread=self.corpus is None)
        jobs = sum(len(stage) for stage in plan)
        if jobs:
            logs = os.path.relpath(self._home / "logs", self.root)
            console.print(
                f"{len(partitions)} partitions (court x month) under a quota of {self.rates}", highlight=False
            )
            console.print(f"{jobs} Dagster processes, up to {self.workers} at once; logs in {logs}", highlight=False)
        else:
            console.print("Every partition is materialised already; nothing to do but check.", highlight=False)
        with progress(console, jobs) as shown:

            def show_requests() -> None:
                summary = simulator.summary()
                shown.requests(summary["admitted"], summary["refused"])

            def ended(job: Job) -> None:
                shown.ended(job.title)

            for stage in plan:
                run_all(stage, environ, self._home / "logs", at_once=self.workers, each_poll=show_requests, ended=ended)

    def _figures(
        self,
        simulator: SimulatorProcess,
        partitions: tuple[CourtMonth, ...],
        history: DemoHistory,
        settings: Settings,
        began: float,
    ) -> tuple[dict[str, Any], list[str]]:
        database = Database(settings.postgres_url)
        try:
            stored = stored_ids(database)
        finally:
            database.close()
        truth, summary = expected(simulator, ranges_of(partitions)), simulator.summary()
        chunks = count_chunks(self._home / "data")
        figures = {
            **{stream: len(set(numbers) & truth.ids[stream]) for stream, numbers in stored.items()},
            "chunks": chunks,
            "requests": summary["admitted"],
            "fewest_requests": truth.fewest_requests,
            "refused": summary["refused"],
            "requests_per_docket": round(summary["admitted"] / max(1, len(truth.ids["dockets"])), 3),
            "quota_waited_seconds": round(history.quota_waited_seconds(DOWNLOADS, began), 1),
            "seconds": round(time.time() - began, 1),
        }
        return figures, shortcomings(truth, stored, summary, chunks)
