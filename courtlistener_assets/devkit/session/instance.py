"""The Dagster instance of a directory: `dagster.yaml` and `workspace.yaml` in DAGSTER_HOME, and runs left in it.

Belongs here: how Dagster is configured on one machine. Does not belong here: the code location (`location.py`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
from sqlalchemy import make_url

from courtlistener_assets.defs.names import API_POOL
from courtlistener_assets.operations import dagster_schema
from resources.connections.postgres_address import with_tls

_POSTGRES_URL = "DAGSTER_POSTGRES_URL"
_ACTIVE = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
_MODULE = {"module_name": "courtlistener_assets.definitions", "location_name": "courtlistener_assets"}


def write_instance(home: Path, *, workers: int) -> None:
    """Write `dagster.yaml` and `workspace.yaml` to `home`; at most `workers` steps at once ask the API."""
    home.mkdir(parents=True, exist_ok=True)
    files = {
        "dagster.yaml": _configuration(home, workers),
        "workspace.yaml": {"load_from": [{"python_module": _MODULE}]},
    }
    for name, content in files.items():
        # JSON is YAML, so no library is needed to write it.
        (home / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def dagster_variables(home: Path, postgres_url: str) -> dict[str, str]:
    """Return what every `dagster` process needs to find the instance in `home`, with its storage in our database.

    There it has the schema `dagster`, unless the address chooses another.
    """
    url = make_url(with_tls(postgres_url))
    options = url.query.get("options", "")
    if "search_path" not in options:
        url = url.update_query_dict({"options": f"{options} {dagster_schema.SEARCH_PATH}".strip()})
    if "application_name" not in url.query:
        url = url.update_query_dict({"application_name": "dagster"})
    # With the driver that dagster-postgres expects, and as sure of the server as our own connections.
    address = "postgresql+psycopg2://" + url.render_as_string(hide_password=False).partition("://")[2]
    return {"DAGSTER_HOME": str(home.absolute()), _POSTGRES_URL: address}


@contextmanager
def open_instance(home: Path, postgres_url: str) -> Iterator[dg.DagsterInstance]:
    """The instance in `home`, for this process.

    The first one makes Dagster's schema, its tables and the pool of the downloads, which processes that start together
    must not do at the same time: each would insert the pool's limit, and all but one would fail.
    """
    variables = dagster_variables(home, postgres_url)
    dagster_schema.prepare(variables[_POSTGRES_URL])
    # Dagster reads the variable that dagster.yaml names from the process.
    os.environ.update(variables)
    with dg.DagsterInstance.from_config(str(home)) as instance:
        # A second time fails on Postgres: Dagster continues in the transaction that the duplicate row has broken.
        if API_POOL not in instance.event_log_storage.get_concurrency_keys():
            instance.event_log_storage.initialize_concurrency_limit_to_default(API_POOL)
        yield instance


def end_abandoned_runs(instance: dg.DagsterInstance) -> int:
    """Mark all active runs as failed, free their slots in the pools, and return how many there were.

    Only for an instance that no other process uses, before anything is started on it: its storage ran on a server that
    has just been started, so no process of an earlier session can still be at work. Without this, a pool whose slots
    are held by dead runs would never let another step in.
    """
    runs = instance.get_runs(filters=dg.RunsFilter(statuses=_ACTIVE))
    for run in runs:
        instance.report_run_failed(run, "The process of this run was killed.")
    for run_id in instance.event_log_storage.get_concurrency_run_ids():
        instance.event_log_storage.free_concurrency_slots_for_run(run_id)
    return len(runs)


def _configuration(home: Path, workers: int) -> dict[str, Any]:
    return {
        "storage": {"postgres": {"postgres_url": {"env": _POSTGRES_URL}}},
        "compute_logs": {
            "module": "dagster._core.storage.local_compute_log_manager",
            "class": "LocalComputeLogManager",
            "config": {"base_dir": str(home / "logs")},
        },
        "local_artifact_storage": {
            "module": "dagster._core.storage.root",
            "class": "LocalArtifactStorage",
            "config": {"base_dir": str(home)},
        },
        "concurrency": {
            "runs": {"max_concurrent_runs": workers},
            "pools": {"default_limit": workers, "granularity": "op"},
        },
        # A run whose process died is started again; a step that failed on its own has said why.
        "run_retries": {"enabled": True, "max_retries": 2, "retry_on_asset_or_op_failure": False},
        # A step that was killed cannot give its place in the pool back.
        "run_monitoring": {"enabled": True, "poll_interval_seconds": 30, "free_slots_after_run_end_seconds": 60},
        "sensors": {"use_threads": True, "num_workers": 4},
        "schedules": {"use_threads": True, "num_workers": 2},
        "backfills": {"use_threads": True, "num_workers": 2},
        # As in deploy/docker/dagster.yaml: a sensor that ticks every 30 s adds 2,880 ticks a day.
        "retention": {
            "schedule": {"purge_after_days": 90},
            "sensor": {"purge_after_days": {"skipped": 7, "failure": 30, "success": 90}},
        },
        "telemetry": {"enabled": False},
        "nux": {"enabled": False},
    }
