"""Transcripts whose pages are printed side by side, and dots for spaces: in the order in which they are read."""

from __future__ import annotations

import pytest

from tests.unit.text_pages import numbered, pages, plain, texts_of


def side_by_side(left: list[str], right: list[str], *, jitter: int = 0) -> list[str]:
    """Two pages beside each other; the second one moves by up to `jitter` columns from line to line."""
    return [
        f"{one:<62}{' ' * (place * 7 % (jitter + 1))}{other}"
        for place, (one, other) in enumerate(zip(left, right, strict=True))
    ]


def sheet(*, heads: tuple[str, ...], jitter: int = 0) -> tuple[str, list[list[str]]]:
    text = list(pages(lines=22, count=4))
    first, second, third, fourth = (numbered(page, "{0:>2}   {1}") for page in text)
    upper, lower = (f"{'':20}{one:<42}{other}" for one, other in (heads[:2], heads[2:]))
    lines = [upper, *side_by_side(first, second, jitter=jitter), "", lower, *side_by_side(third, fourth, jitter=jitter)]
    return "\n".join([*lines, "", "        The Mill Reporting Company"]), text


@pytest.mark.parametrize("jitter", [0, 9])
def test_condensed_pages_are_read_in_the_order_of_their_numbers(jitter: int) -> None:
    across, text = sheet(heads=("Page 1", "Page 2", "Page 3", "Page 4"), jitter=jitter)
    sentence = " ".join(line for page in text for line in page)
    cleaned = plain(across)
    assert sentence in cleaned.text
    assert len(texts_of(cleaned, "line_number")) == 88
    down, (first, second, third, fourth) = sheet(heads=("Page 1", "Page 3", "Page 2", "Page 4"), jitter=jitter)
    assert " ".join(line for page in (first, third, second, fourth) for line in page) in plain(down).text


def test_condensed_pages_may_stand_far_from_the_edge_of_the_sheet() -> None:
    across, text = sheet(heads=("Page 1", "Page 2", "Page 3", "Page 4"))
    moved = "\n".join(f"{'':12}{line}" for line in across.split("\n"))
    assert " ".join(line for page in text for line in page) in plain(moved).text


def test_what_stands_between_condensed_pages_of_a_sheet_is_not_lost() -> None:
    across, _ = sheet(heads=("Page 1", "Page 2", "Page 3", "Page 4"))
    upper, lower = across.split("\n\n", 1)
    assert "Burke Reporting of Arvada" in plain(f"{upper}\n     Burke Reporting of Arvada\n{lower}").text


def test_lines_of_a_condensed_page_without_a_number_stay_on_their_side() -> None:
    first, second = (numbered(page, "{0:>2}   {1}") for page in pages(lines=22, count=2))
    lines = side_by_side(first, second)
    lines[11:11] = [f"     Anna Burke of Arvada{'':43}Ben Roe of Boulder"]
    lines[6:6] = [f"{'':67}Cleo Zed of Dillon"]
    text = plain("\n".join(lines)).text
    assert text.index("Anna Burke") < text.index("Cleo Zed") < text.index("Ben Roe")


@pytest.mark.parametrize("row", ["{0:>2}   Mill of the valley{1:40}", "     Mill of the valley {0} {1:40}"])
def test_a_table_with_two_columns_of_numbers_stays_row_by_row(row: str) -> None:
    lines = [row.format(number, 3 * number) for number in range(1, 20)]
    text = plain("\n".join(lines)).text
    assert text.index("57") > text.index("Mill of the valley", len(text) - 60)


def test_spaces_that_are_printed_as_dots_are_spaces() -> None:
    [text] = pages(lines=22, count=1)
    lines = ["·" + line.replace("   ", "· ·") for line in numbered(text, "{0:<2}   {1}")]
    cleaned = plain("\n".join(lines))
    assert cleaned.text == " ".join(text)
    bullets = "· The mill is free.\n\n· The brook is free, and so is all that is in it, for all who live above it."
    assert plain(bullets).text == bullets
