"""Markup as courts and publishers write it: notes, star pages, tables, site chrome, broken tags, wrong encodings."""

from __future__ import annotations

import time

import pytest

from courtlistener_assets.text.cleaning import LOST_HYPHENS, MOJIBAKE, CleanText, clean
from tests.unit.text_reference import bare, rebuilt, source_text

SENTENCE = (
    "The keeper of the mill let the water go by night, and nobody in the valley has ever asked him for the reason. "
)


def marks_of(cleaned: CleanText, kind: str) -> list[str]:
    return [mark.text for mark in cleaned.marks if mark.kind == kind]


def notes_of(cleaned: CleanText) -> list[tuple[str, str]]:
    return [(note.label, cleaned.text[note.start : note.end]) for note in cleaned.footnotes]


# --- notes -----------------------------------------------------------------------------------------------------------

NOTES = {
    "under a heading, in brackets": (
        "<p>It rained.<sup>[*]</sup> It snowed.<sup>[1]</sup></p><h2>NOTES</h2>"
        "<p>[*]  A note.</p><p>[1]  Another:</p><blockquote>quoted.</blockquote>",
        [("*", "A note."), ("1", "Another:\n\nquoted.")],
    ),
    "linked both ways": (
        '<p>It rained.<sup><a href="#n1" name="m1">1</a></sup> It snowed.<sup><a href="#n2">2</a></sup></p>'
        '<p><sup><a href="#m1" name="n1">1</a></sup> A note.</p><p>Its end.</p>'
        '<p><sup><a href="#m2">2</a></sup> Another.</p>',
        [("1", "A note.\n\nIts end."), ("2", "Another.")],
    ),
    "after a rule, with dots": (
        "<p>It rained.<small><sup><a href='#f1'>1</a></sup></small></p><p>--------</p><small><p>Notes:</p>"
        "<p><p>&#160;&#160;<a href='#r1'>1.</a>  A note.</p></p><p>--------</p></small>",
        [("1", "A note.")],
    ),
    "in words, parted by lines": (
        '<p>It rained <a href="#1FN"><sup>[FN1]</sup></a> and snowed <a href="#2FN"><sup>[FN2]</sup></a> .</p><br>'
        '<div><b>Footnotes</b></div><br><br><a href="#1C"><b>Footnote 1:</b></a> A note.<br><br>'
        '<a href="#2C"><b>Footnote 2:</b></a> Another.',
        [("1", "A note."), ("2", "Another.")],
    ),
    "of a word processor": (
        '<p>It rained.<a href="#_ftn1" name="_ftnref1"><span>[1]</span></a></p><hr><div id=ftn1>'
        '<p class=MsoFootnoteText><a href="#_ftnref1">[1]</a> A note.</p><p class=MsoFootnoteText>Its end.</p></div>',
        [("1", "A note.\n\nIts end.")],
    ),
    "in a list": (
        '<p>It rained.<a href="#fn:7" role="doc-noteref">7</a></p><ol><li id="fn:7">A note. '
        '<a href="#fnref:7">\u21a9</a></li></ol>',
        [("7", "A note.")],
    ),
    "linked from another page, with a dot": (
        '<p>It rained.<sup>1</sup></p><div class="footnote"><p><a href="/n"><sup>1</sup></a>. A note.</p></div>',
        [("1", "A note.")],
    ),
}


@pytest.mark.parametrize("name", NOTES)
def test_notes_of_every_shape_are_footnotes_and_keep_their_numbers(name: str) -> None:
    markup, expected = NOTES[name]
    cleaned = clean(markup, "html")
    assert notes_of(cleaned) == expected
    assert len(marks_of(cleaned, "footnote_label")) == len(expected) or name == "in a list"
    assert sorted(bare(rebuilt(cleaned))) == sorted(bare(source_text(markup, markup=True)))


def test_a_sign_under_a_rule_is_a_note_and_its_sign_in_the_text_a_mark() -> None:
    cleaned = clean("<p>The judge* sat. * * *</p><p>--------</p><p>* By request.</p><p>--------</p><p>End.</p>", "html")
    assert notes_of(cleaned) == [("*", "By request.")]
    assert cleaned.text.startswith("The judge sat. * * *")
    assert not clean("<p>These:</p><p>--------</p><p>* one</p><p>* two</p>", "html").footnotes


def test_a_note_ends_where_another_judge_begins() -> None:
    cleaned = clean(
        "<p>It rained.<sup>1</sup></p><h3>FOOTNOTES</h3><p>1. A note.</p><p>BURKE, J., dissenting.</p><p>No.</p>",
        "html",
    )
    assert notes_of(cleaned) == [("1", "A note.")]


@pytest.mark.parametrize(
    "text", ["see note <a href='#n3'>3</a>", "¶ <a href='#p12'>12</a>", "10<sup>3</sup>", "N<sup>o</sup>"]
)
def test_numbers_that_the_sentence_needs_are_no_marks(text: str) -> None:
    assert clean(f"<p>It says {text} of it.</p>", "html").marks == ()


def test_a_note_between_paragraphs_behind_its_number_interrupts_no_sentence() -> None:
    cleaned = clean(
        "<p>He wrote of a</p><p>mill with a</p><p>1:</p><p>A mill is a house.</p><p/><span>wheel, and of the</span>"
        "<p>2:</p><p>There are two.</p><p/><span>brook. It rained.</span><p>The end.</p><p>4:</p><p>It is short.</p>",
        "html",
    )
    assert notes_of(cleaned) == [("1", "A mill is a house."), ("2", "There are two."), ("4", "It is short.")]
    assert cleaned.text.startswith("He wrote of a mill with a wheel, and of the brook. It rained.\n\nA mill is")
    assert marks_of(cleaned, "footnote_label") == ["1:", "2:", "4:"]


@pytest.mark.parametrize("numbers", [("1",), ("7", "8"), ("2", "1"), ("1", "9")])
def test_numbers_with_a_colon_that_do_not_count_up_are_no_notes(numbers: tuple[str, ...]) -> None:
    assert not clean("".join(f"<p>{number}:</p><p>It rained.</p>" for number in numbers), "html").footnotes


def test_the_mark_of_a_note_stands_in_its_sentence_and_a_page_begins_behind_the_space() -> None:
    cleaned = clean('<p>Done.<sup>4</sup></p><p><a class="page-label">*7</a>Next.</p>', "html")
    assert [(mark.text, mark.position) for mark in cleaned.marks] == [("4", 5), ("*7", 7)]


# --- pages -----------------------------------------------------------------------------------------------------------


def test_star_pages_in_brackets_join_the_sentence_that_they_part() -> None:
    cleaned = clean(
        "<p>12 Zed.2d 30</p><p>The mill stood in the </p><p>[12 Zed.2d 31]</p><p>valley [*2] until May.</p>"
        "<p>[12 Zed.2d 32 , 8 Abc. 9]</p><p>Then it fell.</p><p>See [14 May 1990] and [9 Abc. 4].</p>",
        "html",
    )
    assert cleaned.text == (
        "12 Zed.2d 30\n\nThe mill stood in the valley until May.\n\nThen it fell.\n\nSee [14 May 1990] and [9 Abc. 4]."
    )
    assert marks_of(cleaned, "page") == ["[12 Zed.2d 31]", "[*2]", "[12 Zed.2d 32, 8 Abc. 9]"]


def test_stars_without_brackets_are_pages_where_they_count_and_not_where_they_are_cited() -> None:
    cleaned = clean(f"<p>The *411 mill. {SENTENCE * 4}The *412 end. See 2010 WL 12, at *3; id. at *4.</p>", "html")
    assert marks_of(cleaned, "page") == ["*411", "*412"]
    assert cleaned.text.endswith("The end. See 2010 WL 12, at *3; id. at *4.")


def test_a_judge_above_a_page_is_not_joined_to_the_text_below() -> None:
    cleaned = clean(
        "<p>ANNA BURKE, Judge of the District Court of Zed</p><p>[12 Zed.2d 31]</p><p>The mill fell.</p>", "html"
    )
    assert "Zed\n\nThe mill fell." in cleaned.text


@pytest.mark.parametrize(
    "word",
    [
        "infor<i class=starpage>*4</i>mation",
        "infor<i class=starpage> *4 </i>mation",
        "infor- <i class=starpage>*4</i> mation",
        "infor<i class=starpage>*4</i> mation",
    ],
)
def test_a_page_number_inside_a_word_leaves_the_word(word: str) -> None:
    assert clean(f"<p>All information and {word} is here.</p>", "html").text == (
        "All information and information is here."
    )


def test_two_words_around_a_page_number_stay_two() -> None:
    page = '<i class="starpage">*{}</i>'
    cleaned = clean(
        f"<p>We go {page.format(4)} on and {page.format(5)} so we well- {page.format(6)} known.</p>", "html"
    )
    assert cleaned.text.startswith("We go on and so we well-")


# --- tables and lines ------------------------------------------------------------------------------------------------


def test_a_table_is_read_row_by_row_whatever_is_in_its_cells() -> None:
    cleaned = clean(
        "<table><thead><tr><th>Name<th><p>Share</p><tbody><tr><td><p>Ann</p></td><td><div>1<br>of 3</div></td></tr>"
        "<tr><td>Bob<td>2 of 3</table><p>After.",
        "html",
    )
    assert cleaned.text == "Name\tShare\nAnn\t1 of 3\nBob\t2 of 3\n\nAfter."


def test_rows_of_a_short_pre_stay_rows_and_its_prose_is_joined() -> None:
    table = "<pre>Item       Paid\nseed       $1\ntwo mills  $9</pre>"
    cleaned = clean(f"<p>{SENTENCE}</p>{table}<pre>{SENTENCE[:60]}\n{SENTENCE[60:]}</pre><p>{SENTENCE * 3}</p>", "html")
    assert "\n\nItem\tPaid\nseed\t$1\ntwo mills\t$9\n\n" in cleaned.text
    assert cleaned.text.count(SENTENCE.strip()) == 5


def test_the_space_before_a_page_mark_at_the_end_of_a_line_parts_no_cells() -> None:
    page = '<span class="star-pagination">*12</span>'
    assert clean(f"<pre>held      {page}\nthat it is so</pre>", "html").text == "held that it is so"


def test_the_parties_of_a_caption_stand_on_one_line() -> None:
    markup = "<center>ANN ROE,<br>Plaintiff,<br>v.<br>BO DOE,<br>CY POE,<br>DI COE,<br>Defendants.</center>"
    assert "Plaintiff, v. BO DOE,\nCY POE" in clean(markup, "html").text


def test_a_table_that_lays_out_the_page_is_no_row() -> None:
    cleaned = clean(f"<table><tr><td>Left</td><td><p>{SENTENCE * 4}</p><p>Second.</p></td></tr></table>", "html")
    assert "\t" not in cleaned.text
    assert cleaned.text.endswith("\n\nSecond.")


def test_the_rule_between_the_columns_of_a_caption_is_a_mark() -> None:
    cleaned = clean(
        "<table><tr><td>ANN ROE,<br>v.<br>BO DOE.</td><td>)<br>)<br>)</td><td>No. 7</td></tr></table>", "html"
    )
    assert cleaned.text == "ANN ROE, v. BO DOE.\tNo. 7"
    assert marks_of(cleaned, "rule") == [") ) )"]


def test_spaces_of_the_source_are_no_columns() -> None:
    assert clean("<p>One.     Two.<br>Three.</p>", "html").text == "One. Two.\nThree."


# --- site chrome -----------------------------------------------------------------------------------------------------

PAGE = f"""<!DOCTYPE html><html><head><title>T</title><script>if (a<b) x("<p>")</script></head><body>
<a href="#main">Skip to main content</a>
<ul><li><a href="/">Home</a><li><a href="/o">Opinions</a><li><a href="/r">Rules</a></ul>
<form><select><option>All</option></select><button>Go</button></form><nav>Main menu</nav>
<h1><a href="/roe">Roe v. Doe</a></h1><p>{SENTENCE * 3}</p>
<div>Advertisement</div><p>See <a href="/x">Poe v. Coe</a>.</p>
<p>{SENTENCE * 3}</p><p>Affirmed.</p>
<footer><p>Judiciary of Zed</p></footer><p>Copyright 2020 Zed. All rights reserved.</p>
<p><a href="/p">Privacy Policy</a> | <a href="/t">Terms of Use</a></p></body></html>"""


def test_the_sites_own_parts_of_a_page_become_boilerplate() -> None:
    cleaned = clean(PAGE, "html")
    assert cleaned.text.split("\n\n") == [
        "Roe v. Doe", (SENTENCE * 3).strip(), "See Poe v. Coe.", (SENTENCE * 3).strip(), "Affirmed.",
    ]  # fmt: skip
    assert "Home" in marks_of(cleaned, "boilerplate")
    assert len(marks_of(cleaned, "boilerplate")) == 11


def test_an_opinion_in_an_element_for_menus_stays() -> None:
    for markup in (f"<div class=nav>{f'<p>{SENTENCE * 2}</p>' * 4}</div>", f"<nav>Menu<p>{SENTENCE}</p>"):
        assert SENTENCE.strip() in clean(f"<html>{markup}</html>", "html").text


def test_headings_of_an_opinion_are_no_menu() -> None:
    cleaned = clean(
        f"<html><p>{SENTENCE * 3}</p><h2>Search</h2><p>It was.</p><h2>Contact</h2><p>No.</p></html>", "html"
    )
    assert marks_of(cleaned, "boilerplate") == []


# --- broken markup ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        (
            "<p>with <i style=\"font: 'Zed'; Roe, P.C.</i><i style=\"font: 'Zed';\">and</i> others</p>",
            "with Roe, P.C.and others",
        ),
        ("<p>5 < 6, a<b. and <b>c</b></p>", "5 < 6, a<b. and c"),
        ('<p title="a > b">Text</p x>', "Text"),
        ("<script>var x;</script ><p>Text</p><script>y()", "Text\n\ny()"),
        ("<p>a<object>b<p>c</p>", "ab\n\nc"),
        ("<opinion><![CDATA[<p>Text &amp; more</p>]]></opinion>", "Text & more"),
        ("<head><title>x</title><body>Text", "Text"),
        ("<p>&sect 5 &amp;sect; 6 con&shy;\n tract &#150;</p>", "§ 5 § 6 contract –"),
    ],
)
def test_broken_markup_keeps_its_text(markup: str, text: str) -> None:
    assert clean(f"<div>{markup}</div>", "html").text == text


HOSTILE = {
    "cells": "<table>" + "<tr><td>a" * 40_000,
    "tables": "<table><tr><td>" * 20_000 + "x",
    "raised": "<sup>" + "<div>" * 50_000 + "x",
    "notes in divs": "<div class=footnote>" + "<div>" * 20_000 + "<sup>1</sup>" * 20_000,
    "quotes": "<a x='y \" <b " * 40_000,
    "angles": "<" * 200_000 + "<a" * 100_000 + "</" * 100_000 + "<!--" * 50_000,
    "page numbers": "<p>" + "in<i class=starpage>*1</i> formation " * 5_000,
    "links": "<html>" + "<a href=x>b</a> | " * 20_000,
    "styles": "<p>" + '<i style="a:b;' * 20_000,
    "labels": "<p>x<sup>1</sup></p>" * 10_000 + "<p><sup>1</sup> a</p>" * 10_000,
    "hidden": "<object><svg><iframe>" * 20_000 + "</object>",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_markup_takes_time_in_proportion_to_its_length(name: str) -> None:
    begun = time.process_time()
    clean(HOSTILE[name], "html")
    assert time.process_time() - begun < 5


# --- characters ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "mac_roman", "cp437"])
def test_text_that_was_read_in_a_wrong_encoding_is_read_again(encoding: str) -> None:
    text = "the mill\u2019s keeper \u2014 \u201cnobody\u2019s man\u2026 "
    cleaned = clean(f"<p>{text.encode().decode(encoding)}</p>", "html")
    assert cleaned.text == text.strip()
    assert not cleaned.flags


def test_mojibake_of_signs_and_accents_is_repaired_however_it_is_written() -> None:
    assert clean("<p>&acirc;&euro;&trade; Â§ 5 Â¶ 6 cafÃ© Ã¢â‚¬â„¢</p>", "html").text == "’ § 5 ¶ 6 café ’"


def test_mojibake_that_can_be_two_things_is_kept_and_flagged() -> None:
    cleaned = clean('<p>said â€" so</p>', "html")
    assert cleaned.text == 'said â€" so'
    assert cleaned.flags == {MOJIBAKE}


def test_accents_before_quotation_marks_are_no_mojibake() -> None:
    assert clean("<p>“CAFÉ” “IRMÔ naïve ‘Ã’ Â.</p>", "html").text == "“CAFÉ” “IRMÔ naïve ‘Ã’ Â."


def test_words_whose_hyphens_were_lost_are_flagged_and_kept() -> None:
    text = "The peti tion was of no con cern to the juris diction, and its ques tions are not informa tion."
    assert clean(text, "plain_text").text == text
    assert clean(text, "plain_text").flags == {LOST_HYPHENS}
    assert not clean("The ment or tion of it.", "plain_text").flags


@pytest.mark.parametrize(
    "end", ["Anna Burke v.", "what is said in (", "all of what is known in the valley to the Workers'"]
)
def test_a_sentence_goes_on_with_a_capital_behind_a_page(end):
    before = f"The keeper of the mill was asked by the court about {end}"
    cleaned = clean(
        f"<p>{before}</p><p>[12 Zed.2d 31]</p><p>Mill Company.</p><p>[12 Zed.2d 32]</p><p>It rained.</p>", "html"
    )
    assert cleaned.text == f"{before} Mill Company.\n\nIt rained."


def test_a_sentence_that_the_number_of_a_paragraph_parts_is_one() -> None:
    quoted = '<div class="num"><span class="num">12</span><p>the water of the brook is his.</p></div>'
    cleaned = clean(f"<p>The court has long held in such cases that</p>{quoted}<p>So it is.</p>", "html")
    assert cleaned.text == "The court has long held in such cases that the water of the brook is his.\n\nSo it is."
    assert marks_of(cleaned, "paragraph_number") == ["12"]


@pytest.mark.parametrize(
    ("above", "below"),
    [
        ("The brook is free of all that was in it.", "and so the mill fell."),
        ("the water of a brook above the mill; or", "a spring of the same meadow"),
        ("The rent is made of two parts, the first", "b = the price of the grain"),
        ("Anna Burke, Plaintiff", "against the owner of the mill"),
    ],
)
def test_numbered_paragraphs_that_end_or_begin_something_stay_apart(above: str, below: str) -> None:
    numbered = f'<p>{above}</p><div class="num"><span class="num">12</span><p>{below}</p></div>'
    assert clean(numbered, "html").text == f"{above}\n\n{below}"
