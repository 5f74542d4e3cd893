"""Is Dagster's instance one that several processes can share, and does one daemon, and only one, run?

Belongs here: what the instance in DAGSTER_HOME tells. Does not belong here: whether DAGSTER_HOME is set
(`settings_checks.py`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from courtlistener_assets.operations.dagster_instance import dagster_instance, in_words
from courtlistener_assets.operations.doctor.findings import Finding, error, ok, warning

if TYPE_CHECKING:
    import dagster as dg

#: A daemon writes a heartbeat every 30 s.
_ALIVE_SECONDS = 90.0
_LOOK_SECONDS = 2.0
#: A run that holds a place that others wait for, and has said nothing for so long, may be dead.
_SILENT_SECONDS = 900.0
_ONE_DAEMON = (
    "Stop all daemons but one (`dagster dev` and `courtlistener dev` start one each); if a daemon was just restarted, "
    "look again in a minute."
)


def check_dagster(environ: Mapping[str, str], watch_seconds: float) -> Iterator[Finding]:
    """Run all checks of the instance. With `watch_seconds` (40 is enough), look that long for a second daemon."""
    home = environ.get("DAGSTER_HOME", "").strip()
    if not home or not (Path(home) / "dagster.yaml").exists():
        return
    try:
        with dagster_instance(home, environ) as instance:
            yield _storage(instance)
            yield from _retries(instance)
            yield from _places(instance)
            yield _daemons(instance, watch_seconds)
    except Exception as problem:  # Dagster, SQLAlchemy and the driver each raise their own.
        remedy = "Correct dagster.yaml and the variables that it names (DAGSTER_POSTGRES_URL)."
        yield error("dagster", in_words(problem), remedy)


def _storage(instance: dg.DagsterInstance) -> Finding:
    """SQLite locks up when several runs write at once."""
    kind = type(instance.event_log_storage).__name__
    if "Sqlite" not in kind and "InMemory" not in kind:
        return ok("dagster storage", "shared by all processes")
    message = f"Dagster keeps its events in {kind}: several runs at once lock each other out."
    return error("dagster storage", message, "Set `storage: postgres:` in dagster.yaml, as `courtlistener dev` does.")


def _retries(instance: dg.DagsterInstance) -> Iterator[Finding]:
    if instance.run_retries_enabled and instance.run_retries_retry_on_asset_or_op_failure:
        yield warning(
            "dagster retries",
            "run_retries.retry_on_asset_or_op_failure is on: a run that failed for a lasting reason is started again.",
            "Set it to false in dagster.yaml; failed dockets have their own sensor.",
        )


def _places(instance: dg.DagsterInstance) -> Iterator[Finding]:
    """A step that is killed cannot give its place in the pool back, and the next one waits without a word."""
    settings = instance.run_monitoring_settings
    if not (instance.run_monitoring_enabled and settings.get("free_slots_after_run_end_seconds")):
        yield warning(
            "dagster pools",
            "Runs that were killed keep their places in the pool courtlistener_api: later ones wait for ever.",
            "In dagster.yaml, below `run_monitoring:`, set `enabled: true` and `free_slots_after_run_end_seconds: 60`.",
        )
    for run_id, silent_seconds in _silent_holders(instance):
        yield warning(
            "dagster pools",
            f"Steps wait for a place in a pool, and run {run_id[:8]}, which holds one, has said nothing for "
            f"{silent_seconds / 60:.0f} minutes.",
            "If its process is gone, terminate the run in the UI with `Force termination immediately`.",
        )


def _silent_holders(instance: dg.DagsterInstance) -> Iterator[tuple[str, float]]:
    storage = instance.event_log_storage
    for pool in sorted(storage.get_concurrency_keys()):
        found = storage.get_concurrency_info(pool)
        for run_id in sorted(found.active_run_ids) if found.pending_run_ids else ():
            run, said = instance.get_run_by_id(run_id), storage.get_logs_for_run(run_id, limit=1, ascending=False)
            silent_seconds = time.time() - said[-1].timestamp if said else _SILENT_SECONDS
            if run and not run.is_finished and silent_seconds >= _SILENT_SECONDS:
                yield run_id, silent_seconds


def _daemons(instance: dg.DagsterInstance, watch_seconds: float) -> Finding:
    """One daemon must run. Only the last heartbeat of each kind is kept, so a second daemon shows itself over time."""
    seen, until = _daemon_ids(instance), time.time() + watch_seconds
    while len(seen) < 2 and time.time() < until:
        time.sleep(_LOOK_SECONDS)
        seen |= _daemon_ids(instance)
    if len(seen) > 1:
        message = (
            f"{len(seen)} Dagster daemons work on this instance; each starts the runs of all sensors and schedules."
        )
        return error("dagster daemon", message, _ONE_DAEMON)
    if not seen:
        message = "No Dagster daemon runs: no schedule, sensor, retry or queued run starts."
        return warning("dagster daemon", message, "Start `courtlistener dev` or `dagster-daemon run`.")
    return ok("dagster daemon", "one is running")


def _daemon_ids(instance: dg.DagsterInstance) -> set[str]:
    heartbeats, now = instance.get_daemon_heartbeats().values(), time.time()
    return {str(beat.daemon_id) for beat in heartbeats if now - beat.timestamp < _ALIVE_SECONDS}
