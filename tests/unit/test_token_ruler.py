"""The ruler counts what the tokenizer counts, and most of a text only once."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from courtlistener_assets.chunks.cuts import Cuts
from courtlistener_assets.chunks.token_counts import DEFAULT
from courtlistener_assets.chunks.token_ruler import Ruler

PARTS = st.sampled_from(
    [
        "The court held",
        " otherwise.",
        " ",
        "  ",
        "\n",
        "\n\n",
        " \n",
        "\t",
        "410 U.S. 113",
        "“It",
        "’s",
        " —",
        "1234567",
        "é你",
    ]
)
TEXTS = st.lists(PARTS, max_size=80).map("".join)
PROSE = "\n\n".join(f"Paragraph {number} of the order says that it is so ordered. " * 30 for number in range(20))


class CountingTokenizer:
    """Counts words, and how many characters it was asked to count."""

    name = "words"

    def __init__(self) -> None:
        self.characters = 0

    def count(self, text: str) -> int:
        self.characters += len(text)
        return len(text.split())


@given(TEXTS, st.data())
@settings(max_examples=200, deadline=None)
def test_a_count_between_any_two_places_is_that_of_the_text_between_them(text: str, data: st.DataObject) -> None:
    ruler = Ruler(text, Cuts(text).paragraph_ends, DEFAULT)
    for _ in range(5):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, len(text)))
        assert ruler.exact
        assert ruler.count(start, end) == DEFAULT.count(text[start:end])


@given(TEXTS.map(lambda text: text + PROSE[:3000]), st.integers(0, 60), st.integers(0, 500))
@settings(max_examples=100, deadline=None)
def test_the_place_beyond_a_number_of_tokens_has_more_of_them(text: str, start: int, tokens: int) -> None:
    ruler = Ruler(text, Cuts(text).paragraph_ends, DEFAULT)
    start = min(start, len(text))
    for closely in (False, True):
        beyond = ruler.beyond(start, tokens, closely=closely)
        assert beyond == len(text) or DEFAULT.count(text[start:beyond]) > tokens


@given(TEXTS.map(lambda text: PROSE[:3000] + text), st.integers(0, 60), st.integers(0, 500))
@settings(max_examples=100, deadline=None)
def test_the_place_before_a_number_of_tokens_has_more_of_them_up_to_the_end(text: str, cut: int, tokens: int) -> None:
    end = max(1, len(text) - cut)
    before = Ruler(text, Cuts(text).paragraph_ends, DEFAULT).before(end, tokens)
    assert before == 0 or DEFAULT.count(text[before:end]) > tokens


def test_a_place_closely_beyond_a_number_of_tokens_has_not_many_more() -> None:
    text = PROSE.replace("\n\n", " ")
    ruler = Ruler(text, [len(text)], DEFAULT)
    for tokens in (100, 512, 2000):
        beyond = ruler.beyond(7, tokens, closely=True)
        assert tokens < DEFAULT.count(text[7:beyond]) <= tokens + 40


def test_a_text_without_spaces_is_not_counted_exactly() -> None:
    text = "x" * 5000
    assert not Ruler(text, [len(text)], DEFAULT).exact


def test_a_tokenizer_that_only_counts_is_asked_about_each_part_once() -> None:
    tokenizer = CountingTokenizer()
    ruler = Ruler(PROSE, Cuts(PROSE).paragraph_ends, tokenizer)
    assert not ruler.exact
    assert tokenizer.characters == len(PROSE)
    assert ruler.count(0, len(PROSE)) == len(PROSE.split())
    assert tokenizer.characters == len(PROSE)
