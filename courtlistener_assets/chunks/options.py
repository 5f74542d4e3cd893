"""Options: how text is cut and marked.

Belongs here: the values, and what follows from them alone. Does not belong here: what a run is told about them
(`defs/assets/chunk_config.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

from courtlistener_assets.chunks.token_counts import DEFAULT


@dataclass(frozen=True, kw_only=True)
class ChunkOptions:
    """As `ChunkConfig` describes them; all partitions of a dataset should be made with the same."""

    max_tokens: int = 512
    overlap_sentences: int = 0
    tokenizer: str = DEFAULT.name
    count_header: bool = False
    max_header_tokens: int = 64
    near_duplicates: bool = False
    find_citations: bool = False

    @property
    def reserved_tokens(self) -> int:
        """The tokens of the budget that are the header's."""
        return self.max_header_tokens if self.count_header else 0
