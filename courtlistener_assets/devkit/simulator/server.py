"""The simulator as an HTTP server: threads, keep-alive, and faults that need the socket.

Belongs here: sockets and time. Does not belong here: what is answered (`application.py`, `control.py`).
"""

from __future__ import annotations

import contextlib
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from courtlistener_assets.devkit.simulator import damage
from courtlistener_assets.devkit.simulator.accounts import Account, Accounts, default_accounts
from courtlistener_assets.devkit.simulator.application import Application
from courtlistener_assets.devkit.simulator.bulk_files import BULK_ROOT, BulkFiles
from courtlistener_assets.devkit.simulator.control import CONTROL_ROOT, control_response
from courtlistener_assets.devkit.simulator.corpus import Corpus
from courtlistener_assets.devkit.simulator.faults import Fault, FaultPlan, Latency
from courtlistener_assets.devkit.simulator.generator import generate
from courtlistener_assets.devkit.simulator.responses import Request, Response
from courtlistener_assets.devkit.simulator.truth import Entry, TruthLog

_IDLE_SECONDS = 2.0
#: Between two bytes of a response that comes one by one.
_DRIP_SECONDS = 0.02
_LARGEST_BODY = 4_000_000


class Simulator:
    """A stand-in CourtListener server on the loopback interface.

        with Simulator(corpus=generate(seed=1)) as simulator:
            requests.get(simulator.url + "/api/rest/v4/dockets/", headers={"Authorization": "Token wide-token"})

    `accounts` come on top of the default ones. `latency` is as in `Latency`. `clock` gives seconds since 1970 and
    `sleep` waits; tests replace both. `port` 0 takes a free port.
    """

    def __init__(
        self,
        corpus: Corpus | None = None,
        accounts: Iterable[Account] = (),
        *,
        faults: Iterable[Fault] = (),
        latency: str = "fixed:0",
        seed: int = 1,
        port: int = 0,
        log_path: Path | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.corpus = corpus or generate(seed)
        self.accounts = Accounts([*default_accounts(), *accounts])
        self.faults = FaultPlan(faults, seed)
        self.truth = TruthLog(log_path)
        self.latency = Latency(latency, seed)
        self.application = Application(self.corpus, self.accounts, self.faults, self.truth, clock)
        self.bulk_files = BulkFiles(self.corpus, clock)
        self.clock, self.sleep = clock, sleep
        self._server = _Server(("127.0.0.1", port), self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        """The server's address without a path, `http://127.0.0.1:8000`."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def api_url(self) -> str:
        """The API's address, `http://127.0.0.1:8000/api/rest/v4/`."""
        return f"{self.url}/api/rest/v4/"

    @property
    def bulk_url(self) -> str:
        """The address of the bulk files, `http://127.0.0.1:8000/bulk/`."""
        return f"{self.url}{BULK_ROOT}"

    @property
    def log(self) -> list[Entry]:
        """The truth: every request so far."""
        return self.truth.entries

    def summary(self) -> dict[str, Any]:
        return self.truth.summary()

    def start(self) -> Self:
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop serving, close every connection and the log file."""
        if self._thread.is_alive():
            self._server.shutdown()
        self._server.server_close()
        self._server.close_connections()
        self.truth.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def __init__(self, where: tuple[str, int], simulator: Simulator) -> None:
        self.simulator = simulator
        self._connections: set[socket.socket] = set()
        self.to_reset: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__(where, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._connections.discard(request)
            reset = request in self.to_reset
            self.to_reset.discard(request)
        # A shutdown would say goodbye first; a bare close with nothing to linger for is a reset.
        (self.close_request if reset else super().shutdown_request)(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that disconnect in the middle; anything else is a defect of the simulator."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)

    def close_connections(self) -> None:
        with self._lock:
            connections, self._connections = self._connections, set()
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = _IDLE_SECONDS
    # One write a response and no Nagle, or every response on a kept connection would wait 40 ms for an acknowledgement.
    wbufsize = 65536
    disable_nagle_algorithm = True
    server: _Server

    def _serve(self) -> None:
        simulator = self.server.simulator
        request = self._request()
        if request.path.startswith(CONTROL_ROOT):
            self._send(control_response(request, simulator.corpus, simulator.faults, simulator.truth))
            return
        if request.path.startswith(BULK_ROOT):
            self._send(simulator.bulk_files.response(request))
            return
        fault = simulator.faults.draw(request.path)
        before_seconds, after_seconds = simulator.latency.draw()
        if fault and fault.kind.startswith("late"):
            self._arrive_late(request, fault)
            return
        self._wait(before_seconds)
        response = simulator.application.respond(request, fault)
        self._wait(after_seconds)
        if fault and fault.kind.startswith("reset"):
            self._reset()
        elif response.held_by:
            self._hold(response, response.held_by)
        else:
            self._send(response, cut=bool(fault and fault.kind == "cut"))

    do_GET = do_HEAD = do_OPTIONS = do_POST = do_PUT = do_PATCH = do_DELETE = _serve

    def _request(self) -> Request:
        path, _, query = self.path.partition("?")
        length = min(int(self.headers.get("Content-Length") or 0), _LARGEST_BODY)
        headers = {name.title(): value for name, value in self.headers.items()}
        host = headers.get("Host", f"127.0.0.1:{self.server.server_address[1]}")
        return Request(self.command, path, query, headers, host, self.rfile.read(length) if length else b"")

    def _wait(self, seconds: float) -> None:
        if seconds > 0:
            self.server.simulator.sleep(seconds)

    def _send(self, response: Response, *, cut: bool = False) -> None:
        self.send_response(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(response.body)))
        if response.close or cut:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(response.body[: len(response.body) // 2] if cut else response.body)
        self.wfile.flush()

    def _arrive_late(self, request: Request, fault: Fault) -> None:
        """Let a request reach the throttle when its client, or a proxy before it, may have given up."""
        self.close_connection = True
        if by_proxy := damage.struck(fault):
            self._send(replace(by_proxy, close=True))
            self.connection.shutdown(socket.SHUT_WR)
        self._wait(fault.seconds)
        response = self.server.simulator.application.respond(request, fault)
        if by_proxy is None:
            self._send(response)

    def _hold(self, response: Response, fault: Fault) -> None:
        """Keep the client waiting until it leaves, or the fault ends; then leave as well, without a whole response."""
        self.close_connection = True
        if fault.kind == "timeout":
            self._wait(fault.seconds)
            return
        begun = b"HTTP/1.1 200 OK\r\nX-Request: "
        if fault.kind == "drip_chunks":
            begun += b"1\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n1;"
        self.connection.sendall(begun)
        for _ in range(int(fault.seconds / _DRIP_SECONDS)):
            self._wait(_DRIP_SECONDS)
            self.connection.sendall(b"x")

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.server.to_reset.add(self.connection)
        self.close_connection = True

    def date_time_string(self, timestamp: float | None = None) -> str:
        return formatdate(self.server.simulator.clock() if timestamp is None else timestamp, usegmt=True)

    def version_string(self) -> str:
        return "simulator"

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing: the truth log is the log."""
