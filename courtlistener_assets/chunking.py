"""Chunks: clean text -> pieces of whole sentences within a budget of tokens.

Belongs here: where a text may be cut and which cut is best. Does not belong here: how text is cleaned (`text.py`), how
tokens are counted (`token_counts.py`), what a chunk's row holds (`chunk_table.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import nupunkt

from courtlistener_assets.token_counts import DEFAULT, Tokenizer
from resources.errors import SettingError

#: Changes whenever the same text can give other chunks.
CHUNKER_VERSION = "1"

_MARKS = r"(?:\s?['\"\u2019”)\]»])*"
_SENTENCE_END = re.compile(rf"[.?!]{_MARKS}(?:\s?\[?(?:\d{{1,3}}|[*†‡]{{1,3}})\]?)?{_MARKS}\s*$")
_CLOSED = re.compile(rf"[.?!:;]{_MARKS}\s*$")
_PARAGRAPH_GAP = re.compile(r"\n{2,}")
#: A sentence that only supports the one before it, which a cut between them would leave without its authority.
_CITATION = re.compile(
    r"(?:Id|Ibid|See|Cf|Accord|But see|Compare|E\.g|\d+ [A-Z]|§|Pp?\. \d|[A-Z]\w+ v\. )|[\"'”\u2019)(\[]"
)
#: Where a sentence that is over the budget may be cut, best first.
_CLAUSE_ENDS = tuple(map(re.compile, (r"\n", r"[;:]\s+", r",\s+", r"\s+")))
_MIN_BUDGET = 16
_HEADING_CHARACTERS = 120

# How good a cut after a sentence is, and how full a chunk must be before the cut is preferred to a later one.
_INSIDE, _CITED, _SENTENCE, _PARAGRAPH, _SECTION = range(5)
_FULL_ENOUGH = {_SECTION: 0.5, _PARAGRAPH: 0.75, _SENTENCE: 0.5, _CITED: 0.25}


@dataclass(frozen=True)
class Chunk:
    """`text` is the clean text from `char_start` up to `char_end`, `token_count` its length in tokens."""

    text: str
    char_start: int
    char_end: int
    token_count: int
    index: int


@dataclass(frozen=True)
class _Unit:
    """A sentence, or a part of one that is over the budget. `cut` says how good it is to cut after it."""

    start: int
    end: int
    tokens: int
    cut: int


def chunk(
    text: str, *, max_tokens: int = 512, overlap_sentences: int = 0, tokenizer: Tokenizer = DEFAULT
) -> list[Chunk]:
    """Split a text into chunks of at most `max_tokens` tokens, cut at sections, paragraphs or sentences.

    Without overlap the chunks cover the text exactly: each begins where the one before ends. With overlap a chunk
    begins up to `overlap_sentences` sentences earlier, as far as the budget allows. The default is no overlap: chunks
    end at the ends of sentences, and repeated text costs tokens and returns duplicates in a search.

    Raises SettingError for a budget below 16 tokens or a negative overlap.
    """
    if max_tokens < _MIN_BUDGET:
        raise SettingError(f"max_tokens is {max_tokens}; at least {_MIN_BUDGET} is needed")
    if overlap_sentences < 0:
        raise SettingError(f"overlap_sentences is {overlap_sentences}; 0 or more is needed")
    units = list(_units(text, max_tokens, tokenizer))
    chunks: list[Chunk] = []
    first = 0
    while first < len(units):
        start = _with_overlap(units, first, max_tokens, overlap_sentences if chunks else 0)
        end = _best_end(units, start, first, max_tokens)
        part, tokens = _fitting(text, units, start, first, end, max_tokens, tokenizer)
        start, end = part
        chunks.append(
            Chunk(text[units[start].start : units[end].end], units[start].start, units[end].end, tokens, len(chunks))
        )
        first = end + 1
    return chunks


def ends_at_sentence(text: str) -> bool:
    """Whether a chunk's text ends like a sentence: a full stop, question or exclamation mark, closing marks aside."""
    return bool(_SENTENCE_END.search(text[-40:]))


# --- units -----------------------------------------------------------------------------------------------------------


def _units(text: str, max_tokens: int, tokenizer: Tokenizer) -> Iterator[_Unit]:
    blocks = list(_blocks(text))
    for number, (start, end) in enumerate(blocks):
        after = text[slice(*blocks[number + 1])] if number + 1 < len(blocks) else ""
        starts = sorted({start, *(start + offset for offset in _sentence_starts(text[start:end]))})
        for sentence_start, sentence_end in zip(starts, [*starts[1:], end], strict=True):
            sentence = text[sentence_start:sentence_end]
            if sentence_end == end:
                cut = _cut_after_block(sentence, after)
            else:
                cut = _CITED if _CITATION.match(text, sentence_end) else _SENTENCE
            yield from _within_budget(text, sentence_start, sentence_end, cut, max_tokens, tokenizer)


def _blocks(text: str) -> Iterator[tuple[int, int]]:
    """The paragraphs, each with the blank lines that follow it, so that they cover the text."""
    start = 0
    for gap in _PARAGRAPH_GAP.finditer(text):
        if text[start : gap.start()].strip():
            yield start, gap.end()
            start = gap.end()
    if start < len(text):
        yield start, len(text)


def _sentence_starts(block: str) -> list[int]:
    """Where the sentences of a paragraph begin; white space belongs to the sentence before it."""
    starts = []
    for start, end in nupunkt.sent_spans(block):
        sentence = block[start:end]
        if sentence.strip():
            starts.append(start + len(sentence) - len(sentence.lstrip()))
    return starts[1:]


def _cut_after_block(sentence: str, following: str) -> int:
    bare = sentence.rstrip()
    if not _CLOSED.search(bare[-20:]):
        return _INSIDE
    head = following.strip()
    if head and len(head) <= _HEADING_CHARACTERS and not _CLOSED.search(head):
        return _SECTION
    if head[:1].islower() or bare[-1] in ":;":
        return _SENTENCE if ends_at_sentence(bare) else _INSIDE
    return _PARAGRAPH


def _within_budget(text: str, start: int, end: int, cut: int, max_tokens: int, tokenizer: Tokenizer) -> Iterator[_Unit]:
    """Yield the sentence as one unit, or its parts if it is over the budget. White space after it costs a token."""
    pending = [(start, end)]
    while pending:
        start, stop = pending.pop()
        tokens = tokenizer.count(text[start:stop])
        if tokens <= max_tokens or stop - start == 1:
            yield _Unit(start, stop, tokens, cut if stop == end else _INSIDE)
        else:
            middle = _clause_end(text, start, stop)
            pending += ((middle, stop), (start, middle))


def _clause_end(text: str, start: int, end: int) -> int:
    """The end of the clause nearest to the middle, in the middle half; without any, the middle."""
    quarter, middle = (end - start) // 4, (start + end) // 2
    window = slice(max(start + 1, middle - min(quarter, 2000)), min(end - 1, middle + min(quarter, 2000)))
    for pattern in _CLAUSE_ENDS:
        ends = [window.start + match.end() for match in pattern.finditer(text[window])]
        if ends:
            return min(ends, key=lambda place: abs(place - middle))
    return middle


# --- packing ---------------------------------------------------------------------------------------------------------


def _with_overlap(units: list[_Unit], first: int, max_tokens: int, sentences: int) -> int:
    """The unit at which a chunk begins whose first new unit is `first`. Overlap takes at most half of the budget."""
    start, tokens = first, 0
    while first - start < sentences and start > 0:
        tokens += units[start - 1].tokens
        if tokens > max_tokens // 2 or tokens + units[first].tokens > max_tokens:
            break
        start -= 1
    return start


def _best_end(units: list[_Unit], start: int, first: int, max_tokens: int) -> int:
    """The last unit of the chunk from `start` with at least the unit `first`: the best cut that is full enough."""
    tokens = sum(unit.tokens for unit in units[start:first])
    best: dict[int, int] = {}
    end = first
    while end < len(units) and (end == first or tokens + units[end].tokens <= max_tokens):
        tokens += units[end].tokens
        cut = units[end].cut
        if cut in _FULL_ENOUGH and tokens >= _FULL_ENOUGH[cut] * max_tokens:
            best[cut] = end
        end += 1
    if end == len(units):
        return end - 1
    return next((best[cut] for cut in _FULL_ENOUGH if cut in best), end - 1)


def _fitting(
    text: str, units: list[_Unit], start: int, first: int, end: int, max_tokens: int, tokenizer: Tokenizer
) -> tuple[tuple[int, int], int]:
    """Count the chunk as a whole; give up units while it is over the budget, which other tokenizers may cause."""
    while True:
        tokens = tokenizer.count(text[units[start].start : units[end].end])
        if tokens <= max_tokens or (start == first and end == first):
            return (start, end), tokens
        if start < first:
            start += 1
        else:
            end -= 1
