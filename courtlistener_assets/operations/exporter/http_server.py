"""prometheus-client's server with limits, so that no client can keep metrics from the others.

A connection that asks for nothing is hung up on after a while, or at once when there are too many and it is the oldest
of that kind; one that is answered has more time, which a client that does not read uses up. No thread outlives its
connection, so their number is limited as well.

Belongs here: connections, their number and their time. Does not belong here: what is served (`collector.py`), and how
long it may take to read it (`parts.py`).
"""

from __future__ import annotations

import logging
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer

from courtlistener_assets.operations.exporter.parts import scrape_of
from resources.errors import SettingError

#: More connections than that: the oldest one that has not asked for anything is hung up on.
MOST_CONNECTIONS = 64
#: How long a connection may ask for nothing, and how long an answer may take from its beginning to its end.
_IDLE_SECONDS = 10.0
_ANSWER_SECONDS = 120.0
#: Prometheus says how long it waits.
_TIMEOUT_HEADER = "HTTP_X_PROMETHEUS_SCRAPE_TIMEOUT_SECONDS"

_log = logging.getLogger(__name__)
_App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


@dataclass
class _Connection:
    """A connection: until when it may stay, and whether it has asked for something."""

    until: float
    has_asked: bool = False


class MetricsServer(ThreadingWSGIServer):
    """Serves a registry at `http://host:port/metrics`; `port` 0 takes a free one.

    Raises SettingError if it is taken.
    """

    request_queue_size = MOST_CONNECTIONS

    def __init__(
        self, host: str, port: int, registry: CollectorRegistry, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._clock = clock
        self._lock = threading.Lock()
        #: The oldest first.
        self._connections: dict[socket.socket, _Connection] = {}
        try:
            super().__init__((host, port), _Handler)
        except OSError as error:
            raise SettingError(
                f"metrics cannot be served at {host}, port {port}: {error.strerror}. "
                "Name others with --host and --port."
            ) from error
        self.set_app(_in_time(make_wsgi_app(registry)))

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread of its own, if there are not too many that are answered already."""
        with self._lock:
            self._connections[request] = _Connection(self._clock() + _IDLE_SECONDS)
            idle = (connected for connected, known in self._connections.items() if not known.has_asked)
            too_many = next(idle) if len(self._connections) > MOST_CONNECTIONS else None
        self._hang_up([too_many] if too_many else [])
        super().process_request(request, client_address)

    def note_asked(self, connected: socket.socket) -> None:
        """A whole request has come: from now on the time for its answer counts."""
        with self._lock:
            if known := self._connections.get(connected):
                known.has_asked, known.until = True, self._clock() + _ANSWER_SECONDS

    def service_actions(self) -> None:
        """Hang up on those whose time is over; `serve_forever` calls this twice a second."""
        with self._lock:
            now = self._clock()
            late = [connected for connected, known in self._connections.items() if known.until <= now]
        self._hang_up(late)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection that is done with."""
        with self._lock:
            self._connections.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that have gone; anything else is a defect and is printed."""
        if isinstance(sys.exc_info()[1], OSError):
            _log.debug("%s has gone", client_address, exc_info=True)
        else:
            super().handle_error(request, client_address)

    def _hang_up(self, connections: Iterable[socket.socket]) -> None:
        """End connections: their threads find it so, whether they read or write."""
        for connected in connections:
            with self._lock:
                self._connections.pop(connected, None)
            with suppress(OSError):  # It has gone by itself.
                connected.shutdown(socket.SHUT_RDWR)


class _Handler(WSGIRequestHandler):
    """One connection, which is answered once."""

    server: MetricsServer

    def parse_request(self) -> bool:
        """Read the rest of the request."""
        whole = super().parse_request()
        if whole:
            self.server.note_asked(self.connection)
        return whole

    def log_message(self, format: str, *args: Any) -> None:
        """Scrapes are not logged."""


def _in_time(app: _App) -> _App:
    """The app, which knows how long Prometheus waits."""

    def asked(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        try:
            seconds = float(environ.get(_TIMEOUT_HEADER, ""))
        except ValueError:
            seconds = None
        with scrape_of(seconds):
            return app(environ, start_response)

    return asked
