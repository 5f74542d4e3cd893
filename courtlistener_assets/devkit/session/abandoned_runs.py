"""Runs that Dagster believes to be going on although the machine, or whoever started them, was killed.

Belongs here: ending them. Does not belong here: starting them again; the daemon does, as `run_retries` says.
"""

from __future__ import annotations

import dagster as dg

_GOING_ON = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]


def end_abandoned_runs(instance: dg.DagsterInstance) -> int:
    """Mark all runs that are going on as failed and give back their places in the pools; returns how many there were.

    Only for an instance that nobody else uses, before anything is started on it: its storage ran on a server that has
    just been started, so no process of an earlier session can still be at work. Without this, a pool whose places are
    held by dead runs would never let another step in.
    """
    runs = instance.get_runs(filters=dg.RunsFilter(statuses=_GOING_ON))
    for run in runs:
        instance.report_run_failed(run, "The process of this run was killed.")
    for run_id in instance.event_log_storage.get_concurrency_run_ids():
        instance.event_log_storage.free_concurrency_slots_for_run(run_id)
    return len(runs)
