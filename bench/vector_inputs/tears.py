"""`python -m bench.vector_inputs.tears --before CHECKOUT`: what is torn in real documents by kind, before and now.

Belongs here: which documents are counted together, the rows and the printed table. Does not belong here: what a tear is
(`courtlistener_assets/text/tears.py`), writing results (`__main__.py`).
"""

from __future__ import annotations

import argparse
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from bench.vector_inputs.documents import DOCUMENTS, HERE, RealDocument, chunks_by, real_documents
from courtlistener_assets.chunks.soundness import Soundness
from courtlistener_assets.text.litter import ends_with_heading
from courtlistener_assets.text.tears import Tears, breaks_sentence, faults

ALL = "all"
_AROUND = 100
_STOP = re.compile(r"[.?!][\"'”\u2019)\]*†‡»\s]*(?:\[?\d{1,3}\]?)?[\"'”\u2019)\]*†‡»\s]*$")


@dataclass
class Wholeness:
    """What was found in the documents of one kind. Ends are those of chunks, but for the last of each document."""

    documents: int = 0
    ends: int = 0
    sentence_ends: int = 0
    soundness: Soundness = field(default_factory=Soundness)

    def add(self, name: str, chunks: Sequence[str]) -> None:
        """Judge a document by its chunks."""
        self.documents += 1
        self.ends += max(0, len(chunks) - 1)
        self.sentence_ends += sentence_ends(chunks)
        self.soundness.add(name, "".join(chunks), chunks)


def sentence_ends(chunks: Sequence[str]) -> int:
    """Count the chunks, but for the last, that end where a sentence does, by the judge of tears."""
    return sum(
        bool(_STOP.search(chunk[-20:])) and not ends_with_heading(chunk) and not breaks_sentence(chunk, following)
        for chunk, following in pairwise(chunks)
    )


def by_kind(documents: Sequence[RealDocument], chunked: Sequence[Sequence[str]]) -> dict[str, Wholeness]:
    """Judge the chunks of documents by kind; the last one is of all."""
    found: dict[str, Wholeness] = {}
    for document, chunks in zip(documents, chunked, strict=True):
        for key in (document.shape, ALL):
            found.setdefault(key, Wholeness()).add(document.id, chunks)
    return dict(sorted(found.items(), key=lambda item: (item[0] == ALL, item[0])))


def rows(before: dict[str, Wholeness], now: dict[str, Wholeness]) -> list[dict[str, Any]]:
    """Return a row for each kind with the figures of both."""
    return [
        {"kind": kind, "documents": found.documents} | _figures("before", before[kind]) | _figures("now", found)
        for kind, found in now.items()
    ]


def _figures(when: str, found: Wholeness) -> dict[str, Any]:
    tears = found.soundness.tears
    return {
        f"{when}_torn_share": round(tears.torn_share, 4),
        f"{when}_tabs_in_prose": tears.tabs_in_prose,
        f"{when}_furniture_inside_sentences": tears.furniture_inside,
        f"{when}_joined": tears.joined,
        f"{when}_orphaned_heading_share": round(found.soundness.orphaned_heading_share, 4),
        f"{when}_sentence_end_share": round(found.sentence_ends / max(1, found.ends), 4),
    }


def main() -> None:
    """Print a row a kind, and examples if any are asked for."""
    options = _options()
    wanted = re.compile(options.kind)
    documents = [each for each in real_documents(options.documents) if wanted.search(f"{each.shape} {each.id}")]
    now = chunks_by(options.checkout, documents)
    before = by_kind(documents, chunks_by(options.before, documents)) if options.before else {}
    print(f"{'':45}{'breaks':>8}{'torn':>7}{'':>8}{'tabs':>6}{'furniture':>11}{'joined':>8}{'orphans':>9}{'ends':>8}")
    for kind, found in by_kind(documents, now).items():
        if kind in before:
            print(f"{kind[:38]:38} before{_row(before[kind])}")
        print(f"{kind[:38]:38}    now{_row(found)}")
    _show(documents, ["".join(chunks) for chunks in now], options.fault, options.examples)


def _row(found: Wholeness) -> str:
    tears: Tears = found.soundness.tears
    return (
        f"{tears.breaks:8}{tears.torn:7}{tears.torn_share:8.1%}{tears.tabs_in_prose:6}{tears.furniture_inside:11}"
        f"{tears.joined:8}{found.soundness.orphaned_headings:9}{found.sentence_ends / max(1, found.ends):8.1%}"
    )


def _show(documents: Sequence[RealDocument], texts: Sequence[str], kind: str, count: int) -> None:
    places = [
        (document.id, text, fault.position)
        for document, text in zip(documents, texts, strict=True)
        for fault in faults(text)
        if fault.kind == kind
    ]
    for id, text, place in random.Random(1).sample(places, min(count, len(places))):
        around = f"{text[max(0, place - _AROUND) : place]}‖{text[place : place + _AROUND]}"
        print(f"[{id}] " + around.replace("\n", "⏎").replace("\t", "⇥"))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Count tears in real documents.")
    parser.add_argument("--documents", type=Path, default=DOCUMENTS)
    parser.add_argument(
        "--checkout", type=Path, default=HERE, help="a checkout whose code is judged, this one by default"
    )
    parser.add_argument("--before", type=Path, help="a checkout of an older version of the project")
    parser.add_argument("--kind", default="", help="only documents whose kind, field or id matches")
    parser.add_argument("--fault", choices=("torn", "tab", "furniture", "joined", "break"), default="torn")
    parser.add_argument("--examples", type=int, default=0, help="how many faults to show")
    return parser.parse_args()


if __name__ == "__main__":
    main()
