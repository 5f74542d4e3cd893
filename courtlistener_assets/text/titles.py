"""Titles: what a heading looks like, in words and labels.

Belongs here: what can be told of a paragraph by itself, or with those before and after it. Does not belong here: which
paragraphs of a document are its headings, and how they nest (`headings.py`).
"""

from __future__ import annotations

import re

#: Longer paragraphs are none, and titles without a number must be shorter.
LONGEST = 250
_LONGEST_TITLE = 90
#: A paragraph that is so long, at least, is text that can have a title.
_PROSE = 100

_ROMAN = r"X{0,3}(?:IX|IV|V?I{1,3}|V|(?<=X))"
LABEL = re.compile(
    r"(?:¶\s?\d{1,3}\s+)?"  # Some courts number the paragraphs, headings included.
    rf"(?P<named>(?:PART|SECTION|ARTICLE|COUNT|CHAPTER|Part|Section|Article|Count|Chapter)\s+)?"
    rf"(?P<open>\()?(?P<label>{_ROMAN}|[A-Z]|\d{{1,2}}|[a-z]|[ivx]{{1,5}})(?P<close>[.):]{{0,2}}|\s?[-—\u2013])"
    r"(?=\s|$)\s*"
)
#: Only a number or letter, as of a list, too: what follows belongs to it.
BARE = re.compile(r"(?:\(?(?:[IVXLivxl]{1,6}|[A-Za-z]|\d{1,3})[.)]{1,2}|[IVX]{1,6}|[A-Z])\s*")
_WORD = re.compile(r"[^\W\d_][\w'\u2019]*")
#: Words that titles write small.
_SMALL_WORDS = """
    a an and as at by for from in into of on or over per the to under upon v vs with without
"""
_SMALL = frozenset(_SMALL_WORDS.split())
_ANSWER = re.compile(r"(?:Yes|No|Yeah|Yep|Nope|Right|Correct|Sure|Okay|OK|I|It|He|She|We|They|That|Not|Well)\b")
#: What titles are made of that stand alone in opinions and filings.
_HEADS_WORDS = """
    allegations analysis appendix argument arguments authorities background cause claims conclusion
    conclusions concurrence contents count counterclaim counterclaims counts damages decision definitions
    demand discussion disposition dissent evidence facts findings footnotes framework history introduction
    issue issues jurisdiction law memorandum merits nature notes opinion order overview parties proceedings
    recommendation relief remedies remedy review ruling sentencing service standard standards standing
    statement summary syllabus testimony trial venue verdict
"""
_HEADS = frozenset(_HEADS_WORDS.split())
_COMPANIONS_WORDS = """
    action appeal applicable case certificate claim class complaint court defendant defendant's dismiss fact
    factual fifth final first five four fourth general governing i ii iii iv judgment jury legal motion one
    plaintiff plaintiff's prayer preliminary presented prior procedural question questions regulatory relevant
    second six sixth statutory table third three two undisputed
"""
_COMPANIONS = _SMALL | frozenset(_COMPANIONS_WORDS.split())
#: What stands alone in a line for other reasons: names of judges, dates, numbers of cases, drawn lines.
_NO_TITLE = re.compile(
    r"(?:.*\b(?:Judges?|Justices?|Clerk|Esq|Attorneys?|JUDGES?|JUSTICES?|CLERK|ESQ|ATTORNEYS?|PETITIONERS?"
    r"|RESPONDENTS?|APPELLANTS?|APPELLEES?|PLAINTIFFS?,|DEFENDANTS?,|COURT OF|DISTRICT COURT)\b"
    r"|.*\b[CP]?\.?J\.?J?\.?$|.*\d{3}|.*\.{3}|.*\b[A-Z] [A-Z]{2}|.*,.*,"
    r"|(?:No|Case|Docket|Dated?|Argued|Decided|Filed|Before|Present|By|Per|PER|BY|SO|IT|In|At|On|When|If|To)\b"
    r"|[^A-Z\"'“\u2018(]|.*[\t\[\]])"
)


def is_heading(paragraph: str, following: str | None = None) -> bool:
    """Whether a paragraph, without blank lines around it, looks like a heading or a bare number, however it ends.

    With what is `following`, it may also be a point of a brief: a sentence with a number that is in no list.
    """
    if not 0 < len(paragraph) < LONGEST:
        return False
    if BARE.fullmatch(paragraph):
        return True
    match = LABEL.match(paragraph)
    if match and (match["close"] or match["named"]):
        listed = not following or not match["label"].isupper() or following[0] == "Q" or lists(match, following)
        return titled(match, paragraph[match.end() :], sentence=not listed)
    return is_known_title(paragraph)


def is_capitalized(title: str) -> bool:
    """Whether the words have capitals but for the small ones, as those of titles and names do."""
    words = [word for word in _WORD.findall(title) if word.lower() not in _SMALL]
    capitals = sum(word[0].isupper() for word in words)
    return 0 < len(words) <= 16 and capitals >= 0.75 * len(words)


def lists(match: re.Match[str] | None, following: str) -> bool:
    """Whether a paragraph with this label has nothing below it, since the next of its kind follows at once."""
    after = LABEL.match(following) if match and match["close"] else None
    if not match or not after or match["close"] != after["close"]:
        return False
    one, two = match["label"], after["label"]
    if one.isdigit() and two.isdigit():
        return int(two) == int(one) + 1
    if one.isupper() != two.isupper() or one.isdigit() or two.isdigit():
        return False
    return any(0 < value(one) == value(two) - 1 for value in (roman, letter))


def titled(match: re.Match[str], title: str, *, sentence: bool) -> bool:
    """Whether the words after a label are a title; `sentence`: or one sentence, as the points of a brief are."""
    if not title:
        return True
    if not title[:1].isalpha() and title[:1] not in "\"'“\u2018[§$":
        return False
    if title[0].islower() or title[-1] in ",;" or "; " in title or _ANSWER.match(title):
        return False
    if title.isupper():
        return True
    ends = title[-1] in ".?!:" or title[-2:] in (".”", '."')
    if match["label"].isupper() and not ends and len(title) <= 160:
        return True
    return is_capitalized(title) or (sentence and ends and ". " not in title and len(title) <= 200)


def is_title(text: str) -> bool:
    """Whether a paragraph under a bare number is the title to it."""
    if len(text) > _LONGEST_TITLE or text[-1] in ".,;?!" or LABEL.match(text):
        return is_known_title(text)
    return text.isupper() or is_capitalized(text)


def is_known_title(text: str) -> bool:
    """`STANDARD OF REVIEW`, `Factual and Procedural Background`, `Notes:`"""
    if len(text) > _LONGEST_TITLE or not (text[0].isupper() or text[0] == "¶"):
        return False
    words = text.rstrip(".:").lower().replace("\u2019", "'").split()
    words = words[2:] if words[0] == "¶" else words
    return (
        len(words) <= 9
        and any(word in _HEADS for word in words)
        and all(word.strip(",") in _HEADS or word.strip(",") in _COMPANIONS for word in words)
    )


def stands_out(text: str, before: str, following: str) -> bool:
    """Whether a line in capitals, or all of whose words have one, stands between two paragraphs of text."""
    if not 4 <= len(text) <= _LONGEST_TITLE or text[-1] in '.,;:?!"”\u2019)-—' or _NO_TITLE.match(text):
        return False
    if len(following) < _PROSE or not (following[0].isupper() or following[0] in "\"'“\u2018(["):
        return False
    return before[-1:] in (".", "?", "!", "”", '"', ")") and is_capitalized(text)


def roman(label: str) -> int:
    """The value of a Roman number; 0 if it is none."""
    if not re.fullmatch(_ROMAN, label.upper()):
        return 0
    values = ["IVX".index(sign) for sign in label.upper()]
    amounts = [(1, 5, 10)[value] for value in values]
    return sum(-one if one < two else one for one, two in zip(amounts, [*amounts[1:], 0], strict=True))


def letter(label: str) -> int:
    """The place of a single letter in the alphabet; 0 for any other label."""
    return ord(label.lower()) - ord("a") + 1 if len(label) == 1 else 0
