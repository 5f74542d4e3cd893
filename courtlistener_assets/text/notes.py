"""Footnotes of plain text: the lines at the foot of a page -> out of the sentence that they interrupt.

Belongs here: where a page's footnotes begin and end. Does not belong here: what is page furniture
(`furniture.py`), how lines make paragraphs (`plain.py`).

A number at the beginning of a line can be anything. It is a footnote's under a drawn rule, or if the text of the page
above has it as a raised number, written close to a word.
"""

from __future__ import annotations

import bisect
import functools
import re
import sys
from itertools import accumulate, pairwise

from courtlistener_assets.text.marks import Marks, visible
from courtlistener_assets.text.page_lines import PAGE_BREAK, WATERMARK, PageLines
from courtlistener_assets.text.wording import is_abbreviated, may_be_abbreviated

_RULE = re.compile(r"[\s_\-—=*~.]{5,}")
_LABEL = re.compile(r"\s*[\[(]?(\d{1,3}|[*†‡]{1,3})[\])]?\.?(?:\s+(?=\S)|\s*$|(?<=\d)(?=[A-Z][a-z]|[AI] ))")
_RULE_FIRST = frozenset("_-—=*~.")
_FIRST = frozenset("0123456789*†‡[(") | _RULE_FIRST
#: Of a drawn line, below which labels are expected.
_RULE_LABEL = "—"
_MAX_NOTE_INDENT = 12
_MIN_WIDTH = 40
_UNKNOWN = sys.maxsize
_MAX_STEP = 3
_TAIL = 60
_PAGE_GAP = 2
_FEW_GAPS = 0.25
#: More characters in a line of a footnote than in one of the text.
_SMALLER = 3
#: No type is so small that a line has so many times the characters: words at its end were joined.
_SMALLEST = 1.3
_SPACED_LINES = 5
#: Of one page, in which a footnote and the sentence that it interrupts are looked for.
_MOST_LINES = 120
_MIN_SPACED = 0.7
#: What follows the number of a volume, a title or a page, not that of a note.
_REPORTER = re.compile(
    r"(?:\([^()]{0,20}\d{4}\)|U\. ?S\. ?(?:C|\d)|F\. ?(?:\dd|Supp|R)|S\. ?Ct|L\. ?Ed|Fed\. ?R|C\. ?F\. ?R)"
)
_MAX_WIDE = 0.3
_ENDS = (".", "?", "!", ":", ";")
_AFTER_END = "\"'”\u2019)]*0123456789"

_Notes = list[tuple[str, list[str]]]


def without_footnotes(page: PageLines, marks: Marks) -> tuple[list[str], _Notes]:
    """Take the footnotes out of the pages; return the lines of the text, and each footnote's label and lines."""
    lines = page.lines
    ends = [index for index in page.breaks if lines[index][1:2] != WATERMARK]
    labels = _labels(page) if ends else {}
    if not labels:
        return lines, []
    feet = _Feet(page, labels)
    body: list[str] = []
    start = 0
    for end in [*ends, len(lines)]:
        first = feet.first(start, end)
        last = feet.last(first, end)
        body += lines[start:first]
        if first < last:
            body += feet.take(first, last, marks)
        body += lines[last : end + 1]
        start = end + 1
    return body, feet.notes


def _labels(page: PageLines) -> dict[int, str]:
    """The lines that begin with what can be the label of a footnote, and the drawn lines."""
    bare = page.bare
    likely = [index for index in page.seen if bare[index][0] in _FIRST]
    return {index: label for index in likely if (label := _label(visible(page.lines[index]).lstrip()))}


def _label(bare: str) -> str:
    """The label with which a line begins, or ""; the number of a volume, or one in a sentence, is none."""
    if bare[0] in _RULE_FIRST and _RULE.fullmatch(bare):
        return _RULE_LABEL
    match = _LABEL.match(bare)
    if not match or bare[match.end() : match.end() + 1].islower() or _REPORTER.match(bare, match.end()):
        return ""
    return match[1]


def _is_end(line: str) -> bool:
    return line[-_TAIL:].rstrip().rstrip(_AFTER_END).endswith(_ENDS)


@functools.cache
def _raised(label: str) -> re.Pattern[str]:
    """A label as the number of a note in a sentence. The label comes first, which is what the search is fast by."""
    label = re.escape(label)
    before = ("[^\\W\\d_]", "[^\\d\\s.][.]", '\\D[,;:)\\]"”\u2019]')
    apart = ('[a-z]{3}[.,;)"”\u2019] ', '[a-z]{3}[.,;)][)"”\u2019] ')
    close = "|".join(f"(?<={place}{label})" for place in before)
    spaced = "|".join(f"(?<={place}{label})" for place in apart)
    return re.compile(rf"{label}(?![\w*]|[.,]\d)(?:{close}|(?:{spaced})(?=\s*$|\s+[A-Z]))", re.MULTILINE)


class _Feet:
    """Reads the feet of pages, one after the other; `notes` are the footnotes found so far."""

    def __init__(self, page: PageLines, labels: dict[int, str]) -> None:
        self.lines = page.lines
        self.bare = page.bare
        self.labels = labels
        self.places = sorted(labels)
        self.notes: _Notes = []
        #: The drawn lines below which footnotes began.
        self.rules: set[str] = set()
        self.open = False
        self.latest = self.most = 0

    @functools.cached_property
    def margin(self) -> int:
        """How far the long lines stand in, at least."""
        margin = _UNKNOWN
        for line in self.lines:
            if len(line) < _MIN_WIDTH or line[:margin].isspace():
                continue
            seen = visible(line)
            if len(seen.strip()) >= _MIN_WIDTH:
                margin = len(seen) - len(seen.lstrip())
                if not margin:
                    break
        return margin if margin < _UNKNOWN else 0

    def first(self, start: int, end: int) -> int:
        """The line with which the footnotes of a page begin: a rule, or the first label; `end` if there are none."""
        rule = -1
        rest = self._rest_of_note(start, end) if self._is_unfinished() and end < len(self.lines) else end
        if rest == end and self.notes:
            rest = self._inside_sentence(start, end)
        for place in self.places[bisect.bisect_left(self.places, start) : bisect.bisect_left(self.places, end)]:
            label = self.labels[place]
            above = self._above(place, start)
            if label == _RULE_LABEL:
                rule = place
                if self._is_rule_of_notes(place):
                    return min(rest, place)
            elif self._is_of_note(label, start, place, above, rule, end) and not self._is_in_columns(place, end):
                if rule < 0 or (rule != above and not self._is_unfinished()):
                    return min(rest, place)
                self.rules.add(visible(self.lines[rule]).strip())
                return rule
        return rule if rule >= 0 and end < len(self.lines) and self._is_unfinished() else rest

    def _rest_of_note(self, start: int, end: int) -> int:
        """Where an unfinished footnote goes on: single-spaced lines at the foot of a double-spaced page."""
        seen = [index for index in range(start, end) if self.bare[index]]
        gaps = [(below - above - 1, below) for above, below in pairwise(seen)]
        begin = next((place for gap, place in reversed(gaps) if gap >= _PAGE_GAP and place not in self.labels), end)
        body = [gap for gap, place in gaps if place < begin]
        foot = [self._has_empty(place) for gap, place in gaps if gap and place > begin and place not in self.labels]
        spaced = len(body) >= _SPACED_LINES and sum(map(bool, body)) >= _MIN_SPACED * len(body)
        return begin if spaced and not any(foot) else end

    def _has_empty(self, place: int) -> bool:
        """Whether an empty line is above a line; where words are underlined, a line of spaces can stand below them."""
        return not self.lines[place - 1]

    def _inside_sentence(self, start: int, end: int) -> int:
        """Where a footnote goes on in the middle of a sentence of the text, which ends on the next page.

        The foot of the page ends with a full stop, and yet the next page begins with a small letter.
        """
        seen = [index for index in range(max(start, end - _MOST_LINES), end) if self.bare[index]]
        last = self.bare[seen[-1]] if len(seen) >= _SPACED_LINES else ""
        if not _is_end(last) or may_be_abbreviated(last) or is_abbreviated(last):
            return end
        if not self._below(end)[:1].islower():
            return end
        rank = self._below_gap(seen) or self._in_smaller_type(seen)
        return seen[rank] if rank else end

    def _below_gap(self, seen: list[int]) -> int:
        """The rank of the line below the last gap of a page, 0 if that parts paragraphs or lines of the text."""
        gaps = [rank for rank in range(1, len(seen)) if seen[rank] - seen[rank - 1] > 1]
        if not gaps:
            return 0
        rank = gaps[-1]
        if 2 * rank < len(seen):
            return 0
        above, place = seen[rank - 1 : rank + 1]
        if len(gaps) > _FEW_GAPS * len(seen):
            sure = place - above > _PAGE_GAP and rank < len(seen) - 1
        else:
            sure = self._is_unfinished()
        return rank if sure and (self.bare[place][0].islower() or not _is_end(self.lines[above])) else 0

    def _in_smaller_type(self, seen: list[int]) -> int:
        """The rank of the first line from which on all, but for the last, have more characters than any above; or 0."""
        widths = [len(self.bare[index]) for index in seen]
        widest = [*accumulate(widths, max)]
        least = sys.maxsize
        for rank in range(len(seen) - 2, len(seen) // 4, -1):
            least = min(least, widths[rank])
            if least >= widest[rank - 1] + _SMALLER and not _is_end(self.lines[seen[rank - 1]]):
                return rank if widest[-1] <= _SMALLEST * widest[rank - 1] else 0
        return 0

    def _below(self, end: int) -> str:
        """The first line of text behind the end of a page."""
        lines = self.lines[end : end + _MOST_LINES]
        return next((bare for line in lines if line[:1] != PAGE_BREAK and (bare := line.strip())), "")

    def _is_rule_of_notes(self, place: int) -> bool:
        """Whether footnotes began below such a drawn line before."""
        return visible(self.lines[place]).strip() in self.rules

    def last(self, first: int, end: int) -> int:
        """The line behind the footnotes. After a page without a number, double-spaced text is on the next one."""
        spaced = tight = 0
        above = first
        for index in range(first, end):
            if not self.bare[index]:
                continue
            gap = index - above - 1
            tight += not gap
            wide = gap >= _PAGE_GAP or (gap and tight > 1 and not spaced and self._has_empty(index))
            if wide and index not in self.labels and _is_end(self.lines[above]):
                found, spaced = index, 1
            elif gap and spaced:
                spaced += 1
                if spaced == _SPACED_LINES:
                    return found
            else:
                spaced = 0
            above = index
        return end

    def _is_unfinished(self) -> bool:
        """Whether the last footnote ended in the middle of a sentence, so that it goes on at the next page's foot."""
        return bool(self.notes) and not _is_end(self.notes[-1][1][-1])

    def _is_in_columns(self, index: int, end: int) -> bool:
        """Whether other columns stand beside the footnotes, whose lines would be taken with them."""
        places = [place for place in range(index, min(end, index + _MOST_LINES)) if self.bare[place]]
        wide = [self.bare[place] for place in places if "    " in self.lines[place].strip()]
        return sum("    " in _LABEL.sub("", line, count=1) for line in wide) > _MAX_WIDE * len(places)

    def _above(self, index: int, start: int) -> int:
        index -= 1
        while index >= start and not self.bare[index]:
            index -= 1
        return index

    def _follows(self, label: str, *, cited: bool) -> bool:
        """Whether a label is the next one, or one was missed, or each page begins anew."""
        if not label.isdigit():
            return True
        if not self.most:
            return cited or int(label) <= _MAX_STEP
        return label == "1" or 0 < int(label) - self.latest <= _MAX_STEP or 0 < int(label) - self.most <= _MAX_STEP

    def _is_of_note(self, label: str, start: int, index: int, above: int, rule: int, end: int) -> bool:
        line = visible(self.lines[index])
        if len(line) - len(line.lstrip()) - self.margin >= _MAX_NOTE_INDENT:
            return False
        ruled = start <= rule and (rule == above or self._is_unfinished())
        if end == len(self.lines) and not ruled:
            return False
        if not self._follows(label, cited=True):
            return False
        cited = self._is_cited(label, start, index)
        return self._follows(label, cited=cited) and (cited or ruled or self._interrupts(index, above, end))

    def _is_cited(self, label: str, start: int, index: int) -> bool:
        """Whether the text of the page has the label as a raised number, close to a word or behind a sentence."""
        return bool(_raised(label).search("\n".join(self.lines[max(start, index - _MOST_LINES) : index])))

    def _interrupts(self, index: int, above: int, end: int) -> bool:
        """Whether the sentence above goes on behind the end of the page."""
        alone = _LABEL.fullmatch(self.bare[index])
        if above < 0 or (above == index - 1 and not alone) or _is_end(self.lines[above]):
            return False
        next_one = self.labels[index] == str(self.latest + 1) and index - above > _PAGE_GAP
        return bool(alone and next_one) or self._below(end)[:1].islower()

    def take(self, first: int, end: int, marks: Marks) -> list[str]:
        """Read the footnotes in the lines from `first` to `end`. Return what is left of them: marks."""
        left: list[str] = []
        for index in range(first, end):
            line = self.lines[index]
            bare = self.bare[index]
            if not bare:
                left.append(line)
            elif _RULE.fullmatch(bare):
                left.append(marks.mark("rule", bare))
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
        previous = self.notes[-1][0]
        return not (label.isdigit() and previous.isdigit()) or int(label) == int(previous) + 1

    def _begin(self, label: str, line: str) -> None:
        self.notes.append((label, [line]))
        if label.isdigit():
            self.latest = int(label)
            self.most = max(self.most, self.latest)

    def _add(self, line: str) -> None:
        """Add a line to the last footnote, beside a label that stands on a line of its own."""
        note = self.notes[-1][1]
        if len(note) == 1 and _LABEL.fullmatch(visible(note[0])):
            note[0] = f"{note[0].rstrip()} {line.strip()}"
        else:
            note.append(line)
