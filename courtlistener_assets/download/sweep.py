"""Walking a sweep: page after page by id, each stored with its checkpoint before the next is requested.

Belongs here: the order of steps within a sweep, and the way around an object that breaks its page. Does not belong
here: filters (`streams.py`), HTTP, SQL, Dagster.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from structlog.contextvars import get_contextvars

from courtlistener_assets.download.api_changes import ApiChanges
from courtlistener_assets.download.partitions import Selection
from courtlistener_assets.download.stream import Stream, Sweep, is_id
from courtlistener_assets.logs import detail_log, run_log
from resources.courtlistener.client import CourtListenerClient
from resources.courtlistener.responses import Page
from resources.errors import ApiError, PageRejected, ResponseTooLarge, TransientApiError
from resources.records.model import Failure, PageOfRecords, Scope, SweepKey, SweepPass
from resources.records.store import RecordStore
from resources.telemetry import metrics, tracing

#: How far a new pass looks back behind the start of the last one, and how far the order of dates is not trusted. Rows
#: become visible a little after their date_modified, replicas of the server's database lag behind it, and its processes
#: do not share one clock.
OVERLAP = timedelta(minutes=10)
#: What a single object of a page can cause. Anything else (the token, the quota, Postgres) is no fault of the page.
PAGE_ERRORS = (TransientApiError, ResponseTooLarge, PageRejected)


class SweepStopped(Exception):
    """The run was told to stop; the checkpoint is kept."""


@dataclass(frozen=True)
class Sweeper:
    """Walks sweeps for one run.

    `stopped` is called before every request, `stored` with every page once it is stored and the pass as it was
    before. The sweeps are those of `asset`, or of the asset named like the stream. What `scope` excludes is not stored.
    `looked_up`: what is walked was noted as missing.
    """

    client: CourtListenerClient
    store: RecordStore
    run_id: str
    full_refresh: bool = False
    stopped: Callable[[], bool] = lambda: False
    stored: Callable[[SweepPass, PageOfRecords], None] = lambda before, page: None
    asset: str = ""
    api_changes: ApiChanges = field(default_factory=ApiChanges)
    scope: Scope | None = None
    looked_up: bool = False

    def walk_partition(self, stream: Stream, partition: Selection) -> list[SweepPass]:
        """Bring a whole partition up to date; returns the finished passes. Raises as `walk` does."""
        beside = []
        for sweep in () if self.full_refresh else stream.increments:
            begun = self.store.begin_increment(
                self.key(stream, sweep, partition), sweep.beside, run_id=self.run_id, overlap=OVERLAP
            )
            if begun:
                beside.append(self._to_the_end(begun, stream, sweep, partition))
        return beside + [self.walk(stream, sweep, partition) for sweep in stream.sweeps]

    def walk(self, stream: Stream, sweep: Sweep, partition: Selection) -> SweepPass:
        """Walk a sweep from its checkpoint to its end; returns the finished pass.

        Raises what the client and the store raise; every page stored until then stays stored.
        """
        begun = self.store.begin_pass(
            self.key(stream, sweep, partition),
            run_id=self.run_id,
            full_refresh=self.full_refresh,
            overlap=OVERLAP,
            after_id=sweep.after_id,
        )
        return self._to_the_end(begun, stream, sweep, partition)

    def walk_since(self, stream: Stream, sweep: Sweep, partition: Selection, since: datetime) -> SweepPass:
        """The same for what was modified since a moment, less the overlap."""
        key = self.key(stream, sweep, partition)
        begun = self.store.begin_pass_since(key, since - OVERLAP, run_id=self.run_id)
        return self._to_the_end(begun, stream, sweep, partition)

    def ask(self, endpoint: str, id: int) -> dict[str, Any]:
        """Ask for a single object; raises as the client does, and SweepStopped."""
        if self.stopped():
            raise SweepStopped
        return self.client.object(endpoint, id, attempts=2)

    def key(self, stream: Stream, sweep: Sweep, partition: Selection) -> SweepKey:
        """The key of a sweep's checkpoint."""
        return SweepKey(self.asset or stream.name, str(partition), sweep.name)

    def _to_the_end(self, current: SweepPass, stream: Stream, sweep: Sweep, partition: Selection) -> SweepPass:
        key, walk = current.key, _Walk(self, stream, sweep, partition)
        with tracing.trace("sweep", _named({**get_contextvars(), **asdict(key), "pass": current.number})):
            while not current.finished:
                with tracing.span("page", _named({"stream": stream.name, "after_id": current.after_id})):
                    current = walk.next_page(current)
        return current


@dataclass(frozen=True)
class _Walk:
    """One sweep of one partition."""

    sweeper: Sweeper
    stream: Stream
    sweep: Sweep
    partition: Selection

    def next_page(self, current: SweepPass) -> SweepPass:
        """Store the page behind the checkpoint; if an object breaks it, store the others and record that one."""
        try:
            page = self._ask(current)
            return self._store(current, page, finished=not page.has_next)
        except PAGE_ERRORS as error:
            further = self._go_around(current, error)
            if further.after_id <= current.after_id and not further.finished:
                raise  # No way around it, so retrying would never end.
            return further

    def _ask(self, current: SweepPass, up_to_id: int | None = None, attempts: int | None = None, **extra: str) -> Page:
        if self.sweeper.stopped():
            raise SweepStopped
        filters = {**self.stream.limits, **self.sweep.params(self.partition)}
        params = {**filters, "order_by": "id", "id__gt": str(current.after_id), **extra}
        if up_to_id is not None:
            params["id__lte"] = str(min(up_to_id, int(params.get("id__lte", up_to_id))))
        if current.since is not None:
            # With Z: the server takes a time without zone for Pacific time, and an unescaped + for a space.
            params[f"{self.sweep.modified}__gte"] = current.since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        if self.stream.omit and "fields" not in params:
            params["omit"] = ",".join(self.stream.omit)
        return self.sweeper.client.page(self.stream.endpoint, params, attempts=attempts)

    def _store(self, current: SweepPass, page: Page, *, finished: bool, up_to_id: int | None = None) -> SweepPass:
        ids = [body["id"] for body in page.objects if isinstance(body, dict) and is_id(body.get("id"))]
        after_id = max(ids, default=current.after_id) if up_to_id is None or page.has_next else up_to_id
        if page.has_next and after_id <= current.after_id:
            raise TransientApiError(f"{self.stream.endpoint} does not advance beyond id {current.after_id}")
        records = self.stream.read_page(page.objects, self.partition)
        if self.sweep.whole:  # Objects that failed before are no news.
            self.sweeper.api_changes.look_at(self.stream, page.objects, records.failures)
        # An object without id or docket can only be found again among the ids of its page.
        records.failures[:] = [_placed(failure, current.after_id, after_id) for failure in records.failures]
        kept = self._keep(current, records, after_id=after_id, watermark=page.served_at, finished=finished)
        metrics.PAGES.labels(self.stream.name).inc()
        metrics.RECORDS.labels(self.stream.name).inc(len(page.objects))
        return kept

    def _keep(
        self,
        current: SweepPass,
        records: PageOfRecords,
        *,
        after_id: int,
        watermark: datetime | None,
        finished: bool = False,
    ) -> SweepPass:
        counts = {"records": len(records.records), "failures": len(records.failures)}
        with tracing.span("store", _named(counts)):
            stored = self.sweeper.store.store_page(
                current,
                records,
                after_id=after_id,
                watermark=watermark,
                finished=finished,
                court=self.partition.court,
                month=self.sweep.month_of(self.partition),
                tolerance=OVERLAP,
                scope=self.sweeper.scope,
                any_month=self.sweep.any_month,
                looked_up=self.sweeper.looked_up,
            )
        place = {"stream": self.stream.name, "sweep": self.sweep.name}
        for failure in records.failures:
            _tell_of_failure(current.key, failure, place)
        detail_log.info("A page is stored", extra={"event": "page_stored", **place, "after_id": after_id, **counts})
        self.sweeper.stored(current, records)
        return stored

    # --- around an object that breaks its page ----------------------------------------------------------------------

    def _go_around(self, current: SweepPass, error: ApiError | PageRejected) -> SweepPass:
        """Move the checkpoint past what breaks this page; raises `error` if the fault is not the page's.

        With the page's ids the culprit is found by bisection. If not even its ids can be listed, ranges of growing
        width are tried from the checkpoint on, until one fails; that one is bisected.
        """
        try:
            self._ask(current, up_to_id=current.after_id, attempts=2)
        except PAGE_ERRORS:
            raise error from None  # Not even an empty page comes: the server is down, not the page bad.
        try:
            listed = self._ask(current, attempts=2, fields="id")
            ids = sorted({body["id"] for body in listed.objects if is_id(body["id"]) and body["id"] > current.after_id})
            return self._halve(current, ids) if ids else current
        except (*PAGE_ERRORS, KeyError, TypeError):
            return self._feel_forward(current)

    def _feel_forward(self, current: SweepPass) -> SweepPass:
        for exponent in range(63):
            bounds = range(current.after_id + 1, current.after_id + 2**exponent + 1)
            try:
                page = self._ask(current, up_to_id=bounds[-1], attempts=2)
                current = self._store(current, page, finished=False, up_to_id=bounds[-1])
            except PAGE_ERRORS as error:
                return self._narrow(current, bounds, error)
            if page.objects:
                break
        return current

    def _halve(self, current: SweepPass, bounds: Sequence[int]) -> SweepPass:
        """Store everything up to the last of `bounds`, except what breaks a page of its own."""
        if not bounds:
            return current
        try:
            page = self._ask(current, up_to_id=bounds[-1], attempts=2)
            current = self._store(current, page, finished=False, up_to_id=bounds[-1])
        except PAGE_ERRORS as error:
            return self._narrow(current, bounds, error)
        return self._halve(current, bounds[bisect_right(bounds, current.after_id) :] if page.has_next else [])

    def _narrow(self, current: SweepPass, bounds: Sequence[int], error: Exception) -> SweepPass:
        """Find what has just broken the page of `bounds` in one of its halves; of a single id, record it."""
        if len(bounds) == 1:
            return self._record(current, bounds[0], error)
        half = len(bounds) // 2
        return self._halve(self._halve(current, bounds[:half]), bounds[half:])

    def _record(self, current: SweepPass, id: int, error: Exception) -> SweepPass:
        failure = Failure(
            error=type(error).__name__,
            message=str(error),
            object_id=id,
            docket_id=id if self.stream.docket_filter == "id" else None,
            after_id=current.after_id,
            up_to_id=id,
            requests=error.requests if isinstance(error, ApiError) else 1,
        )
        return self._keep(current, PageOfRecords([], [failure]), after_id=id, watermark=current.watermark)


def _placed(failure: Failure, after_id: int, up_to_id: int) -> Failure:
    if failure.object_id is not None or failure.docket_id is not None:
        return failure
    return replace(failure, after_id=after_id, up_to_id=up_to_id)


def _tell_of_failure(key: SweepKey, failure: Failure, place: dict[str, str]) -> None:
    ids = ("docket_id", "object_id", "after_id", "up_to_id")
    known = {name: getattr(failure, name) for name in ids if getattr(failure, name) is not None}
    what = ", ".join(f"{name} {id}" for name, id in known.items())
    run_log.warning(
        f"{key.asset} {key.partition} failed for {what}: {failure.error}: {failure.message}",
        extra={"event": "docket_failed", **place, **known, "error": failure.error},
    )


def _named(fields: Mapping[str, str | int]) -> dict[str, str | int]:
    """Return fields as attributes of a span."""
    return {f"courtlistener.{name}": value for name, value in fields.items()}
