"""The figures of the quota limiter as JSON (`bench/results.json`, key `quota`) and as tables (`docs/benchmarks.md`).

Belongs here: writing. Does not belong here: measuring. Other benchmarks keep their own key and section of both files.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parents[2]
RESULTS = _ROOT / "bench" / "results.json"
DOCUMENT = _ROOT / "docs" / "benchmarks.md"

_PARTS = ("measured", "peers", "long", "simulated", "cost", "faults")
_CAUTION = "Times depend on the machine and on what else it does; refusals and round trips hardly do."
_PEERS_TEXT = """### Side by side

Greedy processes, requests of 10 to 110 ms, judged by the server's own sliding log. *Refused* is the share of requests
that the server would have answered with 429, *used* the share of what it would have admitted at most, *fairness* the
busiest worker's requests over the idlest's."""
_SIMULATED_TEXT = """### Days of quota on a simulated clock

The real script in a real Redis; answers take 0.5 s (median), one in a hundred ten times as long, unless said
otherwise."""
_FAULTS_TEXT = """### Faults

Seven processes use two accounts to the full while something breaks. *Over-issue* counts requests that the server would
have refused, *wasted* requests that it would have admitted and that nobody sent; *gap* is the longest time without a
grant, *recovery* the time from the end of the fault to the next grant by Redis (cool-down 1 s; `-`: not within the
experiment, or Redis never left). Nothing may be granted while Postgres is away."""


def write(measured: Mapping[str, Any], headline: Callable[[dict[str, Any]], Mapping[str, Any]]) -> None:
    """Put what was measured in the place of what was measured before; `headline` makes the few flat figures of all."""
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    quota = {**results.get("quota", {}), **measured}
    results["quota"] = {**headline(quota), **{key: quota[key] for key in quota if key in _PARTS}}
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    text = DOCUMENT.read_text() if DOCUMENT.exists() else "# Benchmarks\n"
    DOCUMENT.write_text(replace_section(text, "quota", _section(results["quota"])))


def replace_section(text: str, name: str, section: str) -> str:
    """Put `section` between the markers of `name`, or at the end."""
    begin, end = f"<!-- {name}: written by make bench -->", f"<!-- end of {name} -->"
    block = f"{begin}\n{section.strip()}\n{end}"
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.S)
    return pattern.sub(lambda _: block, text) if pattern.search(text) else f"{text.rstrip()}\n\n{block}\n"


def _section(quota: Mapping[str, Any]) -> str:
    parts = [f"## The quota limiter\n\nMeasured {quota.get('measured', '')}. {_CAUTION}"]
    for key, render in (
        ("peers", _peers),
        ("long", _long),
        ("simulated", _simulated),
        ("cost", _cost),
        ("faults", _faults),
    ):
        if key in quota:
            parts.append(render(quota[key]))
    return "\n\n".join(parts)


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A Markdown table; numbers stand to the right."""
    lines = ["| " + " | ".join(head) + " |", "|" + "|".join(["---"] + ["---:"] * (len(head) - 1)) + "|"]
    return "\n".join(lines + ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows])


def _peers(peers: Sequence[Mapping[str, Any]]) -> str:
    parts = [_PEERS_TEXT]
    for scenario in dict.fromkeys(row["scenario"] for row in peers):
        rows = [
            (row["limiter"], f"{100 * row['refused_share']:.1f} %", f"{100 * row['used_share']:.1f} %",
             row["redis_calls_per_grant"], row["fairness_max_over_min"])
            for row in peers if row["scenario"] == scenario
        ]  # fmt: skip
        head = ("limiter", "refused", "used", "Redis calls a grant", "fairness")
        parts.append(f"**{scenario}**\n\n" + table(head, rows))
    return "\n\n".join(parts)


def _long(run: Mapping[str, Any]) -> str:
    return (
        f"The long run, 16 processes on {run['windows']}: {run['requests']} requests, {run['refused']} refused, "
        f"{100 * run['used_share']:.2f} % used, {run['redis_calls_per_grant']} Redis calls a grant, "
        f"fairness {run['fairness_max_over_min']}."
    )


def _simulated(rows: Sequence[Mapping[str, Any]]) -> str:
    text = _SIMULATED_TEXT
    head = ("account", "workers", "requests", "refused", "used", "Redis calls a grant")
    return f"{text}\n\n" + table(
        head,
        [
            (row["account"], row["workers"], row["requests"], row["refused"], f"{100 * row['used_share']:.2f} %",
             row["redis_calls_per_grant"])
            for row in rows
        ],
    )  # fmt: skip


def _cost(cost: Mapping[str, Any]) -> str:
    def pair(name: str) -> str:
        median, high = cost[name]
        return f"{median} ms (p99 {high} ms)"

    rows = [
        ("EVALSHA that does nothing, same arguments", pair("noop_ms")),
        ("acquire in Redis", pair("acquire_ms")),
        ("acquire, ratio to nothing", cost["acquire_vs_noop"]),
        ("settle in Redis", pair("settle_ms")),
        ("acquire with the journal", pair("acquire_with_journal_ms")),
        ("server time of acquire, of settle", f"{cost['acquire_server_us']} us, {cost['settle_server_us']} us"),
        ("permits a second from Postgres alone", f"{cost['postgres_permits_a_second']:.0f}"),
        ("filling an empty Redis with 5,000 permits", f"{cost['rebuild_ms']} ms"),
        ("Redis memory at 5,000 an hour", f"{cost['memory_mb']} MB"),
    ]
    return "### Cost\n\nOne worker, three windows, loopback.\n\n" + table(("what", "figure"), rows)


def _faults(rows: Sequence[Mapping[str, Any]]) -> str:
    text = _FAULTS_TEXT
    head = ("fault", "requests", "over-issue", "wasted", "gap s", "recovery s", "grants by Postgres")
    return f"{text}\n\n" + table(
        head,
        [
            (row["fault"].replace("_", " "), row["requests"], row["over_issue"], row["wasted"], row["gap_seconds"],
             "-" if row["recovery_seconds"] is None else row["recovery_seconds"], row["by_postgres"])
            for row in rows
        ],
    )  # fmt: skip
