"""Plain text: hard-wrapped lines of a printed page -> a stream of paragraphs.

Belongs here: which lines are one paragraph, which words were cut at a line's end. Does not belong here: what is
page furniture (`furniture.py`), footnotes (`notes.py`), columns (`columns.py`), markup (`markup.py`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from courtlistener_assets.text.columns import in_reading_order
from courtlistener_assets.text.furniture import PAGE_BREAK, WATERMARK, without_furniture, without_line_numbers
from courtlistener_assets.text.marks import MARK_TOKEN, Marks, visible
from courtlistener_assets.text.notes import without_footnotes

_ENDS = (".", "?", "!", ":", ";")
#: What may follow them at the end of a sentence.
_AFTER_END = "\"'”\u2019)]*0123456789"
_LIST_ITEM = re.compile(
    r"(?:\(?(?:\d{1,3}|[A-Za-z]|[ivxIVX]{1,5})[.)]|[•▪◦‣●\-\u2013—*]|¶+)\s+\S|\(\w{1,4}\)\S|§+\s*[\w.\-]+\.\s+[A-Z]"
)
#: The end of a line that an abbreviation may go over: 7 U. S. / C. § 1991.
_INITIAL = re.compile(
    r"\b(?:[A-Z]|Fed|App|Civ|Crim|Cir|Supp|Nos?|vs?|Mrs?|Ms|Dr|Jr|Sr|Dep|Gov|Sen|Rep|Stat|Const|Dist)\.$"
)
_WORD = re.compile(r"[^\W\d_]+(?:[-'\u2019][^\W\d_]+)*")
_CUT = re.compile(r"([^\W\d_]+)([-\u2010])$")
#: From the hyphen on, a rare character that is found fast.
_CUT_END = re.compile(r"[-\u2010][ \t]*\n\s*[^\W\d_]+")
_HYPHENS = "-\u2010"
_NEXT_WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
#: Before these a hyphen at a line's end is nearly always the author's.
_COMPOUND_HEADS = frozenset(["self", "cross", "ex", "quasi", "non", "all", "half", "well", "so", "vice"])
#: Words that make longer words without a hyphen.
# fmt: off
_PREFIXES = frozenset({
    "after", "back", "counter", "every", "fore", "here", "inter", "land", "law", "over", "some", "super", "their",
    "them", "there", "under", "where", "with", "work",
})
# fmt: on
#: Pages without text, which a document may have by the million.
_EMPTY_PAGES = re.compile(r"\f\s*\f")
_LEADING_MARKS = re.compile(rf"\s*(?:{MARK_TOKEN.pattern})+")
_TAIL = 40
_MIN_WIDTH = 40
#: From so many blank lines on, the space between two lines can be the edge of a page.
_PAGE_GAP_LINES = 3
_MIN_RUN = 5


class _Line(NamedTuple):
    text: str
    indent: int
    blanks_before: int
    page_break_before: bool
    marks_before: str


def unwrap(text: str, marks: Marks) -> str:
    """Turn text (repaired by `repair`) into a stream for `settle`: paragraphs parted by blank lines, notes at the end.

    White space aside, every character of `text` is in the stream or in a mark. Columns are read left before right, and
    footnotes at the foot of a page follow the text that they interrupted; otherwise the order stays.
    """
    text = _EMPTY_PAGES.sub("\f", text).expandtabs(8)
    lines = text.replace("\f", f"\n{PAGE_BREAK}\n").split("\n")
    lines = without_line_numbers(lines, marks)
    lines = without_furniture(lines, marks)
    lines = in_reading_order(lines, marks)
    words = _vocabulary(lines)
    body, notes = without_footnotes(lines, marks)
    paragraphs = _paragraphs(body, words, marks)
    for label, note in notes:
        paragraphs.append(marks.footnote(label, "\n\n".join(_paragraphs(note, words, marks))))
    return "\n\n".join(paragraphs)


def _vocabulary(lines: list[str]) -> Counter[str]:
    """How often each word occurs uncut: decides whether a word cut at a line's end has a hyphen of its own."""
    text = "\n".join(line for line in lines if not line.startswith(PAGE_BREAK))
    uncut, place = [], 0
    for cut in _CUT_END.finditer(text):
        start = cut.start()
        while start > place and _is_letter(text[start - 1]):
            start -= 1
        if start < cut.start():
            uncut.append(text[place:start])
            place = cut.end()
    uncut.append(text[place:])
    words: Counter[str] = Counter()
    if place:
        for part, times in Counter(" ".join(uncut).lower().split()).items():
            for word in _WORD.findall(part):
                words[word] += times
    return words


def _is_letter(character: str) -> bool:
    return character.isalnum() and not character.isdecimal()


def _is_abbreviated(line: str) -> bool:
    return line.endswith(".") and bool(_INITIAL.search(line[-_TAIL:]))


def _ends(line: str) -> bool:
    """Whether a line can be the end of a sentence. Looks at its last characters only, however long it is."""
    return line[-_TAIL:].rstrip(_AFTER_END).endswith(_ENDS)


# --- paragraphs ------------------------------------------------------------------------------------------------------


def _paragraphs(raw: list[str], words: Counter[str], marks: Marks) -> list[str]:
    lines = _lines(raw)
    trailing = lines.pop().marks_before if lines and not lines[-1].text else ""
    layout = _Layout(lines) if lines else None
    parts: list[str] = []
    for index, line in enumerate(lines):
        separator = layout.separator(index) if layout and index else ""
        if separator == " ":
            separator = _mend(parts, line, words, marks)
        parts += (separator, line.marks_before, line.text)
    text = "".join(parts) + trailing
    return text.split("\n\n") if text else []


def _lines(raw: list[str]) -> list[_Line]:
    """The lines that have text, each with what stood between it and the one before; a last empty one keeps marks."""
    result: list[_Line] = []
    blanks, page_break, held = 0, False, ""
    for line in raw:
        if line.startswith(PAGE_BREAK):
            page_break, held = True, held + line[1:].removeprefix(WATERMARK)
            continue
        seen = visible(line)
        if not seen.strip():
            blanks += 1
            held += line.strip()
            continue
        if seen is not line and (leading := _LEADING_MARKS.match(line)):
            held, line = held + leading.group().strip(), line[leading.end() :]
        bare = line.strip()
        cells = re.split(r" {4,}", bare) if "    " in bare else [bare]
        text = "\t".join(" ".join(cell.split()) for cell in cells)
        result.append(_Line(text, len(line) - len(line.lstrip()), blanks, page_break, held))
        blanks, page_break, held = 0, False, ""
    if held:
        result.append(_Line("", 0, blanks, page_break, held))
    return result


class _Layout:
    """What the shape of a page says about its lines: which begin a paragraph, which are centred, which are rows."""

    def __init__(self, lines: list[_Line]) -> None:
        self.lines = lines
        full = [line for line in lines if len(line.text) >= _MIN_WIDTH] or lines
        ends = sorted(line.indent + len(line.text) for line in full)
        self.right = ends[len(ends) * 9 // 10]
        self.margin = Counter(line.indent for line in full).most_common(1)[0][0]
        gaps = Counter(line.blanks_before for line in lines[1:] if not line.page_break_before)
        most = gaps.most_common(1)[0][0] if gaps else 0
        #: Blank lines between two lines of one paragraph: 1 in double-spaced documents.
        self.spacing = most if most and gaps[most] > 0.6 * len(lines) else 0
        #: By line: the length of its run (lines without a larger gap), the right margin of the run or of the page.
        self.runs: list[int] = []
        self.rights: list[int] = []
        for run in self._runs_of_lines():
            ends = sorted(line.indent + len(line.text) for line in run)
            self.runs += [len(run)] * len(run)
            self.rights += [ends[len(ends) * 8 // 10] if len(run) >= _MIN_RUN else self.right] * len(run)

    def _runs_of_lines(self) -> Iterator[list[_Line]]:
        run: list[_Line] = []
        for line in self.lines:
            if run and line.blanks_before > self.spacing and not line.page_break_before:
                yield run
                run = []
            run.append(line)
        yield run

    def separator(self, index: int) -> str:
        """What separates line `index - 1` and line `index`: a space, a line break or a paragraph break."""
        before, line = self.lines[index - 1], self.lines[index]
        gap = 0 if line.page_break_before else max(0, line.blanks_before - self.spacing)
        if self._is_row(before) or self._is_row(line):
            return "\n" if self._is_row(before) and self._is_row(line) and not gap else "\n\n"
        if self._is_cut(before.text, line.text):
            return " "
        if gap or (line.page_break_before and self._runs_on(index)):
            return "\n\n" if not self._runs_on(index) else " "
        if self._is_centred(before) or self._is_centred(line):
            same = self._is_centred(before) and self._is_centred(line) and not _ends(before.text)
            return "\n" if same else "\n\n"
        if self._begins_paragraph(index):
            return "\n\n"
        listed = self.runs[index] < _MIN_RUN and self._is_short(index - 1) and not line.text[0].islower()
        return "\n" if listed else " "

    def _begins_paragraph(self, index: int) -> bool:
        before, line = self.lines[index - 1], self.lines[index]
        if _is_abbreviated(before.text) and line.indent < before.indent + 2:
            return False
        if not _ends(before.text):
            return line.indent >= before.indent + 2 and self._is_short(index - 1) and not line.text[0].islower()
        if line.indent >= before.indent + 2 or self._is_short(index - 1):
            return True
        if _LIST_ITEM.match(line.text):
            return True
        opens = index < 2 or self.separator_before_is_break(index)
        return line.indent <= before.indent - 1 and not opens

    def separator_before_is_break(self, index: int) -> bool:
        """Whether the line before `index` is itself the indented first line of its paragraph."""
        first, second = self.lines[index - 2], self.lines[index - 1]
        return second.indent > first.indent or second.blanks_before > self.spacing

    def _is_short(self, index: int) -> bool:
        """Whether a line ends well before the right margin of its page, or of its column."""
        line = self.lines[index]
        return line.indent + len(line.text) < self.margin + 0.75 * (self.rights[index] - self.margin)

    def _is_row(self, line: _Line) -> bool:
        return "\t" in line.text

    def _is_centred(self, line: _Line) -> bool:
        width = self.right - self.margin
        left, right = line.indent - self.margin, self.right - line.indent - len(line.text)
        return left >= 8 and right >= 4 and len(line.text) <= 0.7 * width and abs(left - right) <= 0.4 * width

    def _is_cut(self, before: str, after: str) -> bool:
        return before[-1] in _HYPHENS and after[0].islower() and bool(_CUT.search(before[-_TAIL:]))

    def _runs_on(self, index: int) -> bool:
        """Whether a sentence that has not ended crosses blank lines or the edge of a page."""
        before, line = self.lines[index - 1], self.lines[index]
        if self._is_centred(before) or self._is_centred(line):
            return False
        if _is_abbreviated(before.text) and not self._is_short(index - 1):
            return True
        if _ends(before.text):
            return False
        if line.text[0].islower() or before.text[-1] in ",-\u2013—":
            return True
        edge = line.page_break_before or line.blanks_before >= self.spacing + _PAGE_GAP_LINES
        return edge and not self._is_short(index - 1) and not before.text.isupper()


def _mend(parts: list[str], line: _Line, words: Counter[str], marks: Marks) -> str:
    """Undo the hyphen that cuts a word at the end of `parts` if it is the printer's; return what goes before `line`."""
    last = parts[-1][-1:]
    cut = _CUT.search(parts[-1][-_TAIL:]) if last and last in _HYPHENS else None
    following = _NEXT_WORD.match(line.text) if cut else None
    if not cut or not following:
        return "" if last in "—\u2013" or (last == "-" and line.text[:1].isalnum()) else " "
    if not _keeps_hyphen(cut[1], following.group(), words):
        parts[-1] = parts[-1][: -len(cut[2])] + marks.mark("hyphen", cut[2])
    return ""


def _keeps_hyphen(left: str, right: str, words: Counter[str]) -> bool:
    """`attorney-` + `client` keeps it if the document writes attorney-client; `appro-` + `priation` does not."""
    if right[0].isupper() and not (left.isupper() and right.isupper()):
        return True
    left, right = left.lower(), right.lower()
    if left + right in words:
        return False
    if f"{left}-{right}" in words or left in _COMPOUND_HEADS or ("-" in right and left in words):
        return True
    common = min(words[left], words[right]) >= 2 and min(len(left), len(right)) >= 4
    return common and left not in _PREFIXES
