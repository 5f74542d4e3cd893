"""Catching up: bringing what was modified in whole courts since the last time, whatever its month.

Belongs here: the selections, and walking their sweeps, those of parents before those of their children. Does not belong
here: Dagster (`defs/assets/court_changes.py`), what does not fit together afterwards (`membership.py`).

A sweep over parents by the dates of their children (`dockets+clusters`) brings those that have a child more than the
store knows. Most children that were modified are known: so it waits until one comes that does not fit under a parent
that is stored, and is left out if none does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime

from courtlistener_assets.download.partitions import CourtMonth
from courtlistener_assets.download.stream import Stream, Sweep
from courtlistener_assets.download.sweep import OVERLAP, Sweeper
from resources.errors import PermissionDenied
from resources.records.model import Record, Scope, SweepPass


@dataclass(frozen=True, order=True)
class Courts:
    """What is caught up by one walk: a court (`ca9`), or all courts of a `jurisdiction` (`FD`).

    Of the courts of a jurisdiction only those that are configured are stored, and nothing of months before
    `first_month` or, if there is an `end`, from that day on.
    """

    id: str
    first_month: date
    end: date | None = None
    jurisdiction: bool = False

    def __str__(self) -> str:
        return self.id

    @property
    def court(self) -> str:
        """The court, "" if there may be several."""
        return "" if self.jurisdiction else self.id

    @property
    def filter_values(self) -> dict[str, str]:
        """The values of {court}, which may be a jurisdiction, {first_day} and {end}."""
        end = self.end.isoformat() if self.end else ""
        return {"court": self.id, "first_day": self.first_month.isoformat(), "end": end}

    def scope(self, courts: Sequence[str]) -> Scope:
        """What is stored; `courts` are the configured ones of the selection."""
        return Scope(frozenset(courts), self.first_month, self.end)

    def reaching(self, months: tuple[date, date] | None) -> Courts:
        """The same with the months from one to another: what was downloaded stays current also while it is left out.

        Else a month that is in the settings again would be green, though what has come meanwhile is missing.
        """
        if months is None:
            return self
        first, last = months
        end = self.end and max(self.end, CourtMonth("", last).next_month)
        return replace(self, first_month=min(self.first_month, first), end=end)

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
    scoped = replace(sweeper, scope=selection.scope(courts))
    walks = _Walks(scoped, selection, since, {stream.name for stream in streams})
    for stream in streams:
        try:
            walks.walk(stream)
        except PermissionDenied as error:
            for sweep in selection.sweeps(stream):  # Each remembers from where it is to be asked for.
                scoped.store.begin_pass_since(
                    scoped.key(stream, sweep, selection), since, run_id=scoped.run_id, overlap=OVERLAP
                )
            refused(error)
    return walks.passes


@dataclass
class _Walks:
    """The sweeps of one catch-up in their order; `streams` are the names of those that it walks.

    `waiting` are sweeps over parents that wait for what their children show, by the stream of these.
    """

    sweeper: Sweeper
    selection: Courts
    since: datetime
    streams: set[str]
    passes: dict[str, SweepPass] = field(default_factory=dict)
    waiting: dict[str, tuple[Stream, Sweep]] = field(default_factory=dict)

    def walk(self, stream: Stream) -> None:
        """Walk the sweeps of a stream, and before its first page that needs them those over its parents."""
        own = replace(self.sweeper, arriving=lambda records: self._look_at(stream, records))
        try:
            for sweep in self.selection.sweeps(stream):
                if sweep.parents_of in self.streams:
                    self.waiting[sweep.parents_of] = stream, sweep
                else:
                    self.passes[sweep.name] = own.walk_since(stream, sweep, self.selection, self.since)
        except PermissionDenied:
            self._walk_parents(stream)
            raise
        if stream.name in self.waiting:
            self._leave_out(stream)

    def _look_at(self, stream: Stream, records: Sequence[Record]) -> None:
        scope = self.sweeper.scope
        if stream.name in self.waiting and scope and not self.sweeper.store.fit(records, scope):
            self._walk_parents(stream)

    def _walk_parents(self, stream: Stream) -> None:
        if stream.name in self.waiting:
            above, sweep = self.waiting.pop(stream.name)
            self.passes[sweep.name] = self.sweeper.walk_since(above, sweep, self.selection, self.since)

    def _leave_out(self, stream: Stream) -> None:
        """Leave the sweep over parents out, since all children fit under what is stored."""
        above, sweep = self.waiting.pop(stream.name)
        met = self.passes[self.selection.sweeps(stream)[0].name]
        self.passes[sweep.name] = self.sweeper.walk_unless_met(above, sweep, self.selection, self.since, met)


def current_as_of(passes: Sequence[SweepPass]) -> datetime | None:
    """Until when a finished catch-up has brought everything; None if a response did not say what time it was."""
    moments = [each.watermark for each in passes]
    return None if None in moments else min(moment for moment in moments if moment is not None)
