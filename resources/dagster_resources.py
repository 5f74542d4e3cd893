"""Everything that a Dagster location needs from here, as resources: thin, sealed, without rules of their own.

    CourtListenerResource -> RedisRateLimitResource -> RedisResource, PostgresResource
    RecordStoreResource, BacklogResource            -> PostgresResource (and RedisResource)

Belongs here: fields, and opening what the rooms offer. Does not belong here: any behaviour; every class here can be
replaced by calling the plain one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import dagster as dg
import redis
from pydantic import field_validator

from resources.backlog.backlog import Backlog
from resources.backlog.deferrals import Deferrals
from resources.backlog.failure_lists import FailureLists
from resources.backlog.failures import Failures
from resources.connections import pools
from resources.connections.postgres import Database
from resources.connections.redis_address import TIMEOUT_SECONDS, keys_at, subscribe
from resources.connections.redis_keys import RedisKeys
from resources.courtlistener.address import DEFAULT_BASE_URL, checked_base_url
from resources.courtlistener.client import API_USAGE_WINDOWS, PERMIT_TTL_SECONDS, CourtListenerClient
from resources.courtlistener.outage import EndpointTrouble, Outage, outages
from resources.courtlistener.server_state import SharedServerState
from resources.courtlistener.token import ApiToken, TokenFile, account_of
from resources.courtlistener.transport import Timeouts, Transport
from resources.legacy.pipeline_state import STATE_TTL_HOURS, PipelineState
from resources.legacy.replaced_pipeline import ReplacedPipeline
from resources.quota.eta import Outlook
from resources.quota.failover import FailoverLedger
from resources.quota.lease import LeaseStore
from resources.quota.limiter import RateLimiter
from resources.quota.outlook import read_outlook
from resources.quota.permits import Lane, Window
from resources.quota.postgres_ledger import PostgresLedger
from resources.quota.redis_ledger import RedisLedger
from resources.quota.settling import Settling
from resources.quota.turns import Announced, Line
from resources.records.audit import RecordAudit
from resources.records.jurisdictions import Jurisdictions
from resources.records.store import RecordStore
from resources.records.tables import Table
from resources.sealed import SealedResource, Secret
from resources.stopping import Stopping
from resources.telemetry import metrics, tracing


class PostgresResource(SealedResource["PostgresResource"]):
    """The Postgres database that holds the schema `courtlistener`, which is made when it is first used."""

    #: A libpq URL, see `Database`.
    url: Secret

    def database(self) -> Database:
        """The process's pool of connections, with the schema up to date; raises SettingError, StoreUnavailable."""
        database = pools.database(self.url)
        database.ensure_schema()
        return database


class RedisResource(SealedResource["RedisResource"]):
    """A Redis or Valkey server: by its address, by Sentinels that know it, or in a cluster."""

    #: As `redis_address.connect` takes it.
    url: Secret
    #: The first part of all keys; in a cluster, it gets braces if it has none.
    prefix: str = RedisKeys.prefix
    #: Silence after which Redis counts as away, unless the address says `socket_timeout=`.
    timeout_seconds: float = TIMEOUT_SECONDS

    def client(self) -> redis.Redis:
        """The process's client; connects when first used. Raises SettingError."""
        return pools.redis_client(self.url, self.prefix, timeout_seconds=self.timeout_seconds)

    def line(self, account: str) -> Line:
        """The waiters for permits of an account, as the process hears of them. Raises SettingError."""
        client, channel = self.client(), self.key_names().turns(account)
        return pools.shared(("line", self.url, channel), lambda: Line(lambda: subscribe(client, channel)))

    def key_names(self) -> RedisKeys:
        """The names of our keys on this server."""
        return keys_at(self.url, self.prefix)


class RedisRateLimitResource(ReplacedPipeline, SealedResource["RedisRateLimitResource"]):
    """The quota ledger: Redis decides, Postgres keeps the journal and stands in for Redis.

    `redis_url` and `postgres_url` may be given in place of the two resources. The methods of the replaced pipeline
    charge `account`.
    """

    redis: RedisResource
    postgres: PostgresResource
    #: In force until CourtListener has named the account's own windows.
    rate_limits: str = "5/min,50/hour,125/day"
    #: Longest wait of a run for a permit; beyond it, the run is deferred.
    max_wait_seconds: float = 90.0
    #: Share of every limit that backfills leave to retries and fresh data.
    reserve_share: float = 0.0
    #: Another pipeline charges its calls to the same hourly counter: admit no more than this many an hour together.
    shared_hour_limit: int = 0
    #: Names the ledger of permits, also for a CourtListenerResource that names none. None: `default` for the methods of
    #: the replaced pipeline, which know no token, and a name made from its token for a CourtListenerResource.
    account: str | None = None
    #: How long the state of a run is kept after its last step.
    state_ttl_hours: float = STATE_TTL_HOURS

    def __init__(self, *, redis_url: str | None = None, postgres_url: str | None = None, **fields: Any) -> None:
        if redis_url is not None:
            fields["redis"] = RedisResource(url=redis_url)
        if postgres_url is not None:
            fields["postgres"] = PostgresResource(url=postgres_url)
        super().__init__(**fields)

    def limiter(
        self,
        account: str,
        *,
        permit_ttl_seconds: float = PERMIT_TTL_SECONDS,
        fallback_windows: tuple[Window, ...] = (),
        stopping: Stopping | None = None,
        settling: Settling | None = None,
    ) -> RateLimiter:
        """Permits for one account, whose requests end within `permit_ttl_seconds` of their permit.

        Waits end at once when `stopping` says so. Limiters of one worker may share `settling`.

        Raises SettingError for settings that cannot be used, and StoreUnavailable.
        """
        stopping = stopping or Stopping()
        windows = fallback_windows or Window.parse_all(self.rate_limits)
        leases = LeaseStore(self.postgres.database(), account, fallback_windows=windows)
        redis_ledger = RedisLedger(
            self.redis.client(),
            account,
            permit_ttl_seconds=permit_ttl_seconds,
            keys=self.redis.key_names(),
            reserve_share=self.reserve_share,
            shared_hour_limit=self.shared_hour_limit,
        )
        ledger = PostgresLedger(leases, permit_ttl_seconds=permit_ttl_seconds, reserve_share=self.reserve_share)
        return RateLimiter(
            account,
            FailoverLedger(redis_ledger, ledger, leases),
            max_wait_seconds=self.max_wait_seconds,
            use_within_seconds=permit_ttl_seconds / 6,
            sleep=stopping.sleep,
            turns=Announced(self.redis.line(account), stopping.sleep),
            publisher=metrics.Publisher(leases.database),
            settling=settling or Settling(),
        )

    def account_limiter(self) -> RateLimiter:
        """Permits for `account`; raises as `limiter` does."""
        return self.limiter(self.account or "default")

    def pipeline_state(self) -> PipelineState:
        """The state of runs in Redis."""
        return PipelineState(self.redis.client(), self.redis.key_names(), ttl_hours=self.state_ttl_hours)


class CourtListenerResource(SealedResource["CourtListenerResource"]):
    """CourtListener's REST API, every request under a permit."""

    rate_limit: RedisRateLimitResource
    api_token: Secret = ""
    #: A file with the token, read for every request, in place of `api_token`.
    api_token_file: Secret = ""
    #: Names the account's ledger of permits; None: that of `rate_limit`, or made from the token. Set it, and the count
    #: outlives the token.
    account: str | None = None
    base_url: str = DEFAULT_BASE_URL
    #: Silence after which a request is given up, and the longest time until the whole response is there.
    read_timeout_seconds: float = Timeouts().read
    response_timeout_seconds: float = Timeouts().response

    @field_validator("base_url", mode="before")
    @classmethod
    def _without_password(cls, base_url: str) -> str:
        """The UI shows an address that is written in the code; one in a variable is checked when a step begins."""
        return base_url if isinstance(base_url, dg.EnvVar) else checked_base_url(base_url)

    def account_name(self) -> str:
        """The name of the account's ledger of permits; raises SettingError without a token."""
        return self.account or self.rate_limit.account or account_of(self._api_token().read())

    def _api_token(self, sleep: Callable[[float], None] = time.sleep) -> ApiToken:
        return TokenFile(self.api_token_file, sleep=sleep) if self.api_token_file else ApiToken(self.api_token)

    def outage(self) -> Outage | None:
        """What is known of a server that is down, None while it is not; raises SettingError, and StoreUnavailable."""
        account = self.account_name()
        known = [each for each in outages(self.rate_limit.postgres.database()) if each.account == account]
        return next((each for each in known if each.down_since), None)

    def outlook(self) -> Outlook | None:
        """What the account may send from now on, None if unknown; raises SettingError, and StoreUnavailable."""
        database = self.rate_limit.postgres.database()
        return read_outlook(database, self.account_name(), self.rate_limit.reserve_share)

    @contextmanager
    def open(self, lane: Lane = Lane.BACKFILL) -> Iterator[CourtListenerClient]:
        """A client for pages and objects; raises SettingError without a token, and StoreUnavailable.

        Behind the block it sends nothing any more: a thread that still uses it gets Stopped.
        """
        stopping = Stopping()
        token = self._api_token(stopping.sleep)
        token.read()
        account = self.account_name()
        timeouts = Timeouts(read=self.read_timeout_seconds, response=self.response_timeout_seconds)
        common: dict[str, Any] = {
            "permit_ttl_seconds": timeouts.permit_ttl,
            "stopping": stopping,
            "settling": Settling(),
        }
        limiter = self.rate_limit.limiter(account, **common)
        client = CourtListenerClient(
            self.base_url,
            token,
            limiter,
            self.rate_limit.limiter(f"{account}:api_usage", fallback_windows=API_USAGE_WINDOWS, **common),
            lane=lane,
            server=SharedServerState(self.rate_limit.postgres.database(), account),
            transport=Transport(self.base_url, timeouts=timeouts),
            stopping=stopping,
        )
        try:
            yield client
        finally:
            stopping.stop()
            client.close()
            tracing.flush()
            limiter.close()


class RecordStoreResource(SealedResource["RecordStoreResource"]):
    """Everything that was downloaded."""

    postgres: PostgresResource

    def open(self, tables: Sequence[Table] = ()) -> RecordStore:
        """The store, in which these tables hang together as they say; raises StoreUnavailable."""
        return RecordStore(self.postgres.database(), tables)

    def audit(self) -> RecordAudit:
        """What can be said about the store as a whole; raises StoreUnavailable."""
        return RecordAudit(self.postgres.database())

    def refused_endpoints(self) -> list[EndpointTrouble]:
        """The endpoints that an account may not use, which are missing in what is stored; raises StoreUnavailable."""
        return [each for outage in outages(self.postgres.database()) for each in outage.troubles if each.refused]

    def jurisdictions(self) -> Jurisdictions:
        """Which courts a jurisdiction has; raises StoreUnavailable."""
        return Jurisdictions(self.postgres.database())


class BacklogResource(SealedResource["BacklogResource"]):
    """What all runs have left to do."""

    postgres: PostgresResource
    redis: RedisResource
    #: The first delay of a retry; each later one is four times as long.
    retry_base_seconds: float = 3600.0
    #: Failures, the first one included, after which a docket is given up.
    max_tries: int = 5

    def open(self) -> Backlog:
        """The backlog; raises StoreUnavailable."""
        database = self.postgres.database()
        lists = FailureLists(self.redis.client(), self.redis.key_names())
        failures = Failures(database, lists, base_seconds=self.retry_base_seconds, max_tries=self.max_tries)
        return Backlog(failures, Deferrals(database))
