"""Parts of what is served, each read in a thread of its own and waited for no longer than the scrape may take.

Scrapes that overlap share one reading, and a server that hangs keeps one thread of a part busy, not one more with each
scrape.

Belongs here: threads and time. Does not belong here: what is read (`*_part.py`).
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotInTime
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from prometheus_client.core import Metric

_log = logging.getLogger(__name__)
#: As Prometheus' own default.
_SCRAPE_SECONDS = 10.0
#: What of the time of a scrape is waited: the rest is for writing and sending the answer.
_SHARE = 0.8
#: A reading that takes longer is given up, and another one begun: its server may never say anything again.
_GIVEN_UP_SECONDS = 300.0
_scrape_seconds: ContextVar[float] = ContextVar("scrape_seconds", default=_SCRAPE_SECONDS)


@contextmanager
def scrape_of(seconds: float | None) -> Iterator[None]:
    """What is read inside has so much time, or as much as usual; no more than an hour, and none below 0."""
    usable = seconds is not None and math.isfinite(seconds) and seconds > 0
    token = _scrape_seconds.set(min(seconds, 3600.0) if seconds is not None and usable else _SCRAPE_SECONDS)
    try:
        yield
    finally:
        _scrape_seconds.reset(token)


def patience_seconds() -> float:
    """How long all parts of the present scrape may take together."""
    return _SHARE * _scrape_seconds.get()


@dataclass
class Part:
    """One part: `read` returns its metrics or raises; `up` names the metric that says whether its server responds."""

    name: str
    read: Callable[[], Sequence[Metric]]
    up: str | None = None
    clock: Callable[[], float] = time.monotonic
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _reading: Future[Sequence[Metric]] | None = None
    _begun_at: float = 0.0
    _problem: str = ""

    def begin(self) -> Future[Sequence[Metric]]:
        """Begin to read, or take the reading that has not come to its end."""
        with self._lock:
            too_old = self.clock() - self._begun_at > _GIVEN_UP_SECONDS
            if self._reading is None or self._reading.done() or too_old:
                self._reading, self._begun_at = Future(), self.clock()
                # A daemon, as one that hangs must not keep the process from its end.
                work = threading.Thread(target=self._work, args=(self._reading,), name=f"read {self.name}", daemon=True)
                work.start()
            return self._reading

    def result(self, reading: Future[Sequence[Metric]], seconds: float) -> Sequence[Metric] | None:
        """What was read, None if it failed or does not come in so many seconds; each new problem is logged."""
        try:
            found: Sequence[Metric] | None = reading.result(max(0.0, seconds))
            problem = ""
        except NotInTime:
            found, problem = None, "it takes longer than the scrape may take"
        except Exception as error:  # Of drivers, of SQLAlchemy, our own: whatever it is, the other parts are served.
            found, problem = None, f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"
        if problem != self._problem:
            _log.warning("Metrics of the part %s: %s", self.name, problem or "they can be read again")
            self._problem = problem
        return found

    def _work(self, reading: Future[Sequence[Metric]]) -> None:
        try:
            reading.set_result(self.read())
        except BaseException as error:  # Whoever waits for it is told.
            reading.set_exception(error)
