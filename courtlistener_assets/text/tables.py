"""Tables of plain text: which lines are rows, and where their cells part.

Belongs here: telling rows, whose cells align over several lines, from justified lines, whose spaces fall anywhere; dot
leaders. Does not belong here: columns of prose (`columns.py`), paragraphs (`layout.py`).
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from courtlistener_assets.text.layout_scans import in_order, spaces_inside, with_dots
from courtlistener_assets.text.lines import Lines
from courtlistener_assets.text.marks import Marks, visible
from courtlistener_assets.text.wording import is_linking

_GAP: Final = re.compile(r"   (?<=\S   ) *(?=\S)")
_ONE_SPACE: Final = re.compile(r"[^ ] [^ ]")
_LEADER: Final = re.compile(r"\s*((?:\.[ \t]?){5,})\s*(?=((?:[\divxlcIVXLC]{1,6}(?:[,\-\u2013 ]+|$))+|passim)?$)")
_STOP: Final = re.compile(r"[.?!][\"'\u201d\u2019)\]]*[\d*]{0,3}$")
_SENTENCE_END: Final = re.compile(r"[.?!:;,][\"'\u201d\u2019)\]]*[\d*]{0,3}$")
#: What stands before an item of a list; the space behind it parts no cells.
_LABEL: Final = re.compile(
    r"[(\[]?(?:\d{1,3}(?:\.\d{1,2})*|[A-Za-z]|[ivxIVX]{1,5})[.,:)\]]{1,2}|[•▪◦‣●\-\u2013—*¶§]|\(?\d{1,3}\)?"
)
#: Lines apart at which two rows can still be neighbours.
_MAX_BLANKS: Final = 2
_MIN_ROWS: Final = 3
_LONE_GAP: Final = 8
_WIDEST_IN_SENTENCE: Final = 20
_MIN_ENTRY: Final = 30
_MIN_STRETCHED: Final = 5
_MIN_SENTENCE: Final = 3
_SPOKEN: Final = 2
_SPEAKERS: Final = ("Q", "A", "Q.", "A.")
_JITTER: Final = 1
_SHORT_CELL: Final = 16
#: What is a cell only in a table.
_SMALL_WORD: Final = re.compile(r"[a-z]{1,3}")


class Row(NamedTuple):
    """Where the cells of a line after the first begin, and where the short ones end."""

    starts: list[int]
    ends: list[int]


class Rows(NamedTuple):
    """The lines that are rows, and those among them that go on with the row of the line before."""

    lines: set[int]
    continued: set[int]


def set_rows(lines: Lines, runs_on: list[bool], marks: Marks) -> Rows:
    """Write the rows of tables with a tab between cells into `lines.texts`; return which lines they are.

    `runs_on[i]` says whether a sentence surely goes on from line i - 1 to line i, as it hardly ever does between rows.
    """
    rows = Rows(set(), set())
    _set_leaders(lines, rows, marks)
    below = [*runs_on[1:], False]
    gaps = {
        index: found
        for index, line in lines.wide.items()
        if not (runs_on[index] and below[index]) and index not in rows.lines and (found := _gaps(line))
    }
    wrapped = _wrapped(gaps, lines)
    for group in _groups(lines, gaps, runs_on, wrapped):
        _set_table(group, gaps, wrapped, lines, rows)
    for index, found in gaps.items():
        if index not in rows.lines and index not in wrapped and _is_lone_row(index, found, lines, runs_on):
            _set_table([index], gaps, wrapped, lines, rows)
    return rows


def _set_table(
    group: list[int], gaps: dict[int, list[tuple[int, int]]], wrapped: dict[int, int], lines: Lines, rows: Rows
) -> None:
    cells = [_cells(lines.wide[index], gaps[index]) for index in group]
    tab = " " if 2 * sum(map(_is_spoken, cells)) >= len(cells) else "\t"
    for index, row in zip(group, cells, strict=True):
        lines.texts[index] = tab.join(row)
        rows.lines.add(index)
        below = index + 1
        while wrapped.get(below) == index:
            rows.continued.add(below)
            rows.lines.add(below)
            below += 1
        if below + 1 in gaps and below + 1 in group and below not in rows.lines and not lines.blanks[below]:
            rows.lines.add(below)


def _set_leaders(lines: Lines, rows: Rows, marks: Marks) -> None:
    """Make one row of each entry of a table of contents or authorities, whose dots lead to the number of its page."""
    for index in with_dots(lines.texts):
        text = lines.texts[index]
        leader = _LEADER.search(text)
        if not leader or not leader.start():
            continue
        mark = marks.mark("rule", "".join(leader[1].split()))
        lines.texts[index] = text[: leader.start()] + mark + "\t" + text[leader.end() :]
        rows.lines.add(index)
        while _is_first_half(index - 1, lines, rows):
            rows.continued.add(index)
            index -= 1
            rows.lines.add(index)


def _is_first_half(index: int, lines: Lines, rows: Rows) -> bool:
    """Whether an entry that is too long for its line begins in line `index`."""
    if index < 0 or index in rows.lines or lines.blanks[index + 1] or lines.edges[index + 1]:
        return False
    if index in lines.wide and _gaps(lines.wide[index]):
        return False
    text = lines.texts[index]
    return lines.indents[index + 1] >= lines.indents[index] and (
        text[-1] == "," or (len(text) >= _MIN_ENTRY and not _SENTENCE_END.search(text))
    )


def _wrapped(gaps: dict[int, list[tuple[int, int]]], lines: Lines) -> dict[int, int]:
    """The second lines of cells, which begin where the last cell of a row above begins, and the line of that row."""
    wrapped: dict[int, int] = {}
    for index, found in gaps.items():
        below = index + 1
        if index in wrapped:
            continue
        while (
            below < len(lines)
            and abs(lines.indents[below] - found[-1][1]) <= _JITTER
            and not lines.blanks[below]
            and not lines.edges[below]
        ):
            wrapped[below] = index
            below += 1
    return wrapped


def _gaps(line: str) -> list[tuple[int, int]]:
    """Start and end of the spaces in a line that stand out from those a printer puts between words."""
    line = visible(line)
    sizes, wide = spaces_inside(line)
    if not wide:
        return []
    usual = in_order(sizes)[len(sizes) // 2]
    if usual > 1 and (2 * len(wide) < len(sizes) or len(sizes) > 5):
        wide = [(start, end) for start, end in wide if end - start >= 2 * usual + 3]
    wide = [gap for gap in wide if not _is_between_sentences(line, *gap)]
    first = line[: wide[0][0]].strip() if wide else ""
    return wide[1:] if len(wide) == 1 and len(first) < 6 and _LABEL.fullmatch(first) else wide


def _is_between_sentences(line: str, start: int, end: int) -> bool:
    """Whether a gap follows the end of a sentence and stands before the beginning of the next."""
    after = line[end]
    return (after.isupper() or after in '"\u201c[(') and bool(_STOP.search(line[max(0, start - 8) : start]))


def _groups(
    lines: Lines, gaps: dict[int, list[tuple[int, int]]], runs_on: list[bool], wrapped: dict[int, int]
) -> list[list[int]]:
    """Runs of neighbouring lines in which the cells of each begin or end where those of the one above do."""
    groups: list[list[int]] = []
    for index in gaps:
        if index in wrapped:
            continue
        last = groups[-1][-1] if groups else -9
        near = index - last <= 2 or wrapped.get(index - 1) == last
        near = near and lines.blanks[index] <= _MAX_BLANKS and not lines.edges[index]
        if near and _aligned(_row(gaps[last], lines.ends[last]), _row(gaps[index], lines.ends[index])):
            groups[-1].append(index)
        else:
            groups.append([index])
    return [
        group
        for group in groups
        if len(group) >= _MIN_ROWS and 3 * sum(runs_on[index] for index in group[1:]) < len(group)
    ]


def _aligned(above: Row, below: Row) -> bool:
    """Whether two rows have cells that begin, or short cells such as sums that end, in the same column."""
    starts, ends = above.starts, above.ends
    return any(abs(start - other) <= _JITTER for start in below.starts for other in starts) or any(
        abs(end - other) <= _JITTER for end in below.ends for other in ends
    )


def _row(gaps: list[tuple[int, int]], end: int) -> Row:
    ends = [*(start for start, _ in gaps[1:]), end]
    starts = [start for _, start in gaps]
    return Row(starts, [end for start, end in zip(starts, ends, strict=True) if end - start <= _SHORT_CELL])


def _is_lone_row(index: int, gaps: list[tuple[int, int]], lines: Lines, runs_on: list[bool]) -> bool:
    """Whether a line by itself is two things side by side, such as a date to the left and one to the right."""
    if runs_on[index] or (index + 1 < len(runs_on) and runs_on[index + 1]) or is_linking(lines.texts[index]):
        return False
    line = lines.wide[index]
    if any(_SMALL_WORD.fullmatch(cell) for cell in _cells(line, gaps)):
        return False
    return not _is_stretched(line.split(), line) and any(
        end - start >= _WIDEST_IN_SENTENCE
        or (end - start >= _LONE_GAP and not _SENTENCE_END.search(line[max(0, start - 8) : start]))
        for start, end in gaps
    )


def _is_stretched(words: list[str], line: str) -> bool:
    """Whether wide spaces stand between all the words of a line, and so between none of its cells."""
    if len(words) < _MIN_STRETCHED or _ONE_SPACE.search(line.strip()):
        return False
    return 2 * sum(word[0].isalpha() for word in words) > len(words)


def _cells(line: str, gaps: list[tuple[int, int]]) -> list[str]:
    if visible(line) is not line:
        return [" ".join(cell.split()) for cell in _GAP.split(line.strip())]
    edges = [0, *(place for gap in gaps for place in gap), len(line)]
    return [" ".join(line[start:end].split()) for start, end in zip(edges[::2], edges[1::2], strict=True)]


def _is_spoken(cells: list[str]) -> bool:
    """Whether a row is a name or a number with what it says, as in a testimony, and not two cells."""
    if len(cells) != _SPOKEN:
        return False
    name, said = cells
    return name[-1:] == ":" or name in _SPEAKERS or sum(word[0].islower() for word in said.split()) >= _MIN_SENTENCE
