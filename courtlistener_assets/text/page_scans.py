"""Scans of pages: what looks at every line of a document to find the few of which a judge of furniture thinks more.

Belongs here: the scans that `page_scans.pyx` has in a compiled form, which a compiled build imports instead of this
module; this one says what they do. Does not belong here: any judgement on a line.
"""

from __future__ import annotations

import functools
import re
from itertools import compress
from operator import contains

_MARK, _PAGE_BREAK = "\ufdd3", "\f"
_DIGITS = re.compile(r"[0-9]+")
_SPACES = re.compile(r"  +")
_LINE_NUMBER = re.compile(r" {0,40}(\d{1,4})(?: {0,3}\|{1,2})?(?=\s|$)")


class Signs:
    """The characters that a pattern of one character matches."""

    def __init__(self, pattern: re.Pattern[str]) -> None:
        self._pattern = pattern

    def places(self, characters: str) -> list[int]:
        """Where they stand."""
        return [match.start() for match in self._pattern.finditer(characters)]


def are_marked(lines: list[str]) -> bool:
    """Whether there is a mark in any line."""
    return _MARK in "".join(lines)


def page_breaks(lines: list[str]) -> list[int]:
    """The places of the lines that are a page break and nothing else."""
    places: list[int] = []
    for _ in range(lines.count(_PAGE_BREAK)):
        places.append(lines.index(_PAGE_BREAK, places[-1] + 1 if places else 0))
    return places


def blank_lines(lines: list[str]) -> list[int]:
    """The places of the lines of white space alone; empty lines have none."""
    return list(compress(range(len(lines)), map(str.isspace, lines)))


def said_above(lines: list[str], bare: list[str]) -> list[int]:
    """The places of the lines of which the text, as `bare` has it, also stands in the line above."""
    return [index for index in compress(range(1, len(lines)), map(contains, lines, bare[1:])) if bare[index]]


def with_any(lines: list[str], signs: str) -> list[int]:
    """The places of the lines with any of these ASCII characters."""
    places = [compress(range(len(lines)), [sign in line for line in lines]) for sign in signs]
    return sorted(set().union(*places))


def alike(lines: list[str]) -> list[str]:
    """The lines with a `#` for each number, and with single spaces."""
    return _SPACES.sub(" ", _DIGITS.sub("#", "\n".join(lines))).split("\n") if lines else []


def is_in_capitals(line: str, least: int) -> bool:
    """Whether a line has so many capital letters, and fewer small ones. Most are text, whose first words tell."""
    if _small_letters(least).match(line):
        return False
    return sum(map(str.isupper, line)) >= least > sum(map(str.islower, line))


@functools.cache
def _small_letters(count: int) -> re.Pattern[str]:
    return re.compile(rf"(?:[^a-z]*[a-z]){{{count}}}")


def ranks_of(seen: list[int], size: int) -> list[int]:
    """The rank of each of so many lines among those that are seen; -1 for others."""
    ranks = [-1] * size
    for rank, index in enumerate(seen):
        ranks[index] = rank
    return ranks


def lines_of(text: str) -> list[str]:
    """The lines of a text, with a line of its own for each page break."""
    return text.replace(_PAGE_BREAK, f"\n{_PAGE_BREAK}\n").split("\n")


def line_number(line: str) -> tuple[int, int, int, int] | None:
    """The number with which a line begins, where it begins and ends, and where the rule behind it ends."""
    match = _LINE_NUMBER.match(line)
    return (int(match[1]), match.start(1), match.end(1), match.end()) if match else None
