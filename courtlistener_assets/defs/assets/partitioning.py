"""Dagster's view of the partitions: court x month, courts and groups of them for fresh data, courts without a month.

Belongs here: the partitions definitions and the way from a run's keys to ours. Does not belong here: what a key means
(`download/partitions.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import dagster as dg

from courtlistener_assets.download.partitions import CourtMonth, Everything
from courtlistener_assets.download.undated import Undated
from resources.errors import InvalidPartitionKey

#: How Dagster writes a range of partitions on a run.
RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
#: How many keys of an order an error lists.
_MOST_LISTED = 12


def court_months(
    courts: tuple[str, ...], first_month: date, last_month: date | None = None
) -> dg.MultiPartitionsDefinition:
    """Return all months from the first to the last or current one, for each court; keys are `court|YYYY-MM-01`."""
    end = CourtMonth("", last_month).next_month.isoformat() if last_month else None
    # The current month is a partition too: it grows until the month is over.
    months = dg.MonthlyPartitionsDefinition(start_date=first_month.isoformat(), end_date=end, end_offset=1)
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


def selected_keys(
    context: dg.OpExecutionContext | dg.AssetExecutionContext, definition: dg.PartitionsDefinition
) -> Sequence[str]:
    """Return the partition keys of a run.

    Raises InvalidPartitionKey for a range that is written backwards or begins or ends where there is no partition:
    Dagster makes an empty run of the one, and months that do not exist of the other.
    """
    start, end = (context.run.tags.get(name) for name in (RANGE_START, RANGE_END))
    if start is not None and end is not None:
        _check_range(definition, start, end)
    return partition_keys(context)


def partition_keys(context: dg.OpExecutionContext | dg.AssetExecutionContext) -> Sequence[str]:
    """Return the partition keys of a run, in their order; none if it is for no partition.

    A backfill of a job leaves the parts of its first partition on a run over a range (`dagster/partition/court`), and
    `context.partition_keys` would be that one partition: Dagster would show the others as done, and nobody made them.
    """
    if not context.has_partition_key_range:
        return context.partition_keys if context.has_partition_key else []
    definition = context.get_step_execution_context().run_partitions_def
    ends = [context.run.tags[name] for name in (RANGE_START, RANGE_END)]
    if isinstance(definition, dg.MultiPartitionsDefinition):
        ends = [definition.get_partition_key_from_str(key) for key in ends]
    return definition.get_partition_keys_in_range(dg.PartitionKeyRange(*ends)) if definition else []


def _check_range(definition: dg.PartitionsDefinition, start: str, end: str) -> None:
    orders = _orders(definition)
    ends = [_split(key, orders) for key in (start, end)]
    for key, parts in zip((start, end), ends, strict=True):
        if parts is None:
            raise InvalidPartitionKey(f"the range {start}...{end} has no partition {key!r}: {_in_words(orders)}")
    in_order = [sorted(pair, key=order.index) for order, *pair in zip(orders, *filter(None, ends), strict=True)]
    first, last = ("|".join(parts) for parts in zip(*in_order, strict=True))
    if (first, last) != (start, end):
        raise InvalidPartitionKey(
            f"the range {start}...{end} is written backwards and selects nothing: {_in_words(orders)}. "
            f"Write {first}...{last}"
        )


def _orders(definition: dg.PartitionsDefinition) -> list[Sequence[str]]:
    """Return the keys of each dimension, in their order."""
    if isinstance(definition, dg.MultiPartitionsDefinition):
        return [each.partitions_def.get_partition_keys() for each in definition.partitions_defs]
    return [definition.get_partition_keys()]


def _split(key: str, orders: Sequence[Sequence[str]]) -> list[str] | None:
    """Return the part of a key in each dimension; None if there is no such partition."""
    parts = key.split("|") if len(orders) > 1 else [key]
    fits = len(parts) == len(orders) and all(part in order for part, order in zip(parts, orders, strict=True))
    return parts if fits else None


def _in_words(orders: Sequence[Sequence[str]]) -> str:
    """Say in which order the partitions are."""
    first, *more = orders
    listed = ", ".join(first[:_MOST_LISTED]) + (f" and {len(first) - _MOST_LISTED} more" * (len(first) > _MOST_LISTED))
    months = "".join(f", months from {order[0]} to {order[-1]}" for order in more)
    return f"courts go in the order of COURTLISTENER_COURTS ({listed}){months}"
