"""`python -m bench.retrieval`: questions to passages, by chunker; writes `bench/results.json` and `docs/benchmarks.md`.

Belongs here: chunks, vectors, what is found for so many tokens, and the table. Does not belong here: questions
(`invented.py`, `sentences.py`), the score (`question.py`), the chunkers (`bench/vector_inputs/peers.py`).

All get the same: the same budget a chunk and the same budget a question, the header or none, this project's clean text
or the text without tags. The model is offline and small; it compares chunkers with each other, not with the state of
the art.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
import wordllama

from bench import report
from bench.retrieval.invented import invented
from bench.retrieval.question import Question, Text, covered
from bench.retrieval.sentences import asked_of
from bench.vector_inputs.documents import DOCUMENTS, real_documents
from bench.vector_inputs.peers import OURS, Chunker, Peer
from bench.vector_inputs.side_by_side import cleaned, installed, without_tags
from courtlistener_assets.chunks.token_counts import DEFAULT

#: Tokens that a question may return, headers included: what one puts before a language model.
BUDGET = 1024
_SLOW = ("pysbd sentences, packed", "spaCy sentencizer, packed")
_BATCH = 512
#: More chunks than the budget ever pays for.
_DEEP = 128
CLEANED, TAGS_REMOVED = "cleaned", "tags removed"

Embed = Callable[[Sequence[str]], Any]


def offline_model() -> Embed:
    """Return the model that comes inside its package."""
    model = wordllama.WordLlama.load(cache_dir=Path(wordllama.__file__).parent, disable_download=True)
    return lambda texts: np.concatenate(
        [model.embed(list(texts[start : start + _BATCH]), norm=True) for start in range(0, len(texts), _BATCH)]
    )


def found_for(order: Iterable[int], chunks: Sequence[str], costs: Sequence[int], budget: int) -> list[str]:
    """Return the best chunks up to a budget; of the one that goes over it, as much of the beginning as fits."""
    found = []
    for index in order:
        cost = costs[index]
        if cost > budget:
            found.append(chunks[index][: len(chunks[index]) * budget // cost])
            break
        found.append(chunks[index])
        budget -= cost
    return found


def scores(
    embed: Embed, questions: Sequence[Question], asked: Any, chunks: Sequence[str], headers: Sequence[str]
) -> dict[str, float]:
    """Return how much of the passages is in the first chunk, and in all that the budget pays for."""
    given = [f"{header}\n{chunk}" if header else chunk for header, chunk in zip(headers, chunks, strict=True)]
    costs = [DEFAULT.count(text) for text in given]
    similar = asked @ embed(given).T
    first, within = [], []
    for question, row in zip(questions, similar, strict=True):
        order = np.argsort(-row)[:_DEEP]
        first.append(covered(question.passage, [chunks[order[0]]]))
        within.append(covered(question.passage, found_for(order, chunks, costs, BUDGET)))
    error = stdev(within) / math.sqrt(len(within))
    return {"first": round(mean(first), 4), "within_budget": round(mean(within), 4), "error": round(error, 4)}


def rows(
    embed: Embed, texts: Sequence[Text], questions: Sequence[Question], chunkers: dict[Peer, Chunker]
) -> list[dict[str, Any]]:
    """Return a row for each chunker and kind of text, with and without the header."""
    asked = embed([question.asked for question in questions])
    kinds = {CLEANED: [text.text for text in cleaned(texts)], TAGS_REMOVED: [without_tags(text) for text in texts]}
    found = []
    for peer, chunk in chunkers.items():
        for kind, values in kinds.items():
            if kind == TAGS_REMOVED and peer.name == OURS:
                continue
            chunked = [[part for part in chunk(value) if part.strip()] for value in values]
            chunks = [part for parts in chunked for part in parts]
            headers = [text.header for text, parts in zip(texts, chunked, strict=True) for _ in parts]
            tokens = round(mean(map(DEFAULT.count, chunks)))
            row: dict[str, Any] = {"chunker": peer.name, "text": kind, "chunks": len(chunks), "tokens": tokens}
            row["uncut"] = round(mean(_uncut(question, chunked[question.text]) for question in questions), 4)
            for name, used in (("plain", [""] * len(chunks)), ("header", headers)):
                row |= {
                    f"{name}_{part}": share for part, share in scores(embed, questions, asked, chunks, used).items()
                }
            found.append(row)
            print(row, flush=True)
    return found


def _uncut(question: Question, chunks: Sequence[str]) -> bool:
    """Whether one chunk has all of the passage that any has, which cleaning may have shortened. No model is asked."""
    return max((covered(question.passage, [chunk]) for chunk in chunks), default=0.0) == covered(
        question.passage, [" ".join(chunks)]
    )


def main() -> None:
    """Ask all questions and write down what was found."""
    options = _options()
    began = time.process_time()
    embed = offline_model()
    chunkers = {peer: chunk for peer, chunk in installed().items() if peer.in_tokens and peer.name not in _SLOW}
    texts, questions = invented()
    found: dict[str, Any] = {"measured": report.measured_now(), "invented": rows(embed, texts, questions, chunkers)}
    counts = [f"{len(questions)} questions to {len(texts)} invented decisions"]
    if documents := real_documents(options.documents):
        texts, questions = asked_of(documents)
        found["documents"] = rows(embed, texts, questions, chunkers)
        counts.append(f"{len(questions)} to {len(texts)} real documents")
    found["asked"] = ", ".join(counts)
    print(f"{found['asked']}; {time.process_time() - began:.0f} s")
    if options.write:
        report.write("retrieval", found, headline)


def headline(figures: dict[str, Any]) -> dict[str, Any]:
    """Return ours and the best peer's share within the budget, with the header, on the invented decisions."""
    mine = [row for row in figures["invented"] if row["chunker"] == OURS]
    peers = [row for row in figures["invented"] if row["chunker"] != OURS]
    return {
        "within_budget": mine[0]["header_within_budget"],
        "best_within_budget_of_peers": max((row["header_within_budget"] for row in peers), default=None),
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure retrieval.")
    parser.add_argument("--documents", type=Path, default=DOCUMENTS, help="real documents, asked beside invented ones")
    parser.add_argument("--print", dest="write", action="store_false", help="do not write the results")
    return parser.parse_args()


if __name__ == "__main__":
    main()
