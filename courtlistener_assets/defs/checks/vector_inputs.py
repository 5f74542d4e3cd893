"""Asset checks of `vector_inputs` and `undated_vector_inputs`.

Belongs here: what Dagster is told about a partition's chunks. Does not belong here: what is examined and how
(`examination.py`), checks of downloads (`downloads.py`).
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import dagster as dg

from courtlistener_assets.building.partition import chunks_path
from courtlistener_assets.chunks.document import DocumentKind
from courtlistener_assets.chunks.files import Location, shown
from courtlistener_assets.defs.assets.partitioning import partition_keys
from courtlistener_assets.defs.checks.examination import WARNINGS, Finding, descriptions, examine
from courtlistener_assets.defs.names import VECTOR_INPUTS, Names
from courtlistener_assets.defs.steps import translated
from courtlistener_assets.download.partitions import CourtMonth
from courtlistener_assets.download.undated import Undated, partition_of
from resources.dagster_resources import RecordStoreResource


def vector_inputs_checks(
    partitions_def: dg.PartitionsDefinition,
    data_dir: Location,
    kinds: Sequence[DocumentKind],
    names: Names,
    asset_name: str = VECTOR_INPUTS,
) -> dg.AssetChecksDefinition:
    """Make the checks of an asset; they run after it, and without it from the UI."""
    asset, examined = names.key(asset_name), descriptions(kinds)

    @dg.multi_asset_check(
        name=names.name(f"{asset_name}_checks"),
        specs=[
            dg.AssetCheckSpec(name, asset=asset, description=description, partitions_def=partitions_def)
            for name, description in examined.items()
        ],
        can_subset=True,
    )
    def vector_inputs_checks(
        context: dg.AssetCheckExecutionContext, courtlistener_records: RecordStoreResource
    ) -> Iterator[Any]:
        op = context.op_execution_context
        log: Callable[[Any], None] = op.log_event  # Its annotation lacks evaluations.
        selected = {key.name for key in context.selected_asset_check_keys}
        with translated(op):
            audit = courtlistener_records.audit()
            for partition in _partitions(op, asset):
                path = chunks_path(data_dir, partition)
                found = examine(path, audit, partition, kinds)
                for name in (name for name in examined if name in selected):
                    result = _result(name, found[name], path)
                    if op.has_partition_key:
                        yield dg.AssetCheckResult(**result)
                    else:  # A result that is yielded is one for the whole run.
                        log(dg.AssetCheckEvaluation(asset_key=asset, partition=str(partition), **result))
            if not op.has_partition_key:  # Else Dagster would say that the step has not done what was expected.
                yield from (
                    dg.Output(None, each.name)
                    for each in op.op_def.output_defs
                    if each.name in op.selected_output_names
                )

    return vector_inputs_checks


def _partitions(context: dg.OpExecutionContext, asset: dg.AssetKey) -> list[CourtMonth | Undated]:
    """Return those of the run; all that were ever made if the checks run alone, without a partition."""
    keys = partition_keys(context) or context.instance.get_materialized_partitions(asset)
    return sorted(map(partition_of, keys), key=str)


def _result(name: str, finding: Finding, path: Location) -> dict[str, Any]:
    return {
        "check_name": name,
        "passed": not finding.wrong,
        "severity": dg.AssetCheckSeverity.WARN if name in WARNINGS else dg.AssetCheckSeverity.ERROR,
        "description": finding.said,
        "metadata": {
            **finding.numbers,
            **({"examples": list(map(str, finding.examples))} if finding.examples else {}),
            "file": dg.MetadataValue.path(shown(path)),
        },
    }
