"""Dagster's view of the partitions: court x month, courts and groups of them for fresh data, courts without a month.

Belongs here: the partitions definitions and the way from a run's keys to ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import dagster as dg

from courtlistener_assets.download.partitions import CourtMonth, Everything
from courtlistener_assets.download.undated import Undated


def court_months(courts: tuple[str, ...], first_month: date) -> dg.MultiPartitionsDefinition:
    """Return all months from `first_month` up to the current one, for each court; keys are `court|YYYY-MM-01`."""
    # The current month is a partition too: it grows until the month is over.
    months = dg.MonthlyPartitionsDefinition(start_date=first_month.isoformat(), end_offset=1)
    return dg.MultiPartitionsDefinition({"court": dg.StaticPartitionsDefinition(list(courts)), "month": months})


def courts_and_groups(courts: Sequence[str], groups: Sequence[str]) -> dg.StaticPartitionsDefinition:
    """Return the groups of courts that are caught up with at once, and the courts; keys are `F` and `ca9`."""
    return dg.StaticPartitionsDefinition([*groups, *courts])


def undated(courts: Sequence[str]) -> dg.StaticPartitionsDefinition:
    """Return what belongs to no month, for each court; keys are `court|undated`."""
    return dg.StaticPartitionsDefinition([str(Undated(court)) for court in courts])


def month_or_everything(key: str) -> CourtMonth | Everything:
    """Return the partition that a key in our own tables names."""
    return Everything() if key == Everything.KEY else CourtMonth.parse(key)
