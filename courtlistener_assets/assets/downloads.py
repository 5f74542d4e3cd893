"""The download assets: one a stream, partitioned by court and month.

Belongs here: how a run of Dagster becomes walks over sweeps, and what it tells Dagster. Does not belong here: what a
stream is (`streams.py`), how a sweep is walked (`sweep.py`).
"""

import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from courtlistener_assets import tombstones
from courtlistener_assets.assets.download_config import DownloadConfig
from courtlistener_assets.assets.partitioning import partitions_of
from courtlistener_assets.deferral import DeferredStep, is_deferrable, put_off_claim
from courtlistener_assets.failures import translated
from courtlistener_assets.partitions import CourtMonth
from courtlistener_assets.streams import Stream
from courtlistener_assets.sweep import Sweeper, SweepStopped
from resources.bookkeeping import Bookkeeping, BookkeepingResource
from resources.courtlistener import CourtListenerClient, CourtListenerResource
from resources.errors import CourtListenerAssetsError, TransientApiError
from resources.permits import Lane
from resources.record import PageOfRecords, SweepPass
from resources.records import RecordStore, RecordStoreResource

#: Bounds how many download steps run at once, over all runs; the quota itself is kept by the permits.
API_POOL = "courtlistener_api"
#: Retries of a step whose server or Postgres was away; after that it is deferred.
STEP_RETRIES = 2


def download_asset(stream: Stream, partitions_def: dg.PartitionsDefinition, workers: int) -> dg.AssetsDefinition:
    """The asset that downloads a stream; `workers` partitions of a run are downloaded at once."""

    @dg.asset(
        name=stream.name,
        description=stream.description,
        partitions_def=partitions_def,
        # One run may take many partitions: they share its workers, and each turns green when it is complete.
        backfill_policy=dg.BackfillPolicy.single_run(),
        pool=API_POOL,
        group_name="downloads",
        owners=["team:legal-data"],
        kinds={"postgres", "rest_api"},
        tags={"source": "courtlistener", "endpoint": stream.endpoint},
        output_required=False,
        retry_policy=dg.RetryPolicy(
            max_retries=STEP_RETRIES, delay=30, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS
        ),
    )
    def download(
        context: dg.AssetExecutionContext,
        config: DownloadConfig,
        courtlistener: CourtListenerResource,
        records: RecordStoreResource,
        bookkeeping: BookkeepingResource,
    ) -> Iterable[dg.MaterializeResult[Any]]:
        # Retries may use the part of the quota that is kept back from backfills.
        lane = Lane.PRIORITY if config.claim_id else Lane.BACKFILL
        with (
            translated(context),
            records.open() as store,
            bookkeeping.open() as books,
            courtlistener.open(lane) as client,
        ):
            run = _Run(context, stream, client, store, books, config)
            partitions = partitions_of(context)
            try:
                store.prepare(stream.stores)
                client.refresh_quota()
                complete = run.download(partitions, workers)
            except CourtListenerAssetsError as error:
                failure = run.ended_early(error, partitions)
                if failure is None:
                    raise
                raise failure from error
            run.acknowledge()
            if complete:
                yield dg.MaterializeResult(metadata=run.run_metadata(partitions))

    return download


@dataclass(frozen=True)
class _Run:
    """One run over some partitions of a stream."""

    context: dg.AssetExecutionContext
    stream: Stream
    client: CourtListenerClient
    store: RecordStore
    books: Bookkeeping
    config: DownloadConfig
    complete: set[CourtMonth] = field(default_factory=set)

    @property
    def run_id(self) -> str:
        """The run that began this work: a retry, or a run that goes on with a deferred one, is still the same work."""
        return self.config.resumes or self.context.run.root_run_id or self.context.run.run_id

    def download(self, partitions: list[CourtMonth], workers: int) -> bool:
        """Walk all partitions; returns whether every one is complete.

        One that fails does not keep the others from going on, unless the reason is common to all: quota, token.
        Raises one of the errors when all have ended.
        """
        stopping = threading.Event()
        self.books.state.initialize_pipeline_state(self.run_id, job=self.context.job_name, partitions=len(partitions))
        self.books.state.cache_task_start_time(self.run_id, self.stream.name)
        sweeper = Sweeper(
            self.client,
            self.store,
            run_id=self.run_id,
            everything=self.config.full_refresh or self.config.selective,
            stopped=stopping.is_set,
            stored=self._note_page,
        )
        errors = []
        with ThreadPoolExecutor(workers, thread_name_prefix=self.stream.name) as pool:
            walks = {pool.submit(self._walk, sweeper, partition): partition for partition in partitions}
            try:
                for walk in as_completed(walks):
                    error = walk.exception()
                    if error is None:
                        self._report(walks[walk], walk.result(), alone=len(partitions) == 1)
                    elif not isinstance(error, SweepStopped):
                        errors.append(error)
                        if not isinstance(error, TransientApiError):
                            stopping.set()
            except BaseException:  # Cancelled, most likely: let no thread go on behind the run's back.
                stopping.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        if errors:
            raise min(errors, key=lambda error: getattr(error, "retryable", False))
        return all(
            self.store.is_complete(self.stream.name, str(partition), self._sweep_names()) for partition in partitions
        )

    def _walk(self, sweeper: Sweeper, partition: CourtMonth) -> list[SweepPass]:
        passes = [sweeper.walk(self.stream, sweep, partition) for sweep in self.config.sweeps(self.stream)]
        if self.config.full_refresh and not self.config.selective and self.stream.name in tombstones.DATED:
            gone = tombstones.bury_missing(
                self.client, self.store, self.books.audit, self.stream, partition, self.run_id
            )
            self.context.log.info(f"{self.stream.name} {partition}: {gone} are gone from CourtListener")
        return passes

    def _note_page(self, before: SweepPass, page: PageOfRecords) -> None:
        dockets = [record.docket_id for record in page.records if record.docket_id]
        failures = self.books.failed.of_partition(self.stream.name, before.key.partition) if page.failures else []
        self.books.state.update_docket_processing_state(self.run_id, dockets, failures, records=len(page.records))

    def ended_early(self, error: CourtListenerAssetsError, partitions: list[CourtMonth]) -> dg.Failure | None:
        """What ends the step instead of `error`: someone goes on later. None: the error is the end of it."""
        if self.config.claim_id:
            return put_off_claim(self.context, self.books.failed, self.config.claim_id, error)
        if not is_deferrable(error, STEP_RETRIES - self.context.retry_number):
            return None
        left = [str(partition) for partition in partitions if partition not in self.complete]
        config = self.config.carried_over()
        step = DeferredStep(self.context, self.books.deferrals, self.run_id, config, self._sweep_names())
        done = [str(partition) for partition in self.complete]
        return step.defer(error, left, self.client.limiter.usage(), done=done)

    def acknowledge(self) -> None:
        """All that was asked for was tried."""
        if self.config.claim_id:
            resolved, again = self.books.failed.acknowledge(self.config.claim_id, self.stream.name)
            self.context.log.info(f"{resolved} failures are resolved, {again} failed again")

    def _sweep_names(self) -> list[str]:
        return [sweep.name for sweep in self.stream.sweeps]

    def _report(self, partition: CourtMonth, passes: list[SweepPass], *, alone: bool) -> None:
        """Tell Dagster, and whoever waits for it, about a partition that was walked to its end."""
        key = str(partition)
        metadata = self._metadata(partition, passes)
        self.context.log.info(f"{self.stream.name} {key}: {metadata}")
        self.complete.add(partition)
        self.books.deferrals.clear(self.stream.name, key, some_dockets=self.config.selective)
        if not self.store.is_complete(self.stream.name, key, self._sweep_names()):
            self.context.log.warning(f"{self.stream.name} {key} is not complete yet: only some dockets were downloaded")
            return
        self.context.add_asset_metadata(metadata, partition_key=key)
        if not alone:  # In a run of many partitions each turns green as soon as it is complete.
            self.context.log_event(
                dg.AssetMaterialization(asset_key=self.context.asset_key, partition=key, metadata=metadata)
            )

    def _metadata(self, partition: CourtMonth, passes: list[SweepPass]) -> dict[str, Any]:
        return {
            "records": sum(each.records for each in passes),
            "pages": sum(each.pages for each in passes),
            "modified_since": str(min((each.since for each in passes if each.since), default="everything")),
            "failed_objects": self.store.open_failures(self.stream.name, str(partition)),
        }

    def run_metadata(self, partitions: list[CourtMonth]) -> dict[str, Any]:
        """What the run cost, and how the account's quota stands."""
        dockets = sum(self.store.counts(each.court, each.month, each.next_month)["dockets"] for each in partitions)
        left = {f"{use.window.limit} per {use.window.seconds} s": use.remaining for use in self.client.limiter.usage()}
        return {
            "requests_of_run": self.client.requests_sent,
            "refused_of_run": self.client.refused,
            "requests_per_docket": round(self.client.requests_sent / max(1, dockets), 3),
            "seconds_waited_of_run": round(self.client.limiter.waited_seconds, 1),
            "quota_left": left,
        }
