"""Patterns: how a regular expression for many words is made.

Belongs here: what makes one fast. Does not belong here: what is looked for.
"""

from __future__ import annotations

from collections.abc import Iterable


def by_first_letter(endings: Iterable[str]) -> str:
    """A pattern for any of these, grouped by the first letter, so that few are tried where a text has none."""
    by_letter: dict[str, set[str]] = {}
    for ending in endings:
        by_letter.setdefault(ending[0], set()).add(ending[1:])
    return "|".join(f"{letter}(?:{'|'.join(sorted(rests))})" for letter, rests in sorted(by_letter.items()))
