"""Settling off the worker's path: two servers hear of a permit whose request is over while the next one is prepared.

Belongs here: the thread that tells them. Does not belong here: what a settled permit is (`permits.py`), or whom to tell
(`failover.py`).

A settle that is lost with its process only wastes: the permit counts as in flight until its time to live has passed.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from weakref import WeakSet

_log = logging.getLogger(__name__)
#: How many settles may wait for the thread. Beyond these its callers do it themselves, at the pace of the servers.
_MOST_WAITING = 8

_all: WeakSet[Settling] = WeakSet()


class Settling:
    """Calls what it is given, in this order, on one thread, which a child of a fork starts anew.

    What is left when Python ends is done first.
    """

    def __init__(self) -> None:
        self._begin()
        _all.add(self)

    def _begin(self) -> None:
        self._thread = ThreadPoolExecutor(1, "settle")
        self._places = threading.Semaphore(_MOST_WAITING)
        self._last: Future[object] | None = None

    def soon(self, settle: Callable[[], object]) -> None:
        """Have it called soon; at once, by the caller, if the thread is far behind or Python is about to end."""
        if self._places.acquire(blocking=False):
            with suppress(RuntimeError):
                self._last = self._thread.submit(settle)
                self._last.add_done_callback(self._ended)
                return
            self._places.release()
        settle()

    def _ended(self, settle: Future[object]) -> None:
        self._places.release()
        if settle.cancelled():
            _log.warning("a permit stays in flight until it ages out: the worker has ended")
        elif error := settle.exception():
            _log.error("a permit stays in flight until it ages out: %s: %s", type(error).__name__, error)

    def catch_up(self, longest_seconds: float) -> bool:
        """Wait until what was given so far is done; returns whether anything was not."""
        last = self._last
        if last is None or last.done():
            return False
        wait([last], longest_seconds)
        return True

    def finish(self, longest_seconds: float) -> None:
        """Wait until all is done, but not for servers that do not answer: then what has not begun is given up.

        What comes later is done by its callers.
        """
        with suppress(RuntimeError):
            wait([self._thread.submit(lambda: None)], longest_seconds)
        self._thread.shutdown(wait=False, cancel_futures=True)


def _start_afresh() -> None:
    """The child of a fork does not have the thread."""
    for settling in _all:
        settling._begin()


os.register_at_fork(after_in_child=_start_afresh)
