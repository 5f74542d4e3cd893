"""What runs note besides records: failed dockets, deferrals, the state of the pipeline; and looking at it all.

Belongs here: opening them on shared connections. Does not belong here: any of their rules.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import dagster as dg

from resources.backlog.deferrals import Deferrals
from resources.backlog.failure_lists import FailureLists
from resources.backlog.failures import Failures, RetryRule
from resources.connections.postgres import Database
from resources.connections.redis_address import RedisAddress, connect
from resources.connections.redis_keys import RedisKeys
from resources.legacy.pipeline_state import PipelineState
from resources.records.audit import RecordAudit


@dataclass(frozen=True)
class Backlog:
    """What all runs have left to do. `failures` and `deferrals` need Postgres; without Redis, only `state` is empty."""

    failures: Failures
    deferrals: Deferrals
    state: PipelineState
    audit: RecordAudit


class BacklogResource(dg.ConfigurableResource["BacklogResource"]):
    """The backlog of all runs as a Dagster resource."""

    postgres_url: str
    redis_url: str
    redis_prefix: str = "courtlistener"
    #: The first delay of a retry; it doubles from then on.
    retry_base_seconds: float = 60.0
    #: Failures, the first one included, after which a docket is given up.
    max_tries: int = 5

    @contextmanager
    def open(self) -> Iterator[Backlog]:
        """With connections of its own, closed at the end; brings the schema up to date."""
        database = Database(self.postgres_url, max_connections=4)
        client = connect(RedisAddress(self.redis_url))
        keys = RedisKeys(self.redis_prefix)
        rule = RetryRule(base_seconds=self.retry_base_seconds, max_tries=self.max_tries)
        try:
            database.migrate()
            yield Backlog(
                Failures(database, FailureLists(client, keys), rule),
                Deferrals(database),
                PipelineState(client, keys),
                RecordAudit(database),
            )
        finally:
            client.close()
            database.close()
