"""Footnotes of markup that no element marks: paragraphs that begin with a note's number -> footnotes.

Belongs here: which paragraphs are notes, by their heading, their number and the number's mark in the text. Does not
belong here: elements that are footnotes (`markup.py`), notes at the foot of a printed page (`notes.py`).

The notes stay where they stand.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from courtlistener_assets.text.marks import MARK, MARK_END, MARK_TOKEN, Marks, visible
from courtlistener_assets.text.scans import mark_at, marks_in

_NOTE_TEXT: Final = re.compile(
    r"[\[(]?(?:fn\.?|n\.?|(?:foot|end)?notes?)?\s*[-#]?\s*(\d{1,3}|[a-z]|[*†‡§¶]{1,3})[\])]?[.:]?", re.IGNORECASE
)
_HEADING: Final = re.compile(r"[-_*\s]*(?:foot|end)?notes?(?: to (?:the )?opinions?)?\s*[:.]?[-_*\s]*", re.IGNORECASE)
_WRITTEN: Final = re.compile(
    r"(\[(?:fn|n\.?)?\s?(?:\d{1,3}|[a-z]|[*†‡§¶]{1,3})[.]?\][.:]?|\(?\d{1,3}[.)]"
    r"|\(?fn\.?\s?(?:\d{1,3}|[*†‡]{1,3})\)?[.:]?|(?:foot|end)?note \d{1,3}[.:]|[*†‡]{1,3})\s*(?=\S)",
    re.IGNORECASE,
)
_FIRST_OF_LABEL: Final = frozenset(MARK + "[(*†‡0123456789fFeEnN")
#: Of `fn. 1`, `Footnote 1.`, `Endnote 1.`, `Note 1.`
_BEGINNINGS: Final = ("fn", "fo", "en", "no")
_END_OF_LABEL: Final = re.compile(r"\s*([.):\]]?)\s*")
#: Who writes next: `LIPEZ, Circuit Judge, dissenting.`
_NEXT_OPINION: Final = re.compile(
    r"[A-Z][A-Z.'\u2019 -]+,[\w ,.]{0,60}(?:J\.|JJ\.|Judges?|Justices?)[\w ,]{0,60}[.:]?(?:\s|$)"
)
_SIGN: Final = re.compile(r"[*†‡]{1,3}|\[(?:\d{1,3}|[*†‡]{1,3})\]")
_MAX_HEADING: Final = 30
_MAX_PARTS: Final = 8
_STEP: Final = 3


class _Label:
    """The number at the beginning of a block: where it stands, its text, the index of its mark or -1."""

    def __init__(self, start: int, end: int, text: str, mark: int) -> None:
        self.start = start
        self.end = end
        self.text = text
        self.mark = mark


def note_number(text: str) -> str | None:
    """The number, letter or sign of a note, if a text is nothing else than that."""
    return _known_number(text) if len(text) <= _MAX_HEADING else _read_number(text)


def _read_number(text: str) -> str | None:
    match = _NOTE_TEXT.fullmatch(text)
    return match[1] if match else None


#: The same for short texts: they are few and alike.
_known_number = lru_cache(maxsize=1_024)(_read_number)


def with_footnotes(blocks: list[str], marks: Marks) -> list[str]:
    """Enclose the blocks that are notes as footnotes, and move their numbers and heading to marks."""
    heads = {index for index, block in enumerate(blocks) if _is_heading(block) or _is_rule(block, marks)}
    if not heads and not any(kind == "footnote_mark" for kind, _ in marks.found):
        return blocks
    labels = {index: label for index, block in enumerate(blocks) if (label := _label(block, marks))}
    seen = _first_marks(blocks, labels, marks)
    if heads:
        _mark_signs(blocks, labels, seen, marks)
    result: list[str] = []
    index = 0
    while index < len(blocks):
        own = labels.get(index)
        if index in heads and (end := _end_of_section(blocks, index + 1, labels, seen)) > index + 1:
            result.append(_head(blocks[index], marks))
            index += 1
            while index < end:
                index = _add_note(blocks, index, end, labels, marks, result)
        elif own and own.mark >= 0 and seen.get(_number(own.text), index) < index:
            index = _add_note(blocks, index, _end_of_note(index, labels, seen), labels, marks, result)
        else:
            result.append(blocks[index])
            index += 1
    return result


def _head(block: str, marks: Marks) -> str:
    """The marks of a heading, and the heading as one."""
    bare = visible(block).strip()
    return "".join(MARK_TOKEN.findall(block)) + (marks.mark("boilerplate", bare) if bare else "")


def _mark_signs(blocks: list[str], labels: dict[int, _Label], seen: dict[str, int], marks: Marks) -> None:
    """Make marks of the notes' signs in the text where no element did: `the judge* sat`, `the judge[1] sat`."""
    written = {label.text.strip(".:") for label in labels.values() if label.mark < 0}
    signs = sorted(sign for sign in written if _SIGN.fullmatch(sign))
    for sign in signs:
        if _number(sign) in seen:
            continue
        pattern = re.compile(rf"(?<=[^\s(\[*†‡]){re.escape(sign)}(?![\w*†‡])")
        for index, block in enumerate(blocks):
            if sign in block and (found := pattern.search(block)):
                blocks[index] = block[: found.start()] + marks.mark("footnote_mark", sign) + block[found.end() :]
                seen[_number(sign)] = index
                break


def _is_rule(block: str, marks: Marks) -> bool:
    mark = mark_at(block, 0) if block[0] == MARK and block.find(MARK_END) == len(block) - 1 else -1
    return mark >= 0 and marks.found[mark][0] == "rule"


def _is_heading(block: str) -> bool:
    if len(block) > _MAX_HEADING:
        return False
    text = visible(block).lower()
    return "note" in text and bool(_HEADING.fullmatch(text))


def _label(block: str, marks: Marks) -> _Label | None:
    """The note's number that a block begins with, after marks of other kinds."""
    if block[0] not in _FIRST_OF_LABEL:
        return None
    position = 0
    while (mark := mark_at(block, position)) >= 0:
        kind, text = marks.found[mark]
        behind = block.find(MARK_END, position) + 1
        if kind in ("footnote_mark", "footnote_label"):
            end = _END_OF_LABEL.match(block, behind)
            return _Label(position, end.end() if end else behind, text, mark)
        position = behind
        while block[position : position + 1] == " ":
            position += 1
    sign = block[position : position + 1]
    if sign.isalnum() and not sign.isdigit() and block[position : position + 2].lower() not in _BEGINNINGS:
        return None
    written = _WRITTEN.match(block, position)
    return _Label(position, written.end(), written[1], -1) if written else None


def _number(text: str) -> str:
    return note_number(text) or text


def _first_marks(blocks: list[str], labels: dict[int, _Label], marks: Marks) -> dict[str, int]:
    """By note number: the block in which its mark in the text stands first."""
    first: dict[str, int] = {}
    for index, block in enumerate(blocks):
        if MARK not in block:
            continue
        own = labels[index].mark if index in labels else -1
        for mark in marks_in(block):
            kind, text = marks.found[mark]
            if mark != own and kind == "footnote_mark":
                first.setdefault(_number(text), index)
    return first


def _end_of_section(blocks: list[str], first: int, labels: dict[int, _Label], seen: dict[str, int]) -> int:
    """The index behind the notes under a heading or a rule; `first` if there are none."""
    if first not in labels:
        return first
    number = _number(labels[first].text)
    headed = _is_heading(blocks[first - 1]) and (number.lower() in ("1", "a") or not number.isalnum())
    if not headed and not seen.get(number, first) < first:
        return first
    for index in range(first, len(blocks)):
        bare = visible(blocks[index])
        if (not bare and index > first) or _is_heading(blocks[index]) or _NEXT_OPINION.match(bare):
            return index
    return len(blocks)


def _end_of_note(index: int, labels: dict[int, _Label], seen: dict[str, int]) -> int:
    """The index behind a note without a heading: its paragraphs end at the next note, if that is an endnote too."""
    for following in range(index + 1, index + 1 + _MAX_PARTS):
        label = labels.get(following)
        if label and label.mark >= 0:
            return following if seen.get(_number(label.text), index) < index else index + 1
    return index + 1


def _add_note(
    blocks: list[str], index: int, end: int, labels: dict[int, _Label], marks: Marks, result: list[str]
) -> int:
    """Append the note that begins at `index` and its further paragraphs; return the index behind it."""
    label = labels[index]
    last = index + 1
    while last < end and not _follows(labels.get(last), label):
        last += 1
    block = blocks[index]
    text = block[label.start : label.end].strip()
    if label.mark >= 0:
        token = MARK_TOKEN.match(block, label.start)
        rest = text[len(token.group()) :].strip() if token else ""
        marks.found[label.mark] = ("footnote_label", label.text + rest)
        text = token.group() if token else ""
    else:
        text = marks.mark("footnote_label", text)
    first = f"{block[: label.start]}{text} {block[label.end :]}"
    result.append(marks.footnote(_number(label.text), "\n\n".join([first, *blocks[index + 1 : last]])))
    return last


def _follows(label: _Label | None, previous: _Label) -> bool:
    """Whether a block begins the next note, rather than a numbered item of the one before."""
    if label is None:
        return False
    if label.text[:2].lower() == "fn":
        return True
    now, before = _number(label.text), _number(previous.text)
    if label.mark >= 0 or not (now.isdigit() and before.isdigit()):
        return label.mark >= 0 or now.isdigit() or (not now.isalnum() and not before.isdigit())
    same_form = label.text[:1].isdigit() == previous.text[:1].isdigit()
    return same_form and 0 < int(now) - int(before) <= _STEP
