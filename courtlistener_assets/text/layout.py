"""Layout: whether a space, a line break or a paragraph break parts two lines of a page.

Belongs here: the judgement, from what `margins.py`, `gaps.py`, `tables.py` and `wording.py` say about the lines. Does
not belong here: words cut at a line's end (`hyphens.py`).
"""

from __future__ import annotations

from typing import Final

from courtlistener_assets.text.gaps import Gaps
from courtlistener_assets.text.lines import Lines
from courtlistener_assets.text.margins import Margins
from courtlistener_assets.text.marks import Marks
from courtlistener_assets.text.tables import set_rows
from courtlistener_assets.text.wording import (
    COMMON,
    FOLLOWED,
    abbreviation,
    ends_of,
    goes_on_after_end,
    is_capitals,
    is_cut,
    is_item,
    is_linking,
    is_numbered_title,
    is_numeral,
    is_sentence,
    is_title,
    small_beginnings_of,
)

_DASHES: Final = "-\u2010\u2013"
_NUMBERS: Final = "0123456789§"
_SAME_COLUMN: Final = 4
_MIN_INDENTED: Final = 4
#: Sentences that seem to end in the middle, as those do whose lines are out of order.
_MIN_STRAY: Final = 3
_STRAY_SHARE: Final = 0.01


class Layout:
    """Judges the lines of a document, of which there is at least one. Writes its tables' cells into `lines.texts`."""

    def __init__(self, lines: Lines, marks: Marks) -> None:
        self._lines = lines
        self._ended: list[bool] = ends_of(lines.texts)
        #: The lines below an end.
        self._behind = [index for index in range(1, len(lines)) if self._ended[index - 1]]
        self._small: list[bool] = small_beginnings_of(lines.texts)
        #: Whether a sentence surely goes on from the line before: it does not end, and a small letter follows.
        self._runs_on = [low and index > 0 and not self._ended[index - 1] for index, low in enumerate(self._small)]
        for start in lines.starts[1:-1]:
            if start < len(lines):
                self._runs_on[start] = False
        self._rows = set_rows(lines, self._runs_on, marks)
        self._margins = Margins(lines, self._runs_on)
        brief = self._margins.brief
        self._full = [end >= brief for end in self._margins.ends]
        unfinished = [full and not self._ended[index] for index, full in enumerate(self._full)]
        for index in self._rows.lines:
            unfinished[index] = False
        self._gaps = Gaps(lines, self._runs_on, unfinished)
        if self._gaps.doubtful:
            marks.doubts.add("doubtful_paragraphs")
        if self._are_out_of_order():
            marks.doubts.add("lines_out_of_order")
        self._steps = lines.steps
        self._indents = self._are_indented()

    def _are_out_of_order(self) -> bool:
        """Whether sentences that surely end go on in the line below, more often than by a misprint."""
        texts = self._lines.texts
        stray = sum(
            texts[index][0].islower() and goes_on_after_end(texts[index - 1], texts[index]) for index in self._behind
        )
        return stray >= _MIN_STRAY and stray > _STRAY_SHARE * sum(self._runs_on)

    def _are_indented(self) -> bool:
        """Whether this document's paragraphs begin with an indent more often than after a short line alone."""
        indented = short = 0
        for index in self._behind:
            if not self._small[index] and not self._gaps.parts[index]:
                if self._is_apart(index):
                    indented += 1
                else:
                    short += self._margins.short[index - 1]
        return indented >= _MIN_INDENTED and indented > short

    def separators(self) -> list[str]:
        """What separates each line from the one before: a space, a line break or a paragraph break."""
        rows, full = self._rows.lines, self._full
        return [
            " "
            if low and full[index - 1] and not (rows and (index in rows or index - 1 in rows))
            else self._separator(index)
            for index, low in enumerate(self._runs_on)
        ]

    def _separator(self, index: int) -> str:
        above = index - 1
        if not index:
            return ""
        rows = self._rows.lines
        if rows and (index in rows or above in rows):
            return self._beside_row(index)
        ended = self._ended[above]
        if not ended and self._is_joined(index):
            return " "
        if self._runs_on[index]:
            return self._after_brief(index)
        if ended or self._margins.short[above]:
            separator = self._at_heading(index)
            if separator:
                return separator
        if ended and not self._is_abbreviated(index):
            return "\n\n" if self._begins_paragraph(index) else " "
        return self._within_sentence(index)

    def _is_joined(self, index: int) -> bool:
        """Whether the last word or character of a line that does not end shows that it goes on, or the next line."""
        above = self._lines.texts[index - 1]
        if above[-1] in _DASHES and (not self._margins.is_brief(index - 1) or (self._small[index] and is_cut(above))):
            return True
        if is_linking(above):
            return not (self._is_apart(index) and is_item(self._lines.texts[index]))
        return self._runs_on[index] and not self._margins.is_brief(index - 1)

    def _beside_row(self, index: int) -> str:
        if index in self._rows.continued:
            return " "
        both = index in self._rows.lines and index - 1 in self._rows.lines
        return "\n" if both and not self._gaps.parts[index] else "\n\n"

    def _after_brief(self, index: int) -> str:
        """After a short line that does not end, above one with a small letter: a sentence, or a line of a caption."""
        if is_sentence(self._lines.texts[index - 1]):
            return " "
        if self._gaps.parts[index]:
            return "\n\n"
        return " " if abs(self._steps[index]) < _SAME_COLUMN else "\n"

    def _at_heading(self, index: int) -> str:
        """What parts a centred line, one in capitals or a bare number from its neighbours; "" if there is none."""
        text, text_above = self._lines.texts[index], self._lines.texts[index - 1]
        if is_numeral(text_above) or is_numeral(text):
            return "\n\n"
        if self._ended[index - 1] and is_capitals(text) and not is_capitals(text_above):
            return "\n\n"
        above, here = self._margins.is_centred(index - 1), self._margins.is_centred(index)
        if not above and not here:
            return ""
        same = (above and here) or not self._steps[index]
        return "\n" if same and not self._gaps.parts[index] and not self._ended[index - 1] else "\n\n"

    def _begins_paragraph(self, index: int) -> bool:
        """Whether a paragraph begins in a line, given that a sentence can end above it."""
        text, above = self._lines.texts[index], self._lines.texts[index - 1]
        if self._is_first(index) if self._lines.edges[index] else self._steps[index] >= self._gaps.indent:
            return True
        if self._small[index]:
            goes_on = above[-1] == "." and not self._lines.edges[index]
            return (self._gaps.parts[index] and not goes_on) or (
                self._margins.is_brief(index - 1) and self._margins.short[index - 1]
            )
        if self._gaps.parts[index] or self._is_last(index - 1) or is_item(text):
            return True
        return self._steps[index] < 0 and not self._is_indented(index - 1)

    def _is_last(self, index: int) -> bool:
        """Whether the room in a line makes it the last of a paragraph, far more room where paragraphs are indented."""
        indented = self._indents and not self._lines.edges[index + 1]  # a page may stand further in than the last
        return self._margins.is_brief(index) if indented else self._margins.short[index]

    def _within_sentence(self, index: int) -> str:
        """A line that ends no sentence, above one with a capital: a heading, a line of a caption, or a name."""
        text, above, gap = self._lines.texts[index], self._lines.texts[index - 1], self._gaps.parts[index]
        if self._margins.is_brief(index - 1) and not self._ended[index - 1]:
            opens = not self._margins.is_brief(index) or is_numbered_title(above)
            indented = self._steps[index] >= self._gaps.indent and opens
            return "\n\n" if gap or indented else "\n"
        if self._steps[index] <= 0 and self._is_first(index) and is_numbered_title(above):
            return "\n\n"
        if gap and above.isupper() != text.isupper():
            return "\n\n"
        headed = gap and self._margins.short[index - 1]
        return "\n\n" if headed and (is_title(above) or self._steps[index] >= self._gaps.indent) else " "

    def _is_abbreviated(self, index: int) -> bool:
        """Whether the dot at the end of the line above does not end a sentence."""
        text, above = self._lines.texts[index], self._lines.texts[index - 1]
        if above[-1] != ".":
            return False
        kind = abbreviation(above)
        if kind == FOLLOWED:
            if above.endswith(" v.") and not self._margins.is_brief(index - 1):
                return True
            return text[0] in _NUMBERS or not (self._is_apart(index) or is_numbered_title(text))
        possible = self._small[index] or kind == COMMON
        return possible and not self._is_apart(index) and not self._margins.is_brief(index - 1)

    def _is_apart(self, index: int) -> bool:
        """Whether a line has a gap above it or is indented."""
        return self._gaps.parts[index] or self._steps[index] >= self._gaps.indent

    def _is_first(self, index: int) -> bool:
        """Whether a line is indented and the one below is not."""
        indents = self._lines.indents
        return index + 1 < len(indents) and indents[index + 1] <= indents[index] - self._gaps.indent

    def _is_indented(self, index: int) -> bool:
        """Whether a line is itself the indented first line of its paragraph."""
        return not index or self._steps[index] > 0 or self._gaps.parts[index]
