"""What the layout of a page does not show for certain: the text stays as it stands, and its document is flagged."""

from __future__ import annotations

import pytest

from tests.unit.text_pages import numbered, pages, plain, prose

DOUBTS = {
    "doubtful_columns",
    "doubtful_line_numbers",
    "doubtful_page_numbers",
    "doubtful_paragraphs",
    "lines_out_of_order",
}


def doubts_of(text: str) -> set[str]:
    return set(plain(text).flags) & DOUBTS


def test_text_that_can_only_be_read_in_one_way_has_no_doubts() -> None:
    for text in ("\n".join(prose(30)), "\n\n".join(prose(30)), "\n".join(numbered(prose(30), "{0:>2}  {1}"))):
        assert not doubts_of(f"{text}.\n\nThe end.")


def test_columns_that_a_sentence_goes_down_only_once_are_doubtful() -> None:
    rows = [
        ("the mill of the upper", "The brook was dry in May"),
        ("Mill of the lower", "The weir was built in May"),
        ("Mill of the meadow", "The channel was dug by"),
        ("Mill of the county", "men of the upper village"),
        ("Mill of the bridge", "The ford was lost in June"),
    ]
    assert doubts_of("\n".join(f"{left:40}{right}" for left, right in rows)) == {"doubtful_columns"}


def test_numbers_that_count_up_beside_sentences_and_beside_items_are_doubtful() -> None:
    [text] = pages(lines=28, count=1)
    items = [f"Item of the list in the deed of the year {year}" for year in range(1900, 1917)]
    items[4] = "and of the mill"
    items[9] = "and of the brook"
    lines = [*numbered(text, "{0:>2}  {1}"), "", *numbered(items, f"{'':20}{{0:>2}}  {{1}}")]
    assert doubts_of("\n".join(lines)) == {"doubtful_line_numbers"}


def test_a_number_in_a_sentence_that_is_no_page_is_doubtful() -> None:
    lines = prose(60)
    lines[30:30] = ["", f"{'':20}977", ""]
    assert doubts_of("\n".join(lines)) == {"doubtful_page_numbers"}


def test_blank_lines_that_part_paragraphs_and_sentences_are_doubtful() -> None:
    lines = []
    for place, line in enumerate(prose(90)):
        end = "" if place % 15 == 2 else "."
        lines += [line, *([f"So it was said of {line}{end}", ""] if place % 3 == 2 else [])]
    assert "doubtful_paragraphs" in doubts_of("\n".join(lines))


@pytest.mark.parametrize("strays", [2, 4])
def test_sentences_that_end_and_go_on_are_out_of_order(strays: int) -> None:
    lines = prose(60)
    for place in range(strays):
        lines[10 * place + 5] += "."
        lines[10 * place + 6] = f"mill {lines[10 * place + 6]}"
    assert doubts_of("\n".join(lines)) == ({"lines_out_of_order"} if strays > 2 else set())
