"""How many commands clients send to a Redis server, as its MONITOR tells: those that scripts run inside do not count.

Belongs here: counting at the server, whatever library and thread of whatever process sends. Does not belong here: what
the count is divided by.
"""

from __future__ import annotations

import itertools
import socket
import threading
from typing import Self
from urllib.parse import urlsplit

_PATIENCE_SECONDS = 30.0


class ClientCommands:
    """Counts for the length of a `with` block; `url` names a server without a password."""

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        self._address = (address.hostname or "127.0.0.1", address.port or 6379)
        self._count = 0
        self._seen = threading.Condition()
        self._counts: dict[bytes, int] = {}
        self._marks = (f"mark-{number}".encode() for number in itertools.count())

    def __enter__(self) -> Self:
        self._control = socket.create_connection(self._address, timeout=_PATIENCE_SECONDS)
        self._feed = socket.create_connection(self._address)
        self._feed.sendall(b"MONITOR\r\n")
        self._feed.recv(len(b"+OK\r\n"), socket.MSG_WAITALL)
        threading.Thread(target=self._listen, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._feed.shutdown(socket.SHUT_RDWR)
        self._feed.close()
        self._control.close()

    def count(self) -> int:
        """Return the number of commands that the server has taken so far."""
        mark = next(self._marks)
        with self._seen:
            self._control.sendall(b"ECHO " + mark + b"\r\n")
            self._control.recv(1024)
            if not self._seen.wait_for(lambda: mark in self._counts, _PATIENCE_SECONDS):
                raise TimeoutError("MONITOR does not show a command that was sent")
            return self._counts.pop(mark)

    def _listen(self) -> None:
        rest = b""
        try:
            while data := self._feed.recv(1 << 20):
                *lines, rest = (rest + data).split(b"\r\n")
                for line in lines:
                    self._note(line)
        except OSError:
            return

    def _note(self, line: bytes) -> None:
        # +1700000000.123456 [0 127.0.0.1:50000] "EVALSHA" "..." or, inside a script, [0 lua] "GET" "..."
        source, _, command = line.partition(b"] ")
        if command.startswith(b'"ECHO" "mark-'):
            with self._seen:
                self._counts[command[8:-1]] = self._count
                self._seen.notify_all()
        elif command and not source.endswith(b" lua"):
            self._count += 1
