"""The Dagster processes of the demo: started several at once, watched until all have ended.

Belongs here: processes and their logs. Does not belong here: what is materialised (`plan.py`) and how progress is
shown (`progress.py`).
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from courtlistener_assets.devkit.demo.plan import Job
from courtlistener_assets.devkit.servers.processes import start_process, stop_process, stop_processes
from resources.errors import CourtListenerAssetsError

_POLL_SECONDS = 0.25


class RunFailed(CourtListenerAssetsError):
    """A Dagster process of the demo failed."""


@dataclass(frozen=True)
class _Running:
    job: Job
    process: subprocess.Popen[bytes]
    log: Path


def run_all(
    jobs: Sequence[Job],
    environ: Mapping[str, str],
    logs: Path,
    *,
    at_once: int,
    each_poll: Callable[[], None],
    ended: Callable[[Job], None],
) -> None:
    """Run the jobs, `at_once` at a time; a KeyboardInterrupt or a failure stops those that still run.

    Raises RunFailed with the end of the log of the job that failed.
    """
    waiting, running = list(jobs), list[_Running]()
    logs.mkdir(parents=True, exist_ok=True)
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                running.append(_start(waiting.pop(0), environ, logs))
            for one in [one for one in running if one.process.poll() is not None]:
                running.remove(one)
                if stop_process(one.process):
                    raise RunFailed(f"{one.job.title} failed; the end of {one.log}:\n{_end_of(one.log)}")
                ended(one.job)
            each_poll()
            time.sleep(_POLL_SECONDS)
    finally:
        stop_processes([one.process for one in running])


def _start(job: Job, environ: Mapping[str, str], logs: Path) -> _Running:
    log = logs / (job.title.replace(" ", "-") + ".log")
    command = [sys.executable, "-m", "dagster", "asset", "materialize", "-m", "courtlistener_assets.definitions"]
    command += ["--select", ",".join(job.assets), "--partition-range", job.months.key]
    with log.open("wb") as output:
        return _Running(job, start_process(command, output=output, env=environ, cwd=Path.cwd()), log)


def _end_of(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-25:])
