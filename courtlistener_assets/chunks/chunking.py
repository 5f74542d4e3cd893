"""Chunks: clean text -> pieces of whole sentences within a budget of tokens.

Belongs here: at which of the places where a text may be cut a chunk begins and ends. Does not belong here: where it may
be cut (`cuts.py`), how tokens are counted (`token_counts.py`), what a chunk's row holds (`table.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any, NamedTuple

from courtlistener_assets.chunks.cuts import CITED, PARAGRAPH, SECTION, SENTENCE, Cuts, notes_begin
from courtlistener_assets.chunks.token_counts import DEFAULT, Tokenizer
from courtlistener_assets.chunks.token_ruler import Ruler
from resources.errors import SettingError

#: Changes whenever the same text can give other chunks.
CHUNKER_VERSION = "3"

_MIN_BUDGET = 16
#: What a chunk may end with, best first, and what share of the budget it must have before it ends there.
_FULL_ENOUGH = ((SECTION, 0.5), (PARAGRAPH, 0.75), (SENTENCE, 0.5), (CITED, 0.25))


@dataclass(frozen=True)
class Chunk:
    """`text` is the clean text from `char_start` up to `char_end`, `token_count` its length in tokens."""

    text: str
    char_start: int
    char_end: int
    token_count: int
    index: int

    def __reduce__(self) -> tuple[Any, ...]:
        # To be pickled and copied where it is compiled and has no `__dict__`.
        return Chunk, (self.text, self.char_start, self.char_end, self.token_count, self.index)


def chunk(
    text: str,
    *,
    max_tokens: int = 512,
    overlap_sentences: int = 0,
    tokenizer: Tokenizer = DEFAULT,
    footnotes: Sequence[tuple[int, int]] = (),
    reserved: int = 0,
) -> list[Chunk]:
    """Split a text into chunks of at most `max_tokens` tokens, cut at sections, paragraphs or sentences.

    Without overlap the chunks cover the text exactly: each begins where the one before ends. With overlap a chunk
    begins up to `overlap_sentences` sentences earlier, as far as half of the budget allows. The default is no overlap:
    chunks end at the ends of sentences, and repeated text costs tokens and returns duplicates in a search.

    `footnotes` are the spans of the text that are footnotes: a chunk that has the end of the body has none of the notes
    behind it, unless the whole text is one chunk. `reserved` tokens of the budget are left for what is embedded
    together with each chunk.

    Raises SettingError if less than 16 tokens are left for a chunk, or the overlap is negative.
    """
    check_options(max_tokens, overlap_sentences, reserved)
    text = "".join((text,))  # of a class derived from str, too, of which compiled scans know nothing
    return list(_Chunker(text, max_tokens - reserved, overlap_sentences, tokenizer, footnotes).chunks())


def check_options(max_tokens: int, overlap_sentences: int = 0, reserved: int = 0) -> None:
    """Raise SettingError for options that `chunk` cannot use."""
    if max_tokens - reserved < _MIN_BUDGET:
        left = f", of which {reserved} are for the header" if reserved else ""
        raise SettingError(f"max_tokens is {max_tokens}{left}; at least {_MIN_BUDGET} are needed")
    if overlap_sentences < 0:
        raise SettingError(f"overlap_sentences is {overlap_sentences}; 0 or more is needed")


class _Span(NamedTuple):
    start: int
    end: int
    tokens: int


class _Chunker:
    """Cuts one text from its start to its end. `covered` is always the place up to which there are chunks."""

    def __init__(
        self,
        text: str,
        max_tokens: int,
        overlap_sentences: int,
        tokenizer: Tokenizer,
        footnotes: Sequence[tuple[int, int]] = (),
    ) -> None:
        self.text = text
        self.max_tokens = max_tokens
        self.overlap_sentences = overlap_sentences
        self.tokenizer = tokenizer
        self.cuts = Cuts(text)
        self.ruler = Ruler(text, self.cuts.paragraph_ends, tokenizer)
        self.notes = notes_begin(text, footnotes)

    def chunks(self) -> Iterator[Chunk]:
        covered = index = 0
        while covered < len(self.text):
            start, end, tokens = self._next(covered)
            yield Chunk(self.text[start:end], start, end, tokens, index)
            covered, index = end, index + 1

    def _next(self, covered: int) -> _Span:
        """The next chunk. If the ruler was wrong about it, as it can be with some tokenizers, a shorter one."""
        budget = self.max_tokens - self.ruler.framing
        while True:
            span = self._whole_sentences(covered, budget) or self._part_of_sentence(covered, budget)
            if not self.ruler.exact:
                span = span._replace(tokens=self.tokenizer.count(self.text[span.start : span.end]))
            excess = span.tokens - self.max_tokens
            if excess <= 0 or span.end == covered + 1:
                return span
            budget = max(0, budget - excess)

    def _whole_sentences(self, covered: int, budget: int) -> _Span | None:
        """The best chunk that ends with a sentence, with as much overlap as leaves room for that."""
        for start in self._overlaps(covered):
            if found := self._best(start, covered, budget):
                return found
        return self._best(covered, covered, budget)

    def _overlaps(self, covered: int) -> list[int]:
        """Where the sentences begin that the next chunk may repeat, the farthest first."""
        starts: list[int] = []
        most = self.max_tokens // 2
        if self.overlap_sentences and covered != self.notes:
            # A paragraph without ends of sentences would otherwise be searched up to its start for each of its chunks.
            low = max(self.ruler.before(covered, most), self.notes if covered > self.notes else 0)
            for start, _ in self.cuts.sentences(low, covered - 1):
                if len(starts) == self.overlap_sentences or self.ruler.count(start, covered) > most:
                    break
                starts.insert(0, start)
        return starts

    def _best(self, start: int, covered: int, budget: int) -> _Span | None:
        """The chunk from `start` that ends at the best place that makes it full enough: the last such place."""
        last = self._last(covered)
        beyond = self.ruler.beyond(start, budget)
        for end in (len(self.text), last) if covered == 0 else (last,):
            if beyond >= end and (tokens := self.ruler.count(start, end)) <= budget:
                return _Span(start, end, tokens)
        for least, share in _FULL_ENOUGH:
            enough = ceil(share * budget)
            if least == SENTENCE:
                beyond = self.ruler.beyond(start, budget, closely=True)
            low, high = max(covered, self.ruler.below(start, enough)), min(beyond, last)
            places = self.cuts.paragraphs if least >= PARAGRAPH else self.cuts.sentences
            for place, quality in places(low, high, least):
                if quality >= least and enough <= (tokens := self.ruler.count(start, place)) <= budget:
                    return _Span(start, place, tokens)
        return None

    def _part_of_sentence(self, start: int, budget: int) -> _Span:
        """A chunk that ends inside a sentence that is over the budget, if possible between clauses."""
        end = min(self._last(start), self.ruler.beyond(start, budget, closely=True))
        while end > start + 1 and (tokens := self.ruler.count(start, end)) > budget:
            end = max(start + 1, min(end - 1, start + (end - start) * max(budget, 0) // tokens))
        end = self.cuts.clause(start, end)
        return _Span(start, end, self.ruler.count(start, end))

    def _last(self, covered: int) -> int:
        """Where the next chunk ends at the latest."""
        return self.notes if covered < self.notes else len(self.text)
