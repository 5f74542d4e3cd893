"""Rows: a document of a partition -> the rows of its chunks.

Belongs here: the ids of chunks, and the count of what was done. Does not belong here: the columns that the document
gives (`document.py`), duplicates (`duplicates.py`), citations (`citations.py`), column types, files (`table.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from courtlistener_assets.chunks.chunking import CHUNKER_VERSION, Chunk, chunk
from courtlistener_assets.chunks.cuts import ends_at_sentence
from courtlistener_assets.chunks.document import Document, document_columns
from courtlistener_assets.chunks.duplicates import Duplicates, digest
from courtlistener_assets.chunks.token_counts import DEFAULT, Tokenizer
from courtlistener_assets.text.cleaning import CleanText


@dataclass
class Tally:
    """What became of the documents of a partition. `flagged` counts documents by flag (`CleanText.flags`)."""

    documents: int = 0
    chunks: int = 0
    tokens: int = 0
    characters: int = 0
    sentence_ends: int = 0
    without_text: int = 0
    duplicates: int = 0
    flagged: dict[str, int] = field(default_factory=dict)

    @property
    def sentence_end_share(self) -> float:
        """The share of chunks that end where a sentence ends; 1.0 without any chunk."""
        return self.sentence_ends / self.chunks if self.chunks else 1.0


def partition_rows(
    documents: Iterable[Document],
    tally: Tally,
    *,
    max_tokens: int = 512,
    overlap_sentences: int = 0,
    tokenizer: Tokenizer = DEFAULT,
    near_duplicates: bool = False,
    find_citations: Callable[[str, str], list[str]] | None = None,
) -> Iterator[dict[str, Any]]:
    """Yield the rows of a partition's documents, one document in memory at a time, and count into `tally`.

    `find_citations` is given a chunk's text and its content_hash. What is known of earlier documents, to find
    duplicates, is kept on disk while rows are requested.
    """
    with Duplicates.none_yet(near=near_duplicates) as duplicates:
        for document in documents:
            tally.documents += 1
            cleaned = document.kind.text(document.body)
            if cleaned is None or not cleaned.text:
                tally.without_text += 1
                continue
            chunks = chunk(
                cleaned.text, max_tokens=max_tokens, overlap_sentences=overlap_sentences, tokenizer=tokenizer
            )
            _count(tally, cleaned, chunks)
            shared = document_columns(document, cleaned) | {"tokenizer": tokenizer.name, "is_duplicate_of": None}
            original = duplicates.original_of(document, cleaned.text)
            if original:
                tally.duplicates += 1
                shared |= {"is_duplicate_of": original.key, "duplicate_kind": original.kind}
            for row in _rows(document, chunks):
                if find_citations:
                    row["cites"] = find_citations(row["text"], row["content_hash"])
                yield {**shared, **row}


def chunk_ids(
    document: Document, *, max_tokens: int = 512, overlap_sentences: int = 0, tokenizer: Tokenizer = DEFAULT
) -> set[str]:
    """The ids of a document's chunks, of which only its kind and body are read."""
    cleaned = document.kind.text(document.body)
    if cleaned is None or not cleaned.text:
        return set()
    chunks = chunk(cleaned.text, max_tokens=max_tokens, overlap_sentences=overlap_sentences, tokenizer=tokenizer)
    return {row["chunk_id"] for row in _rows(document, chunks)}


def _count(tally: Tally, cleaned: CleanText, chunks: list[Chunk]) -> None:
    tally.chunks += len(chunks)
    tally.tokens += sum(part.token_count for part in chunks)
    tally.characters += len(cleaned.text)
    tally.sentence_ends += sum(ends_at_sentence(part.text) for part in chunks)
    for flag in cleaned.flags:
        tally.flagged[flag] = tally.flagged.get(flag, 0) + 1


def _rows(document: Document, chunks: list[Chunk]) -> Iterator[dict[str, Any]]:
    occurrences: dict[str, int] = {}
    for part in chunks:
        content_hash = hashlib.sha256(part.text.encode()).hexdigest()
        occurrence = occurrences.get(content_hash, 0)
        occurrences[content_hash] = occurrence + 1
        yield {
            "chunk_id": chunk_id(document, content_hash, occurrence),
            "content_hash": content_hash,
            "text": part.text,
            "char_start": part.char_start,
            "char_end": part.char_end,
            "token_count": part.token_count,
            "chunk_index": part.index,
            "chunk_count": len(chunks),
        }


def chunk_id(document: Document, content_hash: str, occurrence: int) -> str:
    """32 hex digits from document, chunker version and content. `occurrence` counts equal chunks of one document.

    Position is not part of it: a paragraph inserted at the top does not rename the chunks that stay the same.
    """
    return digest(document.doc_type, document.id, CHUNKER_VERSION, content_hash, occurrence).hex()
