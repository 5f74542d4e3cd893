"""`courtlistener status`: the quota and the downloads as they stand now.

Belongs here: putting the two reports together, for people and as JSON. Does not belong here: reading them
(`resources/quota/report.py`, `resources/backlog/progress.py`).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from typing import Any

from rich.console import Console
from rich.table import Table

from courtlistener_assets.download.streams import STREAMS
from courtlistener_assets.settings import Settings
from resources.backlog.progress import PipelineReport, Plan, pipeline_report
from resources.connections.postgres import Database
from resources.courtlistener.client import account_of
from resources.errors import CourtListenerAssetsError
from resources.quota.eta import in_words
from resources.quota.report import AccountReport, quota_report


class NothingYet(CourtListenerAssetsError):
    """The database is not migrated: start a run or `courtlistener dev`, both do it."""


@dataclass(frozen=True)
class Status:
    """All accounts, the downloads, and the account (or None) that this environment would use."""

    accounts: tuple[AccountReport, ...]
    pipeline: PipelineReport
    own_account: str | None

    @property
    def own(self) -> AccountReport | None:
        """The quota that the rest of the downloads will use: ours, or the only one there is."""
        named = [account for account in self.accounts if account.account == self.own_account]
        chosen = named or (list(self.accounts) if len(self.accounts) == 1 else [])
        return chosen[0] if chosen else None

    @property
    def seconds_left(self) -> float | None:
        """Estimate until everything is downloaded, from the windows; None if the quota is not known yet."""
        own = self.own
        if own is None or not own.windows or own.blocked:
            return None
        return own.seconds_for(self.pipeline.requests_left)

    @property
    def dockets_a_day(self) -> float | None:
        """What the quota can bring in a day at the present number of requests a docket."""
        own, cost = self.own, self.pipeline.requests_a_docket
        return own.requests_a_day / cost if own and cost else None


def plan_of(settings: Settings, today: date) -> Plan:
    """All court months from the first month up to the present one."""
    first = settings.first_month
    months = max(0, (today.year - first.year) * 12 + today.month - first.month + 1)
    return Plan(
        courts=settings.courts,
        first_month=first,
        partitions=months * len(settings.courts),
        sweeps={stream.name: [sweep.name for sweep in stream.sweeps] for stream in STREAMS},
    )


def read_status(
    settings: Settings,
    database: Database,
    *,
    account: str | None = None,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Status:
    """Read the present state; raises StoreUnavailable, and NothingYet before the first migration.

    `account` is the one that the rest is downloaded with; the settings' own if None.
    """
    [(present,)] = database.rows("SELECT to_regclass('courtlistener.deferrals') IS NOT NULL")
    if not present:
        raise NothingYet
    account = account or settings.account or (account_of(settings.api_token) if settings.api_token else None)
    pipeline = pipeline_report(database, plan_of(settings, clock().date()))
    return Status(tuple(quota_report(database)), pipeline, account)


def as_json(status: Status) -> str:
    """The status as JSON; durations in seconds, moments in ISO 8601."""
    accounts = [
        {
            **asdict(account),
            "own": account is status.own,
            "room_in_seconds": account.room_in_seconds,
            "requests_a_day": account.requests_a_day,
            "windows": [
                {**asdict(window), "remaining": window.remaining, "utilisation": round(window.utilisation, 4)}
                for window in account.windows
            ],
        }
        for account in status.accounts
    ]
    assets = [
        {**asdict(asset), "not_begun": asset.not_begun, "requests_left": asset.requests_left}
        for asset in status.pipeline.assets
    ]
    body: dict[str, Any] = {
        "accounts": accounts,
        "assets": assets,
        "failures": asdict(status.pipeline.failures),
        "deferrals": [asdict(deferral) for deferral in status.pipeline.deferrals],
        "requests_left": status.pipeline.requests_left,
        "seconds_left": status.seconds_left,
        "requests_a_docket": status.pipeline.requests_a_docket,
        "dockets_a_day": status.dockets_a_day,
    }
    return json.dumps(body, indent=2, default=lambda value: value.isoformat())


def show(status: Status, console: Console) -> None:
    """Tables for a terminal."""
    if not status.accounts:
        console.print("No request has been made yet.")
    for account in status.accounts:
        _show_account(account, own=account is status.own, console=console)
    _show_pipeline(status.pipeline, console)
    _show_rest(status, console)


def _show_account(account: AccountReport, *, own: bool, console: Console) -> None:
    title = f"Quota of account {account.account}" + (" (this environment's)" if own else "")
    table = Table(title=title, title_justify="left")
    for name in ("window", "used", "of others", "remaining", "full", "room for the next"):
        table.add_column(name, justify="left" if name == "window" else "right")
    for window in account.windows:
        table.add_row(
            f"{window.limit} per {in_words(window.seconds)}",
            str(window.used),
            str(window.foreign),
            str(window.remaining),
            f"{window.utilisation:.0%}",
            "now" if window.room_in_seconds <= 0 else f"in {in_words(window.room_in_seconds)}",
        )
    console.print(table)
    source = f"read {account.observed_at:%Y-%m-%d %H:%M:%S} UTC" if account.observed_at else "not read yet"
    console.print(
        f"Permits come from {account.holder.capitalize()} (epoch {account.epoch}); {account.in_flight} in flight. "
        f"Windows: {source}."
    )
    if account.blocked:
        console.print(f"[bold red]Blocked:[/] {account.blocked}")
    elif account.held_seconds:
        console.print(f"[yellow]After a 429 nobody gets a permit for {in_words(account.held_seconds)}.[/]")
    console.print()


def _show_pipeline(pipeline: PipelineReport, console: Console) -> None:
    table = Table(title="Downloads: partitions by asset", title_justify="left")
    for name in ("asset", "complete", "in progress", "never begun", "requests left, about"):
        table.add_column(name, justify="left" if name == "asset" else "right")
    for asset in pipeline.assets:
        counts = (asset.complete, asset.in_progress, asset.not_begun, round(asset.requests_left))
        table.add_row(asset.asset, *(f"{count:,}" for count in counts))
    console.print(table)
    failures = pipeline.failures
    console.print(
        f"Failures: {failures.open} waiting for a retry, {failures.claimed} being retried, {failures.dead} given up. "
        f"Deferred: {len(pipeline.deferrals)}."
    )
    for deferral in pipeline.deferrals[:10]:
        console.print(
            f"  {deferral.asset} {deferral.partition}: not before {deferral.deferred_until:%Y-%m-%d %H:%M:%S} UTC "
            f"({deferral.reason})",
            markup=False,
        )


def _show_rest(status: Status, console: Console) -> None:
    if status.seconds_left is not None:
        requests = round(status.pipeline.requests_left)
        console.print(f"What is left takes about {requests:,} requests: {in_words(status.seconds_left)}.")
    if status.dockets_a_day is not None and status.pipeline.requests_a_docket is not None:
        cost = status.pipeline.requests_a_docket
        console.print(f"Capacity: {status.dockets_a_day:,.0f} dockets a day at {cost:.2f} requests a docket.")
