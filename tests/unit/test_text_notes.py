"""Footnotes at the foot of printed pages: out of the sentences that they interrupt. What only looks like one stays."""

from __future__ import annotations

import pytest

from tests.unit.text_pages import notes_of, numbered, pages, plain, prose, texts_of
from tests.unit.text_reference import bare


def test_a_note_at_the_foot_of_a_page_without_form_feeds_is_behind_the_sentence() -> None:
    first, second, third = pages(lines=20, count=3)
    note = "1 The deed of that year says nothing of the water of the\nbrook. It was lost in the flood."
    text = "\n".join([*first[:-1], f"{first[-1]},1", note, "", "   1", "", *second, "", "   2", "", *third, "", "   3"])
    cleaned = plain(text)
    assert [cleaned.text[note.start : note.end] for note in cleaned.footnotes] == [
        "1 The deed of that year says nothing of the water of the brook. It was lost in the flood."
    ]
    assert cleaned.text.split("\n\n")[0].endswith(third[-1])


def test_a_lone_number_above_a_long_line_is_no_note_and_nothing_moves() -> None:
    first, second = pages(lines=20, count=2)
    table = [
        "Mills in the valley that were sold in the dry year:",
        "",
        "2",
        "Mills in the valley that were not sold in that year:",
    ]
    text = "\n".join([*table, "", "5", "", *first, "\f", *second])
    cleaned = plain(text)
    assert not cleaned.footnotes
    assert bare(cleaned.text).startswith(bare("".join(table)))


def test_the_label_of_a_note_on_numbered_paper_is_no_line_number() -> None:
    pages_of_text = [numbered(page, "{0:>2}   {1}") for page in pages(lines=14, count=3)]
    pages_of_text[1][-1] += ".2"
    note = ["", "   2", "    The wheel had twelve spokes, and one of them was broken."]
    text = "\n\f".join("\n".join([*page, *(note if ".2" in page[-1] else [])]) for page in pages_of_text)
    assert [note.label for note in plain(text).footnotes] == ["2"]


def test_a_note_that_is_continued_at_the_foot_of_the_next_page_is_one() -> None:
    first, second, third = pages(lines=20, count=3)
    rule = "——————"
    top = [*first, f"{first[0]}.1", rule, " 1 The deed says so in the words that the", "\f"]
    text = "\n".join([*top, *second, rule, "widow of the miller took down.", "\f", *third])
    cleaned = plain(text)
    assert [cleaned.text[note.start : note.end] for note in cleaned.footnotes] == [
        "1 The deed says so in the words that the widow of the miller took down."
    ]


def test_a_note_goes_on_at_the_foot_of_a_double_spaced_page_without_a_rule() -> None:
    first, second, third = ("\n\n".join(page) for page in pages(lines=12, count=3))
    note = "\n\n\n   1\n     The deed says so in the words that the\n\f"
    text = f"{first}.1{note}{second}\n\n\n\nwidow of the miller took down.\n\f{third}"
    cleaned = plain(text)
    assert [cleaned.text[found.start : found.end] for found in cleaned.footnotes] == [
        "1 The deed says so in the words that the widow of the miller took down."
    ]


def test_a_note_goes_on_below_the_line_that_notes_of_the_document_stand_below() -> None:
    first, second, third = pages(lines=20, count=3)
    rule = "——————"
    top = [*first, f"{first[0]}.1", rule, " 1 The deed says so. It was lost in the flood.", "\f"]
    text = "\n".join([*top, *second, rule, "Nobody has looked for it.", "\f", *third])
    assert notes_of(plain(text)) == ["1 The deed says so. It was lost in the flood. Nobody has looked for it."]


def test_a_note_goes_on_in_smaller_type_in_the_middle_of_a_sentence_of_the_text() -> None:
    first, second, third = pages(lines=20, count=3)
    top = [*first, f"{first[0]}.1", "", "1 The deed of that year says so in the words that the", "\f"]
    small = [
        "widow of the miller took down in the year of the great flood,",
        "of which there are two copies. Neither is in the record.",
    ]
    text = "\n".join([*top, *second, *small, "\f", *third])
    cleaned = plain(text)
    assert notes_of(cleaned) == [f"1 The deed of that year says so in the words that the {' '.join(small)}"]
    assert f"{second[-1]} {third[0]}" in cleaned.text


def test_words_that_are_underlined_leave_no_gap_in_a_note_that_goes_on() -> None:
    first, second, third = ("\n\n".join(page) for page in pages(lines=12, count=3))
    note = "\n\n\n   1\n     The deed says so in the words that the\n\f"
    rest = "widow of the miller took down in\n            \nBurke, and nowhere else."
    cleaned = plain(f"{first}.1{note}{second}\n\n\n\n{rest}\n\f{third}")
    assert notes_of(cleaned) == [
        "1 The deed says so in the words that the widow of the miller took down in Burke, and nowhere else."
    ]


def test_a_label_may_touch_its_note() -> None:
    first, second = pages(lines=20, count=2)
    text = "\n".join([*first, f"{first[0]}.1", "", "     1The deed says so. It was lost in the flood.", "\f", *second])
    assert notes_of(plain(text)) == ["1The deed says so. It was lost in the flood."]


def test_a_label_alone_below_a_gap_is_a_note_before_any_text() -> None:
    first, second = pages(lines=20, count=2)
    text = "\n".join(
        [*first, "", "", "", "     1", "   The deed says so.", "\f", f"12 Zed.2d 30 and {second[0]}", *second]
    )
    assert notes_of(plain(text)) == ["1 The deed says so."]


def test_the_page_of_a_citation_is_no_label() -> None:
    first, second = pages(lines=20, count=2)
    cited = ["so it was held in Burke v. Zed, 12 Zed.2d 30, 36-", "", "45 (1987), that the miller was to blame for"]
    assert not plain("\n".join([*first[:2], "45", *cited, first[3], "\f", *second])).footnotes


def test_double_spaced_text_goes_on_close_behind_a_single_spaced_note() -> None:
    note = "*   The judge heard the case but took no part\nin what was said of the mill and the brook by\nthe court."
    text = f"Burke,* Judge.\n\n{note}\n\n          " + "\n\n".join(prose(12)) + "\n\f\nThe end."
    assert notes_of(plain(text)) == [" ".join(note.split())]


def test_double_spaced_text_behind_a_note_is_on_the_next_page() -> None:
    text = (
        "\n\n".join(prose(12))
        + "*\n\n\n*    Sitting by designation.\n\n\n\n"
        + "\n\n".join(prose(12))
        + "\n\f\nThe end."
    )
    assert [note.label for note in plain(text).footnotes] == ["*"]
    assert plain(text).text.endswith("* Sitting by designation.")


def test_lines_that_begin_with_the_number_of_a_volume_are_no_notes() -> None:
    lines = [*prose(8), "_________", "28 U.S.C. § 1291 was cited by the miller in his brief of that winter.", *prose(3)]
    assert not plain("\n".join([*lines, "\f", *prose(4)])).footnotes


def test_notes_on_numbered_paper_have_the_lines_of_the_note() -> None:
    body = numbered([*prose(19), "and so the wheel stood.1"], "{0:>2}   {1}")
    note = numbered(["The wheel had twelve", "spokes, and one was broken."], "{0:>2}   {1}")
    second = numbered(prose(20), "{0:>2}   {1}")
    text = "\n".join([*body, "", "     1", *note, "                    1", "\f" + second[0], *second[1:]])
    cleaned = plain(text)
    assert [cleaned.text[found.start : found.end] for found in cleaned.footnotes] == [
        "1 The wheel had twelve spokes, and one was broken."
    ]


def test_a_star_may_touch_its_note() -> None:
    first, second = pages(lines=20, count=2)
    text = "\n".join([*first, f"{first[0]}.*", "   *Briefs were filed for the millers of the valley.", "\f", *second])
    assert notes_of(plain(text)) == ["*Briefs were filed for the millers of the valley."]


def test_a_note_goes_on_below_the_gap_of_a_single_spaced_page_however_little_text_is_above_it() -> None:
    first, second, third = pages(lines=20, count=3)
    top = [*first, f"{first[0]}.1", "1 The deed says so in the words that were read in the case of Burke v.", "\f"]
    foot = [
        "Zed by the clerk of the court.",
        "   It was lost in the flood, and what was in it is known",
        "to few. Nobody cared.",
    ]
    for rest in (foot, ["in the mill. So it was lost."]):
        cleaned = plain("\n".join([*top, *second[:6], "", *rest, "\f", *third]))
        [note] = notes_of(cleaned)
        assert bare(note).endswith(bare("".join(rest)))
        assert f"{second[5]} {third[0]}" in cleaned.text


def test_a_quotation_below_a_gap_does_not_go_on_with_a_note() -> None:
    first, second, third = pages(lines=20, count=3)
    top = [*first, f"{first[0]}.1", "1 The deed says so in the words that the", "\f"]
    quoted = ["and the deed of the mill says in so many words that", "", "      the water is common to all who live"]
    cleaned = plain("\n".join([*top, *second, *quoted, "\f", *third]))
    assert notes_of(cleaned) == ["1 The deed says so in the words that the"]


def test_the_notes_of_two_pages_without_a_number_between_them_are_notes() -> None:
    first, second, third = ("\n\n".join(page) for page in pages(lines=12, count=3))
    foot = "\n\n\n     {0}  The deed says so. It was lost\nin the flood.\n\n\n"
    text = f"{first},1{foot.format(1)}{second}{foot.format(2)}\f{third}"
    cleaned = plain(text)
    assert [note.label for note in cleaned.footnotes] == ["1", "2"]
    assert f"{bare(second)}{bare(third)}" in bare(cleaned.text)


@pytest.mark.parametrize("omission", [". . . .", "* * *", "* * * * *"])
def test_what_a_quotation_leaves_out_is_no_line_above_a_note(omission: str) -> None:
    first, second = pages(lines=20, count=2)
    quoted = ["it was said:", "", "     1.  The mill is free.", f"     {omission}", "     3.  The brook is free.", ""]
    cleaned = plain("\n".join([*first, *quoted, *second, "\f", *first]))
    assert not cleaned.footnotes
    assert omission in cleaned.text


@pytest.mark.parametrize("form", ["1The deed says so.", "1FIRST Bank has the deed."])
def test_a_lost_section_sign_is_no_gap_between_columns(form: str) -> None:
    first, second = ("\n\n".join(page) for page in pages(lines=12, count=2))
    note = f"     {form}  See 21 V.T.C.    952, on mills,\nand 21 V.T.C.    843(b) and 844, of the\nsame year.\n"
    assert [note.label for note in plain(f"{first}\n\n\n{note}\n\f{second}").footnotes] == ["1"]


def test_a_note_goes_on_above_the_next_one_and_in_a_second_paragraph() -> None:
    first, second, third = ("\n\n".join(page) for page in pages(lines=12, count=3))
    top = f"{first}.1\n\n\n1   The deed says so in the words that the\n\n\f"
    foot = "widow of the miller took down.\n\n   He knew nothing of it.\nNor did she.\nNor the clerk.\nNobody did.\n"
    following = "\n2   It was read:\n\n       The mill\n\n       is free.\n"
    for rest in (foot, f"widow of the miller took down.\n{following}"):
        cleaned = plain(f"{top}{second}.2\n\n\n{rest}\n\f{third}")
        assert bare(notes_of(cleaned)[0]).startswith("1Thedeedsayssointhewordsthatthewidowofthemillertookdown.")
        assert bare(cleaned.text).startswith(bare(f"{first}.1{second}.2{third}"))


@pytest.mark.parametrize("above", ["", "          BURKE, Judge.\n"], ids=["as it is", "underlined"])
def test_double_spaced_text_behind_a_note_of_one_line_is_text(above: str) -> None:
    note = "*Of another court, sitting by designation."
    text = f"Burke,* Judge.\n\n{note}\n\n          BURKE, Judge.  The case of Dr.\n{above}\n\n"
    cleaned = plain(text + "\n\n".join(prose(12)) + "\n\f\nThe end.")
    assert notes_of(cleaned) == [note]


def test_the_items_of_a_list_are_not_the_notes_of_the_same_numbers() -> None:
    first, second = ("\n\n".join(page) for page in pages(lines=12, count=2))
    items = "\n\n        1.  The mill; in the valley;\n\n        2.  The brook; above the mill.2\n\n"
    feet = "\n\n\n1.  It was sold.\n\n2.  It was lost.\n\n"
    cleaned = plain(f"{first}.1{items}{feet}\f{second}")
    assert notes_of(cleaned) == ["1. It was sold.", "2. It was lost."]
    assert "1. The mill; in the valley;" in cleaned.text


def test_a_raised_number_on_a_line_of_its_own_is_the_mark_of_the_note() -> None:
    first, second = pages(lines=20, count=2)
    foot = ["", "", "    1", "   The deed says so.", "\f"]
    cleaned = plain("\n".join([*first[:9], "    1", *first[9:], *foot, *second]))
    assert notes_of(cleaned) == ["1 The deed says so."]
    assert texts_of(cleaned, "footnote_mark") == ["1"]
    assert "\n" not in cleaned.text.partition("1 The deed")[0].rstrip()


def test_a_number_in_a_sentence_of_a_note_with_a_star_begins_no_note() -> None:
    first, second = pages(lines=20, count=2)
    note = [
        "* It was said in the case of Burke, citing Roe,",
        "29 Zed.4th 616 (2002), that it is so. See id., at",
        "2.",
    ]
    cleaned = plain("\n".join([*first, f"{first[0]}.*", "——————", *note, "1 See id.", "\f", *second]))
    assert notes_of(cleaned) == [" ".join(note), "1 See id."]


@pytest.mark.parametrize("edge", ["\f", "\n                 -{0}-\n", "\n\n                 {0}\n\n\n"])
def test_the_labels_of_notes_that_count_up_once_a_page_are_no_page_numbers(edge: str) -> None:
    text = ""
    for number, page in enumerate(pages(lines=16, count=6), 1):
        lines = [*page[:-1], f"{page[-1]},{number}"]
        text += "\n\n".join(lines) + f"\n\n\n      {number}\n       The deed of that year says nothing of it.\n"
        text += edge.format(number)
    assert notes_of(plain(text)) == [f"{number} The deed of that year says nothing of it." for number in range(1, 7)]


def test_a_drawn_line_of_which_only_spaces_are_left_is_above_a_note_that_nothing_cites() -> None:
    first, second, third = ("\n\n".join(page) for page in pages(lines=14, count=3))
    rule = "\n\n                    \n\n"
    notes = [
        "     1The deed says nothing.",
        "     2Nor does the will of the miller's",
        "widow, which was lost in the flood.",
    ]
    text = f"{first}.{rule}{notes[0]}\n\f{second}{rule}{notes[1]}\n\f{third}.{rule}{notes[2]}\n\f"
    assert notes_of(plain(text)) == ["1The deed says nothing.", f"{notes[1].strip()} {notes[2]}"]


def test_a_rule_of_procedure_at_the_beginning_of_a_note_is_no_reporter() -> None:
    first, second = pages(lines=20, count=2)
    note = "3.  Fed. R. Civ. P. 60(b) is the rule that the miller named."
    text = "\n".join([*first[:-1], f"{first[-1]},3", "", "", "", note, "\f", *second])
    assert notes_of(plain(text)) == ["3. Fed. R. Civ. P. 60(b) is the rule that the miller named."]


def test_a_section_that_begins_in_the_middle_of_a_page_is_no_note() -> None:
    first, second, third = pages(lines=20, count=3)
    note = ["", "", "", "1.  The deed says so.", "\f"]
    section = ["", "B. The Water of the Brook", "", "     1. Who Owned It", "", *second[10:], "\f"]
    text = "\n".join([*first[:-1], f"{first[-1]},1", *note, *second[:10], *section, *third])
    assert notes_of(plain(text)) == ["1. The deed says so."]


def test_the_number_of_a_line_with_a_drawn_one_is_not_lost() -> None:
    first, second = (numbered(page, "{0:>2}   {1}") for page in pages(lines=14, count=2))
    first[-2:] = ["13   ______________", "", "     * The miller of the valley, who sat for the lessee."]
    cleaned = plain("\n".join([*first[:-3], f"{first[-4]}.*", *first[-3:], "\f", *second]))
    assert notes_of(cleaned) == ["* The miller of the valley, who sat for the lessee."]
    assert texts_of(cleaned, "line_number").count("13") == 2


def test_numbers_that_are_raised_to_lines_of_their_own_are_those_of_notes_far_from_the_margin() -> None:
    first, second = pages(lines=20, count=2)
    first[4:5] = [f"{'':40}1", f"The {first[4]}"]
    note = [
        "",
        "",
        "",
        "             1",
        "              The deed says so, and so does the",
        "will that was lost.",
        "\f",
    ]
    cleaned = plain("\n".join([*first, *note, *second]))
    assert notes_of(cleaned) == ["1 The deed says so, and so does the will that was lost."]
    assert texts_of(cleaned, "footnote_mark") == ["1"]


def test_a_numbered_heading_is_no_note_although_its_number_was_one() -> None:
    first, second, third = pages(lines=20, count=3)
    note = ["", "", "", "1.  The deed says so.", "\f"]
    heading = [f"{second[9]}.1", "", "     1.   The Water of the Brook", ""]
    text = "\n".join([*first[:-1], f"{first[-1]}.1", *note, *second[:9], *heading, *second[10:], "\f", *third])
    assert notes_of(plain(text)) == ["1. The deed says so."]


def test_a_note_whose_label_comes_again_where_it_is_continued_is_no_text() -> None:
    first, second, third = pages(lines=20, count=3)
    note = ["", "", "     1", "      The deed says so in words that", "               (continued...)", "\f"]
    rest = ["", "", "     1", "      (...continued)", "the widow of the miller took down.", "\f"]
    cleaned = plain("\n".join([*first[:-1], f"{first[-1]},1", *note, *second[:-1], f"{second[-1]}.", *rest, *third]))
    assert [note.label for note in cleaned.footnotes] == ["1", "1"]
    assert " ".join(notes_of(cleaned)[1].split()) == "1 (...continued) the widow of the miller took down."
