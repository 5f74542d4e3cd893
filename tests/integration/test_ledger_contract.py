"""What both ledgers promise, tested once for each."""

from __future__ import annotations

from functools import partial

import pytest
import redis
from ledger_harness import TTL_SECONDS, Bench, Make, postgres_bench, redis_bench

from resources.quota.permits import Blocked, Lane, Outcome, Permit, QuotaWindow, Wait, Window


@pytest.fixture(params=["redis", "postgres"])
def make(request: pytest.FixtureRequest) -> Make:
    """Makes a ledger with windows and options."""
    if request.param == "redis":
        server = request.getfixturevalue("redis_server")
        client = request.getfixturevalue("redis_client")
        assert client.ping()
        return partial(redis_bench, redis.Redis.from_url(server.url, decode_responses=True))
    return partial(postgres_bench, request.getfixturevalue("database"))


def _told(wait: Wait) -> float:
    return wait.wait_ms / 1000


def test_grants_as_many_as_the_window_admits_and_no_more(make: Make) -> None:
    bench = make("3/10s")
    bench.grant("a", "b", "c")
    bench.wait("d")


def test_a_settled_permit_makes_room_one_window_after_its_answer(make: Make) -> None:
    bench = make("1/10s")
    bench.grant("a")
    bench.clock.advance(3)
    bench.settle("a")
    assert _told(bench.wait("b")) == 10
    bench.clock.advance(9.999998)
    bench.wait("b")
    bench.clock.advance(0.000002)
    bench.grant("b")


def test_a_permit_in_flight_holds_its_place_however_long_the_answer_takes(make: Make) -> None:
    bench = make("1/10s")
    bench.grant("a")
    bench.clock.advance(15)
    bench.wait("b")
    bench.settle("a")
    bench.clock.advance(9)
    bench.wait("b")
    bench.clock.advance(1)
    bench.grant("b")


def test_a_permit_of_a_dead_worker_ages_out_after_its_time_to_live(make: Make) -> None:
    bench = make("1/10s")
    bench.grant("a")
    bench.clock.advance(TTL_SECONDS + 9.9)
    bench.wait("b")
    bench.clock.advance(0.2)
    bench.grant("b")


def test_an_answer_that_comes_after_the_time_to_live_still_counts_from_then(make: Make) -> None:
    bench = make("1/10s")
    bench.grant("a")
    bench.clock.advance(TTL_SECONDS + 5)
    bench.settle("a")
    bench.clock.advance(9)
    bench.wait("b")
    bench.clock.advance(1)
    bench.grant("b")


def test_a_request_without_an_answer_may_arrive_until_its_time_to_live_is_over(make: Make) -> None:
    bench = make("1/10s")
    bench.grant("a")
    bench.clock.advance(1)
    bench.settle("a", outcome=Outcome.UNANSWERED)
    bench.settle("a", outcome=Outcome.NOT_COUNTED)
    bench.clock.advance(TTL_SECONDS - 1 + 9.9)
    bench.wait("b")
    bench.clock.advance(0.2)
    bench.grant("b")


def test_a_request_that_was_given_up_after_its_time_to_live_counts_from_then(make: Make) -> None:
    bench = make("1/10s")
    bench.grant("a")
    bench.clock.advance(TTL_SECONDS + 5)
    bench.settle("a", outcome=Outcome.UNANSWERED)
    bench.clock.advance(9.9)
    bench.wait("b")
    bench.clock.advance(0.1)
    bench.grant("b")


def test_a_permit_given_back_makes_room_at_once(make: Make) -> None:
    bench = make("2/10s")
    bench.grant("a", "b")
    bench.settle("a", outcome=Outcome.NOT_COUNTED)
    bench.grant("c")
    bench.wait("d")


def test_settling_twice_counts_from_the_first_time(make: Make) -> None:
    bench = make("1/10s")
    bench.grant("a")
    bench.settle("a")
    bench.clock.advance(5)
    bench.settle("a")
    bench.settle("a", outcome=Outcome.NOT_COUNTED)
    bench.wait("b")
    bench.clock.advance(5)
    bench.grant("b")


def test_settling_an_unknown_permit_does_nothing(make: Make) -> None:
    bench = make("1/10s")
    bench.grant("a")
    bench.ledger.settle(Permit("stranger", 1, 0), Outcome.NOT_COUNTED)
    bench.ledger.settle(Permit("stranger", 1, 0), Outcome.COUNTED)
    bench.wait("b")


def test_the_same_request_gets_the_same_permit_and_is_charged_once(make: Make) -> None:
    bench = make("2/10s")
    first = bench.ask("a")
    bench.clock.advance(1)
    assert bench.ask("a") == first
    assert bench.permits["a"].age_us == 1_000_000
    bench.grant("b")
    bench.wait("c")


def test_every_window_must_have_room(make: Make) -> None:
    bench = make("2/10s,3/60s")
    bench.grant("a", "b")
    bench.settle("a", "b")
    bench.wait("c")
    bench.clock.advance(10)
    bench.grant("c")
    bench.settle("c")
    assert _told(bench.wait("d")) == 50


def test_nobody_overtakes(make: Make) -> None:
    bench = make("1/10s")
    bench.grant("a")
    bench.settle("a")
    assert [bench.wait(name).ahead for name in ("b", "c", "d")] == [0, 1, 2]
    bench.clock.advance(10)
    bench.wait("d")
    bench.wait("c")
    bench.grant("b")
    bench.settle("b")
    assert bench.wait("e").ahead == 2
    bench.clock.advance(10)
    bench.wait("d")
    bench.grant("c")


def test_a_late_waiter_does_not_hold_up_the_next_when_there_is_room_for_both(make: Make) -> None:
    bench = make("2/10s")
    bench.grant("a", "b")
    bench.settle("a", "b")
    bench.wait("c")
    bench.wait("d")
    bench.clock.advance(10)
    bench.grant("d")
    bench.grant("c")


def test_waiters_are_told_when_the_slots_of_those_before_them_are_taken(make: Make) -> None:
    bench = make("2/10s")
    bench.grant("a")
    bench.settle("a")
    bench.clock.advance(4)
    bench.grant("b")
    bench.settle("b")
    assert [_told(bench.wait(name)) for name in "cdef"] == pytest.approx([6, 10, 16, 20], abs=0.3)


def test_a_waiter_that_does_not_come_back_loses_its_place(make: Make) -> None:
    bench = make("1/10s")
    bench.grant("a")
    bench.settle("a")
    bench.wait("dead")
    bench.wait("b")
    bench.clock.advance(10)
    bench.wait("b")
    bench.clock.advance(2.1)
    bench.grant("b")


def test_a_waiter_that_leaves_makes_room_in_the_line(make: Make) -> None:
    bench = make("1/10s")
    bench.grant("a")
    bench.settle("a")
    bench.wait("b")
    bench.wait("c")
    bench.ledger.leave(["b"])
    assert bench.wait("c").ahead == 0
    bench.clock.advance(10)
    bench.grant("c")


def test_a_backfill_leaves_the_reserve_to_the_priority_lane(make: Make) -> None:
    bench = make("10/10s", reserve_share=0.2)
    bench.grant(*(f"backfill{i}" for i in range(8)))
    bench.wait("backfill8")
    assert isinstance(bench.ask("retry0", Lane.PRIORITY), tuple)
    assert isinstance(bench.ask("retry1", Lane.PRIORITY), tuple)
    bench.wait("retry2", Lane.PRIORITY)


def test_what_the_priority_lane_has_used_of_its_reserve_is_not_kept_once_more(make: Make) -> None:
    bench = make("10/10s", reserve_share=0.2)
    bench.grant("retry0", "retry1", "retry2", lane=Lane.PRIORITY)
    bench.grant(*(f"backfill{i}" for i in range(7)))
    bench.wait("backfill7")
    bench.wait("retry3", Lane.PRIORITY)


def test_a_permit_of_the_priority_lane_leaves_its_place_to_the_reserve(make: Make) -> None:
    bench = make("10/10s", reserve_share=0.2)
    bench.grant("retry0", "retry1", lane=Lane.PRIORITY)
    bench.settle("retry0", "retry1")
    bench.clock.advance(5)
    bench.grant(*(f"backfill{i}" for i in range(8)))
    bench.settle(*(f"backfill{i}" for i in range(8)))
    bench.clock.advance(5)
    assert _told(bench.wait("backfill8")) == 5
    bench.ledger.leave(["backfill8"])
    bench.grant("retry2", "retry3", lane=Lane.PRIORITY)
    bench.settle("retry2", outcome=Outcome.NOT_COUNTED)
    assert _told(bench.wait("backfill8")) == 5
    bench.clock.advance(5)
    bench.grant("backfill8")


@pytest.mark.parametrize(
    ("limit", "foreign", "share", "expected"),
    [(10, 0, 0.0, 10), (10, 0, 0.25, 8), (10, 5, 0.5, 1), (10, 9, 0.25, 1), (10, 10, 0.25, 0), (1, 0, 0.9, 1)],
)
def test_the_reserve_never_stops_a_backfill_altogether_but_others_may(
    make: Make, limit: int, foreign: int, share: float, expected: int
) -> None:
    bench = make((QuotaWindow(Window(limit, 10), foreign, 60.0),), reserve_share=share)
    bench.grant(*(f"backfill{i}" for i in range(expected)))
    bench.wait("one more")


def test_whoever_stands_beyond_the_limit_waits_whole_cycles(make: Make) -> None:
    bench = make("2/10s")
    bench.grant("a", "b")
    bench.settle("a", "b")
    bench.clock.advance(4)
    assert [_told(bench.wait(name)) for name in "cdefg"] == [6, 6, 16, 16, 26]


def test_the_priority_lane_stands_before_the_others(make: Make) -> None:
    bench = make("1/10s")
    bench.grant("a")
    bench.settle("a")
    bench.wait("b")
    assert bench.wait("retry", Lane.PRIORITY).ahead == 0
    assert bench.wait("b").ahead == 1
    bench.clock.advance(10)
    bench.wait("b")
    assert isinstance(bench.ask("retry", Lane.PRIORITY), tuple)


def test_several_permits_are_granted_at_once_or_not_at_all(make: Make) -> None:
    bench = make("4/10s")
    bench.grant("a", "b")
    assert isinstance(bench.ledger.acquire(["x", "y", "z"], Lane.BACKFILL), Wait)
    assert bench.wait("c").ahead == 3
    bench.settle("a")
    bench.clock.advance(10)
    granted = bench.ledger.acquire(["x", "y", "z"], Lane.BACKFILL)
    assert isinstance(granted, tuple)
    assert [permit.request_id for permit in granted] == ["x", "y", "z"]
    bench.wait("c")


def test_use_by_others_is_taken_off_the_limit_for_its_time(make: Make) -> None:
    bench = make((QuotaWindow(Window(3, 10), foreign=2, foreign_seconds=8.0),))
    bench.grant("a")
    assert _told(bench.wait("b")) == 8
    bench.clock.advance(8)
    bench.grant("b", "c")
    bench.wait("d")


def test_an_account_that_others_use_up_grants_nothing_meanwhile(make: Make) -> None:
    bench = make((QuotaWindow(Window(3, 10), foreign=3, foreign_seconds=8.0),))
    assert _told(bench.wait("a")) == 8
    bench.clock.advance(8)
    bench.grant("a")


def test_a_hold_stops_everybody_until_its_time(make: Make) -> None:
    bench = make("3/10s", hold_seconds=7)
    assert _told(bench.wait("a")) == 7
    bench.clock.advance(7)
    bench.grant("a", "b", "c")


def test_after_a_refusal_one_permit_probes_then_as_many_more_as_were_answered(make: Make) -> None:
    bench = make("100/10s")
    bench.grant("before", "late")
    bench.refuse(5)
    assert _told(bench.wait("probe")) == pytest.approx(5)
    bench.clock.advance(5)
    bench.settle("late")
    assert _told(bench.wait("probe")) >= 0.1
    bench.settle("before")
    bench.grant("probe")
    bench.wait("b")
    bench.settle("probe")
    bench.grant("b", "c")
    bench.wait("d")
    bench.settle("b", "c")
    bench.grant("d", "e", "f", "g")
    bench.wait("h")


def test_a_refusal_is_forgotten_after_an_hour_and_another_begins_anew(make: Make) -> None:
    bench = make("100/10s")
    bench.refuse(0)
    bench.grant("a")
    bench.settle("a")
    bench.clock.advance(1)
    bench.refuse(0)
    bench.grant("b")
    bench.wait("c")
    bench.clock.advance(3600)
    bench.grant("c", "d", "e")


def test_a_probe_that_fails_shows_no_room(make: Make) -> None:
    bench = make("100/10s")
    bench.refuse(0)
    bench.grant("a")
    bench.settle("a", outcome=Outcome.NOT_COUNTED)
    bench.grant("b")
    bench.settle("b", outcome=Outcome.UNANSWERED)
    bench.wait("c")
    bench.clock.advance(TTL_SECONDS + 0.1)
    bench.grant("c")
    bench.wait("d")


def test_a_block_says_why(make: Make) -> None:
    bench = make("3/10s", blocked="the account is blocked")
    assert bench.ask("a") == Blocked("the account is blocked")


def _steady(bench: Bench, seconds: int) -> int:
    """One greedy worker with answers after half a second."""
    count, name, end_us = 0, "0", bench.clock.us + seconds * 1_000_000
    while bench.clock.us < end_us:
        answer = bench.ask(name)
        if isinstance(answer, Wait):
            bench.clock.advance(max(_told(answer), 0.000002))
            continue
        bench.clock.advance(0.5)
        bench.settle(name)
        count += 1
        name = str(count)
    return count


def test_one_worker_uses_nearly_all_of_a_free_account(make: Make) -> None:
    bench = make("5/min,20/hour")
    assert _steady(bench, 3 * 3600) >= 58
