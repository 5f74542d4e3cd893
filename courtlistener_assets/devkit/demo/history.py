"""What Dagster remembers about the demo's runs.

Belongs here: reading the instance. Does not belong here: configuring it (`instance.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg

#: Metadata of the download assets (`assets/downloads.py`).
_WAITED = "seconds_waited_of_run"


class DemoHistory:
    """What the runs on a Dagster instance have materialised, and what it took."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self._instance = instance

    def materialized(self, assets: Sequence[str]) -> dict[str, set[str]]:
        """By asset, the keys of the partitions that are materialised."""
        return {asset: self._instance.get_materialized_partitions(dg.AssetKey(asset)) for asset in assets}

    def quota_waited_seconds(self, assets: Sequence[str], since: float) -> float:
        """Seconds that the steps which ended after the Unix time `since` waited for permits, over all their workers."""
        by_step: dict[tuple[str, str], float] = {}
        for asset in assets:
            wanted = dg.AssetRecordsFilter(asset_key=dg.AssetKey(asset), after_timestamp=since)
            for record in self._instance.fetch_materializations(wanted, limit=1000).records:
                entry = record.asset_materialization and record.asset_materialization.metadata.get(_WAITED)
                if entry:
                    # Each partition of a step tells the same.
                    by_step[record.run_id, asset] = float(str(entry.value))
        return sum(by_step.values(), 0.0)
