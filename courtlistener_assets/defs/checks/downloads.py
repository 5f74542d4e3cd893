"""Asset checks: is anything given up, is anything missing, does every child have its parent.

Belongs here: the checks, and the asset that carries those which cost requests. Does not belong here: the SQL
(`resources/records/audit.py`).

Dagster runs the checks of an asset whenever it is materialised. What costs requests, or reads whole tables, is
therefore a check of an asset of its own, which is materialised only by whoever wants to know.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg
from pydantic import Field

from courtlistener_assets.defs.assets.failed_dockets import FAILED_DOCKETS, table
from courtlistener_assets.defs.step_errors import translated
from courtlistener_assets.download.partitions import CourtMonth
from courtlistener_assets.download.streams import STREAMS, Stream
from resources.backlog.backlog import Backlog, BacklogResource
from resources.courtlistener.client import CourtListenerClient, CourtListenerResource
from resources.records.audit import RecordAudit

COMPLETENESS = "completeness"
#: Streams whose objects belong to objects of another stream.
_PARENTS = {"clusters": "dockets", "opinions": "clusters", "docket_entries": "dockets"}


class CompletenessConfig(dg.Config):
    """Which partitions are compared with the server."""

    partitions: list[str] = Field(default_factory=list, description="Partition keys; empty: a sample of complete ones.")
    sample: int = Field(default=3, description="How many partitions to choose if none are named.")
    seed: int = Field(default=0, description="Another number chooses other partitions.")


@dataclass(frozen=True)
class SweepCount:
    """How many rows of a sweep the server counts, and how many are stored."""

    partition: str
    sweep: str
    on_server: int
    stored: int
    open_failures: int = 0


@dg.asset_check(
    asset=FAILED_DOCKETS,
    name="nothing_is_dead",
    description="No failed docket was given up, and no deferred partition is stuck.",
)
def nothing_is_dead(backlog: BacklogResource) -> dg.AssetCheckResult:
    with backlog.open() as open_backlog:
        counts = open_backlog.failures.counts()
        stuck = [each for each in open_backlog.deferrals.all() if each.is_stuck]
    return dg.AssetCheckResult(
        passed=counts["dead"] == 0 and not stuck,
        description=f"{counts['dead']} failed dockets were given up, {len(stuck)} deferred partitions are stuck.",
        metadata={**counts, "stuck": [f"{each.asset} {each.partition}" for each in stuck]},
    )


def _specs() -> list[dg.AssetCheckSpec]:
    complete = [
        dg.AssetCheckSpec(
            f"{stream.name}_complete",
            asset=COMPLETENESS,
            description="As many rows are stored as CourtListener counts. Fewer: something was lost. More: something "
            "is gone from CourtListener; a run with full_refresh finds out what.",
        )
        for stream in STREAMS
    ]
    return complete + [
        dg.AssetCheckSpec(
            f"{child}_have_{parent}",
            asset=COMPLETENESS,
            description="Every object of the courts whose partitions are compared belongs to one that is stored. While "
            "a backfill is under way, some may not.",
        )
        for child, parent in _PARENTS.items()
    ]


@dg.asset(
    name=COMPLETENESS,
    description="What is stored, compared with what CourtListener counts: one request a sweep of a partition.",
    group_name="operations",
    owners=["team:legal-data"],
    kinds={"postgres", "rest_api"},
    check_specs=_specs(),
)
def completeness(
    context: dg.AssetExecutionContext,
    config: CompletenessConfig,
    courtlistener: CourtListenerResource,
    backlog: BacklogResource,
) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[Any]]:
    with translated(context), backlog.open() as open_backlog, courtlistener.open() as client:
        chosen = {stream.name: config.partitions or _sample(open_backlog, stream, config) for stream in STREAMS}
        results = [
            completeness_result(each, compare(client, open_backlog, each, chosen[each.name])) for each in STREAMS
        ]
        results += [_parents(open_backlog.audit, child, parent, chosen[child]) for child, parent in _PARENTS.items()]
        yield dg.MaterializeResult(metadata={"requests": client.requests_sent})
        yield from results


def _sample(backlog: Backlog, stream: Stream, config: CompletenessConfig) -> list[str]:
    complete = backlog.audit.complete_partitions(stream.name, [sweep.name for sweep in stream.sweeps])
    return sorted(random.Random(config.seed).sample(complete, min(config.sample, len(complete))))


def compare(
    client: CourtListenerClient, backlog: Backlog, stream: Stream, partitions: Sequence[str]
) -> list[SweepCount]:
    """Ask the server for the count of every sweep of these partitions, one request each."""
    counts = []
    for partition in map(CourtMonth.parse, partitions):
        failures = len(backlog.failures.of_partition(stream.name, str(partition), dead_too=True))
        for sweep in stream.sweeps:
            stored = backlog.audit.stored(
                stream.name, sweep.name, partition.court, partition.month, partition.next_month
            )
            on_server = client.count(stream.endpoint, sweep.params(partition))
            counts.append(SweepCount(str(partition), sweep.name, on_server, stored, failures))
    return counts


def completeness_result(stream: Stream, counts: Sequence[SweepCount]) -> dg.AssetCheckResult:
    """An error if rows are missing that no failure accounts for, a warning for any other difference."""
    missing = [one for one in counts if one.stored + one.open_failures < one.on_server]
    wrong = [one for one in counts if one.stored != one.on_server]
    columns = {
        "partition": lambda one: one.partition,
        "sweep": lambda one: one.sweep,
        "on the server": lambda one: one.on_server,
        "stored": lambda one: one.stored,
        "known failures": lambda one: one.open_failures,
    }
    return dg.AssetCheckResult(
        check_name=f"{stream.name}_complete",
        passed=not wrong,
        severity=dg.AssetCheckSeverity.ERROR if missing else dg.AssetCheckSeverity.WARN,
        description=f"{len(wrong)} of {len(counts)} sweeps differ from the server's count.",
        metadata={"sweeps": dg.MetadataValue.md(table(columns, list(counts)))},
    )


def _parents(audit: RecordAudit, child: str, parent: str, partitions: Sequence[str]) -> dg.AssetCheckResult:
    courts = sorted({CourtMonth.parse(partition).court for partition in partitions})
    orphans = {court: audit.orphans(child, court) for court in courts}
    count = sum(count for count, _ in orphans.values())
    return dg.AssetCheckResult(
        check_name=f"{child}_have_{parent}",
        passed=count == 0,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"courts": courts, "orphans": count, "some_ids": [id for _, ids in orphans.values() for id in ids]},
    )
