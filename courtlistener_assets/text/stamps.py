"""Stamps: the lines that an electronic filing system prints on each page of a document.

Belongs here: what such a line is made of. Does not belong here: heads that a document has of its own (`furniture.py`).

Each court writes its stamp in its own way, and a scan damages it. They have in common that they are made of labels
(case, document, filed, page) and numbers alone, where a sentence has other words.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from courtlistener_assets.text.page_lines import PageLines
from courtlistener_assets.text.page_scans import with_any

# fmt: off
_LABELS = {
    "case": "case", "appeal": "case", "appellate": "case", "usca": "case", "index": "case", "cause": "case",
    "document": "document", "doc": "document", "docket": "document", "dkt": "document", "dktentry": "document",
    "ecf": "document", "entry": "document", "filing": "document", "envelope": "document", "transaction": "document",
    "nyscef": "system", "efiled": "filed", "filed": "filed", "entered": "filed", "received": "filed",
    "submitted": "filed", "docketed": "filed", "electronically": "filed", "imaged": "filed", "trans": "document",
    "page": "page", "pages": "page", "pg": "page", "pgs": "page", "pageid": "page",
}
#: Words beside labels and numbers that say nothing more.
_FILLERS: Final = frozenset({
    "no", "nos", "number", "nbr", "id", "of", "to", "am", "pm", "main", "desc", "exhibit", "attachment", "part",
    "usdc", "usbc", "uscourt", "clerk", "court", "courts", "county", "district", "superior", "supreme", "circuit",
    "cv", "cr", "mj", "md", "bk", "ap", "by", "in", "the", "on", "at", "time", "date",
    "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday", "january", "february", "march",
    "april", "may", "june", "july", "august", "september", "october", "november", "december", "jan", "feb", "mar",
    "apr", "jun", "jul", "aug", "sep", "sept", "oct", "nov", "dec", "est", "edt", "cst", "cdt", "mst", "pst", "pdt",
})
# fmt: on
#: A scan loses the first letter at the page's edge.
_LABELS |= {word[1:]: kind for word, kind in _LABELS.items() if len(word) > 3 and word[1:] not in _FILLERS}
#: Beside a day, a time or a number sign, which every stamp has.
_SIGN: Final = re.compile(
    r"(?:iled|ILED|ntered|eceived|ECEIVED|Pa?ge?s?(?:ID)?|PAGE|YSCEF|ubmitted|age(?=[ :]?\d))"
    r"(?=[ \t:#.-]*(?:#|\d|[A-Z]|on |in |by ))"
)
_TOKEN: Final = re.compile(r"\d[\w:/.\-#]*|[^\W\d_]+")
_TIME: Final = re.compile(r"\d{1,2}:\d\d(?::\d\d)?(?![\d:-])")
_DATE: Final = re.compile(r"\d{1,4}[/-]\d{1,2}[/-]\d{1,4}$")
_RECEIPT: Final = re.compile(
    r"[\W\d]*(?:[A-Z-]{2,4}[\d-]+\s+)?(?:E-?)?(?:F[iI][lL][eE][dD]|R[eE][cC][eE][iI][vV][eE][dD]|Electronically|ELECTR)"
)
_COUNT_IN_BRACKETS: Final = re.compile(r"\(\d{1,5} of \d{1,5}\),?")
_DOCKET: Final = re.compile(r"\d:\d\d-[a-z]{2}-\d{3}")
_LIKENESS: Final = 0.75
_MIN_DAMAGED: Final = 4
_MOST_DAMAGED: Final = 5
_LONGEST: Final = 190
#: A line of text may end like that, no stamp does.
_TEXT_ENDS: Final = (".", ",", ";", ":", ")", '"', "”", "?", "-")
_MIN_KINDS: Final = 3
_FOREIGN_SHARE: Final = 0.2
_LONGEST_PIECE: Final = 60
_LONGEST_COUNT: Final = 12
_REACH: Final = 3
_DIGIT: Final = re.compile(r"\d")
_COUNT: Final = re.compile(r"(?:of )?#?:?\d{1,6}(?: of \d{1,5})?")
_ANNOUNCES: Final = ("of", "page", "pg", "pageid", "page id", "#", "#:", *"0123456789")
_PAIRED: Final = frozenset({"case", "document", "filed", "page", "system"})
#: Where each part of a stamp has a line of its own.
_BARE_LABELS: Final = frozenset({"Document", "Desc Main", "Main Document", "Desc"})


class _Parts(NamedTuple):
    kinds: frozenset[str]
    numbers: int
    foreign: int
    words: int
    small: bool


def stamps(page: PageLines) -> set[int]:
    """The lines of a document that are stamps."""
    bare = page.bare
    found: set[int] = set()
    for index in with_any(bare, "/:#"):
        line = bare[index]
        if len(line) <= _LONGEST and _SIGN.search(line) and index not in found and _is_stamp(line):
            found.add(index)
            found.update(_continued(bare, index, -1), _continued(bare, index, 1))
    return found


def _is_stamp(line: str) -> bool:
    line = _COUNT_IN_BRACKETS.sub("", line).strip()
    if not line or len(line) > _LONGEST or line[0] in "([" or line.endswith(_TEXT_ENDS):
        return False
    parts = _parts(line)
    if 0 < parts.foreign <= _MOST_DAMAGED and parts.numbers > _MIN_KINDS:
        parts = _parts(line, damaged=True)
    needed = _MIN_KINDS - ("system" in parts.kinds)
    if len(parts.kinds) < needed or parts.numbers < needed - 1:
        return "time" in parts.kinds and _is_receipt(line, parts)
    return parts.foreign <= _FOREIGN_SHARE * (parts.words + parts.numbers) or _is_receipt(line, parts)


def _is_receipt(line: str, parts: _Parts) -> bool:
    """Whether a line says when and where a document was filed, with names beside the day and the time."""
    return {"filed", "time"} <= parts.kinds and bool(_RECEIPT.match(line)) and not parts.small


def _parts(line: str, *, damaged: bool = False) -> _Parts:
    """What a line is made of. What a filer calls an exhibit at a stamp's end is not counted."""
    kinds: set[str] = set()
    numbers = foreign = words = 0
    small = False
    for token in _TOKEN.findall(line):
        if token[0].isdigit():
            numbers += 1
            if _TIME.match(token):
                kinds.add("time")
            elif _DATE.match(token):
                kinds.add("day")
            elif _DOCKET.match(token):
                kinds.add("case")
            continue
        words += 1
        word = token.lower()
        if word == "desc":
            break
        if kind := _LABELS.get(word) or (damaged and _similar(word)):
            kinds.add(kind)
        elif word not in _FILLERS and len(word) > 1:
            foreign += 1
            small = small or token[0].islower()
    return _Parts(frozenset(kinds), numbers, foreign, words, small)


@lru_cache(maxsize=1_024)  # heads come again on each page
def is_piece(line: str) -> bool:
    """Whether a line can be a part of a stamp: labels and numbers, nothing else."""
    if len(line) > _LONGEST_PIECE or line.endswith(_TEXT_ENDS):
        return False
    if not _DIGIT.search(line):
        return line in _BARE_LABELS
    parts = _parts(line)
    return bool(not parts.foreign and (parts.kinds & _PAIRED if parts.numbers else line in _BARE_LABELS))


@lru_cache(maxsize=1_024)
def _similar(word: str) -> str:
    """What a scan can have made of a label."""
    alike = difflib.get_close_matches(word, _LABELS, 1, _LIKENESS) if len(word) >= _MIN_DAMAGED else ()
    return _LABELS[alike[0]] if alike else ""


def _continued(bare: Sequence[str], index: int, step: int) -> list[int]:
    """The other lines of a stamp that was set in several."""
    found: list[int] = []
    other = index + step
    while 0 <= other < len(bare) and abs(other - index) <= _REACH:
        line = bare[other]
        if line and not (is_piece(line) or (step > 0 and _ends_stamp(bare[index], line))):
            break
        if line:
            found.append(other)
            index = other
        other += step
    return found


def _ends_stamp(above: str, line: str) -> bool:
    """Whether a line is the number of pages, or of a page, that the line above announces."""
    return len(line) <= _LONGEST_COUNT and bool(_COUNT.fullmatch(line)) and above.lower().endswith(_ANNOUNCES)
