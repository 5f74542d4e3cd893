"""When what a run works on will be complete, for its log, its tags and its partitions.

Belongs here: what it is said of - the backfill that the run belongs to, else the run - and how often it is found out.
Does not belong here: the estimate (`operations/remaining.py`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import cached_property
from typing import Any

import dagster as dg

from courtlistener_assets import logs
from courtlistener_assets.defs.backfills import backfill_of
from courtlistener_assets.defs.names import name_of
from courtlistener_assets.download.partitions import CourtMonth
from courtlistener_assets.download.stream import Stream
from courtlistener_assets.operations.remaining import Remaining, remaining_of
from resources.connections.postgres import Database
from resources.errors import CourtListenerAssetsError
from resources.quota.eta import Outlook

#: On a run: when all that its backfill was asked for, or the run itself, will be downloaded.
DONE_TAG = "courtlistener/done_about"
#: Looking at all months of the backfill's courts costs something, and changes little in a minute.
_EVERY_SECONDS = 60.0


@dataclass
class StepForecast:
    """The forecast of one step over months of courts; `streams` are those that the location downloads by month.

    `last_month` is `Settings.last_month`.
    """

    context: dg.AssetExecutionContext
    database: Database
    account: str
    outlook: Callable[[], Outlook | None]
    streams: Sequence[Stream]
    months: Sequence[CourtMonth]
    last_month: date | None
    clock: Callable[[], float] = time.monotonic
    _last: Remaining | None = None
    _found_at: float = field(default=-math.inf)

    def metadata(self) -> dict[str, Any]:
        """What the UI shows on a partition that has just been completed."""
        remaining = self.find_out()
        if remaining is None:
            return {}
        done = {"done_about": dg.MetadataValue.timestamp(remaining.done_at)} if remaining.done_at else {}
        return {"requests_left_about": remaining.requests, **done}

    def find_out(self) -> Remaining | None:
        """What is left, as of the last minute; None if it cannot be told. It is written to the log and on the run."""
        if not self.months or self.clock() - self._found_at < _EVERY_SECONDS:
            return self._last
        try:
            found = self._read()
        except CourtListenerAssetsError as error:
            logs.run_log.debug(f"how long the rest takes cannot be told: {error}")
            return self._last
        if found:  # Before its first request nothing is known of an account: that is looked up again soon.
            self._last, self._found_at = found, self.clock()
            self._tell(found)
        return self._last

    def _read(self) -> Remaining | None:
        outlook, (_, targets), now = self.outlook(), self._targets, datetime.now(UTC)
        if outlook is None:
            return None
        return remaining_of(targets, self.streams, self.database, self.account, outlook, now, self.last_month)

    def _tell(self, remaining: Remaining) -> None:
        extra = {"event": "run_forecast", "requests_left": remaining.requests, "seconds_left": remaining.seconds}
        logs.run_log.info(f"What is left of {self._targets[0]} takes {remaining}.", extra=extra)
        self.context.instance.add_run_tags(self.context.run.run_id, {DONE_TAG: remaining.done_in_words})

    @cached_property
    def _targets(self) -> tuple[str, Mapping[str, frozenset[str]]]:
        """What it is said of, and the partitions that belong to it, by asset."""
        selected = {name_of(key) for key in self.context.job_def.asset_layer.selected_asset_keys}
        own = [each.name for each in self.streams if each.name in selected]
        backfill = backfill_of(self.context.instance, self.context.run, own)
        if backfill and backfill.targets:
            return f"backfill {backfill.id}", backfill.targets
        return "this run", dict.fromkeys(own, frozenset(map(str, self.months)))
