"""Arrivals: chunks whose document is moving to a partition that does not have them in its file yet.

Belongs here: noting and taking these notes. Does not belong here: which chunks move (`courtlistener_assets/chunks`).

The file that a document has left says of its chunks that they moved. Should the document go before the other file has
it, nothing would ever say that they were removed: so the other partition is told which to look for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from resources.connections.postgres import Database


@dataclass(frozen=True)
class Arrival:
    """A chunk on its way to a partition; `kind` and `document_id` name its document."""

    partition: str
    kind: str
    document_id: int
    chunk_id: str


class Arrivals:
    """The table of arrivals."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def note(self, arrivals: Iterable[Arrival]) -> dict[str, int]:
        """Note chunks, before their document is looked at for the last time; returns their numbers by chunk id."""
        rows = [vars(each) for each in arrivals]
        if not rows:
            return {}
        columns = {name: [row[name] for row in rows] for name in rows[0]}
        with self._database.transaction() as connection:
            return {chunk_id: number for number, chunk_id in connection.execute(_NOTE, columns).fetchall()}

    def of(self, partition: str) -> dict[int, Arrival]:
        """Return the notes of a partition by their number; to be read before its documents are."""
        rows = self._database.rows(_OF_PARTITION, {"partition": partition})
        return {number: Arrival(*columns) for number, *columns in rows}

    def forget(self, numbers: Sequence[int]) -> None:
        """Delete notes: the partition's file is made, or the chunks have not moved there."""
        if numbers:
            with self._database.transaction() as connection:
                connection.execute(
                    "DELETE FROM courtlistener.chunk_arrivals WHERE id = ANY(%(ids)s)", {"ids": list(numbers)}
                )


_NOTE = """
INSERT INTO courtlistener.chunk_arrivals (partition, kind, document_id, chunk_id)
SELECT * FROM unnest(%(partition)s::text[], %(kind)s::text[], %(document_id)s::bigint[], %(chunk_id)s::text[])
RETURNING id, chunk_id
"""

_OF_PARTITION = """
SELECT id, partition, kind, document_id, chunk_id FROM courtlistener.chunk_arrivals
WHERE partition = %(partition)s ORDER BY id
"""
