"""Quality: what kind of text a chunk is, so that a search can leave out what is none.

Belongs here: telling prose from rows of a table, lists of authorities, signatures and service, and what OCR made of
handwriting. Does not belong here: mending any of it (`text/`), leaving it out.

Prose is full of small words, and nothing else is. They are counted first, since nearly all chunks need no more.
"""

from __future__ import annotations

import re
from typing import Literal

Quality = Literal["prose", "table", "authorities", "signature", "ocr_noise"]

_SMALL_WORDS = (" the ", " of ", " to ", " and ")
#: Characters a small word, at most, in prose; a list of authorities has several times as many.
_PROSE = 90
#: A chunk with fewer rows than that is no table.
_ROWS = 3
#: Rows, citations or noise make up at least this share of a chunk that is called after them.
_MOST = 0.5
#: Of a list with the pages of a brief, as many lines end with them, and as much is citations.
_LISTED = 0.3

#: What parts of citations but reporters are taken for, in characters.
_CITED = {
    " v. ": 30,
    "§": 8,
    "U.S.C.": 8,
    "C.F.R.": 8,
    "Rule ": 8,
    " Cir. ": 10,
    "Stat.": 6,
    "Fed. R.": 12,
    "Ct. App.": 8,
}
#: `410 U.S. 113`, `3 F. Supp. 2d 5`; the digit in front is what the search is fast by.
_REPORTED = re.compile(
    r"\d{1,4} (?:[A-Z][\w.'\u2019]*\s){1,4}(?:\d?[dh]d?\.? )?\d{1,5}(?:, \d{1,5}(?:[-\u2013]\d+)?)*(?: \(\d{4}\))?"
)
#: The pages that a line of a table of authorities ends with.
_ON_PAGES = re.compile(
    r"(?:[\s.\t]|\. )(?:passim|(?:\d{1,3}|[ivx]{1,5})(?:, ?(?:\d{1,3}|passim)|[-\u2013]\d{1,3})*)\s*$"
)

#: One of them is in all certificates of service, which read like prose; looked for much faster than the patterns.
_SERVICE = ("ereby certify", "ERTIFICATE OF S", "ertificate of S", "roof of Service", "ROOF OF SERVICE")
#: What signatures and certificates of service begin with, and what else they are made of.
_BEGINS_SIGNATURE = re.compile(
    r"(?:^|\s)/?[sS]/\s?\w|(?i:respectfully\s+submitted)|Very\s+truly|Sincerely|SO\s+ORDERED|BY\s+THE\s+COURT"
    r"|(?:Certificate|CERTIFICATE|Proof|PROOF)\s+(?:of|OF)\s+(?:Service|SERVICE)"
    r"|(?i:hereby\s+certify\s+(?:that\s+(?:on|a|I|the\s+foregoing)|under))|(?:^|\n)\W*(?:Dated|DATED|Date)\b[:\s]"
)
_IN_SIGNATURE = re.compile(
    r"\b[\w.+-]{1,40}@[\w-]+\.\w|\b\d{3}\)?[ .-]{1,2}\d{3}[.-]\d{4}\b|\b(?:Attorneys?|Counsel)\s+for\b|\bEsq\b"
    r"|\bBar\s+(?:No|ID|#)|\b[A-Z]{2}\s+\d{5}\b|(?i:\b(?:first[- ]class|u\.?s\.?|certified) mail|\bcm/ecf)"
    r"|\bP\.?\s?O\.? Box|\b(?:Street|Avenue|Suite|Floor|Ave\.|St\.,)|\b(?:LLP|L\.L\.P|P\.C\.)"
    r"|\b(?:Judge|JUDGE|Clerk|CLERK)\b|true\s+and\s+correct\s+copy|was\s+served|counsel\s+of\s+record"
)
#: A caption has the same names and addresses, but no signature.
_CAPTION = re.compile(r"\b(?:Plaintiff|Defendant|Petitioner|Respondent|Appell(?:ant|ee))s?\b", re.IGNORECASE)
#: Characters a line of names and addresses, and characters a sign of a signature, at most.
_SHORT_LINES, _SIGNED_OFTEN = 70, 300
#: The share of a chunk before which its signature begins.
_EARLY = 0.4

#: Words, numbers, addresses. Of two letters there are few words; a scan is full of others.
_READABLE = re.compile(
    r"[\"'\u201c\u2018(\[<·*]*(?:[^\W\d_][^\W\d_A-Z]{2,}|[^\W\d_a-z]{3,}|(?![\x00-\u024f])\w|[$#§¶+-]?\d[\d.,/:%-]*"
    r"|(?i:of|to|in|is|it|be|as|at|by|or|an|no|on|we|if|so|he|co|v|vs|a|i)\b|[§¶&]|(?:[A-Z]\.)+|\W?\w{2,}[@/.:-]\w+)"
)
#: The share of words from which on a text can be read, and the number of words that says so.
_LEGIBLE, _WORDS = 0.66, 8
#: What is drawn between words: leaders, boxes, bullets.
_DRAWN = re.compile(r"[.·•_*~|=\u2014\u2013-]+$")


def quality_of(text: str) -> Quality:
    """What most of a chunk is; `prose` if nothing else is sure."""
    prose = _is_prose(text)
    tabs = text.count("\t")
    if prose and tabs < _ROWS and not any(map(text.__contains__, _SERVICE)):
        return "prose"
    lines = [line for line in text.split("\n") if line and not line.isspace()]
    if not prose and _are_authorities(text, lines):
        return "authorities"
    if tabs >= _ROWS and _are_rows([line for line in lines if "\t" in line], lines, prose=prose):
        return "ocr_noise" if _is_noise(text) else "table"
    if _is_signature(text, lines):
        return "signature"
    return "ocr_noise" if not prose and _is_noise(text) else "prose"


def _is_prose(text: str) -> bool:
    small = 0
    for word in _SMALL_WORDS:
        small += text.count(word)
        if small * _PROSE > len(text):
            return True
    return False


def _are_authorities(text: str, lines: list[str]) -> bool:
    cited = sum(text.count(sign) * length for sign, length in _CITED.items())
    cited += sum(match.end() - match.start() for match in _REPORTED.finditer(text))
    if cited > _MOST * len(text):
        return True
    if cited < _LISTED * len(text):
        return False
    on_pages = sum(map(bool, map(_ON_PAGES.search, lines)))
    return on_pages >= _ROWS and on_pages > _LISTED * len(lines)


def _are_rows(rows: list[str], lines: list[str], *, prose: bool) -> bool:
    """Whether most lines have cells; in prose, where a cell can be a sentence, more than two of them."""
    cells = sum(row.count("\t") for row in rows)
    return (
        len(rows) >= _ROWS
        and sum(map(len, rows)) > _MOST * sum(map(len, lines))
        and (not prose or cells >= 2 * len(rows))
    )


def _is_signature(text: str, lines: list[str]) -> bool:
    begin = _BEGINS_SIGNATURE.search(text, 0, int(_EARLY * len(text)))
    if not begin:
        return False
    if "ertif" not in begin.group().lower() and len(text) > _SHORT_LINES * len(lines):
        return False
    signs = len(_BEGINS_SIGNATURE.findall(text)) + len(_IN_SIGNATURE.findall(text))
    return signs > 1 and signs * _SIGNED_OFTEN > len(text) and len(_CAPTION.findall(text)) <= signs


def _is_noise(text: str) -> bool:
    """Whether a third of what stands between spaces is neither a word nor a number."""
    words = [word for word in text.split() if not _DRAWN.match(word)]
    return len(words) >= _WORDS and sum(map(bool, map(_READABLE.match, words))) < _LEGIBLE * len(words)
