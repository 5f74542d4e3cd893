"""The download assets: one a stream, partitioned by court and month.

Belongs here: how a run of Dagster becomes walks over sweeps, and what it tells Dagster. Does not belong here: what a
stream is (`streams.py`), how a sweep is walked (`sweep.py`), how a step ends early (`download_step.py`).
"""

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import dagster as dg

from courtlistener_assets import logs
from courtlistener_assets.defs import steps
from courtlistener_assets.defs.assets.download_step import DownloadStep, downloading_asset, lookups_shown
from courtlistener_assets.defs.assets.partitioning import selected_keys
from courtlistener_assets.defs.assets.step_forecast import StepForecast
from courtlistener_assets.defs.assets.threads import each_in_threads
from courtlistener_assets.defs.names import Names, name_of
from courtlistener_assets.download import tombstones
from courtlistener_assets.download.membership import settle
from courtlistener_assets.download.partitions import CourtMonth, Everything
from courtlistener_assets.download.strays import refresh_strays
from courtlistener_assets.download.stream import Stream, all_members
from courtlistener_assets.download.streams import DOCKETS
from courtlistener_assets.download.sweep import Sweeper, SweepStopped
from courtlistener_assets.settings import Settings
from resources.errors import PermissionDenied, QuotaDeferred, ServerDown, Stopped, TransientApiError
from resources.quota.permits import Lane
from resources.records.model import PageOfRecords, Scope, SweepPass

#: Of the state of a run in Redis, what its totals show; nothing while Redis is down.
RUN_SUMMARY = ("processed_dockets", "failed_dockets", "api_calls", "throughput_dockets_per_minute", "errors")


def download_asset(
    stream: Stream,
    streams: Sequence[Stream],
    scope: Scope,
    months: dg.PartitionsDefinition,
    settings: Settings,
    names: Names,
) -> dg.AssetsDefinition:
    """Make the asset that downloads a stream.

    `streams` are all that the location has, `scope` what is stored of objects that other ones lead to.
    """

    def step(context: dg.AssetExecutionContext, **opened: Any) -> _Downloads:
        return _Downloads(
            context=context,
            partitions=sorted(map(CourtMonth.parse, selected_keys(context, months)))
            if stream.by_month
            else [Everything()],
            sweeps=[sweep.name for sweep in stream.sweeps],
            tables=stream.stores,
            stream=stream,
            streams=streams,
            scope=scope,
            settings=settings,
            **opened,
        )

    return downloading_asset(
        names.key(stream.name),
        step,
        description=stream.description,
        group="downloads" if stream.by_month else "reference",
        partitions_def=months if stream.by_month else None,
        table=stream.name,
        priority=_priority(stream),
        endpoint=stream.endpoint,
    )


def _priority(stream: Stream) -> int:
    """Return when to begin, the highest first; checks and what is made from downloads have 0.

    Rows that belong to a month by the date of a child or parent can be counted once that is stored.
    """
    if not stream.table.dated:
        return 1
    return 2 if any(sweep.by for sweep in stream.sweeps) else 3


@dataclass(frozen=True, kw_only=True)
class _Downloads(DownloadStep[CourtMonth | Everything]):
    """One run over some partitions of a stream; `workers` of the settings are downloaded at once."""

    stream: Stream
    streams: Sequence[Stream]
    scope: Scope
    settings: Settings
    settled: Counter[str] = field(default_factory=Counter)

    @cached_property
    def forecast(self) -> StepForecast:
        """When it will be complete what the run works on."""
        months = [each for each in self.partitions if isinstance(each, CourtMonth)]
        by_month = [stream for stream in self.streams if stream.by_month]
        last_month = self.settings.last_month
        return StepForecast(self.context, self.database, self.account, self.outlook, by_month, months, last_month)

    def download(self) -> bool:
        """Walk all partitions; return whether every one is complete, or the account may not use the stream.

        One that fails does not stop the others, unless the reason is common to all: quota, token.
        Raises one of the errors when all have ended.
        """
        self.state.initialize_pipeline_state(self.run_id, job=self.context.job_name, partitions=len(self.partitions))
        self.state.cache_task_start_time(self.run_id, self.asset)
        self.forecast.find_out()
        errors = self._walk_all()
        names = Counter(type(error).__name__ for error in errors)
        self.state.update(self.run_id, errors=names, api_calls=self.client.newly_sent())
        if errors:
            worst = min(errors, key=lambda error: getattr(error, "retryable", False))
            if not isinstance(worst, PermissionDenied):
                raise worst
            self.leave_out(worst, [stream.endpoint for stream in self.streams if stream.by_month])
            return True
        if self.stream.by_month:
            self._settle()
        return all(map(self._is_complete, self.partitions))

    def _settle(self) -> None:
        """Look up what does not fit together in the courts of the run, but for what the run is still to walk."""
        selected = {name_of(key) for key in self.context.job_def.asset_layer.selected_asset_keys}
        refused = self.client.refused_endpoints()
        walked = self.store.freshness.walked_by(self.run_id, [str(each) for each in self.partitions])
        later = selected - {self.asset} - walked
        try:
            with self.client.in_lane(Lane.PRIORITY):
                counts = settle(
                    self._sweeper(lambda: False),
                    [stream for stream in self.streams if stream.by_month and stream.endpoint not in refused],
                    sorted({each.court for each in self.partitions}),
                    scope=self.scope,
                    later=later,
                    due_only=not self.config.claim_id,
                )
        except (PermissionDenied, QuotaDeferred, ServerDown, TransientApiError) as error:
            logs.run_log.warning(
                f"{self.asset}: what does not fit together is looked up by a later run: {error}",
                extra={"event": "lookups_deferred", "error": type(error).__name__},
            )
            return
        self.settled.update(counts)
        if counts["looked_up"]:
            logs.run_log.info(
                f"{self.asset}: {counts['looked_up']} lookups of what did not fit together: {logs.listed(counts)}",
                extra={"event": "lookups_done", **counts},
            )

    def _sweeper(self, stopped: Callable[[], bool]) -> Sweeper:
        return Sweeper(
            self.client,
            self.store,
            run_id=self.run_id,
            full_refresh=self.full_refresh,
            stopped=stopped,
            stored=self._note_page,
        )

    def _walk_all(self) -> list[BaseException]:
        """Walk the partitions, some at once; return the errors.

        Raises Stopped if a walk has found that the run is to end, and no error says more.
        """
        stopping, errors, stopped = self.client.stopping, [], False
        sweeper = self._sweeper(lambda: stopping.stopped)
        walks = each_in_threads(
            lambda partition: self._walk(sweeper, partition),
            self.partitions,
            threads=self.settings.workers,
            name=self.asset,
            stopping=stopping,
        )
        with closing(walks):
            for partition, walk in walks:
                error = walk.exception()
                if error is None:
                    self._report(partition, walk.result())
                elif isinstance(error, Stopped | SweepStopped):
                    stopped = True
                else:
                    errors.append(error)
                if error is not None and not isinstance(error, TransientApiError):
                    stopping.stop()
        if stopped and not errors:
            raise Stopped
        return errors

    def _walk(self, sweeper: Sweeper, partition: CourtMonth | Everything) -> list[SweepPass]:
        with steps.bound(self.context, partition):
            if self.config.selective:
                return self.config.retry(sweeper, self.stream, partition)
            passes = sweeper.walk_partition(self.stream, partition)
            if self.config.full_refresh:
                gone = tombstones.mark_missing(sweeper, self.audit, self.stream, partition)
                gone += self._refresh_strays(sweeper, partition)
                logs.run_log.info(
                    f"{self.asset} {partition}: {gone} are gone from CourtListener",
                    extra={"event": "objects_gone", "objects": gone},
                )
            return passes

    def _refresh_strays(self, sweeper: Sweeper, partition: CourtMonth | Everything) -> int:
        """Look after what has left the partition; return how many objects are gone."""
        if not self.stream.docket_filter:
            return 0
        of_dockets = [each for each in self.streams if each.docket_filter]
        return refresh_strays(sweeper, self.stream, partition, self.scope, all_members(of_dockets))

    def _note_page(self, before: SweepPass, page: PageOfRecords) -> None:
        self.stop_if_told()
        failures = self.backlog.failures.of_partition(self.asset, before.key.partition) if page.failures else []
        self.state.note_page(self.run_id, page, failures, api_calls=self.client.newly_sent())

    def _report(self, partition: CourtMonth | Everything, passes: list[SweepPass]) -> None:
        """Report a partition that was walked to its end."""
        brought = sum(each.records for each in passes)
        metadata = {
            "downloaded_objects": brought,
            "requested_pages": sum(each.pages for each in passes),
            "modified_since": str(min((each.since for each in passes if each.since), default="everything")),
            "failed_objects": self.failed_objects(partition),
        }
        self.note_walked(partition, metadata)
        if self._is_complete(partition):
            metadata |= self._rows(partition, brought) | self.forecast.metadata()
            self.turn_green(partition, metadata, self._version(partition))
        else:
            logs.run_log.warning(
                f"{self.asset} {partition} is not complete yet: only some dockets were downloaded",
                extra={"event": "partition_incomplete", "partition": str(partition)},
            )

    def _is_complete(self, partition: CourtMonth | Everything) -> bool:
        return self.store.freshness.is_complete(self.asset, str(partition), self.sweeps)

    def _rows(self, partition: CourtMonth | Everything, brought: int) -> dict[str, int]:
        """Return how many rows of a partition its tables have now.

        Nothing if it cannot be told: rows belong to a month by their parents, and none of these is stored yet.
        """
        counts = self.store.counts(self.stream.members(), partition.filter_values)
        rows = counts.pop(self.stream.name)
        nested = {f"stored_{table}": count for table, count in counts.items()}
        return {"dagster/partition_row_count": rows, **nested} if rows or not brought else {}

    def _version(self, partition: CourtMonth | Everything) -> str:
        return self.audit.data_version(self.stream.members(), partition.filter_values)

    def run_totals(self) -> dict[str, Any]:
        """Add the requests that a docket takes, and what all steps of the run have done so far."""
        totals = super().run_totals()
        months = self.partitions if self.stream.by_month else []
        dockets = sum(self.store.counts(DOCKETS.members(), each.filter_values)["dockets"] for each in months)
        return {
            **totals,
            "requests_per_docket": round(self.client.requests_sent / max(1, dockets), 3),
            **lookups_shown(self.settled),
            **{
                name: value
                for name, value in self.state.summary(self.run_id).items()
                if name in RUN_SUMMARY and value != {}
            },
        }
