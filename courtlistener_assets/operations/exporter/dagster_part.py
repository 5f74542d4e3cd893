"""Whether Dagster's daemon lives: the heartbeats in Dagster's storage.

Belongs here: reading them. Does not belong here: what else may be wrong with an instance (`operations/doctor`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING

from prometheus_client.core import Metric

from courtlistener_assets.operations.dagster_instance import dagster_instance
from courtlistener_assets.operations.exporter.gauges import gauges

if TYPE_CHECKING:
    import dagster as dg


class DagsterPart:
    """The instance of the DAGSTER_HOME of an environment, which is opened with the first reading and kept."""

    def __init__(self, environ: Mapping[str, str], *, clock: Callable[[], float] = time.time) -> None:
        self._environ = environ
        self._clock = clock
        self._open = ExitStack()
        self._instance: dg.DagsterInstance | None = None

    def read(self) -> list[Metric]:
        """Return the age of the last heartbeat of each part of the daemon; raises SettingError, and as Dagster."""
        if self._instance is None:
            with ExitStack() as opening:
                found = dagster_instance(self._environ["DAGSTER_HOME"], self._environ)
                self._instance = opening.enter_context(found)
                self._open = opening.pop_all()
        beats = self._instance.get_daemon_heartbeats()
        now = self._clock()
        return gauges(
            (
                "courtlistener_dagster_daemon_heartbeat_age_seconds",
                (daemon.lower(),),
                max(0.0, now - beats[daemon].timestamp) if daemon in beats else math.inf,
            )
            for daemon in sorted(self._instance.get_required_daemon_types())
        )

    def close(self) -> None:
        """Let go of the instance."""
        self._open.close()
