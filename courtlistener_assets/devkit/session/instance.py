"""The Dagster instance of a checkout: `dagster.yaml` in DAGSTER_HOME.

Belongs here: how Dagster is configured on one machine. Does not belong here: the code location (`definitions.py`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg

from courtlistener_assets.defs.assets.download_step import API_POOL
from courtlistener_assets.devkit.session.session import DAGSTER_POSTGRES_URL, dagster_variables


def write_instance(home: Path, *, workers: int) -> None:
    """Write `dagster.yaml` to `home`; at most `workers` steps at once ask the API."""
    home.mkdir(parents=True, exist_ok=True)
    # JSON is YAML, so no library is needed to write it.
    (home / "dagster.yaml").write_text(json.dumps(_configuration(home, workers), indent=2) + "\n", encoding="utf-8")


@contextmanager
def open_instance(home: Path, postgres_url: str) -> Iterator[dg.DagsterInstance]:
    """The instance in `home`, for this process.

    The first one makes Dagster's tables and the pool of the downloads, which processes that start together must not do
    at the same time: each would insert the pool's limit, and all but one would fail.
    """
    # Dagster reads the variable that dagster.yaml names from the process.
    os.environ.update(dagster_variables(home, postgres_url))
    with dg.DagsterInstance.from_config(str(home)) as instance:
        # A second time fails on Postgres: Dagster goes on in the transaction that the duplicate row has broken.
        if API_POOL not in instance.event_log_storage.get_concurrency_keys():
            instance.event_log_storage.initialize_concurrency_limit_to_default(API_POOL)
        yield instance


def _configuration(home: Path, workers: int) -> dict[str, Any]:
    return {
        "storage": {"postgres": {"postgres_url": {"env": DAGSTER_POSTGRES_URL}}},
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
        "run_monitoring": {"enabled": True},
        "sensors": {"use_threads": True, "num_workers": 4},
        "schedules": {"use_threads": True, "num_workers": 2},
        "backfills": {"use_threads": True, "num_workers": 2},
        "telemetry": {"enabled": False},
        "nux": {"enabled": False},
    }
