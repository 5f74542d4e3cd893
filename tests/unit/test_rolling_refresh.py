"""Within N days every complete partition is walked in full once, evenly, and at the cost that was shown."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from courtlistener_assets.operations.rolling_refresh import RefreshCost, by_partition, due_today

START = datetime(2026, 1, 1, 5, 0, tzinfo=UTC)
DAY = timedelta(days=1)


def walks(*ages: float, now: datetime = START) -> dict[str, datetime]:
    return {f"ca9|{number:04d}": now - age * DAY for number, age in enumerate(ages)}


def simulated(last: dict[str, datetime], days: int, until: int) -> list[list[str]]:
    """Let days pass in which all that is due is walked; returns what was walked each day."""
    walked = []
    for day in range(until):
        now = START + day * DAY
        walked.append(due_today(last, days, now))
        last |= dict.fromkeys(walked[-1], now)
    return walked


def test_the_one_that_was_walked_longest_ago_comes_first() -> None:
    assert due_today(walks(100, 300, 200), 3, START) == ["ca9|0001"]


def test_many_that_are_all_too_old_are_spread_over_the_days() -> None:
    walked = simulated(walks(*[200] * 1000), 90, 90)
    assert max(map(len, walked)) == 12
    assert {partition for each in walked for partition in each} == set(walks(*[0] * 1000))


def test_a_few_partitions_are_not_walked_every_day() -> None:
    walked = simulated(walks(*[0] * 3), 90, 360)
    assert sum(map(len, walked)) == pytest.approx(3 * 4, abs=1)
    assert max(map(len, walked)) == 1


def test_what_is_under_way_is_not_requested_again_and_counts_as_part_of_the_share() -> None:
    last = walks(*[200] * 20)
    first = due_today(last, 10, START)
    assert len(first) == 2
    assert due_today(last, 10, START + DAY, under_way=first) == []
    assert due_today(last, 10, START + DAY, under_way=first[:1]) == ["ca9|0001"]


def test_without_days_or_partitions_nothing_is_due() -> None:
    assert due_today(walks(500), 0, START) == []
    assert due_today({}, 90, START) == []


@settings(max_examples=60, deadline=None)
@given(ages=st.lists(st.integers(0, 400), min_size=1, max_size=60), days=st.integers(1, 40))
def test_nothing_ever_gets_older_than_promised_and_nothing_is_walked_more_often_than_needed(
    ages: list[int], days: int
) -> None:
    last = walks(*ages)
    walked = simulated(last, days, 5 * days)
    assert max(map(len, walked)) <= math.ceil(len(ages) / days)
    for day in range(days if max(ages) else 2 * days, 5 * days):
        recently = {partition for each in walked[day - days : day + 1] for partition in each}
        assert len(recently) == len(ages)
    assert sum(map(len, walked)) <= 5 * len(ages) + len(ages)


def test_runs_take_all_that_is_due_of_a_partition() -> None:
    due = {"dockets": ["a", "b"], "clusters": ["b"]}
    assert by_partition(due) == {"a": ["dockets"], "b": ["dockets", "clusters"]}


def test_the_cost_is_said_in_requests_and_as_a_share_of_the_quota() -> None:
    cost = RefreshCost(days=90, partitions=240, requests=1800, requests_a_day_allowed=125)
    assert str(cost) == (
        "A rolling refresh of all 240 complete partitions within 90 days costs about 20 requests a day "
        "(16% of the day's quota)."
    )
    assert "quota" not in str(RefreshCost(days=90, partitions=240, requests=1800))
    assert str(RefreshCost(days=0, partitions=1, requests=1)) == "No rolling refresh: COURTLISTENER_REFRESH_DAYS is 0."
