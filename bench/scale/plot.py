"""A chart of times over sizes, both as powers of ten, as SVG: it needs no plotting library.

Belongs here: pure drawing. Does not belong here: what is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 760, 420, 70, 210, 40, 40
_COLOURS = ("#3b6fb6", "#d98b2b", "#3a8f5c", "#c0392b", "#7d5ba6", "#5f6b7a", "#b0568b", "#2f9aa0")
_LINE_HEIGHT = 16.0


def log_lines(sizes: Sequence[str], lines: Mapping[str, Sequence[float]], title: str) -> str:
    """One line for each series, its name at its end; a line that goes up by one decade a step grows like the size."""
    decades = _decades([value for values in lines.values() for value in values])
    parts = [_text(8, 20, title, weight="bold"), *_grid(sizes, decades)]
    ends = _spread({name: _y(values[-1], decades) for name, values in lines.items()})
    for (name, values), colour in zip(lines.items(), _COLOURS, strict=False):
        points = " ".join(f"{_x(place, len(sizes)):.1f},{_y(value, decades):.1f}" for place, value in enumerate(values))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(_text(_WIDTH - _RIGHT + 10, ends[name] + 4, f"{name} ({values[-1]:,.0f})", colour=colour))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" '
        f'viewBox="0 0 {_WIDTH} {_HEIGHT}"><rect width="100%" height="100%" fill="#fff"/>{"".join(parts)}</svg>'
    )


def _decades(values: Sequence[float]) -> range:
    """The powers of ten around the values."""
    positive = [value for value in values if value > 0] or [1.0]
    return range(math.floor(math.log10(min(positive))), math.ceil(math.log10(max(positive)) + 1e-9) + 1)


def _grid(sizes: Sequence[str], decades: range) -> list[str]:
    parts = []
    for decade in decades:
        y = _y(10.0**decade, decades)
        parts.append(f'<path d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}" stroke="#e4e7eb"/>')
        parts.append(_text(_LEFT - 8, y + 4, f"{10.0**decade:,g}", anchor="end"))
    for place, size in enumerate(sizes):
        anchor = "start" if place == 0 else "end" if place == len(sizes) - 1 else "middle"
        parts.append(_text(_x(place, len(sizes)), _HEIGHT - _BOTTOM + 22, size, anchor=anchor))
    return parts


def _x(place: int, count: int) -> float:
    return _LEFT + (_WIDTH - _LEFT - _RIGHT) * (place / max(1, count - 1))


def _y(value: float, decades: range) -> float:
    share = (math.log10(max(value, 10.0 ** decades[0])) - decades[0]) / (decades[-1] - decades[0])
    return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * share


def _spread(ends: Mapping[str, float]) -> dict[str, float]:
    """The ends of the lines, moved down where two names would lie on each other."""
    spread: dict[str, float] = {}
    lowest = -math.inf
    for name, y in sorted(ends.items(), key=lambda item: item[1]):
        lowest = spread[name] = max(y, lowest + _LINE_HEIGHT)
    return spread


def _text(x: float, y: float, text: str, *, anchor: str = "start", weight: str = "normal", colour: str = "#333") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-family="sans-serif" font-size="12" font-weight="{weight}" '
        f'fill="{colour}" text-anchor="{anchor}">{escape(text)}</text>'
    )
