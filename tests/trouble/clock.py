"""Time that passes when somebody sleeps: one clock for this process, Postgres, Redis and the simulator.

Belongs here: putting that clock where the project looks at one. Does not belong here: who sleeps, and for how long.

Postgres finds `now()` in a schema that it searches before its own; Redis is told the time by its callers, as in all
simulations; the project's functions get it in place of the clocks that their parameters default to.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, tzinfo
from typing import Any
from unittest.mock import patch

import psycopg

import courtlistener_assets
import resources
from resources.connections import postgres
from resources.errors import Stopped
from resources.quota import clocks
from resources.stopping import Stopping

#: When every story begins.
BEGINNING = datetime(2026, 3, 2, 6, 0, tzinfo=UTC)
_real_sleep, _real_time, _real_monotonic = time.sleep, time.time, time.monotonic
_real_steady = clocks.suspend_aware_clock
#: Shorter sleeps are no waits of the story but somebody polling.
_POLLING_SECONDS = 0.3
#: How often somebody who may be woken sees whether that is so.
_LOOKING_SECONDS = 5.0
#: So that threads that fall asleep together are all counted before time moves on.
_SETTLING_SECONDS = 0.003

_SCHEMA = """
CREATE SCHEMA IF NOT EXISTS simulated;
CREATE TABLE IF NOT EXISTS simulated.clock (ahead interval NOT NULL);
DELETE FROM simulated.clock;
INSERT INTO simulated.clock VALUES ('0');
CREATE OR REPLACE FUNCTION simulated.now() RETURNS timestamptz STABLE LANGUAGE sql
    AS 'SELECT pg_catalog.now() + (SELECT ahead FROM simulated.clock)';
CREATE OR REPLACE FUNCTION simulated.clock_timestamp() RETURNS timestamptz VOLATILE LANGUAGE sql
    AS 'SELECT pg_catalog.clock_timestamp() + (SELECT ahead FROM simulated.clock)';
"""


class Clock:
    """Seconds since 1970, real ones plus all that was slept."""

    def __init__(self) -> None:
        self._ahead = BEGINNING.timestamp() - _real_time()
        self._lock = threading.Lock()
        self._sleepers: dict[int, float] = {}
        self._postgres: psycopg.Connection[Any] | None = None

    def __call__(self) -> float:
        return _real_time() + self._ahead

    def us(self) -> int:
        return int(self() * 1_000_000)

    def monotonic(self) -> float:
        return _real_monotonic() + self._ahead

    def steady(self) -> float:
        """As `monotonic`, but never between the moment when time moves here and when it does in Postgres."""
        with self._lock:
            return self.monotonic()

    def moment(self) -> datetime:
        return datetime.fromtimestamp(self(), UTC)

    def sleep(self, seconds: float) -> None:
        """Return when so much time has passed; of all that sleep the first to wake moves the clock."""
        if seconds < _POLLING_SECONDS:
            _real_sleep(seconds)
            return
        wakes, me = self() + seconds, threading.get_ident()
        with self._lock:
            self._sleepers[me] = wakes
        while self() < wakes:
            _real_sleep(_SETTLING_SECONDS)
            with self._lock:
                self._move_to(min(self._sleepers.values()))
        with self._lock:
            del self._sleepers[me]

    def advance(self, seconds: float) -> None:
        """Let time pass while nobody sleeps."""
        with self._lock:
            self._move_to(self() + seconds)

    def hold(self, seconds: float) -> None:
        """Keep a client waiting, in the simulator: also short waits pass in simulated time."""
        if seconds < _POLLING_SECONDS:
            _real_sleep(_SETTLING_SECONDS / 10)
            self.advance(seconds)
        else:
            self.sleep(seconds)

    def _move_to(self, moment: float) -> None:
        if (missing := moment - self()) > 0:
            self._ahead += missing
            self._tell_postgres()

    def attach(self, url: str) -> None:
        """Give a database this clock, before it is migrated."""
        self._postgres = psycopg.connect(url, autocommit=True)
        self._postgres.execute(_SCHEMA.encode())
        self._tell_postgres()

    def detach(self) -> None:
        if self._postgres:
            self._postgres.close()
            self._postgres = None

    def _tell_postgres(self) -> None:
        if self._postgres:
            self._postgres.execute("UPDATE simulated.clock SET ahead = make_interval(secs => %s)", (self._ahead,))


@contextmanager
def in_force(clock: Clock) -> Iterator[None]:
    """Let the project, and what else asks Python for the time, go by this clock."""
    with ExitStack() as stack:
        for name, replacement in (
            ("sleep", clock.sleep),
            ("time", clock),
            ("time_ns", lambda: clock.us() * 1000),
        ):
            stack.enter_context(patch.object(time, name, replacement))
        stack.enter_context(patch.object(clocks, "suspend_aware_clock", clock.steady))
        stack.enter_context(patch.object(postgres, "SEARCH_PATH", f"simulated, {postgres.SEARCH_PATH}"))
        stack.enter_context(_stoppable_waits(clock))
        moments = _datetime_of(clock)
        for module in _modules():
            if vars(module).get("datetime") is datetime:
                stack.enter_context(patch.object(module, "datetime", moments))
            for function in _functions(module):
                stack.enter_context(_defaults_replaced(function, _replacements(module, clock)))
        yield


def _stoppable_waits(clock: Clock) -> Any:
    """The waits of a run, which end when it is stopped; here nobody stops one in the middle of a wait."""

    def sleep(self: Stopping, seconds: float, alarm: threading.Event | None = None) -> None:
        if not self.stopped:
            # Whoever may be woken looks around now and then.
            clock.sleep(seconds if alarm is None else min(seconds, _LOOKING_SECONDS))
        if self.stopped:
            raise Stopped

    return patch.object(Stopping, "sleep", sleep)


def _modules() -> list[Any]:
    for package in (courtlistener_assets, resources):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if "__main__" not in found.name and "devkit" not in found.name:
                importlib.import_module(found.name)
    roots = ("courtlistener_assets.", "resources.")
    return [module for name, module in list(sys.modules.items()) if name.startswith(roots) and "devkit" not in name]


def _functions(module: Any) -> Iterator[Any]:
    for found in vars(module).values():
        if inspect.isfunction(found) and found.__module__ == module.__name__:
            yield found
        elif inspect.isclass(found) and found.__module__ == module.__name__:
            yield from (each for each in vars(found).values() if inspect.isfunction(each))


def _replacements(module: Any, clock: Clock) -> dict[Any, Callable[..., Any]]:
    return {
        _real_sleep: clock.sleep,
        _real_time: clock,
        _real_monotonic: clock.monotonic,
        _real_steady: clock.steady,
    }


@contextmanager
def _defaults_replaced(function: Any, replacements: dict[Any, Any]) -> Iterator[None]:
    """Also `clock_us=None`, by which the ledger in Redis is told the time in simulations."""
    named, placed = function.__kwdefaults__, function.__defaults__
    if named:
        new = {name: _replaced(value, replacements) for name, value in named.items()}
        if "clock_us" in new and function.__module__ == "resources.quota.redis_ledger":
            clock = replacements[_real_time]
            new["clock_us"] = clock.us
        function.__kwdefaults__ = new
    if placed:
        function.__defaults__ = tuple(_replaced(value, replacements) for value in placed)
    try:
        yield
    finally:
        function.__kwdefaults__, function.__defaults__ = named, placed


def _replaced(value: Any, replacements: dict[Any, Any]) -> Any:
    return next((new for old, new in replacements.items() if value is old), value)


def _datetime_of(clock: Clock) -> type[datetime]:
    class Meta(type):
        def __instancecheck__(cls, instance: object) -> bool:
            return isinstance(instance, datetime)

    class Moment(datetime, metaclass=Meta):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.fromtimestamp(clock(), tz)

    return Moment
