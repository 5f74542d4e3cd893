"""`courtlistener status`: the present state of the quota and the downloads.

Belongs here: putting the two reports together, for people and as JSON. Does not belong here: reading them
(`resources/quota/report.py`, `resources/backlog/progress.py`).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Any

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from courtlistener_assets.download.membership import UNDATED_DOCKETS
from courtlistener_assets.download.stream import Stream
from courtlistener_assets.download.undated import undated_stream
from courtlistener_assets.operations.expected import plan_for
from courtlistener_assets.operations.rolling_refresh import RefreshCost
from courtlistener_assets.operations.terminal import plain
from courtlistener_assets.settings import Settings
from resources.backlog.failure_counts import FailureCount, failure_summary
from resources.backlog.progress import PipelineReport, Plan, full_walks, pipeline_report
from resources.connections.postgres import Database
from resources.courtlistener.outage import Outage, outages
from resources.courtlistener.token import account_of
from resources.errors import NothingYet
from resources.legacy.pipeline_state import PipelineState
from resources.quota.eta import Outlook, in_words
from resources.quota.outlook import read_outlook
from resources.quota.report import AccountReport, quota_report
from resources.records.audit import RecordAudit


@dataclass(frozen=True)
class Status:
    """All accounts, the downloads, and the account (or None) that this environment would use."""

    accounts: tuple[AccountReport, ...]
    pipeline: PipelineReport
    own_account: str | None
    #: Summaries of the last active runs, from Redis; none while it is down.
    runs: tuple[dict[str, Any], ...] = ()
    #: Complete partitions, and the requests that it takes to walk all of them in full.
    full_walks: tuple[int, int] = (0, 0)
    refresh_days: int = 0
    #: The accounts for which the server, or one of its endpoints, gives nothing now.
    outages: tuple[Outage, ...] = ()
    #: Dockets that belong to no month, and what is stored of them; empty if they are not looked for.
    undated: Mapping[str, int] = field(default_factory=dict)
    #: What the account may send from now on; None if that is not known.
    outlook: Outlook | None = None
    #: Failures that are not resolved, the most frequent first.
    failures: tuple[FailureCount, ...] = ()

    @property
    def own(self) -> AccountReport | None:
        """The quota that the rest of the downloads will use."""
        return own_of(self.accounts, self.own_account)

    @property
    def seconds_left(self) -> float | None:
        """Estimate until everything is downloaded, from the windows; None if the quota is not known yet."""
        own, forecast = self.own, self.pipeline.forecast
        if own is None or not own.windows or own.blocked or self.outlook is None:
            return None
        return self.outlook.seconds_for(forecast.total, forecast.doubt)

    @property
    def refresh(self) -> RefreshCost:
        """What the rolling refresh costs, whether it is turned on or not."""
        return RefreshCost(self.refresh_days, *self.full_walks, self.own.requests_a_day if self.own else None)

    @property
    def dockets_a_day(self) -> float | None:
        """What the quota allows in a day at the present number of requests a docket."""
        own, cost = self.own, self.pipeline.requests_a_docket
        return own.requests_a_day / cost if own and cost else None


def plan_of(settings: Settings, today: date) -> Plan:
    """Return what a location with these settings downloads."""
    return plan_for(settings.chosen_streams, settings.courts, settings.first_month, settings.last_month, today)


def own_account(settings: Settings) -> str | None:
    """Return the account that these settings download with, None if they name none."""
    return settings.account or (account_of(settings.token) if settings.token else None)


def read_status(
    settings: Settings,
    database: Database,
    *,
    account: str | None = None,
    state: PipelineState | None = None,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Status:
    """Read the present state; raises StoreUnavailable, and NothingYet before the first migration.

    `account` is the one that the rest is downloaded with; the settings' own if None. `state` tells of the last runs.
    """
    [(present,)] = database.rows("SELECT to_regclass('courtlistener.deferrals') IS NOT NULL")
    if not present:
        raise NothingYet
    account = account or own_account(settings)
    plan, undated = plan_of(settings, clock().date()), undated_stream(settings.chosen_streams)
    accounts = tuple(quota_report(database))
    own = own_of(accounts, account)
    return Status(
        accounts,
        pipeline_report(database, plan, own.account if own else None),
        account,
        tuple(state.last_runs() if state else ()),
        full_walks(database, _with_undated(plan, undated)),
        settings.refresh_days,
        tuple(outages(database)),
        _undated(database, undated, settings.courts) if undated else {},
        read_outlook(database, own.account, settings.reserve_share) if own else None,
        tuple(failure_summary(database)),
    )


def own_of(accounts: Sequence[AccountReport], account: str | None) -> AccountReport | None:
    """The quota that the rest of the downloads will use: that of an account, or the only one."""
    usable = [each for each in accounts if not each.problem]
    named = [each for each in usable if each.account == account]
    chosen = named or (usable if len(accounts) == 1 else [])
    return chosen[0] if chosen else None


def _undated(database: Database, undated: Stream, courts: Sequence[str]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for court in courts:
        counts.update(RecordAudit(database).undated(undated.tables, court))
    return dict(counts)


def _with_undated(plan: Plan, undated: Stream | None) -> Plan:
    sweeps = {UNDATED_DOCKETS: [sweep.name for sweep in undated.sweeps]} if undated else {}
    return replace(plan, sweeps={**plan.sweeps, **sweeps})


def as_json(status: Status) -> str:
    """Return the status as JSON; durations in seconds, moments in ISO 8601."""
    accounts = [
        {
            **asdict(account),
            "own": account is status.own,
            "room_in_seconds": account.room_in_seconds,
            "requests_a_day": account.requests_a_day,
            "windows": [
                {**asdict(window), "remaining": window.remaining, "utilization": round(window.utilization, 4)}
                for window in account.windows
            ],
        }
        for account in status.accounts
    ]
    assets = [{**asdict(asset), "not_begun": asset.not_begun} for asset in status.pipeline.assets]
    body: dict[str, Any] = {
        "accounts": accounts,
        "assets": assets,
        "failures": status.pipeline.failures,
        "failures_by_error": [asdict(each) for each in status.failures],
        "deferrals": [asdict(deferral) for deferral in status.pipeline.deferrals],
        "outages": [_outage(each) for each in status.outages],
        "requests_left": status.pipeline.requests_left,
        "seconds_left": status.seconds_left,
        "requests_a_docket": status.pipeline.requests_a_docket,
        "dockets_a_day": status.dockets_a_day,
        "rolling_refresh": {
            **asdict(status.refresh),
            "requests_a_day": status.refresh.requests_a_day,
            "share_of_quota": status.refresh.share_of_quota,
        },
        "undated": dict(status.undated),
        "runs": [{**run, **{name: _moment(run[name]) for name in ("started_at", "updated_at")}} for run in status.runs],
    }
    return json.dumps(body, indent=2, default=lambda value: value.isoformat())


def _outage(outage: Outage) -> dict[str, Any]:
    down = {"since": outage.down_since, "seen": outage.seen, "probes": outage.probes, "next_probe": outage.probe_at}
    endpoints = [asdict(each) for each in outage.troubles]
    return {"account": outage.account, "down": down if outage.down_since else None, "endpoints": endpoints}


def show(status: Status, console: Console) -> None:
    """Print tables for a terminal."""
    if not status.accounts:
        console.print("No request has been made yet.")
    for account in status.accounts:
        _show_account(account, own=account is status.own, console=console)
    for outage in status.outages:
        _show_outage(outage, console)
    _show_pipeline(status, console)
    if status.runs:
        _show_runs(status.runs, console)
    _show_rest(status, console)


def room_in_words(seconds: float) -> str:
    """Return when the next request has room: `now`, or `in 3 min`."""
    return "now" if seconds <= 0 else f"in {in_words(seconds)}"


def _table(title: str | Text, name: str, *numbers: str) -> Table:
    return Table(name, *(Column(each, justify="right") for each in numbers), title=title, title_justify="left")


def _show_account(account: AccountReport, *, own: bool, console: Console) -> None:
    if account.problem:
        console.print(plain(f"Account {account.account}: {account.problem}."), style="bold red")
        console.print()
        return
    title = f"Quota of account {account.account}" + (" (this environment's)" if own else "")
    table = _table(plain(title), "window", "used", "of others", "remaining", "full", "room for the next")
    for window in account.windows:
        table.add_row(
            f"{window.limit} per {in_words(window.seconds)}",
            str(window.used),
            str(window.foreign),
            str(window.remaining),
            f"{window.utilization:.0%}",
            room_in_words(window.room_in_seconds),
        )
    console.print(table)
    source = f"read {account.observed_at:%Y-%m-%d %H:%M:%S} UTC" if account.observed_at else "not read yet"
    console.print(
        f"Permits come from {account.holder.capitalize()} (epoch {account.epoch}); {account.in_flight} in flight. "
        f"Windows: {source}."
    )
    if account.blocked:
        console.print(plain(f"Blocked: {account.blocked}"), style="bold red")
    elif account.held_seconds:
        console.print(f"After a 429 no permit is granted for {in_words(account.held_seconds)}.", style="yellow")
    console.print()


def _show_outage(outage: Outage, console: Console) -> None:
    said = ([str(outage)] if outage.down_since else []) + [str(each) for each in outage.troubles]
    for each in said:
        console.print(plain(f"Account {outage.account}: {each}."), style="yellow")
    console.print()


def _show_pipeline(status: Status, console: Console) -> None:
    pipeline = status.pipeline
    title = "Downloads: partitions by asset"
    table = _table(title, "asset", "complete", "in progress", "never begun", "requests left, about")
    for asset in pipeline.assets:
        counts = (asset.complete, asset.in_progress, asset.not_begun, round(asset.requests_left))
        table.add_row(plain(asset.asset), *(f"{count:,}" for count in counts))
    console.print(table)
    failures = "{waiting} waiting for a retry, {claimed} being retried, {dead} given up".format(**pipeline.failures)
    console.print(f"Failures: {failures}. Deferred: {len(pipeline.deferrals)}.")
    for each in status.failures[:10]:
        line = f"  {each.count:,} {each.state}: {each.error} in {each.asset or 'a list'}"
        console.print(f"{line}, the oldest {in_words(each.oldest_seconds)} ago", markup=False)
    for deferral in pipeline.deferrals[:10]:
        until = f"not before {deferral.deferred_until:%Y-%m-%d %H:%M:%S} UTC ({deferral.reason})"
        console.print(Text("  ") + plain(f"{deferral.asset} {deferral.partition}: {until}"))


def _show_runs(runs: Sequence[dict[str, Any]], console: Console) -> None:
    console.print("Last runs:")
    for run in runs:
        errors = ", ".join(f"{count} {name}" for name, count in sorted(run["errors"].items())) or "no errors"
        said = (
            f"{run['run_id']}, begun {_moment(run['started_at']):%Y-%m-%d %H:%M:%S} UTC: "
            f"{run['processed_dockets']:,} dockets ({run['throughput_dockets_per_minute']:,} a minute), "
            f"{run['failed_dockets']:,} failed, {run['api_calls']:,} API calls, {errors}"
        )
        console.print(Text("  ") + plain(said))


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _show_rest(status: Status, console: Console) -> None:
    if status.seconds_left is not None:
        requests = round(status.pipeline.requests_left)
        console.print(f"What is left takes about {requests:,} requests: {in_words(status.seconds_left)}.")
    if status.dockets_a_day is not None and status.pipeline.requests_a_docket is not None:
        cost = status.pipeline.requests_a_docket
        console.print(f"Capacity: {status.dockets_a_day:,.0f} dockets a day at {cost:.2f} requests a docket.")
    if status.undated.get("undated_dockets"):
        dockets, *rest = (f"{count:,} {name.replace('_', ' ')}" for name, count in status.undated.items())
        console.print(f"In no month: {dockets}, with {' and '.join(rest)}.")
    if status.refresh.partitions:
        console.print(str(status.refresh))
