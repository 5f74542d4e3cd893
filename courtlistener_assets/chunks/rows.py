"""Rows: a document of a partition -> the rows of its chunks.

Belongs here: the ids of chunks, and the count of what was done. Does not belong here: the columns that the document
gives (`document.py`) and those that the place in it gives (`places.py`), duplicates (`duplicates.py`), citations
(`citations.py`), column types, files (`table.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from courtlistener_assets.chunks.chunking import CHUNKER_VERSION, Chunk, chunk
from courtlistener_assets.chunks.citations import FindClusters, Row, with_citations
from courtlistener_assets.chunks.copies import Copies
from courtlistener_assets.chunks.cuts import ends_at_sentence
from courtlistener_assets.chunks.document import Document, document_columns
from courtlistener_assets.chunks.duplicates import Duplicates, Original, originals_first
from courtlistener_assets.chunks.identity import digest
from courtlistener_assets.chunks.places import place_columns
from courtlistener_assets.chunks.soundness import Soundness
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
    soundness: Soundness = field(default_factory=Soundness)

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
    reserved: int = 0,
    max_header_tokens: int = 64,
    near_duplicates: bool = False,
    copies: Copies | None = None,
    find_citations: Callable[[str, str], list[str]] | None = None,
    find_clusters: FindClusters | None = None,
) -> Iterator[dict[str, Any]]:
    """Yield the rows of a partition's documents, and count into `tally`; one cluster's documents are in memory.

    Those of a cluster must follow each other. A longer header than `max_header_tokens` is cut; as many are `reserved`
    in every chunk if the header counts, however long it is: otherwise another name of a case would give its documents
    other chunks. `copies` knows the documents of other partitions. `find_citations` is given a chunk's text and its
    content_hash, `find_clusters` the citations of some documents at a time. What is known of earlier documents, to find
    duplicates, is kept on disk meanwhile.
    """
    cut = partial(
        chunk, max_tokens=max_tokens, overlap_sentences=overlap_sentences, tokenizer=tokenizer, reserved=reserved
    )

    def rows_of(document: Document, cleaned: CleanText) -> list[Row]:
        chunks = cut(cleaned.text, footnotes=cleaned.footnote_spans)
        _count(tally, document, cleaned, chunks)
        shared = document_columns(document, cleaned, tokenizer, max_header_tokens)
        shared |= _duplicate_columns(duplicates.original_of(document, cleaned.text), tally)
        return [shared | row for row in _rows(document, cleaned, chunks)]

    with Duplicates.none_yet(near=near_duplicates, copies=copies) as duplicates:
        found = ((document, rows_of(document, cleaned)) for document, cleaned in _with_text(documents, tally))
        for _, rows in with_citations(found, find_citations, find_clusters) if find_citations else found:
            yield from rows


def _with_text(documents: Iterable[Document], tally: Tally) -> Iterator[tuple[Document, CleanText]]:
    for document in originals_first(documents):
        tally.documents += 1
        cleaned = document.kind.text(document.body)
        if cleaned is None or not cleaned.text:
            tally.without_text += 1
        else:
            yield document, cleaned


def _duplicate_columns(original: Original | None, tally: Tally) -> Row:
    if not original:
        return {"is_duplicate_of": None, "duplicate_kind": None}
    tally.duplicates += 1
    return {"is_duplicate_of": original.key, "duplicate_kind": original.kind}


def chunk_ids(
    document: Document,
    *,
    max_tokens: int = 512,
    overlap_sentences: int = 0,
    tokenizer: Tokenizer = DEFAULT,
    reserved: int = 0,
) -> set[str]:
    """The ids of a document's chunks, of which only its kind and body are read."""
    cleaned = document.kind.text(document.body)
    if cleaned is None or not cleaned.text:
        return set()
    chunks = chunk(
        cleaned.text,
        max_tokens=max_tokens,
        overlap_sentences=overlap_sentences,
        tokenizer=tokenizer,
        footnotes=cleaned.footnote_spans,
        reserved=reserved,
    )
    return {id for id, _ in _ids(document, chunks)}


def _count(tally: Tally, document: Document, cleaned: CleanText, chunks: list[Chunk]) -> None:
    tally.chunks += len(chunks)
    tally.tokens += sum(part.token_count for part in chunks)
    tally.characters += len(cleaned.text)
    tally.sentence_ends += sum(ends_at_sentence(part.text) for part in chunks)
    tally.soundness.add(document.key, cleaned.text, [part.text for part in chunks])
    for flag in cleaned.flags:
        tally.flagged[flag] = tally.flagged.get(flag, 0) + 1


def _ids(document: Document, chunks: Sequence[Chunk]) -> list[tuple[str, str]]:
    """The chunk_id and the content_hash of each chunk."""
    occurrences: dict[str, int] = {}
    found = []
    for part in chunks:
        content_hash = hashlib.sha256(part.text.encode()).hexdigest()
        occurrence = occurrences.get(content_hash, 0)
        occurrences[content_hash] = occurrence + 1
        found.append((chunk_id(document, content_hash, occurrence), content_hash))
    return found


def _rows(document: Document, cleaned: CleanText, chunks: Sequence[Chunk]) -> Iterator[Row]:
    ids = _ids(document, chunks)
    neighbours = [None, *(id for id, _ in ids), None]
    places = place_columns(cleaned, chunks, [id for id, _ in ids])
    for part, (id, content_hash), place in zip(chunks, ids, places, strict=True):
        yield {
            "chunk_id": id,
            "content_hash": content_hash,
            "text": part.text,
            "char_start": part.char_start,
            "char_end": part.char_end,
            "token_count": part.token_count,
            "chunk_index": part.index,
            "chunk_count": len(chunks),
            "previous_chunk_id": neighbours[part.index],
            "next_chunk_id": neighbours[part.index + 2],
            **place,
        }


def chunk_id(document: Document, content_hash: str, occurrence: int) -> str:
    """32 hex digits from document, chunker version and content. `occurrence` counts equal chunks of one document.

    Position is not part of it: a paragraph inserted at the top does not rename the chunks that stay the same.
    """
    return digest(document.doc_type, document.id, CHUNKER_VERSION, content_hash, occurrence).hex()
