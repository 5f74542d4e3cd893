"""A step that asks CourtListener: one run over some partitions of an asset, with all that it needs.

Belongs here: what the downloading assets have in common: how Dagster runs them, whose work a run is, and how it ends.
Does not belong here: what they walk (`downloads.py`, `court_changes.py`),
or when a deferred step is resumed (`deferred_step.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import dagster as dg

from courtlistener_assets import logs
from courtlistener_assets.defs.assets.download_config import DownloadConfig
from courtlistener_assets.defs.deferred_step import DeferredStep, is_deferrable, release_claim
from courtlistener_assets.download.catch_up import CourtDay
from courtlistener_assets.download.partitions import CourtMonth
from resources.backlog.backlog import Backlog
from resources.courtlistener.client import CourtListenerClient
from resources.errors import CourtListenerAssetsError
from resources.records.store import RecordStore

#: Bounds how many download steps run at once, over all runs; the quota itself is kept by the permits.
API_POOL = "courtlistener_api"
#: When the server or Postgres was away; after these the step fails, and if it was the server, it is deferred.
STEP_RETRIES = dg.RetryPolicy(max_retries=2, delay=30, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS)

Partition = TypeVar("Partition", CourtMonth, CourtDay)


@dataclass(frozen=True, kw_only=True)
class DownloadStep(Generic[Partition]):
    """One run over some partitions; `sweeps` are the names of what makes one complete."""

    context: dg.AssetExecutionContext
    client: CourtListenerClient
    store: RecordStore
    backlog: Backlog
    config: DownloadConfig
    partitions: Sequence[Partition]
    sweeps: Sequence[str]
    walked: set[Partition] = field(default_factory=set)

    @property
    def asset(self) -> str:
        return str(self.context.asset_key.to_user_string())

    @property
    def run_id(self) -> str:
        """The run that began this work: a retry, or a run that goes on with a deferred one, is still the same work."""
        return self.config.resumes or self.context.run.root_run_id or self.context.run.run_id

    @property
    def full_refresh(self) -> bool:
        """Whether to ask for all objects, not only for those modified since the last time."""
        return self.config.full_refresh or self.config.selective

    def tell_walked(self, partition: Partition, fields: dict[str, Any]) -> None:
        """Log that a partition was walked to its end, and what that has brought."""
        extra = {"event": "partition_walked", "partition": str(partition), **fields}
        logs.run_log.info(f"{self.asset} {partition}: {fields}", extra=extra)

    def note_walked(self, partition: Partition) -> None:
        """All that was asked for of a partition is there: nobody has to go on with it."""
        self.walked.add(partition)
        self.backlog.deferrals.clear(self.asset, str(partition), some_dockets=self.config.selective)

    def turn_green(self, partition: Partition, metadata: dict[str, Any]) -> None:
        """Tell Dagster that a partition is complete; one of many turns green at once, not when the run ends."""
        self.context.add_asset_metadata(metadata, partition_key=str(partition))
        if len(self.partitions) > 1:
            self.context.log_event(
                dg.AssetMaterialization(self.context.asset_key, partition=str(partition), metadata=metadata)
            )

    @contextmanager
    def deferring(self) -> Iterator[None]:
        """Where an error that only time can mend ends the step so that somebody goes on later; others pass."""
        try:
            yield
        except CourtListenerAssetsError as error:
            failure = self._deferred(error)
            if failure is None:
                raise
            raise failure from error

    def _deferred(self, error: CourtListenerAssetsError) -> dg.Failure | None:
        if self.config.claim_id:
            return release_claim(self.context, self.backlog.failures, self.config.claim_id, error)
        if not is_deferrable(error, STEP_RETRIES.max_retries - self.context.retry_number):
            return None
        step = DeferredStep(self.context, self.backlog.deferrals, self.run_id, self.config.carried_over(), self.sweeps)
        left = [str(partition) for partition in self.partitions if partition not in self.walked]
        return step.defer(error, left, self.client.limiter.usage(), done=[str(each) for each in self.walked])

    def acknowledge(self) -> None:
        """All that was asked for was tried: the failures that this run retries are resolved, or have failed again."""
        if self.config.claim_id:
            resolved, again = self.backlog.failures.acknowledge(self.config.claim_id, self.asset)
            logs.run_log.info(
                f"{resolved} failures are resolved, {again} failed again",
                extra={"event": "failures_retried", "resolved": resolved, "failed_again": again},
            )
