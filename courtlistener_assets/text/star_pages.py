"""Star pages written into plain text: `*411`, `[*2]`, `[100 A.3d 1005]` -> marks.

Belongs here: telling the pages of the document itself from pages that it cites, and joining what they interrupt. Does
not belong here: the same in markup (`page_joins.py`), printed page numbers (`furniture.py`).

A citation names a page of something else, any page. The document's own pages count up by one.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Final

from courtlistener_assets.text.hyphens import Vocabulary, mend
from courtlistener_assets.text.marks import Marks, visible
from courtlistener_assets.text.page_joins import mended_words

_MONTH: Final = r"(?:Jan|Feb|Mar|Apr|May|June?|July?|Aug|Sep|Oct|Nov|Dec)[a-z]* \d"
_REPORTER: Final = rf"\d{{1,4}} (?!{_MONTH})[A-Z][\w.,'\u2019 ]{{0,40}}? \d{{1,5}}"
_BRACKET: Final = re.compile(rf"\[(?:{_REPORTER}|\*{{1,3}}\d{{1,5}})\]")
_PAGE_OF: Final = re.compile(r"(\d{1,4} [A-Z][\w.'\u2019 ]{0,40}?) (\d{1,5})(?:, (?=\d)|$)")
_STAR: Final = re.compile(r"\*(?<!\S\*)(?:\*\*?)?(\d{1,5})(?![\d*\-\u2013,.;)\]])")
#: Before the star of a page that is cited.
_CITED: Final = re.compile(r"(?:\b(?:at|and|or|to|see|id\.|pp?\.)|[,&\u2013-]|WL \d+|LEXIS \d+) $", re.IGNORECASE)
_LOOK: Final = 24
_BETWEEN_WORDS: Final = re.compile(r"[a-z][a-z,] ")
#: A page has at least so many characters.
_MIN_PAGE: Final = 300
_ENDS: Final = (".", "?", "!", ":", ";")
_AFTER_END: Final = "\"'”\u2019)]*"
#: A sentence goes on after an abbreviation if a small letter follows.
_OPEN_ENDS: Final = (".", ";", ")", "”", "\u2019", '"')
_LINKS: Final = (",", "-", "\u2013", "—", "&", "§", "v.")
_TAIL: Final = 60
_LONG: Final = 400
_MIN_PROSE: Final = 80


def with_star_pages(stream: str, marks: Marks) -> str:
    """Move the star pages in a stream to marks, and join the sentences and words that a page mark interrupts."""
    found = sorted(_own_pages(stream)) if "*" in stream or "[" in stream else []
    return mended_words(_moved(stream, found, marks), marks) if found else stream


def _own_pages(stream: str) -> Iterator[tuple[int, int]]:
    """Where the document's own pages are named."""
    series: dict[str, list[tuple[int, int, int]]] = defaultdict(list)
    for match in _beginning_with("[", _BRACKET, stream):
        if match.group()[1] == "*" or _is_apart(stream, *match.span()):
            yield match.span()
        for name, page in _PAGE_OF.findall(match.group()[1:-1]):
            series[name].append((*match.span(), int(page)))
    for match in _beginning_with("*", _STAR, stream):
        start, end = match.span()
        if not _CITED.search(stream[max(0, start - _LOOK) : start]):
            if stream[end : end + 1].islower():
                yield start, end
            else:
                series["*"].append((start, end, int(match[1])))
    for found in series.values():
        yield from _counting(found)


def _beginning_with(sign: str, pattern: re.Pattern[str], stream: str) -> list[re.Match[str]]:
    """All matches of a pattern that begins with a sign; to look for the sign alone is faster."""
    found: list[re.Match[str]] = []
    place = stream.find(sign)
    while place >= 0:
        match = pattern.match(stream, place)
        if match:
            found.append(match)
        place = stream.find(sign, match.end() if match else place + 1)
    return found


def _is_apart(stream: str, start: int, end: int) -> bool:
    """Whether a name in brackets stands beside the end of a line, or between two words that belong together."""
    if stream[start - 1 : start] in ("", "\n") or stream[end : end + 1] in ("", "\n"):
        return not stream[start - 2 : start - 1].isdigit()
    return bool(_BETWEEN_WORDS.fullmatch(stream[max(0, start - 3) : start])) and stream[end + 1 : end + 2].islower()


def _counting(found: list[tuple[int, int, int]]) -> Iterator[tuple[int, int]]:
    """The members of a list of pages that have the page before or after them in their place."""
    for (start, end, page), (next_start, next_end, next_page) in pairwise(found):
        if next_page == page + 1 and next_start - end >= _MIN_PAGE:
            yield start, end
            yield next_start, next_end


def _moved(stream: str, found: Iterable[tuple[int, int]], marks: Marks) -> str:
    pieces: list[str] = []
    words: Vocabulary | None = None
    place = 0
    for group in _groups(stream, found):
        before, after = stream[place : group[0][0]], stream[group[-1][1] : group[-1][1] + _TAIL]
        names = "".join(marks.mark("page", stream[start:end]) for start, end in group)
        place = group[-1][1]
        if before[-1:] == after[:1] == "\n" and _goes_on(before, after.lstrip()):
            words = words or Vocabulary([_BRACKET.sub("\n", stream)])
            before, space = mend(before.rstrip(), after.lstrip(), words, marks)
            names += space
            place += len(after) - len(after.lstrip())
        pieces += (before, names)
    return "".join([*pieces, stream[place:]])


def _groups(stream: str, found: Iterable[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
    """Pages that are named side by side, as those of several reporters."""
    group: list[tuple[int, int]] = []
    for start, end in found:
        if group and start < group[-1][1]:
            continue
        if group and not stream[group[-1][1] : start].isspace():
            yield group
            group = []
        group.append((start, end))
    if group:
        yield group


def _goes_on(before: str, after: str) -> bool:
    """Whether a sentence goes on from one paragraph to another. A heading does not."""
    paragraph = visible(before[-_LONG:]).rstrip().rpartition("\n")[2]
    bare = paragraph.rstrip(_AFTER_END)
    if not bare or not after or bare.endswith(_ENDS):
        return bool(after) and after[0].islower() and paragraph.endswith(_OPEN_ENDS)
    last = bare.split()[-1]
    return after[0].islower() or last[0].islower() or last.endswith(_LINKS) or len(paragraph) >= _MIN_PROSE
