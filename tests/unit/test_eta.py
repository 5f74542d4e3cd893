"""How long requests take under an account's windows."""

from __future__ import annotations

import math

import pytest

from resources.quota.eta import Outlook, Pace, Sent, in_words, pace_of
from resources.quota.permits import QuotaWindow, Window

FREE = "5/min,50/hour,125/day"
DAY = QuotaWindow(Window(125, 86_400))


@pytest.mark.parametrize(
    ("requests", "seconds"),
    [
        (0, 0),
        (5, 0),
        (6, 60),
        (50, 9 * 60),
        (51, 3600),
        (125, 2 * 3600 + 4 * 60),
        (126, 86_400),
        (1250, 9 * 86_400 + 2 * 3600 + 4 * 60),
    ],
)
def test_all_windows_hold_at_once(requests: int, seconds: float) -> None:
    assert Outlook.unused(FREE).seconds_for(requests) == seconds


def test_what_was_sent_comes_free_when_it_is_a_window_old() -> None:
    sent = Outlook([DAY], ages=[80_000.0 - number for number in range(125)])
    assert sent.seconds_for(1) == 6400
    assert sent.seconds_for(125) == 6400 + 124
    assert sent.seconds_for(126) == 6400 + 86_400


def test_a_reserve_is_not_for_backfills() -> None:
    assert Outlook.unused("100/hour", 0.05).seconds_for(95) == 0
    assert Outlook.unused("100/hour", 0.05).seconds_for(96) == 3600
    # One is left to them in any case.
    assert Outlook.unused("1/hour", 0.9).seconds_for(2) == 3600


def test_what_others_use_is_left_to_them_as_long_as_that_is_known() -> None:
    shared = Outlook([QuotaWindow(Window(10, 60), foreign=5, foreign_seconds=30)])
    assert shared.seconds_for(5) == 0
    assert shared.seconds_for(10) == 30
    assert shared.seconds_for(11) == 60


def test_nothing_is_sent_after_a_429_for_a_while() -> None:
    assert Outlook([DAY], held_seconds=300).seconds_for(1) == 300


def test_a_blocked_account_never_ends() -> None:
    assert math.isinf(Outlook([QuotaWindow(Window(0, 60))]).seconds_for(1))


def test_where_windows_are_wide_the_pace_decides() -> None:
    assert Outlook([DAY], pace=Pace(2.0, 1.0)).seconds_for(100) == 99 * 2 + 1


def test_what_is_not_counted_one_by_one_goes_on_at_the_speed_of_the_slowest_window() -> None:
    wide = Outlook.unused("1000/hour")
    assert wide.seconds_for(1_000_000) == pytest.approx(999 * 3600, rel=0.001)


def test_a_doubt_about_the_number_makes_the_mean_of_what_may_be() -> None:
    assert Outlook([DAY]).seconds_for(120, doubt=0.1) == pytest.approx(2 / 5 * 86_400)


def test_the_pace_is_what_the_windows_did_not_make_them_wait() -> None:
    # Two a minute, which are sent three seconds after each other and answered a second later.
    moments = [0.0, 3.0, 64.0, 67.0, 128.0, 131.0]
    sent = [Sent(200 - at, 200 - at - 1) for at in moments]
    pace = pace_of(sent, [QuotaWindow(Window(2, 60))], 0.0)
    assert pace
    assert (pace.between, pace.response) == (pytest.approx(3.0), 1.0)


def test_nights_are_no_pace() -> None:
    sent = [Sent(100_000, 99_999), Sent(100, 99), Sent(98, 97)]
    assert pace_of(sent, [DAY], 0.0) == Pace(2.0, 1.0)
    assert pace_of(sent[:1], [DAY], 0.0) is None


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(45, "45 s"), (600, "10 min"), (7200, "2 h"), (9 * 86_400 + 4 * 3600, "9 d 4 h"), (math.inf, "never")],
)
def test_durations_are_said_in_words(seconds: float, words: str) -> None:
    assert in_words(seconds) == words
