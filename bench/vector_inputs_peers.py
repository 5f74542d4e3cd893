"""The chunkers that are compared.

Belongs here: how each is called. Does not belong here: what is measured.

All but one keep the same budget of tokens, counted by the same function, so that neither a slower tokenizer nor
another budget is held against anybody.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass

from courtlistener_assets.chunking import chunk
from courtlistener_assets.token_counts import DEFAULT

MAX_TOKENS = 512
_SENTENCE_MARKS = ["\n\n", "\n", ". ", "? ", "! ", " ", ""]

Chunker = Callable[[str], list[str]]


@dataclass(frozen=True)
class Peer:
    """A chunker of text. `in_tokens`: whether it keeps the budget of tokens, as ours does."""

    name: str
    make: Callable[[], Chunker]
    in_tokens: bool = True


def ours(text: str) -> list[str]:
    """Chunk a clean text."""
    return [part.text for part in chunk(text, max_tokens=MAX_TOKENS)]


def _langchain(separators: list[str] | None, *, in_tokens: bool) -> Chunker:
    splitters = importlib.import_module("langchain_text_splitters")
    size = MAX_TOKENS if in_tokens else 2000
    splitter = splitters.RecursiveCharacterTextSplitter(
        chunk_size=size,
        chunk_overlap=0,
        length_function=DEFAULT.count if in_tokens else len,
        **({"separators": separators, "keep_separator": "end"} if separators else {}),
    )
    split: Chunker = splitter.split_text
    return split


def _semchunk() -> Chunker:
    semchunk = importlib.import_module("semchunk")
    chunker: Chunker = semchunk.chunkerify(DEFAULT.count, MAX_TOKENS)
    return chunker


def _chonkie(name: str) -> Chunker:
    chonkie = importlib.import_module("chonkie")
    chunker = getattr(chonkie, name)(DEFAULT.count, chunk_size=MAX_TOKENS)
    return lambda text: [part.text for part in chunker.chunk(text)]


OURS = "courtlistener-assets"
PEERS = (
    Peer(OURS, lambda: ours),
    Peer("langchain recursive", lambda: _langchain(None, in_tokens=True)),
    Peer("langchain recursive, ends of sentences", lambda: _langchain(_SENTENCE_MARKS, in_tokens=True)),
    Peer("semchunk", _semchunk),
    Peer("chonkie recursive", lambda: _chonkie("RecursiveChunker")),
    Peer("chonkie sentence", lambda: _chonkie("SentenceChunker")),
    Peer("langchain recursive, 2000 characters", lambda: _langchain(None, in_tokens=False), in_tokens=False),
)
