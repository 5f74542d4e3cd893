"""Wording: what the words at the beginning and the end of a line say about it.

Belongs here: ends of sentences, abbreviations, items of lists, titles, all of single lines. Does not belong here: where
a line stands on its page (`margins.py`, `gaps.py`).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from courtlistener_assets.text import line_scans

_ENDS: Final = (".", "?", "!", ":", ";")
#: Between the items of a list, and their last letters.
_LINKS: Final = ("; and", "; or")
_LINKS_END: Final = "dr"
#: What may follow them at the end of a sentence.
_AFTER_END: Final = "\"'”\u2019)]*0123456789"
#: The number of a note that a converter put a space before.
_SPACED_NOTE: Final = re.compile(r"(?<=[.?!\"”\u2019)]) \d{1,2}$")
_LIST_ITEM: Final = re.compile(
    r"(?:\(?(?:\d{1,3}|[A-Ja-j]|[ivxIVX]{1,5})[.)]|[•▪◦‣●\-\u2013—*]|¶+)\s+\S|\(\w{1,4}\)\S|§+\s*[\w.\-]+\.\s+[A-Z]"
)
#: Kinds of abbreviations: something always follows, or they also end sentences.
FOLLOWED: Final = 1
COMMON: Final = 2
#: The end of a line that an abbreviation may go over: 7 U. S. / C. § 1991.
_ABBREVIATION: Final = re.compile(
    r"\b(?:[A-Z]|Fed|App|Civ|Crim|Cir|Ct|Supp|Nos?|vs?|Mrs?|Ms|Messrs|Dr|St|Ste|Hon|Prof|Capt|Cpl|Lt|Maj|Sgt|Det|Atty|Dep|Gov"
    r"|Sen|Rep|Stat|Const|Dist|Dept|Univ|[Cc]ert|[Cc]f|[Ss]ee|pp?|Ass'n|Comm'r|Dep't|Int'l)\.$"
)
#: And one that also ends sentences.
_COMMON_ABBREVIATION: Final = re.compile(
    r"\b(?:Jr|Sr|[Ii]d|Inc|Co|Corp|Ltd|Ann|Rev|Stats?|Reg|Ch|[Ss]ec|Art|[Ee]d|[a-z]\.[a-z])\.$"
)
#: With the dot, and the character before.
_LONGEST_ABBREVIATION: Final = 8
#: A heading that is only the number of its section.
_NUMERAL: Final = re.compile(r"(?:[IVXL]+|[A-H])\.?")
_LONGEST_NUMERAL: Final = 6
_LABELLED: Final = re.compile(r"(?:[IVXL]{1,6}|[A-Z]|\d{1,2})[.)]\s")
#: Small words that no line of a caption or heading ends with unless the next goes on with it.
# fmt: off
_LINKING: Final = frozenset({
    "See", "a", "an", "and", "are", "as", "at", "be", "but", "by", "for", "from", "had", "has", "have", "if", "in",
    "into", "is", "its", "may", "nor", "of", "on", "or", "see", "shall", "than", "that", "the", "their", "to", "upon",
    "under", "was", "were", "which", "who", "whose", "will", "with", "would",
})
# fmt: on
_CUT: Final = re.compile(r"[^\W\d_][-\u2010]$")
_TAIL: Final = 40
_SHORT_WORD: Final = 3
_MIN_CAPITALS: Final = 12
_MIN_SMALL_WORDS: Final = 3


def ends_of(texts: list[str]) -> list[bool]:
    """Whether each line can be the end of a sentence."""
    return line_scans.ends_of(texts, _is_end)


def _is_end(text: str) -> bool:
    """Look at the last characters only, however long the line is; within brackets no sentence ends."""
    last = text[-1]
    if last in _LINKS_END:
        return text.endswith(_LINKS)
    if last not in _ENDS:
        end = text[-_TAIL:]
        if last.isdigit() and (note := _SPACED_NOTE.search(end)):
            end = end[: note.start()]
            if is_abbreviated(end):
                return False
        if not end.rstrip(_AFTER_END).endswith(_ENDS):
            return False
    return "(" not in text or text.rfind("(") <= text.rfind(")")


def small_beginnings_of(texts: list[str]) -> list[bool]:
    """Whether each line begins with a small letter, also in brackets or quotation marks, but is no item of a list."""
    return line_scans.small_beginnings_of(texts, _is_small_behind_mark)


def _is_small_behind_mark(text: str) -> bool:
    return text[1:2].islower() and not is_item(text)


def is_item(text: str) -> bool:
    """Whether a line can begin an item of a list."""
    return bool(_LIST_ITEM.match(text))


#: Few words end many lines.
_remembered = lru_cache(maxsize=8_192)


@_remembered
def _abbreviation(last_word: str) -> int:
    return FOLLOWED if _ABBREVIATION.search(last_word) else COMMON if _COMMON_ABBREVIATION.search(last_word) else 0


def abbreviation(text: str) -> int:
    """The kind of the abbreviation with which a line ends, 0 for none."""
    if text[-1] != ".":
        return 0
    end = text[-_LONGEST_ABBREVIATION:]
    return _abbreviation(end[end.rfind(" ") + 1 :])


def is_abbreviated(text: str) -> bool:
    """Whether a line ends with an abbreviation that something always follows."""
    return abbreviation(text) == FOLLOWED


def goes_on_after_end(above: str, text: str) -> bool:
    """Whether a sentence goes on in a line although it has ended in the line above; an omission is no end."""
    if not above.rstrip(_AFTER_END).endswith((".", "?", "!")) or above.endswith(". ."):
        return False
    word = text.split(None, 1)[0].rstrip(",'\u2019")
    return len(word) > 1 and word.isalpha() and not abbreviation(above)


def is_linking(text: str) -> bool:
    """Whether a line ends with a word such as "of", which must go on."""
    return text[text.rfind(" ") + 1 :] in _LINKING


def is_cut(text: str) -> bool:
    """Whether a line can end with the first half of a word."""
    return bool(_CUT.search(text[-_TAIL:]))


def is_numeral(text: str) -> bool:
    """Whether a line is nothing but the number of a section."""
    return len(text) <= _LONGEST_NUMERAL and bool(_NUMERAL.fullmatch(text))


def is_capitals(text: str) -> bool:
    """Whether a line of some length is all in capitals."""
    return len(text) >= _MIN_CAPITALS and text.isupper()


def is_title(text: str) -> bool:
    """Whether a line is a heading: in capitals, or with a capital on nearly every longer word."""
    words = [word for word in text.split() if len(word) > _SHORT_WORD and not word[0].isdigit()]
    return bool(words) and 5 * sum(not word[0].islower() for word in words) >= 4 * len(words)


def is_numbered_title(text: str) -> bool:
    """Whether a line is a heading with the number or letter of its section."""
    return bool(_LABELLED.match(text)) and is_title(text)


def is_sentence(text: str) -> bool:
    """Whether a line has the small words of a sentence."""
    return sum(word[0].islower() for word in text.split()) >= _MIN_SMALL_WORDS
