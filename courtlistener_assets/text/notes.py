"""Footnotes of plain text: the lines at the foot of a page -> out of the sentence that they interrupt.

Belongs here: where a page's footnotes begin and end. Does not belong here: what is page furniture
(`furniture.py`), how lines make paragraphs (`plain.py`).

A number at the beginning of a line can be anything. It is a footnote's under a drawn rule, or if the text of the page
above has it as a raised number, written close to a word.
"""

from __future__ import annotations

import bisect
from typing import Final

from courtlistener_assets.text.continued_notes import inside_sentence, rest_of_note
from courtlistener_assets.text.marks import MARK_TOKEN, Kind, Marks, visible
from courtlistener_assets.text.note_labels import RULE_LABEL, is_cited, is_label, is_rule, labels_of
from courtlistener_assets.text.page_feet import MOST_LINES, PAGE_GAP, SPACED_LINES, PageFeet, is_end
from courtlistener_assets.text.page_lines import WATERMARK, PageLines
from courtlistener_assets.text.wording import is_abbreviated, is_linking, is_numbered_title

_MAX_NOTE_INDENT: Final = 12
#: Of a label that has a line of its own, raised above the first of its note.
_MAX_RAISED_INDENT: Final = 20
_MAX_STEP: Final = 3
#: Lines of a heading or a list are shorter.
_MIN_TEXT: Final = 30
_CONTINUED: Final = ("continued...)", "continued . . .)", "continued)")
_LINKS: Final = (",", "-", "\u2013", "—", "&", "§")

_Notes = list[tuple[str, list[str]]]


def without_footnotes(page: PageLines, marks: Marks) -> tuple[list[str], _Notes]:
    """Take the footnotes out of the pages; return the lines of the text, and each footnote's label and lines."""
    lines = page.lines
    ends = [index for index in page.breaks if lines[index][1:2] != WATERMARK]
    labels = labels_of(page) if ends else {}
    if not labels:
        return lines, []
    feet = _Feet(page, labels)
    lines = list(lines)
    body: list[str] = []
    start = 0
    for end in [*ends, len(lines)]:
        while start < end:
            if not feet.has_text(start, end):  # between two lines of furniture
                body += lines[start:end]
                break
            first = feet.first(start, end)
            last = feet.last(first, end)
            while feet.raised:
                place = feet.raised.pop()
                lines[place] = _as_mark("footnote_mark", lines[place], marks)
            body += lines[start:first]
            body += feet.take(first, last, marks)
            start = last
        body += lines[end : end + 1]
        start = end + 1
    return body, feet.notes


def _as_mark(kind: Kind, line: str, marks: Marks) -> str:
    """A line as a mark, behind the marks that it has, such as its number."""
    return "".join(MARK_TOKEN.findall(line)) + marks.mark(kind, visible(line).strip())


class _Feet(PageFeet):
    """Reads the feet of pages, one after the other; `notes` are the footnotes found so far."""

    def __init__(self, page: PageLines, labels: dict[int, str]) -> None:
        super().__init__(page, labels)
        self.places = sorted(labels)
        self.notes: _Notes = []
        #: The numbers of notes, in sentences, that have a line of their own.
        self.raised: list[int] = []
        #: The drawn lines below which footnotes began.
        self.rules: set[str] = set()
        self.open = False
        self.latest = self.most = 0

    def first(self, start: int, end: int) -> int:
        """The line with which the footnotes of a page begin: a rule, or the first label; `end` if there are none."""
        rule, unfinished = -1, self._is_unfinished()
        rest = rest_of_note(self, start, end) if unfinished and end < len(self.lines) else end
        if rest == end and self.notes:
            rest = inside_sentence(self, start, end, unfinished=unfinished)
        places = self.places[bisect.bisect_left(self.places, start) : bisect.bisect_left(self.places, end)]
        latest = {self.labels[place]: place for place in places}
        for place in places:
            label = self.labels[place]
            if label.isdigit() and latest[label] > place:
                self._read_number_above(place)
                continue
            above = self.above(place, start)
            if label == RULE_LABEL:
                rule = place if above >= start else -1
                if rule == place and self._is_rule_of_notes(place):
                    return min(rest, place)
            elif self._is_of_note(label, start, place, above, rule, end) and not self.is_in_columns(place, end):
                if rule < 0 or (rule < above and not unfinished):
                    return min(rest, place)
                self.rules.add(self._drawn(rule))
                return rule
        return rule if rule >= 0 and end < len(self.lines) and unfinished else rest

    def _read_number_above(self, place: int) -> None:
        """Judge a number above the note with the same one: an item of a list, or raised so far that it has a line."""
        page = self.page
        goes_on = page.goes_on_below(place) or not is_end(page.beside(place, -1))
        if goes_on and page.bare[place].isdigit() and self._is_in_text(place):
            self.raised.append(place)

    def _is_rule_of_notes(self, place: int) -> bool:
        """Whether footnotes began below such a drawn line before."""
        return self._drawn(place) in self.rules

    def _drawn(self, place: int) -> str:
        """A drawn line, or the spaces that are left of it."""
        line = visible(self.lines[place])
        return line.strip() or line

    def last(self, first: int, end: int) -> int:
        """The line behind the footnotes. After a page without a number, double-spaced text is on the next one."""
        spaced = tight = 0
        above = first
        for index in range(first, end):
            if not self.bare[index]:
                continue
            gap = index - above - 1
            tight += not gap
            begins = tight > 1 or self.indent(index) > self.indent(above)
            wide = gap >= PAGE_GAP or (gap and begins and self.has_empty(index))
            if wide and not spaced and index not in self.labels and is_end(self.lines[above]):
                found, spaced = index, 1
            elif gap and spaced:
                spaced += 1
                if spaced == SPACED_LINES:
                    return found
            else:
                spaced = 0
            above = index
        return end

    def _is_unfinished(self) -> bool:
        """Whether the last footnote ended in the middle of a sentence, so that it goes on at the next page's foot."""
        last = self.notes[-1][1][-1].rstrip() if self.notes else ""
        return bool(last) and (not is_end(last) or is_abbreviated(last))

    def _is_continued(self) -> bool:
        """Whether the last footnote says that it goes on, so that its label comes again."""
        return bool(self.notes) and self.notes[-1][1][-1].rstrip().endswith(_CONTINUED)

    def _follows(self, label: str, *, cited: bool) -> bool:
        """Whether a label is the next one, or one was missed, or each page begins anew."""
        if not label.isdigit():
            return True
        if not self.most:
            return cited or int(label) <= _MAX_STEP
        if label == "1" or (label == str(self.latest) and self._is_continued()):
            return True
        return 0 < int(label) - self.latest <= _MAX_STEP or 0 < int(label) - self.most <= _MAX_STEP

    def _is_of_note(self, label: str, start: int, index: int, above: int, rule: int, end: int) -> bool:
        most = _MAX_RAISED_INDENT if self.bare[index] == label else _MAX_NOTE_INDENT
        if self.indent(index) - self.margin >= most:
            return False
        ruled = start <= rule and (rule >= above or self._is_unfinished())
        ruled = ruled or (label == str(self.latest) and self._is_continued())
        if end == len(self.lines) and not ruled:
            return False
        if not self._follows(label, cited=True):
            return False
        if label == "1" and self.most and is_numbered_title(self.bare[index]):
            return False
        cited = self._is_cited(label, start, index)
        return self._follows(label, cited=cited) and (cited or ruled or self._interrupts(index, above, end))

    def _is_cited(self, label: str, start: int, index: int) -> bool:
        """Whether the text of the page has the label as a raised number, close to a word, behind a sentence, alone."""
        first = max(start, index - MOST_LINES)
        return is_cited(label, self.lines[first:index]) or self._is_raised(label, first, index)

    def _is_raised(self, label: str, first: int, index: int) -> bool:
        """Whether a label was raised so far that it has a line of its own between two of the text."""
        alone = label.isdigit() and label in self.bare[first:index]
        return alone and self._is_in_text(self.bare.index(label, first))

    def _is_in_text(self, place: int) -> bool:
        return min(len(self.page.beside(place, step)) for step in (-1, 1)) >= _MIN_TEXT

    def _interrupts(self, index: int, above: int, end: int) -> bool:
        """Whether the sentence above goes on behind the end of the page."""
        alone = is_label(self.bare[index])
        if above < 0 or (above == index - 1 and not alone) or is_end(self.lines[above]):
            return False
        label = self.labels[index]
        next_one = label == str(self.latest + 1) and index - above > PAGE_GAP
        return bool(alone and next_one) or (self.below(end)[:1].islower() and (label != "1" or not self.most))

    def take(self, first: int, end: int, marks: Marks) -> list[str]:
        """Read the footnotes in the lines from `first` to `end`. Return what is left of them: marks."""
        left: list[str] = []
        for index in range(first, end):
            line = self.lines[index]
            bare = self.bare[index]
            if not bare:
                left.append(line)
            elif is_rule(bare):
                left.append(_as_mark("rule", line, marks))
            elif index in self.labels and self._begins_note(self.labels[index]):
                self.open = True
                self._begin(self.labels[index], line)
            else:
                self._add(line)
        self.open = False
        return left

    def _begins_note(self, label: str) -> bool:
        """Whether a label in the foot of a page is the next one; there, other numbers begin lines, too."""
        if not self.open:
            return self._follows(label, cited=True)
        previous, lines = self.notes[-1]
        last = lines[-1].rstrip()
        if not label.isdigit():
            return True
        if last.endswith(_LINKS) or is_linking(last):
            return False
        if previous.isdigit():
            return int(label) == int(previous) + 1
        return is_end(last) and self._follows(label, cited=False)

    def _begin(self, label: str, line: str) -> None:
        self.notes.append((label, [line]))
        if label.isdigit():
            self.latest = int(label)
            self.most = max(self.most, self.latest)

    def _add(self, line: str) -> None:
        """Add a line to the last footnote, beside a label that stands on a line of its own."""
        note = self.notes[-1][1]
        if len(note) == 1 and is_label(visible(note[0])):
            note[0] = f"{note[0].rstrip()} {line.strip()}"
        else:
            note.append(line)
