"""The rolling full refresh: which partitions are walked in full today, so that all of them are within some days.

Belongs here: arithmetic about partitions and their last full walks. Does not belong here: Dagster
(`defs/schedules.py`), or what a full refresh does (`download/sweep.py`, `download/tombstones.py`).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

_DAY = timedelta(days=1)


def due_today(
    last_walks: Mapping[str, datetime], days: int, now: datetime, under_way: Collection[str] = ()
) -> list[str]:
    """Return the partitions of an asset to walk in full today, the one that was walked longest ago first.

    `last_walks` are the complete partitions with the time of their last full walk. Walked evenly, one each
    `days / len(last_walks)` days, none gets older than `days`; as many are due as it takes to stay ahead of that, but
    no more than an even share of all. Those `under_way` count as part of the share, so that what the quota has no room
    for does not pile up. With `days` of 0 none is ever due.
    """
    if days <= 0 or not last_walks:
        return []
    oldest = sorted(last_walks, key=lambda partition: (last_walks[partition], partition))
    waiting = [partition for partition in oldest if partition not in under_way]
    a_day = len(oldest) / days
    ages = [(now - last_walks[partition]) / _DAY for partition in oldest]
    # At an even pace the nth of them is walked n / a_day days from now, when it must not be older than `days`.
    behind = max(math.floor(nth - (days - age) * a_day + 1e-9) for nth, age in enumerate(ages, 1))
    share = min(math.ceil(a_day), behind) - (len(oldest) - len(waiting))
    return waiting[: max(0, share)]


@dataclass(frozen=True)
class RefreshCost:
    """What a rolling refresh within `days` costs: `requests` for all partitions, once.

    `requests_a_day_allowed` is what the account's windows allow in a day, None if they are not known.
    """

    days: int
    partitions: int
    requests: float
    requests_a_day_allowed: float | None = None

    @property
    def requests_a_day(self) -> float:
        """The mean of the days."""
        return self.requests / self.days if self.days else 0.0

    @property
    def share_of_quota(self) -> float | None:
        """The share of the day's quota, 0 to 1 and more; None if the quota is not known."""
        allowed = self.requests_a_day_allowed
        return self.requests_a_day / allowed if allowed else None

    def __str__(self) -> str:
        """In words, for people."""
        if not self.days:
            return "No rolling refresh: COURTLISTENER_REFRESH_DAYS is 0."
        share = "" if self.share_of_quota is None else f" ({self.share_of_quota:.0%} of the day's quota)"
        return (
            f"A rolling refresh of all {self.partitions:,} complete partitions within {self.days} days costs about "
            f"{math.ceil(self.requests_a_day):,} requests a day{share}."
        )


def by_partition(due: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Turn the due partitions by asset into the assets by partition, in the order in which they come."""
    assets: dict[str, list[str]] = {}
    for asset, partitions in due.items():
        for partition in partitions:
            assets.setdefault(partition, []).append(asset)
    return assets
