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
        #: Set together with `_event`, for those who also wait for something else.
        self._alarms: set[threading.Event] = set()

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._event.is_set()

    def stop(self) -> None:
        """End every wait, now and from now on."""
        self._event.set()
        for alarm in tuple(self._alarms):
            alarm.set()

    def sleep(self, seconds: float, alarm: threading.Event | None = None) -> None:
        """Wait, in place of `time.sleep`; raises Stopped at once when it is over before its time.

        The wait also ends when `alarm` is set, which no other wait may use at the same time.
        """
        if alarm is None:
            self._event.wait(max(0.0, seconds))
        else:
            self._alarms.add(alarm)
            try:
                if not self._event.is_set():
                    alarm.wait(max(0.0, seconds))
            finally:
                self._alarms.discard(alarm)
        if self._event.is_set():
            raise Stopped

    def check(self) -> None:
        """Raise Stopped if it is so."""
        self.sleep(0.0)
