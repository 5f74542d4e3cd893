"""That a run is to end, and waits that end with it.

Belongs here: the word, and what waits for it. Does not belong here: who says it (`courtlistener_assets/defs/steps.py`,
`dagster_resources.py`), or what a run does about it.
"""

from __future__ import annotations

import threading

from resources.errors import Stopped


class Stopping:
    """Whether the work of a run is to end; its threads share one. What was stopped once stays so."""

    def __init__(self) -> None:
        self._event = threading.Event()

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._event.is_set()

    def stop(self) -> None:
        """End every wait, now and from now on."""
        self._event.set()

    def sleep(self, seconds: float) -> None:
        """Wait, in place of `time.sleep`; raises Stopped at once when it is over before its time."""
        if self._event.wait(max(0.0, seconds)):
            raise Stopped

    def check(self) -> None:
        """Raise Stopped if it is so."""
        self.sleep(0.0)
