"""Catching up: bringing what was modified in whole courts since the last time, whatever its month.

Belongs here: the selections, and walking their sweeps, those of parents before those of their children. Does not belong
here: Dagster (`defs/assets/court_changes.py`), what does not fit together afterwards (`membership.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

from courtlistener_assets.download.stream import Stream, Sweep
from courtlistener_assets.download.sweep import OVERLAP, Sweeper
from resources.errors import PermissionDenied
from resources.records.model import Scope, SweepPass


@dataclass(frozen=True, order=True)
class Courts:
    """What is caught up by one walk: a court (`ca9`), or all courts of a `jurisdiction` (`FD`).

    Of the courts of a jurisdiction only those that are configured are stored, and nothing of months before
    `first_month`.
    """

    id: str
    first_month: date
    jurisdiction: bool = False

    def __str__(self) -> str:
        return self.id

    @property
    def court(self) -> str:
        """The court, "" if there may be several."""
        return "" if self.jurisdiction else self.id

    @property
    def filter_values(self) -> dict[str, str]:
        """The values of {court}, which may be a jurisdiction, and {first_day}."""
        return {"court": self.id, "first_day": self.first_month.isoformat()}

    def sweeps(self, stream: Stream) -> tuple[Sweep, ...]:
        """The sweeps of a stream."""
        return stream.changes_of(jurisdiction=self.jurisdiction)


def catch_up(
    sweeper: Sweeper,
    streams: Sequence[Stream],
    selection: Courts,
    courts: Sequence[str],
    since: datetime,
    refused: Callable[[PermissionDenied], None],
) -> dict[str, SweepPass]:
    """Bring what was modified since a moment in the configured `courts` of a selection; returns the passes by sweep.

    One request a sweep where nothing was modified. The order is that of the streams, so that a child finds its parent:
    what has none that is stored belongs to no month that is stored, and is left out. Streams that the account may not
    use are `refused`; once it may, they are asked for what was modified since their own last pass.
    """
    scoped = replace(sweeper, scope=Scope(frozenset(courts), selection.first_month))
    passes = {}
    for stream in streams:
        try:
            for sweep in selection.sweeps(stream):
                passes[sweep.name] = scoped.walk_since(stream, sweep, selection, since)
        except PermissionDenied as error:
            for sweep in selection.sweeps(stream):  # Each remembers from where it is to be asked for.
                scoped.store.begin_pass_since(
                    scoped.key(stream, sweep, selection), since, run_id=scoped.run_id, overlap=OVERLAP
                )
            refused(error)
    return passes


def current_as_of(passes: Sequence[SweepPass]) -> datetime | None:
    """Until when a finished catch-up has brought everything; None if a response did not say what time it was."""
    moments = [each.watermark for each in passes]
    return None if None in moments else min(moment for moment in moments if moment is not None)
