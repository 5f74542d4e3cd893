"""The asset that turns a partition's documents, such as opinions, into chunks for an embedding job.

Belongs here: from stored records to documents, and what Dagster is told. Does not belong here: cleaning (`text/`),
chunking, rows and files (`chunks/`), checks (`checks/vector_inputs.py`).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext, suppress
from datetime import date
from functools import cache
from typing import Any

import dagster as dg
from pydantic import Field

from courtlistener_assets import logs
from courtlistener_assets.chunks.change_log import ChangeLog, Telling
from courtlistener_assets.chunks.changes import Diff
from courtlistener_assets.chunks.chunking import CHUNKER_VERSION
from courtlistener_assets.chunks.citations import (
    FINDER,
    CitationFinder,
    CitedCluster,
    KnownCitations,
    finder_name,
)
from courtlistener_assets.chunks.document import Document, DocumentKind, id_of
from courtlistener_assets.chunks.files import Location, shown
from courtlistener_assets.chunks.local_tokenizer import find_tokenizer
from courtlistener_assets.chunks.moves import Moves
from courtlistener_assets.chunks.report import ChunkReport, cost, read_report
from courtlistener_assets.chunks.rows import Tally, partition_rows
from courtlistener_assets.chunks.soundness import Soundness
from courtlistener_assets.chunks.table import MAX_TOKENS, SCHEMA, write_partition
from courtlistener_assets.chunks.token_counts import DEFAULT
from courtlistener_assets.defs.assets.download_step import STEP_RETRIES
from courtlistener_assets.defs.assets.partitioning import selected_keys
from courtlistener_assets.defs.assets.tables import parquet_columns
from courtlistener_assets.defs.materializations import all_logged, log_materialization
from courtlistener_assets.defs.names import OWNERS, UNDATED_VECTOR_INPUTS, VECTOR_INPUTS, Names, name_of
from courtlistener_assets.defs.steps import translated
from courtlistener_assets.download.choice import without_parents
from courtlistener_assets.download.courts import name_of_court
from courtlistener_assets.download.membership import UNDATED_DOCKETS
from courtlistener_assets.download.partitions import CourtMonth
from courtlistener_assets.download.stream import Stream, all_kinds, all_members, all_tables
from courtlistener_assets.download.undated import Undated, partition_of
from courtlistener_assets.text.cleaning import CLEANER_VERSION
from resources.dagster_resources import RecordStoreResource
from resources.errors import Overtaken
from resources.records.misfits import UNDATED
from resources.records.store import RecordStore

#: Each is another run that made the same file meanwhile.
_ATTEMPTS = 3


class ChunkConfig(dg.Config):
    """How text is cut and marked; all partitions should be made with the same values."""

    max_tokens: int = Field(default=512, description="The most tokens a chunk may have.")
    overlap_sentences: int = Field(default=0, description="Sentences of the chunk before that a chunk repeats.")
    tokenizer: str = Field(
        default=DEFAULT.name,
        description="What counts tokens: cl100k_base, or the path of your model's tokenizer.json, whose special tokens "
        "count, too. The latter needs the package tokenizers.",
    )
    count_header: bool = Field(
        default=False,
        description="Whether max_tokens is for the header and the text together; max_header_tokens of it are then kept "
        "for the header.",
    )
    max_header_tokens: int = Field(default=64, ge=16, description="The most tokens of a header; a longer one is cut.")
    near_duplicates: bool = Field(
        default=False,
        description="Mark documents four fifths of whose text is that of an earlier one of the partition, too.",
    )
    find_citations: bool = Field(
        default=False,
        description="Find the citations of every chunk with eyecite, and the stored decisions that have them (slow: "
        "20 s a million characters; texts of the last time are not read again). Needs the package eyecite.",
    )
    price_per_million_tokens: float = Field(
        default=0.02, ge=0, description="Price of an embedding model in USD, to estimate what the chunks will cost."
    )

    @property
    def reserved_tokens(self) -> int:
        """The tokens of the budget that are the header's."""
        return self.max_header_tokens if self.count_header else 0


def vector_inputs_asset(
    partitions_def: dg.PartitionsDefinition,
    data_dir: Location,
    streams: Sequence[Stream],
    names: Names,
    keep_days: float,
) -> dg.AssetsDefinition:
    """Make the asset; its files go below `data_dir`, and hold the documents of `streams`.

    Entries of the change log that are older than `keep_days` are compacted.
    """
    return _chunks_asset(
        names.key(VECTOR_INPUTS),
        "The text of opinions and other documents in clean chunks: one Parquet file a partition. Every change of "
        "one is told in a change log beside them.",
        partitions_def,
        [names.key(stream.name) for stream in streams],
        data_dir,
        streams,
        keep_days,
    )


def undated_vector_inputs_asset(
    partitions_def: dg.PartitionsDefinition,
    data_dir: Location,
    streams: Sequence[Stream],
    names: Names,
    keep_days: float,
) -> dg.AssetsDefinition:
    """Make the same for what belongs to no month, one file a court."""
    return _chunks_asset(
        names.key(UNDATED_VECTOR_INPUTS),
        "The text of documents that belong to no month, since their docket has no date, in clean chunks: one Parquet "
        "file a court, beside those of its months.",
        partitions_def,
        [names.key(UNDATED_DOCKETS)],
        data_dir,
        streams,
        keep_days,
    )


def _chunks_asset(
    key: dg.AssetKey,
    description: str,
    partitions_def: dg.PartitionsDefinition,
    upstream: Sequence[dg.AssetKey],
    data_dir: Location,
    streams: Sequence[Stream],
    keep_days: float,
) -> dg.AssetsDefinition:
    missing = without_parents(streams)

    @dg.asset(
        key=key,
        description=f"{description} {missing}".strip(),
        partitions_def=partitions_def,
        backfill_policy=dg.BackfillPolicy.single_run(),
        deps=list(upstream),
        group_name="vector_inputs",
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
            store = courtlistener_records.open()
            store.prepare(all_tables(streams))
            if missing:
                logs.run_log.warning(missing, extra={"event": "streams_missing"})
            left_out = _left_out(courtlistener_records, streams)
            log = ChangeLog.at(data_dir, courtlistener_records.postgres.database()).open()
            for partition in partitions:
                metadata = {**build_partition(store, streams, partition, data_dir, config, log), **left_out}
                logs.run_log.info(
                    f"{name_of(key)} {partition}: {metadata['chunks']} chunks, {metadata['change']}",
                    extra={"event": "chunks_written", "partition": str(partition), "chunks": metadata["chunks"]},
                )
                log_materialization(context, str(partition), metadata)
            log.compact(keep_days)
            yield all_logged()

    return chunks


def _left_out(records: RecordStoreResource, streams: Sequence[Stream]) -> dict[str, str]:
    """Return what the metadata says of streams that the account may not use: the files hold what there is."""
    endpoints = {stream.endpoint for stream in streams}
    refused = [str(each) for each in records.refused_endpoints() if each.endpoint in endpoints]
    for each in refused:
        logs.run_log.warning(f"Made from what there is: {each}", extra={"event": "stream_refused"})
    return {"left_out": "; ".join(refused)} if refused else {}


def chunks_path(data_dir: Location, partition: CourtMonth | Undated) -> Location:
    """Return where a partition's chunks are, in the layout that readers of partitioned Parquet know."""
    month = f"{partition.month:%Y-%m}" if isinstance(partition, CourtMonth) else UNDATED
    return data_dir / "vector_inputs" / f"court={partition.court}" / f"month={month}" / "chunks.parquet"


def build_partition(
    store: RecordStore,
    streams: Sequence[Stream],
    partition: CourtMonth | Undated,
    data_dir: Location,
    config: ChunkConfig,
    log: ChangeLog,
) -> dict[str, Any]:
    """Make a partition's file; return the metadata. Unless that succeeds, the partition stays stale."""
    for _ in range(_ATTEMPTS - 1):
        with suppress(Overtaken):
            return _build(store, streams, partition, data_dir, config, log)
    return _build(store, streams, partition, data_dir, config, log)


def _build(
    store: RecordStore,
    streams: Sequence[Stream],
    partition: CourtMonth | Undated,
    data_dir: Location,
    config: ChunkConfig,
    log: ChangeLog,
) -> dict[str, Any]:
    path = chunks_path(data_dir, partition)
    # All before the documents are read: what changes in between belongs to the next time.
    telling = log.telling(path)
    stale_at, arrivals = store.stale.at(str(partition)), store.arrivals.of(str(partition))
    kinds = {kind.name: kind for kind in all_kinds(streams)}
    moves = Moves(
        store=store,
        kinds=kinds,
        here=str(partition),
        other_file=_files_below(data_dir),
        arrivals=arrivals.values(),
        max_tokens=config.max_tokens,
        overlap_sentences=config.overlap_sentences,
        tokenizer=find_tokenizer(config.tokenizer),
        reserved=config.reserved_tokens,
    )

    def keep_stale() -> None:
        """Whoever is killed now leaves a partition that is to be made again."""
        nonlocal stale_at
        stale_at = store.stale.keep(str(partition), stale_at)

    metadata = _write(store, kinds, partition, path, config, moves, telling, keep_stale)
    store.arrivals.forget(list(arrivals))
    store.stale.take(str(partition), stale_at)
    months_only = all_members(streams) if isinstance(partition, CourtMonth) else {}
    return {**store.counts(months_only, partition.filter_values), **metadata} if months_only else metadata


def _write(
    store: RecordStore,
    kinds: Mapping[str, DocumentKind],
    partition: CourtMonth | Undated,
    path: Location,
    config: ChunkConfig,
    moves: Moves,
    telling: Telling,
    before: Callable[[], None],
) -> dict[str, Any]:
    tally = Tally()
    with (
        store.documents([(name, kind.table) for name, kind in kinds.items()], partition.filter_values) as rows,
        KnownCitations.of_file(path, finder_name()) if config.find_citations else nullcontext() as known,
    ):
        finder = CitationFinder(known) if known else None
        diff = write_partition(
            partition_rows(
                _documents(rows, kinds, partition.court, name_of_court(partition.court, store.courts)),
                tally,
                max_tokens=config.max_tokens,
                overlap_sentences=config.overlap_sentences,
                tokenizer=find_tokenizer(config.tokenizer),
                reserved=config.reserved_tokens,
                max_header_tokens=config.max_header_tokens,
                near_duplicates=config.near_duplicates,
                find_citations=finder,
                find_clusters=_cited_clusters(store),
            ),
            path,
            metadata={MAX_TOKENS: str(config.max_tokens), **({FINDER: finder.name} if finder else {})},
            found=tally.soundness.kept,
            find_moves=moves.mark,
            telling=telling,
            before=before,
        )
    report = read_report(path, config.max_tokens)
    read = {"chunks_read_for_citations": finder.texts_read} if finder else {}
    return {**_metadata(tally, diff, report, path, config.price_per_million_tokens), **read}


def _cited_clusters(store: RecordStore) -> Callable[[Sequence[str]], Mapping[str, Sequence[CitedCluster]]]:
    """Return what finds the stored clusters that have some citations; each cluster names its opinions."""

    def find(citations: Sequence[str]) -> Mapping[str, Sequence[CitedCluster]]:
        found: dict[str, list[CitedCluster]] = {}
        for citation, cluster_id, opinions in store.cited.having(citations):
            ids = (id_of(each) for each in opinions) if isinstance(opinions, list) else ()
            found.setdefault(citation, []).append(CitedCluster(cluster_id, frozenset(id for id in ids if id)))
        return found

    return find


def _files_below(data_dir: Location) -> Callable[[str | None, date | None], str | None]:
    """Return what names the partition of a court and date, if it has a file."""

    @cache
    def key(partition: CourtMonth | Undated) -> str | None:
        return str(partition) if chunks_path(data_dir, partition).exists() else None

    def file_of(court: str | None, day: date | None) -> str | None:
        if not court:
            return None
        return key(CourtMonth(court, day.replace(day=1)) if day else Undated(court))

    return file_of


def _metadata(tally: Tally, diff: Diff, report: ChunkReport, path: Location, price: float) -> dict[str, Any]:
    return {
        "dagster/partition_row_count": tally.chunks,
        "documents": tally.documents,
        "documents_without_text": tally.without_text,
        "duplicate_documents": tally.duplicates,
        "chunks": tally.chunks,
        "chunks_that_end_a_sentence": round(tally.sentence_end_share, 3),
        **_soundness(tally.soundness),
        "change": f"{diff.added} added, {diff.removed} removed" + (f", {diff.moved} moved" if diff.moved else ""),
        "added": diff.added,
        "removed": diff.removed,
        "moved": diff.moved,
        "relabelled": diff.relabelled,
        "reembed": diff.reembed,
        "unchanged": diff.unchanged,
        "flagged": tally.flagged,
        "file": dg.MetadataValue.path(shown(path)),
        "tokens": report.tokens,
        "added_tokens": diff.added_tokens,
        "cost_of_all": f"{cost(report.tokens, price)} at USD {price} a million tokens",
        "cost_of_added": f"{cost(diff.added_tokens, price)} at USD {price} a million tokens",
        "lengths": dg.MetadataValue.md(report.lengths),
    }


def _soundness(found: Soundness) -> dict[str, Any]:
    """What a judge that does not know the cleaner says of the text, without any of it: documents are named by id."""
    tears = found.tears
    worst = "".join(f"| {name} | {faults} |\n" for faults, name in sorted(found.worst, reverse=True))
    return {
        "torn_share": round(tears.torn_share, 4),
        "tabs_in_prose": tears.tabs_in_prose,
        "furniture_inside_sentences": tears.furniture_inside,
        "joined_headings": tears.joined,
        "orphaned_heading_share": round(found.orphaned_heading_share, 4),
    } | ({"most_faults": dg.MetadataValue.md(f"| document | faults |\n|---|---:|\n{worst}")} if worst else {})


def _documents(
    rows: Iterable[Mapping[str, Any]], kinds: Mapping[str, DocumentKind], court: str, court_name: str
) -> Iterator[Document]:
    for row in rows:
        cluster, docket, body = row["cluster"] or {}, row["docket"] or {}, row["body"]
        kind = kinds[row["kind"]]
        yield Document(
            kind=kind,
            body=body,
            docket_id=row["docket_id"],
            cluster_id=row["cluster_id"],
            court_id=court,
            court_name=court_name,
            case_name=cluster.get("case_name") or docket.get("case_name") or body.get("case_name") or "",
            docket_number=docket.get("docket_number") or "",
            date_filed=kind.date(row),
            precedential_status=cluster.get("precedential_status") or "",
            citations=tuple(
                f"{each.get('volume')} {each.get('reporter')} {each.get('page')}"
                for each in cluster.get("citations") or []
            ),
            author=body.get("author_str") or "",
        )
