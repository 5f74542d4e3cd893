"""The asset that shows failed and deferred work in the UI.

Belongs here: tables of what is in the backlog. Does not belong here: retrying (`sensors/`).
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import dagster as dg

from courtlistener_assets.defs.names import OWNERS, Names
from resources.backlog.deferrals import Deferral
from resources.backlog.failure_lists import OpenFailure
from resources.dagster_resources import BacklogResource
from resources.quota.eta import in_words

FAILED_DOCKETS = "failed_dockets"
_MOST_ROWS = 200
_Row = TypeVar("_Row")


def failed_dockets_asset(names: Names) -> dg.AssetsDefinition:
    """Make the asset that shows the backlog."""

    @dg.asset(
        key=names.key(FAILED_DOCKETS),
        description="What could not be downloaded, what is deferred, and what will be retried. Materialize it to see "
        "the present state; the job requeue_dead_dockets tries dead dockets again.",
        group_name="operations",
        owners=OWNERS,
        kinds={"postgres"},
    )
    def failed_dockets(courtlistener_backlog: BacklogResource) -> dg.MaterializeResult[Any]:
        listed = courtlistener_backlog.open()
        counts = listed.failures.counts()
        failures = listed.failures.open(limit=_MOST_ROWS)
        deferrals = listed.deferrals.all(limit=_MOST_ROWS)
        return dg.MaterializeResult(
            metadata={
                **counts,
                "deferred": len(deferrals),
                "waiting_or_claimed_dockets": dg.MetadataValue.md(
                    table(_ALIVE, [each for each in failures if each.dead_at is None])
                ),
                "dead_dockets": dg.MetadataValue.md(table(_DEAD, [each for each in failures if each.dead_at])),
                "deferred_partitions": dg.MetadataValue.md(table(_DEFERRED, deferrals)),
            }
        )

    return failed_dockets


def table(columns: dict[str, Callable[[_Row], object]], rows: Sequence[_Row]) -> str:
    """Return rows as a Markdown table; no content can break a cell or a line."""
    if not rows:
        return "none"
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(_cell(column(row)) for column in columns.values()) + " |" for row in rows]
    return "\n".join(lines)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
    text = " ".join(str(value).split())
    text = text if len(text) <= 160 else text[:159] + "…"
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")


def _what(failure: OpenFailure) -> str:
    if failure.docket_id is not None:
        return f"docket {failure.docket_id}"
    if failure.object_id is not None:
        return f"object {failure.object_id}"
    return f"ids above {failure.after_id or 0} up to {failure.up_to_id}"


_FAILURE: dict[str, Callable[[OpenFailure], object]] = {
    "id": lambda one: one.id,
    "asset": lambda one: one.asset,
    "partition": lambda one: one.partition,
    "sweep": lambda one: one.sweep,
    "what": _what,
    "error": lambda one: one.error,
    "message": lambda one: one.message,
    "tries": lambda one: one.tries,
    "first failed": lambda one: one.first_at,
    "last failed": lambda one: one.last_at,
}
_ALIVE = {**_FAILURE, "retry after": lambda one: "being retried" if one.claimed_by else one.due_at}
_DEAD = {**_FAILURE, "given up": lambda one: one.dead_at}
_DEFERRED: dict[str, Callable[[Deferral], object]] = {
    "asset": lambda one: one.asset,
    "partition": lambda one: one.partition,
    "not before": lambda one: one.deferred_until,
    "reason": lambda one: one.reason,
    "times": lambda one: one.times,
    "time left in its run": lambda one: None if one.eta_seconds is None else in_words(one.eta_seconds),
    "run requested": lambda one: one.requested_at,
}
