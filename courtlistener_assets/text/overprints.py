"""Overprints: words that a printer struck twice to make them bold or underlined, which a text has as a line of its own.

Belongs here: telling such a line from one that says something. Does not belong here: page furniture (`furniture.py`).

    CYR, Circuit Judge.  The owner of the mill
    CYR, Circuit Judge.

The second line repeats words of the first in the same columns (or, where it began with a carriage return, as much
further in as the first), and nothing stands in the line below it, unless the sentence of the first line goes on there.
A line that repeats all of the line above may also say it twice; it is taken only in a text with others that do not.
"""

from __future__ import annotations

from typing import Final

from courtlistener_assets.text.marks import Marks
from courtlistener_assets.text.page_lines import PAGE_BREAK, PageLines
from courtlistener_assets.text.page_scans import blank_lines, said_above

_MIN_LETTERS: Final = 4
#: Characters that an underline may reach further than the words above it.
_SLACK: Final = 2
#: With which the words end that begin a paragraph and name what it is of.
_STOPS: Final = ".:-\u2013—"


def without_underlines(lines: list[str]) -> list[str]:
    """Leave out the lines of spaces that are left of underlines, in a text whose other blank lines are empty.

    They stand below words and reach no further, and would look like wider gaps between lines.
    """
    gone = {
        index
        for index in blank_lines(lines)
        if index
        and lines[index][0] == " "
        and len(lines[index]) <= len(lines[index - 1]) + _SLACK
        and lines[index - 1].strip(f" {PAGE_BREAK}")
    }
    if not gone or 2 * len(gone) > lines.count(""):
        return lines
    return [line for index, line in enumerate(lines) if index not in gone]


def without_overprints(page: PageLines, marks: Marks) -> PageLines:
    """Replace each line that only repeats words of the line above in their columns by a mark."""
    lines, bare = page.lines, page.bare
    found = [index for index in said_above(lines, bare) if _is_overprint(lines, index, bare[index])]
    if all(lines[index].strip() == lines[index - 1].strip() for index in found):
        return page
    lines = list(lines)
    for index in found:
        lines[index] = marks.mark("rule", bare[index])
    return PageLines(lines)


def _is_overprint(lines: list[str], index: int, words: str) -> bool:
    above, line = lines[index - 1 : index + 1]
    if line.strip() != words or sum(map(str.isalpha, words)) < _MIN_LETTERS:
        return False
    column = line.find(words)
    below = "".join(lines[index + 1 : index + 2]).strip()
    if below:
        return below[0].islower() and words[-1] in _STOPS and above.startswith(words, column) and above.strip() != words
    margin = len(above) - len(above.lstrip())
    return above.startswith(words, column) or (" " in words and above.find(words) == column - margin)
