"""The asset that keeps a vector store equal to the vector inputs; there is none unless the settings name a store.

Belongs here: what Dagster is told, and that only one run does it at a time. Does not belong here: what is done about
each change (`vectors/following.py`).
"""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from courtlistener_assets import logs
from courtlistener_assets.chunks.change_log import ChangeLog
from courtlistener_assets.defs.assets.download_step import STEP_RETRIES
from courtlistener_assets.defs.materializations import content_version
from courtlistener_assets.defs.names import OWNERS, VECTOR_STORE, Names
from courtlistener_assets.defs.steps import translated
from courtlistener_assets.settings import Settings
from courtlistener_assets.vectors.following import Followed, embed_function, follow
from courtlistener_assets.vectors.store import vector_store
from resources.connections.postgres import Database
from resources.dagster_resources import RecordStoreResource
from resources.errors import SettingError

#: Raised when the same chunks are kept in another way.
VECTORS_VERSION = "1"
_LEFT_ALONE = content_version("left to another run")


def vector_store_asset(settings: Settings, made_from: Sequence[dg.AssetKey], names: Names) -> dg.AssetsDefinition:
    """Make the asset, of the store and the function that the settings name; raises SettingError without one of both."""
    if not settings.embed:
        raise SettingError("COURTLISTENER_VECTOR_STORE needs COURTLISTENER_EMBED, the function that makes the vectors")

    @dg.asset(
        key=names.key(VECTOR_STORE),
        description="Chunks with their vectors, in the store that COURTLISTENER_VECTOR_STORE names. A run does what "
        "the change log of the vector inputs says since the last one: embeds, relabels, deletes.",
        deps=list(made_from),
        group_name="vector_store",
        owners=OWNERS,
        kinds={settings.vector_store.partition(":")[0]},
        code_version=VECTORS_VERSION,
    )
    def vectors(
        context: dg.AssetExecutionContext, courtlistener_records: RecordStoreResource
    ) -> dg.MaterializeResult[Any]:
        with translated(context, retries=STEP_RETRIES):
            done = bring_up_to_date(settings, courtlistener_records.postgres.database())
            if done is None:
                logs.run_log.info("Another run is at it", extra={"event": "vector_store_busy"})
                return dg.MaterializeResult(metadata={"state": "Another run is at it."}, data_version=_LEFT_ALONE)
            return dg.MaterializeResult(metadata=_metadata(done), data_version=content_version(done.sequence))

    return vectors


def _metadata(done: Followed) -> dict[str, Any]:
    return {
        "change_log_entry": done.sequence,
        "whole_dataset_read": done.whole,
        "embedded_chunks": done.embedded,
        "relabelled_chunks": done.relabelled,
        "deleted_chunks": done.deleted,
    }


def bring_up_to_date(settings: Settings, database: Database) -> Followed | None:
    """Make the store equal to the dataset; None if another run is at it. Raises SettingError and StoreUnavailable."""
    log = ChangeLog.at(settings.data_dir, database)
    # An older run that goes on beside a newer one could put back what that has deleted.
    with log.numbers.alone(f"vector store {settings.vector_store}") as alone:
        if not alone:
            return None
        log.open()
        store = vector_store(settings.vector_store, database)
        return follow(store, settings.data_dir, embed_function(settings.embed), settings.embed, log.renew)


def vector_store_schedule(names: Names) -> dg.ScheduleDefinition:
    """Make the schedule, which is on from the start: who names a store wants it to be kept."""
    job = dg.define_asset_job(
        names.name("update_vector_store"),
        selection=[names.key(VECTOR_STORE)],
        description="Bring the vector store up to date with the vector inputs.",
    )
    return dg.ScheduleDefinition(
        name=names.name("vector_store_schedule"),
        job=job,
        cron_schedule="*/15 * * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="The vector store, every quarter of an hour.",
    )
