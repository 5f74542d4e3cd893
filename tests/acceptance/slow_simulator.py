"""A simulator whose responses can be made to hang.

Belongs here: that one thing. Does not belong here: any expectation.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from courtlistener_assets.devkit.simulator.accounts import Account
from courtlistener_assets.devkit.simulator.server import Simulator

TOKEN = "demo-token"


class SlowSimulator:
    """While `hanging` is set, whatever costs quota is counted, but answered only when that is over."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.hanging = threading.Event()
        self.ending = threading.Event()
        respond = simulator.application.respond

        def slowly(request: Any, fault: Any) -> Any:
            response = respond(request, fault)
            while self.hanging.is_set() and "api-usage" not in request.path and not self.ending.wait(0.1):
                pass
            return response

        setattr(simulator.application, "respond", slowly)  # noqa: B010

    @property
    def url(self) -> str:
        return self.simulator.url

    def requests(self) -> int:
        """How many requests have reached the server."""
        return len(self.simulator.log)

    def counted(self) -> int:
        """How many of them have cost quota."""
        return len([entry for entry in self.simulator.log if entry.admitted and "api-usage" not in entry.path])


@contextmanager
def slow_simulator(rates: str) -> Iterator[SlowSimulator]:
    with Simulator(accounts=[Account("demo", TOKEN, rates)]) as simulator:
        slow = SlowSimulator(simulator)
        try:
            yield slow
        finally:
            slow.ending.set()
