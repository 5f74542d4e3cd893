"""Chunks say on which pages and under which headings they stand, and which footnotes they have."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from courtlistener_assets.chunks.chunking import Chunk, chunk
from courtlistener_assets.chunks.footnotes import Footnotes
from courtlistener_assets.chunks.outline import Outline
from courtlistener_assets.chunks.pages import Pages
from courtlistener_assets.chunks.places import place_columns
from courtlistener_assets.text.cleaning import CleanText
from courtlistener_assets.text.marks import Footnote, Kind, Mark

#: A page of print.
PAGE = 2000


def cleaned(text: str, *marks: tuple[Kind, str, int], notes: tuple[tuple[str, int, int], ...] = ()) -> CleanText:
    found = sorted((Mark(kind, label, place) for kind, label, place in marks), key=lambda mark: mark.position)
    return CleanText(text, "plain_text", tuple(found), tuple(Footnote(*note) for note in notes))


def labels(end: int, kind: Kind, *marks: tuple[str, int], places: tuple[int, ...]) -> list[str | None]:
    text = cleaned("a" * end, *((kind, label, place) for label, place in marks))
    pages = Pages(text, Footnotes(text))
    return [pages.at(place) for place in places]


def columns(text: CleanText, *ends: int) -> list[dict[str, Any]]:
    starts = (0, *ends)
    parts = [
        Chunk(text.text[start:end], start, end, 1, index)
        for index, (start, end) in enumerate(zip(starts, (*ends, len(text.text)), strict=True))
    ]
    return list(place_columns(text, parts, [f"id{part.index}" for part in parts]))


def test_a_star_page_begins_at_its_mark() -> None:
    marks = (("*411", 100), ("*412", 200))
    assert labels(300, "page", *marks, places=(0, 99, 100, 199, 200, 299)) == ["410", "410", "411", "411", "412", "412"]


def test_star_pages_of_all_kinds_name_their_number() -> None:
    for mark, label in (("*411", "411"), ("[*2]", "2"), ("[100 A.3d 1005]", "1005"), ("*1,005", "1,005")):
        assert labels(50, "page", (mark, 10), places=(10,)) == [label]


def test_what_is_before_the_first_star_page_is_unknown_unless_pages_go_on_by_one() -> None:
    assert labels(50, "page", ("*411", 10), places=(5,)) == [None]
    assert labels(50, "page", ("[*2]", 10), places=(5,)) == ["1"]
    assert labels(50, "page", ("*411", 10), ("*414", 20), places=(5,)) == [None]
    assert labels(50, "page", ("*411", 0), ("*412", 20), places=(0,)) == ["411"]


def test_of_two_pagings_the_more_frequent_one_counts() -> None:
    marks = (("*10", 10), ("**77", 15), ("*11", 30), ("*12", 50))
    assert labels(60, "page", *marks, places=(12, 20, 35, 55)) == ["10", "10", "11", "12"]


def test_numbers_at_the_foot_name_the_page_before_them() -> None:
    marks = [(f"-{number}-", number * PAGE) for number in range(1, 5)]
    found = labels(4 * PAGE, "page_number", *marks, places=(0, PAGE - 1, PAGE, 2 * PAGE, 4 * PAGE - 1))
    assert found == ["1", "1", "2", "3", "4"]


def test_numbers_at_the_head_name_the_page_after_them() -> None:
    marks = [(str(number), (number - 1) * PAGE) for number in range(1, 5)]
    assert labels(4 * PAGE - 700, "page_number", *marks, places=(0, PAGE, 3 * PAGE)) == ["1", "2", "4"]


def test_the_first_page_is_known_without_a_number() -> None:
    heads = [(str(number), (number - 1) * PAGE) for number in range(2, 6)]
    assert labels(5 * PAGE - 900, "page_number", *heads, places=(0, PAGE, 4 * PAGE)) == ["1", "2", "5"]
    feet = [(str(number), number * PAGE) for number in range(2, 6)]
    assert labels(5 * PAGE, "page_number", *feet, places=(0, PAGE - 100, PAGE + 100, 4 * PAGE)) == ["1", "1", "2", "5"]


def test_pages_that_are_not_named_are_unknown() -> None:
    marks = [(str(number), number * PAGE) for number in (1, 2, 3, 7, 8)]
    places = (2 * PAGE + 10, 4 * PAGE, 6 * PAGE + 10, 7 * PAGE + 10)
    assert labels(8 * PAGE, "page_number", *marks, places=places) == ["3", None, "7", "8"]


def test_a_number_that_does_not_go_on_is_no_page() -> None:
    marks = (("1", PAGE), ("1983", PAGE + 500), ("2", 2 * PAGE), ("3", 3 * PAGE))
    assert labels(3 * PAGE, "page_number", *marks, places=(PAGE + 400, PAGE + 600)) == ["2", "2"]
    assert labels(500, "page_number", ("1983", 300), places=(0,)) == [None]


def test_numbers_begin_again_in_the_next_opinion() -> None:
    marks = [(number, place * PAGE) for place, number in enumerate(("i", "ii", "1", "2", "3"))]
    assert labels(5 * PAGE - 50, "page_number", *marks, places=(0, PAGE, 2 * PAGE, 4 * PAGE)) == ["i", "ii", "1", "3"]


def test_heads_and_stamps_have_numbers_too() -> None:
    heads = ("2     DOE v. ROE", PAGE), ("Cite as: 9 U. S. ____ (2007)      3", 2 * PAGE)
    assert labels(3 * PAGE - 500, "running_head", *heads, places=(0, PAGE, 2 * PAGE)) == ["1", "2", "3"]
    stamps = [(f"Case 1:20-cv-00001 Document 7 Filed 01/02/20 Page {n} of 3", (n - 1) * PAGE) for n in (1, 2, 3)]
    assert labels(3 * PAGE - 500, "stamp", *stamps, places=(0, PAGE, 2 * PAGE)) == ["1", "2", "3"]


def test_a_document_without_marks_has_no_pages() -> None:
    assert labels(50, "page", places=(0, 49)) == [None, None]


def test_chunks_have_the_pages_of_their_first_and_last_character() -> None:
    text = cleaned("One sentence.\n\nTwo sentences. \n\n", ("page", "*8", 15))
    first, second = columns(text, 15)
    assert (first["page_start"], first["page_end"]) == (None, None)
    assert (second["page_start"], second["page_end"]) == ("8", "8")


BODY, NOTES = "The pier fell. It was old.\n\nThe owner pays. ", "He had been told. \n\nAnd again."
NOTED = cleaned(
    BODY + NOTES,
    ("footnote_mark", "1", 15),
    ("footnote_label", "1.", len(BODY)),
    ("page", "*8", 3),
    ("page", "*9", 28),
    ("footnote_mark", "[2]", 43),
    notes=(("1.", len(BODY), len(BODY) + 18), ("2", len(BODY) + 20, len(BODY) + 30)),
)


def test_footnotes_name_the_chunk_that_cites_them() -> None:
    first, second, third = columns(NOTED, 28, len(BODY))
    assert [each["is_footnote"] for each in (first, second, third)] == [False, False, True]
    assert (first["footnotes"], second["footnotes"]) == ([], [])
    assert third["footnotes"] == [{"label": "1.", "cited_in": "id0"}, {"label": "2", "cited_in": "id1"}]


def test_a_mark_before_the_next_chunk_belongs_to_the_one_before() -> None:
    *_, third = columns(NOTED, 15, len(BODY))
    assert third["footnotes"][0] == {"label": "1.", "cited_in": "id0"}


def test_footnotes_are_on_the_page_that_cites_them() -> None:
    *_, third = columns(NOTED, 28, len(BODY))
    assert (third["page_start"], third["page_end"]) == ("8", "9")


def test_the_body_of_a_chunk_says_its_pages() -> None:
    (whole,) = columns(NOTED)
    assert (whole["page_start"], whole["page_end"], whole["is_footnote"]) == ("7", "9", False)


def test_a_footnote_that_goes_on_behind_a_page_is_on_that_page() -> None:
    text = cleaned(
        "The pier fell. He had been told. And again.",
        ("page", "*8", 0),
        ("footnote_mark", "1", 14),
        ("page", "*9", 33),
        notes=(("1", 15, 43),),
    )
    pages = Pages(text, Footnotes(text))
    assert [pages.at(place) for place in (0, 15, 32, 33)] == ["8", "8", "8", "9"]


def test_a_footnote_that_nothing_cites_is_on_no_page() -> None:
    text = cleaned("The pier fell. He had been told.", ("page", "*8", 0), notes=(("", 15, 32),))
    body, note = columns(text, 15)
    assert (body["page_end"], note["page_start"]) == ("8", None)
    assert note["footnotes"] == [{"label": "", "cited_in": None}]


def test_numbers_that_begin_again_are_cited_in_their_own_opinion() -> None:
    text = cleaned(
        "A. B. N1. C. D. N2.",
        ("footnote_mark", "1", 2),
        ("footnote_mark", "1", 12),
        notes=(("1", 6, 9), ("1", 16, 19)),
    )
    assert Footnotes(text).cited_at == [1, 11]


def test_the_nearest_mark_before_a_footnote_cites_it() -> None:
    text = cleaned(
        "A. B. C. N.",
        *(("footnote_mark", "*", place) for place in (2, 5, 8)),
        notes=(("*", 9, 11),),
    )
    assert Footnotes(text).cited_at == [7]


def test_numbers_stuck_to_the_text_cite_its_footnotes_in_their_order() -> None:
    body = "The pier fell.1 See 3 Roe 108 n.2 and 1.2 feet. He paid half2 of 9 dollars. Closed.\u201d3 In 1984,4 no. "
    text = cleaned(
        body + "1 A. 2 B. 3 C. 5 D.",
        notes=tuple((label, len(body) + 5 * place, len(body) + 5 * place + 4) for place, label in enumerate("1235")),
    )
    assert [None if place is None else body[place - 3 : place + 2] for place in Footnotes(text).cited_at] == [
        "ell.1", "half2", "ed.\u201d3", None,
    ]  # fmt: skip


def test_a_stuck_number_behind_all_of_the_next_one_is_another_number() -> None:
    body = "The pier fell.1 It was old.3 He paid 5 dollars.2 "
    text = cleaned(
        body + "1 A. 2 B. 3 C.",
        notes=tuple((label, len(body) + 5 * place, len(body) + 5 * place + 4) for place, label in enumerate("123")),
    )
    assert Footnotes(text).cited_at == [13, None, 26]


PARAGRAPH = "The storm took the pier in the night of the third of March, and nobody saw it go until the morning came."
OUTLINED = (
    f"{PARAGRAPH}\n\nI. BACKGROUND\n\nA. The Pier\n\n{PARAGRAPH}\n\nB. The Storm\n\n{PARAGRAPH}\n\nII. DISCUSSION\n\n"
    f"{PARAGRAPH}"
)


def test_headings_are_the_path_to_what_follows_them() -> None:
    outline = Outline(OUTLINED)
    assert outline.at(0) == []
    assert outline.at(OUTLINED.index("I. BACK")) == ["I. BACKGROUND", "A. The Pier"]
    assert outline.at(OUTLINED.index("B. The")) == ["I. BACKGROUND", "B. The Storm"]
    assert outline.at(OUTLINED.index("B. The") + 20) == ["I. BACKGROUND", "B. The Storm"]
    assert outline.at(len(OUTLINED) - 1) == ["II. DISCUSSION"]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_marks_and_footnotes_give_columns(data: st.DataObject) -> None:
    text = data.draw(st.text("ab. \n", min_size=1, max_size=200).map(str.strip).filter(bool))
    place = st.integers(0, len(text))
    kinds = st.sampled_from(["page", "page_number", "stamp", "running_head", "footnote_mark"])
    marks = data.draw(st.lists(st.tuples(kinds, st.sampled_from(["*3", "1", "2", "Page 4 of 9", "xii", "?"]), place)))
    spans = data.draw(st.lists(st.tuples(st.sampled_from(["1", "2", "*3", ""]), place, place)))
    notes = tuple((label, min(one, other), max(one, other)) for label, one, other in spans if one != other)
    found = cleaned(text, *marks, notes=notes)  # type: ignore[arg-type]
    chunks = chunk(text, max_tokens=16)
    ids = [str(each.index) for each in chunks]
    rows = list(place_columns(found, chunks, ids))
    assert len(rows) == len(chunks)
    assert sum(len(row["footnotes"]) for row in rows) == len(notes)
    covered = {place for _, start, end in notes for place in range(start, end)}
    for part, row in zip(chunks, rows, strict=True):
        visible = {place for place in range(part.char_start, part.char_end) if not text[place].isspace()}
        assert row["is_footnote"] == (visible <= covered)
        assert all(note["cited_in"] in (None, *ids) for note in row["footnotes"])
