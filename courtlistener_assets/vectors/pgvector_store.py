"""A table with a column of pgvector's type `vector`, in the database of POSTGRES_URL.

Belongs here: SQL. Does not belong here: what is done when (`following.py`).

    chunk_id uuid, header_hash text, text text, metadata jsonb, embedding vector(n)

A table without a schema is in `courtlistener`, as the extension is if it is made here. An index is left to whoever
searches. How far the table has come is in another one, `<table>_position`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from uuid import UUID

import psycopg
from psycopg import sql

from courtlistener_assets.vectors.store import Position, Row, Vector
from resources.connections.postgres import Connection, Database
from resources.errors import SettingError

_AT_ONCE = 1000
#: The schema of tables whose name has none, and of the extension if it is made here.
_OURS = "courtlistener"
_EXTENSION = "SELECT nspname FROM pg_extension JOIN pg_namespace n ON n.oid = extnamespace WHERE extname = 'vector'"


class PgvectorStore:
    """The table, which is made when the first chunk comes; the extension must be there, or may be made."""

    def __init__(self, database: Database, table: str) -> None:
        self._database = database
        schema, _, name = table.rpartition(".")
        # Our transactions look nowhere for names without a schema.
        self._names = {
            "table": sql.Identifier(schema or _OURS, name),
            "position": sql.Identifier(schema or _OURS, f"{name}_position"),
        }
        self._asked_for = {key: each.as_string(None) for key, each in self._names.items()}

    def position(self) -> Position | None:
        """As `VectorStore` says."""
        if not self._exists("table") or not self._exists("position"):
            return None
        with self._transaction() as connection:
            row = connection.execute(self._sql("SELECT sequence, embedded_by FROM {position}")).fetchone()
        return Position(*row) if row else None

    def remember(self, position: Position) -> None:
        """As `VectorStore` says."""
        with self._transaction() as connection:
            connection.execute(self._sql(_MAKE_POSITION))
            connection.execute(self._sql(_REMEMBER), vars(position))

    def header_hashes(self, chunk_ids: Sequence[str]) -> dict[str, str]:
        """As `VectorStore` says."""
        if not self._exists("table"):
            return {}
        with self._transaction() as connection:
            query = self._sql("SELECT chunk_id, header_hash FROM {table} WHERE chunk_id = ANY(%s)")
            return {id.hex: header for id, header in connection.execute(query, [_uuids(chunk_ids)])}

    def put(self, rows: Sequence[Row], vectors: Sequence[Vector]) -> None:
        """As `VectorStore` says."""
        if rows:
            with self._transaction() as connection:
                vector_type = self._make(connection, len(vectors[0]))
                values = [
                    {**_columns(row), "embedding": json.dumps(list(vector))}
                    for row, vector in zip(rows, vectors, strict=True)
                ]
                connection.cursor().executemany(self._sql(_PUT, vector=vector_type), values)

    def relabel(self, rows: Sequence[Row]) -> None:
        """As `VectorStore` says."""
        with self._transaction() as connection:
            connection.cursor().executemany(self._sql(_RELABEL), [_columns(row) for row in rows])

    def delete(self, chunk_ids: Sequence[str]) -> None:
        """As `VectorStore` says."""
        if self._exists("table"):
            with self._transaction() as connection:
                query = self._sql("DELETE FROM {table} WHERE chunk_id = ANY(%s)")
                connection.execute(query, [_uuids(chunk_ids)])

    def chunk_ids(self) -> Iterator[list[str]]:
        """As `VectorStore` says."""
        after = UUID(int=0)
        query = self._sql("SELECT chunk_id FROM {table} WHERE chunk_id > %s ORDER BY chunk_id LIMIT %s")
        while self._exists("table"):
            with self._transaction() as connection:
                ids = [id for (id,) in connection.execute(query, [after, _AT_ONCE])]
            if not ids:
                return
            yield [id.hex for id in ids]
            after = ids[-1]

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        """A transaction; raises SettingError if the table has other columns: the schema of ours is as it should be."""
        with self._database.transaction() as connection:
            try:
                yield connection
            except (psycopg.errors.UndefinedColumn, psycopg.errors.UndefinedFunction) as error:
                raise SettingError(
                    f"COURTLISTENER_VECTOR_STORE: {self._asked_for['table']} is not a table of this asset: {error}"
                ) from error

    def _exists(self, name: str) -> bool:
        rows = self._database.rows("SELECT to_regclass(%(name)s) IS NOT NULL", {"name": self._asked_for[name]})
        return bool(rows[0][0])

    def _make(self, connection: Connection, size: int) -> sql.Identifier:
        """Make the table for vectors of a size, unless it is there; returns the name of their type."""
        if not (found := connection.execute(_EXTENSION).fetchall()):
            connection.execute(sql.SQL("CREATE EXTENSION vector SCHEMA {}").format(sql.Identifier(_OURS)))
        vector_type = sql.Identifier(found[0][0] if found else _OURS, "vector")
        if not self._exists("table"):
            connection.execute(self._sql(_MAKE, size=sql.Literal(size), vector=vector_type))
        [(known,)] = connection.execute(_SIZE, {"table": self._asked_for["table"]}).fetchall()
        if known != size:  # Another function: the vectors of the last one are deleted.
            connection.execute(self._sql(_RESIZE, size=sql.Literal(size), vector=vector_type))
        return vector_type

    def _sql(self, text: str, **more: sql.Composable) -> sql.Composed:
        return sql.SQL(text).format(**self._names, **more)


def _columns(row: Row) -> dict[str, object]:
    rest = {name: value for name, value in row.items() if name not in ("chunk_id", "text", "header_hash")}
    return {
        "chunk_id": UUID(row["chunk_id"]),
        "header_hash": row["header_hash"],
        "text": row["text"],
        "metadata": json.dumps(rest),
    }


def _uuids(chunk_ids: Sequence[str]) -> list[UUID]:
    return [UUID(id) for id in chunk_ids]


_MAKE = """
CREATE TABLE IF NOT EXISTS {table} (
    chunk_id uuid PRIMARY KEY, header_hash text NOT NULL, text text NOT NULL, metadata jsonb NOT NULL,
    embedding {vector}({size}) NOT NULL
)
"""
_SIZE = "SELECT atttypmod FROM pg_attribute WHERE attrelid = to_regclass(%(table)s) AND attname = 'embedding'"
_RESIZE = "ALTER TABLE {table} ALTER COLUMN embedding TYPE {vector}({size})"
_MAKE_POSITION = """
CREATE TABLE IF NOT EXISTS {position} (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row), sequence bigint NOT NULL, embedded_by text NOT NULL
)
"""
_REMEMBER = """
INSERT INTO {position} (sequence, embedded_by) VALUES (%(sequence)s, %(embedded_by)s)
ON CONFLICT (only_row) DO UPDATE SET sequence = excluded.sequence, embedded_by = excluded.embedded_by
"""
_PUT = """
INSERT INTO {table} (chunk_id, header_hash, text, metadata, embedding)
VALUES (%(chunk_id)s, %(header_hash)s, %(text)s, %(metadata)s, %(embedding)s::{vector})
ON CONFLICT (chunk_id) DO UPDATE SET
    header_hash = excluded.header_hash, text = excluded.text, metadata = excluded.metadata,
    embedding = excluded.embedding
"""
_RELABEL = "UPDATE {table} SET text = %(text)s, metadata = %(metadata)s WHERE chunk_id = %(chunk_id)s"
