"""The check of a downloaded partition: is all of it stored, and up to when.

Belongs here: what makes a partition green, and telling Dagster whenever that changes. Does not belong here: counting at
the server (`downloads.py`), since the check runs after every materialization and sends no request.

A failure dies, or is retried with success, long after the run that met it. The sensor `retry_failed_dockets` calls
`refresh`, which evaluates the check of every partition whose failures have changed since it was last evaluated.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import dagster as dg

# What the instance's own method for the newest evaluation of a check takes; there is no public one for a partition.
from dagster._core.event_api import PartitionKeyFilter

from courtlistener_assets.defs.assets.failed_dockets import failures_table
from courtlistener_assets.defs.assets.partitioning import month_or_everything, partition_keys
from courtlistener_assets.defs.names import CHECKED_WITHOUT_RUN, Names
from courtlistener_assets.defs.steps import translated
from courtlistener_assets.download.partitions import Everything, dagster_key
from courtlistener_assets.download.stream import Stream
from resources.backlog.failure_entries import OpenFailure
from resources.backlog.failures import Failures, PartitionFailures
from resources.dagster_resources import BacklogResource, RecordStoreResource
from resources.records.audit import ServerCount
from resources.records.tables import Members

COMPLETE_AND_CURRENT = "complete_and_current"
#: Partitions that are evaluated again by one tick of the sensor; the next tick takes the rest.
MOST_REFRESHED = 100
_MOST_SHOWN = 20


@dataclass(frozen=True)
class Checked:
    """A downloading asset as its check sees it; `sweeps` are the names of those that make a partition complete.

    `tables` are those that it stores into. `rows` are the rows of a partition's main table, `counted` those of each
    sweep that the server can count: both are empty for an asset whose partitions have no rows of their own.
    """

    asset: str
    partitions_def: dg.PartitionsDefinition | None
    sweeps: Sequence[str]
    tables: Sequence[str]
    rows: Sequence[Members] = ()
    counted: Mapping[str, Members] = field(default_factory=dict)

    @classmethod
    def of_stream(
        cls, stream: Stream, months: dg.PartitionsDefinition, counted: Sequence[tuple[str, Members]]
    ) -> "Checked":
        """Return the download asset of a stream."""
        sweeps = [sweep.name for sweep in stream.sweeps]
        rows = stream.members()[stream.name]
        return cls(stream.name, months if stream.by_month else None, sweeps, stream.stores, rows, dict(counted))


@dataclass(frozen=True)
class Standing:
    """What is known of a partition; `stored` and `counted` are None and empty where there are no rows to count.

    `lookups` are the objects that do not fit together with what its pages brought, `differences` those that a dump
    shows to be gone or changed: none of them was looked up yet.
    """

    as_of: datetime | None
    failures: PartitionFailures
    lookups: int
    differences: int
    stored: int | None
    counted: Sequence[tuple[ServerCount, int]]

    def evaluation(self) -> dict[str, Any]:
        """Return what an evaluation says of it: an error for what was given up, a warning for what may still come."""
        said, dead = list(self._complaints()), self.failures.dead > 0
        return {
            "check_name": COMPLETE_AND_CURRENT,
            "passed": not said,
            "severity": dg.AssetCheckSeverity.ERROR if dead else dg.AssetCheckSeverity.WARN,
            "description": "; ".join(said).capitalize() + "."
            if said
            else f"Complete and current as of {_utc(self.as_of)}.",
            "metadata": self._metadata(),
        }

    def _complaints(self) -> Iterator[str]:
        if self.failures.dead:
            yield f"{self.failures.dead} failures were given up: the job requeue_dead_dockets tries them again"
        if waiting := self.failures.open - self.failures.dead:
            yield f"{waiting} failures wait for a retry"
        if self.lookups:
            yield f"{self.lookups} objects do not fit together with others: the next run looks them up"
        if self.differences:
            yield f"{self.differences} objects are others in a bulk file, or not there: bulk_audit looks them up"
        if self.as_of is None:
            yield "not downloaded to its end yet"
        for count, stored in self.counted:
            if count.stands and stored + self.failures.open < count.objects:
                yield (
                    f"{stored} rows of the sweep {count.sweep} are stored, and the server counted {count.objects} on "
                    f"{_utc(count.counted_at)}: run with full_refresh, or count again"
                )

    def _metadata(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "open_failures": self.failures.open,
            "dead_failures": self.failures.dead,
            "open_lookups": self.lookups + self.differences,
        }
        if self.as_of:
            found["current_as_of"] = dg.MetadataValue.timestamp(self.as_of)
        if self.stored is not None:
            found["rows_stored"] = self.stored
            found["rows_at_server"] = "; ".join(
                f"{count.sweep}: {count.objects} on {_utc(count.counted_at)}, {stored} are stored"
                for count, stored in self.counted
            ) or (
                "never counted: name the partition in a run of `check_completeness`, which counts for one request a "
                "sweep"
            )
        return found


def complete_and_current_check(checked: Checked, names: Names) -> dg.AssetChecksDefinition:
    """Make the check of an asset; it runs after the asset, and without it from the UI."""
    asset = names.key(checked.asset)

    @dg.multi_asset_check(
        name=names.name(f"{checked.asset}_{COMPLETE_AND_CURRENT}"),
        specs=[
            dg.AssetCheckSpec(
                COMPLETE_AND_CURRENT,
                asset=asset,
                description="All of the partition is stored, up to the time shown. An error: something was given up "
                "after its last retry. A warning: something is missing that may still come.",
                partitions_def=checked.partitions_def,
            )
        ],
    )
    def complete_and_current(
        context: dg.AssetCheckExecutionContext,
        courtlistener_records: RecordStoreResource,
        courtlistener_backlog: BacklogResource,
    ) -> Iterator[Any]:
        op = context.op_execution_context
        log: Callable[[Any], None] = op.log_event  # Its annotation lacks evaluations.
        with translated(op):
            failures = courtlistener_backlog.open().failures
            for partition in partitions_of_run(op, asset, checked.partitions_def):
                changed = failures.unshown(checked.asset, partition)
                log(_evaluated(checked, asset, partition, courtlistener_records, failures))
                failures.mark_shown(changed)
            # Without it Dagster would say that the step has not done what was expected.
            yield dg.Output(None, output_name=op.op_def.output_defs[0].name)

    return complete_and_current


def partitions_of_run(
    context: dg.OpExecutionContext, asset: dg.AssetKey, partitions_def: dg.PartitionsDefinition | None
) -> list[str]:
    """Return the partitions that a run checks, in order; all that were ever made if it runs for none."""
    if partitions_def is None:
        return [Everything.KEY]
    return sorted(map(str, partition_keys(context) or context.instance.get_materialized_partitions(asset)))


def refresh(
    instance: dg.DagsterInstance,
    names: Names,
    checked: Mapping[str, Checked],
    records: RecordStoreResource,
    failures: Failures,
) -> int:
    """Evaluate the check of the partitions whose failures have changed since it last was; returns how many.

    What no longer is an asset or a partition is passed over.
    """
    refreshed = 0
    for changed in failures.unshown(limit=MOST_REFRESHED):
        one = checked.get(changed.asset)
        if one and _is_partition(one, changed.partition):
            evaluation = _evaluated(one, names.key(changed.asset), changed.partition, records, failures)
            _report(instance, evaluation)
            _observe(instance, evaluation, failures.of_partition(changed.asset, changed.partition, dead_too=True))
            refreshed += 1
        failures.mark_shown([changed])
    return refreshed


def _report(instance: dg.DagsterInstance, evaluation: dg.AssetCheckEvaluation) -> None:
    """Report an evaluation outside of any run.

    `report_runless_asset_event` takes one evaluation of a partition, ever. So it is told as what is new of the run that
    last was to evaluate the check, or made the partition; if no run ever had to do with it, of one that never was.
    """
    key, partition = evaluation.asset_check_key, evaluation.partition
    said = instance.event_log_storage.get_latest_asset_check_execution_by_key([key], PartitionKeyFilter(key=partition))
    wanted = dg.AssetRecordsFilter(key.asset_key, asset_partitions=[partition] if partition else None)
    made = instance.fetch_materializations(wanted, limit=1).records
    run_id = said[key].run_id if key in said else made[0].run_id if made else ""
    if not run_id and key not in said:
        instance.report_runless_asset_event(evaluation)
        return
    event = dg.DagsterEvent(
        dg.DagsterEventType.ASSET_CHECK_EVALUATION.value,
        job_name="",
        event_specific_data=evaluation,
        message=f"{key.asset_key.to_user_string()} {partition or ''} was checked again: its failures have changed.",
    )
    instance.report_dagster_event(event, run_id or CHECKED_WITHOUT_RUN)


def _observe(
    instance: dg.DagsterInstance, evaluation: dg.AssetCheckEvaluation, failures: Sequence[OpenFailure]
) -> None:
    """Show beside the partition what failed in it, or that nothing is left of that."""
    shown = dg.MetadataValue.md(failures_table(failures[:_MOST_SHOWN]))
    instance.report_runless_asset_event(
        dg.AssetObservation(
            evaluation.asset_key,
            partition=evaluation.partition,
            description=evaluation.description,
            metadata={**evaluation.metadata, "failures": shown},
        )
    )


def _is_partition(checked: Checked, key: str) -> bool:
    return key == Everything.KEY if checked.partitions_def is None else checked.partitions_def.has_partition_key(key)


def _evaluated(
    checked: Checked, asset: dg.AssetKey, partition: str, records: RecordStoreResource, failures: Failures
) -> dg.AssetCheckEvaluation:
    audit, court = records.audit(), "" if partition == Everything.KEY else partition.partition("|")[0]
    month = month_or_everything(partition).filter_values if checked.rows else {}
    counted = {count.sweep: count for count in audit.server_counts(checked.asset, partition)}
    standing = Standing(
        as_of=audit.as_of(checked.asset, partition, checked.sweeps, court),
        failures=failures.counts_of(checked.asset, partition),
        lookups=audit.open_lookups(checked.tables, partition),
        differences=audit.open_differences(checked.rows, month) if checked.rows else 0,
        stored=records.open().counts({checked.asset: checked.rows}, month)[checked.asset] if checked.rows else None,
        counted=[
            (counted[sweep], audit.stored(members, month))
            for sweep, members in checked.counted.items()
            if sweep in counted
        ],
    )
    return dg.AssetCheckEvaluation(asset_key=asset, partition=dagster_key(partition), **standing.evaluation())


def _utc(moment: datetime | None) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if moment else "never"
