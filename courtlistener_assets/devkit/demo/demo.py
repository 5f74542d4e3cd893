"""The main job end to end on one machine, and the proof that nothing is missing.

Belongs here: the order of the demo's steps. Does not belong here: the steps (the other modules of this folder), and the
servers (`session/`), which are those of `courtlistener dev` without a token: it opens on what the demo has stored.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
from rich.console import Console

from courtlistener_assets.devkit.demo.figures import Expected, count_chunks, expected, shortcomings, stored_ids, waited
from courtlistener_assets.devkit.demo.plan import ASSETS, GENERATED, ranges_of, run_all, title
from courtlistener_assets.devkit.demo.progress import progress, table
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
        truth = expected(simulator, ranges_of(partitions))
        with open_instance(Path(added["DAGSTER_HOME"]), settings.postgres_url) as instance:
            _materialize(console, simulator, instance, partitions, truth, environ, root / ".demo" / "logs")
            figures, found = _figures(simulator, instance, partitions, truth, settings, began)
    (root / ".demo" / "summary.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    console.print(table(figures))
    for line in found or ["Complete: everything that belongs to the partitions is stored, once."]:
        _say(console, line)
    _say(console, f"The chunks are in {settings.data_dir}/vector_inputs, these figures in .demo/summary.json.")
    command = f"courtlistener dev --corpus {corpus}" if corpus else "make dev, or courtlistener dev"
    _say(console, f"Look at the rest in the Dagster UI, without COURTLISTENER_API_TOKEN: {command}")
    return not found


def _materialize(
    console: Console,
    simulator: SimulatorProcess,
    instance: dg.DagsterInstance,
    partitions: Iterable[CourtMonth],
    truth: Expected,
    environ: Mapping[str, str],
    logs: Path,
) -> None:
    settings = Settings.from_environ(environ)
    done = set.intersection(*(instance.get_materialized_partitions(dg.AssetKey(asset)) for asset in ASSETS))
    todo = ranges_of(key for key in partitions if str(key) not in done)
    logs.mkdir(parents=True, exist_ok=True)
    if not todo:
        _say(console, "Every partition is materialized already; nothing to do but check.")
        return
    _say(console, f"Downloading under a quota of {settings.rate_limits}, one Dagster run each; logs in {logs}:")
    for months in todo:
        _say(console, f"  {title(months)}")
    with progress(console, truth.fewest_requests) as show:

        def show_requests() -> None:
            summary = simulator.summary()
            show(summary["admitted"], summary["refused"])

        run_all(todo, environ, logs, at_once=settings.workers, each_poll=show_requests)


def _figures(
    simulator: SimulatorProcess,
    instance: dg.DagsterInstance,
    partitions: Iterable[CourtMonth],
    truth: Expected,
    settings: Settings,
    began: float,
) -> tuple[dict[str, Any], list[str]]:
    database = Database(settings.postgres_url)
    try:
        stored = stored_ids(database)
    finally:
        database.close()
    summary, chunks = simulator.summary(), count_chunks(settings.data_dir, partitions)
    figures = {
        **{stream: len(set(numbers) & truth.ids[stream]) for stream, numbers in stored.items()},
        "chunks": chunks,
        "requests": summary["admitted"],
        "fewest_requests": truth.fewest_requests,
        "refused": summary["refused"],
        "requests_per_docket": round(summary["admitted"] / max(1, len(truth.ids["dockets"])), 3),
        "quota_waited_seconds": round(waited(instance, began), 1),
        "seconds": round(time.time() - began, 1),
    }
    return figures, shortcomings(truth, stored, summary, chunks)


def _say(console: Console, line: str) -> None:
    console.print(line, markup=False, highlight=False, soft_wrap=True)
