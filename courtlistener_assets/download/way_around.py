"""The way around an object that breaks its page, within a budget of requests.

Belongs here: finding what breaks a page, with the ids that the server has named, and what becomes of it. Does not
belong here: walking a sweep (`sweep.py`), trying again what is recorded here (`retry.py`).

    the page fails twice -> an empty one comes -> the ids of the page -> halves -> one object is recorded
                            | no: ServerDown      | no: the newest id -> halves of the numbers up to it

Nothing is asked for beyond ids that the server has named, and no checkpoint goes there. What the budget does not reach
is recorded as a range of ids; one without an end if the server names no id at all.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from courtlistener_assets.download.stream import is_id
from resources.courtlistener.responses import Page
from resources.errors import ApiError, PageRejected, ResponseTooLarge, ServerDown, TransientApiError
from resources.records.model import Failure, PageOfRecords, SweepPass

if TYPE_CHECKING:
    from courtlistener_assets.download.sweep import _Walk

#: What a single object of a page can cause. Anything else (the token, the quota, Postgres) is no fault of the page.
PAGE_ERRORS = (TransientApiError, ResponseTooLarge, PageRejected)
#: What a page may cost when it breaks, all attempts included.
MOST_REQUESTS = 12
#: The same right behind a page of which nothing could be had: enough to learn its ids.
FEWEST_REQUESTS = 4
#: After so many in a row it is not a few objects that are broken, but their endpoint.
MOST_FRUITLESS = 2
#: A range up to here or further has no end; no id is as large.
NO_BOUND = 2**62
#: An endpoint that gives no objects at all is asked again after this.
BROKEN_ENDPOINT_SECONDS = 3600.0


@dataclass
class Trouble:
    """What the walks of a run have met: how many pages in a row broke of which nothing could be had, and how many
    lookups in a row have failed.
    """

    fruitless: int = 0
    failed_lookups: int = 0


@dataclass
class WayAround:
    """Stores what can be had of a page that broke with `error`, and records the rest."""

    walk: _Walk
    current: SweepPass
    error: ApiError | PageRejected
    spent: int = 0
    booked: int = 0
    brought: int = 0
    known: Sequence[int] = ()
    full: bool = False
    served_at: datetime | None = field(default=None)

    def go(self) -> SweepPass:
        """Move the checkpoint past what breaks the page; raises `error` if there is no way.

        Raises ServerDown if the fault is not the page's.
        """
        self.spent = self.error.requests if isinstance(self.error, ApiError) else 1
        self._check_server()
        self.known, ends = self._bounds()
        if self.known:
            self._search(self.known)
            self._take_note()
            ends = ends and self.current.after_id >= self.known[-1]
        if ends and not self.current.finished:
            self.current = self._keep([], after_id=self.current.after_id, finished=True)
        return self.current

    def _check_server(self) -> None:
        if isinstance(self.error, TransientApiError):
            self.spent += 1
            self.served_at = self.walk.sweeper.check_server(self.walk.stream.endpoint, self.error)
        if self.walk.sweeper.trouble.fruitless >= MOST_FRUITLESS:
            raise self._broken_endpoint() from self.error

    def _broken_endpoint(self) -> ServerDown:
        said = f"of {self.walk.stream.endpoint} nothing comes but empty pages: {self.error}"
        return ServerDown(said, wait_seconds=BROKEN_ENDPOINT_SECONDS)

    # --- what is known of the page ----------------------------------------------------------------------------------

    def _bounds(self) -> tuple[Sequence[int], bool]:
        """The ids of the page, or all numbers that may be ids; and whether the sweep ends with them."""
        after_id, last_id = self.current.after_id, self.walk.last_id()
        if last_id is not None and last_id <= after_id + 1:
            return range(after_id + 1, last_id + 1), True
        try:
            ids, self.full = self._ids()
        except (*PAGE_ERRORS, KeyError, TypeError):
            if self.walk.sweeper.trouble.fruitless:  # Without ids there would be no end to what is left out.
                raise self._broken_endpoint() from self.error
        else:
            if not ids and self.full:
                raise self.error  # It leads in a circle.
            return ids, not self.full
        return self._numbers(after_id, last_id)

    def _numbers(self, after_id: int, last_id: int | None) -> tuple[range, bool]:
        if last_id is None or last_id >= NO_BOUND:
            self.spent += 1
            bound = self.walk.sweeper.newest(self.walk.stream.endpoint)
            if bound is None:  # Then what is stored has to tell, which need not be the end.
                last_id = self.walk.sweeper.store.last_id(self.walk.stream.name)
                if last_id <= after_id:
                    self._record(up_to_id=None)
                    self.walk.sweeper.trouble.fruitless += 1
                return range(after_id + 1, last_id + 1), last_id <= after_id
            # From now on it is part of what is asked: often only the end of a list, without a bound, is too slow.
            self.walk.bound = bound
            self.walk.sweeper.store.endless.note(self.walk.stream.endpoint, bound)
            last_id = max(after_id, bound.last_id)
        return range(after_id + 1, last_id + 1), True

    def _ids(self) -> tuple[Sequence[int], bool]:
        """The ids of the page, and whether there are more behind them."""
        self.spent += 1
        listed = self.walk.ask(self.current, fields="id")
        ids = {body["id"] for body in listed.objects if is_id(body["id"])}
        self.served_at = self.served_at or listed.served_at
        return sorted(id for id in ids if id > self.current.after_id), listed.has_next

    # --- the search -------------------------------------------------------------------------------------------------

    @property
    def _left(self) -> int:
        most = FEWEST_REQUESTS if self.walk.sweeper.trouble.fruitless else MOST_REQUESTS
        return most - self.spent

    def _search(self, bounds: Sequence[int]) -> None:
        """Store everything up to the last of `bounds`, except what breaks a page of its own, while the budget lasts."""
        # A page that was full has failed. The last one may fail only without a bound.
        fails = self.full or len(bounds) == 1 or self._left <= 0 or isinstance(self.error, ResponseTooLarge)
        while bounds and (fails or self._left > 0):
            if not fails and self._bring(bounds):
                if self.current.after_id < bounds[-1]:
                    return  # The rest is a page of its own.
            else:
                self._find(bounds)
            bounds, fails = self._behind(bounds), False

    def _find(self, bounds: Sequence[int]) -> None:
        """Store everything before the first of `bounds` that breaks its page, and record that one; together they do."""
        alone, first = len(bounds) == 1, self.walk.span if isinstance(bounds, range) else 0
        while len(bounds) > 1 and self._left > 0:
            half = bounds[: first if 0 < first < len(bounds) else len(bounds) // 2]
            first = 0
            if self._bring(half):
                if isinstance(self.error, ResponseTooLarge):
                    return  # Together they were too large, which says nothing of the rest.
                bounds, alone = self._behind(bounds), False
            else:
                bounds, alone = half, len(half) == 1
        if len(bounds) > 1:
            self._give_up(bounds)
        elif bounds and not alone and self._left > 0 and self._bring(bounds):
            return  # It was not the object, but a moment of weakness.
        elif bounds:
            self._record(object_id=bounds[0], up_to_id=bounds[0])

    def _behind(self, bounds: Sequence[int]) -> Sequence[int]:
        return bounds[bisect_right(bounds, self.current.after_id) :]

    def _bring(self, bounds: Sequence[int]) -> bool:
        """Store what there is up to the last of `bounds`; False if that fails."""
        self.spent += 1
        try:
            page = self.walk.ask(self.current, up_to_id=bounds[-1])
            self.current = self.walk.store(self.current, page, finished=False, up_to_id=bounds[-1])
        except PAGE_ERRORS as error:
            self.error = error
            return False
        self.brought += len(page.objects)
        return True

    # --- what becomes of it -----------------------------------------------------------------------------------------

    def _give_up(self, bounds: Sequence[int]) -> None:
        """Record a range that fails; where nothing could be had, all ids of the page."""
        if not self.brought and not isinstance(self.known, range):
            bounds = self.known
        self._record(up_to_id=bounds[-1])

    def _record(self, *, up_to_id: int | None, object_id: int | None = None) -> None:
        is_docket = object_id is not None and self.walk.stream.docket_filter == "id"
        failure = Failure(
            error=type(self.error).__name__,
            message=str(self.error),
            object_id=object_id,
            docket_id=object_id if is_docket else None,
            after_id=self.current.after_id,
            up_to_id=up_to_id,
            requests=self.spent - self.booked,
        )
        self.booked = self.spent
        self.current = self._keep([failure], after_id=self.current.after_id if up_to_id is None else up_to_id)

    def _keep(self, failures: list[Failure], *, after_id: int, finished: bool = False) -> SweepPass:
        watermark = self.current.watermark or self.served_at
        page = PageOfRecords([], failures)
        return self.walk.keep(self.current, page, after_id=after_id, watermark=watermark, finished=finished)

    def _take_note(self) -> None:
        trouble = self.walk.sweeper.trouble
        if self.brought:
            trouble.fruitless = 0
        elif len(self.known) > 1:  # A single object says nothing about others.
            trouble.fruitless += 1


def store_in_parts(walk: _Walk, current: SweepPass, page: Page, error: PageRejected, *, finished: bool) -> SweepPass:
    """Store a page without the objects that Postgres refuses; they are in hand, so this costs no request."""
    if len(page.objects) == 1:
        id = page.objects[0].get("id")
        if not is_id(id):
            raise error
        failure = Failure("PageRejected", str(error), object_id=id, after_id=current.after_id, up_to_id=id)
        found = PageOfRecords([], [failure])
        return walk.keep(current, found, after_id=id, watermark=page.served_at, finished=finished)
    half = len(page.objects) // 2
    for objects, last in ((page.objects[:half], False), (page.objects[half:], True)):
        part = Page(objects, has_next=False, served_at=page.served_at)
        try:
            current = walk.store_objects(current, part, finished=finished and last)
        except PageRejected as refused:
            current = store_in_parts(walk, current, part, refused, finished=finished and last)
    return current
