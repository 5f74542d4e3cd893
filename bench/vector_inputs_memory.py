"""Peak memory of making a large partition, each in a process of its own: `python -m bench.vector_inputs_memory 1000`.

Belongs here: a stream of opinions that is never in memory as a whole, and the peak. Does not belong here: speed.

Short opinions in short chunks: memory depends on the number of chunks, of which 100,000 real opinions have about
800,000, and not on how long they are. A few opinions of a megabyte are among them.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.vector_inputs_corpus import opinions
from courtlistener_assets.chunk_report import read_report
from courtlistener_assets.chunk_table import Diff, Document, Tally, partition_rows, write_partition

_TOKENS = 64
_CHARACTERS = 300
_LARGE = 1_000_000
_LARGE_ONES = 5


def measured(count: int) -> dict[str, Any]:
    """Measure in a fresh process, whose peak is its own."""
    command = [sys.executable, "-m", "bench.vector_inputs_memory", str(count)]
    row: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    print(row, flush=True)
    return row


def _documents(count: int) -> Iterator[Document]:
    for number, opinion in enumerate([*opinions(_LARGE_ONES, _LARGE), None], -_LARGE_ONES):
        if opinion:
            yield Document(doc_type="opinion", body={**opinion.body, "id": number}, docket_id=1, court_id="ca9")
    for opinion in opinions(count, _CHARACTERS):
        yield Document(
            doc_type="opinion",
            body=opinion.body,
            docket_id=opinion.id,
            court_id="ca9",
            case_name=f"Case {opinion.id} v. United States",
            docket_number=f"23-{opinion.id}",
            citations=(f"{opinion.id} F.4th 1",),
        )


def _write(count: int, path: Path) -> tuple[Tally, Diff]:
    tally = Tally()
    return tally, write_partition(partition_rows(_documents(count), tally, max_tokens=_TOKENS), path)


def _peak_mb() -> float:
    """Linux counts in kilobytes, macOS in bytes."""
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit, 1)


def main() -> None:
    """Make the partition twice, as two runs would, and print the figures."""
    count, began = int(sys.argv[1]), time.perf_counter()
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "chunks.parquet"
        tally, diff = _write(count, path)
        read_report(path, diff.added, _TOKENS)
        seconds = time.perf_counter() - began
        first_mb, size = _peak_mb(), path.stat().st_size
        del diff
        _, again = _write(count, path)
        read_report(path, again.added, _TOKENS)
    assert not again.written
    print(
        json.dumps(
            {
                "opinions": tally.documents,
                "chunks": tally.chunks,
                "seconds": round(seconds, 1),
                "file_mb": round(size / 2**20, 1),
                "first_run_mb": first_mb,
                "peak_mb": _peak_mb(),
            }
        )
    )


if __name__ == "__main__":
    main()
