"""Dagster's view of the partitions: court x month, and court x day for fresh data.

Belongs here: the partitions definitions and the way from a run's keys to ours.
"""

from __future__ import annotations

from datetime import date

import dagster as dg

from courtlistener_assets.download.partitions import CourtMonth, Everything


def court_months(courts: tuple[str, ...], first_month: date) -> dg.MultiPartitionsDefinition:
    """Return all months from `first_month` up to the current one, for each court; keys are `court|YYYY-MM-01`."""
    # The current month is a partition too: it grows until the month is over.
    months = dg.MonthlyPartitionsDefinition(start_date=first_month.isoformat(), end_offset=1)
    return dg.MultiPartitionsDefinition({"court": dg.StaticPartitionsDefinition(list(courts)), "month": months})


def court_days(courts: tuple[str, ...], today: date) -> dg.MultiPartitionsDefinition:
    """Return the days since the start of last year, for each court; keys are `court|YYYY-MM-DD`.

    Changes of older days are of no use: whatever was downloaded before then is requested again by its month.
    """
    days = dg.DailyPartitionsDefinition(start_date=date(today.year - 1, 1, 1).isoformat())
    return dg.MultiPartitionsDefinition({"court": dg.StaticPartitionsDefinition(list(courts)), "day": days})


def month_or_everything(key: str) -> CourtMonth | Everything:
    """Return the partition that a key in our own tables names."""
    return Everything() if key == Everything.KEY else CourtMonth.parse(key)
