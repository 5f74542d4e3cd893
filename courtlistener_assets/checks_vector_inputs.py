"""Asset checks of `vector_inputs`: are a partition's chunks what an embedding job may rely on.

Belongs here: reading a file's small columns, and judging them. Does not belong here: checks of downloads (`checks.py`),
the SQL (`resources/record_audit.py`).

The checks read no text, so they cost little beside making the file. They judge the file that stands in its place, not
what the run that made it says about itself.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from courtlistener_assets.assets.vector_inputs import VECTOR_INPUTS, chunks_path
from courtlistener_assets.chunk_files import Location, opened
from courtlistener_assets.chunk_table import MAX_TOKENS, made_by
from courtlistener_assets.failures import translated
from courtlistener_assets.partitions import CourtMonth
from courtlistener_assets.text import opinion_text
from resources.bookkeeping import BookkeepingResource
from resources.record_audit import RecordAudit

_COLUMNS = ["chunk_id", "content_hash", "char_start", "char_end", "token_count", "opinion_id"]
_EMPTY = hashlib.sha256(b"").hexdigest()
_SOME = 20

DESCRIPTIONS = {
    "unique_ids": "No two chunks of the partition have the same id.",
    "no_empty_text": "Every chunk has text.",
    "within_budget": "No chunk has more tokens than the run that made the file allowed.",
    "every_opinion_has_chunks": "Every stored opinion of the partition that has text has a chunk. While downloads are "
    "newer than the chunks, some may not.",
}


@dataclass(frozen=True)
class Finding:
    """What a check found in a partition: a sentence, and examples of what is wrong (none if all is well)."""

    said: str
    wrong: int = 0
    examples: tuple[Any, ...] = ()


@dataclass(frozen=True)
class ChunkColumns:
    """The small columns of a partition's file, and the budget that it was made with (None if it does not say)."""

    table: pa.Table
    max_tokens: int | None


def read_columns(location: Location) -> ChunkColumns:
    """Read what the checks need; about 200 bytes a chunk in memory. Raises FileNotFoundError."""
    with opened(location) as source, pq.ParquetFile(source) as file:
        budget = made_by(file).get(MAX_TOKENS)
        return ChunkColumns(file.read(columns=_COLUMNS), int(budget) if budget else None)


def examine(columns: ChunkColumns, audit: RecordAudit, partition: CourtMonth) -> dict[str, Finding]:
    """The finding of each check, by its name."""
    table = columns.table
    over = pc.greater(table["token_count"], pa.scalar(columns.max_tokens or 0))
    empty = pc.or_(
        pc.less_equal(table["char_end"], table["char_start"]), pc.equal(table["content_hash"], pa.scalar(_EMPTY))
    )
    budget = f"with more than {columns.max_tokens} tokens" if columns.max_tokens else "in a file that names no budget"
    missing, more = _opinions_without_chunks(table, audit, partition)
    count = f"{len(missing)} or more" if more else str(len(missing))
    return {
        "unique_ids": _repeated(table["chunk_id"]),
        "no_empty_text": _rows("without text", table, empty),
        "within_budget": _rows(budget, table, over),
        "every_opinion_has_chunks": Finding(
            f"Opinions with text and without a chunk: {count}.",
            len(missing),
            missing,
        ),
    }


def _repeated(ids: Any) -> Finding:
    repeats = len(ids) - pc.count_distinct(ids).as_py()
    if not repeats:
        return Finding(f"{len(ids)} chunks, {len(ids)} ids.")
    counts: Any = pc.value_counts(ids)
    several = counts.filter(pc.greater(counts.field("counts"), pa.scalar(1))).field("values")
    return Finding(f"{repeats} chunks have another one's id.", repeats, tuple(several.to_pylist()[:_SOME]))


def _rows(what: str, table: pa.Table, wrong: Any) -> Finding:
    ids = table["chunk_id"].filter(wrong)
    return Finding(f"{len(ids)} of {len(table)} chunks {what}.", len(ids), tuple(ids[:_SOME].to_pylist()))


def _opinions_without_chunks(
    table: pa.Table, audit: RecordAudit, partition: CourtMonth
) -> tuple[tuple[int, ...], bool]:
    """Opinions that have text and no chunk, and whether there are more. Only bodies without a chunk are read."""
    present = set(pc.unique(table["opinion_id"]).to_pylist())
    ids = audit.opinion_ids(partition.court, partition.month, partition.next_month)
    found: list[int] = []
    for id, body in audit.bodies("opinions", [id for id in ids if id not in present]):
        cleaned = opinion_text(body)
        if cleaned and cleaned.text:
            found.append(id)
            if len(found) == _SOME:
                return tuple(found), True
    return tuple(found), False


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
        context: dg.AssetCheckExecutionContext, bookkeeping: BookkeepingResource
    ) -> Iterator[dg.AssetCheckResult]:
        selected = {key.name for key in context.selected_asset_check_keys}
        partitions = _partitions(context.op_execution_context)
        with translated(context.op_execution_context), bookkeeping.open() as books:
            findings = {
                partition: _examined(chunks_path(data_dir, partition), books.audit, partition)
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
        return examine(read_columns(location), audit, partition)
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
