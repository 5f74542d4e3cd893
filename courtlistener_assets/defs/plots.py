"""Small charts for asset metadata, as SVG in Markdown: they need no plotting library and no file.

Belongs here: pure drawing. Does not belong here: what is drawn.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _LEFT, _RIGHT = 640, 110, 90
_BLUE, _ORANGE, _GREY, _RED, _INK = "#3b6fb6", "#d98b2b", "#e4e7eb", "#c0392b", "#333"


@dataclass(frozen=True)
class Gauge:
    """One horizontal bar: `own` and `foreign` of `limit`."""

    label: str
    own: int
    foreign: int
    limit: int


def markdown_image(svg: str, alt: str) -> str:
    """The picture inside a Markdown text, as a data URI."""
    return f"![{alt}](data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()})"


def gauges(bars: Sequence[Gauge], title: str) -> str:
    """Bars one below the other, each against its own limit, blue for our requests and orange for those of others."""
    parts, row, top = [_text(8, 18, title, bold=True)], 28, 34
    span = _WIDTH - _LEFT - _RIGHT
    for number, bar in enumerate(bars):
        y = top + number * row
        own = span * min(1.0, bar.own / bar.limit) if bar.limit else span
        foreign = min(span - own, span * bar.foreign / bar.limit) if bar.limit else 0.0
        parts += [
            _text(_LEFT - 8, y + 14, bar.label, anchor="end"),
            _rectangle(_LEFT, y, span, 18, _GREY),
            _rectangle(_LEFT, y, own, 18, _BLUE),
            _rectangle(_LEFT + own, y, foreign, 18, _ORANGE),
            _text(_WIDTH - _RIGHT + 8, y + 14, f"{bar.own + bar.foreign} of {bar.limit}"),
        ]
    return _svg(top + row * len(bars) + 6, parts)


def columns(values: Sequence[tuple[str, int]], title: str, limit: float | None = None) -> str:
    """Columns side by side, every sixth labelled; a red line at `limit` if that is near the highest column."""
    height, top = 130, 34
    span, highest = _WIDTH - _LEFT - 20, max([1, *(value for _, value in values)])
    shown_limit = limit if limit is not None and limit <= 4 * highest else None
    scale = height / max(highest, shown_limit or 0.0)
    step = span / max(1, len(values))
    parts = [
        _text(8, 18, title, bold=True),
        _text(_LEFT - 8, top + height, "0", anchor="end"),
        _text(_LEFT - 8, top + height - highest * scale + 5, str(highest), anchor="end"),
        _rectangle(_LEFT, top + height, span, 1, _INK),
    ]
    for number, (label, value) in enumerate(values):
        x = _LEFT + number * step
        parts.append(_rectangle(x + 1, top + height - value * scale, max(1.0, step - 2), value * scale, _BLUE))
        if number % 6 == 0:
            parts.append(_text(x, top + height + 16, label))
    if shown_limit is not None:
        y = top + height - shown_limit * scale
        parts += [_rectangle(_LEFT, y, span, 1, _RED), _text(_LEFT + 4, y - 4, f"limit {shown_limit:.0f}")]
    return _svg(top + height + 26, parts)


def _svg(height: float, parts: Sequence[str]) -> str:
    body = "".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height:.0f}" '
        f'viewBox="0 0 {_WIDTH} {height:.0f}"><rect width="100%" height="100%" fill="#fff"/>{body}</svg>'
    )


def _rectangle(x: float, y: float, width: float, height: float, colour: str) -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colour}"/>'


def _text(x: float, y: float, text: str, *, anchor: str = "start", bold: bool = False) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-family="sans-serif" font-size="12" fill="{_INK}" '
        f'text-anchor="{anchor}"{weight}>{escape(text)}</text>'
    )
