"""Our own tables in Postgres: connections, transactions and migrations.

Belongs here: the pool and the numbered SQL files of `sql/migrations`. Does not belong here: any query about records or
permits; those stand beside the class that uses them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from weakref import WeakSet

import psycopg
from psycopg.errors import IdleInTransactionSessionTimeout
from psycopg.rows import TupleRow
from psycopg_pool import ConnectionPool, PoolTimeout

from resources.connections.postgres_address import conninfo_of
from resources.errors import SettingError, StoreUnavailable

Connection = psycopg.Connection[TupleRow]

MIGRATIONS = Path(__file__).parents[1] / "sql" / "migrations"
#: A worker that is stopped in the middle of a transaction must not hold up all others.
_LIMITS = "SET lock_timeout = 5000; SET idle_in_transaction_session_timeout = 2000"
_NO_LIMITS = "SET LOCAL lock_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0"
#: Serialises migrations of processes that start together; any constant will do, as long as it stays.
_MIGRATION_LOCK = 7_411_215_023
_databases: WeakSet[Database] = WeakSet()


class Database:
    """A pool of connections to the Postgres database that holds the schema `courtlistener`.

    `url` is a libpq URL (`postgresql://user:password@host:5432/name`). Connections are made when first needed, and
    files that it names (`passfile`, `sslrootcert`) are read for each, so a password can change while we run. A server
    on another machine must prove its name, see `postgres_address.py`. Threads may share it, and so may a child of a
    fork, which makes connections of its own. Raises SettingError for an address that cannot be read.
    """

    def __init__(self, url: str, *, max_connections: int = 8, timeout_seconds: float = 10.0) -> None:
        self._conninfo = conninfo_of(url)
        self._max_connections = max_connections
        self._timeout_seconds = timeout_seconds
        self._last_refusal = ""
        self._is_migrated = False
        self._pool = self._new_pool()
        self._forked: list[ConnectionPool[Connection]] = []
        _databases.add(self)

    def _new_pool(self) -> ConnectionPool[Connection]:
        return ConnectionPool(
            self._conninfo,
            connection_class=_connection_class(self._note_refusal),
            min_size=0,
            max_size=self._max_connections,
            timeout=self._timeout_seconds,
            reconnect_timeout=self._timeout_seconds,
            check=ConnectionPool.check_connection,
            configure=_configure,
            open=False,
            # A dead peer must not hold a worker for the two hours of TCP's own patience.
            kwargs={"connect_timeout": 5, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3},
        )

    @contextmanager
    def transaction(self, *, timeout_seconds: float | None = None, patient: bool = False) -> Iterator[Connection]:
        """One transaction: committed at the end, rolled back when an exception leaves the block.

        `timeout_seconds` is how long to wait for a connection, if not as long as usual. A `patient` transaction may
        wait for locks, and keep Postgres waiting, as long as it likes. Raises StoreUnavailable if Postgres cannot be
        reached, goes away, or ends the transaction.
        """
        try:
            self._pool.open()
            with self._pool.connection(timeout_seconds) as connection:
                if patient:
                    connection.execute(_NO_LIMITS)
                yield connection
        except PoolTimeout as error:
            raise StoreUnavailable(self._why_no_connection()) from error
        # Of a worker that was stopped for too long, psycopg says that it is an internal error.
        except (psycopg.OperationalError, psycopg.InterfaceError, IdleInTransactionSessionTimeout) as error:
            raise StoreUnavailable(f"Postgres does not answer: {error}") from error

    def rows(self, query: str, params: dict[str, Any] | None = None) -> list[TupleRow]:
        """Run one read in its own transaction."""
        with self.transaction() as connection:
            return connection.execute(query.encode(), params).fetchall()

    def migrate(self) -> list[str]:
        """Bring the schema up to date; returns the names of the migrations that were applied now."""
        with self.transaction(patient=True) as connection:
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

    def pending(self) -> list[str]:
        """The names of the migrations that the schema lacks; changes nothing and takes no lock."""
        [(present,)] = self.rows("SELECT to_regclass('courtlistener.migrations') IS NOT NULL")
        done = {name for (name,) in self.rows("SELECT name FROM courtlistener.migrations")} if present else set()
        return [path.stem for path in sorted(MIGRATIONS.glob("*.sql")) if path.stem not in done]

    def ensure_schema(self) -> None:
        """Bring the schema up to date, unless it is; looks once a process. Raises SettingError if it may not."""
        if self._is_migrated:
            return
        try:
            if self.pending():
                self.migrate()  # Waits for a process that migrates at the same time.
        except psycopg.ProgrammingError as error:
            raise SettingError(f"POSTGRES_URL: the schema cannot be brought up to date: {error}") from error
        self._is_migrated = True

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()

    def _why_no_connection(self) -> str:
        if not self._last_refusal and self._pool.get_stats().get("pool_size") == self._max_connections:
            return f"All {self._max_connections} connections of this process to Postgres are in use"
        return f"Postgres does not answer: {self._last_refusal or 'no connection in time'}"

    def _start_afresh(self) -> None:
        """In the child of a fork: leave the parent's connections and locks, which a thread may have held, to it."""
        self._forked.append(self._pool)  # Still referenced, so that no finalizer of the child closes them.
        self._pool = self._new_pool()

    def _note_refusal(self, error: psycopg.Error | None) -> None:
        self._last_refusal = "; ".join(line.strip() for line in str(error or "").splitlines())


def _start_afresh() -> None:
    for database in _databases:
        database._start_afresh()


os.register_at_fork(after_in_child=_start_afresh)


def _configure(connection: Connection) -> None:
    connection.execute(_LIMITS)
    connection.commit()


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
