"""What Dagster is told of a partition that was made: one event a partition and run, when the partition is complete.

Belongs here: that event, its tags, and how a step ends without repeating it. Does not belong here: its metadata
(`assets/`).

Left alone, Dagster logs all partitions of a run when the step ends: none is green before, and each has the metadata of
the run. An event that the step logs itself comes in time, but then Dagster logs the partition once more.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import dagster as dg

#: Dagster logs no event for an output whose metadata has this key; it marks steps that have logged theirs.
_LOGGED_BY_STEP = "__source_asset_observation__"


def log_materialization(
    context: dg.AssetExecutionContext,
    partition: str | None,
    metadata: Mapping[str, Any],
    *,
    data_version: str | None = None,
) -> None:
    """Tell Dagster that a partition (None: an asset without any) is complete; it turns green at once.

    `data_version` names the content; by default it is made from the versions of the code and of what is upstream.
    """
    code_version = context.assets_def.code_versions_by_key[context.asset_key] or ""
    upstream = _upstream(context, partition)
    made_from = ",".join([code_version, *(tag for name, tag in sorted(upstream.items()) if "data_version" in name)])
    tags = {
        "dagster/code_version": code_version,
        "dagster/data_version": data_version or hashlib.sha256(made_from.encode()).hexdigest(),
        **({"dagster/data_version_is_user_provided": "true"} if data_version else {}),
        **upstream,
        **_dimensions(context, partition),
    }
    context.log_event(
        dg.AssetMaterialization(context.asset_key, partition=partition, metadata=dict(metadata), tags=tags)
    )


def last_data_version(context: dg.AssetExecutionContext, partition: str | None) -> str | None:
    """Return the data version that a partition was made with the last time; None if it never was."""
    return _last_version(_latest(context, context.asset_key, partition))


def content_version(*content: object) -> dg.DataVersion:
    """Name what was made by what there is to see of it: the same content has the same name, whenever it is made."""
    return dg.DataVersion(hashlib.md5(repr(content).encode(), usedforsecurity=False).hexdigest())


def all_logged() -> dg.MaterializeResult[Any]:
    """Return the result of a step that has logged its partitions: what depends on it runs, nothing is logged again."""
    return dg.MaterializeResult(metadata={_LOGGED_BY_STEP: True})


def _upstream(context: dg.AssetExecutionContext, partition: str | None) -> dict[str, str]:
    """Return the tags by which Dagster tells whether what is upstream has changed since: versions and event ids."""
    tags = {}
    for dependency in context.assets_def.specs_by_key[context.asset_key].deps:
        key = dependency.asset_key
        record = _latest(context, key, partition)
        tags[f"dagster/input_data_version/{key.to_user_string()}"] = _last_version(record) or "INITIAL"
        tags[f"dagster/input_event_pointer/{key.to_user_string()}"] = str(record.storage_id) if record else "NULL"
    return tags


def _latest(context: dg.AssetExecutionContext, key: dg.AssetKey, partition: str | None) -> dg.EventLogRecord | None:
    wanted = dg.AssetRecordsFilter(key, asset_partitions=[partition] if partition else None)
    records = context.instance.fetch_materializations(wanted, limit=1).records
    return records[0] if records else None


def _last_version(record: dg.EventLogRecord | None) -> str | None:
    event = record.asset_materialization if record else None
    return (event.tags or {}).get("dagster/data_version") if event else None


def _dimensions(context: dg.AssetExecutionContext, partition: str | None) -> dict[str, str]:
    """Return the tags that name the parts of a key of several dimensions."""
    definition = context.assets_def.partitions_def
    if partition is None or not isinstance(definition, dg.MultiPartitionsDefinition):
        return {}
    parts = definition.get_partition_key_from_str(partition).keys_by_dimension
    return {f"dagster/partition/{dimension}": str(part) for dimension, part in parts.items()}
