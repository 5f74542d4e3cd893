"""Scans of lines: what looks at every line of a page, and needs no more than what it is given.

Belongs here: the scans that `line_scans.pyx` has in a compiled form, which a compiled build imports instead of this
module; this one says what they do. Does not belong here: any judgement on a line.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from itertools import accumulate, compress, repeat
from operator import contains, itemgetter, sub

_MARK = "\ufdd3"
_TOKEN = re.compile(rf"{_MARK}\d+\ufdd4")
_GUTTER = "    "
_WIDE_SPACE = "   "
#: A border stands by itself; on the line's left there is room, or nothing but the line's marks.
_BORDERED = {
    border: re.compile(rf"{re.escape(border)}(?:(?<=  .)|(?<= [)\]}}|])|(?<=\n.))(?=[ \n])") for border in ")]:|§*}"
}


def stripped(lines: list[str]) -> tuple[list[str], list[int], list[str], str, str]:
    """The lines without space around, the places of those with text, these, and their first and last characters."""
    bare = list(map(str.strip, lines))
    texts = list(filter(None, bare))
    first, last = "".join(map(itemgetter(0), texts)), "".join(map(itemgetter(-1), texts))
    return bare, list(compress(range(len(bare)), bare)), texts, first, last


def read_lines(
    raw: list[str],
    texts: list[str],
    indents: list[int],
    steps: list[int],
    ends: list[int],
    blanks: list[int],
    wide: dict[int, str],
    without_leading_marks: Callable[[str], tuple[str, str]],
) -> list[tuple[int, str]]:
    """Add what is measured of the lines with text.

    Return marks and page breaks, each with the place in `texts` of the line before which it stands.
    """
    bare = list(map(str.strip, raw))
    text = "\n".join(bare)
    marked = _with(_MARK, bare) if _MARK in text else []
    leading = [index for index in marked if bare[index][0] == _MARK]
    before = {index: line for index, line in enumerate(raw) if line == "\f"} if "\f" in raw else {}
    raw = list(raw) if leading else raw
    for index in leading:
        before[index], raw[index] = without_leading_marks(raw[index])
        bare[index] = raw[index].strip()
    kept = list(compress(range(len(bare)), bare))
    inside = [bisect_left(kept, index) for index in marked if _MARK in bare[index]]
    blanks += map(sub, kept, [0, *compress(range(1, len(bare) + 1), bare)])
    lines, found, first = list(compress(raw, bare)), list(filter(None, bare)), len(texts)
    right = list(map(len, map(str.rstrip, lines)))
    left = list(map(sub, right, map(len, found)))
    for index in inside:
        right[index] = left[index] + _visible(found[index])
    for index in _with("  ", found):
        if _WIDE_SPACE in found[index]:
            wide[first + index] = lines[index]
            found[index] = " ".join(found[index].split())
        else:
            found[index] = found[index].replace("  ", " ")
    for index in _with("\xa0", found) if "\xa0" in text else ():  # `repair` has left no other space
        found[index] = " ".join(found[index].split())
    steps += map(sub, left, [*(indents[-1:] or left[:1]), *left])
    texts += found
    indents += left
    ends += right
    return [(first + bisect_left(kept, index), before[index]) for index in sorted(before)]


def _with(part: str, lines: list[str]) -> list[int]:
    """The places of the lines that have a part."""
    return list(compress(range(len(lines)), map(contains, lines, repeat(part))))


def _visible(text: str) -> int:
    """How many characters of a text do not belong to marks."""
    return len(_TOKEN.sub("", text)) if _MARK in text else len(text)


def gutters(lines: list[str]) -> list[tuple[int, int]]:
    """The places of lines with four spaces in a row inside, and the columns in which text goes on behind the first."""
    found = []
    for index in _with(_GUTTER, lines):
        line = lines[index].rstrip()
        _, gutter, rest = line.lstrip().partition(_GUTTER)
        if gutter:
            found.append((index, _visible(line[: len(line) - len(rest.lstrip())])))
    return found


def repeated(keys: list[str]) -> list[list[int]]:
    """The places of those keys that come again, by the first of each."""
    counts = Counter(keys)
    if len(counts) == len(keys):
        return []
    places: defaultdict[str, list[int]] = defaultdict(list)
    for place, key in enumerate(keys):
        if counts[key] > 1:
            places[key].append(place)
    return list(places.values())


def bordered(lines: list[str]) -> list[tuple[int, int]]:
    """The lines and columns in which the border of a caption stands by itself."""
    text = "\n".join(["", *lines, ""])
    patterns = [pattern for border, pattern in _BORDERED.items() if border in text]
    places = sorted(match.start() for pattern in patterns for match in pattern.finditer(text))
    starts = list(accumulate((len(line) + 1 for line in lines), initial=1))
    return [(index, place - starts[index]) for place in places for index in [bisect_right(starts, place) - 1]]


def ends_of(texts: list[str], is_end: Callable[[str], bool]) -> list[bool]:
    """Whether each line is an end, of which only those are asked that have a last character that can be one."""
    return [((last := text[-1]) in _LAST or (last > "\x7f" and last.isdigit())) and is_end(text) for text in texts]


def ending_with(texts: list[str], signs: str) -> list[int]:
    """The places of the texts that end with one of these signs."""
    return [index for index, text in enumerate(texts) if text[-1] in signs]


def small_beginnings_of(texts: list[str], is_small: Callable[[str], bool]) -> list[bool]:
    """Whether each line begins small, of which only those are asked that do not begin with a letter."""
    return [(first := text[0]).islower() or (first in _OPENING and is_small(text)) for text in texts]


#: The last characters of lines with which a sentence or an item of a list can end, beside digits of other scripts.
_LAST = frozenset(".?!:;dr\"'”\u2019)]*0123456789")
_OPENING = "[(\"'\u2018\u201c"


class Words:
    """The words of a text, parted by white space."""

    def __init__(self, text: str) -> None:
        self._words = frozenset(text.split())

    def has_any(self, word: str, signs: Sequence[str]) -> bool:
        """Whether there is a word with any of these signs behind it."""
        return not self._words.isdisjoint([word + sign for sign in signs])
