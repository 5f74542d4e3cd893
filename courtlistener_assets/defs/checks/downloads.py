"""Asset checks: is anything missing, does every child have its parent.

Belongs here: the checks, and the asset that carries those which cost requests. Does not belong here: the SQL
(`resources/records/audit.py`).

Dagster runs the checks of an asset whenever it is materialized. What costs requests, or reads whole tables, is
therefore a check of a separate asset, which is materialized only on demand.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg
from pydantic import Field

from courtlistener_assets.defs.assets.download_config import PartitionKey, StepConfig
from courtlistener_assets.defs.assets.partitioning import month_or_everything
from courtlistener_assets.defs.markdown import table
from courtlistener_assets.defs.materializations import content_version
from courtlistener_assets.defs.names import OWNERS, REPORT_VERSION, Names
from courtlistener_assets.defs.steps import translated
from courtlistener_assets.download.stream import Stream, Sweep
from resources.backlog.failures import Failures
from resources.courtlistener.client import CourtListenerClient
from resources.dagster_resources import BacklogResource, CourtListenerResource, RecordStoreResource
from resources.errors import PermissionDenied
from resources.records.audit import RecordAudit
from resources.records.tables import Members

COMPLETENESS = "completeness"


class CompletenessConfig(StepConfig):
    """Which partitions are compared with the server."""

    partitions: list[PartitionKey] = Field(
        default_factory=list, description="Partition keys; empty: a sample of complete ones."
    )
    sample: int = Field(default=3, ge=0, description="How many partitions to choose if none are named.")
    seed: int = Field(default=0, description="Another number chooses other partitions.")


@dataclass(frozen=True)
class SweepCount:
    """How many rows of a sweep the server counts, and how many are stored."""

    partition: str
    sweep: str
    on_server: int
    stored: int
    open_failures: int


_COLUMNS: dict[str, Callable[[SweepCount], object]] = {
    "partition": lambda one: one.partition,
    "sweep": lambda one: one.sweep,
    "on the server": lambda one: one.on_server,
    "stored": lambda one: one.stored,
    "known failures": lambda one: one.open_failures,
}


def countable(stream: Stream, streams: Sequence[Stream]) -> list[tuple[Sweep, Members]]:
    """Return the sweeps of a stream whose rows can be counted in the store, and how; others lack a stream."""
    stored = {table for each in streams for table in each.stores}
    pairs = zip(stream.sweeps, stream.members()[stream.name], strict=True)
    return [(sweep, members) for sweep, members in pairs if members.tables <= stored]


def with_parents(streams: Sequence[Stream]) -> list[Stream]:
    """Return the streams whose objects belong to objects of another one of them."""
    names = {stream.name for stream in streams}
    return [stream for stream in streams if stream.parent in names]


def _specs(streams: Sequence[Stream], asset: dg.AssetKey) -> list[dg.AssetCheckSpec]:
    complete = [
        dg.AssetCheckSpec(
            f"{stream.name}_complete",
            asset=asset,
            description="As many rows are stored as CourtListener counts. Fewer: something was lost. More: something "
            "is gone from CourtListener; a run with full_refresh finds out what.",
        )
        for stream in streams
        if countable(stream, streams)
    ]
    return complete + [
        dg.AssetCheckSpec(
            f"{child.name}_have_{child.parent}",
            asset=asset,
            description="Every object of the courts whose partitions are compared belongs to one that is stored. While "
            "a backfill is under way, some may not.",
        )
        for child in with_parents(streams)
    ]


def completeness_asset(streams: Sequence[Stream], names: Names) -> dg.AssetsDefinition:
    """Make the asset that compares what is stored of the streams with what the server counts."""

    @dg.asset(
        key=names.key(COMPLETENESS),
        description="What is stored, compared with what CourtListener counts: one request a sweep of a partition.",
        group_name="operations",
        owners=OWNERS,
        code_version=REPORT_VERSION,
        kinds={"postgres", "rest_api"},
        check_specs=_specs(streams, names.key(COMPLETENESS)),
    )
    def completeness(
        context: dg.AssetExecutionContext,
        config: CompletenessConfig,
        courtlistener: CourtListenerResource,
        courtlistener_records: RecordStoreResource,
        courtlistener_backlog: BacklogResource,
    ) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[Any]]:
        with translated(context), courtlistener.open() as client:
            audit, failures = courtlistener_records.audit(), courtlistener_backlog.open().failures
            chosen = {stream.name: _partitions(audit, stream, config) for stream in streams}
            results = [
                _complete(client, audit, failures, each, sweeps, chosen[each.name])
                for each in streams
                if (sweeps := countable(each, streams))
            ]
            results += [_parents(audit, child, chosen[child.name]) for child in with_parents(streams)]
            counted = [(each.check_name, each.passed, each.description) for each in results]
            requests = {"requests": client.requests_sent}
            yield dg.MaterializeResult(metadata=requests, data_version=content_version(counted))
            yield from results

    return completeness


def _partitions(audit: RecordAudit, stream: Stream, config: CompletenessConfig) -> list[str]:
    """Return the partitions to compare: those that are named, or a sample of the complete ones."""
    if config.partitions and stream.by_month:
        return config.partitions
    complete = audit.complete_partitions(stream.name, [sweep.name for sweep in stream.sweeps])
    return sorted(random.Random(config.seed).sample(complete, min(config.sample, len(complete))))


def _complete(
    client: CourtListenerClient,
    audit: RecordAudit,
    failures: Failures,
    stream: Stream,
    sweeps: Sequence[tuple[Sweep, Members]],
    partitions: Sequence[str],
) -> dg.AssetCheckResult:
    """Count every sweep of these partitions at the server, one request each.

    An error if rows are missing that no failure accounts for, a warning for any other difference, or if the account may
    not use the endpoint.
    """
    counts = []
    for partition in map(month_or_everything, partitions):
        failed = len(failures.of_partition(stream.name, str(partition), dead_too=True))
        for sweep, members in sweeps:
            stored = audit.stored(members, partition.filter_values)
            try:
                on_server = client.count(stream.endpoint, {**stream.limits, **sweep.params(partition)})
            except PermissionDenied as error:
                if not error.said_by_api:
                    raise
                return dg.AssetCheckResult(
                    check_name=f"{stream.name}_complete",
                    passed=False,
                    severity=dg.AssetCheckSeverity.WARN,
                    description=f"It cannot be counted: {error}",
                )
            audit.note_server_count(stream.name, str(partition), sweep.name, on_server)
            counts.append(SweepCount(str(partition), sweep.name, on_server, stored, failed))
    missing = any(one.stored + one.open_failures < one.on_server for one in counts)
    wrong = sum(one.stored != one.on_server for one in counts)
    return dg.AssetCheckResult(
        check_name=f"{stream.name}_complete",
        passed=not wrong,
        severity=dg.AssetCheckSeverity.ERROR if missing else dg.AssetCheckSeverity.WARN,
        description=f"{wrong} of {len(counts)} sweeps differ from the server's count.",
        metadata={"sweeps": dg.MetadataValue.md(table(_COLUMNS, counts))},
    )


def _parents(audit: RecordAudit, child: Stream, partitions: Sequence[str]) -> dg.AssetCheckResult:
    courts = sorted({month_or_everything(partition).court for partition in partitions})
    orphans = {court: audit.orphans(child.table, court) for court in courts}
    count = sum(count for count, _ in orphans.values())
    return dg.AssetCheckResult(
        check_name=f"{child.name}_have_{child.parent}",
        passed=count == 0,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "courts": courts,
            "orphaned_objects": count,
            **({"orphaned_ids": [id for _, ids in orphans.values() for id in ids]} if count else {}),
        },
    )
