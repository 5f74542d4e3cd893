"""Dockets without a date that have filings: they are in no month, and no sweep over months finds them.

Belongs here: how a run becomes walks over a court's, and what it tells Dagster. Does not belong here: the sweep
(`download/undated.py`), their text (`undated_vector_inputs.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

from courtlistener_assets import logs
from courtlistener_assets.defs import steps
from courtlistener_assets.defs.assets.download_step import DownloadStep, downloading_asset, lookups_shown
from courtlistener_assets.defs.assets.partitioning import selected_keys
from courtlistener_assets.defs.names import Names
from courtlistener_assets.download import membership, tombstones
from courtlistener_assets.download.membership import UNDATED_DOCKETS
from courtlistener_assets.download.strays import refresh_strays
from courtlistener_assets.download.stream import Stream, all_members, all_tables
from courtlistener_assets.download.streams import CLUSTERS, DOCKETS
from courtlistener_assets.download.sweep import Sweeper
from courtlistener_assets.download.undated import Undated
from resources.errors import PermissionDenied
from resources.quota.permits import Lane
from resources.records.model import Scope
from resources.records.tables import Members


def undated_dockets_asset(
    partitions_def: dg.PartitionsDefinition, stream: Stream, streams: Sequence[Stream], scope: Scope, names: Names
) -> dg.AssetsDefinition:
    """Make the asset that finds the dockets by what was filed in them, the objects of `stream`.

    `streams` are all by month, `scope` what is stored of what these lead to.
    """

    def step(context: dg.AssetExecutionContext, **opened: Any) -> _UndatedDockets:
        return _UndatedDockets(
            context=context,
            partitions=sorted(map(Undated.parse, selected_keys(context, partitions_def))),
            sweeps=[sweep.name for sweep in stream.sweeps],
            tables=all_tables(streams),
            stream=stream,
            streams=streams,
            scope=scope,
            **opened,
        )

    return downloading_asset(
        names.key(UNDATED_DOCKETS),
        step,
        description="Dockets of a court that belong to no month: without `date_filed`, but with entries. They are "
        "found by their entries, and go with these and their RECAP documents into the tables of the downloads.",
        group="undated",
        partitions_def=partitions_def,
        table="docket_entries",
        endpoint=stream.endpoint,
    )


@dataclass(frozen=True, kw_only=True)
class _UndatedDockets(DownloadStep[Undated]):
    """One run over some courts."""

    stream: Stream
    streams: Sequence[Stream]
    scope: Scope

    def download(self) -> bool:
        """Walk the courts one after the other; return whether every one is complete, or may not be asked for."""
        for court in self.partitions:
            with steps.bound(self.context, court):
                try:
                    metadata = self._walk(court)
                except PermissionDenied as error:
                    self.leave_out(error, [stream.endpoint for stream in self.streams])
                    return True
            self.note_walked(court, metadata)
            if self.store.freshness.is_complete(self.asset, str(court), self.sweeps):
                self.turn_green(court, metadata, self._version(court))
        return all(self.store.freshness.is_complete(self.asset, str(court), self.sweeps) for court in self.partitions)

    def _version(self, court: Undated) -> str:
        members = {table.name: [Members(table)] for table in self.stream.tables}
        return self.audit.data_version(members, court.filter_values, undated=True)

    def _mark_missing(self, sweeper: Sweeper, court: Undated) -> int:
        """Look up what was not met, and the dockets, which no sweep of theirs brings; return how many are gone.

        Those with a decision belong to its month, whose full refresh brings them.
        """
        gone = tombstones.mark_missing(sweeper, self.audit, self.stream, court)
        dockets = self.audit.not_seen_since(
            [Members(DOCKETS.table)], self.asset, str(court), court.filter_values, self.run_id, without=CLUSTERS.table
        )
        gone += tombstones.look_up_all(sweeper, DOCKETS, DOCKETS.name, dockets, court)
        of_dockets = [each for each in self.streams if each.docket_filter]
        return gone + sum(
            refresh_strays(sweeper, stream, court, self.scope, all_members(of_dockets)) for stream in of_dockets
        )

    def _walk(self, court: Undated) -> dict[str, Any]:
        sent = self.client.quota_requests
        sweeper = Sweeper(self.client, self.store, self.run_id, full_refresh=self.full_refresh, asset=self.asset)
        if self.config.selective:
            passes = self.config.retry(sweeper, self.stream, court)
        else:
            passes = sweeper.walk_partition(self.stream, court)
        gone = 0
        if self.config.full_refresh and not self.config.selective:
            gone = self._mark_missing(sweeper, court)
            logs.run_log.info(
                f"{self.asset} {court}: {gone} are gone from CourtListener",
                extra={"event": "objects_gone", "objects": gone},
            )
        with self.client.in_lane(Lane.PRIORITY):
            settled = membership.settle(
                sweeper, self.streams, [court.court], scope=self.scope, due_only=not self.config.claim_id
            )
        stored = self.audit.undated(self.stream.tables, court.court)
        return {
            **{f"stored_{name}": count for name, count in stored.items()},
            "downloaded_objects": sum(each.records for each in passes),
            "requested_pages": sum(each.pages for each in passes),
            **lookups_shown({**settled, "gone": settled["gone"] + gone}),
            "requests": self.client.quota_requests - sent,
            "failed_objects": self.failed_objects(court),
        }
