"""Chunkers side by side on one corpus: ends of sentences, speed, and what this project loses.

Belongs here: what is measured of each chunker, and what its time includes. Does not belong here: the chunkers
(`peers.py`), the corpora (`corpus.py`, `documents.py`), writing (`__main__.py`).
"""

from __future__ import annotations

import gc
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from html.parser import HTMLParser
from typing import Any, Protocol

from lxml import html

from bench.vector_inputs.peers import OURS, PEERS, Chunker, Count, Peer, ours, tiktoken_count
from courtlistener_assets.chunks.token_counts import DEFAULT
from courtlistener_assets.text.characters import decode_entities, repair
from courtlistener_assets.text.cleaning import CleanText, clean

_TAG = re.compile(r"<[a-zA-Z/!?]")
#: Seconds a character from which on a chunker is measured on one part of the corpus only.
SLOW = 1e-6
#: Every so manieth text is given to them.
SLOW_PART = 6


class Source(Protocol):
    """A text as the API gives it: `value`, in the field named `field`."""

    @property
    def field(self) -> str:
        """The API's name."""

    @property
    def value(self) -> str:
        """The text, with or without markup."""


#: Counts the chunks of one text that end where a sentence does, and those that could.
Judge = Callable[[Sequence[str]], tuple[int, int]]


def cleaned(corpus: Iterable[Source]) -> list[CleanText]:
    """Return the clean texts of a corpus."""
    return [clean(source.value, source.field) for source in corpus]


def has_markup(source: Source) -> bool:
    """Whether a reader would not see all of the value."""
    return source.field != "plain_text" and bool(_TAG.search(source.value))


def without_tags(source: Source) -> str:
    """Return what one has who does not clean: the text without tags, by the fastest parser there is."""
    if not has_markup(source):
        return source.value
    return str(html.fromstring(source.value.encode(), parser=html.HTMLParser(encoding="utf-8")).text_content())


class _TextNodes(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.nodes: list[str] = []
        self.hidden = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.hidden += tag in ("head", "script", "style")

    def handle_endtag(self, tag: str) -> None:
        self.hidden -= tag in ("head", "script", "style")

    def handle_data(self, data: str) -> None:
        if not self.hidden:
            self.nodes.append(data)


def visible(source: Source) -> str:
    """Return all that a reader sees of a text as the API gives it, by another parser than the cleaner's."""
    if not has_markup(source):
        return decode_entities(repair(source.value))
    parser = _TextNodes()
    parser.feed(repair(source.value))
    parser.close()
    return decode_entities(repair("".join(parser.nodes)))


def characters_lost(corpus: Sequence[Source], texts: Sequence[CleanText], chunk: Chunker) -> int:
    """Count the characters of a corpus that are neither in a chunk nor in a mark. White space does not count."""
    lost = 0
    for source, text in zip(corpus, texts, strict=True):
        kept = Counter("".join(chunk(text.text)) + "".join(mark.text for mark in text.marks))
        missing = Counter("".join(visible(source).split())) - kept
        lost += missing.total()
    return lost


def installed(count: Count = DEFAULT.count) -> dict[Peer, Chunker]:
    """Return the chunkers whose packages are there. Tokens are counted by a function, this project's by default."""
    chunkers = {}
    for peer in PEERS:
        try:
            chunkers[peer] = peer.make(count)
        except ImportError as error:
            print(f"{peer.name} is left out: {error}", flush=True)
    return chunkers


@dataclass
class Spent:
    """Processor seconds of one thing that was measured, and the characters that it has read as the API gives them."""

    seconds: float = 0.0
    characters: int = 0

    def measure(self, action: Callable[[], object], characters: int) -> None:
        """Do it once."""
        gc.collect()
        began = time.process_time()
        action()
        self.seconds += time.process_time() - began
        self.characters += characters

    @property
    def a_character(self) -> float:
        """Seconds a character."""
        return self.seconds / max(1, self.characters)


@dataclass
class Times:
    """What was measured: this project's cleaning, the removal of tags, and chunkers on the texts that both give.

    `as_installed` are those without tags, with counts of another package.
    """

    cleaning: Spent
    tags: Spent
    on_clean: dict[str, Spent]
    on_raw: dict[str, Spent]
    as_installed: dict[str, Spent]


def others_as_installed() -> dict[Peer, Chunker]:
    """Return the chunkers of others with the counts that one has without this project; none without the package."""
    try:
        count = tiktoken_count()
    except ImportError as error:
        print(f"Counts of tiktoken are left out: {error}", flush=True)
        return {}
    return {peer: chunk for peer, chunk in installed(count).items() if peer.name != OURS and peer.in_tokens}


def times(chunkers: dict[Peer, Chunker], as_installed: dict[Peer, Chunker], parts: Iterable[Sequence[Source]]) -> Times:
    """Measure everything on each part of a corpus once; chunkers take turns at being the first.

    No text comes twice, since some chunkers remember what they have counted, and the function that counts for all has
    seen it before.
    """
    names = [peer.name for peer in chunkers]
    on_clean, on_raw, alone = ({name: Spent() for name in names} for _ in range(3))
    found = Times(Spent(), Spent(), on_clean, on_raw, alone)
    for number, part in enumerate(parts):
        size = sum(len(source.value) for source in part)
        texts = [text.text for text in cleaned(part)]
        raw = [without_tags(source) for source in part]
        for text in texts + raw:
            DEFAULT.count(text)
        found.cleaning.measure(partial(cleaned, part), size)
        found.tags.measure(partial(_each, without_tags, part), size)
        turns = list(chunkers.items())
        for peer, chunk in turns[number % len(turns) :] + turns[: number % len(turns)]:
            for spent, action, given in (
                (on_clean[peer.name], chunk, texts),
                (on_raw[peer.name], chunk, raw),
                (alone[peer.name], as_installed.get(peer), raw),
            ):
                if action and spent.a_character < SLOW:
                    spent.measure(partial(_each, action, given), size)
    return found


def speeds(parts: Iterable[Sequence[Source]]) -> list[dict[str, Any]]:
    """Return characters a second of this project alone: of markup, of the lines of pages, and of all.

    Each part is read once, and the words of its chunks were counted before, as in `times`.
    """
    found = {kind: (Spent(), Spent()) for kind in ("markup", "plain text")}
    for part in parts:
        for kind, (cleaning, chunking) in found.items():
            sources = [source for source in part if has_markup(source) == (kind == "markup")]
            size = sum(len(source.value) for source in sources)
            texts = [text.text for text in cleaned(sources)]
            for text in texts:
                DEFAULT.count(text)
            cleaning.measure(partial(cleaned, sources), size)
            chunking.measure(partial(_each, ours, texts), size)
    found["all"] = (_sum(cleaning for cleaning, _ in found.values()), _sum(chunking for _, chunking in found.values()))
    return [
        {
            "kind": kind,
            "characters": cleaning.characters,
            "cleaning_per_second": round(1 / cleaning.a_character),
            "chunking_per_second": round(1 / chunking.a_character),
            "both_per_second": round(1 / (cleaning.a_character + chunking.a_character)),
        }
        for kind, (cleaning, chunking) in found.items()
        if cleaning.characters
    ]


def _sum(spent: Iterable[Spent]) -> Spent:
    each = list(spent)
    return Spent(sum(one.seconds for one in each), sum(one.characters for one in each))


def _each(action: Callable[[Any], object], given: Iterable[Any]) -> None:
    for each in given:
        action(each)


def row(peer: Peer, chunk: Chunker, corpus: Sequence[Source], judge: Judge, times: Times) -> dict[str, Any]:
    """Return the figures of one chunker; those on raw text are not for ours, which is one with its cleaner.

    Slow ones are judged on some texts only; their number of chunks is of those.
    """
    alone = times.on_clean[peer.name].a_character
    corpus = corpus if alone < SLOW else corpus[::SLOW_PART]
    parts = [chunk(text.text) for text in cleaned(corpus)]
    raw = [] if peer.name == OURS else [chunk(without_tags(source)) for source in corpus]
    return {
        "chunker": peer.name,
        "in_tokens": peer.in_tokens,
        "chunks": sum(map(len, parts)),
        "sentence_end_share_raw": _share(raw, judge) if raw else None,
        "sentence_end_share": _share(parts, judge),
        "characters_per_second": round(1 / alone),
        "with_cleaning_per_second": round(1 / (alone + times.cleaning.a_character)),
        "without_tags_per_second": _rate(times.tags, times.on_raw[peer.name]) if raw else None,
        "as_installed_per_second": _rate(times.tags, times.as_installed[peer.name]),
    }


def _rate(tags: Spent, chunking: Spent) -> int | None:
    """Characters a second of both; None if nothing was chunked."""
    return round(1 / (tags.a_character + chunking.a_character)) if chunking.characters else None


def _share(chunked: Sequence[Sequence[str]], judge: Judge) -> float:
    judged = [judge(chunks) for chunks in chunked]
    return round(sum(good for good, _ in judged) / max(1, sum(all_ for _, all_ in judged)), 4)
