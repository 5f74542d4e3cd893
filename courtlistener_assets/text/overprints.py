"""Overprints: words that a printer struck twice to make them bold or underlined, which a text has as a line of its own.

Belongs here: telling such a line from one that says something. Does not belong here: page furniture (`furniture.py`).

    CYR, Circuit Judge.  The owner of the mill
    CYR, Circuit Judge.

The second line repeats words of the first in the same columns (or, where it began with a carriage return, as much
further in as the first), and nothing stands in the line below it. A line that repeats all of the line above may also
say it twice; it is taken only in a text with others that do not.
"""

from __future__ import annotations

from itertools import pairwise

from courtlistener_assets.text.marks import Marks

_MIN_LETTERS = 4


def without_overprints(text: str, marks: Marks) -> str:
    """Replace each line that only repeats words of the line above in their columns by a mark."""
    lines = text.split("\n")
    found = [
        index
        for index, (above, line) in enumerate(pairwise(lines), 1)
        if line and (words := line.strip()) and words in above and _is_overprint(above, line, words)
    ]
    found = [index for index in found if not "".join(lines[index + 1 : index + 2]).strip()]
    if all(lines[index].strip() == lines[index - 1].strip() for index in found):
        return text
    for index in found:
        lines[index] = marks.mark("rule", lines[index].strip())
    return "\n".join(lines)


def _is_overprint(above: str, line: str, words: str) -> bool:
    if sum(map(str.isalpha, words)) < _MIN_LETTERS:
        return False
    column = line.find(words)
    margin = len(above) - len(above.lstrip())
    return above.startswith(words, column) or (" " in words and above.find(words) == column - margin)
