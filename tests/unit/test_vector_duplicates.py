"""Nearly equal documents are found and marked, if that is asked for; documents on the same subject are not."""

from __future__ import annotations

import random
from typing import Any

from courtlistener_assets.chunks.document import Document
from courtlistener_assets.chunks.rows import Tally, partition_rows
from courtlistener_assets.download.streams import OPINION

WORDS = [f"word{number}" for number in range(400)]


def text(seed: int, words: int = 600) -> str:
    chance = random.Random(seed)
    return " ".join(chance.choice(WORDS) for _ in range(words)) + "."


def with_edits(original: str, edits: int) -> str:
    words = original.split()
    for place in range(edits):
        words[place * len(words) // max(1, edits)] = f"edit{place}"
    return " ".join(words)


def marks(*texts: str, near: bool = True) -> list[tuple[Any, Any]]:
    documents = [
        Document(kind=OPINION, body={"id": id, "plain_text": value}, docket_id=1, court_id="ca9")
        for id, value in enumerate(texts, 1)
    ]
    found = {}
    for row in partition_rows(documents, Tally(), near_duplicates=near):
        found[row["opinion_id"]] = (row["is_duplicate_of"], row["duplicate_kind"])
    return list(found.values())


def test_a_text_with_a_few_edits_is_a_near_duplicate_of_the_first_one() -> None:
    assert marks(text(1), with_edits(text(1), 3), with_edits(text(1), 5)) == [
        (None, None),
        ("opinion:1", "near_text"),
        ("opinion:1", "near_text"),
    ]


def test_near_duplicates_are_an_option() -> None:
    assert marks(text(1), with_edits(text(1), 3), near=False) == [(None, None), (None, None)]


def test_an_equal_text_is_called_equal() -> None:
    assert marks(text(1), text(1)) == [(None, None), ("opinion:1", "same_text")]


def test_texts_that_share_words_or_half_of_their_passages_are_no_duplicates() -> None:
    shared = text(5, 300)
    assert marks(text(1), text(2), f"{shared} {text(3, 300)}", f"{shared} {text(4, 300)}") == [(None, None)] * 4


def test_short_texts_are_never_called_nearly_equal() -> None:
    assert marks("The petition is denied. It is so ordered.", "The petition is denied. It is so ordered today.") == [
        (None, None),
        (None, None),
    ]


def test_a_nearly_equal_text_in_another_case_is_none() -> None:
    documents = [
        Document(kind=OPINION, body={"id": id, "plain_text": with_edits(text(1), id)}, docket_id=id, court_id="ca9")
        for id in (1, 2)
    ]
    assert {row["is_duplicate_of"] for row in partition_rows(documents, Tally(), near_duplicates=True)} == {None}
