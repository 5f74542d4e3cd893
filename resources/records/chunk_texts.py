"""Texts of documents in the files of vector inputs, by which copies in other partitions are told.

Belongs here: SQL. Does not belong here: what makes a document a copy of another (`identity.py` and `copies.py` of
`courtlistener_assets/chunks`).

    content       what a copy of the document has, too: a digest of its text, its kind and one thing that names its case
    copy_of       the document that the partition's file names as the one of which this is a copy

Of all documents with a content, in whatever partitions, the one with the smallest id is the original. So it does not
matter in which order partitions are made. Rows change in the transaction in which a partition's file counts as
replaced, one worker after the other. Whoever has read others' rows before, and finds them changed then, lets its own
partition be stale, and so are those whose originals came or went.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any

from resources.connections.postgres import Connection, Database
from resources.records.stale import note_stale

#: content, doc_type, document_id, copy_of
Text = tuple[bytes, str, int, int | None]
_AT_ONCE = 5000


class ChunkTexts:
    """The texts of the files at `place`, which all workers have to name alike."""

    def __init__(self, database: Database, place: str) -> None:
        self._database = database
        self._place = place

    def smallest(self, contents: Sequence[bytes], *, elsewhere_than: str) -> tuple[int, int] | None:
        """The smallest id of a document with any of these contents in another partition, and which content it has."""
        params = {"place": self._place, "partition": elsewhere_than, "contents": list(contents)}
        rows = self._database.rows(_SMALLEST, params) if contents else []
        return (int(rows[0][0]), int(rows[0][1]) - 1) if rows else None

    def has(self, partition: str) -> bool:
        """Whether a partition has any."""
        return bool(self._database.rows(f"SELECT 1 {_OWN} LIMIT 1", self._key(partition)))

    @contextmanager
    def turn(self, connection: Connection, partition: str) -> Iterator[TextsTurn]:
        """Wait until no other worker changes texts; what is changed here counts when the transaction ends."""
        lock = {"name": f"courtlistener texts {self._place}"}
        connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%(name)s, 0))", lock)
        yield TextsTurn(connection, self._key(partition))

    def _key(self, partition: str) -> dict[str, Any]:
        return {"place": self._place, "partition": partition}


class TextsTurn:
    """The right to change the texts of a partition."""

    def __init__(self, connection: Connection, key: dict[str, Any]) -> None:
        self._connection, self._key = connection, key
        self._stale: set[str] = set()

    def before(self) -> Iterator[Text]:
        """The texts as they were."""
        with self._connection.cursor(name="texts") as cursor:
            cursor.itersize = _AT_ONCE
            cursor.execute(f"SELECT content, doc_type, document_id, copy_of {_OWN}", self._key)
            for content, doc_type, document_id, copy_of in cursor:
                yield bytes(content), doc_type, document_id, copy_of

    def remove(self, texts: Iterable[Text]) -> None:
        """Remove some, and note whose copies they were the original of."""
        for columns in _columns(texts):
            self._connection.execute(_REMOVE, {**self._key, **columns})
            self._note(_COPIES_OF, columns)

    def add(self, texts: Iterable[Text]) -> None:
        """Add some, and note which documents are copies of them now."""
        for columns in _columns(texts):
            self._connection.execute(_PUT, {**self._key, **columns})
            self._note(_COPIES_NOW, columns)

    def relabel(self, texts: Iterable[Text]) -> None:
        """Change what some are copies of."""
        for columns in _columns(texts):
            self._connection.execute(_PUT, {**self._key, **columns})

    def _note(self, query: str, columns: dict[str, Any]) -> None:
        found = self._connection.execute(query, {**self._key, **columns}).fetchall()
        self._stale.update(partition for (partition,) in found)

    def close(self) -> None:
        """Let those partitions be stale whose files say now what is not so; that may be the partition itself."""
        if self._connection.execute(_MISTAKEN, self._key).fetchall():
            self._stale.add(self._key["partition"])
        note_stale(self._connection, sorted(self._stale))


def _columns(texts: Iterable[Text]) -> Iterator[dict[str, Any]]:
    """Some texts at a time, as the statements take them."""
    remaining, names = iter(texts), ("content", "doc_type", "document_id", "copy_of")
    while group := list(islice(remaining, _AT_ONCE)):
        yield {name: list(column) for name, column in zip(names, zip(*group, strict=True), strict=True)}


_OWN = "FROM courtlistener.chunk_texts WHERE place = %(place)s AND partition = %(partition)s"
_SMALLEST = """
SELECT first.document_id, wanted.number
FROM unnest(%(contents)s::bytea[]) WITH ORDINALITY AS wanted (content, number)
CROSS JOIN LATERAL (
    SELECT document_id FROM courtlistener.chunk_texts AS text
    WHERE text.place = %(place)s AND text.content = wanted.content AND text.partition <> %(partition)s
    ORDER BY document_id LIMIT 1
) AS first
ORDER BY 1, 2 LIMIT 1
"""
_REMOVE = """
DELETE FROM courtlistener.chunk_texts
USING unnest(%(content)s::bytea[], %(document_id)s::bigint[]) AS gone (content, document_id)
WHERE place = %(place)s AND partition = %(partition)s
    AND chunk_texts.content = gone.content AND chunk_texts.document_id = gone.document_id
"""
_PUT = """
INSERT INTO courtlistener.chunk_texts (place, partition, content, doc_type, document_id, copy_of)
SELECT %(place)s, %(partition)s, * FROM unnest(
    %(content)s::bytea[], %(doc_type)s::text[], %(document_id)s::bigint[], %(copy_of)s::bigint[])
ON CONFLICT (place, content, document_id, partition) DO UPDATE SET copy_of = excluded.copy_of
"""
# In both: a text with a smaller one beside it is nobody's original.
_SMALLER = """
EXISTS (
    SELECT 1 FROM courtlistener.chunk_texts AS smaller
    WHERE smaller.place = %(place)s AND smaller.content = changed.content AND smaller.document_id < changed.document_id
)
"""
_OTHERS = f"""
SELECT DISTINCT text.partition
FROM unnest(%(content)s::bytea[], %(document_id)s::bigint[]) AS changed (content, document_id)
JOIN courtlistener.chunk_texts AS text
    ON text.place = %(place)s AND text.content = changed.content AND text.partition <> %(partition)s
WHERE NOT {_SMALLER}
"""
_COPIES_OF = f"{_OTHERS} AND text.copy_of = changed.document_id"
_COPIES_NOW = (
    f"{_OTHERS} AND text.document_id > changed.document_id AND text.copy_of IS DISTINCT FROM changed.document_id"
)
# Whether the partition's own file says of a document what is no longer, or not yet, so.
_MISTAKEN = """
SELECT 1
FROM courtlistener.chunk_texts AS own
LEFT JOIN LATERAL (
    SELECT other.document_id FROM courtlistener.chunk_texts AS other
    WHERE other.place = %(place)s AND other.content = own.content AND other.partition <> %(partition)s
    ORDER BY other.document_id LIMIT 1
) AS first ON true
WHERE own.place = %(place)s AND own.partition = %(partition)s
GROUP BY own.doc_type, own.document_id, own.copy_of
HAVING own.copy_of IS DISTINCT FROM
    CASE WHEN min(first.document_id) < own.document_id THEN min(first.document_id) END
LIMIT 1
"""
