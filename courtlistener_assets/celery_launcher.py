"""Runs as tasks of Celery workers, and what becomes of a run whose worker is gone: docs/guide/celery.md.

Dagster's own launcher believes the result backend: the task of a worker that was killed counts as started for ever, and
so does its run. This one asks the worker.

Belongs here: that difference. Does not belong here: how workers are configured (`deploy/celery/`), or any import of it
by the code location, which needs no Celery.
"""

from __future__ import annotations

from typing import Any, Final

from celery import states
from dagster import DagsterRun
from dagster._core.launcher import CheckRunHealthResult, WorkerStatus
from dagster_celery.launcher import CeleryRunLauncher
from dagster_celery.tags import DAGSTER_CELERY_TASK_ID_TAG

#: Seconds that workers have for an answer. Their main process answers, which no run keeps busy.
ANSWER_SECONDS: Final = 3.0
#: A question can be lost: the broker delivers it to those who listen at that moment.
QUESTIONS: Final = 3


class WatchedCeleryRunLauncher(CeleryRunLauncher):
    """Dagster's launcher, for which a run has failed as soon as no worker knows its task; then Dagster retries it."""

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """Say how the run's worker is. Raises what Celery raises when the broker is away, which fails no run."""
        task = self.celery.AsyncResult(run.tags[DAGSTER_CELERY_TASK_ID_TAG])
        if task.state in states.READY_STATES:
            return super().check_run_worker_health(run)
        worker = task.info.get("hostname") if isinstance(task.info, dict) else None
        if any(self._knows(worker, task.id) for _ in range(QUESTIONS)):
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        if task.state in states.READY_STATES:  # It has ended meanwhile.
            return super().check_run_worker_health(run)
        return CheckRunHealthResult(
            WorkerStatus.FAILED, f"No answer that {worker or 'a worker'} has the task {task.id}."
        )

    def _knows(self, worker: str | None, task_id: str) -> bool:
        """Ask the worker, or all of them, whether the task is there: at work or reserved."""
        workers = self.celery.control.inspect(destination=[worker] if worker else None, timeout=ANSWER_SECONDS)
        answers: dict[str, dict[str, Any]] = workers.query_task(task_id) or {}
        return any(task_id in known for known in answers.values())
