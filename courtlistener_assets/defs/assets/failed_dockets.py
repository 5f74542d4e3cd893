"""The asset that shows failed and deferred work in the UI.

Belongs here: tables of what is in the backlog. Does not belong here: retrying (`sensors/`).
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from courtlistener_assets.defs.markdown import table
from courtlistener_assets.defs.materializations import content_version
from courtlistener_assets.defs.names import OWNERS, REPORT_VERSION, Names
from resources.backlog.backlog import Backlog
from resources.backlog.deferrals import Deferral
from resources.backlog.failure_counts import FailureCount
from resources.backlog.failure_entries import OpenFailure
from resources.dagster_resources import BacklogResource
from resources.quota.eta import in_words

FAILED_DOCKETS = "failed_dockets"
_COUNTS = {"waiting": "failures_waiting", "claimed": "failures_being_retried", "dead": "failures_given_up"}
_MOST_ROWS = 200
#: On a page of 1500 px the UI gives a table about 420: three columns, if no word of an address makes one wide.
_LONGEST_WORD = 18


def failed_dockets_asset(names: Names) -> dg.AssetsDefinition:
    """Make the asset that shows the backlog."""

    @dg.asset(
        key=names.key(FAILED_DOCKETS),
        description="What could not be downloaded, what is deferred, and what will be retried. Materialize it to see "
        "the present state; the job requeue_dead_dockets tries dead dockets again. The sensor retry_failed_dockets "
        "reports an observation with the same tables whenever something was given up.",
        group_name="operations",
        owners=OWNERS,
        code_version=REPORT_VERSION,
        kinds={"postgres"},
    )
    def failed_dockets(courtlistener_backlog: BacklogResource) -> dg.MaterializeResult[Any]:
        shown = shown_backlog(courtlistener_backlog.open())
        return dg.MaterializeResult(metadata=shown, data_version=content_version(shown))

    return failed_dockets


def shown_backlog(backlog: Backlog) -> dict[str, Any]:
    """Return counts and tables of what is in the backlog, as metadata."""
    failures = backlog.failures.open(limit=_MOST_ROWS)
    deferrals = backlog.deferrals.all(limit=_MOST_ROWS)
    tables: dict[str, str] = {
        "failures_by_error": table(_BY_ERROR, backlog.failures.by_error()),
        "dockets_to_retry": table(_FAILURE, [each for each in failures if each.dead_at is None]),
        "dead_dockets": table(_FAILURE, [each for each in failures if each.dead_at]),
        "deferred_partitions": table(_DEFERRED, deferrals),
    }
    shown = {name: dg.MetadataValue.md(text) for name, text in tables.items()}
    return {**counts_shown(backlog), "partitions_deferred": len(deferrals), **shown}


def counts_shown(backlog: Backlog) -> dict[str, int]:
    """Return how many failures there are, under names that say what is counted."""
    return {_COUNTS[name]: count for name, count in backlog.failures.counts().items()}


def failures_table(failures: Sequence[OpenFailure]) -> str:
    """Return the table of some failures of one partition."""
    return table({"failure": _what, **_WHY, "tries": _tries}, failures)


def _what(failure: OpenFailure) -> str:
    if not failure.asset:
        return f"{failure.id}: an entry of a list"
    if failure.docket_id is not None:
        return f"{failure.id}: {failure.asset} docket {failure.docket_id}"
    if failure.object_id is not None:
        return f"{failure.id}: {failure.asset} object {failure.object_id}"
    return f"{failure.id}: {failure.asset} ids above {failure.after_id or 0} up to {failure.up_to_id}"


def _where(failure: OpenFailure) -> str:
    return f"{_what(failure)} of {failure.partition}" if failure.partition else _what(failure)


def _tries(failure: OpenFailure) -> str:
    if failure.dead_at:
        return f"{failure.tries}, given up {_minute(failure.dead_at)}"
    if failure.claimed_by:
        return f"{failure.tries}, being retried"
    return f"{failure.tries}, next {_minute(failure.due_at)}" if failure.tries else "0, next at once"


def _rest(deferral: Deferral) -> str:
    times = "once" if deferral.times == 1 else f"{deferral.times} times"
    if deferral.requested_at:
        return f"deferred {times}, run requested {_minute(deferral.requested_at)}"
    left = "" if deferral.eta_seconds is None else f", then about {in_words(deferral.eta_seconds)}"
    return f"deferred {times}, next {_minute(deferral.deferred_until)}{left}"


def _minute(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}"


def _short_words(text: str) -> str:
    """A text without words, such as addresses, that would make a column wide; Postgres has all of it."""
    return " ".join(word if len(word) <= _LONGEST_WORD else f"{word[: _LONGEST_WORD - 1]}…" for word in text.split())


_WHY: dict[str, Callable[[OpenFailure], object]] = {"error": lambda one: _short_words(f"{one.error}: {one.message}")}
_FAILURE: dict[str, Callable[[OpenFailure], object]] = {"failure": _where, **_WHY, "tries": _tries}
_BY_ERROR: dict[str, Callable[[FailureCount], object]] = {
    "error": lambda one: f"{one.error} in {one.asset}" if one.asset else one.error,
    "failures": lambda one: f"{one.count:,} {one.state}",
    "since": lambda one: _minute(one.oldest_at),
}
_DEFERRED: dict[str, Callable[[Deferral], object]] = {
    "deferral": lambda one: f"{one.asset} of {one.partition}",
    "reason": lambda one: _short_words(one.reason),
    "next": _rest,
}
