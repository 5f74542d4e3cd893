"""Our own tables in Postgres: connections and transactions.

Belongs here: the pool, and what every transaction begins with. Does not belong here: migrations (`schema.py`), any
query about records or permits; those stand beside the class that uses them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar
from weakref import WeakSet

import psycopg
from psycopg.rows import TupleRow
from psycopg_pool import ConnectionPool, PoolTimeout

from resources.connections import schema
from resources.connections.postgres_address import conninfo_of
from resources.errors import SchemaMismatch, SettingError, StoreUnavailable

Connection = psycopg.Connection[TupleRow]
_Result = TypeVar("_Result")

#: Where names without a schema are looked for: nothing that others have put into `public`, or into a schema that the
#: role's own search path names, stands in for a function, a type or a table of ours. Temporary tables come last.
SEARCH_PATH = "pg_catalog, pg_temp"
#: How every transaction begins, in one message. What a role, a database or a pooler has set for its sessions does not
#: reach us, and nothing of ours stays in a session that a pooler gives to somebody else. A worker that is stopped in
#: the middle of a transaction must not hold up all others; how long answers may take is not for the server to say.
_BEGIN = (
    "BEGIN ISOLATION LEVEL {isolation}; SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO'; "
    "SET LOCAL search_path = {search_path}; SET LOCAL statement_timeout = 0; {together}"
    "SET LOCAL lock_timeout = {lock_ms}; SET LOCAL idle_in_transaction_session_timeout = {idle_ms}"
)
#: What follows where the server has it, from this version on.
_NO_TRANSACTION_TIMEOUT, _HAS_TRANSACTION_TIMEOUT = "; SET LOCAL transaction_timeout = 0", 170_000
_LATEST, _SNAPSHOT = "READ COMMITTED", "REPEATABLE READ, READ ONLY"
#: Held by every transaction to its end, and alone by a restore; any constant will do, as long as it stays.
_IN_USE_LOCK = 7_411_215_024
#: Whoever has to wait for it has met a restore, which takes its time. A snapshot would even be older than its end.
_TOGETHER = f"SET LOCAL lock_timeout = 1; SELECT pg_advisory_xact_lock_shared({_IN_USE_LOCK}); "
_LOCK_MS, _IDLE_MS = 5_000, 2_000
#: How long to wait for a connection, where a caller does not say otherwise.
CONNECTION_SECONDS = 10.0
#: How long one answer may take: a server that hangs keeps the connection open, and says nothing for ever.
_ANSWER_SECONDS = 300.0
#: Classes of SQLSTATE in which the server could not do now what it will do another time: connection, transaction state
#: (a read-only server), rollback, resources, state of objects (locks), intervention, system, internal.
_PASSING = ("08", "25", "40", "53", "55", "57", "58", "XX")
#: What a table that was made by another script shows, if its digest does not.
_MISSING = (psycopg.errors.UndefinedColumn, psycopg.errors.UndefinedFunction, psycopg.errors.UndefinedTable)
_databases: WeakSet[Database] = WeakSet()


class Database:
    """A pool of connections to the Postgres database that holds the schema `courtlistener`.

    `url` is a libpq URL (`postgresql://user:password@host:5432/name`). Connections are made when first needed, and
    files that it names (`passfile`, `sslrootcert`) are read for each, so a password can change while we run. A server
    on another machine must prove its name, see `postgres_address.py`. An answer may take `answer_seconds`. Threads may
    share it, and so may a child of a fork, which makes connections of its own. Raises SettingError for an address that
    cannot be read.
    """

    def __init__(
        self,
        url: str,
        *,
        max_connections: int = 8,
        timeout_seconds: float | None = None,
        answer_seconds: float = _ANSWER_SECONDS,
    ) -> None:
        self._conninfo = conninfo_of(url)
        self._max_connections = max_connections
        self._timeout_seconds = CONNECTION_SECONDS if timeout_seconds is None else timeout_seconds
        self._answer_seconds = answer_seconds
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
            open=False,
            kwargs={
                "connect_timeout": 5,
                "client_encoding": "utf8",
                # A dead peer must not hold a worker for the two hours of TCP's own patience.
                "keepalives_idle": 10,
                "keepalives_interval": 5,
                "keepalives_count": 3,
                "tcp_user_timeout": 25_000,
                # Transactions begin by `_BEGIN`; a pooler may give the next one to another server.
                "autocommit": True,
                "prepare_threshold": None,
            },
        )

    @contextmanager
    def transaction(
        self,
        *,
        timeout_seconds: float | None = None,
        answer_seconds: float | None = None,
        patient: bool = False,
        snapshot: bool = False,
        restores: bool = False,
    ) -> Iterator[Connection]:
        """One transaction: committed at the end, rolled back when an exception leaves the block.

        READ COMMITTED and in UTC, whatever the role's sessions are; as a `snapshot` it only reads, all of one moment.
        `timeout_seconds` is how long to wait for a connection, if not as long as usual, `answer_seconds` for each
        answer. A `patient` transaction may wait for locks, and keep Postgres waiting, as long as it likes, but for no
        restore. One that `restores` is not kept out by `keep_others_out`. Raises StoreUnavailable if Postgres cannot be
        reached, goes away, is read-only, is being restored, or ends the transaction, SettingError if the role may not
        do it, and SchemaMismatch if a statement names what is not there.
        """
        answer_seconds = self._answer_seconds if answer_seconds is None else answer_seconds
        begin = _begin(
            lock_ms=0 if patient else _LOCK_MS,
            idle_ms=0 if patient else _IDLE_MS,
            isolation=_SNAPSHOT if snapshot else _LATEST,
            together="" if restores else _TOGETHER,
        )
        with _translated(self), self._begun(begin, timeout_seconds, None if patient else answer_seconds) as connection:
            yield connection

    def call(
        self, query: str, params: Mapping[str, Any], *, timeout_seconds: float, answer_seconds: float
    ) -> list[TupleRow]:
        """Run one statement as a transaction of its own in a single round trip, and return its rows.

        It may run twice, if the connection breaks before the answer is there: only for what can be repeated. Locks are
        waited for half of `answer_seconds`. Raises as `transaction` does.
        """
        lock_ms = round(answer_seconds * 500)
        begin, rest = _begin(lock_ms=lock_ms, idle_ms=_IDLE_MS), f"; {query}; COMMIT"
        with _translated(self), self._begun(begin, timeout_seconds, answer_seconds, rest, params) as connection:
            return connection.rows

    @contextmanager
    def _begun(
        self,
        begin: str,
        timeout_seconds: float | None,
        answer_seconds: float | None,
        rest: str = "",
        params: Mapping[str, Any] | None = None,
    ) -> Iterator[_Connection]:
        """A connection on which a first message was sent: on another one, if the first was dead already."""
        self._pool.open()
        for last in (False, True):
            with self._pool.connection(timeout_seconds) as connection:
                assert isinstance(connection, _Connection)
                connection.answer_seconds = answer_seconds
                newer = connection.info.server_version >= _HAS_TRANSACTION_TIMEOUT
                try:
                    connection.send(f"{begin}{_NO_TRANSACTION_TIMEOUT if newer else ''}{rest}", params)
                except psycopg.errors.LockNotAvailable as error:
                    if params is None:  # Nothing has asked for any other lock yet.
                        raise StoreUnavailable(
                            "Postgres is being restored: nothing is read or written until then"
                        ) from error
                    raise
                except psycopg.OperationalError:
                    if last or connection.gave_up or not connection.broken:
                        raise
                else:
                    yield connection
                    return
            self._pool.check()  # Whatever has ended this one may have ended the others.

    def rows(self, query: str, params: dict[str, Any] | None = None) -> list[TupleRow]:
        """Run one read in its own transaction."""
        with self.transaction() as connection:
            return connection.execute(query.encode(), params).fetchall()

    def migrate(self) -> list[str]:
        """Bring the schema up to date; returns the names of the migrations that were applied now.

        Raises SchemaMismatch if a newer version has migrated it, and SettingError if the role may not.
        """
        with self.transaction(patient=True) as connection:
            return schema.migrate(connection)

    def schema_state(self) -> schema.SchemaState:
        """Which migrations the database has, and which it lacks; changes nothing and takes no lock."""
        return schema.state(self.rows)

    def ensure_schema(self) -> None:
        """Make the schema if there is none yet, and else see that it is the one of this version; looks once a process.

        A schema of an older version is not migrated here: a worker cannot know who still uses it. Raises
        SchemaMismatch, and SettingError if the role may not make the schema.
        """
        if self._is_migrated:
            return
        try:
            found = self.schema_state()
            found.verify()
            if not found.applied:
                self.migrate()  # Waits for a process that migrates at the same time.
        except SchemaMismatch:
            raise
        except (psycopg.ProgrammingError, SettingError) as error:
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


def keep_others_out(connection: Connection) -> bool:
    """Let no other transaction of this project begin on the database until this one ends; False if there are some now.

    It must be one that `restores`. Others are told that a restore goes on.
    """
    row = connection.execute("SELECT pg_try_advisory_xact_lock(%s)", (_IN_USE_LOCK,)).fetchone()
    return row == (True,)


def _begin(*, lock_ms: int, idle_ms: int, isolation: str = _LATEST, together: str = _TOGETHER) -> str:
    return _BEGIN.format(
        isolation=isolation, search_path=SEARCH_PATH, together=together, lock_ms=lock_ms, idle_ms=idle_ms
    )


def _start_afresh() -> None:
    for database in _databases:
        database._start_afresh()


os.register_at_fork(after_in_child=_start_afresh)


def _connection_class(note: Callable[[psycopg.Error | None], None]) -> type[_Connection]:
    """Connections that tell `note` why they could not be made, or None; the pool itself only says that it waited."""

    class Noted(_Connection):
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


class _Connection(psycopg.Connection[TupleRow]):
    """A connection that does not wait for an answer for ever."""

    #: How long an answer may take, None for as long as it likes.
    answer_seconds: float | None = None
    #: Whether an answer took longer.
    gave_up = False
    #: The rows of the last statement of `send` that had any.
    rows: list[TupleRow] = []  # noqa: RUF012

    def send(self, message: str, params: Any) -> None:
        """Send statements as one message; parameters are put in here, as the server takes none for several."""
        with psycopg.ClientCursor(self) as cursor:
            cursor.execute(message.encode(), params)
            self.rows = []
            more: bool | None = True
            while more:
                if cursor.description is not None:
                    self.rows = cursor.fetchall()
                more = cursor.nextset()

    def wait(self, gen: Generator[Any, Any, _Result], *args: Any, **kwargs: Any) -> _Result:
        """Wait as psycopg does, and end what waits for too long."""
        return super().wait(
            gen if self.answer_seconds is None else self._until(gen, self.answer_seconds), *args, **kwargs
        )

    def _until(self, gen: Generator[Any, Any, _Result], seconds: float) -> Generator[Any, Any, _Result]:
        deadline = time.monotonic() + seconds
        try:
            state = next(gen)
            while True:
                ready = yield state
                # Nothing is ready: psycopg looks around ten times a second.
                if not ready and time.monotonic() > deadline:
                    self.gave_up = True
                    self.pgconn.finish()
                    raise psycopg.OperationalError(f"no answer within {seconds:g} s")
                state = gen.send(ready)
        except StopIteration as end:
            result: _Result = end.value
            return result


@contextmanager
def _translated(database: Database) -> Iterator[None]:
    """Where all errors of psycopg become ours, but those that say something about the data or the statement."""
    try:
        yield
    except PoolTimeout as error:
        raise StoreUnavailable(database._why_no_connection()) from error
    except psycopg.errors.InsufficientPrivilege as error:
        raise SettingError(f"POSTGRES_URL: the role may not do it: {error}") from error
    except psycopg.errors.ReadOnlySqlTransaction as error:
        raise StoreUnavailable(f"Postgres is read-only: {error}") from error
    except _MISSING as error:
        raise schema.mismatch(f"the schema courtlistener lacks what is needed: {str(error).splitlines()[0]}") from error
    except psycopg.Error as error:
        # Of a worker that was stopped for too long, psycopg says that it is an internal error; as it does of answers
        # that a pooler makes up then.
        passing = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError | psycopg.InternalError)
        if passing or (error.sqlstate or "").startswith(_PASSING):
            raise StoreUnavailable(f"Postgres does not answer: {error}") from error
        raise
