"""The run configuration of the assets that make chunks.

Belongs here: fields, defaults, descriptions. Does not belong here: what they do (`courtlistener_assets/chunks`).
"""

from __future__ import annotations

from dataclasses import fields
from typing import Final

import dagster as dg
from pydantic import Field

from courtlistener_assets.chunks.options import ChunkOptions
from courtlistener_assets.chunks.token_counts import DEFAULT


class CutConfig(dg.Config):
    """How text is cut and marked; all partitions should be made with the same values."""

    max_tokens: int = Field(default=512, description="The most tokens a chunk may have.")
    overlap_sentences: int = Field(default=0, description="Sentences of the chunk before that a chunk repeats.")
    tokenizer: str = Field(
        default=DEFAULT.name,
        description="What counts tokens: cl100k_base, or the path of your model's tokenizer.json, whose special tokens "
        "count, too. The latter needs the package tokenizers.",
    )
    count_header: bool = Field(
        default=False,
        description="Whether max_tokens is for the header and the text together; max_header_tokens of it are then kept "
        "for the header.",
    )
    max_header_tokens: int = Field(default=64, ge=16, description="The most tokens of a header; a longer one is cut.")
    near_duplicates: bool = Field(
        default=False,
        description="Mark documents four fifths of whose text is that of an earlier one of the partition, too.",
    )
    price_per_million_tokens: float = Field(
        default=0.02, ge=0, description="Price of an embedding model in USD, to estimate what the chunks will cost."
    )

    @property
    def options(self) -> ChunkOptions:
        """What the files depend on."""
        names = {each.name for each in fields(ChunkOptions)}
        return ChunkOptions(**self.model_dump(include=names))


#: The configuration of runs that nobody has configured: what is there stays as it was made.
AS_MADE: Final = {"as_made": True}


class ChunkConfig(CutConfig):
    """The same, and what needs the store or files that are there."""

    as_made: bool = Field(
        default=False,
        description="Make each file with the options that it was made with, or that of the month before; the other "
        "fields then count only where there is neither. What sensors and schedules request is made so.",
    )
    find_citations: bool = Field(
        default=False,
        description="Find the citations of every chunk with eyecite, and the stored decisions that have them (slow: "
        "20 s a million characters; texts of the last time are not read again). Needs the package eyecite.",
    )
