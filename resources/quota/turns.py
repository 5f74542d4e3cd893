"""When a waiter asks again: by what the ledger has told it, and by what is announced to the whole line since.

Belongs here: waiting. Does not belong here: whose turn it is (`lua/acquire.lua`), or what a wait that is too long means
(`limiter.py`).

Redis is not asked whether it is time; it says so. Whatever changes the turn of the first in line is published once, and
each process hears it through one subscription. A waiter asks again when its turn is announced and has come, when the
first in line has missed its turn, or when the subscription broke. Without a subscription (Pub/Sub forbidden, Postgres
in charge) it asks again by the time it was told, and every few seconds.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from typing import Any, Protocol
from weakref import WeakSet

import redis

from resources.quota.permits import Patience, Wait

_log = logging.getLogger(__name__)
#: Longest silence of a waiter that hears no announcements; its place is kept two seconds longer.
HEARTBEAT_SECONDS = 3.0
#: In an announcement, the name of everybody in line.
EVERYBODY = "*"
#: Those who would look after a silent head of the line do so one after the other; the first look moves all others.
_STAGGER_SECONDS, _LONGEST_STAGGER_SECONDS = 0.01, 0.4
#: A subscription that nobody has needed for this long is given up.
_IDLE_SECONDS = 30.0
_RETRY_SECONDS, _LONGEST_RETRY_SECONDS = 0.25, 30.0

_lines: WeakSet[Line] = WeakSet()

#: Waits so many seconds, or until the event is set; raises to end the wait for good.
Sleep = Callable[[float, threading.Event], object]


class Place(Protocol):
    """One waiter's place in line."""

    def patience(self, seconds: float) -> Patience:
        """What to tell the ledger, by a waiter that asks now and waits no longer than `seconds`."""

    def pause(self, wait: Wait, longest_seconds: float) -> None:
        """Return when it is time to ask again, at the latest after `longest_seconds`."""


class Turns(Protocol):
    """How the waiters of one limiter wait."""

    def place(self, request_id: str) -> AbstractContextManager[Place]:
        """A place for one waiter, who may be announced from now on until the block ends."""


class Timers:
    """Waiting by the told time alone."""

    def __init__(self, sleep: Callable[[float], object] = time.sleep) -> None:
        self._sleep = sleep

    def patience(self, seconds: float) -> Patience:
        """See `Place`."""
        return Patience(seconds, HEARTBEAT_SECONDS)

    def place(self, request_id: str) -> AbstractContextManager[Timers]:
        """See `Turns`: all waiters share this."""
        return nullcontext(self)

    def pause(self, wait: Wait, longest_seconds: float) -> None:
        """See `Place`."""
        self._sleep(min(wait.wait_ms / 1000, HEARTBEAT_SECONDS, longest_seconds))


class Announced:
    """Waiting for announcements that a `Line` hears. `sleep` must end early when its event is set."""

    def __init__(
        self,
        line: Line,
        sleep: Sleep = lambda seconds, alarm: alarm.wait(seconds),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._line = line
        self._sleep = sleep
        self._clock = clock

    @contextmanager
    def place(self, request_id: str) -> Iterator[Seat]:
        """See `Turns`."""
        seat = Seat(request_id, self._line, self._sleep, self._clock)
        self._line.enter(seat)
        try:
            yield seat
        finally:
            self._line.leave(seat)


class Seat:
    """A place whose moment to ask again moves with each announcement; the listening thread moves it."""

    def __init__(self, request_id: str, line: Line, sleep: Sleep, clock: Callable[[], float]) -> None:
        self._request_id = request_id
        self._line = line
        self._sleep = sleep
        self._clock = clock
        self._lock = threading.Lock()
        self._alarm = threading.Event()
        self._ahead = 0
        #: The moment to ask again; None from when the waiter asks until it has read the answer.
        self.due: float | None = None
        #: A turn that was announced in between, and whether the waiter had said that it hears announcements.
        self._called: float | None = None
        self._asked_listening = False

    def patience(self, seconds: float) -> Patience:
        """See `Place`."""
        self._asked_listening = self._line.listening
        return Patience(seconds, HEARTBEAT_SECONDS, self._asked_listening)

    def pause(self, wait: Wait, longest_seconds: float) -> None:
        """See `Place`."""
        latest = self._clock() + longest_seconds
        self.answered(wait)
        self._line.listen()
        try:
            while True:
                self._alarm.clear()
                with self._lock:
                    assert self.due is not None
                    left = min(self.due, latest) - self._clock()
                if left <= 0:
                    return
                self._sleep(left, self._alarm)
        finally:
            with self._lock:
                self.due = self._called = None

    def answered(self, wait: Wait) -> None:
        """Take in what the ledger has said."""
        with self._lock:
            self._ahead = wait.ahead
            now = self._clock()
            if self._line.listening != self._asked_listening:
                self.due = now
            elif wait.look_us is None:
                self.due = now + min(wait.wait_ms / 1000, HEARTBEAT_SECONDS)
            else:
                self.due = now + wait.look_us / 1_000_000 + self._stagger()
            # The announcement may be older than the answer; then it costs one question.
            if self._called is not None:
                self.due = min(self.due, self._called)

    def announced(self, turns: dict[str, float], look_seconds: float) -> None:
        """Take in how many seconds from now some may go, and after which silence the others look after them."""
        with self._lock:
            now = self._clock()
            mine = turns.get(self._request_id, turns.get(EVERYBODY))
            if self.due is None:
                self._called = self._called if mine is None else now + mine
            elif self._asked_listening:
                self._ahead = max(1, self._ahead - 1)
                self.due = now + (look_seconds + self._stagger() if mine is None else mine)
                self._alarm.set()

    def ask_now(self, *, because_listening: bool) -> None:
        """The subscription has begun, or has broken: what this waiter knows may be out of date."""
        with self._lock:
            if self.due is not None and self._asked_listening != because_listening:
                self.due = self._clock()
                self._alarm.set()

    def _stagger(self) -> float:
        return min(self._ahead * _STAGGER_SECONDS, _LONGEST_STAGGER_SECONDS)


class Line:
    """What this process hears of the line before one account: one connection and one thread, while anybody waits.

    `subscribe` makes a connection of its own that is subscribed to the line's channel.
    """

    def __init__(self, subscribe: Callable[[], redis.client.PubSub]) -> None:
        self._subscribe = subscribe
        self._begin()
        _lines.add(self)

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._seats: set[Seat] = set()
        self._empty_since = 0.0
        self._thread: threading.Thread | None = None
        self._closed = False
        self.listening = False

    def enter(self, seat: Seat) -> None:
        """From now on, tell this waiter."""
        with self._lock:
            self._seats.add(seat)

    def leave(self, seat: Seat) -> None:
        """No longer tell this waiter."""
        with self._lock:
            self._seats.discard(seat)
            self._empty_since = time.monotonic()

    def listen(self) -> None:
        """Begin to listen, unless we do."""
        with self._lock:
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._run, name="turns", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Listen no longer than to the next message."""
        self._closed = True
        self._set_listening(False)

    def _run(self) -> None:
        pause = _RETRY_SECONDS
        while self._needed():
            try:
                with closing(self._subscribe()) as subscription:
                    while True:
                        message = subscription.get_message(timeout=_IDLE_SECONDS)
                        if message is not None:
                            pause = _RETRY_SECONDS
                            self._take(message)
                        if not self._needed():  # From then on, another thread may listen.
                            return
            except redis.exceptions.NoPermissionError as error:
                pause = _LONGEST_RETRY_SECONDS
                _log.warning("waiters hear no announcements and ask every few seconds instead: %s", error)
            except (redis.RedisError, OSError) as error:
                _log.debug("no announcements: %s", error)
            except Exception as error:  # Whatever it is, waiters must not rely on a thread that has ended.
                _log.warning("waiters ask every few seconds for a while: %s: %s", type(error).__name__, error)
            self._set_listening(False)
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_RETRY_SECONDS)

    def _needed(self) -> bool:
        """Whether anybody waits, or has a moment ago; if not, the thread must end."""
        with self._lock:
            idle = not self._seats and time.monotonic() > self._empty_since + _IDLE_SECONDS
            if not idle and not self._closed:
                return True
            self._thread, self.listening = None, False
            return False

    def _take(self, message: dict[str, Any]) -> None:
        if message["type"] == "subscribe":
            self._set_listening(True)
        elif message["type"] == "message":
            look, *turns = message["data"].split(" ")
            seconds = {name: int(us) / 1_000_000 for name, us in zip(turns[::2], turns[1::2], strict=True)}
            for seat in self._all():
                seat.announced(seconds, int(look) / 1_000_000)

    def _set_listening(self, listening: bool) -> None:
        self.listening = listening
        for seat in self._all():
            seat.ask_now(because_listening=listening)

    def _all(self) -> tuple[Seat, ...]:
        with self._lock:
            return tuple(self._seats)


def _start_afresh() -> None:
    """The child of a fork has neither the threads nor a use for locks that other threads may have held."""
    for line in _lines:
        line._begin()


os.register_at_fork(after_in_child=_start_afresh)
