"""Charts are well-formed pictures whose bars have the right lengths."""

from __future__ import annotations

import base64
import re
from xml.etree import ElementTree

from courtlistener_assets.defs.plots import Gauge, columns, gauges, markdown_image


def widths(svg: str, colour: str) -> list[float]:
    return [float(width) for width in re.findall(rf'width="([\d.]+)" height="18.0" fill="{colour}"', svg)]


def test_a_bar_is_as_long_as_its_share() -> None:
    svg = gauges([Gauge("a minute", 3, 1, 8), Gauge("a day", 0, 0, 100), Gauge("over", 30, 5, 10)], "Used")
    ElementTree.fromstring(svg)
    [full, *_] = widths(svg, "#e4e7eb")
    assert widths(svg, "#3b6fb6") == [full * 3 / 8, 0.0, full]
    assert widths(svg, "#d98b2b") == [full / 8, 0.0, 0.0]


def test_a_window_that_admits_nothing_is_drawn_full() -> None:
    svg = gauges([Gauge("blocked", 0, 0, 0)], "Used")
    assert widths(svg, "#3b6fb6") == widths(svg, "#e4e7eb")


def test_columns_are_as_high_as_their_values_and_the_limit_is_drawn() -> None:
    svg = columns([("1", 10), ("2", 5), ("3", 0)], "Requests", limit=20)
    ElementTree.fromstring(svg)
    heights = [float(height) for height in re.findall(r'height="([\d.]+)" fill="#3b6fb6"', svg)]
    assert heights == [65.0, 32.5, 0.0]
    assert "limit 20" in svg


def test_a_limit_far_above_everything_would_flatten_the_columns_and_is_left_out() -> None:
    assert "limit" not in columns([("1", 1)], "Requests", limit=1000)
    assert "#3b6fb6" in columns([("1", 0)], "Requests")


def test_labels_cannot_break_the_picture() -> None:
    ElementTree.fromstring(gauges([Gauge('<a> & "b"', 1, 0, 2)], "x < y"))


def test_the_picture_in_markdown_is_the_picture() -> None:
    svg = gauges([], "Nothing")
    encoded = re.fullmatch(r"!\[alt\]\(data:image/svg\+xml;base64,([^)]+)\)", markdown_image(svg, "alt"))
    assert encoded
    assert base64.b64decode(encoded[1]).decode() == svg
