"""Litter: a clean text -> what stands inside its sentences and is no part of them.

Belongs here: tabs, numbers of pages and lines, stamps and running heads in the middle of prose, headings that were run
into it or parted from it, and what is prose. Does not belong here: breaks between lines, and the counts of all
(`tears.py`), whose rule about the cleaner holds here, too.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Container, Iterator
from itertools import pairwise

# fmt: off
#: Words of every other sentence. Captions, tables, signatures and lists of authorities have few of them.
_COMMON = frozenset({
    "a", "an", "and", "any", "are", "as", "at", "be", "been", "but", "by", "for", "from", "had", "has", "have", "he",
    "her", "his", "if", "in", "is", "it", "its", "may", "no", "not", "of", "on", "or", "shall", "she", "so", "such",
    "that", "the", "their", "there", "they", "this", "to", "under", "upon", "was", "we", "were", "when", "which", "who",
    "will", "with", "would",
})
#: Words that no sentence, heading or item of a list ends with.
OPEN = frozenset({
    "a", "an", "and", "are", "as", "at", "be", "but", "by", "for", "from", "had", "has", "have", "his", "if", "into",
    "is", "its", "may", "nor", "of", "or", "our", "see", "shall", "than", "the", "their", "upon", "was", "were",
    "whether", "which", "while", "who", "whose", "will", "with", "would", "&", "§", "§§",
})
#: Headings of opinions and filings, in capitals.
_HEADS = (
    "ANALYSIS", "ARGUMENT", "BACKGROUND", "CONCLUSION", "CONCLUSIONS", "DISCUSSION", "FACTS", "INTRODUCTION",
    "JURISDICTION", "NOTES", "OPINION", "ORDER", "PARTIES", "SERVICE", "STATEMENT", "SUMMARY", "VENUE",
)
# fmt: on
_HEAD_WORD = re.compile(rf"\b(?:{'|'.join(_HEADS)})\b")
#: As much of a paragraph's end or beginning as tells whether it is prose.
LOOK = 160
_PARTY = re.compile(
    r"(?:Plaintiff|Defendant|Appell(?:ant|ee)|Petitioner|Respondent|Intervenor|Creditor|Debtor)s?[,.;]?(?: and)?$"
)
#: The last characters of what it finds, which is faster to ask.
_ENDS_PARTY = "trse.,;d"
_PARTY_LENGTH = 20
_LETTER = re.compile(r"[^\W\d_]")
#: A line that holds only a number, as of a page or of a line.
_NUMBER = re.compile(r"(?:[Pp]age|[Pp]g\.?)?[\s\-\u2013—\[(|]*(?:\d{1,4}|[ivxl]{1,6})[\s\-\u2013—\])|]*$")
#: Each begins with letters that are searched for fast.
_STAMPS = tuple(
    map(
        re.compile,
        (
            r"age\s?\d+\s+of\s+\d+",
            r"P(?:g:?\s?\d+\s+of|ageID)",
            r"F(?:iled(?<!\(Filed)[: ]+\d\d/\d\d/\d\d|ILED[: ]+\d\d/\d\d/\d\d|iling #)",
            r"E(?:ntered[: ]+\d\d/\d\d/\d\d|ntry Number \d|-Filed)",
            r"NYSCEF",
            r"INDEX NO\. \d",
        ),
    )
)
#: Not citations, which are followed by a punctuation mark, or stand behind the one that they are parallel to.
_STARS = (
    re.compile(r"\*(?<=[\s\[]\*)(?<!at\s\*)\*?\d{1,4}(?![\d*,;.)\u2013-]|\s[(\[])\]?"),
    re.compile(r"\[(?<!\d \[)\d+ [A-Z][\w., ]{1,50}? \d+\]"),
)
_DOCKET = re.compile(r"[Nn]os?\. \d\d-\d{2,5}(?= [a-z])")
#: The same without its first letters, which many words have.
_DOCKET_NUMBER = re.compile(r"\. \d\d-\d{2,5}(?= [a-z])")
_LONE = re.compile(r"[0-9](?<=\s.)[0-9]?(?=\s)")
#: What has a number by which it is cited, before that number.
_CITED = re.compile(
    r"(?:[Ff]igure|[Tt]able|[Pp]aragraph|[Pp]age|[Pp]art|[Ss]ection|[Rr]ule|[Cc]hapter|[Tt]itle|[Aa]rticle|[Cc]ount"
    r"|[Cc]laim|[Ee]xhibit|[Aa]ppendix|[Ss]tep|[Ii]tem|[Nn]ote|No\.)s?\s$"
)
#: The last letters of these, or a space that stands before another.
_ENDS_CITED = frozenset("ehmnprstx. \t\n")
_HEAD_INSIDE = re.compile(
    rf" (?<=[.?!\"”)] )(?:(?:[IVX]{{1,5}}|[A-H])\. )?(?:{'|'.join(_HEADS)})(?: [A-Z]{{2,}})* (?=[A-Z][a-z]*[ ,])"
)
_BARE_NUMERAL = re.compile(r"\(?(?:[IVX]{1,5}|[A-Z]|[a-z]|\d{1,2})[.)]{1,2}|[IVX]{1,5}")
_NUMERAL = re.compile(r"(?:[IVX]{1,5}|[A-Z]|\d{1,2})[.)]\s+(?=\S)|\([A-Za-z0-9]{1,3}\)\s+(?=\S)")
#: Longer lines are sentences, and these are no headings.
_LONGEST_HEADING = 120
_NUMERAL_INSIDE = re.compile(
    r"\. (?<=[a-z\d)]\. )(?<!amend\. )(?<!App\. )(?<!Ap\. )(?<!Art\. )(?:I{1,3}|IV|VI{0,3}|IX)\. (?=[A-Z][a-z]+ [a-z])"
)
_LETTER_INSIDE = re.compile(
    r"\. (?<=[a-z\d)]\. )(?<!amend\. )(?:[A-H]|I{1,3}|IV|VI{0,3}) "
    r"(?=(?:The|We|In|It|This|That|At|On|For|As|To|If|When|Under) )"
)
_HEAD_BEFORE = re.compile(
    rf"(?:(?:[IVX]{{1,5}}|[A-H])\. )?(?:[A-Z]{{2,}} )*(?:{'|'.join(_HEADS)})(?: [A-Z]{{2,}})* (?=[A-Z][a-z]* [a-z])"
)
_TITLE_AFTER = re.compile(
    r"\. (?<=[a-z\d)]{2}\. )(?:(?:[A-H]|[IVX]{1,5})\. )?[A-Z][a-z]+(?: [A-Z][a-z]+)* (?:of|to|the|and|in|for|on|a)"
    r"(?: (?:of|to|the|and|in|for|on|a|[A-Z][a-z]+))* [A-Z][a-z]+$"
)
#: Lines of numbered paper, in characters from one number to the next.
_LINE = (12, 220)
_SEQUENCE = 5
REPEATED = 3
#: Characters between the parts of one stamp.
_SAME_STAMP = 60
#: Opinions have no paragraphs as long as that.
_EXTREME = 12_000


def is_prose(part: str) -> bool:
    """Whether a few words are of a sentence: not of a caption, table, signature or list."""
    words = part.split()
    common = sum(map(_COMMON.__contains__, words))
    return common >= 2 and 5 * common >= len(words) >= 5 and not ends_with_party(part)


def ends_with_party(line: str) -> bool:
    """Whether a line ends with a role of a party, as those of captions do."""
    return line[-1] in _ENDS_PARTY and bool(_PARTY.search(line[-_PARTY_LENGTH:]))


def is_furniture(line: str, often: Container[str]) -> bool:
    """Whether a line is no text but of the page: a number, a star page, a stamp, or a head that comes `often`."""
    if len(line) > LOOK:
        return False
    if _NUMBER.match(line) or (line[0] in "[*" and any(star.fullmatch(line) for star in _STARS)):
        return True
    if line in often and _LETTER.search(line):
        return line[-1] not in ".?!" or not is_prose(line)
    return any(stamp.search(line) for stamp in _STAMPS) and not is_prose(line)


def furniture_inside(text: str) -> Iterator[int]:
    """Yield where pages, stamps, heads and line numbers stand in a line with prose."""
    for stamp in _stamps(text):
        before, after = _rest_of_line(text, *stamp)
        if is_prose(f"{before} {after}"[-LOOK:]) or len(before) + len(after) > LOOK:
            yield stamp[0]
    dockets = list(_DOCKET.finditer(text)) if len(_DOCKET_NUMBER.findall(text)) >= REPEATED else []
    times = Counter(match.group() for match in dockets)
    yield from (match.start() for match in dockets if times[match.group()] >= REPEATED)
    yield from _numbered_lines(text)


def _stamps(text: str) -> Iterator[tuple[int, int]]:
    """Star pages, and stamps, of which all parts are one."""
    end = -_SAME_STAMP
    for found in sorted(match.span() for stamp in _STAMPS for match in stamp.finditer(text)):
        if found[0] >= end + _SAME_STAMP:
            yield found
        end = found[1]
    for star in _STARS:
        yield from (match.span() for match in star.finditer(text))


def _rest_of_line(text: str, start: int, end: int) -> tuple[str, str]:
    last = text.find("\n", end)
    return text[text.rfind("\n", 0, start) + 1 : start].strip(), text[end : last if last >= 0 else len(text)].strip()


def _numbered_lines(text: str) -> Iterator[int]:
    """Numbers that count up by one, a line's length apart."""
    chains: dict[int, list[int]] = {}
    found: list[list[int]] = []
    for match in _LONE.finditer(text):
        number, place = int(match.group()), match.start()
        if text[place - 2 : place - 1] in _ENDS_CITED and _CITED.search(text, max(0, place - _LINE[0]), place):
            continue
        chain = chains.pop(number - 1, None)
        if chain is None or not _LINE[0] <= place - chain[-1] <= _LINE[1]:
            chain = []
            found.append(chain)
        chain.append(place)
        chains[number] = chain
    for chain in found:
        if len(chain) >= _SEQUENCE and not _are_names(text, chain):
            yield from (place for place in chain if _in_sentence(text, place))


def _are_names(text: str, places: list[int]) -> bool:
    """Whether the same word with a capital stands before all numbers, each in a line of its own, as in an index."""
    before = [text[text.rfind("\n", 0, place) + 1 : place].split()[-1:] for place in places]
    names = {word for words in before for word in words}
    lines = {text.rfind("\n", 0, place) for place in places}
    return all(before) and len(names) == 1 and names.pop()[0].isupper() and len(lines) == len(places)


def _in_sentence(text: str, place: int) -> bool:
    """Whether a number stands in a line of words, and not as the label of a footnote before them."""
    before, after = _rest_of_line(text, place, place + 2)
    labels = not before and after[:1].isupper() and text[max(0, place - 20) : place].rstrip()[-1:] in '.?!)"”'
    return bool(before or after) and not labels


def tabs_inside(line: str) -> Iterator[int]:
    """Yield where a sentence of the line crosses a tab. Cells of a table are no sentence."""
    cells = line.split("\t")
    place = 0
    for left, right in pairwise(cells):
        place += len(left) + 1
        if _crosses_tab(left, right, line):
            yield place - 1


def _crosses_tab(left: str, right: str, line: str) -> bool:
    last = left.split()[-1:] or [""]
    if last[0].lower() in OPEN and right[:1].islower():
        return True
    if not _LETTER.search(right) and _NUMERAL.sub("", left, count=1)[:1].isupper():  # A row of a table of contents.
        return False
    return is_prose(line) and (right[:1].islower() or is_prose(right) or is_prose(left))


def joined(text: str) -> Iterator[int]:
    """Yield where a heading stands in a paragraph, and where extreme paragraphs begin."""
    for pattern in (_HEAD_INSIDE, _NUMERAL_INSIDE, _LETTER_INSIDE):
        yield from (match.start() for match in pattern.finditer(text))
    start = 0
    for line in text.split("\n"):
        if len(line) > _EXTREME or (line[:1].isupper() and _HEAD_BEFORE.match(line)):
            yield start
        if len(line) > _LONGEST_HEADING and line[-1].isalpha() and (title := _TITLE_AFTER.search(line[-LOOK:])):
            yield start + max(0, len(line) - LOOK) + title.start()
        start += len(line) + 1


def ends_with_heading(chunk: str) -> bool:
    """Whether the last line of a text is a heading, or the bare number of one, whose text must be elsewhere."""
    line = chunk.rstrip()[-LOOK:].rpartition("\n")[2].strip()
    if not line or len(line) > _LONGEST_HEADING:
        return False
    if _BARE_NUMERAL.fullmatch(line):
        return True
    title = _NUMERAL.sub("", line, count=1).rstrip(":")
    if not title[-1:].isalpha():
        return False
    words = title.split()
    if all(word.upper() in _HEADS or word in _COMMON for word in words):
        return any(word.upper() in _HEADS for word in words) and title[0].isupper()
    long = [word for word in words if len(word) > 3]
    if title == line:
        return len(words) > 1 and line.isupper() and not is_prose(line) and bool(_HEAD_WORD.search(line))
    return bool(long) and 4 * sum(word[0].isupper() for word in long) >= 3 * len(long)
