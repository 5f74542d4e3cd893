"""The check of the backlog as a whole: was anything given up, is anything stuck.

Belongs here: judging the backlog, and telling Dagster whenever the judgment changes. Does not belong here: the checks
of single partitions (`complete_and_current.py`), the tables (`assets/failed_dockets.py`).

Nobody materializes `failed_dockets` when a failure dies, so the sensor `retry_failed_dockets` calls `refresh_backlog`.
"""

from dataclasses import dataclass
from typing import Any

import dagster as dg

from courtlistener_assets.defs.assets.failed_dockets import FAILED_DOCKETS, counts_shown, shown_backlog
from courtlistener_assets.defs.names import Names
from resources.backlog.backlog import Backlog
from resources.dagster_resources import BacklogResource

NOTHING_IS_DEAD = "nothing_is_dead"


@dataclass(frozen=True)
class _Judgment:
    """What an evaluation says; two that say the same are the same."""

    dead: int
    stuck: tuple[str, ...]

    @classmethod
    def of(cls, backlog: Backlog) -> "_Judgment":
        stuck = (f"{each.asset} {each.partition}" for each in backlog.deferrals.all() if each.is_stuck)
        return cls(backlog.failures.counts()["dead"], tuple(stuck))

    @property
    def passed(self) -> bool:
        return not self.dead and not self.stuck

    @property
    def description(self) -> str:
        said = f"{self.dead} failed dockets were given up, {len(self.stuck)} deferred partitions are stuck."
        return said if self.passed else f"{said} Look at failed_dockets; `courtlistener requeue` tries dead ones again."

    def metadata(self, backlog: Backlog) -> dict[str, Any]:
        return {**counts_shown(backlog), **({"stuck_partitions": list(self.stuck)} if self.stuck else {})}


def nothing_is_dead_check(names: Names) -> dg.AssetChecksDefinition:
    """Make the check of the backlog."""

    @dg.asset_check(
        asset=names.key(FAILED_DOCKETS),
        name=NOTHING_IS_DEAD,
        description="No failed docket was given up, and no deferred partition is stuck.",
    )
    def nothing_is_dead(courtlistener_backlog: BacklogResource) -> dg.AssetCheckResult:
        backlog = courtlistener_backlog.open()
        judgment = _Judgment.of(backlog)
        return dg.AssetCheckResult(
            passed=judgment.passed, description=judgment.description, metadata=judgment.metadata(backlog)
        )

    return nothing_is_dead


def refresh_backlog(instance: dg.DagsterInstance, names: Names, backlog: Backlog) -> bool:
    """Evaluate the check if it would say something else than it last did, with what failed; returns whether it did."""
    key = dg.AssetCheckKey(names.key(FAILED_DOCKETS), NOTHING_IS_DEAD)
    last = instance.event_log_storage.get_latest_asset_check_execution_by_key([key]).get(key)
    said = last.evaluation.description if last and last.evaluation else None
    judgment = _Judgment.of(backlog)
    if said == judgment.description or (said is None and judgment.passed):
        return False
    instance.report_runless_asset_event(
        dg.AssetObservation(key.asset_key, description=judgment.description, metadata=shown_backlog(backlog))
    )
    # Unlike one of a partition, an evaluation outside of runs may be reported any number of times.
    instance.report_runless_asset_event(
        dg.AssetCheckEvaluation(
            asset_key=key.asset_key,
            check_name=NOTHING_IS_DEAD,
            passed=judgment.passed,
            description=judgment.description,
            metadata={name: dg.MetadataValue.json(value) if isinstance(value, list) else dg.MetadataValue.int(value)
                      for name, value in judgment.metadata(backlog).items()},
        )
    )  # fmt: skip
    return True
