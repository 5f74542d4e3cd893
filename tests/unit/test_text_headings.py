"""Headings are found by their numbers, their looks and their place, and nothing else is taken for one."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from courtlistener_assets.text.headings import headings_of
from courtlistener_assets.text.titles import is_heading

PROSE = "The harbour master kept the ferry at the pier for two days, and the owners sued for what they had lost."
PIECES = st.sampled_from(
    ["II.", "A. The Pier", "DISCUSSION", "Notes:", PROSE, "\n", "\n\n", "4", "Q. Why?", "A. No.", " ", "I", "(a)", "v."]
)


def outline(*paragraphs: str) -> list[tuple[int, str]]:
    text = "\n\n".join(paragraphs)
    return [(each.level, text[each.start : each.end]) for each in headings_of(text)]


def test_numbers_of_another_kind_are_inside() -> None:
    assert outline(
        "I. The Storm", PROSE, "A. The Pier", PROSE, "1. Its Planks", PROSE, "2. Its Posts", PROSE,
        "B. The Ferry", PROSE, "II. The Law", PROSE,
    ) == [
        (1, "I. The Storm"), (2, "A. The Pier"), (3, "1. Its Planks"), (3, "2. Its Posts"), (2, "B. The Ferry"),
        (1, "II. The Law"),
    ]  # fmt: skip


def test_a_title_without_a_number_is_outside_if_it_comes_first_or_is_in_capitals() -> None:
    assert outline("BACKGROUND", PROSE, "I. The Storm", PROSE, "DISCUSSION", PROSE, "I. The Law", PROSE) == [
        (1, "BACKGROUND"), (2, "I. The Storm"), (1, "DISCUSSION"), (2, "I. The Law"),
    ]  # fmt: skip
    assert outline("I. The Storm", PROSE, "The Night Before", PROSE, "II. The Law", PROSE, "Notes:", PROSE) == [
        (1, "I. The Storm"), (2, "The Night Before"), (1, "II. The Law"), (1, "Notes:"),
    ]  # fmt: skip


def test_a_number_alone_has_the_title_below_it() -> None:
    assert outline("II.", "Standard of Review", PROSE, "A.", PROSE, "III", PROSE) == [
        (1, "II.\n\nStandard of Review"), (2, "A."), (1, "III"),
    ]  # fmt: skip


def test_headings_that_follow_each_other_in_lines_are_two() -> None:
    assert outline("I\nA", PROSE, "B", PROSE, "II.\tThe Law\nA.\tThe Pier", PROSE) == [
        (1, "I"), (2, "A"), (2, "B"), (1, "II.\tThe Law"), (2, "A.\tThe Pier"),
    ]  # fmt: skip
    assert outline("DISCUSSION\nA. The Pier", PROSE) == [(1, "DISCUSSION"), (2, "A. The Pier")]


def test_the_first_line_of_a_long_paragraph_may_be_one() -> None:
    assert outline("A. The Pier\n" + PROSE * 3) == [(1, "A. The Pier")]


def test_letters_that_are_roman_numbers_are_read_by_what_came_before() -> None:
    letters = [part for letter in "ABCDEFGHI" for part in (f"{letter}. The Plank", PROSE)]
    assert [level for level, _ in outline("I. The Pier", *letters, "II. The Law")] == [1, *[2] * 9, 1]


@pytest.mark.parametrize(
    "point",
    [
        "A. The county did not warn the owners of the ferry.",
        "A. THE COUNTY DID NOT WARN THE OWNERS OF THE FERRY.",
        "COUNT I: Negligence",
        "Part 2. What the County Knew",
        "I - The Storm",
        "¶ 28 B. The Pier",
        "¶ 2 BACKGROUND",
    ],
)
def test_these_are_headings_in_their_place(point: str) -> None:
    assert outline(PROSE, point, PROSE) == [(1, point)]


@pytest.mark.parametrize(
    "paragraph",
    [
        "4",
        "¶ 28",
        "¶ 28 The ferry left",
        "C. H. Alder, for the county, on the brief.",
        "7. At all times the county owned the pier.",
        "(a) the planks of the pier;",
        "A long wait at the pier",
        "I declare under penalty of perjury that the foregoing is true",
        "v.",
        "Alder, Circuit Judge:",
        "MARTA ALDER, C.J.",
        "IT IS SO ORDERED",
        "[100 A.3d 1005]",
        "No. 12-345",
        "On the Night Before the Storm",
        "M ARTA A LDER for the County",
        "o Bring the Ticket to the Pier",
    ],
)
def test_these_are_none(paragraph: str) -> None:
    assert outline(PROSE, paragraph, PROSE) == []


def test_what_is_repeated_from_page_to_page_is_a_heading_once() -> None:
    pages = [part for number in "ABCD" for part in ("Opinion of the Court", PROSE, f"{number}. The Plank", PROSE)]
    assert outline(*pages) == [
        (1, "Opinion of the Court"), (2, "A. The Plank"), (2, "B. The Plank"), (2, "C. The Plank"), (2, "D. The Plank"),
    ]  # fmt: skip


def test_answers_are_no_headings() -> None:
    assert outline("Q. Where did you wait?", "A. The pier.", "Q. Why?", "A. Because it rained.") == []


@pytest.mark.parametrize(
    "items",
    [
        ("A. An Order for the Pier", "B. An Order for the Ferry", "C. Costs"),
        ("1. The Pier", "2. The Ferry"),
        ("A. Award the owners what they have lost.", "B. Order the county to mend the pier."),
        ("I.\tThe Pier\t3\nII.\tThe Ferry\t5",),
    ],
)
def test_the_items_of_a_list_or_of_a_table_of_contents_are_none(items: tuple[str, ...]) -> None:
    assert outline(PROSE, *items, PROSE) == []


def test_in_a_text_of_capitals_they_say_nothing() -> None:
    rules = [f"{number}. ALL MEMBERS SHALL BE AT THE PIER BEFORE THE FERRY LEAVES IT." for number in range(1, 9)]
    assert outline("A. RULES OF THE PIER", *rules) == [(1, "A. RULES OF THE PIER")]


@given(st.lists(PIECES, max_size=40).map("".join))
def test_headings_are_places_in_the_text_in_its_order(text: str) -> None:
    found = headings_of(text)
    assert all(text[each.start : each.end].strip() for each in found)
    assert all(before.end <= after.start for before, after in pairwise(found))
    assert all(1 <= after <= before + 1 for before, after in pairwise([0, *(each.level for each in found)]))


@pytest.mark.parametrize(
    "text",
    [
        "II.",
        "A.",
        "B",
        "(3)",
        "IV",
        "B. The Merits.",
        "1. Its Planks.",
        "DISCUSSION",
        "Standard of Review.",
        "Count II",
    ],
)
def test_these_look_like_headings_anywhere(text: str) -> None:
    assert is_heading(text)


def test_a_sentence_with_a_number_is_one_above_text_that_is_no_item_of_its_list() -> None:
    assert is_heading("B. The county did not warn the owners.", PROSE)
    assert not is_heading("B. The county did not warn the owners.", "C. It should have.")
    assert not is_heading("B. The county did not warn the owners.")


@pytest.mark.parametrize("text", ["", "AFFIRMED.", "It is so ordered.", "Id.", "A. Yes.", "No.", "1999.", PROSE])
def test_these_do_not(text: str) -> None:
    assert not is_heading(text)
