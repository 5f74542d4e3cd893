"""The asset that keeps the history of the quota: how full each window is, hour by hour, and what follows from it.

Belongs here: what is shown. Does not belong here: how it is read (`resources/quota/report.py`, `status.py`), drawn
(`plots.py`), or counted (`resources/quota/limiter.py`).
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import dagster as dg

from courtlistener_assets.defs.plots import Gauge, columns, gauges, markdown_image
from courtlistener_assets.defs.step_errors import translated
from courtlistener_assets.operations.status import Status, read_status
from courtlistener_assets.settings import Settings
from resources.connections.postgres import Database
from resources.courtlistener.client import CourtListenerResource
from resources.quota.eta import in_words
from resources.quota.report import AccountReport, WindowReport, requests_by_hour
from resources.records.store import RecordStoreResource

QUOTA_USAGE = "quota_usage"
_HISTORY_HOURS = 48
_BAR = 20


def quota_usage_asset(settings: Settings) -> dg.AssetsDefinition:
    """The asset; `settings` say which partitions there are to download."""

    @dg.asset(
        name=QUOTA_USAGE,
        description="How full each of the account's windows is, what remains, and when the downloads will be done. "
        "Each materialisation adds a point to the plots. Asks api-usage, which costs no quota.",
        group_name="operations",
        owners=["team:legal-data"],
        kinds={"postgres", "rest_api"},
    )
    def quota_usage(
        context: dg.AssetExecutionContext, courtlistener: CourtListenerResource, records: RecordStoreResource
    ) -> dg.MaterializeResult[Any]:
        with translated(context):
            with records.open() as store:
                store.prepare([])
            with courtlistener.open() as client:
                client.refresh_quota(max_age_seconds=60)
            database = Database(records.postgres_url, max_connections=1)
            try:
                account = courtlistener.account_name()
                status = read_status(settings, database, account=account)
                by_hour = requests_by_hour(database, account, _HISTORY_HOURS)
            finally:
                database.close()
            return dg.MaterializeResult(metadata=metadata_of(status, by_hour))

    return quota_usage


def quota_usage_schedule() -> dg.ScheduleDefinition:
    """Every hour, from the start: it costs no quota."""
    # Not the name of the asset: Dagster allows a name only once.
    job = dg.define_asset_job(
        "record_quota_usage", selection=[QUOTA_USAGE], description="Add a point to the history of the quota."
    )
    return dg.ScheduleDefinition(
        name="hourly_quota_usage",
        job=job,
        cron_schedule="7 * * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="The quota's history and forecast, every hour.",
    )


def metadata_of(status: Status, by_hour: Sequence[tuple[datetime, int]]) -> dict[str, Any]:
    """What the UI shows: pictures and words for now, numbers for the plots over time."""
    own = status.own
    if own is None:
        return {"state": "No request has been made yet."}
    return {
        "windows": dg.MetadataValue.md(_windows(own)),
        "history": dg.MetadataValue.md(_history(own, by_hour)),
        "forecast": dg.MetadataValue.md(_forecast(status, own)),
        "holder": own.holder,
        "epoch": str(own.epoch),  # A name, not a quantity: as a number it would be plotted.
        **_numbers(status, own),
    }


def _numbers(status: Status, own: AccountReport) -> dict[str, float | int]:
    numbers: dict[str, float | int] = {}
    for window in own.windows:
        name = f"{window.seconds}_s"
        numbers[f"used_in_{name}"] = window.used
        numbers[f"remaining_in_{name}"] = window.remaining
        numbers[f"foreign_in_{name}"] = window.foreign
        numbers[f"utilisation_percent_of_{name}"] = round(100 * window.utilisation, 1)
    numbers["requests_left"] = round(status.pipeline.requests_left)
    if status.dockets_a_day is not None:
        numbers["capacity_dockets_a_day"] = round(status.dockets_a_day, 1)
    if status.seconds_left is not None and status.seconds_left != float("inf"):
        numbers["days_left"] = round(status.seconds_left / 86_400, 2)
    return numbers


def _windows(own: AccountReport) -> str:
    """A table with bars of text: the UI shows a short text at once, and a picture only after a click."""
    lines = ["| window | | used | of others | room |", "|---|---|---|---|---|"]
    for window in own.windows:
        full = min(_BAR, round(_BAR * window.utilisation))
        room = "now" if window.room_in_seconds <= 0 else f"in {in_words(window.room_in_seconds)}"
        lines.append(
            f"| {in_words(window.seconds)} | {'█' * full}{'░' * (_BAR - full)} | {window.used} of {window.limit} "
            f"| {window.foreign} | {room} |"
        )
    return "\n".join(lines)


def _history(own: AccountReport, by_hour: Sequence[tuple[datetime, int]]) -> str:
    now = gauges([_gauge(window) for window in own.windows], "Used now (orange: by others)")
    labelled = [(f"{hour:%d. %H:00}", count) for hour, count in by_hour]
    history = columns(labelled, f"Requests an hour, last {len(by_hour)} h (UTC)", limit=own.requests_a_day / 24)
    return f"{markdown_image(now, 'windows now')}\n\n{markdown_image(history, 'requests an hour')}"


def _gauge(window: WindowReport) -> Gauge:
    return Gauge(f"in {in_words(window.seconds)}", window.used - window.foreign, window.foreign, window.limit)


def _forecast(status: Status, own: AccountReport) -> str:
    room = "now" if own.room_in_seconds <= 0 else f"in {in_words(own.room_in_seconds)}"
    lines = [
        "| | |",
        "|---|---|",
        f"| room for the next request | {room} |",
        f"| the windows allow | {own.requests_a_day:,.0f} requests a day |",
    ]
    if status.dockets_a_day is not None and status.pipeline.requests_a_docket is not None:
        cost = status.pipeline.requests_a_docket
        lines.append(f"| capacity | {status.dockets_a_day:,.0f} dockets a day, at {cost:.2f} requests a docket |")
    lines.append(f"| left to download | about {status.pipeline.requests_left:,.0f} requests |")
    if own.blocked:
        lines.append("| done | never: CourtListener has blocked the account |")
    elif status.seconds_left is not None:
        lines.append(f"| done in | {in_words(status.seconds_left)} |")
    return "\n".join(lines)
