"""The download assets: one a stream, partitioned by court and month.

Belongs here: how a run of Dagster becomes walks over sweeps, and what it tells Dagster. Does not belong here: what a
stream is (`streams.py`), how a sweep is walked (`sweep.py`), how a step ends early (`download_step.py`).
"""

import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any

import dagster as dg

from courtlistener_assets import logs
from courtlistener_assets.defs.assets.download_config import DownloadConfig
from courtlistener_assets.defs.assets.download_step import API_POOL, STEP_RETRIES, DownloadStep
from courtlistener_assets.defs.assets.partitioning import partitions_of
from courtlistener_assets.defs.step_errors import translated
from courtlistener_assets.download import tombstones
from courtlistener_assets.download.partitions import CourtMonth
from courtlistener_assets.download.streams import Stream
from courtlistener_assets.download.sweep import Sweeper, SweepStopped
from resources.backlog.backlog import BacklogResource
from resources.courtlistener.client import CourtListenerResource
from resources.errors import TransientApiError
from resources.quota.permits import Lane
from resources.records.model import PageOfRecords, SweepPass
from resources.records.store import RecordStoreResource


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
        retry_policy=STEP_RETRIES,
    )
    def download(
        context: dg.AssetExecutionContext,
        config: DownloadConfig,
        courtlistener: CourtListenerResource,
        records: RecordStoreResource,
        backlog: BacklogResource,
    ) -> Iterable[dg.MaterializeResult[Any]]:
        # Retries may use the part of the quota that is kept back from backfills.
        lane = Lane.PRIORITY if config.claim_id else Lane.BACKFILL
        with (
            translated(context),
            records.open() as store,
            backlog.open() as open_backlog,
            courtlistener.open(lane) as client,
        ):
            step = _Downloads(
                context=context,
                client=client,
                store=store,
                backlog=open_backlog,
                config=config,
                partitions=partitions_of(context),
                sweeps=[sweep.name for sweep in stream.sweeps],
                stream=stream,
                workers=workers,
            )
            with step.deferring():
                store.prepare(stream.stores)
                client.refresh_quota()
                complete = step.download()
            step.acknowledge()
            if complete:
                yield dg.MaterializeResult(metadata=step.run_metadata())

    return download


@dataclass(frozen=True, kw_only=True)
class _Downloads(DownloadStep[CourtMonth]):
    """One run over some partitions of a stream."""

    stream: Stream
    workers: int

    def download(self) -> bool:
        """Walk all partitions; returns whether every one is complete.

        One that fails does not keep the others from going on, unless the reason is common to all: quota, token.
        Raises one of the errors when all have ended.
        """
        self.backlog.state.initialize_pipeline_state(
            self.run_id, job=self.context.job_name, partitions=len(self.partitions)
        )
        self.backlog.state.cache_task_start_time(self.run_id, self.asset)
        errors = self._walk_all()
        if errors:
            raise min(errors, key=lambda error: getattr(error, "retryable", False))
        return all(map(self._is_complete, self.partitions))

    def _walk_all(self) -> list[BaseException]:
        """Walk the partitions, some at once; returns what went wrong."""
        stopping = threading.Event()
        sweeper = Sweeper(
            self.client,
            self.store,
            run_id=self.run_id,
            full_refresh=self.full_refresh,
            stopped=stopping.is_set,
            stored=self._note_page,
        )
        errors = []
        with ThreadPoolExecutor(self.workers, thread_name_prefix=self.asset) as pool:
            walks = {pool.submit(self._walk, sweeper, partition): partition for partition in self.partitions}
            try:
                for walk in as_completed(walks):
                    error = walk.exception()
                    if error is None:
                        self._report(walks[walk], walk.result())
                    elif not isinstance(error, SweepStopped):
                        errors.append(error)
                        if not isinstance(error, TransientApiError):
                            stopping.set()
            except BaseException:  # Cancelled, most likely: let no thread go on behind the run's back.
                stopping.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return errors

    def _walk(self, sweeper: Sweeper, partition: CourtMonth) -> list[SweepPass]:
        with logs.bound(self.context, partition):
            passes = [sweeper.walk(self.stream, sweep, partition) for sweep in self.config.sweeps(self.stream)]
            if self.config.full_refresh and not self.config.selective and self.asset in tombstones.DATED:
                gone = tombstones.mark_missing(
                    self.client, self.store, self.backlog.audit, self.stream, partition, self.run_id
                )
                logs.run_log.info(
                    f"{self.asset} {partition}: {gone} are gone from CourtListener",
                    extra={"event": "objects_gone", "objects": gone},
                )
            return passes

    def _note_page(self, before: SweepPass, page: PageOfRecords) -> None:
        dockets = [record.docket_id for record in page.records if record.docket_id]
        failures = self.backlog.failures.of_partition(self.asset, before.key.partition) if page.failures else []
        self.backlog.state.update_docket_processing_state(self.run_id, dockets, failures, records=len(page.records))

    def _report(self, partition: CourtMonth, passes: list[SweepPass]) -> None:
        """Tell Dagster, and whoever waits for it, about a partition that was walked to its end."""
        metadata = self._metadata(partition, passes)
        self.tell_walked(partition, metadata)
        self.note_walked(partition)
        if self._is_complete(partition):
            self.turn_green(partition, metadata)
        else:
            logs.run_log.warning(
                f"{self.asset} {partition} is not complete yet: only some dockets were downloaded",
                extra={"event": "partition_incomplete", "partition": str(partition)},
            )

    def _is_complete(self, partition: CourtMonth) -> bool:
        return self.store.is_complete(self.asset, str(partition), self.sweeps)

    def _metadata(self, partition: CourtMonth, passes: list[SweepPass]) -> dict[str, Any]:
        return {
            "records": sum(each.records for each in passes),
            "pages": sum(each.pages for each in passes),
            "modified_since": str(min((each.since for each in passes if each.since), default="everything")),
            "failed_objects": self.store.open_failures(self.asset, str(partition)),
        }

    def run_metadata(self) -> dict[str, Any]:
        """What the run cost, and how the account's quota stands."""
        dockets = sum(self.store.counts(each.court, each.month, each.next_month)["dockets"] for each in self.partitions)
        left = {f"{use.window.limit} per {use.window.seconds} s": use.remaining for use in self.client.limiter.usage()}
        return {
            "requests_of_run": self.client.requests_sent,
            "refused_of_run": self.client.refused,
            "requests_per_docket": round(self.client.requests_sent / max(1, dockets), 3),
            "seconds_waited_of_run": round(self.client.limiter.waited_seconds, 1),
            "quota_left": left,
        }
