"""What a vector store has to offer, and which one a setting names.

Belongs here: that interface, and the rows that it takes. Does not belong here: any particular store
(`qdrant_store.py`, `pgvector_store.py`), and what is done when (`following.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from resources.connections.postgres import Database
from resources.errors import SettingError

#: A chunk as the dataset has it, with its `header_hash`; dates are text, as in JSON.
Row = Mapping[str, Any]
Vector = Sequence[float]


@dataclass(frozen=True)
class Position:
    """How far a store has come: the last entry of the change log, and what its vectors were made with."""

    sequence: int
    embedded_by: str


class VectorStore(Protocol):
    """A store of chunks with their vectors. What is done twice does no harm."""

    def position(self) -> Position | None:
        """How far the store has come; None if it has nothing yet."""

    def remember(self, position: Position) -> None:
        """Remember how far it has come, when all else is stored."""

    def header_hashes(self, chunk_ids: Sequence[str]) -> dict[str, str]:
        """The header_hash of each of these chunks that are there."""

    def put(self, rows: Sequence[Row], vectors: Sequence[Vector]) -> None:
        """Add chunks, or replace them."""

    def relabel(self, rows: Sequence[Row]) -> None:
        """Replace all but the vectors of chunks that are there."""

    def delete(self, chunk_ids: Sequence[str]) -> None:
        """Delete those of these chunks that are there."""

    def chunk_ids(self) -> Iterator[list[str]]:
        """The ids of all chunks that are there; they may be deleted meanwhile."""


def vector_store(setting: str, database: Database) -> VectorStore:
    """Open the store that a setting names; a table of pgvector is in this database. Raises SettingError."""
    kind, _, place = setting.partition(":")
    if kind == "pgvector":
        from courtlistener_assets.vectors.pgvector_store import PgvectorStore

        return PgvectorStore(database, place)
    try:
        from courtlistener_assets.vectors.qdrant_store import QdrantStore
    except ImportError as error:
        raise SettingError(f"COURTLISTENER_VECTOR_STORE: the package qdrant-client is missing: {error}") from error
    return QdrantStore.at(place)
