"""Which field is read, and that no input, however broken, loses text or does harm."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from courtlistener_assets.devkit.simulator.shapes import opinion
from courtlistener_assets.text.characters import decode_entities, repair
from courtlistener_assets.text.cleaning import (
    LOST_CHARACTERS,
    LOST_LIGATURES,
    OPINION_FIELDS,
    clean,
    opinion_text,
    recap_document_text,
)
from tests.unit.text_reference import bare, rebuilt, source_text

WORDS = st.lists(
    st.sampled_from(
        ["court", "held", "§ 1983", "Roe v. Doe,", "“no”", "4", "*", "a-", "&amp;", "é", "1.", "[2]", "II"]
    ),
    min_size=1,
    max_size=12,
).map(" ".join)
TAGS = st.sampled_from(
    ["p", "div", "em", "span", "blockquote", "li", "td", "tr", "pre", "h2", "a", "b", "author", "opinion"]
)
MARKUP = st.recursive(
    WORDS,
    lambda inner: st.one_of(
        st.tuples(TAGS, st.lists(inner, max_size=4)).map(lambda node: f"<{node[0]}>{' '.join(node[1])}</{node[0]}>"),
        st.tuples(inner, inner).map("<br>".join),
        inner.map(lambda text: f'<span class="star-pagination">*12</span>{text}'),
        inner.map(lambda text: f"{text}<footnotemark>3</footnotemark>"),
        inner.map(lambda text: f"<p>{text}"),
        inner.map(lambda text: f"<!-- hidden -->{text}</i>"),
    ),
    max_leaves=20,
)
LINES = st.lists(
    st.one_of(
        WORDS,
        st.builds(lambda indent, text: " " * indent + text, st.integers(0, 40), WORDS),
        st.builds(lambda left, gap, right: left + " " * gap + right, WORDS, st.integers(1, 30), WORDS),
        st.sampled_from(
            ["", "", "\f", "   7", "- 2 -", "Page 3 of 9", "_______________", "1 The note.", "broken-", ") )"]
        ),
    ),
    max_size=60,
).map("\n".join)


def test_the_servers_order_of_preference_is_followed() -> None:
    assert OPINION_FIELDS[0] == "html_with_citations"
    body = {field: f"<p>text of {field}</p>" for field in OPINION_FIELDS}
    for field in OPINION_FIELDS:
        found = opinion_text(body)
        assert found is not None
        assert (found.source, found.text.removeprefix("<p>")[:7]) == (field, "text of")
        body[field] = " \n\t "
    assert opinion_text(body) is None


def test_every_field_of_the_server_that_holds_text_is_read() -> None:
    """The shape is that of the recorded answers; one that is not read would be text that is dropped."""
    fields = opinion(1, 1, datetime(2026, 1, 1, tzinfo=UTC))
    assert set(OPINION_FIELDS) == {field for field in fields if re.match(r"plain_text|html|xml", field)}


def test_a_field_with_markup_only_gives_way_to_one_with_text() -> None:
    found = opinion_text({"html_with_citations": "<p> <br> </p>", "html": None, "plain_text": "It is so ordered."})
    assert found is not None
    assert (found.text, found.source) == ("It is so ordered.", "plain_text")


def test_an_opinion_with_markup_only_has_a_source_and_no_text() -> None:
    found = opinion_text({"html": "<div><img src='scan.png'></div>", "plain_text": ""})
    assert found is not None
    assert (found.text, found.source) == ("", "html")


def test_a_recap_document_is_read_from_its_plain_text() -> None:
    found = recap_document_text({"plain_text": "Motion granted.\n", "ocr_status": 1})
    assert found is not None
    assert (found.text, found.source) == ("Motion granted.", "plain_text")
    assert recap_document_text({"plain_text": "  "}) is None
    assert recap_document_text({}) is None


@given(MARKUP)
@example("<pre><table><tr><td>Count</td><td>Sentence</td></tr></table></pre>")
@settings(max_examples=300, deadline=None)
def test_every_character_of_markup_is_in_the_text_or_in_a_mark_in_its_order(markup: str) -> None:
    cleaned = clean(f"<div>{markup}</div>", "html")
    source, again = bare(source_text(f"<div>{markup}</div>", markup=True)), bare(rebuilt(cleaned))
    if cleaned.text and any(mark.kind == "hyphen" or mark.kind == "rule" for mark in cleaned.marks):
        source, again = "".join(sorted(source)), "".join(sorted(again))
    assert again == source


@given(LINES)
@settings(max_examples=300, deadline=None)
def test_every_character_of_plain_text_is_in_the_text_or_in_a_mark(lines: str) -> None:
    cleaned = clean(lines, "plain_text")
    assert sorted(bare(rebuilt(cleaned))) == sorted(bare(source_text(lines, markup=False)))


@given(st.one_of(LINES, MARKUP))
@settings(max_examples=100, deadline=None)
def test_cleaning_is_repeatable_and_leaves_neat_paragraphs(value: str) -> None:
    cleaned = clean(value, "html")
    assert clean(value, "html") == cleaned
    assert cleaned.text == cleaned.text.strip()
    assert "\n\n\n" not in cleaned.text
    assert all(0 <= mark.position <= len(cleaned.text) for mark in cleaned.marks)


@given(st.text(st.characters(codec=None), max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_string_at_all_can_be_cleaned_and_stored(value: str) -> None:
    for field in ("html", "plain_text"):
        text = clean(value, field).text
        assert "\x00" not in text
        text.encode()


def test_what_cannot_be_stored_is_replaced_and_said() -> None:
    cleaned = clean("The \ud83d clerk\x00 signed\ufdd0 it.\r\nTwice.", "plain_text")
    assert cleaned.text == "The \ufffd clerk signed it. Twice."
    assert cleaned.flags == {LOST_CHARACTERS}


def test_lost_ligatures_are_flagged_and_not_guessed() -> None:
    cleaned = clean("The frst offcer made a specifc fnding.", "plain_text")
    assert LOST_LIGATURES in cleaned.flags
    assert cleaned.text == "The frst offcer made a specifc fnding."
    assert not clean("The first officer fled on the fifth.", "plain_text").flags


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("&amp;sect; 1983", "§ 1983"),
        ("R&amp;D and AT&T; &nbsp;x", "R&D and AT&T;  x"),
        ("&amp;amp;lt;", "<"),
        ("&bogus; & &#55296;", "&bogus; & \ufffd"),
    ],
)
def test_entities_are_decoded_however_often_they_were_escaped(value: str, text: str) -> None:
    assert decode_entities(value).replace("\xa0", " ") == text


def test_repair_keeps_every_sign_that_lawyers_use() -> None:
    signs = "§ ¶ “quoted” ‘single’ — – … é ñ ½ ² † ‡ © € £ ° • \u4f60"
    assert repair(signs) == signs


HOSTILE = {
    "deep nesting": "<div>" * 50_000 + "The text." + "</div>" * 50_000,
    "unclosed tags": "<p><b><i>" * 20_000 + "The text.",
    "closed but never opened": "</p></div>" * 20_000 + "The text.",
    "nested footnotes": "<footnote>" * 2_000 + "The text." + "</footnote>" * 2_000,
    "white space": "<p>" + " \n" * 200_000 + "The text.</p>",
    "comments": "<!-- x -->" * 20_000 + "<p>The text.</p><!-- never closed",
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.timeout(20)
def test_hostile_markup_still_gives_its_text(name: str) -> None:
    assert clean(HOSTILE[name], "html").text == "The text."


@pytest.mark.parametrize("line", ["a" * 1_000_000, "ab-\n" * 100_000, "\f" * 100_000, "x \n" * 100_000, "a " * 300_000])
@pytest.mark.timeout(20)
def test_hostile_plain_text_takes_time_in_proportion_to_its_length(line: str) -> None:
    cleaned = clean(line, "plain_text")
    assert sorted(bare(rebuilt(cleaned))) == sorted(bare(line))


def test_text_that_is_repeated_on_purpose_stays() -> None:
    request = (
        "REQUEST NO. {0}: All letters about lot {0}.\n\nRESPONSE: Objection. The request is vague.\n\n"
        + "A reason.\n\n" * 8
    )
    cleaned = clean("".join(request.format(number) for number in range(1, 9)), "plain_text")
    assert cleaned.text.count("RESPONSE: Objection. The request is vague.") == 8
    assert cleaned.text.count("REQUEST NO.") == 8
    assert cleaned.marks == ()


def test_a_name_at_the_top_and_at_the_end_of_one_page_is_no_running_head() -> None:
    middle = "".join(f"The {number}. reason is given in the affidavit.\n" for number in range(20))
    cleaned = clean(f"Rosa Lind\n\n{middle}\nRosa Lind\n", "plain_text")
    assert cleaned.text.count("Rosa Lind") == 2


def test_glyphs_of_a_private_font_are_kept_and_flagged() -> None:
    cleaned = clean("the \ue405fth circuit", "plain_text")
    assert cleaned.text == "the \ue405fth circuit"
    assert cleaned.flags == {LOST_CHARACTERS}


def test_numbered_sections_are_not_page_numbers() -> None:
    section = (
        "                             {0}\n   The {0} reason is of another kind, and may be stated in a few\nwords.\n"
    )
    cleaned = clean("".join(section.format(number) for number in range(1, 7)), "plain_text")
    assert "\n\n4\n\nThe 4 reason" in cleaned.text


def test_positions_say_where_a_page_begins_and_which_text_is_a_footnote() -> None:
    cleaned = clean(
        '<p>First page. <a class="page-label">*7</a>Second page.</p><footnote label="1"><p>A note.</p></footnote>',
        "html",
    )
    (page,) = (mark for mark in cleaned.marks if mark.kind == "page")
    (note,) = cleaned.footnotes
    assert cleaned.text[page.position :].startswith("Second page.")
    assert cleaned.text[note.start : note.end] == "A note."
