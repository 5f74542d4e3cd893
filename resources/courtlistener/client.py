"""The client of CourtListener's REST API v4: every attempt under a permit of its own.

Belongs here: connections, attempts, permits. Does not belong here: what an answer means (`responses.py`), or that none
comes (`unanswered.py`), which pages to ask for (`courtlistener_assets/download/sweep.py`), who gets a permit
(`limiter.py`).
"""

import hashlib
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar
from urllib.parse import urlencode, urlsplit

import dagster as dg
import requests
import urllib3

from resources.connections.tls import refusal_of
from resources.courtlistener.responses import (
    Page,
    Response,
    asked_for,
    detail_of,
    object_of,
    page_of,
    retry_after_seconds,
    server_windows_of,
)
from resources.courtlistener.token import REWRITE_SECONDS, ApiToken, TokenFile
from resources.courtlistener.unanswered import never_sent, unanswered
from resources.errors import ResponseTooLarge, Throttled, TransientApiError, UntrustedServer
from resources.quota.limiter import RateLimiter, RedisRateLimitResource
from resources.quota.permits import Lane, Outcome, Permit, Window
from resources.telemetry import tracing

_Result = TypeVar("_Result")

#: api-usage costs no quota but has a throttle of its own; these hold until the server names others.
API_USAGE_WINDOWS = (Window(10, 60), Window(120, 3600))

CONNECT_TIMEOUT_SECONDS = 5.0
READ_TIMEOUT_SECONDS = 30.0
#: How old the account's windows may be: rates change while a backfill goes on.
WINDOWS_MAX_AGE_SECONDS = 600.0
#: From sending to the last byte; a server that drips a byte now and then must not hold a permit for ever.
ATTEMPT_SECONDS = 60.0
#: Longer than any attempt can take, so that no permit ages while its request is still under way.
PERMIT_TTL_SECONDS = CONNECT_TIMEOUT_SECONDS + ATTEMPT_SECONDS + READ_TIMEOUT_SECONDS + 25.0


class _TokenAuth(requests.auth.AuthBase):
    """As `auth`, not as a default header, since requests lets a .netrc file override the header."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Token {self._token}"
        return request


class CourtListenerClient:
    """Pages of CourtListener's API.

    `base_url` is the server without a path. Up to `max_attempts` attempts are made for a page, `max_seconds` in all,
    with jittered exponential backoff between them; waiting for permits does not count. `requests_sent` counts attempts
    that reached the network, `refused` the 429s among them.
    """

    def __init__(
        self,
        base_url: str,
        token: str | ApiToken,
        limiter: RateLimiter,
        usage_limiter: RateLimiter,
        *,
        lane: Lane = Lane.BACKFILL,
        max_attempts: int = 5,
        max_seconds: float = 300.0,
        max_body_bytes: int = 64 * 2**20,
        pool_size: int = 16,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._root = f"{base_url}/api/rest/v4/"
        #: The permits of the account, for whoever reports about them.
        self.limiter = limiter
        self._usage_limiter = usage_limiter
        self._lane = lane
        self._max_attempts = max_attempts
        self._max_seconds = max_seconds
        self._max_body_bytes = max_body_bytes
        self._sleep = sleep
        self._clock = clock
        self._session = requests.Session()
        self._token = ApiToken(token) if isinstance(token, str) else token
        # Without TLS a proxy that the environment names would read the token.
        self._session.trust_env = urlsplit(base_url).scheme == "https"
        self._session.headers.update({"Accept": "application/json", "User-Agent": "courtlistener-assets"})
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, requests.adapters.HTTPAdapter(pool_maxsize=pool_size))
        self._windows_read_at = clock()
        self._counting = threading.Lock()
        self.requests_sent = 0
        self.refused = 0

    def page(self, endpoint: str, params: Mapping[str, str], *, attempts: int | None = None) -> Page:
        """One page of a list endpoint (`dockets`), selected by query parameters, in at most `attempts` attempts.

        Raises TransientApiError when all attempts failed, QuotaDeferred when the quota has no room, and the other
        ApiErrors, which no repetition mends.
        """
        return self._repeated(lambda nth: page_of(self._attempt(self.limiter, f"{endpoint}/", params, nth)), attempts)

    def object(self, endpoint: str, id: int) -> dict[str, Any]:
        """One object of an endpoint; raises as `page` does, Gone and NotFound if it is no longer there."""
        return self._repeated(lambda nth: object_of(self._attempt(self.limiter, f"{endpoint}/{id}/", {}, nth)), None)

    def count(self, endpoint: str, params: Mapping[str, str]) -> int:
        """How many objects of a list endpoint the query parameters select; one request. Raises as `page` does."""
        query = {**params, "count": "on"}

        def ask(nth: int) -> int:
            body = object_of(self._attempt(self.limiter, f"{endpoint}/", query, nth))
            if type(body.get("count")) is not int:
                raise TransientApiError(f"{endpoint} answered without a count")
            return int(body["count"])

        return self._repeated(ask, None)

    def _repeated(self, ask: Callable[[int], _Result], attempts: int | None) -> _Result:
        """Ask again, after a pause, while the answer is one that can be better the next time.

        `ask` is told which attempt it is, from 1 on.
        """
        if self._clock() - self._windows_read_at > WINDOWS_MAX_AGE_SECONDS:  # A long run outlives a change of rates.
            self.refresh_quota()
        started = self._clock()
        last = attempts or self._max_attempts
        for attempt in range(1, last + 1):
            try:
                return ask(attempt)
            except (TransientApiError, Throttled) as error:
                if isinstance(error, Throttled):  # The limiter holds everybody back; find out what the server counts.
                    self.refresh_quota(max_age_seconds=0)
                    pause = 0.0
                else:
                    pause = random.uniform(0.0, min(30.0, 2.0 ** (attempt - 1)))
                error.requests = attempt
                if attempt == last or self._clock() + pause - started > self._max_seconds:
                    raise
                self._sleep(pause)
        raise ValueError("attempts must be at least 1")

    def refresh_quota(self, *, max_age_seconds: float = WINDOWS_MAX_AGE_SECONDS) -> None:
        """Learn the account's windows from api-usage, unless some worker did so within `max_age_seconds`.

        An answer that does not come leaves the windows as they are; the quota is then kept as last known.
        """
        self._windows_read_at = self._clock()
        if not self.limiter.needs_observation(max_age_seconds):
            return
        try:
            body = object_of(self._attempt(self._usage_limiter, "api-usage/", {}))
            self.limiter.observe(server_windows_of(body, "user"))
            self._usage_limiter.observe(server_windows_of(body, "api_usage"))
        except (TransientApiError, Throttled) as error:
            dg.get_dagster_logger().warning("The account's windows could not be read: %s", error)

    def close(self) -> None:
        """Close all connections."""
        self._session.close()

    def _attempt(self, limiter: RateLimiter, path: str, params: Mapping[str, str], nth: int = 1) -> Response:
        """Send one request, the nth for the same thing, under one permit, and settle the permit whatever happens."""
        token = self._token.read(patience_seconds=REWRITE_SECONDS)
        permit = self._fresh_permit(limiter)
        outcome = Outcome.COUNTED
        try:
            answer = self._traced(self._root + path, params, token, nth)
            outcome = answer.outcome
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            refusal = refusal_of(error, "REQUESTS_CA_BUNDLE")
            outcome = Outcome.NOT_COUNTED if refusal or never_sent(error) else Outcome.COUNTED
            if refusal:
                raise UntrustedServer(f"{urlsplit(self._root).netloc}: {refusal} Nothing was sent to it.") from error
            raise unanswered(f"{self._root}{path}?{urlencode(params)}".rstrip("?"), error) from error
        finally:
            limiter.settle(permit, outcome)
        if answer.status < 400:
            self._token.accepted(token)
        elif answer.status == 401 and self._token.replaced(token):
            raise TransientApiError(f"the API token was changed meanwhile: {asked_for(answer.url)}")
        if answer.status == 429:
            with self._counting:
                self.refused += 1
            limiter.throttled(retry_after_seconds(answer), detail_of(answer))
        return answer

    def _fresh_permit(self, limiter: RateLimiter) -> Permit:
        """A permit that is young enough to be used: a worker that was suspended gives its old one back."""
        while True:
            permit = limiter.acquire(self._lane)
            if not limiter.is_stale(permit):
                return permit
            limiter.settle(permit, Outcome.NOT_COUNTED)

    def _traced(self, url: str, params: Mapping[str, str], token: str, nth: int) -> Response:
        with tracing.span("request", _request_attributes(url, nth), outgoing=True) as span:
            answer = self._send(url, params, token)
            span.set({"http.response.status_code": answer.status})
            if answer.status >= 400:
                span.fail(str(answer.status))
            return answer

    def _send(self, url: str, params: Mapping[str, str], token: str) -> Response:
        """One request and its whole answer, within ATTEMPT_SECONDS (and one more read) and the size limit."""
        with self._counting:
            self.requests_sent += 1
        deadline = self._clock() + ATTEMPT_SECONDS
        with self._session.get(
            url,
            params=dict(params),
            auth=_TokenAuth(token),
            timeout=(CONNECT_TIMEOUT_SECONDS, READ_TIMEOUT_SECONDS),
            allow_redirects=False,  # A redirect would be a request without a permit, and could leave the host.
            stream=True,
        ) as response:
            body = bytearray()
            # read1 gives what has arrived; iter_content would wait for a full part, however slowly it drips.
            while part := response.raw.read1(64 * 1024, decode_content=True):
                body += part
                if len(body) > self._max_body_bytes:
                    raise ResponseTooLarge(
                        f"The answer has more than {self._max_body_bytes} bytes: {asked_for(response.url)}"
                    )
                if self._clock() > deadline:
                    raise requests.Timeout(f"the answer took longer than {ATTEMPT_SECONDS:.0f} s")
            return Response(response.url, response.status_code, response.headers, bytes(body))


def _request_attributes(url: str, nth: int) -> dict[str, str | int]:
    """What OpenTelemetry's conventions for HTTP say about a request; neither its query nor its headers."""
    parts = urlsplit(url)
    again = {"http.request.resend_count": nth - 1} if nth > 1 else {}
    return {"http.request.method": "GET", "server.address": parts.hostname or "", "url.path": parts.path, **again}


def account_of(token: str) -> str:
    """A name for the account of a token, from which the token cannot be found."""
    return hashlib.sha256(f"courtlistener account {token}".encode()).hexdigest()[:12]


class CourtListenerResource(dg.ConfigurableResource["CourtListenerResource"]):
    """CourtListener's API as a Dagster resource."""

    base_url: str
    api_token: str
    #: A file with the token, read for every request, in place of `api_token`.
    api_token_file: str = ""
    #: Names the ledger of permits; empty: made from the token. Set it to keep the count when the token changes.
    account: str = ""
    rate_limit: RedisRateLimitResource

    def account_name(self) -> str:
        """The name of the account's ledger of permits; raises SettingError without a token."""
        return self.account or account_of(self._api_token().read())

    def _api_token(self) -> ApiToken:
        return TokenFile(self.api_token_file) if self.api_token_file else ApiToken(self.api_token)

    @contextmanager
    def open(self, lane: Lane = Lane.BACKFILL) -> Iterator[CourtListenerClient]:
        """A client with connections of its own, closed at the end; raises SettingError without a token."""
        token = self._api_token()
        token.read()
        account = self.account_name()
        limiter = self.rate_limit.limiter(account, permit_ttl_seconds=PERMIT_TTL_SECONDS)
        usage_limiter = self.rate_limit.limiter(
            f"{account}:api_usage", permit_ttl_seconds=PERMIT_TTL_SECONDS, fallback_windows=API_USAGE_WINDOWS
        )
        client = CourtListenerClient(self.base_url, token, limiter, usage_limiter, lane=lane)
        try:
            yield client
        finally:
            client.close()
            tracing.flush()
            limiter.publish_metrics()
            limiter.close()
            usage_limiter.close()
