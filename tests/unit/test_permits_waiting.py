"""How a worker waits for permits: with a clock that only its own sleeps move."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from resources.errors import AccountBlocked, LedgerUnavailable, QuotaDeferred
from resources.quota.limiter import RateLimiter
from resources.quota.permits import Blocked, Decision, Lane, Outcome, Permit, ServerWindow, Wait, Window


class Time:
    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


class ScriptedLedger:
    """Gives the answers of a list, one a call, the last one for ever."""

    def __init__(self, *answers: Wait | Blocked | str | Exception) -> None:
        self.answers = list(answers)
        self.left: list[str] = []
        self.asked: list[list[str]] = []
        self.holds: list[tuple[float, str | None]] = []
        self.observed: list[Sequence[ServerWindow]] = []
        self.away: Exception | None = None

    def acquire(self, request_ids: Sequence[str], lane: Lane, *, hour_limit: int | None = None) -> Decision:
        self.asked.append(list(request_ids))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, str):
            age_us = int(answer.partition(" ")[2] or 0)
            return tuple(Permit(name, 1, 0, "redis", age_us) for name in request_ids)
        return answer

    def settle(self, permit: Permit, outcome: Outcome) -> None:
        if self.away:
            raise self.away

    def leave(self, request_ids: Sequence[str]) -> None:
        self.left += request_ids

    def hold(self, hold_seconds: float, blocked: str | None = None) -> None:
        self.holds.append((hold_seconds, blocked))

    def observe(self, windows: Sequence[ServerWindow]) -> None:
        self.observed.append(windows)


Make = Callable[[ScriptedLedger], RateLimiter]


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def make(time: Time) -> Make:
    def limiter(ledger: ScriptedLedger) -> RateLimiter:
        return RateLimiter("account", ledger, clock=time, sleep=time.sleep)  # type: ignore[arg-type]

    return limiter


def test_a_worker_sleeps_as_long_as_it_is_told_and_asks_again_as_the_same_request(time: Time, make: Make) -> None:
    ledger = ScriptedLedger(Wait(1500, 0), Wait(20, 0), "granted")
    limiter = make(ledger)
    permit = limiter.acquire()
    assert time.slept == [1.5, 0.02]
    assert ledger.asked == [[permit.request_id]] * 3
    assert limiter.waited_seconds == pytest.approx(1.52)
    assert limiter.granted == {"redis": 1}
    assert ledger.left == []


def test_a_long_sleep_is_interrupted_so_that_better_news_are_heard(time: Time, make: Make) -> None:
    make(ScriptedLedger(Wait(50_000, 0), "granted")).acquire()
    assert time.slept == [30.0]


def test_a_wait_beyond_the_budget_defers_at_once_and_leaves_the_line(time: Time, make: Make) -> None:
    ledger = ScriptedLedger(Wait(3_600_000, 4))
    with pytest.raises(QuotaDeferred) as deferred:
        make(ledger).acquire(max_wait_seconds=60)
    assert deferred.value.wait_seconds == 3600
    assert time.slept == []
    assert ledger.left == ledger.asked[0]


def test_the_budget_counts_from_the_first_question(time: Time, make: Make) -> None:
    ledger = ScriptedLedger(Wait(25_000, 0))
    with pytest.raises(QuotaDeferred):
        make(ledger).acquire(max_wait_seconds=60)
    assert time.slept == [25.0, 25.0]


def test_a_blocked_account_stops_with_the_reason(make: Make) -> None:
    with pytest.raises(AccountBlocked, match=r"lift the block.*you are blocked"):
        make(ScriptedLedger(Blocked("you are blocked"))).acquire()


def test_workers_wait_for_postgres_and_go_on(time: Time, make: Make) -> None:
    away = LedgerUnavailable("Postgres does not answer")
    limiter = make(ScriptedLedger(away, away, "granted"))
    limiter.acquire(max_wait_seconds=5)
    assert sum(time.slept) == 1.0


def test_a_postgres_that_stays_away_ends_the_wait(time: Time, make: Make) -> None:
    ledger = ScriptedLedger(LedgerUnavailable("Postgres does not answer"))
    with pytest.raises(LedgerUnavailable):
        make(ledger).acquire(max_wait_seconds=5)
    assert sum(time.slept) <= 5


def test_a_worker_that_is_interrupted_leaves_the_line(time: Time, make: Make) -> None:
    ledger = ScriptedLedger(Wait(1000, 0))

    def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    limiter = RateLimiter("account", ledger, clock=time, sleep=interrupted)  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt):
        limiter.acquire()
    assert ledger.left == ledger.asked[0]


def test_a_permit_is_stale_when_the_worker_has_slept_past_its_use_by(time: Time, make: Make) -> None:
    limiter = make(ScriptedLedger("granted"))
    permit = limiter.acquire()
    time.now += 19.9
    assert not limiter.is_stale(permit)
    time.now += 0.2
    assert limiter.is_stale(permit)


def test_a_permit_that_was_handed_out_before_is_stale_earlier(time: Time, make: Make) -> None:
    limiter = make(ScriptedLedger("granted 15000000"))
    permit = limiter.acquire()
    time.now += 5.1
    assert limiter.is_stale(permit)


def test_settling_never_raises_because_a_ledger_is_away(make: Make) -> None:
    ledger = ScriptedLedger("granted")
    limiter = make(ledger)
    permit = limiter.acquire()
    ledger.away = LedgerUnavailable("Postgres does not answer")
    limiter.settle(permit, Outcome.COUNTED)


@pytest.mark.parametrize(
    ("retry_after", "detail", "hold"),
    [
        (44.0, "Request was throttled. Expected available in 44 seconds.", (44.0, None)),
        (None, "Request was throttled.", (60.0, None)),
        (None, "Your account is Blocked.", (0.0, "Your account is Blocked.")),
    ],
)
def test_a_429_holds_everybody_back(
    make: Make, retry_after: float | None, detail: str, hold: tuple[float, str | None]
) -> None:
    ledger = ScriptedLedger("granted")
    make(ledger).throttled(retry_after, detail)
    assert ledger.holds == [hold]


def test_an_observation_without_rows_changes_nothing(make: Make) -> None:
    ledger = ScriptedLedger("granted")
    make(ledger).observe([])
    make(ledger).observe([ServerWindow(Window(5, 60), 1, False)])
    assert ledger.observed == [[ServerWindow(Window(5, 60), 1, False)]]
