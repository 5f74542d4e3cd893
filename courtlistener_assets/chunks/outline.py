"""Outline: under which headings a place of a clean text stands.

Belongs here: the path from the outermost heading to the innermost. Does not belong here: what a heading is
(`text/headings.py`).
"""

from __future__ import annotations

from bisect import bisect_right

from courtlistener_assets.text.headings import Heading, headings_of


class Outline:
    """The headings of one clean text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._headings = headings_of(text)
        self._starts = [heading.start for heading in self._headings]
        self._paths = _paths(text, self._headings)

    def at(self, place: int) -> list[str]:
        """The headings in force at `place`, outermost first. If it is in a heading, what follows that one counts."""
        index = bisect_right(self._starts, place) - 1
        if index < 0:
            return []
        if place < self._headings[index].end:
            while index + 1 < len(self._headings) and not self._between(index).strip():
                index += 1
        return self._paths[index]

    def _between(self, index: int) -> str:
        return self._text[self._headings[index].end : self._headings[index + 1].start]


def _paths(text: str, headings: tuple[Heading, ...]) -> list[list[str]]:
    paths: list[list[str]] = []
    levels: list[int] = []
    path: list[str] = []
    for heading in headings:
        above = sum(level < heading.level for level in levels)
        levels = [*levels[:above], heading.level]
        path = [*path[:above], " ".join(text[heading.start : heading.end].split())]
        paths.append(path)
    return paths
