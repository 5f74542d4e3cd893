"""The assets of bulk files: one step that reads a dump, stores what is wanted of it, and turns its months green.

Belongs here: what Dagster is told. Does not belong here: the steps (`download/bulk/bootstrap.py`), plans
(`operations/bootstrap.py`), when a new dump is seen (`sensors/new_dumps.py`).
"""

import time
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

import dagster as dg
from pydantic import Field

from courtlistener_assets.defs.assets.download_config import StepConfig
from courtlistener_assets.defs.assets.download_step import STORED_VERSION
from courtlistener_assets.defs.assets.tables import records_table
from courtlistener_assets.defs.materializations import content_version
from courtlistener_assets.defs.names import OWNERS, Names
from courtlistener_assets.defs.steps import RETRY_SECONDS, translated
from courtlistener_assets.download.bulk.bootstrap import STREAMS, Outcome, Reached
from courtlistener_assets.download.choice import known_tables
from courtlistener_assets.logs import run_log
from courtlistener_assets.operations.bootstrap import Plan, carry_out, described, plan
from courtlistener_assets.operations.completion import Completion, complete
from courtlistener_assets.operations.pace import Pace
from courtlistener_assets.settings import Settings, month_of
from resources.dagster_resources import RecordStoreResource
from resources.quota.eta import in_words
from resources.records.audit import RecordAudit

#: The assets; each is what a bootstrap has stored of the stream of the same name.
BULK_ASSETS = tuple(f"bulk_{stream}" for stream in STREAMS)
#: Dates of dumps that were seen.
DUMPS = "courtlistener_bulk_dumps"
#: Seconds between two lines about how far it is.
_TELL_SECONDS = 15.0


class BulkConfig(StepConfig):
    """What of a dump is wanted; by default all that is configured."""

    courts: list[str] = Field(default_factory=list, description="Some of the configured courts; empty: all.")
    first_month: str = Field(default="", description="The first month, such as 2015-01; empty: the configured one.")


def dumps(names: Names) -> dg.DynamicPartitionsDefinition:
    """The partitions of the assets: dates of dumps."""
    return dg.DynamicPartitionsDefinition(name=names.name(DUMPS))


def bulk_assets(settings: Settings, names: Names) -> dg.AssetsDefinition:
    """Make the assets, which are one step."""
    specs = [_spec(stream, names.key(asset)) for asset, stream in zip(BULK_ASSETS, STREAMS, strict=True)]

    @dg.multi_asset(name=names.name("bootstrap_from_bulk"), specs=specs, partitions_def=dumps(names), can_subset=False)
    def bootstrap_from_bulk(
        context: dg.AssetExecutionContext, config: BulkConfig, courtlistener_records: RecordStoreResource
    ) -> Iterator[dg.MaterializeResult[Any]]:
        with translated(context, retries=len(RETRY_SECONDS)):
            planned = plan(
                settings,
                courts=config.courts,
                first_month=month_of(config.first_month) if config.first_month else None,
                day=date.fromisoformat(context.partition_key),
            )
            for line in described(planned, settings):
                run_log.info(line, extra={"event": "bootstrap_planned"})
            store = courtlistener_records.open(known_tables())
            store.prepare([table.name for table in known_tables()])
            outcome = carry_out(planned, settings, store, context.run.run_id, _teller(planned.bytes_a_second))
            database = courtlistener_records.postgres.database()
            completion = complete(outcome.months, settings, database)
            run_log.info(str(completion), extra={"event": "bulk_completion", "requests": completion.requests})
            for event in green_months(outcome, planned.dump.day, courtlistener_records.audit(), settings, names):
                context.log_event(event)
            for asset, stream in zip(BULK_ASSETS, STREAMS, strict=True):
                stored = outcome.stored.get(stream, 0)
                yield dg.MaterializeResult(
                    asset_key=names.key(asset),
                    data_version=content_version(planned.dump.day, stream, stored, outcome.months),
                    metadata=_metadata(stream, planned, outcome, completion),
                )

    return bootstrap_from_bulk


def _spec(stream: str, key: dg.AssetKey) -> dg.AssetSpec:
    return dg.AssetSpec(
        key,
        description=f"What CourtListener's bulk files of a date hold of the {stream} of your courts and months; it "
        "costs no request. All three are made together.",
        group_name="bulk",
        owners=OWNERS,
        kinds={"postgres", "csv"},
        tags={"source": "courtlistener_bulk"},
        metadata=records_table(stream),
        code_version=STORED_VERSION,
    )


def _metadata(stream: str, planned: Plan, outcome: Outcome, completion: Completion) -> dict[str, Any]:
    return {
        "stored_records": outcome.stored.get(stream, 0),
        "unusable_rows": outcome.unusable,
        **({"stored_citations": outcome.citations} if stream == "opinions" else {}),
        "complete_months": len(outcome.months),
        "as_of": dg.MetadataValue.timestamp(planned.dump.watermark),
        "bytes_read": planned.bytes_all,
        "requests": 0,
        "requests_to_complete": completion.requests,
        "time_to_complete": in_words(completion.seconds),
        "completion_asked": completion.asked,
    }


def green_months(
    outcome: Outcome, day: date, audit: RecordAudit, settings: Settings, names: Names
) -> Iterator[dg.AssetMaterialization]:
    """What Dagster is told of every month of the downloads that is complete by a dump."""
    for stream in settings.chosen_streams:
        sweeps = [sweep.name for sweep in stream.sweeps]
        complete = set(audit.complete_partitions(stream.name, sweeps)) if stream.name in STREAMS else set()
        for month in outcome.months:
            if str(month) not in complete:
                continue
            as_of = audit.as_of(stream.name, str(month), sweeps, month.court)
            version = audit.data_version(stream.members(), month.filter_values)
            yield dg.AssetMaterialization(
                names.key(stream.name),
                partition=str(month),
                description=f"From the bulk files of {day}.",
                metadata={
                    "source": f"bulk of {day}",
                    "requests": 0,
                    **({"current_as_of": dg.MetadataValue.timestamp(as_of)} if as_of else {}),
                },
                tags={
                    "dagster/code_version": STORED_VERSION,
                    "dagster/data_version": version,
                    "dagster/data_version_is_user_provided": "true",
                    "dagster/partition/court": month.court,
                    "dagster/partition/month": month.month.isoformat(),
                },
            )


def _teller(expected: float) -> Callable[[Reached], None]:
    """Logs how far it is, not more often than somebody could read."""
    pace, last = Pace(expected), [0.0]

    def tell(reached: Reached) -> None:
        if time.monotonic() - last[0] >= _TELL_SECONDS:
            last[0] = time.monotonic()
            run_log.info(pace.line(reached), extra={"event": "bootstrap_progress", "step": reached.step})

    return tell
