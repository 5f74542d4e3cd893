"""Fresh data: what CourtListener has modified in a court on a day, into the same tables as the downloads.

Belongs here: how a run becomes sweeps over a day's changes, and which months they touch. Does not belong here: the
sweeps themselves (`court_days.py`, `sweep.py`), or rebuilding the months (`sensors.py`).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

import dagster as dg

from courtlistener_assets.assets.download_config import DownloadConfig
from courtlistener_assets.assets.downloads import API_POOL, STEP_RETRIES
from courtlistener_assets.court_days import CourtDay, changes_sweep
from courtlistener_assets.deferral import DeferredStep, is_deferrable, put_off_claim
from courtlistener_assets.failures import translated
from courtlistener_assets.streams import STREAMS, Stream, Sweep
from courtlistener_assets.sweep import Sweeper
from resources.bookkeeping import Bookkeeping, BookkeepingResource
from resources.courtlistener import CourtListenerClient, CourtListenerResource
from resources.errors import CourtListenerAssetsError
from resources.permits import Lane
from resources.records import RecordStore, RecordStoreResource

COURT_CHANGES = "court_changes"
#: Metadata of a materialisation: the partitions of vector_inputs that it makes stale.
TOUCHED_MONTHS = "touched_months"


def court_days(courts: tuple[str, ...], today: date) -> dg.MultiPartitionsDefinition:
    """Days since the start of last year, for each court; keys are `court|YYYY-MM-DD`.

    Changes of older days are of no use: whatever was downloaded before then is asked for again by its month.
    """
    return dg.MultiPartitionsDefinition(
        {
            "court": dg.StaticPartitionsDefinition(list(courts)),
            "day": dg.DailyPartitionsDefinition(start_date=date(today.year - 1, 1, 1).isoformat()),
        }
    )


def court_changes_asset(days: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """The asset that brings a day's changes of a court."""

    @dg.asset(
        name=COURT_CHANGES,
        description="Objects of all streams that were modified on the day. They go into the tables of the downloads; "
        "the months that they belong to get new vector inputs.",
        partitions_def=days,
        backfill_policy=dg.BackfillPolicy.single_run(),
        pool=API_POOL,
        group_name="downloads",
        owners=["team:legal-data"],
        kinds={"postgres", "rest_api"},
        tags={"source": "courtlistener"},
        output_required=False,
        retry_policy=dg.RetryPolicy(
            max_retries=STEP_RETRIES, delay=30, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS
        ),
    )
    def court_changes(
        context: dg.AssetExecutionContext,
        config: DownloadConfig,
        courtlistener: CourtListenerResource,
        records: RecordStoreResource,
        bookkeeping: BookkeepingResource,
    ) -> Iterable[dg.MaterializeResult[Any]]:
        with (
            translated(context),
            records.open() as store,
            bookkeeping.open() as books,
            courtlistener.open(Lane.PRIORITY) as client,
        ):
            run = _Run(context, client, store, books, config)
            left = sorted(CourtDay.parse(key) for key in context.partition_keys)
            try:
                store.prepare(sorted({table for stream in STREAMS for table in stream.stores}))
                client.refresh_quota()
                several = len(left) > 1
                while left:
                    metadata = run.walk(left[0])
                    run.report(left.pop(0), metadata, several=several)
            except CourtListenerAssetsError as error:
                failure = run.ended_early(error, left)
                if failure is None:
                    raise
                raise failure from error
            run.acknowledge()
            yield dg.MaterializeResult()

    return court_changes


@dataclass(frozen=True)
class _Run:
    """One run over some days."""

    context: dg.AssetExecutionContext
    client: CourtListenerClient
    store: RecordStore
    books: Bookkeeping
    config: DownloadConfig

    @property
    def run_id(self) -> str:
        return self.config.resumes or self.context.run.root_run_id or self.context.run.run_id

    def walk(self, day: CourtDay) -> dict[str, Any]:
        """Bring a day's changes; returns what there is to say about them."""
        everything = self.config.full_refresh or self.config.selective
        sweeper = Sweeper(self.client, self.store, self.run_id, everything=everything, asset=COURT_CHANGES)
        passes = {stream.name: sweeper.walk(stream, sweep, day) for stream, sweep in self._sweeps()}
        touched = self.books.audit.months_modified(day.court, day.day)
        return {
            **{f"{name}_modified": walked.records for name, walked in passes.items()},
            "pages": sum(walked.pages for walked in passes.values()),
            "failed_objects": self.store.open_failures(COURT_CHANGES, str(day)),
            TOUCHED_MONTHS: dg.MetadataValue.json([f"{day.court}|{month.isoformat()}" for month in touched]),
        }

    def _sweeps(self) -> Iterator[tuple[Stream, Sweep]]:
        for stream in STREAMS:
            whole = changes_sweep(stream)
            ranges = [each for each in self.config.id_ranges if each.sweep == whole.name]
            if not self.config.id_ranges:
                yield stream, whole
            yield from ((stream, whole.part(each.after_id, each.up_to_id)) for each in ranges)

    def report(self, day: CourtDay, metadata: dict[str, Any], *, several: bool) -> None:
        """Tell Dagster, and whoever waits for it, that a day is complete."""
        self.books.deferrals.clear(COURT_CHANGES, str(day), some_dockets=self.config.selective)
        self.context.add_asset_metadata(metadata, partition_key=str(day))
        if several:  # Each turns green as soon as it is complete.
            self.context.log_event(
                dg.AssetMaterialization(self.context.asset_key, partition=str(day), metadata=metadata)
            )

    def ended_early(self, error: CourtListenerAssetsError, left: list[CourtDay]) -> dg.Failure | None:
        """What ends the step instead of `error`: someone goes on later. None: the error is the end of it."""
        if self.config.claim_id:
            return put_off_claim(self.context, self.books.failed, self.config.claim_id, error)
        if not is_deferrable(error, STEP_RETRIES - self.context.retry_number):
            return None
        names = [stream.name for stream in STREAMS]
        config = self.config.carried_over()
        step = DeferredStep(self.context, self.books.deferrals, self.run_id, config, names)
        return step.defer(error, [str(day) for day in left], self.client.limiter.usage())

    def acknowledge(self) -> None:
        """All that was asked for was tried."""
        if self.config.claim_id:
            resolved, again = self.books.failed.acknowledge(self.config.claim_id, COURT_CHANGES)
            self.context.log.info(f"{resolved} failures are resolved, {again} failed again")
