"""`python -m bench.vector_inputs`: measures text and chunks; writes `bench/results.json` and the pages below `docs/`.

On the real documents beside the checkout if they are there, on generated opinions otherwise; the results say which.

Belongs here: which corpus is measured, by what its sentences are judged, and the headline. Does not belong here: what
is measured of a chunker (`side_by_side.py`), tears (`tears.py`), the memory of a large partition (`memory.py`), several
partitions at once (`processes.py`), writing (`bench/report.py`).

Needs the packages of `peers.txt` beside the project's own; a peer that is not installed is left out. `make bench`
measures the modules compiled, and `--only speeds` before in Python.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench import report
from bench.vector_inputs import memory as vector_inputs_memory
from bench.vector_inputs import processes as vector_inputs_processes
from bench.vector_inputs import tears
from bench.vector_inputs.corpus import Opinion, Sentences, opinions
from bench.vector_inputs.documents import DOCUMENTS, HERE, RealDocument, chunks_by, real_documents
from bench.vector_inputs.peers import OURS, ours
from bench.vector_inputs.side_by_side import (
    Judge,
    Source,
    characters_lost,
    cleaned,
    installed,
    others_as_installed,
    row,
    speeds,
    times,
)
from courtlistener_assets.chunks.soundness import Soundness
from courtlistener_assets.text import scans

REAL, GENERATED = "real documents", "generated"
COMPILED, IN_PYTHON = "compiled", "in Python"
#: Parts of the real documents, each with some of every kind.
_PARTS = 6


def side_by_side(corpus: Sequence[Source], parts: Iterator[Sequence[Source]], judge: Judge) -> dict[str, Any]:
    """Return a row for each chunker, and the characters that ours lost."""
    chunkers = installed()
    found = times(chunkers, others_as_installed(), parts)
    rows = []
    for peer, chunk in chunkers.items():
        rows.append(row(peer, chunk, corpus, judge, found))
        print(rows[-1], flush=True)
    return {"peers": rows, "characters_lost": characters_lost(corpus, cleaned(corpus), ours)}


def alone(documents: Sequence[RealDocument]) -> dict[str, Any]:
    """Measure the speed of this project alone, compiled or not."""
    return {"speeds" if build() == COMPILED else "speeds_in_python": speeds(_parts(documents))}


def build() -> str:
    """Say whether the modules that are measured are compiled."""
    return IN_PYTHON if scans.__file__.endswith(".py") else COMPILED


def _parts(documents: Sequence[RealDocument]) -> Iterator[Sequence[RealDocument]]:
    return (documents[number::_PARTS] for number in range(_PARTS))


def of_documents(documents: Sequence[RealDocument], before: Path | None) -> dict[str, Any]:
    """Measure real documents: nobody knows their sentences, so the judge of tears tells how chunks end."""
    judge: Judge = lambda chunks: (tears.sentence_ends(chunks), max(0, len(chunks) - 1))  # noqa: E731
    found = side_by_side(documents, _parts(documents), judge) | alone(documents)
    kinds = tears.by_kind(documents, chunks_by(HERE, documents))
    if before:
        was = tears.by_kind(documents, chunks_by(before, documents))
        found["by_kind"] = tears.rows(was, kinds)
    return {"corpus": REAL, "tears": _tears(kinds[tears.ALL].soundness), **found}


def of_opinions(count: int, characters: int, rounds: int) -> dict[str, Any]:
    """Measure generated opinions, judged by the sentences that they were made of."""
    sentences = Sentences()
    corpus = list(opinions(count, characters, sentences=sentences))
    parts: Iterator[list[Opinion]] = (list(opinions(count, characters, seed=2 + number)) for number in range(rounds))
    found = side_by_side(corpus, parts, lambda chunks: (sum(map(sentences.end, chunks)), len(chunks)))
    soundness = Soundness()
    for opinion, text in zip(corpus, cleaned(corpus), strict=True):
        soundness.add(f"opinion:{opinion.id}", text.text, ours(text.text))
    return {"corpus": GENERATED, "tears": _tears(soundness), **found}


def _tears(soundness: Soundness) -> dict[str, Any]:
    return {
        "torn_share": round(soundness.tears.torn_share, 4),
        "tabs_in_prose": soundness.tears.tabs_in_prose,
        "furniture_inside_sentences": soundness.tears.furniture_inside,
        "joined": soundness.tears.joined,
        "orphaned_heading_share": round(soundness.orphaned_heading_share, 4),
    }


def headline(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Pick the few figures that say whether all is well, from those that were measured, now or before."""
    flat: dict[str, Any] = {}
    if "memory" in figures:
        flat["peak_mb"] = max(row["peak_mb"] for row in figures["memory"])
    if "tears" in figures:
        flat |= figures["tears"]
    if "peers" in figures:
        [mine] = [row for row in figures["peers"] if row["chunker"] == OURS]
        peers = [row for row in figures["peers"] if row is not mine and row["in_tokens"]]
        flat["sentence_end_share"] = mine["sentence_end_share"]
        flat["characters_per_second"] = mine["with_cleaning_per_second"]
        if peers:
            # Ours with its cleaning, beside others that only have the tags removed: as whoever installs them has them,
            # and with counts of this project; or all with this cleaning.
            for name, what in (
                ("slowest_speedup_vs_peers", "as_installed"),
                ("slowest_speedup_same_counts", "without_tags"),
                ("slowest_speedup_same_cleaning", "with_cleaning"),
            ):
                if fastest := max(row[f"{what}_per_second"] or 0 for row in peers):
                    flat[name] = round(mine["with_cleaning_per_second"] / fastest, 2)
            flat["best_sentence_end_share_of_peers"] = max(row["sentence_end_share"] for row in peers)
    return flat


def main() -> None:
    """Measure what was asked for and write it down."""
    options = _options()
    found: dict[str, Any] = {"measured": report.measured_now()}
    # Before the peers are loaded: a process that is started may be charged with the memory of the one that starts it.
    if options.only in ("all", "memory"):
        found["memory"] = [vector_inputs_memory.measured(count) for count in options.partitions]
    if options.only in ("all", "processes"):
        found["processes"] = vector_inputs_processes.measured(
            options.opinions_a_month, options.processes, options.turns
        )
    documents = real_documents(options.documents)
    if options.only == "speeds" and documents:
        found |= alone(documents)
    if options.only in ("all", "peers"):
        found["build"] = build()
        print(f"Measured on {REAL if documents else GENERATED}, {build()}.", flush=True)
        if documents:
            found |= of_documents(documents, options.before)
        else:
            found |= of_opinions(options.opinions, options.characters, options.rounds)
    report.write("vector_inputs", found, headline)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure text and chunks.")
    parser.add_argument("--only", choices=("all", "peers", "speeds", "memory", "processes"), default="all")
    parser.add_argument("--documents", type=Path, default=DOCUMENTS, help="real documents; generated ones without")
    parser.add_argument("--before", type=Path, help="a checkout of an older version, for what is torn in both")
    parser.add_argument("--opinions", type=int, default=60, help="generated opinions that are chunked side by side")
    parser.add_argument("--characters", type=int, default=20_000, help="characters of each")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--partitions", type=int, nargs="+", default=[10_000, 100_000], help="opinions of a partition")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2], help="months that are made at once")
    parser.add_argument("--opinions-a-month", type=int, default=200, help="of 20,000 characters, in eight months")
    parser.add_argument("--turns", type=int, default=3, help="of which the best counts")
    return parser.parse_args()


if __name__ == "__main__":
    main()
