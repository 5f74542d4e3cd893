"""The rows of a single document, for tests of what chunks hold."""

from __future__ import annotations

from typing import Any

from courtlistener_assets.chunks.document import Document
from courtlistener_assets.chunks.rows import Tally, partition_rows


def rows_of(document: Document, *, max_tokens: int = 512, overlap_sentences: int = 0) -> list[dict[str, Any]]:
    """Return the rows of one document alone; none if it has no text."""
    return list(partition_rows([document], Tally(), max_tokens=max_tokens, overlap_sentences=overlap_sentences))
