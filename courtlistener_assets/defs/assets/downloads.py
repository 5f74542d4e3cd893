"""The download assets: one a stream, partitioned by court and month.

Belongs here: how a run of Dagster becomes walks over sweeps, and what it tells Dagster. Does not belong here: what a
stream is (`streams.py`), how a sweep is walked (`sweep.py`), how a step ends early (`download_step.py`).
"""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any

import dagster as dg

from courtlistener_assets import logs
from courtlistener_assets.defs import steps
from courtlistener_assets.defs.assets.download_step import DownloadStep, downloading_asset
from courtlistener_assets.defs.names import Names
from courtlistener_assets.download import tombstones
from courtlistener_assets.download.partitions import CourtMonth, Everything
from courtlistener_assets.download.stream import Stream
from courtlistener_assets.download.streams import DOCKETS
from courtlistener_assets.download.sweep import Sweeper, SweepStopped
from resources.errors import TransientApiError
from resources.records.model import PageOfRecords, SweepPass

#: Of the state of a run in Redis, what its materializations show; nothing while Redis is down.
RUN_SUMMARY = ("processed_dockets", "failed_dockets", "api_calls", "throughput_dockets_per_minute", "errors")


def download_asset(stream: Stream, months: dg.PartitionsDefinition, workers: int, names: Names) -> dg.AssetsDefinition:
    """Make the asset that downloads a stream; `workers` partitions of a run are downloaded at once."""

    def step(context: dg.AssetExecutionContext, **opened: Any) -> _Downloads:
        return _Downloads(
            context=context,
            partitions=sorted(map(CourtMonth.parse, context.partition_keys)) if stream.by_month else [Everything()],
            sweeps=[sweep.name for sweep in stream.sweeps],
            tables=stream.stores,
            stream=stream,
            workers=workers,
            **opened,
        )

    return downloading_asset(
        names.key(stream.name),
        step,
        description=stream.description,
        group="downloads" if stream.by_month else "reference",
        partitions_def=months if stream.by_month else None,
        endpoint=stream.endpoint,
    )


@dataclass(frozen=True, kw_only=True)
class _Downloads(DownloadStep[CourtMonth | Everything]):
    """One run over some partitions of a stream."""

    stream: Stream
    workers: int

    def download(self) -> bool:
        """Walk all partitions; return whether every one is complete.

        One that fails does not stop the others, unless the reason is common to all: quota, token.
        Raises one of the errors when all have ended.
        """
        self.state.initialize_pipeline_state(self.run_id, job=self.context.job_name, partitions=len(self.partitions))
        self.state.cache_task_start_time(self.run_id, self.asset)
        errors = self._walk_all()
        names = Counter(type(error).__name__ for error in errors)
        self.state.update(self.run_id, errors=names, api_calls=self.client.newly_sent())
        if errors:
            raise min(errors, key=lambda error: getattr(error, "retryable", False))
        return all(map(self._is_complete, self.partitions))

    def _walk_all(self) -> list[BaseException]:
        """Walk the partitions, some at once; return the errors."""
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
            except BaseException:  # Cancelled, most likely: no thread may outlive the run.
                stopping.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return errors

    def _walk(self, sweeper: Sweeper, partition: CourtMonth | Everything) -> list[SweepPass]:
        with steps.bound(self.context, partition):
            passes = [sweeper.walk(self.stream, sweep, partition) for sweep in self.config.sweeps(self.stream)]
            if self.config.full_refresh and not self.config.selective:
                gone = tombstones.mark_missing(self.client, self.store, self.audit, self.stream, partition, self.run_id)
                logs.run_log.info(
                    f"{self.asset} {partition}: {gone} are gone from CourtListener",
                    extra={"event": "objects_gone", "objects": gone},
                )
            return passes

    def _note_page(self, before: SweepPass, page: PageOfRecords) -> None:
        failures = self.backlog.failures.of_partition(self.asset, before.key.partition) if page.failures else []
        self.state.note_page(self.run_id, page, failures, api_calls=self.client.newly_sent())

    def _report(self, partition: CourtMonth | Everything, passes: list[SweepPass]) -> None:
        """Report a partition that was walked to its end."""
        metadata = {
            "records": sum(each.records for each in passes),
            "pages": sum(each.pages for each in passes),
            "modified_since": str(min((each.since for each in passes if each.since), default="everything")),
            "failed_objects": self.failed_objects(partition),
        }
        self.note_walked(partition, metadata)
        if self._is_complete(partition):
            self.turn_green(partition, metadata)
        else:
            logs.run_log.warning(
                f"{self.asset} {partition} is not complete yet: only some dockets were downloaded",
                extra={"event": "partition_incomplete", "partition": str(partition)},
            )

    def _is_complete(self, partition: CourtMonth | Everything) -> bool:
        return self.store.is_complete(self.asset, str(partition), self.sweeps)

    def run_metadata(self) -> dict[str, Any]:
        """Return what the run cost, how the account's quota stands, and what all steps of the run have done so far."""
        months = self.partitions if self.stream.by_month else []
        dockets = sum(self.store.counts(DOCKETS.members(), each.filter_values)["dockets"] for each in months)
        left = {f"{use.window.limit} per {use.window.seconds} s": use.remaining for use in self.client.limiter.usage()}
        return {
            "requests_of_run": self.client.requests_sent,
            "refused_of_run": self.client.refused,
            "requests_per_docket": round(self.client.requests_sent / max(1, dockets), 3),
            "seconds_waited_of_run": round(self.client.limiter.waited_seconds, 1),
            "quota_left": left,
            **{name: value for name, value in self.state.summary(self.run_id).items() if name in RUN_SUMMARY},
        }
