"""The figures of scale: JSON (`bench/results.json`, key `scale`), tables (`docs/benchmarks.md`) and a plot.

Belongs here: writing, and how fast something grows. Does not belong here: measuring.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from bench.limiter.report import DOCUMENT, RESULTS, replace_section, table
from bench.scale.plot import log_lines

PLOT = DOCUMENT.parent / "images" / "scale.svg"

_INTRODUCTION = """`make bench-scale` fills an embedded Postgres with three stores, each ten times as large as the one
before, and calls the project's own code on each. Every partition has the same number of rows, so whatever takes longer
on a larger store grows with the store, not with the partition. *Growth* is the exponent between the two larger stores:
0 does not grow, 1 takes ten times as long on ten times as much. Times are milliseconds, the shortest of several calls;
differences below a factor of two are noise."""
_PLOTTED = {
    "run that downloads a partition, with its text and checks": "run of a partition",
    "partition run: all pages of all streams stored": "its pages stored",
    "run of vector_inputs for a partition, with its checks": "vector_inputs",
    "permit from Redis, journaled and settled": "permit",
    "tick of retry_failed_dockets": "tick of a sensor",
    "scrape of the exporter": "exporter",
    "UI: status of an asset's partitions": "UI: partitions",
    "code location loaded, from the start of its process": "load",
}
_GROWS_TEXT = """### What grows, and with what

* A run does not: downloading a partition, storing a page, reading documents, a permit, pruning the journal. Queries
  find their rows by index; `tests/integration/test_query_plans.py` asks Postgres for the plan of every statement.
* Status and the exporter's scrape grow with the partitions: they count the sweeps of all of them.
* The ticks of `retry_failed_dockets` and `resume_deferred` grow with the claims under way (here 50) and the deferrals
  that are due (1,000), those of `current_months` and `changes_of_yesterday` with the courts.
* What looks for failures grows with the open ones, not with those that were resolved.
* The check `completeness` grows with the partitions that it chooses from, and with all objects of the courts that it
  looks at. It is a job of its own and runs only when somebody starts it.
* The UI's page of an asset grows with its partitions; Dagster keeps their status, so only the first look after many
  materialisations is slow."""
_MEMORY_TEXT = """### Memory of Redis

24 hours at 5,000 requests an hour, all answered with pages of 20. Operators are told to expect about 100 MB at most.
Permits stay as long as the longest window, lists of failures for seven days. The state of a run stays two days after
its last page, so two such days are there at once; of one run over many partitions the last 100,000 dockets are kept."""
_TABLES_TEXT = """### Size of the tables

The largest store, megabytes. Bodies have every key of the API and short texts (a docket 1.7 kB, an opinion 1.2 kB of
text); real opinions have ten times as much text, which Postgres keeps compressed beside the table."""
_RETENTION_TEXT = """### What goes, and when"""
_RETENTION = (
    ("journal of permits", "requests of all accounts", "after 30 days; up to 5,000 rows each time that the quota is "
     "read anew, every ten minutes while runs go on: six times what 5,000 an hour bring"),
    ("failures", "failures", "90 days after they were resolved, when a retry ends; open and dead ones stay"),
    ("deferrals", "partitions deferred at once", "when the partition is complete"),
    ("sweeps", "partitions, days of fresh data, retried dockets", "stay: they are the checkpoints"),
    ("records", "objects", "stay"),
    ("keys in Redis", "see above", "when their time to live is over"),
    ("ticks of sensors and schedules", "time", "as `retention` in `dagster.yaml` says"),
    ("runs and events of Dagster", "runs", "when you delete the runs"),
)  # fmt: skip


def write(figures: Mapping[str, Any]) -> None:
    """Replace the figures of scale in both files, and the plot."""
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    results["scale"] = {**headline(figures), **figures}
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    PLOT.parent.mkdir(exist_ok=True)
    PLOT.write_text(plot(figures["sizes"]) + "\n")
    text = DOCUMENT.read_text() if DOCUMENT.exists() else "# Benchmarks\n"
    DOCUMENT.write_text(replace_section(text, "scale", _section(figures)))


def growth(smaller: float, larger: float, times: float = 10.0) -> float:
    """The exponent: how much longer it takes on a store that is `times` as large."""
    return math.log(larger / smaller) / math.log(times) if smaller > 0 and larger > 0 else 0.0


def headline(figures: Mapping[str, Any]) -> dict[str, Any]:
    """The few flat figures that say whether all is well."""
    last = figures["sizes"][-1]
    took = last["milliseconds"]
    return {
        "dockets": last["dockets"],
        "partitions": last["partitions"],
        "partition_run_ms": took["partition run: all pages of all streams stored"],
        "slowest_sensor_tick_ms": max(value for name, value in took.items() if name.startswith("tick of ")),
        "asset_graph_ms": took["UI: graph of all assets"],
        "redis_day_mb": redis_day_mb(figures["redis"]),
        "postgres_mb": round(sum(row["table_mb"] + row["index_mb"] for row in last["tables"])),
    }


def redis_day_mb(rows: Sequence[Mapping[str, Any]]) -> float:
    """Permits, state of two days, and failures; with the dearer windows and the dearer kind of runs."""
    mb = [float(row["mb"]) for row in rows]
    return round(max(mb[0:2]) + max(2 * mb[2], mb[3]) + mb[4], 1)


def plot(sizes: Sequence[Mapping[str, Any]]) -> str:
    """Times over sizes, both as powers of ten."""
    names = [f"{size['dockets']:,} dockets" for size in sizes]
    lines = {label: [size["milliseconds"][name] for size in sizes] for name, label in _PLOTTED.items()}
    return log_lines(names, lines, "Milliseconds over the size of the store (largest store in brackets)")


def as_text(figures: Mapping[str, Any]) -> str:
    """What was measured, for a terminal."""
    return _section(figures)


def _section(figures: Mapping[str, Any]) -> str:
    return "\n\n".join(
        [
            f"## Scale\n\nMeasured {figures['measured']}, in {figures['seconds'] // 60} minutes; the load average was "
            f"{figures['load']} when it began.",
            _INTRODUCTION,
            _sizes(figures["sizes"]),
            f"![Milliseconds over the size of the store]({PLOT.relative_to(DOCUMENT.parent)})",
            _growths(figures["sizes"]),
            _GROWS_TEXT,
            _MEMORY_TEXT,
            _memory(figures["redis"]),
            f"The dearest together, with the state of two days: {redis_day_mb(figures['redis'])} MB.",
            _TABLES_TEXT,
            _tables(figures["sizes"][-1]["tables"]),
            _RETENTION_TEXT,
            table(("what", "grows with", "goes"), _RETENTION).replace("---:", "---"),
        ]
    )


def _sizes(sizes: Sequence[Mapping[str, Any]]) -> str:
    names = ("dockets", "partitions", "permits", "failures", "deferrals")
    labels = ("dockets", "partitions", "permits in the journal", "failures, 4 % of them open", "deferrals")
    rows = [(label, *(f"{size[name]:,}" for size in sizes)) for name, label in zip(names, labels, strict=True)]
    return table(("", *("store" if not place else "" for place in range(len(sizes)))), rows)


def _growths(sizes: Sequence[Mapping[str, Any]]) -> str:
    heads = ("what", *(f"{size['dockets']:,} dockets" for size in sizes), "growth")
    rows = []
    for name in sizes[-1]["milliseconds"]:
        took = [size["milliseconds"][name] for size in sizes]
        exponent = f"{growth(took[-2], took[-1]):.2f}" if len(took) > 1 else "-"
        rows.append((name, *(_shown(value) for value in took), exponent))
    return table(heads, rows)


def _shown(milliseconds: float) -> str:
    return f"{milliseconds:.1f}" if milliseconds < 100 else f"{milliseconds:,.0f}"


def _memory(rows: Sequence[Mapping[str, Any]]) -> str:
    return table(("what", "MB"), [(row["what"], row["mb"]) for row in rows])


def _tables(rows: Sequence[Mapping[str, Any]]) -> str:
    body = [
        (row["table"], f"{row['rows']:,}", f"{row['table_mb']:,}", f"{row['index_mb']:,}",
         round(1e6 * row["index_mb"] / max(1, row["rows"])))
        for row in rows
    ]  # fmt: skip
    return table(("table", "rows", "rows MB", "indexes MB", "bytes of indexes a row"), body)
