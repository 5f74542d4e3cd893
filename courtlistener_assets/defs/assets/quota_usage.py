"""The asset that keeps the history of the quota: how full each window is, hour by hour, and what follows from it.

Belongs here: what is shown; Dagster plots the numbers over the materializations. Does not belong here: how it is read
(`resources/quota/report.py`, `status.py`), or counted (`resources/quota/limiter.py`).
"""

from collections.abc import Callable
from typing import Any

import dagster as dg

from courtlistener_assets.defs.markdown import table
from courtlistener_assets.defs.materializations import content_version
from courtlistener_assets.defs.names import OWNERS, REPORT_VERSION, Names
from courtlistener_assets.defs.steps import translated
from courtlistener_assets.operations.status import Status, read_status, room_in_words
from courtlistener_assets.settings import Settings
from resources.dagster_resources import CourtListenerResource, RecordStoreResource
from resources.quota.eta import in_words
from resources.quota.report import AccountReport, WindowReport

QUOTA_USAGE = "quota_usage"
_BAR = 20


def quota_usage_asset(settings: Settings, names: Names) -> dg.AssetsDefinition:
    """Make the asset; `settings` say which partitions remain to be downloaded."""

    @dg.asset(
        key=names.key(QUOTA_USAGE),
        description="How full each of the account's windows is, what remains, and when the downloads will be complete. "
        "Each materialization adds a point to the plots. Reads api-usage, which costs no quota.",
        group_name="operations",
        owners=OWNERS,
        code_version=REPORT_VERSION,
        kinds={"postgres", "rest_api"},
    )
    def quota_usage(
        context: dg.AssetExecutionContext,
        courtlistener: CourtListenerResource,
        courtlistener_records: RecordStoreResource,
    ) -> dg.MaterializeResult[Any]:
        with translated(context):
            with courtlistener.open() as client:
                client.refresh_quota(max_age_seconds=60)
            database = courtlistener_records.postgres.database()
            status = read_status(settings, database, account=courtlistener.account_name())
            shown = metadata_of(status)
            return dg.MaterializeResult(metadata=shown, data_version=content_version(shown))

    return quota_usage


def quota_usage_schedule(names: Names) -> dg.ScheduleDefinition:
    """Make the hourly schedule, which is on from the start: it costs no quota."""
    # Not the name of the asset: Dagster allows a name only once.
    job = dg.define_asset_job(
        names.name("record_quota_usage"),
        selection=[names.key(QUOTA_USAGE)],
        description="Add a point to the history of the quota.",
    )
    return dg.ScheduleDefinition(
        name=names.name("hourly_quota_usage"),
        job=job,
        cron_schedule="7 * * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="The quota's history and forecast, every hour.",
    )


def metadata_of(status: Status) -> dict[str, Any]:
    """Return what the UI shows: tables of the present, numbers for the plots over time."""
    own = status.own
    if own is None:
        return {"state": "No request has been made yet."}
    return {
        "windows": dg.MetadataValue.md(table(_WINDOWS, own.windows)),
        "forecast": dg.MetadataValue.md(_forecast(status, own)),
        "permits_granted_by": own.holder,
        "ledger_epoch": str(own.epoch),  # A name, not a quantity: as a number it would be plotted.
        **_numbers(status, own),
    }


def _numbers(status: Status, own: AccountReport) -> dict[str, float | int]:
    numbers: dict[str, float | int] = {}
    for window in own.windows:
        name = f"{window.seconds}_s"
        numbers[f"used_requests_in_{name}"] = window.used
        numbers[f"remaining_requests_in_{name}"] = window.remaining
        numbers[f"requests_of_others_in_{name}"] = window.foreign
        numbers[f"utilization_percent_of_{name}"] = round(100 * window.utilization, 1)
    numbers["requests_left_to_download"] = round(status.pipeline.requests_left)
    if status.dockets_a_day is not None:
        numbers["capacity_dockets_a_day"] = round(status.dockets_a_day, 1)
    if status.seconds_left is not None and status.seconds_left != float("inf"):
        numbers["days_left_to_download"] = round(status.seconds_left / 86_400, 2)
    return numbers


def _bar(window: WindowReport) -> str:
    full = min(_BAR, round(_BAR * window.utilization))
    return "█" * full + "░" * (_BAR - full)


_WINDOWS: dict[str, Callable[[WindowReport], object]] = {
    "window": lambda one: in_words(one.seconds),
    "": _bar,
    "used": lambda one: f"{one.used} of {one.limit}",
    "of others": lambda one: one.foreign,
    "room": lambda one: room_in_words(one.room_in_seconds),
}


def _forecast(status: Status, own: AccountReport) -> str:
    lines = [
        "| | |",
        "|---|---|",
        f"| room for the next request | {room_in_words(own.room_in_seconds)} |",
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
