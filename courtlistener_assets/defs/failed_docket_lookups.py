"""The job that finds the court of dockets that another program has pushed onto the lists of failed dockets.

Belongs here: the border to Dagster. Does not belong here: asking for the dockets (`download/unplaced.py`).
"""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
from pydantic import Field

from courtlistener_assets.defs.assets.download_config import StepConfig
from courtlistener_assets.defs.assets.download_step import OUTAGE_SECONDS, STOPPED_SECONDS
from courtlistener_assets.defs.names import API_POOL, Names
from courtlistener_assets.defs.steps import NO_RUN_RETRY, translated
from courtlistener_assets.download.choice import known_tables
from courtlistener_assets.download.stream import Stream
from courtlistener_assets.download.sweep import Sweeper
from courtlistener_assets.download.unplaced import Unplaced
from courtlistener_assets.logs import run_log
from resources.backlog.failure_entries import DOCKETS
from resources.backlog.failures import Failures
from resources.dagster_resources import BacklogResource, CourtListenerResource, RecordStoreResource
from resources.errors import ApiError, QuotaError
from resources.quota.permits import Lane
from resources.records.model import Scope

LOOK_UP_FAILED_DOCKETS = "look_up_failed_dockets"
#: The name of its only op.
LOOK_UP = "look_up_dockets"


class LookUpConfig(StepConfig):
    """Which dockets are looked up."""

    claim_id: str = Field(pattern="^[0-9a-f]{16}$", description="The claim on failed dockets; set by a sensor.")


def look_up_failed_dockets_job(stream: Stream, scope: Scope, names: Names) -> dg.JobDefinition:
    """Make the job; `stream` is that of the dockets, `scope` the courts and months of the location."""

    @dg.op(
        name=names.name(LOOK_UP),
        pool=API_POOL,
        description="Download dockets of which only the id is known, one request each; launched by the sensor "
        "retry_failed_dockets, for what another program has pushed onto the lists of failed dockets.",
    )
    def look_up(
        context: dg.OpExecutionContext,
        config: LookUpConfig,
        courtlistener: CourtListenerResource,
        courtlistener_records: RecordStoreResource,
        courtlistener_backlog: BacklogResource,
    ) -> None:
        failures = courtlistener_backlog.open().failures
        with (
            translated(context),
            _releasing(failures, config.claim_id),
            courtlistener.open(Lane.PRIORITY) as client,
        ):
            store = courtlistener_records.open(known_tables())
            store.prepare([table.name for table in known_tables()])
            sweeper = Sweeper(client, store, run_id=context.run.run_id, scope=scope)
            unplaced = Unplaced(sweeper, stream, scope, failures, config.claim_id)
            if unplaced.look_up_all(failures.of_claim(config.claim_id)):
                failures.acknowledge(config.claim_id, DOCKETS)
            else:
                failures.release(config.claim_id, DOCKETS, OUTAGE_SECONDS)
            counts = unplaced.counts
            said = "{found} found, {gone} gone, {outside} of other courts or months, {failed} failed".format(**counts)
            run_log.info(f"Failed dockets were looked up: {said}", extra={"event": "failed_dockets_placed", **counts})

    graph = dg.GraphDefinition(name=names.name(LOOK_UP_FAILED_DOCKETS), node_defs=[look_up])
    return graph.to_job(description=look_up.description, tags=NO_RUN_RETRY)


@contextmanager
def _releasing(failures: Failures, claim_id: str) -> Iterator[None]:
    """Release what is left of a claim without counting a try, if no docket is to blame."""
    try:
        yield
    except (ApiError, QuotaError) as error:
        wait_seconds = getattr(error, "wait_seconds", OUTAGE_SECONDS if error.retryable else STOPPED_SECONDS)
        count = failures.release(claim_id, DOCKETS, wait_seconds)
        raise dg.Failure(
            f"{type(error).__name__}: {error}; {count} dockets are looked up later.",
            metadata={"error": type(error).__name__},
            allow_retries=False,
        ) from error
