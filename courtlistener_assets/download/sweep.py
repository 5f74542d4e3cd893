"""Walking a sweep: page after page by id, each stored with its checkpoint before the next is requested.

Belongs here: the order of steps within a sweep. Does not belong here: the way around an object that breaks its page
(`way_around.py`), filters (`streams.py`), HTTP, SQL, Dagster.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from structlog.contextvars import get_contextvars

from courtlistener_assets.download.api_changes import ApiChanges
from courtlistener_assets.download.partitions import Selection
from courtlistener_assets.download.stream import Stream, Sweep, is_id
from courtlistener_assets.download.way_around import PAGE_ERRORS, Trouble, WayAround, store_in_parts
from courtlistener_assets.logs import detail_log, run_log
from resources.courtlistener.client import CourtListenerClient
from resources.courtlistener.responses import Page
from resources.errors import PageRejected, TransientApiError
from resources.records.endless import Bound
from resources.records.model import Failure, PageOfRecords, Record, Scope, SweepKey, SweepPass
from resources.records.store import RecordStore
from resources.telemetry import metrics, tracing

#: How far a new pass looks back behind the start of the last one, and how far the order of dates is not trusted. Rows
#: become visible a little after their date_modified, replicas of the server's database lag behind it, and its processes
#: do not share one clock.
OVERLAP = timedelta(minutes=10)


class SweepStopped(Exception):
    """The run was told to stop; the checkpoint is kept."""


@dataclass(frozen=True)
class Sweeper:
    """Walks sweeps for one run.

    `stopped` is called before every request, `arriving` with the records of every page before they are stored, `stored`
    with every page once it is stored and the pass as it was before. The sweeps are those of `asset`, or of the asset
    named like the stream. What `scope` excludes is not stored. `looked_up`: what is walked was noted as missing. Pages
    and objects are asked for in `attempts`. `trouble` is what all its walks have met.
    """

    client: CourtListenerClient
    store: RecordStore
    run_id: str
    full_refresh: bool = False
    stopped: Callable[[], bool] = lambda: False
    arriving: Callable[[Sequence[Record]], None] = lambda records: None
    stored: Callable[[SweepPass, PageOfRecords], None] = lambda before, page: None
    asset: str = ""
    api_changes: ApiChanges = field(default_factory=ApiChanges)
    scope: Scope | None = None
    looked_up: bool = False
    attempts: int = 2
    trouble: Trouble = field(default_factory=Trouble)

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
        """The same for what was modified since a moment, or since its last pass if that was before, minus overlap."""
        key = self.key(stream, sweep, partition)
        begun = self.store.begin_pass_since(key, since, run_id=self.run_id, overlap=OVERLAP)
        return self._to_the_end(begun, stream, sweep, partition)

    def walk_unless_met(
        self, stream: Stream, sweep: Sweep, partition: Selection, since: datetime, met: SweepPass
    ) -> SweepPass:
        """The same, without a request if the finished pass `met` has shown that this one would bring nothing.

        It is walked all the same if it was begun before, or has to begin earlier than that one did.
        """
        key = self.key(stream, sweep, partition)
        begun = self.store.begin_pass_since(key, since, run_id=self.run_id, overlap=OVERLAP)
        if begun.finished or begun.pages or begun.since is None or met.since is None or begun.since < met.since:
            return self._to_the_end(begun, stream, sweep, partition)
        nothing = PageOfRecords([])
        return self.store.store_page(begun, nothing, after_id=0, watermark=met.watermark, finished=True)

    def ask(self, endpoint: str, id: int) -> dict[str, Any]:
        """Ask for a single object; raises as the client does, and SweepStopped."""
        if self.stopped():
            raise SweepStopped
        return self.client.object(endpoint, id, attempts=self.attempts)

    def check_server(self, endpoint: str, error: Exception) -> datetime:
        """Ask for an empty page after an object or a page has failed; return the server's time.

        Raises ServerDown if not even that comes: then what failed is not to blame.
        """
        if self.stopped():
            raise SweepStopped
        try:
            return self.client.page(endpoint, {"order_by": "id", "id__gt": "0", "id__lte": "0"}, attempts=1).served_at
        except TransientApiError:
            raise self.client.report_outage(error) from None

    def newest(self, endpoint: str) -> Bound | None:
        """Ask for the last id of an endpoint; None if the server does not say."""
        # With a filter, since the server keeps the first page of a list without any for ten minutes.
        params = {"order_by": "-id", "id__gt": "0", "fields": "id"}
        try:
            page = self.client.page(endpoint, params, attempts=1)
            return Bound(max((body["id"] for body in page.objects if is_id(body["id"])), default=0), page.served_at)
        except (*PAGE_ERRORS, KeyError, TypeError):
            return None

    def _bound(self, endpoint: str) -> Bound | None:
        """The last id of an endpoint whose lists do not come to their end without; None of any other."""
        bound, is_fresh = self.store.endless.bound(endpoint)
        if bound is None or is_fresh:
            return bound
        if self.stopped():
            raise SweepStopped
        if newer := self.newest(endpoint):
            self.store.endless.renew(endpoint, newer)
        return newer

    def key(self, stream: Stream, sweep: Sweep, partition: Selection) -> SweepKey:
        """The key of a sweep's checkpoint."""
        return SweepKey(self.asset or stream.name, str(partition), sweep.name)

    def _to_the_end(self, current: SweepPass, stream: Stream, sweep: Sweep, partition: Selection) -> SweepPass:
        key, walk = current.key, _Walk(self, stream, sweep, partition, bound=self._bound(stream.endpoint))
        with tracing.trace("sweep", _named({**get_contextvars(), **asdict(key), "pass": current.number})):
            while not current.finished:
                with tracing.span("page", _named({"stream": stream.name, "after_id": current.after_id})):
                    current = walk.next_page(current)
        return current


@dataclass
class _Walk:
    """One sweep of one partition, up to a bound if its end cannot be asked for without one.

    `span` is by how much the id grew over the last full page.
    """

    sweeper: Sweeper
    stream: Stream
    sweep: Sweep
    partition: Selection
    bound: Bound | None = None
    span: int = 0

    def next_page(self, current: SweepPass) -> SweepPass:
        """Store the page behind the checkpoint; if an object breaks it, store the others and record that one."""
        alone = self.last_id() == current.after_id + 1
        try:
            page = self.ask(current, attempts=1 if alone else self.sweeper.attempts)
            stored = self.store(current, page, finished=not page.has_next)
        except PAGE_ERRORS as error:
            return WayAround(self, current, error).go()
        if page.objects:
            self.sweeper.trouble.fruitless = 0
        if page.has_next and current.after_id > self.sweep.after_id:
            self.span = stored.after_id - current.after_id
        return stored

    def last_id(self, up_to_id: int | None = None) -> int | None:
        """The last id that is asked for; None if there is no bound."""
        own = self.sweep.params(self.partition).get("id__lte")
        bound = self.bound.last_id if self.bound else None
        bounds = [each for each in (up_to_id, bound, int(own) if own else None) if each is not None]
        return min(bounds, default=None)

    def ask(self, current: SweepPass, up_to_id: int | None = None, *, attempts: int = 1, **extra: str) -> Page:
        """Ask for a page behind the checkpoint."""
        if self.sweeper.stopped():
            raise SweepStopped
        filters = {**self.stream.limits, **self.sweep.params(self.partition)}
        params = {**filters, "order_by": "id", "id__gt": str(current.after_id), **extra}
        last_id = self.last_id(up_to_id)
        if last_id is not None:
            params["id__lte"] = str(last_id)
        if current.since is not None:
            # With Z: the server takes a time without zone for Pacific time, and an unescaped + for a space.
            params[f"{self.sweep.modified}__gte"] = current.since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        if self.stream.omit and "fields" not in params:
            params["omit"] = ",".join(self.stream.omit)
        return self.sweeper.client.page(self.stream.endpoint, params, attempts=attempts)

    def store(self, current: SweepPass, page: Page, *, finished: bool, up_to_id: int | None = None) -> SweepPass:
        """Store a page, all of it up to `up_to_id`, without what Postgres refuses of it."""
        try:
            return self.store_objects(current, page, finished=finished, up_to_id=up_to_id)
        except PageRejected as error:
            return store_in_parts(self, current, page, error, finished=finished)

    def store_objects(
        self, current: SweepPass, page: Page, *, finished: bool, up_to_id: int | None = None
    ) -> SweepPass:
        """Store all objects of a page with its checkpoint, or raise PageRejected."""
        ids = [body["id"] for body in page.objects if isinstance(body, dict) and is_id(body.get("id"))]
        after_id = max([current.after_id, *ids]) if up_to_id is None or page.has_next else up_to_id
        if page.has_next and after_id <= current.after_id:
            raise TransientApiError(f"{self.stream.endpoint} does not advance beyond id {current.after_id}")
        records = self.stream.read_page(page.objects, self.partition)
        if self.sweep.whole:  # Objects that failed before are no news.
            self.sweeper.api_changes.look_at(self.stream, page.objects, records.failures)
        # An object without id or docket can only be found again among the ids of its page.
        records.failures[:] = [_placed(failure, current.after_id, after_id) for failure in records.failures]
        self.sweeper.arriving(records.records)
        kept = self.keep(current, records, after_id=after_id, watermark=page.served_at, finished=finished)
        metrics.PAGES.labels(self.stream.name).inc()
        metrics.RECORDS.labels(self.stream.name).inc(len(page.objects))
        return kept

    def keep(
        self,
        current: SweepPass,
        records: PageOfRecords,
        *,
        after_id: int,
        watermark: datetime | None,
        finished: bool = False,
    ) -> SweepPass:
        """Store records and failures, and move the checkpoint."""
        if self.bound and watermark:  # What came behind it is for the next pass.
            watermark = min(watermark, self.bound.served_at)
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
