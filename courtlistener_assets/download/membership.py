"""Making what is stored fit together: every object under its parent, and none that its parent does not have.

Belongs here: asking for what the store has noted (`resources/records/misfits.py`), as cheaply as possible. Does not
belong here: noting it. A note goes when its object is stored or known to be gone, so what one run leaves the next
one finds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from courtlistener_assets.download import tombstones
from courtlistener_assets.download.stream import Stream
from courtlistener_assets.download.streams import DOCKETS
from courtlistener_assets.download.sweep import Sweeper
from resources.errors import NoSuchReference
from resources.records.misfits import UNDATED
from resources.records.model import Failure, Lookup, Scope, SweepKey, SweepPass

#: The assets whose partitions are not court months, by which failures are retried.
COURT_CHANGES, UNDATED_DOCKETS = "court_changes", "undated_dockets"
#: What was looked up can show what else does not fit. What is left after so many rounds waits for the next run.
_MOST_ROUNDS = 6


@dataclass(frozen=True)
class Place:
    """For whose sake objects are asked for, a partition, and the court that they are in."""

    partition: str
    court: str

    def __str__(self) -> str:
        return self.partition

    @property
    def filter_values(self) -> dict[str, str]:
        return {"court": self.court}


def settle(
    sweeper: Sweeper,
    streams: Sequence[Stream],
    courts: Sequence[str],
    *,
    scope: Scope | None = None,
    later: Collection[str] = (),
    due_only: bool = True,
) -> dict[str, int]:
    """Look up what does not fit in some courts; returns how many were `looked_up`, `found`, `gone` and `failed`.

    Left alone are the streams of `later`, which the same run is still to walk, and what failed a little while ago,
    unless `due_only` is False.
    """
    counts: Counter[str] = Counter(looked_up=0, found=0, gone=0, failed=0)
    by_table = {table.name: stream for stream in streams if stream.name not in later for table in stream.tables}
    done: set[Lookup] = set()
    sweeper = replace(sweeper, full_refresh=False, scope=scope, looked_up=True)
    for _ in range(_MOST_ROUNDS):
        wanted = sweeper.store.lookups.wanted(courts, list(by_table), due_only=due_only)
        wanted = [each for each in wanted if due_only or each not in done]
        wanted = [each for each in wanted if _may_be_asked(sweeper, by_table[each.stream], each)]
        if not wanted:
            break
        for (_, table, partition), group in groupby(
            wanted, key=lambda each: (each.docket_id, each.stream, each.partition)
        ):
            _Lookups(sweeper, by_table[table], partition, counts).look_up(list(group))
        done |= set(wanted)
    return dict(counts)


def _may_be_asked(sweeper: Sweeper, stream: Stream, lookup: Lookup) -> bool:
    """Whether the first passes over a month have come to their end, which most often bring its missing parents."""
    _, _, month = lookup.partition.partition("|")
    if lookup.kind != "parent" or month in ("", UNDATED):
        return True
    return sweeper.store.freshness.is_complete(stream.name, lookup.partition, [sweep.name for sweep in stream.sweeps])


def walk_docket(sweeper: Sweeper, stream: Stream, docket_id: int, place: Place) -> SweepPass | None:
    """Walk all that a stream has of a docket, in the court of `place`; None if the docket is gone, with all of it.

    Every walk brings everything; one that did not come to its end, because the quota had no room, is resumed. The
    checkpoint stays until it is forgotten.
    """
    sweep = stream.docket_sweep(docket_id)
    sweeper.store.forget_walked(sweeper.key(stream, sweep, place))
    try:
        return sweeper.walk(stream, sweep, place)
    except NoSuchReference:  # For the server a docket that does not exist is no valid choice.
        if tombstones.look_up(sweeper, DOCKETS, "dockets", docket_id, place):
            raise
        return None


@dataclass(frozen=True)
class _Lookups:
    """Lookups of one table and docket, that pages of one partition gave reason for."""

    sweeper: Sweeper
    stream: Stream
    partition: str
    counts: Counter[str]

    def look_up(self, lookups: Sequence[Lookup]) -> None:
        """Ask for the objects together where the docket has several, for the others one by one."""
        store, docket_id = self.sweeper.store, lookups[0].docket_id
        whole = [each for each in lookups if each.kind == "children"]
        listed = [each for each in lookups if each.kind == "listed"]
        # Objects that the location leaves out by their status are listed as well, and only a list leaves them out.
        limited = listed if self.stream.limits else []
        if docket_id and (whole or limited or len(listed) > 1) and self._walk_docket(docket_id, lookups[0].court_id):
            for each in (*whole, *limited):
                store.lookups.finish(each)
        for each in lookups:
            if each.kind != "children" and store.lookups.is_wanted(each):
                self._look_up_one(each)

    def _walk_docket(self, docket_id: int, court_id: str | None) -> bool:
        """Walk all objects of a docket; returns False if the docket is gone, with all of them."""
        sweeper, place = replace(self.sweeper, asset=self._asset), Place(self.partition, court_id or "")
        self.counts["looked_up"] += 1
        walked = walk_docket(sweeper, self.stream, docket_id, place)
        if walked is None:
            self.counts["gone"] += 1
            return False
        self.counts["found"] += walked.records
        sweeper.store.forget_walked(walked.key)
        return True

    def _look_up_one(self, lookup: Lookup) -> None:
        store, place = self.sweeper.store, Place(self.partition, lookup.court_id or "")
        self.counts["looked_up"] += 1
        try:
            found = tombstones.look_up(self.sweeper, self.stream, lookup.stream, lookup.id, place)
        except tombstones.LOOKUP_ERRORS as error:
            tombstones.check_server(self.sweeper, self.stream, lookup.stream, error)
            self.counts["failed"] += 1
            failure = Failure(type(error).__name__, str(error), lookup.docket_id, lookup.id)
            sweep = self._sweep if lookup.stream == self.stream.name else lookup.stream
            store.record_failure(SweepKey(self._asset, self.partition, sweep), failure)
            store.lookups.postpone(lookup)
        else:
            self.sweeper.trouble.failed_lookups = 0
            self.counts["found" if found else "gone"] += 1
            store.lookups.finish(lookup)

    @property
    def _asset(self) -> str:
        """The asset that retries what fails."""
        _, of_month, month = self.partition.partition("|")
        if not of_month:
            return COURT_CHANGES
        return UNDATED_DOCKETS if month == UNDATED else self.stream.name

    @property
    def _sweep(self) -> str:
        return self.stream.changes[0].name if self._asset == COURT_CHANGES else self.stream.sweeps[0].name
