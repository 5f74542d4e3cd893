"""A door between workers and a server: it can be shut for some, lead to another server, be far away, and count.

Belongs here: copying bytes, and seeing the messages in them. Does not belong here: what is broken when (`faults.py`).
"""

from __future__ import annotations

import contextlib
import queue
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator

_READY_FOR_QUERY, _COMMAND_COMPLETE = b"Z", b"C"


class PostgresMessages:
    """Counts the messages that a Postgres server sends over one connection, by their type; without TLS."""

    def __init__(self) -> None:
        self.count: Counter[bytes] = Counter()
        self._rest = b""

    def __call__(self, data: bytes) -> None:
        data, at = self._rest + data, 0
        while len(data) >= at + 5:
            end = at + 1 + int.from_bytes(data[at + 1 : at + 5])
            if len(data) < end:
                break
            self.count[data[at : at + 1]] += 1
            at = end
        self._rest = data[at:]


class Forwarder:
    """Listens on a free port and copies bytes to and from the port `target`; None refuses all connections.

    Bytes take `delay_seconds` in each direction. With `postgres`, the server is one, and `round_trips` and `statements`
    say what its clients have had answered through this door.
    """

    def __init__(self, target: int | None, *, delay_seconds: float = 0.0, postgres: bool = False) -> None:
        self.target = target
        self._delay_seconds = delay_seconds
        self._postgres = postgres
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self._messages: list[PostgresMessages] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def lead_to(self, target: int | None) -> None:
        """Cut all connections; new ones lead to `target`."""
        self.target = target
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._open.clear()

    def close(self) -> None:
        """Shut the door for good."""
        self.lead_to(None)
        self._listener.close()

    @property
    def round_trips(self) -> int:
        """How often the server was ready for the next query: once for each message, or pipeline, that it was sent."""
        return sum(messages.count[_READY_FOR_QUERY] for messages in self._messages)

    @property
    def statements(self) -> int:
        """How many statements the server has completed, BEGIN and COMMIT included."""
        return sum(messages.count[_COMMAND_COMPLETE] for messages in self._messages)

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                if self.target is None:
                    raise ConnectionRefusedError
                server = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                client.close()
                continue
            for connection in (client, server):
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open += [client, server]
            _in_a_thread(_copy, client, server, self._delay_seconds, _unseen)
            _in_a_thread(_copy, server, client, self._delay_seconds, self._counted() if self._postgres else _unseen)

    def _counted(self) -> PostgresMessages:
        self._messages.append(PostgresMessages())
        return self._messages[-1]


def _unseen(data: bytes) -> None:
    """What looks at bytes that nobody counts."""


def _in_a_thread(call: Callable[..., None], *args: object) -> None:
    threading.Thread(target=call, args=args, daemon=True).start()


def _copy(source: socket.socket, sink: socket.socket, delay_seconds: float, seen: Callable[[bytes], None]) -> None:
    with contextlib.suppress(OSError):
        for data in _delayed(source, delay_seconds) if delay_seconds else _received(source):
            seen(data)
            sink.sendall(data)
    for connection in (source, sink):
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)


def _received(source: socket.socket) -> Iterator[bytes]:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            yield data


def _delayed(source: socket.socket, delay_seconds: float) -> Iterator[bytes]:
    """What is received, each piece so long after it was; pieces that follow closely travel together."""
    on_the_way: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()

    def receive() -> None:
        for data in _received(source):
            on_the_way.put((time.monotonic() + delay_seconds, data))
        on_the_way.put((time.monotonic() + delay_seconds, b""))

    _in_a_thread(receive)
    while True:
        due, data = on_the_way.get()
        time.sleep(max(0.0, due - time.monotonic()))
        if not data:
            return
        yield data
