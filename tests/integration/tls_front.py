"""TLS before a server that has none, as managed services put it before theirs: a terminating proxy on localhost.

Belongs here: the handshakes of Redis, HTTPS and Postgres, and forwarding. Does not belong here: what is tested with it.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import TracebackType

import trustme

_SSL_REQUEST = (8).to_bytes(4, "big") + (80877103).to_bytes(4, "big")
_NO_GSS = (8).to_bytes(4, "big") + (80877104).to_bytes(4, "big")


def valid(authority: trustme.CA) -> trustme.LeafCert:
    """A certificate for localhost."""
    return authority.issue_cert("localhost")


def expired(authority: trustme.CA) -> trustme.LeafCert:
    """A certificate for localhost that was valid until yesterday."""
    now = datetime.now(UTC)
    return authority.issue_cert("localhost", not_before=now - timedelta(days=9), not_after=now - timedelta(days=1))


def of_another_host(authority: trustme.CA) -> trustme.LeafCert:
    """A certificate that does not name localhost."""
    return authority.issue_cert("elsewhere.example")


class TlsFront:
    """Listens on a free port of localhost, speaks TLS with clients, and plaintext with the server on `port`.

    With `postgres`, the client asks for TLS in the first message, as libpq does; whoever does not is turned away.
    """

    def __init__(self, port: int, certificate: trustme.LeafCert, *, postgres: bool = False) -> None:
        self._target = port
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(self._context)
        self._greet: Callable[[socket.socket], bool] = _postgres_wants_tls if postgres else lambda client: True
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.port = int(self._listener.getsockname()[1])

    def __enter__(self) -> TlsFront:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for each in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(client)
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError), client:
            if not self._greet(client):
                return
            with (
                self._context.wrap_socket(client, server_side=True) as encrypted,
                socket.create_connection(("127.0.0.1", self._target)) as server,
            ):
                _forward(encrypted, server)


def _postgres_wants_tls(client: socket.socket) -> bool:
    while (request := client.recv(8)) == _NO_GSS:
        client.sendall(b"N")
    if request == _SSL_REQUEST:
        client.sendall(b"S")
        return True
    return False


def _forward(encrypted: ssl.SSLSocket, server: socket.socket) -> None:
    """In one thread, since two may not use one TLS connection at the same time."""
    while True:
        ready = [encrypted] if encrypted.pending() else select.select([encrypted, server], [], [])[0]
        for source in ready:
            data = source.recv(65536)
            if not data:
                return
            (server if source is encrypted else encrypted).sendall(data)
