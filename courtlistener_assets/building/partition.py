"""One partition: its stored documents become its file, and what changed is told in the change log.

Belongs here: the order of these steps, and where files are. Does not belong here: several partitions at once
(`processes.py`), what Dagster is told (`defs/assets/chunk_metadata.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import cache, cached_property

from courtlistener_assets.building.cited import cited_clusters
from courtlistener_assets.chunks.change_log import ChangeLog, Telling
from courtlistener_assets.chunks.changes import Diff
from courtlistener_assets.chunks.citations import FINDER, CitationFinder, KnownCitations, finder_name
from courtlistener_assets.chunks.copies import Copies
from courtlistener_assets.chunks.document import DocumentKind
from courtlistener_assets.chunks.files import Location
from courtlistener_assets.chunks.identity import Across
from courtlistener_assets.chunks.local_tokenizer import find_tokenizer
from courtlistener_assets.chunks.made_with import kept, made_with
from courtlistener_assets.chunks.moves import Moves
from courtlistener_assets.chunks.options import ChunkOptions
from courtlistener_assets.chunks.report import ChunkReport, read_report
from courtlistener_assets.chunks.rows import Tally, partition_rows
from courtlistener_assets.chunks.table import MAX_TOKENS, write_partition
from courtlistener_assets.download.courts import name_of_court
from courtlistener_assets.download.documents import documents_of
from courtlistener_assets.download.partitions import CourtMonth
from courtlistener_assets.download.stream import Stream, all_kinds, all_members
from courtlistener_assets.download.undated import Undated
from resources.errors import Overtaken
from resources.records.misfits import UNDATED
from resources.records.store import RecordStore

#: Each is another run that made the same file meanwhile.
_ATTEMPTS = 3

Partition = CourtMonth | Undated


@dataclass(frozen=True)
class Built:
    """What was made of a partition. `stored` are rows by table, `texts_read` chunks read for citations."""

    path: Location
    tally: Tally
    diff: Diff
    report: ChunkReport
    stored: Mapping[str, int] = field(default_factory=dict)
    texts_read: int | None = None


def chunks_path(data_dir: Location, partition: Partition) -> Location:
    """Return where a partition's chunks are, in the layout that readers of partitioned Parquet know."""
    month = f"{partition.month:%Y-%m}" if isinstance(partition, CourtMonth) else UNDATED
    return data_dir / "vector_inputs" / f"court={partition.court}" / f"month={month}" / "chunks.parquet"


@dataclass(frozen=True, kw_only=True)
class Builder:
    """Makes the files of partitions from the documents of `streams`, one after the other.

    Copies of documents are told `across` other partitions. `as_made`: with the options that a file has been made with,
    or that of the month before; `options` are for those that have neither.
    """

    store: RecordStore
    streams: Sequence[Stream]
    data_dir: Location
    options: ChunkOptions
    log: ChangeLog
    across: Across = ""
    as_made: bool = False

    def build(self, partition: Partition) -> Built:
        """Make a partition's file. Unless that succeeds, the partition stays stale."""
        builder = replace(self, options=self._options_of(partition), as_made=False) if self.as_made else self
        for _ in range(_ATTEMPTS - 1):
            with suppress(Overtaken):
                return builder._build(partition)
        return builder._build(partition)

    def _options_of(self, partition: Partition) -> ChunkOptions:
        files = [chunks_path(self.data_dir, partition)]
        if isinstance(partition, CourtMonth):
            before = (partition.month - timedelta(days=1)).replace(day=1)
            files.append(chunks_path(self.data_dir, CourtMonth(partition.court, before)))
        return made_with(files) or self.options

    def _build(self, partition: Partition) -> Built:
        # All before the documents are read: what changes in between belongs to the next time.
        telling = self.log.telling(chunks_path(self.data_dir, partition))
        stale_at, arrivals = self.store.stale.at(str(partition)), self.store.arrivals.of(str(partition))
        moves = Moves(
            store=self.store,
            kinds=self._kinds,
            here=str(partition),
            other_file=_files_below(self.data_dir),
            arrivals=arrivals.values(),
            max_tokens=self.options.max_tokens,
            overlap_sentences=self.options.overlap_sentences,
            tokenizer=find_tokenizer(self.options.tokenizer),
            reserved=self.options.reserved_tokens,
        )

        def keep_stale() -> None:
            """Whoever is killed now leaves a partition that is to be made again."""
            nonlocal stale_at
            stale_at = self.store.stale.keep(str(partition), stale_at)

        tally, diff, texts_read = self._write(partition, moves, telling, keep_stale)
        path = chunks_path(self.data_dir, partition)
        report = read_report(path, self.options.max_tokens)
        self.store.arrivals.forget(list(arrivals))
        self.store.stale.take(str(partition), stale_at)
        return Built(path, tally, diff, report, self._stored(partition), texts_read)

    def _write(
        self, partition: Partition, moves: Moves, telling: Telling, before: Callable[[], None]
    ) -> tuple[Tally, Diff, int | None]:
        options, tally, path = self.options, Tally(), chunks_path(self.data_dir, partition)
        tables = [(name, kind.table) for name, kind in self._kinds.items()]
        with (
            self.store.documents(tables, partition.filter_values) as rows,
            KnownCitations.of_file(path, finder_name()) if options.find_citations else nullcontext() as known,
            Copies.of(self.log.texts, str(partition), self.across) as copies,
        ):
            finder = CitationFinder(known) if known else None
            court_name = name_of_court(partition.court, self.store.courts)
            diff = write_partition(
                partition_rows(
                    documents_of(rows, self._kinds, partition.court, court_name),
                    tally,
                    max_tokens=options.max_tokens,
                    overlap_sentences=options.overlap_sentences,
                    tokenizer=find_tokenizer(options.tokenizer),
                    reserved=options.reserved_tokens,
                    max_header_tokens=options.max_header_tokens,
                    near_duplicates=options.near_duplicates,
                    copies=copies,
                    find_citations=finder,
                    find_clusters=cited_clusters(self.store),
                ),
                path,
                metadata={
                    MAX_TOKENS: str(options.max_tokens),
                    **kept(options),
                    **({FINDER: finder.name} if finder else {}),
                },
                found=tally.soundness.kept,
                find_moves=moves.mark,
                telling=telling,
                before=before,
                copies=copies,
            )
        return tally, diff, finder.texts_read if finder else None

    def _stored(self, partition: Partition) -> Mapping[str, int]:
        """The rows that a month has of each table; those of no month are not counted."""
        if not isinstance(partition, CourtMonth):
            return {}
        return self.store.counts(all_members(self.streams), partition.filter_values)

    @cached_property
    def _kinds(self) -> dict[str, DocumentKind]:
        return {kind.name: kind for kind in all_kinds(self.streams)}


def _files_below(data_dir: Location) -> Callable[[str | None, date | None], str | None]:
    """Return what names the partition of a court and date, if it has a file."""

    @cache
    def key(partition: Partition) -> str | None:
        return str(partition) if chunks_path(data_dir, partition).exists() else None

    def file_of(court: str | None, day: date | None) -> str | None:
        if not court:
            return None
        return key(CourtMonth(court, day.replace(day=1)) if day else Undated(court))

    return file_of
