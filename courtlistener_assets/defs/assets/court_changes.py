"""Fresh data: what CourtListener has modified in a court on a day, into the same tables as the downloads.

Belongs here: how a run becomes sweeps over a day's changes, and which months they touch. Does not belong here: the
sweeps themselves (`catch_up.py`, `sweep.py`), or rebuilding the months (`sensors/`).
"""

from collections.abc import Iterable, Iterator
from datetime import date
from typing import Any

import dagster as dg

from courtlistener_assets import logs
from courtlistener_assets.defs.assets.download_config import DownloadConfig
from courtlistener_assets.defs.assets.download_step import API_POOL, STEP_RETRIES, DownloadStep
from courtlistener_assets.defs.step_errors import translated
from courtlistener_assets.download.catch_up import CourtDay, changes_sweep
from courtlistener_assets.download.streams import STREAMS, Stream, Sweep
from courtlistener_assets.download.sweep import Sweeper
from resources.backlog.backlog import BacklogResource
from resources.courtlistener.client import CourtListenerResource
from resources.quota.permits import Lane
from resources.records.store import RecordStoreResource

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
        retry_policy=STEP_RETRIES,
    )
    def court_changes(
        context: dg.AssetExecutionContext,
        config: DownloadConfig,
        courtlistener: CourtListenerResource,
        records: RecordStoreResource,
        backlog: BacklogResource,
    ) -> Iterable[dg.MaterializeResult[Any]]:
        with (
            translated(context),
            records.open() as store,
            backlog.open() as open_backlog,
            courtlistener.open(Lane.PRIORITY) as client,
        ):
            step = _Changes(
                context=context,
                client=client,
                store=store,
                backlog=open_backlog,
                config=config,
                partitions=sorted(CourtDay.parse(key) for key in context.partition_keys),
                sweeps=[stream.name for stream in STREAMS],
            )
            with step.deferring():
                store.prepare(sorted({table for stream in STREAMS for table in stream.stores}))
                client.refresh_quota()
                step.download()
            step.acknowledge()
            yield dg.MaterializeResult()

    return court_changes


class _Changes(DownloadStep[CourtDay]):
    """One run over some days."""

    def download(self) -> None:
        """Bring the changes of all days, one day after the other."""
        for day in self.partitions:
            with logs.bound(self.context, day):
                metadata = self._walk(day)
            self.tell_walked(day, {name: value for name, value in metadata.items() if name != TOUCHED_MONTHS})
            self.note_walked(day)
            self.turn_green(day, metadata)

    def _walk(self, day: CourtDay) -> dict[str, Any]:
        """Bring a day's changes; returns what there is to say about them."""
        sweeper = Sweeper(self.client, self.store, self.run_id, full_refresh=self.full_refresh, asset=self.asset)
        passes = {stream.name: sweeper.walk(stream, sweep, day) for stream, sweep in self._sweeps()}
        touched = self.backlog.audit.months_modified(day.court, day.day)
        return {
            **{f"{name}_modified": walked.records for name, walked in passes.items()},
            "pages": sum(walked.pages for walked in passes.values()),
            "failed_objects": self.store.open_failures(self.asset, str(day)),
            TOUCHED_MONTHS: dg.MetadataValue.json([f"{day.court}|{month.isoformat()}" for month in touched]),
        }

    def _sweeps(self) -> Iterator[tuple[Stream, Sweep]]:
        for stream in STREAMS:
            whole = changes_sweep(stream)
            ranges = [each for each in self.config.id_ranges if each.sweep == whole.name]
            if not self.config.id_ranges:
                yield stream, whole
            yield from ((stream, whole.part(each.after_id, each.up_to_id)) for each in ranges)
