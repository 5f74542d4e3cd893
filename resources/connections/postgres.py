"""Our own tables in Postgres: connections, transactions and migrations.

Belongs here: the pool and the numbered SQL files of `sql/migrations`. Does not belong here: any query about records or
permits; those stand beside the class that uses them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import TupleRow
from psycopg_pool import ConnectionPool, PoolTimeout

from resources.connections.postgres_address import advice, conninfo_of
from resources.errors import StoreUnavailable

Connection = psycopg.Connection[TupleRow]

MIGRATIONS = Path(__file__).parents[1] / "sql" / "migrations"
#: Serialises migrations of processes that start together; any constant will do, as long as it stays.
_MIGRATION_LOCK = 7_411_215_023


class Database:
    """A pool of connections to the Postgres database that holds the schema `courtlistener`.

    `url` is a libpq URL (`postgresql://user:password@host:5432/name`). Connections are made when first needed, and
    files that it names (`passfile`, `sslrootcert`) are read for each, so a password can change while we run. A server
    on another machine must prove its name, see `postgres_address.py`. Raises SettingError for an address that cannot
    be read.
    """

    def __init__(self, url: str, *, max_connections: int = 8, timeout_seconds: float = 10.0) -> None:
        self._last_refusal = ""
        self._pool = ConnectionPool(
            conninfo_of(url),
            connection_class=_connection_class(self._note_refusal),
            min_size=0,
            max_size=max_connections,
            timeout=timeout_seconds,
            reconnect_timeout=timeout_seconds,
            check=ConnectionPool.check_connection,
            open=False,
            # A dead peer must not hold a worker for the two hours of TCP's own patience.
            kwargs={"connect_timeout": 5, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3},
        )

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """One transaction: committed at the end, rolled back when an exception leaves the block.

        Raises StoreUnavailable if Postgres cannot be reached or goes away.
        """
        self._pool.open()
        try:
            with self._pool.connection() as connection:
                yield connection
        except PoolTimeout as error:
            raise StoreUnavailable(f"Postgres does not answer: {self._last_refusal or error}") from error
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise StoreUnavailable(f"Postgres does not answer: {error}") from error

    def rows(self, query: str, params: dict[str, Any] | None = None) -> list[TupleRow]:
        """Run one read in a transaction of its own."""
        with self.transaction() as connection:
            return connection.execute(query.encode(), params).fetchall()

    def migrate(self) -> list[str]:
        """Bring the schema up to date; returns the names of the migrations that were applied now."""
        with self.transaction() as connection:
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (_MIGRATION_LOCK,))
            connection.execute("CREATE SCHEMA IF NOT EXISTS courtlistener")
            connection.execute(
                "CREATE TABLE IF NOT EXISTS courtlistener.migrations "
                "(name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
            )
            done = {name for (name,) in connection.execute("SELECT name FROM courtlistener.migrations")}
            applied = [path for path in sorted(MIGRATIONS.glob("*.sql")) if path.stem not in done]
            for path in applied:
                connection.execute(path.read_text(encoding="utf-8").encode())
                connection.execute("INSERT INTO courtlistener.migrations (name) VALUES (%s)", (path.stem,))
        return [path.stem for path in applied]

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()

    def _note_refusal(self, error: psycopg.Error | None) -> None:
        text = "; ".join(line.strip() for line in str(error or "").splitlines())
        self._last_refusal = " ".join(filter(None, (text, advice(text))))


def _connection_class(note: Callable[[psycopg.Error | None], None]) -> type[Connection]:
    """Connections that tell `note` why they could not be made, or None; the pool itself only says that it waited."""

    class Noted(psycopg.Connection[TupleRow]):
        @classmethod
        def connect(cls, *args: Any, **kwargs: Any) -> Any:
            try:
                made = super().connect(*args, **kwargs)
            except psycopg.Error as error:
                note(error)
                raise
            note(None)
            return made

    return Noted
