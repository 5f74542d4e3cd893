"""The asset that reports how the store differed from a dump, and looks up what the dump shows to be gone.

Belongs here: what Dagster is told. Does not belong here: comparing, which storing a dump does
(`download/bulk/bootstrap.py`), the report itself (`operations/comparison.py`).
"""

from datetime import date
from typing import Any

import dagster as dg
from pydantic import Field

from courtlistener_assets.defs.assets.bulk import BULK_ASSETS, dumps
from courtlistener_assets.defs.assets.download_config import StepConfig
from courtlistener_assets.defs.markdown import Link, table
from courtlistener_assets.defs.materializations import content_version
from courtlistener_assets.defs.names import API_POOL, OWNERS, REPORT_VERSION, Names
from courtlistener_assets.defs.steps import RETRY_SECONDS, translated
from courtlistener_assets.download.choice import known_tables
from courtlistener_assets.operations.comparison import (
    LOOKUPS,
    MEANING,
    Report,
    address,
    fields_in_words,
    look_up,
    report_of,
)
from courtlistener_assets.settings import Settings
from resources.dagster_resources import CourtListenerResource, RecordStoreResource
from resources.errors import DumpMissing
from resources.records.differences import Difference

BULK_AUDIT = "bulk_audit"
_MOST_FIELDS = 60


class AuditConfig(StepConfig):
    """How much a run may ask."""

    lookups: int = Field(
        default=LOOKUPS, ge=0, description="At most about so many requests, one for each object that may be gone."
    )


def bulk_audit_asset(settings: Settings, names: Names) -> dg.AssetsDefinition:
    """Make the asset, of the same partitions as those of bulk files."""

    @dg.asset(
        key=names.key(BULK_AUDIT),
        deps=[names.key(asset) for asset in BULK_ASSETS],
        partitions_def=dumps(names),
        description="What was stored and is not what a dump says: deleted, changed without a date, missing. Fields are "
        "set right while the dump is stored; what seems to be deleted is looked up here, one request each, and what "
        "is left over in the next run. The whole list is in courtlistener.dump_differences.",
        group_name="bulk",
        owners=OWNERS,
        kinds={"postgres", "rest_api"},
        pool=API_POOL,
        tags={"source": "courtlistener_bulk"},
        metadata={"dagster/table_name": "courtlistener.dump_differences"},
        code_version=REPORT_VERSION,
    )
    def bulk_audit(
        context: dg.AssetExecutionContext,
        config: AuditConfig,
        courtlistener: CourtListenerResource,
        courtlistener_records: RecordStoreResource,
    ) -> dg.MaterializeResult[Any]:
        with translated(context, retries=len(RETRY_SECONDS)):
            dump = date.fromisoformat(context.partition_key)
            store = courtlistener_records.open(known_tables())
            counts, stopped, requests = dict[str, int](), "", 0
            if config.lookups and store.differences.waiting(limit=1, dump=dump):
                with courtlistener.open() as client:
                    counts, stopped = look_up(
                        client, store, settings, dump=dump, budget=config.lookups, run_id=context.run.run_id
                    )
                    requests = client.quota_requests
            report = report_of(store, dump)
            if report is None:
                raise DumpMissing(f"the store was not compared with the dump of {dump}: run the job bootstrap for it")
            shown = metadata_of(report, settings)
            asked: dict[str, Any] = {
                **{f"looked_up_and_{name}": count for name, count in counts.items()},
                "requests": requests,
                **({"stopped": stopped} if stopped else {}),
            }
            return dg.MaterializeResult(metadata={**shown, **asked}, data_version=content_version(shown))

    return bulk_audit


def metadata_of(report: Report, settings: Settings) -> dict[str, Any]:
    """Return what the UI shows of a report: numbers to plot, a table of counts, and one of examples for each kind."""
    totals = dict.fromkeys(MEANING, 0)
    for count in report.counts:
        totals[count.kind] += count.found
    columns: dict[str, Any] = {
        "stream": lambda count: count.stream,
        "kind": lambda count: f"{count.kind}: {MEANING[count.kind]}",
        "found": lambda count: count.found,
        "to be looked up": lambda count: count.open,
    }
    return {
        "differences": dg.MetadataValue.md(table(columns, report.counts)),
        **{
            f"examples_{kind}": dg.MetadataValue.md(_examples(some, settings)) for kind, some in report.examples.items()
        },
        **{f"{kind}_objects": count for kind, count in totals.items()},
        "objects_to_be_looked_up": report.waiting,
        "rows_newer_than_the_dump": report.newer,
        "compared_at": dg.MetadataValue.timestamp(report.compared_at),
    }


def _examples(differences: list[Difference], settings: Settings) -> str:
    rows = [(each, *fields) for each in differences for fields in fields_in_words(each)][:_MOST_FIELDS]
    with_fields = any(name for _, name, _, _ in rows)
    columns: dict[str, Any] = {
        "object": lambda row: Link(f"{row[0].stream} {row[0].id}", address(settings, row[0])),
        **(
            {"field": lambda row: row[1], "stored": lambda row: row[2], "dump": lambda row: row[3]}
            if with_fields
            else {}
        ),
        "outcome": lambda row: row[0].outcome or "to be looked up",
    }
    return table(columns, rows)
