"""Labels of footnotes: what a line can begin with if it begins a note, and what is raised in a sentence.

Belongs here: single lines. Does not belong here: whether a label is that of a note (`notes.py`).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from typing import Final

from courtlistener_assets.text.marks import visible
from courtlistener_assets.text.page_lines import PageLines
from courtlistener_assets.text.page_scans import Signs, blank_lines

#: Dots or stars with spaces between them are an omission.
_RULE: Final = re.compile(r"\s*(?:(?:[_\-—=~]\s*){5,}|[*.]{5,}\s*)")
_LABEL: Final = re.compile(
    r"\s*[\[(]?(\d{1,3}|[*†‡]{1,3})[\])]?\.?(?:\s+(?=\S)|\s*$|(?<=[\d*†‡])(?=[A-Z][A-Za-z]|[AI] ))"
)
_RULE_FIRST: Final = frozenset("_-—=*~.")
_FIRST: Final = Signs(re.compile(r"[-0-9*†‡\[(_—=~.]"))
_MIN_RULE: Final = 15
#: Of a drawn line, below which labels are expected.
RULE_LABEL: Final = "—"
#: What follows the number of a volume, a title or a page, not that of a note.
_REPORTER: Final = re.compile(
    r"(?:\([^()]{0,20}\d{4}\)|U\. ?S\. ?(?:C|\d)|F\. ?(?:\dd|Supp|R)|S\. ?Ct|L\. ?Ed|Fed\. ?R\. ?(?:\d|D|Serv)"
    r"|C\. ?F\. ?R)"
)
_REPORTER_FIRST: Final = frozenset("(UFSLC")


def labels_of(page: PageLines) -> dict[int, str]:
    """The lines that begin with what can be the label of a footnote, and the drawn lines."""
    likely = page.beginning_with(_FIRST)
    labels = {index: label for index in likely if (label := _label(visible(page.lines[index]).lstrip()))}
    return labels | dict.fromkeys(_lost_rules(page.lines), RULE_LABEL) if labels else labels


def _lost_rules(lines: list[str]) -> list[int]:
    """Drawn lines of which only spaces are left: an empty line is above and below. Below words, they underline."""
    return [
        index
        for index in blank_lines(lines)
        if len(lines[index]) >= _MIN_RULE
        and 0 < index < len(lines) - 1
        and not lines[index - 1]
        and not lines[index + 1]
    ]


def _label(bare: str) -> str:
    """The label with which a line begins, or ""; the number of a volume, or one in a sentence, is none."""
    if bare[0] in _RULE_FIRST and _RULE.fullmatch(bare):
        return RULE_LABEL
    match = _LABEL.match(bare)
    if not match:
        return ""
    following = bare[match.end() : match.end() + 1]
    if following.islower() or (following in _REPORTER_FIRST and _REPORTER.match(bare, match.end())):
        return ""
    return match[1]


def is_rule(bare: str) -> bool:
    """Whether a line is drawn."""
    return bare[0] in _RULE_FIRST and bool(_RULE.fullmatch(bare))


def is_label(line: str) -> bool:
    """Whether a line is nothing but a label."""
    return bool(_LABEL.fullmatch(line))


def without_label(line: str) -> str:
    """The line behind its label."""
    return _LABEL.sub("", line, count=1)


def is_cited(label: str, lines: Iterable[str]) -> bool:
    """Whether lines have a label as a raised number, close to a word or behind a sentence."""
    return bool(_raised(label).search("\n".join(lines)))


@functools.cache
def _raised(label: str) -> re.Pattern[str]:
    """A label as the number of a note in a sentence. The label comes first, which is what the search is fast by."""
    label = re.escape(label)
    before = ("[^\\W\\d_]", "[^\\d\\s.][.]", '\\D[,;:)\\]"”\u2019]')
    apart = ('[a-z]{3}[.,;)"”\u2019] ', '[a-z]{3}[.,;)][)"”\u2019] ')
    close = "|".join(f"(?<={place}{label})" for place in before)
    spaced = "|".join(f"(?<={place}{label})" for place in apart)
    return re.compile(rf"{label}(?![\w*]|[.,]\d)(?:{close}|(?:{spaced})(?=\s*$|\s+[A-Z]))", re.MULTILINE)
