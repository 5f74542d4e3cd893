"""The simulated throttle is an exact sliding log: no more and no less than its windows allow."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from courtlistener_assets.devkit.simulator.accounts import Account
from courtlistener_assets.devkit.simulator.throttle import MICROSECONDS, SlidingLog, rate_text
from resources.quota.permits import Window


@dataclass
class NaiveLog:
    """The rule as it is written down, without any cleverness."""

    windows: tuple[Window, ...]
    accepted_us: list[int] = field(default_factory=list)

    def full_window(self, now_us: int) -> Window | None:
        for window in sorted(self.windows, key=lambda window: (window.seconds, window.limit)):
            younger = [moment for moment in self.accepted_us if now_us - moment < window.seconds * MICROSECONDS]
            if len(younger) >= window.limit:
                return window
        return None

    def admit(self, now_us: int) -> Window | None:
        full = self.full_window(now_us)
        if full is None:
            self.accepted_us.append(now_us)
        return full


windows = st.lists(st.builds(Window, st.integers(1, 6), st.integers(1, 12)), min_size=1, max_size=3).map(tuple)
# Steps of whole seconds meet the edges of windows; single microseconds miss them narrowly.
steps = st.lists(
    st.one_of(
        st.integers(0, 4).map(lambda seconds: seconds * MICROSECONDS), st.integers(0, 3), st.integers(0, 2_500_000)
    ),
    max_size=60,
)


@given(windows, steps)
def test_it_admits_exactly_what_a_naive_log_admits(rates: tuple[Window, ...], pauses_us: list[int]) -> None:
    log, naive, now_us = SlidingLog(rates), NaiveLog(rates), 0
    for pause_us in pauses_us:
        now_us += pause_us
        refusal = log.admit(now_us)
        assert (refusal.window if refusal else None) == naive.admit(now_us)


@given(windows, steps)
def test_waiting_as_long_as_told_frees_the_named_window(rates: tuple[Window, ...], pauses_us: list[int]) -> None:
    log, now_us = SlidingLog(rates), 0
    for pause_us in pauses_us:
        now_us += pause_us
        refusal = log.admit(now_us)
        if refusal:
            assert refusal.retry_after_seconds is not None
            told_us = refusal.retry_after_seconds * MICROSECONDS
            after = log.refusal(now_us + told_us)
            assert after is None or after.window != refusal.window
            almost = log.refusal(now_us + told_us - MICROSECONDS)
            assert almost is not None


@given(windows, steps)
def test_no_window_ever_holds_more_than_its_limit(rates: tuple[Window, ...], pauses_us: list[int]) -> None:
    log, now_us = SlidingLog(rates), 0
    for pause_us in pauses_us:
        now_us += pause_us
        log.admit(now_us)
        assert all(state.used <= state.window.limit for state in log.states(now_us))


def test_a_slot_is_free_exactly_one_window_later_and_not_a_microsecond_before() -> None:
    log = SlidingLog((Window(1, 2),))
    assert log.admit(1_000_003) is None
    assert log.refusal(3_000_002) is not None
    assert log.refusal(3_000_003) is None


def test_a_refused_request_is_not_logged() -> None:
    log = SlidingLog((Window(1, 10),))
    log.admit(0)
    for second in range(1, 10):
        assert log.admit(second * MICROSECONDS) is not None
    assert log.admit(10 * MICROSECONDS) is None


def test_a_limit_of_zero_blocks_without_naming_a_time() -> None:
    refusal = SlidingLog((Window(0, 60), Window(5, 3600))).admit(0)
    assert refusal is not None
    assert refusal.retry_after_seconds is None


def test_a_clock_that_steps_back_frees_nothing() -> None:
    log = SlidingLog((Window(2, 10),))
    log.admit(20 * MICROSECONDS)
    log.admit(5 * MICROSECONDS)
    assert log.refusal(15 * MICROSECONDS) is not None
    assert log.refusal(29 * MICROSECONDS) is not None
    assert log.refusal(30 * MICROSECONDS) is None


def test_a_long_past_is_forgotten_without_changing_a_decision() -> None:
    log = SlidingLog((Window(3, 1),))
    for second in range(0, 200_000, 40):
        assert log.admit(second * MICROSECONDS) is None
    assert len(log._accepted_us) < 4_000


@pytest.mark.parametrize("rate", ["5/min", "50/hour", "125/day", "3/sec", "40/20s", "0/min"])
def test_rates_are_printed_as_the_server_prints_them(rate: str) -> None:
    assert rate_text(Window.parse(rate, fewest=0)) == rate


def test_checking_and_logging_is_one_step_for_many_threads() -> None:
    account, admitted = Account("many", "many-token", "500/hour"), []

    def ask() -> None:
        for _ in range(200):
            if account.admit(0) is None:
                admitted.append(1)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(admitted) == 500


# --- rates that change


def statuses(account: Account, second: float, count: int) -> list[bool]:
    """Whether so many requests in a row are admitted."""
    return [account.admit(round(second * MICROSECONDS)) is None for _ in range(count)]


def test_processes_that_have_cached_the_old_rates_disagree_for_minutes() -> None:
    account = Account("someone", "token", "2/min")
    account.set_rates("1000/min", now=0.0, cached_seconds=(300.0, 600.0))
    assert statuses(account, 0.0, 4) == [True, True, False, False]
    # One process has heard of the change, the other has not.
    assert statuses(account, 300.0, 8) == [True, True, True, False, True, False, True, False]
    assert statuses(account, 600.0, 8) == [True] * 8


def test_lowered_rates_are_kept_too_late_as_well() -> None:
    account = Account("someone", "token", "1000/min")
    account.set_rates("1/min", now=0.0, cached_seconds=(300.0, 600.0))
    assert statuses(account, 10.0, 4) == [True] * 4
    assert statuses(account, 590.0, 4) == [True, True, False, True]


def test_a_promotion_doubles_the_rates_and_has_a_history_of_its_own() -> None:
    account = Account("someone", "token", "2/min,3/hour")
    assert statuses(account, 0.0, 3) == [True, True, False]
    account.set_promotion(active=True)
    assert statuses(account, 1.0, 5) == [True, True, True, True, False]
    account.set_promotion(active=False)
    assert statuses(account, 61.0, 2) == [True, False]
    account.set_promotion(active=True)
    assert statuses(account, 62.0, 3) == [True, True, False]
