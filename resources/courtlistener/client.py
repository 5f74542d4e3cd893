"""The client of CourtListener's REST API v4: every attempt under a permit of its own.

Belongs here: attempts and permits. Does not belong here: connections (`transport.py`), what a response means
(`responses.py`), finding out whether the server is down (`watch.py`), which pages to ask for
(`courtlistener_assets/download/sweep.py`), who gets a permit (`resources/quota/limiter.py`).
"""

from __future__ import annotations

import logging
import math
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any, TypeVar
from urllib.parse import urlsplit

from opentelemetry.trace import StatusCode

from resources.courtlistener.address import checked_base_url
from resources.courtlistener.answer import MOST_NUMBERED_PAGES, Response, asked_for
from resources.courtlistener.refusals import raise_for_status
from resources.courtlistener.responses import Page, count_of, object_of, page_of, reading_of
from resources.courtlistener.server_state import ServerState
from resources.courtlistener.token import REWRITE_SECONDS, ApiToken
from resources.courtlistener.transport import Timeouts, Transport
from resources.courtlistener.watch import NEUTRAL, Watch
from resources.errors import (
    ApiError,
    AuthenticationFailed,
    NotFound,
    PermissionDenied,
    QuotaError,
    ServerDown,
    SettingError,
    Throttled,
    TransientApiError,
    UnusableRecord,
)
from resources.quota.limiter import RateLimiter
from resources.quota.permits import Lane, Window
from resources.stopping import Stopping
from resources.telemetry import metrics, tracing

#: Below the logger that Dagster takes over into the log of a run.
_run_log = logging.getLogger("dagster.builtin.courtlistener")
_Result = TypeVar("_Result")


def half_of(window: Window) -> Window:
    """What this installation may have of a window of api-usage: another that uses the account needs as much."""
    return Window(max(1, window.limit // 2), window.seconds)


#: api-usage costs no quota but has a throttle of its own; these hold until the server names others.
API_USAGE_WINDOWS = (half_of(Window(10, 60)), half_of(Window(120, 3600)))

#: How old the account's windows may be: rates change during a backfill.
WINDOWS_MAX_AGE_SECONDS = 600.0
#: The same while others use the account; a run that begins wants to know what they did meanwhile.
SHARED_MAX_AGE_SECONDS = 75.0
_SHARED_MAX_AGE_AT_START_SECONDS = 5.0
PERMIT_TTL_SECONDS = Timeouts().permit_ttl
#: What api-usage may answer while pages can be had all the same.
_NO_USAGE = (TransientApiError, ServerDown, Throttled, NotFound, PermissionDenied, QuotaError)
#: A page that every account may have and that costs the server next to nothing.
_NEUTRAL_PAGE = {"fields": "id", "order_by": "id", "page": "1"}


@dataclass(frozen=True)
class _Usage:
    """What api-usage answered, the server's time then, and how long ago it was asked."""

    body: dict[str, Any]
    served_at: datetime
    age_seconds: Callable[[], float]


class CourtListenerClient:
    """Pages of CourtListener's API.

    `base_url` is the server without a path. The account's windows were read `windows_age_seconds` ago; they are read
    before the first request if that is too long. Up to `max_attempts` attempts are made for a page, `max_seconds` in
    all, with jittered exponential backoff between them; waiting for permits does not count. `requests_sent` counts
    attempts that reached the network, `refused` the 429s among them.
    """

    def __init__(
        self,
        base_url: str,
        token: str | ApiToken,
        limiter: RateLimiter,
        usage_limiter: RateLimiter,
        *,
        lane: Lane = Lane.BACKFILL,
        max_attempts: int = 2,
        max_seconds: float = 300.0,
        server: ServerState | None = None,
        transport: Transport | None = None,
        windows_age_seconds: float = math.inf,
        stopping: Stopping | None = None,
        sleep: Callable[[float], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        # Checked here as well as in the settings: the token must not go to any other kind of address.
        self._root = f"{checked_base_url(base_url)}/api/rest/v4/"
        #: The permits of the account, for reports.
        self.limiter = limiter
        self._usage_limiter = usage_limiter
        self._lane = lane
        self._max_attempts = max_attempts
        self._max_seconds = max_seconds
        #: Ends all waits of the client; afterwards it sends nothing.
        self.stopping = stopping or Stopping()
        self._sleep = sleep or self.stopping.sleep
        self._transport = transport or Transport(base_url)
        self._clock = clock
        self._watch = Watch(
            server or ServerState(),
            ask_usage=self._ask_usage_at_once,
            ask_neutrally=self._ask_neutrally,
            sleep=self._sleep,
            clock=clock,
        )
        self._token = ApiToken(token) if isinstance(token, str) else token
        self._windows_read_at = clock() - windows_age_seconds
        self._begun = windows_age_seconds < math.inf
        #: Rows of api-usage that cannot be used, each reported once.
        self._faults: set[str] = set()
        self._counting = threading.Lock()
        self.requests_sent = 0
        self._sent_for_free = 0
        self.refused = 0
        self._reported = 0

    def page(self, endpoint: str, params: Mapping[str, str], *, attempts: int | None = None) -> Page:
        """Return one page of a list endpoint (`dockets`) selected by query parameters, in at most `attempts` attempts.

        Raises TransientApiError when all attempts failed, QuotaDeferred when the quota has no room, and the other
        ApiErrors, which no retry can help.
        """
        return self._repeated(page_of, f"{endpoint}/", params, attempts)

    def walk(self, endpoint: str, *, after_id: int = 0, **filters: str | int) -> Iterator[dict[str, Any]]:
        """Yield all objects of a list endpoint that the filters select, each once, in the order of their ids.

        Pages of 20 are requested as the objects are used up, each under a permit of its own; `after_id` resumes behind
        an id. Raises as `page` does, SettingError for a filter that cannot be used, and UnusableRecord for an object
        without an id.

            for opinion in client.walk("opinions", cluster__docket__court="scotus"):
                keep(opinion)
        """
        if own := sorted({"order_by", "id__gt", "cursor"} & set(filters)):
            raise SettingError(f"{', '.join(own)}: walk sets the order itself; begin behind an id with after_id")
        if empty := sorted(name for name, value in filters.items() if value in ("", None)):
            # The server drops them, and would return everything.
            raise SettingError(f"{', '.join(empty)} has no value: leave the filter out, or give it one")
        params = {name: str(value) for name, value in filters.items()} | {"order_by": "id"}
        while True:
            begun_at, page = after_id, self.page(endpoint, {**params, "id__gt": str(after_id)})
            for found in page.objects:
                id = found.get("id") if isinstance(found, dict) else None
                if type(id) is not int:
                    raise UnusableRecord(f"{endpoint} has an object without an id, behind id {after_id}")
                if id < after_id:
                    raise TransientApiError(f"{endpoint} are not in the order of their ids, behind id {after_id}")
                if id > after_id:  # A filter from parent to children repeats rows.
                    after_id = id
                    yield found
            if not page.has_next:
                return
            if after_id == begun_at:
                raise TransientApiError(f"{endpoint} do not advance, behind id {after_id}")

    def numbered(self, endpoint: str, **filters: str | int) -> Iterator[Any]:
        """Yield all objects of a list endpoint that is paged by number, such as `courts`, with their ids only.

        Raises as `page` does. Such a list ends at its hundredth page.
        """
        params = {name: str(value) for name, value in filters.items()} | {"fields": "id", "order_by": "id"}
        for number in range(1, MOST_NUMBERED_PAGES + 1):
            page = self.page(endpoint, {**params, "page": str(number)})
            yield from page.objects
            if not page.has_next:
                return
        raise TransientApiError(f"{endpoint} have more than {MOST_NUMBERED_PAGES} pages")

    def object(self, endpoint: str, id: int, *, attempts: int | None = None) -> dict[str, Any]:
        """Return one object of an endpoint; raises as `page` does, Gone and NotFound if it no longer exists."""
        return self._repeated(object_of, f"{endpoint}/{id}/", attempts=attempts)

    def count(self, endpoint: str, params: Mapping[str, str]) -> int:
        """Count the objects of a list endpoint that the query parameters select, in one request; raises as `page`."""
        return self._repeated(count_of, f"{endpoint}/", {**params, "count": "on"})

    @contextmanager
    def in_lane(self, lane: Lane) -> Iterator[None]:
        """Take permits of another lane meanwhile, in all threads."""
        before, self._lane = self._lane, lane
        try:
            yield
        finally:
            self._lane = before

    def _repeated(
        self,
        read: Callable[[Response], _Result],
        path: str,
        params: Mapping[str, str] = MappingProxyType({}),
        attempts: int | None = None,
    ) -> _Result:
        """Send a request, and retry after a pause while the error is one that can pass."""
        last, started, endpoint = attempts or self._max_attempts, self._clock(), path.partition("/")[0]
        for attempt in range(1, last + 1):
            alone = self._watch.wait_for_turn(endpoint)
            # A long run outlives a change of rates, and what others do.
            if self._clock() - self._windows_read_at > SHARED_MAX_AGE_SECONDS:
                self.refresh_quota()
            sent_at = self._clock()
            try:
                with self._watch.heard(endpoint, alone=alone):
                    return read(self._ask(self.limiter, path, params, attempt))
            except Throttled as error:  # The limiter holds all workers; find out what the server counts.
                self.refresh_quota(max_age_seconds=0)
                error.requests, pause = attempt, 0.0
                if attempt == last:
                    raise
            except TransientApiError as error:
                error.requests, pause = attempt, random.uniform(0.0, min(30.0, 2.0 ** (attempt - 1)))
                self._watch.doubt(error, endpoint, sent_at, again=attempt < last)
                if attempt == last or self._clock() + pause - started > self._max_seconds:
                    raise
            self._sleep(pause)
        raise ValueError("attempts must be at least 1")

    def _ask_neutrally(self) -> None:
        page_of(self._ask(self.limiter, f"{NEUTRAL}/", _NEUTRAL_PAGE))

    def _ask_usage_at_once(self) -> None:
        usage = self._usage(max_wait_seconds=0.0)
        with suppress(TransientApiError, QuotaError):  # Windows that cannot be read are an answer, too.
            self._observe(usage)

    def report_outage(self, error: Exception) -> ApiError:
        """The error to raise once the fault is known not to be the page's: an empty page of its endpoint fails too.

        If other endpoints answer, it is this one that is out of order; that may take one more request to find out.
        """
        return self._watch.outage(error)

    def refused_endpoints(self) -> set[str]:
        """The endpoints that the account may not use, as far as that is known."""
        return self._watch.refused()

    def refresh_quota(self, *, max_age_seconds: float = WINDOWS_MAX_AGE_SECONDS) -> None:
        """Read the account's windows from api-usage, unless some worker did so within `max_age_seconds`.

        If others were seen to use the account, that is too long: then within SHARED_MAX_AGE_SECONDS, and when a client
        begins, always. Without a response the windows stay as last known.
        """
        self._windows_read_at = self._clock()
        shared_seconds = SHARED_MAX_AGE_SECONDS if self._begun else _SHARED_MAX_AGE_AT_START_SECONDS
        self._begun = True
        try:
            if self.limiter.needs_observation(max_age_seconds, shared_seconds):
                self._observe(self._usage(max_wait_seconds=0.0))
        except _NO_USAGE as error:  # Also when api-usage has no room, and without Postgres: permits wait.
            _run_log.warning("The account's windows could not be read: %s", error)

    @property
    def quota_requests(self) -> int:
        """How many of the requests that were sent cost quota; those to api-usage do not."""
        return self.requests_sent - self._sent_for_free

    def newly_sent(self) -> int:
        """Return how many requests were sent since the last call of this method."""
        with self._counting:
            new, self._reported = self.requests_sent - self._reported, self.requests_sent
        return new

    def read_quota(self) -> None:
        """Read the account's windows from api-usage now, in one request; raises as `page` does."""
        self._observe(self._usage())

    def _usage(self, *, max_wait_seconds: float | None = None) -> _Usage:
        age_seconds = self.limiter.stopwatch()
        response = self._ask(self._usage_limiter, "api-usage/", {}, max_wait_seconds=max_wait_seconds)
        return _Usage(object_of(response), response.served_at, age_seconds)

    def _observe(self, usage: _Usage) -> None:
        seen = reading_of(usage.body, "user", usage.served_at)
        self._report(seen.faults)
        self.limiter.observe(seen.windows, complete=not seen.faults, age_seconds=usage.age_seconds)
        own = reading_of(usage.body, "api_usage", usage.served_at)
        halves = [replace(each, window=half_of(each.window), used=0) for each in own.windows]
        self._usage_limiter.observe(halves, complete=not own.faults)

    def _report(self, faults: Sequence[str]) -> None:
        for fault in faults:
            if fault not in self._faults:
                self._faults.add(fault)
                _run_log.warning("A row of api-usage is ignored, and the windows known before stay: %s", fault)

    def close(self) -> None:
        """Close all connections; nobody waits for this client any more."""
        self._watch.close()
        self._transport.close()

    def _ask(
        self,
        limiter: RateLimiter,
        path: str,
        params: Mapping[str, str],
        nth: int = 1,
        *,
        max_wait_seconds: float | None = None,
    ) -> Response:
        """Send one request, the nth attempt, under a permit; raises unless its status is 200."""
        token = self._token.read(patience_seconds=REWRITE_SECONDS)
        url = self._root + path
        try:
            with limiter.permit(self._lane, max_wait_seconds=max_wait_seconds):
                self.stopping.check()
                with tracing.span("request", _request_attributes(url, nth), outgoing=True) as span:
                    if limiter is self._usage_limiter:
                        self._sent_for_free += 1
                    with self._counting:
                        self.requests_sent += 1
                    sent_at = self._clock()
                    response = self._transport.get(url, params, token)
                    metrics.REQUEST_DURATION.labels(path.partition("/")[0]).observe(self._clock() - sent_at)
                    span.set_attribute("http.response.status_code", response.status)
                    if response.status >= 400:
                        span.set_attribute("error.type", str(response.status))
                        span.set_status(StatusCode.ERROR)
                raise_for_status(response)
        except ApiError as error:
            metrics.REQUEST_ERRORS.labels(type(error).__name__).inc()
            self._note_refusal(error, url, token)
            raise
        self._token.accepted(token)
        return response

    def _note_refusal(self, error: ApiError, url: str, token: str) -> None:
        """Count a 429; raises TransientApiError if the token was refused, but is another one by now."""
        if isinstance(error, AuthenticationFailed) and self._token.replaced(token):
            raise TransientApiError(f"the API token was changed meanwhile: {asked_for(url)}") from error
        if isinstance(error, Throttled):
            with self._counting:
                self.refused += 1


def _request_attributes(url: str, nth: int) -> dict[str, str | int]:
    """What OpenTelemetry's conventions for HTTP say about a request; neither its query nor its headers."""
    parts = urlsplit(url)
    again = {"http.request.resend_count": nth - 1} if nth > 1 else {}
    return {"http.request.method": "GET", "server.address": parts.hostname or "", "url.path": parts.path, **again}
