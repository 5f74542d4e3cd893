"""Chunks of a corpus: its opinions, a file a court and year, in the form of `vector_inputs`, without a database.

Belongs here: which files are made, in processes side by side, and what became of each. Does not belong here: reading a
corpus (`download/bulk/corpus/documents.py`), making chunks (`chunks/`), Dagster.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from courtlistener_assets.chunks.changes import Diff
from courtlistener_assets.chunks.chunking import CHUNKER_VERSION
from courtlistener_assets.chunks.document import Body
from courtlistener_assets.chunks.files import Location, location_of, opened, unreadable
from courtlistener_assets.chunks.local_tokenizer import find_tokenizer
from courtlistener_assets.chunks.options import ChunkOptions
from courtlistener_assets.chunks.rows import Tally, partition_rows
from courtlistener_assets.chunks.table import MAX_TOKENS, made_by, write_partition
from courtlistener_assets.download.bulk.bootstrap import Reached
from courtlistener_assets.download.bulk.corpus.dataset import Corpus
from courtlistener_assets.download.bulk.corpus.documents import opinions_of
from courtlistener_assets.download.bulk.corpus.places import Partition, all_years
from courtlistener_assets.download.documents import documents_of
from courtlistener_assets.download.streams import OPINION
from courtlistener_assets.logs import run_log
from courtlistener_assets.operations.child_processes import in_processes
from courtlistener_assets.text.cleaning import CLEANER_VERSION, CleanText

#: The dataset, below the directory of all data.
DATASET = "corpus_vector_inputs"
#: In the metadata of a file: what it was made from and how, what is in it, and the documents that could not be read.
MADE_FROM, FAILED, COUNTS = "made_from", "failed", "counts"


@dataclass(frozen=True)
class Job:
    """One file that is to be made; `location` is that of all data."""

    root: Path
    partition: Partition
    location: str
    court_name: str
    options: ChunkOptions


@dataclass(frozen=True)
class Built:
    """What a file has; `diff` is None if it was there. `failed` are documents and why they could not be read."""

    counts: Mapping[str, int]
    diff: Diff | None = None
    failed: Sequence[tuple[str, str]] = ()


@dataclass
class Outcome:
    """What became of all files: sums of them, and the files that could not be made, with the reason."""

    built: dict[Partition, Built] = field(default_factory=dict)
    errors: dict[Partition, str] = field(default_factory=dict)

    @property
    def failed(self) -> list[tuple[str, str]]:
        """The documents that could not be read."""
        return [each for built in self.built.values() for each in built.failed]

    @property
    def counts(self) -> list[tuple[str, list[tuple[str, int]]]]:
        """What each file holds, in an order that does not depend on which was made first."""
        return sorted((str(partition), sorted(built.counts.items())) for partition, built in self.built.items())

    def sum(self, name: str) -> int:
        """The sum of a count of all files, those that were there before, too."""
        return sum(built.counts[name] for built in self.built.values())

    def changed(self, name: str) -> int:
        """The sum of a number of their differences."""
        return sum(getattr(built.diff, name) for built in self.built.values() if built.diff)


def chunks_path(data_dir: Location, partition: Partition) -> Location:
    """Where the chunks of a court and year are."""
    return partition.folder(data_dir / DATASET) / "chunks.parquet"


def build_all(
    corpus: Corpus,
    data_dir: Location,
    options: ChunkOptions,
    processes: int,
    told: Callable[[Reached], None] = lambda reached: None,
) -> Outcome:
    """Make the files of all courts and years of a corpus that were not made from it before, in processes side by side.

    A document that cannot be read is left out and named, and so is a file that cannot be made; what has no opinions any
    more becomes an empty file. Run again, it makes those that are missing, or lack documents.
    """
    names: Mapping[str, str] = corpus.manifest["court_names"]
    sizes = {each: corpus.file("opinions", each).stat().st_size for each in corpus.partitions("opinions")}
    sizes |= dict.fromkeys(_left(corpus, data_dir, set(sizes)), 0)
    size = sum(sizes.values())
    jobs = [
        Job(corpus.root, each, str(data_dir), names.get(each.court, ""), options)
        for each in sorted(sizes, key=lambda each: -sizes[each])
    ]
    outcome, done, chunks = Outcome(), 0, 0
    for job, future in in_processes(build, jobs, processes):
        done += sizes[job.partition]
        try:
            outcome.built[job.partition] = built = future.result()
        except Exception as error:  # Of one file, whatever it is; the others are made all the same.
            outcome.errors[job.partition] = f"{type(error).__name__}: {error}"
            run_log.warning(f"The chunks of {job.partition} could not be made: {outcome.errors[job.partition]}")
            continue
        for document, reason in built.failed:
            run_log.warning(f"{document} of {job.partition} is in no chunk: {reason}")
        chunks += built.counts["chunks"]
        told(Reached("chunks", chunks, done, size))
    return outcome


def build(job: Job) -> Built:
    """Make one file, unless it was made from the same corpus in the same way. Raises as `write_partition` does."""
    corpus, path = Corpus(job.root), chunks_path(location_of(job.location), job.partition)
    made_from = json.dumps([corpus.name, asdict(job.options), CLEANER_VERSION, CHUNKER_VERSION])
    if counts := _counts_of(path, made_from):
        return Built(counts)
    tally, failed = Tally(), list[tuple[str, str]]()
    kind = replace(OPINION, text=_noting(OPINION.text, failed))
    has_any = corpus.file("opinions", job.partition).exists()
    rows = opinions_of(corpus, job.partition, kind.name) if has_any else iter(())
    options = job.options
    diff = write_partition(
        partition_rows(
            documents_of(rows, {kind.name: kind}, job.partition.court, job.court_name),
            tally,
            max_tokens=options.max_tokens,
            overlap_sentences=options.overlap_sentences,
            tokenizer=find_tokenizer(options.tokenizer),
            reserved=options.reserved_tokens,
            max_header_tokens=options.max_header_tokens,
            near_duplicates=options.near_duplicates,
        ),
        path,
        metadata={MAX_TOKENS: str(options.max_tokens), MADE_FROM: made_from},
        found=lambda: {
            **tally.soundness.kept(),
            COUNTS: json.dumps(_counts(tally, len(failed))),
            **({FAILED: json.dumps(failed)} if failed else {}),
        },
    )
    return Built(_counts(tally, len(failed)), diff, failed)


def _counts(tally: Tally, failed: int) -> dict[str, int]:
    return {
        "documents": tally.documents,
        "without_text": tally.without_text - failed,
        "duplicates": tally.duplicates,
        "chunks": tally.chunks,
        "tokens": tally.tokens,
        "characters": tally.characters,
    }


def _noting(
    text: Callable[[Body], CleanText | None], failed: list[tuple[str, str]]
) -> Callable[[Body], CleanText | None]:
    """The same, but what cannot be read is noted, and has no text."""

    def noted(body: Body) -> CleanText | None:
        try:
            return text(body)
        except Exception as error:  # The cleaner met what it does not know; all other documents are whole.
            failed.append((f"{OPINION.name}:{body.get('id')}", f"{type(error).__name__}: {error}"))
            return None

    return noted


def _counts_of(path: Location, made_from: str) -> dict[str, int] | None:
    """What a file has that was made like this, of all documents; None if there is none."""
    try:
        with opened(path) as file:
            made = made_by(file)
    except unreadable(path):
        return None
    if made.get(MADE_FROM) != made_from or FAILED in made:
        return None
    counts: dict[str, int] = json.loads(made[COUNTS])
    return counts


def _left(corpus: Corpus, data_dir: Location, there: set[Partition]) -> Iterator[Partition]:
    """The partitions that have a file, although the corpus, which is about their court and year, has none of them."""
    courts, first = corpus.manifest["courts"], corpus.manifest["first_year"] or 0
    files: Sequence[Any] = list((data_dir / DATASET).glob("*/*/chunks.parquet"))
    for each in all_years([path.parent for path in files]):
        if each not in there and (courts == "all" or each.court in courts) and (each.year or 0) >= first:
            yield each
