"""A process of `sweepers.py`: walks its partitions until they are complete, and may be killed at any moment.

Belongs here: what a run does, without Dagster around it. Does not belong here: starting and killing (`sweepers.py`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager

from courtlistener_assets.download.choice import chosen
from courtlistener_assets.download.partitions import CourtMonth
from courtlistener_assets.download.sweep import Sweeper
from resources.backlog.backlog import Backlog
from resources.courtlistener.client import API_USAGE_WINDOWS, CourtListenerClient
from resources.dagster_resources import BacklogResource, PostgresResource, RedisRateLimitResource, RedisResource
from resources.errors import CourtListenerAssetsError
from resources.legacy.pipeline_state import PipelineState
from resources.quota.permits import Lane
from resources.records.model import PageOfRecords, SweepPass
from resources.records.store import RecordStore
from tests.chaos.backfill import Addresses

#: How long the permit of a killed worker counts as in flight. The simulator answers well within a sixth of it.
PERMIT_TTL_SECONDS = 6.0


@contextmanager
def tools(addresses: Addresses, lane: Lane) -> Iterator[tuple[CourtListenerClient, RecordStore, Backlog]]:
    """A client, a store and the backlog, on the connections of the process."""
    postgres, redis = PostgresResource(url=addresses.postgres_url), RedisResource(url=addresses.redis_url)
    rate_limit = RedisRateLimitResource(redis=redis, postgres=postgres, rate_limits=addresses.rate_limits)
    limiter = rate_limit.limiter("chaos", permit_ttl_seconds=PERMIT_TTL_SECONDS)
    usage = rate_limit.limiter(
        "chaos:api_usage", permit_ttl_seconds=PERMIT_TTL_SECONDS, fallback_windows=API_USAGE_WINDOWS
    )
    client = CourtListenerClient(
        addresses.base_url,
        addresses.token,
        limiter,
        usage,
        lane=lane,
        sleep=lambda seconds: time.sleep(min(seconds, 0.1)),
    )
    with closing(client):
        yield client, RecordStore(postgres.database()), BacklogResource(postgres=postgres, redis=redis).open()


def work(addresses: Addresses, number: int, partitions: Sequence[str]) -> None:
    """Complete the partitions. Started again after a death, it resumes as the same run."""
    logging.disable(logging.CRITICAL)  # The storm is expected; its figures are in the verdict.
    while True:
        try:
            with tools(addresses, Lane.BACKFILL) as (client, store, backlog):
                state = PipelineState(RedisResource(url=addresses.redis_url).client())
                _walk(client, store, backlog, state, f"chaos-{number}", partitions)
            return
        except CourtListenerAssetsError:
            time.sleep(0.05)  # Postgres is away, or the server had a bad time: the checkpoints stand.


def _walk(
    client: CourtListenerClient,
    store: RecordStore,
    backlog: Backlog,
    state: PipelineState,
    run_id: str,
    partitions: Sequence[str],
) -> None:
    def note(before: SweepPass, page: PageOfRecords) -> None:
        failures = backlog.failures.of_partition(before.key.asset, before.key.partition) if page.failures else []
        state.note_page(run_id, page, failures)

    state.initialize_pipeline_state(run_id)
    sweeper = Sweeper(client, store, run_id, stored=note)
    for partition in map(CourtMonth.parse, partitions):
        for stream in chosen():
            for sweep in stream.sweeps:
                sweeper.walk(stream, sweep, partition)
