"""Whether the server answers at all: one row an account in Postgres, beside its ledger, which all workers look at.

While it is known to answer, everybody asks. Where nobody knows, because nothing came lately or what came was bad, one
worker asks and the others wait for what it finds out. While it is down nobody asks, but for one probe at a time.

Belongs here: who may ask, and when the next probe is. Does not belong here: recognising what a response means
(`refusals.py`), and sending (`client.py`).
"""

from __future__ import annotations

import enum
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from resources.connections.postgres import Connection, Database
from resources.courtlistener.outage import (
    DAY_SECONDS,
    FIRST_PROBE_SECONDS,
    LONGEST_PROBE_SECONDS,
    ROW,
    EndpointTrouble,
    Outage,
)
from resources.errors import ApiError, PermissionDenied, ServerDown, StoreUnavailable

_log = logging.getLogger(__name__)
#: For so long the others wait for the worker that asks: for its permit, its request and one more.
_PATIENCE = timedelta(seconds=180)
_LOOK_SECONDS = 0.25

_ROW = ROW + " WHERE account = %(account)s"
_CHANGE = """
    UPDATE courtlistener.servers SET answered_at = %(answered_at)s, asker = %(asker)s, asking_until = %(asking_until)s,
        failures = %(failures)s, down_since = %(down_since)s, seen = %(seen)s, probes = %(probes)s,
        probe_at = %(probe_at)s, endpoints = %(endpoints)s
    WHERE account = %(account)s
"""
_RELEASE = "UPDATE courtlistener.servers SET asker = NULL WHERE account = %s AND starts_with(asker, %s)"


class Turn(enum.Enum):
    """What a worker may do: ask like everybody, ask while the others wait for it, or probe a server that was down."""

    FREE = "free"
    ALONE = "alone"
    PROBE = "probe"


class ServerState:
    """What one client alone knows: nothing is shared, so everybody may ask. An `asker` is the name of a worker."""

    shared = False

    def turn(self, asker: str, endpoint: str = "") -> Turn | float:
        """What the worker may do now, or the seconds after which to ask again.

        Raises ServerDown while the server or the endpoint is down, and PermissionDenied while the endpoint is refused.
        """
        return Turn.FREE

    def answered(self, asker: str, endpoint: str = "") -> None:
        """The API has answered this worker, and unless there is no `endpoint` with what was asked for."""

    def failed(self, asker: str, seen: str, endpoint: str = "") -> int:
        """No proper answer came; returns how many workers that has happened to since the last one.

        From now on the others wait for this worker, unless they wait for another. 0: there are no others.
        Raises ServerDown if the server or the endpoint is known to be down.
        """
        return 0

    def down(self, asker: str, seen: str, *, named_seconds: float = 0.0, paid: bool = False) -> ServerDown:
        """Record that the server is down, and return the error that says so.

        The server wants to be left alone for `named_seconds`. `paid`: a probe that cost quota has found it so.
        """
        return ServerDown(seen, wait_seconds=max(named_seconds, FIRST_PROBE_SECONDS))

    def without(self, endpoint: str, seen: str, *, refused: bool = False) -> ApiError:
        """Record that an endpoint is out of order while others answer, or refused; return the error that says so."""
        return PermissionDenied(seen) if refused else ServerDown(seen, wait_seconds=FIRST_PROBE_SECONDS)

    def probes(self) -> int:
        """How often a server that is down was asked in vain."""
        return 0

    def refused(self) -> set[str]:
        """The endpoints that the account may not use."""
        return set()

    def release(self, askers: str) -> None:
        """Let the others no longer wait for workers whose names begin so."""


class SharedServerState(ServerState):
    """The same for all workers of an account. `clock` replaces Postgres' clock in simulations.

    While Postgres is away everybody may ask: without it there is no permit either.
    """

    shared = True

    def __init__(self, database: Database, account: str, *, clock: Callable[[], datetime] | None = None) -> None:
        self._database = database
        self._account = account
        self._clock = clock

    def turn(self, asker: str, endpoint: str = "") -> Turn | float:
        with suppress(StoreUnavailable):
            with self._row() as (_, row):
                if row.is_up() and endpoint not in row.endpoints:
                    return Turn.FREE
                if row.waits_for_another(asker):
                    return _LOOK_SECONDS
            with self._changed() as row:
                return self._claimed(row, asker, endpoint)
        return Turn.FREE

    def _claimed(self, row: Outage, asker: str, endpoint: str) -> Turn | float:
        if row.waits_for_another(asker):
            return _LOOK_SECONDS
        if row.down_since and row.probe_at > row.now:
            raise row.error()
        if trouble := row.trouble(endpoint):
            if trouble.probe_at > row.now:
                raise trouble.error(row.now)
            if not row.down_since:  # Else the turn comes again once the server is known to be up.
                trouble.probe_at = row.now + _PATIENCE  # This page is the probe, the others come later.
                row.endpoints[endpoint] = trouble.as_row()
        elif row.is_up():
            return Turn.FREE
        row.asker, row.asking_until = asker, row.now + _PATIENCE
        return Turn.PROBE if row.down_since else Turn.ALONE

    def answered(self, asker: str, endpoint: str = "") -> None:
        with suppress(StoreUnavailable), self._changed() as row:
            row.answered_at = row.now
            if row.asker != asker:
                return
            if row.down_since:
                _log.warning("account %s: it answers again. %s", self._account, row)
            row.asker, row.down_since, row.failures, row.probes = None, None, 0, 0
            row.endpoints.pop(endpoint, None)

    def failed(self, asker: str, seen: str, endpoint: str = "") -> int:
        failures, again = 0, None
        with suppress(StoreUnavailable), self._changed() as row:
            if row.down_since:
                raise row.error()
            if row.asker == asker and endpoint in row.endpoints:
                row.asker, again = None, row.trouble(endpoint)
            elif row.waits_for_another(asker):
                row.failures += 1
            else:
                row.failures = max(1, row.failures) if row.asker == asker else 1
                row.asker, row.asking_until, row.seen = asker, row.now + _PATIENCE, seen
            failures = row.failures
        if again:
            raise self.without(endpoint, seen, refused=again.refused)
        return failures

    def down(self, asker: str, seen: str, *, named_seconds: float = 0.0, paid: bool = False) -> ServerDown:
        with suppress(StoreUnavailable), self._changed() as row:
            delay = named_seconds
            if row.down_since is None:
                row.down_since, row.probes, row.probe_at, row.asker = row.now, 0, row.now, None
                delay = max(delay, FIRST_PROBE_SECONDS)
            # A probe, which may have taken so long that there is another; what was under way before says nothing new.
            elif row.asker == asker or row.probe_at <= row.now:
                row.probes += 1
                backoff = LONGEST_PROBE_SECONDS if paid else FIRST_PROBE_SECONDS * 2.0 ** min(row.probes, 10)
                delay = max(delay, min(backoff, LONGEST_PROBE_SECONDS))
            row.probe_at = max(row.probe_at, row.now + timedelta(seconds=min(delay, DAY_SECONDS)))
            row.seen, row.asker = seen, None if row.asker == asker else row.asker
            _log.warning("account %s: %s", self._account, row)
            return row.error()
        return super().down(asker, seen, named_seconds=named_seconds)

    def without(self, endpoint: str, seen: str, *, refused: bool = False) -> ApiError:
        with suppress(StoreUnavailable), self._changed() as row:
            known = row.trouble(endpoint)
            again = known if known and known.refused is refused else None
            probes = again.probes + 1 if again else 0
            seconds = DAY_SECONDS if refused else LONGEST_PROBE_SECONDS if probes else FIRST_PROBE_SECONDS
            since, probe_at = again.since if again else row.now, row.now + timedelta(seconds=seconds)
            trouble = EndpointTrouble(endpoint, refused, since, seen, probes, probe_at)
            row.endpoints[endpoint] = trouble.as_row()
            _log.warning("account %s: %s", self._account, trouble)
            return trouble.error(row.now)
        return super().without(endpoint, seen, refused=refused)

    def probes(self) -> int:
        with suppress(StoreUnavailable), self._row() as (_, row):
            return row.probes
        return 0

    def refused(self) -> set[str]:
        with suppress(StoreUnavailable), self._row() as (_, row):
            return {each.endpoint for each in row.troubles if each.refused}
        return set()

    def release(self, askers: str) -> None:
        with suppress(StoreUnavailable), self._database.transaction() as connection:
            connection.execute(_RELEASE, (self._account, askers))

    @contextmanager
    def _row(self, lock: str = "") -> Iterator[tuple[Connection, Outage]]:
        params = {"account": self._account, "now": self._clock() if self._clock else None}
        with self._database.transaction() as connection, connection.cursor(row_factory=class_row(Outage)) as cursor:
            row = cursor.execute((_ROW + lock).encode(), params).fetchone()
            if row is None:
                connection.execute(
                    "INSERT INTO courtlistener.servers (account) VALUES (%s) ON CONFLICT DO NOTHING", (self._account,)
                )
                row = cursor.execute((_ROW + lock).encode(), params).fetchone()
            assert row is not None
            yield connection, row

    @contextmanager
    def _changed(self) -> Iterator[Outage]:
        """The locked row, which is written as the block leaves it."""
        with self._row(" FOR UPDATE") as (connection, row):
            yield row
            connection.execute(_CHANGE, {**vars(row), "endpoints": Jsonb(row.endpoints)})
