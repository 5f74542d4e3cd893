"""How a worker waits for permits: with a clock that only its own sleeps move."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest

from resources.errors import (
    AccountBlocked,
    LedgerUnavailable,
    NotFound,
    NotSent,
    QuotaDeferred,
    Throttled,
    TransientApiError,
    Unanswered,
    UntrustedServer,
)
from resources.quota.limiter import RateLimiter
from resources.quota.permits import (
    Blocked,
    Decision,
    Lane,
    Outcome,
    Patience,
    Permit,
    ServerWindow,
    Wait,
    Window,
    Withdrawn,
)


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

    def __init__(self, *answers: Wait | Withdrawn | Blocked | str | Exception) -> None:
        self.answers = list(answers)
        self.left: list[str] = []
        self.settled: list[Outcome] = []
        self.asked: list[list[str]] = []
        self.patience: list[Patience] = []
        self.holds: list[tuple[float, str | None]] = []
        self.observed: list[Sequence[ServerWindow]] = []
        self.away: Exception | None = None
        self.more_room = math.inf

    def acquire(self, request_ids: Sequence[str], lane: Lane, *, patience: Patience, **options: Any) -> Decision:
        self.asked.append(list(request_ids))
        self.patience.append(patience)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, str):
            age_us = int(answer.partition(" ")[2] or 0)
            return tuple(Permit(name, 1, 0, "redis", age_us) for name in request_ids)
        return answer

    def settle(self, permit: Permit, outcome: Outcome, elapsed_us: int = 0) -> None:
        if self.away:
            raise self.away
        self.settled.append(outcome)

    def more_room_seconds(self) -> float:
        return self.more_room

    def leave(self, request_ids: Sequence[str]) -> None:
        self.left += request_ids

    def hold(self, hold_seconds: float, blocked: str | None = None) -> None:
        self.holds.append((hold_seconds, blocked))

    def observe(self, windows: Sequence[ServerWindow], **_: object) -> None:
        self.observed.append(windows)


Make = Callable[[ScriptedLedger], RateLimiter]


def enter(permit: AbstractContextManager[Permit]) -> None:
    with permit:
        raise AssertionError("no permit should have been granted")


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
    with limiter.permit() as permit:
        assert time.slept == [1.5, 0.02]
        assert ledger.asked == [[permit.request_id]] * 3
    assert limiter.waited_seconds == pytest.approx(1.52)
    assert limiter.granted == {"redis": 1}
    assert ledger.left == []


def test_whoever_hears_no_announcements_asks_again_every_few_seconds(time: Time, make: Make) -> None:
    ledger = ScriptedLedger(Wait(50_000, 0), Wait(47_000, 0), Wait(1_000, 0), "granted")
    with make(ledger).permit():
        pass
    assert time.slept == [3.0, 3.0, 1.0]
    assert [patience.seconds for patience in ledger.patience] == [90, 87, 84, 83]
    assert {(patience.silence_seconds, patience.listening) for patience in ledger.patience} == {(3.0, False)}


def test_a_wait_beyond_the_budget_defers_at_once_and_leaves_the_line(time: Time, make: Make) -> None:
    ledger = ScriptedLedger(Wait(3_600_000, 4))
    with pytest.raises(QuotaDeferred) as deferred:
        enter(make(ledger).permit(max_wait_seconds=60))
    assert deferred.value.wait_seconds == 3600
    assert time.slept == []
    assert ledger.left == ledger.asked[0]


def test_the_budget_counts_from_the_first_question(time: Time, make: Make) -> None:
    ledger = ScriptedLedger(Wait(25_000, 0))
    with pytest.raises(QuotaDeferred):
        enter(make(ledger).permit(max_wait_seconds=60))
    assert 35 < sum(time.slept) <= 38


def test_the_last_question_comes_when_the_budget_is_used_up(time: Time, make: Make) -> None:
    ledger = ScriptedLedger(Wait(2_000, 0))
    with pytest.raises(QuotaDeferred):
        enter(make(ledger).permit(max_wait_seconds=5))
    assert time.slept == [2.0, 2.0]


def test_a_blocked_account_stops_with_the_reason(make: Make) -> None:
    with pytest.raises(AccountBlocked, match=r"lift the block.*you are blocked"):
        enter(make(ScriptedLedger(Blocked("you are blocked"))).permit())


def test_workers_wait_for_postgres_and_resume(time: Time, make: Make) -> None:
    away = LedgerUnavailable("Postgres does not answer")
    limiter = make(ScriptedLedger(away, away, "granted"))
    with limiter.permit(max_wait_seconds=5):
        assert sum(time.slept) == 1.0


def test_a_postgres_that_stays_away_ends_the_wait(time: Time, make: Make) -> None:
    ledger = ScriptedLedger(LedgerUnavailable("Postgres does not answer"))
    with pytest.raises(LedgerUnavailable):
        enter(make(ledger).permit(max_wait_seconds=5))
    assert sum(time.slept) <= 5


def test_a_worker_that_is_interrupted_leaves_the_line(time: Time, make: Make) -> None:
    ledger = ScriptedLedger(Wait(1000, 0))

    def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    limiter = RateLimiter("account", ledger, clock=time, sleep=interrupted)  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt):
        enter(limiter.permit())
    assert ledger.left == ledger.asked[0]


@pytest.mark.parametrize(("age_us", "suspended_seconds", "usable"), [
    (0, 19.9, True), (0, 20.1, False), (15_000_000, 4.9, True), (15_000_000, 5.1, False),
])  # fmt: skip
def test_a_permit_that_was_slept_past_is_given_back_and_another_one_used(
    time: Time, make: Make, age_us: int, suspended_seconds: float, usable: bool
) -> None:
    ledger = ScriptedLedger(f"granted {age_us}", "granted")
    acquire = ledger.acquire

    def suspended(*args: Any, **options: Any) -> Decision:
        decision = acquire(*args, **options)
        if len(ledger.asked) == 1:  # The machine sleeps while the first answer is on its way.
            time.now += suspended_seconds
        return decision

    ledger.acquire = suspended  # type: ignore[method-assign]
    with make(ledger).permit() as permit:
        assert [permit.request_id] == ledger.asked[-1]
        assert ledger.settled == ([] if usable else [Outcome.NOT_COUNTED])
    assert ledger.settled[-1] is Outcome.COUNTED


def test_settling_never_raises_because_a_ledger_is_away(make: Make) -> None:
    ledger = ScriptedLedger("granted")
    with make(ledger).permit():
        ledger.away = LedgerUnavailable("Postgres does not answer")


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (None, Outcome.COUNTED),
        (TransientApiError("500"), Outcome.COUNTED),
        (NotFound(), Outcome.COUNTED),
        (Unanswered(), Outcome.UNANSWERED),
        (ValueError("not ours"), Outcome.UNANSWERED),
        (KeyboardInterrupt(), Outcome.UNANSWERED),
        (SystemExit(), Outcome.UNANSWERED),
        (NotSent(), Outcome.NOT_COUNTED),
        (UntrustedServer(), Outcome.NOT_COUNTED),
        (Throttled(retry_after_seconds=1.0), Outcome.NOT_COUNTED),
    ],
    ids=repr,
)
def test_how_the_block_ends_settles_its_permit_once(make: Make, error: BaseException | None, outcome: Outcome) -> None:
    ledger = ScriptedLedger("granted")
    with pytest.raises(type(error)) if error else nullcontext(), make(ledger).permit():
        assert ledger.settled == []
        if error:
            raise error
    assert ledger.settled == [outcome]


def test_a_permit_of_a_generator_that_is_closed_early_is_settled(make: Make) -> None:
    ledger = ScriptedLedger("granted")

    def pages(limiter: RateLimiter) -> Iterator[str]:
        with limiter.permit() as permit:
            yield permit.request_id

    walk = pages(make(ledger))
    assert next(walk)
    walk.close()  # type: ignore[attr-defined]
    assert ledger.settled == [Outcome.UNANSWERED]


@pytest.mark.parametrize(
    ("retry_after", "blocked", "hold"),
    [(44.0, None, (44.0, None)), (None, None, (60.0, None)), (None, "You are blocked.", (0.0, "You are blocked."))],
)
def test_a_429_holds_everybody_back_before_its_permit_is_settled(
    make: Make, retry_after: float | None, blocked: str | None, hold: tuple[float, str | None]
) -> None:
    ledger = ScriptedLedger("granted")
    held_when_settled: list[list[tuple[float, str | None]]] = []
    ledger.settle = lambda *_: held_when_settled.append(list(ledger.holds))  # type: ignore[method-assign]
    with pytest.raises(Throttled), make(ledger).permit():
        raise Throttled(retry_after_seconds=retry_after, blocked=blocked)
    assert held_when_settled == [[hold]]


@pytest.mark.parametrize(
    ("more_room", "wait_seconds", "deferred_seconds"),
    [(math.inf, 86_400, 86_400), (3000.0, 86_400, 3000), (5.0, 86_400, 864), (5.0, 600, 60), (5.0, 50, 50)],
)
def test_whoever_waits_for_others_comes_back_when_they_may_have_left_room(
    make: Make, more_room: float, wait_seconds: int, deferred_seconds: float
) -> None:
    ledger = ScriptedLedger(Wait(wait_seconds * 1000, 0))
    ledger.more_room = more_room
    with pytest.raises(QuotaDeferred) as deferred:
        enter(make(ledger).permit(max_wait_seconds=5))
    assert deferred.value.wait_seconds == deferred_seconds


def test_an_observation_without_rows_changes_nothing(make: Make) -> None:
    ledger = ScriptedLedger("granted")
    make(ledger).observe([])
    make(ledger).observe([ServerWindow(Window(5, 60), 1, False)])
    assert ledger.observed == [[ServerWindow(Window(5, 60), 1, False)]]


def test_nobody_asks_again_under_an_id_whose_grant_was_taken_back(time: Time, make: Make) -> None:
    ledger = ScriptedLedger(Withdrawn("a clock jumped"), LedgerUnavailable("Postgres hangs"), Wait(5_000, 0), "granted")
    with make(ledger).permit(max_wait_seconds=60):
        first, second, third, fourth = ledger.asked
    assert first != second != third == fourth
    assert first != third


def test_grants_that_are_taken_back_again_and_again_are_an_outage_in_the_end(time: Time, make: Make) -> None:
    ledger = ScriptedLedger(Withdrawn("a clock jumped"))
    with pytest.raises(LedgerUnavailable, match="a clock jumped"):
        enter(make(ledger).permit(max_wait_seconds=2))
    assert len({name for [name] in ledger.asked}) == len(ledger.asked) <= 25
