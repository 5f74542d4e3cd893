"""When a run counts as lost: as soon as no worker has its task, and not because one did not answer once."""

from __future__ import annotations

import re
import runpy
from importlib import import_module
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml  # type: ignore[import-untyped]
from celery.app.utils import SETTING_KEYS
from dagster import DagsterRun
from dagster._core.launcher import WorkerStatus
from dagster_celery.tags import DAGSTER_CELERY_TASK_ID_TAG

from courtlistener_assets import Settings
from courtlistener_assets.celery_launcher import QUESTIONS, WatchedCeleryRunLauncher
from courtlistener_assets.devkit.session.instance import write_instance

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "deploy" / "celery"
RUN = DagsterRun(job_name="court_month", run_id=str(uuid4()), tags={DAGSTER_CELERY_TASK_ID_TAG: "task"})
HERE = {"one@host": {"task": ["active", {}]}}
#: A worker that was started anew under the same name answers, and knows nothing of the task.
ELSEWHERE: dict[str, Any] = {"one@host": {}}


class Workers:
    """Celery as far as the launcher asks it: the task's states and the answers of the workers, one after the other."""

    def __init__(self, states: list[str], answers: list[Any], info: Any = None) -> None:
        self.states, self.answers, self.info, self.asked = states, answers, info, list[Any]()
        self.control, self.id = self, "task"

    def AsyncResult(self, _: str) -> Workers:
        return self

    @property
    def state(self) -> str:
        return self.states.pop(0) if len(self.states) > 1 else self.states[0]

    def inspect(self, *, destination: list[str] | None, timeout: float) -> Workers:
        assert timeout > 0
        self.asked.append(destination)
        return self

    def query_task(self, task_id: str) -> Any:
        assert task_id == self.id
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def status(workers: Workers) -> WorkerStatus:
    launcher = WatchedCeleryRunLauncher(default_queue="dagster", broker="memory://", backend="cache+memory://")
    setattr(launcher, "celery", workers)  # noqa: B010
    return launcher.check_run_worker_health(RUN).status


def test_a_run_whose_worker_has_its_task_is_at_work() -> None:
    workers = Workers(["STARTED"], [HERE], {"hostname": "one@host"})
    assert status(workers) == WorkerStatus.RUNNING
    assert workers.asked == [["one@host"]]


def test_an_answer_that_was_lost_once_fails_no_run() -> None:
    assert status(Workers(["STARTED"], [None, HERE], {"hostname": "one@host"})) == WorkerStatus.RUNNING


@pytest.mark.parametrize("answer", [None, ELSEWHERE])
def test_a_run_whose_worker_is_silent_or_new_has_failed(answer: Any) -> None:
    assert status(Workers(["STARTED"], [answer] * QUESTIONS, {"hostname": "one@host"})) == WorkerStatus.FAILED


def test_a_task_that_ends_while_workers_are_asked_has_not_failed() -> None:
    workers = Workers(["STARTED", "SUCCESS"], [ELSEWHERE] * QUESTIONS, {"hostname": "one@host"})
    assert status(workers) == WorkerStatus.SUCCESS


def test_a_run_of_which_the_result_backend_knows_nothing_is_asked_for_everywhere() -> None:
    workers = Workers(["PENDING"], [HERE])
    assert status(workers) == WorkerStatus.RUNNING
    assert workers.asked == [None]


def test_a_task_that_celery_has_seen_fail_is_not_asked_for() -> None:
    assert status(Workers(["FAILURE"], [])) == WorkerStatus.FAILED


def test_a_broker_that_is_away_fails_no_run() -> None:
    with pytest.raises(ConnectionError):
        status(Workers(["STARTED"], [ConnectionError()], {"hostname": "one@host"}))


def test_the_recipe_retries_and_frees_as_one_machine_does_and_takes_the_launcher_that_asks(tmp_path: Path) -> None:
    write_instance(tmp_path, workers=4)
    local, recipe = (yaml.safe_load(path.read_text()) for path in (tmp_path / "dagster.yaml", RECIPE / "dagster.yaml"))
    for key in ("storage", "run_retries", "sensors", "schedules", "backfills", "telemetry", "concurrency"):
        assert recipe[key] == local[key]
    assert recipe["run_monitoring"].items() >= {"enabled": True, "free_slots_after_run_end_seconds": 60}.items()
    launcher = recipe["run_launcher"]
    assert getattr(import_module(launcher["module"]), launcher["class"]) is WatchedCeleryRunLauncher
    # No address of a broker, which may have a password, is in a file.
    assert set(launcher["config"]) == {"broker", "backend"}
    assert all(set(each) == {"env"} for each in launcher["config"].values())


def test_every_setting_of_the_workers_is_one_of_celery() -> None:
    settings = runpy.run_path(str(RECIPE / "dagster_celery_config.py"))
    chosen = {name: value for name, value in settings.items() if name.islower() and not name.startswith("_")}
    assert set(chosen) - {"timedelta"} <= set(SETTING_KEYS)
    assert chosen["worker_disable_prefetch"] is True
    assert chosen["task_acks_late"] is False


def test_the_executor_is_the_choice_of_whoever_embeds_the_location(monkeypatch: pytest.MonkeyPatch) -> None:
    page = (ROOT / "docs" / "guide" / "celery.md").read_text(encoding="utf-8")
    [example] = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    for name in re.findall(r'"env": "(\w+)"', example):
        monkeypatch.setenv(name, "redis://127.0.0.1/1")
    names: dict[str, Any] = {"settings": Settings(api_token="token")}
    exec(example, names)
    job = names["defs"].resolve_job_def("court_month")
    assert job.executor_def.name == "celery"
