"""Rates as CourtListener writes them, and the words of the ledgers."""

from __future__ import annotations

import pytest

from resources.errors import SettingError
from resources.quota.permits import Permit, Window, WindowUsage


@pytest.mark.parametrize(
    ("rate", "window"),
    [
        ("5/min", Window(5, 60)),
        ("50/hour", Window(50, 3600)),
        ("125/day", Window(125, 86400)),
        ("40/20s", Window(40, 20)),
        ("10000000/28days", Window(10_000_000, 28 * 86_400)),
        (" 1400 / d ", Window(1400, 86400)),
        ("10/m", Window(10, 60)),
        ("3/2hours", Window(3, 7200)),
    ],
)
def test_a_rate_is_read_as_the_server_writes_it(rate: str, window: Window) -> None:
    assert Window.parse(rate) == window


@pytest.mark.parametrize("rate", [
    "", "5", "five/min", "5/fortnight", "-5/min", "5/0s", "5/min/h", "0/min", "99999999999999999999/min",
    "10000001/min", "5/367days", f"5/{10**30}s", f"{'9' * 5000}/min", f"5/{'9' * 5000}s",
])  # fmt: skip
def test_anything_else_is_refused_with_an_example(rate: str) -> None:
    with pytest.raises(SettingError, match="5/min"):
        Window.parse(rate)


def test_only_the_server_names_a_rate_of_nothing() -> None:
    assert Window.parse("0/min", fewest=0) == Window(0, 60)


def test_several_rates_keep_their_order() -> None:
    assert Window.parse_all("5/min, 50/hour") == (Window(5, 60), Window(50, 3600))


def test_a_window_used_beyond_its_limit_has_nothing_left() -> None:
    assert WindowUsage(Window(5, 60), used=7, foreign=0).remaining == 0


def test_a_permit_is_the_same_permit_when_it_is_handed_out_again() -> None:
    assert Permit("a", 1, 100, age_us=0) == Permit("a", 1, 100, age_us=5_000_000)
