"""Chunks cover the text, keep the budget and end where sentences end."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from courtlistener_assets.chunks import cuts
from courtlistener_assets.chunks.chunking import Chunk, chunk
from courtlistener_assets.chunks.cuts import CITED, PARAGRAPH, SECTION, SENTENCE, Cuts, ends_at_sentence
from courtlistener_assets.chunks.token_counts import DEFAULT
from courtlistener_assets.chunks.token_ruler import Ruler
from courtlistener_assets.devkit.simulator import prose
from courtlistener_assets.text.cleaning import clean
from resources.errors import SettingError

PIECES = st.sampled_from(
    [
        "The court held otherwise. ",
        "See Roe v. Doe, 410 U.S. 113, 120 (1973) (en banc). ",
        "Fed. R. Civ. P. 12(b)(6) applies; ",
        "\n\n",
        "\n",
        "II\n\n",
        "“It is so ordered.” ",
        "a" * 90,
        "¶ 4 § 1983 ",
        "\u4f60\u597d🙂 ",
        "   ",
        "x, y, z ",
    ]
)
TEXTS = st.one_of(st.lists(PIECES, max_size=60).map("".join), st.text(max_size=400))


class WordTokenizer:
    """A tokenizer of another kind: words."""

    name = "words"

    def count(self, text: str) -> int:
        return len(text.split())


class FramingTokenizer(WordTokenizer):
    """Puts a token before and after each text, as encoders do, so that parts have more tokens than the whole."""

    def count(self, text: str) -> int:
        return super().count(text) + 2


class GrowingTokenizer(WordTokenizer):
    """Needs more tokens a word the longer the text is, so that parts have fewer tokens than the whole."""

    def count(self, text: str) -> int:
        return super().count(text) ** 2 // 8


class CountingTokenizer:
    """Counts bytes in fours, and how many characters it was asked to count."""

    name = "bytes"

    def __init__(self) -> None:
        self.characters = 0

    def count(self, text: str) -> int:
        self.characters += len(text)
        return -(-len(text.encode()) // 4)


def paragraphs(count: int, sentences: int = 6) -> str:
    sentence = "The {0} witness said that she saw the {0} ferry leave before noon, and nobody contradicted her. "
    return "\n\n".join(
        "".join(sentence.format(f"{number}-{part}") for part in range(sentences)).strip() for number in range(count)
    )


@given(TEXTS, st.integers(16, 80))
@settings(max_examples=150, deadline=None)
def test_chunks_without_overlap_give_the_text_back_exactly(text: str, max_tokens: int) -> None:
    chunks = chunk(text, max_tokens=max_tokens)
    assert "".join(part.text for part in chunks) == text
    assert [part.char_start for part in chunks] == [0, *(part.char_end for part in chunks[:-1])][: len(chunks)]
    assert all(text[part.char_start : part.char_end] == part.text for part in chunks)
    assert [part.index for part in chunks] == list(range(len(chunks)))


@given(TEXTS, st.integers(16, 80), st.integers(0, 3))
@settings(max_examples=150, deadline=None)
def test_no_chunk_is_over_the_budget_and_counts_are_true(text: str, max_tokens: int, overlap: int) -> None:
    for part in chunk(text, max_tokens=max_tokens, overlap_sentences=overlap):
        assert part.token_count == DEFAULT.count(part.text)
        assert part.token_count <= max_tokens


@given(TEXTS, st.integers(16, 80), st.integers(1, 3))
@settings(max_examples=100, deadline=None)
def test_with_overlap_every_chunk_still_adds_something(text: str, max_tokens: int, overlap: int) -> None:
    chunks = chunk(text, max_tokens=max_tokens, overlap_sentences=overlap)
    covered = 0
    for part in chunks:
        assert part.char_start <= covered < part.char_end
        assert text[part.char_start : part.char_end] == part.text
        covered = part.char_end
    assert covered == len(text)


def best_end(text: str, start: int, max_tokens: int) -> int | None:
    """What a chunk should end with, found by trying every place and counting every chunk as a whole."""

    def tokens(end: int) -> int:
        return DEFAULT.count(text[start:end])

    if tokens(len(text)) <= max_tokens:
        return len(text)
    places = list(Cuts(text).sentences(start, min(len(text), start + 40 * max_tokens)))
    for least, share in ((SECTION, 0.5), (PARAGRAPH, 0.75), (SENTENCE, 0.5), (CITED, 0.25)):
        good = [end for end, quality in places if quality >= least and share * max_tokens <= tokens(end) <= max_tokens]
        if good:
            return max(good)
    return None


@given(TEXTS, st.integers(16, 80))
@settings(max_examples=150, deadline=None)
def test_every_chunk_ends_at_the_best_of_all_places(text: str, max_tokens: int) -> None:
    for part in chunk(text, max_tokens=max_tokens):
        expected = best_end(text, part.char_start, max_tokens)
        assert expected is None or part.char_end == expected


@pytest.mark.parametrize("max_tokens", [100, 512])
def test_every_chunk_of_long_prose_ends_at_the_best_of_all_places(max_tokens: int) -> None:
    chance = random.Random(max_tokens)
    text = "\n\n".join(" ".join(prose.sentence(chance) for _ in range(chance.choice((1, 2, 6, 40)))) for _ in range(8))
    parts = chunk(text, max_tokens=max_tokens)
    assert [part.char_end for part in parts] == [best_end(text, part.char_start, max_tokens) for part in parts]


def test_an_empty_text_has_no_chunk() -> None:
    assert chunk("") == []


def test_a_short_document_is_one_chunk() -> None:
    text = "I\n\nThe appeal is dismissed.\n\nII\n\nNo costs."
    assert chunk(text) == [Chunk(text, 0, len(text), DEFAULT.count(text), 0)]


def test_overlap_repeats_whole_sentences_of_the_chunk_before() -> None:
    text = paragraphs(6)
    for before, after in zip(
        *(chunk(text, max_tokens=120, overlap_sentences=1)[part:] for part in (0, 1)), strict=False
    ):
        repeated = text[after.char_start : before.char_end]
        assert repeated.startswith("The ")
        assert ends_at_sentence(repeated)
        assert after.text.startswith(repeated)


@given(TEXTS, st.integers(16, 80), st.integers(1, 3))
@settings(max_examples=150, deadline=None)
def test_the_overlap_is_that_which_a_search_of_the_whole_text_before_finds(
    text: str, max_tokens: int, overlap: int
) -> None:
    parts = chunk(text, max_tokens=max_tokens, overlap_sentences=overlap)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Ruler, "before", lambda *_: 0)
        assert chunk(text, max_tokens=max_tokens, overlap_sentences=overlap) == parts


@pytest.mark.skipif(not str(cuts.__file__).endswith(".py"), reason="compiled code calls what it was compiled with")
def test_with_overlap_a_text_four_times_as_long_is_searched_four_times_as_much(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    searched, search = [0], cuts._sentence_ends

    def counted(text: str, paragraph: tuple[int, int], low: int, high: int, may_be: Any) -> Iterator[int]:
        searched[-1] += high - low
        return search(text, paragraph, low, high, may_be)

    monkeypatch.setattr(cuts, "_sentence_ends", counted)
    for length in (5_000, 20_000):
        searched.append(0)
        chunk("Mr. A. B. " * (length // 10), max_tokens=64, overlap_sentences=2)
    assert 0 < searched[2] < 5 * searched[1]


def test_citations_and_abbreviations_do_not_end_sentences() -> None:
    text = (
        "Under Fed. R. Civ. P. 12(b)(6) and Roe v. Wade, 410 U.S. 113 (1973), Dr. J. B. Smith may appeal. He did. " * 12
    )
    for part in chunk(text, max_tokens=100):
        assert part.text.startswith(("Under Fed.", "He did."))


def test_a_chunk_ends_before_a_heading_rather_than_after_it() -> None:
    text = f"{paragraphs(2)}\n\nIII. REMEDY\n\n{paragraphs(3)}"
    chunks = chunk(text, max_tokens=400)
    assert chunks[1].text.startswith("III. REMEDY\n\nThe 0-0 witness")


@pytest.mark.parametrize(
    "title", ["II.", "A.", "II", "DISCUSSION", "B. The Merits.", "II.\n\nStandard of Review", "7."]
)
@pytest.mark.parametrize("max_tokens", [64, 100, 150, 200])
def test_no_chunk_ends_with_a_heading(title: str, max_tokens: int) -> None:
    text = "\n\n".join(f"{paragraphs(1, sentences)}\n\n{title}" for sentences in range(1, 9)) + "\n\nThe end."
    chunks = chunk(text, max_tokens=max_tokens)
    assert len(chunks) > 3
    assert not any(part.text.rstrip().endswith(title) for part in chunks)
    assert all(map(ends_at_sentence, (part.text for part in chunks)))


def test_not_even_before_a_sentence_over_the_budget() -> None:
    long = "The lease covers " + "; ".join(f"the meadow numbered {number} on the plan" for number in range(60)) + "."
    chunks = chunk(f"{paragraphs(1, 2)}\n\nII.\n\n{long}", max_tokens=64)
    assert any(part.text.startswith("II.") for part in chunks)
    assert not any(part.text.rstrip().endswith("II.") for part in chunks)


@pytest.mark.parametrize("citation", ["Fed. R.Civ.P. 11(b)", "H.R.Rep. No. 12", "Roe v. Doe (C.D.Ill. 1997)"])
def test_no_chunk_ends_inside_a_citation(citation: str) -> None:
    text = " ".join(f"The {number}th owner relied on {citation} when he sued." for number in range(200))
    for max_tokens in range(32, 60):
        assert all(part.text.rstrip().endswith("sued.") for part in chunk(text, max_tokens=max_tokens))


def test_body_and_footnotes_are_not_in_one_chunk() -> None:
    body, notes = paragraphs(4), "1 He said so at noon.\n\n2 She said so at night."
    text = f"{body}\n\nNOTES\n\n{notes}"
    first = text.index("1 He")
    spans = [(first, first + 21), (first + 23, len(text))]
    chunks = chunk(text, max_tokens=200, footnotes=spans)
    assert chunks[-1].text == f"NOTES\n\n{notes}"
    assert chunks[-2].text.strip().endswith(body[-40:])
    assert [part.text for part in chunk(text, max_tokens=2000, footnotes=spans)] == [text]


@given(TEXTS, TEXTS, st.integers(16, 80), st.integers(0, 2))
@settings(max_examples=100, deadline=None)
def test_with_footnotes_nothing_is_lost_and_none_is_in_the_chunk_of_the_body(
    body: str, notes: str, max_tokens: int, overlap: int
) -> None:
    text = f"{body}\n\nIt is so ordered.\n\n{notes}"
    begin = len(text) - len(notes)
    chunks = chunk(text, max_tokens=max_tokens, overlap_sentences=overlap, footnotes=[(begin, len(text))])
    covered = 0
    for part in chunks:
        assert part.char_start <= covered < part.char_end
        assert len(chunks) == 1 or not notes.strip() or not part.char_start < begin < part.char_end
        covered = part.char_end
    assert covered == len(text)


@given(TEXTS, st.integers(0, 40))
@settings(max_examples=50, deadline=None)
def test_what_is_reserved_is_left(text: str, reserved: int) -> None:
    assert [part.text for part in chunk(text, max_tokens=60, reserved=reserved)] == [
        part.text for part in chunk(text, max_tokens=60 - reserved)
    ]


def test_a_chunk_does_not_part_a_sentence_from_its_citation_if_it_can() -> None:
    sentence = "A bee is an animal under the Act, as the Board has long and often and rightly said. Id. at 14. "
    chunks = chunk(sentence * 40, max_tokens=90)
    assert all(part.text.startswith("A bee is") for part in chunks)


def test_a_sentence_over_the_budget_is_cut_between_clauses() -> None:
    text = "The lease covers " + "; ".join(f"the meadow numbered {number} on the plan" for number in range(60)) + "."
    chunks = chunk(text, max_tokens=64)
    assert len(chunks) > 5
    assert all(part.text.endswith("; ") for part in chunks[:-1])


def test_a_word_over_the_budget_is_cut_anywhere() -> None:
    text = "q1Xz" * 500
    chunks = chunk(text, max_tokens=32)
    assert "".join(part.text for part in chunks) == text
    assert max(part.token_count for part in chunks) <= 32


@pytest.mark.parametrize("pattern", ["word and ", "ab-", "\n", "a\n\n", ". ", "”", "\n \n", "你好，世界。", "🙂"])
def test_a_text_four_times_as_long_takes_about_four_times_the_counting(pattern: str) -> None:
    characters = []
    for length in (20_000, 80_000):
        tokenizer = CountingTokenizer()
        text = pattern * (length // len(pattern))
        assert "".join(part.text for part in chunk(text, tokenizer=tokenizer)) == text
        characters.append(tokenizer.characters)
    assert characters[1] < 5 * characters[0]


@pytest.mark.parametrize(
    "tokenizer", [WordTokenizer(), FramingTokenizer(), GrowingTokenizer()], ids=lambda it: type(it).__name__
)
@pytest.mark.parametrize("overlap", [0, 2])
def test_another_tokenizer_sets_the_budget(tokenizer: WordTokenizer, overlap: int) -> None:
    text = paragraphs(5) + " and so on" * 100
    chunks = chunk(text, max_tokens=50, tokenizer=tokenizer, overlap_sentences=overlap)
    assert max(part.token_count for part in chunks) <= 50
    assert all(part.token_count == tokenizer.count(part.text) for part in chunks)
    assert chunks[-1].char_end == len(text)


def test_nearly_all_chunks_of_prose_end_at_a_sentence() -> None:
    golden = Path(__file__).parent / "golden"
    texts = [path.read_text(encoding="utf-8").partition("\n" + "-" * 40)[0] for path in golden.glob("*.expected")]
    prose = "\n\n".join(texts * 5)
    chunks = chunk(prose, max_tokens=128)
    assert sum(ends_at_sentence(part.text) for part in chunks) / len(chunks) >= 0.95


@pytest.mark.parametrize(
    "arguments", [{"max_tokens": 15}, {"overlap_sentences": -1}, {"max_tokens": 64, "reserved": 50}]
)
def test_impossible_settings_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(SettingError, match=next(iter(arguments))):
        chunk("text", **arguments)


class Derived(str):
    """As some parsers of JSON and HTML return."""

    __slots__ = ()


def test_what_is_derived_from_str_is_text() -> None:
    text = "It is so, <b>and</b> more. " * 200
    assert chunk(Derived(text)) == chunk(text)
    for field in ("html", "plain_text"):
        assert clean(Derived(text), field) == clean(text, field)


def test_a_megabyte_of_dots_takes_no_time_that_grows_with_its_square() -> None:
    """Otherwise this takes longer than a test may."""
    text = ".\n" * 250_000
    assert "".join(part.text for part in chunk(text)) == text
