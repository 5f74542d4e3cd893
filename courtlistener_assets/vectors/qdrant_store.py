"""A collection of Qdrant, on a server or in a directory of this machine.

Belongs here: Qdrant's API. Does not belong here: what is done when (`following.py`).

A chunk is a point whose id is the chunk's, with dashes. Position and chunks are in two collections, so that a search
finds chunks only.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

from qdrant_client import QdrantClient, models

from courtlistener_assets.vectors.store import Position, Row, Vector
from resources.errors import SettingError

_AT_ONCE = 1000


class QdrantStore:
    """The collection, which is made when the first chunk comes."""

    def __init__(self, client: QdrantClient, collection: str) -> None:
        self._client, self._name = client, collection
        self._position = f"{collection}_position"

    @classmethod
    def at(cls, place: str) -> QdrantStore:
        """The collection at `http://host:6333/COLLECTION` (QDRANT_API_KEY may be set) or `DIRECTORY/COLLECTION`."""
        where, _, collection = place.rpartition("/")
        if "://" not in where:
            return cls(QdrantClient(path=where or "."), collection)
        return cls(QdrantClient(url=where, api_key=os.environ.get("QDRANT_API_KEY") or None), collection)

    def position(self) -> Position | None:
        """As `VectorStore` says."""
        if not self._client.collection_exists(self._name) or not self._client.collection_exists(self._position):
            return None
        points = self._client.retrieve(self._position, [0])
        payload = points[0].payload if points else None
        return Position(payload["sequence"], payload["embedded_by"]) if payload else None

    def remember(self, position: Position) -> None:
        """As `VectorStore` says."""
        self._make(self._position, 1)
        self._client.upsert(self._position, [models.PointStruct(id=0, vector=[1.0], payload=vars(position))])

    def header_hashes(self, chunk_ids: Sequence[str]) -> dict[str, str]:
        """As `VectorStore` says."""
        if not self._client.collection_exists(self._name):
            return {}
        points = self._client.retrieve(self._name, [_point(id) for id in chunk_ids], with_payload=["header_hash"])
        return {UUID(str(point.id)).hex: (point.payload or {})["header_hash"] for point in points}

    def put(self, rows: Sequence[Row], vectors: Sequence[Vector]) -> None:
        """As `VectorStore` says."""
        if rows:
            self._make(self._name, len(vectors[0]))
            points = [
                models.PointStruct(id=_point(row["chunk_id"]), vector=list(vector), payload=dict(row))
                for row, vector in zip(rows, vectors, strict=True)
            ]
            self._client.upsert(self._name, points)

    def relabel(self, rows: Sequence[Row]) -> None:
        """As `VectorStore` says."""
        operations = [
            models.OverwritePayloadOperation(
                overwrite_payload=models.SetPayload(payload=dict(row), points=[_point(row["chunk_id"])])
            )
            for row in rows
        ]
        if operations:
            self._client.batch_update_points(self._name, operations)

    def delete(self, chunk_ids: Sequence[str]) -> None:
        """As `VectorStore` says."""
        if chunk_ids and self._client.collection_exists(self._name):
            self._client.delete(self._name, models.PointIdsList(points=[_point(id) for id in chunk_ids]))

    def chunk_ids(self) -> Iterator[list[str]]:
        """As `VectorStore` says."""
        offset: Any = None
        while self._client.collection_exists(self._name):
            points, offset = self._client.scroll(self._name, limit=_AT_ONCE, offset=offset, with_payload=False)
            yield [UUID(str(point.id)).hex for point in points]
            if offset is None:
                return

    def _make(self, name: str, size: int) -> None:
        if self._client.collection_exists(name):
            known = self._client.get_collection(name).config.params.vectors
            if not isinstance(known, models.VectorParams) or known.size == size:
                return
            if self._client.count(name).count:
                raise SettingError(f"COURTLISTENER_EMBED: {name} has vectors of {known.size} numbers, not of {size}")
            self._client.delete_collection(name)  # Another function: the vectors of the last one are deleted.
        self._client.create_collection(name, models.VectorParams(size=size, distance=models.Distance.COSINE))


def _point(chunk_id: str) -> str:
    return str(UUID(chunk_id))
