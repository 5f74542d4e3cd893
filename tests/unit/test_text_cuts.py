"""Where a text may be cut, and how good each place is."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from pathlib import Path

import nupunkt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from courtlistener_assets.chunks.cuts import (
    CITED,
    INSIDE,
    PARAGRAPH,
    SECTION,
    SENTENCE,
    Cuts,
    ends_at_sentence,
    ends_sentence,
    notes_begin,
)

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
        ("A. The Pier.\n\n", "The pier was old.", INSIDE),
        ("He left.\n\nII.\n\n", "She stayed there.", INSIDE),
        ("He left.\n\n", "A. The Pier.\n\nThe pier was old.", SECTION),
        ("He left.\n\n", "the owner of a ferry that was", SENTENCE),
        ("He left.\n\n", "The owner of a ferry that was", PARAGRAPH),
        ("He named three of them; namely:\n\n", "II. The Owners", INSIDE),
        (
            "The ferry was insured for all of its voyages by the Alder Mut. Ins. Co.; see Alder v. Int’l Bus.\n\n",
            "Machs. Corp., 1 F.3d 2.",
            INSIDE,
        ),
        ("Marta Alder, of Washington, D.C.\n\n", "UPON DUE CONSIDERATION it is so ordered.", PARAGRAPH),
    ],
)
def test_the_end_of_a_paragraph_is_as_good_as_what_stands_around_it(before: str, after: str, quality: int) -> None:
    assert quality_after(before, after) == quality


@pytest.mark.parametrize(
    "sentence",
    [
        "It failed under Fed. R.Civ.P. |11(b) and was struck.",
        "Congress said so in H.R.Rep. |No. 12, and again.",
        "Another court did (C.D.Ill. |1997) so.",
        "He was a clerk to H. C. |Alder at the time.",
        "We said so in Alder v. Roe Sav. |& Loan, long ago.",
        "It is in 22 I. |& N. Dec. 33, and good law.",
        "See 108 N. J.Eq. |275 for that.",
        "See In re Roe, D.C.E.D. |N.Y.1953, for that.",
        "He works at the U.S. |Department of Labor.",
        "The order was J.D.R. |was told to leave.",
        "Roe v. Alder Hgts. |Co., 1 F.3d 2, holds that.",
        "Roe v. Alder Merchs. |Despatch, 1 F.3d 2, holds that.",
        "It cites Cal.Rptr.3d. |543 for that.",
        "They paid Int'l Bus. |Machs. Corp. for it.",
        "It is at 49 Stat. |§ 3, as amended.",
        "So held in Roe v. Doe, 962 F.2d 126 (1st. |Cir. 1992), and again.",
        "They moved. Cf. |In re Roe, 1 F.3d 2.",
        "So held in Roe v. Pioneer Ams. |LLC, 1 F.3d 2.",
        "He read the Mem. in Supp. of Mot. for Summ. |J. at noon.",
    ],
)
def test_no_sentence_ends_inside_a_citation(sentence: str) -> None:
    before, after = sentence.split("|")
    assert not ends_sentence(before + after, len(before))
    assert len(before) not in dict(Cuts(before + after).sentences(0, len(before + after)))


@pytest.mark.parametrize(
    "sentences",
    [
        "The pier belongs to the U.S. |The county leased it.",
        "He was paid by Alder Co. |However, he left.",
        "It was so held. Id. |If so, he may appeal.",
        "He sued HBO. |Nobody answered.",
        "They named it for Roe, Jr. |The name stayed.",
        "It was in the state of the art. |Alder agreed.",
        "The answer was no. |Alder agreed.",
        "He left it to Ann Roberts. |They took it.",
        "It is taxed by § 6661(a). |Section 6662 is another.",
        "It flows into subbasin 5. |Tarrant lies below.",
        "The sum was $1,400.00. |Alder paid it.",
        "He worked at the [c]ourt. |Alder did not.",
        "The exception is in the FSIA. |Compare Roe, 1 F.3d 2.",
        "It is at www.example.gov. |Follow the steps.",
    ],
)
def test_a_sentence_may_end_with_an_abbreviation_or_a_name(sentences: str) -> None:
    before, after = sentences.split("|")
    assert ends_sentence(before + after, len(before))


def test_the_number_of_a_heading_or_a_paragraph_is_no_sentence() -> None:
    text = "He left.\n\n7. As she said, he left. II. She stayed."
    assert not ends_sentence(text, text.index("As"))


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("The pier fell.\n\n|1 He said so.", 0),
        ("The pier fell.\n\n|--------\n\nNotes:\n\n1 He said so.", 0),
        ("The pier fell.\n\n|NOTES\n\n1 He said so.", 0),
    ],
)
def test_notes_begin_with_what_stands_above_them(text: str, place: int) -> None:
    text, place = text.replace("|", ""), text.index("|")
    note = text.index("1 He")
    assert notes_begin(text, [(note, len(text))]) == place
    assert notes_begin(text, [(note, note + 4), (note + 5, len(text))]) == place


def test_notes_that_are_not_at_the_end_are_part_of_the_body() -> None:
    text = "The pier fell.\n\n1 He said so.\n\nSo did she."
    assert notes_begin(text, [(16, 29)]) == len(text)
    assert notes_begin(text, []) == len(text)


def test_a_sentence_before_its_citation_is_a_poor_place_and_an_abbreviation_none() -> None:
    text = "Under Fed. R. Civ. P. 8 it fails. Id. at 14. The motion is denied."
    assert list(Cuts(text).sentences(0, len(text) - 1)) == [
        (text.index("The motion"), SENTENCE),
        (text.index("Id."), CITED),
    ]


@pytest.mark.parametrize(
    ("following", "quality"),
    [
        ("New Jersey v. Alder, 1 U.S. 2. So it is.", CITED),
        ("Roe v. Doe, 1 U.S. 2. So it is.", CITED),
        ("In Roe v. Doe, the Court said so.", SENTENCE),
        ("The court in Roe v. Doe said so.", SENTENCE),
    ],
)
def test_a_case_by_itself_is_a_citation_and_one_in_a_sentence_none(following: str, quality: int) -> None:
    text = f"Pupils have less privacy than others. {following}"
    assert dict(Cuts(text).sentences(0, len(text)))[text.index(following)] == quality


def test_blank_lines_belong_to_the_paragraph_before_them() -> None:
    assert Cuts("\n\nOne.\n\n \n\nTwo.\n\n\n").paragraph_ends == [11, 18]
    assert Cuts("\n \n").paragraph_ends == [3]


def expected_places(text: str) -> set[int]:
    """Paragraph by paragraph, the sentences of each as a whole."""
    ends = Cuts(text).paragraph_ends
    starts = [
        start + offset for start, end in pairwise((0, *ends)) for offset, _ in nupunkt.sent_spans(text[start:end])[1:]
    ]
    return {*filter(partial(ends_sentence, text), starts), *ends}


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_sentences_found_piece_by_piece_are_those_of_the_whole_paragraph(path: Path) -> None:
    text = path.read_text(encoding="utf-8").partition("\n" + "-" * 40)[0]
    assert {place for place, _ in Cuts(text).sentences(0, len(text))} == expected_places(text)


@given(st.lists(PIECES, min_size=1, max_size=120).map("".join), st.integers(0, 400), st.integers(1, 400))
@example(text="It is so. See Roe v. Doe, 410 U.S. 113. “No!” . . . ", low=0, length=46)
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


@pytest.mark.parametrize("text", ["the pier, the\n\nII.\n\nferry ", "the pier, the\n\nII.\n\nThe Ferry\nwas"])
def test_inside_a_sentence_no_place_is_after_a_heading(text: str) -> None:
    assert Cuts(text).clause(0, text.index("II.") + 6) == text.index("II.")


@pytest.mark.parametrize(
    "text", ["He left.", "“Why?” ", "It is so ordered.’ ”\n\n", "(See App. 3.)", "as we said.12 ", "Stop!†"]
)
def test_these_end_a_sentence(text: str) -> None:
    assert ends_at_sentence(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "He left",
        "as follows:",
        "the sum of $1,000; and",
        "II",
        "He left.\n\nII.\n\n",
        "He left.\n\nB. The Pier.\n\n",
        "So held in Fed.",
        "See Roe v.",
        "He asked Dr. ",
    ],
)
def test_these_do_not_end_a_sentence(text: str) -> None:
    assert not ends_at_sentence(text)
