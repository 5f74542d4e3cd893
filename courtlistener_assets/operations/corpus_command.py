"""A corpus, and its chunks, made by the command `courtlistener corpus`, outside of Dagster.

Belongs here: what is said meanwhile and at the end. Does not belong here: options (`cli.py`), the work (`corpus.py`,
`corpus_chunks.py`).
"""

from __future__ import annotations

import time
from collections.abc import Callable

from courtlistener_assets.chunks.files import Location, shown
from courtlistener_assets.chunks.options import ChunkOptions
from courtlistener_assets.download.bulk.bootstrap import Reached
from courtlistener_assets.operations.corpus import Paces, Plan, carry_out
from courtlistener_assets.operations.corpus_chunks import DATASET, build_all
from courtlistener_assets.operations.pace import Pace, size

#: Seconds between two lines about how far it is.
_SAY_SECONDS = 5.0


def make(plan: Plan, data_dir: Location | None, say: Callable[[str], None]) -> bool:
    """Make a corpus, and its chunks below `data_dir` if there is one; returns whether they have all documents."""
    told = teller(say, _SAY_SECONDS, plan.bytes_a_second)
    corpus = carry_out(plan, told)
    counts = ", ".join(f"{count:,} {table}" for table, count in corpus.manifest["rows"].items())
    say(f"Complete: {counts}, {size(corpus.size)} in {corpus.root}, as of {plan.dump.watermark:%Y-%m-%d}.")
    if not data_dir:
        return True
    outcome = build_all(corpus, data_dir, ChunkOptions(), plan.threads, told)
    say(f"Chunks: {outcome.sum('chunks'):,} of {outcome.sum('documents'):,} opinions, now or before in "
        f"{shown(data_dir / DATASET)}.")  # fmt: skip
    for document, reason in outcome.failed:
        say(f"{document} is in no chunk: {reason}")
    for partition, reason in outcome.errors.items():
        say(f"{partition} has no new chunks: {reason}")
    return not (outcome.failed or outcome.errors)


def teller(say: Callable[[str], None], every: float, bytes_a_second: float = 1.0) -> Callable[[Reached], None]:
    """Says how far it is, not more often than `every` so many seconds; files are read about that fast."""
    paces, last = Paces(Pace(bytes_a_second)), [0.0]

    def tell(reached: Reached) -> None:
        line = paces.line(reached)
        if time.monotonic() - last[0] >= every:
            last[0] = time.monotonic()
            say(line)

    return tell
