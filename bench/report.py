"""The figures of all benchmarks: `bench/results.json`, and the tables of three pages below `docs/`.

The pages are written by hand except for what stands between `<!-- NAME -->` and `<!-- /NAME -->`: those tables are
replaced by whatever was measured last.

Belongs here: writing, and how fast something grows. Does not belong here: measuring.
"""

from __future__ import annotations

import json
import math
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

_BENCH = Path(__file__).resolve().parent
RESULTS = _BENCH / "results.json"
_DOCS = _BENCH.parent / "docs"
PAGES = (_DOCS / "benchmarks.md", _DOCS / "bulk.md", _DOCS / "vector-inputs.md")

Figures = Mapping[str, Any]
Rows = Sequence[Mapping[str, Any]]


def measured_now() -> str:
    """Say when and on what the figures of this run were measured."""
    return f"{time.strftime('%Y-%m-%d')} on {os.cpu_count()} cores, Python {platform.python_version()}"


def write(name: str, figures: Figures, headline: Callable[[dict[str, Any]], Figures]) -> None:
    """Replace the figures of a benchmark that were measured now; `headline` makes the few flat ones from all."""
    results = json.loads(RESULTS.read_text())
    merged = {**results.get(name, {}), **figures}
    results[name] = {**merged, **headline(merged)}
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    for page in PAGES:
        page.write_text(with_tables(page.read_text(), name, results[name]))


def with_tables(page: str, name: str, figures: Figures) -> str:
    """Return the page with a benchmark's tables in their places."""
    for part, render in TABLES[name].items():
        begin, end = f"<!-- {name} {part} -->", f"<!-- /{name} {part} -->"
        if part in figures and begin in page:
            before, _, rest = page.partition(begin)
            page = f"{before}{begin}\n{render(figures[part])}\n{end}{rest.partition(end)[2]}"
    return page


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return a Markdown table; all columns but the first are aligned to the right."""
    lines = ["| " + " | ".join(head) + " |", "|" + "|".join(["---"] + ["---:"] * (len(head) - 1)) + "|"]
    return "\n".join(lines + ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows])


def growth(smaller: float, larger: float, times: float = 10.0) -> float:
    """Return the exponent: how much longer it takes on a store that is `times` as large."""
    return math.log(larger / smaller) / math.log(times) if smaller > 0 and larger > 0 else 0.0


def redis_day_mb(rows: Rows) -> float:
    """Permits, state of two days, and failures; with the dearer windows and the dearer kind of runs."""
    mb = [float(row["mb"]) for row in rows]
    return round(max(mb[0:2]) + max(2 * mb[2], mb[3]) + mb[4], 1)


def _columns(*plain: str, **columns: str) -> Callable[[Rows], str]:
    """A table of rows, first the keys that are their own heads; otherwise head and format of each (`used|.1%`)."""
    heads = {key: head.partition("|") for key, head in ({key: key for key in plain} | columns).items()}

    def cell(row: Mapping[str, Any], key: str, form: str) -> str:
        return "-" if row.get(key) is None else format(row[key], form).replace("%", " %")

    return lambda rows: table(
        [head for head, _, _ in heads.values()],
        [[cell(row, key, form) for key, (_, _, form) in heads.items()] for row in rows],
    )


def _scenarios(rows: Rows) -> str:
    render = _columns(
        "limiter",
        refused_share="refused|.1%",
        used_share="used|.1%",
        redis_calls_per_grant="Redis calls a grant",
        fairness_max_over_min="fairness",
    )
    names = dict.fromkeys(row["scenario"] for row in rows)
    return "\n\n".join(f"**{name}**\n\n{render([row for row in rows if row['scenario'] == name])}" for name in names)


def _long(run: Figures) -> str:
    return f"The long run, 16 processes on {run['windows']}: {_run(run)}."


def _run(run: Figures) -> str:
    return (
        f"{run['requests']} requests, {run['refused']} refused, {run['used_share']:.2%} used, "
        f"{run['redis_calls_per_grant']} Redis calls a grant, fairness {run['fairness_max_over_min']}"
    )


def _waiters(waiters: Figures) -> str:
    starved, dead = waiters["starved"], waiters["dead"]
    return (
        f"16 processes on {starved['windows']} for {starved['seconds']:.0f} s: {_run(starved)}. "
        f"With {dead['waiters']} waiters killed in line, the next one got its permit {dead['late_seconds']} s later "
        "than the server had room."
    )


def _permit(permit: Figures) -> str:
    """Return the times of this version and an older one at each distance, and what each sends."""
    labels = {"p50_ms": "acquire + settle, p50", "p95_ms": "acquire + settle, p95", "acquire_p50_ms": "acquire, p50"}
    times = [
        (f"{label}, {row['distance_ms']} ms to Postgres", f"{row[f'before_{name}']} ms", f"{row[f'now_{name}']} ms",
         f"{row[f'now_{name}'] / row[f'before_{name}']:.2f}")
        for row in permit["distances"]
        for name, label in labels.items()
    ]  # fmt: skip
    labels = {"postgres_round_trips": "round trips to Postgres", "postgres_statements": "statements in them",
              "redis_calls": "Redis calls"}  # fmt: skip
    before, now = permit["sent"]
    sent = [(label, before[name], now[name], f"{now[name] / before[name]:.2f}") for name, label in labels.items()]
    heads = (f"a permit; before: `{permit['before']}`", "before", "now", "ratio")
    return f"{table(heads, times + sent)}\n\nPostgres: {permit['postgres']}."


def _cost(cost: Figures) -> str:
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
    return table(("what", "figure"), rows)


def _sizes(sizes: Rows) -> str:
    """Return what the stores hold, and what takes how long on each, milliseconds."""
    labels = {"dockets": "dockets", "partitions": "partitions", "permits": "permits in the journal",
              "failures": "failures, 4 % of them open", "deferrals": "deferrals"}  # fmt: skip
    stores = [(label, *(f"{size[name]:,}" for size in sizes)) for name, label in labels.items()]
    took = []
    for name in sizes[-1]["milliseconds"]:
        times = [size["milliseconds"][name] for size in sizes]
        exponent = f"{growth(times[-2], times[-1]):.2f}" if len(times) > 1 else "-"
        took.append((name, *(f"{ms:.1f}" if ms < 100 else f"{ms:,.0f}" for ms in times), exponent))
    heads = [f"{size['dockets']:,} dockets" for size in sizes]
    return f"{table(('', *heads), stores)}\n\n{table(('what', *heads, 'growth'), took)}"


def _redis(rows: Rows) -> str:
    worst = f"The worst case, with the state of two days: {redis_day_mb(rows)} MB."
    return f"{_columns('what', mb='MB')(rows)}\n\n{worst}"


def _tears(tears: Figures) -> str:
    """Return what the judge of tears said of all texts of the corpus."""
    return (
        f"Breaks in prose that are inside a sentence: {tears['torn_share']:.2%}. "
        f"Numbers and stamps inside sentences: {tears['furniture_inside_sentences']}, tabs: {tears['tabs_in_prose']}. "
        f"Headings inside paragraphs, and paragraphs of extreme length: {tears['joined']}. "
        f"Chunks that end with a heading: {tears['orphaned_heading_share']:.2%}."
    ).replace("%", " %")


def _by_kind(rows: Rows) -> str:
    """Return two figures a cell, before and now."""
    parts = {
        "torn_share": ("breaks inside a sentence", ".1%"),
        "tabs_in_prose": ("tabs in prose", ""),
        "furniture_inside_sentences": ("numbers and stamps inside sentences", ""),
        "orphaned_heading_share": ("chunks that end with a heading", ".1%"),
        "sentence_end_share": ("chunks that end a sentence", ".1%"),
    }
    return table(
        ("kind", "documents", *(head for head, _ in parts.values())),
        [
            (
                row["kind"],
                row["documents"],
                *(
                    f"{row[f'before_{part}']:{form}} → {row[f'now_{part}']:{form}}".replace("%", " %")
                    for part, (_, form) in parts.items()
                ),
            )
            for row in rows
        ],
    )


_retrieval = _columns(
    *("chunker", "text", "chunks"),
    tokens="tokens a chunk|",
    uncut="whole passages in a chunk|.1%",
    plain_first="in the first chunk|.1%",
    plain_within_budget="within 1,024 tokens|.1%",
    header_first="first, header|.1%",
    header_within_budget="within 1,024, header|.1%",
    header_error="±|.1%",
)


def _bulk(reading: Figures) -> str:
    """Return what the passes did with each table, how long the real files would take, and the memory."""
    rows = _columns(
        "table",
        raw_gb="GB|.2f",
        raw_mb_per_s="MB/s|.1f",
        packed_mb_per_s="packed MB/s|.2f",
        rows_per_s="rows/s|,",
        share_of_decompression="of unpacking alone|.0%",
        share_of_decompression_cpu="by processor time|.0%",
    )([{**row, "table": f"`{row['table']}`"} for row in reading["tables"] if row["raw_gb"] >= 0.001])
    memory, hours = reading["memory"], reading["core_hours_of_the_real_files"]
    first, second = (max(mb for _, mb in some) for some in (memory[: len(memory) // 2], memory[len(memory) // 2 :]))
    part = "" if reading["whole"] else ", of which only so much was read"
    text = (
        f"All {reading['read_gb']} GB ({reading['packed_gb']} packed{part}) in {reading['minutes']} minutes: "
        f"{reading['raw_mb_per_s']} MB/s, {reading['packed_mb_per_s']} packed, {reading['rows_per_s']:,} rows/s, "
        f"{reading['share_of_decompression']:.0%} of unpacking alone "
        f"({reading['share_of_decompression_cpu']:.0%} by processor time), of {reading['pairs']} pairs. The time that "
        f"was tried before was {reading['tried_over_truth']} times that. Memory: at most {first} MB in the first half, "
        f"{second} MB in the second.\n\nThe real files of 2024-12-31 (27, 12 and 267 GB) at this pace: "
        f"{hours['dockets']} + {hours['opinion-clusters']} + {hours['opinions']} hours of a core, by as many cores as "
        "there are."
    )
    return f"{rows}\n\n" + text.replace("%", " %")


def _to_chunks(run: Figures) -> str:
    """Return what a dump took on its way to chunks, step by step."""
    steps = [
        ("unpacking the opinions alone", f"{run['unpack_seconds']} s", f"{run['unpack_cpu_seconds']} s", "-"),
        ("to Parquet", f"{run['corpus_seconds']} s", f"{run['corpus_cpu_seconds']} s", f"{run['corpus_peak_mb']} MB"),
        ("to chunks", f"{run['chunks_seconds']} s", f"{run['chunks_cpu_seconds']} s", f"{run['chunks_peak_mb']} MB"),
    ]
    return (
        f"{run['opinions']:,} opinions ({run['text']}), {run['raw_mb']:,} MB unpacked, {run['threads']} threads and "
        f"processes, load of the machine {run['load']}:\n\n"
        f"{table(('step', 'time', 'processor time', 'peak of a process'), steps)}\n\n"
        f"{run['characters']:,} characters of clean text in {run['chunks']:,} chunks: "
        f"{run['characters_per_second']:,} a second, {run['characters_per_cpu_second']:,} a second of processor time."
    )


#: By benchmark and part of its figures, the table that the page has in its place.
_SPEEDS = _columns(
    "kind",
    **{"characters": "characters|,", "cleaning_per_second": "cleaning, characters/s|,"},
    **{"chunking_per_second": "chunking|,", "both_per_second": "both|,"},
)
TABLES: dict[str, dict[str, Callable[[Any], str]]] = {
    "quota": {
        "measured": "Measured {}.".format,
        "postgres": "Postgres with {}.".format,
        "peers": _scenarios,
        "waiters": _waiters,
        "long": _long,
        "permit": _permit,
        "simulated": _columns(
            *("account", "workers", "requests", "refused"),
            used_share="used|.2%",
            redis_calls_per_grant="Redis calls a grant",
        ),
        "cost": _cost,
        "faults": _columns(
            *("fault", "requests"),
            over_issue="over-issue",
            wasted="wasted",
            gap_seconds="gap s",
            recovery_seconds="recovery s",
            by_postgres="grants by Postgres",
        ),
    },
    "vector_inputs": {
        "measured": "Measured {}.".format,
        "corpus": "Corpus: {}.".format,
        "tears": _tears,
        "by_kind": _by_kind,
        "peers": _columns(
            *("chunker", "chunks"),
            sentence_end_share_raw="end at a sentence, raw|.1%",
            sentence_end_share="cleaned|.1%",
            characters_per_second="characters/s|,",
            with_cleaning_per_second="with this cleaning|,",
            without_tags_per_second="tags removed only|,",
            as_installed_per_second="counts of tiktoken|,",
        ),
        "build": "Measured {}.".format,
        "speeds": _SPEEDS,
        "speeds_in_python": _SPEEDS,
        "characters_lost": "Characters that this project's cleaning and chunking lost: {}.".format,
        "memory": _columns(
            *("opinions", "chunks", "seconds"),
            file_mb="file MB",
            first_run_mb="peak MB, first run",
            peak_mb="peak MB, both",
        ),
        "processes": _columns("processes", "months", "opinions", "seconds", times_as_fast="times as fast|.2f"),
    },
    "retrieval": {
        "measured": "Measured {}.".format,
        "asked": "{}.".format,
        "invented": _retrieval,
        "documents": _retrieval,
    },
    "bulk": {
        "measured": "Measured {}.".format,
        "load": "When it began, {} processes wanted a core.".format,
        "peers": _columns("unpacked by", raw_mb_per_s="MB/s|", raw_mb_per_cpu_s="MB for each second of a core|"),
        "reading": _bulk,
    },
    "bulk_chunks": {"measured": "Measured {}.".format, "run": _to_chunks},
    "scale": {
        "measured": "Measured {}.".format,
        "sizes": _sizes,
        "redis": _redis,
        "tables": _columns(
            table="table",
            rows="rows|,",
            table_mb="rows MB|,",
            index_mb="indexes MB|,",
            index_bytes="index bytes a row|,",
        ),
    },
}
