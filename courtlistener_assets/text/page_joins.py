"""Page numbers in markup: what they part, paragraphs, sentences and words, is joined again.

Belongs here: star pages in brackets, which only the text shows, and what stands on both sides of any page number. Does
not belong here: elements that are page numbers (`tags.py`), printed pages (`plain.py`).
"""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise
from string import ascii_lowercase
from typing import Final, NamedTuple

from courtlistener_assets.text.marks import MARK, MARK_END, MARK_TOKEN, Marks, visible
from courtlistener_assets.text.scans import mark_at, marks_in

_LONG_LINE: Final = 40
#: Abbreviations that something always follows.
_LEADING: Final = re.compile(r"\b(?:[Cc]f|Dr|e\.g|Hon|i\.e|Mr|Mrs|Ms|Nos?|vs?)\.\Z")
_MONTH: Final = r"(?:Jan|Feb|Mar|Apr|May|June?|July?|Aug|Sept?|Oct|Nov|Dec)[a-z]*\b"
_REPORTER: Final = rf"(?!{_MONTH})[A-Z][\w.'\u2019 ]{{0,24}}?[\w.]"
_PLACE: Final = rf"\d{{1,4}} {_REPORTER} {{1,2}}\d{{1,5}}"
#: `[*2]`, `[100 A.3d 1005]`, `[945 N.E.2d 485 , 920 N.Y.S.2d 292]`
_PAGE: Final = re.compile(rf"\[(?:\*+\d{{1,5}}|(\d{{1,4}}) ({_REPORTER}) {{1,2}}(\d{{1,5}})(?: ?[,;] ?{_PLACE})*)\]")
_STAR: Final = re.compile(r"(?<![^\s*\[(])(\*{1,3})(\d{1,5})(?![\d*\-\u2013,.;)\]])")
#: Before the star of a page that is cited.
_CITED: Final = re.compile(r"(?:\b(?:at|and|or|to|see|id\.|pp?\.)|[,&\u2013-]|WL \d+|LEXIS \d+) \Z", re.IGNORECASE)
_TOKENS: Final = re.compile(rf"(?:\s*{MARK_TOKEN.pattern})+\s*")
#: Words that are no part of a longer one.
# fmt: off
_WHOLE: Final = frozenset({
    "a", "an", "and", "are", "as", "but", "by", "for", "from", "has", "have", "his", "is", "it", "its", "not", "of",
    "on", "or", "that", "the", "their", "this", "to", "was", "were",
})
# fmt: on
_COMPOUND_HEADS: Final = frozenset(
    ["all", "co", "cross", "ex", "half", "non", "post", "pre", "quasi", "self", "so", "vice", "well"]
)
_FEW: Final = 40
_FEW_PAGES: Final = 2
_LETTERS: Final = re.compile(r"[a-z]+")
_RIGHT_PART: Final = re.compile(r"[a-z]+")
_WORD_LENGTH: Final = 30
_ENDS: Final = ".?!:;"
_AFTER_END: Final = "\"'”\u2019)]*0123456789 "
_HEAD_BLOCKS: Final = 4
#: From so many characters on, a block is no heading and no judge's name.
_PARAGRAPH_LENGTH: Final = 80
_UNFINISHED: Final = re.compile(
    r"(?:[,(\[]|\b(?:an?|and|as|at|by|for|from|in|is|it|of|on|or|than|that|the|this|to|was|which|with))\Z"
)


def take_stars(blocks: list[str], marks: Marks) -> None:
    """Move stars without brackets (`*411`) to marks where they count the pages, not where they are cited."""
    found: list[tuple[int, re.Match[str]]] = []
    for index, block in enumerate(blocks):
        at = block.find("*")
        while at >= 0:
            match = _STAR.match(block, at)
            if match and not _CITED.search(block, max(0, at - _WORD_LENGTH), at):
                found.append((index, match))
            at = block.find("*", match.end() if match else at + 1)
    if not found:
        return
    own: set[tuple[int, int]] = set()
    for stars in ("*", "**", "***"):
        series = [(index, match) for index, match in found if match[1] == stars]
        for before, after in pairwise(series):
            if int(after[1][2]) == int(before[1][2]) + 1:
                own |= {(index, match.start()) for index, match in (before, after)}
    for index in {index for index, _ in own}:
        blocks[index] = _STAR.sub(
            lambda match, index=index: (  # type: ignore[misc]
                marks.mark("page", match.group()) if (index, match.start()) in own else match.group()
            ),
            blocks[index],
        )


def take_pages(blocks: list[str], marks: Marks) -> None:
    """Move star pages to marks: certain ones, and those of a volume that is paged through or that heads the text."""
    found: list[tuple[int, re.Match[str]]] = []
    for index, block in enumerate(blocks):
        at = block.find("[")
        while at >= 0:
            first = block[at + 1 : at + 2]
            match = _PAGE.match(block, at) if first == "*" or first.isdigit() else None
            if match:
                found.append((index, match))
            at = block.find("[", match.end() if match else at + 1)
    if not found:
        return
    volumes: dict[tuple[str, str], list[int]] = {}
    for _, match in found:
        if match[1]:
            volumes.setdefault((match[1], match[2].replace(" ", "")), []).append(int(match[3]))
    head = "".join(_PAGE.sub("", "\n".join(blocks[:_HEAD_BLOCKS])).split())
    paged = {
        (volume, reporter)
        for (volume, reporter), pages in volumes.items()
        if (len(pages) > 1 and all(before <= after for before, after in pairwise(pages))) or volume + reporter in head
    }

    def taken(match: re.Match[str]) -> str:
        alone = len(match.group()) == len(match.string)
        if match[1] and not alone and (match[1], match[2].replace(" ", "")) not in paged:
            return match.group()
        return marks.mark("page", match.group())

    for index in {index for index, _ in found}:
        blocks[index] = _PAGE.sub(taken, blocks[index])


def joined_at_pages(blocks: list[str], marks: Marks) -> list[str]:
    """Join the halves of a sentence, and of a word, which a page number had parted."""
    result: list[str] = []
    held = ""
    for block in blocks:
        tokens = _TOKENS.match(block) if block[0] == MARK else None
        pages = tokens.group() if tokens and _are_pages(tokens.group(), marks) else ""
        if pages and len(pages) == len(block) and result:
            held += block + " "
            continue
        if result and (held or pages) and runs_on(result[-1], block[len(pages) :]):
            result[-1] += " " + held + block
        elif held:
            result.append(held + block)
        else:
            result.append(block)
        held = ""
    return [*result, held.strip()] if held else result


def _are_pages(tokens: str, marks: Marks) -> bool:
    return all(marks.found[number][0] == "page" for number in marks_in(tokens))


def runs_on(before: str, after: str) -> bool:
    """Whether a sentence goes on from one block to another, across what is no part of it."""
    before, after = visible(before).rstrip(), visible(after).lstrip()
    if not before or not after or "\t" in before[-200:]:
        return False
    if _LEADING.search(before[-_WORD_LENGTH:]):
        return True
    if before.rstrip(_AFTER_END).endswith(tuple(_ENDS)) and before[-1] not in "([":
        return False
    unfinished = len(before) >= _PARAGRAPH_LENGTH and before.rstrip("'\u2019")[-1:].islower()
    return after[0].islower() or unfinished or bool(_UNFINISHED.search(before[-_WORD_LENGTH:]))


class _Parting(NamedTuple):
    """Page numbers between two parts of what may be one word, and whether the text has a space before and behind.

    The left part ends, without its hyphen, at `end`; the right one begins at `begin`.
    """

    left: str
    hyphen: str
    right: str
    end: int
    tokens: str
    begin: int
    before: bool
    behind: bool


def mended_words(text: str, marks: Marks) -> str:
    """Close the gap in words that a page number had parted: `in*411 formation`, `infor- *411 mation`."""
    found, spaced = _partings(text, marks)
    if not found:
        return text
    words = Counter(_LETTERS.findall(text)) if len(found) > _FEW else _Occurrences(text)
    pieces: list[str] = []
    position = 0
    for parting in found:
        # Where a publisher puts spaces around page numbers, one that touches a letter is inside a word.
        touches = (spaced[0] and not parting.before) or (spaced[1] and not parting.behind)
        one = _is_one_word(parting.left, parting.right, words, cut=bool(parting.hyphen))
        if parting.end - len(parting.left) < position or not (one or (touches and not parting.hyphen)):
            continue
        hyphen = marks.mark("hyphen", parting.hyphen) if parting.hyphen else ""
        pieces += (text[position : parting.end], hyphen, parting.tokens.strip())
        position = parting.begin
    return "".join([*pieces, text[position:]]) if pieces else text


def _partings(text: str, marks: Marks) -> tuple[list[_Parting], tuple[bool, bool]]:
    """The page numbers between two small letters, and whether page numbers have spaces before and behind them."""
    found: list[_Parting] = []
    total = before = behind = 0
    start = text.find(MARK)
    while start >= 0:
        end, pages = start, True
        while (mark := mark_at(text, end)) >= 0:
            pages = pages and marks.found[mark][0] == "page"
            end = text.find(MARK_END, end) + 1
            while text[end : end + 1].isspace():
                end += 1
        run = text[start:end]
        if pages and run and start and "\n" not in run:
            spaced, spaced_behind = text[start - 1].isspace(), run[-1].isspace()
            total, before, behind = total + 1, before + spaced, behind + spaced_behind
            right = _RIGHT_PART.match(text, end) if _is_letter(text[end : end + 1]) else None
            hyphen = "-" if text[start - spaced - 1 : start - spaced] == "-" else ""
            last = start - spaced - len(hyphen)
            left = _last_word(text, max(0, start - _WORD_LENGTH), last) if right else ""
            if right and left and left not in _WHOLE and right.group() not in _WHOLE:
                found.append(_Parting(left, hyphen, right.group(), last, run, end, spaced, spaced_behind))
        start = text.find(MARK, max(end, start + 1))
    return found, (before >= max(_FEW_PAGES, 0.8 * total), behind >= max(_FEW_PAGES, 0.8 * total))


class _Occurrences(dict[str, int]):
    """How often words occur in a text, once or more, counted when asked: cheaper than to count all words for a few."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __missing__(self, word: str) -> int:
        count = 0
        start = self.text.find(word)
        while start >= 0 and count <= 1:
            end = start + len(word)
            count += not _is_letter(self.text[start - 1 : start]) and not _is_letter(self.text[end : end + 1])
            start = self.text.find(word, end)
        self[word] = count
        return count


def _last_word(text: str, first: int, end: int) -> str:
    """The small letters before a place in a text, back to another one; "" if more letters stand before them."""
    part = text[first:end]
    word = part[len(part.rstrip(ascii_lowercase)) :]
    before = text[end - len(word) - 1 : end - len(word)]
    return "" if before.isascii() and before.isalpha() else word


def _is_letter(sign: str) -> bool:
    return "a" <= sign <= "z"


def _is_one_word(left: str, right: str, words: dict[str, int], *, cut: bool) -> bool:
    """Whether a document has two parts as one word, and at least one of them nowhere else.

    With a hyphen (`cut`) it is enough that it has neither elsewhere, unless words are made with it (self-executing).
    """
    if not words[left + right]:
        return cut and max(words[left], words[right]) <= 1 and left not in _COMPOUND_HEADS
    return min(words[left], words[right]) <= 1
