"""The assets that turn a partition's documents, such as opinions, into chunks for an embedding job.

Belongs here: which partitions a run makes, and what becomes of those that fail. Does not belong here: making one
(`courtlistener_assets/building`), the run's configuration (`chunk_config.py`), the metadata (`chunk_metadata.py`),
checks (`checks/vector_inputs.py`).
"""

from collections.abc import Iterable, Sequence
from contextlib import closing
from typing import Any

import dagster as dg

from courtlistener_assets import logs
from courtlistener_assets.building.partition import Built, Partition
from courtlistener_assets.building.processes import Job, built, processes_of
from courtlistener_assets.chunks.chunking import CHUNKER_VERSION
from courtlistener_assets.chunks.table import SCHEMA
from courtlistener_assets.defs.assets.chunk_config import ChunkConfig
from courtlistener_assets.defs.assets.chunk_metadata import change_of, chunk_metadata, data_version
from courtlistener_assets.defs.assets.download_step import STEP_RETRIES
from courtlistener_assets.defs.assets.partitioning import selected_keys
from courtlistener_assets.defs.assets.tables import parquet_columns
from courtlistener_assets.defs.materializations import all_logged, log_materialization
from courtlistener_assets.defs.names import OWNERS, UNDATED_VECTOR_INPUTS, VECTOR_INPUTS, Names, name_of
from courtlistener_assets.defs.steps import translated
from courtlistener_assets.download.choice import without_parents
from courtlistener_assets.download.membership import UNDATED_DOCKETS
from courtlistener_assets.download.stream import Stream, all_tables
from courtlistener_assets.download.undated import partition_of
from courtlistener_assets.settings import Settings
from courtlistener_assets.text.cleaning import CLEANER_VERSION
from resources.dagster_resources import RecordStoreResource
from resources.errors import SettingError, StoreUnavailable

#: Errors that the other partitions would meet, too.
_OF_ALL = (SettingError, StoreUnavailable)


def vector_inputs_asset(
    partitions_def: dg.PartitionsDefinition, settings: Settings, streams: Sequence[Stream], names: Names
) -> dg.AssetsDefinition:
    """Make the asset; its files hold the documents of `streams`."""
    return _chunks_asset(
        names.key(VECTOR_INPUTS),
        "vector_inputs",
        "The text of opinions and other documents in clean chunks: one Parquet file a partition. Every change of "
        "one is told in a change log beside them.",
        partitions_def,
        [names.key(stream.name) for stream in streams],
        settings,
        streams,
    )


def undated_vector_inputs_asset(
    partitions_def: dg.PartitionsDefinition, settings: Settings, streams: Sequence[Stream], names: Names
) -> dg.AssetsDefinition:
    """Make the same for what belongs to no month, one file a court."""
    return _chunks_asset(
        names.key(UNDATED_VECTOR_INPUTS),
        "undated",
        "The text of documents that belong to no month, since their docket has no date, in clean chunks: one Parquet "
        "file a court, beside those of its months.",
        partitions_def,
        [names.key(UNDATED_DOCKETS)],
        settings,
        streams,
    )


def _chunks_asset(
    key: dg.AssetKey,
    group: str,
    description: str,
    partitions_def: dg.PartitionsDefinition,
    upstream: Sequence[dg.AssetKey],
    settings: Settings,
    streams: Sequence[Stream],
) -> dg.AssetsDefinition:
    missing = without_parents(streams)

    @dg.asset(
        key=key,
        description=f"{description} {missing}".strip(),
        partitions_def=partitions_def,
        backfill_policy=dg.BackfillPolicy.single_run(),
        deps=list(upstream),
        group_name=group,
        owners=OWNERS,
        kinds={"parquet"},
        tags={"source": "courtlistener"},
        metadata=parquet_columns(SCHEMA),
        code_version=f"cleaner-{CLEANER_VERSION}-chunker-{CHUNKER_VERSION}",
    )
    def chunks(
        context: dg.AssetExecutionContext, config: ChunkConfig, courtlistener_records: RecordStoreResource
    ) -> Iterable[dg.MaterializeResult[Any]]:
        with translated(context, retries=STEP_RETRIES):
            partitions = sorted(map(partition_of, selected_keys(context, partitions_def)), key=str)
            courtlistener_records.open().prepare(all_tables(streams))
            if missing:
                logs.run_log.warning(missing, extra={"event": "streams_missing"})
            job = Job(
                postgres_url=courtlistener_records.postgres.url,
                streams=tuple(stream.name for stream in streams),
                data_dir=settings.data_dir,
                options=config.options,
                across=settings.duplicates_across,
                log_format=settings.log_format,
                as_made=config.as_made,
            )
            _make(context, config, job, partitions, _left_out(courtlistener_records, streams), settings)
            yield all_logged()

    return chunks


def _make(
    context: dg.AssetExecutionContext,
    config: ChunkConfig,
    job: Job,
    partitions: Sequence[Partition],
    left_out: dict[str, str],
    settings: Settings,
) -> None:
    """Make the partitions that this run has not made yet. One that fails does not stop the others.

    Raises the worst error when all have ended: what is not made stays stale, or is missing in Dagster's eyes.
    """
    builder, errors = job.builder(), dict[Partition, Exception]()
    builder.log.open()
    missing = [each for each in partitions if str(each) not in _made_before(context)]
    with closing(built(builder, job, missing, processes_of(settings.processes))) as results:
        for partition, found in results:
            if isinstance(found, Built):
                _report(
                    context, partition, found, {**chunk_metadata(found, config.price_per_million_tokens), **left_out}
                )
                continue
            errors[partition] = found
            logs.run_log.error(
                f"{name_of(context.asset_key)} {partition}: {type(found).__name__}: {found}",
                extra={"event": "chunks_failed", "partition": str(partition), "error": type(found).__name__},
            )
            if isinstance(found, _OF_ALL):
                break
    builder.log.compact(settings.change_days)
    if errors:
        raise min(errors.values(), key=lambda error: getattr(error, "retryable", False))


def _report(context: dg.AssetExecutionContext, partition: Partition, found: Built, metadata: dict[str, Any]) -> None:
    logs.run_log.info(
        f"{name_of(context.asset_key)} {partition}: {found.tally.chunks} chunks, {change_of(found)}",
        extra={"event": "chunks_written", "partition": str(partition), "chunks": found.tally.chunks},
    )
    log_materialization(context, str(partition), metadata, data_version=data_version(found))


def _made_before(context: dg.AssetExecutionContext) -> set[str]:
    """The partitions that an earlier attempt of this step has made."""
    if not context.retry_number:
        return set()
    events = context.instance.all_logs(context.run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
    made = [entry.dagster_event for entry in events if entry.dagster_event]
    return {event.partition for event in made if event.partition and event.asset_key == context.asset_key}


def _left_out(records: RecordStoreResource, streams: Sequence[Stream]) -> dict[str, str]:
    """Return what the metadata says of streams that the account may not use: the files hold what there is."""
    endpoints = {stream.endpoint for stream in streams}
    refused = [str(each) for each in records.refused_endpoints() if each.endpoint in endpoints]
    for each in refused:
        logs.run_log.warning(f"Made from what there is: {each}", extra={"event": "stream_refused"})
    return {"left_out": "; ".join(refused)} if refused else {}
