"""Asking again for single things: objects, dockets and ranges of ids, each resolved or counted by itself.

Belongs here: what each of them costs, and what becomes of one that is gone or fails again. Does not belong here: when
it is asked for again (`resources/backlog/failures.py`), how a page is searched (`way_around.py`).

An object costs one request, and one more if it fails: an empty page, to tell it from a server that is down.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import partial

from courtlistener_assets.download import tombstones
from courtlistener_assets.download.partitions import Selection
from courtlistener_assets.download.stream import Stream, Sweep
from courtlistener_assets.download.streams import DOCKETS
from courtlistener_assets.download.sweep import Sweeper
from courtlistener_assets.logs import run_log
from resources.errors import (
    ApiError,
    BadRequest,
    CourtListenerAssetsError,
    NoSuchReference,
    ServerDown,
    TransientApiError,
)
from resources.records.model import Failure, SweepKey, SweepPass

#: What is the fault of what was asked for. Anything else ends the run, and counts against nothing.
_OWN_FAULTS = (*tombstones.LOOKUP_ERRORS, BadRequest, NoSuchReference)
#: So many in a row, and nothing in between, are no accident.
_MOST_IN_A_ROW = 5
_PAUSE_SECONDS = 3600.0


@dataclass
class Retry:
    """What is asked for again of one stream and partition; `passes` are the walks that were finished.

    `in_a_row` counts what failed since something came.
    """

    sweeper: Sweeper
    stream: Stream
    partition: Selection
    passes: list[SweepPass] = field(default_factory=list)
    in_a_row: int = 0

    def __post_init__(self) -> None:
        self.sweeper = replace(self.sweeper, attempts=1)

    def objects(self, ids: Iterable[int], table: str = "") -> None:
        """Ask for objects of the stream, or of another of its tables, by their ids."""
        for id in dict.fromkeys(ids):
            if self.stream.limits and not table:  # Only a list leaves out what the location does not want.
                self._walk(self.stream.object_sweep(id), Failure("", "", object_id=id))
            else:
                self._try(partial(self._look_up, table, id), Failure("", "", object_id=id), table)

    def dockets(self, ids: Iterable[int]) -> None:
        """Walk the stream's objects of dockets."""
        for id in dict.fromkeys(ids):
            self._try(partial(self._walk_docket, id), Failure("", "", docket_id=id))

    def range(self, sweep: Sweep, after_id: int, up_to_id: int) -> None:
        """Ask for a part of a sweep; one id is an object."""
        if up_to_id == after_id + 1:
            self.objects([up_to_id])
        else:
            self._walk(sweep.part(after_id, up_to_id), Failure("", "", after_id=after_id, up_to_id=up_to_id))

    def unknown(self, sweep: str, after_id: int, up_to_id: int) -> None:
        """Count what names a sweep that there is not: the settings have changed, or another program has pushed it."""
        object_id = up_to_id if up_to_id == after_id + 1 else None
        said = f"there is no sweep {sweep:.80} of {self.sweeper.asset or self.stream.name}"
        failure = Failure("SettingError", said, object_id=object_id, after_id=after_id, up_to_id=up_to_id, requests=0)
        self._record(failure, sweep)

    def _walk(self, sweep: Sweep, failure: Failure) -> None:
        self._try(partial(self._walked, sweep), failure)

    def _walked(self, sweep: Sweep) -> None:
        found = self.sweeper.walk(self.stream, sweep, self.partition)
        self.passes.append(found)

    def _walk_docket(self, id: int) -> None:
        try:
            self._walked(self.stream.docket_sweep(id))
        except NoSuchReference:  # For the server a docket that does not exist is no valid choice.
            if tombstones.look_up(self.sweeper, DOCKETS, DOCKETS.name, id, self.partition):
                raise
            run_log.warning(
                f"{self.stream.name}: there is no docket {id} any more: it is left out",
                extra={"event": "docket_gone", "docket_id": id},
            )

    def _look_up(self, table: str, id: int) -> None:
        tombstones.look_up(self.sweeper, self.stream, table or self.stream.name, id, self.partition)

    def _try(self, ask: Callable[[], None], target: Failure, table: str = "") -> None:
        """Ask for one thing; if that fails by its own fault, count it and go on."""
        try:
            ask()
        except _OWN_FAULTS as error:
            requests = error.requests if isinstance(error, ApiError) else 1
            if isinstance(error, TransientApiError) and not self.in_a_row:  # Until then the server was up.
                self.sweeper.check_server(self.stream.endpoint, error)
                requests += 1
            self._record(replace(target, error=type(error).__name__, message=str(error), requests=requests), table)
            if isinstance(error, (TransientApiError, BadRequest)):
                self._count(error)
        else:
            self.in_a_row = 0

    def _record(self, failure: Failure, table: str) -> None:
        asset = self.sweeper.asset or self.stream.name
        key = SweepKey(asset, str(self.partition), table or self.stream.sweeps[0].name)
        self.sweeper.store.record_failure(key, failure)
        what = f"{failure.error}: {failure.message}"
        run_log.warning(f"{asset} {self.partition} failed again: {what}", extra={"event": "retry_failed"})

    def _count(self, error: CourtListenerAssetsError) -> None:
        self.in_a_row += 1
        if self.in_a_row >= _MOST_IN_A_ROW:
            said = f"{self.in_a_row} retries in a row have failed, the last one: {error}"
            raise ServerDown(said, wait_seconds=_PAUSE_SECONDS) from error
