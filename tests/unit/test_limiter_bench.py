"""The benchmark of the quota limiter judges rightly: one that wastes quota cannot look good, whatever its rhythm."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest

from bench.limiter import __main__ as bench
from bench.limiter.forwarder import PostgresMessages
from bench.limiter.judge import Limit, admitted, ideal, ideal_arrivals, longest, refused, used_share, whole_cycles
from bench.limiter.permit import compared
from bench.limiter.waiters import late_seconds
from bench.limiter.workers import WorkerLog
from bench.report import RESULTS

LIMITS: tuple[Limit, ...] = ((40, 1), (200, 8))
SECONDS = 73.0


def bursts(cycle_seconds: float, seconds: float = SECONDS) -> list[float]:
    """A limiter that uses each window to the full and then sleeps too long: 200 requests a cycle, 40 a second."""
    starts = itertools.takewhile(lambda start: start < seconds, (n * cycle_seconds for n in itertools.count()))
    burst = [(number // 40) * 1.001 + number % 40 * 0.001 for number in range(200)]
    return [at for start in starts for wait in burst if (at := start + wait) < seconds]


def by_the_clock(first_second: float, seconds: float = SECONDS) -> Iterator[float]:
    """A limiter that counts by stretches of the clock, beginning in the middle of one."""
    for second in range(int(seconds)):
        if (first_second + second) % 8 < 5:
            yield from (second + number * 0.001 for number in range(40))


def in_the_first_seconds(arrivals: list[float], seconds: float) -> float:
    """Use as a run of this length shows it when nothing is left out."""
    early = [at for at in arrivals if at < seconds]
    return (len(early) - refused(early, LIMITS)) / ideal(LIMITS, seconds)


def test_a_limiter_that_sleeps_too_long_has_its_true_share_and_not_all() -> None:
    wasteful = bursts(8 / 0.77)
    assert in_the_first_seconds(wasteful, 16) == 1.0  # Two full bursts, and the waste is after the end.
    for seconds in (41.0, 57.0, 61.0, 73.0, 80.0):
        assert used_share(bursts(8 / 0.77, seconds), LIMITS, seconds) == pytest.approx(0.77, abs=0.05), seconds
    assert used_share(wasteful, LIMITS, SECONDS) < 0.80


@pytest.mark.parametrize("share", [0.5, 0.66, 0.77, 0.9, 0.95])
def test_whatever_a_limiter_wastes_it_does_not_score_what_the_goal_asks(share: float) -> None:
    for late in (0.0, 0.9, 2.3, 4.4, 7.7):
        arrivals = [at + late for at in bursts(8 / share)]
        assert used_share(arrivals, LIMITS, SECONDS) == pytest.approx(share, abs=0.05)
        assert used_share(arrivals, LIMITS, SECONDS) < 0.98


def test_the_first_burst_of_a_slow_limiter_does_not_count() -> None:
    slow = [*(number * 0.025 for number in range(200)), *(8 + number * 0.08 for number in range(820))]
    assert in_the_first_seconds(slow, 16) == 0.75
    assert used_share(slow, LIMITS, SECONDS) == pytest.approx(0.5, abs=0.01)


def test_a_counter_by_the_clock_is_judged_by_what_the_server_admits() -> None:
    for begins in range(8):
        arrivals = list(by_the_clock(begins))
        assert used_share(arrivals, LIMITS, SECONDS) <= 1.0
        assert used_share(admitted(arrivals, LIMITS), LIMITS, SECONDS) == used_share(arrivals, LIMITS, SECONDS)


def test_refused_requests_are_no_use() -> None:
    perfect = [float(at) for at in ideal_arrivals(LIMITS, SECONDS)]
    flood = sorted([*perfect, *(at + 0.5 for at in perfect)])
    assert used_share(flood, LIMITS, SECONDS) == used_share(perfect, LIMITS, SECONDS) == 1.0
    assert refused(flood, LIMITS) == len(perfect)


@pytest.mark.parametrize(
    ("limits", "seconds"),
    [(LIMITS, 33.0), (LIMITS, 61.0), (((60, 2),), 11.0), (((5, 60), (50, 3600), (125, 86400)), 5 * 86400.0)],
)
def test_an_ideal_client_uses_everything_whenever_the_run_ends(limits: tuple[Limit, ...], seconds: float) -> None:
    assert used_share([float(at) for at in ideal_arrivals(limits, seconds)], limits, seconds) == 1.0


def test_a_permit_that_is_late_by_a_little_costs_a_little() -> None:
    late = [at * 1.005 for at in ideal_arrivals(LIMITS, SECONDS)]
    assert used_share(late, LIMITS, SECONDS) == pytest.approx(0.995, abs=0.002)


def test_a_run_of_less_than_three_cycles_has_no_share() -> None:
    assert whole_cycles(LIMITS, 23.9) == 0
    with pytest.raises(ValueError, match="less than three cycles"):
        used_share(bursts(8.0, 23.9), LIMITS, 23.9)
    assert used_share([], LIMITS, SECONDS) == 0.0


def test_no_run_is_a_multiple_of_a_window_and_all_have_whole_cycles_to_measure() -> None:
    for scenario in (*bench.SCENARIOS, bench.STARVED, bench.LONG):
        for seconds in (scenario.seconds, scenario.our_seconds):
            assert all(seconds % window for _, window in scenario.limits)
            assert whole_cycles(scenario.limits, seconds - 1.0) >= 2
    for account in bench.ACCOUNTS:
        assert account.seconds % longest(account.limits)
        assert whole_cycles(account.limits, account.seconds) >= 1


def test_shares_are_told_from_a_hundred_requests_a_worker() -> None:
    ours = max(bench.SCENARIOS, key=lambda scenario: scenario.our_seconds)
    assert ideal(ours.limits, ours.our_seconds) >= 100 * bench.WORKERS


def test_a_run_of_a_wasteful_limiter_is_summed_up_as_one() -> None:
    arrivals = bursts(8 / 0.77)
    logs = [WorkerLog(arrivals=arrivals[number::2], grants=arrivals[number::2]) for number in range(2)]
    found = bench.summary(logs, LIMITS, SECONDS)
    assert found["used_share"] == pytest.approx(0.77, abs=0.03)
    assert (found["refused"], found["fairness_max_over_min"], found["errors"]) == (0, 1.0, 0)
    assert found["cycles"] == 7


def row(**changed: Any) -> dict[str, Any]:
    return {"limiter": bench.OURS, "refused": 0, "used_share": 0.99, "redis_calls_per_grant": 3.0, "requests": 1800,
            "fairness_max_over_min": 1.05, "starved": True} | changed  # fmt: skip


def everything() -> dict[str, Any]:
    sent = [{"postgres_round_trips": 9.0, "redis_calls": 2.0}, {"postgres_round_trips": 2.0, "redis_calls": 2.0}]
    times = {"now_p50_ms": 1.0, "p50_vs_before": 0.5}
    return {
        "peers": [row(), row(requests=300, fairness_max_over_min=1.4), row(limiter="another", refused=99)],
        "waiters": {"starved": row(), "dead": {"late_seconds": 3.5}},
        "simulated": [row(), row(starved=False, redis_calls_per_grant=9.9)],
        "permit": {"distances": [times, {"now_p50_ms": 45.0, "p50_vs_before": 0.2}], "sent": sent},
        "faults": [
            {"fault": "nothing", "over_issue": 0, "gap_seconds": 0.1},
            {"fault": "postgres hangs", "over_issue": 0, "gap_seconds": 1.1},
            {"fault": "postgres clock ahead", "over_issue": 0, "gap_seconds": 0.2},
        ],
    }


def test_the_headline_has_all_that_was_asked_for() -> None:
    flat = bench.headline(everything())
    assert flat == {
        "refused": 0, "used_share": 0.99, "redis_calls_per_grant_busy": 3.0, "redis_calls_per_grant_starved": 3.0,
        "fairness_max_over_min": 1.05, "postgres_statements_per_permit": 2.0, "redis_calls_per_permit": 2.0,
        "permit_ms_p50": 1.0, "permit_vs_before": 0.5, "permit_ms_p50_at_20_ms": 45.0, "over_issue": 0,
        "worst_gap_seconds": 0.2, "dead_waiters_cost_seconds": 3.5,
    }  # fmt: skip


def test_one_bad_figure_anywhere_is_in_the_headline() -> None:
    quota = everything()
    quota["peers"][1].update(refused=1, redis_calls_per_grant=5.0)
    quota["simulated"][1]["used_share"] = 0.5
    quota["waiters"]["starved"].update(refused=2, redis_calls_per_grant=7.0)
    quota["faults"][1]["over_issue"] = 3
    flat = bench.headline(quota)
    assert (flat["refused"], flat["used_share"], flat["over_issue"]) == (3, 0.5, 3)
    assert (flat["redis_calls_per_grant_busy"], flat["redis_calls_per_grant_starved"]) == (5.0, 7.0)


def test_the_results_have_the_headline_of_their_parts() -> None:
    quota = json.loads(RESULTS.read_text())["quota"]
    assert bench.headline(quota).items() <= quota.items()


def test_versions_are_compared_by_acquire_and_settle_together() -> None:
    before, now = [(4.0, 4.0)] * 99 + [(100.0, 100.0)], [(1.0, 3.0)] * 90 + [(10.0, 10.0)] * 10
    found = compared(before, now)
    assert (found["before_p50_ms"], found["now_p50_ms"], found["p50_vs_before"]) == (8.0, 4.0, 0.5)
    assert (found["now_p95_ms"], found["p95_vs_before"]) == (20.0, 2.5)
    assert found["now_acquire_p50_ms"] == 1.0


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_messages_of_postgres_are_counted_however_they_are_cut(size: int) -> None:
    def message(kind: bytes, body: bytes) -> bytes:
        return kind + (len(body) + 4).to_bytes(4) + body

    stream = (message(b"D", b"Z" * 300) + message(b"C", b"SELECT 1\0") + message(b"Z", b"I")) * 5
    messages = PostgresMessages()
    for at in range(0, len(stream), size):
        messages(stream[at : at + size])
    assert messages.count == {b"D": 5, b"C": 5, b"Z": 5}


def test_a_dead_line_costs_what_the_survivor_waits_longer_than_the_server() -> None:
    killed = [WorkerLog(arrivals=[at]) for at in (0.1, 0.2, 0.3)]
    assert late_seconds(killed, WorkerLog(grants=[8.3]), [(3, 6)]) == 2.2
    assert late_seconds(killed, WorkerLog(grants=[8.3]), [(2, 6)]) == 2.1
    assert late_seconds(killed, WorkerLog(), [(3, 6)]) > 60
