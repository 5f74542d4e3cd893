"""The benchmark of scale: sizes are what they say, growth is an exponent, and every figure gets into table and plot."""

from __future__ import annotations

import re
from datetime import date
from typing import Any
from xml.etree import ElementTree

import pytest

from bench.scale.fill import Size, body_of
from bench.scale.plot import log_lines
from bench.scale.report import as_text, growth, plot, redis_day_mb
from courtlistener_assets.download.partitions import CourtMonth
from courtlistener_assets.download.streams import STREAMS

TODAY = date(2026, 2, 17)
SIZE = Size(courts=3, months=14, permits=1, permits_an_hour=1, failures=1, deferrals=1)


def test_the_last_partition_is_the_present_month_of_the_last_court() -> None:
    assert SIZE.first_month(TODAY) == date(2025, 1, 1)
    partitions = [SIZE.partition(number, TODAY) for number in range(SIZE.partitions)]
    assert partitions[0] == CourtMonth(SIZE.court_ids[0], date(2025, 1, 1))
    assert partitions[-1] == CourtMonth(SIZE.court_ids[-1], date(2026, 2, 1))
    assert len(set(partitions)) == SIZE.partitions


@pytest.mark.parametrize("stream", STREAMS, ids=lambda stream: stream.name)
def test_the_bodies_are_objects_that_the_streams_can_read(stream: Any) -> None:
    body = body_of(stream.name, 7)
    page = stream.read_page([body], CourtMonth("ca9", date(2024, 5, 1)))
    assert not page.failures
    assert page.records[0].id == 7


def test_growth_is_the_exponent_of_the_size() -> None:
    assert growth(5, 50) == pytest.approx(1)
    assert growth(5, 5) == 0
    assert growth(5, 500) == pytest.approx(2)


def test_a_line_that_grows_with_the_size_goes_up_by_one_decade_a_step() -> None:
    svg = log_lines(["a", "b", "c"], {"flat": [10, 10, 10], "linear": [1, 10, 100]}, "Times")
    ElementTree.fromstring(svg)
    flat, linear = (
        [float(point.split(",")[1]) for point in points.split()] for points in re.findall(r'points="([^"]+)"', svg)
    )
    assert flat == [flat[0]] * 3
    assert linear[1] == flat[1]
    assert linear[0] - linear[1] == pytest.approx(linear[1] - linear[2], abs=0.11)
    assert linear[0] > linear[2]


def figures() -> dict[str, Any]:
    names = [
        "run that downloads a partition, with its text and checks",
        "partition run: all pages of all streams stored",
        "run of vector_inputs for a partition, with its checks",
        "permit from Redis, journaled and settled",
        "tick of retry_failed_dockets",
        "scrape of the exporter",
        "UI: status of an asset's partitions",
        "code location loaded, from the start of its process",
    ]
    sizes = [
        {"dockets": 10**place, "partitions": 2, "permits": 3, "failures": 4, "deferrals": 5,
         "tables": [{"table": "dockets", "rows": 10**place, "table_mb": 2.0, "index_mb": 1.0}],
         "milliseconds": {name: 10.0**place for name in names}}
        for place in (4, 5, 6)
    ]  # fmt: skip
    redis = [{"what": name, "mb": mb} for name, mb in zip("abcde", (1, 12, 20, 9, 5), strict=True)]
    return {"measured": "today", "seconds": 61, "load": 0.5, "sizes": sizes, "redis": redis}


def test_every_figure_is_in_the_text_and_the_plot() -> None:
    text = as_text(figures())
    for name in figures()["sizes"][0]["milliseconds"]:
        assert f"| {name} | 10,000 | 100,000 | 1,000,000 | 1.00 |" in text
    assert "| dockets | 1,000,000 | 2.0 | 1.0 | 1 |" in text
    assert plot(figures()["sizes"]).count("<polyline") == 8


def test_memory_of_a_day_counts_the_state_of_two_days() -> None:
    assert redis_day_mb(figures()["redis"]) == 12 + 2 * 20 + 5
