"""Partition keys."""

from datetime import date

import pytest

from courtlistener_assets.download.partitions import CourtMonth
from resources.errors import InvalidPartitionKey


def test_a_key_parses_and_prints_itself() -> None:
    key = CourtMonth.parse("scotus|2024-01-01")
    assert key == CourtMonth("scotus", date(2024, 1, 1))
    assert str(key) == "scotus|2024-01-01"


@pytest.mark.parametrize(
    "key", ["", "scotus", "scotus|2024-01", "scotus|2024-01-02", "|2024-01-01", "2024-01-01|scotus"]
)
def test_a_key_of_another_form_is_named(key: str) -> None:
    with pytest.raises(InvalidPartitionKey, match=r"court\|YYYY-MM-01"):
        CourtMonth.parse(key)


@pytest.mark.parametrize(
    ("month", "following"), [(date(2024, 1, 1), date(2024, 2, 1)), (date(2023, 12, 1), date(2024, 1, 1))]
)
def test_a_month_ends_where_the_next_begins(month: date, following: date) -> None:
    assert CourtMonth("ca9", month).next_month == following
