"""A step that sends requests to CourtListener: one run over some partitions of an asset, with all that it needs.

Belongs here: what the downloading assets share, from what Dagster is told about them to how a step ends early.
Does not belong here: what they walk (`downloads.py`, `court_changes.py`, `undated_dockets.py`), or starting the next
run (`sensors/`).

A deferred step fails without retries: its finished partitions stay green, the others stay missing, a backfill that
waits for it ends, and a sensor resumes it when its time has come.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar

import dagster as dg

from courtlistener_assets import logs
from courtlistener_assets.defs.assets.download_config import DownloadConfig
from courtlistener_assets.defs.assets.tables import records_table
from courtlistener_assets.defs.materializations import all_logged, log_materialization
from courtlistener_assets.defs.names import API_POOL, OWNERS, TEXT_ASSETS, Names, name_of
from courtlistener_assets.defs.steps import INTERRUPTS, NO_RUN_RETRY, RETRY_SECONDS, translated
from courtlistener_assets.download.choice import known_tables
from courtlistener_assets.download.courts import confirmed
from courtlistener_assets.download.partitions import Selection, dagster_key
from resources.backlog.backlog import Backlog
from resources.connections.postgres import Database
from resources.courtlistener.client import CourtListenerClient
from resources.courtlistener.outage import DAY_SECONDS
from resources.dagster_resources import BacklogResource, CourtListenerResource, RecordStoreResource
from resources.errors import (
    ApiChanged,
    ApiError,
    BadRequest,
    CourtListenerAssetsError,
    PermissionDenied,
    QuotaDeferred,
    QuotaError,
    ServerDown,
    Stopped,
    Throttled,
    TransientApiError,
)
from resources.legacy.pipeline_state import PipelineState
from resources.quota.eta import Outlook, in_words
from resources.quota.permits import Lane
from resources.records.audit import RecordAudit
from resources.records.jurisdictions import Jurisdictions
from resources.records.store import RecordStore

#: When the server or Postgres was down; after these the step fails, and if it was the server, it is deferred.
STEP_RETRIES = len(RETRY_SECONDS)
#: The step's retries have taken minutes; a server that is still down is retried after this.
OUTAGE_SECONDS = 900.0
#: A token that is not accepted needs a person; one has stopped the run that retried something.
STOPPED_SECONDS = 3600.0
#: On a run that has found that the API has changed: its own id.
API_CHANGED_TAG = "courtlistener/api_changed"
#: Raised when the same objects are stored in another way, so that the UI tells which partitions were made before.
STORED_VERSION = "1"
_ENDING = (dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED)
#: A long run of many partitions does not need an event for each.
_MOST_OBSERVATIONS = 100

_LOOKUPS = {
    "looked_up": "looked_up_objects",
    "found": "looked_up_and_found",
    "gone": "looked_up_and_gone",
    "failed": "looked_up_and_failed",
}

#: What names the time until which there is no point in trying.
_LATER = (QuotaDeferred, ServerDown)

Partition = TypeVar("Partition", bound=Selection)


@dataclass(frozen=True, kw_only=True)
class DownloadStep(Generic[Partition]):
    """One run over some partitions; `sweeps` are the names of what makes one complete, `tables` what it stores into.

    `outlook` says what `account` may send from now on.
    """

    context: dg.AssetExecutionContext
    config: DownloadConfig
    client: CourtListenerClient
    store: RecordStore
    audit: RecordAudit
    jurisdictions: Jurisdictions
    backlog: Backlog
    state: PipelineState
    partitions: Sequence[Partition]
    sweeps: Sequence[str]
    tables: Sequence[str]
    database: Database
    account: str
    outlook: Callable[[], Outlook | None]
    walked: set[Partition] = field(default_factory=set)

    @property
    def asset(self) -> str:
        return name_of(self.context.asset_key)

    @property
    def run_id(self) -> str:
        """The run that began this work: a retry, or a run that resumes a deferred one, is still the same work."""
        return self.config.resumes or self.context.run.root_run_id or self.context.run.run_id

    @property
    def full_refresh(self) -> bool:
        """Whether to download all objects, not only those modified since the last time."""
        return self.config.full_refresh or self.config.selective

    def carry_out(self) -> bool:
        """Download from the first to the last line of the step; return whether every partition is complete."""
        with self.deferring():
            self.stop_if_told()
            self.store.prepare([table.name for table in known_tables()])
            with confirmed(self.client, self.store.courts, [each.court for each in self.partitions]):
                complete = self.download()
        self.acknowledge()
        self.report_totals()
        return complete

    @abstractmethod
    def download(self) -> bool:
        """Walk all partitions; return whether every one is complete."""

    def run_totals(self) -> dict[str, Any]:
        """Return what the step has cost, how the account's quota stands, and what is of interest beside that."""
        left = {f"{use.window.limit} per {use.window.seconds} s": use.remaining for use in self.client.limiter.usage()}
        return {
            "partitions_of_run": len(self.partitions),
            "requests_of_run": self.client.requests_sent,
            "refused_requests_of_run": self.client.refused,
            "seconds_waited_of_run": round(self.client.limiter.waited_seconds, 1),
            "requests_left": left,
        }

    def leave_out(self, error: PermissionDenied, endpoints: Iterable[str]) -> None:
        """Say that the account may not use an endpoint, which is no reason to stop; it is looked at again daily.

        Raises `error` if the account may use none of `endpoints`, if it was not the API that said so, or in a retry.
        """
        if not error.said_by_api or self.config.claim_id or set(endpoints) <= self.client.refused_endpoints():
            raise error
        logs.run_log.warning(f"{self.asset} leaves something out: {error}", extra={"event": "stream_refused"})
        self.context.log_event(
            dg.AssetObservation(self.context.asset_key, description=str(error), metadata={"left_out": str(error)})
        )

    def report_totals(self) -> None:
        """Log the totals of the step, and show them on the asset as an observation: they belong to no partition."""
        totals = self.run_totals()
        # Not a line of the run's log: the observation says it there.
        logs.detail_log.info("The totals of a run", extra={"event": "run_totals", **totals})
        self.context.log_event(
            dg.AssetObservation(self.context.asset_key, description="The totals of a run.", metadata=totals)
        )

    def failed_objects(self, partition: Partition) -> int:
        """Return how many failures of a partition are not resolved."""
        return len(self.backlog.failures.of_partition(self.asset, str(partition), dead_too=True))

    def note_walked(self, partition: Partition, fields: dict[str, Any]) -> None:
        """Log what a partition that was walked to its end has brought, and discard its deferral."""
        extra = {"event": "partition_walked", "partition": str(partition), **fields}
        logs.run_log.info(f"{self.asset} {partition}: {logs.listed(fields)}", extra=extra)
        self.walked.add(partition)
        self.backlog.deferrals.clear(self.asset, str(partition), some_dockets=self.config.selective)

    def turn_green(self, partition: Partition, metadata: dict[str, Any], data_version: str) -> None:
        """Tell Dagster that a partition is complete, at once, not when the run ends.

        `data_version` names what is stored of it.
        """
        as_of = self.audit.as_of(self.asset, str(partition), self.sweeps, partition.court)
        current = {"current_as_of": dg.MetadataValue.timestamp(as_of)} if as_of else {}
        log_materialization(
            self.context,
            dagster_key(str(partition)),
            {**metadata, **current},
            data_version=data_version,
        )

    def stop_if_told(self) -> None:
        """Raise Stopped if the run is to end and its signal was lost, and ApiChanged if another step of the run did.

        What is left of the run would find the same, or be useless. A run that is executed again has the tags of the
        first one; they hold its id.
        """
        run = self._stop_if_canceled()
        if run and run.tags.get(API_CHANGED_TAG) == run.run_id:
            raise ApiChanged("The API has changed: the first step of this run that failed says how.")

    def _stop_if_canceled(self) -> dg.DagsterRun | None:
        """The run as Dagster knows it; None if its storage does not answer now, which the next page asks again."""
        run: dg.DagsterRun | None = None
        try:
            run = self.context.instance.get_run_by_id(self.context.run.run_id)
        except Exception as error:  # Of Dagster's storage, whatever it is; it is no reason to end a download.
            logs.detail_log.warning("Dagster was not asked: %s", error, extra={"event": "cancel_not_read"})
        if run and run.status in _ENDING:
            raise Stopped
        return run

    @contextmanager
    def deferring(self) -> Iterator[None]:
        """End the step so that a later run resumes it, if only time can mend the error; other errors pass.

        Of a step that was told to stop nothing is deferred, and what it was to retry has not failed again.
        """
        try:
            yield
        except (*INTERRUPTS, Stopped):
            self._give_claim_back()
            raise
        except CourtListenerAssetsError as error:
            if isinstance(error, ApiChanged):
                self.context.instance.add_run_tags(self.context.run.run_id, {API_CHANGED_TAG: self.context.run.run_id})
            if self.config.claim_id:
                failure = self._release_claim(error)
            elif is_deferrable(error, STEP_RETRIES - self.context.retry_number):
                failure = self._defer(error)
            else:
                failure = None
            if failure is None:
                raise
            self.context.instance.add_run_tags(self.context.run.run_id, NO_RUN_RETRY)
            raise failure from error

    def _defer(self, error: CourtListenerAssetsError) -> dg.Failure:
        """Record the unfinished partitions.

        What the run was to make from the finished ones is skipped with the rest, so it is recorded too.
        """
        self._stop_if_canceled()
        left = [str(each) for each in self.partitions if each not in self.walked]
        wait_seconds, outlook = _wait_seconds(error), self.outlook()
        requests = self.backlog.deferrals.estimated_requests(self.asset, left, self.sweeps)
        eta = outlook.seconds_for(requests) if outlook else 0.0
        downstream, config = self._downstream(), self.config.carried_over()
        common: dict[str, Any] = {
            "wait_seconds": wait_seconds,
            "reason": f"{type(error).__name__}: {error}",
            "run_id": self.run_id,
            "account": self.account if isinstance(error, QuotaDeferred | Throttled) else None,
        }
        self.backlog.deferrals.record(self.asset, left, **common, config=config, downstream=downstream, eta_seconds=eta)
        for asset in downstream:
            self.backlog.deferrals.record(asset, [str(each) for each in self.walked], **common)
        until = datetime.now(UTC) + timedelta(seconds=wait_seconds)
        metadata: dict[str, Any] = {
            "deferred_until": dg.MetadataValue.timestamp(until),
            "reason": str(error),
            "partitions_left": len(left),
            "requests_left_about": requests,
            "time_left_about": in_words(max(eta, wait_seconds)),
        }
        for partition in left[:_MOST_OBSERVATIONS]:
            key = dagster_key(partition)
            self.context.log_event(dg.AssetObservation(self.context.asset_key, partition=key, metadata=metadata))
        said = (
            f"Deferred until {until:%Y-%m-%d %H:%M} UTC, {len(left)} partitions left: {error}. The sensor "
            f"resume_deferred resumes them; the rest takes about {metadata['time_left_about']}."
        )
        return dg.Failure(said, metadata=metadata, allow_retries=False)

    def _release_claim(self, error: CourtListenerAssetsError) -> dg.Failure | None:
        """Release the run's claim without counting a try, if its dockets are not to blame.

        None if they may be to blame: the claim then stays with the run, whose end costs a try.
        """
        if isinstance(error, BadRequest) or not isinstance(error, (ApiError, QuotaError)):
            return None
        wait_seconds = _wait_seconds(error) if error.retryable else STOPPED_SECONDS
        if isinstance(error, PermissionDenied) and error.said_by_api:  # It is known, and looked at again daily.
            wait_seconds = DAY_SECONDS
        count = self.backlog.failures.release(self.config.claim_id, self.asset, wait_seconds)
        what = f"{count} failed dockets are retried in {in_words(wait_seconds)} at the earliest"
        name = type(error).__name__
        return dg.Failure(f"{name}: {error}; {what}.", metadata={"error": name}, allow_retries=False)

    def _give_claim_back(self) -> None:
        """Release the run's claim without counting a try; if that fails, a sensor does it later."""
        if self.config.claim_id:
            with suppress(CourtListenerAssetsError):
                self.backlog.failures.release(self.config.claim_id, self.asset, STOPPED_SECONDS)

    def _downstream(self) -> list[str]:
        """Our assets of the run that are made from this one: they are skipped now and wanted later."""
        layer, own = self.context.job_def.asset_layer, self.context.asset_key
        names, children = Names(tuple(own.path[:-1])), layer.asset_graph.get(own).child_keys
        keys = {asset: names.key(asset) for asset in TEXT_ASSETS}
        return [asset for asset, key in keys.items() if key in layer.selected_asset_keys and key in children]

    def acknowledge(self) -> None:
        """Acknowledge the claim once everything was tried: its failures are resolved, or have failed again."""
        if self.config.claim_id:
            resolved, again = self.backlog.failures.acknowledge(self.config.claim_id, self.asset)
            logs.run_log.info(
                f"{resolved} failures are resolved, {again} failed again",
                extra={"event": "failures_retried", "resolved": resolved, "failed_again": again},
            )


def downloading_asset(
    key: dg.AssetKey,
    make_step: Callable[..., DownloadStep[Any]],
    *,
    description: str,
    group: str,
    partitions_def: dg.PartitionsDefinition | None,
    table: str,
    lane: Lane = Lane.BACKFILL,
    freshness_policy: dg.FreshnessPolicy | None = None,
    priority: int = 0,
    **tags: str,
) -> dg.AssetsDefinition:
    """Make an asset of which every run is a step: `make_step` takes the fields of DownloadStep that are the same.

    Of the steps of a run that could begin, that with the highest `priority` does.
    """

    @dg.asset(
        key=key,
        description=description,
        partitions_def=partitions_def,
        # One run may take many partitions: they share its workers, and each turns green when it is complete.
        backfill_policy=dg.BackfillPolicy.single_run() if partitions_def else None,
        pool=API_POOL,
        group_name=group,
        owners=OWNERS,
        kinds={"postgres", "rest_api"},
        tags={"source": "courtlistener", **tags},
        op_tags={"dagster/priority": priority},
        metadata=records_table(table),
        code_version=STORED_VERSION,
        output_required=False,
        freshness_policy=freshness_policy,
    )
    def download(
        context: dg.AssetExecutionContext,
        config: DownloadConfig,
        courtlistener: CourtListenerResource,
        courtlistener_records: RecordStoreResource,
        courtlistener_backlog: BacklogResource,
    ) -> Iterable[dg.MaterializeResult[Any]]:
        # Retries may use the part of the quota that is kept back from backfills.
        lane_of_run = Lane.PRIORITY if config.claim_id else lane
        with translated(context, retries=STEP_RETRIES), courtlistener.open(lane_of_run) as client:
            opened = _opened(courtlistener, courtlistener_records, courtlistener_backlog)
            if make_step(context=context, config=config, client=client, **opened).carry_out():
                yield all_logged()

    return download


def _opened(
    courtlistener: CourtListenerResource, records: RecordStoreResource, backlog: BacklogResource
) -> dict[str, Any]:
    """Return the fields of a step that the resources give."""
    return {
        "store": records.open(known_tables()),
        "audit": records.audit(),
        "jurisdictions": records.jurisdictions(),
        "backlog": backlog.open(),
        "state": courtlistener.rate_limit.pipeline_state(),
        "database": records.postgres.database(),
        "account": courtlistener.account_name(),
        "outlook": courtlistener.outlook,
    }


def lookups_shown(counts: Mapping[str, int]) -> dict[str, int]:
    """Return what became of lookups of what did not fit together, under names that say what is counted."""
    return {_LOOKUPS[name]: count for name, count in counts.items()}


def is_deferrable(error: CourtListenerAssetsError, retries_left: int) -> bool:
    """Whether to try later: no room in the quota, a server that is down, or what is the same after the op's retries."""
    return isinstance(error, _LATER) or (isinstance(error, (TransientApiError, Throttled)) and retries_left <= 0)


def _wait_seconds(error: CourtListenerAssetsError) -> float:
    if isinstance(error, Throttled) and error.retry_after_seconds:
        return error.retry_after_seconds
    return error.wait_seconds if isinstance(error, _LATER) else OUTAGE_SECONDS
