"""Token counts equal those of the encoding, checked against known values and the splitter's own vocabulary."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from semantic_text_splitter import TextSplitter

from courtlistener_assets.chunks import remembered, token_counts
from courtlistener_assets.chunks.token_counts import DEFAULT, Cl100kTokenizer

#: Letters, numbers, marks, spaces and signs that the encoding's pattern treats differently.
CHARACTERS = st.sampled_from("aAbB zZ  \n\n\t'sS're-_.,;:()§¶“”\u2019éßøĳΩж你好½²Ⅳ٣३\u0301\u00a0\u2003🙂0123456789")


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 0),
        ("hello world", 2),
        ("Fed. R. Civ. P. 12(b)(6)", 14),
        ("42 U.S.C. § 1983", 9),
        ("“naïve” ½ Ⅳ", 10),
        ("\n\n  The court\u2019s\t1,000,000", 11),
    ],
)
def test_counts_are_those_of_cl100k_base(text: str, tokens: int) -> None:
    assert DEFAULT.count(text) == tokens


@given(st.text(CHARACTERS, min_size=1, max_size=40))
def test_a_count_is_the_least_capacity_into_which_the_text_fits(text: str) -> None:
    tokens = DEFAULT.count(text)

    def fits(capacity: int) -> bool:
        # One more token keeps the splitter from giving a single character a chunk of any size.
        splitter = TextSplitter.from_tiktoken_model("gpt-4", capacity + 1, trim=False)
        return len(splitter.chunks(text + " a")) == 1

    assert fits(tokens)
    assert tokens == 1 or not fits(tokens - 1)


def test_a_drawn_line_costs_few_tokens_and_a_long_word_never_too_few() -> None:
    assert DEFAULT.count("_" * 200) < 20
    assert DEFAULT.count("qx7" * 100) >= 100


def test_a_lone_surrogate_can_be_counted() -> None:
    assert DEFAULT.count("a \ud800 b") > 2


@given(st.text(st.one_of(CHARACTERS, st.sampled_from("\0\ud800x")), max_size=80), st.lists(st.integers(0, 80)))
def test_the_counts_of_parts_are_those_of_each_by_itself(text: str, places: list[int]) -> None:
    places = sorted(min(place, len(text)) for place in [0, *places])
    assert DEFAULT.counts(text, places) == [DEFAULT.count(text[start:end]) for start, end in pairwise(places)]


@pytest.mark.skipif(
    not str(token_counts.__file__).endswith(".py"), reason="compiled code calls what it was compiled with"
)
def test_a_word_that_comes_again_soon_is_not_measured_again_however_many_came_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    measured: list[str] = []
    monkeypatch.setattr(token_counts, "_measured", lambda word: measured.append(word) or 1)
    monkeypatch.setattr(remembered, "_FOR_GOOD", 1)
    monkeypatch.setattr(remembered, "_LATEST", 2)
    tokenizer = Cl100kTokenizer()
    for word in ("The", "Xyzzy", "Xyzzy", "The"):
        assert tokenizer.count(word) == 1
    assert measured == ["The", "Xyzzy"]
    for word in ("Others", "take", "their", "The", "Xyzzy"):
        tokenizer.count(word)
    assert measured == ["The", "Xyzzy", "Others", "take", "their", "Xyzzy"]
