"""Which Dagster processes the demo starts."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

from courtlistener_assets.devkit.demo.plan import (
    DOWNLOADS,
    GENERATED,
    VECTOR_INPUTS,
    Job,
    Range,
    partitions_in_file,
    ranges_of,
    stages,
)
from courtlistener_assets.download.partitions import CourtMonth

ALL = (*DOWNLOADS, VECTOR_INPUTS)


def key(text: str) -> CourtMonth:
    return CourtMonth.parse(text + "-01")


def keys(*assets: str) -> dict[str, set[str]]:
    return {asset: {str(partition) for partition in GENERATED} for asset in assets}


def test_months_that_follow_each_other_are_one_range_also_over_the_end_of_a_year() -> None:
    months = ["ca9|2023-12", "ca9|2024-01", "ca9|2024-03", "scotus|2024-04"]
    assert [each.key for each in ranges_of(map(key, reversed(months)))] == [
        "ca9|2023-12-01...ca9|2024-01-01",
        "ca9|2024-03-01...ca9|2024-03-01",
        "scotus|2024-04-01...scotus|2024-04-01",
    ]


def test_the_first_demo_downloads_pairs_of_streams_of_each_court_at_once_and_then_makes_the_chunks() -> None:
    downloads, chunks = stages(GENERATED, {}, spread=True)
    assert {(job.assets, job.months.first.court) for job in downloads} == {
        (DOWNLOADS[:2], "ca9"),
        (DOWNLOADS[2:], "ca9"),
        (DOWNLOADS[:2], "scotus"),
        (DOWNLOADS[2:], "scotus"),
    }
    assert [job.assets for job in chunks] == [(VECTOR_INPUTS,)] * 2


def test_a_demo_after_a_complete_one_has_nothing_to_do() -> None:
    assert stages(GENERATED, keys(*ALL), spread=True) == []


def test_a_demo_after_a_broken_one_does_what_is_missing_and_chunks_it_again() -> None:
    done = keys(*ALL)
    done["opinions"].remove("ca9|2024-02-01")
    february = Range(key("ca9|2024-02"), key("ca9|2024-02"))
    pair = next(pair for pair in (DOWNLOADS[:2], DOWNLOADS[2:]) if "opinions" in pair)
    assert stages(GENERATED, done, spread=True) == [[Job(pair, february)], [Job((VECTOR_INPUTS,), february)]]


def test_scattered_months_cost_one_process_each() -> None:
    scattered = [key(f"scotus|{year}-05") for year in range(1990, 2000)]
    [only] = stages(scattered, {}, spread=False)
    assert [job.assets for job in only] == [ALL] * 10


def test_a_file_of_opinions_fills_the_partitions_of_its_courts_and_dates(tmp_path: Path) -> None:
    path = tmp_path / "opinions.jsonl"
    lines = [("wash", "2018-03-15"), ("scotus", "1891-01-26"), ("wash", "2018-03-01")]
    path.write_text("\n".join(json.dumps({"court_id": court, "date_filed": day}) for court, day in lines) + "\n\n")
    assert partitions_in_file(path) == (
        CourtMonth("scotus", date(1891, 1, 1)),
        CourtMonth("wash", date(2018, 3, 1)),
    )


def test_a_job_is_named_by_what_it_brings() -> None:
    year = Range(key("ca9|2024-01"), key("ca9|2024-03"))
    assert Job(("dockets", "opinions"), year).title == "dockets and opinions of ca9 2024-01 to 2024-03"
    assert Job((VECTOR_INPUTS,), year).title == "vector_inputs of ca9 2024-01 to 2024-03"
    assert Job(ALL, Range(year.first, year.first)).title == "everything of ca9 2024-01"
