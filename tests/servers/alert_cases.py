"""Series with which each alert fires, and with which it just does not, as a file for `promtool test rules`.

Belongs here: the cases. Does not belong here: running them (`test_prometheus.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

#: By what is written behind `courtlistener_`: values a minute apart, as promtool has them.
Series = Mapping[str, str]
#: No case takes longer.
_LONGEST_MINUTES = 130


@dataclass(frozen=True)
class Case:
    """An alert: the series that make it fire after so many minutes, and those with which it is silent then."""

    alert: str
    minutes: int
    fires: Series
    silent: Series


def constant(value: float) -> str:
    """A gauge that does not change, for as long as any case takes."""
    return f"{value}x{_LONGEST_MINUTES}"


def growing(a_minute: float) -> str:
    """A counter."""
    return f"0+{a_minute}x{_LONGEST_MINUTES}"


_QUOTA = 'quota_utilization_ratio{account="a",window_seconds="%s"}'
_BUCKET = 'request_duration_seconds_bucket{endpoint="opinions",le="%s"}'
_PART = 'scrape_part_up{part="%s"}'


def _share(name: str, label: str, few: float, much: float, *, rest: float) -> tuple[Series, Series]:
    """Counters of which a share is above, and at, a threshold."""
    good, bad = f'{name}{{{label}="ok"}}', f'{name}{{{label}="failed"}}'
    return (
        {good: growing(rest - much), bad: growing(much)},
        {good: growing(rest - few), bad: growing(few)},
    )


CASES = [
    Case("CourtListenerRedisFailures", 20, *_share("redis_operations_total", "result", 5, 6, rest=100)),
    Case("CourtListenerStateUpdateFailures", 20, *_share("state_updates_total", "result", 1, 2, rest=100)),
    Case(
        "CourtListenerQuotaNearlyFull", 16, {_QUOTA % 900: constant(0.96)},
        # What is full for less than a quarter of an hour is nothing.
        {_QUOTA % 3600: constant(0.95), _QUOTA % 899: constant(1), _QUOTA % 60: constant(1)},
    ),
    Case(
        "CourtListenerRedisMemory", 6,
        {"redis_memory_used_bytes": constant(81), "redis_memory_limit_bytes": constant(100)},
        {"redis_memory_used_bytes": constant(80), "redis_memory_limit_bytes": constant(100)},
    ),
    Case("CourtListenerRedisEvictions", 16, {"redis_evicted_keys_total": growing(1)},
         {"redis_evicted_keys_total": constant(7)}),
    Case("CourtListenerRedisDown", 3, {"redis_up": constant(0)}, {"redis_up": constant(1)}),
    Case("CourtListenerPostgresDown", 3, {"postgres_up": constant(0)}, {"postgres_up": constant(1)}),
    Case("CourtListenerRefused", 16, {"requests_refused_total": "0x10 1x20"},
         {"requests_refused_total": constant(1)}),
    Case("CourtListenerAccountBlocked", 1, {'account_blocked{account="a"}': constant(1)},
         {'account_blocked{account="a"}': constant(0)}),
    Case("CourtListenerAccountUnusable", 6, {'account_unusable{account="a"}': constant(1)},
         {'account_unusable{account="a"}': constant(0)}),
    # More than two hours.
    Case("CourtListenerDown", 1, {'server_down_seconds{account="a"}': constant(7201)},
         {'server_down_seconds{account="a"}': constant(7200)}),
    Case("CourtListenerDegraded", 121, {'server_state{account="a",state="degraded"}': constant(1)},
         {'server_state{account="a",state="degraded"}': constant(0),
          'server_state{account="a",state="up"}': constant(1)}),
    Case("CourtListenerEndpointRefused", 61, {'endpoint_refused{account="a",endpoint="dockets"}': constant(1)},
         {'endpoint_down{account="a",endpoint="dockets"}': constant(1)}),
    # One response in ten takes longer than 20 s; one in a hundred does.
    Case("CourtListenerSlowResponses", 32,
         {_BUCKET % "20.0": growing(90), _BUCKET % "60.0": growing(100), _BUCKET % "+Inf": growing(100)},
         {_BUCKET % "20.0": growing(99), _BUCKET % "60.0": growing(100), _BUCKET % "+Inf": growing(100)}),
    Case("CourtListenerRequestErrors", 32,
         {'requests_total{outcome="counted"}': growing(100), 'request_errors_total{error="Unanswered"}': growing(11)},
         # To be told that an object is gone is an answer.
         {'requests_total{outcome="counted"}': growing(100), 'request_errors_total{error="Unanswered"}': growing(10),
          'request_errors_total{error="NotFound"}': growing(50)}),
    Case("CourtListenerManyFailures", 61,
         {'failures_by_error{asset="dockets",error="ApiChanged",state="waiting"}': constant(60),
          'failures_by_error{asset="opinions",error="ApiChanged",state="dead"}': constant(41)},
         {'failures_by_error{asset="dockets",error="ApiChanged",state="waiting"}': constant(100),
          'failures_by_error{asset="dockets",error="Unanswered",state="waiting"}': constant(100)}),
    Case("CourtListenerDeadFailures", 61, {'failures{state="dead"}': constant(1)},
         {'failures{state="dead"}': constant(0), 'failures{state="waiting"}': constant(9)}),
    Case("CourtListenerOldFailure", 61, {'oldest_failure_age_seconds{state="waiting"}': constant(604801)},
         {'oldest_failure_age_seconds{state="waiting"}': constant(604800),
          'oldest_failure_age_seconds{state="dead"}': constant(9999999)}),
    Case("CourtListenerDownloadsStalled", 16, {'stalled_partitions{asset="dockets"}': constant(1)},
         {'stalled_partitions{asset="dockets"}': constant(0)}),
    Case("CourtListenerDeferralsOverdue", 75,
         {"deferral_overdue_seconds": constant(3601), 'pages_stored_total{asset="dockets"}': constant(5)},
         # Thousands become due at once when a window begins, and are taken one after the other.
         {"deferral_overdue_seconds": constant(9000), 'pages_stored_total{asset="dockets"}': growing(1)}),
    Case("CourtListenerDaemonDead", 3, {'dagster_daemon_heartbeat_age_seconds{daemon="sensor"}': "+Inf +Inf +Inf +Inf"},
         {'dagster_daemon_heartbeat_age_seconds{daemon="sensor"}': constant(300)}),
    Case("CourtListenerDagsterDown", 6, {"dagster_up": constant(0)}, {"dagster_up": constant(1)}),
    Case("CourtListenerDumpDifferences", 61, {"oldest_dump_difference_age_seconds": constant(604801)},
         {"oldest_dump_difference_age_seconds": constant(604800)}),
    Case("CourtListenerMetricsIncomplete", 11, {_PART % "quota": constant(0), "postgres_up": constant(1)},
         # Those have alerts of their own.
         {_PART % "quota": constant(0), "postgres_up": constant(0), _PART % "redis": constant(0)}),
    Case("CourtListenerExporterDown", 6, {}, {"scrape_seconds": constant(0.1)}),
]  # fmt: skip


def write(rules: Path, target: Path) -> None:
    """Write the cases as a file for `promtool test rules`."""
    tests = [
        _test(case, series, fires=fires) for case in CASES for series, fires in ((case.fires, 1), (case.silent, 0))
    ]
    body = {"rule_files": [str(rules)], "evaluation_interval": "1m", "tests": tests}
    target.write_text(yaml.safe_dump(body), encoding="utf-8")


def _test(case: Case, series: Series, *, fires: int) -> dict[str, Any]:
    firing = f'count(ALERTS{{alertname="{case.alert}",alertstate="firing"}}) or vector(0)'
    return {
        "name": f"{case.alert} {'fires' if fires else 'is silent'}",
        "interval": "1m",
        "input_series": [{"series": f"courtlistener_{name}", "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {"expr": firing, "eval_time": f"{case.minutes}m", "exp_samples": [{"labels": "{}", "value": fires}]}
        ],
    }
