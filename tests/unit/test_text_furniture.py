"""What the page needs and the text does not: out of the sentences, into marks. What only looks like it stays."""

from __future__ import annotations

import pytest

from courtlistener_assets.text.cleaning import clean
from tests.unit.text_pages import numbered, pages, plain, prose, texts_of
from tests.unit.text_reference import bare


def has_digits(text: str) -> bool:
    return any(map(str.isdigit, text))


# --- numbers beside the lines ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "form",
    [
        "{0:>2}  {1}",
        "{0:<5}{1}",
        "          {0:>2}   {1}",
        "{0:>2} {1}",
        "{0:>2} ||  {1}",
        "{0:>2}   {1}\n",
        "{0}\n\n{1}\n",
    ],
    ids=["right", "left", "indented", "close", "bars", "double spaced", "own lines"],
)
def test_the_numbers_of_three_pages_of_pleading_paper_are_marks(form: str) -> None:
    text = "\n".join(line for page in pages(lines=28, count=3) for line in numbered(page, form))
    cleaned = plain(text)
    assert not has_digits(cleaned.text)
    assert texts_of(cleaned, "line_number")[:3] in (["1", "2", "3"], ["1 ||", "2 ||", "3 ||"])
    assert len(texts_of(cleaned, "line_number")) == 84
    assert "\n" not in cleaned.text


def test_numbers_that_count_on_from_page_to_page_are_marks() -> None:
    lines = numbered([line for page in pages(lines=40, count=4) for line in page], "{0:>3}  {1}")
    for place in (120, 80, 40):
        lines[place:place] = ["", "\f", "   THE MILL COMPANY", ""]
    cleaned = plain("\n".join(lines))
    assert not has_digits(cleaned.text)
    assert texts_of(cleaned, "line_number")[-1] == "160"


def test_a_numbered_page_without_any_sentence_is_told_by_its_centred_lines() -> None:
    lines = ["Anna Burke", "Pro Se", "12 Mill Lane", "Arvada, ZZ 01234"]
    centred = ["COURT OF ARVADA", "CIVIL PART OF THE RIVERSIDE", "AND", "THE CITY", "ORDER"]
    items = ["1. The deed of the mill", "2. The deed of the brook"]
    cleaned = plain("\n".join(numbered([*lines, *(line.center(60) for line in centred), *items], "{0:>2}   {1}")))
    assert texts_of(cleaned, "line_number") == [str(number) for number in range(1, 12)]
    contents = [" " * (3 * (number % 4)) + line for number, line in enumerate([*lines, *centred, *items])]
    assert not texts_of(plain("\n".join(numbered(contents, "{0:>2}   {1}"))), "line_number")


def test_a_line_without_a_number_does_not_end_the_numbers() -> None:
    lines = [line for page in pages(lines=28, count=3) for line in numbered(page, "{0:>2}  {1}")]
    for place in (14, 14 + 29, 14 + 58):
        lines.insert(place, "    and the miller of the lower village with him")
    cleaned = plain("\n".join(lines))
    assert not has_digits(cleaned.text)
    assert cleaned.text.count("and the miller of the lower village with him") == 3


def test_the_numbers_of_a_short_last_page_are_told_by_those_of_the_others() -> None:
    first, last = numbered(prose(25), "{0:>2}   {1}"), numbered(prose(4), "{0:>2}   {1}")
    assert not has_digits(plain("\n".join([*first, "\f", *last])).text)


def test_numbers_beside_empty_lines_are_line_numbers() -> None:
    lines = ["", "", "", "", "RIVERSIDE COURT", "OF THE COUNTY OF ARVADA", "", "", *prose(4), "", "", *prose(8), "", ""]
    cleaned = plain("\n".join(numbered(lines, "{0:>2}   {1}")))
    assert not has_digits(cleaned.text)


@pytest.mark.parametrize(
    "lines",
    [
        [f"{number}. The defendant denies what paragraph {number} says." for number in range(1, 29)],
        [
            f"{number:>2}   Parish of St. {name}     {number * 137}"
            for number, name in enumerate("ABCDEFGHIJKLMNOPQRSTUVWX", 1)
        ],
        [f"{number:>2}   See the deed of that year, at {number + 3}." for number in range(1, 13)],
        [f"({number}) a boat that is {number} feet long;" for number in range(1, 25)],
        [f"{number}\nSection {number} is repealed.\n" for number in range(1, 12)],
        ["1990    12    14", "1991    13    15", "1992    14    16", "1993    15    17"] * 6,
        [f"{number}" for number in range(1, 12)],
    ],
    ids=["paragraphs", "table", "notes", "list", "sections", "years", "column"],
)
def test_other_numbers_at_the_beginning_of_lines_stay(lines: list[str]) -> None:
    text = "\n".join(lines)
    cleaned = plain(text)
    assert not texts_of(cleaned, "line_number")
    assert sum(map(str.isdigit, cleaned.text)) == sum(map(str.isdigit, text))


# --- page numbers and heads without form feeds -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "number", ["{0}", "                    {0}", "-{0}-", "Page {0} of 6", "{0} of 6", "P a g e | {0}"]
)
@pytest.mark.parametrize("around", ["\n", "\n\n"], ids=["close", "blank lines"])
def test_page_numbers_are_found_without_form_feeds(number: str, around: str) -> None:
    if number == "{0}" and around == "\n":
        around = "\n\n"  # a number close to the lines at the margin can be anything
    parts = []
    for place, page in enumerate(pages(lines=24, count=6), 1):
        parts += ["\n".join(page), number.format(place)]
    cleaned = plain(around.join(parts))
    assert not has_digits(cleaned.text)
    assert "\n" not in cleaned.text
    assert len(texts_of(cleaned, "page_number")) == 6


def test_the_numbers_of_pages_stand_in_one_column_and_raised_numbers_of_notes_beside_it() -> None:
    """A page begins right below the number of the one before, as where form feeds are dropped."""
    lines: list[str] = []
    for number, page in enumerate(pages(lines=30, count=6), 1):
        wide = " " * (60 if number == 1 else 40)
        note = (
            [f"{' ' * 12}{number}", "   Anna said so in " + "two " * number + "letters.", ""]
            if number in (2, 3)
            else []
        )
        lines += [*page, "", *note, f"{wide}{number}"]
    cleaned = plain("\n".join(lines))
    assert texts_of(cleaned, "page_number") == ["1", "2", "3", "4", "5", "6"]


def test_roman_page_numbers_of_the_first_pages_are_found() -> None:
    text = "\n\n".join(
        f"{page}\n\n{number}"
        for page, number in zip(("\n".join(prose(20)),) * 4, ("i", "ii", "iii", "iv"), strict=True)
    )
    assert texts_of(plain(text), "page_number") == ["i", "ii", "iii", "iv"]


def test_a_case_number_on_each_page_is_a_head_without_form_feeds_and_page_numbers() -> None:
    caption = "RIVERSIDE COURT OF APPEALS\n\nNo. 21-50498\n\nLind v. Tarr\n\n"
    text = caption + "\nNo. 21-50498\n".join("\n".join(page) for page in pages(lines=30, count=5))
    cleaned = plain(text)
    assert cleaned.text.count("No. 21-50498") == 1
    assert texts_of(cleaned, "running_head") == ["No. 21-50498"] * 4
    assert "No. 21-50498" in cleaned.text.split("Lind v. Tarr")[0]


def test_heads_of_two_lines_beside_page_numbers_are_found() -> None:
    parts = []
    for place, page in enumerate(pages(lines=24, count=5), 1):
        parts += [f"{place}", "LIND v. TARR", "Opinion of the Court", *page]
    cleaned = plain("\n".join(parts))
    assert "LIND" not in cleaned.text
    assert "Opinion" not in cleaned.text


def test_the_second_line_of_a_head_is_none_of_the_sentence_that_it_interrupts_on_a_single_page() -> None:
    text = list(pages(lines=30, count=4))
    heads = [
        ["", "BURKE v. THE MILL COMPANY", "Opinion of the Court" if page < 3 else "ROE, J., concurring", ""]
        for page in range(4)
    ]
    cleaned = plain("\n".join(line for page, head in zip(text, heads, strict=True) for line in [*head, *page]))
    assert texts_of(cleaned, "running_head")[-2:] == ["BURKE v. THE MILL COMPANY", "ROE, J., concurring"]
    assert f"{text[2][-1]} {text[3][0]}" in cleaned.text


def test_the_name_of_the_case_beside_its_page_is_a_head_in_a_sentence_of_a_short_scan() -> None:
    first, second = pages(lines=20, count=2)
    cleaned = plain("\n".join([*first, "2     MILL COMPANY v. BURKE", "", "Syllabus", "", *second]))
    assert texts_of(cleaned, "running_head") == ["2     MILL COMPANY v. BURKE", "Syllabus"]
    assert f"{first[-1]} {second[0]}" in cleaned.text
    assert "12 MILL LANE" in plain("\n".join([*first, "He lives in the house.", "12 MILL LANE", "", *second])).text


def test_the_first_line_of_a_double_spaced_page_is_no_head() -> None:
    text = ["\n\n".join([f"Burke and Roe {page[0]}", *page[1:]]) for page in pages(lines=30, count=4)]
    cleaned = plain("\n\n".join(f"{page}\n\n   -{number}-" for number, page in enumerate(text, 1)))
    assert cleaned.text.count("Burke and Roe") == 4


def test_numbers_of_sections_notes_and_tables_are_no_page_numbers() -> None:
    section = (
        "\n\n                {0}\n\n   The {0}th reason is short.\n" + "   It needs no more than a line or two.\n" * 14
    )
    note = "\n\n{0}\nSee the deed of that year.\n" + "The mill was sold twice in the same winter.\n" * 14
    for form in (section, note):
        cleaned = plain("".join(form.format(number) for number in range(1, 4)))
        assert not texts_of(cleaned, "page_number")


def test_lines_that_are_repeated_in_the_text_are_no_heads() -> None:
    quote = "“whoever takes the water of another shall pay for the grain”"
    text = "\n".join(line for page in pages(lines=20, count=3) for line in (*page, quote))
    assert plain(text).text.count("whoever takes the water") == 3


def test_captions_of_joined_cases_are_no_heads() -> None:
    caption = "No. 12-{0}\n\nROSA LIND,\n\nPlaintiff, Appellant,\n\nv.\n\nMILO TARR, ET AL.,\n\nDefendants.\n\n____\n\n"
    cleaned = plain("".join(caption.format(2200 + number) for number in range(4)) + "\n".join(prose(30)))
    assert cleaned.text.count("Plaintiff, Appellant,") == 4
    assert cleaned.text.count("ROSA LIND,") == 4


# --- the foot of the last page ---------------------------------------------------------------------------------------

TITLE = "THE MILLER'S REPLY IN SUPPORT OF HIS MOTION TO REOPEN"
FEET = {
    "number": ["", "{0}"],
    "number close to the text": [" " * 40 + "{0}"],
    "title below": [" " * 40 + "{0}", " " * 12 + TITLE],
    "title and case below": [" " * 40 + "{0}", " " * 12 + TITLE, " " * 12 + "Case No. 4:11-cv-00321-ZZ"],
    "title above": ["", " " * 12 + TITLE, " " * 40 + "{0}"],
    "title beside": ["", TITLE + " " * 20 + "{0}"],
    "case beside, title above": ["", TITLE, "4:11-cv-00321-ZZ (ABc)" + " " * 20 + "{0}"],
    "page": ["", TITLE.title() + " – Page {0}"],
    "page of pages": ["", "XZ-12 (04/11)        MINUTES OF THE MILL COURT        Page {0} of 3"],
    "address": ["", "https://mill.example/brook" + " " * 30 + "{0}/3"],
}


@pytest.mark.parametrize("foot", FEET.values(), ids=FEET)
@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_feet_of_short_filings_are_no_text(foot: list[str], count: int) -> None:
    lines = [
        line
        for number, page in enumerate(pages(lines=24, count=count), 1)
        for line in [*page, *(line.format(number) for line in foot)]
    ]
    cleaned = plain("\n".join(lines))
    assert cleaned.text.split() == " ".join(prose(24 * count)).split()
    assert "\n" not in cleaned.text


def test_the_foot_of_numbered_paper_below_its_last_line_is_no_text() -> None:
    lines = [*numbered(prose(28), "{0:>2}   {1}"), "     MOTION FOR A NEW TRIAL" + " " * 20 + "7"]
    assert plain("\n".join(lines)).text == " ".join(prose(28))


@pytest.mark.parametrize(
    "last",
    [
        [" " * 40 + "7", " " * 40 + "ANNA BURKE", " " * 40 + "JUDGE OF THE COURT OF ARVADA"],
        ["", "The miller gave notice of the motion that was filed on page 7"],
        ["", "Bushels of grain" + " " * 20 + "320"],
        ["", "THE ORDER OF THE COURT"],
    ],
    ids=["signature", "sentence", "row", "heading"],
)
def test_the_last_lines_of_other_texts_are_no_feet(last: list[str]) -> None:
    cleaned = plain("\n".join([*prose(24), *last]))
    assert not texts_of(cleaned, "running_head")
    assert not texts_of(cleaned, "page_number")


def test_a_foot_that_says_page_is_told_on_pages_whose_last_has_none() -> None:
    foot = ["", "Minutes of the Mill Court - Page {0}", ""]
    lines = [
        line
        for number, page in enumerate(pages(lines=24, count=4), 1)
        for line in [*page, *(line.format(number) for line in foot if number < 4)]
    ]
    assert plain("\n".join(lines)).text == " ".join(prose(24 * 4))


# --- stamps ----------------------------------------------------------------------------------------------------------

STAMPS = (
    "Case 3:21-cv-00017-ABC   Document 31   Filed 05/20/21   Page 2 of 9",
    "ase 3:21-cv-00017-ABC   ocument 31   Filed 05/20/21   Page 2 of 9",
    "Case 3:21-cv-00017-ABC Document 31 Filed 05/20/21 Page 2 of 9 Page ID #:737",
    "Case 3:21-cv-00017-ABC   ECF No. 31   filed 05/20/21   PageID.737   Page 2 of 9",
    "Appeal: 21-1504      Doc: 6            Filed: 05/05/2021      Pg: 2 of 4",
    "USCA4 Appeal: 21-1504      Doc: 6            Filed: 05/05/2021      Pg: 2 of 4",
    "2:21-cv-00666-DCN     Date Filed 01/02/21     Entry Number 1     Page 2 of 9",
    "Case 21-3510, Document 1-1, 10/31/2021, 2161300, Page2 of 2",
    "Case: 21-1689, 07/15/2021, DktEntry: 28.1, Page 2 of 2",
    "Appellate Case: 21-1801     Page: 2      Date Filed: 01/19/2021 Entry ID: 5237514",
    "21-10123-abc    Doc 12    Filed 01/02/21    Entered 01/02/21 12:34:56    Main Document     Pg 2 of 9",
    "Case 21-10123   Doc 12   Filed 01/02/21   Entered 01/02/21 12:34:56   Desc Main\n         Document    Page 2 of 9",
    "Case 21-10123   Doc 12-3   Filed 01/02/21   Entered 01/02/21 12:34:56   Desc Exhibit\n   A   Page 2 of 9",
    "NYSCEF DOC. NO. 12                                    RECEIVED NYSCEF: 01/02/2021",
    "FILED: KINGS COUNTY CLERK 01/02/2021 03:04 PM                   INDEX NO. 123456/2020",
    "Filing # 123456789 E-Filed 01/02/2021 03:04:05 PM",
    "Case 3:21-cv-00017-ABC   Document 31   Filed 05/20/21   Page 2\nof 20",
    "Case: 21-1234      Document: 12-1     Filed: 01/02/2021      Pages: 9   (3 of 9)",
    "Casez3:21-cv-00017-ABC Docurnent 31 Fi1ed 05/20/21 Page 2 of 9",
    "Electronically FILED by Superior Court of Arvada, County of Kings on 01/02/2021 03:04 PM",
    "ARV-L-001234-21   01/02/2021 3:04:05 PM  Pg 3 of 9 Trans ID: ARV2021123456",
)


@pytest.mark.parametrize("stamp", STAMPS)
@pytest.mark.parametrize("separator", ["\n", "\n\n", "\f"], ids=["close", "blank lines", "form feed"])
def test_a_stamp_is_no_part_of_the_sentence_that_it_interrupts(stamp: str, separator: str) -> None:
    above, below = pages(lines=12, count=2)
    cleaned = plain("\n".join(above) + separator + stamp + separator.replace("\f", "\n\n") + "\n".join(below))
    assert not has_digits(cleaned.text)
    assert "\n" not in cleaned.text
    assert bare("".join(texts_of(cleaned, "stamp"))) == bare(stamp)


@pytest.mark.parametrize("stamp", STAMPS)
def test_the_stamp_of_a_document_of_one_page_is_a_mark(stamp: str) -> None:
    cleaned = plain(f"{stamp}\n\n        ORDER\n\n   The motion is granted.\n")
    assert not has_digits(cleaned.text)
    assert cleaned.text.endswith("The motion is granted.")


@pytest.mark.parametrize(
    "line",
    [
        "(ECF No. 12, filed 01/02/2021, Page 3 of 9).",
        "Docket No. 09-3660-cv",
        "Date: October 31, 2021                          DC Docket #: 21-cv-6761",
        "(Argued: February 11, 2010                 Decided: April 20, 2010)",
        "Case No. 21-10123   Chapter 11",
        "Filed: September 20, 2021",
        "Complaint filed on 01/02/2021, Document 1, page 3, says that the mill stood still in case 12.",
        "Invoice 1234     01/02/2021     $4,500.00     Page 7",
    ],
)
def test_lines_that_have_something_of_a_stamp_stay(line: str) -> None:
    cleaned = plain("\n".join([*prose(12), "", line, "", *prose(12)]))
    assert not texts_of(cleaned, "stamp")
    assert not texts_of(cleaned, "running_head")
    assert bare(line) in bare(cleaned.text)


# --- star pages ------------------------------------------------------------------------------------------------------


def test_star_pages_in_brackets_and_beside_words_are_marks_of_the_page_that_begins() -> None:
    cleaned = plain("The water is due to the [*2] company, which holds the mill in [*3]fee.")
    assert cleaned.text == "The water is due to the company, which holds the mill in fee."
    assert [(mark.text, cleaned.text[mark.position :].split()[0]) for mark in cleaned.marks] == [
        ("[*2]", "company,"),
        ("[*3]", "fee."),
    ]


@pytest.mark.parametrize(
    "form",
    [" *{0}", " *{0} ", " [100 A.3d {0}] ", "\n\n[100 A.3d {0}]\n\n", "\n\n[41 Conn.App. {0}]\n\n[100 A.3d {0}]\n\n"],
)
def test_star_pages_that_count_up_are_marks(form: str) -> None:
    parts = [" ".join(prose(12)) for _ in range(4)]
    text = parts[0] + "".join(form.format(410 + place) + part for place, part in enumerate(parts[1:]))
    cleaned = plain(text)
    assert cleaned.text == " ".join(parts)
    assert len(texts_of(cleaned, "page")) == 3 * form.count("{0}")


def test_a_page_inside_markup_interrupts_no_sentence() -> None:
    above, below = " ".join(prose(10)), " ".join(prose(10))
    cleaned = clean(f"<p>{above}</p><p>[12 N.E.3d 264]</p><p>{below}</p><p>[12 N.E.3d 265]</p><p>The end.</p>", "html")
    assert cleaned.text.startswith(f"{above} {below}")
    assert cleaned.text.endswith("\n\nThe end.") or cleaned.text.endswith(" The end.")


@pytest.mark.parametrize(
    "text",
    [
        "See Lind v. Tarr, 2006 WL 3392089, at *2. It was cited again, at *3, and id. at *4-*5.",
        "(Lind v Tarr, 2017 WL 6453326, *5 [Arvada 2017].)",
        "People v. Lind (1978) 22 Cal.3d 208 [149 Cal.Rptr. 239, 583 P.2d 1281] is of no help.",
        "Comment [2] explains it, as do 59.15[3] and 34 NY3d 545, 559 [2019].",
        "*1. The mill was sold. *2. The brook was not.",
        "The lease of [14 May 1990] and the deed of that year are lost.",
    ],
)
def test_pages_that_are_cited_stay(text: str) -> None:
    assert plain(text).text == text


def test_a_page_mark_inside_a_word_joins_the_word() -> None:
    page = '<span class="star-pagination"> *411 </span>'
    cleaned = clean(
        f"<p>He had no information of it. The in{page}formation was new, and came in{page}time.</p>", "html"
    )
    assert cleaned.text == "He had no information of it. The information was new, and came in time."


# --- overprints ------------------------------------------------------------------------------------------------------


OVERPRINTS = {
    "in the same columns": ("   BURKE, Judge.  The mill stood in the", "   BURKE, Judge."),
    "in the middle": ("the case of Burke is not the one that", "            Burke"),
    "after a carriage return": ("   BURKE, Judge.  The mill stood in the", "      BURKE, Judge."),
}


@pytest.mark.parametrize(("line", "struck"), OVERPRINTS.values(), ids=OVERPRINTS)
def test_words_that_are_struck_twice_are_in_the_text_once(line: str, struck: str) -> None:
    cleaned = plain("\n".join([line, struck, "", "valley until the water came down.", ""]))
    assert cleaned.text == f"{' '.join(line.split())} valley until the water came down."
    assert texts_of(cleaned, "rule") == [struck.strip()]


def test_a_whole_line_is_an_overprint_only_in_a_text_that_has_others() -> None:
    whole = "and so the mill fell.\nand so the mill fell.\n\nThe end of it."
    assert not texts_of(plain(whole), "rule")
    assert len(texts_of(plain(f"   BURKE, Judge.  The mill stood\n   BURKE, Judge.\n\n{whole}"), "rule")) == 2


@pytest.mark.parametrize("below", ["Mill", "   Mill of the valley", "12"])
def test_lines_that_say_something_else_are_no_overprints(below: str) -> None:
    assert not texts_of(plain(f"12 Mills of the valley\n{below}\n\nThe end."), "rule")


@pytest.mark.parametrize(
    "text",
    [
        "1 The end\n" * 20_000 + "\f\nthe end",
        "12\n\nthe end of it\n" * 20_000,
        "\n".join(f"{number % 28 + 1}" for number in range(20_000)) + "\nthe end",
        "a.1\n\n1\n the end\n\f\n" * 10_000,
        "Case 1:20-cv-00017 Document 3 Filed 01/02/20 Page 3 of 9\nthe end\n" * 10_000,
        "the [*2] end *3 of [1 A.2d 3]\n\n" * 10_000,
        ("the mill.1\n\n\n\n1  The end.\n\n\n\n" + "the mill of\n\n" * 8) * 2_000 + "\f\nthe end",
        f"{'1  the mill':40}1  the end of it\n{'2':40}2  the end\n" * 3_000,
        "- 1 -\nTHE MILL OF BURKE 7\nthe end\n" * 6_000,
    ],
    ids=["labels", "numbers", "columns", "notes", "stamps", "star pages", "feet", "condensed", "heads"],
)
@pytest.mark.timeout(20)
def test_hostile_furniture_takes_time_in_proportion_to_its_length(text: str) -> None:
    plain(text)


def test_the_name_of_a_paragraph_that_is_struck_twice_is_in_the_text_once() -> None:
    lines = ["    (b)  Dry Months.  The owner of the brook", "         Dry Months.", "may not close it.", *prose(8)]
    cleaned = plain("\n".join(lines))
    assert cleaned.text.startswith("(b) Dry Months. The owner of the brook may not close it.")
    assert texts_of(cleaned, "rule") == ["Dry Months."]


def test_lines_that_lead_to_quotations_do_not_count_the_pages() -> None:
    leads = [f"{number}  Rule {number} of the mill provides:" for number in range(5, 8)]
    text = "\n\n".join("\n".join([lead, *page]) for lead, page in zip(leads, pages(lines=12, count=3), strict=True))
    cleaned = plain(text)
    assert not cleaned.marks
    assert all(" ".join(lead.split()) in cleaned.text for lead in leads)


def test_spaces_that_are_left_of_underlines_make_no_gap_between_lines() -> None:
    lines = prose(16)
    for place in (3, 7, 11):
        lines[place] += ", 12 F."
        lines[place + 1] = f"Supp. 34, {lines[place + 1]}"
    under = {place: f"\n{'':{len(lines[place]) - 8}}" for place in (3, 7, 11)}
    text = "\n\n".join(line + under.get(place, "") for place, line in enumerate(lines))
    assert plain(f"{text}.\n\n\n\nSo it is.").text == f"{' '.join(lines)}.\n\nSo it is."
