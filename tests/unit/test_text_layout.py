"""Which lines of a printed page are one paragraph, one row or one column."""

from __future__ import annotations

import gzip
import json
from itertools import pairwise
from pathlib import Path

import pytest

from courtlistener_assets.text.cleaning import clean
from tests.unit.text_reference import bare, rebuilt, source_text

REAL = Path(__file__).parents[3] / "shared" / "documents" / "documents.jsonl.gz"

STORM = (
    "The harbor master closed the gates before the first wave of the storm, and the owner of the sloop was told to "
    "wait in the outer basin. He did not wait. He had seen the lamps of the lower town go out one after the other, and "
    "he thought that the gates would not be opened again before the morning. The district court found that he knew the "
    "risk on both counts. We see no error in that finding and leave it where it lies. The cost of the lamp is another "
    "matter, since nobody has said who broke it, and the two witnesses who might have known were at the inn."
)
GULL = (
    "The second count is about the gull. It was kept on the deck in a cage that belonged to the cook, who sold it to "
    "the mate for a pound of tea. Neither of them had a licence. The statute asks for one where a bird is kept for "
    "more than a week, and the gull was there from May until the end of the season."
)


def cleaned(text: str) -> str:
    """The clean text, after making sure that nothing of the source is lost."""
    result = clean(text, "plain_text")
    assert sorted(bare(rebuilt(result))) == sorted(bare(source_text(text, markup=False)))
    return result.text


def wrapped(text: str, width: int) -> list[str]:
    lines, line = [], ""
    for word in text.split():
        if line and len(line) + 1 + len(word) > width:
            lines.append(line)
            line = ""
        line = f"{line} {word}".strip()
    return [*lines, line]


def justified(text: str, width: int, *, wide_sentences: bool = False) -> list[str]:
    """Lines of one width: spread over all words, or, as some printers do, over the ends of sentences first."""
    lines = wrapped(text, width)
    result = []
    for number, line in enumerate(lines[:-1]):
        words = line.split()
        room = width - len(line)
        gaps = [1] * (len(words) - 1)
        ends = [place for place, word in enumerate(words[:-1]) if word.endswith(".")]
        order = ends if wide_sentences and ends else list(range(len(gaps)))
        for extra in range(room):
            gaps[order[(extra + number) % len(order)]] += 1
        result.append("".join(word + " " * gap for word, gap in zip(words, [*gaps, 0], strict=True)))
    return [*result, lines[-1]]


@pytest.mark.parametrize("width", [48, 61, 75])
@pytest.mark.parametrize("wide_sentences", [False, True])
@pytest.mark.parametrize("blank", ["\n", "\n\n", "\n   \n\n"])
def test_justified_lines_are_one_paragraph(width: int, wide_sentences: bool, blank: str) -> None:
    paragraphs = [justified("          " + text, width, wide_sentences=wide_sentences) for text in (STORM, GULL)]
    lines = [["          " + lines[0], *lines[1:]] for lines in paragraphs]
    assert cleaned(blank.join(line for part in lines for line in part)) == f"{STORM}\n\n{GULL}"


def test_lines_that_were_kept_in_markup_read_like_those_of_plain_text() -> None:
    lines = ["          " + line if not place else line for place, line in enumerate(justified(STORM, 61))]
    text = "\n\n".join([*lines, *("          " * (not place) + line for place, line in enumerate(justified(GULL, 61)))])
    assert clean(f"<pre>{text}</pre>", "html_with_citations").text == cleaned(text) == f"{STORM}\n\n{GULL}"


def test_a_sentence_after_a_wide_space_is_no_cell() -> None:
    text = (
        "that the owner knew the risk on both of the\n\ncounts.     We see no error in that finding.\n\n"
        "Having  found  none,   we  do  not  reach  the\n\nthird of his arguments.          It was not\n\nmade below."
    )
    assert cleaned(text) == (
        "that the owner knew the risk on both of the counts. We see no error in that finding. Having found none, we do "
        "not reach the third of his arguments. It was not made below."
    )


def test_uneven_double_spacing_parts_no_sentence() -> None:
    lines = wrapped(STORM.replace("harbor master", "Harbor Master of Port Arran"), 44)
    text = "".join(line + ("\n\n" if number % 3 else "\n") for number, line in enumerate(lines))
    assert "\n" not in cleaned(text)


def test_a_name_after_a_gap_goes_on_with_its_sentence() -> None:
    text = (
        "The petitioner was held at the Port Arran\n\nHarbor Center and asked for his release\nfrom the county. "
        "He was held at the\n\nCenter for a month, and then again at\nthe basin, which the county owns. The\n\n"
        "Director denied that he was ever there\nat all, and\n\nshowed a register.\n"
    )
    assert "\n" not in cleaned(text)


def test_blank_lines_part_paragraphs_that_have_no_indent() -> None:
    text = "\n\n".join("\n".join(wrapped(part, 60)) for part in (STORM, GULL, STORM))
    assert cleaned(text) == f"{STORM}\n\n{GULL}\n\n{STORM}"


def test_short_last_lines_part_paragraphs_that_have_neither_indent_nor_blank_line() -> None:
    text = "\n".join(line for part in (GULL, STORM, GULL) for line in wrapped(part, 60))
    assert cleaned(text) == f"{GULL}\n\n{STORM}\n\n{GULL}"


def test_lines_that_a_converter_made_of_two_do_not_move_the_margin() -> None:
    lines = wrapped(GULL, 60) + wrapped(STORM, 60) + wrapped(GULL, 60)
    lines[1:3] = [" ".join(lines[1:3])]
    lines[9:11] = [" ".join(lines[9:11])]
    assert cleaned("\n".join(lines)) == f"{GULL}\n\n{STORM}\n\n{GULL}"


def test_a_name_of_a_case_goes_over_the_end_of_its_line() -> None:
    text = "\n".join(
        [
            *wrapped(STORM, 60)[:-1],
            "broke it, see the opinion in Hale Fisheries, Inc., et al.",
            "v. Wolfe, and the two.",
        ]
    )
    assert "et al. v. Wolfe" in cleaned(text)


def test_a_bare_numeral_and_a_heading_stand_alone() -> None:
    text = "\n".join(
        [*wrapped(GULL, 60), "II", *wrapped(STORM, 60), "", "                      DISCUSSION", "", *wrapped(GULL, 60)]
    )
    assert cleaned(text) == f"{GULL}\n\nII\n\n{STORM}\n\nDISCUSSION\n\n{GULL}"


def test_a_heading_after_an_initial_stands_alone() -> None:
    text = "\n\n".join(
        [
            "All of it is sold to Hale, Wolfe & P.",
            "A.    The Rules of the Board on Gulls",
            "         " + GULL[:62],
            GULL[63:],
        ]
    )
    assert "& P.\n\nA. The Rules of the Board on Gulls\n\n" in cleaned(text)


def test_a_heading_above_an_indented_line_stands_alone() -> None:
    lines = justified(STORM, 70)
    heading = "       B.      The 2001 Violation of the Terms of the Harbor Board"
    text = "\n\n".join([*justified(GULL, 70), heading, "       " + lines[0], *lines[1:]])
    assert f"\n\nB. The 2001 Violation of the Terms of the Harbor Board\n\n{STORM}" in cleaned(text)


def test_a_table_stays_row_by_row() -> None:
    names = ["Hull", "Mast and spars", "Two sails", "Anchor", "Gull", "Rope, new", "Lamp oil", "Wages", "Harbor dues"]
    rows = [f"{name:30}{number * 417:>10,}.00" for number, name in enumerate(names, 1)]
    text = "\n".join(
        [*wrapped(STORM, 60), "", "Item                               Amount", *rows, "", *wrapped(GULL, 60)]
    )
    table = "\n".join(f"{name}\t{number * 417:,}.00" for number, name in enumerate(names, 1))
    assert cleaned(text) == f"{STORM}\n\nItem\tAmount\n{table}\n\n{GULL}"


def test_the_second_line_of_a_cell_stays_with_its_row() -> None:
    text = (
        "Exhibit        Description                         Page\n"
        "A              Chart of the outer basin            12\n"
        "B              Letter                              14\n"
        "C              Register of the birds kept\n"
        "               on the deck\n"
        "D              Photograph                          19\n"
    )
    assert cleaned(text).splitlines() == [
        "Exhibit\tDescription\tPage",
        "A\tChart of the outer basin\t12",
        "B\tLetter\t14",
        "C\tRegister of the birds kept on the deck",
        "D\tPhotograph\t19",
    ]


def test_questions_and_answers_are_sentences() -> None:
    text = (
        "MS. LIND:           Where is it that you saw the gull?\n"
        "The Mate:           On the   deck   of  the   sloop,\n"
        "                    in   a   cage   which   the\n"
        "                    Cook had lent.\n"
        "MS. LIND:           And how is it that you were there at all?\n"
        "The Mate:           I was told to wait for the owner.\n"
    )
    assert cleaned(text).splitlines() == [
        "MS. LIND: Where is it that you saw the gull?",
        "The Mate: On the deck of the sloop, in a cage which the Cook had lent.",
        "MS. LIND: And how is it that you were there at all?",
        "The Mate: I was told to wait for the owner.",
    ]


def test_the_entries_of_a_table_of_contents_keep_their_pages_and_lose_their_dots() -> None:
    text = (
        "                         TABLE OF CONTENTS\n\n"
        "INTRODUCTION .................................................. 1\n\n"
        "   I.   The Board May Not Sell a Gull That It Was Only Asked\n"
        "        to Keep Until the End of the Season . . . . . . . . . . 4, 17\n\n"
        "CONCLUSION .................................................... iv\n\n"
        "Hale v. Wolfe,\n   77 X. Y. 101 (1999) ....................................... passim\n"
    )
    result = clean(text, "plain_text")
    assert result.text == (
        "TABLE OF CONTENTS\n\nINTRODUCTION\t1\n\nI. The Board May Not Sell a Gull That It Was Only Asked to Keep Until "
        "the End of the Season\t4, 17\n\nCONCLUSION\tiv\n\nHale v. Wolfe, 77 X. Y. 101 (1999)\tpassim"
    )
    assert {mark.kind for mark in result.marks} == {"rule"}
    assert bare(rebuilt(result)) == bare(text)


def test_an_ellipsis_is_no_leader() -> None:
    text = "The mate said that he “saw . . . the gull . . . .” The cook\nsaid nothing . . . . He was paid in 1999.\n"
    assert ". . . . He was paid in 1999." in cleaned(text)


CAPTION = (
    "LIND FISHERIES, a partnership,         )   No. 20-00017\n"
    "                                       )\n"
    "               Plaintiff,              )   MOTION TO COMPEL\n"
    "                                       )   THE RETURN OF A\n"
    "       v.                              )   GULL\n"
    "                                       )\n"
    "COUNTY OF ARRAN,                       )   Hearing: June 1, 2020\n"
    "               Defendant.              )\n"
)


def test_a_caption_reads_left_before_right() -> None:
    text = cleaned(CAPTION + "\n" + "\n".join(wrapped(STORM, 70)))
    assert text.index("COUNTY OF ARRAN") < text.index("No. 20-00017") < text.index("MOTION TO COMPEL")
    assert ")" not in text.replace("(", "")


def test_a_caption_with_a_blank_line_and_a_border_that_jumps_reads_left_before_right() -> None:
    lines = CAPTION.splitlines()
    lines[4] = lines[4].replace("   )", "  } ")
    lines.insert(5, "")
    text = cleaned("\n".join(lines))
    assert text.index("COUNTY OF ARRAN") < text.index("No. 20-00017")


def test_three_columns_read_one_after_the_other() -> None:
    columns = [wrapped(part, 40) for part in (STORM, GULL + " " + STORM[:190], STORM)]
    longest = max(map(len, columns))
    rows = zip(*(column + [""] * (longest - len(column)) for column in columns), strict=True)
    text = "\n".join("".join(f"{cell:46}" for cell in row).rstrip() for row in rows)
    assert cleaned(text) == "\n\n".join(" ".join(column) for column in columns)


def test_a_letter_and_a_signature_keep_their_lines() -> None:
    letter = "Dear Judge Roe:\n\n{}\n\nSincerely,\nRosa Lind\n12 Quay Street\nPort Arran"
    signature = [
        "",
        "DATED: May 5, 2020                 LIND & LIND",
        "",
        "                                   By:  /s/ Rosa Lind",
        "                                        Rosa Lind",
    ]
    text = "\n".join([letter.format("\n".join(wrapped(GULL, 72))), *signature])
    end = "DATED: May 5, 2020\tLIND & LIND\n\nBy: /s/ Rosa Lind\nRosa Lind"
    assert cleaned(text) == f"{letter.format(GULL)}\n\n{end}"


def test_a_sidebar_does_not_stand_in_the_sentences_beside_it() -> None:
    left = ["Contents", "", "Gulls", "Lamps", "", "Sloops", "Anchors", "Rope", "Storms", ""]
    right = wrapped(STORM, 56)
    text = "\n".join(f"{name:20}{line}" for name, line in zip([*left, *[""] * len(right)], right, strict=False))
    assert STORM in cleaned(text)


def test_a_table_with_borders_stays_row_by_row() -> None:
    rows = [
        f"| {name:18} | {number * 417:>8} |" for number, name in enumerate(["Hull", "Mast", "Sails", "Gull"] * 2, 1)
    ]
    text = cleaned("\n".join(rows)).replace("\t", " ")
    assert [" ".join(line.split()) for line in text.splitlines()] == [" ".join(row.split()) for row in rows]


@pytest.mark.parametrize(
    "lines",
    [
        "x              y\n" * 40_000,
        ") x\nx\n" * 20_000,
        "word      word\nword      word\nword      word\n" + "word\n" * 9,
        "   a     b      c       d        e         f\n" * 20_000,
    ],
)
@pytest.mark.timeout(20)
def test_hostile_layouts_take_time_in_proportion_to_their_length(lines: str) -> None:
    lines *= max(1, 400_000 // len(lines))
    result = clean(lines, "plain_text")
    assert sorted(bare(rebuilt(result))) == sorted(bare(lines))


@pytest.mark.skipif(not REAL.exists(), reason="real documents are not here")
def test_no_real_page_of_plain_text_is_torn_where_a_sentence_surely_goes_on() -> None:
    torn = breaks = 0
    with gzip.open(REAL, "rt", encoding="utf-8") as file:
        documents = [json.loads(line) for line in file]
    for document in documents:
        if document["field"] == "plain_text" and document["kind"].startswith("CL API"):
            paragraphs = clean(document["text"], "plain_text").text.split("\n\n")
            breaks += len(paragraphs)
            torn += sum(
                above[-1].islower() and below[0].islower() and len(above) > 60 for above, below in pairwise(paragraphs)
            )
    assert torn <= 0.01 * breaks


def test_a_lone_line_with_wide_spaces_between_all_words_is_no_row():
    text = "BURKE,    Judge   of.      Zed        Mills     appeal\n\nfrom the judgment that the court has made in May."
    assert "\t" not in clean(text, "plain_text").text


def test_a_name_follows_the_v_of_a_case_across_a_gap():
    lines = [
        "The court has said so more than once. See also the case of Mill v.",
        "",
        "",
        "Burke, 12 Zed.2d 30, on this.",
    ]
    body = ["It did so in the year of the flood, and nobody in the valley ever", "", "asked it for a reason.", ""] * 4
    assert "Mill v. Burke" in clean("\n".join([*body, *lines]), "plain_text").text


@pytest.mark.parametrize("end", ["See", "which is", "if the owner of the mill has"])
def test_a_short_line_that_ends_with_a_word_that_must_go_on_is_joined(end: str) -> None:
    lines = wrapped(STORM, 60)
    assert f"{end} Burke" in cleaned("\n".join([*lines, *lines[:3], end, "Burke, 12 Zed.2d 30. " + lines[3], *lines]))


def test_a_small_word_by_itself_is_no_cell() -> None:
    lines = wrapped(STORM, 70)
    assert "\t" not in cleaned("\n".join([f"Declaration of Burke{'':14}on{'':12}i", *lines]))
    assert "Arvada\tMay 5" in cleaned("\n".join([f"Arvada{'':30}May 5", "", *lines]))


@pytest.mark.parametrize("title", ["St. Aubin", "Lt. Aubin", "Prof. Aubin", "U.S. Ct. App."])
def test_a_line_that_ends_with_the_title_of_a_name_goes_on_with_the_name(title: str) -> None:
    short, name = title.rsplit(" ", 1)
    lines = wrapped(STORM, 64)
    lines += [
        f"     The lamp had been lit on the pier by one {short}",
        f"{name} when the storm began and nobody was there.",
    ]
    assert f"{title} when the storm" in cleaned("\n".join(lines))
