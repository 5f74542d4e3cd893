"""`python -m bench.vector_inputs`: measures text and chunks; writes `bench/results.json` and `docs/benchmarks.md`.

Belongs here: what is measured, and how it is judged. Does not belong here: the corpus, the peers, the memory of a large
partition (`vector_inputs_*.py`), writing (`vector_inputs_report.py`).

Needs the packages of `vector-inputs-peers.txt` beside the project's own; a peer that is not installed is left out.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from lxml import html

from bench import vector_inputs_memory, vector_inputs_report
from bench.vector_inputs_corpus import Opinion, Sentences, opinions
from bench.vector_inputs_peers import OURS, PEERS, Chunker
from courtlistener_assets.text import CleanText, opinion_text


def cleaned(corpus: Sequence[Opinion]) -> list[CleanText]:
    """The clean texts of a corpus, which is made of opinions with text."""
    return [text for opinion in corpus if (text := opinion_text(opinion.body))]


def characters_lost(corpus: Sequence[Opinion], texts: Sequence[CleanText], chunk: Chunker) -> int:
    """Characters of the opinions that are neither in a chunk nor in a mark. White space does not count."""
    lost = 0
    for opinion, text in zip(corpus, texts, strict=True):
        kept = Counter("".join(chunk(text.text)) + "".join(mark.text for mark in text.marks))
        missing = Counter("".join(visible(opinion).split())) - kept
        lost += missing.total()
    return lost


def visible(opinion: Opinion) -> str:
    """What a reader sees of an opinion as the API gives it: without tags, with everything else."""
    if opinion.field == "plain_text":
        return opinion.value
    return str(html.fromstring(opinion.value.encode(), parser=html.HTMLParser(encoding="utf-8")).text_content())


def shortest(action: Callable[[Any], object], corpora: Sequence[Any]) -> float:
    """Seconds a character of clean text, in the best round: whatever else the machine does only makes it longer."""
    times = []
    for corpus in corpora:
        size = sum(len(text.text) for text in (cleaned(corpus) if isinstance(corpus[0], Opinion) else corpus))
        began = time.perf_counter()
        action(corpus)
        times.append((time.perf_counter() - began) / size)
    return min(times)


def side_by_side(count: int, characters: int, rounds: int) -> tuple[list[dict[str, Any]], int]:
    """A row for each chunker, and the characters that ours lost."""
    sentences = Sentences()
    corpus = list(opinions(count, characters, sentences=sentences))
    texts = cleaned(corpus)
    # Others remember what they have counted, so each round has a corpus of its own.
    others = [list(opinions(count, characters, seed=seed)) for seed in range(2, 2 + rounds)]
    cleaning = shortest(cleaned, others)
    others_cleaned = [cleaned(other) for other in others]
    rows = []
    for peer in PEERS:
        try:
            chunk = peer.make()
        except ImportError as error:
            print(f"{peer.name} is left out: {error}", flush=True)
            continue
        raw = [part for opinion in corpus for part in chunk(visible(opinion))]
        parts = [part for text in texts for part in chunk(text.text)]
        chunking = shortest(lambda found, chunk=chunk: [chunk(text.text) for text in found], others_cleaned)
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


def headline(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The few figures that say whether all is well."""
    [mine] = [row for row in rows if row["chunker"] == OURS]
    peers = [row for row in rows if row is not mine and row["in_tokens"]]
    figures: dict[str, Any] = {
        "sentence_end_share": mine["sentence_end_share"],
        "characters_per_second": mine["with_cleaning_per_second"],
    }
    if peers:
        fastest = max(row["with_cleaning_per_second"] for row in peers)
        figures["slowest_speedup_vs_peers"] = round(mine["with_cleaning_per_second"] / fastest, 2)
        figures["best_sentence_end_share_of_peers"] = max(row["sentence_end_share"] for row in peers)
    return figures


def main() -> None:
    """Measure what was asked for and write it down."""
    options = _options()
    found: dict[str, Any] = {
        "measured": f"{time.strftime('%Y-%m-%d')} on {os.cpu_count()} cores, Python {platform.python_version()}"
    }
    if options.only in ("all", "peers"):
        rows, lost = side_by_side(options.opinions, options.characters, options.rounds)
        found |= {"peers": rows, "characters_lost": lost, **headline(rows)}
    if options.only in ("all", "memory"):
        found["memory"] = [vector_inputs_memory.measured(count) for count in options.partitions]
        found["peak_mb"] = max(row["peak_mb"] for row in found["memory"])
    vector_inputs_report.write(found)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure text and chunks.")
    parser.add_argument("--only", choices=("all", "peers", "memory"), default="all")
    parser.add_argument("--opinions", type=int, default=60, help="opinions that are chunked side by side")
    parser.add_argument("--characters", type=int, default=20_000, help="characters of each")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--partitions", type=int, nargs="+", default=[10_000, 100_000], help="opinions of a partition")
    return parser.parse_args()


if __name__ == "__main__":
    main()
