"""Installations that share an account and nothing else, in simulated time: real clients, limiters and ledgers.

Belongs here: what the tests of a shared account need. Does not belong here: any expectation.
"""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any

import redis
import requests

from courtlistener_assets.devkit.simulator.accounts import Account, Accounts
from courtlistener_assets.devkit.simulator.application import Application
from courtlistener_assets.devkit.simulator.corpus import Corpus
from courtlistener_assets.devkit.simulator.faults import FaultPlan
from courtlistener_assets.devkit.simulator.responses import Request
from courtlistener_assets.devkit.simulator.truth import TruthLog
from resources.connections.postgres import Database
from resources.connections.redis_keys import RedisKeys
from resources.courtlistener.answer import Response
from resources.courtlistener.client import API_USAGE_WINDOWS, CourtListenerClient
from resources.errors import LedgerUnavailable, QuotaDeferred, Throttled
from resources.quota.failover import FailoverLedger
from resources.quota.lease import LeaseStore
from resources.quota.limiter import RateLimiter
from resources.quota.permits import Window
from resources.quota.postgres_ledger import PostgresLedger
from resources.quota.redis_ledger import RedisLedger
from tests.integration.ledger_harness import Clock

#: Years ahead: the journal forgets what is old by the real clock.
START_US = 2_000_000_123_456_780
TOKEN = "shared-token"
TTL_SECONDS = 120.0
DAY_SECONDS = 86_400.0
#: A run waits so long for a permit; beyond it, it ends and another begins later.
_PATIENCE_SECONDS = 60.0
_PAGE = {"fields": "id", "order_by": "id", "page": "1"}


class Server:
    """CourtListener with one account, on a clock that its requests and sleeps move."""

    def __init__(self, rates: str, *, latency_seconds: float = 0.2, unlogged: float = 0.0) -> None:
        """A share of the requests, `unlogged`, is answered by a cache in front of the server."""
        self._random, self._unlogged = random.Random(3), unlogged
        self.clock = Clock(START_US)
        self.account = Account("shared", TOKEN, rates)
        self.truth = TruthLog(None)
        self._latency_seconds = latency_seconds
        corpus = Corpus()
        self._application = Application(
            corpus, Accounts([self.account]), FaultPlan(), self.truth, lambda: self.clock.us / 1e6
        )

    def get(self, url: str, params: Mapping[str, str], token: str) -> Response:
        """As `Transport.get`; the request arrives in the middle of its time."""
        self.clock.advance(self._latency_seconds / 2)
        path = "/" + url.split("/", 3)[3]
        query = "&".join(f"{name}={value}" for name, value in params.items())
        headers = {"Authorization": f"Token {token}", "Accept": "application/json"}
        if "api-usage" not in path and self._random.random() < self._unlogged:
            self.clock.advance(self._latency_seconds / 2)
            return Response(url, 200, {"Content-Type": "application/json"}, b'{"next": null, "results": []}')
        answer = self._application.respond(Request("GET", path, query, headers, "server", b""))
        served = formatdate(self.clock.us // 1_000_000, usegmt=True)
        self.clock.advance(self._latency_seconds / 2)
        named = requests.structures.CaseInsensitiveDict({**answer.headers, "Date": served})
        return Response(url, answer.status, named, answer.body)

    def asked_by_hand(self) -> None:
        """Somebody else uses the account once."""
        self.get("http://server/api/rest/v4/courts/", _PAGE, TOKEN)

    def close(self) -> None:
        """A transport has nothing to close here."""


@dataclass
class Installation:
    """One that is greedy: it sends whatever it gets a permit for."""

    server: Server
    redis: redis.Redis
    database: Database
    name: str
    saw_others_at: float = math.inf
    sent_at: list[float] = field(default_factory=list)
    refused_at: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.leases = LeaseStore(
            self.database, self.name, fallback_windows=Window.parse_all("5/min"), clock_us=self.server.clock
        )
        self.limiter = self._limiter(self.leases)
        usage = LeaseStore(
            self.database, f"{self.name}:api_usage", fallback_windows=API_USAGE_WINDOWS, clock_us=self.server.clock
        )
        self.usage_limiter = self._limiter(usage)
        self.client = self._client()

    def _limiter(self, leases: LeaseStore) -> RateLimiter:
        clock = self.server.clock
        ledger = RedisLedger(
            self.redis,
            leases.account,
            permit_ttl_seconds=TTL_SECONDS,
            keys=RedisKeys(f"of_{self.name}"),
            clock_us=clock,
        )
        postgres = PostgresLedger(leases, permit_ttl_seconds=TTL_SECONDS)
        return RateLimiter(
            leases.account,
            FailoverLedger(ledger, postgres, leases, monotonic=lambda: clock.us / 1e6),
            max_wait_seconds=0.0,
            clock=lambda: clock.us / 1e6,
            sleep=clock.advance,
        )

    def _client(self) -> CourtListenerClient:
        """The client of a run that begins."""
        clock = self.server.clock
        return CourtListenerClient(
            "http://127.0.0.1:1",
            TOKEN,
            self.limiter,
            self.usage_limiter,
            transport=self.server,  # type: ignore[arg-type]
            sleep=clock.advance,
            clock=lambda: clock.us / 1e6,
        )

    @property
    def others(self) -> dict[str, Any]:
        """What it remembers of others."""
        with self.database.transaction() as connection:
            return self.leases.read(connection).others

    def go_on(self) -> float:
        """Ask for one page; returns how many seconds later it wants the next."""
        before = (self.client.quota_requests, self.client.refused)
        try:
            self.client.page("courts", _PAGE)
            return 0.0
        except QuotaDeferred as deferred:
            wait_seconds = deferred.wait_seconds + 0.001
        except (Throttled, LedgerUnavailable):
            wait_seconds = 1.0
        finally:
            now = (self.server.clock.us - START_US) / 1e6
            self.sent_at += [now] * (self.client.quota_requests - before[0])
            self.refused_at += [now] * (self.client.refused - before[1])
            if math.isinf(self.saw_others_at) and self.others:
                self.saw_others_at = now
        if wait_seconds > _PATIENCE_SECONDS:
            self.client = self._client()
        return wait_seconds


def play(server: Server, installations: Sequence[tuple[Installation, float, float]]) -> None:
    """Let installations go on, each from one second to another, since the start."""
    events: list[tuple[float, int]] = [(begin, index) for index, (_, begin, _end) in enumerate(installations)]
    heapq.heapify(events)
    while events:
        at, index = heapq.heappop(events)
        installation, _, end = installations[index]
        now = (server.clock.us - START_US) / 1e6
        if at >= end:
            continue
        if at > now:
            server.clock.advance(at - now)
        wait_seconds = installation.go_on()
        heapq.heappush(events, ((server.clock.us - START_US) / 1e6 + wait_seconds, index))
