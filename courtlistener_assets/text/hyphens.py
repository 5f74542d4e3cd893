"""Hyphens: words that a printer cut at the end of a line.

Belongs here: telling the printer's hyphens, which go to marks, from the author's, by the words of the document. Does
not belong here: which lines are joined (`layout.py`).
"""

from __future__ import annotations

import re
from typing import Final

from courtlistener_assets.text.line_scans import Words
from courtlistener_assets.text.marks import Marks
from courtlistener_assets.text.scans import in_small_letters

#: What may follow a word directly.
_AFTER_WORD: Final = ("", ",", ".", ";", ":", "\u2019s", "'s", ")", "\u201d", '"')
_CUT: Final = re.compile(r"([^\W\d_]+)([-\u2010])$")
_HYPHENS: Final = "-\u2010"
_NEXT_WORD: Final = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
#: For each hyphen a pattern that begins with it, a rare character that is found fast.
_CUT_ENDS: Final = {hyphen: re.compile(rf"{hyphen}[ \t]*\n\s*([^\W\d_]+)") for hyphen in _HYPHENS}
#: Before these a hyphen at a line's end is nearly always the author's.
_COMPOUND_HEADS: Final = frozenset(["self", "cross", "ex", "quasi", "non", "all", "half", "well", "so", "vice"])
#: Words that make longer words without a hyphen.
# fmt: off
_PREFIXES: Final = frozenset({
    "after", "back", "counter", "every", "fore", "here", "inter", "land", "law", "over", "some", "super", "their",
    "them", "there", "under", "where", "with", "work",
})
# fmt: on
_TAIL: Final = 40
_COMMON: Final = 2
_FEW: Final = 8
_MIN_LETTERS: Final = 4


class Vocabulary:
    """The words of a document that no line's end cuts, in small letters. Says nothing if no word is cut."""

    def __init__(self, lines: list[str]) -> None:
        self._unread = lines  # until there is a word about which to ask, as few documents have
        self._halves: list[str] = []
        self._text = ""
        self._words: Words | None = None

    def _read(self) -> None:
        text = "\n".join(self._unread)
        self._unread = []
        self._halves = [
            half.lower() for hyphen in _HYPHENS if hyphen in text for half in _CUT_ENDS[hyphen].findall(text)
        ]
        if self._halves:
            self._text = in_small_letters(text)
        if len(self._halves) > _FEW:
            self._words = Words(self._text)

    def __contains__(self, word: str) -> bool:
        if self._unread:
            self._read()
        if self._words is None:  # few words are searched for faster than all words are told apart
            return word in self._text
        return self._words.has_any(word, _AFTER_WORD)

    def is_common(self, word: str) -> bool:
        """Whether a word occurs more than once, second halves of cut words aside."""
        if word not in self:
            return False
        place = -1
        for _ in range(self._halves.count(word) + _COMMON):  # cheaper than counting them all
            place = self._text.find(f" {word}", place + 1)
            if place < 0:
                return False
        return True


def mend(before: str, text: str, words: Vocabulary, marks: Marks) -> tuple[str, str]:
    """Return the line `before` without the printer's hyphen at its end, and what goes between it and `text`."""
    last = before[-1:]
    cut = _CUT.search(before[-_TAIL:].rpartition(" ")[2]) if last and last in _HYPHENS else None
    following = _NEXT_WORD.match(text) if cut else None
    if not cut or not following:
        return before, "" if last in "—\u2013" or (last == "-" and text[:1].isalnum()) else " "
    if _keeps_hyphen(cut[1], following.group(), words):
        return before, ""
    return before[: -len(cut[2])] + marks.mark("hyphen", cut[2]), ""


def _keeps_hyphen(left: str, right: str, words: Vocabulary) -> bool:
    """`attorney-` + `client` keeps it if the document writes attorney-client; `appro-` + `priation` does not."""
    if right[0].isupper() and not (left.isupper() and right.isupper()):
        return True
    left, right = left.lower(), right.lower()
    if left + right in words:
        return False
    if f"{left}-{right}" in words or left in _COMPOUND_HEADS or ("-" in right and left in words):
        return True
    long = min(len(left), len(right)) >= _MIN_LETTERS and left not in _PREFIXES
    return long and words.is_common(left) and words.is_common(right)
