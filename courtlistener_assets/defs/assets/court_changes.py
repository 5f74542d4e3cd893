"""Fresh data: whatever was modified in a court since the last time, into the same tables as the downloads.

Belongs here: how a run becomes a catch-up, and what it tells Dagster. Does not belong here: the sweeps themselves
(`download/catch_up.py`, `download/sweep.py`), which courts a group has (`download/jurisdictions.py`), or rebuilding the
months that it touches (`sensors/`).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from courtlistener_assets import logs
from courtlistener_assets.defs import steps
from courtlistener_assets.defs.assets.download_step import DownloadStep, downloading_asset, lookups_shown
from courtlistener_assets.defs.assets.partitioning import selected_keys
from courtlistener_assets.defs.materializations import content_version, last_data_version
from courtlistener_assets.defs.names import Names
from courtlistener_assets.download import catch_up, membership
from courtlistener_assets.download.catch_up import Courts
from courtlistener_assets.download.jurisdictions import grouping_of
from courtlistener_assets.download.membership import COURT_CHANGES
from courtlistener_assets.download.retry import Retry
from courtlistener_assets.download.stream import Stream, all_tables
from courtlistener_assets.download.sweep import Sweeper
from resources.errors import PermissionDenied, SettingError
from resources.quota.permits import Lane
from resources.records.model import Scope, SweepPass

#: How many times the interval of the schedule a catch-up may take until the asset counts as overdue.
_OVERDUE_AFTER = 2
#: How the metadata are called that say that something has come, changed or gone.
_BROUGHT = ("_modified", "looked_up_and_found", "looked_up_and_gone")


def court_changes_asset(
    partitions_def: dg.PartitionsDefinition,
    courts: Sequence[str],
    grouped: Sequence[str],
    scope: Scope,
    streams: Sequence[Stream],
    names: Names,
    *,
    every: timedelta,
) -> dg.AssetsDefinition:
    """Make the asset that catches up with a court, or a group of `courts`, in streams that are partitioned by month.

    Only what is of the months of `scope`, or of such as were ever downloaded, is stored. It counts as overdue if it was
    not materialized within twice the time `every`.
    """

    def step(context: dg.AssetExecutionContext, **opened: Any) -> _Changes:
        keys = selected_keys(context, partitions_def)
        return _Changes(
            context=context,
            partitions=[Courts(key, scope.first_month, scope.end, jurisdiction=key in grouped) for key in keys],
            sweeps=[sweep.name for stream in streams for sweep in stream.changes],
            tables=all_tables(streams),
            streams=streams,
            courts=courts,
            grouped=grouped,
            **opened,
        )

    return downloading_asset(
        names.key(COURT_CHANGES),
        step,
        description="Whatever was modified in a court, or in a group of courts, since the last time: objects of all "
        "streams with courts. They go into the tables of the downloads; the months that they belong to get new vector "
        "inputs.",
        group="fresh_data",
        partitions_def=partitions_def,
        table="records",
        lane=Lane.PRIORITY,
        freshness_policy=dg.FreshnessPolicy.time_window(fail_window=max(_OVERDUE_AFTER * every, timedelta(minutes=1))),
    )


@dataclass(frozen=True, kw_only=True)
class _Changes(DownloadStep[Courts]):
    """One run over some courts or groups of them; `courts` are all that are configured."""

    streams: Sequence[Stream]
    courts: Sequence[str]
    grouped: Sequence[str]

    def download(self) -> bool:
        """Catch up with one after the other; a retry takes up only what had failed, which makes nothing current.

        Raises SettingError for a configuration that only months know.
        """
        if self.config.full_refresh or self.config.docket_ids or self.config.object_ids:
            wrong = "neither full_refresh, docket_ids nor object_ids"
            raise SettingError(f"{COURT_CHANGES} knows {wrong}; give them to court months")
        for each in self.partitions:
            with steps.bound(self.context, each):
                metadata = self._retry(each) if self.config.selective else self._catch_up(each)
            if not self.config.selective:
                self.note_walked(each, {name: getattr(value, "value", value) for name, value in metadata.items()})
                self.turn_green(each, metadata, self._version(each, metadata))
        return not self.config.selective

    def _catch_up(self, selection: Courts) -> dict[str, Any]:
        """Bring all that was modified since the last time; return what to tell of it."""
        sent, courts = self.client.quota_requests, self._served(selection)
        selection = selection.reaching(self.store.freshness.months(courts))
        since = self.store.freshness.catch_up_from(courts) or datetime.now(UTC)
        sweeper = self._sweeper(selection, courts)
        refusals: list[PermissionDenied] = []
        passes = catch_up.catch_up(sweeper, self.streams, selection, courts, since, refusals.append) if courts else {}
        for refusal in refusals:
            self.leave_out(refusal, [stream.endpoint for stream in self.streams])
        settled = self._settle(selection, courts)
        as_of = catch_up.current_as_of(list(passes.values())) if passes else None
        if as_of:
            self.store.freshness.set_current(courts, as_of)
        return {
            **({"current_as_of": dg.MetadataValue.timestamp(as_of)} if as_of else {}),
            "modified_since": dg.MetadataValue.timestamp(since),
            **{f"{name}_modified": count for name, count in self._counted(passes).items()},
            **lookups_shown(settled),
            "courts": len(courts),
            "requests": self.client.quota_requests - sent,
            "failed_objects": self.failed_objects(selection),
            **({"left_out": "; ".join(map(str, refusals))} if refusals else {}),
        }

    def _version(self, selection: Courts, metadata: dict[str, Any]) -> str:
        """The name of the last time while nothing has come since."""
        last = last_data_version(self.context, str(selection))
        changed = [name for name, count in metadata.items() if name.endswith(_BROUGHT) and count]
        return last if last and not changed else content_version(last, self.context.run.run_id).value

    def _retry(self, selection: Courts) -> dict[str, Any]:
        """Ask for the ranges of ids that had failed, whatever their dates."""
        courts = self._served(selection)
        selection = selection.reaching(self.store.freshness.months(courts))
        sweeper = replace(self._sweeper(selection, courts), full_refresh=True)
        sweeps = {sweep.name: (stream, sweep) for stream in self.streams for sweep in selection.sweeps(stream)}
        nested = {table: stream.name for stream in self.streams for table in stream.stores[1:]}
        unknown = {each.sweep for each in self.config.id_ranges} - {*sweeps, *nested}
        if unknown and not self.config.claim_id:
            raise SettingError(f"id_ranges names {min(unknown)!r}, a sweep that {COURT_CHANGES} does not have")
        retries = {stream.name: Retry(sweeper, stream, selection) for stream in self.streams}
        for each in self.config.id_ranges:
            if each.sweep in unknown:
                retries[self.streams[0].name].unknown(each.sweep, each.after_id, each.up_to_id)
            elif each.sweep in nested:
                retries[nested[each.sweep]].objects([each.up_to_id], table=each.sweep)
            else:
                stream, sweep = sweeps[each.sweep]
                retries[stream.name].range(sweep, each.after_id, each.up_to_id)
        return self._settle(selection, courts)

    def _served(self, selection: Courts) -> Sequence[str]:
        """Return the configured courts of a selection, which for a group is the server's word."""
        if not selection.jurisdiction:
            return [selection.court]
        courts = grouping_of(self.client, self.jurisdictions, self.grouped, self.courts).groups[selection.id]
        if not courts:
            logs.run_log.warning(
                f"None of the configured courts has the jurisdiction {selection}: nothing is asked for",
                extra={"event": "group_serves_nothing", "partition": str(selection)},
            )
        return courts

    def _settle(self, selection: Courts, courts: Sequence[str]) -> dict[str, int]:
        sweeper, due_only = self._sweeper(selection, courts), not self.config.claim_id
        refused = self.client.refused_endpoints()
        streams = [stream for stream in self.streams if stream.endpoint not in refused]
        return membership.settle(sweeper, streams, courts, scope=sweeper.scope, due_only=due_only)

    def _sweeper(self, selection: Courts, courts: Sequence[str]) -> Sweeper:
        scope = selection.scope(courts)
        return Sweeper(self.client, self.store, self.run_id, asset=self.asset, scope=scope)

    def _counted(self, passes: dict[str, SweepPass]) -> dict[str, int]:
        """Count the objects of each stream; one that two sweeps have brought counts twice."""
        counts = Counter(dict.fromkeys((stream.name for stream in self.streams), 0))
        for stream in self.streams:
            counts[stream.name] += sum(passes[sweep.name].records for sweep in stream.changes if sweep.name in passes)
        return dict(counts)
