"""A client with nothing around it: ledgers that remember, a clock of its own, servers that answer by hand.

Belongs here: what the tests of the client share. Does not belong here: any expectation.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from resources.courtlistener.client import CourtListenerClient
from resources.courtlistener.transport import Transport
from resources.quota.limiter import RateLimiter
from resources.quota.permits import Lane, Outcome, Permit, ServerWindow


class RecordingLedger:
    """Grants everything and remembers what became of each permit; the first `stale` permits are too old to be used."""

    def __init__(self, stale: int = 0) -> None:
        self.settled: list[Outcome] = []
        self.granted = 0
        self.holds: list[tuple[float, str | None]] = []
        self.observed: Sequence[ServerWindow] = []
        self._stale = stale

    def acquire(self, request_ids: Sequence[str], lane: Lane, **options: Any) -> tuple[Permit, ...]:
        self.granted += 1
        age_us = 3_600_000_000 if self.granted <= self._stale else 0
        return tuple(Permit(name, 1, 0, "redis", age_us) for name in request_ids)

    def settle(self, permit: Permit, outcome: Outcome, elapsed_us: int = 0) -> None:
        self.settled.append(outcome)

    def hold(self, hold_seconds: float, blocked: str | None = None) -> None:
        self.holds.append((hold_seconds, blocked))

    def claim_observation(self, max_age_seconds: float, shared_max_age_seconds: float | None = None) -> bool:
        return True

    def observe(self, windows: Sequence[ServerWindow], **_: object) -> None:
        self.observed = windows


class Bench:
    """A client with recording ledgers and a clock that only its own sleeps move; the windows were read just now."""

    def __init__(
        self, url: str, *, token: str = "wide-token", stale: int = 0, transport: Any = None, **options: Any
    ) -> None:
        self.ledger, self.usage_ledger = RecordingLedger(stale), RecordingLedger()
        self.slept: list[float] = []
        self.client = CourtListenerClient(
            url,
            token,
            RateLimiter("account", self.ledger),  # type: ignore[arg-type]
            RateLimiter("account:api_usage", self.usage_ledger),  # type: ignore[arg-type]
            transport=Transport(url, **(transport or {})),
            **{"sleep": self.slept.append, "clock": lambda: sum(self.slept), "windows_age_seconds": 0.0, **options},
        )


@contextmanager
def hand_made_server(answer: Callable[[socket.socket, bytes], None]) -> Iterator[tuple[str, list[bytes]]]:
    """A server that takes one request a connection and lets `answer` write whatever it likes."""
    received: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                head = b""
                while b"\r\n\r\n" not in head and (part := connection.recv(65536)):
                    head += part
                received.append(head)
                # The client may have had enough, which is what some of the tests are about.
                with suppress(OSError):
                    answer(connection, head)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", received
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def http(status: str, body: bytes = b"", **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
