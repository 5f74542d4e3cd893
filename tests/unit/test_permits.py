"""Rates as CourtListener writes them, and the words of the ledgers."""

from __future__ import annotations

import pytest

from resources.errors import SettingError
from resources.quota.permits import Permit, QuotaWindow, Window, WindowUsage
from resources.quota.postgres_ledger import room, window_wait_us


@pytest.mark.parametrize(
    ("rate", "window"),
    [
        ("5/min", Window(5, 60)),
        ("50/hour", Window(50, 3600)),
        ("125/day", Window(125, 86400)),
        ("40/20s", Window(40, 20)),
        ("0/min", Window(0, 60)),
        (" 1400 / d ", Window(1400, 86400)),
        ("10/m", Window(10, 60)),
        ("3/2hours", Window(3, 7200)),
    ],
)
def test_a_rate_is_read_as_the_server_writes_it(rate: str, window: Window) -> None:
    assert Window.parse(rate) == window


@pytest.mark.parametrize("rate", ["", "5", "five/min", "5/fortnight", "-5/min", "5/0s", "5/min/h"])
def test_anything_else_is_refused_with_an_example(rate: str) -> None:
    with pytest.raises(SettingError, match="5/min"):
        Window.parse(rate)


def test_several_rates_keep_their_order() -> None:
    assert Window.parse_all("5/min, 50/hour") == (Window(5, 60), Window(50, 3600))


def test_a_window_used_beyond_its_limit_has_nothing_left() -> None:
    assert WindowUsage(Window(5, 60), used=7, foreign=0).remaining == 0


def test_a_permit_is_the_same_permit_when_it_is_handed_out_again() -> None:
    assert Permit("a", 1, 100, age_us=0) == Permit("a", 1, 100, age_us=5_000_000)


@pytest.mark.parametrize(
    ("limit", "foreign", "share", "expected"),
    [(10, 0, 0.0, 10), (10, 0, 0.25, 8), (10, 9, 0.25, 1), (10, 10, 0.25, 0), (10, 12, 0.0, 0), (1, 0, 0.9, 1)],
)
def test_reserve_and_use_by_others_shrink_a_window(limit: int, foreign: int, share: float, expected: int) -> None:
    assert room(QuotaWindow(Window(limit, 60), foreign, 60.0), share) == expected


def test_whoever_stands_beyond_the_limit_waits_whole_cycles() -> None:
    quota = QuotaWindow(Window(2, 10))
    waits = [window_wait_us(quota, 2, needed, 1, 4_000_000) for needed in (1, 3, 5)]
    assert waits == [6_000_000, 16_000_000, 26_000_000]
