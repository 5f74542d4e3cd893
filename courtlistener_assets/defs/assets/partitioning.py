"""Dagster's view of the partitions: court x month.

Belongs here: the partitions definition and the way from a run's keys to ours.
"""

from __future__ import annotations

from datetime import date

import dagster as dg

from courtlistener_assets.download.partitions import CourtMonth


def court_months(courts: tuple[str, ...], first_month: date) -> dg.MultiPartitionsDefinition:
    """All months from `first_month` up to the current one, for each court; keys are `court|YYYY-MM-01`."""
    return dg.MultiPartitionsDefinition(
        {
            "court": dg.StaticPartitionsDefinition(list(courts)),
            # The current month is a partition too: it grows until the month is over.
            "month": dg.MonthlyPartitionsDefinition(start_date=first_month.isoformat(), end_offset=1),
        }
    )


def partitions_of(context: dg.AssetExecutionContext) -> list[CourtMonth]:
    """The partitions that a run is to materialise, in order."""
    return sorted(CourtMonth.parse(key) for key in context.partition_keys)
