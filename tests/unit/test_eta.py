"""How long requests take under an account's windows."""

from __future__ import annotations

import math

import pytest

from resources.quota.eta import eta_seconds, in_words
from resources.quota.permits import Window, WindowUsage

FREE_ACCOUNT = [WindowUsage(window, 0, 0) for window in Window.parse_all("5/min,50/hour,125/day")]


@pytest.mark.parametrize(
    ("requests", "seconds"),
    [
        (0, 0),
        (5, 0),
        (6, 60),
        (50, 9 * 60),
        (51, 3600),
        (125, 2 * 3600),
        (126, 86_400),
        (1250, 9 * 86_400),
    ],
)
def test_the_slowest_window_decides(requests: int, seconds: float) -> None:
    assert eta_seconds(requests, FREE_ACCOUNT) == seconds


def test_what_is_used_already_comes_first() -> None:
    day = Window(125, 86_400)
    assert eta_seconds(100, [WindowUsage(day, 0, 0)]) == 0
    assert eta_seconds(100, [WindowUsage(day, 125, 0)]) == 86_400
    assert eta_seconds(100, [WindowUsage(day, 130, 0)]) == 86_400


def test_a_blocked_account_never_ends() -> None:
    assert math.isinf(eta_seconds(1, [WindowUsage(Window(0, 60), 0, 0)]))


def test_the_eta_is_what_a_greedy_client_of_a_sliding_window_needs() -> None:
    window = Window(3, 10)
    sent: list[float] = []
    now = 0.0
    for _ in range(20):
        if len(sent) >= window.limit:
            now = max(now, sent[-window.limit] + window.seconds)
        sent.append(now)
    assert eta_seconds(20, [WindowUsage(window, 0, 0)]) == sent[-1]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(45, "45 s"), (600, "10 min"), (7200, "2 h"), (9 * 86_400 + 4 * 3600, "9 d 4 h"), (math.inf, "never")],
)
def test_durations_are_said_in_words(seconds: float, words: str) -> None:
    assert in_words(seconds) == words
