"""From bulk files to chunks, end to end, without a database: `python -m bench.bulk.to_chunks`.

Writes a dump whose opinions are real documents, if there are any beside the checkout, and measures in processes of
their own: unpacking the opinions and doing nothing with them, making a corpus of all courts, and making its chunks.

Belongs here: that measurement. Does not belong here: the passes by themselves (`reading.py`).
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from bench import report
from bench.vector_inputs.documents import HERE, RealDocument, real_documents
from courtlistener_assets.chunks.options import ChunkOptions
from courtlistener_assets.devkit.bulk.invented import COLUMNS, Invented, Row, Size
from courtlistener_assets.download.bulk.bootstrap import TABLES
from courtlistener_assets.download.bulk.bzip2 import Place, blocks
from courtlistener_assets.download.bulk.corpus.dataset import Corpus
from courtlistener_assets.download.bulk.source import BulkSource
from courtlistener_assets.operations.corpus import carry_out, plan
from courtlistener_assets.operations.corpus_chunks import build_all
from courtlistener_assets.settings import Settings

_DAY = date(2026, 9, 30)
_COURTS = ("ca9", "scotus", "ca1", "cand", "nysd", "cal", "ca2", "txsd")
_HEADLINE = (
    "characters_per_second",
    "characters_per_cpu_second",
    "share_of_decompression",
    "corpus_peak_mb",
    "chunks_peak_mb",
)


class OfDocuments(Invented):
    """A dump whose opinions have the texts of documents, one after the other, in the fields where they were found."""

    def __init__(self, size: Size, documents: Sequence[RealDocument]) -> None:
        super().__init__(size)
        self._documents = documents

    def rows(self, table: str) -> Iterator[Row]:
        """The rows of a table."""
        rows = super().rows(table)
        return (self._with_text(row) for row in rows) if table == "opinions" and self._documents else rows

    def _with_text(self, row: Row) -> Row:
        values = dict(zip(COLUMNS["opinions"], row, strict=True)) | {"plain_text": "", "html_with_citations": ""}
        document = self._documents[int(values["id"] or 0) % len(self._documents)]
        field = document.field if document.field in values else "plain_text"
        # No two texts are the same: what is the same is found out sooner.
        values[field] = f"{document.value}\n\nNo. {values['id']} of the docket was decided without argument."
        return tuple(values.values())


def main() -> None:
    """Measure, print, and write it down."""
    parser = argparse.ArgumentParser(prog="python -m bench.bulk.to_chunks")
    parser.add_argument("--opinions", type=int, default=6_000)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--folder", help="where temporary files go; by default the system's own place")
    parser.add_argument("--dry-run", action="store_true", help="write nothing down")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        figures = measure(Path(folder), options.opinions, options.threads)
    print(json.dumps(figures, indent=2))
    if not options.dry_run:
        report.write("bulk_chunks", figures, lambda found: {name: found["run"][name] for name in _HEADLINE})


def measure(folder: Path, opinions: int, threads: int) -> dict[str, Any]:
    """Write a dump of about so many opinions, and measure the way to chunks."""
    documents = next(filter(None, map(_documents_in, HERE.parents)), [])
    dockets = max(8, opinions * 2 * 100 // (3 * 110))
    size = Size(dockets=dockets, words=3_000, courts=_COURTS, first_day=date(2015, 1, 1), days=3_650)
    OfDocuments(size, documents).write(folder / "dump", _DAY, threads=threads, stream_bytes=50_000_000)
    alone, corpus, chunks = (measured(work, folder, threads) for work in (unpack, make_corpus, make_chunks))
    counts, raw_mb = chunks["result"], alone["result"] / 1e6
    seconds = corpus["seconds"] + chunks["seconds"]
    return {
        "measured": report.measured_now(),
        "run": {
            "text": "real documents" if documents else "invented",
            "load": round(os.getloadavg()[0], 1),
            "threads": threads,
            "raw_mb": round(raw_mb),
            "opinions": counts["documents"],
            "files": counts["files"],
            "characters": counts["characters"],
            "chunks": counts["chunks"],
            "unpack_seconds": round(alone["seconds"], 1),
            "corpus_seconds": round(corpus["seconds"], 1),
            "chunks_seconds": round(chunks["seconds"], 1),
            "unpack_cpu_seconds": round(alone["cpu_seconds"], 1),
            "corpus_cpu_seconds": round(corpus["cpu_seconds"], 1),
            "chunks_cpu_seconds": round(chunks["cpu_seconds"], 1),
            "share_of_decompression": round(alone["seconds"] / corpus["seconds"], 3),
            "share_of_decompression_cpu": round(alone["cpu_seconds"] / corpus["cpu_seconds"], 3),
            "characters_per_second": round(counts["characters"] / seconds),
            "characters_per_cpu_second": round(counts["characters"] / (corpus["cpu_seconds"] + chunks["cpu_seconds"])),
            "corpus_peak_mb": corpus["peak_mb"],
            "chunks_peak_mb": chunks["peak_mb"],
        },
    }


def _documents_in(directory: Path) -> list[RealDocument]:
    return real_documents(directory / "shared" / "documents" / "documents.jsonl.gz")


def unpack(folder: Path, threads: int) -> int:
    """Unpack the opinions; returns how many bytes they are."""
    source = BulkSource(str(folder / "dump"))
    file = source.newest(TABLES).files["opinions"]
    return sum(len(block.data) for block in blocks(source.chunks(file), Place(), threads))


def make_corpus(folder: Path, threads: int) -> None:
    """Make a corpus of all courts."""
    settings = Settings(bulk_url=str(folder / "dump"))
    carry_out(plan(settings, courts=["all"], folder=folder / "corpus"))


def make_chunks(folder: Path, threads: int) -> Mapping[str, int]:
    """Make the chunks of the corpus; returns what they are."""
    outcome = build_all(Corpus.latest(folder / "corpus"), folder / "data", ChunkOptions(), threads)
    assert not outcome.errors, outcome.errors
    assert not outcome.failed, outcome.failed
    return {"files": len(outcome.built)} | {name: outcome.sum(name) for name in ("documents", "chunks", "characters")}


def measured(work: Callable[[Path, int], Any], folder: Path, threads: int) -> dict[str, Any]:
    """Run in a process of its own: what it returns, seconds of the wall and of processors, and the peak memory.

    That of the largest process counts, if the work starts others.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_measured, args=(theirs, work, folder, threads))
    process.start()
    theirs.close()
    found: dict[str, Any] = ours.recv()
    process.join()
    return found


def _measured(pipe: Any, work: Callable[[Path, int], Any], folder: Path, threads: int) -> None:
    begun = time.monotonic()
    result, seconds = work(folder, threads), time.monotonic() - begun
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    pipe.send({
        "result": result,
        "seconds": seconds,
        "cpu_seconds": sum(each.ru_utime + each.ru_stime for each in usage),
        "peak_mb": max(each.ru_maxrss for each in usage) // 1024,
    })  # fmt: skip


if __name__ == "__main__":
    main()
