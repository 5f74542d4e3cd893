"""Gaps: which blank lines and which indents part paragraphs in a document.

Belongs here: judging each kind of gap by how often a sentence goes on across it in this document. Does not belong here:
the judgement on two lines (`layout.py`).

No distance means the same in all documents: a blank line parts two paragraphs in one and two lines of a sentence in the
next, and some have both.
"""

from __future__ import annotations

from typing import Final

from courtlistener_assets.text.layout_scans import counted, gaps_above
from courtlistener_assets.text.lines import Lines

#: Of lines in running text, about every second one begins in the middle of a sentence with a small letter.
_RUNNING_SHARE: Final = 0.2
_UNFINISHED_SHARE: Final = 0.4
_MIN_SEEN: Final = 4
#: Between the shares of paragraphs and those of lines.
_LEAST_DOUBTFUL: Final = 0.1
_MOST_DOUBTFUL: Final = 0.3
_MIN_DOUBTFUL: Final = 10
_INDENT: Final = 2
_MAX_BLANKS: Final = 4
#: A gap is the blank lines above a line, times this, and the fewest at the lines around it.
_GAP: Final = 5


class Gaps:
    """`parts[i]` says whether the blank lines above line i part paragraphs; `indent` is how far a first line stands in.

    `doubtful` are the gaps of a document in which one kind of them does both.

    `runs_on[i]` says whether a sentence surely goes on from line i - 1 to line i, `unfinished[i]` whether line i looks
    like one in which a sentence does not end.
    """

    def __init__(self, lines: Lines, runs_on: list[bool], unfinished: list[bool]) -> None:
        indented = crossed = 0
        for index, step in enumerate(lines.steps):
            if step >= _INDENT:
                indented += 1
                crossed += runs_on[index]
        self.indent = _INDENT if crossed <= _RUNNING_SHARE * indented else 2 * _INDENT
        self.parts = [False] * len(lines)
        self.doubtful = False
        gaps: list[int] = gaps_above(lines.blanks, lines.edges, _MAX_BLANKS)
        if gaps:
            seen, running, open_above = counted(gaps, _GAP * _GAP, runs_on, unfinished)
            parting = _parting(seen, running, open_above)
            self.parts = [parting[gap] for gap in gaps]
            self.doubtful = _are_doubtful(seen, running)


def _parting(seen: list[int], running: list[int], open_above: list[int]) -> list[bool]:
    """By kind of gap, whether a sentence goes on across it seldom, surely or to judge by the line above."""
    parting = [False] * len(seen)
    for gap, count in enumerate(seen):
        if gap < _GAP or not count:
            continue
        if count >= _MIN_SEEN:
            parting[gap] = running[gap] < _RUNNING_SHARE * count and open_above[gap] < _UNFINISHED_SHARE * count
        else:
            here, around = divmod(gap, _GAP)
            parting[gap] = here > around or seen[0] > count
    return parting


def _are_doubtful(seen: list[int], running: list[int]) -> bool:
    """Whether sentences go on across a kind of gap too seldom for the lines of a paragraph, and yet often."""
    return any(
        gap >= _GAP and count >= _MIN_DOUBTFUL and _LEAST_DOUBTFUL * count <= running[gap] <= _MOST_DOUBTFUL * count
        for gap, count in enumerate(seen)
    )
