"""Asset checks of `vector_inputs`.

Belongs here: what Dagster is told about a partition's chunks. Does not belong here: what is examined and how
(`examination.py`), checks of downloads (`downloads.py`).
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import dagster as dg

from courtlistener_assets.chunks.files import Location
from courtlistener_assets.defs.assets.vector_inputs import VECTOR_INPUTS, chunks_path
from courtlistener_assets.defs.checks.examination import DESCRIPTIONS, Finding, examine
from courtlistener_assets.defs.step_errors import translated
from courtlistener_assets.download.partitions import CourtMonth
from resources.backlog.backlog import BacklogResource
from resources.records.audit import RecordAudit


def vector_inputs_checks(partitions_def: dg.PartitionsDefinition, data_dir: Location) -> dg.AssetChecksDefinition:
    """The checks; they run after the asset, and by themselves from the UI."""

    @dg.multi_asset_check(
        name="vector_inputs_checks",
        specs=[
            dg.AssetCheckSpec(name, asset=VECTOR_INPUTS, description=description, partitions_def=partitions_def)
            for name, description in DESCRIPTIONS.items()
        ],
        can_subset=True,
    )
    def vector_inputs_checks(
        context: dg.AssetCheckExecutionContext, backlog: BacklogResource
    ) -> Iterator[dg.AssetCheckResult]:
        selected = {key.name for key in context.selected_asset_check_keys}
        partitions = _partitions(context.op_execution_context)
        with translated(context.op_execution_context), backlog.open() as open_backlog:
            findings = {
                partition: _examined(chunks_path(data_dir, partition), open_backlog.audit, partition)
                for partition in partitions
            }
        if context.op_execution_context.has_partition_key:
            [found] = findings.values()
            yield from (_result(name, found[name]) for name in DESCRIPTIONS if name in selected)
        else:
            _log_each(context.op_execution_context.log_event, findings, selected)

    return vector_inputs_checks


def _partitions(context: dg.OpExecutionContext) -> list[CourtMonth]:
    """Those of the run; all that were ever made if the checks are run by themselves, without a partition."""
    if context.has_partition_key or context.has_partition_key_range:
        keys = set(context.partition_keys)
    else:
        keys = context.instance.get_materialized_partitions(dg.AssetKey(VECTOR_INPUTS))
    return sorted(map(CourtMonth.parse, keys))


def _examined(location: Location, audit: RecordAudit, partition: CourtMonth) -> dict[str, Finding]:
    try:
        return examine(location, audit, partition)
    except FileNotFoundError:
        return dict.fromkeys(DESCRIPTIONS, Finding("There is no file.", 1))


def _log_each(
    log: Callable[[Any], None], findings: Mapping[CourtMonth, Mapping[str, Finding]], selected: set[str]
) -> None:
    """Say what holds for each partition; a result that is yielded is one for the whole run."""
    for partition, found in findings.items():
        for name in sorted(selected):
            result = _result(name, found[name])
            log(
                dg.AssetCheckEvaluation(
                    asset_key=dg.AssetKey(VECTOR_INPUTS),
                    check_name=name,
                    passed=result.passed,
                    description=result.description,
                    metadata=result.metadata,
                    partition=str(partition),
                )
            )


def _result(name: str, finding: Finding) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=name,
        passed=not finding.wrong,
        description=finding.said,
        metadata={"examples": list(map(str, finding.examples))} if finding.examples else {},
    )
