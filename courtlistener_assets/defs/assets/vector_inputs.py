"""The asset that turns a partition's opinions and RECAP documents into chunks for an embedding job.

Belongs here: from stored records to documents, and what Dagster is told. Does not belong here: cleaning (`text/`),
chunking, rows and files (`chunks/`), checks (`checks/vector_inputs.py`).
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

import dagster as dg
from pydantic import Field

from courtlistener_assets import logs
from courtlistener_assets.chunks.chunking import CHUNKER_VERSION
from courtlistener_assets.chunks.citations import FINDER, CitationFinder, KnownCitations, finder_name
from courtlistener_assets.chunks.files import Location, shown
from courtlistener_assets.chunks.report import ChunkReport, cost, read_report
from courtlistener_assets.chunks.table import MAX_TOKENS, Diff, Document, Tally, partition_rows, write_partition
from courtlistener_assets.defs.assets.download_step import STEP_RETRIES
from courtlistener_assets.defs.assets.partitioning import partitions_of
from courtlistener_assets.defs.step_errors import translated
from courtlistener_assets.download.partitions import CourtMonth
from courtlistener_assets.download.streams import STREAMS
from courtlistener_assets.text.cleaning import CLEANER_VERSION
from resources.records.store import RecordStore, RecordStoreResource

VECTOR_INPUTS = "vector_inputs"


class ChunkConfig(dg.Config):
    """How text is cut and marked; all partitions should be made with the same values."""

    max_tokens: int = Field(default=512, description="The most tokens a chunk may have.")
    overlap_sentences: int = Field(default=0, description="Sentences of the chunk before that a chunk repeats.")
    near_duplicates: bool = Field(
        default=False,
        description="Mark documents four fifths of whose text is that of an earlier one of the partition, too.",
    )
    find_citations: bool = Field(
        default=False,
        description="Find the citations of every chunk with eyecite (slow: 20 s a million characters; texts of the "
        "last time are not read again). Needs the package eyecite.",
    )
    price_per_million_tokens: float = Field(
        default=0.02, ge=0, description="Price of an embedding model in USD, to estimate what the chunks will cost."
    )


def vector_inputs_asset(partitions_def: dg.PartitionsDefinition, data_dir: Location) -> dg.AssetsDefinition:
    """The asset; its files go below `data_dir`."""

    @dg.asset(
        name=VECTOR_INPUTS,
        description="Opinions and RECAP documents as clean text in chunks: one Parquet file a partition, and beside it "
        "the ids of the chunks that the last change added, removed or updated.",
        partitions_def=partitions_def,
        backfill_policy=dg.BackfillPolicy.single_run(),
        deps=[stream.name for stream in STREAMS],
        group_name="vector_inputs",
        owners=["team:legal-data"],
        kinds={"parquet"},
        tags={"source": "courtlistener"},
        retry_policy=STEP_RETRIES,
        code_version=f"cleaner-{CLEANER_VERSION}-chunker-{CHUNKER_VERSION}",
    )
    def vector_inputs(
        context: dg.AssetExecutionContext, config: ChunkConfig, records: RecordStoreResource
    ) -> Iterable[dg.MaterializeResult[Any]]:
        partitions = partitions_of(context)
        with translated(context), records.open() as store:
            store.prepare([table for stream in STREAMS for table in stream.stores])
            for partition in partitions:
                metadata = _build(store, partition, chunks_path(data_dir, partition), config)
                logs.run_log.info(
                    f"vector_inputs {partition}: {metadata['chunks']} chunks, {metadata['change']}",
                    extra={"event": "chunks_written", "partition": str(partition), "chunks": metadata["chunks"]},
                )
                context.add_asset_metadata(metadata, partition_key=str(partition))
                # Green when it is made, even if the run ends early. At its end Dagster logs every partition of the run
                # once more, with the code version; a run that did not let it would skip the checks, too.
                if len(partitions) > 1:
                    context.log_event(
                        dg.AssetMaterialization(
                            asset_key=context.asset_key, partition=str(partition), metadata=metadata
                        )
                    )
            yield dg.MaterializeResult()

    return vector_inputs


def chunks_path(data_dir: Location, partition: CourtMonth) -> Location:
    """Where a partition's chunks are, in the layout that readers of partitioned Parquet know."""
    return data_dir / "vector_inputs" / f"court={partition.court}" / f"month={partition.month:%Y-%m}" / "chunks.parquet"


def _build(store: RecordStore, partition: CourtMonth, path: Location, config: ChunkConfig) -> dict[str, Any]:
    tally = Tally()
    with (
        store.documents(partition.court, partition.month, partition.next_month) as rows,
        _finder(path, config) as finder,
    ):
        diff = write_partition(
            partition_rows(
                _documents(rows, partition.court),
                tally,
                max_tokens=config.max_tokens,
                overlap_sentences=config.overlap_sentences,
                near_duplicates=config.near_duplicates,
                find_citations=finder,
            ),
            path,
            metadata={MAX_TOKENS: str(config.max_tokens), **({FINDER: finder.name} if finder else {})},
        )
    counts = store.counts(partition.court, partition.month, partition.next_month)
    report = read_report(path, config.max_tokens)
    read = {"chunks_read_for_citations": finder.texts_read} if finder else {}
    return {**counts, **_metadata(tally, diff, path), **read, **_shown(report, diff, config.price_per_million_tokens)}


@contextmanager
def _finder(path: Location, config: ChunkConfig) -> Iterator[CitationFinder | None]:
    if config.find_citations:
        with KnownCitations.of_file(path, finder_name()) as known:
            yield CitationFinder(known)
    else:
        yield None


def _metadata(tally: Tally, diff: Diff, path: Location) -> dict[str, Any]:
    return {
        "dagster/partition_row_count": tally.chunks,
        "documents": tally.documents,
        "documents_without_text": tally.without_text,
        "duplicate_documents": tally.duplicates,
        "chunks": tally.chunks,
        "chunks_that_end_a_sentence": round(tally.sentence_end_share, 3),
        "change": f"{diff.added} added, {diff.removed} removed",
        "added": diff.added,
        "removed": diff.removed,
        "updated": diff.updated,
        "unchanged": diff.unchanged,
        "flagged": tally.flagged,
        "file": dg.MetadataValue.path(shown(path)),
    }


def _shown(report: ChunkReport, diff: Diff, price: float) -> dict[str, Any]:
    return {
        "tokens": report.tokens,
        "added_tokens": diff.added_tokens,
        "cost_of_all": f"{cost(report.tokens, price)} at USD {price} a million tokens",
        "cost_of_added": f"{cost(diff.added_tokens, price)} at USD {price} a million tokens",
        "lengths": dg.MetadataValue.md(report.histogram),
        "preview": dg.MetadataValue.md(report.preview),
    }


def _documents(rows: Iterable[Mapping[str, Any]], court: str) -> Iterator[Document]:
    for row in rows:
        cluster, docket = row["cluster"] or {}, row["docket"] or {}
        yield Document(
            doc_type=row["kind"],
            body=row["body"],
            docket_id=row["docket_id"],
            cluster_id=row["cluster_id"],
            court_id=court,
            court_name=_court_names().get(court, ""),
            case_name=cluster.get("case_name") or docket.get("case_name") or "",
            docket_number=docket.get("docket_number") or "",
            date_filed=row["date_filed"],
            precedential_status=cluster.get("precedential_status") or "",
            citations=tuple(_citations(cluster)),
            author=row["body"].get("author_str") or "",
        )


def _citations(cluster: Mapping[str, Any]) -> Iterator[str]:
    for citation in cluster.get("citations") or []:
        yield f"{citation.get('volume')} {citation.get('reporter')} {citation.get('page')}"


@cache
def _court_names() -> dict[str, str]:
    import courts_db  # Reads half a megabyte of JSON; only who builds chunks pays for it.

    return {court["id"]: court["name"] for court in courts_db.courts}
