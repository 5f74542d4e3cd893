"""Lines: the lines of a page that have text, and what stood between them.

Belongs here: measuring each line once (indent, end, blank lines above) for the modules that judge the layout. Does not
belong here: any judgement (`layout.py`, `tables.py`).
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Final

from courtlistener_assets.text.line_scans import read_lines
from courtlistener_assets.text.marks import MARK, MARK_END, MARK_TOKEN, visible
from courtlistener_assets.text.page_lines import PAGE_BREAK, WATERMARK

_LEADING_MARKS: Final = re.compile(rf"\s*(?:{MARK_TOKEN.pattern}\s*)+")


class Lines:
    """Parallel lists, one item for each line with text; `len` is their length.

    `texts` have single spaces. `indents` and `ends` are columns without marks, `steps` says how much further in a line
    begins than the one above. `blanks` counts the blank lines above, `edges` says whether a page ended there. Part n is
    the lines from `starts[n]` up to `starts[n + 1]`, and `trailing[n]` are the marks after its last line.

    Of some lines only: `marks` has the marks that stand before them, `wide` those with wide space inside as they were.
    """

    def __init__(self, parts: list[list[str]]) -> None:
        self.texts: list[str] = []
        self.indents: list[int] = []
        self.steps: list[int] = []
        self.ends: list[int] = []
        self.blanks: list[int] = []
        self.edges: list[bool] = []
        self.marks: defaultdict[int, str] = defaultdict(str)
        self.wide: dict[int, str] = {}
        self.starts = [0]
        self.trailing: list[str] = []
        for raw in parts:
            self.trailing.append(self._read(raw))
            self.starts.append(len(self.texts))

    def __len__(self) -> int:
        return len(self.texts)

    def _read(self, raw: list[str]) -> str:
        """Add the lines of a part, one measure after the other; return the marks after the last."""
        measures = (self.texts, self.indents, self.steps, self.ends, self.blanks, self.wide)
        before: list[tuple[int, str]] = read_lines(raw, *measures, _without_leading_marks)
        self.edges += [False] * (len(self.texts) - len(self.edges))
        trailing, end = "", len(self.texts)
        for place, found in before:
            is_edge = PAGE_BREAK in found
            marks = found.replace(PAGE_BREAK, "") if is_edge else found
            if place == end:
                trailing += marks
                continue
            if marks:
                self.marks[place] += marks
            if is_edge:
                self.edges[place] = True
                self.blanks[place] -= 1
        return trailing


def _without_leading_marks(line: str) -> tuple[str, str]:
    """The marks with which a line begins, behind PAGE_BREAK if it is one, and the line without them."""
    if line[0] == PAGE_BREAK:
        return PAGE_BREAK + line[1:].removeprefix(WATERMARK), ""
    mark, end, rest = line.partition(MARK_END)
    if line[0] == MARK and rest.lstrip()[:1] != MARK:
        return mark + end, rest
    leading = _LEADING_MARKS.match(line)
    if not leading:
        return "", line
    return "".join(MARK_TOKEN.findall(leading.group())), visible(leading.group()) + line[leading.end() :]
