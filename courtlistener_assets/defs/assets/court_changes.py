"""Fresh data: what CourtListener has modified in a court on a day, into the same tables as the downloads.

Belongs here: how a run becomes sweeps over a day's changes, and which months they touch. Does not belong here: the
sweeps themselves (`catch_up.py`, `sweep.py`), or rebuilding the months (`sensors/`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

from courtlistener_assets.defs import steps
from courtlistener_assets.defs.assets.download_step import DownloadStep, downloading_asset
from courtlistener_assets.defs.names import Names
from courtlistener_assets.download.catch_up import CourtDay, changes_sweep
from courtlistener_assets.download.stream import Stream, Sweep, all_members, all_tables
from courtlistener_assets.download.sweep import Sweeper
from resources.quota.permits import Lane

COURT_CHANGES = "court_changes"
#: Metadata of a materialization: the partitions of vector_inputs that it makes stale.
TOUCHED_MONTHS = "touched_months"


def court_changes_asset(days: dg.PartitionsDefinition, streams: Sequence[Stream], names: Names) -> dg.AssetsDefinition:
    """Make the asset that brings a day's changes of a court, in streams that are partitioned by court and month."""

    def step(context: dg.AssetExecutionContext, **opened: Any) -> _Changes:
        return _Changes(
            context=context,
            partitions=sorted(map(CourtDay.parse, context.partition_keys)),
            sweeps=[stream.name for stream in streams],
            tables=all_tables(streams),
            streams=streams,
            **opened,
        )

    return downloading_asset(
        names.key(COURT_CHANGES),
        step,
        description="Objects of all streams with courts that were modified on the day. They go into the tables of the "
        "downloads; the months that they belong to get new vector inputs.",
        group="fresh_data",
        partitions_def=days,
        lane=Lane.PRIORITY,
    )


@dataclass(frozen=True, kw_only=True)
class _Changes(DownloadStep[CourtDay]):
    """One run over some days."""

    streams: Sequence[Stream]

    def download(self) -> bool:
        """Bring the changes of all days, one day after the other."""
        for day in self.partitions:
            with steps.bound(self.context, day):
                metadata = self._walk(day)
            self.note_walked(day, {name: value for name, value in metadata.items() if name != TOUCHED_MONTHS})
            self.turn_green(day, metadata)
        return True

    def _walk(self, day: CourtDay) -> dict[str, Any]:
        """Bring a day's changes; return their metadata."""
        sweeper = Sweeper(self.client, self.store, self.run_id, full_refresh=self.full_refresh, asset=self.asset)
        passes = {stream.name: sweeper.walk(stream, sweep, day) for stream, sweep in self._sweeps()}
        members = [each for rows in all_members(self.streams).values() for each in rows]
        touched = self.audit.months_modified(members, day.court, day.day)
        return {
            **{f"{name}_modified": walked.records for name, walked in passes.items()},
            "pages": sum(walked.pages for walked in passes.values()),
            "failed_objects": self.failed_objects(day),
            TOUCHED_MONTHS: dg.MetadataValue.json([f"{day.court}|{month.isoformat()}" for month in touched]),
        }

    def _sweeps(self) -> Iterator[tuple[Stream, Sweep]]:
        for stream in self.streams:
            whole = changes_sweep(stream)
            ranges = [each for each in self.config.id_ranges if each.sweep == whole.name]
            if not self.config.id_ranges:
                yield stream, whole
            yield from ((stream, whole.part(each.after_id, each.up_to_id)) for each in ranges)
