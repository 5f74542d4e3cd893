"""How `courtlistener watch` looks on a terminal.

Belongs here: bars, tables, colours. Does not belong here: what they show (`view.py`). Whatever the server, Dagster or a
setting wrote is text, never markup.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Column, Table
from rich.text import Text

from courtlistener_assets.operations.remaining import Remaining
from courtlistener_assets.operations.status import room_in_words
from courtlistener_assets.operations.terminal import plain
from courtlistener_assets.operations.watch.lines import in_one_line
from courtlistener_assets.operations.watch.view import Bar, Downloads, Runs, View
from resources.quota.eta import in_words
from resources.quota.report import AccountReport

_BAR_WIDTH, _MOST_BACKFILLS, _MOST_TROUBLES = 30, 3, 5


def screen(view: View) -> RenderableType:
    """Everything, from what is asked for now to what failed."""
    parts: list[RenderableType] = [Text(f"CourtListener assets, {view.at:%Y-%m-%d %H:%M:%S} UTC", style="bold")]
    parts += [plain(problem, "yellow") for problem in view.problems]
    if view.runs:
        parts += _backfills(view.runs)
    parts += _downloads(view.downloads)
    if view.downloads.account:
        parts += _quota(view.downloads.account, view.downloads.refused)
    else:
        parts.append(Text("No request has been made yet."))
    return Group(*parts, *_trouble(view))


def _backfills(runs: Runs) -> list[RenderableType]:
    parts: list[RenderableType] = []
    for each in runs.backfills[:_MOST_BACKFILLS]:
        job = f" of {each.job}" if each.job else ""
        parts += [Text(), plain(f"Backfill {each.id}{job}, since {each.begun_at:%H:%M:%S}", "bold cyan")]
        parts += [_bars(each.bars), *_left(each.left)]
    if more := len(runs.backfills) - _MOST_BACKFILLS:
        parts += [Text(f"and {more} more backfills")] if more > 0 else []
    parts.append(Text(f"\nRuns: {runs.started} under way, {runs.queued} queued"))
    return parts


def _downloads(downloads: Downloads) -> list[RenderableType]:
    parts: list[RenderableType] = [Text("\nAll courts and months that are configured", style="bold cyan")]
    parts += [_bars(downloads.bars), *_left(downloads.left, counted=downloads.counted)]
    if downloads.account and downloads.account.blocked:
        parts.append(Text("  nobody knows how long it takes: CourtListener has blocked the account", style="dim"))
    return parts


def _bars(bars: Sequence[Bar]) -> Table:
    table = Table.grid(Column(min_width=18), Column(width=_BAR_WIDTH), Column(justify="right"), padding=(0, 1))
    for each in bars:
        full = each.green >= each.asked
        bar = ProgressBar(total=max(1, each.asked), completed=min(each.green, each.asked), width=_BAR_WIDTH)
        table.add_row(Text(f"  {each.asset}"), bar, Text(f"{each.green:,} of {each.asked:,}", "green" if full else ""))
    return table


def _left(left: Remaining | None, *, counted: bool = True) -> list[RenderableType]:
    """Nothing where it cannot be told, as of a backfill that downloads nothing."""
    if left is None:
        return []
    if not left.requests:
        return [Text("  nothing is left to download", style="green")]
    hint = "" if counted else " (courtlistener plan counts what is there, and makes this surer)"
    return [Text.assemble(f"  {left}", (hint, "dim"))]


def _quota(account: AccountReport, refused: int) -> list[RenderableType]:
    table = Table.grid(Column(min_width=18), Column(width=_BAR_WIDTH), Column(justify="right"), padding=(0, 1))
    for each in account.windows:
        bar = ProgressBar(total=max(1, each.limit), completed=min(each.used, each.limit), width=_BAR_WIDTH)
        others = f", {each.foreign} of others" if each.foreign else ""
        said = f"{each.used} of {each.limit}{others}; room {room_in_words(each.room_in_seconds)}"
        table.add_row(Text(f"  in {in_words(each.seconds)}"), bar, Text(said))
    sent = sum(account.granted_by.values())
    parts: list[RenderableType] = [
        Text(f"\nQuota: {sent:,} requests in the last hour, {account.in_flight} under way", style="bold cyan"),
        table,
        Text(f"  {refused} refused (429) ever", style="red" if refused else "green"),
    ]
    if account.blocked:
        parts.append(Text("  ") + plain(f"blocked: {account.blocked}", "bold red"))
    elif account.held_seconds:
        parts.append(Text(f"  after a 429 nothing is sent for {in_words(account.held_seconds)}", style="yellow"))
    return parts


def _trouble(view: View) -> list[RenderableType]:
    downloads = view.downloads
    counts = "{waiting} wait for a retry, {claimed} being retried, {dead} given up"
    failures = counts.format(**{"waiting": 0, "claimed": 0, "dead": 0, **downloads.failures})
    deferred = f"; {downloads.deferred} partitions deferred" if downloads.deferred else ""
    if downloads.next_deferral:
        deferred += f", the next one until {downloads.next_deferral:%H:%M:%S} UTC"
    bad = downloads.failures.get("dead") or view.troubles
    parts: list[RenderableType] = [Text(f"\nFailures: {failures}{deferred}", style="bold red" if bad else "bold cyan")]
    parts += [Text("  ") + plain(each, "yellow") for each in downloads.outages]
    for each in view.troubles[:_MOST_TROUBLES]:
        style = "red" if each.given_up else "yellow"
        parts.append(Text(f"  {each.at:%H:%M:%S} {in_one_line(each)}", style, overflow="ellipsis", no_wrap=True))
    return parts
