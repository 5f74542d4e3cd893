"""Gaps: which blank lines and which indents part paragraphs in a document.

Belongs here: judging each kind of gap by how often a sentence goes on across it in this document. Does not belong here:
the judgement on two lines (`layout.py`).

No distance means the same in all documents: a blank line parts two paragraphs in one and two lines of a sentence in the
next, and some have both.
"""

from __future__ import annotations

from collections import Counter
from itertools import compress

from courtlistener_assets.text.lines import Lines

#: Of lines in running text, about every second one begins in the middle of a sentence with a small letter.
_RUNNING_SHARE = 0.2
_UNFINISHED_SHARE = 0.4
_MIN_SEEN = 4
#: Between the shares of paragraphs and those of lines.
_DOUBTFUL = (0.1, 0.3)
_MIN_DOUBTFUL = 10
_INDENT = 2
_MAX_BLANKS = 4
#: A gap is the blank lines above a line, times this, and the fewest at the lines around it.
_GAP = _MAX_BLANKS + 1
_NO_GAP = 0


class Gaps:
    """`parts[i]` says whether the blank lines above line i part paragraphs; `indent` is how far a first line stands in.

    `doubtful` are the gaps of a document in which one kind of them does both.

    `runs_on[i]` says whether a sentence surely goes on from line i - 1 to line i, `unfinished[i]` whether line i looks
    like one in which a sentence does not end.
    """

    def __init__(self, lines: Lines, runs_on: list[bool], unfinished: list[bool]) -> None:
        steps = [step >= _INDENT for step in lines.steps]
        crossed = sum(compress(runs_on, steps))
        self.indent = _INDENT if crossed <= _RUNNING_SHARE * sum(steps) else 2 * _INDENT
        gaps = _gaps(lines)
        if gaps:
            seen, running = Counter(gaps), Counter(compress(gaps, runs_on))
            parting = _parting(seen, running, Counter(compress(gaps[1:], unfinished)))
            self.parts = list(map(parting.__contains__, gaps))
            self.doubtful = _are_doubtful(seen, running)
        else:
            self.parts = [False] * len(lines)
            self.doubtful = False


def _gaps(lines: Lines) -> list[int]:
    """The gap above each line, nothing if there are none; a page's edge says nothing."""
    if not any(lines.blanks):
        return []
    blanks = lines.blanks
    if max(blanks) > _MAX_BLANKS:
        blanks = [_MAX_BLANKS if blank > _MAX_BLANKS else blank for blank in blanks]
    around = zip(blanks, [blanks[0], *blanks], [*blanks[1:], blanks[-1]], strict=False)
    gaps = [here * _GAP + (above if above < below else below) for here, above, below in around]
    for index in compress(range(len(blanks)), lines.edges):
        gaps[index] = _NO_GAP
        if index:
            gaps[index - 1] = blanks[index - 1] * _GAP + blanks[max(0, index - 2)]
        if index + 1 < len(blanks):
            gaps[index + 1] = blanks[index + 1] * _GAP + blanks[min(index + 2, len(blanks) - 1)]
    return gaps


def _parting(seen: Counter[int], running: Counter[int], open_above: Counter[int]) -> set[int]:
    """The kinds of gaps across which seldom a sentence goes on, surely or to judge by the line above."""
    parting = set()
    for gap, count in seen.items():
        here, around = divmod(gap, _GAP)
        if count >= _MIN_SEEN:
            parts = running[gap] < _RUNNING_SHARE * count and open_above[gap] < _UNFINISHED_SHARE * count
        else:
            parts = here > around or seen[_NO_GAP] > count
        if here and parts:
            parting.add(gap)
    return parting


def _are_doubtful(seen: Counter[int], running: Counter[int]) -> bool:
    """Whether sentences go on across a kind of gap too seldom for the lines of a paragraph, and yet often."""
    return any(
        gap >= _GAP and count >= _MIN_DOUBTFUL and _DOUBTFUL[0] * count <= running[gap] <= _DOUBTFUL[1] * count
        for gap, count in seen.items()
    )
