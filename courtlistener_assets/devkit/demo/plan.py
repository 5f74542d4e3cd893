"""What the demo materializes, and the Dagster runs that do it.

Belongs here: partitions, assets, processes and their logs. Does not belong here: how progress is shown (`progress.py`),
the months that come from bulk files (`from_bulk.py`).
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path

from courtlistener_assets.devkit.servers.processes import start_process, stop_process, stop_processes
from courtlistener_assets.download.bulk.bootstrap import STREAMS as BULK_STREAMS
from courtlistener_assets.download.choice import chosen
from courtlistener_assets.download.partitions import CourtMonth
from resources.errors import RunFailed

_POLL_SECONDS = 0.25
#: The demo has the streams of a location that does not choose.
DOWNLOADS = tuple(stream.name for stream in chosen())
ASSETS = (*DOWNLOADS, "vector_inputs")
#: What is left to materialize of months whose dockets, clusters and opinions come from bulk files.
ASSETS_BESIDE_BULK = tuple(asset for asset in ASSETS if asset not in BULK_STREAMS)
#: The court whose months do in the generated corpus: half of all.
BULK_COURTS = ("ca9",)
#: What the demo takes of the generated corpus.
GENERATED = tuple(CourtMonth(court, date(2024, month, 1)) for court in ("ca9", "scotus") for month in (1, 2, 3))

#: Consecutive months of one court, which one Dagster run takes.
Months = tuple[CourtMonth, ...]


def ranges_of(partitions: Iterable[CourtMonth]) -> list[Months]:
    """Join the partitions of a court whose months follow each other."""
    ranges: list[Months] = []
    for key in sorted(set(partitions)):
        if ranges and ranges[-1][-1].court == key.court and ranges[-1][-1].next_month == key.month:
            ranges[-1] += (key,)
        else:
            ranges.append((key,))
    return ranges


def title(months: Months) -> str:
    """Return the court and its months, as in `ca9 2024-01 to 2024-03`."""
    first, last = (f"{months[end].month:%Y-%m}" for end in (0, -1))
    return f"{months[0].court} {first}" + (f" to {last}" if first != last else "")


def run_all(
    ranges: Sequence[Months],
    environ: Mapping[str, str],
    logs: Path,
    *,
    bulk_courts: Sequence[str],
    at_once: int,
    each_poll: Callable[[], None],
) -> None:
    """Materialize everything of each range, `at_once` at a time; a KeyboardInterrupt or a failure stops the others.

    Of `bulk_courts` only what bulk files do not have.

    Raises RunFailed with the end of the log of the run that failed.
    """
    waiting, running = list(ranges), dict[Path, subprocess.Popen[bytes]]()
    logs.mkdir(parents=True, exist_ok=True)
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                months = waiting.pop(0)
                log = logs / f"{title(months).replace(' ', '-')}.log"
                assets = ASSETS_BESIDE_BULK if months[0].court in bulk_courts else ASSETS
                running[log] = _start(months, assets, environ, log)
            for log in [log for log, process in running.items() if process.poll() is not None]:
                if stop_process(running.pop(log)):
                    end = "\n".join(log.read_text(errors="replace").splitlines()[-25:])
                    raise RunFailed(f"a run failed; the end of {log}:\n{end}")
            each_poll()
            time.sleep(_POLL_SECONDS)
    finally:
        stop_processes(list(running.values()))


def _start(months: Months, assets: Sequence[str], environ: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "dagster", "asset", "materialize", "-m", "courtlistener_assets.definitions"]
    command += ["--select", ",".join(assets), "--partition-range", f"{months[0]}...{months[-1]}"]
    with log.open("wb") as output:
        return start_process(command, output=output, env=environ, cwd=Path.cwd())
