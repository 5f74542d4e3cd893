"""Footnotes of plain text: the lines at the foot of a page -> out of the sentence that they interrupt.

Belongs here: where a page's footnotes begin and end. Does not belong here: what is page furniture
(`furniture.py`), how lines make paragraphs (`plain.py`).
"""

from __future__ import annotations

import re

from courtlistener_assets.text.furniture import PAGE_BREAK, WATERMARK
from courtlistener_assets.text.marks import MARK_TOKEN, Marks

_RULE = re.compile(r"[\s_\-—=*~.]{5,}")
_FOOTNOTE = re.compile(r"\s*[\[(]?(\d{1,3}|[*†‡]{1,3})[\])]?\.?\s+\S")
_NUMBER = re.compile(r"\s{0,20}(\d{1,3})\s*")
_MAX_NOTE_INDENT = 12
_MIN_WIDTH = 40


def without_footnotes(lines: list[str], marks: Marks) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """Take out the footnotes at the foot of each page: after a drawn rule, or under a line with only their number."""
    body: list[str] = []
    notes: list[tuple[str, list[str]]] = []
    in_notes = False
    last_break = max((index for index, line in enumerate(lines) if line.startswith(PAGE_BREAK)), default=-1)
    margin = min((len(line) - len(line.lstrip()) for line in lines if len(line.strip()) >= _MIN_WIDTH), default=0)
    for index, line in enumerate(lines):
        if line.startswith(PAGE_BREAK):
            in_notes = in_notes and line.startswith(PAGE_BREAK + WATERMARK)
        elif line.strip() and _RULE.fullmatch(line) and _begins_notes(lines, index):
            in_notes = True
            line = marks.mark("rule", line.strip())
        label = _FOOTNOTE.match(line) if in_notes else None
        number = _NUMBER.fullmatch(line) if index < last_break else None
        if number and _is_note_number(lines, index, margin) and _follows(number[1], notes, restart=True):
            in_notes = True
            notes.append((number[1], [line.rstrip() + " " + lines[index + 1].strip()]))
            lines[index + 1] = ""
        elif label and _follows(label[1], notes):
            notes.append((label[1], [line]))
        elif in_notes and notes and not line.startswith(PAGE_BREAK) and not MARK_TOKEN.match(line):
            notes[-1][1].append(line)
        else:
            body.append(line)
    return body, notes


def _is_note_number(lines: list[str], index: int, margin: int) -> bool:
    """Whether a line with only a number stands near the margin (a section's number is centered) above some text."""
    indent = len(lines[index]) - len(lines[index].lstrip())
    following = lines[index + 1].strip() if index + 1 < len(lines) else ""
    return indent - margin < _MAX_NOTE_INDENT and len(following) >= _MIN_WIDTH // 2


def _follows(label: str, notes: list[tuple[str, list[str]]], *, restart: bool = False) -> bool:
    """Whether a label is the next one (or one was missed); otherwise it is a number in a line, as of a citation."""
    previous = notes[-1][0] if notes else "0" if restart else ""
    if not (label.isdigit() and previous.isdigit()):
        return not restart
    return 0 < int(label) - int(previous) <= (3 if restart else 1) or (restart and label == "1")


def _begins_notes(lines: list[str], rule: int) -> bool:
    following = next((line for line in lines[rule + 1 :] if line.strip()), "")
    return bool(_FOOTNOTE.match(following)) and any(line.startswith(PAGE_BREAK) for line in lines)
