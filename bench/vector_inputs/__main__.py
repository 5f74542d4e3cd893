"""`python -m bench.vector_inputs`: measures text and chunks; writes `bench/results.json` and `docs/benchmarks.md`.

Belongs here: what is measured, and how it is judged. Does not belong here: the corpus, the peers, the memory of a large
partition (`peers.py`, `memory.py`), writing (`bench/report.py`).

Needs the packages of `peers.txt` beside the project's own; a peer that is not installed is left out.
"""

from __future__ import annotations

import argparse
import gc
import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from lxml import html

from bench import report
from bench.vector_inputs import memory as vector_inputs_memory
from bench.vector_inputs.corpus import Opinion, Sentences, opinions
from bench.vector_inputs.peers import OURS, PEERS, Chunker, Peer
from courtlistener_assets.chunks.token_counts import DEFAULT
from courtlistener_assets.text.cleaning import CleanText, opinion_text

CLEANING = "cleaning"
#: Seconds a character from which on a chunker is measured in few rounds only.
SLOW = 1e-6
SLOW_ROUNDS = 2


def cleaned(corpus: Sequence[Opinion]) -> list[CleanText]:
    """Return the clean texts of a corpus, which is made of opinions with text."""
    return [text for opinion in corpus if (text := opinion_text(opinion.body))]


def characters_lost(corpus: Sequence[Opinion], texts: Sequence[CleanText], chunk: Chunker) -> int:
    """Count the characters of the opinions that are neither in a chunk nor in a mark. White space does not count."""
    lost = 0
    for opinion, text in zip(corpus, texts, strict=True):
        kept = Counter("".join(chunk(text.text)) + "".join(mark.text for mark in text.marks))
        missing = Counter("".join(visible(opinion).split())) - kept
        lost += missing.total()
    return lost


def visible(opinion: Opinion) -> str:
    """Return what a reader sees of an opinion as the API gives it: without tags, with everything else."""
    if opinion.field == "plain_text":
        return opinion.value
    return str(html.fromstring(opinion.value.encode(), parser=html.HTMLParser(encoding="utf-8")).text_content())


#: Processor seconds a character, by what was measured.
Speeds = dict[str, float]


def _measure(found: Speeds, name: str, action: Callable[[], object], characters: int) -> None:
    """Do something once, and keep its best time: what else the machine does only makes it longer."""
    gc.collect()
    began = time.process_time()
    action()
    found[name] = min(found.get(name, math.inf), (time.process_time() - began) / characters)


def installed() -> dict[Peer, Chunker]:
    """Return the chunkers whose packages are there."""
    chunkers = {}
    for peer in PEERS:
        try:
            chunkers[peer] = peer.make()
        except ImportError as error:
            print(f"{peer.name} is left out: {error}", flush=True)
    return chunkers


def speeds(chunkers: Mapping[Peer, Chunker], count: int, characters: int, rounds: int) -> Speeds:
    """Measure cleaning and the chunkers. They take turns, so that none is always the first with a text.

    Each round has a corpus of its own, since some remember what they have counted, and the function that counts for all
    has seen it before.
    """
    found: Speeds = {}
    for number in range(rounds):
        corpus = list(opinions(count, characters, seed=2 + number))
        texts = [text.text for text in cleaned(corpus)]
        size = sum(map(len, texts))
        for text in texts:
            DEFAULT.count(text)
        _measure(found, CLEANING, partial(cleaned, corpus), size)
        turns = list(chunkers.items())
        for peer, chunk in turns[number % len(turns) :] + turns[: number % len(turns)]:
            if number < SLOW_ROUNDS or found[peer.name] < SLOW:
                _measure(found, peer.name, partial(_chunk_all, chunk, texts), size)
    return found


def _chunk_all(chunk: Chunker, texts: Sequence[str]) -> None:
    for text in texts:
        chunk(text)


def side_by_side(count: int, characters: int, rounds: int) -> tuple[list[dict[str, Any]], int]:
    """Return a row for each chunker, and the characters that ours lost."""
    sentences = Sentences()
    corpus = list(opinions(count, characters, sentences=sentences))
    texts = cleaned(corpus)
    chunkers = installed()
    found = speeds(chunkers, count, characters, rounds)
    cleaning = found[CLEANING]
    rows = []
    for peer, chunk in chunkers.items():
        raw = [part for opinion in corpus for part in chunk(visible(opinion))]
        parts = [part for text in texts for part in chunk(text.text)]
        chunking = found[peer.name]
        rows.append(
            {
                "chunker": peer.name,
                "in_tokens": peer.in_tokens,
                "chunks": len(parts),
                "sentence_end_share_raw": None
                if peer.name == OURS
                else round(sum(map(sentences.end, raw)) / len(raw), 4),
                "sentence_end_share": round(sum(map(sentences.end, parts)) / len(parts), 4),
                "characters_per_second": round(1 / chunking),
                "with_cleaning_per_second": round(1 / (cleaning + chunking)),
            }
        )
        print(rows[-1], flush=True)
    return rows, characters_lost(corpus, texts, PEERS[0].make())


def headline(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Pick the few figures that say whether all is well, from those that were measured, now or before."""
    flat: dict[str, Any] = {}
    if "memory" in figures:
        flat["peak_mb"] = max(row["peak_mb"] for row in figures["memory"])
    if "peers" in figures:
        [mine] = [row for row in figures["peers"] if row["chunker"] == OURS]
        peers = [row for row in figures["peers"] if row is not mine and row["in_tokens"]]
        flat["sentence_end_share"] = mine["sentence_end_share"]
        flat["characters_per_second"] = mine["with_cleaning_per_second"]
        if peers:
            fastest = max(row["with_cleaning_per_second"] for row in peers)
            flat["slowest_speedup_vs_peers"] = round(mine["with_cleaning_per_second"] / fastest, 2)
            flat["best_sentence_end_share_of_peers"] = max(row["sentence_end_share"] for row in peers)
    return flat


def main() -> None:
    """Measure what was asked for and write it down."""
    options = _options()
    found: dict[str, Any] = {"measured": report.measured_now()}
    # Before the peers are loaded: a process that is started may be charged with the memory of the one that starts it.
    if options.only in ("all", "memory"):
        found["memory"] = [vector_inputs_memory.measured(count) for count in options.partitions]
    if options.only in ("all", "peers"):
        rows, lost = side_by_side(options.opinions, options.characters, options.rounds)
        found |= {"peers": rows, "characters_lost": lost}
    report.write("vector_inputs", found, headline)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure text and chunks.")
    parser.add_argument("--only", choices=("all", "peers", "memory"), default="all")
    parser.add_argument("--opinions", type=int, default=60, help="opinions that are chunked side by side")
    parser.add_argument("--characters", type=int, default=20_000, help="characters of each")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--partitions", type=int, nargs="+", default=[10_000, 100_000], help="opinions of a partition")
    return parser.parse_args()


if __name__ == "__main__":
    main()
