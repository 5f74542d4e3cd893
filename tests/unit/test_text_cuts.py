"""Where a text may be cut, and how good each place is."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import nupunkt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from courtlistener_assets.chunks.cuts import CITED, INSIDE, PARAGRAPH, SECTION, SENTENCE, Cuts, ends_at_sentence

GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.expected"))
PIECES = st.sampled_from(
    [
        "It is so. ",
        "See Roe v. Doe, 410 U.S. 113. ",
        "Fed. R. Civ. P. 12(b)(6), ",
        "\n\n",
        "\n",
        "“No!” ",
        "1. ",
        ". . . ",
        "* ",
    ]
)


def quality_after(before: str, after: str) -> int:
    return dict(Cuts(before + after).paragraphs(0, len(before)))[len(before)]


@pytest.mark.parametrize(
    ("before", "after", "quality"),
    [
        ("He left.\n\n", "She stayed, and nobody knew why; she said so later.", PARAGRAPH),
        ("He left.\n\n", "III. REMEDY\n\nThe remedy is clear.", SECTION),
        ("As the statute says:\n\n", "“No person shall be held.”", INSIDE),
        ("II. FACTS\n\n", "The facts are these.", INSIDE),
        ("He left.\n\n", "and so did she, at last.", SENTENCE),
        ("“He left.” )\n\n", "She stayed there.", PARAGRAPH),
    ],
)
def test_the_end_of_a_paragraph_is_as_good_as_what_stands_around_it(before: str, after: str, quality: int) -> None:
    assert quality_after(before, after) == quality


def test_a_sentence_before_its_citation_is_a_poor_place_and_an_abbreviation_none() -> None:
    text = "Under Fed. R. Civ. P. 8 it fails. Id. at 14. The motion is denied."
    assert list(Cuts(text).sentences(0, len(text) - 1)) == [
        (text.index("The motion"), SENTENCE),
        (text.index("Id."), CITED),
    ]


def test_blank_lines_belong_to_the_paragraph_before_them() -> None:
    assert Cuts("\n\nOne.\n\n \n\nTwo.\n\n\n").paragraph_ends == [11, 18]
    assert Cuts("\n \n").paragraph_ends == [3]


def expected_places(text: str) -> set[int]:
    """Paragraph by paragraph, the sentences of each as a whole."""
    ends = Cuts(text).paragraph_ends
    starts = [
        start + offset for start, end in pairwise((0, *ends)) for offset, _ in nupunkt.sent_spans(text[start:end])[1:]
    ]
    return {*starts, *ends}


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_sentences_found_piece_by_piece_are_those_of_the_whole_paragraph(path: Path) -> None:
    text = path.read_text(encoding="utf-8").partition("\n" + "-" * 40)[0]
    assert {place for place, _ in Cuts(text).sentences(0, len(text))} == expected_places(text)


@given(st.lists(PIECES, min_size=1, max_size=120).map("".join), st.integers(0, 400), st.integers(1, 400))
@settings(max_examples=150, deadline=None)
def test_a_part_of_a_text_has_the_sentences_that_the_whole_has_there(text: str, low: int, length: int) -> None:
    high = min(low + length, len(text))
    found = [place for place, _ in Cuts(text).sentences(low, high)]
    assert found == sorted(found, reverse=True)
    assert set(found) == {place for place in expected_places(text) if low < place <= high}


@pytest.mark.parametrize(
    ("text", "place"),
    [("one two; three, four five six", 9), ("one two, three, four five", 9), ("a b c\nb; c", 6), ("abcdef", 6)],
)
def test_inside_a_sentence_the_best_place_is_after_a_line_a_clause_or_a_word(text: str, place: int) -> None:
    assert Cuts(text).clause(0, min(len(text), 14)) == place


@pytest.mark.parametrize(
    "text", ["He left.", "“Why?” ", "It is so ordered.’ ”\n\n", "(See App. 3.)", "as we said.12 ", "Stop!†"]
)
def test_these_end_a_sentence(text: str) -> None:
    assert ends_at_sentence(text)


@pytest.mark.parametrize("text", ["", "He left", "as follows:", "the sum of $1,000; and", "II"])
def test_these_do_not_end_a_sentence(text: str) -> None:
    assert not ends_at_sentence(text)
