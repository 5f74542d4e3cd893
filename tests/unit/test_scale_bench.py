"""The benchmark of scale: sizes are what they say, growth is an exponent, every figure gets into its table."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest

from bench.report import PAGES, RESULTS, TABLES, growth, redis_day_mb, with_tables
from bench.scale.fill import Size, body_of
from courtlistener_assets.download.choice import chosen
from courtlistener_assets.download.partitions import CourtMonth

TODAY = date(2026, 2, 17)
SIZE = Size(courts=3, months=14, permits=1, permits_an_hour=1, failures=1, deferrals=1)


def test_the_last_partition_is_the_present_month_of_the_last_court() -> None:
    assert SIZE.first_month(TODAY) == date(2025, 1, 1)
    partitions = [SIZE.partition(number, TODAY) for number in range(SIZE.partitions)]
    assert partitions[0] == CourtMonth(SIZE.court_ids[0], date(2025, 1, 1))
    assert partitions[-1] == CourtMonth(SIZE.court_ids[-1], date(2026, 2, 1))
    assert len(set(partitions)) == SIZE.partitions


@pytest.mark.parametrize("stream", chosen(), ids=lambda stream: stream.name)
def test_the_bodies_are_objects_that_the_streams_can_read(stream: Any) -> None:
    body = body_of(stream.name, 7)
    page = stream.read_page([body], CourtMonth("ca9", date(2024, 5, 1)))
    assert not page.failures
    assert page.records[0].id == 7


def test_growth_is_the_exponent_of_the_size() -> None:
    assert growth(5, 50) == pytest.approx(1)
    assert growth(5, 5) == 0
    assert growth(5, 500) == pytest.approx(2)


def test_the_page_has_the_figures_that_were_measured_last() -> None:
    results = json.loads(RESULTS.read_text())
    for page in (path.read_text() for path in PAGES):
        for name in TABLES:
            assert with_tables(page, name, results[name]) == page


def test_every_figure_gets_into_its_place_and_the_words_around_it_stay() -> None:
    sizes = [
        {"dockets": 10**place, "partitions": 2, "permits": 3, "failures": 4, "deferrals": 5,
         "milliseconds": {"a tick": 10.0**place}}
        for place in (4, 5, 6)
    ]  # fmt: skip
    page = "before\n<!-- scale sizes -->\nold\n<!-- /scale sizes -->\nafter"
    text = with_tables(page, "scale", {"sizes": sizes})
    assert text.startswith("before\n<!-- scale sizes -->\n| ")
    assert text.endswith(" |\n<!-- /scale sizes -->\nafter")
    assert "| a tick | 10,000 | 100,000 | 1,000,000 | 1.00 |" in text
    assert "old" not in text


def test_memory_of_a_day_counts_the_state_of_two_days() -> None:
    assert redis_day_mb([{"mb": mb} for mb in (1, 12, 20, 9, 5)]) == 12 + 2 * 20 + 5
