"""Token counts: how many tokens a text is, offline.

Belongs here: the `Tokenizer` protocol, the default, OpenAI's cl100k_base, and cutting a line to a number of tokens.
Does not belong here: other tokenizers (`local_tokenizer.py`), where a text is split (`chunking.py`).

The vocabulary comes inside the wheel of semantic-text-splitter, which can say whether a text fits into n tokens, but
not how many it has. Byte pair encoding never crosses the borders of the words that the encoding's own pattern finds,
so the count of a text is the sum over its words, and a word's count is found once and remembered.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from typing import Protocol

from semantic_text_splitter import TextSplitter

from courtlistener_assets.chunks.remembered import LONGEST, Remembered
from courtlistener_assets.chunks.spaced_words import SpacedWords

_MODEL = "gpt-4"
#: Byte pair encoding is quadratic in a word's length; no longer word is measured. Those that are are remembered.
_LONGEST_WORD = LONGEST
#: Long words of so few different characters are lines and leaders, such as ______ or . . . . and worth counting well.
_DRAWN_CHARACTERS = 3


class Tokenizer(Protocol):
    """Anything with a name and a count of tokens. `count` should not fall when text is added.

    What a model puts around every text counts, too: it is the count of "". One that also has the method `counts` of
    `Cl100kTokenizer` need not count each chunk a second time as a whole.
    """

    name: str

    def count(self, text: str) -> int:
        """The number of tokens of `text`."""
        ...


class Cl100kTokenizer:
    """OpenAI's cl100k_base (text-embedding-3, ada-002). Exact, but for words of more than 64
    characters and letters beyond Unicode's basic plane, where the count can be too high.

    Safe to use from several threads.
    """

    name = "cl100k_base"

    def __init__(self) -> None:
        self._texts = SpacedWords(_WordCounts())

    def count(self, text: str) -> int:
        """The number of tokens of `text`, special tokens not counted."""
        return self._texts.count(text)

    def counts(self, text: str, places: Sequence[int]) -> list[int]:
        """The number of tokens of each part of `text`, from place to place.

        They add up to the count of the whole where a part begins with a single space or after a line break.
        """
        return self._texts.counts(text, places)


class _WordCounts(Remembered):
    """Counts by word. A word that is not there is measured."""

    def _found(self, word: str) -> int:
        if len(word) <= _LONGEST_WORD:
            return _measured(word)
        if len(set(word)) <= _DRAWN_CHARACTERS:
            return sum(self[word[start : start + _LONGEST_WORD]] for start in range(0, len(word), _LONGEST_WORD))
        return len(word.encode(errors="replace"))  # a token has at least one byte

    def of(self, text: str) -> int:
        """The count of all words of a text."""
        return sum(map(self.__getitem__, _word_pattern(text.isascii()).findall(text)))


def _measured(word: str) -> int:
    """The least capacity into which the word and one more token fit as one chunk, less that token.

    The one more token makes room for a split, without which a single character fits into any capacity.
    """
    word = word.encode(errors="replace").decode()  # lone surrogates
    low, high = 1, len(word.encode())
    while low < high:
        middle = min(low + 1, (low + high) // 2)
        if len(_splitter(middle + 1).chunks(word + " a")) == 1:
            high = middle
        else:
            low = middle + 1
    return low


@cache
def _splitter(capacity: int) -> TextSplitter:
    return TextSplitter.from_tiktoken_model(_MODEL, capacity, trim=False)


@cache
def _word_pattern(ascii_only: bool) -> re.Pattern[str]:
    """The pattern of cl100k_base in terms of the standard library, which has no \\p{L} and \\p{N}.

    Classes of plain ranges, because the standard library turns those into a table.
    """
    last = 0x7F if ascii_only else 0xFFFF
    letter, number = _class("L", last), _class("N", last)
    return re.compile(
        rf"'(?i:[sdmt]|ll|ve|re)|[^\r\n{letter}{number}]?+[{letter}]++|[{number}]{{1,3}}+"
        rf"| ?[^\s{letter}{number}]++[\r\n]*+|\s*[\r\n]+|\s+(?!\S)|\s+"
    )


def _class(category: str, last: int) -> str:
    """The ranges, for use inside a character class, of the characters up to `last` in a Unicode category."""
    points = [point for point in range(last + 1) if unicodedata.category(chr(point))[0] == category]
    starts = [point for before, point in pairwise([-2, *points]) if point != before + 1]
    ends = [point for point, after in pairwise([*points, -2]) if after != point + 1]
    return "".join(f"{chr(start)}-{chr(end)}" for start, end in zip(starts, ends, strict=True))


def shortened(line: str, max_tokens: int, tokenizer: Tokenizer) -> str:
    """A line that with the line break after it has at most so many tokens: itself, or its first words and `…`."""
    if tokenizer.count(line + "\n") <= max_tokens:
        return line
    words = line.split()
    kept = bisect_right(range(len(words)), max_tokens, key=lambda number: tokenizer.count(_first(words, number) + "\n"))
    return _first(words, max(0, kept - 1))


def _first(words: Sequence[str], number: int) -> str:
    return " ".join([*words[:number], "…"])


#: The tokenizer that is used unless another is given.
DEFAULT: Tokenizer = Cl100kTokenizer()
