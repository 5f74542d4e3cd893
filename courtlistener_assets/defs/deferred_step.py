"""How a download step ends when it cannot go on now: who goes on later, and when.

Belongs here: turning the error that stopped a step into a deferral, or giving back a claim. Does not belong here: the
tables (`resources/backlog/deferrals.py`, `resources/backlog/failures.py`), or starting the next run (`sensors/`).

A deferred step fails without retries: its finished partitions stay green, the others stay missing, a backfill that
waits for it ends, and a sensor goes on when the time has come.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from courtlistener_assets.defs.step_errors import NO_RUN_RETRY
from resources.backlog.deferrals import Deferrals
from resources.backlog.failures import Failures
from resources.errors import (
    ApiError,
    BadRequest,
    CourtListenerAssetsError,
    QuotaDeferred,
    QuotaError,
    TransientApiError,
)
from resources.quota.eta import eta_seconds, in_words
from resources.quota.permits import WindowUsage

#: The op's retries have taken minutes; a server that is still away is asked again after this.
OUTAGE_SECONDS = 900.0
#: A token that is not accepted needs a person.
STOPPED_SECONDS = 3600.0
#: In a long run of many partitions not each needs a line of its own.
_MOST_OBSERVATIONS = 100


@dataclass(frozen=True)
class DeferredStep:
    """A step of a run that is ending early.

    `run_id` is the run whose passes the next one goes on with; `config` what the step was told; `sweeps` the names of
    what makes a partition complete.
    """

    context: dg.AssetExecutionContext
    deferrals: Deferrals
    run_id: str
    config: dict[str, Any]
    sweeps: Sequence[str]

    @property
    def asset(self) -> str:
        return str(self.context.asset_key.to_user_string())

    def defer(
        self,
        error: CourtListenerAssetsError,
        left: Sequence[str],
        usage: Sequence[WindowUsage],
        *,
        done: Sequence[str] = (),
    ) -> dg.Failure:
        """Record the unfinished partitions (`left`); returns the failure that ends the step.

        What the run was to make from the finished ones (`done`) is skipped with the rest, so it is recorded too.
        """
        wait_seconds = error.wait_seconds if isinstance(error, QuotaDeferred) else OUTAGE_SECONDS
        reason = f"{type(error).__name__}: {error}"
        requests = self.deferrals.estimated_requests(self.asset, left, self.sweeps)
        eta = eta_seconds(requests, [use.window for use in usage], usage)
        downstream = _downstream(self.context)
        common: dict[str, Any] = {"wait_seconds": wait_seconds, "reason": reason, "run_id": self.run_id}
        self.deferrals.record(self.asset, left, **common, config=self.config, downstream=downstream, eta_seconds=eta)
        for asset in downstream:
            self.deferrals.record(asset, done, **common)
        until = datetime.now(UTC) + timedelta(seconds=wait_seconds)
        metadata: dict[str, Any] = {
            "deferred_until": dg.MetadataValue.timestamp(until),
            "reason": str(error),
            "partitions_left": len(left),
            "requests_left_about": requests,
            "time_left_about": in_words(max(eta, wait_seconds)),
        }
        for partition in list(left)[:_MOST_OBSERVATIONS]:
            self.context.log_event(dg.AssetObservation(self.context.asset_key, partition=partition, metadata=metadata))
        return _failure(
            self.context,
            f"Deferred until {until:%Y-%m-%d %H:%M} UTC, {len(left)} partitions left: {error}. The sensor "
            f"resume_deferred goes on with them; the rest takes about {metadata['time_left_about']}.",
            metadata,
        )


def is_deferrable(error: CourtListenerAssetsError, retries_left: int) -> bool:
    """Whether later is the answer: no room in the quota, or a server that stays away when the op's retries are used."""
    if isinstance(error, QuotaDeferred):
        return True
    return isinstance(error, TransientApiError) and retries_left <= 0


def release_claim(
    context: dg.AssetExecutionContext, failures: Failures, claim_id: str, error: CourtListenerAssetsError
) -> dg.Failure | None:
    """Give a claim back without a try more if its dockets are not to blame; returns the failure that ends the step.

    None if they may be to blame: the claim then stays with the run, whose end costs a try.
    """
    if isinstance(error, BadRequest) or not isinstance(error, (ApiError, QuotaError)):
        return None
    wait_seconds = STOPPED_SECONDS
    if error.retryable:
        wait_seconds = error.wait_seconds if isinstance(error, QuotaDeferred) else OUTAGE_SECONDS
    count = failures.release(claim_id, context.asset_key.to_user_string(), wait_seconds)
    what = f"{count} failed dockets are tried again in {in_words(wait_seconds)} at the earliest"
    return _failure(context, f"{type(error).__name__}: {error}; {what}.", {"error": type(error).__name__})


def _failure(context: dg.AssetExecutionContext, description: str, metadata: dict[str, Any]) -> dg.Failure:
    context.instance.add_run_tags(context.run.run_id, NO_RUN_RETRY)
    return dg.Failure(description=description, metadata=metadata, allow_retries=False)


def _downstream(context: dg.AssetExecutionContext) -> list[str]:
    """The assets of the run that are made from this one: they are skipped now and wanted later."""
    layer = context.job_def.asset_layer
    graph = layer.asset_graph
    wanted = {key for key in layer.selected_asset_keys if graph.has(key)}
    below: set[dg.AssetKey] = set()
    frontier = {context.asset_key}
    while frontier:
        frontier = {child for key in frontier for child in graph.get(key).child_keys} - below
        below |= frontier
    return sorted(key.to_user_string() for key in below & wanted)
