"""The main job end to end on one machine, and the proof that nothing is missing.

Belongs here: the order of the demo's steps. Does not belong here: the steps (the other modules of this folder), and the
servers (`session/`), which are those of `courtlistener dev` without a token: it opens on what the demo has stored.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
from rich.console import Console

from courtlistener_assets.devkit.demo.figures import Expected, count_chunks, expected, shortcomings, stored_ids, waited
from courtlistener_assets.devkit.demo.from_bulk import Cost, api_cost, load_bulk
from courtlistener_assets.devkit.demo.plan import ASSETS, BULK_COURTS, GENERATED, ranges_of, run_all, title
from courtlistener_assets.devkit.demo.progress import costs_table, progress, table
from courtlistener_assets.devkit.session.instance import open_instance
from courtlistener_assets.devkit.session.session import session
from courtlistener_assets.devkit.session.simulator_process import SimulatorProcess
from courtlistener_assets.devkit.simulator.opinions_file import partitions_in_file
from courtlistener_assets.download.partitions import CourtMonth
from courtlistener_assets.settings import Settings
from resources.connections.postgres import Database

#: Settings of the real thing: the demo brings servers of its own, and never writes to others.
_NOT_OURS = ("COURTLISTENER_", "AIRFLOW_CONN_REDIS_", "REDIS_", "POSTGRES_URL", "DAGSTER_")


def demo(root: Path, environ: Mapping[str, str], corpus: Path | None, rates: str, console: Console) -> bool:
    """Run everything and show the figures; returns whether all is there and no request was refused.

    A second one resumes where the first one ended. Raises what the servers, the simulator and the runs raise.
    """
    began = time.time()
    environ = {name: value for name, value in environ.items() if not name.startswith(_NOT_OURS)}
    _say(console, f"Starting Postgres, a Redis-compatible server and a simulator of CourtListener in {root}/.services")
    with session(root, environ, corpus=corpus, rates=rates) as added:
        environ |= added
        settings = Settings.from_environ(environ)
        simulator = SimulatorProcess(settings.base_url)
        partitions = partitions_in_file(corpus) if corpus else GENERATED
        # The months of a file of opinions may be centuries apart, and a bootstrap fills all in between.
        bulk_courts = () if corpus else BULK_COURTS
        truth = expected(simulator, ranges_of(partitions), bulk_courts)
        with open_instance(Path(added["DAGSTER_HOME"]), settings.postgres_url) as instance:
            halves = _Halves(partitions, bulk_courts, simulator, instance)
            halves.load_bulk(environ, lambda line: _say(console, f"  {line}"))
            _materialize(console, halves, truth, environ, root / ".demo" / "logs")
            figures, found = _figures(halves, truth, settings, began)
    (root / ".demo" / "summary.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    console.print(table(figures))
    if figures["bulk"]["months"] and figures["api"]["months"]:  # Else there was nothing left to do of a half.
        console.print(costs_table(figures))
    for line in found or ["Complete: everything that belongs to the partitions is stored, once."]:
        _say(console, line)
    _say(console, f"The chunks are in {settings.data_dir}/vector_inputs, these figures in .demo/summary.json.")
    command = f"courtlistener dev --corpus {corpus}" if corpus else "make dev, or courtlistener dev"
    _say(console, f"Look at the rest in the Dagster UI, without COURTLISTENER_API_TOKEN: {command}")
    return not found


@dataclass
class _Halves:
    """The months from bulk files and those over the API, and what each half has cost."""

    partitions: Sequence[CourtMonth]
    bulk_courts: Sequence[str]
    simulator: SimulatorProcess
    instance: dg.DagsterInstance
    bulk: Cost = field(default_factory=Cost)
    runs_began: float = field(default_factory=time.time)

    def load_bulk(self, environ: Mapping[str, str], say: Callable[[str], None]) -> None:
        """Fill the first half, if there is one."""
        half = [each for each in self.partitions if each.court in self.bulk_courts]
        if half:
            truth = expected(self.simulator, ranges_of(half))
            self.bulk = load_bulk(half, truth, self.simulator, self.instance, environ, say)
        self.runs_began = time.time()

    def api(self) -> Cost:
        """The cost of the other half."""
        half = [each for each in self.partitions if each.court not in self.bulk_courts]
        truth = expected(self.simulator, ranges_of(half))
        return api_cost(half, truth, self.simulator, self.instance, self.runs_began)


def _materialize(console: Console, halves: _Halves, truth: Expected, environ: Mapping[str, str], logs: Path) -> None:
    settings, simulator = Settings.from_environ(environ), halves.simulator
    done = set.intersection(*(set(halves.instance.get_materialized_partitions(dg.AssetKey(asset))) for asset in ASSETS))
    todo = ranges_of(key for key in halves.partitions if str(key) not in done)
    logs.mkdir(parents=True, exist_ok=True)
    if not todo:
        _say(console, "Every partition is materialized already; nothing to do but check.")
        return
    _say(console, f"Downloading under a quota of {settings.rate_limits}, one Dagster run each; logs in {logs}:")
    for months in todo:
        beside = ": what bulk files do not have" if months[0].court in halves.bulk_courts else ""
        _say(console, f"  {title(months)}{beside}")
    with progress(console, truth.fewest_requests) as show:

        def show_requests() -> None:
            summary = simulator.summary()
            show(summary["admitted"], summary["refused"])

        run_all(
            todo,
            environ,
            logs,
            bulk_courts=halves.bulk_courts,
            at_once=settings.workers,
            each_poll=show_requests,
        )


def _figures(halves: _Halves, truth: Expected, settings: Settings, began: float) -> tuple[dict[str, Any], list[str]]:
    database = Database(settings.postgres_url)
    try:
        stored = stored_ids(database)
    finally:
        database.close()
    summary, chunks = halves.simulator.summary(), count_chunks(settings.data_dir, halves.partitions)
    figures = {
        **{stream: len(set(numbers) & truth.ids[stream]) for stream, numbers in stored.items()},
        "chunks": chunks,
        "requests": summary["admitted"],
        "fewest_requests": truth.fewest_requests,
        "refused": summary["refused"],
        "requests_per_docket": round(summary["admitted"] / max(1, len(truth.ids["dockets"])), 3),
        "quota_waited_seconds": round(waited(halves.instance, began), 1),
        "seconds": round(time.time() - began, 1),
        "bulk": asdict(halves.bulk),
        "api": asdict(halves.api()),
    }
    return figures, shortcomings(truth, stored, summary, chunks)


def _say(console: Console, line: str) -> None:
    console.print(line, markup=False, highlight=False, soft_wrap=True)
