"""What the demo materialises."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

from courtlistener_assets.devkit.demo.plan import GENERATED, ranges_of, title
from courtlistener_assets.devkit.simulator.opinions_file import partitions_in_file
from courtlistener_assets.download.partitions import CourtMonth


def key(text: str) -> CourtMonth:
    return CourtMonth.parse(text + "-01")


def test_months_that_follow_each_other_are_one_range_also_over_the_end_of_a_year() -> None:
    months = ["ca9|2023-12", "ca9|2024-01", "ca9|2024-03", "scotus|2024-04"]
    assert [title(each) for each in ranges_of(map(key, reversed(months)))] == [
        "ca9 2023-12 to 2024-01",
        "ca9 2024-03",
        "scotus 2024-04",
    ]


def test_the_demo_is_one_run_a_court() -> None:
    assert ranges_of(GENERATED) == [GENERATED[:3], GENERATED[3:]]


def test_a_file_of_opinions_fills_the_partitions_of_its_courts_and_dates(tmp_path: Path) -> None:
    path = tmp_path / "opinions.jsonl"
    lines = [("wash", "2018-03-15"), ("scotus", "1891-01-26"), ("wash", "2018-03-01")]
    path.write_text("\n".join(json.dumps({"court_id": court, "date_filed": day}) for court, day in lines) + "\n\n")
    assert partitions_in_file(path) == (
        CourtMonth("scotus", date(1891, 1, 1)),
        CourtMonth("wash", date(2018, 3, 1)),
    )
